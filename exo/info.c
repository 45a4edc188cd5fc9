#include "info.h"

struct exo_system *system_info;

static struct info_table tables[EXO_NINFO_TABLES];

void info_set(enum exo_info_table table, paddr_t at, uint64_t npages)
{
    tables[table] = (struct info_table){.at = at, .npages = npages};
}

int info_page(uint64_t table, uint64_t page, paddr_t *out)
{
    if (table >= EXO_NINFO_TABLES)
        return -EXO_EINVAL;
    if (page >= tables[table].npages)
        return -EXO_ERANGE;
    out->v = tables[table].at.v + page * PAGE_SIZE;
    return 0;
}
