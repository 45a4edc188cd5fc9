/* The O_ flags of <fcntl.h> as the file protocol has them. */
#include <errno.h>
#include <fcntl.h>

#include "libos/fs/vfs_impl.h"

int vfs_flags_from_open(int oflag, uint32_t *out)
{
    static const struct {
        int posix;
        uint32_t flag;
    } map[] = {
        {O_APPEND, FS_O_APPEND}, {O_NONBLOCK, FS_O_NONBLOCK}, {O_CREAT, FS_O_CREATE},
        {O_EXCL, FS_O_EXCL},     {O_TRUNC, FS_O_TRUNC},       {O_DIRECTORY, FS_O_DIRECTORY},
    };
    uint32_t flags = 0;
    switch (oflag & O_ACCMODE) {
    case O_RDONLY:
        flags = FS_O_READ;
        break;
    case O_WRONLY:
        flags = FS_O_WRITE;
        break;
    case O_RDWR:
        flags = FS_O_READ | FS_O_WRITE;
        break;
    default:
        return -EINVAL;
    }
    for (size_t i = 0; i < ARRAY_LEN(map); i++)
        if (oflag & map[i].posix)
            flags |= map[i].flag;
    if (!(flags & FS_O_WRITE)) /* POSIX leaves O_TRUNC without write access open: here it does nothing */
        flags &= ~(uint32_t)FS_O_TRUNC;
    *out = flags;
    return 0;
}
