/* Free frames: a buddy allocator over the frame table.
 *
 * Blocks of 2^order frames, one free list an order and zone, linked through the table itself.  Zones end at powers of two, where
 * devices' reach does, so that low frames are found without a search, and spent last.  Taking and putting back cost O(orders),
 * whatever the machine's size.
 *
 * Invariant: a frame that is FREE is in exactly one free block, or in exactly one CPU's cache (frame_pool.h). */
#ifndef EXO_BLOCK_H
#define EXO_BLOCK_H

#include "frame_table.h"

#define FRAME_ORDERS 19u     /* blocks of up to 2^18 frames, 1 GiB */
#define FRAME_ZONE_SHIFT 18u /* zone 0: the frames below 1 GiB; zone z: those from there on below 2^z GiB */
#define FRAME_ZONES 15u

/* Boot: these are free from now on. */
void frames_add(pfn_t first, uint64_t n);
/* Boot: those of these that are the kernel's are. */
void frames_give(pfn_t first, uint64_t n);

/* Under the lock of the frames.  A block of this order, below a frame number unless that is 0, or this very one: 0, -EXO_ENOMEM,
 * -EXO_EBUSY (it is not free). */
int block_take(unsigned order, uint64_t below, pfn_t *out);
int block_take_at(pfn_t pfn, unsigned order);
/* Puts one back, joined with its buddy as far as that goes. */
void block_put(pfn_t pfn, unsigned order);

/* Takes the lock: n frames that lie in a row go back. */
void blocks_put(pfn_t first, uint64_t n);

/* The first block on a free list, 0: none; for the audit. */
pfn_t block_first(unsigned zone, unsigned order);

#endif
