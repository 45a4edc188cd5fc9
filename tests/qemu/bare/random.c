/* Random calls by a peer that may do as it likes: whatever becomes of it, the machine goes on, and gets all of
 * its frames back (K5, K14, K20). */
#include "bare.h"

#define SEEDS  20u
#define ROUNDS 1000u

static uint64_t state;
static volatile uint64_t calls_made;
static volatile uint64_t calls_of[64];

static uint64_t next(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

/* Values that are near to something, more often than not. */
static uint64_t argument(void)
{
    static const uint64_t odd[] = {0,
                                   1,
                                   UINT64_MAX,
                                   INT64_MAX,
                                   1ull << 63,
                                   0x7fffffff,
                                   1ull << 32,
                                   PAGE_SIZE,
                                   0xffffff8040000000,
                                   0x7fc0000000,
                                   0x7fbffff000,
                                   SPARE,
                                   SPARE + PAGE_SIZE,
                                   SPARE + 0x200000,
                                   EXO_FIRST_SYSTEM_VA,
                                   0x4000000000,
                                   EXO_SELF_SPACE,
                                   EXO_SELF_ENV};
    uint64_t r = next();

    switch (r >> 60) {
    case 0:
        return next();
    case 1:
        return next() >> (next() & 63);
    case 2:
    case 3:
    case 4:
        return odd[(r & 0xffff) % (sizeof(odd) / sizeof(*odd))];
    case 5:
        return SPARE + (r & 31) * PAGE_SIZE;
    case 6:
        return machine->first_frame + (uint32_t)r % machine->nframes;
    default:
        return r & 15;
    }
}

/* Calls that would only end or block the peer come with a probability that leaves the others some room. */
static uint64_t number(void)
{
    uint64_t n = next() & 15 ? next() % EXO_NCALLS : next() % 200;
    bool ends = n == EXO_CALL_env_exit || n == EXO_CALL_env_stop || n == EXO_CALL_env_destroy;

    return ends && next() & 127 ? EXO_CALL_page_alloc : n;
}

static void random_page(void)
{
    struct exo_vcpu_page *page = my_page();

    page->send = (struct exo_send){argument(), (uint32_t)argument(), (uint32_t)argument(), (exo_handle_t)argument(), (uint32_t)next()};
    page->recv.va = argument();
    page->recv.max_pages = (uint32_t)argument();
    page->recv.take_cap = (uint32_t)next() & 1;
    if ((next() & 255) == 0)
        page->upcall_events = next();
}

static void one_call(uint64_t arg)
{
    uint64_t x[RAW_REGISTERS], n = number();

    (void)arg;
    for (unsigned j = 0; j < 8; j++)
        x[j] = argument();
    if (n == EXO_CALL_call || n == EXO_CALL_reply_wait)
        x[7] = next() & 7 ? 0 : now() + 1000;
    if (n == EXO_CALL_wait)
        x[1] = now() + 1000;
    if (n == EXO_CALL_yield)
        x[0] &= 7;
    random_page();
    calls_of[n < 64 ? n : 63]++;
    raw_call(n, x);
}

static void caller(uint64_t seed)
{
    state = seed * 0x9e3779b97f4a7c15 + 1;
    for (unsigned i = 0; i < ROUNDS; i++) {
        probe_leave(&my_page()->regs); /* where `resume` goes */
        probe(one_call, 0);
        calls_made++;
    }
    exo_env_exit(0);
}

void check_random(void)
{
    uint64_t before = free_frames();
    unsigned lived = 0, never = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct peer peer;

        if (peer_try(&peer, 0, 400)) {
            check("a peer for random calls can be made", false);
            return;
        }
        peer_start(&peer, caller, seed);
        peer_ended(&peer, 300);
        lived += peer_status(&peer, EXO_ENV_REASON) == EXO_END_EXIT;
        peer_end(&peer);
        if (free_frames() != before)
            break;
    }
    for (unsigned i = 0; i < EXO_NCALLS; i++)
        never += calls_of[i] == 0;
    check_is("K14 random calls: every frame is back", (int64_t)free_frames(), (int64_t)before);
    check("K14 random calls: every call came many times", never == 0 && calls_made > SEEDS * 100);
    print("# calls: ");
    print_hex(calls_made);
    print(", peers that lived to the end: ");
    print_hex(lived);
    print("\n");
}
