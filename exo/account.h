/* Accounts: who pays for frames.
 *
 * Every frame that is not FREE, RESERVED, KERNEL or INFO is charged to the account that its entry names: the frame number of the
 * ENV whose first bytes are a struct account.  An account reserves its children's limits, so a charge looks at one account
 * alone.  An ended account hands each frame that outlives it, as it goes, on to its parent's free share, and its ENV frame is
 * freed after the last.
 *
 * Invariant: used + reserved <= limit. */
#ifndef EXO_ACCOUNT_H
#define EXO_ACCOUNT_H

#include "base/types.h"

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

/* n frames more: 0 or -EXO_EQUOTA; and fewer, of one that lives, or of any. */
int account_charge(struct account *account, uint64_t n);
void account_refund(struct account *account, uint64_t n);
void account_uncharge(struct account *account, uint64_t n);
/* The frame that it lies in. */
pfn_t account_frame(const struct account *account);

/* The environment is gone.  Frees its ENV frame when, and as soon as, nothing is charged to it any more. */
void account_end(struct account *account);

#endif
