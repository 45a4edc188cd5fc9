/* The heap: one anonymous region that grows and shrinks at its end, for newlib's malloc.
 *
 * Growth is refused when the account cannot pay for it, so that malloc answers NULL instead of letting the
 * program die at the first touch; the first pages of it are bound at once, which saves their faults. */
#include "mem/mem.h"

#include "os/exo.h"
#include "os/layout.h"

#define BOUND_AT_ONCE 16u /* pages */

static struct region *heap;
static uint64_t heap_end = OS_HEAP_VA; /* in bytes; the region ends at the page above */

static uint64_t frames_left(void)
{
    uint64_t limit, used;

    os_mem_use(&limit, &used);
    return used < limit ? limit - used : 0;
}

static bool region_start(void)
{
    if (mem_reserve_nodes(1))
        return false;
    heap = region_new(&mem.pool);
    heap->va = heap->end = OS_HEAP_VA;
    heap->kind = OS_REGION_ANON;
    heap->prot = EXO_PROT_READ | EXO_PROT_WRITE;
    return true;
}

/* The region's end becomes `to`, which is above it. */
static bool grow(uint64_t to)
{
    uint64_t from = heap ? heap->end : OS_HEAP_VA;
    uint64_t npages = (to - from) / PAGE_SIZE;

    if (npages > frames_left() || (!heap && !region_start()))
        return false;
    if (mem_populate(heap, from, from + min_u64(npages, BOUND_AT_ONCE) * PAGE_SIZE)) {
        mem_unbind(from, to);
        return false;
    }
    if (from == OS_HEAP_VA) {
        heap->end = to;
        region_insert(&mem.set, heap);
    } else {
        region_resize(&mem.set, heap, OS_HEAP_VA, to);
    }
    return true;
}

static void shrink(uint64_t to)
{
    mem_unbind(to, heap->end);
    if (to == OS_HEAP_VA) {
        region_remove(&mem.set, heap);
        heap->end = to;
    } else {
        region_resize(&mem.set, heap, OS_HEAP_VA, to);
    }
}

static bool move_to(uint64_t bytes_end)
{
    uint64_t page_end = align_up(bytes_end, PAGE_SIZE);
    uint64_t now = heap ? heap->end : OS_HEAP_VA;

    if (page_end > now && !grow(page_end))
        return false;
    if (page_end < now)
        shrink(page_end);
    heap_end = bytes_end;
    return true;
}

uint64_t mem_heap_move(int64_t delta)
{
    uint64_t before;
    bool fits;

    mem_lock();
    before = heap_end;
    fits = delta < 0 ? 0 - (uint64_t)delta <= before - OS_HEAP_VA : (uint64_t)delta <= OS_HEAP_END - before;
    fits = fits && move_to(before + (uint64_t)delta);
    mem_unlock();
    return fits ? before : 0;
}
