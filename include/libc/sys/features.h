/* newlib's features, and the parts of POSIX that Corbel's libOS adds to it: without these macros newlib's
 * headers keep the declarations to themselves. */
#ifndef CORBEL_LIBC_SYS_FEATURES_H
#define CORBEL_LIBC_SYS_FEATURES_H

#include_next <sys/features.h>

#ifndef _POSIX_VERSION
#define _POSIX_VERSION 200809L
#endif
#ifndef _POSIX_TIMERS
#define _POSIX_TIMERS 200809L /* clock_gettime, nanosleep */
#endif
#ifndef _POSIX_MONOTONIC_CLOCK
#define _POSIX_MONOTONIC_CLOCK 200809L
#endif
#ifndef _POSIX_JOB_CONTROL
#define _POSIX_JOB_CONTROL 1
#endif
#ifndef _POSIX_SPAWN
#define _POSIX_SPAWN 200809L
#endif

#endif
