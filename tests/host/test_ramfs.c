/* sources: libos/fs/ramfs.c libos/fs/ramfs_dir.c libos/fs/ramfs_file.c */
/* The memory file system: names, files, limits, and every allocation that can fail.  F1 F5 K22 K23 K24 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "counted_memory.h"
#include "libos/fs/ramfs.h"

#define PLENTY (1ull << 30)

static struct counted_memory mem;
static struct ramfs fs;

static void start(uint64_t limit)
{
    mem = (struct counted_memory){.until_failure = -1};
    ck_assert_int_eq(ramfs_init(&fs, &counted_ops, &mem, limit, 12345), 0);
}

static void setup(void)
{
    start(PLENTY);
}

static void teardown(void)
{
    ramfs_fini(&fs);
    ck_assert_uint_eq(mem.bytes, 0);
    ck_assert_uint_eq(fs.used_bytes, 0);
    ck_assert_uint_eq(fs.nodes, 0);
}

static struct ramfs_name name(const char *text)
{
    return (struct ramfs_name){text, strlen(text)};
}

static struct ramfs_node *make(struct ramfs_node *dir, const char *text, enum ramfs_type type)
{
    struct ramfs_node *node;
    ck_assert_int_eq(ramfs_create(&fs, dir, name(text), type, 0644, &node), 0);
    return node;
}

static int find(struct ramfs_node *dir, const char *text)
{
    struct ramfs_node *node;
    return ramfs_lookup(&fs, dir, name(text), &node);
}

static struct ramfs_node *get(struct ramfs_node *dir, const char *text)
{
    struct ramfs_node *node;
    ck_assert_int_eq(ramfs_lookup(&fs, dir, name(text), &node), 0);
    return node;
}

static void ck_content(struct ramfs_node *node, uint64_t at, const char *want)
{
    char buf[256];
    size_t len = strlen(want);
    ck_assert_int_eq(ramfs_read(&fs, node, at, buf, len), (int64_t)len);
    ck_assert_mem_eq(buf, want, len);
}

/* ---- directories --------------------------------------------------------------------------------------------- */

START_TEST(names_are_checked)
{
    struct ramfs_node *node;
    char text[300];
    memset(text, 'n', sizeof(text));
    ck_assert_int_eq(ramfs_create(&fs, fs.root, name(""), RAMFS_FILE, 0, &node), -EINVAL);
    ck_assert_int_eq(ramfs_create(&fs, fs.root, name("a/b"), RAMFS_FILE, 0, &node), -EINVAL);
    ck_assert_int_eq(ramfs_create(&fs, fs.root, (struct ramfs_name){"a\0b", 3}, RAMFS_FILE, 0, &node),
                     -EINVAL);
    ck_assert_int_eq(ramfs_create(&fs, fs.root, name("."), RAMFS_FILE, 0, &node), -EEXIST);
    ck_assert_int_eq(ramfs_create(&fs, fs.root, name(".."), RAMFS_DIR, 0, &node), -EEXIST);
    ck_assert_int_eq(ramfs_create(&fs, fs.root, (struct ramfs_name){text, 256}, RAMFS_FILE, 0, &node),
                     -ENAMETOOLONG);
    ck_assert_int_eq(ramfs_create(&fs, fs.root, (struct ramfs_name){text, 255}, RAMFS_FILE, 0, &node), 0);
    ck_assert_int_eq(ramfs_lookup(&fs, fs.root, (struct ramfs_name){text, 256}, &node), -ENAMETOOLONG);
    ck_assert_int_eq(ramfs_lookup(&fs, fs.root, (struct ramfs_name){text, 255}, &node), 0);
    ck_assert_int_eq(ramfs_lookup(&fs, fs.root, (struct ramfs_name){text, 254}, &node), -ENOENT);
}
END_TEST

