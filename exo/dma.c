#include "dma.h"

#include "base/range.h"
#include "log.h"
#include "panic.h"
#include "table.h"

#define STREAMS_PER_TABLE (PAGE_SIZE / sizeof(struct arch_stream))
#define TAGS_MAX 1024u
#define FREES_MAX (DMA_RANGE_MAX * FRAME_COST) /* so that large pages, too, are freed a few at a time */
#define SCAN_MAX 512u                          /* entries that one piece of work looks at */
#define SAYINGS_MAX 32u                        /* lines about faults in the log, ever */

_Static_assert(STREAMS_PER_TABLE == 64, "a page of stream entries");

static uint64_t nstreams; /* 0: no IOMMU */
static pfn_t stream_tables[DMA_STREAMS_MAX / STREAMS_PER_TABLE];
static paddr_t doorbells[DMA_DOORBELLS_MAX];
static unsigned ndoorbells;
static uint64_t tags[TAGS_MAX / 64]; /* a bit for each in use; 0 is nobody's */
static uint32_t ntags;
static struct list lost = {&lost, &lost};
static unsigned sayings;
static bool deaf; /* the IOMMU once did not answer */

BOOT void dma_init(void)
{
    const char *what = "none: devices reach all memory";

    nstreams = min_u64(arch_iommu_init(&what), DMA_STREAMS_MAX);
    system_info->dma_streams = nstreams;
    klog("iommu: %s", what);
}

bool dma_doorbell(paddr_t page)
{
    if (ndoorbells == DMA_DOORBELLS_MAX)
        return false;
    doorbells[ndoorbells++] = (paddr_t){align_down(page.v, PAGE_SIZE)};
    return true;
}

bool dma_is_doorbell(paddr_t page)
{
    for (unsigned i = 0; i < ndoorbells; i++)
        if (doorbells[i].v == page.v)
            return true;
    return false;
}

bool dma_is_translated(uint64_t stream)
{
    return nstreams && stream < EXO_DMA_DIRECT;
}

bool dma_stream_ok(uint64_t stream)
{
    return !dma_is_translated(stream) || stream < nstreams;
}

/* Waits until the IOMMU has forgotten what it was told to forget. */
static bool forgotten(void)
{
    if (!deaf)
        deaf = !arch_iommu_sync();
    return !deaf;
}

bool dma_is_deaf(void)
{
    return deaf;
}

static pfn_t frame_of(const void *object)
{
    return paddr_to_pfn(virt_to_phys(object));
}

/* ---- streams: which domain is whose ------------------------------------------------------------------------- */

static struct arch_stream *stream_entry(uint64_t stream)
{
    pfn_t table = stream < nstreams ? stream_tables[stream / STREAMS_PER_TABLE] : 0;

    return table ? &((struct arch_stream *)frame_address(table))[stream % STREAMS_PER_TABLE] : NULL;
}

struct domain *dma_stream_domain(uint64_t stream)
{
    const struct arch_stream *entry = stream_entry(stream);
    const struct arch_domain *hw = entry ? arch_stream_domain(entry) : NULL;

    return hw ? container_of(hw, struct domain, hw) : NULL;
}

pfn_t dma_stream_table(uint32_t index)
{
    return index < ARRAY_LEN(stream_tables) ? stream_tables[index] : 0;
}

static int stream_table_make(struct account *account, uint64_t stream)
{
    pfn_t *slot = &stream_tables[stream / STREAMS_PER_TABLE];
    int rc = *slot ? 0 : frame_alloc(account, EXO_FRAME_IOTABLE, NULL, slot);

    if (!rc)
        arch_stream_table((uint32_t)stream, pfn_to_paddr(*slot));
    return rc;
}

/* The IOMMU has confirmed that it does not look there. */
static void stream_table_trim(uint64_t stream)
{
    pfn_t *slot = &stream_tables[stream / STREAMS_PER_TABLE];

    if (frame_entry(*slot)->refs)
        return;
    frame_free(*slot);
    *slot = 0;
}

