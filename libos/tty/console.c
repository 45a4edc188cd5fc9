#include "libos/tty/console.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "os/time.h"

#define DRAIN_LOOK_NS                                                                                        \
    1000000u /* how often to look whether the last byte has left: no device interrupts then */

enum wait_for { WAIT_NOTHING, WAIT_READ, WAIT_WRITE, WAIT_DRAIN, WAIT_SET_ATTR };

struct console_client {
    struct os_peer *peer;
    struct list waiting;
    enum wait_for what;
    uint32_t len;      /* READ, WRITE */
    bool took;         /* the latest request was a read */
    uint64_t deadline; /* READ: when VTIME runs out; 0: no limit set yet */
    enum tty_when when;
    struct tty_attr attr; /* SET_ATTR */
};

static struct console *console_of(struct os_server *os)
{
    return os->ctx;
}

/* ---- output -------------------------------------------------------------------------------------------------- */

static uint32_t out_used(const struct console *c)
{
    return c->out_last - c->out_first;
}

static void ld_put(void *ctx, uint8_t byte)
{
    struct console *c = ctx;
    if (out_used(c) < CONSOLE_OUTPUT)
        c->out[c->out_last++ % CONSOLE_OUTPUT] = byte;
}

static size_t ld_room(void *ctx)
{
    return CONSOLE_OUTPUT - out_used(ctx);
}

static void ld_signal(void *ctx, enum ldisc_signal sig)
{
    static const int number[] = {[LDISC_INTR] = SIGINT, [LDISC_QUIT] = SIGQUIT, [LDISC_SUSP] = SIGTSTP};
    struct console *c = ctx;
    if (c->pgrp != 0)
        (void)os_interrupt(c->pgrp, number[sig]); /* the group may have ended: then nobody is interrupted */
}

/* Give the device what it takes. */
static void out_transmit(struct console *c)
{
    while (out_used(c) > 0) {
        uint32_t at = c->out_first % CONSOLE_OUTPUT;
        size_t part = min_u64(out_used(c), CONSOLE_OUTPUT - at);
        size_t sent = c->dev->transmit(c->dev_ctx, c->out + at, part);
        c->out_first += (uint32_t)sent;
        if (sent < part)
            return;
    }
}

static bool out_idle(const struct console *c)
{
    return out_used(c) == 0 && c->dev->idle(c->dev_ctx);
}

/* ---- waiting clients ----------------------------------------------------------------------------------------- */

static struct console_client *client_get(struct os_peer *peer)
{
    struct console_client *client = peer->data;
    if (client == NULL) {
        client = calloc(1, sizeof(*client));
        if (client == NULL)
            return NULL;
        client->peer = peer;
        list_init(&client->waiting);
        peer->data = client;
    }
    client->took = false;
    return client;
}

static int64_t client_wait(struct console_client *client, struct list *list, enum wait_for what)
{
    client->what = what;
    client->deadline = 0;
    list_add_tail(list, &client->waiting);
    return OS_DEFER;
}

static void client_answer(struct console *c, struct console_client *client, int64_t result)
{
    client->what = WAIT_NOTHING;
    list_remove(&client->waiting);
    os_reply(&c->os, client->peer, result, NULL);
}

static struct console_client *first_of(struct list *list)
{
    return list_empty(list) ? NULL : list_entry(list->next, struct console_client, waiting);
}

static void client_cancel(struct os_server *os, struct os_peer *peer)
{
    struct console_client *client = peer->data;
    (void)os;
    if (client == NULL)
        return;
    client->what = WAIT_NOTHING;
    list_remove(&client->waiting);
}

static void client_gone(struct os_server *os, struct os_peer *peer)
{
    client_cancel(os, peer);
    free(peer->data);
    peer->data = NULL;
}

/* What a read took and nobody got is put back for the next one. */
static void client_undelivered(struct os_server *os, struct os_peer *peer, const struct os_words *answer)
{
    struct console *c = console_of(os);
    struct console_client *client = peer->data;
    if (client == NULL || !client->took || answer->w[0] > peer->buf_bytes)
        return;
    client->took = false;
    ldisc_unread(&c->ld, peer->buf, answer->w[0]);
    console_pump(c);
}

/* ---- the pump ------------------------------------------------------------------------------------------------ */

static bool log_more(struct console *c)
{
    if (c->log == NULL)
        return false;
    if (c->log_done == c->log_len) {
        c->log_done = 0;
        c->log_len = os_log_read(c->log, &c->log_seen, c->log_text, sizeof(c->log_text));
    }
    return c->log_done < c->log_len;
}

/* true: some of it found room. */
static bool pump_log(struct console *c)
{
    if (!log_more(c))
        return false;
    size_t n = ldisc_write(&c->ld, (const uint8_t *)c->log_text + c->log_done, c->log_len - c->log_done);
    c->log_done += n;
    return n > 0;
}

static bool pump_writer(struct console *c)
{
    struct console_client *client = first_of(&c->writers);
    size_t n = client == NULL ? 0 : ldisc_write(&c->ld, client->peer->buf, client->len);
    if (n > 0)
        client_answer(c, client, (int64_t)n);
    return n > 0;
}

