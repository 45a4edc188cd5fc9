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
/* Chooses who runs, and makes the machine his: the vcpu whose registers are to be loaded.  Drops the CPU's lock. */
struct vcpu *trap_leave(void);

/* From entry code, no lock held: the slow way out of a plain call; an interrupt. */
struct vcpu *trap_leave_plain(void);
struct vcpu *trap_irq(void);
/* The call resume, its caller's registers not saved: those to load, with arch_regs_sanitize()'s care, as the shared page may
 * change meanwhile.  NULL: nothing has changed, and the call is to be done as any other. */
struct exo_regs *trap_resume(void);

#endif
