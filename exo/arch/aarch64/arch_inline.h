/* AArch64: the inline half of arch/arch.h, and the layout of address spaces.
 *
 *   user    39 bits, TTBR0, ASID-tagged         0x00_0000_0000 to 0x7f_ffff_ffff
 *   kernel  39 bits, TTBR1, global
 *     LINEAR_BASE  0xffffff8000000000  RAM at its physical address, 510 GiB, writable, never executable
 *     DEVICE_BASE  0xffffffff80000000  device registers that the kernel drives, other CPUs' stacks
 *     IMAGE_BASE   0xffffffffc0000000  the kernel's image, 4 KiB pages, W^X
 *
 * Descriptors: Arm ARM, D8.3 "Translation table descriptor formats". */
#ifndef EXO_ARCH_INLINE_H
#define EXO_ARCH_INLINE_H

#include "base/types.h"
#include "exo/abi.h"

#define LINEAR_BASE 0xffffff8000000000ull
#define DEVICE_BASE 0xffffffff80000000ull
#define IMAGE_BASE 0xffffffffc0000000ull

#define ARCH_PT_LEVELS 3u
#define ARCH_USER_BITS 39u
#define ARCH_TABLE_SLOT 511u
#define ARCH_RAM_MAX (510ull << 30)
#ifndef ARCH_FAST_PATHS
#define ARCH_FAST_PATHS true
#endif

/* Of functions that only boot calls: they are gone afterwards (kernel.ld). */
#define BOOT __attribute__((section(".boot"), cold))

typedef uint64_t pte_t;

enum pte_bits {
    PTE_VALID = 1 << 0,
    PTE_TABLE = 1 << 1,     /* a table, or at the lowest level a page */
    PTE_ATTR_SHIFT = 2,     /* index into MAIR_EL1: enum mair_index */
    PTE_USER = 1 << 6,      /* AP[1] */
    PTE_READ_ONLY = 1 << 7, /* AP[2] */
    PTE_SHARED = 3 << 8,    /* inner shareable */
    PTE_ACCESSED = 1 << 10,
    PTE_NOT_GLOBAL = 1 << 11,
};
#define PTE_KERNEL_NO_EXEC (1ull << 53)
#define PTE_USER_NO_EXEC (1ull << 54)
/* Bits 55 to 58 are left to software. */
#define PTE_MAX_SHIFT 55 /* enum exo_prot; READ always among them, so that no binding is all zeros */
#define PTE_ADDRESS 0x0000fffffffff000ull

enum mair_index { MAIR_DEVICE, MAIR_NORMAL };
#define MAIR_VALUE (0x00ull << (8 * MAIR_DEVICE) | 0xffull << (8 * MAIR_NORMAL)) /* nGnRnE; write-back */

struct arch_fp {
    uint64_t fpcr, fpsr;
    uint64_t q[64];
} __attribute__((aligned(16)));

static inline struct cpu *cpu_this(void)
{
    struct cpu *cpu;

    __asm__("mrs %0, tpidr_el1" : "=r"(cpu));
    return cpu;
}

static inline void *phys_to_virt(paddr_t pa)
{
    return (void *)(LINEAR_BASE + pa.v);
}

static inline paddr_t virt_to_phys(const void *address)
{
    return (paddr_t){(uint64_t)address - LINEAR_BASE};
}

static inline uint64_t arch_time(void)
{
    uint64_t ticks;

    __asm__ volatile("isb; mrs %0, cntvct_el0" : "=r"(ticks));
    return ticks;
}

static inline uint64_t arch_time_about(void)
{
    uint64_t ticks;

    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
    return ticks;
}

static inline bool arch_irq_pending(void)
{
    uint64_t isr;

    __asm__ volatile("mrs %0, isr_el1" : "=r"(isr));
    return isr != 0;
}

static inline bool arch_irqs_off(void)
{
    uint64_t daif;

    __asm__ volatile("mrs %0, daif" : "=r"(daif));
    return daif & 1 << 7;
}

/* The compiler gives a relaxed atomic load an address of its own; this it gives an offset. */
#define ARCH_READ(word) (*(const volatile __typeof__(*(word)) *)(word))

static inline void arch_relax(void)
{
    __asm__ volatile("yield");
}

static inline uint64_t arch_atomic_or(uint64_t *word, uint64_t bits)
{
    return __atomic_fetch_or(word, bits, __ATOMIC_ACQ_REL);
}

static inline pte_t pte_table(paddr_t pa)
{
    /* The bits that a leaf would need are ignored in a table descriptor, but count where the root's own slot
     * makes a table stand as a page: read-only for the user. */
    return pa.v | PTE_TABLE | PTE_VALID | PTE_ACCESSED | PTE_SHARED | PTE_USER | PTE_READ_ONLY |
           PTE_NOT_GLOBAL | MAIR_NORMAL << PTE_ATTR_SHIFT | PTE_KERNEL_NO_EXEC | PTE_USER_NO_EXEC;
}

#define PTE_PROT_BITS (PTE_VALID | PTE_USER | PTE_READ_ONLY | PTE_USER_NO_EXEC)

static inline pte_t pte_prot_bits(unsigned prot)
{
    _Static_assert(EXO_PROT_WRITE << 6 == PTE_READ_ONLY && EXO_PROT_EXEC == 4, "shifts");
    return (prot != EXO_PROT_NONE ? PTE_VALID | PTE_USER : 0) |
           ((PTE_READ_ONLY | PTE_USER_NO_EXEC) ^ (pte_t)(prot & EXO_PROT_WRITE) << 6 ^
            (pte_t)(prot & EXO_PROT_EXEC) << 52);
}

