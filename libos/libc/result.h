/* POSIX's way to report an error, from the libOS's: -1 and errno from a negative errno. */
#ifndef LIBOS_LIBC_RESULT_H
#define LIBOS_LIBC_RESULT_H

#include <errno.h>
#include <stdint.h>

static inline int64_t libc_result(int64_t result)
{
    if (result >= 0)
        return result;
    errno = (int)-result;
    return -1;
}

#endif
