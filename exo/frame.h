/* Physical page frames and the accounts that pay for them.
 *
 * A buddy allocator over the frame table, which user mode may read: blocks of 2^order frames, one free list an
 * order and zone, linked through the table itself.  Zones end at powers of two, where devices' reach does, so that
 * low frames are found without a search, and spent last.  Taking and putting back cost O(orders), whatever the machine's size.
 * A table entry of all zeros is "free, inside a block", so that a fresh table needs no writes per frame.
 *
 * Every frame that is not FREE, RESERVED, KERNEL or INFO is charged to the account that `account` names: the
 * frame number of the ENV whose first bytes are a struct account.  An account reserves its children's limits, so
 * a charge looks at one account alone.  An ended account hands each frame that outlives it, as it goes, on to its
 * parent's free share, and its ENV frame is freed after the last.
 *
 * Invariants: DESIGN "a FREE frame is in exactly one free list, and nothing binds it"; counts in the system page
 * are exact; used + reserved <= limit. */
#ifndef EXO_FRAME_H
#define EXO_FRAME_H

#include "arch/arch.h"
#include "exo/abi.h"
#include "tlb.h"

#define FRAME_ORDERS 19u     /* blocks of up to 2^18 frames, 1 GiB */
#define FRAME_ZONE_SHIFT 18u /* zone 0: the frames below 1 GiB; zone z: those from there on below 2^z GiB */
#define FRAME_ZONES 15u

struct account {
    uint64_t limit;         /* frames */
    uint64_t used;          /* frames charged */
    uint64_t reserved;      /* the limits of its children */
    struct account *parent; /* NULL: the first environment's */
    bool ended;             /* its environment is gone; waits for its last frame */
};

extern struct exo_system *system_info; /* the page that every program may read */

/* Boot: the table has one entry for each of nframes frames from first on, zeroed, all of them RESERVED until
 * frames_add() hands them over. */
void frames_init(struct exo_frame *table, pfn_t first, uint32_t nframes);
void frames_reserve(pfn_t first, uint64_t n, enum exo_frame_kind kind);
void frames_add(pfn_t first, uint64_t n);

/* Boot: charges a frame that was reserved, content kept, to an account. */
void frame_adopt(pfn_t pfn, enum exo_frame_kind kind, struct account *account);

bool frame_is_ram(pfn_t pfn); /* has a table entry */
struct exo_frame *frame_entry(pfn_t pfn);
pfn_t frame_number(const struct exo_frame *frame);
static inline void *frame_address(pfn_t pfn)
{
    return phys_to_virt(pfn_to_paddr(pfn));
}

/* Where user pages may come from. */
struct frame_want {
    uint64_t pfn;   /* EXO_WANT_ANY, or this very one */
    uint64_t below; /* frame numbers below this only; 0: any */
};

/* A frame of this kind, zeroed, with no reference, charged to the account: 0, -EXO_EQUOTA, -EXO_ENOMEM,
 * -EXO_EINVAL (no such frame), -EXO_EBUSY (that very frame is in use). */
int frame_alloc(struct account *account, enum exo_frame_kind kind, const struct frame_want *want, pfn_t *out);
/* n contiguous USER frames, naturally aligned to the next power of two; as above, but not zeroed: each is to be
 * before anything binds it (frame_zero), and goes back, if nothing does, by frame_run_free. */
int frame_alloc_run(struct account *account, uint64_t n, const struct frame_want *want, pfn_t *out);
void frame_zero(pfn_t pfn);
void frame_run_free(pfn_t first, uint64_t n);
/* Gives a frame back, whatever its kind; the account's charge falls.  refs must be 0. */
void frame_free(pfn_t pfn);

/* USER frames live while something binds them. */
void frame_ref(pfn_t pfn);
bool frame_ref_possible(pfn_t pfn);
void frame_unref(pfn_t pfn);
/* It loses a binding that a TLB may still hold.  Whoever gets it next gets it after a flush. */
void frame_note_stale(pfn_t pfn);
bool frame_is_stale(pfn_t pfn);

/* The first block on a free list, 0: none; for the audit. */
pfn_t frame_free_head(unsigned zone, unsigned order);

/* Is the object at pfn still the one of this kind and serial? */
bool frame_is_object(pfn_t pfn, enum exo_frame_kind kind, uint32_t serial);

/* Takes `limit` frames out of the parent's share: 0 or -EXO_EQUOTA. */
int account_open(struct account *account, struct account *parent, uint64_t limit);
/* The environment is gone.  Frees its ENV frame when, and as soon as, nothing is charged to it any more. */
void account_end(struct account *account);

#endif
