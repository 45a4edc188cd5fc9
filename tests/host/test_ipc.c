/* The servers' loop against a scripted kernel: what comes in is a list, what goes out is noted. */
/* sources: libos/ipc/server.c */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libos/ipc/reply_wait.h"
#include "os/ipc.h"
#include "os/mem.h"
#include "os/proc.h"
#include "os/revoke.h"
#include "os/rt.h"
#include "os/thread.h"
#include "os/time.h"

/* ---- the kernel ------------------------------------------------------------------------------------------- */

struct incoming {
    uint64_t token, badge;
    uint64_t w[3];
    uint32_t npages, prot;
    uint64_t events;
    uint64_t wanted; /* a page that somebody wants back while the server sleeps */
    bool lost;       /* the reply that goes out with this wait finds nobody */
};
static struct incoming script[2000];
static unsigned nscript, at;

struct reply {
    uint64_t token;
    int64_t result;
};
static struct reply replies[2000];
static unsigned nreplies;

static bool window_used[64];
static unsigned windows_used, pids_alive = 100; /* pids below live */
static struct os_server server;
static struct exo_vcpu_page vcpu;

static os_revoke_fn *on_pages;
static unsigned held;

void os_on_pages(os_revoke_fn *fn)
{
    on_pages = fn;
}

void os_signals_hold(void)
{
    held++;
}

void os_signals_release(void)
{
    held--;
}

static bool locked;

int os_mutex_lock(struct os_mutex *m)
{
    (void)m;
    ck_assert(!locked);
    ck_assert_uint_gt(held, 0); /* or a notice could come over the holder and wait for it */
    locked = true;
    return 0;
}

int os_mutex_unlock(struct os_mutex *m)
{
    (void)m;
    ck_assert(locked);
    locked = false;
    return 0;
}

struct exo_vcpu_page *os_vcpu(void)
{
    return &vcpu;
}

static unsigned window_of(uint64_t va)
{
    uint64_t window = (va - server.windows_va) / (server.window_pages * PAGE_SIZE);

    ck_assert_uint_lt(window, server.max_peers + 1);
    return (unsigned)window;
}

static bool pinned;

int64_t reply_wait_or_event(uint64_t token, struct exo_words *words, uint64_t deadline, uint64_t mask,
                            uint64_t *bits)
{
    const struct incoming *in = &script[at];

    (void)deadline;
    ck_assert(pinned); /* gates lead to the main vcpu */
    if (token && !(at < nscript && in->lost))
        replies[nreplies++] = (struct reply){token, (int64_t)words->w[0]};
    if (at == nscript) {
        if (!token)
            os_server_stop(&server);
        return -EXO_ETIMEDOUT;
    }
    at++;
    *bits = in->events & mask;
    if (in->wanted)
        on_pages(&(struct os_revoke){.kind = EXO_REVOKE_PAGES, .number = 1, .va = in->wanted});
    if (in->lost)
        return -EXO_ETOKEN;
    if (!in->token)
        return 0;
    vcpu.recv.npages = in->npages;
    vcpu.recv.prot = in->prot;
    if (in->npages) {
        unsigned window = window_of(vcpu.recv.va);

        ck_assert(!window_used[window]); /* a message's pages always find an unbound window */
        window_used[window] = true;
        windows_used++;
    }
    *words = (struct exo_words){.w = {in->w[0], in->w[1], in->w[2]}, .badge = in->badge};
    return (int64_t)in->token;
}

int os_window_clear(uint64_t va, uint64_t npages)
{
    unsigned window = window_of(va);

    (void)npages;
    windows_used -= window_used[window];
    window_used[window] = false;
    return 0;
}

void os_thread_pin(bool pin)
{
    pinned = pin;
}

int os_map_region(const struct os_map *what, uint64_t *va)
{
    ck_assert_int_eq(what->kind, OS_REGION_WINDOW);
    *va = 0x1000000;
    return 0;
}

bool os_proc_find(uint32_t pid, struct os_proc_entry *out)
{
    *out = (struct os_proc_entry){.pid = pid, .state = OS_PROC_ALIVE};
    return pid < pids_alive;
}

uint64_t os_ticks(void)
{
    return 0;
}

int64_t os_request_nointr(struct os_session *s, struct os_words *w)
{
    (void)s, (void)w;
    return 0;
}

/* ---- a server ---------------------------------------------------------------------------------------------- */

