/* The scheduler: which thread runs next, and what a vcpu does when none can.
 *
 * Each vcpu has a queue of ready threads, first come, first served.  One that has none takes half of the longest queue
 * of the others; one that finds nothing sleeps in the kernel until somebody kicks it, or until what blocked threads
 * wait for.  All of it runs with signals held; each thread has its own depth of holding.
 *
 * No wakeup is lost: who makes a thread ready looks at rt.idle afterwards; who goes to sleep sets its bit in there
 * first and then looks for threads; between the two steps of each stands a full barrier. */
#include "rt/thread_impl.h"

#include <errno.h>

#include "os/exo.h"
#include "os/time.h"

struct sched sched;

#define STEAL_MAX 16u /* threads at once, so that a queue's lock is held for a bounded time */
#define BALANCE_YIELDS 8u
#define BIT(index) (1u << (index))

void sched_init(struct os_thread *main_thread)
{
    struct rt_vcpu *me = rt_vcpu();

    list_init(&sched.timed);
    list_init(&sched.interruptible);
    os_queue_init(&sched.eventful);
    list_init(&main_thread->link);
    list_init(&main_thread->timed);
    list_init(&main_thread->intr);
    list_init(&me->ready);
    me->until = EXO_FOREVER;
    main_thread->state = THREAD_RUNNING;
    main_thread->vcpu = me;
    main_thread->on = true;
    me->current = main_thread;
    sched.count = 1;
}

static bool seems_empty(const struct list *l)
{
    return __atomic_load_n(&l->next, __ATOMIC_RELAXED) == l;
}

/* ---- ready queues --------------------------------------------------------------------------------------- */

static void ready_count(struct rt_vcpu *of, uint32_t n)
{
    __atomic_store_n(&of->nready, n, __ATOMIC_RELAXED);
}

static uint32_t ready_seen(const struct rt_vcpu *of)
{
    return __atomic_load_n(&of->nready, __ATOMIC_RELAXED);
}

static void ready_push(struct rt_vcpu *me, struct rt_vcpu *to, struct os_thread *t)
{
    t->state = THREAD_READY;
    spin_lock(&to->queue, me);
    list_add_tail(&to->ready, &t->link);
    ready_count(to, to->nready + 1);
    spin_unlock(&to->queue);
}

static struct os_thread *ready_pop(struct rt_vcpu *me)
{
    struct list *first;

    if (ready_seen(me) == 0)
        return NULL;
    spin_lock(&me->queue, me);
    first = me->ready.next;
    if (first != &me->ready) {
        list_remove(first);
        ready_count(me, me->nready - 1);
    }
    spin_unlock(&me->queue);
    return first != &me->ready ? list_entry(first, struct os_thread, link) : NULL;
}

/* Whoever sees `on` false sees all that the thread's last vcpu wrote into it. */
static bool may_move(const struct os_thread *t)
{
    return !t->pinned && !__atomic_load_n(&t->on, __ATOMIC_ACQUIRE);
}

/* Half of what that queue has more than ours, from its front, and what may move of that.  They are ours from here on. */
static unsigned take_half(struct rt_vcpu *me, struct rt_vcpu *from, struct list *loot)
{
    uint32_t mine = ready_seen(me);
    struct list *at, *next;
    unsigned n = 0, want;

    spin_lock(&from->queue, me);
    want = from->nready > mine ? (unsigned)min_u64((from->nready - mine + 1) / 2, STEAL_MAX) : 0;
    list_for_each_safe (at, next, &from->ready) {
        if (n == want)
            break;
        if (may_move(list_entry(at, struct os_thread, link))) {
            list_remove(at);
            list_add_tail(loot, at);
            n++;
        }
    }
    ready_count(from, from->nready - n);
    spin_unlock(&from->queue);
    return n;
}

/* n of them; they queue here. */
static void keep(struct rt_vcpu *me, struct list *loot, unsigned n)
{
    struct list *at, *next;

    if (n == 0)
        return;
    spin_lock(&me->queue, me);
    list_for_each_safe (at, next, loot) {
        list_remove(at);
        list_add_tail(&me->ready, at);
    }
    ready_count(me, me->nready + n);
    spin_unlock(&me->queue);
}

static struct rt_vcpu *longest_queue(const struct rt_vcpu *me, uint32_t nvcpus, uint32_t tried)
{
    struct rt_vcpu *longest = NULL;

