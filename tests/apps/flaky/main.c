/* A service that ends when it is asked for anything. */
#include <unistd.h>

#include "os/ipc.h"

static int64_t die(struct os_server *server, struct os_peer *peer, struct os_words *w)
{
    (void)server, (void)peer, (void)w;
    _exit(1);
}

static os_op_fn *const ops[] = {die};

int main(void)
{
    static struct os_server server = {.name = "flaky", .ops = ops, .nops = 1, .max_peers = 4};

    return os_server_start(&server) ? 2 : os_serve(&server);
}
