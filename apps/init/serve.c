/* What clients ask: a table of operations.  Each checks what it was given, and ends in bounded time. */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "init.h"
#include "os/procproto.h"
#include "os/start.h"
#include "os/time.h"

static struct init *init_of(struct os_server *s)
{
    return s->ctx;
}

/* The client asks anew, so it has the answer that told of its child's end. */
static void forget_told(struct init *in, struct proc *p)
{
    struct proc *child = p->told;

    p->told = NULL;
    if (child)
        life_reaped(in, child);
}

/* A peer exists only while its process is in the table.  One that closed its session and calls again is a new peer. */
static struct proc *caller(struct os_server *s, struct os_peer *peer)
{
    if (!peer->data) {
        struct proc *p = table_find(&init_of(s)->table, peer->pid);

        peer->data = p;
        p->peer = peer;
    }
    forget_told(init_of(s), peer->data);
    return peer->data;
}

/* ---- services --------------------------------------------------------------------------------------------- */

static int64_t op_connect(struct os_server *s, struct os_peer *peer, struct os_words *w)
{
    char name[OS_SERVICE_NAME_MAX + 1];

    return os_name_unpack(w, name) ? services_connect(init_of(s), caller(s, peer), name, w) : -EINVAL;
}

static int64_t op_provide(struct os_server *s, struct os_peer *peer, struct os_words *w)
{
    char name[OS_SERVICE_NAME_MAX + 1];

    return os_name_unpack(w, name) ? services_provide(init_of(s), caller(s, peer), name) : -EINVAL;
}

/* ---- processes -------------------------------------------------------------------------------------------- */

static int64_t op_spawn(struct os_server *s, struct os_peer *peer, struct os_words *w)
{
    return spawn_begin(init_of(s), caller(s, peer), w);
}

static int64_t op_start(struct os_server *s, struct os_peer *peer, struct os_words *w)
{
    return spawn_start(init_of(s), caller(s, peer), w);
}

static int64_t op_abort(struct os_server *s, struct os_peer *peer, struct os_words *w)
{
    return spawn_abort(init_of(s), caller(s, peer), w);
}

/* Takes a child that has ended: its pid and status go into *w. */
static bool take_child(struct proc *parent, int32_t which, struct os_words *w, bool *any)
{
    struct proc *child = table_waitable(parent, which, any);

    if (!child)
        return false;
    w->w[1] = child->entry->pid;
    w->w[2] = child->entry->status;
    parent->told = child;
    child->told_of = true;
    return true;
}

static int64_t op_wait(struct os_server *s, struct os_peer *peer, struct os_words *w)
{
    struct proc *p = caller(s, peer);
    int32_t which = (int32_t)w->w[1];
    uint64_t flags = w->w[2];
    bool any;

    if (flags & ~(uint64_t)OS_WAIT_NOHANG)
        return -EINVAL;
    if (take_child(p, which, w, &any))
        return 0;
    w->w[1] = 0;
    if (!any)
        return -ECHILD;
    if (flags & OS_WAIT_NOHANG)
        return 0;
    p->waits = true;
    p->wait_for = which;
    return OS_DEFER;
}

void serve_answer_wait(struct init *in, struct proc *parent)
{
    struct os_words w = {.w = {0}};
    bool any;

    if (!take_child(parent, parent->wait_for, &w, &any))
        return;
    parent->waits = false;
    os_reply(&in->server, parent->peer, 0, &w);
}

/* ---- signals ---------------------------------------------------------------------------------------------- */

static void send_signal(struct proc *to, int sig)
{
    if (sig == 0 || to->entry->state != OS_PROC_ALIVE)
        return;
    if (sig == SIGKILL) {
        to->kill_signal = sig;
        (void)exo_env_stop(to->env);
        return;
    }
    child_signal(to, 1ull << sig);
}

static int64_t kill_one(struct init *in, struct proc *by, uint32_t pid, int sig)
{
    struct proc *to = table_find(&in->table, pid);

    if (!to || to->entry->state == OS_PROC_NEW)
        return -ESRCH;
    if (!table_may_signal(by, to))
        return -EPERM;
    send_signal(to, sig);
    return 0;
}

/* by NULL: a terminal, which may. */
static int64_t kill_group(struct init *in, const struct proc *by, uint32_t pgid, int sig)
{
    uint32_t slot = 0;
    int64_t result = -ESRCH;

    for (struct proc *to; (to = table_next(&in->table, &slot)) != NULL;) {
        if (to->entry->pgid != pgid || to->entry->state == OS_PROC_NEW || !to->parent)
            continue;
        if (by && !table_may_signal(by, to)) {
            result = result == 0 ? 0 : -EPERM;
            continue;
        }
        send_signal(to, sig);
        result = 0;
    }
    return result;
}

static int64_t op_kill(struct os_server *s, struct os_peer *peer, struct os_words *w)
{
    struct proc *by = caller(s, peer);
    int32_t pid = (int32_t)w->w[1];

    if (w->w[2] > 31)
        return -EINVAL;
    if (pid == -1)
        return -EPERM; /* everybody */
    if (pid > 0)
        return kill_one(init_of(s), by, (uint32_t)pid, (int)w->w[2]);
    return kill_group(init_of(s), by, pid ? (uint32_t) - (int64_t)pid : by->entry->pgid, (int)w->w[2]);
}

