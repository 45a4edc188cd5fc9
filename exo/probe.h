/* What tracing entry code calls, in place of what the other kind calls itself: the same, with a record before and after.
 *
 * What happened in between is told by comparing: who runs, how many upcalls were delivered, whether somebody stopped
 * waiting.  So the code between knows nothing of tracing, and pays nothing for it. */
#ifndef EXO_PROBE_H
#define EXO_PROBE_H

#include "vcpu.h"

void probe_init(void);
/* Each takes the CPU's lock and drops it, but where it says otherwise.
 *
 * A plain call, its arguments in memory, or one of no known number: the value of x0. */
int64_t probe_plain(const uint64_t args[8], uint64_t number);
/* A switching call; its caller's registers are saved.  The lock stays taken for trap_leave(). */
void probe_switch(struct vcpu *current, uint64_t number);
/* A fault, exception or trap of the current vcpu, which `handle` deals with, taking the lock for trap_leave(). */
void probe_trap(struct vcpu *(*handle)(uint64_t a, uint64_t b), uint64_t a, uint64_t b);
/* Takes interrupts that were pending when the current vcpu was interrupted, and the lock for trap_leave(). */
void probe_interrupt(void);
/* In local mode: an interrupt was taken.  It counts as dealt with when the next one is, before the CPU waits, and in probe_leave(). */
void probe_irq(uint32_t line, bool timer);
/* Behind trap_leave(), with what that returned; returns it. */
struct vcpu *probe_leave(struct vcpu *current);

#endif
