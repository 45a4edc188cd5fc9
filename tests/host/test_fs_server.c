/* sources: libos/fs/serve.c libos/fs/serve_file.c libos/fs/serve_tree.c libos/fs/serve_pipe.c libos/fs/serve_bundle.c
 * libos/fs/pipe.c libos/fs/path.c libos/fs/ramfs.c libos/fs/ramfs_dir.c libos/fs/ramfs_file.c */
/* The file server, called as its loop would call it: what each operation does, and that no client can make it
 * leave the client's own buffer.  F1 F6 K14 K24 P7 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "counted_memory.h"
#include "libos/fs/serve.h"
#include "os/proc.h"

#define LIMIT (8u << 20)

/* ---- the loop around it ---------------------------------------------------------------------------------------- */

enum { NPEERS = 4, BUF = 8192 };

static struct fs_server fs;
static struct client {
    struct os_peer peer; /* pid 10 + index; client 1's parent is client 0 */
    bool waiting, answered;
    int64_t result;
} clients[NPEERS];
static struct counted_memory mem;

void os_reply(struct os_server *server, struct os_peer *peer, int64_t result, const struct os_words *w)
{
    struct client *c = (struct client *)peer;
    (void)w;
    ck_assert_ptr_eq(server, &fs.os);
    ck_assert(c->waiting);
    c->waiting = false;
    c->answered = true;
    c->result = result;
}

bool os_proc_find(uint32_t pid, struct os_proc_entry *out)
{
    if (pid < 10 || pid >= 10 + NPEERS)
        return false;
    *out = (struct os_proc_entry){.pid = pid, .ppid = pid == 11 ? 10 : 1, .state = OS_PROC_NEW};
    return true;
}

struct os_peer *os_peer_make(struct os_server *server, uint32_t pid)
{
    (void)server;
    return pid < 10 || pid >= 10 + NPEERS ? NULL : &clients[pid - 10].peer;
}

/* As the loop does: whatever was under way is withdrawn by the next request. */
static int64_t request(int who, uint64_t op, uint64_t a, uint64_t b, uint64_t c, uint64_t d,
                       struct os_words *w)
{
    struct client *client = &clients[who];
    w->w[0] = op;
    w->w[1] = a;
    w->w[2] = b;
    w->w[3] = c;
    w->w[4] = d;
    w->w[5] = 0;
    if (client->waiting)
        fs.os.cancel(&fs.os, &client->peer);
    client->waiting = client->answered = false;
    int64_t result = fs.os.ops[op - OS_OP_FIRST](&fs.os, &client->peer, w);
    client->waiting = result == OS_DEFER;
    return result;
}

static void gone(int who)
{
    struct client *client = &clients[who];
    if (client->waiting)
        fs.os.cancel(&fs.os, &client->peer);
    client->waiting = client->answered = false;
    fs.os.gone(&fs.os, &client->peer);
}

static void setup(void)
{
    mem = (struct counted_memory){.until_failure = -1};
    ck_assert_int_eq(fs_server_init(&fs, &counted_ops, &mem, LIMIT, 99), 0);
    for (int i = 0; i < NPEERS; i++) {
        clients[i] = (struct client){.peer = {.pid = 10 + (uint32_t)i, .buf_bytes = BUF}};
        clients[i].peer.buf = malloc(BUF); /* of its own, so that the sanitizer sees a byte too far */
        memset(clients[i].peer.buf, 'j', BUF);
    }
}

static void teardown(void)
{
    mem.until_failure = -1;
    for (int i = 0; i < NPEERS; i++) {
        gone(i);
        free(clients[i].peer.buf);
    }
    ramfs_fini(&fs.ram);
    ck_assert_uint_eq(mem.bytes, 0);
}

/* ---- short forms ------------------------------------------------------------------------------------------------ */

static uint64_t put(int who, size_t at, const char *text)
{
    memcpy((char *)clients[who].peer.buf + at, text, strlen(text));
    return strlen(text);
}

static int64_t open_as(int who, const char *path, uint64_t flags)
{
    struct os_words w;
    uint64_t len = put(who, 0, path);
    return request(who, FS_OP_OPEN, flags, 0644, len, 0, &w);
}