static int64_t op_setpgid(struct os_server *s, struct os_peer *peer, struct os_words *w)
{
    struct init *in = init_of(s);
    struct proc *by = caller(s, peer);
    struct proc *p = w->w[1] == 0           ? by
                     : w->w[1] <= INT32_MAX ? table_find(&in->table, (uint32_t)w->w[1])
                                            : NULL;

    if (!p || (p != by && p->parent != by))
        return -ESRCH;
    if (w->w[2] > INT32_MAX)
        return -EINVAL;
    return table_set_group(&in->table, p, w->w[2] ? (uint32_t)w->w[2] : p->entry->pid);
}

static int64_t op_interrupt(struct os_server *s, struct os_peer *peer, struct os_words *w)
{
    static const uint32_t allowed =
        1u << SIGINT | 1u << SIGQUIT | 1u << SIGTSTP | 1u << SIGHUP | 1u << SIGWINCH | 1u << SIGCONT;
    struct proc *by = caller(s, peer);

    if (!by->app->terminal)
        return -EPERM;
    if (w->w[1] > INT32_MAX || w->w[2] > 31 || !(allowed >> w->w[2] & 1))
        return -EINVAL;
    return kill_group(init_of(s), NULL, (uint32_t)w->w[1], (int)w->w[2]);
}

/* ---- the rest ----------------------------------------------------------------------------------------------- */

static int64_t op_used(struct os_server *s, struct os_peer *peer, struct os_words *w)
{
    struct proc *p = w->w[1] <= UINT32_MAX ? table_find(&init_of(s)->table, (uint32_t)w->w[1]) : NULL;

    (void)peer;
    if (!p)
        return -ESRCH;
    return os_from_exo(exo_env_status(p->parent ? p->env : EXO_SELF_ENV, EXO_ENV_USED));
}

static int64_t op_limit(struct os_server *s, struct os_peer *peer, struct os_words *w)
{
    struct init *in = init_of(s);
    const struct proc *by = caller(s, peer);
    struct proc *p = w->w[1] <= UINT32_MAX ? table_find(&in->table, (uint32_t)w->w[1]) : NULL;

    if (!p || p->entry->state != OS_PROC_ALIVE)
        return -ESRCH;
    if (!table_may_signal(by, p))
        return -EPERM;
    if (w->w[2] > p->app->memory_pages)
        return -EINVAL;
    return child_limit(in, p, w->w[2], w->w[3]);
}

static int64_t op_drained(struct os_server *s, struct os_peer *peer, struct os_words *w)
{
    struct init *in = init_of(s);

    (void)w;
    if (caller(s, peer) != in->say.console || !in->stopping)
        return -EPERM;
    power_now();
}

static os_op_fn *const ops[] = {
    [OS_PROC_CONNECT - OS_OP_FIRST] = op_connect,     [OS_PROC_PROVIDE - OS_OP_FIRST] = op_provide,
    [OS_PROC_SPAWN - OS_OP_FIRST] = op_spawn,         [OS_PROC_START - OS_OP_FIRST] = op_start,
    [OS_PROC_ABORT - OS_OP_FIRST] = op_abort,         [OS_PROC_WAIT - OS_OP_FIRST] = op_wait,
    [OS_PROC_KILL - OS_OP_FIRST] = op_kill,           [OS_PROC_SETPGID - OS_OP_FIRST] = op_setpgid,
    [OS_PROC_INTERRUPT - OS_OP_FIRST] = op_interrupt, [OS_PROC_USED - OS_OP_FIRST] = op_used,
    [OS_PROC_LIMIT - OS_OP_FIRST] = op_limit,         [OS_PROC_DRAINED - OS_OP_FIRST] = op_drained,
};

/* Buffers are no part of this protocol. */
static int on_connect(struct os_server *s, struct os_peer *peer)
{
    (void)s, (void)peer;
    return -ENOSYS;
}

static void on_cancel(struct os_server *s, struct os_peer *peer)
{
    struct proc *p = peer->data;

    (void)s;
    p->waits = false;
    p->connects = -1;
}

static void on_undelivered(struct os_server *s, struct os_peer *peer, const struct os_words *answer)
{
    struct proc *p = peer->data;

    (void)s, (void)answer;
    if (p && p->told)
        p->told->told_of = false;
    if (p)
        p->told = NULL;
}

/* It closed its session with us, and will get no other: it can still end. */
static void on_gone(struct os_server *s, struct os_peer *peer)
{
    struct proc *p = peer->data;

    (void)s;
    if (p)
        p->peer = NULL;
}

static void on_event(struct os_server *s, uint64_t bits)
{
    life_ended(init_of(s), bits);
    serve_deadline(init_of(s));
}

static void on_timeout(struct os_server *s)
{
    struct init *in = init_of(s);

    life_step(in);
    if (in->stopping && os_ticks() >= in->stop_by)
        power_now();
    serve_deadline(in);
}

void serve_deadline(struct init *in)
{
    in->server.deadline = in->stopping ? in->stop_by : EXO_FOREVER;
    if (!list_empty(&in->dying))
        in->server.deadline = 1; /* at once, but after a look at who calls */
}

int serve_prepare(struct init *in)
{
    struct os_server *s = &in->server;

    s->name = "init";
    s->ops = ops;
    s->nops = ARRAY_LEN(ops);
    s->max_peers = OS_NPROC;
    s->window_pages = OS_START_MAX_BYTES / PAGE_SIZE;
    s->ctx = in;
    s->connect = on_connect;
    s->cancel = on_cancel;
    s->undelivered = on_undelivered;
    s->gone = on_gone;
    s->event = on_event;
    s->timeout = on_timeout;
    for (unsigned i = 0; i < EXIT_CLASSES; i++)
        s->events |= 1ull << in->exit_bits[i];
    return os_server_prepare(s);
}
