/* The log: a ring of bytes for each CPU, readable through info_map, that never blocks or allocates. */
#ifndef EXO_LOG_H
#define EXO_LOG_H

#include <stdarg.h>

#include "base/types.h"

#define LOG_PAGES 4u /* of each CPU's ring, header included */

struct cpu;

void log_append(struct cpu *cpu, const char *text, size_t len);
/* A line of the kernel's own; %s %c %u %d %x %lu %lx %% only. */
void klog(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Formats into out, at most size - 1 bytes and a NUL; returns the length. */
size_t format_text(char *out, size_t size, const char *format, va_list args);

#endif
