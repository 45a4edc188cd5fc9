/* Mapping, unmapping, protecting: os/mem.h.  Decode checks everything and takes the nodes that will be needed; then
 * the change is made, and taken back where the kernel refuses a part of it. */
#include "mem/mem.h"

#include <errno.h>

#include "base/range.h"
#include "os/exo.h"
#include "os/layout.h"
#include "os/rt.h"
#include "rt/arch.h"
#include "rt/rt.h"

#define USER_END (OS_POOL_END)
#define PROT_ALL (EXO_PROT_READ | EXO_PROT_WRITE | EXO_PROT_EXEC)

/* While we have the lock none of our faults can be resolved, those of our own stack included: have some of it bound first. */
__attribute__((no_sanitize("address"))) static void stack_ahead(void)
{
    for (uint64_t down = PAGE_SIZE; down <= 2 * PAGE_SIZE; down += PAGE_SIZE)
        *(volatile char *)(arch_stack_here() - down) = 0;
}

void mem_lock(void)
{
    os_signals_hold();
    stack_ahead();
    spin_lock(&mem.lock, rt_vcpu());
}

void mem_unlock(void)
{
    spin_unlock(&mem.lock);
    os_signals_release();
}

/* ---- checks --------------------------------------------------------------------------------------------- */

static bool prot_ok(unsigned prot)
{
    return !(prot & ~(unsigned)PROT_ALL) &&
           (prot & (EXO_PROT_WRITE | EXO_PROT_EXEC)) != (EXO_PROT_WRITE | EXO_PROT_EXEC);
}

static bool range_ok(uint64_t va, uint64_t npages)
{
    return npages > 0 && !(va & PAGE_MASK) && va >= PAGE_SIZE && npages <= USER_END / PAGE_SIZE &&
           range_fits(va, npages * PAGE_SIZE, USER_END);
}

int mem_reserve_nodes(uint64_t n)
{
    while (mem.pool.nfree < n) {
        if (mem.pool_end >= OS_POOL_END ||
            os_page_alloc(EXO_SELF_SPACE, mem.pool_end, 1, EXO_PROT_READ | EXO_PROT_WRITE, NULL))
            return -ENOMEM;
        region_pool_add(&mem.pool, (void *)mem.pool_end, PAGE_SIZE);
        mem.pool_end += PAGE_SIZE;
    }
    return 0;
}

/* ---- binding -------------------------------------------------------------------------------------------- */

static int populate(const struct region *r, uint64_t va, uint64_t end)
{
    int rc = 0;

    while (va < end && !rc) {
        uint64_t bound = arch_next_bound(va, end);

        if (bound > va)
            rc = os_page_alloc(EXO_SELF_SPACE, va, (bound - va) / PAGE_SIZE, r->prot, NULL);
        va = bound + PAGE_SIZE;
    }
    return rc;
}

int mem_populate(const struct region *r, uint64_t va, uint64_t end)
{
    int rc = 0;

    if (r->guard)
        va = max_u64(va, r->va + PAGE_SIZE);
    if (!r->large)
        return populate(r, va, end);
    while (va < end && !rc) {
        uint64_t next = min_u64(align_down(va, EXO_LARGE_BYTES) + EXO_LARGE_BYTES, end);

        if (!mem_bind_large(r, va))
            rc = populate(r, va, next);
        va = next;
    }
    return rc;
}

/* Would a boundary there cut a large page? */
static bool cuts_large(uint64_t at)
{
    return at & (EXO_LARGE_BYTES - 1) && at < USER_END && arch_is_large(at);
}

/* Calls the kernel for each run of bound pages. */
static int for_bound(uint64_t va, uint64_t end, int (*fn)(uint64_t va, uint64_t npages, unsigned arg),
                     unsigned arg)
{
    int rc = 0;

    for (va = arch_next_bound(va, end); va < end && !rc; va = arch_next_bound(va, end)) {
        uint64_t from = va;

        while (va < end && arch_next_bound(va, va + PAGE_SIZE) == va)
            va += PAGE_SIZE;
        rc = fn(from, (va - from) / PAGE_SIZE, arg);
    }
    return rc;
}

static int unbind_run(uint64_t va, uint64_t npages, unsigned unused)
{
    (void)unused;
    return os_page_unmap(EXO_SELF_SPACE, va, npages, NULL);
}

static int protect_run(uint64_t va, uint64_t npages, unsigned prot)
{
    return os_page_protect(EXO_SELF_SPACE, va, npages, prot, NULL);
}

void mem_unbind(uint64_t va, uint64_t end)
{
    for_bound(va, end, unbind_run, 0);
}

