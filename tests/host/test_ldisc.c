/* sources: libos/tty/ldisc.c */
/* The line discipline: editing, echo, signals, raw mode, and that nothing is lost.  P8 K24 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libos/tty/ldisc.h"

static struct ldisc ld;
static char out[1 << 16];
static size_t out_len, out_room;
static int signals[4];

static void put(void *ctx, uint8_t byte)
{
    (void)ctx;
    ck_assert_uint_gt(out_room, 0);
    out_room--;
    out[out_len++] = (char)byte;
}

static size_t room(void *ctx)
{
    (void)ctx;
    return out_room;
}

static void note(void *ctx, enum ldisc_signal sig)
{
    (void)ctx;
    signals[sig]++;
}

static const struct ldisc_ops ops = {put, room, note};

static void setup(void)
{
    ldisc_init(&ld, &ops, NULL);
    out_len = 0;
    out_room = sizeof(out);
    memset(signals, 0, sizeof(signals));
}

static void type(const char *text)
{
    for (; *text; text++) {
        ck_assert(ldisc_ready(&ld));
        ldisc_input(&ld, (uint8_t)*text);
    }
}

static void ck_echo(const char *want)
{
    ck_assert_uint_eq(out_len, strlen(want));
    ck_assert_mem_eq(out, want, out_len);
    out_len = 0;
}

static void ck_read(const char *want)
{
    uint8_t buf[256];
    ck_assert_int_eq(ldisc_read(&ld, buf, sizeof(buf), false), (int64_t)strlen(want));
    ck_assert_mem_eq(buf, want, strlen(want));
}

static void ck_nothing(void)
{
    uint8_t buf[8];
    ck_assert_int_eq(ldisc_read(&ld, buf, sizeof(buf), false), -EAGAIN);
}

static void set(uint32_t lflag_off, uint32_t lflag_on)
{
    struct tty_attr attr = ld.attr;
    attr.lflag = (attr.lflag & ~lflag_off) | lflag_on;
    ldisc_set_attr(&ld, &attr);
}

static void raw(uint8_t min, uint8_t time)
{
    struct tty_attr attr = ld.attr;
    attr.lflag &= ~(uint32_t)(TTY_ICANON | TTY_ECHO | TTY_ISIG);
    attr.iflag &= ~(uint32_t)TTY_ICRNL;
    attr.cc[TTY_VMIN] = min;
    attr.cc[TTY_VTIME] = time;
    ldisc_set_attr(&ld, &attr);
}

/* ---- canonical ------------------------------------------------------------------------------------------------- */

START_TEST(lines)
{
    type("one\rtwo\nthr");
    ck_echo("one\r\ntwo\r\nthr");
    ck_read("one\n");
    ck_read("two\n");
    ck_nothing();
    type("ee\r");
    ck_read("three\n");
    ck_nothing();
}
END_TEST

START_TEST(short_reads)
{
    uint8_t buf[4];
    type("abcdef\nx\n");
    ck_assert_int_eq(ldisc_read(&ld, buf, 4, false), 4);
    ck_assert_int_eq(ldisc_read(&ld, buf, 4, false), 3);
    ck_assert_mem_eq(buf, "ef\n", 3);
    ck_assert_int_eq(ldisc_read(&ld, buf, 0, false), 0);
    ck_read("x\n");
}
END_TEST

START_TEST(erase)
{
    type("ab\x7f\x7f\x7f"
         "cd\b\n");
    ck_echo("ab\b \b\b \bcd\b \b\r\n");
    ck_read("c\n");
    type("x\x01\x7fy\n"); /* a control character takes two columns */
    ck_echo("x^A\b \b\b \by\r\n");
    ck_read("xy\n");
    type("a\t\x7f"
         "b\n"); /* a tab up to the next eighth */
    ck_echo("a\t\b \b\b \b\b \b\b \b\b \b\b \b\b \bb\r\n");
    ck_read("ab\n");
    type("\xc3\xa9\x7fz\n"); /* one character of two bytes */
    ck_echo("\xc3\xa9\b \bz\r\n");
    ck_read("z\n");
}
END_TEST

START_TEST(kill_and_words)
{
    type("some words  here\x17");
    ck_echo("some words  here\b \b\b \b\b \b\b \b");
    type("\x17\x17x\n");
    ck_read("x\n");
    out_len = 0;
    type("ab\x15"
         "cd\n");
    ck_echo("ab\b \b\b \bcd\r\n");
    ck_read("cd\n");
    type("\x16\x15\x16\x03q\n"); /* taken as they are */
    ck_read("\x15\x03q\n");
    ck_assert_int_eq(signals[LDISC_INTR], 0);
}
END_TEST

