/* Event bits: who has which, and the handlers that run in the upcall. */
#include "rt/general_regs.h"

#include "rt/rt.h"

#include <errno.h>

#define NBITS 64u
#define BIT(bit) (1ull << (bit))

static struct {
    os_event_fn *fn;
    void *arg;
} handlers[NBITS];
static uint64_t taken;

int os_event_alloc(void)
{
    for (int bit = (int)OS_EVENT_FIRST; bit <= (int)OS_EVENT_LAST; bit++) {
        if (!(taken & BIT(bit))) {
            taken |= BIT(bit);
            return bit;
        }
    }
    return -EAGAIN;
}

void os_event_free(int bit)
{
    if (bit < (int)OS_EVENT_FIRST || bit > (int)OS_EVENT_LAST)
        return;
    os_event_handler((unsigned)bit, NULL, NULL);
    taken &= ~BIT(bit);
}

int os_event_handler(unsigned bit, os_event_fn *fn, void *arg)
{
    if (bit >= NBITS || OS_EVENT_SIGNALS >> bit & 1)
        return -EINVAL;
    rt.handled &= ~BIT(bit); /* the upcall looks at the table only for bits in `handled` */
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    handlers[bit].fn = fn;
    handlers[bit].arg = arg;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (fn)
        rt.handled |= BIT(bit);
    rt_signals_listen();
    return 0;
}

void rt_events_upcall(uint64_t bits)
{
    while (bits) {
        unsigned bit = (unsigned)__builtin_ctzll(bits);

        bits &= bits - 1;
        handlers[bit].fn(bit, handlers[bit].arg);
    }
}