    for (uint32_t i = 0; i < nvcpus; i++) {
        struct rt_vcpu *v = rt.vcpu[i];

        if (v != me && !(tried & BIT(i)) && ready_seen(v) > (longest ? ready_seen(longest) : 0))
            longest = v;
    }
    return longest;
}

/* How many threads were taken from the longest queue from which any could be. */
static unsigned steal(struct rt_vcpu *me, struct list *loot)
{
    uint32_t nvcpus = __atomic_load_n(&rt.nvcpus, __ATOMIC_ACQUIRE), tried = 0;
    struct rt_vcpu *from;

    while ((from = longest_queue(me, nvcpus, tried))) {
        unsigned n = take_half(me, from, loot);

        if (n) {
            __atomic_store_n(&me->stolen, me->stolen + n, __ATOMIC_RELAXED);
            return n;
        }
        tried |= BIT(from->index);
    }
    return 0;
}

/* The first of the stolen threads runs now, the others queue here. */
static struct os_thread *steal_one(struct rt_vcpu *me)
{
    struct list loot, *first;
    unsigned n;

    list_init(&loot);
    n = steal(me, &loot);
    if (n == 0)
        return NULL;
    first = loot.next;
    list_remove(first);
    keep(me, &loot, n - 1);
    return list_entry(first, struct os_thread, link);
}

/* Threads that yield and never block would stay where they are: every so often, look whether another vcpu has at least
 * two more than ours, whose current one is in the queue. */
static void balance(struct rt_vcpu *me)
{
    const struct rt_vcpu *from;
    struct list loot;

    if (rt_alone() || ++me->yields % BALANCE_YIELDS)
        return;
    from = longest_queue(me, os_vcpus(), 0);
    if (!from || ready_seen(from) <= ready_seen(me))
        return;
    list_init(&loot);
    keep(me, &loot, steal(me, &loot));
}

static struct os_thread *find_work(struct rt_vcpu *me)
{
    struct os_thread *t = ready_pop(me);

    return t || rt_alone() ? t : steal_one(me);
}

/* Wakes up to n idle vcpus, those in `homes` first.  The calling one is awake. */
static void kick(uint32_t homes, unsigned n)
{
    uint32_t idle;

    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    idle = __atomic_load_n(&rt.idle, __ATOMIC_RELAXED) & ~BIT(rt_vcpu()->index);
    while (idle && n > 0) {
        uint32_t which = idle & homes ? idle & homes : idle, bit = which & -which;

        idle &= ~bit;
        if (__atomic_fetch_and(&rt.idle, ~bit, __ATOMIC_SEQ_CST) & bit) {
            (void)exo_signal(rt.vcpu[__builtin_ctz(bit)]->event, OS_EVENT_KICK);
            n--;
        }
    }
}

/* ---- the lock ------------------------------------------------------------------------------------------- */

struct rt_vcpu *sched_lock(void)
{
    struct rt_vcpu *me;

    os_signals_hold();
    me = rt_vcpu();
    spin_lock(&sched.lock, me);
    return me;
}

static void unlock_and_tell(const struct wakes *wakes)
{
    spin_unlock(&sched.lock);
    if (wakes->n && !rt_alone())
        kick(wakes->homes, wakes->n);
}

void sched_unlock(struct rt_vcpu *me, const struct wakes *wakes)
{
    (void)me;
    unlock_and_tell(wakes);
    os_signals_release();
}

void sched_wake(struct rt_vcpu *me, struct os_thread *t, int result, struct wakes *wakes)
{
    struct rt_vcpu *home = t->vcpu;

    list_remove(&t->link);
    list_remove(&t->timed);
    list_remove(&t->intr);
    t->woken = result;
    wakes->homes |= BIT(home->index);
    wakes->n++;
    ready_push(me, home, t);
}