static int64_t words(int who, uint64_t op, uint64_t a, uint64_t b, uint64_t c)
{
    struct os_words w;
    return request(who, op, a, b, c, 0, &w);
}

static int64_t with_path(int who, uint64_t op, const char *path)
{
    return words(who, op, put(who, 0, path), 0, 0);
}

static int64_t mkdir_as(int who, const char *path)
{
    return words(who, FS_OP_MKDIR, 0755, put(who, 0, path), 0);
}

static int64_t two_paths(int who, uint64_t op, const char *from, const char *to)
{
    uint64_t first = put(who, 0, from);
    return words(who, op, first, put(who, first, to), 0);
}

static int64_t write_as(int who, int64_t id, const char *text)
{
    uint64_t len = put(who, 0, text);
    return words(who, FS_OP_WRITE, (uint64_t)id, len, FS_AT_OFFSET);
}

static int64_t read_as(int who, int64_t id, uint64_t len)
{
    memset(clients[who].peer.buf, 'j', BUF);
    return words(who, FS_OP_READ, (uint64_t)id, len, FS_AT_OFFSET);
}

static void ck_buf(int who, const char *want)
{
    ck_assert_mem_eq(clients[who].peer.buf, want, strlen(want));
}

static void pipe_as(int who, uint64_t flags, int64_t *in, int64_t *out)
{
    struct os_words w;
    ck_assert_int_eq(request(who, FS_OP_PIPE, flags, 0, 0, 0, &w), 0);
    *in = (int64_t)w.w[1];
    *out = (int64_t)w.w[2];
}

#define RW (FS_O_READ | FS_O_WRITE)

/* ---- files ------------------------------------------------------------------------------------------------------- */

START_TEST(open_and_close)
{
    ck_assert_int_eq(open_as(0, "/file", FS_O_READ), -ENOENT);
    int64_t id = open_as(0, "/file", RW | FS_O_CREATE | FS_O_EXCL);
    ck_assert_int_eq(id, 1);
    ck_assert_int_eq(open_as(0, "/file", RW | FS_O_CREATE | FS_O_EXCL), -EEXIST);
    ck_assert_int_eq(open_as(0, "/file/", FS_O_READ), -ENOTDIR);
    ck_assert_int_eq(open_as(0, "/file/x", FS_O_READ), -ENOTDIR);
    ck_assert_int_eq(open_as(0, "/new/", FS_O_WRITE | FS_O_CREATE), -EISDIR);
    ck_assert_int_eq(open_as(0, "/no/file", FS_O_WRITE | FS_O_CREATE), -ENOENT);
    ck_assert_int_eq(open_as(0, "/", FS_O_WRITE), -EISDIR);
    ck_assert_int_eq(open_as(0, "/file", FS_O_READ | FS_O_DIRECTORY), -ENOTDIR);
    ck_assert_int_eq(open_as(0, "/file", FS_O_READ | FS_O_TRUNC), -EINVAL);
    ck_assert_int_eq(open_as(0, "file", FS_O_READ), -EINVAL);
    ck_assert_int_eq(open_as(0, "", FS_O_READ), -ENOENT);
    ck_assert_int_eq(open_as(0, "/file", FS_O_ALL + 1), -EINVAL);
    ck_assert_int_eq(words(0, FS_OP_CLOSE, (uint64_t)id, 0, 0), 0);
    ck_assert_int_eq(words(0, FS_OP_CLOSE, (uint64_t)id, 0, 0), -EBADF);
    ck_assert_int_eq(open_as(0, "//./file", FS_O_READ), 1);
}
END_TEST

