/* The server's loop (os/ipc.h).
 *
 *     reply_wait --> receive --> op handler --> answer list --> reply_wait ...
 *                                   \-> OS_DEFER ... os_reply() ---^
 *
 * A peer is IDLE, RUNNING (its handler runs), DEFERRED, or READY (its answer is in the list).  Each peer has at
 * most one token, so the list is as long as there are peers, and no client can make it grow. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/range.h"
#include "libos/ipc/reply_wait.h"
#include "os/exo.h"
#include "os/mem.h"
#include "os/proc.h"
#include "os/procproto.h"
#include "os/revoke.h"
#include "os/rt.h"
#include "os/thread.h"
#include "os/time.h"

enum peer_state { PEER_IDLE, PEER_RUNNING, PEER_DEFERRED, PEER_READY };

#define MAX_PEERS 1024u
#define NO_WINDOW UINT16_MAX

/* ---- windows: where the pages of messages land -------------------------------------------------------------- */

static uint64_t window_va(const struct os_server *s, uint16_t window)
{
    return s->windows_va + (uint64_t)window * s->window_pages * PAGE_SIZE;
}

/* All peers together hold at most max_peers windows, so one is always left for what comes next. */
static void window_drop(struct os_server *s, uint16_t window)
{
    (void)os_window_clear(window_va(s, window), s->window_pages);
    s->free_windows[s->nfree_windows++] = window;
}

/* The window on top of the stack takes the next message's pages. */
static void window_offer(struct os_server *s)
{
    struct exo_recv *recv = &os_vcpu()->recv;

    recv->va = window_va(s, s->free_windows[s->nfree_windows - 1]);
    recv->max_pages = s->window_pages;
    recv->take_cap = 0;
}

/* ---- peers --------------------------------------------------------------------------------------------------- */

struct os_peer *os_peer_find(struct os_server *s, uint32_t pid)
{
    struct os_peer *p = s->hash[pid % OS_PEER_HASH];

    while (p && p->pid != pid)
        p = p->next_hash;
    return p;
}

struct os_peer *os_peer_make(struct os_server *s, uint32_t pid)
{
    struct os_peer *p = os_peer_find(s, pid);
    struct os_proc_entry entry;

    if (p)
        return p;
    if (s->npeers == s->max_peers || !os_proc_find(pid, &entry))
        return NULL;
    p = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    p->pid = pid;
    p->window = NO_WINDOW;
    list_init(&p->ready);
    p->next_hash = s->hash[pid % OS_PEER_HASH];
    s->hash[pid % OS_PEER_HASH] = p;
    s->npeers++;
    return p;
}

static void buffer_drop(struct os_server *s, struct os_peer *p)
{
    if (p->window != NO_WINDOW)
        window_drop(s, p->window);
    p->window = NO_WINDOW;
    p->buf = NULL;
    p->buf_bytes = 0;
}

void os_peer_drop(struct os_server *s, struct os_peer *p)
{
    struct os_peer **at = &s->hash[p->pid % OS_PEER_HASH];

    if (p->state == PEER_DEFERRED && s->cancel)
        s->cancel(s, p);
    list_remove(&p->ready);
    if (s->gone)
        s->gone(s, p);
    buffer_drop(s, p);
    while (*at != p)
        at = &(*at)->next_hash;
    *at = p->next_hash;
    s->npeers--;
    free(p);
}

/* Some process ended: which of our peers? */
static void peers_check(struct os_server *s)
{
    struct os_proc_entry entry;

    for (unsigned h = 0; h < OS_PEER_HASH; h++) {
        struct os_peer *p = s->hash[h], *next;

        for (; p; p = next) {
            next = p->next_hash;
            if (!os_proc_find(p->pid, &entry) || entry.state == OS_PROC_ZOMBIE)
                os_peer_drop(s, p);
        }
    }
}

bool os_peer_waiting(const struct os_peer *p)
{
    return p->state == PEER_DEFERRED;
}

/* ---- answers ------------------------------------------------------------------------------------------------- */

static void answer(struct os_server *s, struct os_peer *p, int64_t result, const struct os_words *w)
{
    p->answer = w ? *w : (struct os_words){.w = {0}};
    p->answer.w[0] = (uint64_t)result;
    p->state = PEER_READY;
    list_add_tail(&s->ready, &p->ready);
}

void os_reply(struct os_server *s, struct os_peer *p, int64_t result, const struct os_words *w)
{
    if (p->state == PEER_DEFERRED)
        answer(s, p, result, w);
}

static struct os_peer *next_ready(struct os_server *s)
{
    struct os_peer *p;

    if (list_empty(&s->ready))
        return NULL;
    p = list_entry(s->ready.next, struct os_peer, ready);
    list_remove(&p->ready);
    p->state = PEER_IDLE;
    return p;
}

