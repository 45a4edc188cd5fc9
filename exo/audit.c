#include "audit.h"

#include "base/range.h"
#include "block.h"
#include "irq.h"
#include "log.h"
#include "msi.h"
#include "table.h"

#define CHAIN_MAX (CAPS_FRAMES * CAPS_PER_FRAME) /* steps after which a list must have ended */

void (*audit_translations)(audit_see *see);
void (*audit_device_translations)(audit_see_device *see);

static struct audit_note *notes;
static char sentence[200];

/* Keeps the first violation. */
__attribute__((format(printf, 2, 3))) static bool expect(bool holds, const char *format, ...)
{
    va_list args;

    if (!holds && !sentence[0]) {
        va_start(args, format);
        format_text(sentence, sizeof(sentence), format, args);
        va_end(args);
    }
    return holds;
}

static bool ok(void)
{
    return sentence[0] == 0;
}

static struct audit_note *note(pfn_t pfn)
{
    return &notes[pfn - system_info->first_frame];
}

static pfn_t last_frame(void)
{
    return system_info->first_frame + system_info->nframes - 1;
}

static unsigned kind_of(pfn_t pfn)
{
    return frame_look(pfn)->kind;
}

static pfn_t frame_of(const void *object)
{
    return paddr_to_pfn(virt_to_phys(object));
}

/* Is there an object of this kind at this very address? */
static bool is_object(const void *object, enum exo_frame_kind kind)
{
    uint64_t pa = virt_to_phys(object).v;

    return !(pa & PAGE_MASK) && pa >> PAGE_SHIFT <= last_frame() && frame_is_ram((pfn_t)(pa >> PAGE_SHIFT)) &&
           kind_of((pfn_t)(pa >> PAGE_SHIFT)) == kind;
}

static bool is_part(pfn_t pfn)
{
    return kind_of(pfn) == EXO_FRAME_USER && frame_look(pfn)->entries == EXO_LARGE_PART;
}

/* An account is a frame of kind ENV's first bytes. */
static bool is_charged(unsigned kind)
{
    return kind != EXO_FRAME_FREE && kind != EXO_FRAME_RESERVED && kind != EXO_FRAME_KERNEL &&
           kind != EXO_FRAME_INFO;
}

static const struct env *payer(pfn_t pfn)
{
    return frame_address(frame_look(pfn)->account);
}

static bool on_list(const struct list *head, const struct list *node)
{
    const struct list *at = head->next;

    for (uint32_t i = 0; at != head && i < CHAIN_MAX; i++, at = at->next) {
        if (!expect(at->next->prev == at && at->prev->next == at, "a list's links disagree"))
            return false;
        if (at == node)
            return true;
    }
    return false;
}

static uint32_t list_length(const struct list *head)
{
    uint32_t n = 0;

    for (const struct list *at = head->next; at != head && n < CHAIN_MAX; at = at->next)
        n++;
    return n;
}

/* ---- frames: kinds, free lists -------------------------------------------------------------------------- */

static void check_block(pfn_t block, unsigned order)
{
    pfn_t buddy = block ^ (1u << order);

    expect(!(block & ((1u << order) - 1)), "free block %u of order %u is not aligned", block, order);
    for (pfn_t pfn = block; ok() && pfn - block < 1u << order; pfn++) {
        if (!expect(frame_is(pfn, EXO_FRAME_FREE), "frame %u is in a free block and not free", pfn))
            return;
        expect(frame_look(pfn)->order1 == (pfn == block ? order + 1 : 0), "free frame %u: order", pfn);
        expect(note(pfn)->seen++ == 0, "frame %u is in two free blocks", pfn);
    }
    for (unsigned k = order; k + 1 < FRAME_ORDERS; k++) { /* all that it will ever have */
        pfn_t later = (block & ~((1u << k) - 1)) ^ (1u << k);

        if (frame_is_ram(later) && frame_leaf(later) != FRAME_WRITTEN)
            expect(false, "free block %u of order %u has a buddy without an entry", block, order);
    }
    expect(order + 1 == FRAME_ORDERS || !frame_is_ram(buddy) || kind_of(buddy) != EXO_FRAME_FREE ||
               frame_look(buddy)->order1 != order + 1,
           "free blocks %u and %u of order %u are not joined", block, buddy, order);
}

static bool in_zone(pfn_t pfn, unsigned zone)
{
    uint64_t end = 1ull << (FRAME_ZONE_SHIFT + zone);

    return pfn < end && (zone == 0 || pfn >= end / 2);
}

static void check_free_list(unsigned zone, unsigned order)
{
    pfn_t prev = 0;

    for (pfn_t at = block_first(zone, order); at && ok(); at = frame_look(at)->next) {
        if (!expect(frame_is_ram(at), "the free list of order %u leads outside memory", order))
            return;
        expect(in_zone(at, zone), "free block %u is not in zone %u", at, zone);
        expect(frame_look(at)->prev == prev, "free block %u: links", at);
        check_block(at, order);
        prev = at;
    }
}

static void check_free_lists(void)
{
    for (unsigned zone = 0; zone < FRAME_ZONES; zone++)
        for (unsigned order = 0; order < FRAME_ORDERS; order++)
            check_free_list(zone, order);
}

