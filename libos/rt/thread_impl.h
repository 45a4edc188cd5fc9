/* A thread, as rt sees it, and the scheduler's lists.
 *
 *     ready ----> running ----> blocked in a queue (and by deadline in `timed`, in bits in `eventful`) ----> ready
 *                    |
 *                    +--------> ended ----> joined or detached: its stack goes to the cache or is unmapped
 *
 * A thread's structure lies at the top of its own stack region, which is bound from the start. */
#ifndef RT_THREAD_IMPL_H
#define RT_THREAD_IMPL_H

#include "rt/rt.h"

enum thread_state { THREAD_READY, THREAD_RUNNING, THREAD_BLOCKED, THREAD_ENDED };

struct os_thread {
    struct arch_context context;
    struct list link;  /* in sched.ready, or in the queue that it is blocked in */
    struct list timed; /* in sched.timed, while it has a deadline */
    enum thread_state state;
    bool interruptible;
    bool detached;
    bool claimed; /* somebody joins it */
    int woken;    /* what its os_queue_wait returns */
    uint64_t deadline;
    uint64_t events; /* bits that it waits for, */
    uint64_t got;    /* and that came */
    void *local;
    void *(*fn)(void *);
    void *arg;
    void *result;
    const char *name;
    uint64_t stack_va; /* its region */
    uint64_t stack_pages;
    uint64_t tls;
    struct os_queue joiners;
};

struct sched {
    struct os_thread *current;
    struct list ready;
    struct list timed;        /* by deadline, earliest first */
    struct os_queue eventful; /* threads that wait for event bits */
    struct os_thread *dead;   /* ended and detached: to be freed by whoever runs next */
    unsigned count;
};
extern struct sched sched;

void sched_init(struct os_thread *main_thread);
/* Take a blocked thread out of all lists and make it ready; its wait returns `result`. */
void sched_wake(struct os_thread *t, int result);
/* Make a new thread ready. */
void sched_add(struct os_thread *t);
void thread_free(struct os_thread *t);

#endif
