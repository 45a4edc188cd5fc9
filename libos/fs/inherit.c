/* os/inherit.h: a plan is a descriptor table of its own, over the same open files. */
#include "os/inherit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libos/fs/fdtable.h"
#include "libos/fs/vfs_impl.h"
#include "os/vfs.h"

struct os_inherit {
    struct fdtable table;
    char cwd[PATH_BYTES];
};

static struct vfs_file *plan_file(const struct os_inherit *plan, int fd)
{
    return (struct vfs_file *)fdtable_get(&plan->table, fd);
}

/* The plan's place for `fd`; takes a reference of its own. */
static int plan_set(struct os_inherit *plan, int fd, struct vfs_file *file)
{
    struct fd_file *last = NULL;
    vfs_lock();
    int err = fdtable_set(&plan->table, fd, (struct fd_file *)file, false, &last);
    if (last != NULL)
        last->fds++;
    vfs_unlock();
    if (last != NULL)
        vfs_unref((struct vfs_file *)last);
    return err;
}

int os_inherit_begin(struct os_inherit **out)
{
    struct os_inherit *plan = calloc(1, sizeof(*plan));
    if (plan == NULL)
        return -ENOMEM;
    vfs_cwd(plan->cwd, sizeof(plan->cwd));
    for (int fd = vfs_fd_next(0); fd >= 0; fd = vfs_fd_next(fd + 1)) {
        struct vfs_file *file = vfs_fd_cloexec(fd) == 0 ? vfs_file(fd) : NULL;
        if (file != NULL) {
            plan_set(plan, fd, file);
            vfs_unref(file);
        }
    }
    *out = plan;
    return 0;
}

int os_inherit_dup2(struct os_inherit *plan, int from, int to)
{
    struct vfs_file *file = plan_file(plan, from);
    if (file != NULL)
        return plan_set(plan, to, file);
    file = vfs_file(from); /* one that closes on exec may still be given under another number */
    if (file == NULL)
        return -EBADF;
    int err = plan_set(plan, to, file);
    vfs_unref(file);
    return err;
}

int os_inherit_close(struct os_inherit *plan, int fd)
{
    struct fd_file *last;
    vfs_lock();
    int err = fdtable_remove(&plan->table, fd, &last);
    if (last != NULL)
        last->fds++;
    vfs_unlock();
    if (last != NULL)
        vfs_unref((struct vfs_file *)last);
    return err;
}

int os_inherit_open(struct os_inherit *plan, int fd, const char *path, int oflag, mode_t mode)
{
    struct vfs_file *file;
    uint32_t flags;
    int err = vfs_flags_from_open(oflag, &flags);
    if (err == 0)
        err = vfs_open_from(plan->cwd, path, flags, mode, &file);
    if (err != 0)
        return err;
    err = plan_set(plan, fd, file);
    vfs_unref(file);
    return err;
}

int os_inherit_chdir(struct os_inherit *plan, const char *path)
{
    char to[PATH_BYTES];
    int err = vfs_resolve_dir(plan->cwd, path, to);
    if (err == 0)
        strcpy(plan->cwd, to);
    return err;
}

const char *os_inherit_cwd(const struct os_inherit *plan)
{
    return plan->cwd;
}

/* One open file is shared once, whatever number of descriptors means it. */
static int share(const struct os_inherit *plan, int fd, uint32_t pid, const struct os_start_fd *before,
                 unsigned n, struct os_start_fd *out)
{
    struct vfs_file *file = plan_file(plan, fd);
    *out = (struct os_start_fd){.fd = fd, .flags = file->flags, .id = file->id};
    strncpy(out->service, file->kind->service, sizeof(out->service) - 1);
    if (file->kind->ops->share == NULL)
        return 0;
    for (unsigned i = 0; i < n; i++) {
        if (plan_file(plan, before[i].fd) == file) {
            out->id = before[i].id;
            return 0;
        }
    }
    int64_t id = file->kind->ops->share(file, pid);
    out->id = (uint64_t)id;
    return id < 0 ? (int)id : 0;
}

int os_inherit_finish(struct os_inherit *plan, uint32_t pid, struct os_start_fd *fds, unsigned max)
{
    unsigned n = 0;
    for (int fd = fdtable_next(&plan->table, 0); fd >= 0; fd = fdtable_next(&plan->table, fd + 1)) {
        int err = n == max ? -EMFILE : share(plan, fd, pid, fds, n, &fds[n]);
        if (err != 0)
            return err;
        n++;
    }
    return (int)n;
}

void os_inherit_drop(struct os_inherit *plan)
{
    for (int fd = fdtable_next(&plan->table, 0); fd >= 0; fd = fdtable_next(&plan->table, fd + 1))
        os_inherit_close(plan, fd);
    free(plan);
}
