/* What processes ask of init, and what they see of each other (os/proc.h). */
#include "os/proc.h"

#include <errno.h>

#include "os/exo.h"
#include "os/layout.h"
#include "os/procproto.h"
#include "os/rt.h"
#include "os/time.h"

static struct os_session to_init = {.gate = OS_HANDLE_INIT};

void os_exit(int status)
{
    for (;;)
        (void)exo_env_exit(OS_EXIT_STATUS(status));
}

void os_exit_signal(int sig)
{
    for (;;)
        (void)exo_env_exit(OS_EXIT_SIGNAL(sig));
}

void os_proc_init(struct os_start *start)
{
    const struct os_ptable *table = (const struct os_ptable *)(uintptr_t)OS_PTABLE_VA;

    if (start)
        os_set_epoch_ns(table->head.epoch_ns);
}

uint32_t os_pid(void)
{
    const struct os_start *start = os_start_block();

    return start ? (uint32_t)start->pid : OS_PID_INIT;
}

/* ---- each other ---------------------------------------------------------------------------------------------- */

uint32_t os_ppid(void)
{
    struct os_proc_entry self;

    return os_proc_find(os_pid(), &self) ? self.ppid : 0;
}

int os_getpgid(uint32_t pid)
{
    struct os_proc_entry entry;

    return os_proc_find(pid ? pid : os_pid(), &entry) ? (int)entry.pgid : -ESRCH;
}

/* ---- requests ---------------------------------------------------------------------------------------------- */

static int64_t ask(enum os_proc_op op, uint64_t w1, uint64_t w2)
{
    struct os_words w = {.w = {op, w1, w2}};

    return os_request_nointr(&to_init, &w);
}

int os_wait(int pid, int *status, unsigned flags)
{
    struct os_words w = {.w = {OS_PROC_WAIT, (uint64_t)(int64_t)pid, flags}};
    int64_t rc = os_request(&to_init, &w, EXO_FOREVER);

    if (rc < 0)
        return (int)rc;
    if (w.w[1] && status)
        *status = (int)w.w[2];
    return (int)w.w[1];
}

int os_kill(int pid, int sig)
{
    return sig < 0 ? -EINVAL : (int)ask(OS_PROC_KILL, (uint64_t)(int64_t)pid, (uint64_t)sig);
}

int os_setpgid(uint32_t pid, uint32_t pgid)
{
    return (int)ask(OS_PROC_SETPGID, pid, pgid);
}

int os_interrupt(uint32_t pgid, int sig)
{
    return (int)ask(OS_PROC_INTERRUPT, pgid, (uint64_t)sig);
}

int64_t os_proc_used(uint32_t pid)
{
    return ask(OS_PROC_USED, pid, 0);
}

int64_t os_proc_limit(uint32_t pid, uint64_t frames, uint64_t deadline)
{
    struct os_words w = {.w = {OS_PROC_LIMIT, pid, frames, deadline}};

    return os_request_nointr(&to_init, &w);
}

int os_console_drained(void)
{
    return (int)ask(OS_PROC_DRAINED, 0, 0);
}

/* ---- init's log ---------------------------------------------------------------------------------------------- */

size_t os_log_read(const struct os_log_ring *ring, uint64_t *seen, char *buf, size_t bytes)
{
    uint64_t written = __atomic_load_n(&ring->written, __ATOMIC_ACQUIRE);
    uint64_t at = *seen > ring->printed ? *seen : ring->printed;
    size_t n = 0;

    if (written - at > sizeof(ring->text)) /* we were slow: what is overwritten is lost */
        at = written - sizeof(ring->text);
    while (n < bytes && at < written)
        buf[n++] = ring->text[at++ % sizeof(ring->text)];
    *seen = at;
    return n;
}
