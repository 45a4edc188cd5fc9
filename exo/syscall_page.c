#include "syscall_impl.h"

#include "revoke.h"
#include "space_page.h"

static int decode_want(uint64_t want, uint64_t flags, struct frame_want *out)
{
    uint64_t limit = (flags & EXO_ALLOC_LIMIT_MASK) >> EXO_ALLOC_LIMIT_SHIFT;

    unsigned kind = flags & (EXO_ALLOC_CONTIG | EXO_ALLOC_LARGE);

    if (flags & ~(uint64_t)(EXO_PROT_ALL | EXO_ALLOC_CONTIG | EXO_ALLOC_LARGE | EXO_ALLOC_MORE |
                            EXO_ALLOC_LIMIT_MASK) ||
        kind == (EXO_ALLOC_CONTIG | EXO_ALLOC_LARGE) || (flags & EXO_ALLOC_MORE && !kind) ||
        !space_prot_ok(flags & EXO_PROT_ALL) || (limit && (limit <= PAGE_SHIFT || limit > 48)))
        return -EXO_EINVAL;
    if (want != EXO_WANT_ANY && want > UINT32_MAX)
        return -EXO_EINVAL;
    *out = (struct frame_want){.pfn = want, .below = limit ? 1ull << (limit - PAGE_SHIFT) : 0};
    return 0;
}

/* Of a run that begins, as opposed to one that goes on. */
static bool run_fits(uint64_t va, uint64_t n, uint64_t flags)
{
    if (flags & EXO_ALLOC_MORE)
        return true;
    return flags & EXO_ALLOC_LARGE ? n == EXO_LARGE_PAGES && !(va & (EXO_LARGE_BYTES - 1))
                                   : n && n <= EXO_CONTIG_MAX;
}

CALL5(local, page_alloc, space_handle, va, n, want, flags)
{
    struct frame_want decoded;
    struct space *space;
    int rc = find_range_inline(space_handle, EXO_RIGHT_USE, va, n, &space);

    if (!rc)
        rc = decode_want(want, flags, &decoded);
    if (rc)
        return rc;
    if (flags & (EXO_ALLOC_CONTIG | EXO_ALLOC_LARGE))
        return run_fits(va, n, flags) ? space_alloc_run(space, va, n, flags, &decoded) : -EXO_ERANGE;
    return space_bind_new(space, va, space_piece(n), flags & EXO_PROT_ALL, &decoded);
}

/* max 0: as many as it has. */
static inline bool map_prot_ok(uint64_t prot, uint64_t max)
{
    return space_prot_ok(prot) && max <= EXO_PROT_ALL && !(max && (prot & ~max));
}

SLOW_CALL(local, page_map, ARG(dst_handle), ARG(va), ARG(src_handle), ARG(sva), ARG(n), ARG(prot), REST6)
{
    uint64_t max = prot >> EXO_PROT_MAX_SHIFT;
    bool same = src_handle == dst_handle; /* found once is enough */
    struct space *dst, *src;
    int rc = find_range_inline(dst_handle, EXO_RIGHT_USE | (same ? EXO_RIGHT_READ : 0), va, n, &dst);

    prot &= (1u << EXO_PROT_MAX_SHIFT) - 1;
    src = dst;
    if (!rc && !same)
        rc = find_range_inline(src_handle, EXO_RIGHT_READ, sva, n, &src);
    else if (!rc && !space_range_ok(sva, n))
        rc = -EXO_ERANGE;
    if (rc)
        return rc;
    if (!map_prot_ok(prot, max))
        return -EXO_EINVAL;
    return space_map(dst, va, src, sva, n, (unsigned)prot, (unsigned)(max ? max : prot));
}

SLOW_CALL(local, page_protect, ARG(space_handle), ARG(va), ARG(n), ARG(prot), REST4)
{
    struct space *space;
    int rc = find_range_inline(space_handle, EXO_RIGHT_USE, va, n, &space);
    bool lazy = prot & EXO_LAZY;

    prot &= ~(uint64_t)EXO_LAZY;
    if (!rc && !space_prot_ok(prot))
        rc = -EXO_EINVAL;
    return rc ? rc : space_protect(space, va, n, (unsigned)prot, lazy);
}

SLOW_CALL(local, page_unmap, ARG(space_handle), ARG(va), ARG(n), ARG(flags), REST4)
{
    struct space *space;
    int rc = find_range_inline(space_handle, EXO_RIGHT_USE, va, n, &space);

    if (!rc && flags & ~(uint64_t)EXO_LAZY)
        rc = -EXO_EINVAL;
    return rc ? rc : space_unbind(space, va, n, flags & EXO_LAZY);
}

/* One page of one space (space_page.h), by functions that call nothing, but jump where they cannot go on, to the range's, nothing
 * having changed: so they need no stack. */
static int64_t map_slowly(uint64_t handle, uint64_t va, uint64_t from, uint64_t how)
{
    return page_map_slowly(handle, va, handle, from, 1, how, 0);
}

static int64_t protect_slowly(uint64_t handle, uint64_t va, uint64_t from __attribute__((unused)),
                              uint64_t how)
{
    return page_protect_slowly(handle, va, 1, how, 0, 0, 0);
}