static bool attach(struct domain *domain)
{
    pfn_t table = stream_tables[domain->stream / STREAMS_PER_TABLE];

    frame_entry(table)->refs++;
    domain->attached = true;
    arch_stream_set(stream_entry(domain->stream), &domain->hw, pfn_to_paddr(domain->root), domain->tag);
    arch_stream_flush((uint32_t)domain->stream);
    return forgotten();
}

static bool detach(struct domain *domain)
{
    struct exo_frame *table = frame_entry(stream_tables[domain->stream / STREAMS_PER_TABLE]);
    struct arch_stream *entry = stream_entry(domain->stream), was = *entry;

    arch_stream_clear(entry);
    if (table->refs == 1)
        arch_stream_table((uint32_t)domain->stream, (paddr_t){0});
    arch_stream_flush((uint32_t)domain->stream);
    arch_iotlb_flush(domain->tag);
    if (!forgotten()) {
        *entry = was; /* so that it is still known whose the stream is */
        return false;
    }
    domain->attached = false;
    table->refs--;
    stream_table_trim(domain->stream);
    return true;
}

/* ---- tags --------------------------------------------------------------------------------------------------- */

static int tag_take(uint32_t *out)
{
    uint32_t end = (uint32_t)min_u64(arch_iommu_tags(), TAGS_MAX);

    for (uint32_t word = 0; word < end / 64; word++) {
        uint64_t unused = ~(tags[word] | (word == 0 ? 1u : 0u));

        if (!unused)
            continue;
        *out = word * 64 + (uint32_t)__builtin_ctzll(unused);
        tags[word] |= unused & -unused;
        ntags++;
        return 0;
    }
    return -EXO_EFULL;
}

static void tag_drop(uint32_t tag)
{
    tags[tag / 64] &= ~(1ull << tag % 64);
    ntags--;
}

uint32_t dma_ntags(void)
{
    return ntags;
}

/* ---- tables --------------------------------------------------------------------------------------------------- */

/* A frame is pinned there; a doorbell is not ours to free. */
static bool is_pin(const pte_t *entry)
{
    return entry && *entry && pte_is_counted(*entry);
}

/* Frees iova's tables from the lowest up, as far as they are empty: unlinked, then forgotten by the IOMMU, then freed.
 * Where it does not say that it forgot them, they stay. */
static void tables_trim(struct domain *domain, uint64_t iova)
{
    pte_t *path[ARCH_PT_LEVELS], *table = frame_address(domain->root), gone[ARCH_PT_LEVELS];
    unsigned lowest = ARCH_PT_LEVELS, level, end;

    for (level = ARCH_PT_LEVELS - 1; level > 0; level--) {
        path[level] = &table[index_at(iova, level)];
        if (!pte_is_table(*path[level]))
            break;
        table = table_of(*path[level]);
        lowest = level;
    }
    for (end = lowest; end < ARCH_PT_LEVELS; end++) {
        if (frame_entry(paddr_to_pfn(pte_paddr(*path[end])))->entries)
            break;
        gone[end] = *path[end];
        entry_set(path[end], 0);
    }
    if (end == lowest)
        return;
    arch_table_sync();
    if (domain->attached) {
        arch_iotlb_flush(domain->tag);
        if (!forgotten()) {
            while (end-- > lowest)
                entry_set(path[end], gone[end]);
            return;
        }
    }
    while (end-- > lowest) {
        pfn_t pfn = paddr_to_pfn(pte_paddr(gone[end]));

        frame_entry(pfn)->refs--;
        frame_free(pfn);
    }
}

/* At most DMA_RANGE_MAX pages stand in at most two tables. */
static void range_trim(struct domain *domain, uint64_t iova, uint64_t n)
{
    uint64_t last = iova + (n - 1) * PAGE_SIZE;

    if (n == 0)
        return;
    tables_trim(domain, iova);
    if ((last ^ iova) >> (PAGE_SHIFT + 9))
        tables_trim(domain, last);
}