/* VTIME: the time starts with the wait, or, where VMIN bytes are wanted, anew with each byte. */
static bool reader_expired(struct console *c, struct console_client *client)
{
    uint32_t limit = ldisc_read_limit(&c->ld);
    uint64_t now = os_ticks();
    if (limit == 0)
        client->deadline = 0;
    else if (client->deadline == 0)
        client->deadline = os_deadline_ns(limit * 100000000ull);
    return client->deadline != 0 && now >= client->deadline;
}

static bool pump_reader(struct console *c)
{
    struct console_client *client = first_of(&c->readers);
    if (client == NULL)
        return false;
    int64_t n = ldisc_read(&c->ld, client->peer->buf, client->len, reader_expired(c, client));
    if (n == -EAGAIN)
        return false;
    client->took = true;
    client_answer(c, client, n);
    return true;
}

static void attr_apply(struct console *c, const struct console_client *client)
{
    if (client->when == TTY_DRAIN_FLUSH)
        ldisc_flush(&c->ld);
    ldisc_set_attr(&c->ld, &client->attr);
}

static bool pump_drainer(struct console *c)
{
    struct console_client *client = first_of(&c->drainers);
    if (client == NULL || !out_idle(c))
        return false;
    if (client->what == WAIT_SET_ATTR)
        attr_apply(c, client);
    client_answer(c, client, 0);
    return true;
}

/* Nothing interrupts when a shift register runs empty or a reader's time is up: these ask for a look later. */
static void set_deadline(struct console *c)
{
    struct console_client *reader = first_of(&c->readers);
    uint64_t deadline = EXO_FOREVER;
    if (out_used(c) == 0 && (c->stopping || !list_empty(&c->drainers)))
        deadline = os_deadline_ns(DRAIN_LOOK_NS);
    if (reader != NULL && reader->deadline != 0)
        deadline = min_u64(deadline, reader->deadline);
    c->os.deadline = deadline;
}

/* Bytes answer readers, and reads make room for bytes: until neither moves. */
void console_pump(struct console *c)
{
    bool moved;
    do {
        moved = c->dev->fetch(c->dev_ctx);
        do
            out_transmit(c);
        while (pump_log(c) || (!log_more(c) && pump_writer(c)));
        while (pump_reader(c) || pump_drainer(c))
            moved = true;
    } while (moved);
    if (c->stopping && !log_more(c) && list_empty(&c->writers) && out_idle(c)) {
        c->stopping = false;
        (void)os_console_drained();
    }
    set_deadline(c);
}

/* ---- input --------------------------------------------------------------------------------------------------- */

bool console_can_receive(const struct console *c)
{
    return ldisc_ready(&c->ld);
}

void console_receive(struct console *c, uint8_t byte)
{
    struct console_client *reader = first_of(&c->readers);
    if (reader != NULL && c->ld.attr.cc[TTY_VMIN] != 0)
        reader->deadline = 0;
    ldisc_input(&c->ld, byte);
}

void console_break(struct console *c)
{
    if (c->ld.attr.iflag & TTY_BRKINT && !(c->ld.attr.iflag & TTY_IGNBRK) && c->ld.attr.lflag & TTY_ISIG)
        ld_signal(c, LDISC_INTR);
}

/* ---- requests ------------------------------------------------------------------------------------------------ */

static int64_t op_read(struct os_server *os, struct os_peer *peer, struct os_words *w)
{
    struct console *c = console_of(os);
    struct console_client *client = client_get(peer);
    if (client == NULL)
        return -ENOMEM;
    if (w->w[1] > peer->buf_bytes)
        return -EINVAL;
    int64_t n =
        list_empty(&c->readers) ? ldisc_read(&c->ld, peer->buf, w->w[1], w->w[2] & TTY_NONBLOCK) : -EAGAIN;
    client->took = n >= 0;
    client->len = (uint32_t)w->w[1];
    if (n >= 0)
        console_pump(c); /* there is room again for what the device has */
    if (n >= 0 || w->w[2] & TTY_NONBLOCK)
        return n;
    client_wait(client, &c->readers, WAIT_READ);
    (void)reader_expired(c, client);
    set_deadline(c);
    return OS_DEFER;
}

static int64_t op_write(struct os_server *os, struct os_peer *peer, struct os_words *w)
{
    struct console *c = console_of(os);
    struct console_client *client = client_get(peer);
    if (client == NULL)
        return -ENOMEM;
    if (w->w[1] > peer->buf_bytes)
        return -EINVAL;
    if (w->w[1] == 0)
        return 0;
    bool first = list_empty(&c->writers) && !log_more(c);
    size_t n = first ? ldisc_write(&c->ld, peer->buf, w->w[1]) : 0;
    client->len = (uint32_t)w->w[1];
    if (n > 0)
        out_transmit(c);
    if (n > 0 || w->w[2] & TTY_NONBLOCK)
        return n > 0 ? (int64_t)n : -EAGAIN;
    return client_wait(client, &c->writers, WAIT_WRITE);
}

