/* The file server's operations on names. */
#include <errno.h>
#include <string.h>

#include "base/range.h"
#include "libos/fs/serve.h"

#define MODE_MASK 07777u

/* ---- places -------------------------------------------------------------------------------------------------- */

static int place_walk(struct fs_server *fs, struct fs_place *place, size_t len)
{
    const char *at = place->text, *end = place->text + len;
    struct path_part part;
    place->dir = fs->ram.root;
    place->name = (struct ramfs_name){"", 0};
    place->must_be_dir = end[-1] == '/';
    while (path_next(&at, end, &part)) {
        place->name = (struct ramfs_name){part.text, part.len};
        if (path_is_last(at, end))
            break;
        int err = ramfs_lookup(&fs->ram, place->dir, place->name, &place->dir);
        if (err != 0)
            return err;
    }
    return place->dir->type == RAMFS_DIR ? 0 : -ENOTDIR;
}

int fs_place_read(struct fs_server *fs, const struct os_peer *peer, uint64_t offset, uint64_t len,
                  struct fs_place *place)
{
    if (!range_fits(offset, len, peer->buf_bytes))
        return -EINVAL;
    if (len > FS_PATH_MAX)
        return -ENAMETOOLONG;
    if (len == 0)
        return -ENOENT;
    memcpy(place->text, (const char *)peer->buf + offset, len);
    if (place->text[0] != '/' || memchr(place->text, 0, len) != NULL)
        return -EINVAL;
    return place_walk(fs, place, len);
}

int fs_place_node(struct fs_server *fs, const struct fs_place *place, struct ramfs_node **out)
{
    int err = 0;
    if (place->name.len == 0)
        *out = place->dir;
    else
        err = ramfs_lookup(&fs->ram, place->dir, place->name, out);
    if (err == 0 && place->must_be_dir && (*out)->type != RAMFS_DIR)
        err = -ENOTDIR;
    return err;
}

/* The path that a request names, len bytes at the start of its buffer, and the node there. */
static int existing_read(struct fs_server *fs, const struct os_peer *peer, uint64_t len,
                         struct fs_place *place, struct ramfs_node **node)
{
    int err = fs_place_read(fs, peer, 0, len, place);
    return err != 0 ? err : fs_place_node(fs, place, node);
}

/* ---- operations ---------------------------------------------------------------------------------------------- */

int64_t fs_op_stat_path(struct os_server *os, struct os_peer *peer, struct os_words *w)
{
    struct fs_server *fs = fs_server_of(os);
    struct ramfs_node *node;
    struct fs_place place;
    struct fs_stat st;
    int err = existing_read(fs, peer, w->w[1], &place, &node);
    if (err != 0)
        return err;
    if (sizeof(st) > peer->buf_bytes)
        return -EINVAL;
    fs_stat_node(node, &st);
    memcpy(peer->buf, &st, sizeof(st));
    return 0;
}

int64_t fs_op_mkdir(struct os_server *os, struct os_peer *peer, struct os_words *w)
{
    struct fs_server *fs = fs_server_of(os);
    struct ramfs_node *node;
    struct fs_place place;
    int err = fs_place_read(fs, peer, 0, w->w[2], &place);
    if (err != 0)
        return err;
    if (place.name.len == 0)
        return -EEXIST;
    return ramfs_create(&fs->ram, place.dir, place.name, RAMFS_DIR, w->w[1] & MODE_MASK, &node);
}

int64_t fs_op_rmdir(struct os_server *os, struct os_peer *peer, struct os_words *w)
{
    struct fs_server *fs = fs_server_of(os);
    struct fs_place place;
    int err = fs_place_read(fs, peer, 0, w->w[1], &place);
    if (err != 0)
        return err;
    return place.name.len == 0 ? -EBUSY : ramfs_rmdir(&fs->ram, place.dir, place.name);
}

int64_t fs_op_unlink(struct os_server *os, struct os_peer *peer, struct os_words *w)
{
    struct fs_server *fs = fs_server_of(os);
    struct ramfs_node *node;
    struct fs_place place;
    int err = existing_read(fs, peer, w->w[1], &place, &node);
    if (err != 0)
        return err;
    return node->type == RAMFS_DIR ? -EISDIR : ramfs_unlink(&fs->ram, place.dir, place.name);
}

/* Two paths, one behind the other; the first one exists. */
static int places_read(struct fs_server *fs, const struct os_peer *peer, const struct os_words *w,
                       struct fs_place *from, struct ramfs_node **node, struct fs_place *to)
{
    int err = existing_read(fs, peer, w->w[1], from, node);
    if (err == 0)
        err = fs_place_read(fs, peer, w->w[1], w->w[2], to);
    if (err == 0 && to->must_be_dir && (*node)->type != RAMFS_DIR)
        err = -ENOTDIR;
    return err;
}

int64_t fs_op_rename(struct os_server *os, struct os_peer *peer, struct os_words *w)
{
    struct fs_server *fs = fs_server_of(os);
    struct ramfs_node *node;
    struct fs_place from, to;
    int err = places_read(fs, peer, w, &from, &node, &to);
    if (err != 0)
        return err;
    if (from.name.len == 0 || to.name.len == 0)
        return -EBUSY;
    return ramfs_rename(&fs->ram, from.dir, from.name, to.dir, to.name);
}

int64_t fs_op_link(struct os_server *os, struct os_peer *peer, struct os_words *w)
{
    struct fs_server *fs = fs_server_of(os);
    struct ramfs_node *node;
    struct fs_place from, to;
    int err = places_read(fs, peer, w, &from, &node, &to);
    if (err != 0)
        return err;
    return to.name.len == 0 ? -EEXIST : ramfs_link(&fs->ram, node, to.dir, to.name);
}

int64_t fs_op_chmod(struct os_server *os, struct os_peer *peer, struct os_words *w)
{
    struct fs_server *fs = fs_server_of(os);
    struct ramfs_node *node;
    struct fs_place place;
    int err = existing_read(fs, peer, w->w[2], &place, &node);
    if (err != 0)
        return err;
    node->mode = w->w[1] & MODE_MASK;
    node->ctime_ns = fs->ram.ops->now_ns(fs->ram.ctx);
    return 0;
}

static void time_set(uint64_t *field, uint64_t value, uint64_t now)
{
    if (value != FS_TIME_KEEP)
        *field = value == FS_TIME_NOW ? now : value;
}

int64_t fs_op_utime(struct os_server *os, struct os_peer *peer, struct os_words *w)
{
    struct fs_server *fs = fs_server_of(os);
    struct ramfs_node *node;
    struct fs_place place;
    int err = existing_read(fs, peer, w->w[3], &place, &node);
    if (err != 0)
        return err;
    uint64_t now = fs->ram.ops->now_ns(fs->ram.ctx);
    time_set(&node->atime_ns, w->w[1], now);
    time_set(&node->mtime_ns, w->w[2], now);
    node->ctime_ns = now;
    return 0;
}
