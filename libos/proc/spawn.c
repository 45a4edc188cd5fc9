/* os_spawn: the parent's three steps (os/proc.h).  Whatever fails after the first is undone by ABORT, and the
 * services forget what they kept for that pid when it leaves the process table. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/exo.h"
#include "os/load.h"
#include "os/mem.h"
#include "os/proc.h"
#include "os/procproto.h"

/* Of LOAD_WHY_BYTES, from a thread's first os_spawn to its end: each thread is as much larger as its thread-local
 * variables are. */
static _Thread_local char *error_text;
static struct os_session to_init = {.gate = OS_HANDLE_INIT};

const char *os_proc_error(void)
{
    return error_text ? error_text : "";
}

void os_proc_thread_end(void)
{
    free(error_text);
    error_text = NULL;
}

struct making {
    const struct os_spawn *what;
    uint64_t pages; /* OS_START_MAX_BYTES of our own, to send from */
    uint32_t pid;
    exo_handle_t space; /* 0: init loads */
    uint64_t entry;
};

static int note(int error, const char *path, const char *doing)
{
    if (error < 0)
        snprintf(error_text, LOAD_WHY_BYTES, "%s: %s: %s", path, doing, strerror(-error));
    return error;
}

static int pages_new(struct making *m)
{
    const struct os_map what = {.kind = OS_REGION_ANON,
                                .prot = EXO_PROT_READ | EXO_PROT_WRITE,
                                .npages = OS_START_MAX_BYTES / PAGE_SIZE};

    return os_map_region(&what, &m->pages);
}

/* Sends the first `bytes` of the pages along. */
static int64_t ask(struct making *m, struct os_words *w, size_t bytes)
{
    int rc = os_touch(m->pages, bytes);

    if (rc)
        return rc;
    return os_request_pages(&to_init, w, (const void *)(uintptr_t)m->pages, (uint32_t)(bytes / PAGE_SIZE),
                            EXO_PROT_READ);
}

static int begin(struct making *m)
{
    struct os_words w = {.w = {OS_PROC_SPAWN, (uint64_t)(int64_t)m->what->pgid}};
    size_t length = strlen(m->what->path);
    int64_t rc;

    if (m->what->path[0] != '/')
        return -EINVAL;
    if (length >= PAGE_SIZE)
        return -ENAMETOOLONG;
    memcpy((void *)(uintptr_t)m->pages, m->what->path, length + 1);
    rc = ask(m, &w, PAGE_SIZE);
    if (rc < 0)
        return (int)rc;
    m->pid = (uint32_t)w.w[1];
    m->space = (exo_handle_t)w.w[2];
    return 0;
}

static int load(struct making *m)
{
    const struct os_map what = {.kind = OS_REGION_WINDOW, .npages = LOAD_BATCH_PAGES};
    struct load_space to = {.space = m->space};
    int rc = os_map_region(&what, &to.window_va);

    if (rc)
        return note(rc, m->what->path, "no room to load it from");
    rc = os_load(m->what->path, m->what->image, &load_space_ops, &to, &m->entry, error_text);
    (void)os_unmap(to.window_va, LOAD_BATCH_PAGES);
    return rc;
}

static int start(struct making *m)
{
    const struct os_spawn *what = m->what;
    struct os_words w = {.w = {OS_PROC_START, m->pid, m->entry}};
    struct os_start_fd fds[OS_START_MAX_FDS];
    int nfds = what->inherit ? what->inherit(what->inherit_ctx, m->pid, fds, OS_START_MAX_FDS) : 0;
    int bytes;

    if (nfds < 0)
        return note(nfds, what->path, "its files");
    bytes = os_start_build((void *)(uintptr_t)m->pages, OS_START_MAX_BYTES,
                           &(struct os_start_parts){.path = what->path,
                                                    .cwd = what->cwd,
                                                    .argv = what->argv,
                                                    .envp = what->envp,
                                                    .fds = fds,
                                                    .nfds = (uint32_t)nfds,
                                                    .umask = what->umask});
    if (bytes < 0)
        return note(bytes, what->path, "its arguments");
    return note((int)ask(m, &w, (size_t)bytes), what->path, "cannot be started");
}

static void abandon(const struct making *m)
{
    struct os_words w = {.w = {OS_PROC_ABORT, m->pid}};

    (void)os_request_nointr(&to_init, &w);
}

static int make(struct making *m)
{
    int rc = note(begin(m), m->what->path, "no process for it");

    if (rc)
        return rc;
    if (m->space)
        rc = load(m);
    if (!rc)
        rc = start(m);
    if (rc)
        abandon(m);
    if (m->space)
        while (exo_cap_drop(m->space) > 0) {
        }
    return rc ? rc : (int)m->pid;
}

int os_spawn(const struct os_spawn *what)
{
    struct making m = {.what = what};
    int rc;

    if (!error_text)
        error_text = malloc(LOAD_WHY_BYTES);
    if (!error_text)
        return -ENOMEM;
    error_text[0] = 0;
    rc = pages_new(&m);
    if (rc)
        return note(rc, what->path, "no memory to start it from");
    rc = make(&m);
    (void)os_unmap(m.pages, OS_START_MAX_BYTES / PAGE_SIZE);
    return rc;
}
