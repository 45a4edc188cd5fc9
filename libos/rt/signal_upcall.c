/* Signals, the half that runs in upcalls: note them, or divert the interrupted thread to their handlers. */
#include "rt/general_regs.h"

#include "os/exo.h"
#include "rt/signal_impl.h"
#include "rt/thread_impl.h"

static void regs_copy(struct exo_regs *to, const struct exo_regs *from)
{
    uint64_t *t = (uint64_t *)to;
    const uint64_t *f = (const uint64_t *)from;

    for (unsigned i = 0; i < sizeof(struct exo_regs) / 8; i++)
        t[i] = f[i];
}

/* The thread goes on in os_signal_frame, and afterwards at the registers kept here.  Until that has taken them
 * signals are held. */
static void divert(struct rt_vcpu *me, struct exo_vcpu_page *page)
{
    regs_copy(&me->interrupted, &page->regs);
    me->diverted = true;
    me->current->hold++;
    arch_regs_divert(&page->regs);
}

void rt_signals_poke(const struct rt_vcpu *me)
{
    uint32_t nvcpus = __atomic_load_n(&rt.nvcpus, __ATOMIC_ACQUIRE);

    for (uint32_t i = 0; nvcpus > 1 && i < nvcpus; i++)
        if (i != me->index)
            (void)exo_signal(rt.vcpu[i]->event, OS_EVENT_POKE);
}

void rt_signals_return(uint64_t set)
{
    set &= ~RT_REVOKED; /* the notices stay with the vcpu */
    if (!set)
        return;
    __atomic_fetch_or(&rt.pending, set, __ATOMIC_RELEASE);
    rt_signals_poke(rt_vcpu());
}

void rt_signals_claim(struct os_thread *t)
{
    uint64_t got;

    if (!(__atomic_load_n(&rt.pending, __ATOMIC_RELAXED) & ~t->blocked))
        return;
    got = __atomic_fetch_and(&rt.pending, t->blocked, __ATOMIC_ACQUIRE) & ~t->blocked;
    __atomic_fetch_or(&t->noted, got, __ATOMIC_RELAXED);
}

/* What the thread at hand blocks is for the others. */
void rt_signal_upcall(uint64_t set, struct exo_vcpu_page *page)
{
    struct rt_vcpu *me = rt_vcpu_of(page);
    struct os_thread *t = me->current;

    if (set & t->blocked)
        rt_signals_return(set & t->blocked);
    if (set & ~t->blocked)
        __atomic_fetch_or(&t->noted, set & ~t->blocked, __ATOMIC_RELAXED);
    rt_signals_claim(t);
    if (!t->noted)
        return;
    arch_regs_restart(&page->regs);
    if (!t->hold)
        divert(me, page);
}

/* A handler can run if there is one, it does not run already (that blocks its signal), and the thread is not
 * on its way to one. */
bool rt_signal_fault(int sig, struct exo_vcpu_page *page)
{
    struct rt_vcpu *me = rt_vcpu_of(page);
    struct os_thread *t = me->current;
    uint64_t bit = 1ull << sig;

    if (__atomic_load_n(&rt.dying, __ATOMIC_RELAXED) || me->diverted || !signals.handler[sig] ||
        (t->blocked | rt.ignored) & bit)
        return false;
    __atomic_fetch_or(&t->noted, bit, __ATOMIC_RELAXED);
    divert(me, page);
    return true;
}
