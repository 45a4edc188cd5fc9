/* free: the machine's memory, from the page that the kernel keeps for everybody. */
#include <inttypes.h>

#include "../common/tool.h"
#include "os/exo.h"

static const char help[] =
    "Usage: free\n"
    "Prints the machine's memory in KiB: all that programs may have, used, free; and what the\n"
    "kernel's image and tables take besides.  exoinfo tells more.\n";

static uint64_t kib(uint64_t frames)
{
    return frames * (PAGE_SIZE / 1024);
}

int main(int argc, char **argv)
{
    const struct exo_system *system = os_system();
    uint64_t free_frames = exo_frames(system, EXO_FRAME_FREE), used = 0;
    uint64_t own = exo_frames(system, EXO_FRAME_KERNEL) + exo_frames(system, EXO_FRAME_INFO);

    if (tool_help(argc, argv, help))
        return tool_finish("free", TOOL_OK);
    if (argc > 1)
        return tool_usage("free", "takes no operands", help);
    for (unsigned kind = EXO_FRAME_USER; kind <= EXO_FRAME_IOTABLE; kind++)
        used += exo_frames(system, kind);
    printf("%12s %12s %12s %12s\n", "total/KiB", "used", "free", "kernel");
    printf("%12" PRIu64 " %12" PRIu64 " %12" PRIu64 " %12" PRIu64 "\n", kib(used + free_frames), kib(used),
           kib(free_frames), kib(own));
    return tool_finish("free", TOOL_OK);
}
