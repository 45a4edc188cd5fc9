#include "libos/ipc/reply_wait.h"

#include "os/rt.h"
#include "rt/rt.h"

/* Upcalls are masked from before the look at the event word until it has been cleared, so that no event can be
 * handled by an upcall between the look and the sleep, and the loop then sleep over it.  The stack and these
 * pages are bound by then: the caller has just written to them. */
int64_t reply_wait_or_event(uint64_t token, struct exo_words *words, uint64_t deadline, uint64_t mask,
                            uint64_t *bits)
{
    struct exo_vcpu_page *vcpu = os_vcpu();
    int64_t rc;

    __atomic_store_n(&vcpu->upcall_masked, 1, __ATOMIC_RELAXED);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    rt_receive(mask);
    rc = exo_reply_wait(token, words, deadline);
    rt_receive(0);
    *bits = __atomic_fetch_and(&vcpu->events, ~mask, __ATOMIC_ACQ_REL) & mask;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    __atomic_store_n(&vcpu->upcall_masked, 0, __ATOMIC_RELEASE);
    if (__atomic_load_n(&vcpu->events, __ATOMIC_RELAXED) &
        __atomic_load_n(&vcpu->upcall_events, __ATOMIC_RELAXED))
        (void)exo_yield(0); /* the kernel looks for due upcalls on the way back */
    else if (rc == 0 && !*bits)
        (void)exo_wait(0, 0); /* likewise: it ended for an upcall that is no event's */
    return rc;
}
