/* Domains: what a device may reach.  A domain holds, for one stream (a device's number on its bus), a table from device
 * addresses to frames.  Each frame in it is pinned by a reference, so that it outlives its other bindings.
 *
 * Where an IOMMU stands before the stream, it walks the table, and the device reaches nothing else: before a stream has
 * a domain, and after, it is blocked.  A frame loses its pin only after the IOMMU has confirmed that it forgot it; where
 * it does not confirm, the domain is kept for good, frames and all ("lost").  Where no IOMMU stands before it, the table
 * only records the pins, and the device is told physical addresses.
 *
 * All frames of a domain (head, tables, the page of stream entries that its stream needed first) are of kind IOTABLE and
 * charged to the environment that made it.  A page of stream entries counts its streams in refs, and goes with the last.
 *
 * dma_faulted() comes from the interrupt of the IOMMU, on one CPU; everything else wants the kernel for itself. */
#ifndef EXO_DMA_H
#define EXO_DMA_H

#include "space.h"

#define DMA_STREAMS_MAX 65536u /* that an IOMMU may have; those above are blocked */
#define DMA_DOORBELLS_MAX 4u
#define DMA_ADDRESS_END (1ull << ARCH_USER_BITS) /* what devices' addresses stay below */
#define DMA_RANGE_MAX 32u /* pages at one go, EXO_RANGE_MAX at most: they take longer than others' */

struct domain {
    struct account *account; /* the environment that owns it */
    struct list in_env;
    pfn_t root;
    uint32_t tag; /* names it in the IOMMU's TLB; translated only */
    uint64_t stream;
    bool translated; /* an IOMMU stands before the stream */
    bool attached;   /* and walks root */
    bool ending;     /* nothing may be bound any more */
    uint64_t cursor; /* while it ends: everything below is unbound */
    uint64_t nbound; /* entries in use, doorbells among them */
    struct {
        uint64_t count, address;
        uint32_t access; /* enum exo_prot */
    } fault;
    struct arch_domain hw;
};
_Static_assert(sizeof(struct domain) <= PAGE_SIZE, "a domain's head is one frame");

/* Boot: finds the IOMMU, blocks every stream, says so in the log. */
void dma_init(void);
/* Boot, before any domain is made: a page that every device may write at its physical address, as the interrupt
 * controller takes messages there.  False: there are DMA_DOORBELLS_MAX already. */
bool dma_doorbell(paddr_t page);

/* Does an IOMMU stand before this stream?  If so, does it know it? */
bool dma_is_translated(uint64_t stream);
bool dma_stream_ok(uint64_t stream);

/* The domain whose head is this frame, of kind IOTABLE, or NULL: it is a table. */
struct domain *dma_domain(pfn_t pfn);
/* A domain for a stream that has none: 0, -EXO_EBUSY (it has), -EXO_EFULL (no more domains), -EXO_EQUOTA, -EXO_ENOMEM,
 * -EXO_ETIMEDOUT (the IOMMU does not answer; the stream is of no use any more). */
int domain_new(struct account *account, uint64_t stream, struct domain **out);
/* Takes the stream off, then unbinds a bounded piece; true when all is gone, or the domain is lost. */
bool domain_end_step(struct domain *domain);

/* Page aligned, and not beyond what a device can address. */
bool domain_range_ok(uint64_t iova, uint64_t n);
/* All or nothing, for at most DMA_RANGE_MAX pages.  0, -EXO_EDEAD (it is ending), -EXO_EUNBOUND, -EXO_EINVAL (not ordinary
 * memory), -EXO_ERIGHTS, -EXO_EFULL (references), -EXO_EBUSY (a frame is being reclaimed), -EXO_EBOUND (iova is in use), -EXO_EQUOTA, -EXO_ENOMEM. */
int domain_bind(struct domain *domain, uint64_t iova, struct space *space, uint64_t va, uint64_t n,
                unsigned prot);
/* Pages that are not bound are passed over.  How many it looked at: n, or fewer, as only so much is freed at once; or
 * -EXO_ETIMEDOUT: the IOMMU does not answer, and nothing changed. */
int64_t domain_unbind(struct domain *domain, uint64_t iova, uint64_t n);
/* What the device has to be told to reach the page at iova; false: nothing is bound there. */
bool domain_address(struct domain *domain, uint64_t iova, uint64_t *out);

/* The architecture: a device was kept from an address. */
void dma_faulted(uint64_t stream, uint64_t address, unsigned access);

/* For the audit. */
pfn_t dma_stream_table(uint32_t index);            /* entries of streams from 64 * index on; 0: none */
struct domain *dma_stream_domain(uint64_t stream); /* NULL: the stream is blocked */
bool dma_is_doorbell(paddr_t page);
const struct list *dma_lost(void);
uint32_t dma_ntags(void); /* in use */
bool dma_is_deaf(void);   /* the IOMMU once did not answer: then tables stay, empty ones too */

#endif
