/* Upcall entry, and what C cannot say: calls with every register known, q registers, single instructions. */
#include "exo/calls.h"

    .arch armv8-a+fp+simd
    .section .text.start, "ax"
    .global _start
_start:                                 /* x0 reason, x1 info, x2 detail */
    cmp     x0, #1                      /* EXO_UPCALL_START: never returns */
    b.eq    bare_start
    bl      bare_upcall
    .global raw_resume
raw_resume:
    mov     x8, #0                      /* EXO_CALL_resume */
    svc     #0
    brk     #1

/* An upcall entry that needs no stack: waits until the time x1, then for ever. */
    .text
    .global worst_sleep
worst_sleep:
    mov     x19, #-1
1:  mov     x0, xzr
    mov     x8, #3                      /* EXO_CALL_wait */
    svc     #0
    mov     x1, x19
    b       1b

/* int64_t raw_call(uint64_t number, uint64_t x[19]): x0 to x7 go in; x9 to x18 hold a pattern; all come out. */
    .text
    .global raw_call
raw_call:
    stp     x19, x30, [sp, #-16]!
    mov     x19, x1
    mov     x8, x0
    ldr     x9, =0x5a5a5a5a5a5a5a5a
    .irp    n, 10, 11, 12, 13, 14, 15, 16, 17, 18
    mov     x\n, x9
    .endr
    ldp     x0, x1, [x19]
    ldp     x2, x3, [x19, #16]
    ldp     x4, x5, [x19, #32]
    ldp     x6, x7, [x19, #48]
    svc     #0
    stp     x0, x1, [x19]
    stp     x2, x3, [x19, #16]
    stp     x4, x5, [x19, #32]
    stp     x6, x7, [x19, #48]
    stp     x8, x9, [x19, #64]
    stp     x10, x11, [x19, #80]
    stp     x12, x13, [x19, #96]
    stp     x14, x15, [x19, #112]
    stp     x16, x17, [x19, #128]
    str     x18, [x19, #144]
    ldp     x19, x30, [sp], #16
    ret

.macro push_kept
    stp     x29, x30, [sp, #-96]!
    stp     x19, x20, [sp, #16]
    stp     x21, x22, [sp, #32]
    stp     x23, x24, [sp, #48]
    stp     x25, x26, [sp, #64]
    stp     x27, x28, [sp, #80]
.endm
.macro pop_kept
    ldp     x19, x20, [sp, #16]
    ldp     x21, x22, [sp, #32]
    ldp     x23, x24, [sp, #48]
    ldp     x25, x26, [sp, #64]
    ldp     x27, x28, [sp, #80]
    ldp     x29, x30, [sp], #96
.endm

/* Each of these registers gets a value of its own; x0 more of them have another.  The latter needs x1. */
.macro set_registers which:vararg
    .irp    n, \which
    mov     x\n, #(\n * 257)
    .endr
.endm
.macro count_changed which:vararg
    .irp    n, \which
    mov     x1, #(\n * 257)
    cmp     x\n, x1
    cinc    x0, x0, ne
    .endr
.endm

/* uint64_t raw_kept(void): how many of x19 to x30 and sp a call did not keep. */
    .global raw_kept
raw_kept:
    push_kept
    set_registers 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30
    mov     x0, xzr
    mov     x8, #4                      /* EXO_CALL_yield */
    svc     #0
    mov     x0, xzr
    count_changed 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30
    pop_kept
    ret

/* uint64_t raw_trapped(void): how many of x3 to x30 the handler of a trap, and then who trapped, did not find as they were.  The
 * vcpu page's entry must be raw_trapped_entry. */
    .global raw_trapped
raw_trapped:
    push_kept
    set_registers 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30
    brk     #0                          /* x0: what the handler counted */
    count_changed 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30
    pop_kept
    ret
    .global raw_trapped_entry
raw_trapped_entry:
    mov     x0, xzr
    count_changed 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30
    mrs     x1, tpidrro_el0
    str     x0, [x1, #128]              /* regs.x[0] */
    ldr     x2, [x1, #384]              /* regs.pc */
    add     x2, x2, #4
    str     x2, [x1, #384]
    b       raw_resume

/* void fp_set(uint64_t base): q0 to q31 = base + n in both halves; fpcr bit 24 (FZ) by base's bit 0. */
    .global fp_set
fp_set:
    .irp    n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    add     x1, x0, #\n
    dup     v\n\().2d, x1
    .endr
    ubfiz   x1, x0, #24, #1
    msr     fpcr, x1
    ret

/* uint64_t fp_wrong(uint64_t base): how many registers do not hold what fp_set gave them. */
    .global fp_wrong
fp_wrong:
    mov     x3, xzr
    .irp    n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    add     x1, x0, #\n
    umov    x2, v\n\().d[0]
    cmp     x1, x2
    cinc    x3, x3, ne
    umov    x2, v\n\().d[1]
    cmp     x1, x2
    cinc    x3, x3, ne
    .endr
    mrs     x1, fpcr
    ubfiz   x2, x0, #24, #1
    cmp     x1, x2
    cinc    x0, x3, ne
    ret

/* uint64_t fp_dirty(void): how many registers are not zero. */
    .global fp_dirty
fp_dirty:
    mov     x0, xzr
    .irp    n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    umov    x1, v\n\().d[0]
    umov    x2, v\n\().d[1]
    orr     x1, x1, x2
    cmp     x1, xzr
    cinc    x0, x0, ne
    .endr
    mrs     x1, fpcr
    cmp     x1, xzr
    cinc    x0, x0, ne
    ret

/* Single instructions, each a function that returns where the processor lets it. */
.macro instruction name, text:vararg
    .global do_\name
do_\name:
    \text
    ret
.endm
    instruction undefined, .inst 0x00000000
    instruction brk, brk #7
    instruction hvc, hvc #0
    instruction smc, smc #0
    instruction hlt, hlt #0
    instruction eret, .inst 0xd69f03e0
    instruction daifset, msr daifset, #2
    instruction spsel, msr spsel, #1
    instruction read_sctlr, mrs x0, sctlr_el1
    instruction read_ttbr, mrs x0, ttbr0_el1
    instruction write_ttbr, msr ttbr0_el1, x0
    instruction write_vbar, msr vbar_el1, x0
    instruction write_tpidr, msr tpidr_el1, x0
    instruction write_tpidrro, msr tpidrro_el0, x0
    instruction write_timer, msr cntv_ctl_el0, x0
    instruction read_cntpct, mrs x0, cntpct_el0
    instruction read_debug, mrs x0, mdscr_el1
    instruction write_pmcr, msr pmcr_el0, x0
    instruction at, at s1e1r, x0
    instruction dc_isw, dc isw, x0
    instruction ic_iallu, ic iallu
    instruction flush_tlb, .inst 0xd508871f     /* every entry of this stage of translation */
    instruction read_counter, mrs x0, cntvct_el0
    instruction clean, dc cvau, x0
    instruction invalidate, dc civac, x0
    instruction zero, dc zva, x0
    instruction wfi, wfi
    instruction exclusive, ldxr x1, [x0]
    instruction read, ldr x0, [x0]
    instruction write, str xzr, [x0]
    instruction read_byte, ldrb w0, [x0]
    .global do_jump
do_jump:
    br      x0