START_TEST(names_lead_to_nodes)
{
    struct ramfs_node *dir = make(fs.root, "dir", RAMFS_DIR), *file = make(dir, "file", RAMFS_FILE), *node;
    ck_assert_ptr_eq(get(fs.root, "dir"), dir);
    ck_assert_ptr_eq(get(dir, "file"), file);
    ck_assert_ptr_eq(get(dir, ".."), fs.root);
    ck_assert_ptr_eq(get(dir, "."), dir);
    ck_assert_ptr_eq(get(fs.root, ".."), fs.root);
    ck_assert_int_eq(find(file, "x"), -ENOTDIR);
    ck_assert_int_eq(find(dir, "File"), -ENOENT);
    ck_assert_int_eq(ramfs_create(&fs, dir, name("file"), RAMFS_FILE, 0, &node), -EEXIST);
    ck_assert_int_eq(ramfs_create(&fs, file, name("x"), RAMFS_FILE, 0, &node), -ENOTDIR);
}
END_TEST

/* F1 K23: many names, by hash; each found, and each listed exactly once. */
START_TEST(many_names)
{
    enum { N = 5000 };
    static bool seen[N];
    char text[32];
    struct ramfs_item item;
    uint64_t cursor = 0;
    int n = 0;
    memset(seen, 0, sizeof(seen));
    for (int i = 0; i < N; i++) {
        snprintf(text, sizeof(text), "name-%d", i);
        make(fs.root, text, RAMFS_FILE);
    }
    while (ramfs_readdir(fs.root, &cursor, &item) == 1) {
        int i = atoi(item.name.text + 5);
        ck_assert(!seen[i]);
        seen[i] = true;
        n++;
    }
    ck_assert_int_eq(n, N);
    for (int i = 0; i < N; i++) {
        snprintf(text, sizeof(text), "name-%d", i);
        ck_assert_int_eq(ramfs_unlink(&fs, fs.root, name(text)), 0);
        ck_assert_int_eq(find(fs.root, text), -ENOENT);
    }
    ck_assert_uint_eq(fs.nodes, 1);
}
END_TEST

/* A walk goes on while what it gave, and other entries, are removed and made. */
START_TEST(readdir_while_it_changes)
{
    struct ramfs_item item;
    uint64_t cursor = 0;
    char text[32];
    int stayed = 0;
    for (int i = 0; i < 100; i++) {
        snprintf(text, sizeof(text), "%s%d", i % 2 ? "stay" : "go", i);
        make(fs.root, text, RAMFS_FILE);
    }
    for (int step = 0; ramfs_readdir(fs.root, &cursor, &item) == 1; step++) {
        bool stay = item.name.text[0] == 's';
        stayed += stay;
        if (!stay && item.name.text[0] == 'g')
            ck_assert_int_eq(ramfs_unlink(&fs, fs.root, item.name), 0);
        if (step < 200) {
            snprintf(text, sizeof(text), "new%d", step);
            make(fs.root, text, RAMFS_FILE);
        }
    }
    ck_assert_int_eq(stayed, 50);
}
END_TEST

START_TEST(removing)
{
    struct ramfs_node *dir = make(fs.root, "dir", RAMFS_DIR);
    make(dir, "file", RAMFS_FILE);
    ck_assert_int_eq(ramfs_unlink(&fs, fs.root, name("dir")), -EISDIR);
    ck_assert_int_eq(ramfs_rmdir(&fs, fs.root, name("dir")), -ENOTEMPTY);
    ck_assert_int_eq(ramfs_rmdir(&fs, dir, name("file")), -ENOTDIR);
    ck_assert_int_eq(ramfs_rmdir(&fs, dir, name(".")), -EINVAL);
    ck_assert_int_eq(ramfs_rmdir(&fs, dir, name("..")), -ENOTEMPTY);
    ck_assert_int_eq(ramfs_unlink(&fs, dir, name("..")), -EISDIR);
    ck_assert_int_eq(ramfs_unlink(&fs, dir, name("none")), -ENOENT);
    ck_assert_int_eq(ramfs_unlink(&fs, dir, name("file")), 0);
    ck_assert_int_eq(ramfs_rmdir(&fs, fs.root, name("dir")), 0);
    ck_assert_uint_eq(fs.nodes, 1);
}
END_TEST

