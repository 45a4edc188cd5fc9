/* Mutexes, condition variables and semaphores, over queues.  A mutex is handed to its first waiter when it is unlocked,
 * so nobody starves and nobody wakes in vain.
 *
 * A mutex is one word: the owner's address, and a bit that says that somebody waits.  Where nobody does, locking and
 * unlocking are one atomic step each, and an unlocked mutex is not touched again: its next owner may free it.
 * Everything else happens under sched.lock. */
#include "rt/thread_impl.h"

#include <errno.h>

#define WAITED_FOR 1ull

static uint64_t word_of(const struct os_thread *t)
{
    return (uint64_t)(uintptr_t)t;
}

static bool owned_by(const struct os_mutex *m, const struct os_thread *t)
{
    return (__atomic_load_n(&m->owner, __ATOMIC_RELAXED) & ~WAITED_FOR) == word_of(t);
}

static bool take_free(struct os_mutex *m, struct os_thread *self)
{
    uint64_t free = 0;

    arch_interleave();
    return __atomic_compare_exchange_n(&m->owner, &free, word_of(self), false, __ATOMIC_ACQUIRE,
                                       __ATOMIC_RELAXED);
}

void os_mutex_init(struct os_mutex *m, bool recursive)
{
    m->owner = 0;
    os_queue_init(&m->queue);
    m->depth = 0;
    m->recursive = recursive;
}

int os_mutex_trylock(struct os_mutex *m)
{
    struct os_thread *self = rt_self();

    if (take_free(m, self))
        return 0;
    if (!owned_by(m, self) || !m->recursive)
        return -EBUSY;
    if (m->depth == UINT32_MAX)
        return -EAGAIN;
    m->depth++;
    return 0;
}

/* Marks the mutex as waited for, or takes it if it has become free.  Under sched.lock. */
static bool take_or_mark(struct os_mutex *m, struct os_thread *self)
{
    uint64_t owner = __atomic_load_n(&m->owner, __ATOMIC_RELAXED);

    for (;;) {
        uint64_t wanted = owner ? owner | WAITED_FOR : word_of(self);

        if (__atomic_compare_exchange_n(&m->owner, &owner, wanted, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            return wanted == word_of(self);
    }
}

int os_mutex_lock_until(struct os_mutex *m, uint64_t deadline)
{
    static const struct wakes nobody;
    struct rt_vcpu *me;
    int rc = os_mutex_trylock(m);

    if (rc != -EBUSY)
        return rc;
    if (owned_by(m, rt_self()))
        return -EDEADLK;
    if (rt_dying())
        return -EBUSY;
    me = sched_lock();
    if (take_or_mark(m, me->current)) {
        sched_unlock(me, &nobody);
        return 0;
    }
    list_add_tail(&m->queue.waiters, &me->current->link);
    return sched_sleep(me, deadline, false, &nobody); /* woken as the owner */
}

int os_mutex_lock(struct os_mutex *m)
{
    return os_mutex_lock_until(m, EXO_FOREVER);
}

/* Under sched.lock.  The new owner may run as soon as it is woken, and unlock without the lock. */
static void hand_over(struct rt_vcpu *me, struct os_mutex *m, struct wakes *wakes)
{
    struct list *waiters = &m->queue.waiters, *first = waiters->next;
    struct os_thread *next;

    if (first == waiters) {
        __atomic_store_n(&m->owner, 0, __ATOMIC_RELEASE);
        return;
    }
    next = list_entry(first, struct os_thread, link);
    __atomic_store_n(&m->owner, word_of(next) | (first->next == waiters ? 0 : WAITED_FOR), __ATOMIC_RELEASE);
    sched_wake(me, next, 0, wakes);
}

int os_mutex_unlock(struct os_mutex *m)
{
    struct os_thread *self = rt_self();
    uint64_t alone = word_of(self);
    struct wakes wakes = {0, 0};
    struct rt_vcpu *me;

    if (!owned_by(m, self))
        return -EPERM;
    if (m->depth > 0) {
        m->depth--;
        return 0;
    }
    arch_interleave();
    if (__atomic_compare_exchange_n(&m->owner, &alone, 0, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
        return 0;
    me = sched_lock();
    hand_over(me, m, &wakes);
    sched_unlock(me, &wakes);
    return 0;
}

/* ---- condition variables --------------------------------------------------------------------------------- */

void os_cond_init(struct os_cond *c)
{
    os_queue_init(&c->queue);
}

/* The waiter stands in the queue before the mutex is free, so no signal can be lost. */
int os_cond_wait(struct os_cond *c, struct os_mutex *m, uint64_t deadline)
{
    unsigned depth = m->depth;
    struct wakes wakes = {0, 0};
    struct rt_vcpu *me;
    int result;

    if (!owned_by(m, rt_self()))
        return -EPERM;
    os_signals_hold();
    me = sched_lock();
    m->depth = 0;
    list_add_tail(&c->queue.waiters, &me->current->link);
    hand_over(me, m, &wakes);
    result = sched_sleep(me, deadline, false, &wakes);
    os_mutex_lock(m);
    m->depth = depth;
    os_signals_release();
    return result;
}

/* Who changed something under the mutex sees the waiters that went to sleep before. */
static void wake(struct os_cond *c, unsigned n)
{
    if (__atomic_load_n(&c->queue.waiters.next, __ATOMIC_RELAXED) != &c->queue.waiters)
        os_queue_wake(&c->queue, n);
}

void os_cond_signal(struct os_cond *c)
{
    wake(c, 1);
}

void os_cond_broadcast(struct os_cond *c)
{
    wake(c, UINT32_MAX);
}

/* ---- semaphores ------------------------------------------------------------------------------------------ */

void os_sem_init(struct os_sem *s, uint32_t count)
{
    os_queue_init(&s->queue);
    s->count = count;
}

int os_sem_wait(struct os_sem *s, uint64_t deadline)
{
    static const struct wakes nobody;
    struct rt_vcpu *me = sched_lock();

    if (s->count > 0) {
        s->count--;
        sched_unlock(me, &nobody);
        return 0;
    }
    list_add_tail(&s->queue.waiters, &me->current->link);
    return sched_sleep(me, deadline, false, &nobody);
}

int os_sem_post(struct os_sem *s)
{
    struct rt_vcpu *me = sched_lock();
    struct wakes wakes = {0, 0};
    int rc = 0;

    if (!list_empty(&s->queue.waiters))
        sched_wake(me, list_entry(s->queue.waiters.next, struct os_thread, link), 0, &wakes);
    else if (s->count == UINT32_MAX)
        rc = -EOVERFLOW;
    else
        s->count++;
    sched_unlock(me, &wakes);
    return rc;
}
