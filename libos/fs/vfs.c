/* Descriptors, and open files by kind. */
#include "os/vfs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libos/fs/fdtable.h"
#include "libos/fs/vfs_impl.h"
#include "os/rt.h"
#include "rt/spin.h"

_Static_assert(offsetof(struct vfs_file, fds) == offsetof(struct fd_file, fds),
               "a vfs_file begins as an fd_file");

static struct rt_spin lock;
static struct fdtable table; /* under the lock, and with it the count of every file */

void vfs_lock(void)
{
    os_signals_hold(); /* a handler may use descriptors too */
    spin_lock(&lock, rt_vcpu());
}

void vfs_unlock(void)
{
    spin_unlock(&lock);
    os_signals_release();
}

static struct fd_file *as_fd(struct vfs_file *file)
{
    return (struct fd_file *)file;
}

static struct vfs_file *as_vfs(struct fd_file *file)
{
    return (struct vfs_file *)file;
}

/* ---- files ---------------------------------------------------------------------------------------------------- */

const struct vfs_kind *vfs_kind_by_service(const char *service)
{
    const struct vfs_kind *kind = vfs_kinds;
    while (kind->service != NULL && strcmp(kind->service, service) != 0)
        kind++;
    return kind->service == NULL ? NULL : kind;
}

const struct vfs_kind *vfs_kind_by_device(enum fs_device device)
{
    const struct vfs_kind *kind = vfs_kinds;
    while (kind->service != NULL && kind->device != device)
        kind++;
    return kind->service == NULL ? NULL : kind;
}

struct vfs_file *vfs_file_make(const struct vfs_kind *kind, uint32_t flags, uint64_t id)
{
    struct vfs_file *file = malloc(sizeof(*file));
    if (file != NULL)
        *file = (struct vfs_file){.fds = 1, .flags = flags, .id = id, .kind = kind};
    return file;
}

static void file_close(struct vfs_file *file)
{
    if (file == NULL)
        return;
    if (file->kind->ops->close != NULL)
        file->kind->ops->close(file);
    free(file);
}

void vfs_unref(struct vfs_file *file)
{
    bool last;
    vfs_lock();
    last = --file->fds == 0;
    vfs_unlock();
    if (last)
        file_close(file);
}

/* ---- descriptors ---------------------------------------------------------------------------------------------- */

struct vfs_file *vfs_file(int fd)
{
    struct vfs_file *file;
    vfs_lock();
    file = as_vfs(fdtable_get(&table, fd));
    if (file != NULL)
        file->fds++;
    vfs_unlock();
    return file;
}

int vfs_fd_add(struct vfs_file *file, int min, bool cloexec)
{
    vfs_lock();
    int fd = fdtable_add(&table, as_fd(file), min, cloexec);
    if (fd >= 0)
        file->fds--; /* the caller's */
    vfs_unlock();
    return fd;
}

int vfs_fd_dup(int fd, int min, bool cloexec)
{
    vfs_lock();
    struct fd_file *file = fdtable_get(&table, fd);
    int to = file == NULL ? -EBADF : fdtable_add(&table, file, min, cloexec);
    vfs_unlock();
    return to;
}

int vfs_fd_dup2(int fd, int to, bool cloexec)
{
    struct fd_file *last = NULL;
    vfs_lock();
    struct fd_file *file = fdtable_get(&table, fd);
    int err = file == NULL ? -EBADF : 0;
    if (err == 0 && fd != to)
        err = fdtable_set(&table, to, file, cloexec, &last);
    vfs_unlock();
    file_close(as_vfs(last));
    return err != 0 ? err : to;
}

int vfs_fd_close(int fd)
{
    struct fd_file *last;
    vfs_lock();
    int err = fdtable_remove(&table, fd, &last);
    vfs_unlock();
    file_close(as_vfs(last));
    return err;
}

int vfs_fd_cloexec(int fd)
{
    vfs_lock();
    int set = fdtable_get_cloexec(&table, fd);
    vfs_unlock();
    return set;
}

