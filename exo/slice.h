/* Who runs: each CPU's repeating vector of slots, its ready list, and its timer.
 *
 * Time is cut into slots of system.slot_us; slot number (time / length) mod CPU_SLOTS is the current one.  An owned slot
 * belongs to its owner from its first tick to its last, whenever the owner is ready and has not lent it by a directed
 * yield; all other time goes round the ready list.  The timer is set for the next deadline, and for the end of the slot only
 * while somebody else is ready: a CPU with one ready vcpu takes a tick once at most, when the others have left, an idle one
 * none. */
#ifndef EXO_SLICE_H
#define EXO_SLICE_H

#include "fp.h"

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
    return ARCH_FAST_PATHS && !cpu_has_chores(cpu);
}
/* Is it known to be this CPU's, alive, in a space that has an ASID here?  (vcpu->sound) */
static inline bool slice_is_sound(const struct cpu *cpu, const struct vcpu *to)
{
    return ARCH_READ(&to->sound) == cpu->epoch;
}
/* Where it is not known, a jump from a fast path: finds out, and then tries it again, or goes the long way. */
struct vcpu *slice_unsound(struct vcpu *current, struct vcpu *to, switch_call *again, switch_call *long_way);
/* May one that is sound go on as it is: no deadline is to be forgotten, no upcall to be delivered?
 * (Of another CPU's vcpu nothing but that it is not sound may be read.) */
static inline bool slice_can_follow(const struct vcpu *to)
{
    return !deadline_is_set(&to->deadline) && !vcpu_upcall_due(to);
}
/* From now on the CPU's time is another's, or nobody's; what passed goes to the last one's ticks.  Meanwhile those who
 * read the tables see `since` 0, so that they count no time twice. */
static inline void slice_account(struct cpu *cpu, uint64_t *ticks)
{
    struct exo_cpu_info *info = cpu->info;
    uint64_t now = arch_time_about(), passed = now - info->since;

    __atomic_store_n(&info->since, 0, __ATOMIC_RELAXED);
    __atomic_store_n(ticks, *ticks + passed, __ATOMIC_RELEASE);
    __atomic_store_n(&info->since, now, __ATOMIC_RELEASE);
}

/* The machine is to's, but for FP registers and the space: the latter is loaded on the way out. */
static inline __attribute__((always_inline)) void slice_enter(struct cpu *cpu, struct vcpu *to)
{
    struct exo_cpu_info *info = cpu->info;

    to->state = VCPU_RUNNING;
    cpu->current = to;
    info->switches++;
    info->running = to->names;
    arch_set_vcpu_pointer(to->page_va);
}
/* From's time is to's now, and the machine too, with the space, but for FP registers. */
static inline __attribute__((always_inline)) void slice_switch(struct cpu *cpu, struct vcpu *from,
                                                               struct vcpu *to)
{
    slice_account(cpu, from->ticks);
    slice_enter(cpu, to);
    if (cpu->loaded != to->space)
        space_set(cpu, to->space);
}
/* The end of a fast path: on a quiet CPU, from's time is to's now, and all of the machine; from's state is the caller's to
 * set.  Drops the CPU's lock; returns `to`. */
static inline __attribute__((always_inline)) struct vcpu *slice_hand_over(struct cpu *cpu, struct vcpu *from,
                                                                          struct vcpu *to)
{
    slice_switch(cpu, from, to);
    if (__builtin_expect(fp_matters(cpu, to), 0))
        return fp_hand_over(to, cpu);
    lock_drop(&cpu->lock);
    return to;
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
