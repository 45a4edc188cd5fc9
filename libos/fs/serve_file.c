/* The file server's operations on open files. */
#include <errno.h>
#include <string.h>

#include "libos/fs/serve.h"

#define MODE_MASK 07777u

/* A pipe's end moves bytes: note which, in case the answer finds nobody. */
static struct fs_client *pipe_mover(struct os_peer *peer, uint64_t id)
{
    struct fs_client *client = peer->data;
    client->moved_id = (uint32_t)id;
    return client;
}

static struct fs_file *file_of(const struct os_peer *peer, uint64_t id)
{
    return peer->data == NULL ? NULL : fs_client_file(peer->data, id);
}

/* ---- open ---------------------------------------------------------------------------------------------------- */

static int open_check(const struct ramfs_node *node, uint32_t flags)
{
    if (flags & FS_O_EXCL && flags & FS_O_CREATE)
        return -EEXIST;
    if (node->type == RAMFS_DIR)
        return flags & (FS_O_WRITE | FS_O_CREATE | FS_O_TRUNC) ? -EISDIR : 0;
    return flags & FS_O_DIRECTORY ? -ENOTDIR : 0;
}

/* The node to open, made if it has to be. */
static int open_node(struct fs_server *fs, const struct fs_place *place, uint32_t flags, uint32_t mode,
                     struct ramfs_node **out)
{
    int err = fs_place_node(fs, place, out);
    if (err == 0)
        return open_check(*out, flags);
    if (err != -ENOENT || !(flags & FS_O_CREATE))
        return err;
    if (place->must_be_dir)
        return -EISDIR;
    if (flags & FS_O_DIRECTORY)
        return -EINVAL;
    return ramfs_create(&fs->ram, place->dir, place->name, RAMFS_FILE, mode & MODE_MASK, out);
}

static enum fs_kind kind_of(const struct ramfs_node *node)
{
    switch (node->type) {
    case RAMFS_DIR:
        return FS_KIND_DIR;
    case RAMFS_DEVICE:
        return FS_KIND_DEVICE;
    default:
        return FS_KIND_FILE;
    }
}

/* All that may fail comes before the file is cut. */
static int64_t open_place(struct fs_server *fs, struct fs_client *client, const struct fs_place *place,
                          struct fs_file *file, struct os_words *w)
{
    struct ramfs_node *node;
    uint32_t flags = (uint32_t)w->w[1];
    int err = client->first_free == 0 ? -EMFILE : open_node(fs, place, flags, (uint32_t)w->w[2], &node);
    if (err != 0)
        return err;
    w->w[1] = kind_of(node);
    w->w[2] = node->type == RAMFS_DEVICE ? node->device : FS_DEV_NONE;
    if (node->type == RAMFS_DEVICE)
        return 0;
    if (flags & FS_O_TRUNC && node->type == RAMFS_FILE)
        ramfs_truncate(&fs->ram, node, 0);
    ramfs_hold(node);
    file->node = node;
    return fs_client_add(client, file);
}

int64_t fs_op_open(struct os_server *os, struct os_peer *peer, struct os_words *w)
{
    struct fs_server *fs = fs_server_of(os);
    struct fs_place place;
    if (w->w[1] & ~(uint64_t)FS_O_ALL || (w->w[1] & FS_O_TRUNC && !(w->w[1] & FS_O_WRITE)))
        return -EINVAL;
    int err = fs_place_read(fs, peer, 0, w->w[3], &place);
    if (err != 0)
        return err;
    struct fs_client *client = fs_client_get(fs, peer);
    struct fs_file *file = client == NULL ? NULL : fs_file_make(fs, (uint32_t)w->w[1]);
    if (file == NULL)
        return -ENFILE;
    int64_t id = open_place(fs, client, &place, file, w);
    if (id <= 0)
        fs_file_free(fs, file);
    return id;
}

/* ---- read and write ------------------------------------------------------------------------------------------ */

int64_t fs_op_read(struct os_server *os, struct os_peer *peer, struct os_words *w)
{
    struct fs_server *fs = fs_server_of(os);
    struct fs_file *file = file_of(peer, w->w[1]);
    uint64_t len = w->w[2], at = w->w[3];
    if (file == NULL || !(file->flags & FS_O_READ))
        return -EBADF;
    if (len > peer->buf_bytes)
        return -EINVAL;
    if (file->pipe != NULL)
        return at == FS_AT_OFFSET ? fs_pipe_read(fs, pipe_mover(peer, w->w[1]), file, len) : -ESPIPE;
    int64_t n = ramfs_read(&fs->ram, file->node, at == FS_AT_OFFSET ? file->offset : at, peer->buf, len);
    if (n > 0 && at == FS_AT_OFFSET)
        file->offset += (uint64_t)n;
    return n;
}

int64_t fs_op_write(struct os_server *os, struct os_peer *peer, struct os_words *w)
{
    struct fs_server *fs = fs_server_of(os);
    struct fs_file *file = file_of(peer, w->w[1]);
    uint64_t len = w->w[2], at = w->w[3];
    if (file == NULL || !(file->flags & FS_O_WRITE))
        return -EBADF;
    if (len > peer->buf_bytes)
        return -EINVAL;
    if (file->pipe != NULL)
        return at == FS_AT_OFFSET ? fs_pipe_write(fs, pipe_mover(peer, w->w[1]), file, len) : -ESPIPE;
    if (at == FS_AT_OFFSET && file->flags & FS_O_APPEND && file->node->type == RAMFS_FILE)
        file->offset = file->node->file.size;
    int64_t n = ramfs_write(&fs->ram, file->node, at == FS_AT_OFFSET ? file->offset : at, peer->buf, len);
    if (n > 0 && at == FS_AT_OFFSET)
        file->offset += (uint64_t)n;
    return n;
}

