/* The calls: decoding of arguments, and the tables that entry code dispatches by.
 *
 * Each call decodes and checks everything first, changing nothing, and then acts.  A plain call is a function of
 * its argument registers and returns the value of x0; a switching call finds its arguments in the current vcpu's
 * saved registers and leaves its result there, as the vcpu may not be the one that runs next.  It returns who that is, the
 * machine being his, or NULL: the CPU's lock is held then, and trap_leave() finds out. */
#ifndef EXO_SYSCALL_H
#define EXO_SYSCALL_H

#include "vcpu.h"

typedef int64_t plain_call(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t);

extern switch_call *const syscall_switch_table[EXO_NSWITCH];
extern plain_call *const syscall_plain_table[EXO_NCALLS - EXO_NSWITCH];

void syscall_init(void);

#endif
