#include "audit_impl.h"

#include "base/range.h"
#include "space.h"
#include "table.h"

/* ---- tables, bindings ----------------------------------------------------------------------------------- */

static void check_device(uint64_t va, uint64_t pa)
{
    uint64_t first = (uint64_t)system_info->first_frame << PAGE_SHIFT;

    expect(!range_overlaps(pa, PAGE_SIZE, first, (uint64_t)system_info->nframes << PAGE_SHIFT),
           "0x%lx: memory is bound as a device", (unsigned long)va);
    expect(!arch_owns_device(pa, PAGE_SIZE), "0x%lx: the kernel's own device is bound", (unsigned long)va);
}

static void check_leaf(uint64_t va, pte_t pte)
{
    unsigned prot = pte_prot(pte), kind;
    pfn_t pfn = paddr_to_pfn(pte_paddr(pte));

    expect(!(prot & ~pte_max(pte)), "0x%lx: protection %u exceeds its maximum", (unsigned long)va, prot);
    expect((prot & (EXO_PROT_WRITE | EXO_PROT_EXEC)) != (EXO_PROT_WRITE | EXO_PROT_EXEC),
           "0x%lx: writable and executable", (unsigned long)va);
    if (pte_memory(pte) == MEMORY_DEVICE) {
        check_device(va, pte_paddr(pte).v);
        return;
    }
    if (!expect(frame_is_ram(pfn), "0x%lx: frame %u does not exist", (unsigned long)va, pfn))
        return;
    kind = kind_of(pfn);
    note(frame_head(pfn))->refs++;
    expect(kind == EXO_FRAME_USER || (kind == EXO_FRAME_INFO && pte_max(pte) == EXO_PROT_READ),
           "0x%lx: frame %u of kind %u is bound with maximum %u", (unsigned long)va, pfn, kind, pte_max(pte));
}

static void check_large_leaf(uint64_t va, pte_t pte)
{
    pfn_t head = paddr_to_pfn(pte_paddr(pte));

    if (expect(frame_is(head, EXO_FRAME_USER) && frame_look(head)->entries == EXO_LARGE_HEAD,
               "0x%lx: frame %u is bound as a large page", (unsigned long)va, head))
        check_leaf(va, pte);
}

/* Counts the bindings at and below a table whose first entry translates va. */
static uint64_t check_table(const struct space *space, pfn_t table, uint64_t va, unsigned level)
{
    const pte_t *entries = frame_address(table);
    uint64_t bound = 0;
    uint32_t used = 0;

    expect(note(table)->seen++ == 0, "table %u is reached twice", table);
    expect(frame_look(table)->account == frame_of(space->account), "table %u: charged to another", table);
    note(table)->refs++;
    for (unsigned i = 0; i < TABLE_ENTRIES && ok(); i++) {
        uint64_t at = va + ((uint64_t)i << (PAGE_SHIFT + 9 * level));
        pfn_t below = paddr_to_pfn(pte_paddr(entries[i]));

        if (entries[i] == 0 || (level == ARCH_PT_LEVELS - 1 && i == ARCH_TABLE_SLOT))
            continue;
        used++;
        expect(at < system_info->table_va, "0x%lx: bound above user space", (unsigned long)at);
        if (level == 0) {
            check_leaf(at, entries[i]);
            bound++;
        } else if (level == 1 && !pte_is_table(entries[i])) {
            check_large_leaf(at, entries[i]);
            bound++;
        } else if (expect(pte_is_table(entries[i]) && frame_is_ram(below) &&
                              kind_of(below) == EXO_FRAME_TABLE,
                          "0x%lx: entry of level %u names no table", (unsigned long)at, level)) {
            bound += check_table(space, below, at, level - 1);
        }
    }
    expect(frame_look(table)->entries == used, "table %u: %u entries in use, counted as %u", table, used,
           frame_look(table)->entries);
    expect(used || level == ARCH_PT_LEVELS - 1, "table %u is empty and there", table);
    return bound;
}

/* Frames of a run that waits for its next piece: charged, and nobody's yet. */
static void check_run(const struct space *space)
{
    const struct space_run *run = &space->run;
    pfn_t zeroed = run->large ? run->pfn & (EXO_LARGE_PAGES - 1) : 0;

    expect(!run->large || zeroed + run->left == EXO_LARGE_PAGES, "a large page waits with %lu pages left",
           (unsigned long)run->left);
    for (uint64_t i = 0; i < run->left + zeroed && ok(); i++) {
        pfn_t pfn = run->pfn - zeroed + (pfn_t)i;

        if (!expect(frame_is(pfn, EXO_FRAME_USER) && frame_look(pfn)->refs == 0 &&
                        frame_look(pfn)->account == frame_of(space->account),
                    "frame %u waits to be bound, and is not its space's", pfn))
            return;
        expect(note(pfn)->seen++ == 0, "frame %u waits to be bound twice", pfn);
    }
}

