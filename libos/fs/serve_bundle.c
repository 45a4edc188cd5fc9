/* What a file server starts with: the bundle's files, and the directories that programs expect. */
#include <errno.h>
#include <string.h>

#include "base/newc.h"
#include "libos/fs/serve.h"

#define MODE_MASK 07777u

/* The directory that `name` calls, made if it is not there. */
static int dir_get(struct fs_server *fs, struct ramfs_node *dir, struct ramfs_name name,
                   struct ramfs_node **out)
{
    int err = ramfs_lookup(&fs->ram, dir, name, out);
    if (err == -ENOENT)
        err = ramfs_create(&fs->ram, dir, name, RAMFS_DIR, 0755, out);
    if (err == 0 && (*out)->type != RAMFS_DIR)
        err = -ENOTDIR;
    return err;
}

static bool part_is_dots(const struct path_part *part)
{
    return part->text[0] == '.' && (part->len == 1 || (part->len == 2 && part->text[1] == '.'));
}

static int entry_make(struct fs_server *fs, struct ramfs_node *dir, struct ramfs_name name,
                      const struct newc_entry *e)
{
    struct ramfs_node *node;
    if ((e->mode & NEWC_MODE_TYPE) == NEWC_MODE_DIR)
        return dir_get(fs, dir, name, &node);
    if ((e->mode & NEWC_MODE_TYPE) != NEWC_MODE_FILE)
        return -EINVAL;
    int err = ramfs_create(&fs->ram, dir, name, RAMFS_FILE, e->mode & MODE_MASK, &node);
    return err != 0 ? err : ramfs_borrow(node, e->data, e->size);
}

/* -ENOSPC, or another errno for an entry that cannot be shown. */
static int entry_add(struct fs_server *fs, const struct newc_entry *e)
{
    const char *at = e->name, *end = e->name + strlen(e->name);
    struct ramfs_node *dir = fs->ram.root;
    struct path_part part;
    while (path_next(&at, end, &part)) {
        struct ramfs_name name = {part.text, part.len};
        if (part_is_dots(&part))
            return part.len == 1 && path_is_last(at, end) ? 0 : -EINVAL;
        if (path_is_last(at, end))
            return entry_make(fs, dir, name, e);
        int err = dir_get(fs, dir, name, &dir);
        if (err != 0)
            return err;
    }
    return -EINVAL;
}

int fs_server_add_bundle(struct fs_server *fs, const void *base, uint64_t len_bytes, uint64_t *at,
                         unsigned *skipped)
{
    struct newc_reader reader = newc_open(base, len_bytes);
    struct newc_entry e;
    int rc;
    *skipped = 0;
    while ((rc = newc_next(&reader, &e)) > 0) {
        int err = entry_add(fs, &e);
        *at = e.offset;
        if (err == -ENOSPC)
            return err;
        *skipped += err != 0;
    }
    *at = reader.at;
    return rc;
}

static int device_make(struct fs_server *fs, struct ramfs_node *dev, const char *name, enum fs_device device)
{
    struct ramfs_node *node;
    int err = ramfs_create(&fs->ram, dev, (struct ramfs_name){name, strlen(name)}, RAMFS_DEVICE, 0666, &node);
    if (err == 0)
        node->device = device;
    return err == -EEXIST ? 0 : err;
}

int fs_server_add_standard(struct fs_server *fs)
{
    static const struct {
        const char *name;
        enum fs_device device;
    } devices[] = {
        {"console", FS_DEV_CONSOLE},
        {"tty", FS_DEV_CONSOLE},
        {"null", FS_DEV_NULL},
        {"zero", FS_DEV_ZERO},
    };
    struct ramfs_node *dev, *tmp;
    int err = dir_get(fs, fs->ram.root, (struct ramfs_name){"tmp", 3}, &tmp);
    if (err == 0)
        err = dir_get(fs, fs->ram.root, (struct ramfs_name){"dev", 3}, &dev);
    for (size_t i = 0; err == 0 && i < ARRAY_LEN(devices); i++)
        err = device_make(fs, dev, devices[i].name, devices[i].device);
    return err;
}
