/* Pipes of the file server: who waits, and when each is answered.
 *
 * A reader is answered when there are bytes, or no writer is left (0).  A writer is answered when all of
 * its bytes fit, or, of more than FS_PIPE_BUF, some of them; or when no reader is left (-EPIPE).  Both wait
 * in the order in which they came, and nobody overtakes. */
#include <errno.h>

#include "libos/fs/ramfs_impl.h"
#include "libos/fs/serve.h"

static struct fs_client *first_waiting(struct list *list)
{
    return list_empty(list) ? NULL : list_entry(list->next, struct fs_client, waiting);
}

static int64_t client_wait(struct fs_client *client, struct list *list, struct fs_file *file, uint64_t len)
{
    client->wait_file = file;
    client->wait_len = (uint32_t)len;
    list_add_tail(list, &client->waiting);
    return OS_DEFER;
}

static void client_answer(struct fs_server *fs, struct fs_client *client, int64_t result)
{
    client->wait_file = NULL;
    list_remove(&client->waiting);
    os_reply(&fs->os, client->peer, result, NULL);
}

/* ---- what can be done now, or -EAGAIN ----------------------------------------------------------------------- */

static int64_t read_now(struct fs_pipe *p, struct fs_client *client, uint64_t len)
{
    if (len == 0)
        return 0;
    if (pipe_used(&p->ring) > 0)
        return pipe_take(&p->ring, client->peer->buf, min_u64(len, FS_PIPE_MAX));
    return p->writers == 0 ? 0 : -EAGAIN;
}

static int64_t write_now(struct fs_pipe *p, struct fs_client *client, uint64_t len)
{
    uint32_t room = pipe_room(&p->ring);
    if (p->readers == 0)
        return -EPIPE;
    if (len == 0)
        return 0;
    if (room == 0 || (len <= FS_PIPE_BUF && room < len))
        return -EAGAIN;
    int64_t n = pipe_put(&p->ring, client->peer->buf, len);
    client->moved_last = p->ring.last;
    return n;
}

/* Answer whoever can be answered.  Each round answers one, and there are finitely many. */
static void pipe_pump(struct fs_server *fs, struct fs_pipe *p)
{
    for (bool moved = true; moved;) {
        struct fs_client *reader = first_waiting(&p->readers_waiting);
        int64_t result = reader == NULL ? -EAGAIN : read_now(p, reader, reader->wait_len);
        moved = result != -EAGAIN;
        if (moved)
            client_answer(fs, reader, result);
        struct fs_client *writer = first_waiting(&p->writers_waiting);
        result = writer == NULL ? -EAGAIN : write_now(p, writer, writer->wait_len);
        moved = moved || result != -EAGAIN;
        if (result != -EAGAIN)
            client_answer(fs, writer, result);
    }
}

/* ---- requests ------------------------------------------------------------------------------------------------ */

int64_t fs_pipe_read(struct fs_server *fs, struct fs_client *client, struct fs_file *file, uint64_t len)
{
    struct fs_pipe *p = file->pipe;
    int64_t result = list_empty(&p->readers_waiting) ? read_now(p, client, len) : -EAGAIN;
    if (result == -EAGAIN && !(file->flags & FS_O_NONBLOCK))
        return client_wait(client, &p->readers_waiting, file, len);
    pipe_pump(fs, p);
    return result;
}

int64_t fs_pipe_write(struct fs_server *fs, struct fs_client *client, struct fs_file *file, uint64_t len)
{
    struct fs_pipe *p = file->pipe;
    int64_t result = list_empty(&p->writers_waiting) ? write_now(p, client, len) : -EAGAIN;
    if (result == -EAGAIN && !(file->flags & FS_O_NONBLOCK))
        return client_wait(client, &p->writers_waiting, file, len);
    pipe_pump(fs, p);
    return result;
}

void fs_pipe_cancel(struct fs_client *client)
{
    client->wait_file = NULL;
    list_remove(&client->waiting);
}

void fs_pipe_undelivered(struct fs_server *fs, struct fs_client *client, int64_t result)
{
    struct fs_file *file = fs_client_file(client, client->moved_id);
    client->moved_id = 0;
    if (file == NULL || file->pipe == NULL || result <= 0 || result > FS_PIPE_MAX)
        return;
    if (file->flags & FS_O_READ)
        pipe_put_back(&file->pipe->ring, client->peer->buf, (uint32_t)result);
    else if (file->pipe->ring.last == client->moved_last)
        pipe_retract(&file->pipe->ring, (uint32_t)result);
    pipe_pump(fs, file->pipe);
}

/* ---- life ---------------------------------------------------------------------------------------------------- */

void fs_pipe_close(struct fs_server *fs, struct fs_file *file)
{
    struct fs_pipe *p = file->pipe;
    if (file->flags & FS_O_READ)
        p->readers--;
    else
        p->writers--;
    pipe_pump(fs, p);
    if (p->readers == 0 && p->writers == 0)
        ramfs_mem_free(&fs->ram, p, sizeof(*p));
}

static void end_open(struct fs_file *file, struct fs_pipe *p)
{
    file->pipe = p;
    if (file->flags & FS_O_READ)
        p->readers++;
    else
        p->writers++;
}

int64_t fs_op_pipe(struct os_server *os, struct os_peer *peer, struct os_words *w)
{
    struct fs_server *fs = fs_server_of(os);
    struct fs_client *client = fs_client_get(fs, peer);
    uint32_t flags = (uint32_t)w->w[1] & FS_O_NONBLOCK;
    if (client == NULL)
        return -ENFILE;
    if (client->first_free == 0 || client->next_free[client->first_free - 1] == 0)
        return -EMFILE;
    struct fs_pipe *p = ramfs_mem_alloc(&fs->ram, sizeof(*p));
    struct fs_file *in = fs_file_make(fs, flags | FS_O_READ);
    struct fs_file *out = fs_file_make(fs, flags | FS_O_WRITE);
    if (p == NULL || in == NULL || out == NULL) {
        ramfs_mem_free(&fs->ram, p, sizeof(*p));
        fs_file_free(fs, in);
        fs_file_free(fs, out);
        return -ENFILE;
    }
    list_init(&p->readers_waiting);
    list_init(&p->writers_waiting);
    end_open(in, p);
    end_open(out, p);
    w->w[1] = (uint64_t)fs_client_add(client, in);
    w->w[2] = (uint64_t)fs_client_add(client, out);
    return 0;
}