enum { OP_ADD = OS_OP_FIRST, OP_LATER, OP_WAKE, OP_HOLE, OP_PAGES };

static unsigned cancelled, gone, undelivered, events_seen;
static int64_t lost_result;
static struct os_peer *sleeper;

static int64_t op_add(struct os_server *s, struct os_peer *peer, struct os_words *w)
{
    (void)s, (void)peer;
    return (int64_t)(w->w[1] + w->w[2]);
}

static int64_t op_later(struct os_server *s, struct os_peer *peer, struct os_words *w)
{
    (void)s, (void)w;
    sleeper = peer;
    return OS_DEFER;
}

static int64_t op_wake(struct os_server *s, struct os_peer *peer, struct os_words *w)
{
    (void)peer, (void)w;
    if (sleeper)
        os_reply(s, sleeper, 77, NULL);
    return 0;
}

static int64_t op_pages(struct os_server *s, struct os_peer *peer, struct os_words *w)
{
    (void)peer, (void)w;
    return s->came.npages;
}

static void on_cancel(struct os_server *s, struct os_peer *peer)
{
    (void)s;
    sleeper = sleeper == peer ? NULL : sleeper;
    cancelled++;
}

static void on_gone(struct os_server *s, struct os_peer *peer)
{
    (void)s;
    sleeper = sleeper == peer ? NULL : sleeper;
    gone++;
}

static void on_undelivered(struct os_server *s, struct os_peer *peer, const struct os_words *answer)
{
    (void)s, (void)peer;
    lost_result = (int64_t)answer->w[0];
    undelivered++;
}

static void on_event(struct os_server *s, uint64_t bits)
{
    (void)s;
    ck_assert_uint_eq(bits, 1ull << 40);
    events_seen++;
}

static os_op_fn *const ops[] = {op_add, op_later, op_wake, NULL, op_pages};

static void setup(void)
{
    server = (struct os_server){.name = "test",
                                .ops = ops,
                                .nops = ARRAY_LEN(ops),
                                .max_peers = 8,
                                .cancel = on_cancel,
                                .gone = on_gone,
                                .undelivered = on_undelivered,
                                .events = 1ull << 40,
                                .event = on_event};
    ck_assert_int_eq(os_server_prepare(&server), 0);
}

static void teardown(void)
{
    for (uint32_t pid = 0; pid < 200; pid++) {
        struct os_peer *p = os_peer_find(&server, pid);

        if (p)
            os_peer_drop(&server, p);
    }
    ck_assert_uint_eq(server.npeers, 0);
    ck_assert_uint_eq(windows_used, 0); /* I7 */
    free(server.free_windows);
}

static void serve(void)
{
    ck_assert_int_eq(os_serve(&server), 0);
    at = nscript = 0;
    server.stop = false;
}

static void comes(struct incoming in)
{
    script[nscript++] = in;
}

#define EXPECT(i, t, r)                                                                                      \
    do {                                                                                                     \
        ck_assert_uint_eq(replies[i].token, t);                                                              \
        ck_assert_int_eq(replies[i].result, r);                                                              \
    } while (0)

START_TEST(answers)
{
    comes((struct incoming){.token = 1, .badge = 5, .w = {OP_ADD, 2, 3}});
    comes((struct incoming){.token = 2, .badge = 6, .w = {OP_HOLE}});
    comes((struct incoming){.token = 3, .badge = 5, .w = {9999}});
    comes((struct incoming){.token = 4, .badge = 5, .w = {7}});
    comes((struct incoming){.token = 5, .badge = 300, .w = {OP_ADD}}); /* no such process */
    comes((struct incoming){.token = 6, .badge = 1ull << 40, .w = {OP_ADD}});
    comes((struct incoming){.token = 7, .badge = 5, .w = {OS_OP_CANCEL}});
    serve();
    ck_assert_uint_eq(nreplies, 7);
    EXPECT(0, 1, 5);
    EXPECT(1, 2, -ENOSYS);
    EXPECT(2, 3, -ENOSYS);
    EXPECT(3, 4, -ENOSYS);
    EXPECT(4, 5, -EMFILE);
    EXPECT(5, 6, -EMFILE);
    EXPECT(6, 7, 0);
}
END_TEST