START_TEST(end_of_file)
{
    type("\x04");
    ck_read("");
    ck_nothing();
    type("abc\x04");
    ck_read("abc");
    ck_nothing();
    uint8_t buf[3];
    type("abc\x04"); /* it ends these bytes, and is not an end of its own */
    ck_assert_int_eq(ldisc_read(&ld, buf, 3, false), 3);
    ck_nothing();
}
END_TEST

START_TEST(signals_flush_and_show)
{
    type("abc\ndef\x03");
    ck_echo("abc\r\ndef^C");
    ck_assert_int_eq(signals[LDISC_INTR], 1);
    ck_nothing();
    set(0, TTY_NOFLSH);
    type("x\n\x1c\x1a");
    ck_assert_int_eq(signals[LDISC_QUIT], 1);
    ck_assert_int_eq(signals[LDISC_SUSP], 1);
    ck_read("x\n");
    set(TTY_ISIG, 0);
    type("\x03\n");
    ck_read("\x03\n");
    ck_assert_int_eq(signals[LDISC_INTR], 1);
}
END_TEST

START_TEST(no_echo)
{
    set(TTY_ECHO, 0);
    type("secret\x7f\n");
    ck_echo("");
    ck_read("secre\n");
    set(0, TTY_ECHONL);
    type("x\n");
    ck_echo("\r\n");
}
END_TEST

START_TEST(a_line_too_long_beeps)
{
    static uint8_t buf[2 * LDISC_LINE_MAX];
    for (uint32_t i = 0; i < LDISC_LINE_MAX + 10; i++) {
        ck_assert(ldisc_ready(&ld));
        ldisc_input(&ld, 'x');
    }
    ck_assert_int_eq(out[out_len - 1], 7);
    ldisc_input(&ld, '\n');
    ck_assert_int_eq(ldisc_read(&ld, buf, sizeof(buf), false), LDISC_LINE_MAX);
    ck_assert_int_eq(buf[LDISC_LINE_MAX - 1], '\n');
}
END_TEST

/* Lines that nobody reads stay where they come from, and all arrive in the end. */
START_TEST(pressure)
{
    uint32_t sent = 0, got = 0;
    uint8_t buf[7];
    set(TTY_ECHO, 0);
    for (int round = 0; round < 20000; round++) {
        while (ldisc_ready(&ld))
            ldisc_input(&ld, sent++ % 10 == 9 ? '\n' : 'a' + (uint8_t)(sent % 10));
        int64_t n = ldisc_read(&ld, buf, (size_t)(rand() % 7) + 1, false);
        ck_assert_int_gt(n, 0);
        for (int64_t i = 0; i < n; i++) {
            uint32_t at = ++got;
            ck_assert_int_eq(buf[i], (at - 1) % 10 == 9 ? '\n' : 'a' + (uint8_t)(at % 10));
        }
    }
    ck_assert_uint_gt(sent, 20000);
}
END_TEST

/* ---- raw ---------------------------------------------------------------------------------------------------------- */

START_TEST(raw_min)
{
    raw(1, 0);
    ck_nothing();
    type("\r\x03\x7f");
    ck_read("\r\x03\x7f");
    ck_echo("");
    raw(3, 0);
    type("ab");
    ck_nothing();
    type("c");
    ck_read("abc");
    uint8_t buf[2];
    type("de");
    ck_assert_int_eq(ldisc_read(&ld, buf, 2, false), 2); /* MIN counts no further than what was asked for */
    raw(0, 0);
    ck_read("");
    type("x");
    ck_read("x");
}
END_TEST

START_TEST(raw_time)
{
    uint8_t buf[8];
    raw(0, 5);
    ck_assert_int_eq(ldisc_read(&ld, buf, 8, false), -EAGAIN);
    ck_assert_uint_eq(ldisc_read_limit(&ld), 5);
    ck_assert_int_eq(ldisc_read(&ld, buf, 8, true), 0);
    type("x");
    ck_read("x");
    raw(4, 2);
    ck_assert_uint_eq(ldisc_read_limit(&ld), 0); /* the time runs from the first byte */
    type("y");
    ck_assert_uint_eq(ldisc_read_limit(&ld), 2);
    ck_nothing();
    ck_assert_int_eq(ldisc_read(&ld, buf, 8, true), 1);
    ck_assert_int_eq(ldisc_read(&ld, buf, 8, true), -EAGAIN);
    raw(1, 0);
    ck_assert_uint_eq(ldisc_read_limit(&ld), 0);
}
END_TEST

