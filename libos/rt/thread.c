/* Threads: making, ending, joining.
 *
 * A thread's region, from the top down: thread-local variables, struct os_thread, libc's state, the stack.
 * The stacks of the last few that ended are kept for the next, their upper pages still bound. */
#include "rt/thread_impl.h"

#include <errno.h>

#include "os/exo.h"

#define STACK_PAGES_DEFAULT 16u
#define STACK_PAGES_MAX (1u << 18)
#define CACHE_MAX 8u

static const struct rt_local *local_hooks;
static const struct rt_local no_local;
static struct {
    struct rt_spin lock;
    uint64_t va[CACHE_MAX]; /* of default size */
    unsigned count;
} cache;

void rt_set_local(const struct rt_local *local, void *main_local)
{
    local_hooks = local;
    rt_self()->local = main_local;
}

static const struct rt_local *hooks(void)
{
    return local_hooks ? local_hooks : &no_local;
}

uint64_t rt_thread_bytes(void)
{
    return align_up(arch_tls_bytes() + sizeof(struct os_thread) + hooks()->bytes + 64, 16);
}

struct os_thread *thread_place(uint64_t va, uint64_t npages, uint64_t *top)
{
    uint64_t bottom, tls = arch_tls_init(va + npages * PAGE_SIZE, &bottom);
    struct os_thread *t = (struct os_thread *)align_down(bottom - sizeof(struct os_thread), 16);

    *t = (struct os_thread){.stack_va = va, .stack_pages = npages, .tls = tls};
    list_init(&t->link);
    list_init(&t->timed);
    list_init(&t->intr);
    arch_tls_set_self(tls, t);
    os_queue_init(&t->joiners);
    *top = align_down((uint64_t)t - hooks()->bytes, 16);
    t->local = (void *)*top;
    return t;
}

/* ---- stacks --------------------------------------------------------------------------------------------- */

static int stack_take(uint64_t npages, uint64_t *va)
{
    *va = 0;
    if (npages == STACK_PAGES_DEFAULT) {
        spin_lock(&cache.lock, rt_vcpu());
        if (cache.count)
            *va = cache.va[--cache.count];
        spin_unlock(&cache.lock);
    }
    return *va ? 0 : rt_memory->stack_new(npages, rt_thread_bytes() + PAGE_SIZE, va);
}

void thread_free(struct os_thread *t)
{
    uint64_t va = t->stack_va, npages = t->stack_pages;

    if (npages == STACK_PAGES_DEFAULT) {
        spin_lock(&cache.lock, rt_vcpu());
        if (cache.count < CACHE_MAX) {
            cache.va[cache.count++] = va;
            va = 0;
        }
        spin_unlock(&cache.lock);
    }
    if (va)
        rt_memory->stack_free(va, npages);
}

/* ---- life ----------------------------------------------------------------------------------------------- */

static void thread_entry(void)
{
    struct os_thread *self = rt_self();

    sched_switched();
    os_signals_release();
    os_thread_exit(self->fn(self->arg));
}

/* A thread's structure on a stack of its own. */
static int thread_make(uint64_t npages, struct os_thread **out, uint64_t *top)
{
    uint64_t va;
    int rc = stack_take(npages, &va);

    if (rc)
        return rc;
    *out = thread_place(va, npages, top);
    if (hooks()->init)
        hooks()->init((*out)->local);
    return 0;
}

int os_thread_create(struct os_thread **out, const struct os_thread_attr *attr, void *(*fn)(void *),
                     void *arg)
{
    uint64_t npages = attr && attr->stack_pages ? attr->stack_pages : STACK_PAGES_DEFAULT;
    uint64_t need = rt_thread_bytes() + PAGE_SIZE;
    struct os_thread *t;
    uint64_t top;
    int rc = 0;

    if (npages > STACK_PAGES_MAX || need >> PAGE_SHIFT >= npages)
        return -EINVAL;
    os_signals_hold();
    rc = thread_make(npages, &t, &top);
    if (!rc) {
        t->fn = fn;
        t->arg = arg;
        t->name = attr ? attr->name : NULL;
        t->detached = attr && attr->detached;
        t->blocked = rt_self()->blocked;
        t->hold = 1;
        arch_context_init(&t->context, top, thread_entry, t->tls);
        if (out)
            *out = t;
        rt_vcpus_grow();
        sched_add(rt_vcpu(), t);
        if (os_thread_count() == 2 && rt_self()->blocked) { /* what one thread blocks, another may not */
            rt_signals_lock();
            rt_signals_listen();
            rt_signals_unlock();
        }
    }
    os_signals_release();
    return rc;
}

