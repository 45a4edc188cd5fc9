/* A model of translation caching, as mean as the architectures allow.
 *
 * Every walk leaves its entries behind, those for tables too (walk caches), and they stay until a flush names them,
 * and the CPU that ordered it waits for its end.
 * The walker may walk at any time without being asked: whenever the kernel has waited for its flushes (arch_tlb_sync),
 * the addresses that were touched last are walked again, so that a table entry that is cleared only after the flush is
 * found in the TLB by the audit. */
#include <stdlib.h>

#include "arch/arch.h"
#include "cpu.h"
#include "host.h"
#include "panic.h"

#define ENTRIES 256u
#define RECENT 8u
#define ORDERS 256u
#define PAGES 0u /* level */
#define LARGE 1u /* likewise, of large pages, and of the tables of pages */

static struct tlb_entry {
    const struct machine_cpu *on; /* whose TLB */
    uint32_t asid;
    unsigned level;
    uint64_t va; /* of the first byte that it translates */
    pte_t pte;   /* 0: unused */
} entries[ENTRIES];
static unsigned used, victim;
static uint64_t flushes;

static struct tlb_order {
    const struct machine_cpu *by;
    uint32_t asid;
    bool page, only_here;
    uint64_t va;
} orders[ORDERS];
static unsigned norders;

static struct {
    struct machine_cpu *on;
    uint32_t asid;
    uint64_t va;
} recent[RECENT];
static unsigned recent_at;

static uint64_t span(unsigned level)
{
    return 1ull << (PAGE_SHIFT + 9 * level);
}

static struct tlb_entry *find(uint64_t va, unsigned level)
{
    for (unsigned i = 0; i < used; i++)
        if (entries[i].pte && entries[i].on == machine.on && entries[i].asid == machine.on->asid &&
            entries[i].level == level && entries[i].va == align_down(va, span(level)))
            return &entries[i];
    return NULL;
}

static bool translates(const struct tlb_entry *entry)
{
    return entry->level == PAGES || (entry->level == LARGE && entry->pte & PTE_BLOCK);
}

static void add(uint64_t va, unsigned level, pte_t pte)
{
    unsigned at = used < ENTRIES ? used++ : victim++ % ENTRIES;

    if (entries[at].pte && translates(&entries[at]))
        window_forget(entries[at].va, span(entries[at].level)); /* capacity: a real TLB forgets as well */
    entries[at] = (struct tlb_entry){machine.on, machine.on->asid, level, align_down(va, span(level)), pte};
}

/* What one level says, from the cache or from memory. */
static pte_t step(uint64_t table, uint64_t va, unsigned level)
{
    const struct tlb_entry *cached = find(va, level);
    pte_t pte;

    if (cached)
        return cached->pte;
    pte = ((const pte_t *)phys_to_virt((paddr_t){table}))[va >> (PAGE_SHIFT + 9 * level) & 511];
    if (level == PAGES && pte & PTE_BLOCK)
        return 0; /* in the tables' window: an invalid descriptor */
    if (pte & PTE_PRESENT)
        add(va, level, pte);
    return pte;
}

/* As the entry of the page would be. */
static pte_t part(pte_t block, uint64_t va)
{
    return block + (va & (span(LARGE) - 1) & ~PAGE_MASK);
}

static pte_t walk(uint64_t va)
{
    uint64_t table = machine.on->root;

    for (unsigned level = ARCH_PT_LEVELS - 1; level > PAGES; level--) {
        pte_t pte = step(table, va, level);

        if (level == LARGE && pte & PTE_BLOCK)
            return part(pte, va);
        if (!(pte & PTE_PRESENT))
            return 0;
        table = pte_paddr(pte).v;
    }
    return step(table, va, PAGES);
}

static void remember(uint64_t va)
{
    for (unsigned i = 0; i < RECENT; i++)
        if (recent[i].on == machine.on && recent[i].asid == machine.on->asid && recent[i].va == va)
            return;
    recent[recent_at].on = machine.on;
    recent[recent_at].asid = machine.on->asid;
    recent[recent_at].va = va;
    recent_at = (recent_at + 1) % RECENT;
}

