/* Event bits: who has which, and the handlers that run in the upcall. */
#include "rt/general_regs.h"

#include "rt/rt.h"
#include "rt/spin.h"

#include <errno.h>

#define NBITS 64u
#define BIT(bit) (1ull << (bit))

static struct {
    os_event_fn *fn;
    void *arg;
} handlers[NBITS];
static uint64_t taken; /* atomic */

int os_event_alloc(void)
{
    for (int bit = (int)OS_EVENT_FIRST; bit <= (int)OS_EVENT_LAST; bit++) {
        if (!(__atomic_fetch_or(&taken, BIT(bit), __ATOMIC_RELAXED) & BIT(bit)))
            return bit;
    }
    return -EAGAIN;
}

void os_event_free(int bit)
{
    if (bit < (int)OS_EVENT_FIRST || bit > (int)OS_EVENT_LAST)
        return;
    os_event_handler((unsigned)bit, NULL, NULL);
    __atomic_fetch_and(&taken, ~BIT(bit), __ATOMIC_RELAXED);
}

/* The main vcpu's upcall may be running handlers on another CPU. */
static void wait_for_handlers(void)
{
    const struct rt_vcpu *main = rt.vcpu[0];

    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    while (__atomic_load_n(&main->in_handlers, __ATOMIC_ACQUIRE))
        spin_give_way(0);
}

/* The upcall looks at the table only for bits in `handled`. */
int os_event_handler(unsigned bit, os_event_fn *fn, void *arg)
{
    if (bit >= NBITS || (OS_EVENT_SIGNALS | OS_EVENT_OWN) >> bit & 1)
        return -EINVAL;
    rt_signals_lock();
    __atomic_store_n(&rt.handled, rt.handled & ~BIT(bit), __ATOMIC_RELAXED);
    wait_for_handlers();
    handlers[bit].fn = fn;
    handlers[bit].arg = arg;
    if (fn)
        __atomic_store_n(&rt.handled, rt.handled | BIT(bit), __ATOMIC_RELEASE);
    rt_signals_listen();
    rt_signals_unlock();
    return 0;
}

void rt_receive(uint64_t bits)
{
    bool alone = rt_alone();

    if (!alone)
        rt_signals_lock();
    __atomic_store_n(&rt.receiving, bits, __ATOMIC_RELAXED);
    rt_signals_listen();
    if (!alone)
        rt_signals_unlock();
}

void rt_events_upcall(uint64_t bits, struct rt_vcpu *me)
{
    __atomic_store_n(&me->in_handlers, 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    bits &= __atomic_load_n(&rt.handled, __ATOMIC_ACQUIRE);
    while (bits) {
        unsigned bit = (unsigned)__builtin_ctzll(bits);

        bits &= bits - 1;
        handlers[bit].fn(bit, handlers[bit].arg);
    }
    __atomic_store_n(&me->in_handlers, 0, __ATOMIC_RELEASE);
}