void audit_check_space(pfn_t pfn)
{
    struct space *space = frame_address(pfn);
    const struct env *env = (const struct env *)space->account;
    pte_t self;

    if (!expect(is_object(env, EXO_FRAME_ENV) && payer(pfn) == env, "space %u: its environment", pfn) ||
        !expect(on_list(&env->spaces, &space->in_env), "space %u is not on its environment's list", pfn) ||
        !expect(frame_is(space->root, EXO_FRAME_TABLE), "space %u: root", pfn))
        return;
    note(frame_of(env))->objects++;
    check_run(space);
    self = ((const pte_t *)frame_address(space->root))[ARCH_TABLE_SLOT];
    expect(self == pte_table(pfn_to_paddr(space->root)), "space %u: the tables' window", pfn);
    expect(check_table(space, space->root, 0, ARCH_PT_LEVELS - 1) == space->nbound,
           "space %u: count of bindings", pfn);
}

void audit_check_visitors(pfn_t pfn)
{
    const struct space *space = frame_address(pfn);

    expect(note(pfn)->objects == space->nvcpus, "space %u: %u vcpus run in it, counted as %u", pfn,
           note(pfn)->objects, space->nvcpus);
}

/* ---- TLBs ----------------------------------------------------------------------------------------------- */

static struct space *space_of_asid(uint32_t asid)
{
    for (pfn_t pfn = system_info->first_frame; pfn <= last_frame(); pfn++) {
        struct space *space = frame_address(pfn);

        if (kind_of(pfn) == EXO_FRAME_SPACE && space_in_tlb(space) && space->asid == asid)
            return space;
    }
    return NULL;
}

/* ASIDs of two spaces that TLBs may hold differ; a space that a CPU has in its MMU is one of them. */
void audit_check_asid(pfn_t pfn)
{
    struct space *space = frame_address(pfn);

    if (!space_in_tlb(space))
        return;
    expect(space->asid && space_of_asid(space->asid) == space, "space %u: its ASID %u is another's too", pfn,
           space->asid);
    expect(!(space->cpus >> ncpus), "space %u was on CPUs that are not there", pfn);
    expect(frame_look(pfn)->cpus == space->cpus && frame_look(pfn)->entries == (uint16_t)space->asid,
           "space %u: told to have another ASID, or to be on other CPUs", pfn);
}

/* Was the page at va changed lazily, and is the frame that a TLB leads to still the same, or one that nobody gets
 * without a flush? */
static bool may_lag(const struct space *space, uint64_t va, pte_t pte, pte_t now)
{
    pfn_t pfn = paddr_to_pfn(pte_paddr(pte));

    if (!tlb_lazy_overlaps(&space->lazy, va, 1))
        return false;
    if (now && pte_paddr(now).v == pte_paddr(pte).v)
        return true;
    return now == 0 && (pte_memory(pte) == MEMORY_DEVICE || (frame_is_ram(pfn) && frame_is_stale(pfn)));
}

/* What the tables say now where the TLB says `pte`. */
void audit_check_translation(unsigned cpu, uint32_t asid, unsigned level, uint64_t va, pte_t pte)
{
    const struct space *space = asid ? space_of_asid(asid) : NULL;
    const pte_t *table;

    if (!expect(space != NULL, "a TLB holds 0x%lx of ASID %u, which nobody has", (unsigned long)va, asid))
        return;
    expect(space->cpus & 1ull << cpu, "the TLB of CPU %u holds 0x%lx of ASID %u, whose space never was there",
           cpu, (unsigned long)va, asid);
    table = frame_address(space->root);
    for (unsigned at = ARCH_PT_LEVELS - 1;; at--) {
        pte_t now = table[index_at(va, at)];

        if (at == level) {
            expect(now == pte || ((level == 0 || !pte_is_table(pte)) && may_lag(space, va, pte, now)),
                   "a TLB holds 0x%lx (level %u, ASID %u) as 0x%lx, the table says 0x%lx", (unsigned long)va,
                   level, asid, (unsigned long)pte, (unsigned long)now);
            return;
        }
        if (!expect(pte_is_table(now), "a TLB holds 0x%lx, whose table is gone", (unsigned long)va))
            return;
        table = phys_to_virt(pte_paddr(now));
    }
}