uint64_t tlb_lookup(uint64_t va)
{
    const struct tlb_entry *cached = find(va, PAGES), *large = find(va, LARGE);

    remember(va);
    if (!cached && large && translates(large))
        return part(large->pte, va);
    return cached ? cached->pte : walk(va);
}

void tlb_show(void (*see)(unsigned cpu, uint32_t asid, unsigned level, uint64_t va, uint64_t pte))
{
    for (unsigned i = 0; i < used; i++)
        if (entries[i].pte)
            see(entries[i].on->cpu->id, entries[i].asid, entries[i].level, entries[i].va, entries[i].pte);
}

void tlb_show_recent(void (*see)(unsigned cpu, uint32_t asid, uint64_t va))
{
    for (unsigned i = 0; i < RECENT; i++)
        if (recent[i].on && recent[i].va)
            see(recent[i].on->cpu->id, recent[i].asid, recent[i].va);
}

uint64_t tlb_flushes(void)
{
    return flushes;
}

/* ---- what the kernel asks for -------------------------------------------------------------------------------------- */

void arch_space_load(paddr_t root, uint32_t asid)
{
    if (asid != machine.on->asid)
        window_forget(MACHINE_WINDOW_BASE, MACHINE_WINDOW_BYTES);
    machine.on->root = root.v;
    machine.on->asid = asid;
}

unsigned arch_asid_bits(void)
{
    return machine.asid_bits;
}

static void drop(struct tlb_entry *entry)
{
    if (translates(entry) && entry->on == machine.on && entry->asid == machine.on->asid)
        window_forget(entry->va, span(entry->level));
    entry->pte = 0;
}

static bool reached(const struct tlb_entry *entry, bool only_here)
{
    return entry->pte && (!only_here || entry->on == machine.on);
}

/* Done when the CPU that gave it waits for it. */
static void order(uint32_t asid, bool page, uint64_t va, bool only_here)
{
    flushes++;
    if (norders == ORDERS)
        abort(); /* more than the kernel does without waiting */
    orders[norders++] = (struct tlb_order){machine.on, asid, page, only_here, va};
}

void arch_tlb_flush_page(uint32_t asid, uva_t va, bool only_here)
{
    order(asid, true, va.v, only_here);
}

void arch_tlb_flush_pages(uint32_t asid, uva_t va, uint64_t n, bool only_here)
{
    for (uint64_t i = 0; i < n; i++)
        order(asid, true, va.v + i * PAGE_SIZE, only_here);
}

void arch_tlb_flush_asid(uint32_t asid, bool only_here)
{
    order(asid, false, 0, only_here);
}

static void obey(const struct tlb_order *o)
{
    for (unsigned i = 0; i < used; i++)
        if (reached(&entries[i], o->only_here) && entries[i].asid == o->asid &&
            (!o->page ||
             (translates(&entries[i]) && entries[i].va == align_down(o->va, span(entries[i].level)))))
            drop(&entries[i]);
}

static void obey_own(void)
{
    unsigned left = 0;

    for (unsigned i = 0; i < norders; i++)
        if (orders[i].by == machine.on)
            obey(&orders[i]);
        else
            orders[left++] = orders[i];
    norders = left;
}

void arch_tlb_flush_all(void)
{
    flushes++;
    for (unsigned i = 0; i < used; i++)
        if (entries[i].pte)
            drop(&entries[i]);
    used = 0;
}

/* Each CPU's walker may be at work meanwhile. */
void arch_tlb_sync(bool only_here)
{
    struct machine_cpu *const self = machine.on;

    (void)only_here;
    obey_own();
    for (unsigned i = 0; i < RECENT; i++) {
        machine.on = recent[i].on;
        if (machine.on && machine.on->asid && recent[i].asid == machine.on->asid && recent[i].va)
            walk(recent[i].va);
    }
    machine.on = self;
}
