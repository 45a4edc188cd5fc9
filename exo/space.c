#include "space_impl.h"

#include "base/range.h"
#include "cpu.h"
#include "panic.h"
#include "space_page.h"

#define TABLES_AT_ONCE 3u /* looked through for what is bound, at most (docs/bounds.md) */
#define RANGE_HURRIED 8u  /* pages that a range call does when an interrupt waits already */

bool space_range_ok(uint64_t va, uint64_t n)
{
    return !(va & PAGE_MASK) && n <= system_info->table_va >> PAGE_SHIFT &&
           range_fits(va, n << PAGE_SHIFT, system_info->table_va);
}

uint64_t space_piece(uint64_t n)
{
    return min_u64(n, arch_irq_pending() ? RANGE_HURRIED : EXO_RANGE_MAX);
}

/* ---- spaces --------------------------------------------------------------------------------------------- */

int space_new(struct account *account, struct space **out)
{
    struct space *space;
    pfn_t pfn, root;
    int rc = frame_alloc(account, EXO_FRAME_SPACE, NULL, &pfn);

    if (rc)
        return rc;
    rc = frame_alloc(account, EXO_FRAME_TABLE, NULL, &root);
    if (rc) {
        frame_free(pfn);
        return rc;
    }
    space = frame_address(pfn);
    space->lock.rank = EXO_LOCK_SPACE;
    space->account = account;
    space->root = root;
    list_init(&space->in_env);
    frame_ref(root);
    ((pte_t *)frame_address(root))[ARCH_TABLE_SLOT] = pte_table(pfn_to_paddr(root));
    *out = space;
    return 0;
}

/* Moves *va up to the next page, or large page, that is bound, but looks through a few tables only: true where it is there. */
static bool next_bound(struct space *space, uint64_t *va)
{
    if (frame_entry(space->root)->entries == 0)
        *va = system_info->table_va;
    for (unsigned tables = 0; tables < TABLES_AT_ONCE && *va < system_info->table_va; tables++) {
        pte_t *table = frame_address(space->root);
        unsigned level = ARCH_PT_LEVELS - 1, at;
        uint64_t span;

        while (level > 0 && pte_is_table(table[index_at(*va, level)]))
            table = table_of(table[index_at(*va, level--)]);
        span = 1ull << (PAGE_SHIFT + 9 * level);
        at = index_at(*va, level);
        if (table[at]) {
            *va = align_down(*va, span);
            return true;
        }
        while (at < TABLE_ENTRIES && !table[at])
            at++;
        *va = align_down(*va, span * TABLE_ENTRIES) + at * span;
    }
    return false;
}

/* Its ASID, which no TLB may hold any more, goes to others. */

/* Is it in some CPU's MMU?  None of them runs a vcpu in it: such a CPU is inside the kernel, waits for the world, and loads
 * another space, or none, before it leaves. */
static bool is_loaded(const struct space *space)
{
    for (unsigned i = 0; i < ncpus; i++)
        if (cpus[i].loaded == space)
            return true;
    return false;
}

static void space_free(struct space *space)
{
    pfn_t root = space->root;

    ASSERT(space->nvcpus == 0);
    flush_space(space);
    asid_unpin(space);
    list_remove(&space->in_env);
    run_drop(space);
    frame_entry(root)->refs--;
    frame_free(root);
    frame_free(paddr_to_pfn(virt_to_phys(space)));
}

bool space_end_step(struct space *space)
{
    space->ending = true;
    if (next_bound(space, &space->cursor)) {
        space_unbind(space, space->cursor, (system_info->table_va - space->cursor) >> PAGE_SHIFT, false);
        return false;
    }
    if (space->cursor < system_info->table_va || is_loaded(space))
        return false;
    space_free(space);
    return true;
}

bool space_lookup(struct space *space, uint64_t va, struct binding *out)
{
    pte_t *entry, pte;

    lock_take(&space->lock);
    entry = table_walk(space->root, va, 0);
    pte = entry ? *entry : large_part(space, va);
    lock_drop(&space->lock);
    if (!pte)
        return false;
    *out = (struct binding){.pfn = paddr_to_pfn(pte_paddr(pte)),
                            .prot = (uint8_t)pte_prot(pte),
                            .max = (uint8_t)pte_max(pte),
                            .memory = pte_memory(pte)};
    return true;
}

int space_pinnable(struct space *space, uint64_t va, const struct account *account, pfn_t *out)
{
    struct binding binding;

    if (!space_lookup(space, va, &binding))
        return -EXO_EUNBOUND;
    if (!(binding.max & EXO_PROT_WRITE))
        return -EXO_ERIGHTS;
    if (binding.memory != MEMORY_NORMAL || frame_entry(binding.pfn)->kind != EXO_FRAME_USER)
        return -EXO_EINVAL;
    *out = binding.pfn;
    return frame_ref_check(binding.pfn, account);
}

