/* dmatrusted: the same device without an IOMMU, or beside it, by physical addresses; its manifest node says that it is
 * trusted with that (K18). */
#include "../common/rng.h"

static bool check(const char *what, bool good)
{
    printf("%s - %s\n", good ? "ok" : "not ok", what);
    return good;
}

int main(void)
{
    const struct os_start_grant *g = rng_grant(OS_GRANT_DMA, 0);
    unsigned char *page = rng_pages(1);
    int64_t domain, queue_at, page_at;
    struct rng rng;
    bool good;

    if (!g || !page || !rng_open(&rng))
        return 1;
    memset(page, 0x5a, PAGE_SIZE);
    good = check("the grant says that it is trusted", g->flags == 1 && g->base >= EXO_DMA_DIRECT);
    domain = exo_dma_open(g->handle, g->base + rng.fn);
    good &= check("K18 who is trusted may", domain > 0);
    exo_dma_bind((uint64_t)domain, RNG_QUEUE_IOVA, EXO_SELF_SPACE, (uint64_t)(uintptr_t)rng.queue, 1, RNG_RW);
    exo_dma_bind((uint64_t)domain, RNG_IOVA, EXO_SELF_SPACE, (uint64_t)(uintptr_t)page, 1, RNG_RW);
    queue_at = exo_dma_address((uint64_t)domain, RNG_QUEUE_IOVA);
    page_at = exo_dma_address((uint64_t)domain, RNG_IOVA);
    good &= check("the device's addresses are physical",
                  (uint64_t)page_at == rng_physical(page) && (uint64_t)queue_at == rng_physical(rng.queue));
    good &= check("the device starts", rng_start(&rng, (uint64_t)queue_at));
    rng_ask(&rng, 0, (uint64_t)page_at + 256, 64);
    good &= check("K18 the device writes there", rng_wait(&rng, 1) && !rng_is_filled(page + 256, 0x5a, 64) &&
                                                     rng_is_filled(page, 0x5a, 256));
    virtio_reset(&rng.device);
    return !good;
}