static int table_new(struct domain *domain, pte_t *entry)
{
    pfn_t pfn;
    int rc = frame_alloc(domain->account, EXO_FRAME_IOTABLE, NULL, &pfn);

    if (rc)
        return rc;
    frame_ref(pfn);
    arch_table_sync(); /* it is empty before anything can walk it */
    entry_set(entry, pte_table(pfn_to_paddr(pfn)));
    return 0;
}

static int tables_make(struct domain *domain, uint64_t iova, pte_t **leaf)
{
    pte_t *table = frame_address(domain->root);

    for (unsigned level = ARCH_PT_LEVELS - 1; level > 0; level--) {
        pte_t *entry = &table[index_at(iova, level)];
        int rc = *entry ? 0 : table_new(domain, entry);

        if (rc)
            return rc;
        table = table_of(*entry);
    }
    *leaf = &table[index_at(iova, 0)];
    return 0;
}

/* All tables for the range exist and all its entries are empty; or an error, and nothing has changed. */
static int range_prepare(struct domain *domain, uint64_t iova, uint64_t n)
{
    int rc = domain->ending ? -EXO_EDEAD : 0;
    pte_t *leaf = NULL;

    for (uint64_t i = 0; i < n && !rc; i++) {
        uint64_t at = iova + i * PAGE_SIZE;

        leaf = table_step(domain->root, leaf, at);
        if (!leaf)
            rc = tables_make(domain, at, &leaf);
        if (!rc && *leaf)
            rc = -EXO_EBOUND;
    }
    if (rc)
        range_trim(domain, iova, n);
    return rc;
}

static void bind(struct domain *domain, pte_t *entry, paddr_t pa, unsigned prot, enum memory_type memory)
{
    entry_set(entry, pte_leaf(pa, prot, prot, memory));
    domain->nbound++;
}

/* ---- a domain's life ------------------------------------------------------------------------------------------ */

static int doorbells_bind(struct domain *domain)
{
    for (unsigned i = 0; i < ndoorbells; i++) {
        int rc = range_prepare(domain, doorbells[i].v, 1);

        if (rc)
            return rc;
        bind(domain, table_walk(domain->root, doorbells[i].v, 0), doorbells[i],
             EXO_PROT_READ | EXO_PROT_WRITE, MEMORY_DEVICE);
    }
    return 0;
}

/* The IOMMU does not answer.  What it may still use is kept, and nobody can do anything with it any more. */
static void abandon(struct domain *domain)
{
    klog("iommu: no answer; stream %lu and its memory are lost", (unsigned long)domain->stream);
    frame_entry(frame_of(domain))->serial++;
    list_remove(&domain->in_env);
    list_add_tail(&lost, &domain->in_env);
}

static void head_free(struct domain *domain)
{
    list_remove(&domain->in_env);
    if (domain->tag)
        tag_drop(domain->tag);
    frame_entry(domain->root)->refs--;
    frame_free(domain->root);
    frame_free(frame_of(domain));
}

struct domain *dma_domain(pfn_t pfn)
{
    return frame_entry(pfn)->entries == EXO_DOMAIN_HEAD ? frame_address(pfn) : NULL;
}

static int head_new(struct account *account, struct domain **out)
{
    pfn_t pfn, root;
    int rc = frame_alloc(account, EXO_FRAME_IOTABLE, NULL, &pfn);

    if (rc)
        return rc;
    rc = frame_alloc(account, EXO_FRAME_IOTABLE, NULL, &root);
    if (rc) {
        frame_free(pfn);
        return rc;
    }
    frame_ref(root);
    frame_entry(pfn)->entries = EXO_DOMAIN_HEAD;
    *out = frame_address(pfn);
    (*out)->account = account;
    (*out)->root = root;
    list_init(&(*out)->in_env);
    return 0;
}

