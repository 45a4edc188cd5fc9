/* FP/SIMD registers: whose values they hold, and when others' are loaded.
 *
 * A CPU's registers hold those of the last vcpu that used them, and are on while that one runs.  Another's first use traps
 * (fp_trap), which saves the ones and loads the others.  A vcpu that does so whenever it runs is given them before it asks:
 * after a trap, two of its turns begin with its registers loaded, and the third without, to see whether it still uses them; if it
 * does, the count doubles, up to FP_TURNS_MAX; if not, it is back to asking.  Needs the CPU's lock. */
#ifndef EXO_FP_H
#define EXO_FP_H

#include "vcpu.h"

#define FP_TURNS_FIRST 4u
#define FP_TURNS_MAX 128u

/* The current vcpu touched FP/SIMD registers while they were off.  Takes the lock, and returns as trap_exception() does (trap.h):
 * NULL, the lock being held for trap_leave(). */
struct vcpu *fp_trap(void);

/* `to` is about to run: is fp_follow() to do anything? */
static inline bool fp_matters(const struct cpu *cpu, const struct vcpu *to)
{
    return cpu->fp_on | to->fp_any;
}
void fp_follow(struct cpu *cpu, struct vcpu *to);
/* The same at the end of a fast path: drops the CPU's lock, returns `to`. */
struct vcpu *fp_hand_over(struct vcpu *to, struct cpu *cpu);

#endif
