/* Raw calls for the kernel benches: no libOS below, one instruction between the program and the kernel; and what the programs
 * of the benches share.  Each of them (main.c, growth.c, smp.c) is the first program of a bundle of its own. */
#ifndef BENCH_RAW_H
#define BENCH_RAW_H

#include <stdbool.h>

#include "exo/abi.h"
#include "../mark.h"

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

/* ---- what the programs share: raw.c ---------------------------------------------------------------------------- */

#define SPARE 0x2000000000ull /* where the benches bind and unbind */

extern void (*raw_main_of)(uint64_t); /* what a START upcall runs: each program says what its own does */
extern volatile uint32_t *uart;
extern const struct exo_system *raw_system;
extern uint64_t uart_pa;

void put_text(const char *s);
void put_number(uint64_t n);
_Noreturn void off(void);

/* A negative result of what is said ends the run. */
void must(int64_t result, const char *what);
exo_handle_t make(int64_t handle);

/* Of the program's START upcall, whose argument this is: finds the UART, prints the row `boot`, binds a page at SPARE. */
void raw_begin(uint64_t arg);

/* One row, "key instructions operations", of the ticks that n operations took. */
extern const char *row_prefix;
void row(const char *key, uint64_t ticks, uint64_t n);

struct peer {
    exo_handle_t env, space, vcpu;
};

/* An environment on a CPU, in a space of its own that has the program's pages, with `frames` to spend.  Its START upcall runs
 * fn(arg); with `start` it has done so and waits when this returns. */
struct peer peer_make_on(unsigned cpu, unsigned frames, void (*fn)(uint64_t), uint64_t arg, bool start);
struct peer peer_make(void (*fn)(uint64_t), uint64_t arg, bool start);
void peer_end(struct peer peer);
exo_handle_t give(struct peer peer, exo_handle_t cap);

void echo_main(uint64_t arg); /* of a peer that answers each call with the same words */

static inline void clear_event(uint64_t bits)
{
    uint64_t *word = &raw_page()->events;

    __atomic_fetch_and(word, ~bits, __ATOMIC_ACQ_REL);
}

static inline uint64_t reply_token(uint64_t token)
{
    return (uint64_t)RAW_CALL8(EXO_CALL_reply_wait, token, 0, 0, 0, 0, 0, 0, EXO_FOREVER);
}

static inline void write_to(uint64_t va)
{
    *(volatile uint64_t *)va = 1;
}

/* The ticks that something takes. */
#define TICKS(op)                                                                                            \
    ({                                                                                                       \
        uint64_t t0_;                                                                                        \
        BENCH_BEGIN();                                                                                       \
        t0_ = raw_time();                                                                                    \
        op;                                                                                                  \
        t0_ = raw_time() - t0_;                                                                              \
        BENCH_END();                                                                                         \
        t0_;                                                                                                 \
    })

#define LOOP(n, op) TICKS(for (uint64_t i = 0; i < (n); i++) { op; })

#endif