START_TEST(offsets)
{
    struct os_words w;
    int64_t id = open_as(0, "/file", RW | FS_O_CREATE);
    ck_assert_int_eq(write_as(0, id, "hello world"), 11);
    ck_assert_int_eq(read_as(0, id, 100), 0);
    ck_assert_int_eq(request(0, FS_OP_SEEK, (uint64_t)id, (uint64_t)-5, FS_SEEK_END, 0, &w), 0);
    ck_assert_uint_eq(w.w[1], 6);
    ck_assert_int_eq(read_as(0, id, 100), 5);
    ck_buf(0, "worldj");
    ck_assert_int_eq(words(0, FS_OP_READ, (uint64_t)id, 4, 1), 4); /* at a place of its own */
    ck_buf(0, "ello");
    ck_assert_int_eq(words(0, FS_OP_SEEK, (uint64_t)id, (uint64_t)-12, FS_SEEK_CUR), -EINVAL);
    ck_assert_int_eq(words(0, FS_OP_SEEK, (uint64_t)id, INT64_MAX, FS_SEEK_CUR), -EOVERFLOW);
    ck_assert_int_eq(words(0, FS_OP_SEEK, (uint64_t)id, 0, 3), -EINVAL);
    ck_assert_int_eq(words(0, FS_OP_FLAGS, (uint64_t)id, FS_O_APPEND, FS_O_APPEND), RW | FS_O_APPEND);
    ck_assert_int_eq(words(0, FS_OP_SEEK, (uint64_t)id, 0, FS_SEEK_SET), 0);
    ck_assert_int_eq(write_as(0, id, "!"), 1);
    ck_assert_int_eq(words(0, FS_OP_READ, (uint64_t)id, 100, 0), 12);
    ck_buf(0, "hello world!");
    ck_assert_int_eq(words(0, FS_OP_TRUNCATE, (uint64_t)id, 5, 0), 0);
    ck_assert_int_eq(words(0, FS_OP_READ, (uint64_t)id, 100, 0), 5);
    ck_assert_int_eq(open_as(0, "/file", RW | FS_O_TRUNC), 2);
    ck_assert_int_eq(words(0, FS_OP_READ, (uint64_t)id, 100, 0), 0);
}
END_TEST

START_TEST(access_modes)
{
    int64_t out = open_as(0, "/file", FS_O_WRITE | FS_O_CREATE), in = open_as(0, "/file", FS_O_READ);
    ck_assert_int_eq(read_as(0, out, 1), -EBADF);
    ck_assert_int_eq(write_as(0, in, "x"), -EBADF);
    ck_assert_int_eq(words(0, FS_OP_TRUNCATE, (uint64_t)in, 0, 0), -EINVAL);
    ck_assert_int_eq(read_as(0, 999, 1), -EBADF);
    ck_assert_int_eq(read_as(0, 0, 1), -EBADF);
    ck_assert_int_eq(read_as(1, in, 1), -EBADF); /* another client's id */
}
END_TEST

START_TEST(ids_run_out)
{
    int64_t id = 0;
    uint64_t nodes;
    for (uint32_t i = 0; i < FS_FILES_MAX; i++)
        ck_assert_int_gt(id = open_as(0, "/file", RW | FS_O_CREATE), 0);
    nodes = fs.ram.nodes;
    ck_assert_int_eq(open_as(0, "/other", RW | FS_O_CREATE), -EMFILE);
    ck_assert_uint_eq(fs.ram.nodes, nodes); /* nothing was made */
    ck_assert_int_eq(words(0, FS_OP_PIPE, 0, 0, 0), -EMFILE);
    ck_assert_int_eq(words(0, FS_OP_CLOSE, 77, 0, 0), 0);
    ck_assert_int_eq(words(0, FS_OP_PIPE, 0, 0, 0), -EMFILE); /* it needs two */
    ck_assert_int_eq(open_as(0, "/file", RW), 77);
}
END_TEST

