/* Directories of the memory file system.
 *
 * Entries stand in slots that they keep while they exist, so a slot's number is a cursor for readdir.  A
 * free slot holds the number of the next free one.  Names are found by hash: a bucket for each slot, each
 * with a chain of entries.  Slots and buckets grow together, by doubling; the old ones are given up only
 * when the new ones are there. */
#include <errno.h>
#include <string.h>

#include "libos/fs/ramfs_impl.h"

#define SLOTS_FIRST 8u
#define SLOTS_MAX (1u << 24)

struct ramfs_entry {
    struct ramfs_entry *next; /* in its bucket */
    struct ramfs_node *node;
    uint32_t hash;
    uint32_t slot;
    uint32_t name_len;
    char name[];
};

struct slot {
    struct ramfs_entry *entry; /* NULL: free */
    uint32_t next_free;        /* + 1; 0: none */
};

struct ramfs_dir {
    struct slot *slots;
    struct ramfs_entry **buckets;
    uint32_t nslots;     /* a power of two, or 0 before the first entry */
    uint32_t used;       /* entries */
    uint32_t first_free; /* + 1; 0: none */
};

/* ---- names ----------------------------------------------------------------------------------------------- */

static uint32_t name_hash(const struct ramfs *fs, struct ramfs_name name)
{
    uint32_t hash = 2166136261u ^ fs->seed; /* FNV-1a, seeded */
    for (size_t i = 0; i < name.len; i++)
        hash = (hash ^ (uint8_t)name.text[i]) * 16777619u;
    return hash ^ hash >> 15;
}

static bool name_is(struct ramfs_name name, const char *text)
{
    return name.len == strlen(text) && memcmp(name.text, text, name.len) == 0;
}

static bool name_is_dots(struct ramfs_name name)
{
    return name_is(name, ".") || name_is(name, "..");
}

static int name_check(struct ramfs_name name)
{
    if (name.len == 0)
        return -EINVAL;
    if (name.len > RAMFS_NAME_MAX)
        return -ENAMETOOLONG;
    if (memchr(name.text, '/', name.len) != NULL || memchr(name.text, 0, name.len) != NULL)
        return -EINVAL;
    return 0;
}

/* ---- the table ------------------------------------------------------------------------------------------- */

struct ramfs_dir *ramfs_dir_make(struct ramfs *fs)
{
    return ramfs_mem_alloc(fs, sizeof(struct ramfs_dir));
}

static void entry_free(struct ramfs *fs, struct ramfs_entry *entry)
{
    ramfs_mem_free(fs, entry, sizeof(*entry) + entry->name_len);
}

static void table_free(struct ramfs *fs, struct ramfs_dir *dir)
{
    ramfs_mem_free(fs, dir->slots, dir->nslots * sizeof(*dir->slots));
    ramfs_mem_free(fs, dir->buckets, dir->nslots * sizeof(struct ramfs_entry *));
}

void ramfs_dir_free(struct ramfs *fs, struct ramfs_dir *dir)
{
    for (uint32_t i = 0; i < dir->nslots; i++)
        if (dir->slots[i].entry != NULL)
            entry_free(fs, dir->slots[i].entry);
    table_free(fs, dir);
    ramfs_mem_free(fs, dir, sizeof(*dir));
}

static struct ramfs_entry **bucket_of(const struct ramfs_dir *dir, uint32_t hash)
{
    return &dir->buckets[hash & (dir->nslots - 1)];
}

static struct ramfs_entry *entry_find(const struct ramfs *fs, const struct ramfs_dir *dir,
                                      struct ramfs_name name)
{
    if (dir->used == 0)
        return NULL;
    uint32_t hash = name_hash(fs, name);
    struct ramfs_entry *at = *bucket_of(dir, hash);
    while (at != NULL &&
           !(at->hash == hash && at->name_len == name.len && memcmp(at->name, name.text, name.len) == 0))
        at = at->next;
    return at;
}

static void entry_chain(struct ramfs_dir *dir, struct ramfs_entry *entry)
{
    struct ramfs_entry **bucket = bucket_of(dir, entry->hash);
    entry->next = *bucket;
    *bucket = entry;
}

static void entry_unchain(struct ramfs_dir *dir, struct ramfs_entry *entry)
{
    struct ramfs_entry **link = bucket_of(dir, entry->hash);
    while (*link != entry)
        link = &(*link)->next;
    *link = entry->next;
}

static int dir_grow(struct ramfs *fs, struct ramfs_dir *dir)
{
    struct ramfs_dir bigger = *dir;
    bigger.nslots = dir->nslots == 0 ? SLOTS_FIRST : dir->nslots * 2;
    if (bigger.nslots > SLOTS_MAX)
        return -ENOSPC;
    bigger.slots = ramfs_mem_alloc(fs, bigger.nslots * sizeof(*bigger.slots));
    bigger.buckets = ramfs_mem_alloc(fs, bigger.nslots * sizeof(struct ramfs_entry *));
    if (bigger.slots == NULL || bigger.buckets == NULL) {
        table_free(fs, &bigger);
        return -ENOSPC;
    }
    for (uint32_t i = 0; i < dir->nslots; i++) {
        bigger.slots[i] = dir->slots[i];
        if (dir->slots[i].entry != NULL)
            entry_chain(&bigger, dir->slots[i].entry);
    }
    for (uint32_t i = bigger.nslots; i > dir->nslots; i--) { /* the lowest comes first */
        bigger.slots[i - 1].next_free = bigger.first_free;
        bigger.first_free = i;
    }
    table_free(fs, dir);
    *dir = bigger;
    return 0;
}

