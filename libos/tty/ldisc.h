/* The line discipline: what stands between a terminal's bytes and a program's read() and write().
 *
 * A pure library with bounded buffers: bytes come in by ldisc_input, echo and output leave by a callback,
 * reads take what is ready.
 *
 *   input ──► signals ──► editing (canonical) ──► ring: [first readable done | line under work last)
 *                 │             │
 *                 │             └─ echo ──► put
 *                 └──► signal               put ◄── output processing ◄── ldisc_write
 *
 * Nothing is lost as long as the caller asks ldisc_ready() before each byte and leaves it with its source when
 * the answer is no.  Only a single line longer than the ring loses what does not fit, and beeps. */
#ifndef LIBOS_TTY_LDISC_H
#define LIBOS_TTY_LDISC_H

#include "base/types.h"
#include "os/tty.h"

#define LDISC_LINE_MAX                                                                                       \
    4096u /* entries that input may fill; as many again take what comes back by ldisc_unread */
#define LDISC_RING (2u * LDISC_LINE_MAX)
#define LDISC_ECHO_MAX 512u /* bytes that one byte of input may put at most */

enum ldisc_signal { LDISC_INTR = 1, LDISC_QUIT, LDISC_SUSP };

struct ldisc_ops {
    void (*put)(void *ctx, uint8_t byte); /* towards the terminal; there is room */
    size_t (*room)(void *ctx);            /* bytes that `put` may still be given */
    void (*signal)(void *ctx, enum ldisc_signal sig);
};

struct ldisc {
    struct tty_attr attr;
    const struct ldisc_ops *ops;
    void *ctx;
    uint32_t first, done, last; /* counts; they wrap together */
    uint32_t column;            /* of the cursor */
    uint32_t line_column;       /* where the line under work began */
    bool literal;               /* the next byte is taken as it is */
    uint16_t ring[LDISC_RING];  /* a byte, and what it means in the bits above */
};

void ldisc_init(struct ldisc *ld, const struct ldisc_ops *ops, void *ctx);

/* May a byte come in now?  If not, after a read or when output has left. */
bool ldisc_ready(const struct ldisc *ld);
void ldisc_input(struct ldisc *ld, uint8_t byte);

/* Take up to len bytes.  Canonical: at most one line, 0 at end of file.  Otherwise by VMIN; `expired` says that
 * VTIME ran out.  -EAGAIN: not yet. */
int64_t ldisc_read(struct ldisc *ld, uint8_t *buf, size_t len, bool expired);

/* Tenths of a second until a reader that got -EAGAIN asks again with `expired`; 0: no limit. */
uint32_t ldisc_read_limit(const struct ldisc *ld);

/* Bytes that a read took come back to the front (none: an end of file).  false: no room. */
bool ldisc_unread(struct ldisc *ld, const uint8_t *buf, size_t len);

/* Put up to len bytes through output processing; returns how many there was room for.  Leaves room for echo. */
size_t ldisc_write(struct ldisc *ld, const uint8_t *buf, size_t len);

/* What was typed stays readable in either mode. */
void ldisc_set_attr(struct ldisc *ld, const struct tty_attr *attr);

void ldisc_flush(struct ldisc *ld);

#endif
