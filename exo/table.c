#include "table.h"

bool entry_set(pte_t *entry, pte_t value)
{
    struct exo_frame *f = frame_entry(paddr_to_pfn(virt_to_phys(entry)));

    f->entries = (uint16_t)(f->entries + (value != 0) - (*entry != 0));
    *entry = value;
    return f->entries == 0;
}

pte_t *table_walk(pfn_t root, uint64_t va, unsigned level)
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