static void idle_entry(void)
{
    sched_idle_life();
}

struct os_thread *thread_new_idle(uint64_t *top)
{
    struct os_thread *t;

    if (thread_make(STACK_PAGES_DEFAULT, &t, top))
        return NULL;
    t->name = "idle";
    t->state = THREAD_IDLE;
    t->pinned = true;
    t->hold = 1;
    arch_context_init(&t->context, *top, idle_entry, t->tls);
    return t;
}

static struct os_queue last_one = OS_QUEUE_INIT(last_one);

/* The main thread cannot give its stack away: it waits for the others, then ends the process. */
static _Noreturn void main_exit(void)
{
    uint32_t count;

    while ((count = __atomic_load_n(&sched.count, __ATOMIC_ACQUIRE)) > 1)
        os_queue_wait_while(&last_one, &sched.count, count, EXO_FOREVER, false);
    if (hooks()->exit)
        hooks()->exit(0);
    for (;;)
        exo_env_exit(0);
}

static bool is_main(const struct os_thread *t)
{
    return t->fn == NULL;
}

static void wake_all(struct rt_vcpu *me, struct os_queue *q, struct wakes *wakes)
{
    while (!list_empty(&q->waiters))
        sched_wake(me, list_entry(q->waiters.next, struct os_thread, link), 0, wakes);
}

void os_thread_exit(void *result)
{
    struct os_thread *self = rt_self();
    struct wakes wakes = {0, 0};
    struct rt_vcpu *me;

    if (is_main(self))
        main_exit();
    if (hooks()->fini)
        hooks()->fini(self->local);
    os_signals_hold();
    me = sched_lock();
    self->result = result;
    self->state = THREAD_ENDED;
    __atomic_sub_fetch(&sched.count, 1, __ATOMIC_RELEASE);
    wake_all(me, &last_one, &wakes);
    wake_all(me, &self->joiners, &wakes);
    me->dead = self->detached ? self : NULL; /* whoever runs next frees us: we still stand on that stack */
    sched_unlock(me, &wakes);
    rt_schedule();
    __builtin_trap();
}

/* Claims it for the only one that may join or detach it: 0 or -EINVAL. */
static int claim(struct os_thread *t)
{
    return t->detached || t->claimed ? -EINVAL : 0;
}

int os_thread_join(struct os_thread *t, void **result)
{
    static const struct wakes nobody;
    struct rt_vcpu *me;
    int rc;

    if (t == rt_self())
        return -EDEADLK;
    me = sched_lock();
    rc = claim(t);
    if (rc || t->state == THREAD_ENDED) {
        t->claimed |= !rc;
        sched_unlock(me, &nobody);
    } else {
        t->claimed = true;
        list_add_tail(&t->joiners.waiters, &me->current->link);
        sched_sleep(me, EXO_FOREVER, false, &nobody);
    }
    if (rc)
        return rc;
    sched_wait_off(t);
    if (result)
        *result = t->result;
    os_signals_hold();
    thread_free(t);
    os_signals_release();
    return 0;
}

int os_thread_detach(struct os_thread *t)
{
    static const struct wakes nobody;
    struct rt_vcpu *me = sched_lock();
    int rc = claim(t);
    bool ended = t->state == THREAD_ENDED;

    if (!rc)
        t->detached = true;
    sched_unlock(me, &nobody);
    if (rc || !ended)
        return rc;
    sched_wait_off(t);
    os_signals_hold();
    thread_free(t);
    os_signals_release();
    return 0;
}

/* ---- looking -------------------------------------------------------------------------------------------- */

struct os_thread *os_thread_self(void)
{
    return rt_self();
}

void *rt_thread_local(void)
{
    return rt_self()->local;
}

const char *os_thread_name(const struct os_thread *t)
{
    return t->name ? t->name : "";
}

unsigned os_thread_count(void)
{
    return __atomic_load_n(&sched.count, __ATOMIC_RELAXED);
}

void rt_enter_main(uint64_t stack_va, uint64_t stack_pages, void (*main_entry)(void))
{
    struct rt_vcpu *me = rt_vcpu();
    struct os_thread *boot = me->current, *t;
    uint64_t top;

    t = thread_place(stack_va, stack_pages, &top);
    t->local = boot->local;
    t->name = "main";
    t->state = THREAD_RUNNING;
    t->vcpu = me;
    t->on = true;
    me->current = t;
    arch_regs_enter(&os_vcpu()->regs, (uint64_t)main_entry, 0, top, t->tls);
    for (;;)
        exo_resume();
}
