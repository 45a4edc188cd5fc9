/* newlib's locks, over os_mutex.  The library's own few locks also hold signals back, so that a handler that
 * interrupts malloc or setenv may still call them. */
#include <stdlib.h>
#include <sys/lock.h>

#include "os/rt.h"
#include "os/thread.h"

struct __lock {
    struct os_mutex mutex;
    bool holds_signals;
    bool from_heap;
};

#define STATIC_LOCK(name)                                                                                    \
    struct __lock __lock_##name;                                                                             \
    struct __lock __lock_##name = {.mutex = OS_MUTEX_INIT_RECURSIVE(__lock_##name.mutex),                    \
                                   .holds_signals = true}

STATIC_LOCK(__sinit_recursive_mutex);
STATIC_LOCK(__sfp_recursive_mutex);
STATIC_LOCK(__atexit_recursive_mutex);
STATIC_LOCK(__at_quick_exit_mutex);
STATIC_LOCK(__malloc_recursive_mutex);
STATIC_LOCK(__env_recursive_mutex);
STATIC_LOCK(__tz_mutex);
STATIC_LOCK(__dd_hash_mutex);
STATIC_LOCK(__arc4random_mutex);

/* For the standard streams, so that printing needs no malloc. */
static struct __lock early[3];
static unsigned nearly; /* atomic */

/* The interface has no way to fail: a lock that cannot be had ends the program. */
static struct __lock *lock_new(bool recursive)
{
    unsigned n =
        __atomic_load_n(&nearly, __ATOMIC_RELAXED) < 3 ? __atomic_fetch_add(&nearly, 1, __ATOMIC_RELAXED) : 3;
    struct __lock *lock = n < 3 ? &early[n] : malloc(sizeof(*lock));

    if (!lock) {
        os_report("out of memory for a lock\n");
        abort();
    }
    os_mutex_init(&lock->mutex, recursive);
    lock->holds_signals = false;
    lock->from_heap = lock < early || lock >= early + 3;
    return lock;
}

void __retarget_lock_init(_LOCK_T *lock)
{
    *lock = lock_new(false);
}

void __retarget_lock_init_recursive(_LOCK_T *lock)
{
    *lock = lock_new(true);
}

void __retarget_lock_close(_LOCK_T lock)
{
    if (lock && lock->from_heap)
        free(lock);
}

void __retarget_lock_close_recursive(_LOCK_T lock)
{
    __retarget_lock_close(lock);
}

void __retarget_lock_acquire(_LOCK_T lock)
{
    if (lock->holds_signals)
        os_signals_hold();
    os_mutex_lock(&lock->mutex);
}

void __retarget_lock_acquire_recursive(_LOCK_T lock)
{
    __retarget_lock_acquire(lock);
}

int __retarget_lock_try_acquire(_LOCK_T lock)
{
    if (os_mutex_trylock(&lock->mutex))
        return 0;
    if (lock->holds_signals)
        os_signals_hold();
    return 1;
}

int __retarget_lock_try_acquire_recursive(_LOCK_T lock)
{
    return __retarget_lock_try_acquire(lock);
}

void __retarget_lock_release(_LOCK_T lock)
{
    os_mutex_unlock(&lock->mutex);
    if (lock->holds_signals)
        os_signals_release();
}

void __retarget_lock_release_recursive(_LOCK_T lock)
{
    __retarget_lock_release(lock);
}
