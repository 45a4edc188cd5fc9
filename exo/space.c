#include "space.h"

#include "base/range.h"
#include "cpu.h"
#include "panic.h"

#define TABLE_ENTRIES 512u
#define ASIDS_MAX (1u << 16)
#define PINNED_MAX                                                                                           \
    64u /* and never more than a quarter of the ASIDs: a bound on what a new one has to pass over */

static paddr_t empty_root_table;
static uint64_t asid_generation = 1;
static uint32_t asid_next = 1; /* 0 is the empty space's */
static uint64_t asid_pinned[ASIDS_MAX / 64];
static unsigned npinned;

void spaces_init(paddr_t empty_root)
{
    empty_root_table = empty_root;
}

bool space_range_ok(uint64_t va, uint64_t n)
{
    return !(va & PAGE_MASK) && n <= system_info->table_va >> PAGE_SHIFT &&
           range_fits(va, n << PAGE_SHIFT, system_info->table_va);
}

/* ---- tables --------------------------------------------------------------------------------------------- */

static unsigned index_at(uint64_t va, unsigned level)
{
    return va >> (PAGE_SHIFT + 9 * level) & (TABLE_ENTRIES - 1);
}

static struct exo_frame *table_frame(const pte_t *entry)
{
    return frame_entry(paddr_to_pfn(virt_to_phys(entry)));
}

static void entry_set(pte_t *entry, pte_t value)
{
    struct exo_frame *f = table_frame(entry);

    f->entries = (uint16_t)(f->entries + (value != 0) - (*entry != 0));
    *entry = value;
}

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

static pte_t *table_of(pte_t entry)
{
    return phys_to_virt(pte_paddr(entry));
}

/* The leaf entry for va, or NULL where a table is missing. */
static pte_t *walk(struct space *space, uint64_t va)
{
    pte_t *table = frame_address(space->root);

    for (unsigned level = ARCH_PT_LEVELS - 1; level > 0; level--) {
        pte_t entry = table[index_at(va, level)];

        if (!pte_is_table(entry))
            return NULL;
        table = table_of(entry);
    }
    return &table[index_at(va, 0)];
}

static bool tlb_may_hold(const struct space *space)
{
    return space->asid_generation == asid_generation || (space->pinned && space->asid_generation);
}

static void flush_space(struct space *space)
{
    if (!tlb_may_hold(space))
        return;
    arch_tlb_flush_asid(space->asid);
    arch_tlb_sync();
    tlb_lazy_end(&space->lazy);
}

bool space_in_tlb(const struct space *space)
{
    return tlb_may_hold(space);
}

/* Frees va's tables from the lowest up, as far as they are empty.  All are unlinked, then no TLB holds them (walk
 * caches, and the tables' own window), and only then may anybody else have the frames. */
static void tables_trim(struct space *space, uint64_t va)
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

/* Makes va's tables. */
static int tables_make(struct space *space, uint64_t va)
{
    pte_t *table = frame_address(space->root);

    for (unsigned level = ARCH_PT_LEVELS - 1; level > 0; level--) {
        pte_t *entry = &table[index_at(va, level)];
        int rc = *entry ? 0 : table_new(space, entry);

        if (rc) {
            tables_trim(space, va);
            return rc;
        }
        table = table_of(*entry);
    }
    return 0;
}

