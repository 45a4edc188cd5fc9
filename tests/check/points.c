/* What the compiler calls before each access to memory (-fsanitize=thread), in place of GCC's own library: writes are
 * noted so that they can be undone, and while two CPUs run at once (race.c), accesses are where they may take turns. */
#include <stdbool.h>
#include <string.h>

#include "points.h"
#include "race.h"
#include "state.h"

#define SITE __builtin_return_address(0)

static inline void wrote(const void *p, size_t n, bool atomic, const void *site)
{
    if (race_on)
        race_access(p, n, true, atomic, site);
    state_written(p, n);
}

static inline void red(const void *p, size_t n, bool atomic, const void *site)
{
    if (__builtin_expect(race_on, 0))
        race_access(p, n, false, atomic, site);
}

#define ACCESS(n)                                                                                            \
    void __tsan_read##n(const void *p)                                                                       \
    {                                                                                                        \
        red(p, n, false, SITE);                                                                              \
    }                                                                                                        \
    void __tsan_write##n(void *p)                                                                            \
    {                                                                                                        \
        wrote(p, n, false, SITE);                                                                            \
    }                                                                                                        \
    void __tsan_volatile_read##n(const void *p)                                                              \
    {                                                                                                        \
        red(p, n, true, SITE);                                                                               \
    }                                                                                                        \
    void __tsan_volatile_write##n(void *p)                                                                   \
    {                                                                                                        \
        wrote(p, n, true, SITE);                                                                             \
    }                                                                                                        \
    void __tsan_unaligned_read##n(const void *p)                                                             \
    {                                                                                                        \
        red(p, n, false, SITE);                                                                              \
    }                                                                                                        \
    void __tsan_unaligned_write##n(void *p)                                                                  \
    {                                                                                                        \
        wrote(p, n, false, SITE);                                                                            \
    }

ACCESS(1)
ACCESS(2)
ACCESS(4)
ACCESS(8)
ACCESS(16)

void __tsan_read_range(const void *p, size_t n)
{
    red(p, n, false, SITE);
}

void __tsan_write_range(void *p, size_t n)
{
    wrote(p, n, false, SITE);
}

void __tsan_init(void)
{
}

#define CHANGE(bits, type, name, change)                                                                     \
    type __tsan_atomic##bits##_##name(type *p, type value, int order)                                        \
    {                                                                                                        \
        type old;                                                                                            \
                                                                                                             \
        (void)order;                                                                                         \
        wrote(p, sizeof(*p), true, SITE);                                                                    \
        old = *p;                                                                                            \
        change;                                                                                              \
        return old;                                                                                          \
    }

#define ATOMIC(bits, type)                                                                                   \
    type __tsan_atomic##bits##_load(const type *p, int order)                                                \
    {                                                                                                        \
        (void)order;                                                                                         \
        red(p, sizeof(*p), true, SITE);                                                                      \
        return *(const volatile type *)p;                                                                    \
    }                                                                                                        \
    void __tsan_atomic##bits##_store(type *p, type value, int order)                                         \
    {                                                                                                        \
        (void)order;                                                                                         \
        wrote(p, sizeof(*p), true, SITE);                                                                    \
        *p = value;                                                                                          \
    }                                                                                                        \
    CHANGE(bits, type, exchange, *p = value)                                                                 \
    CHANGE(bits, type, fetch_add, *p = (type)(old + value))                                                  \
    CHANGE(bits, type, fetch_or, *p |= value)                                                                \
    CHANGE(bits, type, fetch_and, *p &= value)                                                               \
    type __tsan_atomic##bits##_fetch_sub(type *p, type value, int order)                                     \
    {                                                                                                        \
        return __tsan_atomic##bits##_fetch_add(p, (type)(0 - value), order);                                 \
    }                                                                                                        \
    int __tsan_atomic##bits##_compare_exchange_strong(type *p, type *expected, type value, int success,      \
                                                      int failure)                                           \
    {                                                                                                        \
        (void)success;                                                                                       \
        (void)failure;                                                                                       \
        wrote(p, sizeof(*p), true, SITE);                                                                    \
        if (*p == *expected) {                                                                               \
            *p = value;                                                                                      \
            return 1;                                                                                        \
        }                                                                                                    \
        *expected = *p;                                                                                      \
        return 0;                                                                                            \
    }                                                                                                        \
    int __tsan_atomic##bits##_compare_exchange_weak(type *p, type *expected, type value, int success,        \
                                                    int failure)                                             \
    {                                                                                                        \
        return __tsan_atomic##bits##_compare_exchange_strong(p, expected, value, success, failure);          \
    }

ATOMIC(8, uint8_t)
ATOMIC(16, uint16_t)
ATOMIC(32, uint32_t)
ATOMIC(64, uint64_t)

void __tsan_atomic_thread_fence(int order)
{
    (void)order;
}

/* The kernel's memset and memcpy, renamed when it is linked (check.mk). */
void *told_memset(void *p, int c, size_t n)
{
    wrote(p, n, false, SITE);
    return memset(p, c, n);
}

void *told_memcpy(void *to, const void *from, size_t n)
{
    red(from, n, false, SITE);
    wrote(to, n, false, SITE);
    return memcpy(to, from, n);
}

void *told_memmove(void *to, const void *from, size_t n)
{
    red(from, n, false, SITE);
    wrote(to, n, false, SITE);
    return memmove(to, from, n);
}