static uint64_t seek_base(const struct fs_file *file, uint64_t whence)
{
    if (whence == FS_SEEK_CUR)
        return file->offset;
    return whence == FS_SEEK_END && file->node->type == RAMFS_FILE ? file->node->file.size : 0;
}

int64_t fs_op_seek(struct os_server *os, struct os_peer *peer, struct os_words *w)
{
    struct fs_file *file = file_of(peer, w->w[1]);
    int64_t offset;
    (void)os;
    if (file == NULL)
        return -EBADF;
    if (file->pipe != NULL)
        return -ESPIPE;
    if (w->w[3] > FS_SEEK_END)
        return -EINVAL;
    if (__builtin_add_overflow((int64_t)seek_base(file, w->w[3]), (int64_t)w->w[2], &offset))
        return -EOVERFLOW;
    if (offset < 0)
        return -EINVAL;
    w->w[1] = file->offset = (uint64_t)offset;
    return 0;
}

int64_t fs_op_truncate(struct os_server *os, struct os_peer *peer, struct os_words *w)
{
    struct fs_file *file = file_of(peer, w->w[1]);
    if (file == NULL)
        return -EBADF;
    if (file->pipe != NULL || !(file->flags & FS_O_WRITE))
        return -EINVAL;
    return ramfs_truncate(&fs_server_of(os)->ram, file->node, w->w[2]);
}

int64_t fs_op_flags(struct os_server *os, struct os_peer *peer, struct os_words *w)
{
    struct fs_file *file = file_of(peer, w->w[1]);
    uint32_t mask = (uint32_t)w->w[2] & FS_O_SETTABLE;
    (void)os;
    if (file == NULL)
        return -EBADF;
    file->flags = (file->flags & ~mask) | ((uint32_t)w->w[3] & mask);
    return file->flags & (FS_O_READ | FS_O_WRITE | FS_O_SETTABLE);
}

/* ---- stat and readdir ---------------------------------------------------------------------------------------- */

void fs_stat_node(const struct ramfs_node *node, struct fs_stat *out)
{
    *out = (struct fs_stat){
        .ino = node->ino,
        .kind = kind_of(node),
        .mode = node->mode,
        .links = node->links,
        .device = node->type == RAMFS_DEVICE ? node->device : FS_DEV_NONE,
        .atime_ns = node->atime_ns,
        .mtime_ns = node->mtime_ns,
        .ctime_ns = node->ctime_ns,
    };
    if (node->type == RAMFS_FILE) {
        out->size = node->file.size;
        out->held_bytes = (uint64_t)node->file.pages << PAGE_SHIFT;
    }
}

int64_t fs_op_stat(struct os_server *os, struct os_peer *peer, struct os_words *w)
{
    struct fs_file *file = file_of(peer, w->w[1]);
    struct fs_stat st = {.kind = FS_KIND_PIPE, .mode = 0600, .links = 1};
    (void)os;
    if (file == NULL)
        return -EBADF;
    if (sizeof(st) > peer->buf_bytes)
        return -EINVAL;
    if (file->pipe != NULL)
        st.size = pipe_used(&file->pipe->ring);
    else
        fs_stat_node(file->node, &st);
    memcpy(peer->buf, &st, sizeof(st));
    return 0;
}

/* Puts one entry at `at` of `room` bytes; its length, or 0: it does not fit. */
static size_t dirent_put(uint8_t *at, uint64_t room, const struct ramfs_item *item, uint64_t next)
{
    size_t bytes = (size_t)align_up(sizeof(struct fs_dirent) + item->name.len, 8);
    struct fs_dirent entry = {
        .ino = item->node->ino,
        .next = next,
        .bytes = (uint16_t)bytes,
        .name_len = (uint16_t)item->name.len,
        .kind = kind_of(item->node),
    };
    if (bytes > room)
        return 0;
    memcpy(at, &entry, sizeof(entry));
    memcpy(at + sizeof(entry), item->name.text, item->name.len);
    memset(at + sizeof(entry) + item->name.len, 0, bytes - sizeof(entry) - item->name.len);
    return bytes;
}

int64_t fs_op_readdir(struct os_server *os, struct os_peer *peer, struct os_words *w)
{
    struct fs_file *file = file_of(peer, w->w[1]);
    uint64_t room = w->w[2], done = 0;
    (void)os;
    if (file == NULL)
        return -EBADF;
    if (file->pipe != NULL || file->node->type != RAMFS_DIR)
        return -ENOTDIR;
    if (room > peer->buf_bytes)
        return -EINVAL;
    for (;;) {
        uint64_t cursor = file->offset;
        struct ramfs_item item;
        if (ramfs_readdir(file->node, &cursor, &item) <= 0)
            return (int64_t)done;
        size_t bytes = dirent_put((uint8_t *)peer->buf + done, room - done, &item, cursor);
        if (bytes == 0)
            return done > 0 ? (int64_t)done : -EINVAL;
        done += bytes;
        file->offset = cursor;
    }
}
