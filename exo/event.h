/* Events: bits in a vcpu's event word, and waiting for them or for a time.
 *
 * The word lies in the shared page: the kernel sets bits, the user clears them, both atomically.  A waiter is woken
 * by the same step that sets its bit, so no wakeup can fall between.  For a vcpu of another CPU the bit is set, a note put
 * into that CPU's inbox, and the CPU interrupted: it takes the note out first and reads the word after, so whoever
 * begins to wait meanwhile either sees the bit himself or is looked at. */
#ifndef EXO_EVENT_H
#define EXO_EVENT_H

#include "vcpu.h"

void event_init(void);
/* Sets bits, and wakes or interrupts the vcpu where it listens for one of them. */
void event_post(struct vcpu *vcpu, uint64_t bits);
/* The same in two halves, of a vcpu of this CPU that has not ended: false: somebody may be woken or interrupted, and the other half
 * is to follow. */
static inline bool event_set(struct vcpu *vcpu, uint64_t bits)
{
    _Static_assert(VCPU_STOPPED < VCPU_READY && VCPU_READY + 1 == VCPU_RUNNING,
                   "these two neither run nor wait");
    arch_atomic_or(&vcpu->page->events, bits);
    return vcpu->state <= VCPU_READY;
}
void event_look(struct vcpu *vcpu);
/* The same of one that waits as most do, in no queue and nobody's peer, for a bit that is there.  False: it does not. */
static inline bool event_ends_wait(struct vcpu *vcpu, void (*wake)(struct vcpu *))
{
    uint64_t due;

    if (!ARCH_FAST_PATHS || vcpu->state != VCPU_WAITING || deadline_is_set(&vcpu->deadline))
        return false;
    due = ARCH_READ(&vcpu->page->events) & vcpu->wait_mask;
    if (!due)
        return false;
    vcpu_result(vcpu, (int64_t)due);
    wake(vcpu);
    return true;
}
/* The same for a device's interrupt: whoever waits for it runs at once. */
void event_post_urgent(struct vcpu *vcpu, uint64_t bits);

/* A notice was put down for the vcpu: as for an event that it listens for. */
void event_notice(struct vcpu *vcpu);

/* call: wait, of the current vcpu. */
void event_wait(struct vcpu *vcpu, uint64_t mask, uint64_t deadline);
/* The same where it is short, as in gate.h: it does wait, without a deadline, and somebody else is ready.  The timer stays
 * as it is: where nobody else is ready any more, it may go off once more. */
struct vcpu *event_wait_fast(struct vcpu *current, switch_call *again, switch_call *long_way);
/* Blocks the current vcpu in this state until somebody wakes it, or the deadline. */
void event_block(struct vcpu *vcpu, enum vcpu_state state, uint64_t deadline);
/* Looks at the vcpus whose event words other CPUs have changed. */
void event_notes(void);
/* The events that interrupt reply_wait and interruptible calls. */
uint64_t event_pending(const struct vcpu *vcpu);
/* Does an event or a notice end a wait or an interruptible call, and reply_wait, of this vcpu? */
bool event_interrupts(const struct vcpu *vcpu);
bool event_ends_receive(const struct vcpu *vcpu);

#endif
