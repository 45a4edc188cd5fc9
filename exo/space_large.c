/* Large pages: one entry of level 1 that binds EXO_LARGE_PAGES frames, aligned in both address spaces.
 *
 * They are bound, protected and unbound whole.  Copies may also bind parts of one as ordinary pages: all of them, and pins,
 * count at the head's frame, so the run lives while anything of it is in use.  In space->run waits one that is being
 * zeroed, with frames that nothing binds yet. */
#include "space_impl.h"

#include "cpu.h"

#define PIECE                                                                                                \
    24u /* pages that one call zeroes: about as much work as to take the run, which the first call does */

static bool aligned(uint64_t va)
{
    return !(va & (EXO_LARGE_BYTES - 1));
}

pte_t *large_entry(const struct space *space, uint64_t va)
{
    pte_t *entry = table_walk(space->root, va, 1);

    return entry && *entry && !pte_is_table(*entry) ? entry : NULL;
}

pte_t large_part(const struct space *space, uint64_t va)
{
    const pte_t *entry = large_entry(space, va);
    paddr_t pa;

    if (!entry)
        return 0;
    pa = (paddr_t){pte_paddr(*entry).v + (va & (EXO_LARGE_BYTES - 1) & ~PAGE_MASK)};
    return pte_leaf(pa, pte_prot(*entry), pte_max(*entry), pte_memory(*entry));
}

/* The empty entry that a large page may take: 0, -EXO_EDEAD, -EXO_EBOUND, or why there is no frame for tables. */
static int prepare(struct space *space, uint64_t va, pte_t **out)
{
    int rc = space->ending ? -EXO_EDEAD : tables_make(space, va, 1, out);

    if (!rc && **out)
        rc = -EXO_EBOUND;
    if (!rc && tlb_lazy_overlaps(&space->lazy, va, EXO_LARGE_PAGES))
        flush_space(space);
    return rc;
}

int64_t large_unbind(struct space *space, uint64_t va, uint64_t n, bool lazy)
{
    pte_t *entry = large_entry(space, va);
    pfn_t head;

    if (!aligned(va) || n < EXO_LARGE_PAGES)
        return -EXO_EINVAL;
    head = paddr_to_pfn(pte_paddr(*entry));
    entry_set(entry, 0);
    space->nbound--;
    forget(space, va, EXO_LARGE_PAGES, 1, lazy);
    if (lazy && space_in_tlb(space))
        frame_note_stale(frame_entry(head));
    frame_unref(head); /* only now may anybody else have the frames */
    tables_trim(space, va);
    return EXO_LARGE_PAGES;
}

int64_t large_protect(struct space *space, uint64_t va, uint64_t n, unsigned prot, bool lazy)
{
    pte_t *entry = large_entry(space, va);

    if (!aligned(va) || n < EXO_LARGE_PAGES)
        return -EXO_EINVAL;
    if (!pte_may(*entry, prot))
        return -EXO_ERIGHTS;
    *entry = pte_block(pte_paddr(*entry), prot, pte_max(*entry), pte_memory(*entry));
    forget(space, va, EXO_LARGE_PAGES, 1, lazy);
    return EXO_LARGE_PAGES;
}

bool large_copies(const struct space *src, uint64_t va, uint64_t sva, uint64_t n)
{
    return aligned(va) && aligned(sva) && n >= EXO_LARGE_PAGES && large_entry(src, sva);
}

int64_t large_copy(struct space *dst, uint64_t va, struct space *src, uint64_t sva, unsigned prot,
                   unsigned max)
{
    pte_t from = *large_entry(src, sva), *to;
    int rc = 0;

    if (!pte_may(from, prot | max))
        rc = -EXO_ERIGHTS;
    else
        rc = frame_ref_check(paddr_to_pfn(pte_paddr(from)), dst->account);
    if (!rc)
        rc = prepare(dst, va, &to);
    if (rc)
        return rc;
    bind(dst, to, pte_block(pte_paddr(from), prot, max, pte_memory(from)));
    arch_table_sync();
    return EXO_LARGE_PAGES;
}

/* ---- new ones, in pieces ---------------------------------------------------------------------------------- */

int large_begin(struct space *space, uint64_t va, const struct frame_want *want)
{
    const pte_t *entry = table_walk(space->root, va, 1);
    int rc = space->ending ? -EXO_EDEAD : entry && *entry ? -EXO_EBOUND : 0;
    pfn_t pfn;

    if (rc)
        return rc;
    run_drop(space);
    rc = frame_alloc_large(space->account, want, &pfn);
    if (!rc)
        space->run = (struct space_run){.pfn = pfn, .left = EXO_LARGE_PAGES, .va = va, .large = true};
    return rc;
}

/* Zeroes up to n pages of the run, at least one. */
static uint64_t zero_piece(struct space_run *run, uint64_t n)
{
    uint64_t done = 0;

    for (; done < n && !(done && arch_irq_pending()); done++)
        frame_zero(run->pfn + (pfn_t)done);
    run->pfn += (pfn_t)done;
    run->left -= done;
    run->va += done * PAGE_SIZE;
    return done;
}

/* The last piece: what may fail comes first. */
static int64_t finish(struct space *space, unsigned prot)
{
    uint64_t va = space->run.va & ~(EXO_LARGE_BYTES - 1), done;
    pte_t *entry;
    int rc = prepare(space, va, &entry);

    if (rc) {
        if (rc != NEEDS_WORLD)
            run_drop(space);
        return rc;
    }
    done = zero_piece(&space->run, space->run.left);
    if (space->run.left) {
        tables_trim(space, va); /* an interrupt waits */
        return (int64_t)done;
    }
    bind(space, entry,
         pte_block(pfn_to_paddr(space->run.pfn - EXO_LARGE_PAGES), prot, EXO_PROT_ALL, MEMORY_NORMAL));
    arch_table_sync();
    space->run = (struct space_run){0};
    return (int64_t)done;
}

int64_t large_bind(struct space *space, unsigned prot)
{
    if (space->run.left > PIECE)
        return (int64_t)zero_piece(&space->run, space->run.left == EXO_LARGE_PAGES ? 1 : PIECE);
    return finish(space, prot);
}
