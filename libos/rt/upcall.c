/* What the kernel tells this vcpu: faults are resolved or become signals, events become handlers' calls and signals.
 *
 * Runs masked, on the upcall stack, with general registers only, and touches only memory that is always bound.
 * Returning resumes whatever page->regs holds. */
#include "rt/general_regs.h"

#include "rt/rt.h"

#include <signal.h>

struct rt rt;
const struct rt_memory *rt_memory;

static void fault_upcall(uint64_t address, uint64_t access, struct exo_vcpu_page *page)
{
    if (rt_memory->fault(address, access, &rt.fault_error))
        return;
    rt.fault_address = address;
    rt.fault_access = access;
    if (rt.fault_error || !rt_signal_fault(SIGSEGV, page))
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
    int sig = exception_signal(exception);

    rt.fault_address = page->regs.pc;
    rt.fault_access = 0;
    rt.fault_error = 0;
    if (!rt_signal_fault(sig, page))
        rt_report_fault(sig, EXO_UPCALL_EXCEPTION, exception, syndrome, &page->regs);
}

static void event_upcall(struct exo_vcpu_page *page)
{
    uint64_t listened = page->upcall_events;
    uint64_t bits = __atomic_fetch_and(&page->events, ~listened, __ATOMIC_ACQUIRE) & listened;
    uint64_t signals = bits & OS_EVENT_SIGNALS & ~rt.handled;

    if (bits & rt.handled)
        rt_events_upcall(bits & rt.handled);
    if (signals)
        rt_signal_upcall(signals, page);
}

void os_upcall(uint64_t reason, uint64_t info, uint64_t detail, struct exo_vcpu_page *page)
{
    if (reason == EXO_UPCALL_FAULT)
        fault_upcall(info, detail, page);
    else if (reason == EXO_UPCALL_EVENT)
        event_upcall(page);
    else if (reason == EXO_UPCALL_EXCEPTION)
        exception_upcall(info, detail, page);
}
