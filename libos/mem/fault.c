/* Page faults: memory that is there but not bound yet is bound now; what is private, and shown by others, is copied when it is
 * written.
 *
 * Runs in the upcall.  A walk through a region gets more pages each time, up to BATCH_MAX in one call; a fault
 * elsewhere gets one page, so that sparse use stays cheap. */
#include "rt/general_regs.h"

#include "mem/mem.h"

#include "os/exo.h"
#include "os/layout.h"
#include "rt/arch.h"

#define BATCH_MAX 32u

struct mem mem;

static uint64_t first_usable(const struct region *r)
{
    return r->va + (r->guard ? PAGE_SIZE : 0);
}

/* The pages to bind for a fault at page `va` of r, *from to *from + result. */
static uint64_t choose(struct region *r, uint64_t va, uint64_t *from)
{
    uint64_t n = va == r->next_touch && r->batch ? min_u64(2 * r->batch, BATCH_MAX) : 1;

    if (r->kind == OS_REGION_STACK) {
        n = min_u64(n, (va - first_usable(r)) / PAGE_SIZE + 1);
        *from = va - (n - 1) * PAGE_SIZE;
        r->next_touch = *from - PAGE_SIZE;
    } else {
        n = min_u64(n, (r->end - va) / PAGE_SIZE);
        *from = va;
        r->next_touch = va + n * PAGE_SIZE;
    }
    r->batch = n;
    return n;
}

/* Binds n pages from `from` on; if that cannot be done whole, the one at va. */
static bool bind(const struct region *r, uint64_t va, uint64_t from, uint64_t n, int *error)
{
    uint64_t done;
    int64_t rc = os_page_alloc(EXO_SELF_SPACE, from, n, r->prot, &done);

    if (from + done * PAGE_SIZE > va)
        rc = 0;
    else if (rc && n > 1)
        rc = exo_page_alloc(EXO_SELF_SPACE, va, 1, EXO_WANT_ANY, r->prot);
    *error = rc < 0 && rc != -EXO_EBOUND ? (int)-rc : 0;
    return *error == 0;
}

static bool bind_large(const struct region *r, uint64_t va)
{
    uint64_t flags = r->prot | EXO_ALLOC_LARGE;
    uint64_t end;

    va = align_down(va, EXO_LARGE_BYTES);
    end = va + EXO_LARGE_BYTES;
    if (!r->large || va < first_usable(r) || end > r->end || arch_next_bound(va, end) < end)
        return false;
    for (; va < end; flags |= EXO_ALLOC_MORE) {
        int64_t rc = exo_page_alloc(EXO_SELF_SPACE, va, (end - va) / PAGE_SIZE, EXO_WANT_ANY, flags);

        if (rc <= 0) {
            exo_page_alloc(EXO_SELF_SPACE, va, 0, EXO_WANT_ANY,
                           flags | EXO_ALLOC_MORE); /* not to keep a rest */
            return false;
        }
        va += (uint64_t)rc * PAGE_SIZE;
    }
    return true;
}

bool mem_bind_large(const struct region *r, uint64_t va)
{
    return bind_large(r, va);
}

/* ---- private pages ---------------------------------------------------------------------------------------- */

/* Copies take the places of n pages, or of the first of them; how many that were.  What goes wrong in the midst, which only
 * somebody who lowers our limit at that moment can bring about, costs the page. */
static uint64_t replace(const struct region *r, uint64_t va, uint64_t n, int *error)
{
    const unsigned prot = r->prot | (unsigned)EXO_PROT_MAX(EXO_PROT_ALL);
    uint64_t done;
    int rc = os_page_alloc(EXO_SELF_SPACE, OS_COPY_VA, n, EXO_PROT_READ | EXO_PROT_WRITE, &done);

    if (!done && n > 1)
        rc = os_page_alloc(EXO_SELF_SPACE, OS_COPY_VA, 1, EXO_PROT_READ | EXO_PROT_WRITE, &done);
    if (done) {
        arch_copy_pages(OS_COPY_VA, va, done);
        rc = os_page_unmap(EXO_SELF_SPACE, va, done, NULL);
        if (!rc)
            rc = os_page_map(EXO_SELF_SPACE, va, EXO_SELF_SPACE, OS_COPY_VA, done, prot, NULL);
        os_page_unmap(EXO_SELF_SPACE, OS_COPY_VA, done, NULL);
    }
    *error = -rc;
    return rc ? 0 : done;
}

/* Somebody writes to a page that is bound, and may not yet. */
static bool copy_on_write(uint64_t address, int *error)
{
    uint64_t from, n, va = align_down(address, PAGE_SIZE);
    struct region *r = region_find(&mem.set, address);

    if (!r || r->kind != OS_REGION_PRIVATE || !(r->prot & EXO_PROT_WRITE))
        return false;
    if (exo_page_protect(EXO_SELF_SPACE, va, 1, r->prot) == 1)
        return true; /* a copy already, which was only protected */
    n = replace(r, va, arch_read_only(va, choose(r, va, &from)), error);
    r->next_touch = va + n * PAGE_SIZE;
    return n > 0;
}

/* ---- faults ----------------------------------------------------------------------------------------------- */

static bool resolve(uint64_t address, uint64_t access, int *error)
{
    uint64_t from, n, va = align_down(address, PAGE_SIZE);
    struct region *r = region_find(&mem.set, address);

    if (r && r->kind == OS_REGION_PRIVATE) /* another vcpu has just put a copy there */
        return arch_page_allows(address, EXO_PROT_READ);
    if (!r || (r->kind != OS_REGION_ANON && r->kind != OS_REGION_STACK) || access & ~(uint64_t)r->prot ||
        va < first_usable(r))
        return false;
    if (bind_large(r, va))
        return true;
    n = choose(r, va, &from);
    return bind(r, va, from, n, error);
}

/* Where a page is bound, another vcpu may have bound or unprotected it since the access: then that is to be repeated. */
bool mem_fault(uint64_t address, uint64_t access, int *error)
{
    const struct rt_vcpu *me = rt_vcpu();
    bool good;

    *error = 0;
    if (spin_mine(&mem.lock, me))
        return false;
    spin_lock(&mem.lock, me);
    if (access & EXO_ACCESS_BOUND)
        good = arch_page_allows(address, access & ~(uint64_t)EXO_ACCESS_BOUND) ||
               (access & EXO_PROT_WRITE && copy_on_write(address, error));
    else
        good = resolve(address, access, error);
    spin_unlock(&mem.lock);
    return good;
}
