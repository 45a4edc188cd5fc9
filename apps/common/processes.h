/* The process table, as ps and top show it. */
#ifndef APPS_COMMON_PROCESSES_H
#define APPS_COMMON_PROCESSES_H

#include "os/proc.h"
#include "os/time.h"

/* Copies of all entries, in the table's order; their number. */
static inline size_t tool_processes(struct os_proc_entry entries[OS_NPROC])
{
    size_t n = 0;

    for (uint32_t slot = 0; n < OS_NPROC && os_proc_next(&slot, &entries[n]);)
        n++;
    return n;
}

static inline char tool_process_state(const struct os_proc_entry *e)
{
    return e->state == OS_PROC_NEW ? 'N' : e->state == OS_PROC_ZOMBIE ? 'Z' : 'R';
}

/* Memory in use in KiB, what is reserved for its children included; 0 where there is none. */
static inline uint64_t tool_process_kib(const struct os_proc_entry *e)
{
    int64_t frames = e->state == OS_PROC_ALIVE ? os_proc_used(e->pid) : 0;

    return frames < 0 ? 0 : (uint64_t)frames * (PAGE_SIZE / 1024);
}

static inline uint64_t tool_process_age(const struct os_proc_entry *e)
{
    return os_ticks_to_ns(os_ticks() - e->start_ticks) / 1000000000;
}

#endif
