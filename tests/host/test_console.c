/* sources: libos/tty/console.c libos/tty/ldisc.c */
/* The console server over a model of a device: who waits, who is answered, that nothing is lost, and that no client
 * can make it leave the client's own buffer.  F6 K14 K24 P2 */
#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "libos/tty/console.h"
#include "os/time.h"

enum { NPEERS = 3, BUF = 4096 };

static struct console console;

static struct client {
    struct os_peer peer;
    bool waiting, answered;
    int64_t result;
} clients[NPEERS];

static struct device {
    size_t room;       /* bytes that the next calls of transmit take */
    bool busy;         /* the last byte has not left */
    const char *input; /* what was received and not fetched */
    size_t len;
    char sent[1 << 16];
} dev;

static uint64_t ticks;
static uint32_t told_pgrp;
static int told_signal, drained;

/* ---- what the server stands on --------------------------------------------------------------------------------- */

void os_reply(struct os_server *server, struct os_peer *peer, int64_t result, const struct os_words *w)
{
    struct client *c = (struct client *)peer;
    (void)server, (void)w;
    ck_assert(c->waiting);
    c->waiting = false;
    c->answered = true;
    c->result = result;
}

int os_interrupt(uint32_t pgrp, int sig)
{
    told_pgrp = pgrp;
    told_signal = sig;
    return 0;
}

int os_console_drained(void)
{
    drained++;
    return 0;
}

size_t os_log_read(const struct os_log_ring *ring, uint64_t *seen, char *buf, size_t bytes)
{
    size_t n = 0;
    while (n < bytes && *seen < ring->written)
        buf[n++] = ring->text[(*seen)++ % sizeof(ring->text)];
    return n;
}

uint64_t os_ticks(void)
{
    return ticks;
}

uint64_t os_deadline_ns(uint64_t ns)
{
    return ticks + ns;
}

static size_t transmit(void *ctx, const uint8_t *bytes, size_t len)
{
    struct device *d = ctx;
    size_t n = min_u64(len, d->room);
    ck_assert_uint_le(d->len + n, sizeof(d->sent));
    memcpy(d->sent + d->len, bytes, n);
    d->len += n;
    d->room -= n;
    return n;
}

static bool idle(void *ctx)
{
    return !((struct device *)ctx)->busy;
}

static bool fetch(void *ctx)
{
    struct device *d = ctx;
    bool some = false;
    while (d->input != NULL && *d->input != 0 && console_can_receive(&console)) {
        console_receive(&console, (uint8_t)*d->input++);
        some = true;
    }
    return some;
}

static const struct console_dev model = {transmit, fetch, idle, NULL};
static struct os_log_ring ring;

static void setup(void)
{
    memset(&dev, 0, sizeof(dev));
    memset(&ring, 0, sizeof(ring));
    dev.room = sizeof(dev.sent);
    ticks = 1;
    told_pgrp = 0;
    told_signal = drained = 0;
    console_init(&console, &model, &dev, &ring);
    for (int i = 0; i < NPEERS; i++) {
        clients[i] = (struct client){.peer = {.pid = 10 + (uint32_t)i, .buf_bytes = BUF}};
        clients[i].peer.buf = malloc(BUF);
    }
}

static int64_t request(int who, uint64_t op, uint64_t a, uint64_t b)
{
    struct client *c = &clients[who];
    struct os_words w = {{op, a, b}};
    if (c->waiting)
        console.os.cancel(&console.os, &c->peer);
    c->waiting = c->answered = false;
    int64_t result = console.os.ops[op - OS_OP_FIRST](&console.os, &c->peer, &w);
    c->waiting = result == OS_DEFER;
    return result;
}

static void gone(int who)
{
    console.os.gone(&console.os, &clients[who].peer);
    clients[who].waiting = false;
}

static void teardown(void)
{
    for (int i = 0; i < NPEERS; i++) {
        gone(i);
        free(clients[i].peer.buf);
    }
}

static void type(const char *text)
{
    dev.input = text;
    console_pump(&console);
}

static int64_t write_as(int who, const char *text)
{
    memcpy(clients[who].peer.buf, text, strlen(text));
    return request(who, TTY_OP_WRITE, strlen(text), 0);
}

