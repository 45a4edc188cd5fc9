/* How costs grow: with memory, environments, pages, capabilities, waiting virtual processors.
 *
 * Prints rows "name.N instructions operations"; tests/bench/growth boots it with several sizes of memory, and says what must be
 * flat. */
#include "raw.h"

#define PAGES 1024
#define ENVS 1000
#define ENV_FRAMES 32
#define CAPS 10000
#define WAITERS 64
#define GIB_FRAMES 262144u /* what grows with something else than memory is measured on this machine */
#define ROUNDS 1000

void (*raw_handler)(void);
volatile uint64_t raw_spare, raw_other;

static void row_at(const char *name, uint64_t at, uint64_t ticks, uint64_t n)
{
    static char prefix[32];
    unsigned len = 0, digits = 1;

    for (; name[len]; len++)
        prefix[len] = name[len];
    prefix[len++] = '.';
    for (uint64_t rest = at; rest /= 10;)
        digits++;
    for (unsigned i = digits; i--; at /= 10)
        prefix[len + i] = (char)('0' + at % 10);
    prefix[len + digits] = 0;
    row(prefix, ticks, n);
}

/* The next size of a series: 1, 2, 5, 10, 20, 50, ... */
static uint64_t next_size(uint64_t n)
{
    uint64_t ten = 1;

    while (n / ten >= 10)
        ten *= 10;
    return n / ten == 2 ? 5 * ten : 2 * n;
}

/* ---- memory ----------------------------------------------------------------------------------------------- */

static void page_alloc(uint64_t va, uint64_t n)
{
    for (uint64_t done = 0; done < n;) {
        int64_t rc = RAW_CALL8(EXO_CALL_page_alloc, EXO_SELF_SPACE, va + done * PAGE_SIZE, n - done,
                               EXO_WANT_ANY, 3, 0, 0, 0);

        must(rc, "pages");
        done += (uint64_t)rc;
    }
}

static void page_map(uint64_t va, uint64_t from, uint64_t n)
{
    for (uint64_t done = 0; done < n;) {
        int64_t rc = RAW_CALL8(EXO_CALL_page_map, EXO_SELF_SPACE, va + done * PAGE_SIZE, EXO_SELF_SPACE,
                               from + done * PAGE_SIZE, n - done, 3, 0, 0);

        must(rc, "mapping");
        done += (uint64_t)rc;
    }
}

static void page_unmap(uint64_t va, uint64_t n)
{
    for (uint64_t done = 0; done < n;) {
        int64_t rc = RAW_CALL4(EXO_CALL_page_unmap, EXO_SELF_SPACE, va + done * PAGE_SIZE, n - done, 0);

        must(rc, "unmapping");
        done += (uint64_t)rc;
    }
}

/* Of a page each: a thousand fresh ones, given back, and the same again. */
static void grow_memory(void)
{
    uint64_t va = SPARE + 0x10000000, mib = raw_system->nframes / 256;

    row_at("alloc", mib, LOOP(PAGES, page_alloc(va + i * PAGE_SIZE, 1)), PAGES);
    row_at("free", mib, LOOP(PAGES, page_unmap(va + i * PAGE_SIZE, 1)), PAGES);
    row_at("alloc.again", mib, LOOP(PAGES, page_alloc(va + i * PAGE_SIZE, 1)), PAGES);
    row_at("free.again", mib, LOOP(PAGES, page_unmap(va + i * PAGE_SIZE, 1)), PAGES);
}

/* Runs of 1 to 512 pages, in as many calls as that takes. */
static void grow_pages(void)
{
    uint64_t from = SPARE + 0x10000000, to = SPARE + 0x18000000 + PAGE_SIZE;

    page_alloc(from, 512);
    page_map(to - PAGE_SIZE, from, 1); /* with what is bound on both sides the two tables stay */
    page_map(to + 512 * PAGE_SIZE, from, 1);
    for (uint64_t n = 1; n <= 512; n *= 2) {
        uint64_t map = 0, unmap = 0, rounds = n < 64 ? 64 : 8;

        for (uint64_t i = 0; i < rounds; i++) {
            map += TICKS(page_map(to, from, n));
            unmap += TICKS(page_unmap(to, n));
        }
        row_at("map", n, map, rounds * n);
        row_at("unmap", n, unmap, rounds * n);
    }
    page_unmap(to - PAGE_SIZE, 1);
    page_unmap(to + 512 * PAGE_SIZE, 1);
    page_unmap(from, 512);
}

