/* From the boot protocol to C, on the boot CPU and on the others.
 *
 * The boot CPU is entered as Linux's Documentation/arch/arm64/booting.rst says: MMU off, x0 = physical address of the
 * device tree, at EL1 or EL2.  Drops to EL1, maps the image at IMAGE_BASE by 4 KiB pages and what it runs on one to
 * one, turns the MMU on and calls arch_boot(tree, image).
 *
 * The others come to secondary_start, by PSCI or from a spin table, MMU off, at EL1 or EL2, with nothing in their
 * registers.  Until the MMU is on they read no memory: what the boot CPU wrote may still be in its cache. */
#include "asm.h"

#define PAGE_ATTRIBUTES  0x70f /* normal memory (MAIR 3 << 2 is set below), inner shareable, accessed, page */
#define BLOCK_NORMAL     0x705 /* accessed, inner shareable, MAIR index 1, block */
#define PAGE_NORMAL      0x707
#define TABLE            0x3

    .section .head, "ax"
    .global image_start
image_start:
    b       start                       /* code0: MZ is not asked for here */
    .word   0
    .quad   0                           /* text_offset: anywhere 2 MiB aligned */
    .quad   image_bytes                 /* image_size, bss included */
    .quad   0xa                         /* little endian, 4 KiB pages, placed anywhere */
    .quad   0, 0, 0
    .ascii  "ARM\x64"
    .word   0

start:
    mov     x20, x0                     /* the tree */
    adrp    x21, image_start            /* physical address of the image */
    bl      drop_to_el1
    /* bss lies behind the loaded image and is not zeroed by anybody else. */
    adrp    x0, bss_start
    adrp    x1, image_end
