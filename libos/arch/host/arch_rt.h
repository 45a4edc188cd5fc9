/* Host: the libOS inside a test program.  The kernel is whatever answers host_exo_call (mock.h). */
#ifndef ARCH_RT_H
#define ARCH_RT_H

#include <ucontext.h>

#include "exo/abi.h"
#include "mock.h"
#include "os/exo.h"

struct arch_context {
    ucontext_t context;
    const void
        *bottom; /* of its stack, for the address sanitizer; the main stack's is learnt when it is left */
    size_t bytes;
};

struct os_thread;
extern struct os_thread rt_boot_thread;

static inline struct exo_vcpu_page *arch_vcpu(void)
{
    return host_vcpu;
}

/* What the vcpu page says (rt/vcpu.h: the first word behind the kernel's part).  Tests of single modules never start
 * the run time. */
static inline struct os_thread *arch_self(void)
{
    struct os_thread *self = *(struct os_thread **)((char *)host_vcpu + HOST_RT_OFFSET);

    return self ? self : &rt_boot_thread;
}

static inline void arch_tls_set_self(uint64_t tls, struct os_thread *t)
{
    (void)tls;
    (void)t;
}

static inline void arch_tls_enter(uint64_t tls)
{
    (void)tls;
}

static inline void arch_spin_pause(void)
{
    if (host_interleave)
        host_interleave();
}

static inline void arch_interleave(void)
{
    if (host_interleave)
        host_interleave();
}

static inline const struct exo_system *arch_system(void)
{
    return &host_system;
}

static inline uint64_t arch_counter(void)
{
    return host_ticks;
}

#endif
