/* One CPU's trace ring, as its own CPU writes it: no allocation, nothing read back.
 *
 * Others say in world mode what is wanted, and see to it that the CPU looks (ring.h); cpu->traced changes on the CPU itself,
 * where it is clear who runs: in trace_settled() and trace_idle(), or where it asks for itself.  While it is set, the ring and
 * what is kept about it are the CPU's own, in local mode; while neither is set, they are the world's.
 *
 * Nothing here costs anything while the CPU is not traced: entry code that traces is installed in place of the other
 * (arch_trace_enable), and calls probe.h.  Only a CPU that found nobody to run, or was told to look, looks at what is wanted. */
#ifndef EXO_TRACE_RING_H
#define EXO_TRACE_RING_H

#include "arch/arch.h"
#include "exo/trace.h"

struct env;

/* Somebody whom an entry may set bits of, or wake. */
struct trace_look {
    struct vcpu *vcpu; /* NULL: nobody; it may end, and its frame be another's, */
    uint32_t serial;   /* which this tells */
    enum exo_trace_cause cause;
    bool waited;
    uint64_t bits;
};

struct cpu_trace {
    bool wanted;            /* what cpu->traced is to become (trace_follow) */
    struct exo_trace *ring; /* the owner's memory: written, never read */
    uint32_t nrecords;
    uint32_t next; /* where the next record goes */
    uint64_t written;
    const struct vcpu *last; /* who ran as of the last record; NULL: nobody */
    uint64_t upcalls; /* cpu->info->upcalls, as far as they were told of, or are not of the current vcpu */
    uint32_t session; /* counts how often tracing was turned on; never 0 then */
    bool idle;        /* nobody has run since the CPU began to wait */
    bool line_open;   /* an interrupt is being dealt with: */
    uint16_t line;    /* this, */
    struct trace_look irq; /* and who has it */

    /* Pinned for it, contiguous from `first` on (ring.h). */
    struct env *owner; /* NULL: no page is */
    pfn_t first;
    uint32_t npages;
};

struct trace_words {
    uint16_t what;
    pfn_t vcpu;
    uint64_t a, b;
};

/* The CPU must be this one, and traced. */
void trace_put(struct cpu *cpu, enum exo_trace_event event, struct trace_words words);
/* This CPU, traced or to be, is about to wait, or to go on with its current vcpu: set by probe.c. */
extern void (*trace_idle)(struct cpu *cpu);
extern void (*trace_settled)(struct cpu *cpu);
/* Makes cpu->traced of this CPU what is wanted. */
void trace_follow(struct cpu *cpu);

#endif
