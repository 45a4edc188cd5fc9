/* ps: the processes, from the table that init lets everybody read. */
#include <inttypes.h>
#include <stdlib.h>

#include "../common/processes.h"
#include "../common/tool.h"

static const char help[] =
    "Usage: ps\n"
    "Lists the processes: number, parent, group, state (N being made, R runs or waits,\n"
    "Z ended and not asked for yet), memory in use and allowed in KiB, age in seconds, name.\n";

static void print_entry(const struct os_proc_entry *e)
{
    printf("%5" PRIu32 " %5" PRIu32 " %5" PRIu32 " %c %8" PRIu64 " %8" PRIu32 " %8" PRIu64 " %s\n", e->pid,
           e->ppid, e->pgid, tool_process_state(e), tool_process_kib(e), e->limit_pages * (PAGE_SIZE / 1024),
           tool_process_age(e), e->name);
}

static int by_pid(const void *a, const void *b)
{
    uint32_t pa = ((const struct os_proc_entry *)a)->pid, pb = ((const struct os_proc_entry *)b)->pid;

    return (pa > pb) - (pa < pb);
}

int main(int argc, char **argv)
{
    static struct os_proc_entry entries[OS_NPROC];
    size_t n;

    if (tool_help(argc, argv, help))
        return tool_finish("ps", TOOL_OK);
    if (argc > 1)
        return tool_usage("ps", "takes no operands", help);
    n = tool_processes(entries);
    qsort(entries, n, sizeof(entries[0]), by_pid);
    printf("  PID  PPID  PGID S  USED/KiB MAX/KiB    AGE/s NAME\n");
    for (size_t i = 0; i < n; i++)
        print_entry(&entries[i]);
    return tool_finish("ps", TOOL_OK);
}
