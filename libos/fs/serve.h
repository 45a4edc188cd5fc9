/* The file server: os/fs.h over a memory file system.  It runs inside apps/fsd, or in any program that wants
 * to serve files itself, and on the host under test.
 *
 *   peer ── client ── files[id - 1] ──► open file (refs) ──► node, with an offset
 *                  └─ waiting: at most one request         └► pipe ──► ring, ends, waiting clients
 *
 * Nothing of a request is believed: lengths are held against the peer's buffer, paths are copied out before
 * they are looked at, ids are looked up in the peer's own table. */
#ifndef LIBOS_FS_SERVE_H
#define LIBOS_FS_SERVE_H

#include "base/list.h"
#include "libos/fs/path.h"
#include "libos/fs/pipe.h"
#include "libos/fs/ramfs.h"
#include "os/fs.h"
#include "os/ipc.h"

struct fs_pipe {
    struct list readers_waiting; /* clients, by `waiting` */
    struct list writers_waiting;
    uint32_t readers; /* open files that read from it */
    uint32_t writers;
    struct pipe ring;
};

struct fs_file {
    uint32_t refs;  /* ids that mean it */
    uint32_t flags; /* enum fs_open */
    uint64_t offset;
    struct ramfs_node *node; /* held; or: */
    struct fs_pipe *pipe;
};

struct fs_client {
    struct os_peer *peer;
    struct list waiting;       /* in one of a pipe's lists, or by itself */
    struct fs_file *wait_file; /* what it waits for; NULL: nothing */
    uint32_t wait_len;
    uint32_t moved_id;   /* the pipe's end that the latest request moved bytes at; 0: none */
    uint32_t moved_last; /* a write: the ring's count behind those bytes */
    uint32_t first_free; /* id; 0: none */
    uint32_t next_free[FS_FILES_MAX];
    struct fs_file *files[FS_FILES_MAX];
};

struct fs_server {
    struct ramfs ram;
    struct os_server os;
};

/* Set up an empty file system with at most limit_bytes, and the protocol over it: then os_server_start(&fs->os).
 * -ENOSPC. */
int fs_server_init(struct fs_server *fs, const struct ramfs_ops *ops, void *ctx, uint64_t limit_bytes,
                   uint32_t seed);

/* Show a `newc` archive's files, borrowed from where it lies.  Entries with unusable names are left out and
 * counted in *skipped.  0, a negative enum newc_error with *at telling where, or -ENOSPC (of errno.h) and
 * *at likewise. */
int fs_server_add_bundle(struct fs_server *fs, const void *base, uint64_t len_bytes, uint64_t *at,
                         unsigned *skipped);

/* Make /dev, /tmp and the devices that the libOS knows.  -ENOSPC. */
int fs_server_add_standard(struct fs_server *fs);

/* ---- between the parts of the server ------------------------------------------------------------------------- */

static inline struct fs_server *fs_server_of(struct os_server *os)
{
    return os->ctx;
}

/* The peer's client, made at first use; NULL: no memory. */
struct fs_client *fs_client_get(struct fs_server *fs, struct os_peer *peer);

/* The open file of an id; NULL: none. */
struct fs_file *fs_client_file(const struct fs_client *client, uint64_t id);

/* Give an open file an id, and a reference for it.  -EMFILE. */
int fs_client_add(struct fs_client *client, struct fs_file *file);

/* A new open file with no reference yet; NULL: no memory.  fs_file_free is for one that got none. */
struct fs_file *fs_file_make(struct fs_server *fs, uint32_t flags);
void fs_file_free(struct fs_server *fs, struct fs_file *file);

/* What a path leads to.  `name` is empty for the root. */
struct fs_place {
    struct ramfs_node *dir;
    struct ramfs_name name;
    bool must_be_dir; /* the path ended in a slash */
    char text[FS_PATH_MAX + 1];
};
/* Copy a path of len bytes at `offset` of the peer's buffer out, and walk to the directory of its last name.
 * -EINVAL, -ENAMETOOLONG, -ENOENT, -ENOTDIR. */
int fs_place_read(struct fs_server *fs, const struct os_peer *peer, uint64_t offset, uint64_t len,
                  struct fs_place *place);
/* The node at the place: -ENOENT, -ENOTDIR (a trailing slash behind a file). */
int fs_place_node(struct fs_server *fs, const struct fs_place *place, struct ramfs_node **out);

int64_t fs_pipe_read(struct fs_server *fs, struct fs_client *client, struct fs_file *file, uint64_t len);
int64_t fs_pipe_write(struct fs_server *fs, struct fs_client *client, struct fs_file *file, uint64_t len);
/* An end was closed: the last reference to `file` is gone. */
void fs_pipe_close(struct fs_server *fs, struct fs_file *file);
/* The client's waiting request is withdrawn. */
void fs_pipe_cancel(struct fs_client *client);
/* Its answer found nobody: what moved goes back where that can still be done. */
void fs_pipe_undelivered(struct fs_server *fs, struct fs_client *client, int64_t result);

os_op_fn fs_op_open, fs_op_close, fs_op_read, fs_op_write, fs_op_seek, fs_op_stat, fs_op_readdir,
    fs_op_truncate, fs_op_flags; /* serve_file.c */
os_op_fn fs_op_stat_path, fs_op_mkdir, fs_op_rmdir, fs_op_unlink, fs_op_rename, fs_op_link, fs_op_chmod,
    fs_op_utime;     /* serve_tree.c */
os_op_fn fs_op_pipe; /* serve_pipe.c */

void fs_stat_node(const struct ramfs_node *node, struct fs_stat *out);

#endif