/* Frames in the CPUs' caches are free, and in no block. */
static void check_cache(const struct cpu *cpu)
{
    uint32_t n = 0;

    for (pfn_t at = pool_cached_first(cpu); at && ok(); at = frame_look(at)->next) {
        if (!expect(frame_is(at, EXO_FRAME_FREE) && frame_look(at)->order1 == 0,
                    "frame %u is in CPU %u's cache and not free", at, cpu->id))
            return;
        expect(note(at)->seen++ == 0, "frame %u is free twice", at);
        n++;
    }
    expect(n == cpu->frames.n, "CPU %u's cache holds %u frames, counted as %u", cpu->id, n, cpu->frames.n);
}

/* A large page is a head and its parts, aligned, and all of one account. */
static void check_large(pfn_t pfn)
{
    pfn_t head = pfn & ~(pfn_t)(EXO_LARGE_PAGES - 1);
    const struct exo_frame *f = frame_look(pfn);

    if (!expect(frame_is_ram(head) && frame_is_ram(head + EXO_LARGE_PAGES - 1) &&
                    kind_of(head) == EXO_FRAME_USER && frame_look(head)->entries == EXO_LARGE_HEAD,
                "frame %u is a part of no large page", pfn))
        return;
    expect(f->account == frame_look(head)->account, "frame %u: its large page is another's", pfn);
    expect(pfn != head || f->entries == EXO_LARGE_HEAD, "large page %u: its head", head);
    for (pfn_t i = 1; pfn == head && ok() && i < EXO_LARGE_PAGES; i++)
        expect(is_part(head + i), "frame %u is not the large page's that it lies in", head + i);
}

static void check_frame(pfn_t pfn, uint64_t counts[EXO_NFRAME_KINDS])
{
    const struct exo_frame *f = frame_look(pfn);

    if (!expect(f->kind < EXO_NFRAME_KINDS, "frame %u: kind %u", pfn, f->kind))
        return;
    counts[f->kind]++;
    if (f->kind == EXO_FRAME_FREE) {
        expect(note(pfn)->seen == 1, "frame %u is free and in no free list", pfn);
        expect(f->refs == 0 && f->account == 0, "free frame %u has %u references, account %u", pfn, f->refs,
               f->account);
    } else {
        expect(note(pfn)->seen == 0, "frame %u is in a free list and of kind %u", pfn, f->kind);
    }
    if (!is_charged(f->kind)) {
        expect(f->account == 0, "frame %u of kind %u is charged to %u", pfn, f->kind, f->account);
        return;
    }
    if (expect(frame_is(f->account, EXO_FRAME_ENV), "frame %u of kind %u is charged to frame %u, no account",
               pfn, f->kind, f->account))
        note(f->account)->frames++;
    if (ok() && f->kind == EXO_FRAME_USER && !is_part(pfn) && frame_reclaimer(pfn))
        note(f->account)->marked++;
    if (f->kind == EXO_FRAME_USER && f->entries)
        check_large(pfn);
}

static void check_frames(void)
{
    uint64_t counts[EXO_NFRAME_KINDS] = {0};

    check_free_lists();
    for (unsigned i = 0; i < ncpus && ok(); i++)
        check_cache(&cpus[i]);
    for (pfn_t pfn = system_info->first_frame; ok() && pfn <= last_frame(); pfn++) {
        check_frame(pfn, counts);
        note(pfn)->seen = 0; /* used anew for tables */
    }
    for (unsigned kind = 0; kind < EXO_NFRAME_KINDS && ok(); kind++)
        expect(counts[kind] == exo_frames(system_info, kind),
               "%lu frames of kind %u, the system page says %lu", (unsigned long)counts[kind], kind,
               (unsigned long)exo_frames(system_info, kind));
}

/* ---- spaces: tables, bindings ------------------------------------------------------------------------------ */

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

static void check_space(pfn_t pfn)
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

/* ---- domains: what devices reach ---------------------------------------------------------------------------- */

static void check_pin(const struct domain *domain, uint64_t iova, pte_t pte)
{
    unsigned prot = pte_prot(pte);
    pfn_t pfn = paddr_to_pfn(pte_paddr(pte));

    expect((prot & EXO_PROT_READ) && !(prot & EXO_PROT_EXEC) && prot == pte_max(pte),
           "device address 0x%lx: protection %u", (unsigned long)iova, prot);
    if (pte_memory(pte) == MEMORY_DEVICE) {
        expect(domain->translated && dma_is_doorbell(pte_paddr(pte)) && pte_paddr(pte).v == iova,
               "device address 0x%lx leads to a device's registers", (unsigned long)iova);
        return;
    }
    if (!expect(frame_is_ram(pfn), "device address 0x%lx: frame %u does not exist", (unsigned long)iova, pfn))
        return;
    note(frame_head(pfn))->refs++;
    expect(kind_of(pfn) == EXO_FRAME_USER, "device address 0x%lx: frame %u of kind %u", (unsigned long)iova,
           pfn, kind_of(pfn));
}

static bool is_iotable(pfn_t pfn)
{
    return frame_is(pfn, EXO_FRAME_IOTABLE);
}

