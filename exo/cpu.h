/* The state of one CPU, reached through the CPU's own register, and who may touch what.
 *
 * Whoever works in the kernel holds his CPU's lock at least, and is in one of two modes:
 *
 *   local   He holds that one alone.  He may touch his CPU's structure and its vcpus' scheduling state, spaces under
 *           their locks, frames; and read capability tables, environments, gates, interrupt bindings.
 *   world   He holds every CPU's lock: nobody else is in the kernel, and he may touch everything.  What creates, ends,
 *           grants or binds, and what concerns another CPU's vcpus, happens in this mode only.
 *
 * So what everybody does all the time (pages, signals, calls on one CPU) shares no lock between CPUs, and what restructures
 * is written as if there was one.  Work that finds out in local mode that it needs the world changes nothing, answers
 * NEEDS_WORLD, and is begun again.
 *
 * A CPU in user mode or idle holds no lock.  Fields are marked: (o) touched by its own CPU in local mode, or in world
 * mode; (a) by anybody, atomically; (i) under inbox_lock. */
#ifndef EXO_CPU_H
#define EXO_CPU_H

#include "arch/arch.h"
#include "base/list.h"
#include "deadline.h"
#include "lock.h"
#include "trace.h"

#define CPU_SLOTS 64u
#define CPU_HELD_MAX (EXO_CPUS_MAX + 8)

/* Never a call's result. */
#define NEEDS_WORLD (-1000)

struct space;

struct slot {
    struct vcpu *owner; /* NULL: whoever is ready */
};

/* Free frames that only this CPU takes from and puts back to. */
struct frame_cache {
    pfn_t first; /* linked by their entries' next; 0: none */
    uint32_t n;
};

struct cpu {
    struct exo_lock lock;
    struct vcpu *current; /* (o) whose registers entry code saves to; NULL while idle */
    uint64_t calls;       /* counted by entry code; shown in `info` as of the last switch */
    uint64_t resched;     /* (o) a plain call wants the slow way out: somebody else, or an upcall */
    void *panic_stack;    /* its top: for entry code, when the kernel itself traps */
    union {
        struct {
            uint32_t attention; /* (a) not 0: evict, overdue, inbox or endings may hold something to do */
            uint16_t nowned;    /* (o) slots with an owner */
            bool traced;        /* (o) this CPU's entry code is the tracing one; see trace.h */
        };
        uint64_t chores; /* 0: all of them are */
    };
    bool world;     /* it holds all CPUs' locks */
    bool evict;     /* (o) current has ended: it must leave */
    bool overdue;   /* (o) a deadline passed whose end needs the world */
    bool lent;      /* (o) the slot's owner gave the rest of it to current */
    bool borrows;   /* (o) current came for an interrupt, in the slot of the first in `ready` */
    bool fp_on;     /* (o) */
    uint32_t id;    /* 0: the boot CPU */
    uint64_t epoch; /* (o) its number, and how often world mode was taken, in which alone much can change */
    struct vcpu *fp_owner;     /* (o) whose FP/SIMD state the registers hold */
    struct space *loaded;      /* (o) the space in the MMU; NULL: none of a user */
    struct frame_cache frames; /* (o) */
    struct list ready;         /* (o) READY vcpus, longest waiting first */
    struct list endings;       /* (o) ended environments whose vcpus' peers have not all been told: env.h */
    struct deadline_heap deadlines; /* (o) */
    uint64_t timer_at;              /* (o) what the timer is set to */
    uint64_t slot_ticks;
    uint64_t slot_end; /* (o) when the current slot ends, in ticks */
    uint32_t
        call_serial; /* (o) of the last call delivered; not the vcpu's, as its frame may become another's */
    struct slot slots[CPU_SLOTS]; /* (o) */
    struct exo_cpu_info *info;    /* (o) */
    struct exo_log *log;          /* (o) */
    struct cpu_trace trace;       /* (o); see trace.h */
    struct list inbox;            /* (i) vcpus of this CPU whose event words others have set bits in */
    struct exo_lock inbox_lock;
#ifdef EXO_CHECKED
    unsigned nheld;
    struct exo_lock *held[CPU_HELD_MAX]; /* in the order in which they were taken */
#endif
} __attribute__((aligned(64)));

/* The first ncpus run; complete before the first program starts. */
extern struct cpu cpus[EXO_CPUS_MAX];
extern unsigned ncpus;

/* Boot: the next CPU's structure; counted from cpu_online on. */
struct cpu *cpu_next(void);
void cpu_online(void);

/* The architecture brings each CPU but the boot CPU here: on its own stack, with cpu_this() and its interrupts' part set up, no
 * user space loaded.  Returns once cpus_go() has let them go; then the CPU leaves through trap_leave(). */
void cpu_wait_to_go(void);
/* On the boot CPU: all CPUs are counted, and the first program is there to run. */
void cpus_go(void);

/* Tells a CPU that there is something to do before it goes back to user mode.  It does not interrupt it. */
static inline void cpu_attend(struct cpu *cpu)
{
    __atomic_store_n(&cpu->attention, 1, __ATOMIC_RELEASE);
}

/* Is there?  Where it is not seen yet, the kick that comes with it is. */
static inline bool cpu_is_called(const struct cpu *cpu)
{
    return __atomic_load_n(&cpu->attention, __ATOMIC_RELAXED);
}

static inline void local_enter(void)
{
    lock_take(&cpu_this()->lock);
}

static inline void local_leave(void)
{
    lock_drop(&cpu_this()->lock);
}

/* Attention, slots with owners, or tracing. */
static inline bool cpu_has_chores(const struct cpu *cpu)
{
    return ARCH_READ(&cpu->chores) != 0;
}

/* From no lock held. */
void world_enter(void);
/* Back to this CPU's lock alone. */
void world_leave(void);
/* From local mode; in between, anything may have happened to everybody: current may have ended (cpu->evict). */
void world_upgrade(void);

/* Another CPU kicked this one (arch_cpu_kick).  Called from arch_irq_dispatch. */
void cpu_kicked(void);

#endif
