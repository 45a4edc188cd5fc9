/* ps: the processes, from the table that init lets everybody read. */
#include <inttypes.h>
#include <stdlib.h>

#include "../common/tool.h"
#include "os/proc.h"
#include "os/time.h"

static const char help[] =
    "Usage: ps\n"
    "Lists the processes: number, parent, group, state (N being made, R runs or waits,\n"
    "Z ended and not asked for yet), memory in use and allowed in KiB, age in seconds, name.\n";

static char state_letter(uint32_t state)
{
    return state == OS_PROC_NEW ? 'N' : state == OS_PROC_ZOMBIE ? 'Z' : 'R';
}

static void print_entry(const struct os_proc_entry *e)
{
    int64_t used = e->state == OS_PROC_ALIVE ? os_proc_used(e->pid) : 0;
    uint64_t age = os_ticks_to_ns(os_ticks() - e->start_ticks) / 1000000000;

    printf("%5" PRIu32 " %5" PRIu32 " %5" PRIu32 " %c %8" PRId64 " %8" PRIu32 " %8" PRIu64 " %s\n", e->pid,
           e->ppid, e->pgid, state_letter(e->state), used < 0 ? 0 : used * (PAGE_SIZE / 1024),
           e->limit_pages * (PAGE_SIZE / 1024), age, e->name);
}

static int by_pid(const void *a, const void *b)
{
    uint32_t pa = ((const struct os_proc_entry *)a)->pid, pb = ((const struct os_proc_entry *)b)->pid;

    return (pa > pb) - (pa < pb);
}

int main(int argc, char **argv)
{
    static struct os_proc_entry entries[OS_NPROC];
    size_t n = 0;

    if (tool_help(argc, argv, help))
        return tool_finish("ps", TOOL_OK);
    if (argc > 1)
        return tool_usage("ps", "takes no operands", help);
    for (uint32_t slot = 0; n < OS_NPROC && os_proc_next(&slot, &entries[n]);)
        n++;
    qsort(entries, n, sizeof(entries[0]), by_pid);
    printf("  PID  PPID  PGID S  USED/KiB MAX/KiB    AGE/s NAME\n");
    for (size_t i = 0; i < n; i++)
        print_entry(&entries[i]);
    return tool_finish("ps", TOOL_OK);
}