/* Counts the entries at and below a table whose first translates iova. */
static uint64_t check_iotable(const struct domain *domain, pfn_t table, uint64_t iova, unsigned level)
{
    const pte_t *entries = frame_address(table);
    uint64_t bound = 0;
    uint32_t used = 0;

    expect(note(table)->seen++ == 0, "device table %u is reached twice", table);
    expect(frame_look(table)->account == frame_of(domain->account), "device table %u: charged to another",
           table);
    note(table)->refs++;
    for (unsigned i = 0; i < TABLE_ENTRIES && ok(); i++) {
        uint64_t at = iova + ((uint64_t)i << (PAGE_SHIFT + 9 * level));
        pfn_t below = paddr_to_pfn(pte_paddr(entries[i]));

        if (entries[i] == 0)
            continue;
        used++;
        if (level == 0) {
            check_pin(domain, at, entries[i]);
            bound++;
        } else if (expect(pte_is_table(entries[i]) && is_iotable(below),
                          "device address 0x%lx: entry of level %u names no table", (unsigned long)at,
                          level)) {
            bound += check_iotable(domain, below, at, level - 1);
        }
    }
    expect(frame_look(table)->entries == used, "device table %u: %u entries in use, counted as %u", table,
           used, frame_look(table)->entries);
    expect(used || level == ARCH_PT_LEVELS - 1 || dma_is_deaf(), "device table %u is empty and there", table);
    return bound;
}

static void check_domain(const struct domain *domain)
{
    pfn_t pfn = frame_of(domain);

    if (!expect(is_object(domain, EXO_FRAME_IOTABLE) && dma_domain(pfn) == domain,
                "a domain is not in a frame of its own") ||
        !expect(is_object(domain->account, EXO_FRAME_ENV) &&
                    frame_look(pfn)->account == frame_of(domain->account),
                "domain %u: its environment", pfn) ||
        !expect(is_iotable(domain->root), "domain %u: root", pfn))
        return;
    expect(note(pfn)->seen++ == 0, "domain %u is on two lists", pfn);
    expect(check_iotable(domain, domain->root, 0, ARCH_PT_LEVELS - 1) == domain->nbound,
           "domain %u: count of entries", pfn);
    expect(!domain->attached || (domain->translated && dma_stream_domain(domain->stream) == domain),
           "domain %u: its stream %lu is another's", pfn, (unsigned long)domain->stream);
    note(frame_of(domain->account))->tags += domain->tag != 0;
}

static void check_domains(const struct list *domains)
{
    uint32_t n = 0;

    for (const struct list *at = domains->next; at != domains && n++ < CHAIN_MAX && ok(); at = at->next)
        if (expect(at->next->prev == at && at->prev->next == at, "a list of domains: links"))
            check_domain(list_entry(at, struct domain, in_env));
}

/* A page of stream entries: each leads to a domain that says the same, or nowhere. */
static void check_streams(uint32_t index)
{
    pfn_t pfn = dma_stream_table(index);
    const struct arch_stream *entries = frame_address(pfn);

    if (pfn == 0)
        return;
    if (!expect(is_iotable(pfn), "streams from %u on: frame %u is no table", index * 64, pfn))
        return;
    expect(note(pfn)->seen++ == 0, "the table %u of streams is something else too", pfn);
    for (unsigned i = 0; i < 64 && ok(); i++) {
        const struct arch_domain *hw = arch_stream_domain(&entries[i]);
        const struct domain *domain = hw ? container_of(hw, struct domain, hw) : NULL;

        if (!domain)
            continue;
        note(pfn)->refs++;
        expect(is_object(domain, EXO_FRAME_IOTABLE) && domain->attached && domain->stream == index * 64 + i,
               "stream %u leads to a domain that is not its own", index * 64 + i);
    }
    expect(note(pfn)->refs, "the table %u of streams is empty and there", pfn);
}

static void check_tags(void)
{
    uint32_t used = 0;

    for (pfn_t pfn = system_info->first_frame; ok() && pfn <= last_frame(); pfn++)
        used += note(pfn)->tags;
    expect(used == dma_ntags(), "%u domains have tags, counted as %u", used, dma_ntags());
}

static void check_dma(void)
{
    for (pfn_t pfn = system_info->first_frame; ok() && pfn <= last_frame(); pfn++)
        if (kind_of(pfn) == EXO_FRAME_ENV && !((const struct env *)frame_address(pfn))->torn_down)
            check_domains(&((const struct env *)frame_address(pfn))->domains);
    check_domains(dma_lost());
    for (uint32_t i = 0; i < DMA_STREAMS_MAX / 64 && ok(); i++)
        check_streams(i);
    check_tags();
}

/* ---- capabilities ------------------------------------------------------------------------------------------ */

static bool is_slot(const struct cap *cap)
{
    pfn_t pfn = frame_of(cap);

    return frame_is(pfn, EXO_FRAME_CAPS) && virt_to_phys(cap).v % sizeof(*cap) == 0 &&
           cap->type != EXO_CAP_NONE;
}

/* Rights and meaning never grow on the way down.  (A gate or event under a vcpu is of another type.) */
static bool no_more_than(const struct cap *cap, const struct cap *parent)
{
    if (cap->type != parent->type)
        return parent->type == EXO_CAP_VCPU && cap->object == parent->object;
    if (cap->rights & ~parent->rights || cap->object != parent->object || cap->serial != parent->serial)
        return false;
    switch (cap->type) {
    case EXO_CAP_GATE:
        return parent->a == 0 || cap->a == parent->a;
    case EXO_CAP_EVENT:
        return !(cap->a & ~parent->a);
    case EXO_CAP_SLICE:
    case EXO_CAP_IRQ:
    case EXO_CAP_MMIO:
    case EXO_CAP_DMA:
        return range_inside(cap->a, cap->b, parent->a, parent->b);
    default:
        return true;
    }
}

