/* Between the parts of the client's side of files. */
#ifndef LIBOS_FS_VFS_IMPL_H
#define LIBOS_FS_VFS_IMPL_H

#include "libos/fs/path.h"
#include "os/vfs.h"

/* Around whatever counts or finds files: the descriptor table, plans for children.  Signals are held; a few steps only. */
void vfs_lock(void);
void vfs_unlock(void);

/* A new file with one reference; NULL: no memory. */
struct vfs_file *vfs_file_make(const struct vfs_kind *kind, uint32_t flags, uint64_t id);
const struct vfs_kind *vfs_kind_by_service(const char *service);
const struct vfs_kind *vfs_kind_by_device(enum fs_device device);

/* enum fs_open from the O_ flags of <fcntl.h>.  -EINVAL: an access mode that does not exist. */
int vfs_flags_from_open(int oflag, uint32_t *out);

/* As vfs_open, from another working directory; NULL: the current one. */
int vfs_open_from(const char *cwd, const char *path, uint32_t flags, uint32_t mode, struct vfs_file **out);

/* The working directory that the parent chose; it looked, so nobody asks the server at every start. */
void vfs_start_cwd(const char *path);

/* The kinds that this layer brings. */
extern const struct vfs_ops vfs_server_ops; /* "fs" */
extern const struct vfs_ops vfs_null_ops, vfs_zero_ops;

#endif
