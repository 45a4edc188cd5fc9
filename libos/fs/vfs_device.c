/* Devices that need no server: null and zero. */
#include <string.h>

#include "libos/fs/vfs_impl.h"

static int64_t null_read(struct vfs_file *file, void *buf, size_t len, uint64_t at)
{
    (void)file, (void)buf, (void)len, (void)at;
    return 0;
}

static int64_t zero_read(struct vfs_file *file, void *buf, size_t len, uint64_t at)
{
    (void)file, (void)at;
    memset(buf, 0, len);
    return (int64_t)len;
}

static int64_t any_write(struct vfs_file *file, const void *buf, size_t len, uint64_t at)
{
    (void)file, (void)buf, (void)at;
    return (int64_t)len;
}

static int64_t any_seek(struct vfs_file *file, int64_t offset, enum fs_whence whence)
{
    (void)file, (void)offset, (void)whence;
    return 0;
}

const struct vfs_ops vfs_null_ops = {.read = null_read, .write = any_write, .seek = any_seek};
const struct vfs_ops vfs_zero_ops = {.read = zero_read, .write = any_write, .seek = any_seek};
