#include "table.h"

pte_t *table_walk(pfn_t root, uint64_t va, unsigned level)
{
    return table_walk_inline(root, va, level);
}

/* What an entry at a level above the leaves' spares: the first address behind what it covers. */
static uint64_t behind(uint64_t va, unsigned level)
{
    uint64_t span = 1ull << (PAGE_SHIFT + 9 * level);

    return align_down(va, span) + span;
}

/* The large page at va: does it begin there and end before `end`? */
static bool large_is_inside(uint64_t va, uint64_t end)
{
    return !(va & (EXO_LARGE_BYTES - 1)) && end - va >= EXO_LARGE_BYTES;
}

static bool is_sought(pte_t entry, const struct account *by)
{
    if (!by)
        return entry != 0;
    return entry && pte_is_counted(entry) && frame_reclaimer(paddr_to_pfn(pte_paddr(entry))) == by;
}

uint64_t table_seek(pfn_t root, uint64_t *va, uint64_t end, const struct account *by, unsigned *looks)
{
    while (*va < end && *looks) {
        pte_t *table = frame_address(root);
        unsigned level = ARCH_PT_LEVELS - 1;

        while (level > 0 && pte_is_table(table[index_at(*va, level)]))
            table = table_of(table[index_at(*va, level--)]);
        if (level > 0) {
            if (level == 1 && is_sought(table[index_at(*va, 1)], by) && large_is_inside(*va, end))
                return EXO_LARGE_PAGES;
            *va = behind(*va, level);
            --*looks;
            continue;
        }
        do {
            if (is_sought(table[index_at(*va, 0)], by))
                return 1;
            *va += PAGE_SIZE;
            --*looks;
        } while (index_at(*va, 0) && *va < end && *looks);
    }
    *va = min_u64(*va, end);
    return 0;
}
