/* The scheduler: which thread runs next, and what the vcpu does when none can.
 *
 * First come, first served among ready threads.  All of it runs with signals held; each thread keeps its own depth
 * of holding across a switch. */
#include "rt/thread_impl.h"

#include <errno.h>

#include "os/exo.h"
#include "os/time.h"

struct sched sched;

void sched_init(struct os_thread *main_thread)
{
    list_init(&sched.ready);
    list_init(&sched.timed);
    os_queue_init(&sched.eventful);
    list_init(&main_thread->link);
    list_init(&main_thread->timed);
    main_thread->state = THREAD_RUNNING;
    sched.current = main_thread;
    sched.count = 1;
}

/* ---- queues --------------------------------------------------------------------------------------------- */

void os_queue_init(struct os_queue *q)
{
    list_init(&q->waiters);
}

static void timed_insert(struct os_thread *t)
{
    struct list *at = sched.timed.prev;

    while (at != &sched.timed && list_entry(at, struct os_thread, timed)->deadline > t->deadline)
        at = at->prev;
    list_add_head(at, &t->timed);
}

void sched_wake(struct os_thread *t, int result)
{
    list_remove(&t->link);
    list_remove(&t->timed);
    t->state = THREAD_READY;
    t->woken = result;
    list_add_tail(&sched.ready, &t->link);
}

void sched_add(struct os_thread *t)
{
    list_init(&t->timed);
    t->state = THREAD_READY;
    list_add_tail(&sched.ready, &t->link);
    sched.count++;
}

/* The calling thread sleeps in q; signals are held. */
static int queue_sleep(struct os_queue *q, uint64_t deadline, bool interruptible)
{
    struct os_thread *self = sched.current;

    if (interruptible && rt.pending)
        return -EINTR;
    self->state = THREAD_BLOCKED;
    self->interruptible = interruptible;
    self->deadline = deadline;
    list_add_tail(&q->waiters, &self->link);
    if (deadline != EXO_FOREVER)
        timed_insert(self);
    rt_schedule();
    return self->woken;
}

int os_queue_wait(struct os_queue *q, uint64_t deadline, bool interruptible)
{
    int result;

    os_signals_hold();
    result = queue_sleep(q, deadline, interruptible);
    os_signals_release();
    return result;
}

unsigned os_queue_wake(struct os_queue *q, unsigned n)
{
    unsigned woken = 0;

    os_signals_hold();
    while (woken < n && !list_empty(&q->waiters)) {
        sched_wake(list_entry(q->waiters.next, struct os_thread, link), 0);
        woken++;
    }
    os_signals_release();
    return woken;
}

/* ---- events --------------------------------------------------------------------------------------------- */

uint64_t os_event_take(uint64_t mask)
{
    struct exo_vcpu_page *page = os_vcpu();

    if (!(__atomic_load_n(&page->events, __ATOMIC_RELAXED) & mask))
        return 0;
    return __atomic_fetch_and(&page->events, ~mask, __ATOMIC_ACQUIRE) & mask;
}

int os_event_wait(uint64_t mask, uint64_t deadline, bool interruptible, uint64_t *got)
{
    struct os_thread *self = sched.current;
    int result = 0;

    os_signals_hold();
    self->got = os_event_take(mask);
    if (!self->got) {
        self->events = mask;
        result = queue_sleep(&sched.eventful, deadline, interruptible);
        self->events = 0;
    }
    *got = self->got;
    os_signals_release();
    return result;
}

/* Wakes the threads whose bits have come; returns the bits that the others wait for. */
static uint64_t events_deliver(void)
{
    struct list *at, *next;
    uint64_t wanted = 0;

    list_for_each_safe (at, next, &sched.eventful.waiters) {
        struct os_thread *t = list_entry(at, struct os_thread, link);

        t->got = os_event_take(t->events);
        if (t->got)
            sched_wake(t, 0);
        else
            wanted |= t->events;
    }
    return wanted;
}

/* ---- time ----------------------------------------------------------------------------------------------- */

/* Wakes the threads whose time has come; returns the next deadline. */
static uint64_t timed_expire(void)
{
    while (!list_empty(&sched.timed)) {
        struct os_thread *t = list_entry(sched.timed.next, struct os_thread, timed);

        if (t->deadline > os_ticks())
            return t->deadline;
        sched_wake(t, -ETIMEDOUT);
    }
    return EXO_FOREVER;
}

int os_sleep_until(uint64_t deadline)
{
    struct os_queue nobody;
    int result;

    os_queue_init(&nobody);
    result = os_queue_wait(&nobody, deadline, true);
    return result == -ETIMEDOUT ? 0 : result;
}

/* ---- running -------------------------------------------------------------------------------------------- */

static bool interrupt_in(struct list *head, bool by_time)
{
    for (struct list *at = head->next; at != head; at = at->next) {
        struct os_thread *t =
            by_time ? list_entry(at, struct os_thread, timed) : list_entry(at, struct os_thread, link);

        if (t->interruptible) {
            sched_wake(t, -EINTR);
            return true;
        }
    }
    return false;
}

bool rt_interrupt_one(void)
{
    struct os_thread *self = sched.current;

    if (self->state == THREAD_BLOCKED && self->interruptible) {
        sched_wake(self, -EINTR);
        return true;
    }
    return interrupt_in(&sched.eventful.waiters, false) || interrupt_in(&sched.timed, true);
}

/* No thread can run: sleep until something may have changed that. */
static void idle(uint64_t wanted, uint64_t deadline)
{
    arch_wait_intr(wanted | os_vcpu()->upcall_events, deadline, &rt.pending);
    if (!rt.pending || rt_interrupt_one())
        return;
    rt_signals_run();
}

static struct os_thread *next_ready(void)
{
    struct list *first = sched.ready.next;

    list_remove(first);
    return list_entry(first, struct os_thread, link);
}

static void run(struct os_thread *next)
{
    struct os_thread *self = sched.current;
    uint32_t hold = rt.hold;

    next->state = THREAD_RUNNING;
    if (next == self)
        return;
    sched.current = next;
    arch_switch(&self->context, &next->context);
    rt.hold = hold;
}

void rt_schedule(void)
{
    for (;;) {
        uint64_t wanted = events_deliver();
        uint64_t deadline = timed_expire();

        if (!list_empty(&sched.ready))
            break;
        idle(wanted, deadline);
    }
    run(next_ready());
    if (sched.dead && sched.dead != sched.current) {
        struct os_thread *dead = sched.dead;

        sched.dead = NULL;
        thread_free(dead);
    }
}

void os_thread_yield(void)
{
    os_signals_hold();
    sched.current->state = THREAD_READY;
    list_add_tail(&sched.ready, &sched.current->link);
    rt_schedule();
    os_signals_release();
}