static void check_cap(const struct cap *cap, pfn_t pfn)
{
    const struct cap *up = cap;
    uint32_t depth = 0;

    expect(cap->type < EXO_NCAP_TYPES && !(cap->rights & ~EXO_RIGHTS_ALL),
           "a capability of table frame %u: type", pfn);
    if (cap->parent) {
        if (!expect(is_slot(cap->parent), "a capability in frame %u was derived from a free slot", pfn))
            return;
        expect(cap->prev_next && *cap->prev_next == cap, "a capability in frame %u is on no list of siblings",
               pfn);
        expect(no_more_than(cap, cap->parent), "a capability in frame %u exceeds the one that it came from",
               pfn);
    } else {
        expect(!cap->prev_next && !cap->next, "a capability in frame %u came of nothing and has siblings",
               pfn);
    }
    if (cap->next)
        expect(is_slot(cap->next) && cap->next->parent == cap->parent && cap->next->prev_next == &cap->next,
               "siblings of a capability in frame %u", pfn);
    if (cap->child)
        expect(is_slot(cap->child) && cap->child->parent == cap && cap->child->prev_next == &cap->child,
               "what came of a capability in frame %u", pfn);
    while (ok() && up->parent && depth++ <= CHAIN_MAX)
        up = up->parent;
    expect(depth <= CHAIN_MAX, "a capability in frame %u came of itself", pfn);
}

/* A CAPS frame knows its table, and the table knows it. */
static void check_caps_frame(pfn_t pfn)
{
    const struct env *env = payer(pfn);
    const struct cap_table *table = &env->owner.caps;
    uint32_t part = frame_look(pfn)->entries;
    const struct cap *slots = frame_address(pfn);

    if (!expect(part < table->nframes && table->frames[part] == pfn, "capability frame %u is in no table",
                pfn))
        return;
    for (unsigned i = 0; i < CAPS_PER_FRAME && ok(); i++)
        if (slots[i].type != EXO_CAP_NONE)
            check_cap(&slots[i], pfn);
    expect(part != 0 || slots[0].type == EXO_CAP_NONE, "capability frame %u: slot 0 is in use", pfn);
}

static const struct cap *slot_at(const struct cap_table *table, uint32_t index)
{
    const struct cap *slots = frame_address(table->frames[index / CAPS_PER_FRAME]);

    return &slots[index % CAPS_PER_FRAME];
}

static void check_cap_table(pfn_t pfn, const struct env *env)
{
    const struct cap_table *table = &env->owner.caps;
    uint32_t nslots = table->nframes * CAPS_PER_FRAME, used = 0, nfree = 0;

    for (uint32_t i = table->nframes; i < CAPS_FRAMES; i++)
        expect(!table->frames[i], "env %u: part %u is behind the end of its capability table", pfn, i);
    for (uint32_t i = 0; i < table->nframes; i++)
        if (!expect(frame_is(table->frames[i], EXO_FRAME_CAPS) && payer(table->frames[i]) == env &&
                        frame_look(table->frames[i])->entries == i,
                    "env %u: part %u of its capability table", pfn, i))
            return;
    for (uint32_t i = 1; i < nslots; i++)
        used += slot_at(table, i)->type != EXO_CAP_NONE;
    expect(used == table->nused, "env %u: %u capabilities, counted as %u", pfn, used, table->nused);
    if (env->state == EXO_ENV_ENDED)
        return; /* its free slots do not matter any more */
    for (uint32_t at = table->first_free; at && nfree <= nslots && ok();
         at = (uint32_t)slot_at(table, at)->a) {
        if (!expect(at < nslots && slot_at(table, at)->type == EXO_CAP_NONE, "env %u: free slots", pfn))
            return;
        nfree++;
    }
    expect(nslots == 0 || nfree + used == nslots - 1, "env %u: %u slots, %u used, %u free", pfn, nslots, used,
           nfree);
}

/* ---- environments and accounts ------------------------------------------------------------------------------- */

static bool is_ending(const struct env *env)
{
    for (unsigned i = 0; i < ncpus; i++)
        if (on_list(&cpus[i].endings, &env->in_endings))
            return true;
    return false;
}

static void check_env(pfn_t pfn)
{
    const struct env *env = frame_address(pfn);
    const struct account *account = &env->owner.account;

    if (!env->parent) {
        expect(!account->parent && payer(pfn) == env, "env %u: the first, or not", pfn);
    } else {
        if (!expect(is_object(env->parent, EXO_FRAME_ENV) && account->parent == &env->parent->owner.account &&
                        payer(pfn) == env->parent,
                    "env %u: its parent", pfn))
            return;
        note(frame_of(env->parent))->limits += account->limit;
        expect(env->depth == env->parent->depth + 1, "env %u: depth", pfn);
    }
    expect(account->ended == env->torn_down, "env %u: torn down, and its account not, or the other way round",
           pfn);
    if (!env->torn_down) {
        expect(!env->parent || on_list(&env->parent->children, &env->in_parent), "env %u is not its parent's",
               pfn);
        if (env->parent)
            note(frame_of(env->parent))->objects++;
    } else {
        expect(list_empty(&env->vcpus) && list_empty(&env->spaces) && list_empty(&env->domains) &&
                   list_empty(&env->children) && env->owner.caps.nframes == 0,
               "env %u is torn down and holds something", pfn);
    }
    expect(list_empty(&env->in_endings) || (env->state == EXO_ENV_ENDED && is_ending(env)),
           "env %u: on a list of those that end", pfn);
    check_cap_table(pfn, env);
}

