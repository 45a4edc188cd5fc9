/* A first program that presses the kernel from all CPUs at once.
 *
 * Its environment has a vcpu on each CPU, the driver.  Each makes environments of a few vcpus, spread over all CPUs,
 * lets them work in one of several ways (work.c), and destroys them in the middle of it; so on every CPU at the same
 * time.  At the end of a round all are gone, and the free frames must be what they were.  Workers look for what must not
 * be: a page that can be read after it was unmapped, another's data in it, a signal or a reply that never came.
 *
 * Workers run this program's code on shared data, each in a space of its own environment. */
#ifndef STRESS_H
#define STRESS_H

#include "first.h"

/* ---- sizes ----------------------------------------------------------------------------------------------------- */

#define SLOTS 5u    /* environments that one driver has at a time */
#define CREW_MAX 4u /* vcpus in one of them */
#define NENVS (EXO_CPUS_MAX * SLOTS)
#define NWORKERS (NENVS * CREW_MAX)
#define FRIENDS 4u /* gates and events of others that an environment is given */
#define STACK_PAGES 4u
#define PATIENCE_MS 60000u /* what must come, comes before that, however slow the machine */

/* ---- what drivers and workers share ------------------------------------------------------------------------------- */

/* What an environment does. */
enum trade {
    TRADE_RING,   /* each wakes the next, round and round */
    TRADE_OFFICE, /* one answers the others' calls */
    TRADE_PAGES,  /* one binds, unbinds and protects a page, the others look at it */
    TRADE_HOUSE,  /* each answers calls of other environments, or forgets to */
    TRADE_CHAOS, /* whatever comes to mind; who does this, and what follows, is also asked for frames and pages */
    TRADE_MEMORY, /* demand faults, spaces, large pages, pages asked back: memory.c */
    TRADE_DEVICE, /* interrupt lines, devices that reach memory, traces, slots: device.c */
    NTRADES
};

/* What a worker is at; whoever ends it counts that (docs/testing.md has the words). */
enum phase {
    STARTING,
    WAITING,
    SIGNALLING,
    CALLING,
    ANSWERING, /* or waiting to be called */
    MAPPING,
    LOOKING, /* at pages that come and go: half of it faults */
    FAULTING,
    SWITCHING, /* in a space other than its first */
    LARGE,
    RECLAIMING,
    PARENTING,
    LINE,    /* bound to a line that interrupts all the time */
    MESSAGE, /* bound to a device's messages, and the device at work */
    DOMAIN,
    TRACING,
    OWNING, /* slots */
    NPHASES
};
#define PHASE_NAMES                                                                                          \
    {                                                                                                        \
        "starting", "waiting", "signalling", "calling", "called", "mapping", "looking", "faulting",          \
            "switching", "large", "reclaiming", "parenting", "line", "message", "domain", "tracing",         \
            "owning"                                                                                         \
    }

struct crew {
    unsigned trade, count;
    bool large;                                     /* its account has room for a large page */
    exo_handle_t line, message, edu, stream, trace; /* what devices it may use; 0: none */
    exo_handle_t slice[CREW_MAX];                   /* of each one's CPU */
    uint64_t stream_number;
    uint64_t mark;     /* what it writes into its pages: never twice the same */
    exo_handle_t vcpu; /* in its own table, of each: vcpu + i; */
    exo_handle_t gate; /* gate + i, event + i */
    exo_handle_t event;
    exo_handle_t friend_gate[FRIENDS], friend_event[FRIENDS]; /* 0: none */
    uint64_t seq; /* TRADE_PAGES: what may be done to the page now: work.c */
};
extern struct crew crews[NENVS];

struct worker {
    uint64_t dice;
    uint64_t done; /* pieces of work; for the report when all stands still */
    enum phase doing;
};
extern struct worker workers[NWORKERS];

extern uint64_t worker_work, line_events, message_events, device_writes; /* by all, counted loosely */

/* ---- main.c --------------------------------------------------------------------------------------------------------- */

/* Something that must not be was seen: the machine stops with this line. */
_Noreturn void wrong(const char *what, uint64_t a, uint64_t b);
uint64_t roll(uint64_t *dice, uint64_t n); /* below n */
/* Binds this program, and what it reads, in another space of the caller's: 0, or an error. */
int64_t program_bind(exo_handle_t space);

/* ---- work.c --------------------------------------------------------------------------------------------------------- */

/* The crew's place and the worker's in it; ends when somebody ends it. */
void work(unsigned env, unsigned place);
void work_upcall(uint64_t reason, uint64_t info, uint64_t detail);

/* A worker in its place. */
struct me {
    struct crew *crew;
    unsigned place;
    struct worker *worker;
    uint64_t *dice;
};

enum bits { TURN = 1, POKE = 2, FIRED = 16 };

void doing(const struct me *me, enum phase phase);
void did(const struct me *me); /* a piece of it */
void forget(uint64_t bits);
void pause_a_little(const struct me *me);
/* Zero as it came, or what one of us wrote. */
void must_be_ours(const struct me *me, uint64_t value);

/* ---- memory.c --------------------------------------------------------------------------------------------------------- */

void memory(const struct me *me);
/* Is this an address that comes when it is touched?  Then it is there, or the access fails. */
bool memory_fault(uint64_t va, struct exo_regs *regs);

/* ---- device.c --------------------------------------------------------------------------------------------------------- */

void device_begin(void);
/* What a crew is given of devices, in its table and its space: 0, or an error. */
int64_t device_furnish(struct crew *crew, unsigned env, exo_handle_t handle, exo_handle_t space);
void device(const struct me *me);

/* ---- start.S -------------------------------------------------------------------------------------------------------- */

bool try_read(const volatile uint64_t *at, uint64_t *out);
bool try_write(volatile uint64_t *at, uint64_t value);
extern char try_read_at[], try_write_at[], try_failed[];

#endif
