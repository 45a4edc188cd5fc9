/* Our own page tables, as the kernel shows them: the root's last slot points to the root, so that the entry for
 * an address stands at tables + va / 4096 * 8, and the entry for the page that holds that entry is found in the same
 * way.  An entry of 0 binds nothing.  An entry of a large page leads to no table: below it is nothing to be read. */
#include "rt/general_regs.h"

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

static uint64_t entry(uint64_t va, unsigned level)
{
    return *(const volatile uint64_t *)entry_address(va, level);
}

static bool is_block(uint64_t entry, unsigned level)
{
    return level == 1 && entry && !(entry & 2); /* Arm ARM D8.3: bit 1 is set in tables and pages */
}

/* How much around va is certainly unbound: the span of the first empty entry on the way down; 0: va is bound. */
static uint64_t empty_span(uint64_t va)
{
    for (unsigned level = LEVELS; level-- > 0;) {
        uint64_t found = entry(va, level);

        if (is_block(found, level))
            break;
        if (found == 0)
            return 1ull << (PAGE_SHIFT + 9 * level);
    }
    return 0;
}

bool arch_is_large(uint64_t va)
{
    return entry(va, 2) && is_block(entry(va, 1), 1);
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

#define ENTRY_VALID (1ull << 0)
#define ENTRY_USER (1ull << 6)
#define ENTRY_READ_ONLY (1ull << 7)
#define ENTRY_NO_EXEC (1ull << 54) /* at EL0 */

bool arch_page_allows(uint64_t va, uint64_t access)
{
    uint64_t found;

    if (va >= os_system()->user_top || empty_span(va))
        return false;
    found = entry(va, arch_is_large(va) ? 1 : 0);
    return found & ENTRY_VALID && found & ENTRY_USER &&
           !(access & EXO_PROT_WRITE && found & ENTRY_READ_ONLY) &&
           !(access & EXO_PROT_EXEC && found & ENTRY_NO_EXEC);
}

uint64_t arch_read_only(uint64_t va, uint64_t n)
{
    uint64_t i = 0, in_table = (align_up(va + 1, EXO_LARGE_BYTES) - va) / PAGE_SIZE;
    const volatile uint64_t *leaf = (const volatile uint64_t *)entry_address(va, 0);

    if (va >= os_system()->user_top || empty_span(va) || arch_is_large(va))
        return 0;
    n = min_u64(n, in_table);
    while (i < n && (leaf[i] & (ENTRY_VALID | ENTRY_USER | ENTRY_READ_ONLY)) ==
                        (ENTRY_VALID | ENTRY_USER | ENTRY_READ_ONLY))
        i++;
    return i;
}
