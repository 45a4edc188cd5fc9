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

#include "os/exo.h"

/* ---- sizes ----------------------------------------------------------------------------------------------------- */

#define SLOTS 5u    /* environments that one driver has at a time */
#define CREW_MAX 4u /* vcpus in one of them */
#define NENVS (EXO_CPUS_MAX * SLOTS)
#define NWORKERS (NENVS * CREW_MAX)
#define FRIENDS 4u /* gates and events of others that an environment is given */
#define RW ((uint64_t)EXO_PROT_READ | EXO_PROT_WRITE)

/* ---- what drivers and workers share ------------------------------------------------------------------------------- */

/* What an environment does. */
enum trade {
    TRADE_RING,   /* each wakes the next, round and round */
    TRADE_OFFICE, /* one answers the others' calls */
    TRADE_PAGES,  /* one binds, unbinds and protects a page, the others look at it */
    TRADE_HOUSE,  /* each answers calls of other environments, or forgets to */
    TRADE_CHAOS,  /* whatever comes to mind */
    NTRADES
};

struct crew {
    unsigned trade, count;
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
    uint64_t doing;
};
extern struct worker workers[NWORKERS];

extern const struct exo_system *machine;
extern uint64_t worker_work; /* by all, counted loosely */

/* ---- main.c --------------------------------------------------------------------------------------------------------- */

/* Something that must not be was seen: the machine stops with this line. */
_Noreturn void wrong(const char *what, uint64_t a, uint64_t b);
struct exo_vcpu_page *my_page(void);
uint64_t now(void);
uint64_t after_ms(uint64_t ms);
uint64_t roll(uint64_t *dice, uint64_t n); /* below n */

/* ---- work.c --------------------------------------------------------------------------------------------------------- */

/* The crew's place and the worker's in it; ends when somebody ends it. */
void work(unsigned env, unsigned place);
void work_upcall(uint64_t reason, uint64_t info, uint64_t detail);

/* ---- start.S -------------------------------------------------------------------------------------------------------- */

bool try_read(const volatile uint64_t *at, uint64_t *out);
bool try_write(volatile uint64_t *at, uint64_t value);
extern char try_read_at[], try_write_at[], try_failed[];

#endif
