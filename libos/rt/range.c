/* Range calls, repeated until the whole range is done.  A call may stop early but always gets somewhere. */
#include "rt/general_regs.h"

#include "os/exo.h"

/* Notes one call's result; true: go on with the rest. */
static bool go_on(int64_t rc, uint64_t *at, uint64_t n)
{
    if (rc > 0)
        *at += (uint64_t)rc;
    return rc > 0 && *at < n;
}

static int finish(int64_t rc, uint64_t at, uint64_t *done)
{
    if (done)
        *done = at;
    return rc < 0 ? (int)rc : 0;
}

#define REPEAT(call)                                                                                         \
    do {                                                                                                     \
        uint64_t at = 0;                                                                                     \
        int64_t rc = 0;                                                                                      \
        if (n > 0) {                                                                                         \
            do                                                                                               \
                rc = (call);                                                                                 \
            while (go_on(rc, &at, n));                                                                       \
        }                                                                                                    \
        return finish(rc, at, done);                                                                         \
    } while (0)

int os_page_alloc(exo_handle_t space, uint64_t va, uint64_t n, uint64_t flags, uint64_t *done)
{
    REPEAT(exo_page_alloc(space, va + at * PAGE_SIZE, n - at, EXO_WANT_ANY, flags));
}

int os_page_map(exo_handle_t dst, uint64_t va, exo_handle_t src, uint64_t sva, uint64_t n, unsigned prot,
                uint64_t *done)
{
    REPEAT(exo_page_map(dst, va + at * PAGE_SIZE, src, sva + at * PAGE_SIZE, n - at, prot));
}

int os_page_protect(exo_handle_t space, uint64_t va, uint64_t n, unsigned prot, uint64_t *done)
{
    REPEAT(exo_page_protect(space, va + at * PAGE_SIZE, n - at, prot));
}

int os_page_unmap(exo_handle_t space, uint64_t va, uint64_t n, uint64_t *done)
{
    REPEAT(exo_page_unmap(space, va + at * PAGE_SIZE, n - at, 0));
}

int os_mmio_map(exo_handle_t mmio, exo_handle_t space, uint64_t va, uint64_t pa, uint64_t n, unsigned prot,
                uint64_t *done)
{
    REPEAT(exo_mmio_map(mmio, space, va + at * PAGE_SIZE, pa + at * PAGE_SIZE, n - at, prot));
}

int os_dma_bind(exo_handle_t domain, uint64_t iova, exo_handle_t space, uint64_t va, uint64_t n,
                unsigned prot, uint64_t *done)
{
    REPEAT(exo_dma_bind(domain, iova + at * PAGE_SIZE, space, va + at * PAGE_SIZE, n - at, prot));
}

int os_dma_unbind(exo_handle_t domain, uint64_t iova, uint64_t n, uint64_t *done)
{
    REPEAT(exo_dma_unbind(domain, iova + at * PAGE_SIZE, n - at));
}
