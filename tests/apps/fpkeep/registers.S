/* void fp_set(uint64_t base): q0 to q31 = base + n.  uint64_t fp_wrong(uint64_t base): how many are not so. */
    .arch armv8-a+fp+simd
    .text
    .global fp_set, fp_wrong
fp_set:
    .irp    n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    add     x1, x0, #\n
    dup     v\n\().2d, x1
    .endr
    ret
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
    mov     x0, x3
    ret
