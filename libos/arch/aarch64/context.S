/* Switching between threads of one program: a function call's worth of registers. */
#include "offsets.h"

    .text

/* arch_switch(from, to) */
    .global arch_switch
    .type arch_switch, %function
arch_switch:
    sub     sp, sp, #176
    stp     x19, x20, [sp, #0]
    stp     x21, x22, [sp, #16]
    stp     x23, x24, [sp, #32]
    stp     x25, x26, [sp, #48]
    stp     x27, x28, [sp, #64]
    stp     x29, x30, [sp, #80]
    stp     d8, d9, [sp, #96]
    stp     d10, d11, [sp, #112]
    stp     d12, d13, [sp, #128]
    stp     d14, d15, [sp, #144]
    mrs     x2, tpidr_el0
    mrs     x3, fpcr
    stp     x2, x3, [sp, #160]
    mov     x2, sp
    str     x2, [x0]
    ldr     x2, [x1]
    mov     sp, x2
    ldp     x2, x3, [sp, #160]
    msr     tpidr_el0, x2
    msr     fpcr, x3
    ldp     d8, d9, [sp, #96]
    ldp     d10, d11, [sp, #112]
    ldp     d12, d13, [sp, #128]
    ldp     d14, d15, [sp, #144]
    ldp     x19, x20, [sp, #0]
    ldp     x21, x22, [sp, #16]
    ldp     x23, x24, [sp, #32]
    ldp     x25, x26, [sp, #48]
    ldp     x27, x28, [sp, #64]
    ldp     x29, x30, [sp, #80]
    add     sp, sp, #176
    ret
    .size arch_switch, . - arch_switch

/* Where a new context's first switch returns to: the entry is in x19, and what it returns to is the end. */
    .global arch_context_trampoline
    .type arch_context_trampoline, %function
arch_context_trampoline:
    mov     x29, xzr
    mov     x30, xzr
    blr     x19
    mov     x0, #139
    mov     x8, #CALL_EXIT
    svc     #0
    brk     #0
    .size arch_context_trampoline, . - arch_context_trampoline

    .section .note.GNU-stack, "", %progbits
