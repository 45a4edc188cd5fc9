/* Our own page tables, as the kernel shows them: the root's last slot points to the root, so that the entry for
 * an address stands at tables + va / 4096 * 8, and the entry for the page that holds that entry is found in the same
 * way.  An entry of 0 binds nothing. */
#include "rt/arch.h"
#include "os/exo.h"

#define USER_BITS 39u
#define LEVELS 3u

/* The address of the entry that covers va at a level; 0 is the leaves'. */
static uint64_t entry_address(uint64_t va, unsigned level)
{
    uint64_t tables = os_system()->table_va;

    for (unsigned i = 0; i <= level; i++)
        va = tables + ((va & ((1ull << USER_BITS) - 1)) >> PAGE_SHIFT) * 8;
    return va;
}

/* How much around va is certainly unbound: the span of the first empty entry on the way down; 0: va is bound. */
static uint64_t empty_span(uint64_t va)
{
    for (unsigned level = LEVELS; level-- > 0;) {
        if (*(const volatile uint64_t *)entry_address(va, level) == 0)
            return 1ull << (PAGE_SHIFT + 9 * level);
    }
    return 0;
}

uint64_t arch_next_bound(uint64_t va, uint64_t end)
{
    while (va < end) {
        uint64_t span = empty_span(va);

        if (span == 0)
            return va;
        va = align_down(va, span) + span;
    }
    return end;
}
