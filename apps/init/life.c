/* How processes begin and end.
 *
 *     life_new --> (spawn, boot: start) --> kernel says it ended --> ended() --> taken down piece by piece
 *                                                                                       |
 *                  on-exit: restart, power off  <-- life_reaped <-- parent's wait <-- gone()
 *
 * What a process held is given back before its parent hears of its end, so that a parent that has waited finds the
 * memory free. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "init.h"
#include "os/time.h"

#define RESTARTS_MAX 5u
#define RESTARTS_WITHIN_NS 10000000000ull
#define STEPS_AT_A_TIME 16u
#define ABORT_STEPS 128u

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

/* ---- beginnings ----------------------------------------------------------------------------------------- */

static int add(struct init *in, struct proc *parent, const struct manifest_app *app, const char *path,
               struct proc **out)
{
    struct proc *p;
    int rc = table_add(&in->table, parent, base_name(path), app != &in->manifest.template, &p);

    if (rc)
        return rc;
    snprintf(p->path, sizeof(p->path), "%s", path);
    p->app = app;
    p->reaches =
        app == &in->manifest.template && parent != in->self ? app->reaches & parent->reaches : app->reaches;
    p->exit_class = p->entry->pid % EXIT_CLASSES;
    p->trusted_image = app != &in->manifest.template;
    p->peer = os_peer_make(&in->server, p->entry->pid);
    *out = p;
    if (!p->peer)
        return -ENOMEM;
    p->peer->data = p;
    return 0;
}

struct proc *life_new(struct init *in, struct proc *parent, const struct manifest_app *app, const char *path,
                      int *error)
{
    struct proc *p = NULL;

    *error = add(in, parent, app, path, &p);
    if (!*error)
        *error = child_make(in, p);
    if (!*error)
        return p;
    if (*error == -ENOMEM && (parent == in->self || parent->refusals++ < REFUSALS_SAID))
        say(&in->say, "init: %s cannot be started: %s, %u KiB, is more than is left", path,
            app == &in->manifest.template ? "the template's memory limit" : "its memory limit",
            (unsigned)(app->memory_pages * (PAGE_SIZE / 1024)));
    if (p)
        life_abort(in, p);
    return NULL;
}

/* Nobody has seen it run: it goes without a status.  As a rule at once, so that whoever tries again finds the memory
 * free; one that was filled with very much goes in pieces. */
void life_abort(struct init *in, struct proc *p)
{
    bool done = false;

    if (p->peer)
        os_peer_drop(&in->server, p->peer);
    p->peer = NULL;
    for (unsigned i = 0; i < ABORT_STEPS && !done; i++)
        done = child_destroy_step(p);
    if (done) {
        table_remove(&in->table, p, in->self);
    } else {
        p->ended = p->told_of = p->aborted = true;
        table_adopt(&in->table, p, in->self);
        table_set_state(&in->table, p, OS_PROC_ZOMBIE);
        list_add_tail(&in->dying, &p->dying);
        serve_deadline(in);
    }
    services_tell_peers(in);
}

/* ---- what ended it -------------------------------------------------------------------------------------- */

static int64_t ask(const struct proc *p, enum exo_env_field field)
{
    int64_t value = exo_env_status(p->env, field);

    return value < 0 ? 0 : value;
}

static const char *access_name(uint64_t access)
{
    return access & EXO_PROT_WRITE ? "write" : access & EXO_PROT_EXEC ? "execution" : "read";
}

static void say_fault(struct init *in, const struct proc *p)
{
    say(&in->say, "init: pid %u (%s) ended by a page fault: %s of 0x%llx at pc 0x%llx",
        (unsigned)p->entry->pid, p->entry->name, access_name((uint64_t)ask(p, EXO_ENV_CODE)),
        (unsigned long long)ask(p, EXO_ENV_ADDRESS), (unsigned long long)ask(p, EXO_ENV_PC));
}

static int say_exception(struct init *in, const struct proc *p)
{
    static const struct {
        const char *what;
        int sig;
    } kinds[] = {
        [EXO_EXC_UNDEFINED] = {"an undefined instruction", SIGILL},
        [EXO_EXC_BREAKPOINT] = {"a breakpoint", SIGTRAP},
        [EXO_EXC_ALIGNMENT] = {"a misaligned access", SIGBUS},
        [EXO_EXC_FP] = {"a floating-point error", SIGFPE},
        [EXO_EXC_OTHER] = {"an exception", SIGILL},
    };
    uint64_t code = (uint64_t)ask(p, EXO_ENV_CODE);

    code = code < ARRAY_LEN(kinds) && kinds[code].what ? code : EXO_EXC_OTHER;
    say(&in->say, "init: pid %u (%s) ended by %s at pc 0x%llx", (unsigned)p->entry->pid, p->entry->name,
        kinds[code].what, (unsigned long long)ask(p, EXO_ENV_PC));
    return kinds[code].sig;
}

static void say_revoked(struct init *in, const struct proc *p, uint64_t frames)
{
    if (frames)
        say(&in->say, "init: pid %u (%s) ended: it did not give back %llu KiB in time",
            (unsigned)p->entry->pid, p->entry->name, (unsigned long long)frames * (PAGE_SIZE / 1024));
    else
        say(&in->say, "init: pid %u (%s) ended: its upcalls stood in memory that another one wanted back",
            (unsigned)p->entry->pid, p->entry->name);
}