START_TEST(names)
{
    ck_assert_int_eq(mkdir_as(0, "/dir"), 0);
    ck_assert_int_eq(mkdir_as(0, "/dir/"), -EEXIST);
    ck_assert_int_eq(mkdir_as(0, "/"), -EEXIST);
    ck_assert_int_eq(mkdir_as(0, "/dir/sub/"), 0);
    ck_assert_int_eq(mkdir_as(0, "/dir/../dir2"), 0);
    ck_assert_int_eq(mkdir_as(0, "/none/../dir3"), -ENOENT);
    ck_assert_int_gt(open_as(0, "/dir/file", RW | FS_O_CREATE), 0);
    ck_assert_int_eq(with_path(0, FS_OP_UNLINK, "/dir"), -EISDIR);
    ck_assert_int_eq(with_path(0, FS_OP_UNLINK, "/dir/file/"), -ENOTDIR);
    ck_assert_int_eq(with_path(0, FS_OP_RMDIR, "/dir"), -ENOTEMPTY);
    ck_assert_int_eq(with_path(0, FS_OP_RMDIR, "/"), -EBUSY);
    ck_assert_int_eq(two_paths(0, FS_OP_RENAME, "/dir/file", "/moved"), 0);
    ck_assert_int_eq(two_paths(0, FS_OP_RENAME, "/moved", "/dir2/"), -ENOTDIR);
    ck_assert_int_eq(two_paths(0, FS_OP_RENAME, "/dir", "/dir/sub/x"), -EINVAL);
    ck_assert_int_eq(two_paths(0, FS_OP_RENAME, "/", "/x"), -EBUSY);
    ck_assert_int_eq(two_paths(0, FS_OP_RENAME, "/dir/", "/dir2/"), 0);
    ck_assert_int_eq(two_paths(0, FS_OP_LINK, "/moved", "/dir2/again"), 0);
    ck_assert_int_eq(with_path(0, FS_OP_UNLINK, "/moved"), 0);
    ck_assert_int_eq(with_path(0, FS_OP_STAT_PATH, "/dir2/again"), 0);
    struct fs_stat st;
    memcpy(&st, clients[0].peer.buf, sizeof(st));
    ck_assert_uint_eq(st.links, 1);
    ck_assert_uint_eq(st.kind, FS_KIND_FILE);
    ck_assert_int_eq(words(0, FS_OP_CHMOD, 07755, put(0, 0, "/dir2/again"), 0), 0);
    ck_assert_int_eq(words(0, FS_OP_UTIME, 5, FS_TIME_KEEP, put(0, 0, "/dir2/again")), 0);
    ck_assert_int_eq(with_path(0, FS_OP_STAT_PATH, "/dir2/again"), 0);
    memcpy(&st, clients[0].peer.buf, sizeof(st));
    ck_assert_uint_eq(st.mode, 07755);
    ck_assert_uint_eq(st.atime_ns, 5);
}
END_TEST

START_TEST(listing)
{
    char path[32];
    int names_seen = 0;
    for (int i = 0; i < 300; i++) {
        snprintf(path, sizeof(path), "/a-file-%d", i);
        ck_assert_int_eq(open_as(0, path, FS_O_WRITE | FS_O_CREATE), 1);
        words(0, FS_OP_CLOSE, 1, 0, 0);
    }
    int64_t id = open_as(0, "/", FS_O_READ | FS_O_DIRECTORY), n;
    ck_assert_int_eq(words(0, FS_OP_READDIR, (uint64_t)id, 10, 0), -EINVAL); /* not even one fits */
    while ((n = words(0, FS_OP_READDIR, (uint64_t)id, 1000, 0)) > 0) {
        ck_assert_int_le(n, 1000);
        for (int64_t at = 0; at < n;) {
            struct fs_dirent e;
            memcpy(&e, (char *)clients[0].peer.buf + at, sizeof(e));
            ck_assert_uint_eq(e.bytes % 8, 0);
            ck_assert_int_le(at + e.bytes, n);
            at += e.bytes;
            names_seen++;
        }
    }
    ck_assert_int_eq(n, 0);
    ck_assert_int_eq(names_seen, 300);
    ck_assert_int_eq(words(0, FS_OP_SEEK, (uint64_t)id, 0, FS_SEEK_SET), 0);
    ck_assert_int_gt(words(0, FS_OP_READDIR, (uint64_t)id, 1000, 0), 0);
    ck_assert_int_eq(read_as(0, id, 10), -EISDIR);
}
END_TEST

START_TEST(devices)
{
    struct os_words w;
    ck_assert_int_eq(fs_server_add_standard(&fs), 0);
    ck_assert_int_eq(request(0, FS_OP_OPEN, RW, 0, put(0, 0, "/dev/null"), 0, &w), 0);
    ck_assert_uint_eq(w.w[1], FS_KIND_DEVICE);
    ck_assert_uint_eq(w.w[2], FS_DEV_NULL);
    ck_assert_int_eq(with_path(0, FS_OP_STAT_PATH, "/tmp"), 0);
    ck_assert_int_eq(fs_server_add_standard(&fs), 0); /* what is there stays */
}
END_TEST

