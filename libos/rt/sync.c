/* Mutexes and condition variables, over queues.  A mutex is handed to its first waiter when it is unlocked,
 * so nobody starves and nobody wakes in vain. */
#include "rt/thread_impl.h"

#include <errno.h>

void os_mutex_init(struct os_mutex *m, bool recursive)
{
    m->owner = NULL;
    os_queue_init(&m->queue);
    m->depth = 0;
    m->recursive = recursive;
}

int os_mutex_trylock(struct os_mutex *m)
{
    struct os_thread *self = sched.current;

    if (m->owner == NULL) {
        m->owner = self;
        return 0;
    }
    if (m->owner != self || !m->recursive)
        return -EBUSY;
    if (m->depth == UINT32_MAX)
        return -EAGAIN;
    m->depth++;
    return 0;
}

int os_mutex_lock_until(struct os_mutex *m, uint64_t deadline)
{
    int rc = os_mutex_trylock(m);

    if (rc != -EBUSY)
        return rc;
    if (m->owner == sched.current)
        return -EDEADLK;
    return os_queue_wait(&m->queue, deadline, false); /* woken as the owner */
}

int os_mutex_lock(struct os_mutex *m)
{
    return os_mutex_lock_until(m, EXO_FOREVER);
}

static void hand_over(struct os_mutex *m)
{
    struct list *first = m->queue.waiters.next;

    m->owner = NULL;
    if (first != &m->queue.waiters) {
        m->owner = list_entry(first, struct os_thread, link);
        sched_wake(m->owner, 0);
    }
}

int os_mutex_unlock(struct os_mutex *m)
{
    if (m->owner != sched.current)
        return -EPERM;
    if (m->depth > 0) {
        m->depth--;
        return 0;
    }
    if (list_empty(&m->queue.waiters)) {
        m->owner = NULL;
        return 0;
    }
    os_signals_hold();
    hand_over(m);
    os_signals_release();
    return 0;
}

void os_cond_init(struct os_cond *c)
{
    os_queue_init(&c->queue);
}

/* Nothing runs between the unlock and the wait, so no signal can be lost. */
int os_cond_wait(struct os_cond *c, struct os_mutex *m, uint64_t deadline)
{
    unsigned depth = m->depth;
    int result;

    if (m->owner != sched.current)
        return -EPERM;
    os_signals_hold();
    m->depth = 0;
    hand_over(m);
    result = os_queue_wait(&c->queue, deadline, false);
    os_mutex_lock(m);
    m->depth = depth;
    os_signals_release();
    return result;
}

void os_cond_signal(struct os_cond *c)
{
    os_queue_wake(&c->queue, 1);
}

void os_cond_broadcast(struct os_cond *c)
{
    os_queue_wake(&c->queue, UINT32_MAX);
}
