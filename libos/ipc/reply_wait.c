#include "libos/ipc/reply_wait.h"

#include "os/rt.h"

/* Upcalls are masked from before the look at the event word until it has been cleared, so that no event can be
 * handled by an upcall between the look and the sleep, and the loop then sleep over it.  The stack and these
 * pages are bound by then: the caller has just written to them. */
int64_t reply_wait_or_event(uint64_t token, struct exo_words *words, uint64_t deadline, uint64_t mask,
                            uint64_t *bits)
{
    volatile struct exo_vcpu_page *vcpu = os_vcpu();
    uint64_t listened;
    int64_t rc;

    vcpu->upcall_masked = 1;
    listened = vcpu->upcall_events;
    vcpu->upcall_events = listened | mask;
    rc = exo_reply_wait(token, words, deadline);
    vcpu->upcall_events = listened;
    *bits = __atomic_fetch_and(&os_vcpu()->events, ~mask, __ATOMIC_ACQ_REL) & mask;
    vcpu->upcall_masked = 0;
    if (os_vcpu()->events & listened)
        (void)exo_yield(0); /* the kernel looks for due upcalls on the way back */
    return rc;
}
