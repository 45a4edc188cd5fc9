/* Where frames come from, and go back to: a small cache of single ones for each CPU, so that CPUs share no lock in the common
 * case, in front of the free blocks.  A request that fails for want of frames is repeated with all caches emptied, in world mode. */
#ifndef EXO_FRAME_POOL_H
#define EXO_FRAME_POOL_H

#include "frame_table.h"

/* Where user pages may come from. */
struct frame_want {
    uint64_t pfn;   /* EXO_WANT_ANY, or this very one */
    uint64_t below; /* frame numbers below this only; 0: any */
};

/* A block of 2^order frames, FREE still: 0, -EXO_ENOMEM, -EXO_EINVAL (no such frame), -EXO_EBUSY (that very frame is in use),
 * NEEDS_WORLD. */
int pool_take(unsigned order, const struct frame_want *want, pfn_t *out);
/* A frame that nobody refers to is FREE; who named what was there names nothing from now on. */
void pool_put(pfn_t pfn);

/* The first frame in a CPU's cache, 0: none; for the audit. */
pfn_t pool_cached_first(const struct cpu *cpu);

#endif
