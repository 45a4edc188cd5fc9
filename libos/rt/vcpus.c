/* More vcpus than the one that a program starts with.
 *
 * Vcpu i has its page at OS_VCPU_VA + i * OS_VCPU_STRIDE, and its upcall stack in the same stride.  It starts in the START
 * upcall, which enters its own thread (sched_idle_life). */
#include "rt/thread_impl.h"

#include <errno.h>

#include "os/exo.h"
#include "os/layout.h"
#include "os/start.h"

#define READ_WRITE (EXO_PROT_READ | EXO_PROT_WRITE)
#define UPCALL_STACK_OFFSET (OS_VCPU_STRIDE / 2) /* its top, behind the page */

_Static_assert(OS_VCPUS_MAX == RT_VCPUS_MAX, "one number");
_Static_assert(OS_VCPU_VA + OS_VCPUS_MAX * OS_VCPU_STRIDE <= OS_UPCALL_STACK_TOP, "layout");
_Static_assert(UPCALL_STACK_OFFSET > (OS_UPCALL_STACK_PAGES + 1) * PAGE_SIZE, "a page stays unbound below");
_Static_assert(OS_VCPU_STRIDE - UPCALL_STACK_OFFSET >= OS_UPCALL_STACK_PAGES * PAGE_SIZE,
               "the main vcpu's stack");

static bool growing; /* atomic: one thread at a time makes vcpus */
static bool refused; /* atomic: the last one could not be had; only who asks tries again */

unsigned os_cpus(void)
{
    return os_system()->ncpus;
}

unsigned os_vcpus(void)
{
    return __atomic_load_n(&rt.nvcpus, __ATOMIC_RELAXED);
}

unsigned os_vcpus_limit(void)
{
    const struct os_start *start = os_start_block();
    unsigned wanted = start && start->vcpus ? start->vcpus : os_cpus();

    return (unsigned)min_u64(wanted, OS_VCPUS_MAX);
}

uint64_t os_vcpus_stolen(void)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < os_vcpus(); i++)
        sum += __atomic_load_n(&rt.vcpu[i]->stolen, __ATOMIC_RELAXED);
    return sum;
}

/* ---- making one ------------------------------------------------------------------------------------------ */

static uint64_t page_va(unsigned index)
{
    return OS_VCPU_VA + (uint64_t)index * OS_VCPU_STRIDE;
}

static void drop(exo_handle_t cap)
{
    while (cap && exo_cap_drop(cap) > 0) {
    }
}

/* The main vcpu could do without until now. */
static int main_ready(void)
{
    struct rt_vcpu *main = rt.vcpu[0];
    uint64_t top;
    int64_t event;

    if (!main->event) {
        event = exo_event_create(main->handle, OS_EVENT_OWN);
        if (event < 0)
            return (int)event;
        main->event = (exo_handle_t)event;
    }
    if (!main->idle)
        main->idle = thread_new_idle(&top);
    return main->idle ? 0 : -EXO_ENOMEM;
}

/* On the next CPU; on ours where the kernel has no other for us. */
static int64_t create(unsigned index)
{
    uint32_t cpu = rt_main_page()->cpu, next = (cpu + index) % (uint32_t)max_u64(os_cpus(), 1);
    int64_t vcpu = exo_vcpu_create(EXO_SELF_ENV, next, EXO_SELF_SPACE, page_va(index));

    if (vcpu == -EXO_EUNSUPPORTED && next != cpu)
        vcpu = exo_vcpu_create(EXO_SELF_ENV, cpu, EXO_SELF_SPACE, page_va(index));
    return vcpu;
}

static void furnish(struct exo_vcpu_page *page, unsigned index, struct os_thread *idle)
{
    struct rt_vcpu *v = rt_vcpu_of(page);

    v->index = index;
    list_init(&v->ready);
    v->until = EXO_FOREVER;
    v->idle = v->current = idle;
    idle->vcpu = v;
    idle->on = true;
    page->upcall_entry = (uint64_t)arch_upcall_entry;
    page->upcall_sp = page_va(index) + UPCALL_STACK_OFFSET;
    page->upcall_events = OS_EVENT_POKE;
    rt.vcpu[index] = v;
}

/* Its capabilities; it runs as soon as this is done. */
static int start(struct rt_vcpu *v)
{
    int64_t vcpu = create(v->index), event;

    if (vcpu < 0)
        return (int)vcpu;
    v->handle = (exo_handle_t)vcpu;
    event = exo_event_create(v->handle, OS_EVENT_OWN);
    if (event < 0) {
        drop(v->handle);
        return (int)event;
    }
    v->event = (exo_handle_t)event;
    __atomic_store_n(&rt.nvcpus, v->index + 1, __ATOMIC_RELEASE);
    return (int)exo_vcpu_start(v->handle, v->index);
}

static int grow(void)
{
    unsigned index = os_vcpus();
    uint64_t page = page_va(index), stack = page + UPCALL_STACK_OFFSET - OS_UPCALL_STACK_PAGES * PAGE_SIZE,
             top;
    struct os_thread *idle;
    int rc = main_ready();

    if (!rc)
        rc = os_page_alloc(EXO_SELF_SPACE, page, 1, READ_WRITE, NULL);
    if (rc)
        return rc;
    rc = os_page_alloc(EXO_SELF_SPACE, stack, OS_UPCALL_STACK_PAGES, READ_WRITE, NULL);
    idle = rc ? NULL : thread_new_idle(&top);
    if (idle) {
        struct exo_vcpu_page *p = (struct exo_vcpu_page *)(uintptr_t)page;

        furnish(p, index, idle);
        rc = start(rt_vcpu_of(p));
        if (!rc)
            return 0;
        thread_free(idle);
    }
    os_page_unmap(EXO_SELF_SPACE, stack, OS_UPCALL_STACK_PAGES, NULL);
    os_page_unmap(EXO_SELF_SPACE, page, 1, NULL);
    return rc ? rc : -EXO_ENOMEM;
}

static bool growing_begin(void)
{
    return !__atomic_exchange_n(&growing, true, __ATOMIC_ACQUIRE);
}

static void growing_end(void)
{
    __atomic_store_n(&growing, false, __ATOMIC_RELEASE);
}

/* A failure is none of the caller's business: its thread waits for the vcpus that there are. */
void rt_vcpus_grow(void)
{
    if (os_vcpus() >= os_vcpus_limit() || __atomic_load_n(&rt.idle, __ATOMIC_RELAXED) ||
        __atomic_load_n(&refused, __ATOMIC_RELAXED) || !growing_begin())
        return;
    if (os_vcpus() < os_vcpus_limit() && grow())
        __atomic_store_n(&refused, true, __ATOMIC_RELAXED);
    growing_end();
}

int os_vcpus_start(unsigned n)
{
    int rc = 0;

    if (n > OS_VCPUS_MAX)
        return -EINVAL;
    os_signals_hold();
    while (os_vcpus() < n && !rc) {
        if (!growing_begin()) {
            os_thread_yield();
            continue;
        }
        if (os_vcpus() < n)
            rc = grow();
        growing_end();
    }
    os_signals_release();
    return rc ? -exo_errno(rc) : 0;
}
