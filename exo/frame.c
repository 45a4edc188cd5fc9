#include "frame.h"

#include "block.h"
#include "frame_pool.h"
#include "tlb.h"

static const struct frame_want want_any = {.pfn = EXO_WANT_ANY, .below = 0};

/* ---- what TLBs may know of one --------------------------------------------------------------------------- */

pfn_t frame_head(pfn_t pfn)
{
    return frame_number(frame_holder(pfn));
}

/* Others may note a later one at the same time, of another binding: that one stays. */
void frame_note_stale(struct exo_frame *f)
{
    uint32_t *epoch = &f->epoch;
    uint32_t seen = __atomic_load_n(epoch, __ATOMIC_ACQUIRE);

    while (!__atomic_compare_exchange_n(epoch, &seen, tlb_epoch(), true, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        ;
}

bool frame_is_stale(pfn_t pfn)
{
    return frame_holder(pfn)->epoch == tlb_epoch();
}

/* What it held is gone for whoever sees a table entry that leads to it, another CPU's table walker among them. */
static inline void zero(const struct exo_frame *f, pfn_t pfn)
{
    if (f->epoch == tlb_epoch()) /* its own: a part's is from before it was one */
        tlb_flush_all();         /* and with it all others': a range has at most one */
    arch_page_zero(frame_address(pfn));
    __atomic_thread_fence(__ATOMIC_RELEASE);
}

void frame_zero(pfn_t pfn)
{
    zero(frame_entry(pfn), pfn);
}

/* ---- taken, and given back ---------------------------------------------------------------------------------- */

static void claim(pfn_t pfn, struct account *account, enum exo_frame_kind kind)
{
    struct exo_frame *f = frame_entry(pfn);

    frame_set_kind(f, kind);
    __atomic_store_n(&f->order1, 0, __ATOMIC_RELAXED);
    f->entries = 0;
    f->account = account_frame(account);
    f->refs = 0;
    f->reclaim = 0;
    f->next = f->prev = 0;
    zero(f, pfn);
}

void frame_adopt(pfn_t pfn, enum exo_frame_kind kind, struct account *account)
{
    struct exo_frame *f;

    frame_leaf_need(pfn);
    f = frame_entry(pfn);
    frame_set_kind(f, kind);
    f->account = account_frame(account);
    account->used++;
}

int frame_alloc(struct account *account, enum exo_frame_kind kind, const struct frame_want *want, pfn_t *out)
{
    int rc = account_charge(account, 1);

    if (rc)
        return rc;
    rc = pool_take(0, want ? want : &want_any, out);
    if (rc) {
        account_refund(account, 1);
        return rc;
    }
    claim(*out, account, kind);
    return 0;
}

static void entry_mark(struct exo_frame *f, uint64_t word)
{
    typedef volatile uint64_t __attribute__((may_alias)) head_t; /* one store: block_is_free() may look */

    *(head_t *)(void *)f = word;
    f->reclaim = 0;
}

/* A few instructions a frame, as there are up to EXO_CONTIG_MAX.  All were of one kind. */
static void run_mark(pfn_t first, uint64_t n, enum exo_frame_kind kind, pfn_t account, unsigned entries)
{
    const struct exo_frame head = {.kind = (uint8_t)kind, .entries = (uint16_t)entries, .account = account};
    struct exo_frame *f = frame_entry(first);
    uint64_t word;

    _Static_assert(offsetof(struct exo_frame, refs) == 8, "kind, order, entries and account are one word");
    __builtin_memcpy(&word, &head, 8);
    frame_counts()[f->kind] -= (int64_t)n;
    frame_counts()[kind] += (int64_t)n;
    for (; n >= 4; n -= 4, f += 4) {
        entry_mark(&f[0], word);
        entry_mark(&f[1], word);
        entry_mark(&f[2], word);
        entry_mark(&f[3], word);
    }
    for (; n; n--, f++)
        entry_mark(f, word);
}

static int run_take(struct account *account, uint64_t n, const struct frame_want *want, unsigned entries,
                    pfn_t *out)
{
    unsigned order = 0;
    int rc;

    while (1ull << order < n)
        order++;
    rc = account_charge(account, n);
    if (rc)
        return rc;
    rc = pool_take(order, want, out);
    if (rc) {
        account_refund(account, n);
        return rc;
    }
    blocks_put(*out + (pfn_t)n, (1ull << order) - n);
    run_mark(*out, n, EXO_FRAME_USER, account_frame(account), entries);
    return 0;
}

int frame_alloc_run(struct account *account, uint64_t n, const struct frame_want *want, pfn_t *out)
{
    return run_take(account, n, want, 0, out);
}

int frame_alloc_large(struct account *account, const struct frame_want *want, pfn_t *out)
{
    int rc = run_take(account, EXO_LARGE_PAGES, want, EXO_LARGE_PART, out);

    if (!rc)
        frame_entry(*out)->entries = EXO_LARGE_HEAD;
    return rc;
}

void frame_run_free(pfn_t first, uint64_t n)
{
    struct account *account = frame_address(frame_entry(first)->account);

    run_mark(first, n, EXO_FRAME_FREE, 0, 0);
    blocks_put(first, n);
    account_uncharge(account, n);
}

void frame_free(pfn_t pfn)
{
    struct account *account = frame_address(frame_entry(pfn)->account);

    pool_put(pfn);
    account_uncharge(account, 1);
}

/* A TLB that holds a stale part of it may hold any. */
static void large_free(pfn_t head)
{
    struct exo_frame *f = frame_entry(head);

    if (frame_is_stale(head))
        for (unsigned i = 1; i < EXO_LARGE_PAGES; i++)
            f[i].epoch = f->epoch;
    frame_run_free(head, EXO_LARGE_PAGES);
}

/* ---- references ---------------------------------------------------------------------------------------------- */

void frame_ref_first(pfn_t pfn)
{
    frame_entry(pfn)->refs = 1;
}

void frame_ref(pfn_t pfn)
{
    uint32_t before = __atomic_fetch_add(&frame_holder(pfn)->refs, 1, __ATOMIC_RELAXED);

    ASSERT(before < UINT32_MAX);
}

bool frame_ref_possible(pfn_t pfn)
{
    return __atomic_load_n(&frame_holder(pfn)->refs, __ATOMIC_RELAXED) < FRAME_REFS_MAX;
}

void frame_unrefd(struct exo_frame *f)
{
    if (f->kind != EXO_FRAME_USER)
        return;
    if (f->entries)
        large_free(frame_number(f));
    else
        frame_free(frame_number(f));
}

void frame_unref(pfn_t pfn)
{
    struct exo_frame *f = frame_holder(pfn);

    if (frame_unref_last(f))
        frame_unrefd(f);
}

/* ---- reclaiming ---------------------------------------------------------------------------------------------- */

void frame_reclaim(pfn_t pfn, uint32_t mark)
{
    frame_holder(pfn)->reclaim = mark;
}

struct account *frame_reclaimer(pfn_t pfn)
{
    const struct exo_frame *f = frame_holder(pfn);
    struct account *account;

    if (!f->reclaim || f->kind != EXO_FRAME_USER)
        return NULL;
    account = frame_address(f->account);
    return account->reclaim == f->reclaim ? account : NULL;
}

bool frame_sharable(pfn_t pfn, const struct account *account)
{
    const struct account *reclaimer = frame_reclaimer(pfn);

    return !reclaimer || account_covers(account, reclaimer);
}

int frame_ref_check(pfn_t pfn, const struct account *account)
{
    if (!frame_ref_possible(pfn))
        return -EXO_EFULL;
    return frame_sharable(pfn, account) ? 0 : -EXO_EBUSY;
}
