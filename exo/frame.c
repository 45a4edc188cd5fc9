#include "frame.h"

#include "cpu.h"
#include "panic.h"

#define CACHE_MAX 32u /* frames in a CPU's cache, and then some go back: */
#define CACHE_SPILL 4u
#define CACHE_REFILL_ORDER 4u /* what an empty one gets at once */

struct frame_ram frame_ram;
static pfn_t free_lists[FRAME_ZONES][FRAME_ORDERS]; /* 0: empty (frame 0 is never handed out) */
static uint32_t free_orders[FRAME_ZONES];           /* bit k: the zone's list of order k is not empty */
static unsigned top_zone;                           /* of the highest frame */

static const struct frame_want want_any = {.pfn = EXO_WANT_ANY, .below = 0};

pfn_t frame_number(const struct exo_frame *frame)
{
    return frame_ram.first + (pfn_t)(frame - frame_ram.table);
}

struct exo_frame *frame_entry(pfn_t pfn)
{
    return frame_entry_inline(pfn);
}

static int64_t *counts(void)
{
    return system_info->frames[cpu_this()->id].of;
}

static inline void set_kind(struct exo_frame *f, enum exo_frame_kind kind)
{
    int64_t *count = counts();

    count[f->kind]--;
    count[kind]++;
    __atomic_store_n(&f->kind, (uint8_t)kind, __ATOMIC_RELAXED);
}

/* ---- leaves -------------------------------------------------------------------------------------------- */

const struct exo_frame *frame_look(pfn_t pfn)
{
    static const struct exo_frame unwritten[EXO_NFRAME_KINDS] = {
        [EXO_FRAME_RESERVED] = {.kind = EXO_FRAME_RESERVED},
        [EXO_FRAME_KERNEL] = {.kind = EXO_FRAME_KERNEL},
        [EXO_FRAME_INFO] = {.kind = EXO_FRAME_INFO},
    };
    unsigned leaf;

    ASSERT(frame_is_ram(pfn));
    leaf = frame_leaf(pfn);
    return leaf == FRAME_WRITTEN ? frame_entry(pfn) : &unwritten[leaf];
}

static void leaf_write(uint32_t leaf)
{
    struct exo_frame *f = &frame_ram.table[leaf * FRAME_LEAF];
    uint8_t kind = frame_ram.leaves[leaf];

    arch_page_zero(f);
    for (unsigned i = 0; kind && i < FRAME_LEAF; i++)
        f[i].kind = kind;
    __atomic_store_n(&frame_ram.leaves[leaf], FRAME_WRITTEN, __ATOMIC_RELEASE);
}

/* The lock of the frames is held, or there is nobody else yet. */
static void leaf_need(pfn_t pfn)
{
    uint32_t leaf = (uint32_t)((pfn - frame_ram.first) / FRAME_LEAF);

    if (__builtin_expect(frame_ram.leaves[leaf] != FRAME_WRITTEN, 0))
        leaf_write(leaf);
}