/* What somebody holds stays, without a name; a removed directory takes no new entries. */
START_TEST(held_nodes_live_on)
{
    struct ramfs_node *dir = make(fs.root, "dir", RAMFS_DIR), *inner = make(dir, "inner", RAMFS_DIR), *node;
    struct ramfs_node *file = make(fs.root, "file", RAMFS_FILE);
    ck_assert_int_eq(ramfs_write(&fs, file, 0, "still", 5), 5);
    ramfs_hold(file);
    ramfs_hold(inner);
    ck_assert_int_eq(ramfs_unlink(&fs, fs.root, name("file")), 0);
    ck_assert_int_eq(ramfs_rmdir(&fs, dir, name("inner")), 0);
    ck_assert_int_eq(ramfs_rmdir(&fs, fs.root, name("dir")), 0);
    ck_assert_int_eq(find(fs.root, "file"), -ENOENT);
    ck_content(file, 0, "still");
    ck_assert_uint_eq(file->links, 0);
    ck_assert_int_eq(ramfs_create(&fs, inner, name("x"), RAMFS_FILE, 0, &node), -ENOENT);
    ck_assert_ptr_eq(get(inner, ".."), dir);
    ck_assert_int_eq(ramfs_create(&fs, get(inner, ".."), name("x"), RAMFS_FILE, 0, &node), -ENOENT);
    ramfs_release(&fs, file);
    ramfs_release(&fs, inner);
    ck_assert_uint_eq(fs.nodes, 1);
}
END_TEST

START_TEST(links)
{
    struct ramfs_node *file = make(fs.root, "a", RAMFS_FILE), *dir = make(fs.root, "dir", RAMFS_DIR);
    ck_assert_int_eq(ramfs_link(&fs, file, dir, name("b")), 0);
    ck_assert_uint_eq(file->links, 2);
    ck_assert_int_eq(ramfs_link(&fs, dir, dir, name("loop")), -EPERM);
    ck_assert_int_eq(ramfs_link(&fs, file, dir, name("b")), -EEXIST);
    file->links = UINT32_MAX; /* K21 */
    ck_assert_int_eq(ramfs_link(&fs, file, dir, name("c")), -EMLINK);
    file->links = 2;
    ck_assert_int_eq(ramfs_unlink(&fs, fs.root, name("a")), 0);
    ck_assert_ptr_eq(get(dir, "b"), file);
    ck_assert_int_eq(ramfs_rename(&fs, dir, name("b"), fs.root, name("a")), 0);
    ck_assert_int_eq(ramfs_link(&fs, file, dir, name("b")), 0);
    ck_assert_int_eq(ramfs_rename(&fs, dir, name("b"), fs.root, name("a")),
                     0); /* one file: both names stay */
    ck_assert_uint_eq(file->links, 2);
}
END_TEST

