/* hoard: an application that refuses to give memory back. */
#include <stdlib.h>
#include <unistd.h>

#include "../common/tool.h"
#include "os/mem.h"
#include "os/revoke.h"

static const char help[] =
    "usage: hoard [PAGES]\n"
    "Takes PAGES pages of memory, 512 if not said, and keeps them whoever asks (see limit).\n";

static volatile uint64_t asked;

static void refuse(const struct os_revoke *what)
{
    if (what->kind == EXO_REVOKE_FRAMES)
        asked = what->number;
}

int main(int argc, char **argv)
{
    struct os_map what = {.kind = OS_REGION_ANON,
                          .prot = EXO_PROT_READ | EXO_PROT_WRITE,
                          .flags = OS_MAP_POPULATE,
                          .npages = 512};
    uint64_t va;
    int rc;

    if (tool_help(argc, argv, help))
        return tool_finish("hoard", TOOL_OK);
    if (argc > 2)
        return tool_usage("hoard", "takes one size", help);
    if (argc == 2 && (!tool_number(argv[1], &what.npages) || !what.npages)) {
        tool_complain("hoard", argv[1], "not a number of pages");
        return TOOL_USAGE;
    }
    os_on_revoke(refuse);
    rc = os_map_region(&what, &va);
    if (rc) {
        errno = -rc;
        tool_error("hoard", "memory");
        return TOOL_FAILED;
    }
    printf("hoard: %u pages\n", (unsigned)what.npages);
    for (;;) {
        fflush(stdout);
        while (!asked)
            usleep(2000);
        printf("hoard: asked for %u pages: no\n", (unsigned)asked);
        asked = 0;
    }
}
