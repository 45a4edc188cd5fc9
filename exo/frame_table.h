/* The frame table, which user mode may read: one entry for each page frame of RAM.
 *
 * An entry of all zeros is "free, inside a block" (block.h).  The table is written a leaf at a time (a page of it, 128 frames), and
 * not before anybody needs an entry there, so that boot costs the same whatever the machine's size: of a leaf that was never
 * written, one byte says of which kind all its frames are (docs/decisions/0034-frame-table-on-demand.md).
 *
 * Invariants: the leaf of each frame that is in use, in a cache, the head of a block or the buddy of one is written; the counts
 * in the system page are exact. */
#ifndef EXO_FRAME_TABLE_H
#define EXO_FRAME_TABLE_H

#include "arch/arch.h"
#include "exo/abi.h"
#include "panic.h"

#define FRAME_LEAF (PAGE_SIZE / sizeof(struct exo_frame)) /* frames that a page of the table describes */
#define FRAME_WRITTEN 0xffu                               /* in frame_ram.leaves; else its frames' kind */

/* Boot: the table has one entry for each of nframes frames from first on, whole leaves, page aligned, whatever it holds;
 * leaves: a byte for each of them, zeroed.  All are nobody's until frames_add() hands them over (block.h), or frames_reserve() says
 * what they are. */
void frames_init(struct exo_frame *table, uint8_t *leaves, pfn_t first, uint32_t nframes);
void frames_reserve(pfn_t first, uint64_t n, enum exo_frame_kind kind);
/* How many of them are of this kind. */
uint64_t frames_count(pfn_t first, uint64_t n, enum exo_frame_kind kind);

/* The frame table: an entry for each frame from first on. */
extern struct frame_ram {
    struct exo_frame *table;
    uint8_t *leaves; /* one changes once, to FRAME_WRITTEN, under the lock of the frames */
    uint64_t origin; /* where frame 0 would have its entry */
    pfn_t first;
    uint32_t n;
} frame_ram;

static inline bool frame_is_ram(pfn_t pfn) /* has a table entry */
{
    return pfn - frame_ram.first < frame_ram.n;
}

/* Of a frame that has an entry: in which state its leaf is.  What the entry holds is seen after this says FRAME_WRITTEN. */
static inline unsigned frame_leaf(pfn_t pfn)
{
    return __atomic_load_n(&frame_ram.leaves[(pfn - frame_ram.first) / FRAME_LEAF], __ATOMIC_ACQUIRE);
}

/* The entry of a frame that is in use or was, or that is known to be the head of a block. */
struct exo_frame *frame_entry(pfn_t pfn);
static inline __attribute__((always_inline)) struct exo_frame *frame_entry_inline(pfn_t pfn)
{
    ASSERT(frame_is_ram(pfn));
#ifdef EXO_CHECKED
    ASSERT(frame_leaf(pfn) == FRAME_WRITTEN);
#endif
    return &frame_ram.table[pfn - frame_ram.first];
}
/* To look at, of any: where it was never written, what it would be. */
const struct exo_frame *frame_look(pfn_t pfn);
static inline unsigned frame_kind(pfn_t pfn)
{
    unsigned leaf = frame_leaf(pfn);

    return __builtin_expect(leaf == FRAME_WRITTEN, 1) ? frame_ram.table[pfn - frame_ram.first].kind : leaf;
}
/* One that never was in use is to have its entry all the same: it is to be bound, or its entry to be seen. */
void frame_need(pfn_t pfn);

/* The same by whoever holds the lock of the frames, or where there is nobody else yet. */
void frame_leaf_need(pfn_t pfn);

/* How many frames there are of each kind, as far as this CPU has changed that. */
int64_t *frame_counts(void);
/* A frame becomes one of another kind, and is counted as that. */
void frame_set_kind(struct exo_frame *f, enum exo_frame_kind kind);

pfn_t frame_number(const struct exo_frame *frame);
static inline void *frame_address(pfn_t pfn)
{
    return phys_to_virt(pfn_to_paddr(pfn));
}

/* Is the object still there that was made at pfn and had this serial?  (It changes as the object goes.) */
static inline bool frame_is_still(pfn_t pfn, uint32_t serial)
{
    const struct exo_frame *f = (const struct exo_frame *)(frame_ram.origin + pfn * sizeof(*f));

    return f->serial == serial;
}
/* Is a frame, of which nothing is known, of this kind?  And an object with this serial? */
static inline bool frame_is(pfn_t pfn, enum exo_frame_kind kind)
{
    return frame_is_ram(pfn) && frame_kind(pfn) == kind;
}
static inline bool frame_is_object(pfn_t pfn, enum exo_frame_kind kind, uint32_t serial)
{
    return frame_is(pfn, kind) && frame_is_still(pfn, serial);
}

#endif
