/* The host: the inline half of arch/arch.h for a kernel that runs inside a test program.
 *
 * Physical memory is a file in memory, mapped at machine.linear; time is a variable; page tables are plain memory that
 * the model in tlb.c walks.  User addresses have 48 bits in four levels, of which the lower half is used, so that a
 * range of them can be the host process's own addresses (window.c). */
#ifndef EXO_ARCH_INLINE_H
#define EXO_ARCH_INLINE_H

#include "base/types.h"
#include "exo/abi.h"
#include "machine.h"

#define ARCH_PT_LEVELS 4u
#define ARCH_USER_BITS 48u
#define ARCH_TABLE_SLOT 255u
#define ARCH_RAM_MAX MACHINE_LINEAR_BYTES
#define ARCH_FAST_PATHS (!machine.no_fast_paths)

#define BOOT

typedef uint64_t pte_t;

enum pte_bits {
    PTE_PRESENT = 1 << 0, /* the user may read */
    PTE_WRITE = 1 << 1,
    PTE_EXEC = 1 << 2,
    PTE_DEVICE = 1 << 3,
    PTE_TABLE = 1 << 4,
    PTE_BLOCK = 1 << 5, /* a large page, one level above the pages */
    PTE_MAX_SHIFT = 8,  /* enum exo_prot; READ always among them, so that no binding is all zeros */
};
#define PTE_ADDRESS 0x0000fffffffff000ull

struct arch_fp {
    uint64_t q[4];
};
void arch_fp_enable(bool on);
void arch_fp_switch(struct arch_fp *from, const struct arch_fp *to);

static inline struct cpu *cpu_this(void)
{
    return machine.cpu;
}

static inline void *phys_to_virt(paddr_t pa)
{
    return machine.linear + pa.v;
}

static inline paddr_t virt_to_phys(const void *address)
{
    return (paddr_t){(uint64_t)((const uint8_t *)address - machine.linear)};
}

#define ARCH_READ(word) __atomic_load_n(word, __ATOMIC_RELAXED)

static inline uint64_t arch_time(void)
{
    return machine.time;
}

static inline uint64_t arch_time_about(void)
{
    return arch_time();
}

static inline bool arch_irq_pending(void)
{
    return machine_irq_due();
}

static inline bool arch_irqs_off(void)
{
    return true;
}

/* Kernel entries of the machine's CPUs come one after the other: nobody is there to be waited for, unless a test plays
 * two at once. */
static inline void arch_relax(void)
{
    machine_wait();
}

static inline uint64_t arch_atomic_or(uint64_t *word, uint64_t bits)
{
    return __atomic_fetch_or(word, bits, __ATOMIC_ACQ_REL);
}

static inline pte_t pte_table(paddr_t pa)
{
    return pa.v | PTE_TABLE | PTE_PRESENT;
}

static inline pte_t pte_leaf(paddr_t pa, unsigned prot, unsigned max, enum memory_type memory)
{
    pte_t pte = pa.v | (pte_t)(max | EXO_PROT_READ) << PTE_MAX_SHIFT;

    if (prot != EXO_PROT_NONE)
        pte |= PTE_PRESENT;
    if (prot & EXO_PROT_WRITE)
        pte |= PTE_WRITE;
    if (prot & EXO_PROT_EXEC)
        pte |= PTE_EXEC;
    if (memory == MEMORY_DEVICE)
        pte |= PTE_DEVICE;
    return pte;
}

static inline pte_t pte_protected(pte_t pte, unsigned prot)
{
    const pte_t bits = PTE_PRESENT | PTE_WRITE | PTE_EXEC;

    return (pte & ~bits) | (pte_leaf((paddr_t){0}, prot, 0, MEMORY_NORMAL) & bits);
}

static inline pte_t pte_block(paddr_t pa, unsigned prot, unsigned max, enum memory_type memory)
{
    return pte_leaf(pa, prot, max, memory) | PTE_BLOCK;
}

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
    return (pte & PTE_PRESENT ? EXO_PROT_READ : 0u) | (pte & PTE_WRITE ? EXO_PROT_WRITE : 0u) |
           (pte & PTE_EXEC ? EXO_PROT_EXEC : 0u);
}

static inline unsigned pte_max(pte_t pte)
{
    return pte >> PTE_MAX_SHIFT & EXO_PROT_ALL;
}

static inline enum memory_type pte_memory(pte_t pte)
{
    return pte & PTE_DEVICE ? MEMORY_DEVICE : MEMORY_NORMAL;
}

/* iommu.c */
struct arch_domain {
    uint64_t root; /* physical */
    uint64_t tag;
};
struct arch_stream {
    uint64_t domain; /* physical address of the struct arch_domain; 0: blocked */
    uint64_t unused[7];
};

static inline struct arch_domain *arch_stream_domain(const struct arch_stream *stream)
{
    return stream->domain ? phys_to_virt((paddr_t){stream->domain}) : NULL;
}

#endif
