/* A scheduler across environments that is an application: it owns all slots of its CPU, and lends each, by a directed yield, to
 * the environment that has had the least for its tickets (stride scheduling: Waldspurger and Weihl, 1995).  C2 */
#include "bare.h"

#define CLIENTS 3u
#define SLOTS_LENT 1200u
#define TABLE ((const volatile struct exo_frame *)(SPARE + 0x10000000))
#define PER_PAGE (PAGE_SIZE / sizeof(struct exo_frame))

static const unsigned tickets[CLIENTS] = {3, 2, 1};
static volatile uint64_t turns[CLIENTS];

static void spin(uint64_t who)
{
    for (;;)
        turns[who]++;
}

static uint64_t table_pages(void)
{
    return (machine->nframes + PER_PAGE - 1) / PER_PAGE;
}

static bool table_map(void)
{
    for (uint64_t page = 0; page < table_pages(); page++)
        if (exo_info_map(EXO_FIRST_INFO, EXO_INFO_FRAMES, page, EXO_SELF_SPACE,
                         (uint64_t)&TABLE[page * PER_PAGE]))
            return false;
    return true;
}

/* Where the kernel counts the ticks of a peer's vcpu. */
static const volatile uint64_t *ticks_of(const struct peer *peer)
{
    uint32_t id = (uint32_t)peer_status(peer, EXO_ENV_ID);

    for (uint32_t i = 0; i < machine->nframes; i++)
        if (TABLE[i].kind == EXO_FRAME_VCPU && TABLE[i].account == id)
            return &TABLE[i].ticks;
    return NULL;
}

struct client {
    struct peer peer;
    const volatile uint64_t *ticks;
    uint64_t start, pass;
};

static void lend(struct client *clients)
{
    struct client *next = &clients[0];
    uint64_t before;

    for (unsigned i = 1; i < CLIENTS; i++)
        if (clients[i].pass < next->pass)
            next = &clients[i];
    before = *next->ticks;
    exo_yield(next->peer.vcpu);
    next->pass += (*next->ticks - before) * 6 / tickets[next - clients];
}

static void check_shares(const struct client *clients)
{
    uint64_t total = 0;

    for (unsigned i = 0; i < CLIENTS; i++)
        total += *clients[i].ticks - clients[i].start;
    for (unsigned i = 0; i < CLIENTS; i++) {
        uint64_t share = (*clients[i].ticks - clients[i].start) * 10000 / total;
        uint64_t due = tickets[i] * 10000 / 6;

        check("C2 a stride scheduler's shares are within one per cent",
              share + 100 >= due && share <= due + 100);
    }
    check("C2 and each was at work", turns[0] > 1000 && turns[1] > 1000 && turns[2] > 1000);
}

void check_stride(void)
{
    struct client clients[CLIENTS];

    if (!check("the frame table is mapped", table_map()))
        return;
    for (unsigned slot = 0; slot < machine->slots; slot++)
        if (exo_slice_bind(EXO_FIRST_SLICE, slot, EXO_FIRST_VCPU))
            check("C2 a scheduler owns its CPU's slots", false);
    for (unsigned i = 0; i < CLIENTS; i++) {
        clients[i] = (struct client){.peer = peer_run(i, spin, i)};
        clients[i].ticks = ticks_of(&clients[i].peer);
        if (!check("the table shows a vcpu's time", clients[i].ticks != NULL))
            return;
        clients[i].start = *clients[i].ticks;
    }
    for (unsigned i = 0; i < SLOTS_LENT; i++)
        lend(clients);
    check_shares(clients);
    for (unsigned i = 0; i < CLIENTS; i++)
        peer_end(&clients[i].peer);
    for (unsigned slot = 0; slot < machine->slots; slot++)
        exo_slice_release(EXO_FIRST_SLICE, slot);
    for (uint64_t page = 0; page < table_pages(); page++)
        exo_page_unmap(EXO_SELF_SPACE, (uint64_t)&TABLE[page * PER_PAGE], 1, 0);
}
