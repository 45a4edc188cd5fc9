/* Copies of bindings, from one space to another or within one: page_map, and pages that go along with messages. */
#include "space_page.h"

/* Steps through a range that is to be copied: what stands there, also where that is a part of a large page; 0: nothing. */
static pte_t next_source(struct space *space, pte_t **entry, uint64_t va)
{
    *entry = table_step(space->root, *entry, va);
    return *entry ? **entry : large_part(space, va);
}

/* May this account's space get copies of all of the range, with these rights?  *first is what stands at its first page, *entry
 * where.  (A frame that has room for more references has it for all that come from here, even if it stands there more than
 * once.) */
static int source_check(struct space *space, uint64_t va, uint64_t n, unsigned rights,
                        const struct account *to, pte_t **entry, pte_t *first)
{
    pte_t *at = NULL;
    int rc = 0;

    for (uint64_t i = 0; i < n; i++) {
        pte_t pte = next_source(space, &at, va + i * PAGE_SIZE);

        if (!pte_may(pte, rights))
            return pte ? -EXO_ERIGHTS : -EXO_EUNBOUND;
        if (!rc && pte_is_counted(pte))
            rc = frame_ref_check(paddr_to_pfn(pte_paddr(pte)), to);
        if (i == 0) {
            *entry = at;
            *first = pte;
        }
    }
    return rc;
}

/* Copies what lies in one table each at a time.  False: nothing has changed, and something is in the way or missing. */
static bool copy_by_tables(struct space *dst, uint64_t va, struct space *src, uint64_t sva, uint64_t n,
                           unsigned prot, unsigned max)
{
    uint64_t done = 0, some;

    if ((index_at(va, 0) + n > TABLE_ENTRIES && !page_at(dst, va + (n - 1) * PAGE_SIZE)) ||
        (index_at(sva, 0) + n > TABLE_ENTRIES && !page_at(src, sva + (n - 1) * PAGE_SIZE)))
        return false;
    for (; done < n; done += some) {
        uint64_t to = va + done * PAGE_SIZE, from = sva + done * PAGE_SIZE;

        some = min_u64(n - done, TABLE_ENTRIES - max_u64(index_at(to, 0), index_at(from, 0)));
        if (!pages_copy(dst, to, src, from, some, prot, max))
            break;
    }
    if (done == n)
        return true;
    for (uint64_t undone = 0; undone < done;)
        undone += pages_unbind(dst, va + undone * PAGE_SIZE, done - undone, false);
    return false;
}

static int copy(struct space *dst, uint64_t va, struct space *src, uint64_t sva, uint64_t n, unsigned prot,
                unsigned max)
{
    pte_t *from = NULL, *to = NULL, pte = 0;
    int rc;

    if (ARCH_FAST_PATHS && copy_by_tables(dst, va, src, sva, n, prot, max))
        return 0;
    rc = source_check(src, sva, n, prot | max, dst->account, &from, &pte);
    if (!rc)
        rc = tables_prepare(dst, va, n, &to);
    if (rc)
        return rc;
    for (uint64_t i = 0; i < n; i++) {
        if (i) {
            pte = next_source(src, &from, sva + i * PAGE_SIZE);
            to = table_step(dst->root, to, va + i * PAGE_SIZE);
        }
        bind(dst, to, pte_leaf(pte_paddr(pte), prot, max, pte_memory(pte)));
    }
    arch_table_sync();
    return 0;
}

/* A piece of n pages, or a large page. */
static int64_t map(struct space *dst, uint64_t va, struct space *src, uint64_t sva, uint64_t n, unsigned prot,
                   unsigned max)
{
    uint64_t ahead = EXO_LARGE_PAGES - index_at(sva, 0); /* to where the next one could begin */
    int rc;

    if (large_copies(src, va, sva, n))
        return large_copy(dst, va, src, sva, prot, max);
    if (n > ahead && large_copies(src, va + ahead * PAGE_SIZE, sva + ahead * PAGE_SIZE, n - ahead))
        n = ahead;
    n = space_piece(n);
    rc = copy(dst, va, src, sva, n, prot, max);
    return rc ? rc : (int64_t)n;
}

static void lock_both(struct space *a, struct space *b)
{
    struct space *first = a < b ? a : b;

    lock_take(&first->lock);
    if (a != b)
        lock_take(first == a ? &b->lock : &a->lock);
}

static void drop_both(struct space *a, struct space *b)
{
    if (a != b)
        lock_drop(&b->lock);
    lock_drop(&a->lock);
}

int space_copy(struct space *dst, uint64_t va, struct space *src, uint64_t sva, uint64_t n, unsigned prot,
               unsigned max)
{
    int rc;

    lock_both(dst, src);
    if (ARCH_FAST_PATHS && n == 1 && pages_copy(dst, va, src, sva, 1, prot, max))
        rc = 0;
    else
        rc = copy(dst, va, src, sva, n, prot, max);
    drop_both(dst, src);
    return rc;
}

int64_t space_map(struct space *dst, uint64_t va, struct space *src, uint64_t sva, uint64_t n, unsigned prot,
                  unsigned max)
{
    int64_t rc;

    lock_both(dst, src);
    rc = map(dst, va, src, sva, n, prot, max);
    drop_both(dst, src);
    return rc;
}
