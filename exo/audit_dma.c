#include "audit_impl.h"

#include "dma.h"
#include "table.h"

/* ---- what devices reach --------------------------------------------------------------------------------- */

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

void audit_check_dma(void)
{
    for (pfn_t pfn = system_info->first_frame; ok() && pfn <= last_frame(); pfn++)
        if (kind_of(pfn) == EXO_FRAME_ENV && !((const struct env *)frame_address(pfn))->torn_down)
            check_domains(&((const struct env *)frame_address(pfn))->domains);
    check_domains(dma_lost());
    for (uint32_t i = 0; i < DMA_STREAMS_MAX / 64 && ok(); i++)
        check_streams(i);
    check_tags();
}

/* ---- what the IOMMU holds ------------------------------------------------------------------------------- */

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
void audit_check_device_translation(uint32_t tag, unsigned level, uint64_t iova, pte_t pte)
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