/* ---- bindings ------------------------------------------------------------------------------------------- */

/* The entries of a range, as far as they are in one table: how many, at *entry; NULL: there is no table. */
static uint64_t entries_of(struct space *space, uint64_t va, uint64_t n, pte_t **entry)
{
    *entry = table_walk(space->root, va, 0);
    return min_u64(n, TABLE_ENTRIES - index_at(va, 0));
}

/* What pages_unbind() leaves to be done, in this order, once entries are cleared: TLBs forget, frames go, empty tables go. */
struct unbound {
    uint64_t first, last, n; /* pages of the range; n 0: there were none */
    uint64_t frees;          /* what giving the frames back costs at most: frame_unref_cost() */
    uint64_t ngone;
    bool emptied;
    struct exo_frame *gone[EXO_RANGE_MAX]; /* frame_holder() */
};

/* Clears entries of one table, at most `some`; i is the first one's place in the range.  How many it looked at. */
static uint64_t clear_entries(struct space *space, pte_t *entry, uint64_t i, uint64_t some, struct unbound *u)
{
    uint64_t before = u->n, k;

    for (k = 0; k < some && u->frees < FRAMES_AT_ONCE * FRAME_COST; k++) {
        pte_t pte = entry[k];

        if (!pte)
            continue;
        if (pte_is_counted(pte)) {
            u->gone[u->ngone] = frame_holder(paddr_to_pfn(pte_paddr(pte)));
            u->frees += frame_unref_cost(u->gone[u->ngone++]);
        }
        entry[k] = 0;
        u->first = u->n++ ? u->first : i + k;
        u->last = i + k;
    }
    space->nbound -= u->n - before;
    if (u->n > before)
        u->emptied |= entries_add(entry, (int64_t)(before - u->n));
    return k;
}

uint64_t pages_unbind(struct space *space, uint64_t va, uint64_t n, bool lazy)
{
    struct unbound u;
    uint64_t i = 0;

    ASSERT(n <= EXO_RANGE_MAX);
    u.first = u.last = u.n = u.frees = u.ngone = 0;
    u.emptied = false;
    while (i < n && u.frees < FRAMES_AT_ONCE * FRAME_COST) {
        pte_t *entry;
        uint64_t some = entries_of(space, va + i * PAGE_SIZE, n - i, &entry);

        if (!entry && large_entry(space, va + i * PAGE_SIZE))
            break;
        i += entry ? clear_entries(space, entry, i, some, &u)
                   : some; /* nothing up to where the next table begins */
    }
    if (u.n && space_in_tlb(space) && !lazy)
        flush_pages(space, va + u.first * PAGE_SIZE, u.last - u.first + 1);
    if (u.n && space_in_tlb(space) && lazy) {
        arch_table_sync();
        tlb_lazy_add(&space->lazy, va, i);
        for (uint64_t k = 0; k < u.ngone; k++)
            frame_note_stale(u.gone[k]);
    }
    for (uint64_t k = 0; k < u.ngone; k++) /* only now may anybody else have the frames */
        if (frame_unref_last(u.gone[k]))
            frame_unrefd(u.gone[k]);
    if (u.emptied)
        tables_trim_range(space, va, i);
    return i;
}

static int64_t bind_new(struct space *space, uint64_t va, uint64_t n, unsigned prot,
                        const struct frame_want *want)
{
    struct frame_want next = *want;
    pte_t *entry = NULL;
    uint64_t done = 0;
    int rc;

    n = min_u64(n, FRAMES_AT_ONCE);
    rc = tables_prepare(space, va, n, &entry);
    if (rc)
        return rc;
    while (done < n && !(done && arch_irq_pending())) {
        pfn_t pfn;

        rc = frame_alloc(space->account, EXO_FRAME_USER, &next, &pfn);
        if (rc)
            break;
        if (done)
            entry = table_step(space->root, entry, va + done * PAGE_SIZE);
        frame_ref_first(pfn);
        bind_counted(space, entry, pte_leaf(pfn_to_paddr(pfn), prot, EXO_PROT_ALL, MEMORY_NORMAL));
        done++;
        if (next.pfn != EXO_WANT_ANY)
            next.pfn++;
    }
    arch_table_sync();
    for (uint64_t undone = 0; rc && undone < done;)
        undone += pages_unbind(space, va + undone * PAGE_SIZE, done - undone, false);
    if (rc || done < n)
        tables_trim_range(space, va, n);
    return rc ? rc : (int64_t)done;
}

int64_t space_bind_new(struct space *space, uint64_t va, uint64_t n, unsigned prot,
                       const struct frame_want *want)
{
    int64_t rc;

    lock_take(&space->lock);
    rc = bind_new(space, va, n, prot, want);
    lock_drop(&space->lock);
    return rc;
}