/* ---- sharing ------------------------------------------------------------------------------------------------------ */

START_TEST(children_share_the_offset)
{
    int64_t id = open_as(0, "/file", RW | FS_O_CREATE);
    int64_t theirs = words(0, FS_OP_SHARE, (uint64_t)id, 11, 0);
    ck_assert_int_gt(theirs, 0);
    ck_assert_int_eq(write_as(0, id, "parent"), 6);
    ck_assert_int_eq(write_as(1, theirs, "child"), 5);
    ck_assert_int_eq(words(0, FS_OP_READ, (uint64_t)id, 100, 0), 11);
    ck_buf(0, "parentchild");
    gone(0);
    ck_assert_int_eq(write_as(1, theirs, "!"), 1);
    ck_assert_int_eq(words(1, FS_OP_SHARE, (uint64_t)theirs, 12, 0), -EPERM); /* not its child */
    ck_assert_int_eq(words(1, FS_OP_SHARE, (uint64_t)theirs, 99, 0), -ESRCH);
    ck_assert_int_eq(words(1, FS_OP_SHARE, (uint64_t)theirs, 11ull << 32 | 11, 0), -ESRCH);
    ck_assert_int_eq(words(1, FS_OP_SHARE, 50, 11, 0), -EBADF);
}
END_TEST

/* ---- pipes -------------------------------------------------------------------------------------------------------- */

START_TEST(pipes_wait)
{
    int64_t in, out;
    pipe_as(0, 0, &in, &out);
    int64_t theirs = words(0, FS_OP_SHARE, (uint64_t)in, 11, 0);
    ck_assert_int_eq(read_as(1, theirs, 100), OS_DEFER);
    ck_assert_int_eq(write_as(0, out, "now"), 3);
    ck_assert(clients[1].answered);
    ck_assert_int_eq(clients[1].result, 3);
    ck_buf(1, "nowj");
    ck_assert_int_eq(read_as(1, theirs, 0), 0);
    ck_assert_int_eq(words(0, FS_OP_READ, (uint64_t)in, 1, 0), -ESPIPE);
    ck_assert_int_eq(words(0, FS_OP_SEEK, (uint64_t)in, 0, 0), -ESPIPE);
}
END_TEST

/* P7: the end comes when the last writer has gone, and not before. */
START_TEST(pipe_ends)
{
    int64_t in, out;
    pipe_as(0, 0, &in, &out);
    int64_t writer = words(0, FS_OP_SHARE, (uint64_t)out, 11, 0);
    ck_assert_int_eq(write_as(1, writer, "last"), 4);
    ck_assert_int_eq(words(0, FS_OP_CLOSE, (uint64_t)out, 0, 0), 0);
    ck_assert_int_eq(read_as(0, in, 100), 4);
    ck_assert_int_eq(read_as(0, in, 100), OS_DEFER);
    gone(1);
    ck_assert(clients[0].answered);
    ck_assert_int_eq(clients[0].result, 0);
    ck_assert_int_eq(read_as(0, in, 100), 0);
}
END_TEST

START_TEST(pipe_without_readers)
{
    int64_t in, out;
    pipe_as(0, 0, &in, &out);
    int64_t writer = words(0, FS_OP_SHARE, (uint64_t)out, 11, 0);
    while (clients[1].peer.buf_bytes <=
           pipe_room(&fs_client_file(clients[0].peer.data, (uint64_t)in)->pipe->ring))
        ck_assert_int_eq(words(1, FS_OP_WRITE, (uint64_t)writer, BUF, FS_AT_OFFSET), BUF);
    ck_assert_int_eq(write_as(1, writer, "x"), OS_DEFER);
    ck_assert_int_eq(words(0, FS_OP_CLOSE, (uint64_t)in, 0, 0), 0);
    ck_assert(clients[1].answered);
    ck_assert_int_eq(clients[1].result, -EPIPE);
    ck_assert_int_eq(write_as(1, writer, "x"), -EPIPE);
}
END_TEST