1:  stp     xzr, xzr, [x0]              /* both are page aligned */
    stp     xzr, xzr, [x0, #16]
    stp     xzr, xzr, [x0, #32]
    stp     xzr, xzr, [x0, #48]
    add     x0, x0, #64
    cmp     x0, x1
    b.lo    1b

    /* The image: one leaf table. */
    adrp    x0, boot_image_pages
    adrp    x1, image_end
    sub     x1, x1, x21                 /* bytes */
    mov     x2, #PAGE_NORMAL
    orr     x2, x2, x21
2:  str     x2, [x0], #8
    add     x2, x2, #0x1000
    subs    x1, x1, #0x1000
    b.hi    2b
    adrp    x0, boot_image_pages
    orr     x0, x0, #TABLE
    adrp    x1, boot_image_table
    str     x0, [x1]                    /* IMAGE_BASE begins a gigabyte */
    orr     x1, x1, #TABLE
    adrp    x0, kernel_root
    str     x1, [x0, #(511 * 8)]

    /* One to one: the gigabytes of the image, and of the tree and the one after. */
    adrp    x0, boot_identity
    mov     x3, x21
    bl      map_gigabyte
    mov     x3, x20
    bl      map_gigabyte
    mov     x4, #0x40000000
    add     x3, x20, x4
    bl      map_gigabyte

    bl      mmu_on
    ldr     x1, =stack_top
    mov     sp, x1
    mov     x29, xzr
    mov     x0, x20
    mov     x1, x21
    bl      arch_boot
    bl      boot_over
    b       user_enter

map_gigabyte:                           /* x3: address, x0: table */
    lsr     x3, x3, #30
    and     x3, x3, #511
    lsl     x4, x3, #30
    add     x4, x4, #BLOCK_NORMAL
    str     x4, [x0, x3, lsl #3]
    ret

    .global secondary_start
secondary_start:
    bl      drop_to_el1
    bl      mmu_on
    /* Which one is this?  Its affinity tells, and what was written down for that. */
    mrs     x0, mpidr_el1
    movz    x1, #0xffff
    movk    x1, #0x00ff, lsl #16
    movk    x1, #0x00ff, lsl #32
    and     x1, x0, x1
    ldr     x0, =secondaries
    mov     x2, #SECONDARIES
1:  ldp     x3, x4, [x0]
    cmp     x3, x1
    ccmp    x4, #0, #4, eq              /* affinity 0 where nobody was written down */
    b.ne    2f
    add     x0, x0, #SECONDARY_BYTES
    subs    x2, x2, #1
    b.ne    1b
    b       park
2:  mov     sp, x4
    mov     x29, xzr
    bl      secondary_main
    b       user_enter

    .global park
park:                                   /* a CPU that nobody has a use for */
    wfi
    b       park

/* To EL1 with everything masked.  At EL2: nothing traps, EL1 is AArch64, the timers belong to EL1.  Clobbers x0. */
drop_to_el1:
    msr     daifset, #0xf
    mrs     x0, CurrentEL
    cmp     x0, #(2 << 2)
    b.ne    2f
    mov     x0, #(1 << 31)              /* HCR_EL2.RW */
    orr     x0, x0, #(3 << 40)          /* APK, API: pointer authentication does not trap */
    msr     hcr_el2, x0
    mov     x0, #3
    msr     cnthctl_el2, x0
    msr     cntvoff_el2, xzr
    mov     x0, #0x33ff
    msr     cptr_el2, x0
    msr     hstr_el2, xzr
    msr     mdcr_el2, xzr
    msr     vttbr_el2, xzr
    mrs     x0, midr_el1
    msr     vpidr_el2, x0
    mrs     x0, mpidr_el1
    msr     vmpidr_el2, x0
    mrs     x0, id_aa64pfr0_el1
    ubfx    x0, x0, #24, #4             /* GIC system registers */
    cbz     x0, 1f
    mov     x0, #0xf
    msr     s3_4_c12_c9_5, x0           /* ICC_SRE_EL2: SRE, Enable */
    isb
1:  mov     x0, #0x3c5                  /* EL1h, all masked */
    msr     spsr_el2, x0
    msr     elr_el2, x30
    movz    x0, #0x0800
    movk    x0, #0x30d0, lsl #16
    msr     sctlr_el1, x0
    eret
2:  ret

/* Turns the MMU on and returns at the link address, with the kernel's vectors.  Clobbers x0 to x4, x19. */
mmu_on:
    mov     x19, x30
    mov     x1, #0xff00                 /* MAIR_VALUE */
    msr     mair_el1, x1
    mrs     x1, id_aa64mmfr0_el1
    and     x2, x1, #0xf                /* physical address size */
    cmp     x2, #5
    mov     x4, #5
    csel    x2, x2, x4, lo
    ubfx    x1, x1, #4, #4              /* ASID size: 2 is 16 bits */
    movz    x3, #0x3519                 /* T0SZ 25, write-back, inner shareable */
    movk    x3, #0xb519, lsl #16        /* T1SZ 25, 4 KiB */
    orr     x3, x3, x2, lsl #32
    cmp     x1, #2
    b.ne    1f
    orr     x3, x3, #(1 << 36)
1:  msr     tcr_el1, x3
    adrp    x0, boot_identity
    msr     ttbr0_el1, x0
    adrp    x0, kernel_root
    msr     ttbr1_el1, x0
    msr     tpidr_el1, xzr              /* no struct cpu yet: kernel_trap looks */
    ic      iallu
    bl      tlb_flush_local             /* touches no memory */
    /* RES1 bits, M, C, I, SA, SA0, and EL0 may: DZE, UCT, UCI, WFE.  SPAN clear: PAN is set on entry. */
    movz    x0, #0xd91d
    movk    x0, #0x3455, lsl #16
    msr     sctlr_el1, x0
    isb
    ldr     x0, =vectors
    msr     vbar_el1, x0
    ldr     x0, =image_start
    adrp    x1, image_start
    sub     x0, x0, x1
    add     x30, x19, x0
    ret
