/* The most that each call can be made to do at a stretch, on purpose (docs/bounds.md).  How long that took is not seen from
 * here: the run counts it (tests/qemu/stretch.py), and fails where it is too long.  Here is checked that the calls did
 * what they are meant to be measured at. */
#include "bare.h"

#define GIB (1ull << 30)
#define MIB2 (1ull << 21)
#define FIRST (SPARE + GIB) /* ranges around it take two tables at each level */
#define ACROSS(n) (FIRST - (n) / 2 * PAGE_SIZE)
#define ONCE 12u /* frames that a call allocates or frees (docs/bounds.md) */
#define SLEEPERS 48u
#define CALLERS 6u
#define CHILDREN 300u

static int64_t unmap(uint64_t va, uint64_t n)
{
    return exo_page_unmap(EXO_SELF_SPACE, va, n, 0);
}

static int64_t alloc(uint64_t va, uint64_t n, uint64_t want)
{
    return exo_page_alloc(EXO_SELF_SPACE, va, n, want, RW);
}

static void give_up(exo_handle_t space)
{
    while (exo_space_destroy(space) > 0)
        ;
    exo_cap_drop(space);
}

/* Copies 64 pages in one call, as soon as no interrupt cuts it short: 64, or the error. */
static int64_t map_all(exo_handle_t to, uint64_t va)
{
    int64_t rc;

    while ((rc = exo_page_map(to, va, EXO_SELF_SPACE, ACROSS(64), 64, RW)) > 0 && rc < 64)
        clear_range(to, va, (uint64_t)rc);
    return rc;
}

/* ---- memory --------------------------------------------------------------------------------------------------- */

/* The last frame of each block of 2^order frames, so that each stands alone, and its going joins all of its block. */
static void worst_joins(void)
{
    unsigned order = 4, got = 0;
    uint64_t first = machine->first_frame, n = machine->nframes;

    while (n >> (order + 1) >= 64 && order < 17)
        order++;
    for (uint64_t pfn = (first + n - 1) >> order << order; pfn > first && got < 64; pfn -= 1ull << order)
        got += alloc(FIRST + (got & 1 ? got * GIB : got * PAGE_SIZE), 1, pfn) == 1;
    check("frames that lie far apart can be had", got > 32);
    for (unsigned i = 1; i < got; i += 2) {
        exo_page_map(EXO_SELF_SPACE, FIRST + i * PAGE_SIZE, EXO_SELF_SPACE, FIRST + i * GIB, 1, RW);
        unmap(FIRST + i * GIB, 1);
    }
    check("a call frees no more than 12 frames", unmap(FIRST, got) <= ONCE);
    clear_range(EXO_SELF_SPACE, FIRST, got);
}

/* Everything but the last frame is there: all goes back. */
static void worst_quota(void)
{
    struct peer peer = peer_make(0);
    uint64_t va = SPARE, left;

    while ((left = PEER_FRAMES - (uint64_t)peer_status(&peer, EXO_ENV_USED)) > ONCE + 3 && va < SPARE + MIB2)
        va += exo_page_alloc(peer.space, va, 1, EXO_WANT_ANY, RW) == 1 ? PAGE_SIZE : MIB2;
    check_is("12 pages and four tables are not to be had with one frame too few",
             exo_page_alloc(peer.space, ACROSS(ONCE) + GIB, ONCE, EXO_WANT_ANY, RW), -EXO_EQUOTA);
    check_is("K22 and none is kept", (int64_t)(PEER_FRAMES - (uint64_t)peer_status(&peer, EXO_ENV_USED)),
             (int64_t)left);
    peer_end(&peer);
}

static void worst_ranges(void)
{
    int64_t other = exo_space_create();

    worst_joins();
    worst_quota();
    while (alloc(ACROSS(ONCE), 64, EXO_WANT_ANY) !=
           ONCE) /* as many as one call does, if no interrupt is pending */
        clear_range(EXO_SELF_SPACE, ACROSS(ONCE), ONCE);
    check("a call frees no more than 12, here with all the tables", unmap(ACROSS(ONCE), 64) <= ONCE);
    clear_range(EXO_SELF_SPACE, ACROSS(ONCE), ONCE);
    pages_alloc(EXO_SELF_SPACE, ACROSS(64), 64, RW);
    check_is("64 bindings are copied, with a table in the way at every level",
             map_all((exo_handle_t)other, FIRST + GIB - 32 * PAGE_SIZE), 64);
    map_all((exo_handle_t)other, FIRST + 2 * GIB - 32 * PAGE_SIZE);
    exo_page_unmap((uint64_t)other, FIRST + 2 * GIB - 32 * PAGE_SIZE, 63, 0);
    check_is("64 are not, as the last is bound: all tables come and go",
             map_all((exo_handle_t)other, FIRST + 2 * GIB - 32 * PAGE_SIZE), -EXO_EBOUND);
    exo_page_map((uint64_t)other, FIRST + 2 * GIB - 33 * PAGE_SIZE, EXO_SELF_SPACE, ACROSS(64), 1, RW);
    check_is("nor where their tables stay, and what is in the first one is copied first",
             map_all((exo_handle_t)other, FIRST + 2 * GIB - 32 * PAGE_SIZE), -EXO_EBOUND);
    exo_page_unmap((uint64_t)other, FIRST + 2 * GIB - 33 * PAGE_SIZE, 1, 0);
    check_is("64 are protected", exo_page_protect(EXO_SELF_SPACE, ACROSS(64), 64, EXO_PROT_READ), 64);
    check_is("64 are synced", exo_tlb_sync(EXO_SELF_SPACE, ACROSS(64), 64), 0);
    check_is("where each may be the last but one to bind its frame, 24 are unmapped",
             exo_page_unmap((uint64_t)other, FIRST + GIB - 32 * PAGE_SIZE, 64, 0), 2 * ONCE);
    give_up((exo_handle_t)other);
    clear_range(EXO_SELF_SPACE, ACROSS(64), 64);
}

