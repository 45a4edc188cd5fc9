/* The file protocol: what clients ask of a file server, over os/ipc.h.
 *
 * Requests: w[0] = op, w[1..5] as each op says, data in the session's buffer.  Answers: w[0] = result, >= 0 or a
 * negative errno, w[1..5] as each op says.  A length that does not fit the buffer is -EINVAL; the server reads
 * and writes nothing outside the buffer.  Paths are absolute, not terminated, at most FS_PATH_MAX bytes.
 *
 * An open file belongs to the server: it holds the offset and the flags, which descriptors that were
 * inherited share.  Its id is the client's own; another client's ids mean nothing to it.  When a process ends,
 * its ids go, and a file goes with its last id. */
#ifndef OS_FS_H
#define OS_FS_H

#include "base/types.h"
#include "os/ipc.h"

#define FS_SERVICE "fs"
#define FS_PATH_MAX 1023u
#define FS_NAME_MAX 255u
#define FS_FILES_MAX 256u /* ids of one client */
#define FS_PIPE_BUF 4096u /* a write of up to so many bytes into a pipe is never mixed with another */
#define FS_PIPE_MAX 16384u

enum fs_op {
    FS_OP_OPEN =
        OS_OP_FIRST, /* flags, mode, path length -> id; enum fs_kind, enum fs_device; a device has no id: 0 */
    FS_OP_CLOSE,     /* id */
    FS_OP_READ,      /* id, length, offset or FS_AT_OFFSET -> bytes; waits at an empty pipe */
    FS_OP_WRITE,     /* id, length, offset or FS_AT_OFFSET -> bytes; waits at a full pipe, may be partial */
    FS_OP_SEEK,      /* id, offset (signed), enum fs_whence -> 0; new offset */
    FS_OP_STAT,      /* id -> struct fs_stat in the buffer */
    FS_OP_STAT_PATH, /* path length -> struct fs_stat in the buffer */
    FS_OP_READDIR,   /* id, room in bytes -> bytes of struct fs_dirent in the buffer; 0: the end */
    FS_OP_MKDIR,     /* mode, path length */
    FS_OP_RMDIR,     /* path length */
    FS_OP_UNLINK,    /* path length */
    FS_OP_RENAME,    /* length of the old path, length of the new one, which follows it */
    FS_OP_LINK,      /* likewise */
    FS_OP_TRUNCATE,  /* id, size */
    FS_OP_CHMOD,     /* mode, path length */
    FS_OP_UTIME,     /* access time, modification time in ns (FS_TIME_NOW, FS_TIME_KEEP), path length */
    FS_OP_FLAGS,     /* id, mask, value: set those of FS_O_SETTABLE -> enum fs_open flags */
    FS_OP_PIPE,      /* flags (FS_O_NONBLOCK) -> 0; reading id, writing id */
    FS_OP_SHARE,     /* id, pid of a child of the caller -> the child's id of the same open file */
    FS_OP_USE,       /* -> 0; limit, used bytes, nodes */
    FS_OP_END
};

enum fs_open {
    FS_O_READ = 1 << 0,
    FS_O_WRITE = 1 << 1,
    FS_O_APPEND = 1 << 2,
    FS_O_NONBLOCK = 1 << 3,
    FS_O_CREATE = 1 << 4,
    FS_O_EXCL = 1 << 5,
    FS_O_TRUNC = 1 << 6,
    FS_O_DIRECTORY = 1 << 7,
    FS_O_ALL = (1 << 8) - 1,
    FS_O_SETTABLE = FS_O_APPEND | FS_O_NONBLOCK,
};

enum fs_whence { FS_SEEK_SET, FS_SEEK_CUR, FS_SEEK_END };

enum fs_kind { FS_KIND_FILE = 1, FS_KIND_DIR, FS_KIND_DEVICE, FS_KIND_PIPE };

/* Devices that a file server names but does not drive: the client's libOS goes to who does. */
enum fs_device { FS_DEV_NONE, FS_DEV_CONSOLE, FS_DEV_NULL, FS_DEV_ZERO };

#define FS_AT_OFFSET UINT64_MAX /* at the open file's offset, which moves */
#define FS_TIME_NOW UINT64_MAX
#define FS_TIME_KEEP (UINT64_MAX - 1)

struct fs_stat {
    uint64_t ino;
    uint64_t size;       /* bytes */
    uint64_t held_bytes; /* of memory */
    uint32_t kind;       /* enum fs_kind */
    uint32_t mode;       /* permissions */
    uint32_t links;
    uint32_t device; /* enum fs_device */
    uint64_t atime_ns;
    uint64_t mtime_ns;
    uint64_t ctime_ns;
};

struct fs_dirent { /* followed by the name, not terminated, and padding to 8 */
    uint64_t ino;
    uint64_t next; /* FS_OP_SEEK to here to go on behind this entry */
    uint16_t bytes;
    uint16_t name_len;
    uint32_t kind;
};

_Static_assert(sizeof(struct fs_stat) == 64, "protocol layout");
_Static_assert(sizeof(struct fs_dirent) == 24, "protocol layout");

#endif