/* The client asks anew, so nobody waits for the earlier request any more. */
static void forget_request(struct os_server *s, struct os_peer *p)
{
    uint8_t state = p->state;

    p->state = PEER_IDLE;
    list_remove(&p->ready);
    if (state == PEER_DEFERRED && s->cancel)
        s->cancel(s, p);
    if (state == PEER_READY && s->undelivered)
        s->undelivered(s, p, &p->answer);
}

/* ---- requests ------------------------------------------------------------------------------------------------- */

static int64_t op_connect(struct os_server *s, struct os_peer *p)
{
    int rc = 0;

    if (s->came.npages == 0 || s->came.npages > OS_SESSION_MAX / PAGE_SIZE ||
        s->came.prot != (EXO_PROT_READ | EXO_PROT_WRITE))
        return -EINVAL;
    buffer_drop(s, p);
    p->window = s->came_window;
    p->buf = (void *)(uintptr_t)s->came.va;
    p->buf_bytes = s->came.npages * PAGE_SIZE;
    s->taken = true;
    if (s->connect)
        rc = s->connect(s, p);
    if (rc)
        buffer_drop(s, p);
    return rc;
}

static int64_t dispatch(struct os_server *s, struct os_peer *p, struct os_words *w)
{
    uint64_t op = w->w[0];

    if (op == OS_OP_CONNECT)
        return op_connect(s, p);
    if (op == OS_OP_CANCEL)
        return 0;
    if (op < OS_OP_FIRST || op - OS_OP_FIRST >= s->nops || !s->ops[op - OS_OP_FIRST])
        return -ENOSYS;
    return s->ops[op - OS_OP_FIRST](s, p, w);
}

/* Somebody who is no peer gets an answer too.  One place is enough: the loop answers before it listens. */
static void answer_stranger(struct os_server *s, uint64_t token, int64_t result)
{
    s->stranger = token;
    s->stranger_result = result;
}

static void receive(struct os_server *s, uint64_t token, const struct exo_words *x)
{
    struct os_peer *p = x->badge <= UINT32_MAX ? os_peer_make(s, (uint32_t)x->badge) : NULL;
    struct os_words w;
    int64_t result;

    if (!p) {
        answer_stranger(s, token, -EMFILE);
        return;
    }
    if (x->w[0] == OS_OP_CLOSE) {
        os_peer_drop(s, p);
        answer_stranger(s, token, 0);
        return;
    }
    forget_request(s, p);
    memcpy(w.w, x->w, sizeof(w.w));
    p->token = token;
    p->state = PEER_RUNNING;
    result = dispatch(s, p, &w);
    if (result == OS_DEFER)
        p->state = PEER_DEFERRED;
    else
        answer(s, p, result, &w);
}

/* Notes what pages came, handles the message, and lets go of the pages that found no owner. */
static void receive_with_pages(struct os_server *s, uint64_t token, const struct exo_words *x)
{
    const struct exo_recv *recv = &os_vcpu()->recv;

    s->came.npages = recv->npages;
    if (s->came.npages) {
        s->came_window = s->free_windows[--s->nfree_windows];
        s->came.va = window_va(s, s->came_window);
        s->came.prot = recv->prot;
    }
    s->taken = false;
    receive(s, token, x);
    if (s->came.npages && !s->taken)
        window_drop(s, s->came_window);
    s->came.npages = 0;
}

/* ---- pages that clients want back ---------------------------------------------------------------------------- */

static struct os_server *serving; /* by os_serve */

static struct os_mutex wanted_lock = OS_MUTEX_INIT(wanted_lock);

/* Or a notice could come over who has it. */
static bool wanted_begin(void)
{
    os_signals_hold();
    if (os_mutex_lock(&wanted_lock) == 0)
        return true;
    os_signals_release();
    return false;
}

static void wanted_end(void)
{
    os_mutex_unlock(&wanted_lock);
    os_signals_release();
}

/* Noted wherever it comes, on other vcpus too; the loop lets go between two requests.  What finds no room here is asked
 * for again. */
static void pages_wanted(const struct os_revoke *what)
{
    struct os_server *s = __atomic_load_n(&serving, __ATOMIC_ACQUIRE);
    uint32_t n;

    if (what->kind != EXO_REVOKE_PAGES || what->space != 0 || !s || !wanted_begin())
        return;
    n = s->nwanted;
    if (n < ARRAY_LEN(s->wanted)) {
        s->wanted[n].va = what->va;
        s->wanted[n].npages = what->number;
        __atomic_store_n(&s->nwanted, n + 1, __ATOMIC_RELAXED);
    }
    wanted_end();
}

/* It has no buffer from now on, as if it had never shown one.  A request that counts on it is over. */
static void let_go(struct os_server *s, struct os_peer *p)
{
    if (p->state != PEER_IDLE) {
        forget_request(s, p);
        answer(s, p, -EPIPE, NULL);
    }
    buffer_drop(s, p);
}

