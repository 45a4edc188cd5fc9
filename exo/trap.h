/* What the architecture's entry code hands over, and the way back to user mode.
 *
 * On entry other than by a plain call, all of the current vcpu's registers are in vcpu->regs.  Entries take the CPU's
 * lock first, and drop it at the end. */
#ifndef EXO_TRAP_H
#define EXO_TRAP_H

#include "vcpu.h"

/* The current vcpu could not reach `va`; wanted: the bits of enum exo_prot that the access needed.  Or another exception of its
 * own.  As a switching call (syscall.h): whose registers are to be loaded, or NULL, with the CPU's lock held for trap_leave(). */
struct vcpu *trap_page_fault(uint64_t va, unsigned wanted);
struct vcpu *trap_exception(enum exo_exception kind, uint64_t syndrome);
/* In local mode: chooses who runs, and makes the machine his: the vcpu whose registers are to be loaded.  Drops the CPU's lock. */
struct vcpu *trap_leave(void);

/* The slow way out of a plain call; an interrupt. */
struct vcpu *trap_leave_plain(void);
struct vcpu *trap_irq(void);
/* The call resume, its caller's registers not saved: those to load, with arch_regs_sanitize()'s care, as the shared page may
 * change meanwhile.  NULL: nothing has changed, and the call is to be done as any other. */
struct exo_regs *trap_resume(void);

#endif