static int64_t unmap_slowly(uint64_t handle, uint64_t va, uint64_t from __attribute__((unused)), uint64_t how)
{
    return page_unmap_slowly(handle, va, 1, how, 0, 0, 0);
}

struct begun {
    struct cpu *cpu;
    struct space *space;
    struct exo_lock
        *busy; /* where it did not begin: who else's turn it is; NULL: something else is in the way */
    uint32_t ticket;
};

/* Takes the CPU's lock, and that of the space by handle.  False: begin_slowly() is to follow. */
static inline __attribute__((always_inline)) bool begin(struct begun *b, uint64_t handle, unsigned rights,
                                                        uint64_t va)
{
    struct cap *cap;

    b->cpu = cpu_this();
    b->busy = &b->cpu->lock;
    if (!lock_take_or_queue(b->busy, &b->ticket))
        return false;
    if (b->cpu->evict || cap_find_inline(&self()->owner, handle, EXO_CAP_SPACE, rights, &cap) ||
        !space_page_ok(va)) {
        b->busy = NULL;
        return false;
    }
    b->space = frame_address(cap->object);
    b->busy = &b->space->lock;
    return lock_take_or_queue(b->busy, &b->ticket);
}

static inline __attribute__((always_inline)) int64_t done(const struct begun *b)
{
    lock_drop(&b->space->lock);
    lock_drop(&b->cpu->lock);
    return 1;
}

/* It began, and nothing has changed. */
static __attribute__((noinline, cold)) int64_t give_up(uint64_t handle, uint64_t va, uint64_t from,
                                                       uint64_t how, short_call *slowly, struct space *space)
{
    lock_drop(&space->lock);
    local_leave();
    return slowly(handle, va, from, how);
}

int64_t call_page_map(uint64_t handle, uint64_t va, uint64_t from_handle, uint64_t from, uint64_t n,
                      uint64_t how, REST6)
{
    uint64_t prot = how & ((1u << EXO_PROT_MAX_SHIFT) - 1), max = how >> EXO_PROT_MAX_SHIFT;
    struct begun b;

    if (!ARCH_FAST_PATHS || n != 1 || handle != from_handle)
        return page_map_slowly(handle, va, from_handle, from, n, how, 0);
    if (!begin(&b, handle, EXO_RIGHT_USE | EXO_RIGHT_READ, va))
        return begin_slowly(handle, va, from, how, map_slowly, b.busy, b.ticket);
    if (!space_page_ok(from) || !map_prot_ok(prot, max) ||
        !pages_copy(b.space, va, b.space, from, 1, (unsigned)prot, (unsigned)(max ? max : prot)))
        return give_up(handle, va, from, how, map_slowly, b.space);
    return done(&b);
}

int64_t call_page_protect(uint64_t handle, uint64_t va, uint64_t n, uint64_t prot, REST4)
{
    struct begun b;

    if (!ARCH_FAST_PATHS || n != 1)
        return page_protect_slowly(handle, va, n, prot, 0, 0, 0);
    if (!begin(&b, handle, EXO_RIGHT_USE, va))
        return begin_slowly(handle, va, 0, prot, protect_slowly, b.busy, b.ticket);
    if (!space_prot_ok(prot) || !page_protect(b.space, va, (unsigned)prot))
        return give_up(handle, va, 0, prot, protect_slowly, b.space);
    return done(&b);
}

/* Where more is to be done than to clear an entry. */
static __attribute__((noinline)) int64_t unmap_end(struct space *space, uint64_t va, struct exo_frame *last,
                                                   bool emptied)
{
    space_page_end(space, va, last, emptied);
    lock_drop(&space->lock);
    local_leave();
    return 1;
}

int64_t call_page_unmap(uint64_t handle, uint64_t va, uint64_t n, uint64_t flags, REST4)
{
    struct exo_frame *last;
    struct begun b;
    bool emptied;

    if (!ARCH_FAST_PATHS || n != 1 || flags)
        return page_unmap_slowly(handle, va, n, flags, 0, 0, 0);
    if (!begin(&b, handle, EXO_RIGHT_USE, va))
        return begin_slowly(handle, va, 0, 0, unmap_slowly, b.busy, b.ticket);
    if (!page_unbind(b.space, va, &last, &emptied))
        return give_up(handle, va, 0, 0, unmap_slowly, b.space);
    return last || emptied ? unmap_end(b.space, va, last, emptied) : done(&b);
}

CALL3(local, tlb_sync, space_handle, va, n)
{
    struct space *space;
    int rc = find_range(space_handle, EXO_RIGHT_USE, va, n, &space);

    if (!rc)
        space_sync(space, va, n);
    return rc;
}

CALL4(world, page_reclaim, space_handle, va, n, deadline)
{
    struct space *space;
    int rc = find_range(space_handle, EXO_RIGHT_USE | EXO_RIGHT_READ, va, n, &space);

    if (rc)
        return rc;
    if (n > EXO_RANGE_MAX)
        return -EXO_ERANGE;
    if (space->account != &self()->owner.account)
        return -EXO_ESTATE;
    return revoke_pages(self(), space, va, n, deadline);
}