/* After everything was counted. */
static void check_account(pfn_t pfn)
{
    const struct env *env = frame_address(pfn);
    const struct account *a = &env->owner.account;
    uint32_t lists = list_length(&env->spaces) + list_length(&env->vcpus) + list_length(&env->children);

    expect(a->used == note(pfn)->frames, "account %u: %u frames are charged to it, counted as %lu", pfn,
           note(pfn)->frames, (unsigned long)a->used);
    expect(a->reserved == note(pfn)->limits, "account %u: its children's limits are %lu, counted as %lu", pfn,
           (unsigned long)note(pfn)->limits, (unsigned long)a->reserved);
    expect(a->used <= a->limit && a->reserved <= a->limit - a->used, "account %u exceeds its limit", pfn);
    expect(a->wanted == ACCOUNT_STEADY || (a->wanted < a->limit && env->state == EXO_ENV_ALIVE),
           "account %u is being lowered from %lu to %lu", pfn, (unsigned long)a->limit,
           (unsigned long)a->wanted);
    expect(!a->reclaim || (env->state == EXO_ENV_ALIVE && a->reclaim == env->nreclaims &&
                           env->reclaim.n > 0 && note(pfn)->marked <= env->reclaim.n),
           "account %u reclaims %u frames, %lu of which were named", pfn, note(pfn)->marked,
           (unsigned long)env->reclaim.n);
    if (a->ended)
        expect(a->limit == a->used + a->reserved && a->limit > 0, "account %u has ended and keeps a share",
               pfn);
    expect(lists == note(pfn)->objects, "env %u: lists hold %u, but %u objects are its", pfn, lists,
           note(pfn)->objects);
}

/* ---- virtual processors ------------------------------------------------------------------------------------- */

static const struct list *queue_of(const struct vcpu *vcpu)
{
    switch (vcpu->state) {
    case VCPU_READY:
        return &vcpu->cpu->ready;
    case VCPU_SENDING:
        return &vcpu->peer->senders;
    case VCPU_CALLING:
        return &vcpu->peer->callers;
    default:
        return NULL;
    }
}

static bool may_wait(const struct vcpu *vcpu)
{
    return vcpu->state == VCPU_WAITING || vcpu->state == VCPU_RECEIVING || vcpu->state == VCPU_SENDING ||
           vcpu->state == VCPU_CALLING;
}

static void check_peers(const struct vcpu *callee, const struct list *peers, enum vcpu_state state)
{
    uint32_t nfar = 0;

    for (const struct list *at = peers->next; at != peers && ok(); at = at->next) {
        const struct vcpu *caller = list_entry(at, struct vcpu, queue);

        nfar += caller->far;

        expect(is_object(caller, EXO_FRAME_VCPU) && caller->state == state && caller->peer == callee,
               "vcpu %u: somebody in its queue is not its caller", frame_of(callee));
        expect(state != VCPU_SENDING || caller->far || caller->cpu == callee->cpu,
               "vcpu %u: a message from another CPU is not marked", frame_of(callee));
    }
    expect(state != VCPU_SENDING || nfar == callee->nfar, "vcpu %u: %u messages from afar, counted as %u",
           frame_of(callee), nfar, callee->nfar);
}

