#include "frame.h"

#include "panic.h"

struct exo_system *system_info;

static struct exo_frame *table;
static pfn_t first_frame;
static uint32_t nframes;
static pfn_t free_lists[FRAME_ZONES][FRAME_ORDERS]; /* 0: empty (frame 0 is never handed out) */
static uint32_t free_orders[FRAME_ZONES];           /* bit k: the zone's list of order k is not empty */
static unsigned top_zone;                           /* of the highest frame */

static const struct frame_want want_any = {.pfn = EXO_WANT_ANY, .below = 0};

bool frame_is_ram(pfn_t pfn)
{
    return pfn - first_frame < nframes;
}

struct exo_frame *frame_entry(pfn_t pfn)
{
    ASSERT(frame_is_ram(pfn));
    return &table[pfn - first_frame];
}

pfn_t frame_number(const struct exo_frame *frame)
{
    return first_frame + (pfn_t)(frame - table);
}

static void set_kind(struct exo_frame *f, enum exo_frame_kind kind)
{
    system_info->frames[f->kind]--;
    system_info->frames[kind]++;
    f->kind = (uint8_t)kind;
}

/* ---- blocks -------------------------------------------------------------------------------------------- */

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

static bool block_is_free(pfn_t pfn, unsigned order)
{
    return frame_is_ram(pfn) && frame_entry(pfn)->kind == EXO_FRAME_FREE &&
           frame_entry(pfn)->order1 == order + 1;
}

/* Puts a block back, joined with its buddy as far as that goes. */
static void block_put(pfn_t pfn, unsigned order)
{
    while (order + 1 < FRAME_ORDERS && block_is_free(pfn ^ (1u << order), order)) {
        block_unlink(pfn ^ (1u << order));
        pfn &= ~(1u << order);
        order++;
    }
    block_link(pfn, order);
}

/* Splits the free block at `block` until `pfn` stands in one of the wanted order, which is taken. */
static void block_carve(pfn_t block, unsigned order, pfn_t pfn, unsigned wanted)
{
    block_unlink(block);
    while (order > wanted) {
        pfn_t half;

        order--;
        half = block + (1u << order);
        if (pfn >= half) {
            block_link(block, order);
            block = half;
        } else {
            block_link(half, order);
        }
    }
}

/* The free block that holds all of [pfn, pfn + 2^order), or PFN_NONE. */
static pfn_t block_around(pfn_t pfn, unsigned order, unsigned *block_order)
{
    for (unsigned k = order; k < FRAME_ORDERS; k++) {
        pfn_t block = pfn & ~((1u << k) - 1);

        if (block_is_free(block, k)) {
            *block_order = k;
            return block;
        }
    }
    return PFN_NONE;
}

