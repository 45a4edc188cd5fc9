/* Inside ramfs: memory against the limit, and what its three parts call of each other. */
#ifndef LIBOS_FS_RAMFS_IMPL_H
#define LIBOS_FS_RAMFS_IMPL_H

#include "libos/fs/ramfs.h"

/* Memory charged to the limit, zeroed; NULL when the limit or the caller's allocator says no. */
void *ramfs_mem_alloc(struct ramfs *fs, size_t bytes);
void ramfs_mem_free(struct ramfs *fs, void *mem, size_t bytes);

/* A new node with no name yet; NULL: no memory. */
struct ramfs_node *ramfs_node_make(struct ramfs *fs, enum ramfs_type type, uint32_t mode);
/* Frees the node if nothing names or holds it. */
void ramfs_node_settle(struct ramfs *fs, struct ramfs_node *node);
/* The directory's content changed now. */
void ramfs_node_touch(struct ramfs *fs, struct ramfs_node *node);

struct ramfs_dir *ramfs_dir_make(struct ramfs *fs);
void ramfs_dir_free(struct ramfs *fs, struct ramfs_dir *dir);
void ramfs_file_free(struct ramfs *fs, struct ramfs_file *file);

#endif
