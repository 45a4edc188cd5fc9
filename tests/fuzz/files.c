/* Requests to the file server, by three clients who mean harm: K14, K20, F1.  No request reaches outside of its client's
 * buffer, nothing is left when all clients are gone, and every answer is one that os/fs.h has. */
#include <errno.h>
#include <string.h>

#include "counted_memory.h"
#include "fuzz.h"
#include "libos/fs/serve.h"
#include "os/proc.h"

enum { NPEERS = 3, BUF = 512, REQUESTS_MAX = 400 };

static struct fs_server fs;
static struct client {
    struct os_peer peer; /* pid 10 + index; client 1's parent is client 0 */
    bool waiting;
} clients[NPEERS];
static struct counted_memory mem;

void os_reply(struct os_server *server, struct os_peer *peer, int64_t result, const struct os_words *w)
{
    struct client *c = (struct client *)peer;

    (void)w;
    FUZZ_ASSERT(server == &fs.os && c->waiting && result >= -200);
    c->waiting = false;
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

static void stop_waiting(struct client *client)
{
    if (client->waiting)
        fs.os.cancel(&fs.os, &client->peer);
    client->waiting = false;
}

/* A word: mostly small, sometimes anything. */
static uint64_t word(struct fuzz_bytes *in)
{
    uint64_t kind = fuzz_take(in, 1);

    return kind < 240 ? kind % 32 : kind < 250 ? fuzz_take(in, 2) : fuzz_take(in, 8);
}

static void request(struct fuzz_bytes *in)
{
    struct client *client = &clients[fuzz_take(in, 1) % NPEERS];
    uint64_t op = fuzz_take(in, 1) % fs.os.nops;
    struct os_words w = {{0}};
    int64_t result;

    for (unsigned i = 1; i < 6; i++)
        w.w[i] = word(in);
    w.w[0] = OS_OP_FIRST + op;
    stop_waiting(client);
    result = fs.os.ops[op] ? fs.os.ops[op](&fs.os, &client->peer, &w) : -ENOSYS;
    client->waiting = result == OS_DEFER;
    FUZZ_ASSERT(client->waiting || result >= -200);
}

static void fill(struct fuzz_bytes *in)
{
    struct client *client = &clients[fuzz_take(in, 1) % NPEERS];
    size_t at = fuzz_take(in, 1) % 64, n = fuzz_take(in, 1) % 32;

    for (; n && in->left; n--)
        ((uint8_t *)client->peer.buf)[at++] = (uint8_t)fuzz_take(in, 1);
}

static void gone(struct client *client)
{
    stop_waiting(client);
    fs.os.gone(&fs.os, &client->peer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_bytes in = {data, size};

    mem = (struct counted_memory){.until_failure = -1};
    FUZZ_ASSERT(fs_server_init(&fs, &counted_ops, &mem, 1u << 16, 99) == 0);
    for (unsigned i = 0; i < NPEERS; i++) {
        clients[i] = (struct client){.peer = {.pid = 10 + i, .buf_bytes = BUF}};
        clients[i].peer.buf = calloc(1, BUF);
    }
    for (unsigned n = 0; in.left && n < REQUESTS_MAX; n++)
        switch (fuzz_take(&in, 1) % 16) {
        case 0:
            gone(&clients[fuzz_take(&in, 1) % NPEERS]);
            break;
        case 1:
            mem.until_failure = (long)(fuzz_take(&in, 1) % 16) - 1;
            break;
        case 2:
        case 3:
        case 4:
        case 5:
            fill(&in);
            break;
        default:
            request(&in);
        }
    mem.until_failure = -1;
    for (unsigned i = 0; i < NPEERS; i++) {
        gone(&clients[i]);
        free(clients[i].peer.buf);
    }
    ramfs_fini(&fs.ram);
    FUZZ_ASSERT(mem.bytes == 0);
    return 0;
}