START_TEST(deferred_answers)
{
    comes((struct incoming){.token = 1, .badge = 5, .w = {OP_LATER}});
    comes((struct incoming){.token = 2, .badge = 6, .w = {OP_ADD, 1, 1}});
    comes((struct incoming){.token = 3, .badge = 6, .w = {OP_WAKE}});
    serve();
    ck_assert_uint_eq(nreplies, 3);
    EXPECT(0, 2, 2);
    EXPECT(1, 1, 77);
    EXPECT(2, 3, 0);
    ck_assert_uint_eq(cancelled, 0);
}
END_TEST

/* A client that asks again, cancels, closes or ends leaves nothing that waits. */
START_TEST(withdrawn_requests) /* K29 */
{
    comes((struct incoming){.token = 1, .badge = 5, .w = {OP_LATER}});
    comes((struct incoming){.token = 2, .badge = 5, .w = {OS_OP_CANCEL}});
    comes((struct incoming){.token = 3, .badge = 5, .w = {OP_LATER}});
    comes((struct incoming){.token = 4, .badge = 5, .w = {OP_LATER}});
    comes((struct incoming){.token = 5, .badge = 6, .w = {OP_WAKE}});
    serve();
    ck_assert_uint_eq(cancelled, 2);
    ck_assert_uint_eq(nreplies, 3);
    EXPECT(0, 2, 0);
    EXPECT(1, 4, 77);
    comes((struct incoming){.token = 6, .badge = 5, .w = {OP_LATER}});
    comes((struct incoming){.token = 7, .badge = 5, .w = {OS_OP_CLOSE}});
    serve();
    EXPECT(3, 7, 0);
    ck_assert_uint_eq(gone, 1);
    ck_assert_uint_eq(cancelled, 3);
    comes((struct incoming){.token = 8, .badge = 90, .w = {OP_LATER}});
    serve();
    pids_alive = 50;
    comes((struct incoming){.events = 1ull << OS_EVENT_PEERS});
    serve();
    ck_assert_uint_eq(gone, 2);
    ck_assert_ptr_null(os_peer_find(&server, 90));
    ck_assert_ptr_nonnull(os_peer_find(&server, 6));
}
END_TEST

START_TEST(undelivered_answers)
{
    comes((struct incoming){.token = 1, .badge = 5, .w = {OP_LATER}});
    comes((struct incoming){.token = 2, .badge = 6, .w = {OP_WAKE}});
    comes((struct incoming){.lost = true});
    serve();
    ck_assert_uint_eq(undelivered, 1);
    ck_assert_int_eq(lost_result, 77);
    ck_assert_uint_eq(nreplies, 1);
    EXPECT(0, 2, 0);
}
END_TEST

START_TEST(buffers) /* F6 */
{
    comes((struct incoming){.token = 1, .badge = 5, .w = {OS_OP_CONNECT}});
    comes(
        (struct incoming){.token = 2, .badge = 5, .w = {OS_OP_CONNECT}, .npages = 4, .prot = EXO_PROT_READ});
    comes((struct incoming){
        .token = 3, .badge = 5, .w = {OS_OP_CONNECT}, .npages = 4, .prot = EXO_PROT_READ | EXO_PROT_WRITE});
    serve();
    EXPECT(0, 1, -EINVAL);
    EXPECT(1, 2, -EINVAL);
    EXPECT(2, 3, 0);
    ck_assert_uint_eq(windows_used, 1);
    ck_assert_uint_eq(os_peer_find(&server, 5)->buf_bytes, 4 * PAGE_SIZE);
    comes((struct incoming){
        .token = 4, .badge = 5, .w = {OS_OP_CONNECT}, .npages = 2, .prot = EXO_PROT_READ | EXO_PROT_WRITE});
    comes((struct incoming){.token = 5, .badge = 5, .w = {OP_PAGES}, .npages = 3, .prot = EXO_PROT_READ});
    comes((struct incoming){.token = 6, .badge = 5, .w = {OP_ADD}, .npages = 3, .prot = EXO_PROT_READ});
    comes((struct incoming){.token = 7, .badge = 300, .w = {OP_ADD}, .npages = 3, .prot = EXO_PROT_READ});
    serve();
    EXPECT(4, 5, 3);
    ck_assert_uint_eq(windows_used, 1);
    ck_assert_uint_eq(os_peer_find(&server, 5)->buf_bytes, 2 * PAGE_SIZE);
}
END_TEST

