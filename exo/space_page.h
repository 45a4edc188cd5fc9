/* What most calls of page_map, page_protect and page_unmap ask for: one page, or a few in one table.
 *
 * Each does what the range's function in space.h would, under the space's lock, where all is there and nothing in the way.
 * False: it is not so, and nothing has changed.  For one page nothing is called, so that a call made of this needs no stack. */
#ifndef EXO_SPACE_PAGE_H
#define EXO_SPACE_PAGE_H

#include "space_impl.h"

static inline __attribute__((always_inline)) pte_t *page_at(const struct space *space, uint64_t va)
{
    return table_walk_inline(space->root, va, 0);
}

static inline __attribute__((always_inline)) void page_sync(struct space *space, uint64_t va)
{
    if (space_in_tlb(space))
        flush_page(space, va);
    else
        arch_table_sync();
}

/* Of n pages, both times in one table, in spaces that may be two. */
static inline __attribute__((always_inline)) bool pages_copy(struct space *space, uint64_t va,
                                                             const struct space *source, uint64_t from,
                                                             uint64_t n, unsigned prot, unsigned max)
{
    const pte_t *old = page_at(source, from);
    pte_t *new = page_at(space, va), in_the_way = 0, all = ~(pte_t)0;
    uint64_t i;

    if (!old || !new || space->ending || tlb_lazy_any(&space->lazy))
        return false;
    for (i = 0; i < n; i++) {
        all &= old[i];
        in_the_way |= new[i];
    }
    if (in_the_way || !pte_may(all, prot | max))
        return false;
    for (i = 0; i < n; i++)
        if (!pte_is_counted(old[i]) || !frame_ref_try(paddr_to_pfn(pte_paddr(old[i]))))
            break;
    if (i < n) {
        while (i-- > 0)
            frame_unref(paddr_to_pfn(pte_paddr(old[i])));
        return false;
    }
    for (i = 0; i < n; i++)
        new[i] = pte_leaf(pte_paddr(old[i]), prot, max, MEMORY_NORMAL);
    entries_add(new, (int64_t)n);
    space->nbound += n;
    arch_table_sync();
    return true;
}

static inline __attribute__((always_inline)) bool page_protect(struct space *space, uint64_t va,
                                                               unsigned prot)
{
    pte_t *entry = page_at(space, va);

    if (!entry || !pte_may(*entry, prot))
        return false;
    *entry = pte_protected(*entry, prot);
    page_sync(space, va);
    return true;
}

/* What is left to do once the page is unbound: *last, if it was the frame's last binding; and, where its table is empty now, to
 * free that: space_page_end(). */
static inline __attribute__((always_inline)) bool page_unbind(struct space *space, uint64_t va,
                                                              struct exo_frame **last, bool *emptied)
{
    pte_t *entry = page_at(space, va);
    pte_t pte = entry ? *entry : 0;

    if (!pte || !pte_is_counted(pte))
        return false;
    *emptied = entry_set(entry, 0);
    space->nbound--;
    page_sync(space, va);
    *last = frame_holder(paddr_to_pfn(pte_paddr(pte)));
    if (!frame_unref_last(*last)) /* only now may anybody else have it */
        *last = NULL;
    return true;
}

void space_page_end(struct space *space, uint64_t va, struct exo_frame *last, bool emptied);

#endif
