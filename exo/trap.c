#include "trap.h"

#include "event.h"
#include "slice.h"
#include "space_page.h"

static bool masked(const struct vcpu *vcpu)
{
    return ((const volatile struct exo_vcpu_page *)vcpu->page)->upcall_masked;
}

/* The current vcpu's environment, unless somebody ends it first. */
static void end_current(enum exo_end_reason reason, uint64_t code, uint64_t address)
{
    struct vcpu *vcpu = cpu_this()->current; /* it stays, running, until this CPU lets it go */

    world_upgrade();
    env_end(vcpu->env, reason, code, vcpu->regs.pc, address);
    world_leave();
}

/* With the CPU's lock: an upcall, or the end where there can be none. */
static __attribute__((noinline)) struct vcpu *raise_slowly(enum exo_reason reason, uint64_t info,
                                                           uint64_t detail)
{
    struct cpu *cpu = cpu_this();
    struct vcpu *vcpu = cpu->current;

    if (cpu->evict)
        return NULL; /* it has ended, and is about to leave */
    if (!masked(vcpu)) {
        if (!vcpu_upcall(vcpu, reason, info, detail))
            end_current(EXO_END_UPCALL, reason, info);
    } else if (reason == EXO_UPCALL_FAULT) {
        end_current(EXO_END_FAULT, detail, info);
    } else {
        end_current(EXO_END_EXCEPTION, info, detail);
    }
    return NULL;
}

/* The common case: an upcall, and nothing else to do. */
static __attribute__((noinline)) struct vcpu *raise(enum exo_reason reason, uint64_t info, uint64_t detail)
{
    struct cpu *cpu = cpu_this();
    struct vcpu *vcpu = cpu->current;

    if (!slice_is_quiet(cpu) || cpu->resched || masked(vcpu) ||
        !vcpu_upcall_inline(vcpu, reason, info, detail))
        return raise_slowly(reason, info, detail);
    lock_drop(&cpu->lock);
    return vcpu;
}

static __attribute__((noinline)) struct vcpu *fault_slowly(uint64_t va, unsigned wanted)
{
    struct cpu *cpu = cpu_this();
    struct binding binding;

    if (!cpu->evict && !(va >> ARCH_USER_BITS) && space_lookup(cpu->current->space, va, &binding))
        wanted |= EXO_ACCESS_BOUND;
    return raise_slowly(EXO_UPCALL_FAULT, va, wanted);
}

static __attribute__((noinline, cold)) struct vcpu *fault_late(uint64_t va, unsigned wanted, uint32_t ticket)
{
    lock_wait(&cpu_this()->lock, ticket);
    return fault_slowly(va, wanted);
}

static __attribute__((noinline, cold)) struct vcpu *fault_later(uint64_t va, unsigned wanted, uint32_t ticket)
{
    struct exo_lock *lock = &cpu_this()->current->space->lock;

    lock_wait(lock, ticket);
    lock_drop(lock);
    return fault_slowly(va, wanted);
}

struct vcpu *trap_page_fault(uint64_t va, unsigned wanted)
{
    struct cpu *cpu = cpu_this();
    struct space *space;
    uint32_t ticket;
    pte_t *entry;

    if (!lock_take_or_queue(&cpu->lock, &ticket))
        return fault_late(va, wanted, ticket);
    if (!ARCH_FAST_PATHS || cpu->evict || va >> ARCH_USER_BITS)
        return fault_slowly(va, wanted);
    space = cpu->current->space;
    if (!lock_take_or_queue(&space->lock, &ticket))
        return fault_later(va, wanted, ticket);
    entry = page_at(space, va);
    if (entry && *entry)
        wanted |= EXO_ACCESS_BOUND;
    lock_drop(&space->lock);
    return entry ? raise(EXO_UPCALL_FAULT, va, wanted) : fault_slowly(va, wanted);
}

static __attribute__((noinline, cold)) struct vcpu *exception_late(enum exo_exception kind, uint64_t syndrome,
                                                                   uint32_t ticket)
{
    lock_wait(&cpu_this()->lock, ticket);
    return raise_slowly(EXO_UPCALL_EXCEPTION, kind, syndrome);
}

struct vcpu *trap_exception(enum exo_exception kind, uint64_t syndrome)
{
    uint32_t ticket;

    if (!lock_take_or_queue(&cpu_this()->lock, &ticket))
        return exception_late(kind, syndrome, ticket);
    return raise(EXO_UPCALL_EXCEPTION, kind, syndrome);
}

