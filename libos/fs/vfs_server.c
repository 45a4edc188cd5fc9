/* Files that the file server keeps: os/fs.h as its client sees it.
 *
 * What is answered at once is asked without signals between; only a pipe may keep one waiting, so only that
 * may be interrupted.  The session is taken while its buffer is in use. */
#include <errno.h>
#include <string.h>

#include "libos/fs/vfs_impl.h"
#include "os/rt.h"
#include "os/thread.h"

static struct os_mutex cwd_lock = OS_MUTEX_INIT(cwd_lock);
static char cwd[PATH_BYTES] = "/"; /* under cwd_lock */

/* A file server that ended takes its open files along, and the next one gives the same ids anew.  So a file's id
 * carries, above the server's own 32 bits, the number of the connection that it came from. */
static uint32_t connection; /* these two under the session's lock */
static exo_handle_t connected_to;

struct request {
    struct os_session *session;
    struct os_words words;
};

/* Between begin and end the buffer is ours. */
static int request_begin(struct request *r, uint64_t op)
{
    int err = 0;
    r->session = os_session_take(FS_SERVICE, &err);
    r->words = (struct os_words){.w = {op}};
    if (r->session == NULL)
        return err;
    if (connected_to != r->session->gate && connected_to != 0)
        connection++;
    connected_to = r->session->gate;
    return 0;
}

/* Nothing that comes this way can meet a broken pipe: the server is gone. */
static int64_t request_send(struct request *r)
{
    int64_t result = os_request_nointr(r->session, &r->words);
    return result == -EPIPE ? -EIO : result;
}

static uint64_t id_of(uint64_t id)
{
    return (uint64_t)connection << 32 | id;
}

/* The server's name for a file, between begin and end; one that it does not know for a file of the last one. */
static uint64_t server_id(const struct vfs_file *file)
{
    return file->id >> 32 == connection ? (uint32_t)file->id : 0;
}

static void request_end(const struct request *r)
{
    os_session_give(r->session);
}

/* A request that needs no more than words. */
static int64_t request_words(uint64_t op, uint64_t a, uint64_t b, uint64_t c, struct os_words *answer)
{
    struct request r;
    int64_t result = request_begin(&r, op);
    if (result != 0)
        return result;
    r.words.w[1] = a;
    r.words.w[2] = b;
    r.words.w[3] = c;
    result = request_send(&r);
    if (answer != NULL)
        *answer = r.words;
    request_end(&r);
    return result;
}

/* The same about an open file. */
static int64_t request_file(uint64_t op, const struct vfs_file *file, uint64_t b, uint64_t c,
                            struct os_words *answer)
{
    struct request r;
    int64_t result = request_begin(&r, op);
    if (result != 0)
        return result;
    r.words.w[1] = server_id(file);
    r.words.w[2] = b;
    r.words.w[3] = c;
    result = request_send(&r);
    if (answer != NULL)
        *answer = r.words;
    request_end(&r);
    return result;
}

static void cwd_take(void)
{
    os_signals_hold();
    os_mutex_lock(&cwd_lock);
}

static void cwd_give(void)
{
    os_mutex_unlock(&cwd_lock);
    os_signals_release();
}

static int join(const char *from, const char *path, char out[PATH_BYTES])
{
    int err;
    if (from != NULL)
        return path_join(from, path, out);
    cwd_take();
    err = path_join(cwd, path, out);
    cwd_give();
    return err;
}

/* Put a path, seen from a directory (NULL: the current one), at `offset` of the buffer; its length, or a negative errno. */
static int64_t request_path(struct request *r, const char *from, const char *path, size_t offset)
{
    char whole[PATH_BYTES];
    int err = join(from, path, whole);
    if (err != 0)
        return err;
    size_t len = strlen(whole);
    memcpy((char *)r->session->buf + offset, whole, len);
    return (int64_t)len;
}