static int block_take_at(pfn_t pfn, unsigned order)
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
static int block_take(unsigned order, uint64_t below, pfn_t *out)
{
    for (unsigned zone = below ? zone_of((pfn_t)(below - 1)) : top_zone;; zone--) {
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

/* ---- boot ---------------------------------------------------------------------------------------------- */

void frames_init(struct exo_frame *entries, pfn_t first, uint32_t n)
{
    table = entries;
    first_frame = first;
    nframes = n;
    top_zone = zone_of(first + n - 1);
    for (unsigned zone = 0; zone < FRAME_ZONES; zone++) {
        free_orders[zone] = 0;
        for (unsigned k = 0; k < FRAME_ORDERS; k++)
            free_lists[zone][k] = 0;
    }
    for (unsigned k = 0; k < EXO_NFRAME_KINDS; k++)
        system_info->frames[k] = 0;
    system_info->frames[EXO_FRAME_FREE] = n;
    system_info->first_frame = first;
    system_info->nframes = n;
}

void frames_reserve(pfn_t first, uint64_t n, enum exo_frame_kind kind)
{
    for (uint64_t i = 0; i < n; i++)
        set_kind(frame_entry(first + (pfn_t)i), kind);
}

void frames_add(pfn_t first, uint64_t n)
{
    if (first == 0 && n) { /* its number means "none" */
        frames_reserve(0, 1, EXO_FRAME_RESERVED);
        first++;
        n--;
    }
    while (n) {
        unsigned order = 0;

        while (order + 1 < FRAME_ORDERS && !(first & (1u << order)) && 2ull << order <= n)
            order++;
        block_put(first, order);
        first += 1u << order;
        n -= 1ull << order;
    }
}

/* ---- accounts ------------------------------------------------------------------------------------------- */

static pfn_t account_frame(const struct account *account)
{
    return paddr_to_pfn(virt_to_phys(account));
}

static int account_charge(struct account *account, uint64_t n)
{
    if (n > account->limit - account->used - account->reserved)
        return -EXO_EQUOTA;
    account->used += n;
    return 0;
}

/* An ended account goes with its last frame.  (Its own ENV frame is charged to its parent, which may go in turn; their
 * depth is bounded: env.h.) */
static void account_settle(struct account *account)
{
    if (account->ended && account->used == 0 && account->reserved == 0)
        frame_free(account_frame(account));
}

/* n charged frames less.  Where the account has ended, its limit shrinks with it, and so on up as far as its
 * ancestors have ended too. */
static void account_uncharge(struct account *account, uint64_t n)
{
    ASSERT(account->used >= n);
    account->used -= n;
    for (struct account *a = account; a->ended; a = a->parent) {
        a->limit -= n;
        a->parent->reserved -= n;
    }
    account_settle(account);
}

int account_open(struct account *account, struct account *parent, uint64_t limit)
{
    if (parent) {
        if (limit > parent->limit - parent->used - parent->reserved)
            return -EXO_EQUOTA;
        parent->reserved += limit;
    }
    *account = (struct account){.limit = limit, .parent = parent};
    return 0;
}

void account_end(struct account *account)
{
    uint64_t unused = account->limit - account->used - account->reserved;

    ASSERT(!account->ended && account->parent);
    account->ended = true;
    for (struct account *a = account; a->ended; a = a->parent) {
        a->limit -= unused;
        a->parent->reserved -= unused;
    }
    account_settle(account);
}

void frame_note_stale(pfn_t pfn)
{
    frame_entry(pfn)->epoch = tlb_epoch();
}

bool frame_is_stale(pfn_t pfn)
{
    return frame_entry(pfn)->epoch == tlb_epoch();
}

/* ---- frames --------------------------------------------------------------------------------------------- */

static void claim(pfn_t pfn, struct account *account, enum exo_frame_kind kind)
{
    struct exo_frame *f = frame_entry(pfn);

    if (frame_is_stale(pfn))
        tlb_flush_all(); /* and with it all others': a range has at most one */
    set_kind(f, kind);
    f->order1 = 0;
    f->entries = 0;
    f->account = account_frame(account);
    f->refs = 0;
    f->next = f->prev = 0;
    if (kind != EXO_FRAME_USER)
        f->serial++;
    arch_page_zero(frame_address(pfn));
}

void frame_adopt(pfn_t pfn, enum exo_frame_kind kind, struct account *account)
{
    struct exo_frame *f = frame_entry(pfn);

    set_kind(f, kind);
    f->account = account_frame(account);
    f->serial++;
    account->used++;
}

static int take(unsigned order, const struct frame_want *want, pfn_t *out)
{
    uint64_t n = 1ull << order;

    if (want->pfn == EXO_WANT_ANY)
        return block_take(order, want->below, out);
    if (want->pfn < first_frame || want->pfn - first_frame >= nframes || (want->pfn & (n - 1)) ||
        (want->below && want->pfn + n > want->below))
        return -EXO_EINVAL;
    *out = (pfn_t)want->pfn;
    return block_take_at((pfn_t)want->pfn, order);
}

int frame_alloc(struct account *account, enum exo_frame_kind kind, const struct frame_want *want, pfn_t *out)
{
    int rc = account_charge(account, 1);

    if (rc)
        return rc;
    rc = take(0, want ? want : &want_any, out);
    if (rc) {
        account->used--;
        return rc;
    }
    claim(*out, account, kind);
    return 0;
}

/* A few instructions a frame, as there are up to EXO_CONTIG_MAX.  All were of one kind. */
static void run_mark(pfn_t first, uint64_t n, enum exo_frame_kind kind, pfn_t account)
{
    struct exo_frame *f = frame_entry(first);

    system_info->frames[f->kind] -= n;
    system_info->frames[kind] += n;
    for (uint64_t i = 0; i < n; i++, f++) {
        f->kind = (uint8_t)kind;
        f->order1 = 0;
        f->entries = 0;
        f->account = account;
    }
}

int frame_alloc_run(struct account *account, uint64_t n, const struct frame_want *want, pfn_t *out)
{
    unsigned order = 0;
    int rc;

    while (1ull << order < n)
        order++;
    rc = account_charge(account, n);
    if (rc)
        return rc;
    rc = take(order, want, out);
    if (rc) {
        account->used -= n;
        return rc;
    }
    frames_add(*out + (pfn_t)n, (1ull << order) - n);
    run_mark(*out, n, EXO_FRAME_USER, account_frame(account));
    return 0;
}

void frame_zero(pfn_t pfn)
{
    if (frame_is_stale(pfn))
        tlb_flush_all();
    arch_page_zero(frame_address(pfn));
}

void frame_run_free(pfn_t first, uint64_t n)
{
    struct account *account = frame_address(frame_entry(first)->account);

    run_mark(first, n, EXO_FRAME_FREE, 0);
    frames_add(first, n);
    account_uncharge(account, n);
}

void frame_free(pfn_t pfn)
{
    struct exo_frame *f = frame_entry(pfn);
    struct account *account = frame_address(f->account);

    ASSERT(f->kind != EXO_FRAME_FREE && f->refs == 0);
    set_kind(f, EXO_FRAME_FREE);
    f->account = 0;
    block_put(pfn, 0);
    account_uncharge(account, 1);
}

void frame_ref(pfn_t pfn)
{
    ASSERT(frame_ref_possible(pfn));
    frame_entry(pfn)->refs++;
}

bool frame_ref_possible(pfn_t pfn)
{
    return frame_entry(pfn)->refs < UINT32_MAX;
}

void frame_unref(pfn_t pfn)
{
    struct exo_frame *f = frame_entry(pfn);

    ASSERT(f->refs > 0);
    f->refs--;
    if (f->refs == 0 && f->kind == EXO_FRAME_USER)
        frame_free(pfn);
}

pfn_t frame_free_head(unsigned zone, unsigned order)
{
    return free_lists[zone][order];
}

bool frame_is_object(pfn_t pfn, enum exo_frame_kind kind, uint32_t serial)
{
    pfn_t i = pfn - first_frame;

    return i < nframes && table[i].kind == kind && table[i].serial == serial;
}