/* What stands before the stream is told of it last, when nothing else can fail. */
static int translate(struct domain *domain)
{
    int rc = tag_take(&domain->tag);

    if (!rc)
        rc = doorbells_bind(domain);
    if (!rc)
        rc = stream_table_make(domain->account, domain->stream);
    return rc;
}

int domain_new(struct account *account, uint64_t stream, struct domain **out)
{
    struct domain *domain;
    int rc = dma_stream_domain(stream) ? -EXO_EBUSY : head_new(account, &domain);

    if (rc)
        return rc;
    domain->stream = stream;
    domain->translated = dma_is_translated(stream);
    rc = domain->translated ? translate(domain) : 0;
    if (rc) { /* at most as many entries as there are doorbells */
        while (!domain_end_step(domain))
            ;
        return rc;
    }
    arch_table_sync();
    if (domain->translated && !attach(domain)) {
        abandon(domain);
        return -EXO_ETIMEDOUT;
    }
    *out = domain;
    return 0;
}

/* Moves the cursor to the first entry that is in use, or to DMA_ADDRESS_END; false: that is further than a piece of work goes.
 * (No table is empty, so one that is entered is left by way of an entry, or at its end.) */
static bool find_bound(struct domain *domain)
{
    unsigned left = SCAN_MAX;

    while (domain->cursor < DMA_ADDRESS_END) {
        const pte_t *table = frame_address(domain->root);
        unsigned level = ARCH_PT_LEVELS - 1, at;

        while (level > 0 && pte_is_table(table[index_at(domain->cursor, level)]))
            table = table_of(table[index_at(domain->cursor, level--)]);
        for (at = index_at(domain->cursor, level); at < TABLE_ENTRIES && !table[at] && left; left--)
            at++;
        if (at != index_at(domain->cursor, level)) {
            uint64_t span = 1ull << (PAGE_SHIFT + 9 * level);

            domain->cursor = align_down(domain->cursor, span * TABLE_ENTRIES) + at * span;
        } else if (level == 0 && table[at]) {
            return true;
        }
        if (left == 0)
            return false;
    }
    return true;
}

/* Nothing walks the table any more.  (What is left of the range is found again.) */
static void unbind_detached(struct domain *domain, uint64_t iova, uint64_t n)
{
    pte_t *entry = NULL;
    uint64_t frees = 0, i;

    for (i = 0; i < n && frees < FREES_MAX; i++) {
        pte_t was;

        entry = table_step(domain->root, entry, iova + i * PAGE_SIZE);
        was = entry ? *entry : 0;
        if (!was)
            continue;
        entry_set(entry, 0);
        domain->nbound--;
        if (!is_pin(&was))
            continue;
        frees += frame_unref_cost(frame_holder(paddr_to_pfn(pte_paddr(was))));
        frame_unref(paddr_to_pfn(pte_paddr(was)));
    }
    range_trim(domain, iova, i);
}

bool domain_end_step(struct domain *domain)
{
    bool found;

    domain->ending = true;
    if (domain->attached) {
        if (detach(domain))
            return false;
        abandon(domain);
        return true;
    }
    found = find_bound(domain);
    if (found && domain->cursor >= DMA_ADDRESS_END) {
        head_free(domain);
        return true;
    }
    if (found)
        unbind_detached(domain, domain->cursor,
                        min_u64(DMA_RANGE_MAX, (DMA_ADDRESS_END - domain->cursor) >> PAGE_SHIFT));
    return false;
}

const struct list *dma_lost(void)
{
    return &lost;
}

/* ---- bindings --------------------------------------------------------------------------------------------------- */

bool domain_range_ok(uint64_t iova, uint64_t n)
{
    return !(iova & PAGE_MASK) && n <= DMA_ADDRESS_END >> PAGE_SHIFT &&
           range_fits(iova, n << PAGE_SHIFT, DMA_ADDRESS_END);
}

