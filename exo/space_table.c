/* The tables of a space, made and freed as entries come and go, and what TLBs know of them. */
#include "space_impl.h"

static int table_new(struct space *space, pte_t *entry)
{
    pfn_t pfn;
    int rc = frame_alloc(space->account, EXO_FRAME_TABLE, NULL, &pfn);

    if (rc)
        return rc;
    frame_ref(pfn);
    entry_set(entry, pte_table(pfn_to_paddr(pfn)));
    return 0;
}

void flush_pages(struct space *space, uint64_t va, uint64_t n)
{
    arch_tlb_flush_pages(space->asid, (uva_t){va}, n, only_here(space));
    arch_tlb_sync(only_here(space));
}

void forget(struct space *space, uint64_t va, uint64_t n, uint64_t entries, bool lazy)
{
    if (space_in_tlb(space) && !lazy) {
        flush_pages(space, va, entries);
        return;
    }
    arch_table_sync();
    if (space_in_tlb(space))
        tlb_lazy_add(&space->lazy, va, n);
}

void flush_space(struct space *space)
{
    if (!space_in_tlb(space))
        return;
    arch_tlb_flush_asid(space->asid, only_here(space));
    arch_tlb_sync(only_here(space));
    tlb_lazy_end(&space->lazy);
}

/* Frees va's tables from the lowest up, as far as they are empty.  All are unlinked, then no TLB holds them (walk
 * caches, and the tables' own window), and only then may anybody else have the frames. */
void tables_trim(struct space *space, uint64_t va)
{
    pte_t *path[ARCH_PT_LEVELS];
    pte_t *table = frame_address(space->root);
    unsigned level = ARCH_PT_LEVELS - 1;
    pfn_t gone[ARCH_PT_LEVELS];
    unsigned ngone = 0;

    for (; level > 0; level--) {
        path[level] = &table[index_at(va, level)];
        if (!pte_is_table(*path[level]))
            break;
        table = table_of(*path[level]);
    }
    for (level++; level < ARCH_PT_LEVELS; level++) {
        pfn_t pfn = paddr_to_pfn(pte_paddr(*path[level]));

        if (frame_entry(pfn)->entries)
            break;
        entry_set(path[level], 0);
        gone[ngone++] = pfn;
    }
    if (ngone)
        flush_space(space);
    while (ngone) {
        frame_entry(gone[--ngone])->refs--;
        frame_free(gone[ngone]);
    }
}

int tables_make(struct space *space, uint64_t va, unsigned to, pte_t **out)
{
    pte_t *table = frame_address(space->root);

    for (unsigned level = ARCH_PT_LEVELS - 1; level > to; level--) {
        pte_t *entry = &table[index_at(va, level)];
        int rc = !*entry ? table_new(space, entry) : pte_is_table(*entry) ? 0 : -EXO_EBOUND;

        if (rc) {
            tables_trim(space, va);
            return rc;
        }
        table = table_of(*entry);
    }
    *out = &table[index_at(va, to)];
    return 0;
}

void tables_trim_range(struct space *space, uint64_t va, uint64_t n)
{
    uint64_t last_table = UINT64_MAX;

    for (uint64_t i = 0; i < n; i++, va += PAGE_SIZE) {
        if (va >> 21 != last_table)
            tables_trim(space, va);
        last_table = va >> 21;
    }
}

int tables_prepare(struct space *space, uint64_t va, uint64_t n, pte_t **first)
{
    pte_t *entry = NULL;
    int rc = space->ending ? -EXO_EDEAD : 0;

    for (uint64_t i = 0; i < n && !rc; i++) {
        uint64_t at = va + i * PAGE_SIZE;

        entry = table_step(space->root, entry, at);
        if (!entry)
            rc = tables_make(space, at, 0, &entry);
        if (!rc && *entry)
            rc = -EXO_EBOUND;
        if (i == 0)
            *first = entry;
    }
    if (rc)
        tables_trim_range(space, va, n);
    else if (tlb_lazy_overlaps(&space->lazy, va, n))
        flush_space(space); /* an address changes its page only when no TLB holds the one before */
    return rc;
}
