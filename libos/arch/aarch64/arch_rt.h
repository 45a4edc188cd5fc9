/* AArch64: the inline half of rt/arch.h. */
#ifndef ARCH_RT_H
#define ARCH_RT_H

#include "exo/abi.h"
#include "os/exo.h"
#include "os/layout.h"

struct arch_context {
    uint64_t sp; /* callee-saved registers lie there (context.S) */
};

struct os_thread;

/* Not to be kept over a switch: a thread may come back on another vcpu. */
static inline struct exo_vcpu_page *arch_vcpu(void)
{
    struct exo_vcpu_page *page;

    __asm__ volatile("mrs %0, tpidrro_el0" : "=r"(page));
    return page;
}

/* In the first of the two words that the thread pointer's ABI leaves to the run time. */
static inline struct os_thread *arch_self(void)
{
    return *(struct os_thread *const *)__builtin_thread_pointer();
}

static inline void arch_tls_set_self(uint64_t tls, struct os_thread *t)
{
    *(struct os_thread **)tls = t;
}

static inline void arch_tls_enter(uint64_t tls)
{
    __asm__ volatile("msr tpidr_el0, %0" ::"r"(tls) : "memory");
}

/* Between two looks at a lock. */
static inline void arch_spin_pause(void)
{
    __asm__ volatile("yield" ::: "memory");
}

static inline void arch_interleave(void)
{
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
