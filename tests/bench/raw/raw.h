/* Raw calls for the kernel benches: no libOS below, one instruction between the program and the kernel. */
#ifndef BENCH_RAW_H
#define BENCH_RAW_H

#include "exo/abi.h"

#define RAW_CLOBBERS "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16", "x17", "x18", "memory", "cc"

/* Arguments are evaluated before any register is set: they may be calls themselves. */
#define RAW_CALL8(nr, a0, a1, a2, a3, a4, a5, a6, a7)                                                        \
    ({                                                                                                       \
        uint64_t t0_ = (uint64_t)(a0), t1_ = (uint64_t)(a1), t2_ = (uint64_t)(a2), t3_ = (uint64_t)(a3),     \
                 t4_ = (uint64_t)(a4), t5_ = (uint64_t)(a5), t6_ = (uint64_t)(a6), t7_ = (uint64_t)(a7);     \
        register uint64_t x0_ __asm__("x0") = t0_;                                                           \
        register uint64_t x1_ __asm__("x1") = t1_;                                                           \
        register uint64_t x2_ __asm__("x2") = t2_;                                                           \
        register uint64_t x3_ __asm__("x3") = t3_;                                                           \
        register uint64_t x4_ __asm__("x4") = t4_;                                                           \
        register uint64_t x5_ __asm__("x5") = t5_;                                                           \
        register uint64_t x6_ __asm__("x6") = t6_;                                                           \
        register uint64_t x7_ __asm__("x7") = t7_;                                                           \
        __asm__ volatile("mov x8, %8\n\tsvc #0"                                                              \
                         : "+r"(x0_), "+r"(x1_), "+r"(x2_), "+r"(x3_), "+r"(x4_), "+r"(x5_), "+r"(x6_),      \
                           "+r"(x7_)                                                                         \
                         : "i"(nr)                                                                           \
                         : RAW_CLOBBERS);                                                                    \
        (int64_t) x0_;                                                                                       \
    })
/* Arguments that a call does not take are left as they are: registers that it does not look at. */
#define RAW_CALL0(nr)                                                                                        \
    ({                                                                                                       \
        register uint64_t x0_ __asm__("x0");                                                                 \
        __asm__ volatile("mov x8, %1\n\tsvc #0"                                                              \
                         : "=r"(x0_)                                                                         \
                         : "i"(nr)                                                                           \
                         : "x1", "x2", "x3", "x4", "x5", "x6", "x7", RAW_CLOBBERS);                          \
        (int64_t) x0_;                                                                                       \
    })
#define RAW_CALL2(nr, a0, a1)                                                                                \
    ({                                                                                                       \
        uint64_t t0_ = (uint64_t)(a0), t1_ = (uint64_t)(a1);                                                 \
        register uint64_t x0_ __asm__("x0") = t0_;                                                           \
        register uint64_t x1_ __asm__("x1") = t1_;                                                           \
        __asm__ volatile("mov x8, %2\n\tsvc #0"                                                              \
                         : "+r"(x0_), "+r"(x1_)                                                              \
                         : "i"(nr)                                                                           \
                         : "x2", "x3", "x4", "x5", "x6", "x7", RAW_CLOBBERS);                                \
        (int64_t) x0_;                                                                                       \
    })
#define RAW_CALL4(nr, a0, a1, a2, a3)                                                                        \
    ({                                                                                                       \
        uint64_t t0_ = (uint64_t)(a0), t1_ = (uint64_t)(a1), t2_ = (uint64_t)(a2), t3_ = (uint64_t)(a3);     \
        register uint64_t x0_ __asm__("x0") = t0_;                                                           \
        register uint64_t x1_ __asm__("x1") = t1_;                                                           \
        register uint64_t x2_ __asm__("x2") = t2_;                                                           \
        register uint64_t x3_ __asm__("x3") = t3_;                                                           \
        __asm__ volatile("mov x8, %4\n\tsvc #0"                                                              \
                         : "+r"(x0_), "+r"(x1_), "+r"(x2_), "+r"(x3_)                                        \
                         : "i"(nr)                                                                           \
                         : "x4", "x5", "x6", "x7", RAW_CLOBBERS);                                            \
        (int64_t) x0_;                                                                                       \
    })

static inline uint64_t raw_time(void)
{
    uint64_t ticks;

    __asm__ volatile("isb\n\tmrs %0, cntvct_el0" : "=r"(ticks) : : "memory");
    return ticks;
}

static inline struct exo_vcpu_page *raw_page(void)
{
    struct exo_vcpu_page *page;

    __asm__("mrs %0, tpidrro_el0" : "=r"(page));
    return page;
}

#endif
