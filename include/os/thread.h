/* Threads of this process, scheduled by the libOS on its virtual processors: several run at the same time, each until it
 * blocks, yields or ends.  Each has its own stack with a guard page below it, newlib state and thread-local storage.
 *
 * Results: 0 or a negative errno value.  Deadlines are absolute ticks of the counter (os/time.h), EXO_FOREVER
 * for none.  None of these may be called from upcall handlers. */
#ifndef OS_THREAD_H
#define OS_THREAD_H

#include "base/list.h"
#include "exo/abi.h"

struct os_thread;

struct os_thread_attr {
    const char *name;     /* kept by reference; NULL: none */
    uint64_t stack_pages; /* 0: 64 KiB; the stack is bound on demand, up to this */
    bool detached;
};

/* Start fn(arg) in a new thread; attr may be NULL.  Its end is fn's return or os_thread_exit.
 * -ENOMEM, -EINVAL (stack of more than 2^18 pages). */
int os_thread_create(struct os_thread **out, const struct os_thread_attr *attr, void *(*fn)(void *),
                     void *arg);
/* End the calling thread; in the main thread: wait for all others, then exit(0). */
_Noreturn void os_thread_exit(void *result);
/* Wait for a thread's end and take its result (out may be NULL): -EINVAL (detached, or joined by another),
 * -EDEADLK (oneself). */
int os_thread_join(struct os_thread *t, void **result);
int os_thread_detach(struct os_thread *t);
void os_thread_yield(void);
struct os_thread *os_thread_self(void);
const char *os_thread_name(const struct os_thread *t);
/* Threads that exist, the caller included. */
unsigned os_thread_count(void);

/* A queue of blocked threads, the base of everything below and of whatever else wants to block.
 * os_queue_wait: 0 when woken, -ETIMEDOUT, or, if `interruptible`, -EINTR after a signal's handler ran.
 * A wakeup between a look at some state and os_queue_wait finds nobody.  Where another vcpu may come in between, let
 * os_queue_wait_while look: it sleeps only if the word (NULL: none) still has that value, and answers 0 if not.  Who
 * changes the word does so atomically, before os_queue_wake. */
struct os_queue {
    struct list waiters;
};
#define OS_QUEUE_INIT(q)                                                                                     \
    {                                                                                                        \
        {                                                                                                    \
            &(q).waiters, &(q).waiters                                                                       \
        }                                                                                                    \
    }
void os_queue_init(struct os_queue *q);
int os_queue_wait(struct os_queue *q, uint64_t deadline, bool interruptible);
int os_queue_wait_while(struct os_queue *q, const uint32_t *word, uint32_t value, uint64_t deadline,
                        bool interruptible);
/* Wake the first n waiters; returns how many there were to wake. */
unsigned os_queue_wake(struct os_queue *q, unsigned n);

/* Mutexes. */
struct os_mutex {
    uint64_t owner; /* its address; bit 0: others wait.  0: nobody */
    struct os_queue queue;
    unsigned depth; /* recursive ones: how often the owner holds it, less one */
    bool recursive;
};
#define OS_MUTEX_INIT(m)                                                                                     \
    {                                                                                                        \
        .queue = OS_QUEUE_INIT((m).queue)                                                                    \
    }
#define OS_MUTEX_INIT_RECURSIVE(m)                                                                           \
    {                                                                                                        \
        .queue = OS_QUEUE_INIT((m).queue), .recursive = true                                                 \
    }
void os_mutex_init(struct os_mutex *m, bool recursive);
int os_mutex_lock(struct os_mutex *m);                          /* -EDEADLK: held by oneself, not recursive */
int os_mutex_lock_until(struct os_mutex *m, uint64_t deadline); /* also -ETIMEDOUT */
int os_mutex_trylock(struct os_mutex *m);                       /* -EBUSY */
int os_mutex_unlock(struct os_mutex *m);                        /* -EPERM: not the owner */

/* Condition variables. */
struct os_cond {
    struct os_queue queue;
};
#define OS_COND_INIT(c)                                                                                      \
    {                                                                                                        \
        OS_QUEUE_INIT((c).queue)                                                                             \
    }
void os_cond_init(struct os_cond *c);
/* The mutex is held on entry and on return, with any result: 0, -ETIMEDOUT, -EPERM (mutex not held). */
int os_cond_wait(struct os_cond *c, struct os_mutex *m, uint64_t deadline);
void os_cond_signal(struct os_cond *c);
void os_cond_broadcast(struct os_cond *c);

/* Counting semaphores. */
struct os_sem {
    struct os_queue queue;
    uint32_t count;
};
void os_sem_init(struct os_sem *s, uint32_t count);
int os_sem_wait(struct os_sem *s, uint64_t deadline); /* -ETIMEDOUT */
int os_sem_post(struct os_sem *s);                    /* -EOVERFLOW */

/* ---- virtual processors ---------------------------------------------------------------------------------- */

/* A program starts on one, its main vcpu.  When a thread becomes ready and no vcpu is idle, the run time makes another,
 * up to os_vcpus_limit(): the manifest's `vcpus`, or else the machine's CPUs.  Each is pinned to a CPU, the first
 * to the program's own, the others to the next ones. */
#define OS_VCPUS_MAX 16u

unsigned os_cpus(void);        /* of the machine */
unsigned os_vcpus(void);       /* that this program has now */
unsigned os_vcpus_limit(void); /* how many it may have by itself */

/* Have n vcpus at least, n at most OS_VCPUS_MAX, also more than the limit: 0, or -EINVAL, -ENOMEM.  Where a CPU cannot be
 * had, the program's own takes its place. */
int os_vcpus_start(unsigned n);

/* Keep the calling thread on the main vcpu, where gates lead to and event bits come, or let it go again. */
void os_thread_pin(bool pinned);

/* Threads that vcpus have taken from each other since the start. */
uint64_t os_vcpus_stolen(void);

#endif