int vfs_fd_set_cloexec(int fd, bool cloexec)
{
    vfs_lock();
    int err = fdtable_set_cloexec(&table, fd, cloexec);
    vfs_unlock();
    return err;
}

int vfs_fd_next(int fd)
{
    vfs_lock();
    int next = fdtable_next(&table, fd);
    vfs_unlock();
    return next;
}

/* ---- what a parent hands down ---------------------------------------------------------------------------------- */

/* Descriptors of one open file have one id; it is one file here too.  No other thread runs yet. */
static struct vfs_file *inherited_twin(const struct os_start_fd *fds, uint32_t i)
{
    for (uint32_t j = 0; j < i; j++) {
        struct vfs_file *file = as_vfs(fdtable_get(&table, fds[j].fd));
        if (file != NULL && fds[j].id == fds[i].id && fds[j].flags == fds[i].flags &&
            strcmp(fds[j].service, fds[i].service) == 0)
            return file;
    }
    return NULL;
}

static void inherit(const struct os_start_fd *fds, uint32_t i)
{
    const struct vfs_kind *kind = vfs_kind_by_service(fds[i].service);
    struct vfs_file *file = inherited_twin(fds, i);
    uint32_t flags = fds[i].flags & (FS_O_READ | FS_O_WRITE | FS_O_SETTABLE);
    struct fd_file *last;
    if (kind == NULL)
        return; /* this program was built without that kind: the descriptor stays closed */
    if (file != NULL)
        file->fds++;
    else
        file = vfs_file_make(kind, flags != 0 ? flags : FS_O_READ | FS_O_WRITE, fds[i].id);
    if (file == NULL)
        return;
    fdtable_set(&table, fds[i].fd, as_fd(file), false, &last);
    vfs_unref(file);
}

void vfs_init(const struct os_start *start)
{
    if (start == NULL)
        return;
    const struct os_start_fd *fds = (const void *)((const char *)start + start->fds);
    for (uint32_t i = 0; i < start->nfds; i++)
        inherit(fds, i);
    vfs_start_cwd((const char *)start + start->cwd);
}

/* ---- operations ------------------------------------------------------------------------------------------------ */

int64_t vfs_read(struct vfs_file *file, void *buf, size_t len, uint64_t at)
{
    if (!(file->flags & FS_O_READ))
        return -EBADF;
    return file->kind->ops->read(file, buf, len, at);
}

int64_t vfs_write(struct vfs_file *file, const void *buf, size_t len, uint64_t at)
{
    if (!(file->flags & FS_O_WRITE))
        return -EBADF;
    return file->kind->ops->write(file, buf, len, at);
}

int64_t vfs_seek(struct vfs_file *file, int64_t offset, enum fs_whence whence)
{
    return file->kind->ops->seek == NULL ? -ESPIPE : file->kind->ops->seek(file, offset, whence);
}

int vfs_stat(struct vfs_file *file, struct fs_stat *out)
{
    if (file->kind->ops->stat != NULL)
        return file->kind->ops->stat(file, out);
    *out = (struct fs_stat){.kind = FS_KIND_DEVICE, .mode = 0666, .links = 1, .device = file->kind->device};
    return 0;
}

int64_t vfs_readdir(struct vfs_file *file, void *buf, size_t room)
{
    return file->kind->ops->readdir == NULL ? -ENOTDIR : file->kind->ops->readdir(file, buf, room);
}

int vfs_truncate(struct vfs_file *file, uint64_t size)
{
    return file->kind->ops->truncate == NULL ? -EINVAL : file->kind->ops->truncate(file, size);
}

int64_t vfs_flags(struct vfs_file *file, uint32_t mask, uint32_t value)
{
    if (file->kind->ops->flags != NULL)
        return file->kind->ops->flags(file, mask, value);
    mask &= FS_O_SETTABLE;
    file->flags = (file->flags & ~mask) | (value & mask);
    return file->flags;
}
