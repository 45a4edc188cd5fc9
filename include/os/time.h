/* Time: the architecture's counter, in ticks, and conversions.  Nothing here enters the kernel except
 * os_sleep_until.  Conversions do not overflow before the counter does. */
#ifndef OS_TIME_H
#define OS_TIME_H

#include "exo/abi.h"

/* The counter now. */
uint64_t os_ticks(void);

/* Ticks to nanoseconds and back; back rounds up, and answers EXO_FOREVER where the result would not fit. */
uint64_t os_ticks_to_ns(uint64_t ticks);
uint64_t os_ns_to_ticks(uint64_t ns);

/* The deadline that lies so far ahead; EXO_FOREVER if that is out of the counter's reach. */
uint64_t os_deadline_ns(uint64_t ns);

/* Nanoseconds since the kernel was entered. */
uint64_t os_uptime_ns(void);

/* Nanoseconds to add to os_uptime_ns for the time of day; 0 until somebody who knows sets it. */
void os_set_epoch_ns(uint64_t ns);
uint64_t os_epoch_ns(void);

/* Sleep until the deadline: 0, or -EINTR after a signal's handler ran. */
int os_sleep_until(uint64_t deadline);

#endif
