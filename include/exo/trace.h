/* What a CPU's trace ring holds: records of fixed size, written by the kernel without locks while the CPU is traced.
 *
 * The ring is memory of whoever traces (trace_bind), header first.  `written` counts all records since tracing was turned
 * on; record i is record[i % nrecords], so the last nrecords of them are there.  `written` rises after a record is whole:
 * who reads while the CPU is traced copies records i to j, looks again, and throws away those up to written - nrecords. */
#ifndef EXO_TRACE_H
#define EXO_TRACE_H

#include "base/types.h"

/* X(number, name, "what", "a", "b", "when").  `vcpu` is whose event it is, 0: nobody's.  Virtual processors and environments
 * are named by frame number, as in the frame table. */
#define EXO_TRACE_EVENTS(X)                                                                                  \
    X(1, SWITCH, "", "environment", "", "this virtual processor runs from now on")                           \
    X(2, IDLE, "", "", "", "nobody runs from now on")                                                        \
    X(3, CALL, "number", "x0", "x1", "it entered the kernel by a call")                                      \
    X(4, TRAP, "", "pc", "", "it entered the kernel by a fault or exception; the next record says which")    \
    X(5, RETURN, "", "x0", "", "it is back in user mode; the call's result")                                 \
    X(6, UPCALL, "reason", "info", "detail", "its upcall entry is entered")                                  \
    X(7, FAULT, "access", "address", "", "it could not reach a page")                                        \
    X(8, EXCEPTION, "kind", "syndrome", "", "another exception of its own")                                  \
    X(9, FP, "", "", "", "its FP registers were loaded at their first use")                                  \
    X(10, IRQ, "line", "1: the timer", "", "an interrupt was taken")                                         \
    X(11, IRQ_END, "line", "", "", "and was dealt with")                                                     \
    X(12, SIGNAL, "cause", "environment", "bits", "bits were set in its event word; it did not wait")        \
    X(13, WAKE, "cause", "environment", "bits", "it waited, and does not any more")                          \
    X(14, ENV_NEW, "", "environment", "parent", "an environment was made")                                   \
    X(15, ENV_END, "reason", "environment", "code", "an environment ended")

enum exo_trace_event {
#define EXO_TRACE_ENUM(number, name, what, a, b, when) EXO_TRACE_##name = number,
    EXO_TRACE_EVENTS(EXO_TRACE_ENUM)
#undef EXO_TRACE_ENUM
};

/* SIGNAL, WAKE: what did it. */
enum exo_trace_cause {
    EXO_TRACE_BY_SIGNAL = 1, /* signal */
    EXO_TRACE_BY_IRQ,        /* its interrupt line */
    EXO_TRACE_BY_DEADLINE,
    EXO_TRACE_BY_CALL,  /* somebody's call through a gate */
    EXO_TRACE_BY_REPLY, /* the answer to its own */
    EXO_TRACE_BY_START, /* vcpu_start */
};

struct exo_trace_record {
    uint64_t time; /* ticks */
    uint8_t event;
    uint8_t cpu;
    uint16_t what;
    uint32_t vcpu;
    uint64_t a, b;
};

struct exo_trace {
    uint64_t written;
    uint32_t nrecords;
    uint32_t cpu;
    uint64_t spare[6];
    struct exo_trace_record record[];
};

_Static_assert(sizeof(struct exo_trace_record) == 32, "trace layout");
_Static_assert(sizeof(struct exo_trace) == 64, "trace layout");

#define EXO_TRACE_PAGES_MAX 1024u /* of one CPU's ring */

enum exo_trace_how { /* trace_control */
                     EXO_TRACE_OFF,
                     EXO_TRACE_ON,
                     EXO_TRACE_RELEASE, /* off, and the ring's pages are no longer pinned */
};

#endif
