/* Nodes of the memory file system: their memory, their life, start and end of the whole. */
#include "libos/fs/ramfs.h"

#include <errno.h>

#include "libos/fs/ramfs_impl.h"

void *ramfs_mem_alloc(struct ramfs *fs, size_t bytes)
{
    if (bytes > fs->limit_bytes - fs->used_bytes)
        return NULL;
    void *mem = fs->ops->alloc(fs->ctx, bytes);
    if (mem != NULL)
        fs->used_bytes += bytes;
    return mem;
}

void ramfs_mem_free(struct ramfs *fs, void *mem, size_t bytes)
{
    if (mem == NULL)
        return;
    fs->used_bytes -= bytes;
    fs->ops->free(fs->ctx, mem, bytes);
}

struct ramfs_node *ramfs_node_make(struct ramfs *fs, enum ramfs_type type, uint32_t mode)
{
    struct ramfs_node *node = ramfs_mem_alloc(fs, sizeof(*node));
    if (node == NULL)
        return NULL;
    node->type = type;
    node->mode = mode;
    if (type == RAMFS_DIR) {
        node->dir = ramfs_dir_make(fs);
        if (node->dir == NULL) {
            ramfs_mem_free(fs, node, sizeof(*node));
            return NULL;
        }
    }
    node->ino = fs->next_ino++;
    node->atime_ns = node->mtime_ns = node->ctime_ns = fs->ops->now_ns(fs->ctx);
    list_add_tail(&fs->all, &node->in_fs);
    fs->nodes++;
    return node;
}

static void node_free(struct ramfs *fs, struct ramfs_node *node)
{
    if (node->type == RAMFS_FILE)
        ramfs_file_free(fs, &node->file);
    if (node->type == RAMFS_DIR)
        ramfs_dir_free(fs, node->dir);
    list_remove(&node->in_fs);
    ramfs_mem_free(fs, node, sizeof(*node));
    fs->nodes--;
}

/* A directory holds its parent, because ".." leads there; so freeing one may free the next. */
void ramfs_node_settle(struct ramfs *fs, struct ramfs_node *node)
{
    while (node != NULL && node->links == 0 && node->holds == 0) {
        struct ramfs_node *parent = node->parent;
        node_free(fs, node);
        if (parent != NULL)
            parent->holds--;
        node = parent;
    }
}

void ramfs_node_touch(struct ramfs *fs, struct ramfs_node *node)
{
    node->mtime_ns = node->ctime_ns = fs->ops->now_ns(fs->ctx);
}

void ramfs_hold(struct ramfs_node *node)
{
    node->holds++;
}

void ramfs_release(struct ramfs *fs, struct ramfs_node *node)
{
    node->holds--;
    ramfs_node_settle(fs, node);
}

int ramfs_init(struct ramfs *fs, const struct ramfs_ops *ops, void *ctx, uint64_t limit_bytes, uint32_t seed)
{
    *fs = (struct ramfs){.ops = ops, .ctx = ctx, .limit_bytes = limit_bytes, .next_ino = 1, .seed = seed};
    list_init(&fs->all);
    fs->root = ramfs_node_make(fs, RAMFS_DIR, 0755);
    if (fs->root == NULL)
        return -ENOSPC;
    fs->root->links = 1;
    fs->root->parent = fs->root;
    return 0;
}

void ramfs_fini(struct ramfs *fs)
{
    struct list *at, *next;
    list_for_each_safe (at, next, &fs->all)
        node_free(fs, list_entry(at, struct ramfs_node, in_fs));
    fs->root = NULL;
}
