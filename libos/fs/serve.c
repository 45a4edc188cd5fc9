/* The file server's clients and their ids. */
#include "libos/fs/serve.h"

#include <errno.h>
#include <string.h>

#include "libos/fs/ramfs_impl.h"
#include "os/proc.h"

/* ---- open files ---------------------------------------------------------------------------------------------- */

struct fs_file *fs_file_make(struct fs_server *fs, uint32_t flags)
{
    struct fs_file *file = ramfs_mem_alloc(&fs->ram, sizeof(*file));
    if (file != NULL)
        file->flags = flags;
    return file;
}

void fs_file_free(struct fs_server *fs, struct fs_file *file)
{
    ramfs_mem_free(&fs->ram, file, sizeof(*file));
}

static void file_unref(struct fs_server *fs, struct fs_file *file)
{
    if (--file->refs > 0)
        return;
    if (file->pipe != NULL)
        fs_pipe_close(fs, file);
    if (file->node != NULL)
        ramfs_release(&fs->ram, file->node);
    fs_file_free(fs, file);
}

/* ---- clients ------------------------------------------------------------------------------------------------- */

struct fs_client *fs_client_get(struct fs_server *fs, struct os_peer *peer)
{
    if (peer->data != NULL)
        return peer->data;
    struct fs_client *client = ramfs_mem_alloc(&fs->ram, sizeof(*client));
    if (client == NULL)
        return NULL;
    client->peer = peer;
    list_init(&client->waiting);
    for (uint32_t id = FS_FILES_MAX; id > 0; id--) {
        client->next_free[id - 1] = client->first_free;
        client->first_free = id;
    }
    peer->data = client;
    return client;
}

struct fs_file *fs_client_file(const struct fs_client *client, uint64_t id)
{
    return id == 0 || id > FS_FILES_MAX ? NULL : client->files[id - 1];
}

int fs_client_add(struct fs_client *client, struct fs_file *file)
{
    uint32_t id = client->first_free;
    if (id == 0)
        return -EMFILE;
    client->first_free = client->next_free[id - 1];
    client->files[id - 1] = file;
    file->refs++;
    return (int)id;
}

static void client_remove(struct fs_server *fs, struct fs_client *client, uint32_t id)
{
    struct fs_file *file = client->files[id - 1];
    if (client->moved_id == id)
        client->moved_id = 0;
    client->files[id - 1] = NULL;
    client->next_free[id - 1] = client->first_free;
    client->first_free = id;
    file_unref(fs, file);
}

static void client_gone(struct os_server *os, struct os_peer *peer)
{
    struct fs_server *fs = fs_server_of(os);
    struct fs_client *client = peer->data;
    if (client == NULL)
        return;
    fs_pipe_cancel(client);
    for (uint32_t id = 1; id <= FS_FILES_MAX; id++)
        if (client->files[id - 1] != NULL)
            client_remove(fs, client, id);
    peer->data = NULL;
    ramfs_mem_free(&fs->ram, client, sizeof(*client));
}

static void client_cancel(struct os_server *os, struct os_peer *peer)
{
    (void)os;
    if (peer->data != NULL)
        fs_pipe_cancel(peer->data);
}

static void client_undelivered(struct os_server *os, struct os_peer *peer, const struct os_words *answer)
{
    if (peer->data != NULL)
        fs_pipe_undelivered(fs_server_of(os), peer->data, (int64_t)answer->w[0]);
}

/* ---- ids as operations --------------------------------------------------------------------------------------- */

int64_t fs_op_close(struct os_server *os, struct os_peer *peer, struct os_words *w)
{
    struct fs_client *client = peer->data;
    if (client == NULL || fs_client_file(client, w->w[1]) == NULL)
        return -EBADF;
    client_remove(fs_server_of(os), client, (uint32_t)w->w[1]);
    return 0;
}

/* Only a parent may give, and only to its child. */
static int64_t op_share(struct os_server *os, struct os_peer *peer, struct os_words *w)
{
    struct fs_client *client = peer->data;
    struct fs_file *file = client == NULL ? NULL : fs_client_file(client, w->w[1]);
    struct os_proc_entry entry;
    if (file == NULL)
        return -EBADF;
    if (w->w[2] > UINT32_MAX || !os_proc_find((uint32_t)w->w[2], &entry))
        return -ESRCH;
    if (entry.ppid != peer->pid)
        return -EPERM;
    struct os_peer *child = os_peer_make(os, entry.pid);
    struct fs_client *heir = child == NULL ? NULL : fs_client_get(fs_server_of(os), child);
    return heir == NULL ? -ENOMEM : fs_client_add(heir, file);
}

static int64_t op_use(struct os_server *os, struct os_peer *peer, struct os_words *w)
{
    struct fs_server *fs = fs_server_of(os);
    (void)peer;
    w->w[1] = fs->ram.limit_bytes;
    w->w[2] = fs->ram.used_bytes;
    w->w[3] = fs->ram.nodes;
    return 0;
}

#define OP(name) [FS_OP_##name - OS_OP_FIRST]
static os_op_fn *const ops[FS_OP_END - OS_OP_FIRST] = {
    OP(OPEN) = fs_op_open,
    OP(CLOSE) = fs_op_close,
    OP(READ) = fs_op_read,
    OP(WRITE) = fs_op_write,
    OP(SEEK) = fs_op_seek,
    OP(STAT) = fs_op_stat,
    OP(STAT_PATH) = fs_op_stat_path,
    OP(READDIR) = fs_op_readdir,
    OP(MKDIR) = fs_op_mkdir,
    OP(RMDIR) = fs_op_rmdir,
    OP(UNLINK) = fs_op_unlink,
    OP(RENAME) = fs_op_rename,
    OP(LINK) = fs_op_link,
    OP(TRUNCATE) = fs_op_truncate,
    OP(CHMOD) = fs_op_chmod,
    OP(UTIME) = fs_op_utime,
    OP(FLAGS) = fs_op_flags,
    OP(PIPE) = fs_op_pipe,
    OP(SHARE) = op_share,
    OP(USE) = op_use,
};

int fs_server_init(struct fs_server *fs, const struct ramfs_ops *memory, void *ctx, uint64_t limit_bytes,
                   uint32_t seed)
{
    fs->os = (struct os_server){
        .name = FS_SERVICE,
        .ops = ops,
        .nops = ARRAY_LEN(ops),
        .max_peers = 1024,
        .ctx = fs,
        .gone = client_gone,
        .cancel = client_cancel,
        .undelivered = client_undelivered,
    };
    return ramfs_init(&fs->ram, memory, ctx, limit_bytes, seed);
}
