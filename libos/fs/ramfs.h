/* A file system in memory: nodes, directories with hashed lookup, files in pages.
 *
 * A pure library: no globals, no system calls; memory, time and a hash seed come from the caller.
 * All memory that a file system holds, data and bookkeeping alike, counts against one limit.
 *
 *   struct ramfs ── root ── directory node ── slots[] of entries ──► node
 *                                             buckets[] by name hash
 *                           file node ── tree of pages, 512 to a table, as deep as the file is long
 *                                     └─ borrowed memory below pages that were never written
 *
 * A node lives while a directory entry names it (`links`) or a caller holds it (`holds`).
 *
 * Every function returns 0, a count, or a negative errno; a failing call changes nothing, except that a
 * write may stop early and then returns how far it came.  Nothing here recurses or blocks. */
#ifndef LIBOS_FS_RAMFS_H
#define LIBOS_FS_RAMFS_H

#include "base/list.h"
#include "base/types.h"

#define RAMFS_NAME_MAX 255u
#define RAMFS_FILE_MAX (1ull << 39) /* bytes: three levels of tables */

enum ramfs_type { RAMFS_FILE = 1, RAMFS_DIR, RAMFS_DEVICE };

struct ramfs_ops {
    void *(*alloc)(void *ctx, size_t bytes); /* zeroed; a whole page comes page aligned; NULL: none left */
    void (*free)(void *ctx, void *mem, size_t bytes);
    uint64_t (*now_ns)(void *ctx); /* since the epoch */
};

struct ramfs_dir;
struct ramfs_entry;

struct ramfs_file {
    uint64_t size; /* bytes */
    void *root;    /* height 0: the only page; otherwise a table */
    uint32_t height;
    uint32_t pages; /* of its own, tables included */
    const uint8_t *borrowed;
    uint64_t borrowed_len; /* bytes of it that still show through; never more than size */
};

struct ramfs_node {
    uint64_t ino;
    enum ramfs_type type;
    uint32_t mode;  /* permission bits */
    uint32_t links; /* directory entries that name it; for a directory 1, or 0 once removed */
    uint32_t holds;
    uint64_t atime_ns, mtime_ns, ctime_ns;
    struct ramfs_node *parent; /* directories: held, so that ".." leads somewhere; the root's is itself */
    struct list in_fs;
    union {
        struct ramfs_file file;
        struct ramfs_dir *dir;
        uint32_t device;
    };
};

struct ramfs {
    const struct ramfs_ops *ops;
    void *ctx;
    uint64_t limit_bytes;
    uint64_t used_bytes;
    uint64_t next_ino;
    uint64_t nodes;
    uint32_t seed;
    struct ramfs_node *root;
    struct list all; /* nodes, by in_fs */
};

/* A name as it came in a path: not terminated, not yet checked. */
struct ramfs_name {
    const char *text;
    size_t len;
};

/* ---- the file system ------------------------------------------------------------------------------------ */

/* -ENOSPC: no memory for the root. */
int ramfs_init(struct ramfs *fs, const struct ramfs_ops *ops, void *ctx, uint64_t limit_bytes, uint32_t seed);

/* Frees everything, held nodes too. */
void ramfs_fini(struct ramfs *fs);

/* ---- nodes ---------------------------------------------------------------------------------------------- */

/* Keep a node alive, and let go of it again. */
void ramfs_hold(struct ramfs_node *node);
void ramfs_release(struct ramfs *fs, struct ramfs_node *node);

/* ---- directories ---------------------------------------------------------------------------------------- */

/* The node that `dir` calls `name`; "." and ".." count.  *out is not held.
 * -ENOTDIR, -ENOENT, -ENAMETOOLONG. */
int ramfs_lookup(struct ramfs *fs, struct ramfs_node *dir, struct ramfs_name name, struct ramfs_node **out);

/* Make an empty file, a directory or a device.  -ENOTDIR, -ENOENT (the directory was removed), -EEXIST,
 * -EINVAL (a name with '/' or NUL, or empty), -ENAMETOOLONG, -ENOSPC. */
int ramfs_create(struct ramfs *fs, struct ramfs_node *dir, struct ramfs_name name, enum ramfs_type type,
                 uint32_t mode, struct ramfs_node **out);

/* Give a file another name.  As ramfs_create, and -EPERM for a directory, -EMLINK. */
int ramfs_link(struct ramfs *fs, struct ramfs_node *node, struct ramfs_node *dir, struct ramfs_name name);

/* Take a file's name away; -EISDIR for a directory. */
int ramfs_unlink(struct ramfs *fs, struct ramfs_node *dir, struct ramfs_name name);

/* Remove an empty directory.  -ENOTDIR, -ENOTEMPTY, -EINVAL for ".", -EBUSY for the root. */
int ramfs_rmdir(struct ramfs *fs, struct ramfs_node *dir, struct ramfs_name name);

/* Move, and replace what stood there, in one step.  -EINVAL: into itself or below, "." or "..";
 * -EISDIR, -ENOTDIR, -ENOTEMPTY: what stands there cannot be replaced. */
int ramfs_rename(struct ramfs *fs, struct ramfs_node *from, struct ramfs_name from_name,
                 struct ramfs_node *to, struct ramfs_name to_name);

struct ramfs_item { /* one entry, valid until the directory changes */
    struct ramfs_name name;
    struct ramfs_node *node;
};

/* The entry at or after *cursor (0: the first); moves *cursor behind it.  1: *item is set; 0: the end.
 * An entry keeps its place while it exists, so a walk sees every entry that stays exactly once. */
int ramfs_readdir(struct ramfs_node *dir, uint64_t *cursor, struct ramfs_item *item);

/* ---- files ---------------------------------------------------------------------------------------------- */

/* Show read-only memory as the content of an empty file.  Pages are copied when they are first written. */
int ramfs_borrow(struct ramfs_node *node, const void *mem, uint64_t len_bytes);

/* Up to len bytes from `offset`; 0 at the end.  -EISDIR, -EINVAL. */
int64_t ramfs_read(struct ramfs *fs, struct ramfs_node *node, uint64_t offset, void *buf, size_t len);

/* Holes read as zeros.  -EISDIR, -EINVAL, -EFBIG, -ENOSPC. */
int64_t ramfs_write(struct ramfs *fs, struct ramfs_node *node, uint64_t offset, const void *buf, size_t len);

int ramfs_truncate(struct ramfs *fs, struct ramfs_node *node, uint64_t size);

#endif
