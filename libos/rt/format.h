/* Formatting for reports: no memory, no locks, no floating point, no libc. */
#ifndef RT_FORMAT_H
#define RT_FORMAT_H

#include <stdarg.h>
#include <stddef.h>

/* %s %c %d %u %x %ld %lu %lx %zu %p %%; anything else appears as it stands.  Cuts at size - 1 characters and always
 * ends in 0; returns the number of characters in buf. */
size_t rt_format(char *buf, size_t size, const char *fmt, va_list args);

#endif