static void check_vcpu(pfn_t pfn)
{
    const struct vcpu *vcpu = frame_address(pfn);
    const struct env *env = vcpu->env;
    const struct list *queue;

    if (!expect(is_object(env, EXO_FRAME_ENV) && payer(pfn) == env && on_list(&env->vcpus, &vcpu->in_env),
                "vcpu %u: its environment", pfn))
        return;
    note(frame_of(env))->objects++;
    if (expect(is_object(vcpu->space, EXO_FRAME_SPACE) && vcpu->space->account == &env->owner.account,
               "vcpu %u: the space that it runs in", pfn))
        note(frame_of(vcpu->space))->objects++;
    if (!vcpu->page_pfn)
        expect(env->state == EXO_ENV_ENDED && !vcpu->page, "vcpu %u has no shared page", pfn);
    else if (expect(frame_is(vcpu->page_pfn, EXO_FRAME_USER) && vcpu->page == frame_address(vcpu->page_pfn),
                    "vcpu %u: its shared page", pfn))
        note(frame_head(vcpu->page_pfn))->refs++;
    expect(env->state == EXO_ENV_ENDED ? vcpu->state == VCPU_DEAD || !list_empty(&env->in_endings)
                                       : vcpu->state != VCPU_DEAD,
           "vcpu %u: state %u, its environment's %u", pfn, vcpu->state, env->state);
    expect(vcpu->state != VCPU_RUNNING || !vcpu_ended(vcpu) || vcpu->cpu->evict, "vcpu %u has ended and runs",
           pfn);
    expect(vcpu->state != VCPU_RUNNING || !vcpu_ended(vcpu) || !list_empty(&env->in_endings),
           "vcpu %u has ended and runs, and nobody waits for it", pfn);
    if (vcpu->state == VCPU_DEAD && list_empty(&env->in_endings))
        expect(list_empty(&vcpu->senders) && list_empty(&vcpu->callers),
               "vcpu %u is dead, and who waits for it will not hear of it", pfn);
    expect((vcpu->cpu->current == vcpu) == (vcpu->state == VCPU_RUNNING), "vcpu %u: running, or not", pfn);
    if (vcpu->state == VCPU_SENDING || vcpu->state == VCPU_CALLING)
        if (!expect(is_object(vcpu->peer, EXO_FRAME_VCPU) && vcpu->peer != vcpu, "vcpu %u: calls nobody",
                    pfn))
            return;
    queue = queue_of(vcpu);
    expect(queue ? on_list(queue, &vcpu->queue) : list_empty(&vcpu->queue), "vcpu %u of state %u: its queue",
           pfn, vcpu->state);
    expect(may_wait(vcpu) || !deadline_is_set(&vcpu->deadline), "vcpu %u of state %u has a deadline", pfn,
           vcpu->state);
    check_peers(vcpu, &vcpu->senders, VCPU_SENDING);
    check_peers(vcpu, &vcpu->callers, VCPU_CALLING);
    expect(vcpu->state != VCPU_DEAD || (vcpu->nirqs == 0 && vcpu->nslots == 0),
           "vcpu %u is dead and keeps lines", pfn);
    expect(!vcpu->far || vcpu->state == VCPU_SENDING, "vcpu %u of state %u: its message is far", pfn,
           vcpu->state);
    expect(vcpu->cpu >= cpus && vcpu->cpu < cpus + ncpus && frame_look(pfn)->entries == vcpu->cpu->id,
           "vcpu %u: its CPU", pfn);
    expect(list_empty(&vcpu->in_inbox) || on_list(&vcpu->cpu->inbox, &vcpu->in_inbox), "vcpu %u: its note",
           pfn);
}

static uint32_t check_heap(const struct deadline *d, const struct deadline *parent)
{
    uint32_t left, right;

    if (!d || !ok())
        return 0;
    if (!expect(is_object(container_of(d, struct vcpu, deadline), EXO_FRAME_VCPU), "deadlines: of nobody"))
        return 0;
    expect(d->parent == parent && (!parent || parent->at <= d->at), "deadlines: order");
    left = check_heap(d->left, d);
    right = check_heap(d->right, d);
    expect((d->left ? d->left->rank : 0) >= (d->right ? d->right->rank : 0) &&
               d->rank == (d->right ? d->right->rank : 0) + 1,
           "deadlines: ranks");
    return left + right + 1;
}

static void check_slots(const struct cpu *cpu)
{
    uint32_t owned = 0;

    for (unsigned i = 0; i < CPU_SLOTS && ok(); i++) {
        const struct vcpu *owner = cpu->slots[i].owner;

        if (!owner) {
            expect(cpu->info->slot_env[i] == 0, "slot %u: told as owned", i);
            continue;
        }
        owned++;
        if (expect(is_object(owner, EXO_FRAME_VCPU), "slot %u: owned by nobody", i)) {
            note(frame_of(owner))->objects++;
            expect(cpu->info->slot_env[i] == frame_of(owner->env), "slot %u: told as another's", i);
        }
    }
    expect(owned == cpu->nowned, "%u slots have owners, counted as %u", owned, cpu->nowned);
}

/* One vcpu at most has a line, and it is open from acknowledgement to delivery alone. */
static void check_line(const struct irq *irq)
{
    if (irq->vcpu && expect(is_object(irq->vcpu, EXO_FRAME_VCPU), "line %u: bound to nobody", irq->line)) {
        note(frame_of(irq->vcpu))->objects++;
        expect(on_list(&irq->vcpu->lines, &irq->in_vcpu), "line %u: its vcpu does not know it", irq->line);
        expect(arch_irq_enabled(irq->line) == !irq->masked, "line %u: open before its acknowledgement",
               irq->line);
    } else if (arch_irq_usable(irq->line) || msi_raises(irq->line)) {
        expect(!arch_irq_enabled(irq->line), "line %u: open and nobody's", irq->line);
    }
}

static uint32_t msi_events(const struct msi_device *device)
{
    uint32_t n = 0;

    for (uint32_t event = 0; event < EXO_MSI_EVENTS; event++)
        n += device->events[event / 64] >> event % 64 & 1;
    return n;
}

static uint32_t msi_lines_of(unsigned device)
{
    uint32_t n = 0;

    for (uint32_t row = 0; row < irq_rows(); row++) {
        const struct irq *irq = irq_row(row);

        n += irq->vcpu && msi_raises(irq->line) && irq->device == device &&
             msi_device(device)->events[irq->event / 64] >> irq->event % 64 & 1;
    }
    return n;
}

static void check_msi_device(unsigned n)
{
    const struct msi_device *device = msi_device(n);

    if (device->nlines == 0)
        return;
    expect(msi_events(device) == device->nlines && msi_lines_of(n) == device->nlines,
           "device %u: its events are not its lines", device->id);
    if (expect(frame_is(device->table, EXO_FRAME_IOTABLE),
               "device %u: the controller's table is in a frame of another kind", device->id))
        note(device->table)->seen++;
}