START_TEST(renaming)
{
    struct ramfs_node *a = make(fs.root, "a", RAMFS_DIR), *b = make(fs.root, "b", RAMFS_DIR);
    struct ramfs_node *file = make(a, "file", RAMFS_FILE), *deep = make(a, "deep", RAMFS_DIR);
    make(b, "there", RAMFS_FILE);
    ck_assert_int_eq(ramfs_rename(&fs, a, name("file"), b, name("there")), 0);
    ck_assert_ptr_eq(get(b, "there"), file);
    ck_assert_int_eq(find(a, "file"), -ENOENT);
    ck_assert_int_eq(ramfs_rename(&fs, fs.root, name("a"), a, name("x")), -EINVAL);
    ck_assert_int_eq(ramfs_rename(&fs, fs.root, name("a"), deep, name("x")), -EINVAL);
    ck_assert_int_eq(ramfs_rename(&fs, fs.root, name("a"), fs.root, name("a")), 0);
    ck_assert_int_eq(ramfs_rename(&fs, fs.root, name("a"), fs.root, name("b")), -ENOTEMPTY);
    ck_assert_int_eq(ramfs_rename(&fs, fs.root, name("a"), b, name("there")), -ENOTDIR);
    ck_assert_int_eq(ramfs_rename(&fs, b, name("there"), fs.root, name("a")), -EISDIR);
    ck_assert_int_eq(ramfs_rename(&fs, b, name("there"), b, name(".")), -EINVAL);
    ck_assert_int_eq(ramfs_rename(&fs, b, name(".."), b, name("x")), -EINVAL);
    ck_assert_int_eq(ramfs_rename(&fs, b, name("none"), b, name("x")), -ENOENT);
    ck_assert_int_eq(ramfs_rename(&fs, b, name("there"), file, name("x")), -ENOTDIR);
    ck_assert_int_eq(ramfs_rename(&fs, b, name("there"), b, name("x/y")), -EINVAL);
    ck_assert_int_eq(ramfs_rename(&fs, a, name("deep"), b, name("moved")), 0);
    ck_assert_ptr_eq(get(deep, ".."), b);
    ck_assert_int_eq(ramfs_rename(&fs, fs.root, name("a"), deep, name("x")), 0);
    ck_assert_ptr_eq(get(a, ".."), deep);
    ck_assert_int_eq(ramfs_rename(&fs, b, name("there"), a, name("far")), 0);
    ck_content(get(a, "far"), 0, "");
}
END_TEST

/* A directory below a thousand others, moved and given back without recursion. */
START_TEST(depth)
{
    struct ramfs_node *at = fs.root;
    for (int i = 0; i < 20000; i++)
        at = make(at, "d", RAMFS_DIR);
    ck_assert_int_eq(ramfs_rename(&fs, fs.root, name("d"), at, name("x")), -EINVAL);
    ramfs_hold(at);
    for (struct ramfs_node *up = at; up != fs.root;) {
        struct ramfs_node *parent = get(up, "..");
        ck_assert_int_eq(ramfs_rmdir(&fs, parent, name("d")), 0);
        up = parent;
    }
    ck_assert_uint_eq(fs.nodes, 20001);
    ramfs_release(&fs, at);
    ck_assert_uint_eq(fs.nodes, 1);
}
END_TEST

/* ---- files --------------------------------------------------------------------------------------------------- */

START_TEST(reading_and_writing)
{
    struct ramfs_node *file = make(fs.root, "file", RAMFS_FILE);
    char buf[16];
    ck_assert_int_eq(ramfs_read(&fs, file, 0, buf, sizeof(buf)), 0);
    ck_assert_int_eq(ramfs_write(&fs, file, 4094, "hello", 5), 5);
    ck_assert_uint_eq(file->file.size, 4099);
    ck_content(file, 4094, "hello");
    ck_assert_int_eq(ramfs_read(&fs, file, 4097, buf, sizeof(buf)), 2);
    ck_assert_int_eq(ramfs_read(&fs, file, UINT64_MAX, buf, sizeof(buf)), 0);
    ck_assert_int_eq(ramfs_read(&fs, file, 0, buf, 4), 4);
    ck_assert_mem_eq(buf, "\0\0\0\0", 4);
    ck_assert_int_eq(ramfs_write(&fs, file, RAMFS_FILE_MAX, "x", 1), -EFBIG);
    ck_assert_int_eq(ramfs_write(&fs, file, UINT64_MAX, "x", 1), -EFBIG);
    ck_assert_int_eq(ramfs_write(&fs, file, RAMFS_FILE_MAX - 1, "xy", 2), 1);
    ck_assert_uint_eq(file->file.size, RAMFS_FILE_MAX);
    ck_assert_int_eq(ramfs_truncate(&fs, file, RAMFS_FILE_MAX + 1), -EFBIG);
    ck_assert_int_eq(ramfs_read(&fs, fs.root, 0, buf, 1), -EISDIR);
    ck_assert_int_eq(ramfs_write(&fs, fs.root, 0, buf, 1), -EISDIR);
    ck_assert_int_eq(ramfs_truncate(&fs, fs.root, 0), -EISDIR);
}
END_TEST