/* ---- open files ------------------------------------------------------------------------------------------------ */

/* One piece of a transfer, at most the buffer's size. */
static int64_t transfer(struct request *r, struct vfs_file *file, size_t len, uint64_t at)
{
    r->words.w[1] = server_id(file);
    r->words.w[2] = len;
    r->words.w[3] = at;
    return os_request(r->session, &r->words, EXO_FOREVER);
}

static int64_t read_piece(struct vfs_file *file, void *buf, size_t len, uint64_t at)
{
    struct request r;
    int64_t n = request_begin(&r, FS_OP_READ);
    if (n != 0)
        return n;
    n = transfer(&r, file, min_u64(len, r.session->buf_bytes), at);
    if (n > 0)
        memcpy(buf, r.session->buf, (size_t)n);
    request_end(&r);
    return n;
}

static int64_t write_piece(struct vfs_file *file, const void *buf, size_t len, uint64_t at)
{
    struct request r;
    int64_t n = request_begin(&r, FS_OP_WRITE);
    if (n != 0)
        return n;
    len = min_u64(len, r.session->buf_bytes);
    memcpy(r.session->buf, buf, len);
    n = transfer(&r, file, len, at);
    request_end(&r);
    return n;
}

static uint64_t at_plus(uint64_t at, size_t done)
{
    return at == FS_AT_OFFSET ? at : at + done;
}

/* A short piece ends a read: the file's end, or all that the pipe had. */
static int64_t server_read(struct vfs_file *file, void *buf, size_t len, uint64_t at)
{
    size_t done = 0;
    for (;;) {
        size_t want = min_u64(len - done, OS_SESSION_BYTES);
        int64_t n = read_piece(file, (char *)buf + done, want, at_plus(at, done));
        if (n < 0)
            return done > 0 ? (int64_t)done : n == -EPIPE ? -EIO : n;
        done += (size_t)n;
        if ((size_t)n < want || done == len)
            return (int64_t)done;
    }
}

static int64_t server_write(struct vfs_file *file, const void *buf, size_t len, uint64_t at)
{
    size_t done = 0;
    do {
        int64_t n = write_piece(file, (const char *)buf + done, len - done, at_plus(at, done));
        if (n == -EPIPE && request_file(FS_OP_FLAGS, file, 0, 0, NULL) < 0)
            n = -EIO; /* not the pipe's readers are gone, but the server */
        if (n <= 0)
            return done > 0 ? (int64_t)done : n;
        done += (size_t)n;
    } while (done < len);
    return (int64_t)done;
}

static int64_t server_seek(struct vfs_file *file, int64_t offset, enum fs_whence whence)
{
    struct os_words answer = {{0}};
    int64_t result = request_file(FS_OP_SEEK, file, (uint64_t)offset, whence, &answer);
    return result < 0 ? result : (int64_t)answer.w[1];
}

static int server_stat(struct vfs_file *file, struct fs_stat *out)
{
    struct request r;
    int64_t result = request_begin(&r, FS_OP_STAT);
    if (result != 0)
        return (int)result;
    r.words.w[1] = server_id(file);
    result = request_send(&r);
    if (result == 0)
        memcpy(out, r.session->buf, sizeof(*out));
    request_end(&r);
    return (int)result;
}

static int64_t server_readdir(struct vfs_file *file, void *buf, size_t room)
{
    struct request r;
    int64_t n = request_begin(&r, FS_OP_READDIR);
    if (n != 0)
        return n;
    r.words.w[1] = server_id(file);
    r.words.w[2] = min_u64(room, r.session->buf_bytes);
    n = request_send(&r);
    if (n > 0)
        memcpy(buf, r.session->buf, (size_t)n);
    request_end(&r);
    return n;
}

static int server_truncate(struct vfs_file *file, uint64_t size)
{
    return (int)request_file(FS_OP_TRUNCATE, file, size, 0, NULL);
}

