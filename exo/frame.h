/* Physical page frames and the accounts that pay for them.
 *
 * A buddy allocator over the frame table, which user mode may read: blocks of 2^order frames, one free list an
 * order and zone, linked through the table itself.  Zones end at powers of two, where devices' reach does, so that
 * low frames are found without a search, and spent last.  Taking and putting back cost O(orders), whatever the machine's size.
 * Before it stands a small cache of single frames for each CPU, so that CPUs share no lock in the common case; a request
 * that fails for want of frames is repeated with all caches emptied, in world mode.
 * A table entry of all zeros is "free, inside a block".  The table is written a leaf at a time (a page of it, 128 frames), and
 * not before anybody needs an entry there, so that boot costs the same whatever the machine's size: of a leaf that was never
 * written, one byte says of which kind all its frames are (docs/decisions/0034-frame-table-on-demand.md).
 *
 * Every frame that is not FREE, RESERVED, KERNEL or INFO is charged to the account that `account` names: the
 * frame number of the ENV whose first bytes are a struct account.  An account reserves its children's limits, so
 * a charge looks at one account alone.  An ended account hands each frame that outlives it, as it goes, on to its
 * parent's free share, and its ENV frame is freed after the last.
 *
 * Invariants: DESIGN "a FREE frame is in exactly one free list, and nothing binds it"; counts in the system page
 * are exact; used + reserved <= limit.  The leaf of each frame that is in use, in a cache, the head of a block or the buddy
 * of one is written. */
#ifndef EXO_FRAME_H
#define EXO_FRAME_H

#include "arch/arch.h"
#include "exo/abi.h"
#include "panic.h"
#include "tlb.h"

#define FRAME_ORDERS 19u     /* blocks of up to 2^18 frames, 1 GiB */
#define FRAME_ZONE_SHIFT 18u /* zone 0: the frames below 1 GiB; zone z: those from there on below 2^z GiB */
#define FRAME_ZONES 15u

struct account {
    uint64_t limit;         /* frames */
    uint64_t used;          /* frames charged; atomic */
    uint64_t reserved;      /* the limits of its children; grows in world mode only */
    struct account *parent; /* NULL: the first environment's */
    bool ended;       /* its environment is gone; waits for its last frame; changes in world mode only */
    uint64_t wanted;  /* its limit is being lowered to this; ACCOUNT_STEADY: it is not; in world mode only */
    uint32_t reclaim; /* frames with this mark are being reclaimed for it; 0: none */
};
#define ACCOUNT_STEADY UINT64_MAX

#define FRAME_LEAF (PAGE_SIZE / sizeof(struct exo_frame)) /* frames that a page of the table describes */
#define FRAME_WRITTEN 0xffu                               /* in frame_ram.leaves; else its frames' kind */

/* Boot: the table has one entry for each of nframes frames from first on, whole leaves, page aligned, whatever it holds;
 * leaves: a byte for each of them, zeroed.  All are nobody's until frames_add() hands them over, or frames_reserve() says what
 * they are. */
void frames_init(struct exo_frame *table, uint8_t *leaves, pfn_t first, uint32_t nframes);
void frames_reserve(pfn_t first, uint64_t n, enum exo_frame_kind kind);
void frames_add(pfn_t first, uint64_t n);
/* Boot: those of these that are the kernel's are free from now on. */
void frames_give(pfn_t first, uint64_t n);
/* How many of them are of this kind. */
uint64_t frames_count(pfn_t first, uint64_t n, enum exo_frame_kind kind);

/* Boot: charges a frame that was reserved, content kept, to an account. */
void frame_adopt(pfn_t pfn, enum exo_frame_kind kind, struct account *account);

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

/* The first frame in a CPU's cache, 0: none; for the audit. */
pfn_t frame_cached_first(const struct cpu *cpu);
/* The first block on a free list, 0: none; for the audit. */
pfn_t frame_free_head(unsigned zone, unsigned order);

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

/* Takes `limit` frames out of the parent's share: 0 or -EXO_EQUOTA. */
int account_open(struct account *account, struct account *parent, uint64_t limit);
/* What it allows, now that its limit may be on its way down, and what of that is in use. */
uint64_t account_allows(const struct account *account);
uint64_t account_in_use(const struct account *account);
/* More, out of the parent's share; a lowering ends: 0 or -EXO_EQUOTA. */
int account_raise(struct account *account, uint64_t limit);
/* Less: what is not in use goes to the parent at once, the rest as it is given back and this is called again.  No charge goes
 * beyond it meanwhile.  Returns how many frames are in the way. */
uint64_t account_lower(struct account *account, uint64_t limit);
/* Is it `of`, or an ancestor of it? */
bool account_covers(const struct account *account, const struct account *of);

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

/* The environment is gone.  Frees its ENV frame when, and as soon as, nothing is charged to it any more. */
void account_end(struct account *account);

#endif