static void ck_sent(const char *want)
{
    ck_assert_uint_eq(dev.len, strlen(want));
    ck_assert_mem_eq(dev.sent, want, dev.len);
    dev.len = 0;
}

static void ck_answer(int who, int64_t result, const char *bytes)
{
    ck_assert(clients[who].answered);
    ck_assert_int_eq(clients[who].result, result);
    ck_assert_mem_eq(clients[who].peer.buf, bytes, strlen(bytes));
}

/* ---- input and output ---------------------------------------------------------------------------------------------- */

START_TEST(reads_wait_for_lines)
{
    ck_assert_int_eq(request(0, TTY_OP_READ, 100, 0), OS_DEFER);
    ck_assert_int_eq(request(1, TTY_OP_READ, 100, 0), OS_DEFER);
    type("one");
    ck_assert(!clients[0].answered);
    type("\rtwo\r");
    ck_answer(0, 4, "one\n");
    ck_answer(1, 4, "two\n");
    ck_sent("one\r\ntwo\r\n");
    type("three\r");
    ck_assert_int_eq(request(0, TTY_OP_READ, 100, 0), 6);
    ck_assert_int_eq(request(0, TTY_OP_READ, 100, TTY_NONBLOCK), -EAGAIN);
}
END_TEST

/* What finds no room stays with the device, and comes as soon as a read makes some, without another interrupt. */
START_TEST(input_under_pressure)
{
    enum { LINES = 3000 };
    static char text[LINES * 6 + 1];
    for (int i = 0; i < LINES; i++)
        memcpy(text + i * 6, "hello\r", 7);
    dev.room = 0;
    type(text);
    ck_assert_int_ne(*dev.input, 0);
    for (int i = 0; i < LINES; i++) {
        dev.len = 0;
        dev.room = 100; /* echo needs room too: it leaves when the device takes it */
        console_pump(&console);
        ck_assert_int_eq(request(i % NPEERS, TTY_OP_READ, 100, 0), 6);
        ck_assert_mem_eq(clients[i % NPEERS].peer.buf, "hello\n", 6);
    }
    ck_assert_int_eq(*dev.input, 0);
    ck_assert_int_eq(request(0, TTY_OP_READ, 100, 0), OS_DEFER);
}
END_TEST

START_TEST(writes_wait_for_room)
{
    dev.room = 0;
    memset(clients[0].peer.buf, 'a', BUF);
    int64_t n, all = 0;
    while ((n = request(0, TTY_OP_WRITE, BUF, 0)) != OS_DEFER)
        all += n;
    ck_assert_int_eq(write_as(1, "second"), OS_DEFER);
    ck_assert_int_eq(request(2, TTY_OP_WRITE, 1, TTY_NONBLOCK), -EAGAIN);
    dev.room = sizeof(dev.sent);
    console_pump(&console);
    ck_assert(clients[0].answered && clients[1].answered);
    ck_assert_int_gt(clients[0].result, 0);
    all += clients[0].result;
    ck_assert_uint_eq(dev.len, (size_t)all + 6); /* in the order in which they came, nothing lost */
    ck_assert_mem_eq(dev.sent + all, "second", 6);
}
END_TEST

/* P2: Ctrl-C gets through to the group, with output at a standstill. */
START_TEST(signals)
{
    type("\x03");
    ck_assert_int_eq(told_signal, 0); /* no group yet */
    ck_assert_int_eq(request(0, TTY_OP_SET_PGRP, 77, 0), 0);
    ck_assert_int_eq(request(0, TTY_OP_GET_PGRP, 0, 0), 77);
    ck_assert_int_eq(request(0, TTY_OP_SET_PGRP, 0, 0), -EINVAL);
    ck_assert_int_eq(request(0, TTY_OP_SET_PGRP, 1ull << 32, 0), -EINVAL);
    dev.room = 0;
    while (request(0, TTY_OP_WRITE, BUF, TTY_NONBLOCK) > 0)
        ;
    type("\x03");
    ck_assert_uint_eq(told_pgrp, 77);
    ck_assert_int_eq(told_signal, SIGINT);
    console_break(&console);
    ck_assert_int_eq(told_signal, SIGINT);
    ck_assert_int_eq(request(0, TTY_OP_SET_SIZE, 24 << 16 | 80, 0), 0);
    ck_assert_int_eq(told_signal, SIGWINCH);
    ck_assert_int_eq(request(0, TTY_OP_GET_SIZE, 0, 0), 24 << 16 | 80);
}
END_TEST

