/* Names and what they stand for (POSIX.1-2008, <sys/stat.h>, <unistd.h>). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>
#include <utime.h>

#include "libos/fs/path.h"
#include "libos/libc/file.h"
#include "libos/libc/result.h"
#include "os/vfs.h"

mode_t libc_umask = 022;

#define NS 1000000000ull

/* ---- status ---------------------------------------------------------------------------------------------------- */

static mode_t type_bits(uint32_t kind)
{
    switch (kind) {
    case FS_KIND_DIR:
        return S_IFDIR;
    case FS_KIND_DEVICE:
        return S_IFCHR;
    case FS_KIND_PIPE:
        return S_IFIFO;
    default:
        return S_IFREG;
    }
}

static struct timespec time_of(uint64_t ns)
{
    return (struct timespec){.tv_sec = (time_t)(ns / NS), .tv_nsec = (long)(ns % NS)};
}

static int64_t stat_fill(int err, const struct fs_stat *from, struct stat *to)
{
    if (err != 0)
        return err;
    memset(to, 0, sizeof(*to));
    to->st_dev = 1;
    to->st_ino = (ino_t)from->ino;
    to->st_mode = type_bits(from->kind) | from->mode;
    to->st_nlink = (nlink_t)min_u64(from->links, (nlink_t)~0);
    to->st_rdev = (dev_t)from->device;
    to->st_size = (off_t)from->size;
    to->st_blksize = PAGE_SIZE;
    to->st_blocks = (blkcnt_t)(from->held_bytes / 512);
    to->st_atim = time_of(from->atime_ns);
    to->st_mtim = time_of(from->mtime_ns);
    to->st_ctim = time_of(from->ctime_ns);
    return 0;
}

int stat(const char *restrict path, struct stat *restrict st)
{
    struct fs_stat from;
    return (int)libc_result(stat_fill(vfs_stat_path(path, &from), &from, st));
}

/* There are no symbolic links. */
int lstat(const char *restrict path, struct stat *restrict st)
{
    return stat(path, st);
}

int fstat(int fd, struct stat *st)
{
    struct vfs_file *file = vfs_file(fd);
    struct fs_stat from;
    int err = file == NULL ? -EBADF : vfs_stat(file, &from);
    if (file != NULL)
        vfs_unref(file);
    return (int)libc_result(stat_fill(err, &from, st));
}

int _stat(const char *path, struct stat *st);
int _stat(const char *path, struct stat *st)
{
    return stat(path, st);
}

int _fstat(int fd, struct stat *st);
int _fstat(int fd, struct stat *st)
{
    return fstat(fd, st);
}

/* One user, who may all that any permission bit allows. */
int access(const char *path, int how)
{
    struct fs_stat st;
    int err = vfs_stat_path(path, &st);
    if (err == 0 && how & X_OK && st.kind == FS_KIND_FILE && !(st.mode & 0111))
        err = -EACCES;
    return (int)libc_result(err);
}

mode_t umask(mode_t mask)
{
    return __atomic_exchange_n(&libc_umask, mask & 0777, __ATOMIC_RELAXED);
}

int chmod(const char *path, mode_t mode)
{
    return (int)libc_result(vfs_chmod(path, mode));
}

/* ---- times ------------------------------------------------------------------------------------------------------ */

static uint64_t timeval_ns(const struct timeval *t)
{
    return (uint64_t)t->tv_sec * NS + (uint64_t)t->tv_usec * 1000;
}

/* newlib 3 declares times as a pointer, newlib 4 as an array of two: gcc warns of whichever we are not. */
#pragma GCC diagnostic ignored "-Wpragmas"
#pragma GCC diagnostic ignored "-Warray-parameter"

int utimes(const char *path, const struct timeval *times)
{
    if (times == NULL)
        return (int)libc_result(vfs_utime(path, FS_TIME_NOW, FS_TIME_NOW));
    return (int)libc_result(vfs_utime(path, timeval_ns(&times[0]), timeval_ns(&times[1])));
}

int utime(const char *path, const struct utimbuf *times);
int utime(const char *path, const struct utimbuf *times)
{
    if (times == NULL)
        return utimes(path, NULL);
    return (int)libc_result(vfs_utime(path, (uint64_t)times->actime * NS, (uint64_t)times->modtime * NS));
}

/* ---- making, moving, removing ---------------------------------------------------------------------------------- */

int mkdir(const char *path, mode_t mode)
{
    return (int)libc_result(vfs_mkdir(path, mode & ~libc_umask));
}

int _mkdir(const char *path, mode_t mode);
int _mkdir(const char *path, mode_t mode)
{
    return mkdir(path, mode);
}

int rmdir(const char *path)
{
    return (int)libc_result(vfs_rmdir(path));
}

int unlink(const char *path)
{
    return (int)libc_result(vfs_unlink(path));
}

int _unlink(const char *path);
int _unlink(const char *path)
{
    return unlink(path);
}

int remove(const char *path)
{
    int err = vfs_unlink(path);
    return (int)libc_result(err == -EISDIR ? vfs_rmdir(path) : err);
}

int rename(const char *from, const char *to)
{
    return (int)libc_result(vfs_rename(from, to));
}

int link(const char *from, const char *to)
{
    return (int)libc_result(vfs_link(from, to));
}

int _link(const char *from, const char *to);
int _link(const char *from, const char *to)
{
    return link(from, to);
}

int symlink(const char *to, const char *path)
{
    (void)to, (void)path;
    return (int)libc_result(-ENOSYS);
}

/* What exists is not a symbolic link. */
ssize_t readlink(const char *restrict path, char *restrict buf, size_t len)
{
    struct fs_stat st;
    int err = vfs_stat_path(path, &st);
    (void)buf, (void)len;
    return libc_result(err != 0 ? err : -EINVAL);
}

int truncate(const char *path, off_t size)
{
    struct vfs_file *file;
    int err = size < 0 ? -EINVAL : vfs_open(path, FS_O_WRITE, 0, &file);
    if (err != 0)
        return (int)libc_result(err);
    err = vfs_truncate(file, (uint64_t)size);
    vfs_unref(file);
    return (int)libc_result(err);
}

/* ---- the working directory --------------------------------------------------------------------------------------- */

int chdir(const char *path)
{
    return (int)libc_result(vfs_chdir(path));
}

/* With no buffer, one of the right size is allocated, as most systems do. */
char *getcwd(char *buf, size_t len)
{
    size_t need = vfs_cwd(buf, buf == NULL ? 0 : len);
    if (buf != NULL && len < need) {
        errno = len == 0 ? EINVAL : ERANGE;
        return NULL;
    }
    if (buf != NULL)
        return buf;
    do { /* another thread may go elsewhere meanwhile */
        free(buf);
        len = len > need ? len : need;
        buf = malloc(len);
        need = buf == NULL ? 0 : vfs_cwd(buf, len);
    } while (need > len);
    return buf;
}