/* Work that others left for this CPU, and what local mode could not finish. */
static void chores(struct cpu *cpu)
{
    __atomic_exchange_n(&cpu->attention, 0,
                        __ATOMIC_ACQ_REL); /* before it looks: what comes after asks again */
    if (cpu->evict)
        slice_evict();
    event_notes();
    if (!cpu->overdue && list_empty(&cpu->endings))
        return;
    world_upgrade();
    if (cpu->overdue)
        slice_overdue();
    if (!list_empty(&cpu->endings))
        env_endings_step();
    world_leave();
}

/* The current vcpu as it is to go on: with the upcall that is due, in its space.  False: it could not. */
static bool ready_to_go(struct cpu *cpu)
{
    uint64_t due;

    if (!vcpu_upcall_pending(cpu->current, &due)) {
        end_current(EXO_END_UPCALL, EXO_UPCALL_EVENT, due);
        return false;
    }
    if (space_load(cpu->current->space))
        return true;
    world_upgrade();
    spaces_rollover();
    world_leave();
    return false;
}

/* Makes sure that there is a current vcpu that can go on; does what there is to do before, and sleeps until there is. */
__attribute__((noinline)) static void settle_slowly(struct cpu *cpu)
{
    for (;;) {
        if (cpu_is_called(cpu))
            chores(cpu);
        if ((cpu->current && !cpu->nowned) || slice_pick()) {
            if (!cpu->evict && ready_to_go(cpu))
                break;
        } else if (!cpu_is_called(cpu)) {
            slice_sleep();
        }
        arch_irq_dispatch(); /* interrupts in between */
    }
    if (cpu->trace.wanted || cpu->traced)
        trace_settled(cpu);
}

/* The same where there is somebody to choose, and nothing else to do. */
__attribute__((noinline)) static void settle(struct cpu *cpu)
{
    while (!cpu_is_called(cpu) && ((cpu->current && !cpu->nowned) || slice_pick())) {
        if (!cpu->evict && ready_to_go(cpu))
            return;
        arch_irq_dispatch();
    }
    settle_slowly(cpu);
}

/* The common case: whoever is current goes on as he is. */
static bool settled(const struct cpu *cpu)
{
    const struct vcpu *vcpu = cpu->current;

    return vcpu && !cpu_has_chores(cpu) && !vcpu_upcall_due(vcpu) && space_load(vcpu->space);
}

__attribute__((noinline)) static struct vcpu *leave(struct cpu *cpu)
{
    if (__builtin_expect(!settled(cpu), 0))
        settle(cpu);
    __atomic_store_n(&cpu->current->sound, cpu->epoch, __ATOMIC_RELAXED);
    slice_arm();
    cpu->info->calls = cpu->calls;
    cpu->info->lock_taken = cpu->lock.served;
    cpu->info->lock_contended = cpu->lock.contended;
    cpu->resched = 0;
    local_leave();
    return cpu->current;
}

/* Is the machine still as whoever ran last needs it? */
static bool undisturbed(const struct cpu *cpu)
{
    return ARCH_FAST_PATHS && !cpu->resched && !cpu_is_called(cpu);
}

struct vcpu *trap_leave(void)
{
    struct cpu *cpu = cpu_this();

    if (!undisturbed(cpu) || vcpu_upcall_due(cpu->current))
        return leave(cpu);
    local_leave();
    return cpu->current;
}

struct vcpu *trap_leave_plain(void)
{
    local_enter();
    return leave(cpu_this());
}

struct vcpu *trap_irq(void)
{
    local_enter();
    arch_irq_dispatch();
    return trap_leave();
}

static __attribute__((noinline, cold)) struct exo_regs *resume_late(struct exo_lock *lock, uint32_t ticket)
{
    lock_wait(lock, ticket);
    lock_drop(lock);
    return NULL;
}

struct exo_regs *trap_resume(void)
{
    struct cpu *cpu = cpu_this();
    struct exo_regs *regs = NULL;
    uint32_t ticket;

    if (!lock_take_or_queue(&cpu->lock, &ticket))
        return resume_late(&cpu->lock, ticket);
    if (undisturbed(cpu) && !vcpu_upcall_waits(cpu->current)) {
        cpu->current->page->upcall_masked = 0;
        cpu->calls++;
        regs = &cpu->current->page->regs;
    }
    lock_drop(&cpu->lock);
    return regs;
}