START_TEST(truncating_gives_pages_back)
{
    struct ramfs_node *file = make(fs.root, "file", RAMFS_FILE);
    uint64_t before = mem.bytes;
    char page[PAGE_SIZE];
    memset(page, 'x', sizeof(page));
    for (uint64_t i = 0; i < 1200; i++)
        ck_assert_int_eq(ramfs_write(&fs, file, i * PAGE_SIZE, page, PAGE_SIZE), PAGE_SIZE);
    ck_assert_int_eq(ramfs_truncate(&fs, file, 600 * PAGE_SIZE + 10), 0);
    ck_assert_uint_le(file->file.pages, 601 + 4);
    ck_assert_int_eq(ramfs_truncate(&fs, file, 700 * PAGE_SIZE), 0); /* what grows back is zeros */
    ck_content(file, 600 * PAGE_SIZE, "xxxxxxxxxx");
    ck_assert_int_eq(ramfs_read(&fs, file, 600 * PAGE_SIZE + 10, page, 5), 5);
    ck_assert_mem_eq(page, "\0\0\0\0\0", 5);
    ck_assert_int_eq(ramfs_truncate(&fs, file, 512 * PAGE_SIZE), 0);
    ck_assert_int_eq(ramfs_truncate(&fs, file, 0), 0);
    ck_assert_uint_eq(mem.bytes, before);
    ck_assert_uint_eq(file->file.pages, 0);
}
END_TEST

/* F1: borrowed content is shown without a copy, and copied page by page when it is written. */
START_TEST(borrowed_content)
{
    enum { LEN = 3 * PAGE_SIZE + 100 };
    static char bundle[LEN];
    struct ramfs_node *file = make(fs.root, "file", RAMFS_FILE);
    char buf[200];
    for (size_t i = 0; i < LEN; i++)
        bundle[i] = (char)('a' + i % 26);
    ck_assert_int_eq(ramfs_borrow(file, bundle, LEN), 0);
    ck_assert_int_eq(ramfs_borrow(file, bundle, LEN), -EINVAL);
    ck_assert_uint_eq(file->file.pages, 0);
    ck_assert_int_eq(ramfs_read(&fs, file, LEN - 50, buf, sizeof(buf)), 50);
    ck_assert_mem_eq(buf, bundle + LEN - 50, 50);
    ck_assert_int_eq(ramfs_write(&fs, file, PAGE_SIZE + 1, "XY", 2), 2);
    ck_assert_uint_eq(file->file.pages, 2); /* the page, and a table */
    ck_assert_int_eq(bundle[PAGE_SIZE + 1], (char)('a' + (PAGE_SIZE + 1) % 26));
    ck_assert_int_eq(ramfs_read(&fs, file, PAGE_SIZE, buf, 4), 4);
    ck_assert(buf[0] == bundle[PAGE_SIZE] && buf[1] == 'X' && buf[2] == 'Y' &&
              buf[3] == bundle[PAGE_SIZE + 3]);
    ck_assert_int_eq(ramfs_truncate(&fs, file, 10), 0);
    ck_assert_int_eq(ramfs_truncate(&fs, file, LEN), 0);
    ck_assert_int_eq(ramfs_read(&fs, file, 0, buf, 20), 20);
    ck_assert_mem_eq(buf, bundle, 10);
    ck_assert_mem_eq(buf + 10, "\0\0\0\0\0\0\0\0\0\0", 10);
    ck_assert_int_eq(ramfs_write(&fs, file, LEN, "end", 3), 3); /* past the end of what was borrowed */
    ck_content(file, LEN, "end");
}
END_TEST