void frame_need(pfn_t pfn)
{
    lock_take(lock_shared(EXO_LOCK_FRAMES));
    leaf_need(pfn);
    lock_drop(lock_shared(EXO_LOCK_FRAMES));
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

/* Its owner, if it has one, writes its kind without this lock; but order1 of a frame that is not in the lists is 0, and stays so. */
static inline bool block_is_free(pfn_t pfn, unsigned order)
{
    return frame_is_ram(pfn) &&
           __atomic_load_n(&frame_entry(pfn)->kind, __ATOMIC_RELAXED) == EXO_FRAME_FREE &&
           __atomic_load_n(&frame_entry(pfn)->order1, __ATOMIC_RELAXED) == order + 1;
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

/* Splits the free block at `block` until `pfn` stands in one of the wanted order, which is taken.  Writes the leaves of both
 * halves' heads, at most one for each order, and of what is taken. */
static void block_carve(pfn_t block, unsigned order, pfn_t pfn, unsigned wanted)
{
    block_unlink(block);
    while (order > wanted) {
        pfn_t half;

        order--;
        half = block + (1u << order);
        if (1u << order >= FRAME_LEAF)
            leaf_need(half);
        if (pfn >= half) {
            block_link(block, order);
            block = half;
        } else {
            block_link(half, order);
        }
    }
    for (pfn_t at = FRAME_LEAF; at < 1u << wanted; at += FRAME_LEAF)
        leaf_need(pfn + at);
}

/* The free block that holds all of [pfn, pfn + 2^order), or PFN_NONE. */
static pfn_t block_around(pfn_t pfn, unsigned order, unsigned *block_order)
{
    for (unsigned k = order; k < FRAME_ORDERS; k++) {
        pfn_t block = pfn & ~((1u << k) - 1);

        if (frame_is_ram(block) && frame_leaf(block) == FRAME_WRITTEN && block_is_free(block, k)) {
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

void frames_init(struct exo_frame *entries, uint8_t *leaves, pfn_t first, uint32_t n)
{
    ASSERT((n & (FRAME_LEAF - 1)) == 0);
    frame_ram = (struct frame_ram){.table = entries,
                                   .leaves = leaves,
                                   .origin = (uint64_t)entries - first * sizeof(*entries),
                                   .first = first,
                                   .n = n};
    top_zone = zone_of(first + n - 1);
    counts()[EXO_FRAME_FREE] = n;
    system_info->first_frame = first;
    system_info->nframes = n;
}

static void reserve_in_leaf(pfn_t first, uint64_t n, enum exo_frame_kind kind)
{
    uint8_t *leaf = &frame_ram.leaves[(first - frame_ram.first) / FRAME_LEAF];

    if (n == FRAME_LEAF && *leaf == EXO_FRAME_FREE) {
        *leaf = (uint8_t)kind;
        return;
    }
    leaf_need(first);
    for (uint64_t i = 0; i < n; i++)
        frame_ram.table[first - frame_ram.first + i].kind = (uint8_t)kind;
}

void frames_reserve(pfn_t first, uint64_t n, enum exo_frame_kind kind)
{
    counts()[EXO_FRAME_FREE] -= (int64_t)n;
    counts()[kind] += (int64_t)n;
    while (n) {
        uint64_t piece = min_u64(n, FRAME_LEAF - (first - frame_ram.first) % FRAME_LEAF);

        reserve_in_leaf(first, piece, kind);
        first += (pfn_t)piece;
        n -= piece;
    }
}

/* The largest block that begins at `first` and is no longer than n. */
static unsigned order_at(pfn_t first, uint64_t n)
{
    unsigned order = 0;

    while (order + 1 < FRAME_ORDERS && !(first & (1u << order)) && 2ull << order <= n)
        order++;
    return order;
}

static void blocks_put(pfn_t first, uint64_t n)
{
    while (n) {
        unsigned order = order_at(first, n);

        lock_take(lock_shared(EXO_LOCK_FRAMES));
        block_put(first, order);
        lock_drop(lock_shared(EXO_LOCK_FRAMES));
        first += 1u << order;
        n -= 1ull << order;
    }
}

/* The leaves of a block's head, and of each buddy that it will ever have. */
static void buddies_written(pfn_t block, unsigned order)
{
    leaf_need(block);
    for (; order + 1 < FRAME_ORDERS; order++) {
        pfn_t buddy = (block & ~((1u << order) - 1)) ^ (1u << order);

        if (frame_is_ram(buddy))
            leaf_need(buddy);
    }
}

void frames_add(pfn_t first, uint64_t n)
{
    if (first == 0 && n) { /* its number means "none" */
        frames_reserve(0, 1, EXO_FRAME_RESERVED);
        first++;
        n--;
    }
    for (uint64_t done = 0; done < n;) {
        pfn_t block = first + (pfn_t)done;
        unsigned order = order_at(block, n - done);

        buddies_written(block, order);
        done += 1ull << order;
    }
    blocks_put(first, n);
}

void frames_give(pfn_t first, uint64_t n)
{
    for (pfn_t pfn = first; pfn - first < n; pfn++)
        if (frame_is(pfn, EXO_FRAME_KERNEL)) {
            leaf_need(pfn);
            set_kind(frame_entry(pfn), EXO_FRAME_FREE);
            frames_add(pfn, 1);
        }
}

uint64_t frames_count(pfn_t first, uint64_t n, enum exo_frame_kind kind)
{
    uint64_t count = 0;

    for (pfn_t pfn = first; pfn - first < n; pfn++)
        count += frame_is(pfn, kind);
    return count;
}

/* ---- accounts ------------------------------------------------------------------------------------------- */

static pfn_t account_frame(const struct account *account)
{
    return paddr_to_pfn(virt_to_phys(account));
}

uint64_t account_allows(const struct account *account)
{
    return min_u64(account->limit, account->wanted);
}

uint64_t account_in_use(const struct account *account)
{
    return __atomic_load_n(&account->used, __ATOMIC_RELAXED) +
           __atomic_load_n(&account->reserved, __ATOMIC_RELAXED);
}

static bool account_has_room(const struct account *account, uint64_t n)
{
    uint64_t top = account_allows(account), in_use = account_in_use(account);

    return n == 0 || (in_use <= top && n <= top - in_use);
}

static int account_charge(struct account *account, uint64_t n)
{
    uint64_t top = account_allows(account); /* it and `reserved` grow in world mode only */
    uint64_t reserved = __atomic_load_n(&account->reserved, __ATOMIC_RELAXED);
    uint64_t used = __atomic_load_n(&account->used, __ATOMIC_RELAXED);

    do {
        if (n > top || used + reserved > top - n)
            return -EXO_EQUOTA;
    } while (!__atomic_compare_exchange_n(&account->used, &used, used + n, true, __ATOMIC_RELAXED,
                                          __ATOMIC_RELAXED));
    return 0;
}

static void account_refund(struct account *account, uint64_t n)
{
    uint64_t before = __atomic_fetch_sub(&account->used, n, __ATOMIC_RELAXED);

    ASSERT(before >= n);
}

static void frame_release(pfn_t pfn);

/* n frames less in an ended account: its limit shrinks with what it gives back, and so on up as far as its ancestors have
 * ended too.  With its last frame it goes itself; its ENV frame is charged to its parent, which may go in turn.  (Their
 * depth is bounded: env.h.) */
static void ended_refund(struct account *account, uint64_t n)
{
    lock_take(lock_shared(EXO_LOCK_ACCOUNTS));
    for (;;) {
        struct account *parent = account->parent;

        account_refund(account, n);
        for (struct account *a = account; a->ended; a = a->parent) {
            a->limit -= n;
            __atomic_fetch_sub(&a->parent->reserved, n, __ATOMIC_RELAXED);
        }
        if (account->used || account->reserved)
            break;
        frame_release(account_frame(account));
        account = parent;
        n = 1;
        if (!account->ended) {
            account_refund(account, 1);
            break;
        }
    }
    lock_drop(lock_shared(EXO_LOCK_ACCOUNTS));
}

static void account_uncharge(struct account *account, uint64_t n)
{
    if (account->ended)
        ended_refund(account, n);
    else
        account_refund(account, n);
}

int account_open(struct account *account, struct account *parent, uint64_t limit)
{
    if (parent) {
        if (!account_has_room(parent, limit))
            return -EXO_EQUOTA;
        parent->reserved += limit;
    }
    *account = (struct account){.limit = limit, .parent = parent, .wanted = ACCOUNT_STEADY};
    return 0;
}

int account_raise(struct account *account, uint64_t limit)
{
    ASSERT(limit >= account->limit);
    if (!account_has_room(account->parent, limit - account->limit))
        return -EXO_EQUOTA;
    account->parent->reserved += limit - account->limit;
    account->limit = limit;
    account->wanted = ACCOUNT_STEADY;
    return 0;
}

uint64_t account_lower(struct account *account, uint64_t limit)
{
    uint64_t now = max_u64(limit, account_in_use(account));

    ASSERT(limit <= account->limit);
    account->parent->reserved -= account->limit - now;
    account->limit = now;
    account->wanted = now > limit ? limit : ACCOUNT_STEADY;
    return now - limit;
}

bool account_covers(const struct account *account, const struct account *of)
{
    while (of && of != account)
        of = of->parent;
    return of != NULL;
}

void account_end(struct account *account)
{
    uint64_t unused = account->limit - account->used - account->reserved;

    ASSERT(!account->ended && account->parent);
    account->ended = true;
    account->used += unused; /* and gives them back, as if it had had them */
    ended_refund(account, unused);
}

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

/* ---- frames --------------------------------------------------------------------------------------------- */

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

static void claim(pfn_t pfn, struct account *account, enum exo_frame_kind kind)
{
    struct exo_frame *f = frame_entry(pfn);

    set_kind(f, kind);
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

    leaf_need(pfn);
    f = frame_entry(pfn);
    set_kind(f, kind);
    f->account = account_frame(account);
    account->used++;
}

/* ---- each CPU's cache ------------------------------------------------------------------------------------ */

static void cache_push(struct frame_cache *cache, pfn_t pfn)
{
    struct exo_frame *f = frame_entry(pfn);

    __atomic_store_n(&f->order1, 0, __ATOMIC_RELAXED);
    f->next = cache->first;
    cache->first = pfn;
    cache->n++;
}

static pfn_t cache_pop(struct frame_cache *cache)
{
    pfn_t pfn = cache->first;

    cache->first = frame_entry(pfn)->next;
    cache->n--;
    return pfn;
}

static int cache_refill(struct frame_cache *cache)
{
    unsigned order = CACHE_REFILL_ORDER;
    pfn_t block;
    int rc;

    lock_take(lock_shared(EXO_LOCK_FRAMES));
    while ((rc = block_take(order, 0, &block)) && order)
        order--;
    lock_drop(lock_shared(EXO_LOCK_FRAMES));
    for (pfn_t i = 0; !rc && i < 1u << order; i++)
        cache_push(cache, block + (1u << order) - 1 - i);
    return rc;
}

static void cache_spill(struct frame_cache *cache, uint32_t left)
{
    lock_take(lock_shared(EXO_LOCK_FRAMES));
    while (cache->n > left)
        block_put(cache_pop(cache), 0);
    lock_drop(lock_shared(EXO_LOCK_FRAMES));
}

/* In world mode: all free frames are in the free lists. */
static void caches_empty(void)
{
    for (unsigned i = 0; i < ncpus; i++)
        cache_spill(&cpus[i].frames, 0);
}

pfn_t frame_cached_first(const struct cpu *cpu)
{
    return cpu->frames.first;
}

/* ---- taking ------------------------------------------------------------------------------------------------ */

static int want_check(unsigned order, const struct frame_want *want)
{
    uint64_t n = 1ull << order;

    if (want->pfn == EXO_WANT_ANY)
        return 0;
    if (want->pfn < frame_ram.first || want->pfn - frame_ram.first >= frame_ram.n || (want->pfn & (n - 1)) ||
        (want->below && want->pfn + n > want->below))
        return -EXO_EINVAL;
    return 0;
}

static int take_from_lists(unsigned order, const struct frame_want *want, pfn_t *out)
{
    int rc;

    lock_take(lock_shared(EXO_LOCK_FRAMES));
    if (want->pfn == EXO_WANT_ANY) {
        rc = block_take(order, want->below, out);
    } else {
        *out = (pfn_t)want->pfn;
        rc = block_take_at((pfn_t)want->pfn, order);
    }
    lock_drop(lock_shared(EXO_LOCK_FRAMES));
    return rc;
}

/* Before the answer is no, the caches of all CPUs are looked into. */
static int take(unsigned order, const struct frame_want *want, pfn_t *out)
{
    struct cpu *cpu = cpu_this();
    int rc = want_check(order, want);

    if (rc)
        return rc;
    if (order == 0 && want->pfn == EXO_WANT_ANY && want->below == 0) {
        if (cpu->frames.n || !cache_refill(&cpu->frames)) {
            *out = cache_pop(&cpu->frames);
            return 0;
        }
    } else if (!take_from_lists(order, want, out)) {
        return 0;
    }
    if (!cpu->world)
        return NEEDS_WORLD;
    caches_empty();
    return take_from_lists(order, want, out);
}

int frame_alloc(struct account *account, enum exo_frame_kind kind, const struct frame_want *want, pfn_t *out)
{
    int rc = account_charge(account, 1);

    if (rc)
        return rc;
    rc = take(0, want ? want : &want_any, out);
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
    counts()[f->kind] -= (int64_t)n;
    counts()[kind] += (int64_t)n;
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
    rc = take(order, want, out);
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

static void frame_release(pfn_t pfn)
{
    struct frame_cache *cache = &cpu_this()->frames;
    struct exo_frame *f = frame_entry(pfn);

    ASSERT(f->kind != EXO_FRAME_FREE && f->refs == 0);
    if (f->kind != EXO_FRAME_USER)
        f->serial++; /* who names what was here names nothing from now on */
    set_kind(f, EXO_FRAME_FREE);
    f->account = 0;
    cache_push(cache, pfn);
    if (cache->n > CACHE_MAX)
        cache_spill(cache, CACHE_MAX - CACHE_SPILL);
}

void frame_free(pfn_t pfn)
{
    struct account *account = frame_address(frame_entry(pfn)->account);

    frame_release(pfn);
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

pfn_t frame_free_head(unsigned zone, unsigned order)
{
    return free_lists[zone][order];
}
