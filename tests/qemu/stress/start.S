/* Upcall entry, and accesses that may fault: the upcall handler knows them by their addresses. */
#include "exo/calls.h"

    .section .text.start, "ax"
    .global _start
_start:                                 /* x0 reason, x1 info, x2 detail */
    cmp     x0, #1                      /* EXO_UPCALL_START: never returns */
    b.eq    stress_start
    bl      stress_upcall
    mov     x8, #0                      /* EXO_CALL_resume */
    svc     #0
    brk     #1

/* bool try_read(const uint64_t *at, uint64_t *out), bool try_write(uint64_t *at, uint64_t value): false: it faulted. */
    .text
    .global try_read, try_read_at, try_write, try_write_at, try_failed
try_read:
    dmb     ish                         /* between what the caller looked at before and will look at after */
try_read_at:
    ldr     x2, [x0]
    dmb     ish
    str     x2, [x1]
    mov     x0, #1
    ret
try_write:
    dmb     ish
try_write_at:
    str     x1, [x0]
    dmb     ish
    mov     x0, #1
    ret
try_failed:
    dmb     ish
    mov     x0, xzr
    ret
