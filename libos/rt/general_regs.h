/* Include this first in a file whose code runs in upcalls.  An upcall saves the general registers only, so
 * the compiler must use no others here, and must not make calls into libc out of loops. */
#ifndef RT_GENERAL_REGS_H
#define RT_GENERAL_REGS_H

#ifndef __clang__ /* clang only checks this code; it is not built with it */
#pragma GCC target("general-regs-only")
#pragma GCC optimize("no-tree-loop-distribute-patterns")
#endif

#endif
