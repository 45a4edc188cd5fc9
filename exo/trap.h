/* What the architecture's entry code hands over, and the way back to user mode.
 *
 * On entry other than by a plain call, all of the current vcpu's registers are in vcpu->regs.  Entries take the CPU's
 * lock first (local_enter), and trap_leave() drops it. */
#ifndef EXO_TRAP_H
#define EXO_TRAP_H

#include "vcpu.h"

/* In local mode: the current vcpu could not reach `va`; wanted: the bits of enum exo_prot that the access needed. */
void trap_page_fault(uint64_t va, unsigned wanted);
void trap_exception(enum exo_exception kind, uint64_t syndrome);
/* The current vcpu touched FP/SIMD registers while they were off. */
void trap_fp(void);
/* Chooses who runs, and makes the machine his: the vcpu whose registers are to be loaded.  Drops the CPU's lock. */
struct vcpu *trap_leave(void);

/* From entry code, no lock held: the slow way out of a plain call; an interrupt. */
struct vcpu *trap_leave_plain(void);
struct vcpu *trap_irq(void);

#endif