/* The largest run begins where the largest one before was only begun. */
static void worst_runs(void)
{
    uint64_t flags = RW | EXO_ALLOC_CONTIG;
    int64_t n[2];

    for (unsigned i = 0; i < 2; i++)
        n[i] = exo_page_alloc(EXO_SELF_SPACE, ACROSS(ONCE) + i * GIB, EXO_CONTIG_MAX, EXO_WANT_ANY, flags);
    check("a run of 1024 frames begins, one of 1024 goes back", n[0] > 0 && n[1] > 0);
    exo_page_alloc(EXO_SELF_SPACE, FIRST, 0, EXO_WANT_ANY, flags | EXO_ALLOC_MORE);
    for (unsigned i = 0; i < 2; i++)
        clear_range(EXO_SELF_SPACE, ACROSS(ONCE) + i * GIB, n[i] > 0 ? (uint64_t)n[i] : 0);
    exo_page_alloc(EXO_SELF_SPACE, FIRST, 512, EXO_WANT_ANY, flags);
    exo_page_alloc(EXO_SELF_SPACE, FIRST, 0, EXO_WANT_ANY, flags | EXO_ALLOC_MORE);
    clear_range(EXO_SELF_SPACE, FIRST, 64);
}

/* Pages at the far ends of sparse tables: most of what destroying does is looking for them. */
static void worst_sparse(void)
{
    int64_t space = exo_space_create();
    unsigned got = 0;

    for (uint64_t top = 0; top < 400; top += 133)
        for (uint64_t middle = 0; middle < 2; middle++)
            for (uint64_t low = 0; low < 2; low++)
                got += exo_page_alloc((uint64_t)space,
                                      top * GIB + middle * (GIB - MIB2) + low * (MIB2 - PAGE_SIZE), 1,
                                      EXO_WANT_ANY, RW) == 1;
    check_is("a sparse space is filled", got, 16);
    give_up((exo_handle_t)space);
}

/* ---- capabilities ----------------------------------------------------------------------------------------------- */

static void worst_caps(void)
{
    static exo_handle_t children[CHILDREN];
    exo_handle_t top = (exo_handle_t)exo_event_create(EXO_FIRST_VCPU, 1), deep = top;
    unsigned wide = 0;
    int64_t left;

    for (unsigned i = 0; i < CHILDREN; i++)
        wide += exo_cap_grant(EXO_SELF_ENV, top, EXO_RIGHTS_ALL, 0, 0) > 0;
    for (unsigned i = 0; i < CHILDREN; i++)
        deep = (exo_handle_t)exo_cap_grant(EXO_SELF_ENV, deep, EXO_RIGHTS_ALL, 0, 0);
    check("a capability has 300 children, and descendants 300 deep", wide == CHILDREN && (int32_t)deep > 0);
    check_is("K27 that many go in steps", exo_cap_revoke(top), 1);
    do
        left = exo_cap_revoke(top);
    while (left > 0);
    check_is("K27 until all are gone", left, 0);
    for (unsigned i = 0; i < CHILDREN; i++)
        children[i] = (exo_handle_t)exo_cap_grant(EXO_SELF_ENV, top, EXO_RIGHTS_ALL, 0, 0);
    check_is("a capability with 300 children is dropped in steps", exo_cap_drop(top), 1);
    while (exo_cap_drop(top) > 0)
        ;
    for (unsigned i = 0; i < CHILDREN; i++)
        exo_cap_drop(children[i]);
}

/* ---- peers -------------------------------------------------------------------------------------------------------- */

static volatile uint64_t sent, refused;

