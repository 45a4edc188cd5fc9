/* The counter and its conversions. */
#include "os/time.h"

#include "os/exo.h"
#include "rt/arch.h"

#define NS_PER_S 1000000000ull

static uint64_t epoch_ns; /* atomic */

uint64_t os_ticks(void)
{
    return arch_counter();
}

uint64_t os_ticks_to_ns(uint64_t ticks)
{
    uint64_t hz = os_system()->counter_hz;

    return ticks / hz * NS_PER_S + ticks % hz * NS_PER_S / hz; /* hz is below 2^34 */
}

uint64_t os_ns_to_ticks(uint64_t ns)
{
    uint64_t hz = os_system()->counter_hz, ticks;

    if (__builtin_mul_overflow(ns / NS_PER_S, hz, &ticks))
        return EXO_FOREVER;
    if (__builtin_add_overflow(ticks, (ns % NS_PER_S * hz + NS_PER_S - 1) / NS_PER_S, &ticks))
        return EXO_FOREVER;
    return ticks;
}

uint64_t os_deadline_ns(uint64_t ns)
{
    uint64_t deadline;

    if (__builtin_add_overflow(os_ticks(), os_ns_to_ticks(ns), &deadline))
        return EXO_FOREVER;
    return deadline;
}

uint64_t os_uptime_ns(void)
{
    return os_ticks_to_ns(os_ticks() - os_system()->boot_ticks);
}

void os_set_epoch_ns(uint64_t ns)
{
    __atomic_store_n(&epoch_ns, ns, __ATOMIC_RELAXED);
}

uint64_t os_epoch_ns(void)
{
    return __atomic_load_n(&epoch_ns, __ATOMIC_RELAXED);
}
