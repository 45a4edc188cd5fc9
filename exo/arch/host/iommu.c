/* A model of an IOMMU, as mean as the architectures allow.
 *
 * A stream's entry, once used, and everything that a walk passed, tables too, is kept until a flush names it; and a flush
 * is done only when the kernel waits for it.  Before that the device that asked last asks again, so that what is taken out
 * of a table only after the flush is found by the audit. */
#include <stdlib.h>

#include "arch/arch.h"
#include "dma.h"
#include "host.h"

#define ENTRIES 256u
#define ORDERS 256u
#define FAULTS 32u
#define PAGES 0u /* level */
#define PER_TABLE (PAGE_SIZE / sizeof(struct arch_stream))

static paddr_t tables[MACHINE_STREAMS / PER_TABLE];

static struct stream {
    bool known;
    uint64_t root, tag;
} streams[MACHINE_STREAMS];

static struct {
    uint32_t tag;
    unsigned level;
    uint64_t iova;
    pte_t pte; /* 0: unused */
} entries[ENTRIES];
static unsigned used, victim;

static struct {
    enum { STREAM, PAGE, TAG } what;
    uint32_t number;
    uint64_t iova;
} orders[ORDERS];
static unsigned norders;

static struct {
    uint64_t stream, address;
    unsigned access;
} faults[FAULTS];
static unsigned nfaults;

static uint64_t last_stream, last_address;
static bool asked;
static pte_t look(uint64_t stream, uint64_t address);

/* ---- what the kernel asks for ------------------------------------------------------------------------------------ */

uint64_t arch_iommu_init(const char **what)
{
    if (machine.iommu)
        *what = "the model";
    return machine.iommu ? MACHINE_STREAMS : 0;
}

uint32_t arch_iommu_tags(void)
{
    return 128;
}

void arch_stream_table(uint32_t stream, paddr_t table)
{
    tables[stream / PER_TABLE] = table;
}

void arch_stream_set(struct arch_stream *stream, struct arch_domain *domain, paddr_t root, uint32_t tag)
{
    domain->root = root.v;
    domain->tag = tag;
    stream->domain = virt_to_phys(domain).v;
}

void arch_stream_clear(struct arch_stream *stream)
{
    stream->domain = 0;
}

static void order(unsigned what, uint32_t number, uint64_t iova)
{
    if (norders == ORDERS)
        abort(); /* the kernel issues more than a queue holds */
    orders[norders].what = what;
    orders[norders].number = number;
    orders[norders++].iova = iova;
}

void arch_stream_flush(uint32_t stream)
{
    order(STREAM, stream, 0);
}

void arch_iotlb_flush_page(uint32_t tag, uint64_t iova)
{
    order(PAGE, tag, iova);
}

void arch_iotlb_flush(uint32_t tag)
{
    order(TAG, tag, 0);
}

static void obey(unsigned i)
{
    if (orders[i].what == STREAM) {
        streams[orders[i].number].known = false;
        return;
    }
    for (unsigned k = 0; k < used; k++)
        if (entries[k].tag == orders[i].number &&
            (orders[i].what == TAG || (entries[k].level == PAGES && entries[k].iova == orders[i].iova)))
            entries[k].pte = 0;
}

bool arch_iommu_sync(void)
{
    for (unsigned i = 0; i < norders && !machine.iommu_deaf; i++)
        obey(i);
    norders = 0;
    if (asked)
        look(last_stream, last_address); /* nobody asked it to walk just now, but it may */
    return !machine.iommu_deaf;
}

void arch_iommu_poll(void)
{
    for (unsigned i = 0; i < nfaults; i++)
        dma_faulted(faults[i].stream, faults[i].address, faults[i].access);
    nfaults = 0;
}

/* ---- what devices ask for ------------------------------------------------------------------------------------------ */

static uint64_t span(unsigned level)
{
    return 1ull << (PAGE_SHIFT + 9 * level);
}