/* The same random writes, cuts and reads on a file and on an array. */
START_TEST(files_agree_with_an_array)
{
    enum { MAX = 40 * PAGE_SIZE };
    static uint8_t model[MAX], buf[MAX], bundle[MAX];
    struct ramfs_node *file = make(fs.root, "file", RAMFS_FILE);
    uint64_t size = 10 * PAGE_SIZE + 77;
    srand(_i);
    for (size_t i = 0; i < MAX; i++)
        bundle[i] = (uint8_t)rand();
    memset(model, 0, MAX);
    memcpy(model, bundle, size);
    ck_assert_int_eq(ramfs_borrow(file, bundle, size), 0);
    for (int step = 0; step < 2000; step++) {
        uint64_t at = (uint64_t)rand() % MAX;
        size_t len = min_u64((uint64_t)rand() % (3 * PAGE_SIZE), MAX - at);
        if (rand() % 4 == 0) {
            ck_assert_int_eq(ramfs_truncate(&fs, file, at), 0);
            if (at < size)
                memset(model + at, 0, size - at);
            size = at;
        } else if (rand() % 2 == 0) {
            for (size_t i = 0; i < len; i++)
                model[at + i] = buf[i] = (uint8_t)rand();
            ck_assert_int_eq(ramfs_write(&fs, file, at, buf, len), (int64_t)len);
            size = len == 0 ? size : max_u64(size, at + len);
        }
        ck_assert_uint_eq(file->file.size, size);
        ck_assert_int_eq(ramfs_read(&fs, file, 0, buf, MAX), (int64_t)size);
        ck_assert_mem_eq(buf, model, size);
    }
}
END_TEST

START_TEST(times_move)
{
    struct ramfs_node *file = make(fs.root, "file", RAMFS_FILE);
    uint64_t modified = file->mtime_ns, dir_modified = fs.root->mtime_ns;
    char buf[4];
    ramfs_write(&fs, file, 0, "x", 1);
    ck_assert_uint_gt(file->mtime_ns, modified);
    modified = file->mtime_ns;
    ramfs_read(&fs, file, 0, buf, 1);
    ck_assert_uint_gt(file->atime_ns, modified);
    ck_assert_uint_eq(file->mtime_ns, modified);
    make(fs.root, "other", RAMFS_FILE);
    ck_assert_uint_gt(fs.root->mtime_ns, dir_modified);
}
END_TEST

/* ---- limits -------------------------------------------------------------------------------------------------- */

START_TEST(the_limit_is_hard)
{
    struct ramfs_node *node, *file;
    static char page[PAGE_SIZE];
    char text[32];
    ramfs_fini(&fs);
    start(64 * PAGE_SIZE);
    file = make(fs.root, "file", RAMFS_FILE);
    uint64_t at = 0;
    int64_t n;
    while ((n = ramfs_write(&fs, file, at, page, PAGE_SIZE)) > 0)
        at += (uint64_t)n;
    ck_assert_int_eq(n, -ENOSPC);
    ck_assert_uint_eq(file->file.size, at);
    ck_assert_uint_le(mem.bytes, 64 * PAGE_SIZE);
    ck_assert_int_eq(ramfs_write(&fs, file, at - 10, page, 100), 10); /* what fits is written */
    ck_assert_int_eq(ramfs_truncate(&fs, file, 0), 0);
    int err = 0, made = 0;
    for (; err == 0; made++) {
        snprintf(text, sizeof(text), "f%d", made);
        err = ramfs_create(&fs, fs.root, name(text), RAMFS_FILE, 0, &node);
    }
    ck_assert_int_eq(err, -ENOSPC);
    ck_assert_int_eq(find(fs.root, text), -ENOENT);
    ck_assert_uint_le(mem.bytes, 64 * PAGE_SIZE);
    ck_assert_uint_eq(fs.nodes, (uint64_t)made + 1);
}
END_TEST