void sched_add(struct rt_vcpu *me, struct os_thread *t)
{
    list_init(&t->timed);
    list_init(&t->intr);
    t->vcpu = me;
    __atomic_add_fetch(&sched.count, 1, __ATOMIC_RELAXED);
    ready_push(me, me, t);
    if (!rt_alone())
        kick(0, 1);
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

int sched_sleep(struct rt_vcpu *me, uint64_t deadline, bool interruptible, const struct wakes *wakes)
{
    struct os_thread *self = me->current;
    int result;

    self->state = THREAD_BLOCKED;
    self->deadline = deadline;
    if (interruptible)
        list_add_tail(&sched.interruptible, &self->intr);
    if (deadline != EXO_FOREVER)
        timed_insert(self);
    unlock_and_tell(wakes);
    rt_schedule();
    result = self->woken;
    os_signals_release();
    return result;
}

static const struct wakes nobody_woken;

int os_queue_wait_while(struct os_queue *q, const uint32_t *word, uint32_t value, uint64_t deadline,
                        bool interruptible)
{
    struct rt_vcpu *me = sched_lock();
    bool signalled = interruptible && me->current->noted & ~RT_REVOKED;

    if (signalled || (word && __atomic_load_n(word, __ATOMIC_SEQ_CST) != value)) {
        sched_unlock(me, &nobody_woken);
        return signalled ? -EINTR : 0;
    }
    list_add_tail(&q->waiters, &me->current->link);
    return sched_sleep(me, deadline, interruptible, &nobody_woken);
}

int os_queue_wait(struct os_queue *q, uint64_t deadline, bool interruptible)
{
    return os_queue_wait_while(q, NULL, 0, deadline, interruptible);
}

unsigned os_queue_wake(struct os_queue *q, unsigned n)
{
    struct rt_vcpu *me = sched_lock();
    struct wakes wakes = {0, 0};

    while (wakes.n < n && !list_empty(&q->waiters))
        sched_wake(me, list_entry(q->waiters.next, struct os_thread, link), 0, &wakes);
    n = wakes.n;
    sched_unlock(me, &wakes);
    return n;
}

/* ---- events --------------------------------------------------------------------------------------------- */

uint64_t os_event_take(uint64_t mask)
{
    struct exo_vcpu_page *page = rt_main_page();

    if (!(__atomic_load_n(&page->events, __ATOMIC_RELAXED) & mask))
        return 0;
    return __atomic_fetch_and(&page->events, ~mask, __ATOMIC_ACQUIRE) & mask;
}

/* Only the main vcpu can sleep until a bit comes: if it does, it has to look again for which. */
int os_event_wait(uint64_t mask, uint64_t deadline, bool interruptible, uint64_t *got)
{
    struct rt_vcpu *me = sched_lock();
    struct os_thread *self = me->current;
    struct wakes wakes = {0, 0};
    int result = 0;

    self->got = os_event_take(mask);
    if (self->got || (interruptible && self->noted & ~RT_REVOKED)) {
        *got = self->got;
        sched_unlock(me, &wakes);
        return *got ? 0 : -EINTR;
    }
    self->events = mask;
    list_add_tail(&sched.eventful.waiters, &self->link);
    if (__atomic_load_n(&rt.idle, __ATOMIC_RELAXED) & BIT(0))
        wakes = (struct wakes){BIT(0), 1};
    result = sched_sleep(me, deadline, interruptible, &wakes);
    *got = self->got;
    return result;
}

/* Wakes the threads whose bits have come; returns the bits that the others wait for. */
static uint64_t events_deliver(struct rt_vcpu *me, struct wakes *wakes)
{
    struct list *at, *next;
    uint64_t wanted = 0;

    list_for_each_safe (at, next, &sched.eventful.waiters) {
        struct os_thread *t = list_entry(at, struct os_thread, link);

        t->got = os_event_take(t->events);
        if (t->got)
            sched_wake(me, t, 0, wakes);
        else
            wanted |= t->events;
    }
    return wanted;
}

/* ---- time ----------------------------------------------------------------------------------------------- */

/* Wakes the threads whose time has come; returns the next deadline. */
static uint64_t timed_expire(struct rt_vcpu *me, struct wakes *wakes)
{
    while (!list_empty(&sched.timed)) {
        struct os_thread *t = list_entry(sched.timed.next, struct os_thread, timed);

        if (t->deadline > os_ticks())
            return t->deadline;
        sched_wake(me, t, -ETIMEDOUT, wakes);
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

/* Does another vcpu sleep no longer than to this deadline? */
static bool covered(const struct rt_vcpu *me, uint64_t deadline)
{
    uint32_t idle = __atomic_load_n(&rt.idle, __ATOMIC_RELAXED) & ~BIT(me->index);

    for (; idle; idle &= idle - 1) {
        if (__atomic_load_n(&rt.vcpu[__builtin_ctz(idle)]->until, __ATOMIC_RELAXED) <= deadline)
            return true;
    }
    return false;
}

/* This vcpu goes on to run a thread: if others are idle, one of them must wake in time for the next deadline. */
static void cover_deadline(struct rt_vcpu *me)
{
    bool bare;

    if (seems_empty(&sched.timed) || !__atomic_load_n(&rt.idle, __ATOMIC_RELAXED))
        return;
    spin_lock(&sched.lock, me);
    bare = !list_empty(&sched.timed) &&
           !covered(me, list_entry(sched.timed.next, struct os_thread, timed)->deadline);
    spin_unlock(&sched.lock);
    if (bare)
        kick(0, 1);
}

/* ---- running -------------------------------------------------------------------------------------------- */

/* What blocked threads wait for may have come while others ran. */
static void deliver(struct rt_vcpu *me)
{
    struct wakes wakes = {0, 0};

    if (seems_empty(&sched.eventful.waiters) && seems_empty(&sched.timed))
        return;
    spin_lock(&sched.lock, me);
    events_deliver(me, &wakes);
    timed_expire(me, &wakes);
    unlock_and_tell(&wakes);
}

/* Whose signals this idle vcpu has got, it wakes; else a thread that may be interrupted gets them.  False: nobody may. */
static bool interrupt_one(struct rt_vcpu *me)
{
    struct os_thread *self = me->current, *t = NULL;
    struct wakes wakes = {0, 0};

    spin_lock(&sched.lock, me);
    if (self->state == THREAD_READY || !list_empty(&self->intr))
        t = self;
    for (struct list *at = sched.interruptible.next; !t && at != &sched.interruptible; at = at->next) {
        struct os_thread *other = list_entry(at, struct os_thread, intr);

        if (self->noted & ~RT_REVOKED & ~other->blocked)
            t = other;
    }
    if (t && t != self)
        __atomic_fetch_or(&t->noted,
                          __atomic_fetch_and(&self->noted, t->blocked | RT_REVOKED, __ATOMIC_RELAXED) &
                              ~(t->blocked | RT_REVOKED),
                          __ATOMIC_RELAXED);
    if (t && t->state == THREAD_BLOCKED)
        sched_wake(me, t, -EINTR, &wakes);
    unlock_and_tell(&wakes);
    return t != NULL;
}

/* Signals that came for a vcpu without threads.  Where nobody may be interrupted, and for notices of revocation, which
 * interrupt nobody, the vcpu's own thread runs the handlers; where there is none, the thread that ran last, which is
 * blocked: the vcpu is alone then. */
static struct os_thread *idle_signals(struct rt_vcpu *me)
{
    struct os_thread *self = me->current;

    if (!self->noted || (self->noted & ~RT_REVOKED && interrupt_one(me)))
        return NULL;
    if (!me->idle)
        rt_signals_run();
    else if (me->idle->state == THREAD_IDLE)
        return me->idle;
    else
        rt_signals_return(__atomic_exchange_n(&self->noted, 0, __ATOMIC_RELAXED));
    return NULL;
}

/* Marks this vcpu idle and says what it has to wake for. */
static uint64_t idle_begin(struct rt_vcpu *me, uint64_t *wanted)
{
    struct wakes wakes = {0, 0};
    uint64_t deadline;

    if (!rt_alone())
        __atomic_fetch_or(&rt.idle, BIT(me->index), __ATOMIC_SEQ_CST);
    spin_lock(&sched.lock, me);
    *wanted = events_deliver(me, &wakes);
    deadline = timed_expire(me, &wakes);
    if (covered(me, deadline))
        deadline = EXO_FOREVER;
    __atomic_store_n(&me->until, deadline, __ATOMIC_RELAXED);
    wakes.n -= wakes.homes == BIT(me->index); /* one of them we take */
    unlock_and_tell(&wakes);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return deadline;
}

static void idle_end(struct rt_vcpu *me)
{
    if (rt_alone())
        return;
    __atomic_fetch_and(&rt.idle, ~BIT(me->index), __ATOMIC_SEQ_CST);
    __atomic_fetch_and(&rt_page_of(me)->events, ~OS_EVENT_KICK, __ATOMIC_ACQUIRE);
    __atomic_store_n(&me->until, EXO_FOREVER, __ATOMIC_RELAXED);
}

/* No thread can run: sleep until something may have changed that.  A thread, if there is one after all. */
static struct os_thread *idle(struct rt_vcpu *me)
{
    struct exo_vcpu_page *page = rt_page_of(me);
    uint64_t wanted, deadline = idle_begin(me, &wanted), listened;
    struct os_thread *t = find_work(me);

    listened = __atomic_load_n(&page->upcall_events, __ATOMIC_RELAXED);
    if (me->idle && me->idle->state == THREAD_IDLE)
        rt_revoked_recall(me); /* who put it off may go on elsewhere */
    if (!t)
        arch_wait_intr((me->index == 0 ? wanted : 0) | OS_EVENT_KICK | listened, deadline,
                       &me->current->noted);
    idle_end(me);
    return t ? t : idle_signals(me);
}

void sched_switched(void)
{
    struct rt_vcpu *me = rt_vcpu();
    struct os_thread *left = me->left, *dead = me->dead;
    bool moves;

    me->left = me->dead = NULL;
    if (left->noted)
        rt_signals_return(__atomic_exchange_n(&left->noted, 0, __ATOMIC_RELAXED));
    moves = left->state == THREAD_MOVING;
    __atomic_store_n(&left->on, false, __ATOMIC_RELEASE);
    if (moves) {
        ready_push(me, rt.vcpu[0], left);
        kick(BIT(0), 1);
    } else if (!rt_alone()) {
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        if (ready_seen(me) && __atomic_load_n(&rt.idle, __ATOMIC_RELAXED))
            kick(0, 1); /* what could not be taken from us before may be taken now */
    }
    if (__atomic_load_n(&rt.pending, __ATOMIC_RELAXED))
        rt_signals_claim(me->current);
    rt_revoked_recall(me);
    if (dead)
        thread_free(dead);
}

static void run(struct rt_vcpu *me, struct os_thread *next)
{
    struct os_thread *self = me->current;

    if (next->state != THREAD_IDLE)
        next->state = THREAD_RUNNING;
    if (next == self)
        return;
    next->vcpu = me;
    __atomic_store_n(&next->on, true, __ATOMIC_RELAXED);
    me->left = self;
    me->current = next;
    arch_switch(&self->context, &next->context);
    sched_switched();
}

/* Where to stand meanwhile, when the thread that ran last has ended or left. */
static struct os_thread *own_thread(const struct rt_vcpu *me)
{
    enum thread_state state = me->current->state;
    bool gone = state == THREAD_ENDED || state == THREAD_MOVING;

    return gone && me->idle && me->idle->state == THREAD_IDLE ? me->idle : NULL;
}

void rt_schedule(void)
{
    struct rt_vcpu *me = rt_vcpu();
    struct os_thread *next;

    do {
        deliver(me);
        next = find_work(me);
        if (!next)
            next = own_thread(me);
        if (!next)
            next = idle(me);
    } while (!next);
    if (!rt_alone() && next->state != THREAD_IDLE)
        cover_deadline(me);
    run(me, next);
}

void sched_idle_life(void)
{
    struct os_thread *self = rt_self();

    if (rt_vcpu()->left)
        sched_switched();
    for (;;) {
        self->state = THREAD_RUNNING;
        while (rt_signals_run()) {
        }
        self->state = THREAD_IDLE;
        rt_schedule();
    }
}

void sched_wait_off(struct os_thread *t)
{
    while (__atomic_load_n(&t->on, __ATOMIC_ACQUIRE)) {
        arch_interleave();
        spin_give_way(t->vcpu->index);
    }
}

void os_thread_yield(void)
{
    struct rt_vcpu *me;

    os_signals_hold();
    me = rt_vcpu();
    ready_push(me, me, me->current);
    balance(me);
    rt_schedule();
    os_signals_release();
}

/* Whoever runs next here puts it into the main vcpu's queue, when nobody stands on its stack any more. */
void os_thread_pin(bool pinned)
{
    struct os_thread *self;

    os_signals_hold();
    self = rt_self();
    self->pinned = pinned;
    if (pinned && rt_vcpu()->index != 0) {
        self->state = THREAD_MOVING;
        rt_schedule();
    }
    os_signals_release();
}
