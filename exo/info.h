/* The kernel's tables that user mode may read: where they are, page by page. */
#ifndef EXO_INFO_H
#define EXO_INFO_H

#include "arch/arch.h"

extern struct exo_system *system_info; /* the page that every program may read */

struct info_table {
    paddr_t at;
    uint64_t npages;
};

/* Boot: says where a table lies. */
void info_set(enum exo_info_table table, paddr_t at, uint64_t npages);
/* The frame of one page: 0, -EXO_EINVAL (no such table), -EXO_ERANGE (past its end). */
int info_page(uint64_t table, uint64_t page, paddr_t *out);

#endif