START_TEST(attributes)
{
    struct tty_attr attr;
    ck_assert_int_eq(request(0, TTY_OP_GET_ATTR, 0, 0), 0);
    memcpy(&attr, clients[0].peer.buf, sizeof(attr));
    attr.lflag &= ~(uint32_t)TTY_ICANON;
    memcpy(clients[0].peer.buf, &attr, sizeof(attr));
    ck_assert_int_eq(request(0, TTY_OP_SET_ATTR, 3, 0), -EINVAL);
    ck_assert_int_eq(request(1, TTY_OP_READ, 10, 0), OS_DEFER);
    type("ab");
    ck_assert(!clients[1].answered);
    ck_assert_int_eq(request(0, TTY_OP_SET_ATTR, TTY_NOW, 0), 0);
    ck_answer(1, 2, "ab"); /* what was typed is there at once */
    dev.busy = true;
    memcpy(clients[0].peer.buf, &attr, sizeof(attr));
    ck_assert_int_eq(request(0, TTY_OP_SET_ATTR, TTY_DRAIN_FLUSH, 0), OS_DEFER);
    type("gone");
    dev.busy = false;
    ck_assert_uint_ne(console.os.deadline, EXO_FOREVER);
    console.os.timeout(&console.os);
    ck_answer(0, 0, "");
    ck_assert_int_eq(request(1, TTY_OP_READ, 10, TTY_NONBLOCK), -EAGAIN);
}
END_TEST

START_TEST(timed_reads)
{
    struct tty_attr attr = console.ld.attr;
    attr.lflag &= ~(uint32_t)TTY_ICANON;
    attr.cc[TTY_VMIN] = 0;
    attr.cc[TTY_VTIME] = 3;
    ldisc_set_attr(&console.ld, &attr);
    ck_assert_int_eq(request(0, TTY_OP_READ, 10, 0), OS_DEFER);
    ck_assert_uint_eq(console.os.deadline, ticks + 300000000);
    ticks = console.os.deadline;
    console.os.timeout(&console.os);
    ck_answer(0, 0, "");
    ck_assert_uint_eq(console.os.deadline, EXO_FOREVER);
}
END_TEST

START_TEST(draining_and_flushing)
{
    ck_assert_int_eq(request(0, TTY_OP_DRAIN, 0, 0), 0);
    dev.room = 3;
    ck_assert_int_eq(write_as(1, "output"), 6);
    ck_assert_int_eq(request(0, TTY_OP_DRAIN, 0, 0), OS_DEFER);
    dev.room = 3;
    dev.busy = true;
    console_pump(&console);
    ck_assert(!clients[0].answered);
    dev.busy = false;
    console.os.timeout(&console.os);
    ck_answer(0, 0, "");
    type("typed\r");
    ck_assert_int_eq(request(0, TTY_OP_FLUSH, TTY_QUEUE_IN, 0), 0);
    ck_assert_int_eq(request(0, TTY_OP_READ, 9, TTY_NONBLOCK), -EAGAIN);
    ck_assert_int_eq(request(0, TTY_OP_FLUSH, 0, 0), -EINVAL);
    ck_assert_int_eq(request(0, TTY_OP_FLUSH, 4, 0), -EINVAL);
}
END_TEST

/* The log goes out whole and first; the last word to init comes when everything has left. */
START_TEST(log_and_end)
{
    const char *text = "init: a sentence\n";
    dev.room = 0;
    ck_assert_int_eq(write_as(0, "before "), 7);
    memcpy(ring.text, text, strlen(text));
    ring.written = strlen(text);
    console_stop(&console);
    ck_assert_int_eq(drained, 0);
    dev.room = 1000;
    dev.busy = true;
    console_pump(&console);
    ck_sent("before init: a sentence\r\n");
    ck_assert_int_eq(drained, 0);
    dev.busy = false;
    console.os.timeout(&console.os);
    ck_assert_int_eq(drained, 1);
    console_pump(&console);
    ck_assert_int_eq(drained, 1);
}
END_TEST

