#include "space_impl.h"

#include "base/range.h"
#include "cpu.h"
#include "panic.h"
#include "space_page.h"

#define RANGE_HURRIED 8u /* pages that a range call does when an interrupt waits already */
#define ASIDS_MAX (1u << 16)
/* And never more than a quarter of the ASIDs: a bound on what a new one has to pass over. */
#define PINNED_MAX 64u

/* What one call does with interrupts off, at most (docs/bounds.md). */
#define FRAMES_AT_ONCE 12u /* had and zeroed; or put back, each joining buddies of up to 18 orders */
#define TABLES_AT_ONCE 3u  /* looked through for what is bound */

uint64_t space_generation = 1;
static paddr_t empty_root_table;
static uint32_t asid_next = 1;               /* under its lock; 0 is the empty space's */
static uint64_t asid_pinned[ASIDS_MAX / 64]; /* under its lock */
/* Taken in this generation before it began to count; world mode. */
static uint32_t asid_kept[EXO_CPUS_MAX + PINNED_MAX];
static unsigned nkept, npinned;

void spaces_init(paddr_t empty_root)
{
    empty_root_table = empty_root;
}

bool space_range_ok(uint64_t va, uint64_t n)
{
    return !(va & PAGE_MASK) && n <= system_info->table_va >> PAGE_SHIFT &&
           range_fits(va, n << PAGE_SHIFT, system_info->table_va);
}

uint64_t space_piece(uint64_t n)
{
    return min_u64(n, arch_irq_pending() ? RANGE_HURRIED : EXO_RANGE_MAX);
}

/* ---- tables --------------------------------------------------------------------------------------------- */

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

static void trim_range(struct space *space, uint64_t va, uint64_t n)
{
    uint64_t last_table = UINT64_MAX;

    for (uint64_t i = 0; i < n; i++, va += PAGE_SIZE) {
        if (va >> 21 != last_table)
            tables_trim(space, va);
        last_table = va >> 21;
    }
}

/* All tables for the range exist and all its entries, of which the first is *first, are empty; or an error, and nothing has
 * changed. */
static int range_prepare(struct space *space, uint64_t va, uint64_t n, pte_t **first)
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
        trim_range(space, va, n);
    else if (tlb_lazy_overlaps(&space->lazy, va, n))
        flush_space(space); /* an address changes its page only when no TLB holds the one before */
    return rc;
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
static void pin_drop(struct space *space)
{
    if (!space->pinned)
        return;
    if (space->asid_generation)
        asid_pinned[space->asid / 64] &= ~(1ull << space->asid % 64);
    space->asid_generation = 0;
    space->pinned = false;
    npinned--;
}

void run_drop(struct space *space)
{
    if (space->run.large)
        frame_run_free(space->run.pfn & ~(pfn_t)(EXO_LARGE_PAGES - 1), EXO_LARGE_PAGES);
    else if (space->run.left)
        frame_run_free(space->run.pfn, space->run.left);
    space->run = (struct space_run){0};
}

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
    pin_drop(space);
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

/* Its reference is counted. */
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

/* The entries of a range, as far as they are in one table: how many, at *entry; NULL: there is no table. */
static uint64_t entries_of(struct space *space, uint64_t va, uint64_t n, pte_t **entry)
{
    *entry = table_walk(space->root, va, 0);
    return min_u64(n, TABLE_ENTRIES - index_at(va, 0));
}

/* What unbind() leaves to be done, in this order, once entries are cleared: TLBs forget, frames go, empty tables go. */
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

/* How many pages it looked at: all, or those in front of a large one, or fewer as only so much is freed at once. */
static uint64_t unbind(struct space *space, uint64_t va, uint64_t n, bool lazy)
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
        trim_range(space, va, i);
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
    rc = range_prepare(space, va, n, &entry);
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
        undone += unbind(space, va + undone * PAGE_SIZE, done - undone, false);
    if (rc || done < n)
        trim_range(space, va, n);
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

/* ---- contiguous runs --------------------------------------------------------------------------------------- */

static int run_begin(struct space *space, uint64_t va, uint64_t n, const struct frame_want *want)
{
    pfn_t pfn;
    int rc;

    if (space->ending)
        return -EXO_EDEAD;
    run_drop(space);
    rc = frame_alloc_run(space->account, n, want, &pfn);
    if (!rc)
        space->run = (struct space_run){.pfn = pfn, .left = n, .va = va};
    return rc;
}

static int run_resume(struct space *space, uint64_t va, uint64_t n, bool large)
{
    const struct space_run *run = &space->run;

    if (run->left == 0 || run->large != large || (n && (run->left != n || run->va != va)))
        return -EXO_ESTATE;
    if (n == 0)
        run_drop(space);
    return 0;
}

/* At most FRAMES_AT_ONCE, at least one, and 0 or an error. */
static int run_piece(struct space *space, unsigned prot)
{
    uint64_t n = min_u64(space->run.left, FRAMES_AT_ONCE);
    uint64_t va = space->run.va, done = 0;
    pte_t *entry = NULL;
    int rc = range_prepare(space, va, n, &entry);

    if (rc)
        return rc;
    for (; done < n && !(done && arch_irq_pending()); done++) {
        frame_zero(space->run.pfn);
        if (done)
            entry = table_step(space->root, entry, space->run.va);
        bind(space, entry, pte_leaf(pfn_to_paddr(space->run.pfn), prot, EXO_PROT_ALL, MEMORY_NORMAL));
        space->run.pfn++;
        space->run.left--;
        space->run.va += PAGE_SIZE;
    }
    if (done < n)
        trim_range(space, va, n);
    return 0;
}

