/* Upcall entry of the benches: START goes to C, everything else to the handler of the moment, which is
 * a few instructions of assembly, since the benches measure the kernel. */
#include "exo/calls.h"

/* Call numbers, counted from the one list. */
#define SET_NUMBER(name, nargs, args, what) .set NR_##name, number; .set number, number + 1;
    .set    number, 0
    EXO_CALLS(SET_NUMBER)
#define PAGE_MAP     NR_page_map
#define PAGE_PROTECT NR_page_protect
#define RESUME       NR_resume

    .section .text.start, "ax"
    .global _start
_start:
    cmp     x0, #1                      /* EXO_UPCALL_START */
    b.ne    1f
    adrp    x9, raw_main_of
    ldr     x9, [x9, :lo12:raw_main_of]
    mov     x0, x1
    blr     x9
    b       .
1:  adrp    x9, raw_handler
    ldr     x9, [x9, :lo12:raw_handler]
    br      x9

    /* Goes on behind the instruction that trapped. */
    .global raw_skip
raw_skip:
    mrs     x9, tpidrro_el0
    ldr     x10, [x9, #(128 + 256)]     /* regs.pc */
    add     x10, x10, #4
    str     x10, [x9, #(128 + 256)]
    mov     x8, #RESUME
    svc     #0

    /* Binds the page of raw_spare where it faulted, and tries again. */
    .global raw_bind
raw_bind:
    mov     x3, x1
    mov     x0, #2                      /* own space */
    bic     x1, x3, #4095
    mov     x2, #2
    adrp    x3, raw_spare
    ldr     x3, [x3, :lo12:raw_spare]
    mov     x4, #1
    mov     x5, #3
    mov     x8, #PAGE_MAP
    svc     #0
    mov     x8, #RESUME
    svc     #0

    /* Makes the page writable; first, for Appel-Li 1, protects the one that raw_other names. */
    .global raw_swap, raw_unprotect
raw_swap:
    mov     x19, x1
    mov     x0, #2
    adrp    x1, raw_other
    ldr     x1, [x1, :lo12:raw_other]
    mov     x2, #1
    mov     x3, #1
    mov     x8, #PAGE_PROTECT
    svc     #0
    mov     x1, x19
raw_unprotect:
    mov     x0, #2
    bic     x1, x1, #4095
    mov     x2, #1
    mov     x3, #3
    mov     x8, #PAGE_PROTECT
    svc     #0
    mov     x8, #RESUME
    svc     #0
