/* Contiguous runs, which are taken at once, and zeroed and bound in pieces. */
#include "space_impl.h"

void run_drop(struct space *space)
{
    if (space->run.large)
        frame_run_free(space->run.pfn & ~(pfn_t)(EXO_LARGE_PAGES - 1), EXO_LARGE_PAGES);
    else if (space->run.left)
        frame_run_free(space->run.pfn, space->run.left);
    space->run = (struct space_run){0};
}

static int run_begin(struct space *space, uint64_t va, uint64_t n, const struct frame_want *want)
{
    pfn_t pfn;
    int rc;

    if (space->ending)
        return -EXO_EDEAD;
    run_drop(space);
    rc = frame_alloc_run(space->account, n, want, &pfn);
    if (!rc)
        space->run = (struct space_run){.pfn = pfn, .left = n, .va = va};
    return rc;
}

static int run_resume(struct space *space, uint64_t va, uint64_t n, bool large)
{
    const struct space_run *run = &space->run;

    if (run->left == 0 || run->large != large || (n && (run->left != n || run->va != va)))
        return -EXO_ESTATE;
    if (n == 0)
        run_drop(space);
    return 0;
}

/* At most FRAMES_AT_ONCE, at least one, and 0 or an error. */
static int run_piece(struct space *space, unsigned prot)
{
    uint64_t n = min_u64(space->run.left, FRAMES_AT_ONCE);
    uint64_t va = space->run.va, done = 0;
    pte_t *entry = NULL;
    int rc = tables_prepare(space, va, n, &entry);

    if (rc)
        return rc;
    for (; done < n && !(done && arch_irq_pending()); done++) {
        frame_zero(space->run.pfn);
        if (done)
            entry = table_step(space->root, entry, space->run.va);
        bind(space, entry, pte_leaf(pfn_to_paddr(space->run.pfn), prot, EXO_PROT_ALL, MEMORY_NORMAL));
        space->run.pfn++;
        space->run.left--;
        space->run.va += PAGE_SIZE;
    }
    if (done < n)
        tables_trim_range(space, va, n);
    return 0;
}

static int64_t run_bind(struct space *space, unsigned prot)
{
    uint64_t total = space->run.left;
    int rc = run_piece(space, prot);

    arch_table_sync();
    total -= space->run.left;
    if (rc != NEEDS_WORLD && (rc || space->run.left == 0))
        run_drop(space);
    return total ? (int64_t)total : rc;
}

/* Between the two halves nobody else may have the space: he could give the run back, or begin another. */
int64_t space_alloc_run(struct space *space, uint64_t va, uint64_t n, uint64_t flags,
                        const struct frame_want *want)
{
    bool large = flags & EXO_ALLOC_LARGE;
    unsigned prot = flags & EXO_PROT_ALL;
    int64_t rc;

    lock_take(&space->lock);
    if (flags & EXO_ALLOC_MORE)
        rc = run_resume(space, va, n, large);
    else
        rc = large ? large_begin(space, va, want) : run_begin(space, va, n, want);
    if (!rc && n)
        rc = large ? large_bind(space, prot) : run_bind(space, prot);
    lock_drop(&space->lock);
    return rc;
}
