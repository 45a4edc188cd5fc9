/* A virtio entropy device as test programs drive it: it writes into memory what and where it is told, and nothing else. */
#ifndef TESTS_COMMON_RNG_H
#define TESTS_COMMON_RNG_H

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "os/exo.h"
#include "os/mem.h"
#include "os/start.h"
#include "virtio.h"

#define RNG_RW ((uint64_t)EXO_PROT_READ | EXO_PROT_WRITE)
#define RNG_QUEUE_IOVA 0x40000000ull /* where the device finds its queue */
#define RNG_IOVA 0x50000000ull       /* and buffers */

struct rng {
    struct pci pci;
    unsigned fn;
    struct virtio device;
    struct virtq *queue; /* a page of ours */
};

static inline const struct os_start_grant *rng_grant(enum os_grant_kind kind, unsigned n)
{
    return os_start_grant_nth(os_start_block(), kind, n);
}

/* Registers, by whichever grant covers them. */
static inline uint64_t rng_map(uint64_t pa, uint64_t bytes)
{
    const struct os_start_grant *g;
    uint64_t va;

    for (unsigned n = 0; (g = rng_grant(OS_GRANT_MMIO, n)) != NULL; n++) {
        struct os_map map = {.kind = OS_REGION_DEVICE,
                             .prot = EXO_PROT_READ | EXO_PROT_WRITE,
                             .npages = align_up(bytes, PAGE_SIZE) / PAGE_SIZE,
                             .from = g->handle,
                             .source = pa};

        if (pa >= g->base && pa + bytes <= g->base + g->bytes && os_map_region(&map, &va) == 0)
            return va;
    }
    return 0;
}

static inline void *rng_pages(uint64_t npages)
{
    struct os_map map = {.kind = OS_REGION_ANON,
                         .prot = EXO_PROT_READ | EXO_PROT_WRITE,
                         .flags = OS_MAP_POPULATE,
                         .npages = npages};
    uint64_t va;

    return os_map_region(&map, &va) ? NULL : (void *)(uintptr_t)va;
}

/* Where a page of ours lies in memory, as our page tables tell. */
static inline uint64_t rng_physical(const void *at)
{
    uint64_t va = (uint64_t)(uintptr_t)at;

    return *(const uint64_t *)(uintptr_t)(os_system()->table_va + va / PAGE_SIZE * 8) & 0x0000fffffffff000ull;
}

/* Finds the device and puts it where it can be driven; false after a sentence. */
static inline bool rng_open(struct rng *rng)
{
    const struct os_start_grant *tree = os_start_grant_find(os_start_block(), "tree", OS_GRANT_MEMORY);
    struct pci_bar bars[PCI_BARS];
    int fn;

    if (!tree || !pci_find_host((const void *)(uintptr_t)tree->base, &rng->pci) ||
        !(rng->pci.config.base = rng_map(rng->pci.ecam, PCI_ECAM_BYTES))) {
        printf("rng: no PCI\n");
        return false;
    }
    fn = pci_find(&rng->pci, 0, VIRTIO_VENDOR, VIRTIO_MODERN(VIRTIO_RNG));
    rng->fn = (unsigned)fn;
    if (fn < 0 || !pci_assign_bars(&rng->pci, rng->fn, bars)) {
        printf("rng: no entropy device\n");
        return false;
    }
    pci_enable(&rng->pci, rng->fn);
    if (!virtio_find(&rng->pci, rng->fn, bars, rng_map, &rng->device)) {
        printf("rng: no virtio device\n");
        return false;
    }
    virtio_reset(&rng->device);
    rng->queue = rng_pages(1);
    return rng->queue != NULL;
}

/* (Re)starts it with an empty queue at an address of its own. */
static inline bool rng_start(struct rng *rng, uint64_t queue_address)
{
    if (!virtio_begin(&rng->device, VIRTIO_F_VERSION_1 | VIRTIO_F_ACCESS_PLATFORM))
        return false;
    memset(rng->queue, 0, PAGE_SIZE);
    if (!virtio_queue(&rng->device, 0, queue_address))
        return false;
    virtio_go(&rng->device);
    return true;
}

/* Lets it write a buffer at an address of its own. */
static inline void rng_ask(struct rng *rng, unsigned n, uint64_t address, uint32_t len)
{
    virtq_offer(rng->queue, n, address, len);
    virtio_kick(&rng->device, 0);
}

/* Waits until it has given n buffers back; false: not within two seconds. */
static inline bool rng_wait(const struct rng *rng, uint16_t n)
{
    for (unsigned tries = 0; tries < 400; tries++, usleep(5000))
        if (virtq_done(rng->queue) >= n)
            return true;
    return false;
}

static inline bool rng_is_filled(const void *at, int byte, size_t len)
{
    const volatile unsigned char *p = at;

    for (size_t i = 0; i < len; i++)
        if (p[i] != byte)
            return false;
    return true;
}

#endif
