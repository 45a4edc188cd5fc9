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

static inline struct exo_vcpu_page *arch_vcpu(void)
{
    return host_vcpu;
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
