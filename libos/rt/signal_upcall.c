/* Signals, the half that runs in upcalls: note them, or divert the interrupted thread to their handlers. */
#include "rt/general_regs.h"

#include "rt/signal_impl.h"

static void regs_copy(struct exo_regs *to, const struct exo_regs *from)
{
    uint64_t *t = (uint64_t *)to;
    const uint64_t *f = (const uint64_t *)from;

    for (unsigned i = 0; i < sizeof(struct exo_regs) / 8; i++)
        t[i] = f[i];
}

/* The thread goes on in os_signal_frame, and afterwards at the registers kept here.  Until that has taken them
 * signals are held. */
static void divert(struct exo_vcpu_page *page)
{
    regs_copy(&rt.interrupted, &page->regs);
    rt.diverted = true;
    rt.hold++;
    arch_regs_divert(&page->regs);
}

void rt_signal_upcall(uint64_t set, struct exo_vcpu_page *page)
{
    rt.pending |= set;
    arch_regs_restart(&page->regs);
    if (!rt.hold)
        divert(page);
}

/* A handler can run if there is one, it does not run already (that blocks its signal), and the thread is not
 * on its way to one. */
bool rt_signal_fault(int sig, struct exo_vcpu_page *page)
{
    uint64_t bit = 1ull << sig;

    if (rt.dying || rt.diverted || !signals.handler[sig] || (rt.blocked | rt.ignored) & bit)
        return false;
    rt.pending |= bit;
    divert(page);
    return true;
}
