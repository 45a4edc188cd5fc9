/* The client's side of sessions (os/ipc.h). */
#include <errno.h>
#include <string.h>

#include "os/exo.h"
#include "os/mem.h"
#include "os/procproto.h"
#include "os/rt.h"
#include "os/start.h"
#include "os/thread.h"
#include "rt/rt.h"

int64_t os_from_exo(int64_t result)
{
    return result < 0 ? -(int64_t)exo_errno((int)result) : result;
}

/* A server that is gone shows as a dead or forgotten gate. */
static int64_t call_errno(int64_t rc)
{
    switch (-rc) {
    case EXO_EDEAD:
    case EXO_EHANDLE:
        return -EPIPE;
    case EXO_EINTR:
        return -EINTR;
    case EXO_ETIMEDOUT:
        return -ETIMEDOUT;
    default:
        return os_from_exo(rc);
    }
}

static int64_t finish(struct os_words *w, const struct exo_words *x, int64_t rc)
{
    if (rc < 0)
        return call_errno(rc);
    memcpy(w->w, x->w, sizeof(w->w));
    return (int64_t)w->w[0];
}

static void withdraw(exo_handle_t gate)
{
    struct exo_words x = {.w = {OS_OP_CANCEL}};

    (void)exo_call(gate, &x, EXO_FOREVER);
}

/* init knows a process, not its threads: one request at a time.  A session's lock does the same for a service. */
static struct os_mutex init_lock = OS_MUTEX_INIT_RECURSIVE(init_lock);

static int gate_lock(exo_handle_t gate)
{
    int rc = 0;

    if (gate != OS_HANDLE_INIT)
        return 0;
    os_signals_hold(); /* or a handler could leave with the lock */
    rc = os_mutex_lock(&init_lock);
    if (rc)
        os_signals_release();
    return rc;
}

static void gate_unlock(exo_handle_t gate)
{
    if (gate != OS_HANDLE_INIT)
        return;
    os_mutex_unlock(&init_lock);
    os_signals_release();
}

/* A call may be interrupted for a signal that is another thread's, or for a notice (os/revoke.h): then it is made
 * again. */
static int64_t call_intr(exo_handle_t gate, struct exo_words *x, const struct os_words *w, uint64_t deadline)
{
    uint64_t delivered = os_signals_delivered();
    int64_t rc;

    do {
        memcpy(x->w, w->w, sizeof(x->w));
        rc = os_call_intr(gate, x, deadline);
        if (rc == -EXO_EINTR || rc == -EXO_ETIMEDOUT)
            withdraw(gate);
    } while (rc == -EXO_EINTR && !os_signal_came(delivered));
    return rc;
}

static int64_t request_gate(exo_handle_t gate, struct os_words *w, uint64_t deadline)
{
    struct exo_words x = {.badge = 0};
    int64_t rc = gate_lock(gate);

    if (rc)
        return rc;
    rc = finish(w, &x, call_intr(gate, &x, w, deadline));
    gate_unlock(gate);
    return rc;
}

static int64_t noted(struct os_session *s, int64_t result)
{
    s->lost |= result == -EPIPE;
    return result;
}

int64_t os_request(struct os_session *s, struct os_words *w, uint64_t deadline)
{
    return noted(s, request_gate(s->gate, w, deadline));
}

int64_t os_request_nointr(struct os_session *s, struct os_words *w)
{
    struct exo_words x = {.badge = 0};
    int64_t rc = gate_lock(s->gate);

    if (rc)
        return rc;
    memcpy(x.w, w->w, sizeof(x.w));
    rc = noted(s, finish(w, &x, exo_call(s->gate, &x, EXO_FOREVER)));
    gate_unlock(s->gate);
    return rc;
}

/* A request that takes pages along. */
static int64_t request_pages(exo_handle_t gate, struct os_words *w, uint64_t va, uint32_t npages,
                             unsigned prot)
{
    struct exo_words x = {.badge = 0};
    int64_t rc = gate_lock(gate);

    if (rc)
        return rc;
    memcpy(x.w, w->w, sizeof(x.w));
    os_signals_hold(); /* from here to the call it is this vcpu's page that counts */
    os_vcpu()->send = (struct exo_send){.va = va, .npages = npages, .prot = prot};
    rc = finish(w, &x, exo_call(gate | EXO_MSG_PAGES, &x, EXO_FOREVER));
    os_signals_release();
    gate_unlock(gate);
    return rc;
}

int64_t os_request_pages(struct os_session *s, struct os_words *w, const void *pages, uint32_t npages,
                         unsigned prot)
{
    return request_pages(s->gate, w, (uint64_t)(uintptr_t)pages, npages, prot);
}

/* ---- connecting ----------------------------------------------------------------------------------------- */

