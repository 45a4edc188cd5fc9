/* Clocks and sleeping. */
#include <errno.h>
#include <sys/time.h>
#include <sys/times.h>
#include <time.h>
#include <unistd.h>

#include "os/exo.h"
#include "os/time.h"

#define NS_PER_S 1000000000ull

static struct timespec from_ns(uint64_t ns)
{
    return (struct timespec){.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)};
}

/* A duration; UINT64_MAX where it does not fit.  False: not a time at all. */
static bool to_ns(const struct timespec *t, uint64_t *ns)
{
    if (t->tv_sec < 0 || t->tv_nsec < 0 || t->tv_nsec >= (long)NS_PER_S)
        return false;
    if (__builtin_mul_overflow((uint64_t)t->tv_sec, NS_PER_S, ns) ||
        __builtin_add_overflow(*ns, (uint64_t)t->tv_nsec, ns))
        *ns = UINT64_MAX;
    return true;
}

static int fail(int error)
{
    errno = error;
    return -1;
}

int clock_gettime(clockid_t clock, struct timespec *out)
{
    switch (clock) {
    case CLOCK_REALTIME:
        *out = from_ns(os_uptime_ns() + os_epoch_ns());
        return 0;
    case CLOCK_MONOTONIC:
        *out = from_ns(os_uptime_ns());
        return 0;
    default:
        return fail(EINVAL);
    }
}

int clock_getres(clockid_t clock, struct timespec *out)
{
    if (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC)
        return fail(EINVAL);
    if (out)
        *out = from_ns(max_u64(1, NS_PER_S / os_system()->counter_hz));
    return 0;
}

int clock_settime(clockid_t clock, const struct timespec *t)
{
    uint64_t ns;

    if (clock != CLOCK_REALTIME || !to_ns(t, &ns))
        return fail(EINVAL);
    os_set_epoch_ns(ns - os_uptime_ns());
    return 0;
}

int _gettimeofday(struct timeval *out, void *zone);
int _gettimeofday(struct timeval *out, void *zone)
{
    struct timespec now;

    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    *out = (struct timeval){.tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000};
    return 0;
}

/* One process, one vcpu: its time is taken to be the time that passes. */
clock_t _times(struct tms *out);
clock_t _times(struct tms *out)
{
    clock_t now = (clock_t)(os_uptime_ns() / (NS_PER_S / CLOCKS_PER_SEC));

    if (out)
        *out = (struct tms){.tms_utime = now};
    return now;
}

int nanosleep(const struct timespec *wanted, struct timespec *left)
{
    uint64_t ns, deadline, now;
    int rc;

    if (!to_ns(wanted, &ns))
        return fail(EINVAL);
    deadline = os_deadline_ns(ns);
    rc = os_sleep_until(deadline);
    if (rc == 0)
        return 0;
    now = os_ticks();
    if (left)
        *left = from_ns(deadline > now ? os_ticks_to_ns(deadline - now) : 0);
    return fail(-rc);
}

int usleep(useconds_t us)
{
    const struct timespec t = {.tv_sec = us / 1000000, .tv_nsec = (long)(us % 1000000) * 1000};

    return nanosleep(&t, NULL);
}

unsigned sleep(unsigned seconds)
{
    struct timespec t = {.tv_sec = (time_t)seconds}, left;

    if (nanosleep(&t, &left) == 0)
        return 0;
    return (unsigned)left.tv_sec + (left.tv_nsec > 0);
}
