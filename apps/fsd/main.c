/* The file server: a file system in memory that begins as the bundle's files, and pipes.  Service "fs". */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/newc.h"
#include "libos/fs/serve.h"
#include "os/start.h"
#include "os/time.h"
#include "store.h"

static struct fs_server server;

static int add_bundle(void)
{
    const struct os_start_grant *bundle = os_start_grant_find(os_start_block(), "bundle", OS_GRANT_MEMORY);
    uint64_t at;
    unsigned skipped;
    if (bundle == NULL) {
        fprintf(stderr, "fsd: no bundle was granted; the files begin empty\n");
        return 0;
    }
    int err =
        fs_server_add_bundle(&server, (const void *)(uintptr_t)bundle->base, bundle->bytes, &at, &skipped);
    if (err == -ENOSPC)
        fprintf(stderr, "fsd: bundle: no memory at byte %llu\n", (unsigned long long)at);
    else if (err != 0)
        fprintf(stderr, "fsd: bundle: byte %llu: %s\n", (unsigned long long)at, newc_strerror(err));
    if (skipped > 0)
        fprintf(stderr, "fsd: bundle: %u entries are left out: unusable or repeated names\n", skipped);
    return err == -ENOSPC ? err : 0;
}

int main(void)
{
    int64_t limit = store_init();
    int err = limit < 0 ? (int)limit
                        : fs_server_init(&server, &store_ops, NULL, (uint64_t)limit, (uint32_t)os_ticks());
    if (err == 0)
        err = add_bundle();
    if (err == 0)
        err = fs_server_add_standard(&server);
    if (err == 0)
        err = os_server_start(&server.os);
    if (err == 0)
        err = os_serve(&server.os);
    if (err != 0)
        fprintf(stderr, "fsd: %s\n", strerror(-err));
    return err != 0;
}