static int buffer_new(struct os_session *s, size_t bytes)
{
    const struct os_map what = {.kind = OS_REGION_ANON,
                                .prot = EXO_PROT_READ | EXO_PROT_WRITE,
                                .flags = OS_MAP_POPULATE,
                                .npages = bytes / PAGE_SIZE};
    uint64_t va;
    int rc = os_map_region(&what, &va);

    if (rc)
        return rc;
    s->buf = (void *)(uintptr_t)va;
    s->buf_bytes = (uint32_t)bytes;
    return 0;
}

static int present_buffer(struct os_session *s)
{
    struct os_words w = {.w = {OS_OP_CONNECT}};

    return (int)os_request_pages(s, &w, s->buf, s->buf_bytes / PAGE_SIZE, EXO_PROT_READ | EXO_PROT_WRITE);
}

int os_connect(const char *service, size_t buf_bytes, struct os_session *out)
{
    struct os_session s = {.gate = 0};
    struct os_words w = {.w = {OS_PROC_CONNECT}};
    int64_t rc;

    if (!os_name_ok(service) || buf_bytes % PAGE_SIZE || buf_bytes > OS_SESSION_MAX)
        return -EINVAL;
    os_name_pack(service, &w);
    rc = request_gate(OS_HANDLE_INIT, &w, EXO_FOREVER);
    if (rc < 0)
        return (int)rc;
    s.gate = (exo_handle_t)w.w[1];
    rc = buf_bytes ? buffer_new(&s, buf_bytes) : 0;
    if (!rc && buf_bytes)
        rc = present_buffer(&s);
    if (rc < 0) {
        os_disconnect(&s);
        return (int)rc;
    }
    *out = s;
    return 0;
}

void os_disconnect(struct os_session *s)
{
    struct os_words w = {.w = {OS_OP_CLOSE}};

    if (s->gate) {
        (void)os_request_nointr(s, &w);
        (void)exo_cap_drop(s->gate);
    }
    if (s->buf)
        (void)os_unmap((uint64_t)(uintptr_t)s->buf, s->buf_bytes / PAGE_SIZE);
    *s = (struct os_session){.gate = 0};
}

/* ---- the sessions that a process keeps --------------------------------------------------------------------- */

#define KEPT_MAX 16u

/* Those below nkept have names that stay; the session behind a name has the lock. */
static struct kept {
    char service[OS_SERVICE_NAME_MAX + 1];
    struct os_mutex lock;
    struct os_session session;
} kept[KEPT_MAX];
static uint32_t nkept; /* atomic; grows under kept_lock */
static struct os_mutex kept_lock = OS_MUTEX_INIT(kept_lock);

static struct kept *kept_find(const char *service)
{
    uint32_t n = __atomic_load_n(&nkept, __ATOMIC_ACQUIRE);

    for (uint32_t i = 0; i < n; i++)
        if (strncmp(kept[i].service, service, sizeof(kept[i].service)) == 0)
            return &kept[i];
    return NULL;
}

/* Under kept_lock. */
static struct kept *kept_make(const char *service)
{
    struct kept *k = kept_find(service); /* another thread may have been faster */

    if (k || nkept == KEPT_MAX)
        return k;
    k = &kept[nkept];
    os_mutex_init(&k->lock, true);
    strncpy(k->service, service, OS_SERVICE_NAME_MAX);
    __atomic_store_n(&nkept, nkept + 1, __ATOMIC_RELEASE);
    return k;
}

/* Signals are held. */
static struct kept *kept_take(const char *service, int *error)
{
    struct kept *k = kept_find(service);

    if (!k) {
        *error = os_name_ok(service) ? os_mutex_lock(&kept_lock) : -EINVAL;
        if (*error)
            return NULL;
        k = kept_make(service);
        os_mutex_unlock(&kept_lock);
    }
    *error = k ? os_mutex_lock(&k->lock) : -EMFILE;
    return *error ? NULL : k;
}

/* Does the server still live?  CANCEL with nothing under way is the cheapest question. */
static bool session_lives(struct os_session *s)
{
    struct os_words w = {.w = {OS_OP_CANCEL}};

    return os_request_nointr(s, &w) != -EPIPE;
}

static int session_ready(struct kept *k)
{
    int rc;

    if (k->session.gate && !k->session.lost)
        return 0;
    if (k->session.gate && session_lives(&k->session)) {
        k->session.lost = false;
        return 0;
    }
    os_disconnect(&k->session);
    rc = os_connect(k->service, OS_SESSION_BYTES, &k->session);
    if (rc)
        k->session = (struct os_session){.gate = 0};
    return rc;
}

struct os_session *os_session_take(const char *service, int *error)
{
    struct kept *k;

    os_signals_hold();
    k = kept_take(service, error);
    if (k) {
        *error = session_ready(k);
        if (!*error)
            return &k->session;
        os_mutex_unlock(&k->lock);
    }
    os_signals_release();
    return NULL;
}

void os_session_give(struct os_session *s)
{
    os_mutex_unlock(&container_of(s, struct kept, session)->lock);
    os_signals_release();
}