/* Make room and memory for one more entry, and nothing else yet. */
static int entry_prepare(struct ramfs *fs, struct ramfs_dir *dir, struct ramfs_name name,
                         struct ramfs_entry **out)
{
    struct ramfs_entry *entry = ramfs_mem_alloc(fs, sizeof(*entry) + name.len);
    if (entry == NULL)
        return -ENOSPC;
    entry->name_len = (uint32_t)name.len;
    entry->hash = name_hash(fs, name);
    memcpy(entry->name, name.text, name.len);
    int err = dir->first_free == 0 ? dir_grow(fs, dir) : 0;
    if (err != 0) {
        entry_free(fs, entry);
        return err;
    }
    *out = entry;
    return 0;
}

/* After entry_prepare on the same directory; cannot fail. */
static void entry_insert(struct ramfs *fs, struct ramfs_node *at, struct ramfs_entry *entry,
                         struct ramfs_node *node)
{
    struct ramfs_dir *dir = at->dir;
    entry->node = node;
    entry->slot = dir->first_free - 1;
    dir->first_free = dir->slots[entry->slot].next_free;
    dir->slots[entry->slot] = (struct slot){.entry = entry};
    entry_chain(dir, entry);
    dir->used++;
    node->links++;
    ramfs_node_touch(fs, at);
}

static void entry_remove(struct ramfs *fs, struct ramfs_node *at, struct ramfs_entry *entry)
{
    struct ramfs_dir *dir = at->dir;
    struct ramfs_node *node = entry->node;
    entry_unchain(dir, entry);
    dir->slots[entry->slot] = (struct slot){.next_free = dir->first_free};
    dir->first_free = entry->slot + 1;
    dir->used--;
    entry_free(fs, entry);
    node->links--;
    node->ctime_ns = fs->ops->now_ns(fs->ctx);
    ramfs_node_touch(fs, at);
    ramfs_node_settle(fs, node);
}

/* ---- the calls ------------------------------------------------------------------------------------------- */

/* Find an entry that is to be removed or renamed. */
static int entry_get(struct ramfs *fs, struct ramfs_node *dir, struct ramfs_name name,
                     struct ramfs_entry **out)
{
    if (dir->type != RAMFS_DIR)
        return -ENOTDIR;
    if (name.len > RAMFS_NAME_MAX)
        return -ENAMETOOLONG;
    if (name_is_dots(name))
        return -EINVAL;
    *out = entry_find(fs, dir->dir, name);
    return *out == NULL ? -ENOENT : 0;
}

/* May a new entry of this name be made? */
static int dir_check_new(struct ramfs *fs, struct ramfs_node *dir, struct ramfs_name name)
{
    if (dir->type != RAMFS_DIR)
        return -ENOTDIR;
    int err = name_check(name);
    if (err != 0)
        return err;
    if (name_is_dots(name) || entry_find(fs, dir->dir, name) != NULL)
        return -EEXIST;
    return dir->links == 0 ? -ENOENT : 0;
}

int ramfs_lookup(struct ramfs *fs, struct ramfs_node *dir, struct ramfs_name name, struct ramfs_node **out)
{
    if (dir->type != RAMFS_DIR)
        return -ENOTDIR;
    if (name.len > RAMFS_NAME_MAX)
        return -ENAMETOOLONG;
    if (name_is_dots(name)) {
        *out = name.len == 1 ? dir : dir->parent;
        return 0;
    }
    struct ramfs_entry *entry = entry_find(fs, dir->dir, name);
    if (entry == NULL)
        return -ENOENT;
    *out = entry->node;
    return 0;
}

int ramfs_create(struct ramfs *fs, struct ramfs_node *dir, struct ramfs_name name, enum ramfs_type type,
                 uint32_t mode, struct ramfs_node **out)
{
    struct ramfs_entry *entry;
    int err = dir_check_new(fs, dir, name);
    if (err != 0)
        return err;
    struct ramfs_node *node = ramfs_node_make(fs, type, mode);
    if (node == NULL)
        return -ENOSPC;
    err = entry_prepare(fs, dir->dir, name, &entry);
    if (err != 0) {
        ramfs_node_settle(fs, node);
        return err;
    }
    if (type == RAMFS_DIR) {
        node->parent = dir;
        ramfs_hold(dir);
    }
    entry_insert(fs, dir, entry, node);
    *out = node;
    return 0;
}

