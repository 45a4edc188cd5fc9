/* Pages are copied in upcalls too, where FP/SIMD registers are those of whoever was interrupted: these come back as they were. */
    .text

/* arch_copy_pages(to, from, n) */
    .global arch_copy_pages
    .type arch_copy_pages, %function
arch_copy_pages:
    sub     sp, sp, #128
    stp     q0, q1, [sp]
    stp     q2, q3, [sp, #32]
    stp     q4, q5, [sp, #64]
    stp     q6, q7, [sp, #96]
    add     x2, x0, x2, lsl #12
    b       2f
1:  ldp     q0, q1, [x1], #128
    ldp     q2, q3, [x1, #-96]
    ldp     q4, q5, [x1, #-64]
    ldp     q6, q7, [x1, #-32]
    stp     q0, q1, [x0], #128
    stp     q2, q3, [x0, #-96]
    stp     q4, q5, [x0, #-64]
    stp     q6, q7, [x0, #-32]
2:  cmp     x0, x2
    b.lo    1b
    ldp     q0, q1, [sp]
    ldp     q2, q3, [sp, #32]
    ldp     q4, q5, [sp, #64]
    ldp     q6, q7, [sp, #96]
    add     sp, sp, #128
    ret
    .size arch_copy_pages, . - arch_copy_pages