static pte_t kept(uint32_t tag, uint64_t iova, unsigned level)
{
    for (unsigned i = 0; i < used; i++)
        if (entries[i].pte && entries[i].tag == tag && entries[i].level == level &&
            entries[i].iova == align_down(iova, span(level)))
            return entries[i].pte;
    return 0;
}

static void keep(uint32_t tag, uint64_t iova, unsigned level, pte_t pte)
{
    unsigned at = used < ENTRIES ? used++ : victim++ % ENTRIES;

    entries[at].tag = tag;
    entries[at].level = level;
    entries[at].iova = align_down(iova, span(level));
    entries[at].pte = pte;
}

/* What one level says, from the cache or from memory. */
static pte_t step(const struct stream *stream, uint64_t table, uint64_t iova, unsigned level, bool keeping)
{
    pte_t pte = kept((uint32_t)stream->tag, iova, level);

    if (pte)
        return pte;
    pte = ((const pte_t *)phys_to_virt((paddr_t){table}))[iova >> (PAGE_SHIFT + 9 * level) & 511];
    if (!(pte & PTE_PRESENT))
        return 0;
    if (keeping)
        keep((uint32_t)stream->tag, iova, level, pte);
    return pte;
}

static bool find_stream(uint64_t number, struct stream *out)
{
    const struct arch_stream *table;
    const struct arch_domain *domain;

    if (number >= MACHINE_STREAMS)
        return false;
    *out = streams[number];
    if (out->known)
        return true;
    if (!tables[number / PER_TABLE].v)
        return false;
    table = phys_to_virt(tables[number / PER_TABLE]);
    domain = arch_stream_domain(&table[number % PER_TABLE]);
    if (!domain)
        return false;
    *out = (struct stream){true, domain->root, domain->tag};
    return true;
}

static pte_t translate(const struct stream *stream, uint64_t iova, bool keeping)
{
    uint64_t table = stream->root;

    for (unsigned level = ARCH_PT_LEVELS - 1; level > PAGES; level--) {
        pte_t pte = step(stream, table, iova, level, keeping);

        if (!pte)
            return 0;
        table = pte_paddr(pte).v;
    }
    return step(stream, table, iova, PAGES, keeping);
}

static pte_t look(uint64_t stream, uint64_t address)
{
    struct stream found;

    if (!find_stream(stream, &found))
        return 0;
    streams[stream] = found;
    return address >> ARCH_USER_BITS ? 0 : translate(&found, address, true);
}

static void blocked(uint64_t stream, uint64_t address, unsigned want)
{
    if (nfaults == FAULTS)
        return; /* lost, as in a queue that is full */
    faults[nfaults].stream = stream;
    faults[nfaults].address = address;
    faults[nfaults++].access = want;
}

void *machine_dma(uint64_t stream, uint64_t address, unsigned want)
{
    pte_t pte;

    if (!machine.iommu || stream >= EXO_DMA_DIRECT)
        return phys_to_virt((paddr_t){address});
    last_stream = stream;
    last_address = address;
    asked = true;
    pte = look(stream, address);
    if (!pte || want & ~pte_prot(pte)) {
        blocked(stream, address, want);
        return NULL;
    }
    return (uint8_t *)phys_to_virt(pte_paddr(pte)) + (address & PAGE_MASK);
}

void iommu_show(void (*see)(uint32_t tag, unsigned level, uint64_t iova, uint64_t pte))
{
    for (unsigned i = 0; i < used; i++)
        if (entries[i].pte)
            see(entries[i].tag, entries[i].level, entries[i].iova, entries[i].pte);
}

void iommu_show_streams(void (*see)(uint64_t stream, uint32_t tag))
{
    for (uint64_t i = 0; i < MACHINE_STREAMS; i++)
        if (streams[i].known)
            see(i, (uint32_t)streams[i].tag);
}

bool iommu_last(uint64_t *stream, uint64_t *address)
{
    *stream = last_stream;
    *address = last_address;
    return asked;
}

uint64_t iommu_reach(uint64_t stream, uint64_t address)
{
    struct stream found;

    return find_stream(stream, &found) && !(address >> ARCH_USER_BITS) ? translate(&found, address, false)
                                                                       : 0;
}
