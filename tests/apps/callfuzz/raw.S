/* int64_t raw_call(uint64_t number, const uint64_t args[8]) */
    .text
    .global raw_call
raw_call:
    stp     x29, x30, [sp, #-16]!
    mov     x29, sp
    mov     x8, x0
    mov     x9, x1
    ldp     x0, x1, [x9]
    ldp     x2, x3, [x9, #16]
    ldp     x4, x5, [x9, #32]
    ldp     x6, x7, [x9, #48]
    svc     #0
    ldp     x29, x30, [sp], #16
    ret
