/* Revocation, the half that runs in threads (the other one is in upcall.c): who is told, and the list of victims.
 *
 * A notice stays with the vcpu that it came to, and only threads that run there look at it, with signals held: no lock is
 * needed between them and its upcalls.  Nothing is lost when a thread that put it off goes elsewhere: whoever runs
 * there next finds it (rt_revoked_recall). */
#include "rt/thread_impl.h"

#include <errno.h>

#include "os/exo.h"
#include "os/time.h"

#define PAUSE_NS 1000000u

static os_revoke_fn *on_revoke, *on_pages; /* atomic; */
static void (*spare)(void);                /* likewise */

void os_on_revoke(os_revoke_fn *fn)
{
    __atomic_store_n(&on_revoke, fn, __ATOMIC_RELEASE);
}

void os_on_pages(os_revoke_fn *fn)
{
    __atomic_store_n(&on_pages, fn, __ATOMIC_RELEASE);
}

void os_set_spare(void (*give_back)(void))
{
    __atomic_store_n(&spare, give_back, __ATOMIC_RELEASE);
}

void os_revoke_default(const struct os_revoke *what)
{
    void (*give_back)(void) = __atomic_load_n(&spare, __ATOMIC_ACQUIRE);

    if (what->kind == EXO_REVOKE_FRAMES && give_back)
        give_back();
}

/* Who serves sleeps on the main vcpu, and has to look at what was noted for it. */
static void wake_server(void)
{
    const struct rt_vcpu *main = rt.vcpu[0];

    os_signals_hold();
    if (rt_vcpu() != main)
        (void)exo_signal(main->event, OS_EVENT_POKE);
    os_signals_release();
}

static void tell(const struct os_revoke *what)
{
    os_revoke_fn *pages = __atomic_load_n(&on_pages, __ATOMIC_ACQUIRE);
    os_revoke_fn *fn = __atomic_load_n(&on_revoke, __ATOMIC_ACQUIRE);

    if (pages && (what->kind == EXO_REVOKE_PAGES || what->kind == EXO_REVOKE_GONE)) {
        pages(what);
        wake_server();
    }
    (fn ? fn : os_revoke_default)(what);
}

/* The first notice that waits on this vcpu.  It may come again while it is copied. */
static bool take_notice(struct rt_vcpu *me, struct os_revoke *out)
{
    uint32_t revoked = __atomic_load_n(&me->revoked, __ATOMIC_RELAXED), bit = revoked & -revoked;

    if (!bit)
        return false;
    do {
        __atomic_fetch_and(&me->revoked, ~bit, __ATOMIC_RELAXED);
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        *out = me->notices[__builtin_ctz(bit)];
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
    } while (__atomic_load_n(&me->revoked, __ATOMIC_RELAXED) & bit);
    return true;
}

void rt_revoked(void)
{
    struct os_thread *self = rt_self();
    uint32_t hold = self->hold;
    struct os_revoke notice;

    __atomic_fetch_and(&self->noted, ~RT_REVOKED, __ATOMIC_RELAXED);
    while (take_notice(rt_vcpu(), &notice)) { /* after each we may be elsewhere */
        self->hold = 0;
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        tell(&notice);
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        self->hold = hold;
    }
}

/* ---- reclaiming --------------------------------------------------------------------------------------------- */

/* One piece of the range to its end. */
static int reclaim(uint64_t va, uint64_t npages, uint64_t deadline)
{
    uint64_t pause = os_ns_to_ticks(PAUSE_NS);

    for (;;) {
        int64_t rc = exo_page_reclaim(EXO_SELF_SPACE, va, npages, deadline);
        int slept = rc == EXO_RECLAIM_ASKED ? os_sleep_until(os_ticks() + pause) : 0;

        if (slept) {
            (void)exo_page_reclaim(EXO_SELF_SPACE, va, 0, 0);
            return slept;
        }
        if (rc <= 0)
            return -exo_errno((int)rc);
    }
}

int os_reclaim(uint64_t va, uint64_t npages, uint64_t deadline)
{
    int rc = 0;

    while (npages && !rc) {
        uint64_t n = min_u64(npages, EXO_RANGE_MAX);

        rc = reclaim(va, n, deadline);
        va += n * PAGE_SIZE;
        npages -= n;
    }
    return rc;
}

/* ---- victims ------------------------------------------------------------------------------------------------ */

/* The kernel looks at the main vcpu's page.  Who adds claims an entry here first. */
static uint32_t listed; /* atomic */

int os_victims_add(uint64_t va, uint32_t npages)
{
    struct exo_victim *victims = rt_main_page()->victims;

    if (va & PAGE_MASK || npages == 0)
        return -EINVAL;
    for (unsigned i = 0; i < EXO_VICTIMS; i++) {
        if (__atomic_fetch_or(&listed, 1u << i, __ATOMIC_ACQUIRE) & 1u << i)
            continue;
        victims[i].va = va;
        victims[i].taken = 0;
        __atomic_store_n(&victims[i].npages, npages, __ATOMIC_RELEASE);
        return (int)i;
    }
    return -EAGAIN;
}

void os_victims_remove(int victim)
{
    if (victim < 0 || victim >= (int)EXO_VICTIMS)
        return;
    __atomic_store_n(&rt_main_page()->victims[victim].npages, 0, __ATOMIC_RELEASE);
    __atomic_fetch_and(&listed, ~(1u << victim), __ATOMIC_RELEASE);
}

uint32_t os_victims_taken(int victim)
{
    if (victim < 0 || victim >= (int)EXO_VICTIMS)
        return 0;
    return __atomic_load_n(&rt_main_page()->victims[victim].taken, __ATOMIC_ACQUIRE);
}