static int64_t run_bind(struct space *space, unsigned prot)
{
    uint64_t total = space->run.left;
    int rc = run_piece(space, prot);

    arch_table_sync();
    total -= space->run.left;
    if (rc != NEEDS_WORLD && (rc || space->run.left == 0))
        run_drop(space);
    return total ? (int64_t)total : rc;
}

/* Between the two halves nobody else may have the space: he could give the run back, or begin another. */
int64_t space_alloc_run(struct space *space, uint64_t va, uint64_t n, uint64_t flags,
                        const struct frame_want *want)
{
    bool large = flags & EXO_ALLOC_LARGE;
    unsigned prot = flags & EXO_PROT_ALL;
    int64_t rc;

    lock_take(&space->lock);
    if (flags & EXO_ALLOC_MORE)
        rc = run_resume(space, va, n, large);
    else
        rc = large ? large_begin(space, va, want) : run_begin(space, va, n, want);
    if (!rc && n)
        rc = large ? large_bind(space, prot) : run_bind(space, prot);
    lock_drop(&space->lock);
    return rc;
}

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
        undone += unbind(dst, va + undone * PAGE_SIZE, done - undone, false);
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
        rc = range_prepare(dst, va, n, &to);
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

/* ---- ranges ------------------------------------------------------------------------------------------------- */

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

static int bind_fixed(struct space *space, uint64_t va, paddr_t pa, uint64_t n, unsigned prot,
                      enum memory_type memory)
{
    pte_t *entry = NULL;
    int rc = range_prepare(space, va, n, &entry);

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
    done = (int64_t)unbind(space, va, space_piece(n), lazy);
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

/* ---- ASIDs ---------------------------------------------------------------------------------------------- */

void space_unload(void)
{
    cpu_this()->loaded = NULL;
    arch_space_load(empty_root_table, 0);
}

static bool taken(uint32_t asid)
{
    if (asid_pinned[asid / 64] & 1ull << asid % 64)
        return true;
    for (unsigned i = 0; i < nkept; i++)
        if (asid_kept[i] == asid)
            return true;
    return false;
}

/* The next that is free in this generation, 0: none. */
static uint32_t asid_draw(void)
{
    uint32_t asid;

    lock_take(lock_shared(EXO_LOCK_ASID));
    while (asid_next < ASIDS_MAX && taken(asid_next))
        asid_next++;
    asid = asid_next >> arch_asid_bits() ? 0 : asid_next++;
    lock_drop(lock_shared(EXO_LOCK_ASID));
    return asid;
}

static void pin_mark(uint32_t asid)
{
    lock_take(lock_shared(EXO_LOCK_ASID));
    asid_pinned[asid / 64] |= 1ull << asid % 64;
    lock_drop(lock_shared(EXO_LOCK_ASID));
}

/* What the frame table shows of it. */
static void space_show(const struct space *space)
{
    struct exo_frame *f = frame_entry(paddr_to_pfn(virt_to_phys(space)));

    f->entries = (uint16_t)space->asid;
    f->cpus = space->cpus;
}

/* Under its lock: it has an ASID, and this CPU is among those that may know it. */
static bool space_enter(struct space *space)
{
    if (!space_in_tlb(space)) {
        uint32_t asid = asid_draw();

        if (!asid)
            return false;
        /* In this order: space_load looks without the lock, and believes the others once it sees the generation. */
        __atomic_store_n(&space->cpus, 0, __ATOMIC_RELAXED);
        space->asid = asid;
        __atomic_store_n(&space->asid_generation, space_generation, __ATOMIC_RELEASE);
        if (space->pinned)
            pin_mark(asid);
    }
    __atomic_store_n(&space->cpus, space->cpus | 1ull << cpu_this()->id, __ATOMIC_RELAXED);
    space_show(space);
    return true;
}

bool space_has_asid(const struct cpu *cpu, const struct space *space)
{
    return space_in_tlb(space) && __atomic_load_n(&space->cpus, __ATOMIC_RELAXED) & 1ull << cpu->id;
}

bool space_load_other(struct space *space)
{
    struct cpu *cpu = cpu_this();

    if (!space_has_asid(cpu, space)) {
        bool entered;

        lock_take(&space->lock);
        entered = space_enter(space);
        lock_drop(&space->lock);
        if (!entered)
            return false;
    }
    space_set(cpu, space);
    return true;
}

static void keep(struct space *space)
{
    if (space->pinned || space->asid_generation == space_generation)
        return;
    space->asid_generation = space_generation;
    asid_kept[nkept++] = space->asid;
}

void spaces_rollover(void)
{
    nkept = 0;
    space_generation++;
    for (unsigned i = 0; i < ncpus; i++)
        if (cpus[i].loaded && cpus[i].loaded->asid_generation == space_generation - 1)
            keep(cpus[i].loaded);
    asid_next = 1;
    tlb_flush_all();
}

int space_pin(struct space *space)
{
    if (space->pinned)
        return -EXO_ESTATE;
    if (npinned >= min_u64(PINNED_MAX, (1ull << arch_asid_bits()) / 4))
        return -EXO_EFULL;
    if (space_in_tlb(space))
        pin_mark(space->asid);
    else
        space->asid_generation =
            0; /* the one that it had is another's; it gets a new one when it is loaded */
    space->pinned = true;
    npinned++;
    return 0;
}

/* It keeps its ASID like any other, until the next generation. */
int space_unpin(struct space *space)
{
    uint32_t asid = space->asid;
    bool has = space->asid_generation != 0;

    if (!space->pinned)
        return -EXO_ESTATE;
    if (has && nkept == sizeof(asid_kept) / sizeof(asid_kept[0])) {
        spaces_rollover(); /* forgets those kept so far */
    }
    pin_drop(space);
    if (has) {
        space->asid_generation = space_generation;
        asid_kept[nkept++] = asid;
    }
    return 0;
}
