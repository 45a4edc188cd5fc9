/* Files of the memory file system: a tree of pages, over borrowed memory.
 *
 * The tree's tables have 512 entries; `height` tables lie on the way to a page.  A page that is not there
 * shows the borrowed bytes of its range, and zeros after those.  What lies at or behind `size` in a page
 * that is there is always zero, so a file can grow without a look at its pages. */
#include <errno.h>
#include <string.h>

#include "libos/fs/ramfs_impl.h"

#define FANOUT_SHIFT 9u
#define FANOUT (1u << FANOUT_SHIFT)
#define HEIGHT_MAX 3u

struct table {
    void *at[FANOUT];
};

_Static_assert(sizeof(struct table) <= PAGE_SIZE, "a table is charged as a page");

static void *page_make(struct ramfs *fs, struct ramfs_file *file)
{
    void *page = ramfs_mem_alloc(fs, PAGE_SIZE);
    if (page != NULL)
        file->pages++;
    return page;
}

static void page_drop(struct ramfs *fs, struct ramfs_file *file, void *page)
{
    if (page == NULL)
        return;
    ramfs_mem_free(fs, page, PAGE_SIZE);
    file->pages--;
}

/* Pages that a tree of this height has room for. */
static uint64_t height_pages(uint32_t height)
{
    return 1ull << (height * FANOUT_SHIFT);
}

static uint32_t slot_at(uint64_t index, uint32_t level)
{
    return (uint32_t)(index >> ((level - 1) * FANOUT_SHIFT)) & (FANOUT - 1);
}

static void *page_find(const struct ramfs_file *file, uint64_t index)
{
    if (index >= height_pages(file->height))
        return NULL;
    void *at = file->root;
    for (uint32_t level = file->height; level > 0 && at != NULL; level--)
        at = ((struct table *)at)->at[slot_at(index, level)];
    return at;
}

static int tree_raise(struct ramfs *fs, struct ramfs_file *file, uint64_t index)
{
    while (index >= height_pages(file->height)) {
        if (file->root != NULL) {
            struct table *top = page_make(fs, file);
            if (top == NULL)
                return -ENOSPC;
            top->at[0] = file->root;
            file->root = top;
        }
        file->height++;
    }
    return 0;
}

/* The bytes of the borrowed memory that show in a page. */
static size_t borrowed_in(const struct ramfs_file *file, uint64_t index)
{
    uint64_t start = index << PAGE_SHIFT;
    return start >= file->borrowed_len ? 0 : (size_t)min_u64(PAGE_SIZE, file->borrowed_len - start);
}

/* The page for writing: found, or made with what showed there before.  Tables made on the way stay when
 * the page itself cannot be had; they are empty and go with the file. */
static void *page_get(struct ramfs *fs, struct ramfs_file *file, uint64_t index)
{
    if (tree_raise(fs, file, index) != 0)
        return NULL;
    void **link = &file->root;
    for (uint32_t level = file->height; level > 0; level--) {
        if (*link == NULL)
            *link = page_make(fs, file);
        if (*link == NULL)
            return NULL;
        link = &((struct table *)*link)->at[slot_at(index, level)];
    }
    if (*link != NULL)
        return *link;
    uint8_t *page = page_make(fs, file);
    if (page != NULL && borrowed_in(file, index) > 0)
        memcpy(page, file->borrowed + (index << PAGE_SHIFT), borrowed_in(file, index));
    return *link = page;
}

/* ---- cutting ----------------------------------------------------------------------------------------------- */

/* Frees a whole subtree; the depth is at most HEIGHT_MAX, and the loop keeps its own path. */
static void tree_free(struct ramfs *fs, struct ramfs_file *file, void *root, uint32_t height)
{
    struct table *path[HEIGHT_MAX];
    uint32_t next[HEIGHT_MAX], depth = 0;
    if (root == NULL || height == 0) {
        page_drop(fs, file, root);
        return;
    }
    path[0] = root;
    next[0] = 0;
    for (;;) {
        if (next[depth] == FANOUT) {
            page_drop(fs, file, path[depth]);
            if (depth-- == 0)
                return;
            continue;
        }
        void *child = path[depth]->at[next[depth]++];
        if (child != NULL && depth + 1 < height) {
            path[++depth] = child;
            next[depth] = 0;
        } else {
            page_drop(fs, file, child);
        }
    }
}

