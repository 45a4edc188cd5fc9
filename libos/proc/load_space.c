/* Loading into a real child, through the SPACE capability that init gave. */
#include "os/exo.h"
#include "os/ipc.h"
#include "os/load.h"

#define READ_WRITE (EXO_PROT_READ | EXO_PROT_WRITE)

static int space_open(void *ctx, uint64_t va, unsigned npages, void **window)
{
    const struct load_space *l = ctx;
    int rc = os_page_alloc(l->space, va, npages, READ_WRITE, NULL);

    if (!rc)
        rc = os_page_map(EXO_SELF_SPACE, l->window_va, l->space, va, npages, READ_WRITE, NULL);
    if (rc)
        (void)os_page_unmap(EXO_SELF_SPACE, l->window_va, npages, NULL);
    *window = (void *)(uintptr_t)l->window_va;
    return (int)os_from_exo(rc);
}

static int space_close(void *ctx, uint64_t va, unsigned npages, unsigned prot)
{
    const struct load_space *l = ctx;
    char *window = (char *)(uintptr_t)l->window_va;
    int rc;

    if (prot & EXO_PROT_EXEC) /* what we wrote as data will be fetched as instructions */
        __builtin___clear_cache(window, window + (size_t)npages * PAGE_SIZE);
    (void)os_page_unmap(EXO_SELF_SPACE, l->window_va, npages, NULL);
    rc = prot == READ_WRITE ? 0 : os_page_protect(l->space, va, npages, prot, NULL);
    return (int)os_from_exo(rc);
}

static int space_zero(void *ctx, uint64_t va, uint64_t npages, unsigned prot)
{
    const struct load_space *l = ctx;

    return (int)os_from_exo(os_page_alloc(l->space, va, npages, prot, NULL));
}

const struct load_ops load_space_ops = {.open = space_open, .close = space_close, .zero = space_zero};
