/* What init has to say: one line each, into the log ring that the console server prints from (os/proc.h).  Before there is
 * a console server, init writes to the UART that the device tree names, if it is a PL011, by itself. */
#ifndef INIT_SAY_H
#define INIT_SAY_H

#include "os/proc.h"

struct say {
    struct os_log_ring *ring;
    const struct proc *console; /* who prints; NULL: nobody, so we do */
    volatile uint32_t *uart;    /* NULL: none */
};

/* Find the UART.  Works without: then the ring alone is written. */
void say_init(struct say *say, const void *tree);

void say(struct say *say, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A console server came (or went: NULL). */
void say_to(struct say *say, const struct proc *console);

#endif