START_TEST(what_was_typed_survives_a_change)
{
    type("line\npart");
    raw(1, 0);
    ck_read("line\npart");
    type("again\n");
    set(0, TTY_ICANON);
    type("x\n");
    ck_read("again\n");
    ck_read("x\n");
}
END_TEST

START_TEST(unreading)
{
    uint8_t buf[16];
    type("one\ntwo\n");
    int64_t n = ldisc_read(&ld, buf, sizeof(buf), false);
    ck_assert(ldisc_unread(&ld, buf, (size_t)n));
    ck_read("one\n");
    ck_assert(ldisc_unread(&ld, NULL, 0)); /* an end of file */
    ck_read("");
    ck_read("two\n");
    raw(1, 0);
    type("abc");
    n = ldisc_read(&ld, buf, 2, false);
    ck_assert(ldisc_unread(&ld, buf, (size_t)n));
    ck_read("abc");
}
END_TEST

/* ---- output --------------------------------------------------------------------------------------------------------- */

START_TEST(output_processing)
{
    ck_assert_uint_eq(ldisc_write(&ld, (const uint8_t *)"a\nb", 3), 3);
    ck_echo("a\r\nb");
    struct tty_attr attr = ld.attr;
    attr.oflag = 0;
    ldisc_set_attr(&ld, &attr);
    ck_assert_uint_eq(ldisc_write(&ld, (const uint8_t *)"a\nb", 3), 3);
    ck_echo("a\nb");
}
END_TEST

/* Writers leave room for echo, so that what is typed gets through while output stands still. */
START_TEST(output_leaves_room_for_echo)
{
    static uint8_t text[4096];
    memset(text, '\n', sizeof(text));
    out_room = 2000;
    size_t n = ldisc_write(&ld, text, sizeof(text));
    ck_assert_uint_gt(n, 0);
    ck_assert_uint_lt(n, sizeof(text));
    while ((n = ldisc_write(&ld, text, sizeof(text))) > 0)
        ;
    ck_assert_uint_ge(out_room, LDISC_ECHO_MAX);
    ck_assert(ldisc_ready(&ld));
    ldisc_input(&ld, 3);
    ck_assert_int_eq(signals[LDISC_INTR], 1);
}
END_TEST

/* Any bytes in any mode: no echo without room (put checks), no more read than came in. */
START_TEST(random_input)
{
    uint8_t buf[64];
    uint64_t in = 0, got = 0;
    srand(_i);
    for (int step = 0; step < 100000; step++) {
        if (rand() % 500 == 0) {
            struct tty_attr attr = ld.attr;
            attr.lflag ^= 1u << rand() % 16;
            attr.iflag ^= 1u << rand() % 16;
            attr.oflag ^= 1u << rand() % 6;
            attr.cc[TTY_VMIN] = (uint8_t)(rand() % 4);
            attr.cc[TTY_VTIME] = (uint8_t)(rand() % 3);
            ldisc_set_attr(&ld, &attr);
        }
        if (rand() % 200 == 0) {
            out_room = LDISC_ECHO_MAX + (size_t)(rand() % 2000);
            out_len = 0;
        }
        if (ldisc_ready(&ld)) {
            ldisc_input(&ld, (uint8_t)rand());
            in++;
        }
        if (rand() % 8 == 0) {
            int64_t n = ldisc_read(&ld, buf, (size_t)(rand() % 64), rand() % 2);
            if (n > 0)
                got += (uint64_t)n;
            if (n > 0 && rand() % 10 == 0 && ldisc_unread(&ld, buf, (size_t)n))
                got -= (uint64_t)n;
        }
        ck_assert_uint_le(got, in);
        ck_assert_uint_le(ld.last - ld.first, LDISC_RING);
        ck_assert_uint_le(ld.done - ld.first, ld.last - ld.first);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ldisc");
    TCase *tc = tcase_create("ldisc");
    tcase_add_checked_fixture(tc, setup, NULL);
    tcase_add_test(tc, lines);
    tcase_add_test(tc, short_reads);
    tcase_add_test(tc, erase);
    tcase_add_test(tc, kill_and_words);
    tcase_add_test(tc, end_of_file);
    tcase_add_test(tc, signals_flush_and_show);
    tcase_add_test(tc, no_echo);
    tcase_add_test(tc, a_line_too_long_beeps);
    tcase_add_test(tc, pressure);
    tcase_add_test(tc, raw_min);
    tcase_add_test(tc, raw_time);
    tcase_add_test(tc, what_was_typed_survives_a_change);
    tcase_add_test(tc, unreading);
    tcase_add_test(tc, output_processing);
    tcase_add_test(tc, output_leaves_room_for_echo);
    tcase_add_loop_test(tc, random_input, 1, 5);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