/* A client wants its buffer's pages back: the server lets go at once, whatever it was doing for it.  K27 */
START_TEST(buffers_go_back)
{
    struct os_peer *five, *six;

    for (uint64_t badge = 5; badge <= 6; badge++)
        comes((struct incoming){.token = badge,
                                .badge = badge,
                                .w = {OS_OP_CONNECT},
                                .npages = 4,
                                .prot = EXO_PROT_READ | EXO_PROT_WRITE});
    comes((struct incoming){.token = 15, .badge = 5, .w = {OP_LATER}});
    serve();
    five = os_peer_find(&server, 5);
    six = os_peer_find(&server, 6);
    ck_assert_uint_eq(windows_used, 2);
    comes((struct incoming){.wanted = (uint64_t)(uintptr_t)five->buf + 4 * PAGE_SIZE}); /* just beside it */
    comes((struct incoming){.wanted = 0x5000});
    serve();
    ck_assert_uint_eq(windows_used, 2);
    ck_assert(os_peer_waiting(five));
    for (unsigned i = 0; i < 3; i++)
        comes((struct incoming){.wanted = (uint64_t)(uintptr_t)five->buf + 3 * PAGE_SIZE});
    serve();
    ck_assert_uint_eq(windows_used, 1);
    ck_assert_ptr_null(five->buf);
    ck_assert_uint_eq(five->buf_bytes, 0);
    ck_assert_uint_eq(cancelled, 1);
    EXPECT(2, 15, -EPIPE);
    ck_assert_ptr_nonnull(six->buf);
    ck_assert_uint_eq(held, 0);
}
END_TEST

START_TEST(too_many_clients) /* K24 */
{
    for (unsigned i = 0; i < 10; i++)
        comes((struct incoming){.token = i + 1,
                                .badge = i + 10,
                                .w = {OS_OP_CONNECT},
                                .npages = 1,
                                .prot = EXO_PROT_READ | EXO_PROT_WRITE});
    serve();
    for (unsigned i = 0; i < 10; i++)
        EXPECT(i, i + 1, i < 8 ? 0 : -EMFILE);
    ck_assert_uint_eq(windows_used, 8);
}
END_TEST

START_TEST(events_are_told)
{
    comes((struct incoming){.events = 1ull << 40 | 1ull << 50});
    comes((struct incoming){.token = 1, .badge = 5, .w = {OP_ADD}, .events = 1ull << 40});
    serve();
    ck_assert_uint_eq(events_seen, 2);
    EXPECT(0, 1, 0);
}
END_TEST

/* Any order of anything: each request that still counts is answered once, and no window is lost. */
START_TEST(random_clients) /* I4, I7 */
{
    unsigned seed = 7;

    for (unsigned round = 0; round < 200; round++) {
        for (unsigned i = 0; i < 200; i++) {
            unsigned r = (seed = seed * 1103515245 + 12345) >> 8;
            static const uint64_t kinds[] = {OS_OP_CONNECT, OS_OP_CANCEL, OS_OP_CLOSE, OP_ADD,
                                             OP_LATER,      OP_WAKE,      OP_HOLE,     OP_PAGES};
            bool pages = r % 3 == 0;

            if (r % 31 == 0)
                comes((struct incoming){.events = 1ull << OS_EVENT_PEERS});
            else if (r % 37 == 0)
                comes((struct incoming){.events = 1ull << 40});
            else
                comes((struct incoming){.token = i + 1,
                                        .badge = 90 + r / 64 % 12,
                                        .w = {kinds[r / 8 % 8]},
                                        .npages = pages ? 1 + r / 16 % 16 : 0,
                                        .prot = pages ? r / 32 % 4 : 0});
        }
        pids_alive = 92 + round % 10;
        nreplies = 0;
        serve();
        ck_assert_uint_le(nreplies, 200);
        ck_assert_uint_le(windows_used, server.npeers);
        ck_assert_uint_eq(server.nfree_windows + windows_used, server.max_peers + 1);
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("ipc");
    TCase *t = tcase_create("server");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, answers);
    tcase_add_test(t, deferred_answers);
    tcase_add_test(t, withdrawn_requests);
    tcase_add_test(t, undelivered_answers);
    tcase_add_test(t, buffers);
    tcase_add_test(t, buffers_go_back);
    tcase_add_test(t, too_many_clients);
    tcase_add_test(t, events_are_told);
    tcase_add_test(t, random_clients);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    SRunner *runner = srunner_create(suite());
    int failed;

    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
