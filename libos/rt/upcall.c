/* What the kernel tells this vcpu: faults are resolved or become signals, events become handlers' calls and signals.
 *
 * Runs masked, on the upcall stack, with general registers only, and touches only memory that is always bound.
 * Returning resumes whatever page->regs holds. */
#include "rt/general_regs.h"

#include "rt/thread_impl.h"

#include <signal.h>

struct rt rt;
const struct rt_memory *rt_memory;

static void fault_upcall(uint64_t address, uint64_t access, struct exo_vcpu_page *page)
{
    struct rt_vcpu *me = rt_vcpu_of(page);

    if (rt_memory->fault(address, access, &me->fault_error))
        return;
    me->fault_address = address;
    me->fault_access = access;
    if (me->fault_error || !rt_signal_fault(SIGSEGV, page))
        rt_report_fault(SIGSEGV, EXO_UPCALL_FAULT, address, access, &page->regs);
}

static int exception_signal(uint64_t exception)
{
    switch (exception) {
    case EXO_EXC_UNDEFINED:
        return SIGILL;
    case EXO_EXC_BREAKPOINT:
        return SIGTRAP;
    case EXO_EXC_ALIGNMENT:
        return SIGBUS;
    case EXO_EXC_FP:
        return SIGFPE;
    default:
        return SIGILL;
    }
}

static void exception_upcall(uint64_t exception, uint64_t syndrome, struct exo_vcpu_page *page)
{
    struct rt_vcpu *me = rt_vcpu_of(page);
    int sig = exception_signal(exception);

    me->fault_address = page->regs.pc;
    me->fault_access = 0;
    me->fault_error = 0;
    if (!rt_signal_fault(sig, page))
        rt_report_fault(sig, EXO_UPCALL_EXCEPTION, exception, syndrome, &page->regs);
}

static void event_upcall(struct exo_vcpu_page *page)
{
    struct rt_vcpu *me = rt_vcpu_of(page);
    uint64_t listened = __atomic_load_n(&page->upcall_events, __ATOMIC_RELAXED);
    uint64_t bits = __atomic_fetch_and(&page->events, ~listened, __ATOMIC_ACQUIRE) & listened;

    if (bits & ~(OS_EVENT_SIGNALS | OS_EVENT_POKE))
        rt_events_upcall(bits & ~(OS_EVENT_SIGNALS | OS_EVENT_POKE), me);
    if (bits & (OS_EVENT_SIGNALS | OS_EVENT_POKE))
        rt_signal_upcall(bits & OS_EVENT_SIGNALS, page);
}

/* A further vcpu starts: its page holds the registers of a context that there is not, and ours go in their place.  A
 * thread's `local` lies where its stack ends. */
static void start_upcall(struct exo_vcpu_page *page)
{
    const struct os_thread *idle = rt_vcpu_of(page)->idle;

    arch_regs_enter(&page->regs, (uint64_t)sched_idle_life, 0, (uint64_t)idle->local, idle->tls);
}

/* Noted, on the vcpu that it came to; handled as a signal is, in a thread that runs there. */
static void revoke_upcall(uint64_t kind, uint64_t number, struct exo_vcpu_page *page)
{
    struct rt_vcpu *me = rt_vcpu_of(page);
    struct os_revoke *notice = &me->notices[kind < RT_NNOTICES ? kind : 0];

    if (kind == EXO_REVOKE_TAKEN && me->revoked & 1u << kind)
        number += notice->number;
    notice->kind = (enum exo_revoke_kind)kind;
    notice->number = number;
    notice->deadline = page->revoke.deadline;
    notice->va = page->revoke.va;
    notice->space = page->revoke.space;
    if (kind == 0 || kind >= RT_NNOTICES)
        return;
    __atomic_fetch_or(&me->revoked, 1u << kind, __ATOMIC_RELAXED);
    rt_signal_upcall(RT_REVOKED, page);
}

void os_upcall(uint64_t reason, uint64_t info, uint64_t detail, struct exo_vcpu_page *page)
{
    if (reason == EXO_UPCALL_FAULT)
        fault_upcall(info, detail, page);
    else if (reason == EXO_UPCALL_EVENT)
        event_upcall(page);
    else if (reason == EXO_UPCALL_EXCEPTION)
        exception_upcall(info, detail, page);
    else if (reason == EXO_UPCALL_REVOKE)
        revoke_upcall(info, detail, page);
    else if (reason == EXO_UPCALL_START)
        start_upcall(page);
}