/* One contiguous run: a call does a piece of it, and what fails on the way leaves the pages
 * that are done. */
static int bind_dma(const struct os_map *what, uint64_t va, uint64_t *done)
{
    uint64_t flags = what->prot | (uint64_t)what->limit << EXO_ALLOC_LIMIT_SHIFT;

    if (!(what->flags & OS_MAP_CONTIG))
        return os_page_alloc(EXO_SELF_SPACE, va, what->npages, flags, done);
    for (flags |= EXO_ALLOC_CONTIG; *done < what->npages; flags |= EXO_ALLOC_MORE) {
        int64_t rc =
            exo_page_alloc(EXO_SELF_SPACE, va + *done * PAGE_SIZE, what->npages - *done, EXO_WANT_ANY, flags);

        if (rc < 0) {
            if (*done) /* what is left of the run is given back */
                exo_page_alloc(EXO_SELF_SPACE, va, 0, EXO_WANT_ANY, flags);
            return (int)rc;
        }
        *done += (uint64_t)rc;
    }
    return 0;
}

static int bind_shown(const struct os_map *what, uint64_t va, uint64_t prot, uint64_t at_once, uint64_t *done)
{
    exo_handle_t from = what->from ? what->from : EXO_SELF_SPACE;
    uint64_t some;
    int rc = 0;

    for (; *done < what->npages && !rc; *done += some)
        rc = os_page_map(EXO_SELF_SPACE, va + *done * PAGE_SIZE, from, what->source + *done * PAGE_SIZE,
                         min_u64(what->npages - *done, at_once), (unsigned)prot, &some);
    return rc;
}

/* Not to be written, and of large pages the parts, since pages are copied one by one. */
static int bind_private(const struct os_map *what, uint64_t va, uint64_t *done)
{
    uint64_t shown = (what->prot & ~(unsigned)EXO_PROT_WRITE) | EXO_PROT_READ;

    return bind_shown(what, va, shown | EXO_PROT_MAX(shown), EXO_RANGE_MAX, done);
}

static int bind_pages(const struct os_map *what, const struct region *r)
{
    uint64_t done = 0;
    int rc = 0;

    switch (what->kind) {
    case OS_REGION_ANON:
    case OS_REGION_STACK:
        rc = what->flags & OS_MAP_POPULATE ? mem_populate(r, r->va, r->end) : 0;
        done = what->npages;
        break;
    case OS_REGION_DMA:
        rc = bind_dma(what, r->va, &done);
        break;
    case OS_REGION_SHARED:
        rc = bind_shown(what, r->va, what->prot, what->npages, &done);
        break;
    case OS_REGION_PRIVATE:
        rc = bind_private(what, r->va, &done);
        break;
    case OS_REGION_DEVICE:
        rc = os_mmio_map(what->from, EXO_SELF_SPACE, r->va, what->source, what->npages, what->prot, &done);
        break;
    default:
        break;
    }
    if (rc)
        mem_unbind(r->va, r->va + done * PAGE_SIZE);
    return rc ? -exo_errno(rc) : 0;
}

/* ---- mapping -------------------------------------------------------------------------------------------- */

/* Where a region goes that may go anywhere; 0: nowhere. */
static uint64_t find_room(const struct os_map *what)
{
    uint64_t bytes = what->npages * PAGE_SIZE, va;

    if (what->npages > (OS_REGIONS_END - OS_REGIONS_VA) / PAGE_SIZE)
        return 0;
    if (!(what->flags & OS_MAP_LARGE) || bytes < EXO_LARGE_BYTES)
        return region_hole(&mem.set, OS_REGIONS_VA, OS_REGIONS_END, bytes);
    va = region_hole(&mem.set, OS_REGIONS_VA, OS_REGIONS_END, bytes + EXO_LARGE_BYTES);
    return align_up(va, EXO_LARGE_BYTES);
}

static int check(const struct os_map *what)
{
    if (what->kind >= OS_NREGION_KINDS || !prot_ok(what->prot) || what->npages == 0)
        return -EINVAL;
    if (what->kind == OS_REGION_DMA &&
        (what->limit > 64 || (what->flags & OS_MAP_CONTIG && what->npages > EXO_CONTIG_MAX)))
        return -EINVAL;
    if (what->flags & OS_MAP_FIXED)
        return range_ok(what->va, what->npages) ? 0 : -EINVAL;
    return what->flags & OS_MAP_REPLACE ? -EINVAL : 0;
}

