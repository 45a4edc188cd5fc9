/* The functions that the compiler calls; prototypes, since it declares none. */
#ifndef CHECK_POINTS_H
#define CHECK_POINTS_H

#include <stddef.h>
#include <stdint.h>

#define ACCESS_PROTOTYPES(n)                                                                                 \
    void __tsan_read##n(const void *p);                                                                      \
    void __tsan_write##n(void *p);                                                                           \
    void __tsan_volatile_read##n(const void *p);                                                             \
    void __tsan_volatile_write##n(void *p);                                                                  \
    void __tsan_unaligned_read##n(const void *p);                                                            \
    void __tsan_unaligned_write##n(void *p);

ACCESS_PROTOTYPES(1)
ACCESS_PROTOTYPES(2)
ACCESS_PROTOTYPES(4)
ACCESS_PROTOTYPES(8)
ACCESS_PROTOTYPES(16)
void __tsan_read_range(const void *p, size_t n);
void __tsan_write_range(void *p, size_t n);
void __tsan_init(void);

#define ATOMIC_PROTOTYPES(bits, type)                                                                        \
    type __tsan_atomic##bits##_load(const type *p, int order);                                               \
    void __tsan_atomic##bits##_store(type *p, type value, int order);                                        \
    type __tsan_atomic##bits##_exchange(type *p, type value, int order);                                     \
    type __tsan_atomic##bits##_fetch_add(type *p, type value, int order);                                    \
    type __tsan_atomic##bits##_fetch_sub(type *p, type value, int order);                                    \
    type __tsan_atomic##bits##_fetch_or(type *p, type value, int order);                                     \
    type __tsan_atomic##bits##_fetch_and(type *p, type value, int order);                                    \
    int __tsan_atomic##bits##_compare_exchange_strong(type *p, type *expected, type value, int success,      \
                                                      int failure);                                          \
    int __tsan_atomic##bits##_compare_exchange_weak(type *p, type *expected, type value, int success,        \
                                                    int failure);

ATOMIC_PROTOTYPES(8, uint8_t)
ATOMIC_PROTOTYPES(16, uint16_t)
ATOMIC_PROTOTYPES(32, uint32_t)
ATOMIC_PROTOTYPES(64, uint64_t)
void __tsan_atomic_thread_fence(int order);

void *told_memset(void *p, int c, size_t n);
void *told_memcpy(void *to, const void *from, size_t n);
void *told_memmove(void *to, const void *from, size_t n);

#endif