/* ---- environments ------------------------------------------------------------------------------------------- */

static struct peer peers[ENVS];
static exo_handle_t handles[CAPS]; /* gates, or events */

static void call(exo_handle_t gate)
{
    RAW_CALL8(EXO_CALL_call, gate, 1, 2, 3, 4, 5, 6, EXO_FOREVER);
}

/* Calls while there are n environments: always to the same one, and to each in turn. */
static void grow_envs(void)
{
    uint64_t made = 0;

    for (uint64_t n = 1; n <= ENVS; n = next_size(n)) {
        for (; made < n; made++) {
            peers[made] = peer_make_on(0, ENV_FRAMES, echo_main, 0, true);
            handles[made] = make(RAW_CALL2(EXO_CALL_gate_create, peers[made].vcpu, 0));
            call(handles[made]);
        }
        for (uint64_t i = 0; i < n;
             i++) /* once each: the first call after one was made finds out more (decision 36) */
            call(handles[i]);
        row_at("call", n, LOOP(ROUNDS, call(handles[0])), ROUNDS);
        row_at("call.turn", n, LOOP(ROUNDS, call(handles[i % n])), ROUNDS);
    }
    while (made)
        peer_end(peers[--made]);
}

/* ---- capabilities --------------------------------------------------------------------------------------------- */

static void never_main(uint64_t arg)
{
    (void)arg;
}

/* Signals by any of n capabilities, and making one more of them. */
static void grow_caps(void)
{
    struct peer idle = peer_make(never_main, 0, false);
    uint64_t made = 0;

    for (uint64_t n = 1; n <= CAPS; n = next_size(n)) {
        uint64_t before = made;
        uint64_t ticks = TICKS(for (; made < n; made++) handles[made] =
                                   make(RAW_CALL2(EXO_CALL_event_create, idle.vcpu, 1)));

        if (n >= 100)
            row_at("cap", n, ticks, n - before);
        row_at("lookup", n, LOOP(ROUNDS, RAW_CALL2(EXO_CALL_signal, handles[i * 7919 % n], 1)), ROUNDS);
    }
    while (made)
        must(RAW_CALL2(EXO_CALL_cap_drop, handles[--made], 0), "dropping");
    peer_end(idle);
}

/* ---- waiting ---------------------------------------------------------------------------------------------------- */

static volatile uint64_t wait_until;

static void waiter_main(uint64_t arg)
{
    (void)arg;
    for (;;) {
        RAW_CALL2(EXO_CALL_wait, 1, wait_until);
        clear_event(1);
    }
}

/* Waking one of n that wait, in turn, and running it until it waits again. */
static void grow_waiters(const char *name, uint64_t until)
{
    uint64_t made = 0;

    wait_until = until;
    for (uint64_t n = 1; n <= WAITERS; n *= 2) {
        for (; made < n; made++) {
            peers[made] = peer_make(waiter_main, 0, true);
            handles[made] = make(RAW_CALL2(EXO_CALL_event_create, peers[made].vcpu, 1));
        }
        row_at(name, n,
               LOOP(ROUNDS, RAW_CALL2(EXO_CALL_signal, handles[i % n], 1);
                    RAW_CALL2(EXO_CALL_yield, peers[i % n].vcpu, 0)),
               ROUNDS);
    }
    while (made)
        peer_end(peers[--made]);
}

static void first_main(uint64_t arg)
{
    raw_begin(arg);
    grow_memory();
    if (raw_system->nframes == GIB_FRAMES) {
        grow_pages();
        grow_envs();
        grow_caps();
        grow_waiters("wake", EXO_FOREVER);
        grow_waiters("wake.deadline", raw_time() + raw_system->counter_hz * 1000);
    }
    put_text("bench: done\n");
    off();
}

void (*raw_main_of)(uint64_t) = first_main;
