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

/* The current vcpu touched FP/SIMD registers while they were off. */
void fp_trap(void);

/* On while they are the current vcpu's. */
static inline void fp_enable(struct cpu *cpu, bool on)
{
    if (cpu->fp_on == on)
        return;
    cpu->fp_on = on;
    arch_fp_enable(on);
}

/* They become another's. */
static inline __attribute__((always_inline)) void fp_take(struct cpu *cpu, struct vcpu *vcpu)
{
    arch_fp_switch(cpu->fp_owner ? &cpu->fp_owner->fp : NULL, &vcpu->fp);
    cpu->fp_owner = vcpu;
}

/* Are they another's, and is fp_foresee() to decide? */
static inline bool fp_is_foreseen(const struct cpu *cpu, const struct vcpu *to)
{
    return cpu->fp_owner != to && to->fp_turns;
}
static inline __attribute__((always_inline)) void fp_foresee(struct cpu *cpu, struct vcpu *to)
{
    bool has = to->fp_turns-- > 2; /* then comes the turn without; and if it did not ask in that, none */

    fp_enable(cpu, has);
    if (has)
        fp_take(cpu, to);
}

/* `to` is about to run. */
static inline void fp_follow(struct cpu *cpu, struct vcpu *to)
{
    if (fp_is_foreseen(cpu, to))
        fp_foresee(cpu, to);
    else
        fp_enable(cpu, cpu->fp_owner == to);
}

#endif
