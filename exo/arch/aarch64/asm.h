/* What assembly and C must agree on; offsets are checked in cpu.c and smp.c. */
#ifndef EXO_ARCH_ASM_H
#define EXO_ARCH_ASM_H

#include "exo/calls.h"

#define COUNT_CALL(name, nargs, args, what) +1
#define NSWITCH (0 EXO_SWITCH_CALLS(COUNT_CALL))
#define NCALLS (0 EXO_CALLS(COUNT_CALL))

#define CPU_CURRENT 16
#define CPU_CALLS 24
#define CPU_RESCHED 32
#define CPU_PANIC_STACK 40

#define SECONDARIES 15     /* EXO_CPUS_MAX - 1 */
#define SECONDARY_BYTES 64 /* struct secondary; it begins with affinity and stack */

#define REGS_X(n) ((n)*8)
#define REGS_SP 248    /* and pc */
#define REGS_STATE 264 /* and tls */

#endif
