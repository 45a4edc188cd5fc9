/* Which kinds of files a program has, and how it starts with them. */
#include <string.h>
#include <sys/stat.h>

#include "libos/fs/vfs_impl.h"
#include "libos/tty/tty_file.h"
#include "os/rt.h"
#include "os/vfs.h"

const struct vfs_kind vfs_kinds[] = {
    {FS_SERVICE, FS_DEV_NONE, &vfs_server_ops},
    {TTY_SERVICE, FS_DEV_CONSOLE, &tty_file_ops},
    {"null", FS_DEV_NULL, &vfs_null_ops},
    {"zero", FS_DEV_ZERO, &vfs_zero_ops},
    {NULL, FS_DEV_NONE, NULL},
};

#define STANDARD_ERROR 2

static bool report(const char *text, size_t len)
{
    struct vfs_file *file = vfs_file(STANDARD_ERROR);
    if (file == NULL)
        return false;
    bool said = vfs_write(file, text, len, FS_AT_OFFSET) >= 0;
    vfs_unref(file);
    return said;
}

void os_files_init(struct os_start *start)
{
    vfs_init(start);
    if (start != NULL)
        umask(start->umask);
    if (vfs_fd_cloexec(STANDARD_ERROR) >= 0)
        os_set_reporter(report);
}
