/* A console server: os/tty.h over a line discipline and a device's transmit and receive.
 *
 *   device ──► console_receive ──► ldisc ──► waiting readers        (answered as soon as they can be)
 *   device ◄── transmit ◄── output ring ◄── ldisc ◄── log, waiting writers
 *
 * Every buffer is bounded, and the pressure goes back to whoever fills it: a full output ring lets writers
 * wait, a full input ring leaves bytes with the device (console_can_receive).  The log goes first, then
 * writers in the order in which they came. */
#ifndef LIBOS_TTY_CONSOLE_H
#define LIBOS_TTY_CONSOLE_H

#include "base/list.h"
#include "libos/tty/ldisc.h"
#include "os/ipc.h"
#include "os/proc.h"
#include "os/tty.h"

#define CONSOLE_OUTPUT 16384u /* bytes; a power of two */

struct console_dev {
    /* Take what fits of the bytes, and see to it that console_output() is called when there is room again. */
    size_t (*transmit)(void *ctx, const uint8_t *bytes, size_t len);
    /* Fetch received bytes by console_receive() while console_can_receive(); true: there were some. */
    bool (*fetch)(void *ctx);
    bool (*idle)(void *ctx);    /* has the last byte left? */
    void (*discard)(void *ctx); /* what came in and was not fetched; may be NULL */
};

struct console {
    struct ldisc ld;
    struct os_server os;
    const struct console_dev *dev;
    void *dev_ctx;
    const struct os_log_ring *log; /* init's; NULL: none */
    uint64_t log_seen;
    char log_text[256]; /* the part that has not found room yet */
    size_t log_len, log_done;
    struct list readers, writers, drainers; /* struct console_client, by `waiting` */
    uint32_t pgrp;
    uint32_t size; /* rows << 16 | columns */
    bool stopping; /* tell init when all output has left */
    uint32_t out_first, out_last;
    uint8_t out[CONSOLE_OUTPUT];
};

void console_init(struct console *c, const struct console_dev *dev, void *dev_ctx,
                  const struct os_log_ring *log);

/* For the device's fetch: may it give a byte, here it is, and here is a break. */
bool console_can_receive(const struct console *c);
void console_receive(struct console *c, uint8_t byte);
void console_break(struct console *c);

/* Do all that can be done now: fetch, transmit, answer readers and writers.  Call it when the device has
 * bytes or room, and when the log grew; requests do it themselves.  c->os.deadline says when else. */
void console_pump(struct console *c);

/* Transmit everything, then call os_console_drained(). */
void console_stop(struct console *c);

#endif
