/* Descriptors by their POSIX names (POSIX.1-2008, <unistd.h> and <fcntl.h>).  newlib calls the names with an
 * underscore. */
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "libos/fs/vfs_impl.h"
#include "libos/libc/file.h"
#include "libos/libc/result.h"
#include "os/rt.h"
#include "os/vfs.h"

/* ---- opening and closing ---------------------------------------------------------------------------------------- */

static int64_t open_fd(const char *path, int oflag, mode_t mode)
{
    struct vfs_file *file;
    uint32_t flags;
    int err = vfs_flags_from_open(oflag, &flags);
    if (err == 0)
        err = vfs_open(path, flags, mode & ~libc_umask, &file);
    if (err != 0)
        return err;
    int fd = vfs_fd_add(file, 0, (oflag & O_CLOEXEC) != 0);
    if (fd < 0)
        vfs_unref(file);
    return fd;
}

int open(const char *path, int oflag, ...)
{
    mode_t mode = 0;
    if (oflag & O_CREAT) {
        va_list args;
        va_start(args, oflag);
        mode = va_arg(args, mode_t);
        va_end(args);
    }
    return (int)libc_result(open_fd(path, oflag, mode));
}

int _open(const char *path, int oflag, int mode);
int _open(const char *path, int oflag, int mode)
{
    return (int)libc_result(open_fd(path, oflag, (mode_t)mode));
}

int creat(const char *path, mode_t mode)
{
    return (int)libc_result(open_fd(path, O_WRONLY | O_CREAT | O_TRUNC, mode));
}

int close(int fd)
{
    return (int)libc_result(vfs_fd_close(fd));
}

int dup(int fd)
{
    return (int)libc_result(vfs_fd_dup(fd, 0, false));
}

int dup2(int fd, int to)
{
    return (int)libc_result(vfs_fd_dup2(fd, to, false));
}

int dup3(int fd, int to, int flags);
int dup3(int fd, int to, int flags)
{
    if (fd == to || flags & ~O_CLOEXEC)
        return (int)libc_result(-EINVAL);
    return (int)libc_result(vfs_fd_dup2(fd, to, (flags & O_CLOEXEC) != 0));
}

static int64_t pipe_fds(int fds[2], int oflag)
{
    struct vfs_file *files[2];
    bool cloexec = (oflag & O_CLOEXEC) != 0;
    if (oflag & ~(O_CLOEXEC | O_NONBLOCK))
        return -EINVAL;
    int err = vfs_pipe(files, oflag & O_NONBLOCK ? FS_O_NONBLOCK : 0);
    if (err != 0)
        return err;
    int in = vfs_fd_add(files[0], 0, cloexec);
    int out = in < 0 ? in : vfs_fd_add(files[1], 0, cloexec);
    if (out >= 0) {
        fds[0] = in;
        fds[1] = out;
        return 0;
    }
    if (in >= 0)
        vfs_fd_close(in);
    else
        vfs_unref(files[0]);
    vfs_unref(files[1]);
    return out;
}

int pipe(int fds[2])
{
    return (int)libc_result(pipe_fds(fds, 0));
}

int pipe2(int fds[2], int oflag);
int pipe2(int fds[2], int oflag)
{
    return (int)libc_result(pipe_fds(fds, oflag));
}

/* ---- reading and writing ----------------------------------------------------------------------------------------- */

static int64_t read_at(int fd, void *buf, size_t len, uint64_t at)
{
    struct vfs_file *file = vfs_file(fd);
    if (file == NULL)
        return -EBADF;
    int64_t n = vfs_read(file, buf, min_u64(len, INT64_MAX), at);
    vfs_unref(file);
    return n;
}

static int64_t write_at(int fd, const void *buf, size_t len, uint64_t at)
{
    struct vfs_file *file = vfs_file(fd);
    if (file == NULL)
        return -EBADF;
    int64_t n = vfs_write(file, buf, min_u64(len, INT64_MAX), at);
    vfs_unref(file);
    if (n == -EPIPE)
        os_signal_raise(SIGPIPE);
    return n;
}

_READ_WRITE_RETURN_TYPE read(int fd, void *buf, size_t len)
{
    return libc_result(read_at(fd, buf, len, FS_AT_OFFSET));
}

_READ_WRITE_RETURN_TYPE write(int fd, const void *buf, size_t len)
{
    return libc_result(write_at(fd, buf, len, FS_AT_OFFSET));
}

