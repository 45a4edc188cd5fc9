/* A machine so small that all that can happen on it can be tried: what the exhaustive checker (tests/check) begins from,
 * and the tests that it prints.
 *
 * init (`root`) has a vcpu on CPU 0; a child, `small`, has one on CPU 0 and one on the last CPU; both are started and out
 * of their START upcalls, root is current.  Each holds a gate and an event into the other.  A few frames are left free; the
 * rest is bound, out of the way.  Interrupts are held up (machine.held) until small_take() lets them arrive. */
#ifndef HOST_EXO_SMALL_H
#define HOST_EXO_SMALL_H

#include "exo_machine.h"

/* Two pages that share a table with what is bound already, and one that needs a table of its own. */
#define SMALL_VA1 0x110000ull
#define SMALL_VA2 0x111000ull
#define SMALL_VA3 0x800000ull
#define SMALL_BUSY_VA 0x40000000ull /* of root: what is bound from here on is nobody's business */
#define SMALL_BUSY_END 0x40200000ull
#define SMALL_LONG 1000000ull /* ticks: passes only where small_time() says so */
#define SMALL_LINE 40u
#define SMALL_WORD 0x5a5a5a5a5a5a5a5aull /* what a touch writes */

struct small {
    struct env *env;
    struct vcpu *vcpu[2];
};
extern struct small small;

void small_boot(unsigned ncpus, unsigned nframes);

/* CPU `cpu` is played, no interrupt arrives. */
void small_on(unsigned cpu);
/* The interrupts that are due on this CPU arrive. */
void small_take(unsigned cpu);
/* A kick, after some time. */
void small_interrupt(unsigned cpu);
/* The time of the next timer has come.  Its interrupt is yet to arrive. */
void small_time(void);
/* The current vcpu writes (or reads) a word at the end of a page. */
void small_touch(uint64_t va, unsigned want);
/* The current vcpu clears its events, or says which are to interrupt it. */
void small_clear(void);
void small_listen(uint64_t bits);
/* Makes a new vcpu's upcall entry known: as its environment would, before it is started. */
void small_entry(int64_t handle);

#endif
