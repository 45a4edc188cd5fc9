#include "store.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

#include "os/exo.h"
#include "os/mem.h"
#include "os/time.h"

#define PAGES_MAX (1u << 18) /* 1 GiB */
#define OWN_SHARE 4u         /* one part in so many stays for peers, page tables and the heap */

static struct {
    uint64_t va;
    uint32_t npages;
    uint32_t fresh; /* pages from here on were never used */
    uint32_t nfree;
    uint32_t *free_page; /* a stack of page numbers, as long as npages */
} store;

int64_t store_init(void)
{
    struct os_map window = {.kind = OS_REGION_WINDOW, .prot = EXO_PROT_READ | EXO_PROT_WRITE};
    uint64_t limit, used;
    mallopt(M_TRIM_THRESHOLD, PAGE_SIZE); /* small things go back to the kernel too, as soon as they can */
    mallopt(M_TOP_PAD, 0);
    os_mem_use(&limit, &used);
    uint64_t rest = limit > used ? limit - used : 0;
    store.npages = (uint32_t)min_u64(rest - rest / OWN_SHARE, PAGES_MAX);
    if (store.npages == 0)
        return -ENOMEM;
    store.free_page = calloc(store.npages, sizeof(*store.free_page));
    if (store.free_page == NULL)
        return -ENOMEM;
    window.npages = store.npages;
    int err = os_map_region(&window, &store.va);
    return err != 0 ? err : (int64_t)store.npages * PAGE_SIZE;
}

static void *page_alloc(void)
{
    if (store.nfree == 0 && store.fresh == store.npages)
        return NULL;
    uint32_t page = store.nfree > 0 ? store.free_page[store.nfree - 1] : store.fresh;
    uint64_t va = store.va + (uint64_t)page * PAGE_SIZE;
    if (os_page_alloc(EXO_SELF_SPACE, va, 1, EXO_PROT_READ | EXO_PROT_WRITE, NULL) != 0)
        return NULL;
    if (store.nfree > 0)
        store.nfree--;
    else
        store.fresh++;
    return (void *)(uintptr_t)va;
}

static void page_free(void *mem)
{
    uint64_t va = (uint64_t)(uintptr_t)mem;
    (void)os_page_unmap(EXO_SELF_SPACE, va, 1, NULL);
    store.free_page[store.nfree++] = (uint32_t)((va - store.va) / PAGE_SIZE);
}

static void *store_alloc(void *ctx, size_t bytes)
{
    (void)ctx;
    return bytes == PAGE_SIZE ? page_alloc() : calloc(1, bytes);
}

static void store_free(void *ctx, void *mem, size_t bytes)
{
    (void)ctx;
    if (bytes == PAGE_SIZE)
        page_free(mem);
    else
        free(mem);
}

static uint64_t store_now(void *ctx)
{
    (void)ctx;
    return os_epoch_ns() + os_uptime_ns();
}

const struct ramfs_ops store_ops = {store_alloc, store_free, store_now};