/* May a device have this page with these rights?  (One may stand in the range more than once.) */
static int source_check(const struct domain *domain, struct space *space, uint64_t va, unsigned prot,
                        pfn_t *out)
{
    struct binding binding;

    if (!space_lookup(space, va, &binding))
        return -EXO_EUNBOUND;
    if (binding.memory != MEMORY_NORMAL || frame_entry(binding.pfn)->kind != EXO_FRAME_USER)
        return -EXO_EINVAL;
    if (prot & ~(unsigned)binding.max)
        return -EXO_ERIGHTS;
    *out = binding.pfn;
    return frame_ref_check(binding.pfn, domain->account);
}

int domain_bind(struct domain *domain, uint64_t iova, struct space *space, uint64_t va, uint64_t n,
                unsigned prot)
{
    pfn_t pfns[DMA_RANGE_MAX];
    pte_t *entry = NULL;
    int rc = 0;

    ASSERT(n <= DMA_RANGE_MAX);
    for (uint64_t i = 0; i < n && !rc; i++)
        rc = source_check(domain, space, va + i * PAGE_SIZE, prot, &pfns[i]);
    if (!rc)
        rc = range_prepare(domain, iova, n);
    if (rc)
        return rc;
    for (uint64_t i = 0; i < n; i++) {
        frame_ref(pfns[i]);
        entry = table_step(domain->root, entry, iova + i * PAGE_SIZE);
        bind(domain, entry, pfn_to_paddr(pfns[i]), prot, MEMORY_NORMAL);
    }
    arch_table_sync(); /* no IOMMU keeps that nothing was bound */
    return 0;
}

int64_t domain_unbind(struct domain *domain, uint64_t iova, uint64_t n)
{
    struct {
        pte_t *entry, was;
    } gone[DMA_RANGE_MAX];
    pte_t *entry = NULL;
    uint64_t frees = 0, looked;
    unsigned ngone = 0;

    ASSERT(n <= DMA_RANGE_MAX);
    for (looked = 0; looked < n && frees < FREES_MAX; looked++) {
        entry = table_step(domain->root, entry, iova + looked * PAGE_SIZE);
        if (!is_pin(entry))
            continue;
        frees += frame_unref_cost(frame_holder(paddr_to_pfn(pte_paddr(*entry))));
        gone[ngone].entry = entry;
        gone[ngone++].was = *entry;
        entry_set(entry, 0);
        if (domain->attached)
            arch_iotlb_flush_page(domain->tag, iova + looked * PAGE_SIZE);
    }
    arch_table_sync();
    if (ngone && domain->attached && !forgotten()) {
        while (ngone--)
            entry_set(gone[ngone].entry, gone[ngone].was);
        return -EXO_ETIMEDOUT;
    }
    domain->nbound -= ngone;
    for (unsigned i = 0; i < ngone; i++) /* only now may anybody else have the frames */
        frame_unref(paddr_to_pfn(pte_paddr(gone[i].was)));
    if (ngone)
        range_trim(domain, iova, looked);
    return (int64_t)looked;
}

bool domain_address(struct domain *domain, uint64_t iova, uint64_t *out)
{
    const pte_t *entry = table_walk(domain->root, align_down(iova, PAGE_SIZE), 0);

    if (!is_pin(entry))
        return false;
    *out = domain->translated ? iova : pte_paddr(*entry).v + (iova & PAGE_MASK);
    return true;
}

/* ---- faults ----------------------------------------------------------------------------------------------------- */

void dma_faulted(uint64_t stream, uint64_t address, unsigned access)
{
    struct domain *domain = dma_stream_domain(stream);
    bool first = !domain || domain->fault.count == 0;

    if (domain) {
        domain->fault.count++;
        domain->fault.address = address;
        domain->fault.access = access;
    }
    if (first && sayings++ < SAYINGS_MAX)
        klog("iommu: stream %lu%s was kept from %s of 0x%lx", (unsigned long)stream,
             domain ? "" : ", which is nobody's,", access & EXO_PROT_WRITE ? "a write" : "a read",
             (unsigned long)address);
}