START_TEST(pipe_pressure_and_order)
{
    int64_t in, out;
    pipe_as(0, 0, &in, &out);
    int64_t writer = words(0, FS_OP_SHARE, (uint64_t)out, 11, 0);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(words(0, FS_OP_WRITE, (uint64_t)out, BUF, FS_AT_OFFSET), BUF);
    ck_assert_int_eq(words(1, FS_OP_WRITE, (uint64_t)writer, FS_PIPE_BUF, FS_AT_OFFSET), OS_DEFER);
    ck_assert_int_eq(read_as(0, in, FS_PIPE_BUF - 1), FS_PIPE_BUF - 1);
    ck_assert(!clients[1].answered); /* so small a write goes whole or not at all */
    ck_assert_int_eq(read_as(0, in, 1), 1);
    ck_assert(clients[1].answered);
    ck_assert_int_eq(clients[1].result, FS_PIPE_BUF);
    ck_assert_int_eq(words(1, FS_OP_WRITE, (uint64_t)writer, BUF, FS_AT_OFFSET), OS_DEFER);
    ck_assert_int_eq(read_as(0, in, 10), 10);
    ck_assert_int_eq(clients[1].result, 10); /* a larger one in part */
}
END_TEST

START_TEST(pipes_that_do_not_wait)
{
    int64_t in, out;
    pipe_as(0, FS_O_NONBLOCK, &in, &out);
    ck_assert_int_eq(read_as(0, in, 1), -EAGAIN);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(words(0, FS_OP_WRITE, (uint64_t)out, BUF, FS_AT_OFFSET), BUF);
    ck_assert_int_eq(write_as(0, out, "x"), -EAGAIN);
}
END_TEST

/* A request that is withdrawn leaves the pipe as it was; so does an answer that nobody got. */
START_TEST(nothing_is_lost_or_doubled)
{
    int64_t in, out;
    struct os_words answer = {{3}};
    pipe_as(0, 0, &in, &out);
    int64_t theirs = words(0, FS_OP_SHARE, (uint64_t)in, 11, 0);
    ck_assert_int_eq(read_as(1, theirs, 100), OS_DEFER);
    ck_assert_int_eq(words(1, FS_OP_FLAGS, (uint64_t)theirs, 0, 0),
                     FS_O_READ); /* anything: the read is gone */
    ck_assert_int_eq(write_as(0, out, "abc"), 3);
    ck_assert(!clients[1].answered);
    ck_assert_int_eq(read_as(1, theirs, 100), 3);
    fs.os.undelivered(&fs.os, &clients[1].peer, &answer);
    ck_assert_int_eq(read_as(0, in, 2), 2);
    ck_buf(0, "abj");
    ck_assert_int_eq(read_as(0, in, 2), 1);
    ck_assert_int_eq(write_as(0, out, "xyz"), 3);
    fs.os.undelivered(&fs.os, &clients[0].peer, &answer);
    fs.os.undelivered(&fs.os, &clients[0].peer, &answer); /* twice does nothing */
    ck_assert_int_eq(words(0, FS_OP_FLAGS, (uint64_t)in, FS_O_NONBLOCK, FS_O_NONBLOCK),
                     FS_O_READ | FS_O_NONBLOCK);
    ck_assert_int_eq(read_as(0, in, 9), -EAGAIN);
}
END_TEST

/* ---- the bundle ------------------------------------------------------------------------------------------------------ */

static size_t record(char *at, const char *path, unsigned mode, const char *data)
{
    size_t name_bytes = strlen(path) + 1, size = strlen(data);
    size_t head = (110 + name_bytes + 3) & ~3u, all = (head + size + 3) & ~(size_t)3;
    char header[128];
    memset(at, 0, all);
    snprintf(header, sizeof(header), "070701%08x%08x%08x%08x%08x%08x%08zx%08x%08x%08x%08x%08zx%08x", 1u, mode,
             0u, 0u, 1u, 0u, size, 0u, 0u, 0u, 0u, name_bytes, 0u);
    memcpy(at, header, 110);
    memcpy(at + 110, path, name_bytes);
    memcpy(at + head, data, size);
    return all;
}

