/* Entry from user mode, and the way back.  Assembly moves registers and decides nothing else.
 *
 * The kernel stack is empty whenever user code runs.  A plain call keeps the user's x29 and x30 on it and returns straight
 * away, all other registers being kept by the C calling convention or clobbered by contract.  Everything else saves the
 * registers in the current vcpu (struct exo_regs) and leaves through trap_leave(), which says whose to load. */
#include "asm.h"

.macro save_low_registers base
    stp     x0, x1, [\base, #REGS_X(0)]
    stp     x2, x3, [\base, #REGS_X(2)]
    stp     x4, x5, [\base, #REGS_X(4)]
    stp     x6, x7, [\base, #REGS_X(6)]
.endm

.macro save_kept_registers base
    stp     x19, x20, [\base, #REGS_X(19)]
    stp     x21, x22, [\base, #REGS_X(21)]
    stp     x23, x24, [\base, #REGS_X(23)]
    stp     x25, x26, [\base, #REGS_X(25)]
    stp     x27, x28, [\base, #REGS_X(27)]
.endm

/* x29 and x30 from the stack, and the system registers; clobbers x9 to x12. */
.macro save_rest base
    ldp     x9, x10, [sp], #16
    stp     x9, x10, [\base, #REGS_X(29)]
    mrs     x9, sp_el0
    mrs     x10, elr_el1
    mrs     x11, spsr_el1
    mrs     x12, tpidr_el0
    stp     x9, x10, [\base, #REGS_SP]
    stp     x11, x12, [\base, #REGS_STATE]
.endm

/* What a call clobbers besides its results comes back as zero. */
.macro save_clobbered base, first
    .if     \first == 2
    stp     xzr, xzr, [\base, #REGS_X(2)]
    stp     xzr, xzr, [\base, #REGS_X(4)]
    stp     xzr, xzr, [\base, #REGS_X(6)]
    .endif
    stp     xzr, xzr, [\base, #REGS_X(8)]
    stp     xzr, xzr, [\base, #REGS_X(10)]
    stp     xzr, xzr, [\base, #REGS_X(12)]
    stp     xzr, xzr, [\base, #REGS_X(14)]
    stp     xzr, xzr, [\base, #REGS_X(16)]
    str     xzr, [\base, #REGS_X(18)]
.endm

.macro vector target
    .balign 128
    b       \target
.endm

    .section .text.entry, "ax"
    .balign 2048
    .global vectors
vectors:
    vector  kernel_trap
    vector  kernel_trap
    vector  kernel_trap
    vector  kernel_trap
    vector  kernel_trap
    vector  kernel_trap
    vector  kernel_trap
    vector  kernel_trap

    .balign 128                         /* synchronous, from user mode */
    stp     x29, x30, [sp, #-16]!
    mrs     x30, esr_el1
    lsr     x30, x30, #26
    cmp     x30, #0x15                  /* SVC */
    b.ne    user_fault
    cmp     x8, #NSWITCH
    b.lo    switch_call
    cmp     x8, #NCALLS
    b.hs    bad_call
    adrp    x30, syscall_plain_table - NSWITCH * 8
    add     x30, x30, :lo12:syscall_plain_table - NSWITCH * 8
    ldr     x30, [x30, x8, lsl #3]
    blr     x30
plain_return:
    mrs     x9, tpidr_el1
    ldp     x11, x10, [x9, #CPU_CALLS]  /* and whether the slow way out is wanted */
    b       plain_return_2

    vector  user_irq
    vector  user_irq
    vector  user_serror
    vector  kernel_trap                 /* AArch32 does not exist here */
    vector  kernel_trap
    vector  kernel_trap
    vector  kernel_trap

    /* The same entries while this CPU is traced (probe.h); arch_trace_enable() chooses. */
    .balign 2048
    .global vectors_traced
vectors_traced:
    .rept   8
    vector  kernel_trap
    .endr

    .balign 128                         /* synchronous, from user mode */
    stp     x29, x30, [sp, #-16]!
    mrs     x30, esr_el1
    lsr     x30, x30, #26
    cmp     x30, #0x15                  /* SVC */
    b.ne    user_fault_traced
    cmp     x8, #NSWITCH
    b.lo    switch_call_traced
    b       plain_call_traced

    vector  user_irq_traced
    vector  user_irq_traced
    vector  user_serror_traced
    .rept   4
    vector  kernel_trap
    .endr

plain_return_2:
    add     x11, x11, #1
    str     x11, [x9, #CPU_CALLS]
    cbnz    x10, plain_slow
    ldp     x29, x30, [sp], #16
    .irp    n, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18
    mov     x\n, xzr
    .endr
    eret

.macro save_plain                       /* the user's kept registers are all back in place */
    ldr     x13, [x9, #CPU_CURRENT]
    stp     x0, xzr, [x13, #REGS_X(0)]
    save_clobbered x13, 2
    save_kept_registers x13
    save_rest x13
.endm

plain_slow:
    save_plain
    bl      trap_leave_plain
    b       load

bad_call:
    mov     x0, #-1                     /* -EXO_ENOCALL */
    b       plain_return

.macro save_switch                      /* and x0: whose they are */
    mrs     x9, tpidr_el1
    ldp     x30, x10, [x9, #CPU_CURRENT] /* and the count of calls */
    add     x10, x10, #1
    str     x10, [x9, #CPU_CALLS]
    save_low_registers x30
    save_clobbered x30, 8
    save_kept_registers x30
    save_rest x30
    mov     x0, x30
.endm

switch_call:
    cbz     x8, resume
switch_call_saved:
    save_switch
    adrp    x9, syscall_switch_table
    add     x9, x9, :lo12:syscall_switch_table
    ldr     x9, [x9, x8, lsl #3]
    blr     x9
    cbnz    x0, load
leave:
    bl      trap_leave
load:
    ldp     x11, x12, [x0, #REGS_STATE]
load_2:
    ldp     x9, x10, [x0, #REGS_SP]
    msr     sp_el0, x9
    msr     elr_el1, x10
    msr     spsr_el1, x11
    msr     tpidr_el0, x12
    ldp     x2, x3, [x0, #REGS_X(2)]
    ldp     x4, x5, [x0, #REGS_X(4)]
    ldp     x6, x7, [x0, #REGS_X(6)]
    ldp     x8, x9, [x0, #REGS_X(8)]
    ldp     x10, x11, [x0, #REGS_X(10)]
    ldp     x12, x13, [x0, #REGS_X(12)]
    ldp     x14, x15, [x0, #REGS_X(14)]
    ldp     x16, x17, [x0, #REGS_X(16)]
    ldp     x18, x19, [x0, #REGS_X(18)]
    ldp     x20, x21, [x0, #REGS_X(20)]
    ldp     x22, x23, [x0, #REGS_X(22)]
    ldp     x24, x25, [x0, #REGS_X(24)]
    ldp     x26, x27, [x0, #REGS_X(26)]
    ldp     x28, x29, [x0, #REGS_X(28)]
    ldr     x30, [x0, #REGS_X(30)]
    ldp     x0, x1, [x0, #REGS_X(0)]
    eret

resume:                                 /* what its caller's registers hold is given up */
    bl      trap_resume
    mov     x8, xzr
    cbz     x0, switch_call_saved
    add     sp, sp, #16
    ldp     x11, x12, [x0, #REGS_STATE]
    and     x11, x11, #0xf0000000       /* once read, as arch_regs_sanitize(): the page is its user's */
    b       load_2

.macro save_all                         /* x29 and x30 are on the stack */
    mrs     x30, tpidr_el1
    ldr     x30, [x30, #CPU_CURRENT]
    save_low_registers x30
    stp     x8, x9, [x30, #REGS_X(8)]
    stp     x10, x11, [x30, #REGS_X(10)]
    stp     x12, x13, [x30, #REGS_X(12)]
    stp     x14, x15, [x30, #REGS_X(14)]
    stp     x16, x17, [x30, #REGS_X(16)]
    str     x18, [x30, #REGS_X(18)]
    save_kept_registers x30
    save_rest x30
.endm

user_fault:
    save_all
    mrs     x0, esr_el1
    mrs     x1, far_el1
    bl      trap_user
    cbnz    x0, load
    b       leave

user_irq:
    stp     x29, x30, [sp, #-16]!
    save_all
    bl      trap_irq
    b       load

user_serror:
    stp     x29, x30, [sp, #-16]!
    save_all
    mrs     x0, esr_el1
    bl      trap_serror
    cbnz    x0, load
    b       leave

    .global user_enter
user_enter:                             /* this CPU's boot is over */
    b       leave

/* ---- while this CPU is traced ------------------------------------------------------------------------------- */

plain_call_traced:                      /* or no call at all */
    stp     x6, x7, [sp, #-16]!
    stp     x4, x5, [sp, #-16]!
    stp     x2, x3, [sp, #-16]!
    stp     x0, x1, [sp, #-16]!
    mov     x0, sp
    mov     x1, x8
    bl      probe_plain
    add     sp, sp, #64
    mrs     x9, tpidr_el1
    ldp     x11, x10, [x9, #CPU_CALLS]
    cbz     x10, plain_return
    add     x11, x11, #1
    str     x11, [x9, #CPU_CALLS]
    save_plain
    bl      trap_leave_plain
    bl      probe_leave
    b       load

switch_call_traced:
    save_switch
    mov     x1, x8
    bl      probe_switch
leave_traced:
    bl      trap_leave
    bl      probe_leave
    b       load

user_fault_traced:
    save_all
    mrs     x0, esr_el1
    mrs     x1, far_el1
    bl      trap_user_traced
    b       leave_traced

user_irq_traced:
    stp     x29, x30, [sp, #-16]!
    save_all
    bl      probe_interrupt
    b       leave_traced

user_serror_traced:
    stp     x29, x30, [sp, #-16]!
    save_all
    mrs     x0, esr_el1
    bl      trap_serror_traced
    b       leave_traced

/* The kernel trapped: a bug.  Its stack may be what is wrong, so use another. */
kernel_trap:
    msr     tpidr_el0, x0               /* a place for one register; no user state matters any more */
    mov     x0, sp
    msr     tpidrro_el0, x0
    mrs     x0, tpidr_el1
    cbz     x0, park                    /* nobody yet, who could say something */
    ldr     x0, [x0, #CPU_PANIC_STACK]
    mov     sp, x0
    mrs     x0, esr_el1
    mrs     x1, elr_el1
    mrs     x2, far_el1
    mrs     x3, tpidrro_el0
    b       trap_kernel
