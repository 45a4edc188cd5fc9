/* Random calls by peers that may do as they like, to themselves and to each other: whatever becomes of them, the
 * machine goes on, and gets all of its frames back (K5, K14, K20, K29). */
#include "bare.h"

#ifndef SEEDS
#define SEEDS 20u
#endif
#define ROUNDS 1000u

static uint64_t states[PEERS_MAX + 1];
static volatile uint64_t calls_made;
static volatile uint64_t calls_of[64];

static uint64_t next(void)
{
    uint64_t *state = &states[my_place()];

    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
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

    return ends && next() & 31 ? EXO_CALL_page_alloc : n;
}

static void random_page(void)
{
    struct exo_vcpu_page *page = my_page();

    page->send = (struct exo_send){argument(), (uint32_t)argument(), (uint32_t)argument(),
                                   (exo_handle_t)argument(), (uint32_t)next()};
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
    if (n == EXO_CALL_call)
        x[0] = (x[0] & 15) | (next() & 7) << 32;
    if (n == EXO_CALL_reply_wait && next() & 1)
        x[0] = (x[0] & 3) << 60;
    if (n == EXO_CALL_call || n == EXO_CALL_reply_wait)
        x[7] = next() & 3 ? 0 : now() + 10000;
    if (n == EXO_CALL_wait)
        x[1] = now() + 1000;
    if (n == EXO_CALL_yield)
        x[0] &= 15;
    random_page();
    calls_of[n < 64 ? n : 63]++;
    raw_call(n, x);
}

static void caller(uint64_t seed)
{
    states[my_place()] = (seed * 4 + my_place()) * 0x9e3779b97f4a7c15 + 1;
    for (unsigned i = 0; i < ROUNDS; i++) {
        probe_leave(&my_page()->regs); /* where `resume` goes */
        probe(one_call, 0);
        calls_made++;
    }
    exo_env_exit(0);
}

/* Everything short of the machine itself: itself, the other, gates, events, slots, lines, registers, tables. */
static void furnish(const struct peer *peer, const struct peer *other)
{
    exo_handle_t gate = (exo_handle_t)exo_gate_create(other->vcpu, 0);
    exo_handle_t event = (exo_handle_t)exo_event_create(other->vcpu, 0xff);

    peer_give(peer, peer->vcpu, EXO_RIGHTS_ALL);
    peer_give(peer, gate, EXO_RIGHTS_ALL);
    peer_give(peer, event, EXO_RIGHTS_ALL);
    peer_give(peer, other->vcpu, EXO_RIGHTS_ALL);
    peer_give(peer, other->space, EXO_RIGHTS_ALL);
    peer_give(peer, other->env, EXO_RIGHT_GIVE | EXO_RIGHT_READ | EXO_RIGHT_COPY);
    exo_cap_grant(peer->env, EXO_FIRST_SLICE, EXO_RIGHTS_ALL, 0, 8);
    exo_cap_grant(peer->env, EXO_FIRST_IRQ, EXO_RIGHTS_ALL, 40, 8);
    exo_cap_grant(peer->env, EXO_FIRST_MMIO, EXO_RIGHTS_ALL, 0x0a000000, 4 * PAGE_SIZE);
    peer_give(peer, EXO_FIRST_INFO, EXO_RIGHTS_ALL);
    exo_cap_drop(gate);
    exo_cap_drop(event);
}

static unsigned lived;

/* Alone with its own, or two with each other's. */
static bool round_of(uint64_t seed, unsigned count)
{
    struct peer peers[2];

    for (unsigned i = 0; i < count; i++)
        if (peer_try(&peers[i], i, 400))
            return check("a peer for random calls can be made", false);
    for (unsigned i = 0; count > 1 && i < count; i++)
        furnish(&peers[i], &peers[1 - i]);
    for (unsigned i = 0; i < count; i++)
        exo_vcpu_start(peers[i].vcpu, seed); /* unless the other was faster */
    for (unsigned i = 0; i < count; i++) {
        peer_ended(&peers[i], 300);
        lived += peer_status(&peers[i], EXO_ENV_REASON) == EXO_END_EXIT;
    }
    for (unsigned i = 0; i < count; i++)
        peer_end(&peers[i]);
    return true;
}

static void check_unbound(void)
{
    bool good = true;

    for (unsigned slot = 0; slot < 8; slot++)
        good &= exo_slice_bind(EXO_FIRST_SLICE, slot, EXO_FIRST_VCPU) == 0 &&
                exo_slice_release(EXO_FIRST_SLICE, slot) == 0;
    for (unsigned line = 40; line < 48; line++)
        good &= exo_irq_bind(EXO_FIRST_IRQ, line, EXO_FIRST_VCPU, 1) == 0 &&
                exo_irq_bind(EXO_FIRST_IRQ, line, 0, 0) == 0;
    check("K29 the slots and lines of those that ended are free", good);
}

void check_random(void)
{
    uint64_t before = free_frames(), seed;
    unsigned never = 0;

    peer_default = caller;
    losses_expected = true;
    for (seed = 0; seed < SEEDS && free_frames() == before; seed++)
        if (!round_of(seed, 1 + seed % 2))
            break;
    losses_expected = false;
    peer_default = NULL;
    for (unsigned i = 0; i < EXO_NCALLS; i++)
        if (calls_of[i] == 0) {
            never++;
            print("# never called: ");
            print_hex(i);
            print("\n");
        }
    check_is("K14 random calls: every frame is back", (int64_t)free_frames(), (int64_t)before);
    check("K14 random calls: every call came many times", never == 0 && calls_made > SEEDS * 100);
    check_unbound();
    print("# seeds: ");
    print_hex(seed);
    print(", calls: ");
    print_hex(calls_made);
    print(", peers that lived to the end: ");
    print_hex(lived);
    print("\n");
}