/* Frees all pages from number `keep` on.  Along the path to `keep`, what lies right of it goes. */
static void tree_cut(struct ramfs *fs, struct ramfs_file *file, uint64_t keep)
{
    if (keep >= height_pages(file->height))
        return;
    if (keep == 0) {
        tree_free(fs, file, file->root, file->height);
        file->root = NULL;
        file->height = 0;
        return;
    }
    struct table *at = file->root;
    for (uint32_t level = file->height; level > 0 && at != NULL; level--) {
        uint32_t slot = slot_at(keep, level);
        uint64_t below = keep & (height_pages(level - 1) - 1);
        for (uint32_t i = below == 0 ? slot : slot + 1; i < FANOUT; i++) {
            tree_free(fs, file, at->at[i], level - 1);
            at->at[i] = NULL;
        }
        at = below == 0 ? NULL : at->at[slot];
    }
}

void ramfs_file_free(struct ramfs *fs, struct ramfs_file *file)
{
    tree_cut(fs, file, 0);
}

static void file_shrink(struct ramfs *fs, struct ramfs_file *file, uint64_t size)
{
    tree_cut(fs, file, (size + PAGE_MASK) >> PAGE_SHIFT);
    uint8_t *last = page_find(file, size >> PAGE_SHIFT);
    if (last != NULL)
        memset(last + (size & PAGE_MASK), 0, PAGE_SIZE - (size & PAGE_MASK));
    file->borrowed_len = min_u64(file->borrowed_len, size);
}

/* ---- the calls ------------------------------------------------------------------------------------------- */

static int file_check(const struct ramfs_node *node)
{
    if (node->type == RAMFS_DIR)
        return -EISDIR;
    return node->type == RAMFS_FILE ? 0 : -EINVAL;
}

int ramfs_borrow(struct ramfs_node *node, const void *mem, uint64_t len_bytes)
{
    int err = file_check(node);
    if (err != 0)
        return err;
    if (node->file.size != 0)
        return -EINVAL;
    if (len_bytes > RAMFS_FILE_MAX)
        return -EFBIG;
    node->file.borrowed = mem;
    node->file.borrowed_len = node->file.size = len_bytes;
    return 0;
}

/* Part of one page. */
static void page_read(const struct ramfs_file *file, uint64_t offset, uint8_t *buf, size_t len)
{
    size_t within = (size_t)(offset & PAGE_MASK);
    const uint8_t *page = page_find(file, offset >> PAGE_SHIFT);
    if (page != NULL) {
        memcpy(buf, page + within, len);
        return;
    }
    size_t shown = borrowed_in(file, offset >> PAGE_SHIFT);
    size_t old = shown <= within ? 0 : (size_t)min_u64(len, shown - within);
    if (old > 0)
        memcpy(buf, file->borrowed + offset, old);
    memset(buf + old, 0, len - old);
}

int64_t ramfs_read(struct ramfs *fs, struct ramfs_node *node, uint64_t offset, void *buf, size_t len)
{
    int err = file_check(node);
    if (err != 0)
        return err;
    if (offset >= node->file.size)
        return 0;
    len = (size_t)min_u64(len, node->file.size - offset);
    for (size_t done = 0; done < len;) {
        size_t part = (size_t)min_u64(len - done, PAGE_SIZE - ((offset + done) & PAGE_MASK));
        page_read(&node->file, offset + done, (uint8_t *)buf + done, part);
        done += part;
    }
    node->atime_ns = fs->ops->now_ns(fs->ctx);
    return (int64_t)len;
}

int64_t ramfs_write(struct ramfs *fs, struct ramfs_node *node, uint64_t offset, const void *buf, size_t len)
{
    size_t done = 0;
    int err = file_check(node);
    if (err != 0)
        return err;
    if (len == 0)
        return 0;
    if (offset >= RAMFS_FILE_MAX)
        return -EFBIG;
    len = (size_t)min_u64(len, RAMFS_FILE_MAX - offset);
    while (done < len) {
        uint64_t at = offset + done;
        size_t part = (size_t)min_u64(len - done, PAGE_SIZE - (at & PAGE_MASK));
        uint8_t *page = page_get(fs, &node->file, at >> PAGE_SHIFT);
        if (page == NULL)
            break;
        memcpy(page + (at & PAGE_MASK), (const uint8_t *)buf + done, part);
        done += part;
    }
    if (done == 0)
        return -ENOSPC;
    node->file.size = max_u64(node->file.size, offset + done);
    ramfs_node_touch(fs, node);
    return (int64_t)done;
}

int ramfs_truncate(struct ramfs *fs, struct ramfs_node *node, uint64_t size)
{
    int err = file_check(node);
    if (err != 0)
        return err;
    if (size > RAMFS_FILE_MAX)
        return -EFBIG;
    if (size < node->file.size)
        file_shrink(fs, &node->file, size);
    node->file.size = size;
    ramfs_node_touch(fs, node);
    return 0;
}
