/* Arm PrimeCell Real Time Clock (PL031, DDI 0224): seconds since the epoch, as the machine knows them. */
#ifndef LIBOS_DEV_PL031_H
#define LIBOS_DEV_PL031_H

#include "base/mmio.h"

/* Registers, byte offsets. */
enum pl031 {
    RTCDR = 0x000, /* RO: seconds */
};

static inline uint32_t pl031_seconds(mmio_t rtc)
{
    return mmio_read32(rtc, RTCDR);
}

#endif
