/* Who runs: each CPU's repeating vector of slots, its ready list, and its timer.
 *
 * Time is cut into slots of system.slot_us; slot number (time / length) mod CPU_SLOTS is the current one.  An owned slot
 * belongs to its owner from its first tick to its last, whenever the owner is ready and has not lent it by a directed
 * yield; all other time goes round the ready list.  The timer is set for the next deadline, and for the end of the slot only while somebody else is
 * ready: a CPU with one ready vcpu, or none, takes no ticks. */
#ifndef EXO_SLICE_H
#define EXO_SLICE_H

#include "vcpu.h"

#define SLOT_US 1000u

void slice_init(struct cpu *cpu);

/* READY, at the end or the front of its CPU's list; the current one will not run past the end of its slot.  Where its
 * environment has ended: STOPPED, in no list.  In world mode of another CPU's too, which is then interrupted. */
void slice_ready(struct vcpu *vcpu);
void slice_ready_first(struct vcpu *vcpu);
/* A vcpu that answers a device became ready: it runs now, unless the running one owns the slot. */
void slice_urgent(struct vcpu *vcpu);
/* The timer interrupt: deadlines that passed, and the end of a slot. */
void slice_timer(void);
/* In world mode: the deadlines that passed and that local mode had to leave (cpu->overdue). */
void slice_overdue(void);

/* Leaves the current vcpu without the CPU; its state is the caller's to set. */
struct vcpu *slice_leave(void);
/* Runs a vcpu that is in no queue, in what is left of the slot. */
void slice_run(struct vcpu *vcpu);
/* The same, and be it that the vcpu that just yielded owns the slot: it lends the rest of it, or what is not used. */
void slice_lend(struct vcpu *to);
/* Is nothing to be looked at before the current vcpu, or one that it hands its slot to, goes on? */
static inline bool slice_is_quiet(const struct cpu *cpu)
{
    return ARCH_FAST_PATHS && !cpu_has_chores(cpu) && !cpu->trace.on;
}
/* May it go on as it is: it is this CPU's, nobody has ended it, no deadline is to be forgotten, no upcall to be delivered?
 * (Of another CPU's vcpu nothing but that it is one may be read.) */
static inline bool slice_can_follow(const struct cpu *cpu, const struct vcpu *to)
{
    return to->cpu == cpu && !vcpu_ended(to) && !deadline_is_set(&to->deadline) && !vcpu_upcall_due(to);
}
/* From now on the CPU's time is another's, or nobody's; what passed goes to the last one's ticks.  Meanwhile those who
 * read the tables see `since` 0, so that they count no time twice. */
static inline void slice_account(struct cpu *cpu, uint64_t *ticks)
{
    struct exo_cpu_info *info = cpu->info;
    uint64_t now = arch_time(), passed = now - info->since;

    __atomic_store_n(&info->since, 0, __ATOMIC_RELAXED);
    __atomic_store_n(ticks, *ticks + passed, __ATOMIC_RELEASE);
    __atomic_store_n(&info->since, now, __ATOMIC_RELEASE);
}

/* `to` runs: so it says in the tables. */
static inline void slice_show(struct cpu *cpu, const struct vcpu *to)
{
    struct exo_cpu_info *info = cpu->info;

    info->switches++;
    info->running = to->names;
}
/* On a quiet CPU, the machine is to's, in from's place, whose state is the caller's to set. */
static inline __attribute__((always_inline)) void slice_hand_over(struct cpu *cpu, struct vcpu *from,
                                                                  struct vcpu *to)
{
    slice_account(cpu, from->ticks);
    to->state = VCPU_RUNNING;
    cpu->current = to;
    slice_show(cpu, to);
    cpu_fp_follow(cpu);
    arch_set_vcpu_pointer(to->page_va);
}

/* Makes sure that there is a current vcpu, the owner of the slot if he is ready.  False: nobody is ready. */
bool slice_pick(void);
/* Nobody was: sleeps until an interrupt is pending, with no lock held and no space loaded. */
void slice_sleep(void);
/* The current vcpu's environment may have ended by another CPU's doing: if so, it leaves. */
void slice_evict(void);
/* Sets the timer for whoever is current now. */
void slice_arm(void);

/* -EXO_EBUSY where another vcpu owns the slot; NULL: gives it up. */
int slice_own(struct cpu *cpu, uint32_t slot, struct vcpu *vcpu);
void slice_disown_all(struct vcpu *vcpu);

/* What happens to a waiting vcpu whose deadline passed (false: it needs the world, and nothing has changed); set by
 * event.c. */
extern bool (*slice_expired)(struct vcpu *vcpu);

#endif
