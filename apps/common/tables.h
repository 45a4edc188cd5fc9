/* The kernel's tables, for programs whose manifest entry has `info`. */
#ifndef APPS_COMMON_TABLES_H
#define APPS_COMMON_TABLES_H

#include "os/exo.h"
#include "os/mem.h"
#include "os/rt.h"
#include "os/start.h"
#include "tool.h"

/* npages of a table, mapped read-only from its beginning; NULL and a word about it when that fails. */
static inline const void *tool_map_table(const char *tool, enum exo_info_table table, uint64_t npages)
{
    const struct os_start_grant *info = os_start_grant_find(os_start_block(), "info", OS_GRANT_INFO);
    const struct os_map what = {.kind = OS_REGION_WINDOW, .prot = EXO_PROT_READ, .npages = npages};
    uint64_t va;
    int rc;

    if (!info) {
        tool_complain(tool, "the kernel's tables", "the manifest entry does not grant `info`");
        return NULL;
    }
    rc = os_map_region(&what, &va);
    if (rc) {
        tool_complain(tool, "a table", strerror(-rc));
        return NULL;
    }
    for (uint64_t i = 0; i < npages; i++) {
        int64_t error = exo_info_map(info->handle, table, i, EXO_SELF_SPACE, va + i * PAGE_SIZE);

        if (error < 0) {
            tool_complain(tool, "a table", exo_strerror((int)error));
            return NULL;
        }
    }
    return (const void *)(uintptr_t)va;
}

#endif
