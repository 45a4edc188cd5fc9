/* Upcalls, and threads that are diverted to run signal handlers. */
#include "offsets.h"

    .text

/* Reason, info, detail in x0 to x2; the interrupted registers are in the vcpu page.  Whatever os_upcall leaves in
 * there is what goes on. */
    .global arch_upcall_entry
    .type arch_upcall_entry, %function
    .balign 64
arch_upcall_entry:
    mrs     x3, tpidrro_el0
    mov     x29, xzr
    mov     x30, xzr
    bl      os_upcall
    mov     x8, #CALL_RESUME
    svc     #0
    brk     #0
    .size arch_upcall_entry, . - arch_upcall_entry

/* A diverted thread starts here, upcalls unmasked, on its own stack, all registers but sp being the interrupted
 * ones.  Saves what a C function may spoil and the vcpu page does not hold: FP/SIMD.  os_signal_frame
 * (regs) fills in the general registers, which the upcall left for it, and runs the handlers. */
    .global arch_divert_entry
    .type arch_divert_entry, %function
arch_divert_entry:
    sub     sp, sp, #FRAME_BYTES
    stp     q0, q1, [sp, #FRAME_FP + 0]
    stp     q2, q3, [sp, #FRAME_FP + 32]
    stp     q4, q5, [sp, #FRAME_FP + 64]
    stp     q6, q7, [sp, #FRAME_FP + 96]
    stp     q8, q9, [sp, #FRAME_FP + 128]
    stp     q10, q11, [sp, #FRAME_FP + 160]
    stp     q12, q13, [sp, #FRAME_FP + 192]
    stp     q14, q15, [sp, #FRAME_FP + 224]
    stp     q16, q17, [sp, #FRAME_FP + 256]
    stp     q18, q19, [sp, #FRAME_FP + 288]
    stp     q20, q21, [sp, #FRAME_FP + 320]
    stp     q22, q23, [sp, #FRAME_FP + 352]
    stp     q24, q25, [sp, #FRAME_FP + 384]
    stp     q26, q27, [sp, #FRAME_FP + 416]
    stp     q28, q29, [sp, #FRAME_FP + 448]
    stp     q30, q31, [sp, #FRAME_FP + 480]
    mrs     x0, fpsr
    mrs     x1, fpcr
    str     x0, [sp, #FRAME_FPSR]
    str     x1, [sp, #FRAME_FPSR + 8]
    mov     x0, sp
    bl      os_signal_frame
    ldr     x0, [sp, #FRAME_FPSR]
    ldr     x1, [sp, #FRAME_FPSR + 8]
    msr     fpsr, x0
    msr     fpcr, x1
    ldp     q0, q1, [sp, #FRAME_FP + 0]
    ldp     q2, q3, [sp, #FRAME_FP + 32]
    ldp     q4, q5, [sp, #FRAME_FP + 64]
    ldp     q6, q7, [sp, #FRAME_FP + 96]
    ldp     q8, q9, [sp, #FRAME_FP + 128]
    ldp     q10, q11, [sp, #FRAME_FP + 160]
    ldp     q12, q13, [sp, #FRAME_FP + 192]
    ldp     q14, q15, [sp, #FRAME_FP + 224]
    ldp     q16, q17, [sp, #FRAME_FP + 256]
    ldp     q18, q19, [sp, #FRAME_FP + 288]
    ldp     q20, q21, [sp, #FRAME_FP + 320]
    ldp     q22, q23, [sp, #FRAME_FP + 352]
    ldp     q24, q25, [sp, #FRAME_FP + 384]
    ldp     q26, q27, [sp, #FRAME_FP + 416]
    ldp     q28, q29, [sp, #FRAME_FP + 448]
    ldp     q30, q31, [sp, #FRAME_FP + 480]
    mov     x0, sp
/* Go on with the registers at x0: from here to the resume no upcall may come, since it would use the page. */
    .global arch_resume_regs
    .type arch_resume_regs, %function
arch_resume_regs:
    mrs     x1, tpidrro_el0
    mov     w2, #1
    str     w2, [x1, #VCPU_MASKED]
    add     x1, x1, #VCPU_REGS
    mov     x2, #REGS_WORDS
1:  ldr     x3, [x0], #8
    str     x3, [x1], #8
    subs    x2, x2, #1
    b.ne    1b
    mov     x8, #CALL_RESUME
    svc     #0
    brk     #0
    .size arch_divert_entry, . - arch_divert_entry

/* Interruptible calls.  An upcall that finds the program counter from *_begin up to *_svc sends it to *_abort
 * (arch_regs_restart): the signal that it noted would not be seen otherwise. */

/* arch_wait_intr(mask, deadline, pending) */
    .global arch_wait_intr
    .type arch_wait_intr, %function
arch_wait_intr:
    mov     x8, #CALL_WAIT
    .global arch_wait_begin
arch_wait_begin:
    ldr     x9, [x2]
    cbnz    x9, arch_wait_abort
    .global arch_wait_svc
arch_wait_svc:
    svc     #0
    ret
    .global arch_wait_abort
arch_wait_abort:
    mov     x0, #-ERROR_EINTR
    ret
    .size arch_wait_intr, . - arch_wait_intr

/* arch_call_intr(gate, words, deadline, pending) */
    .global arch_call_intr
    .type arch_call_intr, %function
arch_call_intr:
    stp     x29, x30, [sp, #-32]!
    mov     x29, sp
    str     x19, [sp, #16]
    mov     x19, x1
    mov     x9, x3
    mov     x7, x2
    orr     x0, x0, #(1 << MSG_INTR_BIT)
    ldp     x1, x2, [x19]
    ldp     x3, x4, [x19, #16]
    ldp     x5, x6, [x19, #32]
    mov     x8, #CALL_CALL
    .global arch_call_begin
arch_call_begin:
    ldr     x10, [x9]
    cbnz    x10, arch_call_abort
    .global arch_call_svc
arch_call_svc:
    svc     #0
    stp     x1, x2, [x19]
    stp     x3, x4, [x19, #16]
    stp     x5, x6, [x19, #32]
    str     x7, [x19, #WORDS_BADGE]
2:  ldr     x19, [sp, #16]
    ldp     x29, x30, [sp], #32
    ret
    .global arch_call_abort
arch_call_abort:
    mov     x0, #-ERROR_EINTR
    b       2b
    .size arch_call_intr, . - arch_call_intr

    .section .note.GNU-stack, "", %progbits