static inline pte_t pte_leaf(paddr_t pa, unsigned prot, unsigned max, enum memory_type memory)
{
    return pa.v | PTE_TABLE | PTE_ACCESSED | PTE_SHARED | PTE_NOT_GLOBAL | PTE_KERNEL_NO_EXEC |
           (memory == MEMORY_DEVICE ? MAIR_DEVICE : MAIR_NORMAL) << PTE_ATTR_SHIFT | pte_prot_bits(prot) |
           (pte_t)(max | EXO_PROT_READ) << PTE_MAX_SHIFT;
}

/* The same binding with these rights. */
static inline pte_t pte_protected(pte_t pte, unsigned prot)
{
    return (pte & ~(pte_t)PTE_PROT_BITS) | pte_prot_bits(prot);
}

/* A large page (block descriptor), one level above the pages. */
static inline pte_t pte_block(paddr_t pa, unsigned prot, unsigned max, enum memory_type memory)
{
    return pte_leaf(pa, prot, max, memory) & ~(pte_t)PTE_TABLE;
}

/* Above the lowest level: a block lacks the bit, valid or not. */
static inline bool pte_is_table(pte_t pte)
{
    return pte & PTE_TABLE;
}

static inline paddr_t pte_paddr(pte_t pte)
{
    return (paddr_t){pte & PTE_ADDRESS};
}

static inline unsigned pte_prot(pte_t pte)
{
    if (!(pte & PTE_VALID))
        return EXO_PROT_NONE;
    return EXO_PROT_READ | (pte & PTE_READ_ONLY ? 0u : EXO_PROT_WRITE) |
           (pte & PTE_USER_NO_EXEC ? 0u : EXO_PROT_EXEC);
}

static inline unsigned pte_max(pte_t pte)
{
    return pte >> PTE_MAX_SHIFT & EXO_PROT_ALL;
}

static inline enum memory_type pte_memory(pte_t pte)
{
    return (pte >> PTE_ATTR_SHIFT & 7) == MAIR_DEVICE ? MEMORY_DEVICE : MEMORY_NORMAL;
}

#define CPACR_FP_KERNEL (1ull << 20) /* the kernel may, the user traps */
#define CPACR_FP_ALL (3ull << 20)

static inline void arch_fp_enable(bool on)
{
    __asm__ volatile("msr cpacr_el1, %0; isb" : : "r"(on ? CPACR_FP_ALL : CPACR_FP_KERNEL));
}

/* clang-format off */
#define EACH_Q_PAIR(op) \
    op " q0, q1, [%0, #16]\n\t" op " q2, q3, [%0, #48]\n\t" op " q4, q5, [%0, #80]\n\t" op " q6, q7, [%0, #112]\n\t" \
    op " q8, q9, [%0, #144]\n\t" op " q10, q11, [%0, #176]\n\t" op " q12, q13, [%0, #208]\n\t" \
    op " q14, q15, [%0, #240]\n\t" op " q16, q17, [%0, #272]\n\t" op " q18, q19, [%0, #304]\n\t" \
    op " q20, q21, [%0, #336]\n\t" op " q22, q23, [%0, #368]\n\t" op " q24, q25, [%0, #400]\n\t" \
    op " q26, q27, [%0, #432]\n\t" op " q28, q29, [%0, #464]\n\t" op " q30, q31, [%0, #496]\n\t"
/* clang-format on */

/* FPCR and FPSR by number: clang 19 hides their names where FP registers are not for the compiler to use.  For functions with
 * fp in their names: the structure checks let no other have FP registers. */
static inline __attribute__((always_inline)) void arch_fp_switch(struct arch_fp *from,
                                                                 const struct arch_fp *to)
{
    uint64_t fpcr, fpsr;

    _Static_assert(offsetof(struct arch_fp, fpcr) == 0 && offsetof(struct arch_fp, q) == 16, "as below");
    if (from)
        __asm__ volatile(".arch armv8-a+fp+simd\n\t"
                         "mrs %1, s3_3_c4_c4_0\n\tmrs %2, s3_3_c4_c4_1\n\t"
                         "stp %1, %2, [%0]\n\t" EACH_Q_PAIR("stp")
                         : "+r"(from), "=&r"(fpcr), "=&r"(fpsr)
                         :
                         : "memory");
    __asm__ volatile(".arch armv8-a+fp+simd\n\t"
                     "ldp %1, %2, [%0]\n\t" EACH_Q_PAIR("ldp") "msr s3_3_c4_c4_0, %1\n\tmsr s3_3_c4_c4_1, %2"
                     : "+r"(to), "=&r"(fpcr), "=&r"(fpsr)
                     :
                     : "memory");
}
#undef EACH_Q_PAIR

/* Stream table entry and context descriptor of the SMMUv3: smmu.c. */
struct arch_stream {
    uint64_t word[8];
} __attribute__((aligned(64)));
struct arch_domain {
    uint64_t word[8];
} __attribute__((aligned(64)));
#define ARCH_STREAM_VALID 1ull
#define ARCH_STREAM_DOMAIN 0x000fffffffffffc0ull

static inline struct arch_domain *arch_stream_domain(const struct arch_stream *stream)
{
    if (!(stream->word[0] & ARCH_STREAM_VALID))
        return NULL;
    return phys_to_virt((paddr_t){stream->word[0] & ARCH_STREAM_DOMAIN});
}

#endif
