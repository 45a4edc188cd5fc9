/* The regions that a program finds when it starts, without having mapped them. */
#include <errno.h>

#include "mem/mem.h"

#include "os/exo.h"
#include "os/layout.h"
#include "os/rt.h"
#include "rt/rt.h"

extern char os_image_start[], etext[], os_rodata_end[], os_data_start[], end[]; /* app.ld */

static void add_fixed(enum os_region_kind kind, uint64_t from, uint64_t to, unsigned prot)
{
    struct region *r;

    from = align_down(from, PAGE_SIZE);
    to = align_up(to, PAGE_SIZE);
    if (from >= to || !region_clear(&mem.set, from, to))
        return;
    r = region_new(&mem.pool);
    r->va = from;
    r->end = to;
    r->kind = (uint8_t)kind;
    r->prot = (uint8_t)prot;
    region_insert(&mem.set, r);
}

/* What is there without our doing. */
static void add_given(void)
{
    const struct exo_system *system = os_system();

    add_fixed(OS_REGION_IMAGE, (uint64_t)os_image_start, (uint64_t)etext, EXO_PROT_READ | EXO_PROT_EXEC);
    add_fixed(OS_REGION_IMAGE, align_up((uint64_t)etext, PAGE_SIZE), (uint64_t)os_rodata_end, EXO_PROT_READ);
    add_fixed(OS_REGION_IMAGE, (uint64_t)os_data_start, (uint64_t)end, EXO_PROT_READ | EXO_PROT_WRITE);
    add_fixed(OS_REGION_WINDOW, OS_SYSTEM_VA, OS_POOL_END, EXO_PROT_READ | EXO_PROT_WRITE);
    if (os_start_info() == OS_SYSTEM_VA) { /* the first environment finds these besides */
        add_fixed(OS_REGION_WINDOW, system->bundle_va, system->bundle_va + system->bundle_bytes,
                  EXO_PROT_READ);
        add_fixed(OS_REGION_WINDOW, system->tree_va, system->tree_va + system->tree_bytes, EXO_PROT_READ);
    }
}

int mem_start(void)
{
    mem.pool_end = OS_POOL_VA;
    rt_set_memory(&mem_for_rt);
    if (mem_reserve_nodes(8))
        return -ENOMEM;
    add_given();
    return 0;
}