static int place(const struct os_map *what, uint64_t *va)
{
    if (!(what->flags & OS_MAP_FIXED)) {
        *va = find_room(what);
        return *va ? 0 : -ENOMEM;
    }
    *va = what->va;
    return region_clear(&mem.set, *va, *va + what->npages * PAGE_SIZE) ? 0 : -EEXIST;
}

static int map_locked(const struct os_map *what, uint64_t *va)
{
    struct region *r;
    int rc = mem_reserve_nodes(1);

    if (!rc)
        rc = place(what, va);
    if (rc)
        return rc;
    r = region_new(&mem.pool);
    r->va = *va;
    r->end = *va + what->npages * PAGE_SIZE;
    r->kind = (uint8_t)what->kind;
    r->prot = (uint8_t)what->prot;
    r->guard = (what->flags & OS_MAP_GUARD) != 0;
    r->large = what->kind == OS_REGION_ANON && what->flags & OS_MAP_LARGE;
    rc = bind_pages(what, r);
    if (rc) {
        region_free(&mem.pool, r);
        return rc;
    }
    region_insert(&mem.set, r);
    return 0;
}

/* ---- unmapping and protecting --------------------------------------------------------------------------- */

/* Makes `at` a boundary between regions.  Takes a node at most. */
static void cut_at(uint64_t at)
{
    struct region *r = region_find(&mem.set, at);

    if (r && r->va < at)
        region_cut(&mem.set, r, at, region_new(&mem.pool));
}

/* Makes the range a set of whole regions: 0 or -ENOMEM. */
static int isolate(uint64_t va, uint64_t end)
{
    int rc = mem_reserve_nodes(2);

    if (rc)
        return rc;
    cut_at(va);
    cut_at(end);
    return 0;
}

static int unmap_locked(uint64_t va, uint64_t end)
{
    struct region *r;
    int rc = cuts_large(va) || cuts_large(end) ? -EINVAL : isolate(va, end);

    if (rc)
        return rc;
    mem_unbind(va, end);
    while ((r = region_above(&mem.set, va)) && r->va < end) {
        region_remove(&mem.set, r);
        region_free(&mem.pool, r);
    }
    return 0;
}

static bool all_mapped(uint64_t va, uint64_t end)
{
    while (va < end) {
        const struct region *r = region_find(&mem.set, va);

        if (!r)
            return false;
        va = r->end;
    }
    return true;
}

/* A private page may not be written before it is a copy, whoever wants to. */
static int protect_region(const struct region *r, uint64_t end, unsigned prot)
{
    if (r->kind == OS_REGION_PRIVATE)
        prot &= ~(unsigned)EXO_PROT_WRITE;
    return for_bound(r->va, min_u64(r->end, end), protect_run, prot);
}

static int protect_locked(uint64_t va, uint64_t end, unsigned prot)
{
    int rc;

    if (!all_mapped(va, end) || cuts_large(va) || cuts_large(end))
        return -EINVAL;
    rc = isolate(va, end);
    if (rc)
        return rc;
    for (struct region *r; va < end && !rc; va = r->end) {
        r = region_find(&mem.set, va);
        rc = protect_region(r, end, prot);
        if (!rc)
            r->prot = (uint8_t)prot;
    }
    return rc ? -exo_errno(rc) : 0;
}

/* ---- what programs call ---------------------------------------------------------------------------------- */

int os_map_region(const struct os_map *what, uint64_t *va)
{
    int rc = check(what);

    if (rc)
        return rc;
    mem_lock();
    if (what->flags & OS_MAP_REPLACE)
        rc = unmap_locked(what->va, what->va + what->npages * PAGE_SIZE);
    if (!rc)
        rc = map_locked(what, va);
    mem_unlock();
    return rc;
}

int os_unmap(uint64_t va, uint64_t npages)
{
    int rc;

    if (!range_ok(va, npages))
        return -EINVAL;
    mem_lock();
    rc = unmap_locked(va, va + npages * PAGE_SIZE);
    mem_unlock();
    return rc;
}

int os_protect(uint64_t va, uint64_t npages, unsigned prot)
{
    int rc;

    if (!range_ok(va, npages) || !prot_ok(prot))
        return -EINVAL;
    mem_lock();
    rc = protect_locked(va, va + npages * PAGE_SIZE, prot);
    mem_unlock();
    return rc;
}

static bool demand_zero(const struct region *r)
{
    return r && (r->kind == OS_REGION_ANON || r->kind == OS_REGION_STACK);
}