ssize_t pread(int fd, void *buf, size_t len, off_t offset)
{
    return libc_result(offset < 0 ? -EINVAL : read_at(fd, buf, len, (uint64_t)offset));
}

ssize_t pwrite(int fd, const void *buf, size_t len, off_t offset)
{
    return libc_result(offset < 0 ? -EINVAL : write_at(fd, buf, len, (uint64_t)offset));
}

off_t lseek(int fd, off_t offset, int whence)
{
    struct vfs_file *file = vfs_file(fd);
    if (file == NULL)
        return (off_t)libc_result(-EBADF);
    int64_t at = -EINVAL;
    if (whence >= SEEK_SET && whence <= SEEK_END)
        at = vfs_seek(file, offset, (enum fs_whence)whence);
    vfs_unref(file);
    return (off_t)libc_result(at);
}

int ftruncate(int fd, off_t size)
{
    struct vfs_file *file = vfs_file(fd);
    if (file == NULL)
        return (int)libc_result(-EBADF);
    int err = size < 0 ? -EINVAL : vfs_truncate(file, (uint64_t)size);
    vfs_unref(file);
    return (int)libc_result(err);
}

/* The file server keeps everything in memory: there is nothing to wait for. */
int fsync(int fd)
{
    return (int)libc_result(vfs_fd_cloexec(fd) < 0 ? -EBADF : 0);
}

int fdatasync(int fd);
int fdatasync(int fd)
{
    return fsync(fd);
}

void sync(void)
{
}

/* ---- flags -------------------------------------------------------------------------------------------------------- */

static int64_t get_flags(struct vfs_file *file)
{
    int64_t flags = vfs_flags(file, 0, 0);
    if (flags < 0)
        return flags;
    int oflag = flags & FS_O_WRITE ? (flags & FS_O_READ ? O_RDWR : O_WRONLY) : O_RDONLY;
    return oflag | (flags & FS_O_APPEND ? O_APPEND : 0) | (flags & FS_O_NONBLOCK ? O_NONBLOCK : 0);
}

static int64_t set_flags(struct vfs_file *file, int oflag)
{
    uint32_t value = (oflag & O_APPEND ? FS_O_APPEND : 0) | (oflag & O_NONBLOCK ? FS_O_NONBLOCK : 0);
    int64_t flags = vfs_flags(file, FS_O_SETTABLE, value);
    return flags < 0 ? flags : 0;
}

static int64_t control_file(struct vfs_file *file, int fd, int cmd, int arg)
{
    int64_t result;
    switch (cmd) {
    case F_DUPFD:
    case F_DUPFD_CLOEXEC:
        return vfs_fd_dup(fd, arg, cmd == F_DUPFD_CLOEXEC);
    case F_GETFD:
        result = vfs_fd_cloexec(fd);
        return result > 0 ? FD_CLOEXEC : result;
    case F_SETFD:
        return vfs_fd_set_cloexec(fd, (arg & FD_CLOEXEC) != 0);
    case F_GETFL:
        return get_flags(file);
    case F_SETFL:
        return set_flags(file, arg);
    default:
        return -EINVAL;
    }
}

static int64_t control(int fd, int cmd, int arg)
{
    struct vfs_file *file = vfs_file(fd);
    if (file == NULL)
        return -EBADF;
    int64_t result = control_file(file, fd, cmd, arg);
    vfs_unref(file);
    return result;
}

/* newlib's own fcntl only says ENOSYS. */
int fcntl(int fd, int cmd, ...)
{
    va_list args;
    va_start(args, cmd);
    int arg = va_arg(args, int);
    va_end(args);
    return (int)libc_result(control(fd, cmd, arg));
}

int _fcntl(int fd, int cmd, int arg);
int _fcntl(int fd, int cmd, int arg)
{
    return (int)libc_result(control(fd, cmd, arg));
}

/* ---- what newlib calls ---------------------------------------------------------------------------------------------- */

int _close(int fd);
int _close(int fd)
{
    return close(fd);
}

_ssize_t _read(int fd, void *buf, size_t len);
_ssize_t _read(int fd, void *buf, size_t len)
{
    return read(fd, buf, len);
}

_ssize_t _write(int fd, const void *buf, size_t len);
_ssize_t _write(int fd, const void *buf, size_t len)
{
    return write(fd, buf, len);
}

off_t _lseek(int fd, off_t offset, int whence);
off_t _lseek(int fd, off_t offset, int whence)
{
    return lseek(fd, offset, whence);
}
