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
    uint64_t va[CACHE_MAX]; /* of default size */
    unsigned count;
} cache;

void rt_set_local(const struct rt_local *local, void *main_local)
{
    local_hooks = local;
    sched.current->local = main_local;
}

static const struct rt_local *hooks(void)
{
    return local_hooks ? local_hooks : &no_local;
}

uint64_t rt_thread_bytes(void)
{
    return align_up(arch_tls_bytes() + sizeof(struct os_thread) + hooks()->bytes + 64, 16);
}

/* Lays the thread's own data out at the top of its stack; *top receives where the stack itself ends. */
static struct os_thread *place(uint64_t va, uint64_t npages, uint64_t *top)
{
    uint64_t bottom, tls = arch_tls_init(va + npages * PAGE_SIZE, &bottom);
    struct os_thread *t = (struct os_thread *)align_down(bottom - sizeof(struct os_thread), 16);

    *t = (struct os_thread){.stack_va = va, .stack_pages = npages, .tls = tls};
    list_init(&t->link);
    list_init(&t->timed);
    os_queue_init(&t->joiners);
    *top = align_down((uint64_t)t - hooks()->bytes, 16);
    t->local = (void *)*top;
    return t;
}

/* ---- stacks --------------------------------------------------------------------------------------------- */

static int stack_take(uint64_t npages, uint64_t *va)
{
    if (npages == STACK_PAGES_DEFAULT && cache.count) {
        *va = cache.va[--cache.count];
        return 0;
    }
    return rt_memory->stack_new(npages, rt_thread_bytes() + PAGE_SIZE, va);
}

void thread_free(struct os_thread *t)
{
    if (t->stack_pages == STACK_PAGES_DEFAULT && cache.count < CACHE_MAX)
        cache.va[cache.count++] = t->stack_va;
    else
        rt_memory->stack_free(t->stack_va, t->stack_pages);
}

/* ---- life ----------------------------------------------------------------------------------------------- */

static void thread_entry(void)
{
    rt.hold = 1;
    os_signals_release();
    os_thread_exit(sched.current->fn(sched.current->arg));
}

int os_thread_create(struct os_thread **out, const struct os_thread_attr *attr, void *(*fn)(void *),
                     void *arg)
{
    uint64_t npages = attr && attr->stack_pages ? attr->stack_pages : STACK_PAGES_DEFAULT;
    uint64_t need = rt_thread_bytes() + PAGE_SIZE;
    struct os_thread *t;
    uint64_t va, top;
    int rc = 0;

    if (npages > STACK_PAGES_MAX || need >> PAGE_SHIFT >= npages)
        return -EINVAL;
    os_signals_hold();
    rc = stack_take(npages, &va);
    if (!rc) {
        t = place(va, npages, &top);
        t->fn = fn;
        t->arg = arg;
        t->name = attr ? attr->name : NULL;
        t->detached = attr && attr->detached;
        if (hooks()->init)
            hooks()->init(t->local);
        arch_context_init(&t->context, top, thread_entry, t->tls);
        sched_add(t);
        if (out)
            *out = t;
    }
    os_signals_release();
    return rc;
}

static struct os_queue last_one = OS_QUEUE_INIT(last_one);

/* The main thread cannot give its stack away: it waits for the others, then ends the process. */
static _Noreturn void main_exit(void)
{
    while (sched.count > 1)
        os_queue_wait(&last_one, EXO_FOREVER, false);
    if (hooks()->exit)
        hooks()->exit(0);
    for (;;)
        exo_env_exit(0);
}

static bool is_main(const struct os_thread *t)
{
    return t->fn == NULL;
}

void os_thread_exit(void *result)
{
    struct os_thread *self = sched.current;

    if (is_main(self))
        main_exit();
    if (hooks()->fini)
        hooks()->fini(self->local);
    os_signals_hold();
    self->result = result;
    self->state = THREAD_ENDED;
    if (--sched.count == 1)
        os_queue_wake(&last_one, 1);
    os_queue_wake(&self->joiners, 1);
    if (sched.dead)
        thread_free(sched.dead);
    sched.dead = self->detached ? self : NULL; /* whoever runs next frees us: we still stand on that stack */
    rt_schedule();
    __builtin_trap();
}

int os_thread_join(struct os_thread *t, void **result)
{
    if (t == sched.current)
        return -EDEADLK;
    if (t->detached || t->claimed)
        return -EINVAL;
    t->claimed = true;
    while (t->state != THREAD_ENDED)
        os_queue_wait(&t->joiners, EXO_FOREVER, false);
    if (result)
        *result = t->result;
    os_signals_hold();
    thread_free(t);
    os_signals_release();
    return 0;
}

int os_thread_detach(struct os_thread *t)
{
    if (t->detached || t->claimed)
        return -EINVAL;
    t->detached = true;
    os_signals_hold();
    if (t->state == THREAD_ENDED)
        thread_free(t);
    os_signals_release();
    return 0;
}

/* ---- looking -------------------------------------------------------------------------------------------- */

struct os_thread *os_thread_self(void)
{
    return sched.current;
}

void *rt_thread_local(void)
{
    return sched.current->local;
}

const char *os_thread_name(const struct os_thread *t)
{
    return t->name ? t->name : "";
}

unsigned os_thread_count(void)
{
    return sched.count;
}

void rt_enter_main(uint64_t stack_va, uint64_t stack_pages, void (*main_entry)(void))
{
    struct os_thread *boot = sched.current, *t;
    uint64_t top;

    t = place(stack_va, stack_pages, &top);
    t->local = boot->local;
    t->name = "main";
    t->state = THREAD_RUNNING;
    sched.current = t;
    arch_regs_enter(&os_vcpu()->regs, (uint64_t)main_entry, 0, top, t->tls);
    for (;;)
        exo_resume();
}