/* A little of everything; stops at the first error. */
static int scenario(void)
{
    static char page[PAGE_SIZE];
    struct ramfs_node *dir, *node;
    char text[16];
    int err = ramfs_create(&fs, fs.root, name("dir"), RAMFS_DIR, 0755, &dir);
    for (int i = 0; err == 0 && i < 20; i++) {
        snprintf(text, sizeof(text), "%d", i);
        err = ramfs_create(&fs, dir, name(text), i % 5 == 0 ? RAMFS_DIR : RAMFS_FILE, 0644, &node);
    }
    if (err == 0)
        err = ramfs_link(&fs, get(dir, "1"), fs.root, name("again"));
    if (err == 0)
        err = ramfs_rename(&fs, dir, name("2"), get(dir, "5"), name("moved"));
    if (err == 0 && ramfs_write(&fs, get(dir, "1"), 5ull << 21, page, PAGE_SIZE) < 0)
        err = -ENOSPC;
    if (err == 0 && ramfs_write(&fs, get(dir, "3"), 0, "text", 4) < 0)
        err = -ENOSPC;
    if (err == 0)
        err = ramfs_rename(&fs, fs.root, name("again"), fs.root, name("new"));
    return err;
}

/* Everything that can be reached is whole, and can be listed. */
static void check_whole(struct ramfs_node *dir)
{
    struct ramfs_item item;
    uint64_t cursor = 0;
    uint32_t n = 0;
    while (ramfs_readdir(dir, &cursor, &item) == 1) {
        struct ramfs_node *node;
        ck_assert_int_eq(ramfs_lookup(&fs, dir, item.name, &node), 0);
        ck_assert_ptr_eq(node, item.node);
        ck_assert_uint_gt(node->links, 0);
        if (node->type == RAMFS_DIR)
            check_whole(node);
        n++;
    }
    (void)n;
}

/* T1 K22: the nth allocation fails, for every n; nothing is half done, nothing is lost. */
START_TEST(every_allocation_may_fail)
{
    bool failed = true;
    ramfs_fini(&fs);
    for (long n = 1; failed; n++) {
        mem = (struct counted_memory){.until_failure = n};
        if (ramfs_init(&fs, &counted_ops, &mem, PLENTY, 1) != 0) {
            ck_assert_uint_eq(mem.bytes, 0);
            continue;
        }
        int err = scenario();
        failed = mem.failed;
        ck_assert_int_eq(err, failed ? -ENOSPC : 0);
        check_whole(fs.root);
        mem.until_failure = -1;
        if (failed && find(fs.root, "dir") == 0 && get(fs.root, "dir")->type == RAMFS_DIR)
            make(get(fs.root, "dir"), "after", RAMFS_FILE);
        ck_assert_uint_eq(fs.used_bytes, mem.bytes);
        ramfs_fini(&fs);
        ck_assert_uint_eq(mem.bytes, 0);
    }
    setup();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ramfs");
    TCase *tc = tcase_create("ramfs");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, names_are_checked);
    tcase_add_test(tc, names_lead_to_nodes);
    tcase_add_test(tc, many_names);
    tcase_add_test(tc, readdir_while_it_changes);
    tcase_add_test(tc, removing);
    tcase_add_test(tc, held_nodes_live_on);
    tcase_add_test(tc, links);
    tcase_add_test(tc, renaming);
    tcase_add_test(tc, depth);
    tcase_add_test(tc, reading_and_writing);
    tcase_add_test(tc, truncating_gives_pages_back);
    tcase_add_test(tc, borrowed_content);
    tcase_add_loop_test(tc, files_agree_with_an_array, 1, 6);
    tcase_add_test(tc, times_move);
    tcase_add_test(tc, the_limit_is_hard);
    tcase_add_test(tc, every_allocation_may_fail);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
