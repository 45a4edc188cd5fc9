/* AArch64: the inline half of rt/arch.h. */
#ifndef ARCH_RT_H
#define ARCH_RT_H

#include "exo/abi.h"
#include "os/exo.h"
#include "os/layout.h"

struct arch_context {
    uint64_t sp; /* callee-saved registers lie there (context.S) */
};

static inline struct exo_vcpu_page *arch_vcpu(void)
{
    struct exo_vcpu_page *page;

    __asm__("mrs %0, tpidrro_el0" : "=r"(page));
    return page;
}

static inline const struct exo_system *arch_system(void)
{
    return (const struct exo_system *)OS_SYSTEM_VA;
}

static inline uint64_t arch_counter(void)
{
    uint64_t ticks;

    __asm__ volatile("isb\n\tmrs %0, cntvct_el0" : "=r"(ticks)::"memory");
    return ticks;
}

#endif