START_TEST(bundles)
{
    static char archive[4096];
    uint64_t at;
    unsigned skipped;
    size_t len = record(archive, "bin/hello", 0100755, "elf!");
    len += record(archive + len, "etc", 0040755, "");
    len += record(archive + len, "etc/motd", 0100644, "welcome");
    len += record(archive + len, "../escape", 0100644, "no");
    len += record(archive + len, "etc/motd/x", 0100644, "no");
    len += record(archive + len, "etc/motd", 0100644, "again");
    len += record(archive + len, "pipe", 0010644, "");
    len += record(archive + len, ".", 0040755, "");
    size_t trailer = len;
    len += record(archive + len, "TRAILER!!!", 0, "");
    ck_assert_int_eq(fs_server_add_bundle(&fs, archive, len, &at, &skipped), 0);
    ck_assert_uint_eq(skipped, 4);
    int64_t id = open_as(0, "/bin/hello", FS_O_READ);
    ck_assert_int_eq(read_as(0, id, 100), 4);
    ck_buf(0, "elf!");
    id = open_as(0, "/etc/motd", RW);
    ck_assert_int_eq(write_as(0, id, "W"), 1);
    ck_assert_int_eq(words(0, FS_OP_READ, (uint64_t)id, 100, 0), 7);
    ck_buf(0, "Welcome");
    ck_assert_int_lt(fs_server_add_bundle(&fs, archive, trailer, &at, &skipped), 0); /* no trailer: B6 */
    ck_assert_uint_eq(at, trailer);
    for (size_t cut = 0; cut < trailer; cut++)
        ck_assert_int_lt(fs_server_add_bundle(&fs, archive, cut, &at, &skipped), 0);
}
END_TEST

/* ---- hostile clients ---------------------------------------------------------------------------------------------------- */

/* F6: lengths that reach past the buffer, in every place where there is a length. */
START_TEST(lengths_are_held_against_the_buffer)
{
    static const uint64_t bad[] = {BUF + 1,   BUF + 4096, 1ull << 32,       (1ull << 32) + 1,
                                   INT64_MAX, UINT64_MAX, UINT64_MAX - 4095};
    int64_t id = open_as(0, "/file", RW | FS_O_CREATE), dir = open_as(0, "/", FS_O_READ), in, out;
    pipe_as(0, 0, &in, &out);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        uint64_t len = bad[i];
        ck_assert_int_eq(words(0, FS_OP_OPEN, FS_O_READ, 0, len), -EINVAL);
        ck_assert_int_eq(words(0, FS_OP_READ, (uint64_t)id, len, FS_AT_OFFSET), -EINVAL);
        ck_assert_int_eq(words(0, FS_OP_WRITE, (uint64_t)id, len, FS_AT_OFFSET), -EINVAL);
        ck_assert_int_eq(words(0, FS_OP_READ, (uint64_t)in, len, FS_AT_OFFSET), -EINVAL);
        ck_assert_int_eq(words(0, FS_OP_WRITE, (uint64_t)out, len, FS_AT_OFFSET), -EINVAL);
        ck_assert_int_eq(words(0, FS_OP_READDIR, (uint64_t)dir, len, 0), -EINVAL);
        ck_assert_int_eq(words(0, FS_OP_STAT_PATH, len, 0, 0), -EINVAL);
        ck_assert_int_eq(words(0, FS_OP_MKDIR, 0, len, 0), -EINVAL);
        ck_assert_int_eq(words(0, FS_OP_UNLINK, len, 0, 0), -EINVAL);
        ck_assert_int_eq(words(0, FS_OP_RMDIR, len, 0, 0), -EINVAL);
        uint64_t first = put(0, 0, "/file");
        ck_assert_int_eq(words(0, FS_OP_RENAME, first, len, 0), -EINVAL);
        ck_assert_int_eq(words(0, FS_OP_RENAME, len, 5, 0), -EINVAL);
        ck_assert_int_eq(words(0, FS_OP_LINK, first, len - first, 0), -EINVAL);
    }
    put(0, 0, "/");
    ck_assert_int_eq(words(0, FS_OP_OPEN, FS_O_READ, 0, FS_PATH_MAX + 1), -ENAMETOOLONG);
    ck_assert_int_eq(words(0, FS_OP_STAT_PATH, 0, 0, 0), -ENOENT);
    memcpy(clients[0].peer.buf, "/a\0b", 4);
    ck_assert_int_eq(words(0, FS_OP_STAT_PATH, 4, 0, 0), -EINVAL);
}
END_TEST