/* Steps through the leaf entries of a range; walks anew only where the table ends. */
static pte_t *next_entry(struct space *space, pte_t *entry, uint64_t va)
{
    return entry && index_at(va, 0) ? entry + 1 : walk(space, va);
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

/* All tables for the range exist and all its entries are empty; or an error, and nothing has changed. */
static int range_prepare(struct space *space, uint64_t va, uint64_t n)
{
    pte_t *entry = NULL;
    int rc = space->ending ? -EXO_EDEAD : 0;

    for (uint64_t i = 0; i < n && !rc; i++) {
        uint64_t at = va + i * PAGE_SIZE;

        entry = next_entry(space, entry, at);
        if (!entry) {
            rc = tables_make(space, at);
            entry = rc ? NULL : walk(space, at);
        }
        if (entry && *entry)
            rc = -EXO_EBOUND;
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
    space->account = account;
    space->root = root;
    list_init(&space->in_env);
    frame_ref(root);
    ((pte_t *)frame_address(root))[ARCH_TABLE_SLOT] = pte_table(pfn_to_paddr(root));
    *out = space;
    return 0;
}

/* The first entry at or above va that is in use: its address, or the tables' window where there is none. */
static uint64_t next_bound(struct space *space, uint64_t va)
{
    while (va < system_info->table_va) {
        pte_t *table = frame_address(space->root);
        unsigned level = ARCH_PT_LEVELS - 1;

        while (level > 0 && pte_is_table(table[index_at(va, level)]))
            table = table_of(table[index_at(va, level--)]);
        if (level == 0 && table[index_at(va, 0)])
            return va;
        va = align_down(va, 1ull << (PAGE_SHIFT + 9 * level)) + (1ull << (PAGE_SHIFT + 9 * level));
    }
    return system_info->table_va;
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

static void space_free(struct space *space)
{
    pfn_t root = space->root;

    ASSERT(space->nvcpus == 0);
    if (cpu_this()->loaded == space)
        space_unload();
    flush_space(space);
    pin_drop(space);
    list_remove(&space->in_env);
    space_run_drop(space);
    frame_entry(root)->refs--;
    frame_free(root);
    frame_free(paddr_to_pfn(virt_to_phys(space)));
}

bool space_end_step(struct space *space)
{
    space->ending = true;
    space->cursor = next_bound(space, space->cursor);
    if (space->cursor < system_info->table_va) {
        uint64_t n = min_u64(EXO_RANGE_MAX, (system_info->table_va - space->cursor) >> PAGE_SHIFT);

        space_unbind(space, space->cursor, n, false);
        return false;
    }
    space_free(space);
    return true;
}

bool space_lookup(struct space *space, uint64_t va, struct binding *out)
{
    pte_t *entry = walk(space, va);

    if (!entry || !*entry)
        return false;
    *out = (struct binding){.pfn = paddr_to_pfn(pte_paddr(*entry)),
                            .prot = (uint8_t)pte_prot(*entry),
                            .max = (uint8_t)pte_max(*entry),
                            .memory = pte_memory(*entry)};
    return true;
}

/* ---- bindings ------------------------------------------------------------------------------------------- */

/* Device registers have no frame-table entry, hence no references. */
static bool counted(pte_t entry)
{
    return pte_memory(entry) == MEMORY_NORMAL;
}

static void bind(struct space *space, pte_t *entry, pte_t value)
{
    if (counted(value))
        frame_ref(paddr_to_pfn(pte_paddr(value)));
    entry_set(entry, value);
    space->nbound++;
}

int64_t space_bind_new(struct space *space, uint64_t va, uint64_t n, unsigned prot,
                       const struct frame_want *want)
{
    struct frame_want next = *want;
    pte_t *entry = NULL;
    uint64_t done = 0;
    int rc = range_prepare(space, va, n);

    if (rc)
        return rc;
    while (done < n && !(done && arch_irq_pending())) {
        pfn_t pfn;

        rc = frame_alloc(space->account, EXO_FRAME_USER, &next, &pfn);
        if (rc)
            break;
        entry = next_entry(space, entry, va + done * PAGE_SIZE);
        bind(space, entry, pte_leaf(pfn_to_paddr(pfn), prot, EXO_PROT_ALL, MEMORY_NORMAL));
        done++;
        if (next.pfn != EXO_WANT_ANY)
            next.pfn++;
    }
    arch_table_sync();
    if (rc)
        space_unbind(space, va, done, false);
    if (rc || done < n)
        trim_range(space, va, n);
    return rc ? rc : (int64_t)done;
}

/* ---- contiguous runs --------------------------------------------------------------------------------------- */

void space_run_drop(struct space *space)
{
    if (space->run.left)
        frame_run_free(space->run.pfn, space->run.left);
    space->run = (struct space_run){0};
}

int space_run_take(struct space *space, uint64_t va, uint64_t n, const struct frame_want *want)
{
    pfn_t pfn;
    int rc;

    if (space->ending)
        return -EXO_EDEAD;
    space_run_drop(space);
    rc = frame_alloc_run(space->account, n, want, &pfn);
    if (rc)
        return rc;
    space->run = (struct space_run){.pfn = pfn, .left = n, .va = va};
    return 0;
}

/* At most EXO_RANGE_MAX, at least one, and 0 or an error. */
static int run_piece(struct space *space, unsigned prot)
{
    uint64_t n = min_u64(space->run.left, EXO_RANGE_MAX);
    uint64_t va = space->run.va, done = 0;
    pte_t *entry = NULL;
    int rc = range_prepare(space, va, n);

    if (rc)
        return rc;
    for (; done < n && !(done && arch_irq_pending()); done++) {
        frame_zero(space->run.pfn);
        entry = next_entry(space, entry, space->run.va);
        bind(space, entry, pte_leaf(pfn_to_paddr(space->run.pfn), prot, EXO_PROT_ALL, MEMORY_NORMAL));
        space->run.pfn++;
        space->run.left--;
        space->run.va += PAGE_SIZE;
    }
    if (done < n)
        trim_range(space, va, n);
    return 0;
}

int64_t space_run_bind(struct space *space, unsigned prot)
{
    uint64_t total = space->run.left;
    int rc;

    do
        rc = run_piece(space, prot);
    while (!rc && space->run.left && !arch_irq_pending());
    arch_table_sync();
    total -= space->run.left;
    if (rc || space->run.left == 0)
        space_run_drop(space);
    return total ? (int64_t)total : rc;
}

/* Is all of the range bound, and may have these rights? */
static int rights_check(struct space *space, uint64_t va, uint64_t n, unsigned rights)
{
    pte_t *entry = NULL;

    for (uint64_t i = 0; i < n; i++) {
        entry = next_entry(space, entry, va + i * PAGE_SIZE);
        if (!entry || !*entry)
            return -EXO_EUNBOUND;
        if (rights & ~pte_max(*entry))
            return -EXO_ERIGHTS;
    }
    return 0;
}

/* Can the frames of a range, all of it bound, take more references?  (One may stand there more than once.) */
static int refs_check(struct space *space, uint64_t va, uint64_t n)
{
    pte_t *entry = NULL;

    for (uint64_t i = 0; i < n; i++) {
        entry = next_entry(space, entry, va + i * PAGE_SIZE);
        if (counted(*entry) &&
            frame_entry(paddr_to_pfn(pte_paddr(*entry)))->refs >= UINT32_MAX - EXO_RANGE_MAX)
            return -EXO_EFULL;
    }
    return 0;
}

int space_copy(struct space *dst, uint64_t va, struct space *src, uint64_t sva, uint64_t n, unsigned prot,
               unsigned max)
{
    pte_t *from = NULL, *to = NULL;
    int rc = rights_check(src, sva, n, prot | max);

    if (!rc)
        rc = refs_check(src, sva, n);
    if (!rc)
        rc = range_prepare(dst, va, n);
    if (rc)
        return rc;
    for (uint64_t i = 0; i < n; i++) {
        from = next_entry(src, from, sva + i * PAGE_SIZE);
        to = next_entry(dst, to, va + i * PAGE_SIZE);
        bind(dst, to, pte_leaf(pte_paddr(*from), prot, max, pte_memory(*from)));
    }
    arch_table_sync();
    return 0;
}

int space_bind_fixed(struct space *space, uint64_t va, paddr_t pa, uint64_t n, unsigned prot,
                     enum memory_type memory)
{
    pte_t *entry = NULL;
    int rc = range_prepare(space, va, n);

    if (rc)
        return rc;
    for (uint64_t i = 0; i < n; i++) {
        entry = next_entry(space, entry, va + i * PAGE_SIZE);
        bind(space, entry, pte_leaf((paddr_t){pa.v + i * PAGE_SIZE}, prot, prot, memory));
    }
    arch_table_sync();
    return 0;
}

int space_protect(struct space *space, uint64_t va, uint64_t n, unsigned prot, bool lazy)
{
    bool flush = tlb_may_hold(space) && !lazy;
    pte_t *entry = NULL;
    int rc = rights_check(space, va, n, prot);

    if (rc)
        return rc;
    for (uint64_t i = 0; i < n; i++) {
        uint64_t at = va + i * PAGE_SIZE;

        entry = next_entry(space, entry, at);
        *entry = pte_leaf(pte_paddr(*entry), prot, pte_max(*entry), pte_memory(*entry));
        if (flush)
            arch_tlb_flush_page(space->asid, (uva_t){at});
    }
    if (flush)
        arch_tlb_sync();
    else
        arch_table_sync();
    if (n && tlb_may_hold(space) && lazy)
        tlb_lazy_add(&space->lazy, va, n);
    return 0;
}

uint64_t space_unbind(struct space *space, uint64_t va, uint64_t n, bool lazy)
{
    bool held = tlb_may_hold(space);
    pfn_t gone[EXO_RANGE_MAX];
    uint64_t ngone = 0, ended = 0;
    pte_t *entry = NULL;

    ASSERT(n <= EXO_RANGE_MAX);
    for (uint64_t i = 0; i < n; i++) {
        uint64_t at = va + i * PAGE_SIZE;

        entry = next_entry(space, entry, at);
        if (!entry || !*entry)
            continue;
        if (counted(*entry))
            gone[ngone++] = paddr_to_pfn(pte_paddr(*entry));
        entry_set(entry, 0);
        space->nbound--;
        ended++;
        if (held && !lazy)
            arch_tlb_flush_page(space->asid, (uva_t){at});
    }
    if (ended && held && !lazy)
        arch_tlb_sync();
    if (ended && held && lazy) {
        arch_table_sync();
        tlb_lazy_add(&space->lazy, va, n);
        for (uint64_t i = 0; i < ngone; i++)
            frame_note_stale(gone[i]);
    }
    for (uint64_t i = 0; i < ngone; i++) /* only now may anybody else have the frames */
        frame_unref(gone[i]);
    if (ended)
        trim_range(space, va, n);
    return ended;
}

void space_sync(struct space *space, uint64_t va, uint64_t n)
{
    if (n > EXO_RANGE_MAX) {
        flush_space(space);
        return;
    }
    if (n == 0 || !tlb_may_hold(space))
        return;
    for (uint64_t i = 0; i < n; i++)
        arch_tlb_flush_page(space->asid, (uva_t){va + i * PAGE_SIZE});
    arch_tlb_sync();
    if (tlb_lazy_inside(&space->lazy, va, n))
        tlb_lazy_end(&space->lazy);
}

/* ---- ASIDs ---------------------------------------------------------------------------------------------- */

void space_unload(void)
{
    cpu_this()->loaded = NULL;
    arch_space_load(empty_root_table, 0);
}

static void pass_pinned(void)
{
    while (asid_next < ASIDS_MAX && asid_pinned[asid_next / 64] & 1ull << asid_next % 64)
        asid_next++;
}

static void asid_assign(struct space *space)
{
    pass_pinned();
    if (asid_next >> arch_asid_bits()) {
        space_unload(); /* nothing may be walked for meanwhile under an ASID that another is about to get */
        tlb_flush_all();
        asid_generation++;
        asid_next = 1;
        pass_pinned();
    }
    space->asid = asid_next++;
    space->asid_generation = asid_generation;
    if (space->pinned)
        asid_pinned[space->asid / 64] |= 1ull << space->asid % 64;
}

int space_pin(struct space *space)
{
    if (space->pinned)
        return -EXO_ESTATE;
    if (npinned >= min_u64(PINNED_MAX, (1ull << arch_asid_bits()) / 4))
        return -EXO_EFULL;
    if (tlb_may_hold(space))
        asid_pinned[space->asid / 64] |= 1ull << space->asid % 64;
    else
        space->asid_generation =
            0; /* the one that it had is another's; it gets a new one when it is loaded */
    space->pinned = true;
    npinned++;
    return 0;
}

int space_unpin(struct space *space)
{
    bool loaded = cpu_this()->loaded == space;

    if (!space->pinned)
        return -EXO_ESTATE;
    if (loaded)
        space_unload(); /* nothing may be walked for under an ASID that is about to be another's */
    flush_space(space);
    pin_drop(space);
    if (loaded)
        space_load(space);
    return 0;
}

void space_load(struct space *space)
{
    struct cpu *cpu = cpu_this();

    if (cpu->loaded == space && tlb_may_hold(space))
        return;
    if (!tlb_may_hold(space))
        asid_assign(space);
    cpu->loaded = space;
    arch_space_load(pfn_to_paddr(space->root), space->asid);
}
