/* Physical page frames: taken for an account, zeroed, shared by references, reclaimed, given back.
 *
 * What there is of each stands in the frame table (frame_table.h); where free ones are: frame_pool.h and, below it, block.h; who
 * pays: account.h. */
#ifndef EXO_FRAME_H
#define EXO_FRAME_H

#include "account.h"
#include "frame_pool.h"

/* Boot: charges a frame that was reserved, content kept, to an account. */
void frame_adopt(pfn_t pfn, enum exo_frame_kind kind, struct account *account);

/* A frame of this kind, zeroed, with no reference, charged to the account: 0, -EXO_EQUOTA, -EXO_ENOMEM,
 * -EXO_EINVAL (no such frame), -EXO_EBUSY (that very frame is in use), NEEDS_WORLD. */
int frame_alloc(struct account *account, enum exo_frame_kind kind, const struct frame_want *want, pfn_t *out);
/* n contiguous USER frames, naturally aligned to the next power of two; as above, but not zeroed: each is to be
 * before anything binds it (frame_zero), and goes back, if nothing does, by frame_run_free. */
int frame_alloc_run(struct account *account, uint64_t n, const struct frame_want *want, pfn_t *out);
void frame_zero(pfn_t pfn);
void frame_run_free(pfn_t first, uint64_t n);
/* A large page: likewise, n is EXO_LARGE_PAGES.  From now on its head counts references for all of it. */
int frame_alloc_large(struct account *account, const struct frame_want *want, pfn_t *out);
/* Gives a frame back, whatever its kind; the account's charge falls.  refs must be 0. */
void frame_free(pfn_t pfn);

/* The entry that counts references, and has epoch and mark: this frame's, or that of the large page that it is a part of.
 * (Other kinds put other things into .entries.) */
static inline struct exo_frame *frame_holder(pfn_t pfn)
{
    struct exo_frame *f = frame_entry_inline(pfn);

    if (__builtin_expect(f->entries == EXO_LARGE_PART, 0) && f->kind == EXO_FRAME_USER)
        return frame_entry(pfn & ~(pfn_t)(EXO_LARGE_PAGES - 1));
    return f;
}
pfn_t frame_head(pfn_t pfn);
/* USER frames live while something binds them, large pages while something binds any part of them. */
void frame_ref(pfn_t pfn);
void frame_ref_first(pfn_t pfn);                 /* of one that nobody else knows yet */
#define FRAME_REFS_MAX (UINT32_MAX - (1u << 16)) /* room for what all CPUs may add after each has looked */
bool frame_ref_possible(pfn_t pfn);
/* A bound for calls that unref up to EXO_RANGE_MAX at once: what that frees costs no more than the sum of these.  A frame
 * that stands there k times has k references at least, and its share each time. */
#define FRAME_COST EXO_RANGE_MAX
#define FRAME_LARGE_COST (12u * FRAME_COST) /* 512 entries to be written */
static inline uint64_t frame_unref_cost(const struct exo_frame *holder)
{
    return (holder->entries && holder->kind == EXO_FRAME_USER ? FRAME_LARGE_COST : FRAME_COST) /
           __atomic_load_n(&holder->refs, __ATOMIC_RELAXED); /* others may unref it meanwhile */
}
void frame_unref(pfn_t pfn);
/* The same in two halves: true: that was the last one, and the other half is to follow. */
static inline bool frame_unref_last(struct exo_frame *holder)
{
    uint32_t before = __atomic_fetch_sub(&holder->refs, 1, __ATOMIC_ACQ_REL);

    ASSERT(before > 0);
    return before == 1;
}
void frame_unrefd(struct exo_frame *holder);
/* It loses a binding that a TLB may still hold.  Whoever gets it next gets it after a flush. */
void frame_note_stale(struct exo_frame *holder);
bool frame_is_stale(pfn_t pfn);

/* Marks a frame, or the large page that it is a part of: its account is reclaiming it as long as account->reclaim equals the mark. */
void frame_reclaim(pfn_t pfn, uint32_t mark);
/* The account that is reclaiming it, or NULL. */
struct account *frame_reclaimer(pfn_t pfn);
/* May this account's spaces and vcpus get another reference?  Not while the frame is being reclaimed, but for those who
 * pay for it and their ancestors. */
bool frame_sharable(pfn_t pfn, const struct account *account);
/* 0; -EXO_EFULL: it has no room for references; -EXO_EBUSY: it is not sharable. */
int frame_ref_check(pfn_t pfn, const struct account *account);
/* Of a frame that nobody reclaims and that has room for it: one more reference.  False: it is not so. */
static inline bool frame_ref_try(pfn_t pfn)
{
    struct exo_frame *f = frame_holder(pfn);

    if (f->reclaim)
        return false;
    if (__atomic_fetch_add(&f->refs, 1, __ATOMIC_RELAXED) < FRAME_REFS_MAX)
        return true;
    __atomic_fetch_sub(&f->refs, 1, __ATOMIC_RELAXED);
    return false;
}

#endif