int ramfs_link(struct ramfs *fs, struct ramfs_node *node, struct ramfs_node *dir, struct ramfs_name name)
{
    struct ramfs_entry *entry;
    int err = dir_check_new(fs, dir, name);
    if (err != 0)
        return err;
    if (node->type == RAMFS_DIR)
        return -EPERM;
    if (node->links == UINT32_MAX)
        return -EMLINK;
    err = entry_prepare(fs, dir->dir, name, &entry);
    if (err != 0)
        return err;
    entry_insert(fs, dir, entry, node);
    node->ctime_ns = dir->ctime_ns;
    return 0;
}

int ramfs_unlink(struct ramfs *fs, struct ramfs_node *dir, struct ramfs_name name)
{
    struct ramfs_entry *entry;
    if (dir->type == RAMFS_DIR && name_is_dots(name))
        return -EISDIR;
    int err = entry_get(fs, dir, name, &entry);
    if (err != 0)
        return err;
    if (entry->node->type == RAMFS_DIR)
        return -EISDIR;
    entry_remove(fs, dir, entry);
    return 0;
}

int ramfs_rmdir(struct ramfs *fs, struct ramfs_node *dir, struct ramfs_name name)
{
    struct ramfs_entry *entry;
    if (dir->type == RAMFS_DIR && name_is(name, ".."))
        return -ENOTEMPTY;
    int err = entry_get(fs, dir, name, &entry);
    if (err != 0)
        return err;
    if (entry->node->type != RAMFS_DIR)
        return -ENOTDIR;
    if (entry->node->dir->used != 0)
        return -ENOTEMPTY;
    entry_remove(fs, dir, entry);
    return 0;
}

int ramfs_readdir(struct ramfs_node *node, uint64_t *cursor, struct ramfs_item *item)
{
    if (node->type != RAMFS_DIR)
        return -ENOTDIR;
    for (; *cursor < node->dir->nslots; ++*cursor) {
        const struct ramfs_entry *entry = node->dir->slots[*cursor].entry;
        if (entry == NULL)
            continue;
        *item = (struct ramfs_item){{entry->name, entry->name_len}, entry->node};
        ++*cursor;
        return 1;
    }
    return 0;
}

/* ---- rename ---------------------------------------------------------------------------------------------- */

/* Is `dir` the directory `top`, or below it? */
static bool dir_is_below(const struct ramfs_node *dir, const struct ramfs_node *top)
{
    while (dir != top && dir != dir->parent)
        dir = dir->parent;
    return dir == top;
}

/* May `node` take the place of `there`? */
static int rename_check_target(const struct ramfs_node *node, const struct ramfs_node *there)
{
    if (there->type != RAMFS_DIR)
        return node->type == RAMFS_DIR ? -ENOTDIR : 0;
    if (node->type != RAMFS_DIR)
        return -EISDIR;
    return there->dir->used != 0 ? -ENOTEMPTY : 0;
}

/* The entry of the new name takes the node over: nothing is allocated, nothing can fail. */
static void rename_replace(struct ramfs *fs, struct ramfs_node *to, struct ramfs_entry *target,
                           struct ramfs_node *node)
{
    struct ramfs_node *old = target->node;
    target->node = node;
    node->links++;
    old->links--;
    old->ctime_ns = fs->ops->now_ns(fs->ctx);
    ramfs_node_touch(fs, to);
    ramfs_node_settle(fs, old);
}

static void rename_parent(struct ramfs *fs, struct ramfs_node *node, struct ramfs_node *to)
{
    if (node->type != RAMFS_DIR)
        return;
    struct ramfs_node *from = node->parent;
    ramfs_hold(to);
    node->parent = to;
    ramfs_release(fs, from);
}

/* Checks all and prepares the new entry; *target is the entry to take over or *fresh the one to insert. */
static int rename_plan(struct ramfs *fs, struct ramfs_node *node, struct ramfs_node *to,
                       struct ramfs_name name, struct ramfs_entry **target, struct ramfs_entry **fresh)
{
    int err = to->type != RAMFS_DIR ? -ENOTDIR : name_check(name);
    if (err != 0)
        return err;
    if (name_is_dots(name) || (node->type == RAMFS_DIR && dir_is_below(to, node)))
        return -EINVAL;
    *target = entry_find(fs, to->dir, name);
    if (*target != NULL)
        return rename_check_target(node, (*target)->node);
    if (to->links == 0)
        return -ENOENT;
    return entry_prepare(fs, to->dir, name, fresh);
}

int ramfs_rename(struct ramfs *fs, struct ramfs_node *from, struct ramfs_name from_name,
                 struct ramfs_node *to, struct ramfs_name to_name)
{
    struct ramfs_entry *source, *target = NULL, *fresh = NULL;
    int err = entry_get(fs, from, from_name, &source);
    if (err != 0)
        return err;
    struct ramfs_node *node = source->node;
    if (to->type == RAMFS_DIR && entry_find(fs, to->dir, to_name) == source)
        return 0;
    err = rename_plan(fs, node, to, to_name, &target, &fresh);
    if (err != 0)
        return err;
    if (target != NULL && target->node == node)
        return 0; /* two names of one file: POSIX leaves both */
    if (target != NULL)
        rename_replace(fs, to, target, node);
    else
        entry_insert(fs, to, fresh, node);
    entry_remove(fs, from, source);
    rename_parent(fs, node, to);
    return 0;
}