static int64_t op_get_attr(struct os_server *os, struct os_peer *peer, struct os_words *w)
{
    (void)w;
    if (sizeof(struct tty_attr) > peer->buf_bytes)
        return -EINVAL;
    memcpy(peer->buf, &console_of(os)->ld.attr, sizeof(struct tty_attr));
    return 0;
}

static int64_t op_set_attr(struct os_server *os, struct os_peer *peer, struct os_words *w)
{
    struct console *c = console_of(os);
    struct console_client *client = client_get(peer);
    if (client == NULL)
        return -ENOMEM;
    if (w->w[1] > TTY_DRAIN_FLUSH || sizeof(client->attr) > peer->buf_bytes)
        return -EINVAL;
    memcpy(&client->attr, peer->buf, sizeof(client->attr));
    client->when = (enum tty_when)w->w[1];
    if (client->when != TTY_NOW && !out_idle(c)) {
        client_wait(client, &c->drainers, WAIT_SET_ATTR);
        set_deadline(c);
        return OS_DEFER;
    }
    attr_apply(c, client);
    console_pump(c);
    return 0;
}

static int64_t op_drain(struct os_server *os, struct os_peer *peer, struct os_words *w)
{
    struct console *c = console_of(os);
    struct console_client *client = client_get(peer);
    (void)w;
    if (client == NULL)
        return -ENOMEM;
    if (out_idle(c))
        return 0;
    client_wait(client, &c->drainers, WAIT_DRAIN);
    set_deadline(c);
    return OS_DEFER;
}

static int64_t op_flush(struct os_server *os, struct os_peer *peer, struct os_words *w)
{
    struct console *c = console_of(os);
    (void)peer;
    if (w->w[1] == 0 || w->w[1] & ~(uint64_t)(TTY_QUEUE_IN | TTY_QUEUE_OUT))
        return -EINVAL;
    if (w->w[1] & TTY_QUEUE_IN) {
        ldisc_flush(&c->ld);
        if (c->dev->discard != NULL)
            c->dev->discard(c->dev_ctx);
    }
    if (w->w[1] & TTY_QUEUE_OUT)
        c->out_first = c->out_last;
    console_pump(c);
    return 0;
}

static int64_t op_set_pgrp(struct os_server *os, struct os_peer *peer, struct os_words *w)
{
    (void)peer;
    if (w->w[1] == 0 || w->w[1] > INT32_MAX)
        return -EINVAL;
    console_of(os)->pgrp = (uint32_t)w->w[1];
    return 0;
}

static int64_t op_get_pgrp(struct os_server *os, struct os_peer *peer, struct os_words *w)
{
    (void)peer;
    (void)w;
    return console_of(os)->pgrp;
}

static int64_t op_get_size(struct os_server *os, struct os_peer *peer, struct os_words *w)
{
    (void)peer;
    (void)w;
    return console_of(os)->size;
}

static int64_t op_set_size(struct os_server *os, struct os_peer *peer, struct os_words *w)
{
    struct console *c = console_of(os);
    (void)peer;
    if (w->w[1] > UINT32_MAX)
        return -EINVAL;
    bool changed = c->size != (uint32_t)w->w[1];
    c->size = (uint32_t)w->w[1];
    if (changed && c->pgrp != 0)
        (void)os_interrupt(c->pgrp, SIGWINCH);
    return 0;
}

#define OP(name) [TTY_OP_##name - OS_OP_FIRST]
static os_op_fn *const ops[TTY_OP_END - OS_OP_FIRST] = {
    OP(READ) = op_read,         OP(WRITE) = op_write,       OP(GET_ATTR) = op_get_attr,
    OP(SET_ATTR) = op_set_attr, OP(SET_PGRP) = op_set_pgrp, OP(GET_PGRP) = op_get_pgrp,
    OP(FLUSH) = op_flush,       OP(DRAIN) = op_drain,       OP(GET_SIZE) = op_get_size,
    OP(SET_SIZE) = op_set_size,
};

static void timed_out(struct os_server *os)
{
    console_pump(console_of(os));
}

void console_stop(struct console *c)
{
    c->stopping = true;
    console_pump(c);
}

void console_init(struct console *c, const struct console_dev *dev, void *dev_ctx,
                  const struct os_log_ring *log)
{
    static const struct ldisc_ops ld_ops = {ld_put, ld_room, ld_signal};
    *c = (struct console){.dev = dev, .dev_ctx = dev_ctx, .log = log};
    if (log != NULL)
        c->log_seen = log->printed;
    ldisc_init(&c->ld, &ld_ops, c);
    list_init(&c->readers);
    list_init(&c->writers);
    list_init(&c->drainers);
    c->os = (struct os_server){
        .name = TTY_SERVICE,
        .ops = ops,
        .nops = ARRAY_LEN(ops),
        .max_peers = 1024,
        .ctx = c,
        .gone = client_gone,
        .cancel = client_cancel,
        .undelivered = client_undelivered,
        .timeout = timed_out,
    };
}
