/* Open files as a program has them: descriptors over kinds of files, each kind served by somebody.
 *
 *   descriptor ──► struct vfs_file (shared by dup) ──► kind ──► the service that keeps the open file
 *
 * Functions return 0, a count, or a negative errno.  <unistd.h>, <fcntl.h> and the like are the usual face of
 * this; what they lack is here.  Callable from threads, not from upcall handlers. */
#ifndef OS_VFS_H
#define OS_VFS_H

#include "base/types.h"
#include "os/fs.h"
#include "os/start.h"

struct vfs_file;

/* What a kind of file can do; NULL: -ESPIPE, -ENOTDIR, -EINVAL or nothing, whichever fits.  `at` is an offset in
 * bytes or FS_AT_OFFSET; `nonblock` asks for -EAGAIN instead of waiting. */
struct vfs_ops {
    int64_t (*read)(struct vfs_file *file, void *buf, size_t len, uint64_t at);
    int64_t (*write)(struct vfs_file *file, const void *buf, size_t len, uint64_t at);
    int64_t (*seek)(struct vfs_file *file, int64_t offset, enum fs_whence whence);
    int (*stat)(struct vfs_file *file, struct fs_stat *out);
    int64_t (*readdir)(struct vfs_file *file, void *buf, size_t room); /* struct fs_dirent */
    int (*truncate)(struct vfs_file *file, uint64_t size);
    int64_t (*flags)(struct vfs_file *file, uint32_t mask, uint32_t value);
    int64_t (*share)(struct vfs_file *file, uint32_t pid); /* -> the id under which that process finds it */
    void (*close)(struct vfs_file *file);
};

/* A kind that descriptors may be inherited of, by its service's name, and opened of, by its device number. */
struct vfs_kind {
    const char *service;
    enum fs_device device; /* FS_DEV_NONE: the file server's own files */
    const struct vfs_ops *ops;
};

/* The kinds that this program has; the layer above gives them.  The last one's service is NULL. */
extern const struct vfs_kind vfs_kinds[];

struct vfs_file {
    uint32_t fds;   /* descriptors that mean it, plans for children and threads that hold it */
    uint32_t flags; /* enum fs_open: READ, WRITE and those of FS_O_SETTABLE */
    uint64_t id;    /* the service's */
    const struct vfs_kind *kind;
};

/* ---- descriptors ---------------------------------------------------------------------------------------------- */

/* Take the descriptors and the working directory over that the start block hands down. */
void vfs_init(const struct os_start *start);

/* The file of a descriptor, held until vfs_unref(); NULL: not open. */
struct vfs_file *vfs_file(int fd);

/* Open a path, relative to the working directory or absolute: a file without a descriptor yet, which
 * vfs_unref() closes.  flags: enum fs_open. */
int vfs_open(const char *path, uint32_t flags, uint32_t mode, struct vfs_file **out);
void vfs_unref(struct vfs_file *file);

/* Give a file the lowest free descriptor from `min` on, which takes the caller's reference over; on failure
 * the caller keeps it. */
int vfs_fd_add(struct vfs_file *file, int min, bool cloexec);
int vfs_fd_dup(int fd, int min, bool cloexec);
int vfs_fd_dup2(int fd, int to, bool cloexec);
int vfs_fd_close(int fd);
int vfs_fd_cloexec(int fd); /* 1, 0, or -EBADF */
int vfs_fd_set_cloexec(int fd, bool cloexec);
int vfs_fd_next(int fd); /* the first open one from `fd` on; -1: none */

int64_t vfs_read(struct vfs_file *file, void *buf, size_t len, uint64_t at);
int64_t vfs_write(struct vfs_file *file, const void *buf, size_t len, uint64_t at);
int64_t vfs_seek(struct vfs_file *file, int64_t offset, enum fs_whence whence);
int vfs_stat(struct vfs_file *file, struct fs_stat *out);
int64_t vfs_readdir(struct vfs_file *file, void *buf, size_t room);
int vfs_truncate(struct vfs_file *file, uint64_t size);
int64_t vfs_flags(struct vfs_file *file, uint32_t mask, uint32_t value);
int vfs_pipe(struct vfs_file *out[2], uint32_t flags);

/* ---- names ---------------------------------------------------------------------------------------------------- */

int vfs_stat_path(const char *path, struct fs_stat *out);
int vfs_mkdir(const char *path, uint32_t mode);
int vfs_rmdir(const char *path);
int vfs_unlink(const char *path);
int vfs_rename(const char *from, const char *to);
int vfs_link(const char *from, const char *to);
int vfs_chmod(const char *path, uint32_t mode);
int vfs_utime(const char *path, uint64_t atime_ns, uint64_t mtime_ns);

int vfs_chdir(const char *path);
/* The working directory into out, if it fits into `room` bytes; returns how many it takes. */
size_t vfs_cwd(char *out, size_t room);
/* What chdir(path) from the directory `cwd` (NULL: the current one) would lead to, into out (PATH_BYTES); looks that it is a directory. */
int vfs_resolve_dir(const char *cwd, const char *path, char *out);

/* Free and used memory of the file server, in bytes. */
int vfs_use(uint64_t *limit, uint64_t *used);

#endif