static void let_all_go(struct os_server *s, uint64_t va, uint64_t npages)
{
    for (unsigned h = 0; h < OS_PEER_HASH; h++)
        for (struct os_peer *p = s->hash[h]; p; p = p->next_hash)
            if (p->buf && range_overlaps((uint64_t)(uintptr_t)p->buf, p->buf_bytes, va, npages * PAGE_SIZE))
                let_go(s, p);
}

static void check_wanted(struct os_server *s)
{
    uint32_t n;

    if (!__atomic_load_n(&s->nwanted, __ATOMIC_RELAXED) || !wanted_begin())
        return;
    for (n = s->nwanted; n > 0; n--)
        let_all_go(s, s->wanted[n - 1].va, s->wanted[n - 1].npages);
    __atomic_store_n(&s->nwanted, 0, __ATOMIC_RELAXED);
    wanted_end();
}

/* ---- the loop -------------------------------------------------------------------------------------------------- */

int os_server_prepare(struct os_server *s)
{
    struct os_map windows = {.kind = OS_REGION_WINDOW, .prot = EXO_PROT_READ | EXO_PROT_WRITE};
    int rc;

    if (s->max_peers == 0 || s->max_peers > MAX_PEERS)
        return -EINVAL;
    if (s->window_pages == 0)
        s->window_pages = OS_SESSION_MAX / PAGE_SIZE;
    list_init(&s->ready);
    s->free_windows = calloc(s->max_peers + 1u, sizeof(*s->free_windows));
    if (!s->free_windows)
        return -ENOMEM;
    windows.npages = (s->max_peers + 1ull) * s->window_pages;
    rc = os_map_region(&windows, &s->windows_va);
    if (rc) {
        free(s->free_windows);
        return rc;
    }
    for (uint32_t i = 0; i <= s->max_peers; i++)
        s->free_windows[i] = (uint16_t)(s->max_peers - i);
    s->nfree_windows = s->max_peers + 1u;
    s->deadline = s->deadline ? s->deadline : EXO_FOREVER;
    s->stop = false;
    return 0;
}

int os_server_start(struct os_server *s)
{
    struct os_session to_init = {.gate = OS_HANDLE_INIT};
    struct os_words w = {.w = {OS_PROC_PROVIDE}};
    int rc;

    if (!os_name_ok(s->name))
        return -EINVAL;
    rc = os_server_prepare(s);
    if (rc)
        return rc;
    os_name_pack(s->name, &w);
    return (int)os_request_nointr(&to_init, &w);
}

static void events(struct os_server *s, uint64_t bits)
{
    if (bits & OS_EVENT_MASK(OS_EVENT_PEERS))
        peers_check(s);
    if (bits & s->events && s->event)
        s->event(s, bits & s->events);
}

static void check_deadline(struct os_server *s)
{
    if (s->deadline == EXO_FOREVER || os_ticks() < s->deadline)
        return;
    s->deadline = EXO_FOREVER;
    if (s->timeout)
        s->timeout(s);
}

/* What to say with the next reply_wait: an answer to a stranger, to a peer, or nothing. */
static uint64_t next_answer(struct os_server *s, struct os_peer **peer, struct exo_words *x)
{
    uint64_t token = s->stranger;

    *peer = NULL;
    *x = (struct exo_words){.w = {(uint64_t)s->stranger_result}};
    s->stranger = 0;
    if (token)
        return token;
    *peer = next_ready(s);
    if (!*peer)
        return 0;
    memcpy(x->w, (*peer)->answer.w, sizeof(x->w));
    return (*peer)->token;
}

static void serve_once(struct os_server *s)
{
    struct exo_words x;
    struct os_peer *p;
    uint64_t bits = 0, token = next_answer(s, &p, &x);
    int64_t rc;

    window_offer(s);
    rc = reply_wait_or_event(token, &x, list_empty(&s->ready) ? s->deadline : 0,
                             s->events | OS_EVENT_MASK(OS_EVENT_PEERS), &bits);
    if (rc > 0)
        receive_with_pages(s, (uint64_t)rc, &x);
    else if (rc == -EXO_ETOKEN && p && s->undelivered)
        s->undelivered(s, p, &p->answer);
    check_wanted(s);
    events(s, bits);
    check_deadline(s);
}

int os_serve(struct os_server *s)
{
    os_thread_pin(true); /* gates lead to the main vcpu */
    __atomic_store_n(&serving, s, __ATOMIC_RELEASE);
    os_on_pages(pages_wanted);
    while (!s->stop)
        serve_once(s);
    os_thread_pin(false);
    return 0;
}

void os_server_stop(struct os_server *s)
{
    s->stop = true;
}
