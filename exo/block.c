#include "block.h"

#include "lock.h"

static pfn_t free_lists[FRAME_ZONES][FRAME_ORDERS]; /* 0: empty (frame 0 is never handed out) */
static uint32_t free_orders[FRAME_ZONES];           /* bit k: the zone's list of order k is not empty */

/* A block is never larger than the lowest zone, nor the distance between two zones' ends: it lies in one. */
static unsigned zone_of(pfn_t pfn)
{
    pfn_t high = pfn >> FRAME_ZONE_SHIFT;

    return high ? 32u - (unsigned)__builtin_clz(high) : 0;
}

static void block_link(pfn_t pfn, unsigned order)
{
    struct exo_frame *f = frame_entry(pfn);
    unsigned zone = zone_of(pfn);

    f->order1 = (uint8_t)(order + 1);
    f->prev = 0;
    f->next = free_lists[zone][order];
    if (f->next)
        frame_entry(f->next)->prev = pfn;
    free_lists[zone][order] = pfn;
    free_orders[zone] |= 1u << order;
}

static void block_unlink(pfn_t pfn)
{
    struct exo_frame *f = frame_entry(pfn);
    unsigned order = f->order1 - 1u;

    if (f->prev) {
        frame_entry(f->prev)->next = f->next;
    } else {
        unsigned zone = zone_of(pfn);

        free_lists[zone][order] = f->next;
        if (!f->next)
            free_orders[zone] &= ~(1u << order);
    }
    if (f->next)
        frame_entry(f->next)->prev = f->prev;
    f->order1 = 0;
    f->next = f->prev = 0;
}

/* Its owner, if it has one, writes its kind without this lock; but order1 of a frame that is not in the lists is 0, and stays so. */
static inline bool block_is_free(pfn_t pfn, unsigned order)
{
    return frame_is_ram(pfn) &&
           __atomic_load_n(&frame_entry(pfn)->kind, __ATOMIC_RELAXED) == EXO_FRAME_FREE &&
           __atomic_load_n(&frame_entry(pfn)->order1, __ATOMIC_RELAXED) == order + 1;
}

void block_put(pfn_t pfn, unsigned order)
{
    while (order + 1 < FRAME_ORDERS && block_is_free(pfn ^ (1u << order), order)) {
        block_unlink(pfn ^ (1u << order));
        pfn &= ~(1u << order);
        order++;
    }
    block_link(pfn, order);
}

/* Splits the free block at `block` until `pfn` stands in one of the wanted order, which is taken.  Writes the leaves of both
 * halves' heads, at most one for each order, and of what is taken. */
static void block_carve(pfn_t block, unsigned order, pfn_t pfn, unsigned wanted)
{
    block_unlink(block);
    while (order > wanted) {
        pfn_t half;

        order--;
        half = block + (1u << order);
        if (1u << order >= FRAME_LEAF)
            frame_leaf_need(half);
        if (pfn >= half) {
            block_link(block, order);
            block = half;
        } else {
            block_link(half, order);
        }
    }
    for (pfn_t at = FRAME_LEAF; at < 1u << wanted; at += FRAME_LEAF)
        frame_leaf_need(pfn + at);
}

/* The free block that holds all of [pfn, pfn + 2^order), or PFN_NONE. */
static pfn_t block_around(pfn_t pfn, unsigned order, unsigned *block_order)
{
    for (unsigned k = order; k < FRAME_ORDERS; k++) {
        pfn_t block = pfn & ~((1u << k) - 1);

        if (frame_is_ram(block) && frame_leaf(block) == FRAME_WRITTEN && block_is_free(block, k)) {
            *block_order = k;
            return block;
        }
    }
    return PFN_NONE;
}

int block_take_at(pfn_t pfn, unsigned order)
{
    unsigned block_order = 0;
    pfn_t block = block_around(pfn, order, &block_order);

    if (block == PFN_NONE)
        return -EXO_EBUSY;
    block_carve(block, block_order, pfn, order);
    return 0;
}

/* A block of this order below the limit, from the highest zone that has one, so that frames which only narrow devices
 * reach are handed out last.  A limit at the end of a zone costs no search; one inside a zone is found only if the
 * first block of some list there obeys it. */
int block_take(unsigned order, uint64_t below, pfn_t *out)
{
    uint64_t end = below ? below : (uint64_t)frame_ram.first + frame_ram.n;

    for (unsigned zone = zone_of((pfn_t)(end - 1));; zone--) {
        for (uint32_t orders = free_orders[zone] >> order << order; orders; orders &= orders - 1) {
            unsigned k = (unsigned)__builtin_ctz(orders);
            pfn_t block = free_lists[zone][k];

            if (below && block + (1ull << order) > below)
                continue;
            block_carve(block, k, block, order);
            *out = block;
            return 0;
        }
        if (zone == 0)
            return -EXO_ENOMEM;
    }
}

/* The largest block that begins at `first` and is no longer than n. */
static unsigned order_at(pfn_t first, uint64_t n)
{
    unsigned order = 0;

    while (order + 1 < FRAME_ORDERS && !(first & (1u << order)) && 2ull << order <= n)
        order++;
    return order;
}

void blocks_put(pfn_t first, uint64_t n)
{
    while (n) {
        unsigned order = order_at(first, n);

        lock_take(lock_shared(EXO_LOCK_FRAMES));
        block_put(first, order);
        lock_drop(lock_shared(EXO_LOCK_FRAMES));
        first += 1u << order;
        n -= 1ull << order;
    }
}

/* ---- boot ---------------------------------------------------------------------------------------------- */

/* The leaves of a block's head, and of each buddy that it will ever have. */
static void buddies_written(pfn_t block, unsigned order)
{
    frame_leaf_need(block);
    for (; order + 1 < FRAME_ORDERS; order++) {
        pfn_t buddy = (block & ~((1u << order) - 1)) ^ (1u << order);

        if (frame_is_ram(buddy))
            frame_leaf_need(buddy);
    }
}

void frames_add(pfn_t first, uint64_t n)
{
    if (first == 0 && n) { /* its number means "none" */
        frames_reserve(0, 1, EXO_FRAME_RESERVED);
        first++;
        n--;
    }
    for (uint64_t done = 0; done < n;) {
        pfn_t block = first + (pfn_t)done;
        unsigned order = order_at(block, n - done);

        buddies_written(block, order);
        done += 1ull << order;
    }
    blocks_put(first, n);
}

void frames_give(pfn_t first, uint64_t n)
{
    for (pfn_t pfn = first; pfn - first < n; pfn++)
        if (frame_is(pfn, EXO_FRAME_KERNEL)) {
            frame_leaf_need(pfn);
            frame_set_kind(frame_entry(pfn), EXO_FRAME_FREE);
            frames_add(pfn, 1);
        }
}

pfn_t block_first(unsigned zone, unsigned order)
{
    return free_lists[zone][order];
}