static int64_t server_flags(struct vfs_file *file, uint32_t mask, uint32_t value)
{
    int64_t flags = request_file(FS_OP_FLAGS, file, mask, value, NULL);
    if (flags >= 0)
        file->flags = (uint32_t)flags;
    return flags;
}

static int64_t server_share(struct vfs_file *file, uint32_t pid)
{
    return request_file(FS_OP_SHARE, file, pid, 0, NULL);
}

static void server_close(struct vfs_file *file)
{
    (void)request_file(FS_OP_CLOSE, file, 0, 0, NULL);
}

const struct vfs_ops vfs_server_ops = {
    .read = server_read,
    .write = server_write,
    .seek = server_seek,
    .stat = server_stat,
    .readdir = server_readdir,
    .truncate = server_truncate,
    .flags = server_flags,
    .share = server_share,
    .close = server_close,
};

/* ---- opening --------------------------------------------------------------------------------------------------- */

static int64_t open_request(const char *from, const char *path, uint32_t flags, uint32_t mode,
                            struct os_words *answer)
{
    struct request r;
    int64_t result = request_begin(&r, FS_OP_OPEN);
    if (result != 0)
        return result;
    result = request_path(&r, from, path, 0);
    r.words.w[1] = flags;
    r.words.w[2] = mode;
    r.words.w[3] = (uint64_t)result;
    if (result > 0)
        result = request_send(&r);
    if (result >= 0)
        result = (int64_t)id_of((uint64_t)result);
    *answer = r.words;
    request_end(&r);
    return result;
}

int vfs_open_from(const char *from, const char *path, uint32_t flags, uint32_t mode, struct vfs_file **out)
{
    struct os_words answer = {{0}};
    int64_t id = open_request(from, path, flags, mode, &answer);
    if (id < 0)
        return (int)id;
    const struct vfs_kind *kind = vfs_kind_by_device((enum fs_device)answer.w[2]);
    if (kind == NULL)
        return -ENXIO;
    *out = vfs_file_make(kind, flags & (FS_O_READ | FS_O_WRITE | FS_O_SETTABLE), (uint64_t)id);
    if (*out != NULL)
        return 0;
    if ((uint32_t)id > 0)
        (void)request_words(FS_OP_CLOSE, (uint32_t)id, 0, 0, NULL);
    return -ENOMEM;
}

int vfs_open(const char *path, uint32_t flags, uint32_t mode, struct vfs_file **out)
{
    return vfs_open_from(NULL, path, flags, mode, out);
}

static int64_t pipe_request(uint32_t flags, struct os_words *answer)
{
    struct request r;
    int64_t result = request_begin(&r, FS_OP_PIPE);
    if (result != 0)
        return result;
    r.words.w[1] = flags;
    result = request_send(&r);
    *answer = r.words;
    answer->w[1] = id_of(r.words.w[1]);
    answer->w[2] = id_of(r.words.w[2]);
    request_end(&r);
    return result;
}

int vfs_pipe(struct vfs_file *out[2], uint32_t flags)
{
    const struct vfs_kind *kind = vfs_kind_by_device(FS_DEV_NONE);
    struct os_words answer = {{0}};
    int64_t err = kind == NULL ? -ENXIO : pipe_request(flags, &answer);
    if (err < 0)
        return (int)err;
    out[0] = vfs_file_make(kind, FS_O_READ | flags, answer.w[1]);
    out[1] = vfs_file_make(kind, FS_O_WRITE | flags, answer.w[2]);
    if (out[0] != NULL && out[1] != NULL)
        return 0;
    for (int i = 0; i < 2; i++) {
        if (out[i] != NULL)
            vfs_unref(out[i]);
        else
            (void)request_words(FS_OP_CLOSE, (uint32_t)answer.w[1 + i], 0, 0, NULL);
    }
    return -ENOMEM;
}

/* ---- names ----------------------------------------------------------------------------------------------------- */

