/* A thread, as rt sees it, and the scheduler's lists.
 *
 *     ready ----> running ----> blocked in a queue (and by deadline in `timed`) ----> ready
 *                    |
 *                    +--------> ended ----> joined or detached: its stack goes to the cache or is unmapped
 *
 * A thread is one vcpu's at a time: of the one that runs it, or of the one that took it out of a ready queue, under that
 * queue's lock; from then on nobody else touches it, and no lock is held.  A blocked one is sched.lock's.  A thread
 * that is woken goes to the queue of the vcpu where it ran last; another vcpu may take it from there as soon as `on`
 * is false: until then its own vcpu may still stand on its stack.
 *
 * A thread's structure lies at the top of its own stack region, which is bound from the start. */
#ifndef RT_THREAD_IMPL_H
#define RT_THREAD_IMPL_H

#include "rt/rt.h"
#include "rt/spin.h"

enum thread_state {
    THREAD_READY,
    THREAD_RUNNING,
    THREAD_BLOCKED,
    THREAD_ENDED,
    THREAD_MOVING, /* to the main vcpu */
    THREAD_IDLE,   /* a vcpu's own, while it has nothing to do */
};

/* Who may touch a field: o, whose the thread is (above); w, the holder of sched.lock; u, the thread itself and upcalls
 * of its vcpu; -, set before the thread can run. */
struct os_thread {
    struct arch_context context; /* o */
    struct list link;            /* q or w: in a vcpu's ready queue, or in the queue that it is blocked in */
    struct list timed;           /* w: in sched.timed, while it has a deadline */
    struct list intr;            /* w: in sched.interruptible, while a signal may wake it */
    struct rt_vcpu *vcpu;        /* o: where it runs, or ran last */
    enum thread_state state;     /* o or w */
    bool on;                     /* a vcpu stands on its stack; atomic */
    bool pinned;                 /* u: stays on the vcpu where it is */
    bool detached;               /* w */
    bool claimed;                /* w: somebody joins it */
    uint32_t hold;               /* u: > 0: signals are noted in `noted` instead of delivered */
    uint64_t ran;                /* u: handlers that it has run */
    uint64_t noted;    /* u, and w while it is blocked: signals that it will handle, and RT_REVOKED; atomic */
    uint64_t blocked;  /* u: signals that it must not get; none of them is in `noted` for long */
    int woken;         /* w: what its os_queue_wait returns */
    uint64_t deadline; /* w */
    uint64_t events;   /* w: bits that it waits for, */
    uint64_t got;      /* and that came */
    void *local;       /* - */
    void *(*fn)(void *); /* - */
    void *arg;           /* - */
    void *result;        /* w */
    const char *name;    /* - */
    uint64_t stack_va;   /* - its region */
    uint64_t stack_pages;
    uint64_t tls;
    struct os_queue joiners; /* w */
};

/* Signals held: if notices wait on this vcpu, the thread that runs here is to tell of them. */
static inline void rt_revoked_recall(struct rt_vcpu *me)
{
    if (__atomic_load_n(&me->revoked, __ATOMIC_RELAXED))
        __atomic_fetch_or(&me->current->noted, RT_REVOKED, __ATOMIC_RELAXED);
}

struct sched {
    struct rt_spin lock;       /* w: all queues of blocked threads, and who waits in them */
    struct list timed;         /* w: by deadline, earliest first */
    struct list interruptible; /* w: blocked threads that a signal may wake */
    struct os_queue eventful;  /* w: threads that wait for event bits */
    uint32_t count;            /* w: threads that exist; atomic */
};
extern struct sched sched;

/* Threads that were woken under sched.lock, and whose vcpus are to be told when it is free. */
struct wakes {
    uint32_t homes; /* bits: vcpus */
    unsigned n;
};

void sched_init(struct os_thread *main_thread);

/* Signals are held between these; sched_unlock tells the vcpus. */
struct rt_vcpu *sched_lock(void);
void sched_unlock(struct rt_vcpu *me, const struct wakes *wakes);

/* Under sched.lock: take a blocked thread out of all lists and make it ready; its wait returns `result`. */
void sched_wake(struct rt_vcpu *me, struct os_thread *t, int result, struct wakes *wakes);
/* Under sched.lock, taken by sched_lock: the calling thread, which stands in a queue by `link`, sleeps; sched.lock and
 * the hold are gone afterwards.  What it was woken with. */
int sched_sleep(struct rt_vcpu *me, uint64_t deadline, bool interruptible, const struct wakes *wakes);

/* Make a new thread ready; signals are held. */
void sched_add(struct rt_vcpu *me, struct os_thread *t);
/* After a switch, in the thread that runs now: the one before is done with. */
void sched_switched(void);
/* Until no vcpu stands on an ended thread's stack. */
void sched_wait_off(struct os_thread *t);
/* The life of a vcpu's own thread. */
_Noreturn void sched_idle_life(void);

/* A thread's structure at the top of a stack; *top receives where the stack itself ends. */
struct os_thread *thread_place(uint64_t va, uint64_t npages, uint64_t *top);
void thread_free(struct os_thread *t);
/* A thread for a vcpu to stand on; NULL: no memory.  *top as above. */
struct os_thread *thread_new_idle(uint64_t *top);

#endif
