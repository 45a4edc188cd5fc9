/* Signals, the half that runs in threads: handlers, masks, delivery. */
#include "rt/signal_impl.h"

#include <errno.h>
#include <signal.h>

#include "os/exo.h"

struct signals signals;

#define BIT(sig) (1ull << (sig))
/* What the default is to ignore.  Stopping is not supported yet, so its signals are among them. */
#define IGNORED_BY_DEFAULT                                                                                   \
    (BIT(SIGCHLD) | BIT(SIGURG) | BIT(SIGWINCH) | BIT(SIGCONT) | BIT(SIGSTOP) | BIT(SIGTSTP) |               \
     BIT(SIGTTIN) | BIT(SIGTTOU))

void os_signals_hold(void)
{
    rt.hold++;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

void os_signals_release(void)
{
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (rt.hold > 1) {
        rt.hold--;
        return;
    }
    do {
        rt.hold = 1;
        while (rt_signals_run()) {
        }
        rt.hold = 0;
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
    } while (rt.pending); /* one came after the last look */
}

void rt_signals_init(void)
{
    rt.ignored = IGNORED_BY_DEFAULT;
    rt_signals_listen();
}

void rt_signals_listen(void)
{
    struct exo_vcpu_page *page = os_vcpu();

    page->upcall_events = (OS_EVENT_SIGNALS & ~(rt.blocked | rt.ignored)) | rt.handled;
}

/* ---- delivery ------------------------------------------------------------------------------------------- */

/* The next signal to deliver, taken out of `pending`; 0: none. */
static int take_one(void)
{
    int sig;

    if (!rt.pending)
        return 0;
    sig = __builtin_ctzll(rt.pending);
    __atomic_fetch_and(&rt.pending, ~BIT(sig), __ATOMIC_RELAXED);
    return sig;
}

/* Runs with signals held once; the handlers themselves run with none held. */
bool rt_signals_run(void)
{
    int sig = take_one();
    uint64_t blocked = rt.blocked;
    uint32_t hold = rt.hold;

    if (!sig)
        return false;
    if (rt.ignored & BIT(sig))
        return true;
    if (!signals.handler[sig])
        rt_die_of_signal(sig);
    os_signal_mask(blocked | BIT(sig) | signals.mask[sig]);
    rt.hold = 0;
    signals.handler[sig](sig);
    rt.hold = hold;
    os_signal_mask(blocked);
    return true;
}

/* A diverted thread comes here on its own stack, with room for its registers. */
void os_signal_frame(struct exo_regs *regs);
void os_signal_frame(struct exo_regs *regs)
{
    *regs = rt.interrupted;
    rt.diverted = false;
    if (rt.hold == 1) {
        os_signals_release();
        return;
    }
    while (rt_signals_run()) { /* a fault while signals are held: its handler runs all the same */
    }
    rt.hold--;
}

/* ---- settings ------------------------------------------------------------------------------------------- */

static bool sig_ok(int sig)
{
    return sig > 0 && sig < RT_NSIGNALS;
}

static os_signal_fn *current_action(int sig)
{
    if (signals.handler[sig])
        return signals.handler[sig];
    return rt.ignored & BIT(sig) && !(IGNORED_BY_DEFAULT & BIT(sig)) ? OS_SIG_IGNORE : OS_SIG_DEFAULT;
}

int os_signal_set(int sig, os_signal_fn *fn, os_signal_fn **old)
{
    bool ignore =
        fn == OS_SIG_IGNORE || (fn == OS_SIG_DEFAULT && sig_ok(sig) && (IGNORED_BY_DEFAULT & BIT(sig)));

    if (!sig_ok(sig) || sig == SIGKILL || sig == SIGSTOP)
        return -EINVAL;
    os_signals_hold();
    if (old)
        *old = current_action(sig);
    if (rt.ignored & BIT(sig) && !ignore)
        os_event_take(BIT(sig)); /* what came while nobody cared */
    signals.handler[sig] = fn == OS_SIG_IGNORE ? NULL : fn;
    rt.ignored = ignore ? rt.ignored | BIT(sig) : rt.ignored & ~BIT(sig);
    rt_signals_listen();
    os_signals_release();
    return 0;
}

int os_signal_get(int sig, os_signal_fn **fn)
{
    if (!sig_ok(sig))
        return -EINVAL;
    *fn = current_action(sig);
    return 0;
}

void os_signal_set_mask(int sig, uint64_t blocked)
{
    if (sig_ok(sig))
        signals.mask[sig] = blocked;
}

uint64_t os_signal_blocked(void)
{
    return rt.blocked;
}

/* No signal in `pending` is ever blocked: those go back to the event word and come again. */
uint64_t os_signal_mask(uint64_t blocked)
{
    uint64_t before = rt.blocked, back;

    os_signals_hold();
    rt.blocked = blocked & OS_EVENT_SIGNALS & ~(BIT(SIGKILL) | BIT(SIGSTOP));
    rt_signals_listen();
    back = __atomic_fetch_and(&rt.pending, ~rt.blocked, __ATOMIC_RELAXED) & rt.blocked;
    if (back)
        __atomic_fetch_or(&os_vcpu()->events, back, __ATOMIC_RELAXED);
    os_signals_release();
    return before;
}

uint64_t os_signal_pending(void)
{
    return (rt.pending | os_vcpu()->events) & OS_EVENT_SIGNALS & ~rt.ignored;
}

int os_signal_raise(int sig)
{
    if (!sig_ok(sig))
        return -EINVAL;
    if (rt.ignored & BIT(sig))
        return 0;
    os_signals_hold();
    if (rt.blocked & BIT(sig))
        __atomic_fetch_or(&os_vcpu()->events, BIT(sig), __ATOMIC_RELAXED);
    else
        __atomic_fetch_or(&rt.pending, BIT(sig), __ATOMIC_RELAXED);
    os_signals_release();
    return 0;
}
