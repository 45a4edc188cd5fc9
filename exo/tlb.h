/* What TLBs may still hold although no table says so any more: bindings that were ended or changed lazily.
 *
 * Time is counted in epochs.  An epoch ends when no TLB holds anything stale: by a flush of everything, or when the
 * last space with stale translations has been flushed.  A frame that loses a binding lazily notes the epoch, so that
 * whoever hands it out again sees in one comparison whether a TLB may still lead to it.
 *
 * On several CPUs: an epoch's number moves on only after the flush that ends it is complete, and a frame notes the epoch
 * after its table entry was cleared (arch_table_sync in between).  So a frame's epoch is over only if a flush came after the
 * clearing.  A struct tlb_lazy is its space's, and under the space's lock. */
#ifndef EXO_TLB_H
#define EXO_TLB_H

#include "arch/arch.h"

/* A space's stale translations lie in [from, to), if they are of this epoch. */
struct tlb_lazy {
    uint64_t epoch; /* 0: never */
    uint64_t from, to;
};

/* As frames note it.  (Should the count come round, a frame is flushed for once too often.) */
uint32_t tlb_epoch(void);
/* Nothing is stale any more, in any space. */
void tlb_flush_all(void);

bool tlb_lazy_any(const struct tlb_lazy *lazy);
void tlb_lazy_add(struct tlb_lazy *lazy, uint64_t va, uint64_t n);
/* The space has been flushed: all of what was stale in it. */
void tlb_lazy_end(struct tlb_lazy *lazy);
bool tlb_lazy_overlaps(const struct tlb_lazy *lazy, uint64_t va, uint64_t n);
bool tlb_lazy_inside(const struct tlb_lazy *lazy, uint64_t va, uint64_t n);

#endif
