/* signal, sigaction and their kin, over os/rt.h.  One table for the process, a mask for each thread; newlib's own table,
 * one for each thread, is not linked. */
#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "os/rt.h"
#include "os/thread.h"

#define NSIGNALS 32

static struct {
    sigset_t mask;
    int flags;
} settings[NSIGNALS]; /* under the lock */
static struct os_mutex lock = OS_MUTEX_INIT(lock);

static int result(int rc)
{
    if (rc >= 0)
        return rc;
    errno = -rc;
    return -1;
}

_sig_func_ptr signal(int sig, _sig_func_ptr fn)
{
    struct sigaction new = {.sa_handler = fn}, old;

    return sigaction(sig, &new, &old) ? SIG_ERR : old.sa_handler;
}

int sigaction(int sig, const struct sigaction *new, struct sigaction *old)
{
    os_signal_fn *before;
    int rc = 0;

    os_signals_hold();
    os_mutex_lock(&lock);
    if (new)
        rc = os_signal_set(sig, new->sa_handler, &before);
    else
        rc = os_signal_get(sig, &before);
    if (!rc && old)
        *old = (struct sigaction){
            .sa_handler = before, .sa_mask = settings[sig].mask, .sa_flags = settings[sig].flags};
    if (!rc && new) {
        settings[sig].mask = new->sa_mask;
        settings[sig].flags = new->sa_flags;
        os_signal_set_mask(sig, (uint64_t) new->sa_mask);
    }
    os_mutex_unlock(&lock);
    os_signals_release();
    return result(rc);
}

int sigprocmask(int how, const sigset_t *set, sigset_t *old)
{
    uint64_t now = os_signal_blocked();

    if (old)
        *old = (sigset_t)now;
    if (!set)
        return 0;
    switch (how) {
    case SIG_BLOCK:
        os_signal_mask(now | (uint64_t)*set);
        return 0;
    case SIG_UNBLOCK:
        os_signal_mask(now & ~(uint64_t)*set);
        return 0;
    case SIG_SETMASK:
        os_signal_mask((uint64_t)*set);
        return 0;
    default:
        return result(-EINVAL);
    }
}

int pthread_sigmask(int how, const sigset_t *set, sigset_t *old)
{
    return sigprocmask(how, set, old) ? errno : 0;
}

int sigpending(sigset_t *out)
{
    *out = (sigset_t)os_signal_pending();
    return 0;
}

/* Waits until a handler has run.  The mask changes and the wait begins with signals held, so none slips between. */
int sigsuspend(const sigset_t *set)
{
    struct os_queue nobody;
    uint64_t before;
    int rc;

    os_queue_init(&nobody);
    os_signals_hold();
    before = os_signal_mask((uint64_t)*set);
    rc = os_queue_wait(&nobody, EXO_FOREVER, true);
    os_signals_release(); /* handlers run here, under the given mask */
    os_signal_mask(before);
    return result(rc);
}

int pause(void)
{
    sigset_t now = (sigset_t)os_signal_blocked();

    return sigsuspend(&now);
}

int raise(int sig)
{
    return result(os_signal_raise(sig));
}
