/* Where things stand in an application's address space.  These are the libOS's choices, not the kernel's:
 * a program that wants another layout brings its own start code and loader. */
#ifndef OS_LAYOUT_H
#define OS_LAYOUT_H

/* Added to every address below but the program's own.  0 on a machine; the host's tests put all of it into a window of
 * the test program's address space. */
#ifndef OS_LAYOUT_BASE
#define OS_LAYOUT_BASE 0ull
#endif

#define OS_PROGRAM_VA 0x0000400000 /* static programs are linked here */

#define OS_HEAP_VA (OS_LAYOUT_BASE + 0x1000000000) /* malloc's arena grows upward in this window */
#define OS_HEAP_END (OS_LAYOUT_BASE + 0x1800000000)
#define OS_REGIONS_VA                                                                                        \
    (OS_LAYOUT_BASE + 0x1800000000) /* every other mapping that leaves the choice to the libOS */
#define OS_REGIONS_END (OS_LAYOUT_BASE + 0x6800000000)

#define OS_STACK_TOP (OS_LAYOUT_BASE + 0x7000000000) /* the main thread's stack ends below */
#define OS_STACK_PAGES 2048u /* 8 MiB, bound on demand; the page below them stays unbound */

/* What init shows to those whose manifest entry says so: the boot bundle, */
#define OS_BUNDLE_VA (OS_LAYOUT_BASE + 0x7100000000)
#define OS_TREE_VA (OS_LAYOUT_BASE + 0x7900000000) /* and the device tree, read-only */

#define OS_SYSTEM_VA (OS_LAYOUT_BASE + 0x7e00000000) /* struct exo_system, read-only */
#define OS_PTABLE_VA (OS_LAYOUT_BASE + 0x7e00100000) /* the process table, read-only */
#define OS_PTABLE_PAGES 16u
#define OS_START_VA (OS_LAYOUT_BASE + 0x7e00200000) /* the start block; unbound in the first environment */
#define OS_START_PAGES 64u
#define OS_LOG_VA                                                                                            \
    (OS_LAYOUT_BASE + 0x7e00300000) /* the console server: init's log ring (os/proc.h), read-only */
#define OS_VCPU_VA (OS_LAYOUT_BASE + 0x7e00400000) /* vcpu pages, OS_VCPU_STRIDE apart */
#define OS_VCPU_STRIDE 0x0000010000

/* The stack that a new environment's first instructions and, later, its upcalls run on.  Whoever makes the
 * environment binds it; the page below stays unbound. */
#define OS_UPCALL_STACK_TOP (OS_LAYOUT_BASE + 0x7e00500000)
#define OS_UPCALL_STACK_PAGES 4u

/* The region list's nodes: always bound, since the fault handler reads them */
#define OS_POOL_VA (OS_LAYOUT_BASE + 0x7e00600000)
#define OS_POOL_END (OS_LAYOUT_BASE + 0x7e01600000)

/* Where a page that is written is copied to, before it takes the place of the one that is shown (OS_REGION_PRIVATE) */
#define OS_COPY_VA (OS_LAYOUT_BASE + 0x7e01700000)

#endif