/* The argument of env_exit, by os/proc.h. */
static uint32_t exit_status(struct init *in, const struct proc *p, uint64_t code)
{
    uint64_t sig = (code & ~(uint64_t)OS_EXIT_UNSAID) - 256;

    if (code < 256)
        return (uint32_t)code << 8;
    if (sig == 0 || sig > 31)
        return 255u << 8;
    if (code & OS_EXIT_UNSAID)
        say(&in->say, "init: pid %u (%s) ended by signal %u, and had no memory left to say more",
            (unsigned)p->entry->pid, p->entry->name, (unsigned)sig);
    return (uint32_t)sig;
}

/* As waitpid gives it: a signal's number, or an exit status in the second byte. */
static uint32_t wait_status(struct init *in, const struct proc *p)
{
    uint64_t code = (uint64_t)ask(p, EXO_ENV_CODE);

    switch (ask(p, EXO_ENV_REASON)) {
    case EXO_END_EXIT:
        return exit_status(in, p, code);
    case EXO_END_FAULT:
        say_fault(in, p);
        return SIGSEGV;
    case EXO_END_EXCEPTION:
        return (uint32_t)say_exception(in, p);
    case EXO_END_UPCALL:
        say(&in->say, "init: pid %u (%s) ended: it has no entry for upcalls", (unsigned)p->entry->pid,
            p->entry->name);
        return SIGSEGV;
    case EXO_END_REVOKED:
        say_revoked(in, p, code);
        return SIGKILL;
    default:
        return p->kill_signal ? (uint32_t)p->kill_signal : SIGKILL;
    }
}

/* ---- ends ----------------------------------------------------------------------------------------------- */

/* Children that are being made go too, the others become init's. */
static void leave_children(struct init *in, struct proc *p)
{
    struct list *at, *next;

    list_for_each_safe (at, next, &p->children) {
        struct proc *child = list_entry(at, struct proc, sibling);

        if (child->entry->state == OS_PROC_NEW) {
            life_abort(in, child);
            continue;
        }
        table_adopt(&in->table, child, in->self);
        if (child->destroyed)
            life_reaped(in, child);
    }
}

static void ended(struct init *in, struct proc *p)
{
    uint32_t status = wait_status(in, p);

    p->ended = true;
    table_change(&in->table);
    p->entry->status = status;
    p->entry->state = OS_PROC_ZOMBIE;
    table_change(&in->table);
    services_withdraw(in, p);
    if (p->peer)
        os_peer_drop(&in->server, p->peer);
    p->peer = NULL;
    leave_children(in, p);
    list_add_tail(&in->dying, &p->dying);
    services_tell_peers(in);
}

static bool has_ended(const struct proc *p)
{
    return p->env && !p->ended && exo_env_status(p->env, EXO_ENV_STATE) == EXO_ENV_ENDED;
}

void life_ended(struct init *in, uint64_t bits)
{
    for (unsigned c = 0; c < EXIT_CLASSES; c++) {
        if (!(bits >> in->exit_bits[c] & 1))
            continue;
        for (uint32_t slot = c; slot < OS_NPROC; slot += EXIT_CLASSES) {
            struct proc *p = in->table.slots[slot];

            if (p && has_ended(p))
                ended(in, p);
        }
    }
}

/* Nothing of it is left but its status. */
static void gone(struct init *in, struct proc *p)
{
    p->destroyed = true;
    if (p->aborted) {
        table_remove(&in->table, p, in->self);
        return;
    }
    if (p->parent == in->self) {
        life_reaped(in, p);
        return;
    }
    if (p->parent->peer && os_peer_waiting(p->parent->peer) && p->parent->waits)
        serve_answer_wait(in, p->parent);
    else
        child_signal(p->parent, 1ull << SIGCHLD);
}

void life_step(struct init *in)
{
    for (unsigned i = 0; i < STEPS_AT_A_TIME && !list_empty(&in->dying); i++) {
        struct proc *p = list_entry(in->dying.next, struct proc, dying);

        list_remove(&p->dying);
        if (child_destroy_step(p))
            gone(in, p);
        else
            list_add_tail(&in->dying, &p->dying);
    }
}

/* ---- what follows --------------------------------------------------------------------------------------- */

static int exit_code(uint32_t status)
{
    return status & 0x7f ? 128 + (int)(status & 0x7f) : (int)(status >> 8 & 0xff);
}

static void restart(struct init *in, unsigned app)
{
    const struct manifest_app *a = &in->manifest.apps[app];
    uint64_t now = os_ticks();

    if (now - in->restarts[app].since > os_ns_to_ticks(RESTARTS_WITHIN_NS)) {
        in->restarts[app].since = now;
        in->restarts[app].count = 0;
    }
    if (++in->restarts[app].count > RESTARTS_MAX) {
        say(&in->say, "init: %s ended %u times within %llu seconds: it is not started again", a->path,
            RESTARTS_MAX + 1, RESTARTS_WITHIN_NS / 1000000000);
        services_gave_up(in, app);
        return;
    }
    say(&in->say, "init: %s has ended: starting it again", a->path);
    if (boot_start(in, app))
        services_gave_up(in, app);
}

void life_reaped(struct init *in, struct proc *p)
{
    const struct manifest_app *app = p->app;
    int index = p->restart_index;
    uint32_t status = p->entry->status;

    table_remove(&in->table, p, in->self);
    if (index < 0 || in->stopping)
        return;
    if (app->on_exit == MANIFEST_RESTART)
        restart(in, (unsigned)index);
    else if (app->on_exit == MANIFEST_POWER_OFF)
        power_off(in, exit_code(status));
    else
        services_gave_up(in, (unsigned)index);
}
