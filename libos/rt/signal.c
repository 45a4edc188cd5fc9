/* Signals, the half that runs in threads: handlers, masks, delivery. */
#include "rt/signal_impl.h"

#include <errno.h>
#include <signal.h>

#include "os/exo.h"
#include "rt/spin.h"
#include "rt/thread_impl.h"

struct signals signals;

#define BIT(sig) (1ull << (sig))
/* What the default is to ignore.  Stopping is not supported yet, so its signals are among them. */
#define IGNORED_BY_DEFAULT                                                                                   \
    (BIT(SIGCHLD) | BIT(SIGURG) | BIT(SIGWINCH) | BIT(SIGCONT) | BIT(SIGSTOP) | BIT(SIGTSTP) |               \
     BIT(SIGTTIN) | BIT(SIGTTOU))

void os_signals_hold(void)
{
    rt_self()->hold++;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

void os_signals_release(void)
{
    struct os_thread *self = rt_self();

    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (self->hold > 1) {
        self->hold--;
        return;
    }
    rt_revoked_recall(rt_vcpu());
    do {
        self->hold = 1;
        while (rt_signals_run()) {
        }
        self->hold = 0;
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
    } while (self->noted); /* one came after the last look */
}

void rt_signals_lock(void)
{
    os_signals_hold();
    spin_lock(&signals.lock, rt_vcpu());
}

void rt_signals_unlock(void)
{
    spin_unlock(&signals.lock);
    os_signals_release();
}

void rt_signals_init(void)
{
    rt.ignored = IGNORED_BY_DEFAULT;
    rt_signals_listen();
}

void rt_signals_listen(void)
{
    uint64_t unwanted = rt.ignored | (os_thread_count() == 1 ? rt_self()->blocked : 0);

    __atomic_store_n(&rt_main_page()->upcall_events,
                     (OS_EVENT_SIGNALS & ~unwanted) | rt.handled | rt.receiving | OS_EVENT_POKE,
                     __ATOMIC_RELAXED);
}

/* ---- delivery ------------------------------------------------------------------------------------------- */

/* The next signal to deliver, taken out of `noted`; 0: none. */
static int take_one(struct os_thread *self)
{
    int sig;

    if (!(self->noted & ~RT_REVOKED))
        return 0;
    sig = __builtin_ctzll(self->noted & ~RT_REVOKED);
    __atomic_fetch_and(&self->noted, ~BIT(sig), __ATOMIC_RELAXED);
    return sig;
}

/* No signal that is blocked stays in `noted`: it is the program's again, for another thread or for later. */
static void set_blocked(struct os_thread *self, uint64_t blocked)
{
    uint64_t less = self->blocked & ~blocked;

    self->blocked = blocked;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (self->noted & blocked)
        rt_signals_return(__atomic_fetch_and(&self->noted, ~blocked, __ATOMIC_RELAXED) & blocked);
    if (os_thread_count() == 1)
        rt_signals_listen();
    if (less & __atomic_load_n(&rt_main_page()->events, __ATOMIC_RELAXED))
        __atomic_fetch_or(&self->noted, os_event_take(less & ~rt.ignored), __ATOMIC_RELAXED);
    if (__atomic_load_n(&rt.pending, __ATOMIC_RELAXED))
        rt_signals_claim(self);
}

/* Runs with signals held once; the handlers themselves run with none held. */
bool rt_signals_run(void)
{
    struct os_thread *self = rt_self();
    uint64_t blocked = self->blocked;
    uint32_t hold = self->hold;
    os_signal_fn *fn;
    int sig;

    if (self->noted & RT_REVOKED) {
        rt_revoked();
        return true;
    }
    sig = take_one(self);
    if (!sig)
        return false;
    if (rt.ignored & BIT(sig))
        return true;
    fn = __atomic_load_n(&signals.handler[sig], __ATOMIC_RELAXED);
    if (!fn)
        rt_die_of_signal(sig);
    self->ran++;
    set_blocked(self, blocked | BIT(sig) | signals.mask[sig]);
    self->hold = 0;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    fn(sig);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    self->hold = hold;
    set_blocked(self, blocked);
    return true;
}

/* Nothing is asked of the program before signals are released. */
static void defer_revoked(struct os_thread *self)
{
    __atomic_fetch_and(&self->noted, ~RT_REVOKED, __ATOMIC_RELAXED);
}

/* A diverted thread comes here on its own stack, with room for its registers. */
void os_signal_frame(struct exo_regs *regs);
void os_signal_frame(struct exo_regs *regs)
{
    struct os_thread *self = rt_self();
    struct rt_vcpu *me = rt_vcpu();

    *regs = me->interrupted;
    me->diverted = false;
    if (self->hold == 1) {
        os_signals_release();
        return;
    }
    defer_revoked(self);
    while (rt_signals_run()) { /* a fault while signals are held: its handler runs all the same */
    }
    self->hold--;
}

uint64_t os_signals_delivered(void)
{
    return rt_self()->ran;
}

bool os_signal_came(uint64_t since)
{
    struct os_thread *self = rt_self();

    if (self->ran != since || self->noted & ~RT_REVOKED)
        return true;
    defer_revoked(self);
    return false;
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
    rt_signals_lock();
    if (old)
        *old = current_action(sig);
    if (rt.ignored & BIT(sig) && !ignore)
        os_event_take(BIT(sig)); /* what came while nobody cared */
    __atomic_store_n(&signals.handler[sig], fn == OS_SIG_IGNORE ? NULL : fn, __ATOMIC_RELAXED);
    __atomic_store_n(&rt.ignored, ignore ? rt.ignored | BIT(sig) : rt.ignored & ~BIT(sig), __ATOMIC_RELEASE);
    rt_signals_listen();
    rt_signals_unlock();
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
    return rt_self()->blocked;
}

uint64_t os_signal_mask(uint64_t blocked)
{
    struct os_thread *self = rt_self();
    uint64_t before = self->blocked;

    os_signals_hold();
    set_blocked(self, blocked & OS_EVENT_SIGNALS & ~(BIT(SIGKILL) | BIT(SIGSTOP)));
    os_signals_release();
    return before;
}

uint64_t os_signal_pending(void)
{
    return (rt_self()->noted | __atomic_load_n(&rt.pending, __ATOMIC_RELAXED) | rt_main_page()->events) &
           OS_EVENT_SIGNALS & ~rt.ignored;
}

int os_signal_raise(int sig)
{
    struct os_thread *self = rt_self();

    if (!sig_ok(sig))
        return -EINVAL;
    if (rt.ignored & BIT(sig))
        return 0;
    os_signals_hold();
    if (self->blocked & BIT(sig))
        __atomic_fetch_or(&rt.pending, BIT(sig), __ATOMIC_RELAXED);
    else
        __atomic_fetch_or(&self->noted, BIT(sig), __ATOMIC_RELAXED);
    os_signals_release();
    return 0;
}