/* A request whose words a, b come first and are followed by the path's length. */
static int path_request(uint64_t op, unsigned nargs, uint64_t a, uint64_t b, const char *from,
                        const char *path, struct fs_stat *out)
{
    struct request r;
    int64_t result = request_begin(&r, op);
    if (result != 0)
        return (int)result;
    result = request_path(&r, from, path, 0);
    r.words.w[1] = a;
    r.words.w[2] = b;
    r.words.w[1 + nargs] = (uint64_t)result;
    if (result > 0)
        result = request_send(&r);
    if (result == 0 && out != NULL)
        memcpy(out, r.session->buf, sizeof(*out));
    request_end(&r);
    return (int)result;
}

static int two_paths(uint64_t op, const char *from, const char *to)
{
    struct request r;
    int64_t result = request_begin(&r, op), first;
    if (result != 0)
        return (int)result;
    first = result = request_path(&r, NULL, from, 0);
    if (first > 0)
        result = request_path(&r, NULL, to, (size_t)first);
    r.words.w[1] = (uint64_t)first;
    r.words.w[2] = (uint64_t)result;
    if (result > 0)
        result = request_send(&r);
    request_end(&r);
    return (int)result;
}

int vfs_stat_path(const char *path, struct fs_stat *out)
{
    return path_request(FS_OP_STAT_PATH, 0, 0, 0, NULL, path, out);
}

int vfs_mkdir(const char *path, uint32_t mode)
{
    return path_request(FS_OP_MKDIR, 1, mode, 0, NULL, path, NULL);
}

int vfs_rmdir(const char *path)
{
    return path_request(FS_OP_RMDIR, 0, 0, 0, NULL, path, NULL);
}

int vfs_unlink(const char *path)
{
    return path_request(FS_OP_UNLINK, 0, 0, 0, NULL, path, NULL);
}

int vfs_chmod(const char *path, uint32_t mode)
{
    return path_request(FS_OP_CHMOD, 1, mode, 0, NULL, path, NULL);
}

int vfs_utime(const char *path, uint64_t atime_ns, uint64_t mtime_ns)
{
    return path_request(FS_OP_UTIME, 2, atime_ns, mtime_ns, NULL, path, NULL);
}

int vfs_rename(const char *from, const char *to)
{
    return two_paths(FS_OP_RENAME, from, to);
}

int vfs_link(const char *from, const char *to)
{
    return two_paths(FS_OP_LINK, from, to);
}

int vfs_use(uint64_t *limit, uint64_t *used)
{
    struct os_words answer = {{0}};
    int64_t err = request_words(FS_OP_USE, 0, 0, 0, &answer);
    if (err == 0) {
        *limit = answer.w[1];
        *used = answer.w[2];
    }
    return (int)err;
}

/* ---- the working directory --------------------------------------------------------------------------------------- */

int vfs_resolve_dir(const char *from, const char *path, char *out)
{
    struct fs_stat st;
    int err = path_request(FS_OP_STAT_PATH, 0, 0, 0, from, path, &st);
    if (err == 0 && st.kind != FS_KIND_DIR)
        err = -ENOTDIR;
    if (err == 0)
        err = join(from, path, out);
    if (err == 0)
        path_normalize(out);
    return err;
}

int vfs_chdir(const char *path)
{
    char to[PATH_BYTES];
    int err = vfs_resolve_dir(NULL, path, to);
    if (err != 0)
        return err;
    cwd_take();
    strcpy(cwd, to);
    cwd_give();
    return 0;
}

size_t vfs_cwd(char *out, size_t room)
{
    cwd_take();
    size_t bytes = strlen(cwd) + 1;
    if (bytes <= room)
        memcpy(out, cwd, bytes);
    cwd_give();
    return bytes;
}

void vfs_start_cwd(const char *path)
{
    if (path[0] == '/' && strlen(path) < sizeof(cwd))
        strcpy(cwd, path);
}