START_TEST(withdrawn_and_undelivered)
{
    struct os_words answer = {{4}};
    ck_assert_int_eq(request(0, TTY_OP_READ, 100, 0), OS_DEFER);
    console.os.cancel(&console.os, &clients[0].peer);
    clients[0].waiting = false;
    type("one\r");
    ck_assert(!clients[0].answered);
    ck_assert_int_eq(request(0, TTY_OP_READ, 100, 0), 4);
    console.os.undelivered(&console.os, &clients[0].peer, &answer);
    ck_assert_int_eq(request(1, TTY_OP_READ, 100, 0), 4);
    ck_assert_mem_eq(clients[1].peer.buf, "one\n", 4);
    ck_assert_int_eq(write_as(1, "back"), 4);
    console.os.undelivered(&console.os, &clients[1].peer, &answer); /* output cannot come back */
    ck_assert_int_eq(request(1, TTY_OP_READ, 100, TTY_NONBLOCK), -EAGAIN);
    ck_assert_int_eq(request(2, TTY_OP_READ, 100, 0), OS_DEFER);
    gone(2);
    type("two\r");
    ck_assert(!clients[2].answered);
}
END_TEST

/* ---- hostile clients ------------------------------------------------------------------------------------------------- */

/* F6 */
START_TEST(lengths_are_held_against_the_buffer)
{
    static const uint64_t bad[] = {BUF + 1, 1ull << 32, (1ull << 32) + 1, INT64_MAX, UINT64_MAX};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        ck_assert_int_eq(request(0, TTY_OP_READ, bad[i], 0), -EINVAL);
        ck_assert_int_eq(request(0, TTY_OP_WRITE, bad[i], 0), -EINVAL);
    }
    free(clients[1].peer.buf);
    clients[1].peer.buf = NULL;
    clients[1].peer.buf_bytes = 0;
    ck_assert_int_eq(request(1, TTY_OP_READ, 1, 0), -EINVAL);
    ck_assert_int_eq(request(1, TTY_OP_GET_ATTR, 0, 0), -EINVAL);
    ck_assert_int_eq(request(1, TTY_OP_SET_ATTR, 0, 0), -EINVAL);
    ck_assert_int_eq(request(1, TTY_OP_WRITE, 0, 0), 0);
}
END_TEST

START_TEST(random_requests)
{
    static const uint64_t edges[] = {0, 1, 2, 3, 100, BUF - 1, BUF, BUF + 1, UINT64_MAX, 1ull << 32};
    srand(_i);
    for (int step = 0; step < 20000; step++) {
        int who = rand() % NPEERS;
        uint64_t op = TTY_OP_READ + (uint64_t)rand() % (TTY_OP_END - TTY_OP_READ);
        memset(clients[who].peer.buf, rand(), 64);
        (void)request(who, op, edges[(size_t)rand() % ARRAY_LEN(edges)], (uint64_t)rand() % 3);
        if (console_can_receive(&console))
            console_receive(&console, (uint8_t)rand());
        dev.room = (size_t)rand() % 2000;
        dev.busy = rand() % 2;
        dev.len = 0;
        ticks += (uint64_t)rand() % 1000000000;
        console_pump(&console);
        if (rand() % 100 == 0)
            gone(who);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("console");
    TCase *tc = tcase_create("console");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, reads_wait_for_lines);
    tcase_add_test(tc, input_under_pressure);
    tcase_add_test(tc, writes_wait_for_room);
    tcase_add_test(tc, signals);
    tcase_add_test(tc, attributes);
    tcase_add_test(tc, timed_reads);
    tcase_add_test(tc, draining_and_flushing);
    tcase_add_test(tc, log_and_end);
    tcase_add_test(tc, withdrawn_and_undelivered);
    tcase_add_test(tc, lengths_are_held_against_the_buffer);
    tcase_add_loop_test(tc, random_requests, 1, 5);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
