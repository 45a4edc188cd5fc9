/* The state of one CPU.  All of it is touched by its own CPU alone, and reached through the CPU's own register. */
#ifndef EXO_CPU_H
#define EXO_CPU_H

#include "arch/arch.h"
#include "base/list.h"
#include "deadline.h"

#define CPU_SLOTS 64u

struct space;

struct slot {
    struct vcpu *owner; /* NULL: whoever is ready */
};

struct cpu {
    struct vcpu *current;  /* whose registers entry code saves to; NULL while idle */
    uint64_t resched;      /* a plain call wants the slow way out: somebody else, or an upcall */
    uint64_t calls;        /* counted by entry code; shown in `info` as of the last switch */
    struct space *loaded;  /* the space in the MMU; NULL: none of a user */
    struct vcpu *fp_owner; /* whose FP/SIMD state the registers hold */
    bool fp_on;
    uint32_t id;
    struct list ready;   /* READY vcpus, longest waiting first */
    struct list endings; /* ended environments whose vcpus' peers have not all been told: env.h */
    struct deadline_heap deadlines;
    uint64_t timer_at; /* what the timer is set to */
    uint64_t slot_ticks;
    uint64_t slot_end; /* when the current slot ends, in ticks */
    uint32_t nowned;   /* slots with an owner */
    struct slot slots[CPU_SLOTS];
    uint32_t call_serial; /* of the last call delivered; not the vcpu's, whose frame may become another's */
    struct exo_cpu_info *info;
    struct exo_log *log;
};

#endif
