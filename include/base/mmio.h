/* Device registers: the only place where `volatile` stands.
 *
 * An access is one load or store of the stated width, never split, joined, dropped or reordered with other
 * accesses here; the mapping's device attributes keep that order on the way to the device.  Order against
 * ordinary memory is mmio_fence()'s business.  (Memory that a device itself reads needs more: see whoever
 * binds it for DMA.) */
#ifndef BASE_MMIO_H
#define BASE_MMIO_H

#include "base/types.h"

/* A device's registers, by the virtual address of offset 0. */
typedef struct {
    uintptr_t base;
} mmio_t;

#define MMIO_ACCESSORS(bits)                                                                                 \
    static inline uint##bits##_t mmio_read##bits(mmio_t m, uint32_t offset)                                  \
    {                                                                                                        \
        return *(const volatile uint##bits##_t *)(m.base + offset);                                          \
    }                                                                                                        \
    static inline void mmio_write##bits(mmio_t m, uint32_t offset, uint##bits##_t value)                     \
    {                                                                                                        \
        *(volatile uint##bits##_t *)(m.base + offset) = value;                                               \
    }

MMIO_ACCESSORS(8)
MMIO_ACCESSORS(16)
MMIO_ACCESSORS(32)
MMIO_ACCESSORS(64)
#undef MMIO_ACCESSORS

/* What was accessed before is seen by other CPUs before what is accessed after. */
static inline void mmio_fence(void)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

#endif
