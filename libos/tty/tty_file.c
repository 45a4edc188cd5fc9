#include "libos/tty/tty_file.h"

#include <errno.h>
#include <string.h>

struct request {
    struct os_session *session;
    struct os_words words;
};

static int request_begin(struct request *r, uint64_t op, uint64_t arg)
{
    int err = 0;
    r->session = os_session_take(TTY_SERVICE, &err);
    r->words = (struct os_words){.w = {op, arg}};
    return r->session == NULL ? err : 0;
}

/* -EIO: the console server is gone.  The next request finds the one that is started in its place. */
static int64_t request_send(struct request *r, bool interruptible)
{
    int64_t result = interruptible ? os_request(r->session, &r->words, EXO_FOREVER)
                                   : os_request_nointr(r->session, &r->words);
    return result == -EPIPE ? -EIO : result;
}

static void request_end(const struct request *r)
{
    os_session_give(r->session);
}

static uint64_t wait_flag(const struct vfs_file *file)
{
    return file->flags & FS_O_NONBLOCK ? TTY_NONBLOCK : 0;
}

static int64_t tty_read(struct vfs_file *file, void *buf, size_t len, uint64_t at)
{
    struct request r;
    if (at != FS_AT_OFFSET)
        return -ESPIPE;
    int64_t n = request_begin(&r, TTY_OP_READ, 0);
    if (n != 0)
        return n;
    r.words.w[1] = min_u64(len, r.session->buf_bytes);
    r.words.w[2] = wait_flag(file);
    n = request_send(&r, true);
    if (n > 0)
        memcpy(buf, r.session->buf, min_u64((uint64_t)n, len));
    request_end(&r);
    return n;
}

static int64_t write_piece(struct vfs_file *file, const char *buf, size_t len)
{
    struct request r;
    int64_t n = request_begin(&r, TTY_OP_WRITE, 0);
    if (n != 0)
        return n;
    r.words.w[1] = len = min_u64(len, r.session->buf_bytes);
    r.words.w[2] = wait_flag(file);
    memcpy(r.session->buf, buf, len);
    n = request_send(&r, false); /* a terminal always goes on, and what it took cannot be taken back */
    request_end(&r);
    return n;
}

static int64_t tty_write(struct vfs_file *file, const void *buf, size_t len, uint64_t at)
{
    size_t done = 0;
    if (at != FS_AT_OFFSET)
        return -ESPIPE;
    while (done < len) {
        int64_t n = write_piece(file, (const char *)buf + done, len - done);
        if (n <= 0)
            return done > 0 ? (int64_t)done : n;
        done += (size_t)n;
    }
    return (int64_t)done;
}

const struct vfs_ops tty_file_ops = {.read = tty_read, .write = tty_write};

bool tty_is_file(const struct vfs_file *file)
{
    return file->kind->ops == &tty_file_ops;
}

int tty_get_attr(struct tty_attr *out)
{
    struct request r;
    int err = request_begin(&r, TTY_OP_GET_ATTR, 0);
    if (err != 0)
        return err;
    err = (int)request_send(&r, false);
    if (err == 0)
        memcpy(out, r.session->buf, sizeof(*out));
    request_end(&r);
    return err;
}

int tty_set_attr(enum tty_when when, const struct tty_attr *attr)
{
    struct request r;
    int err = request_begin(&r, TTY_OP_SET_ATTR, when);
    if (err != 0)
        return err;
    memcpy(r.session->buf, attr, sizeof(*attr));
    err = (int)request_send(&r, when != TTY_NOW);
    request_end(&r);
    return err;
}

static int64_t words_request(enum tty_op op, uint64_t arg, bool interruptible)
{
    struct request r;
    int64_t result = request_begin(&r, op, arg);
    if (result != 0)
        return result;
    result = request_send(&r, interruptible);
    request_end(&r);
    return result;
}

int64_t tty_request(enum tty_op op, uint64_t arg)
{
    return words_request(op, arg, false);
}

int tty_drain(void)
{
    return (int)words_request(TTY_OP_DRAIN, 0, true);
}
