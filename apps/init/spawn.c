/* Making processes for others: the three steps of os/proc.h. */
#include <errno.h>
#include <string.h>

#include "init.h"

/* The path is copied out of the sender's page before anybody looks at it. */
static int read_path(const struct init *in, char path[PAGE_SIZE])
{
    const struct os_server *s = &in->server;

    if (s->came.npages == 0 || !(s->came.prot & EXO_PROT_READ))
        return -EINVAL;
    memcpy(path, (const void *)(uintptr_t)s->came.va, PAGE_SIZE);
    if (!memchr(path, 0, PAGE_SIZE) || path[0] != '/')
        return -EINVAL;
    return 0;
}

static int set_group(struct init *in, struct proc *parent, struct proc *p, int32_t pgid)
{
    if (pgid < 0)
        return table_set_group(&in->table, p, parent->entry->pgid);
    return table_set_group(&in->table, p, pgid ? (uint32_t)pgid : p->entry->pid);
}

/* Who loads it?  init itself, what the manifest names; otherwise the parent, through the child's space. */
static int64_t arrange_loading(struct init *in, struct proc *parent, struct proc *p, struct os_words *w)
{
    int64_t handle;

    w->w[1] = p->entry->pid;
    w->w[2] = 0;
    if (p->trusted_image)
        return boot_load(in, p, p->app->path, &p->image_entry);
    handle = child_grant(parent, p->space, EXO_RIGHT_USE | EXO_RIGHT_READ, 0, 0);
    if (handle < 0)
        return handle;
    w->w[2] = (uint64_t)handle;
    return 0;
}

static int64_t refuse_more(struct init *in, struct proc *parent, const struct proc *limited)
{
    if (parent->refusals++ < REFUSALS_SAID)
        say(&in->say, "init: %s may not start another process: the manifest entry of %s allows %u at a time",
            parent->entry->name, limited->entry->name, (unsigned)limited->app->processes);
    return -EAGAIN;
}

int64_t spawn_begin(struct init *in, struct proc *parent, struct os_words *w)
{
    int32_t pgid = (int32_t)w->w[1];
    static char path[PAGE_SIZE];
    struct proc *p, *limited;
    int64_t result;
    int error = read_path(in, path);

    if (error)
        return error;
    limited = table_limited(parent);
    if (limited)
        return refuse_more(in, parent, limited);
    p = life_new(in, parent, manifest_for_path(&in->manifest, path), path, &error);
    if (!p)
        return error;
    result = set_group(in, parent, p, pgid);
    if (!result)
        result = arrange_loading(in, parent, p, w);
    if (result)
        life_abort(in, p);
    return result;
}

/* The caller's child that is being made. */
static struct proc *embryo(const struct init *in, const struct proc *parent, uint64_t pid)
{
    struct proc *p = pid <= UINT32_MAX ? table_find(&in->table, (uint32_t)pid) : NULL;

    return p && p->parent == parent && p->entry->state == OS_PROC_NEW ? p : NULL;
}

int64_t spawn_start(struct init *in, struct proc *parent, const struct os_words *w)
{
    struct proc *p = embryo(in, parent, w->w[1]);
    const void *block = (const void *)(uintptr_t)in->server.came.va;
    size_t bytes = (size_t)in->server.came.npages * PAGE_SIZE;
    int rc;

    if (!p)
        return -ESRCH;
    rc = in->server.came.prot & EXO_PROT_READ ? child_write_start(in, p, block, bytes) : -EINVAL;
    if (!rc)
        rc = child_start(in, p, p->trusted_image ? p->image_entry : w->w[2]);
    if (rc)
        life_abort(in, p);
    return rc;
}

int64_t spawn_abort(struct init *in, struct proc *parent, const struct os_words *w)
{
    struct proc *p = embryo(in, parent, w->w[1]);

    if (!p)
        return -ESRCH;
    life_abort(in, p);
    return 0;
}