static void check_lines(void)
{
    for (uint32_t row = 0; row < irq_rows() && ok(); row++)
        check_line(irq_row(row));
    for (unsigned n = 0; n < MSI_DEVICES && ok() && arch_msi()->by_device; n++)
        check_msi_device(n);
}

static void check_visitors(pfn_t pfn)
{
    const struct space *space = frame_address(pfn);

    expect(note(pfn)->objects == space->nvcpus, "space %u: %u vcpus run in it, counted as %u", pfn,
           note(pfn)->objects, space->nvcpus);
}

/* Audited in world mode other CPUs may be in the kernel, on their way from local mode or into it: what holds only where
 * one leaves it is not looked at then. */
static bool between_entries(void)
{
    return !cpu_this()->world;
}

/* Between two entries nobody is in the kernel. */
static void check_locks(const struct cpu *cpu)
{
    expect((!between_entries() || cpu->lock.next == cpu->lock.served) &&
               cpu->inbox_lock.next == cpu->inbox_lock.served && (!cpu->world || cpu == cpu_this()),
           "CPU %u's locks are held by nobody in the kernel", cpu->id);
}

static void check_inbox(const struct cpu *cpu)
{
    uint32_t n = list_length(&cpu->inbox);

    for (const struct list *at = cpu->inbox.next; at != &cpu->inbox && ok(); at = at->next) {
        const struct vcpu *vcpu = list_entry(at, struct vcpu, in_inbox);

        if (!expect(is_object(vcpu, EXO_FRAME_VCPU) && vcpu->cpu == cpu,
                    "CPU %u's inbox holds a note about no vcpu of its own", cpu->id))
            return;
    }
    expect(n == 0 || cpu->attention || !between_entries(), "CPU %u has %u notes, and does not know", cpu->id,
           n);
}

/* What a CPU is to do before it goes back to user mode: it has been told where that cannot wait. */
static void check_duties(const struct cpu *cpu)
{
    const struct vcpu *current = cpu->current;

    for (const struct list *at = cpu->endings.next; at != &cpu->endings && ok(); at = at->next) {
        const struct env *env = list_entry(at, struct env, in_endings);

        expect(is_object(env, EXO_FRAME_ENV) && env->state == EXO_ENV_ENDED,
               "CPU %u ends an environment that is not ending", cpu->id);
    }
    if (!between_entries())
        return;
    expect(!cpu->evict || cpu->attention, "CPU %u is to let go, and does not know", cpu->id);
    expect(!cpu->overdue || cpu->attention, "CPU %u has left deadlines, and does not know", cpu->id);
    expect(!current || cpu->loaded == current->space || cpu->evict || cpu->attention,
           "CPU %u runs vcpu %u in another space", cpu->id, current ? frame_of(current) : 0);
    expect(current || cpu->evict || cpu->attention || !(cpu->info->running.vcpu | cpu->info->running.env),
           "CPU %u idles, and is shown to run", cpu->id);
}

static void check_cpu(const struct cpu *cpu)
{
    uint32_t running = 0, ready = 0, timed = 0, fp_owners = 0;

    for (pfn_t pfn = system_info->first_frame; ok() && pfn <= last_frame(); pfn++) {
        const struct vcpu *vcpu = frame_address(pfn);

        if (kind_of(pfn) != EXO_FRAME_VCPU || vcpu->cpu != cpu)
            continue;
        running += vcpu->state == VCPU_RUNNING;
        ready += vcpu->state == VCPU_READY;
        timed += deadline_is_set(&vcpu->deadline);
        fp_owners += vcpu->fp_owner;
        expect(vcpu->sound != cpu->epoch || (!vcpu_ended(vcpu) && space_has_asid(cpu, vcpu->space)),
               "vcpu %u could not go on at once", pfn);
        expect(note(pfn)->objects == vcpu->nslots + vcpu->nirqs, "vcpu %u: lines and slots", pfn);
    }
    expect(running == (cpu->current != NULL), "%u vcpus run on CPU %u", running, cpu->id);
    expect(list_length(&cpu->ready) == ready, "%u vcpus are ready, the list holds %u", ready,
           list_length(&cpu->ready));
    expect(check_heap(cpu->deadlines.first, NULL) == timed,
           "deadlines: not all that are set are in the heap");
    expect(!cpu->loaded || (is_object(cpu->loaded, EXO_FRAME_SPACE) && space_has_asid(cpu, cpu->loaded)),
           "the space in CPU %u's MMU is gone, or does not know", cpu->id);
    expect(!cpu->fp_owner || (is_object(cpu->fp_owner, EXO_FRAME_VCPU) && cpu->fp_owner->cpu == cpu),
           "the owner of CPU %u's FP registers is gone, or another CPU's", cpu->id);
    expect(fp_owners == (cpu->fp_owner ? 1 : 0) && (!fp_owners || cpu->fp_owner->fp_owner),
           "who owns CPU %u's FP registers is not the one who is said to", cpu->id);
    check_locks(cpu);
    check_inbox(cpu);
    check_duties(cpu);
}