/* A client that never connected has no buffer at all. */
START_TEST(clients_without_a_buffer)
{
    free(clients[2].peer.buf);
    clients[2].peer.buf = NULL;
    clients[2].peer.buf_bytes = 0;
    for (uint64_t op = FS_OP_OPEN; op < FS_OP_END; op++)
        for (uint64_t len = 0; len < 3; len++)
            (void)words(2, op, len, len, len);
    ck_assert_int_eq(words(2, FS_OP_STAT_PATH, 1, 0, 0), -EINVAL);
}
END_TEST

static uint64_t wild(void)
{
    static const uint64_t edges[] = {0,    1,       2,   3,       5,          255,        256,       4095,
                                     4096, BUF - 1, BUF, BUF + 1, UINT64_MAX, 1ull << 63, 1ull << 32};
    return rand() % 3 == 0 ? edges[(size_t)rand() % ARRAY_LEN(edges)] : (uint64_t)(rand() % 16);
}

static void wild_path(int who)
{
    static const char *const parts[] = {"/", "a", "b", "/..", "/.", "/a", "/b", "/c/", "", "//", "/dir"};
    char *at = clients[who].peer.buf;
    for (int i = 0; i < 4; i++) {
        const char *part = parts[(size_t)rand() % ARRAY_LEN(parts)];
        memcpy(at, part, strlen(part));
        at += strlen(part);
    }
}

/* Every operation with any words, by clients that come and go, while memory runs out: the sanitizers watch, and
 * in the end everything is given back. */
START_TEST(random_requests)
{
    srand(_i);
    for (int step = 0; step < 30000; step++) {
        int who = rand() % NPEERS;
        struct os_words w;
        uint64_t op = FS_OP_OPEN + (uint64_t)rand() % (FS_OP_END - FS_OP_OPEN);
        mem.until_failure = rand() % 10 == 0 ? rand() % 4 : -1;
        wild_path(who);
        if (op == FS_OP_SHARE)
            (void)request(who, op, wild(), 10 + wild() % 6, 0, 0, &w);
        else if (op == FS_OP_OPEN)
            (void)request(who, op, (uint64_t)rand() % (FS_O_ALL + 1), 0644, wild(), 0, &w);
        else
            (void)request(who, op, wild(), wild(), rand() % 2 ? FS_AT_OFFSET : wild(), wild(), &w);
        if (rand() % 50 == 0 && clients[who].answered) {
            struct os_words answer = {{(uint64_t)clients[who].result}};
            fs.os.undelivered(&fs.os, &clients[who].peer, &answer);
        }
        if (rand() % 200 == 0)
            gone(who);
        ck_assert_uint_eq(fs.ram.used_bytes, mem.bytes);
        ck_assert_uint_le(mem.bytes, LIMIT);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fs_server");
    TCase *tc = tcase_create("fs_server");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, open_and_close);
    tcase_add_test(tc, offsets);
    tcase_add_test(tc, access_modes);
    tcase_add_test(tc, ids_run_out);
    tcase_add_test(tc, names);
    tcase_add_test(tc, listing);
    tcase_add_test(tc, devices);
    tcase_add_test(tc, children_share_the_offset);
    tcase_add_test(tc, pipes_wait);
    tcase_add_test(tc, pipe_ends);
    tcase_add_test(tc, pipe_without_readers);
    tcase_add_test(tc, pipe_pressure_and_order);
    tcase_add_test(tc, pipes_that_do_not_wait);
    tcase_add_test(tc, nothing_is_lost_or_doubled);
    tcase_add_test(tc, bundles);
    tcase_add_test(tc, lengths_are_held_against_the_buffer);
    tcase_add_test(tc, clients_without_a_buffer);
    tcase_add_loop_test(tc, random_requests, 1, 6);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