/* ---- ranges ------------------------------------------------------------------------------------------------- */

static int bind_fixed(struct space *space, uint64_t va, paddr_t pa, uint64_t n, unsigned prot,
                      enum memory_type memory)
{
    pte_t *entry = NULL;
    int rc = tables_prepare(space, va, n, &entry);

    if (rc)
        return rc;
    for (uint64_t i = 0; i < n; i++) {
        if (i)
            entry = table_step(space->root, entry, va + i * PAGE_SIZE);
        bind(space, entry, pte_leaf((paddr_t){pa.v + i * PAGE_SIZE}, prot, prot, memory));
    }
    arch_table_sync();
    return 0;
}

int space_bind_fixed(struct space *space, uint64_t va, paddr_t pa, uint64_t n, unsigned prot,
                     enum memory_type memory)
{
    int rc;

    lock_take(&space->lock);
    rc = bind_fixed(space, va, pa, n, prot, memory);
    lock_drop(&space->lock);
    return rc;
}

/* The bitwise and of n entries, two at a time. */
static pte_t entries_and(const pte_t *entry, uint64_t n)
{
    const pte_t *end = entry + (n & ~1UL);
    pte_t all = n & 1 ? *end : ~(pte_t)0;

#pragma GCC unroll 4
    for (; entry < end; entry += 2) {
        pte_t first = entry[0], second = entry[1];

        all &= first & second;
    }
    return all;
}

static void entries_protect(pte_t *entry, uint64_t n, unsigned prot)
{
    pte_t *end = entry + (n & ~1UL);

    if (n & 1)
        *end = pte_protected(*end, prot);
#pragma GCC unroll 4
    for (; entry < end; entry += 2) {
        pte_t first = entry[0], second = entry[1];

        entry[0] = pte_protected(first, prot);
        entry[1] = pte_protected(second, prot);
    }
}

/* Why they may not have these rights.  One of them may not. */
static int rights_lack(const pte_t *entry, unsigned rights)
{
    while (pte_may(*entry, rights))
        entry++;
    return *entry ? -EXO_ERIGHTS : -EXO_EUNBOUND;
}

/* Is all of the range bound, and may have these rights?  *n becomes how many pages are in front of a large one. */
static int rights_check(struct space *space, uint64_t va, uint64_t *n, unsigned rights)
{
    pte_t *entry;

    for (uint64_t i = 0, some; i < *n; i += some) {
        some = entries_of(space, va + i * PAGE_SIZE, *n - i, &entry);
        if (!entry && large_entry(space, va + i * PAGE_SIZE)) {
            *n = i;
            return 0;
        }
        if (!entry)
            return -EXO_EUNBOUND;
        if (!pte_may(entries_and(entry, some), rights))
            return rights_lack(entry, rights);
    }
    return 0;
}

static int64_t protect(struct space *space, uint64_t va, uint64_t asked, unsigned prot, bool lazy)
{
    uint64_t n = space_piece(asked);
    pte_t *entry;
    int rc = rights_check(space, va, &n, prot);

    if (rc)
        return rc;
    if (n == 0)
        return asked ? large_protect(space, va, asked, prot, lazy) : 0;
    for (uint64_t i = 0, some; i < n; i += some) {
        some = entries_of(space, va + i * PAGE_SIZE, n - i, &entry);
        entries_protect(entry, some, prot);
    }
    forget(space, va, n, n, lazy);
    return (int64_t)n;
}

int64_t space_protect(struct space *space, uint64_t va, uint64_t n, unsigned prot, bool lazy)
{
    int64_t rc;

    lock_take(&space->lock);
    rc = protect(space, va, n, prot, lazy);
    lock_drop(&space->lock);
    return rc;
}

int64_t space_unbind(struct space *space, uint64_t va, uint64_t n, bool lazy)
{
    int64_t done;

    lock_take(&space->lock);
    done = (int64_t)pages_unbind(space, va, space_piece(n), lazy);
    if (done == 0 && n)
        done = large_unbind(space, va, n, lazy);
    lock_drop(&space->lock);
    return done;
}

void space_page_end(struct space *space, uint64_t va, struct exo_frame *last, bool emptied)
{
    if (last)
        frame_unrefd(last);
    if (emptied)
        tables_trim(space, va);
}

static void sync_pages(struct space *space, uint64_t va, uint64_t n)
{
    flush_pages(space, va, n);
    if (tlb_lazy_inside(&space->lazy, va, n))
        tlb_lazy_end(&space->lazy);
}

void space_sync(struct space *space, uint64_t va, uint64_t n)
{
    lock_take(&space->lock);
    if (n > EXO_RANGE_MAX)
        flush_space(space);
    else if (n && space_in_tlb(space))
        sync_pages(space, va, n);
    lock_drop(&space->lock);
}