/* Sends 64 pages, of which the last finds the receiver's window bound: all the work, and an error. */
static void sender(uint64_t arg)
{
    struct exo_vcpu_page *page = my_page();
    struct exo_words words = {.w = {arg}};

    pages_alloc(EXO_SELF_SPACE, SPARE, 64, RW);
    page->send.va = SPARE;
    page->send.npages = 64;
    page->send.prot = EXO_PROT_READ;
    sent++;
    refused += exo_call(arg | EXO_MSG_PAGES, &words, EXO_FOREVER) == -EXO_EBOUND;
}

static void worst_messages(void)
{
    struct peer callers[CALLERS];
    struct exo_words words = {0};
    exo_handle_t gate = (exo_handle_t)exo_gate_create(EXO_FIRST_VCPU, 1);
    unsigned rounds = 0;

    sent = refused = 0;
    alloc(ACROSS(64) + 63 * PAGE_SIZE, 1, EXO_WANT_ANY);
    my_page()->recv.va = ACROSS(64);
    my_page()->recv.max_pages = 64;
    for (unsigned i = 0; i < CALLERS; i++) {
        if (peer_try(&callers[i], i, 160)) {
            check("a peer with room for 64 pages can be made", false);
            return;
        }
        peer_start(&callers[i], sender, peer_give(&callers[i], gate, EXO_RIGHT_USE));
        peer_let(&callers[i]);
    }
    check_is("callers queue", (int64_t)sent, CALLERS);
    while (rounds < 10 && refused < CALLERS) {
        check("K22 a message that does not fit is none", exo_reply_wait(0, &words, after_ms(20)) <= 0);
        for (unsigned i = 0; i < CALLERS; i++)
            peer_let(&callers[i]);
        rounds++;
    }
    check_is("each caller hears why", (int64_t)refused, CALLERS);
    for (unsigned i = 0; i < CALLERS; i++)
        peer_end(&callers[i]);
    my_page()->recv.max_pages = 0;
    exo_cap_drop(gate);
    clear_range(EXO_SELF_SPACE, ACROSS(64), 64);
}

/* In start.S: a vcpu that waits until the time that it was started with, and then for ever. */
void worst_sleep(void);

/* Many vcpus of one environment: they sleep, wake in one interrupt, hold lines and slots, and end together. */
static void worst_vcpus(void)
{
    uint64_t pages = 0x5000000000ull, line = 1019, at;
    static exo_handle_t vcpus[SLEEPERS];
    struct peer peer;
    unsigned made = 0;

    if (peer_try(&peer, 0, 600)) {
        check("a peer with room for many vcpus can be made", false);
        return;
    }
    for (unsigned i = 0; i < SLEEPERS; i++) {
        uint64_t va = pages + i * PAGE_SIZE;
        int64_t rc;

        exo_page_alloc(peer.space, va, 1, EXO_WANT_ANY, RW);
        exo_page_map(EXO_SELF_SPACE, va, peer.space, va, 1, RW);
        ((struct exo_vcpu_page *)va)->upcall_entry = (uint64_t)worst_sleep;
        rc = exo_vcpu_create(peer.env, 0, peer.space, va);
        vcpus[i] = rc > 0 ? (exo_handle_t)rc : 0;
        made += rc > 0;
    }
    check_is("an environment has many vcpus", made, SLEEPERS);
    at = after_ms(50);
    for (unsigned i = 0; i < SLEEPERS; i++)
        exo_vcpu_start(vcpus[i], at);
    exo_wait(0, at + machine->counter_hz / 100);                        /* all of them wake at once */
    while (exo_irq_bind(EXO_FIRST_IRQ, line, vcpus[0], 1) && line > 32) /* the last that there is */
        line--;
    exo_irq_bind(EXO_FIRST_IRQ, line - 1, vcpus[SLEEPERS - 1], 1);
    exo_slice_bind(EXO_FIRST_SLICE, 62, vcpus[0]);
    exo_slice_bind(EXO_FIRST_SLICE, 63, vcpus[SLEEPERS - 1]);
    check_is("it is stopped with all of them", exo_env_stop(peer.env), 0);
    check_is("K29 the line that one held is free soon", exo_wait(0, after_ms(20)), 0);
    check_is("and can be had", exo_irq_bind(EXO_FIRST_IRQ, line - 1, EXO_FIRST_VCPU, 1), 0);
    exo_irq_bind(EXO_FIRST_IRQ, line - 1, 0, 0);
    clear_range(EXO_SELF_SPACE, pages, SLEEPERS);
    peer_end(&peer);
    for (unsigned i = 0; i < SLEEPERS; i++)
        exo_cap_drop(vcpus[i]);
}

void check_worst(void)
{
    uint64_t before = free_frames();

    worst_ranges();
    worst_runs();
    worst_sparse();
    worst_caps();
    worst_messages();
    worst_vcpus();
    check("K8 every frame is back, but those that the table of capabilities grew by",
          free_frames() + 12 >= before);
}
