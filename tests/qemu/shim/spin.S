/* Firmware with a spin table, for tests: a boot loader that leaves the other CPUs in a pen, where each polls a word of
 * memory for the address to go to.  It has them from QEMU's PSCI, which the device tree then does not offer for CPUs.
 *
 * Given by whoever builds it: CPUS, CONDUIT (hvc or smc), KERNEL_AT, TREE_AT, RELEASE_AT (of CPU 0's word),
 * RELEASE_STRIDE, and DELAYED: the CPU that leaves the pen three seconds late; 0: none. */

    .global _start
_start:
    mov     x19, #1
1:  cmp     x19, #CPUS
    b.hs    2f
    movz    x0, #0x0003                 /* CPU_ON */
    movk    x0, #0xc400, lsl #16
    mov     x1, x19                     /* the first CPUs' affinities count up from 0 */
    adr     x2, pen
    mov     x3, xzr
    CONDUIT #0
    add     x19, x19, #1
    b       1b
2:  ldr     x0, =TREE_AT
    mov     x1, xzr
    mov     x2, xzr
    mov     x3, xzr
    ldr     x4, =KERNEL_AT
    br      x4

pen:
    mrs     x19, mpidr_el1
    and     x19, x19, #0xff
    ldr     x20, =RELEASE_AT
    mov     x21, #RELEASE_STRIDE
    madd    x20, x19, x21, x20
3:  yield
    ldr     x21, [x20]
    cbz     x21, 3b
    cmp     x19, #DELAYED
    b.ne    5f
    cbz     x19, 5f
    mrs     x0, cntfrq_el0
    add     x0, x0, x0, lsl #1
    mrs     x1, cntpct_el0
    add     x0, x0, x1
4:  mrs     x1, cntpct_el0
    cmp     x1, x0
    b.lo    4b
5:  br      x21