/* A trace ring's pages are pinned, and its owner has not been taken down. */
static void check_ring(const struct cpu *cpu)
{
    const struct cpu_trace *trace = &cpu->trace;

    if (!expect((trace->npages == 0) == (trace->owner == NULL), "cpu %u: a trace ring without an owner",
                cpu->id))
        return;
    expect(!trace->owner || (is_object(trace->owner, EXO_FRAME_ENV) && !trace->owner->torn_down),
           "cpu %u: the owner of its trace ring is gone", cpu->id);
    expect(!cpu->traced || (trace->npages && trace->ring == frame_address(trace->first) &&
                            trace->next < trace->nrecords &&
                            sizeof(*trace->ring) + trace->nrecords * sizeof(trace->ring->record[0]) <=
                                trace->npages * PAGE_SIZE),
           "cpu %u: traces beyond its ring", cpu->id);
    for (pfn_t pfn = trace->first; ok() && pfn - trace->first < trace->npages; pfn++)
        if (expect(frame_is(pfn, EXO_FRAME_USER), "cpu %u: frame %u of its trace ring is not a user's",
                   cpu->id, pfn))
            note(frame_head(pfn))->refs++;
}

/* ---- TLBs -------------------------------------------------------------------------------------------------- */

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
static void check_asid(pfn_t pfn)
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
static void check_translation(unsigned cpu, uint32_t asid, unsigned level, uint64_t va, pte_t pte)
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

static const struct domain *domain_of_tag(const struct list *domains, uint32_t tag)
{
    for (const struct list *at = domains->next; at != domains; at = at->next)
        if (list_entry(at, struct domain, in_env)->tag == tag)
            return list_entry(at, struct domain, in_env);
    return NULL;
}

static const struct domain *find_tag(uint32_t tag)
{
    for (pfn_t pfn = system_info->first_frame; pfn <= last_frame(); pfn++) {
        const struct env *env = frame_address(pfn);
        const struct domain *domain =
            kind_of(pfn) == EXO_FRAME_ENV && !env->torn_down ? domain_of_tag(&env->domains, tag) : NULL;

        if (domain)
            return domain;
    }
    return domain_of_tag(dma_lost(), tag);
}

/* What the tables say now where the IOMMU says `pte`. */
static void check_device_translation(uint32_t tag, unsigned level, uint64_t iova, pte_t pte)
{
    const struct domain *domain = find_tag(tag);
    const pte_t *table;
    pte_t now;

    if (!expect(domain != NULL, "an IOMMU holds 0x%lx of tag %u, which nobody has", (unsigned long)iova, tag))
        return;
    table = frame_address(domain->root);
    for (unsigned at = ARCH_PT_LEVELS - 1; at > level; at--) {
        now = table[index_at(iova, at)];
        if (!expect(pte_is_table(now), "an IOMMU holds 0x%lx, whose table is gone", (unsigned long)iova))
            return;
        table = phys_to_virt(pte_paddr(now));
    }
    now = table[index_at(iova, level)];
    expect(now == pte, "an IOMMU holds 0x%lx (level %u) as 0x%lx, the table says 0x%lx", (unsigned long)iova,
           level, (unsigned long)pte, (unsigned long)now);
}

/* ---- all of it --------------------------------------------------------------------------------------------- */

static void each_frame(enum exo_frame_kind kind, void (*check)(pfn_t pfn))
{
    for (pfn_t pfn = system_info->first_frame; ok() && pfn <= last_frame(); pfn++)
        if (kind_of(pfn) == kind)
            check(pfn);
}

static void check_refs(void)
{
    for (pfn_t pfn = system_info->first_frame; ok() && pfn <= last_frame(); pfn++) {
        const struct exo_frame *f = frame_look(pfn);

        expect(f->refs == note(pfn)->refs, "frame %u of kind %u: %u bindings, counted as %u", pfn, f->kind,
               note(pfn)->refs, f->refs);
        expect(f->kind != EXO_FRAME_USER || frame_look(frame_head(pfn))->refs > 0 || note(pfn)->seen == 1,
               "frame %u is a user's and nobody binds it", pfn);
        expect(f->kind != EXO_FRAME_TABLE || note(pfn)->seen == 1, "table %u is in no space", pfn);
        expect(f->kind != EXO_FRAME_IOTABLE || note(pfn)->seen == 1, "I/O table %u is no device's", pfn);
    }
}

const char *exo_audit(struct audit_note *scratch)
{
    notes = scratch;
    sentence[0] = 0;
    for (uint32_t i = 0; i < system_info->nframes; i++)
        notes[i] = (struct audit_note){0};
    check_frames();
    each_frame(EXO_FRAME_ENV, check_env);
    each_frame(EXO_FRAME_SPACE, check_space);
    check_dma();
    each_frame(EXO_FRAME_CAPS, check_caps_frame);
    each_frame(EXO_FRAME_VCPU, check_vcpu);
    if (ok()) {
        for (unsigned i = 0; i < ncpus; i++)
            check_slots(&cpus[i]);
        check_lines();
        for (unsigned i = 0; i < ncpus; i++)
            check_ring(&cpus[i]);
        each_frame(EXO_FRAME_SPACE, check_visitors);
        each_frame(EXO_FRAME_SPACE, check_asid);
        for (unsigned i = 0; i < ncpus; i++)
            check_cpu(&cpus[i]);
        check_refs();
        each_frame(EXO_FRAME_ENV, check_account);
    }
    if (ok() && audit_translations)
        audit_translations(check_translation);
    if (ok() && audit_device_translations)
        audit_device_translations(check_device_translation);
    return ok() ? NULL : sentence;
}
