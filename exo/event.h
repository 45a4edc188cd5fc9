/* Events: bits in a vcpu's event word, and waiting for them or for a time.
 *
 * The word lies in the shared page: the kernel sets bits, the user clears them, both atomically.  A waiter is woken
 * by the same step that sets its bit, so no wakeup can fall between. */
#ifndef EXO_EVENT_H
#define EXO_EVENT_H

#include "vcpu.h"

void event_init(void);
/* Sets bits, and wakes or interrupts the vcpu where it listens for one of them. */
void event_post(struct vcpu *vcpu, uint64_t bits);
/* The same for a device's interrupt: whoever waits for it runs at once. */
void event_post_urgent(struct vcpu *vcpu, uint64_t bits);

/* call: wait, of the current vcpu. */
void event_wait(struct vcpu *vcpu, uint64_t mask, uint64_t deadline);
/* Blocks the current vcpu in this state until somebody wakes it, or the deadline. */
void event_block(struct vcpu *vcpu, enum vcpu_state state, uint64_t deadline);
/* The events that interrupt reply_wait and interruptible calls. */
uint64_t event_pending(const struct vcpu *vcpu);

#endif
