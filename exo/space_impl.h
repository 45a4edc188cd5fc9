/* What space*.c share: tables, entries, flushes.  All of it under the space's lock.
 *
 *     root table  ->  ...  ->  table of level 1  ->  table of level 0  ->  page
 *                                                \-> large page: EXO_LARGE_PAGES frames, where a table of level 0 would be
 */
#ifndef EXO_SPACE_IMPL_H
#define EXO_SPACE_IMPL_H

#include "space.h"
#include "table.h"

_Static_assert(EXO_LARGE_PAGES == TABLE_ENTRIES, "a large page is what a table of pages translates");

/* Makes the tables above va's entry of this level, and *out point to that: 0, -EXO_EBOUND (a large page is in the way),
 * or why there is no frame for them; then none was made. */
int tables_make(struct space *space, uint64_t va, unsigned level, pte_t **out);
/* Frees va's tables from the lowest up, as far as they are empty. */
void tables_trim(struct space *space, uint64_t va);

void tables_trim_range(struct space *space, uint64_t va, uint64_t n);
/* All tables for the range exist and all its entries, of which the first is *first, are empty; or an error, and nothing has
 * changed. */
int tables_prepare(struct space *space, uint64_t va, uint64_t n, pte_t **first);

/* Nobody else's TLB knows of it, nor can before this CPU drops the space's lock. */
static inline bool only_here(const struct space *space)
{
    return space->cpus == 1ull << cpu_this()->id;
}
/* No TLB holds any of it once these return. */
static inline __attribute__((always_inline)) void flush_page(struct space *space, uint64_t va)
{
    arch_tlb_flush_page(space->asid, (uva_t){va}, only_here(space)); /* or the large one that it is in */
    arch_tlb_sync(only_here(space));
}
void flush_pages(struct space *space, uint64_t va, uint64_t n);
void flush_space(struct space *space);
/* After `entries` of them, for n pages from va on, have changed that TLBs may know: now, or some day. */
void forget(struct space *space, uint64_t va, uint64_t n, uint64_t entries, bool lazy);

/* What one call does with interrupts off, at most (docs/bounds.md). */
#define FRAMES_AT_ONCE 12u /* had and zeroed; or put back, each joining buddies of up to 18 orders */

/* Fills an empty entry: whose reference is counted already, or is to be. */
static inline void bind_counted(struct space *space, pte_t *entry, pte_t value)
{
    entry_set(entry, value);
    space->nbound++;
}

static inline __attribute__((always_inline)) void bind(struct space *space, pte_t *entry, pte_t value)
{
    if (pte_is_counted(value))
        frame_ref(paddr_to_pfn(pte_paddr(value)));
    bind_counted(space, entry, value);
}

/* Unbinds.  How many pages it looked at: all, or those in front of a large one, or fewer as only so much is freed at once. */
uint64_t pages_unbind(struct space *space, uint64_t va, uint64_t n, bool lazy);

/* What is left of a contiguous run goes back. */
void run_drop(struct space *space);

/* A space that is pinned is so no more. */
void asid_unpin(struct space *space);

/* The entry of the large page that va lies in, or NULL. */
pte_t *large_entry(const struct space *space, uint64_t va);
/* What a page's entry would be for the part of a large page at va; 0: there is none. */
pte_t large_part(const struct space *space, uint64_t va);

/* What the calls of space.h do where va lies in a large page: EXO_LARGE_PAGES, or -EXO_EINVAL where the range does not
 * cover all of it, or another error. */
int64_t large_unbind(struct space *space, uint64_t va, uint64_t n, bool lazy);
int64_t large_protect(struct space *space, uint64_t va, uint64_t n, unsigned prot, bool lazy);
/* Takes the frames of a large page for va, and zeroes a piece of them, or the last one, and binds them: space_alloc_run(). */
int large_begin(struct space *space, uint64_t va, const struct frame_want *want);
int64_t large_bind(struct space *space, unsigned prot);

/* Does this copy make a large page of a large page? */
bool large_copies(const struct space *src, uint64_t va, uint64_t sva, uint64_t n);
int64_t large_copy(struct space *dst, uint64_t va, struct space *src, uint64_t sva, unsigned prot,
                   unsigned max);

#endif
