/* Page tables, of address spaces and of devices' domains alike: frames of TABLE_ENTRIES entries, whose entries in use are
 * counted in the frame table (exo_frame.entries), so that an empty one is known.  Level 0 is the leaves'. */
#ifndef EXO_TABLE_H
#define EXO_TABLE_H

#include "frame.h"

#define TABLE_ENTRIES 512u

static inline unsigned index_at(uint64_t va, unsigned level)
{
    return va >> (PAGE_SHIFT + 9 * level) & (TABLE_ENTRIES - 1);
}

static inline pte_t *table_of(pte_t entry)
{
    return phys_to_virt(pte_paddr(entry));
}

/* So many of an entry's table are in use more, or fewer.  True: none is. */
static inline __attribute__((always_inline)) bool entries_add(const pte_t *entry, int64_t more)
{
    struct exo_frame *f = frame_entry_inline(paddr_to_pfn(virt_to_phys(entry)));

    f->entries = (uint16_t)(f->entries + more);
    return f->entries == 0;
}
/* True: its table is empty now. */
static inline __attribute__((always_inline)) bool entry_set(pte_t *entry, pte_t value)
{
    int64_t more = (value != 0) - (*entry != 0);

    *entry = value;
    return entries_add(entry, more);
}
/* The entry of this level for va, or NULL where a table above it is missing. */
pte_t *table_walk(pfn_t root, uint64_t va, unsigned level);
static inline __attribute__((always_inline)) pte_t *table_walk_inline(pfn_t root, uint64_t va, unsigned level)
{
    pte_t *table = frame_address(root);

    for (unsigned at = ARCH_PT_LEVELS - 1; at > level; at--) {
        pte_t entry = table[index_at(va, at)];

        if (!pte_is_table(entry))
            return NULL;
        table = table_of(entry);
    }
    return &table[index_at(va, level)];
}

/* May it, or may all those that it is the bitwise and of, have these rights?  Not where one is empty: READ is among the rights of
 * all that is bound. */
static inline bool pte_may(pte_t entry, unsigned rights)
{
    return !((rights | EXO_PROT_READ) & ~pte_max(entry));
}

/* Of an entry that is in use.  What has no frame-table entry (device registers, doorbells) has no references. */
static inline bool pte_is_counted(pte_t entry)
{
    return pte_memory(entry) == MEMORY_NORMAL;
}

/* From *va on, the first binding below `end` of a frame that `by` is reclaiming (NULL: of anything): how many pages it binds,
 * and *va is its address; large pages that the range does not cover whole are passed over.  0: *va is how far it came, `end`
 * or, after *looks entries, less.  *looks becomes what is left of them. */
uint64_t table_seek(pfn_t root, uint64_t *va, uint64_t end, const struct account *by, unsigned *looks);

/* Steps through the leaf entries of a range: walks anew only where the table ends. */
static inline pte_t *table_step(pfn_t root, pte_t *entry, uint64_t va)
{
    return entry && index_at(va, 0) ? entry + 1 : table_walk(root, va, 0);
}

#endif