int os_discard(uint64_t va, uint64_t npages)
{
    uint64_t end = va + npages * PAGE_SIZE;
    int rc = 0;

    if (!range_ok(va, npages))
        return -EINVAL;
    mem_lock();
    if (cuts_large(va) || cuts_large(end))
        rc = -EINVAL;
    for (uint64_t at = va; at < end && !rc;) {
        const struct region *r = region_find(&mem.set, at);

        rc = demand_zero(r) ? 0 : -EINVAL;
        at = rc ? end : r->end;
    }
    if (!rc)
        mem_unbind(va, end);
    mem_unlock();
    return rc;
}

int os_touch(uint64_t va, uint64_t bytes)
{
    uint64_t at = align_down(va, PAGE_SIZE), end;
    int rc = 0;

    if (bytes == 0)
        return 0;
    if (!range_fits(va, bytes, USER_END))
        return -EINVAL;
    end = align_up(va + bytes, PAGE_SIZE);
    mem_lock();
    while (at < end && !rc) {
        const struct region *r = region_find(&mem.set, at);
        uint64_t to = r ? min_u64(r->end, end) : end;

        if (demand_zero(r))
            rc = mem_populate(r, at, to);
        else if (arch_next_bound(at, at + PAGE_SIZE) != at)
            rc = -EXO_EUNBOUND;
        at = to;
    }
    mem_unlock();
    return rc == -EXO_EUNBOUND ? -EINVAL : -exo_errno(rc);
}

static void describe(const struct region *r, struct os_region_info *out)
{
    *out =
        (struct os_region_info){r->va, (r->end - r->va) / PAGE_SIZE, (enum os_region_kind)r->kind, r->prot};
}

int os_region_at(uint64_t va, struct os_region_info *out)
{
    const struct region *r;

    mem_lock();
    r = region_find(&mem.set, va);
    if (r)
        describe(r, out);
    mem_unlock();
    return r ? 0 : -EINVAL;
}

int os_region_next(uint64_t va, struct os_region_info *out)
{
    const struct region *r;

    mem_lock();
    r = region_above(&mem.set, va);
    if (r)
        describe(r, out);
    mem_unlock();
    return r ? 0 : -ENOENT;
}

bool os_page_bound(uint64_t va)
{
    bool bound;

    va = align_down(va, PAGE_SIZE);
    mem_lock();
    bound = va < USER_END && arch_next_bound(va, va + PAGE_SIZE) == va;
    mem_unlock();
    return bound;
}

int os_window_clear(uint64_t va, uint64_t npages)
{
    int rc;

    mem_lock();
    rc = os_page_unmap(EXO_SELF_SPACE, va, npages, NULL);
    mem_unlock();
    return -exo_errno(rc);
}

void os_mem_use(uint64_t *limit, uint64_t *used)
{
    *limit = (uint64_t)exo_env_status(EXO_SELF_ENV, EXO_ENV_LIMIT);
    *used = (uint64_t)exo_env_status(EXO_SELF_ENV, EXO_ENV_USED);
}

/* ---- for rt --------------------------------------------------------------------------------------------- */

static int stack_new(uint64_t npages, uint64_t bound_bytes, uint64_t *va)
{
    const struct os_map what = {.kind = OS_REGION_STACK,
                                .prot = EXO_PROT_READ | EXO_PROT_WRITE,
                                .flags = OS_MAP_GUARD,
                                .npages = npages};
    uint64_t bound = min_u64(align_up(bound_bytes, PAGE_SIZE), npages * PAGE_SIZE);
    int rc = os_map_region(&what, va);

    if (rc)
        return rc;
    rc = os_touch(*va + npages * PAGE_SIZE - bound, bound);
    if (rc)
        os_unmap(*va, npages);
    return rc;
}

static void stack_free(uint64_t va, uint64_t npages)
{
    os_unmap(va, npages);
}

#define GIVE_UP_PAGES 64u

/* Whatever walked into the end of memory has just touched the pages before; a stack's top is still needed. */
static void give_up_around(const struct region *r, uint64_t address)
{
    uint64_t at = align_down(address, PAGE_SIZE), keep = align_up(rt_thread_bytes(), PAGE_SIZE) + PAGE_SIZE;

    if (r->kind != OS_REGION_STACK)
        mem_unbind(max_u64(r->va, at - min_u64(at, GIVE_UP_PAGES * PAGE_SIZE)), at);
    else if (at + keep < r->end)
        mem_unbind(at, min_u64(at + GIVE_UP_PAGES * PAGE_SIZE, r->end - keep));
}

static void give_up(uint64_t address)
{
    const struct region *r;

    spin_lock(&mem.lock, rt_vcpu());
    r = region_find(&mem.set, address);
    if (r)
        give_up_around(r, address);
    spin_unlock(&mem.lock);
}

const struct rt_memory mem_for_rt = {mem_fault, give_up, stack_new, stack_free};
