/* Large pages on the real MMU: block entries, their rights, their ends, and what TLBs make of them. */
#include "bare.h"

#define N EXO_LARGE_PAGES
#define BYTES EXO_LARGE_BYTES

static volatile uint64_t *word(uint64_t va)
{
    return (volatile uint64_t *)va;
}

/* All pieces: N, or the error. */
static int64_t large(exo_handle_t space, uint64_t va, uint64_t want, uint64_t flags)
{
    uint64_t done = 0;

    for (flags |= EXO_ALLOC_LARGE; done < N; flags |= EXO_ALLOC_MORE) {
        int64_t rc = exo_page_alloc(space, va + done * PAGE_SIZE, N - done, want, flags);

        if (rc <= 0)
            return rc;
        done += (uint64_t)rc;
    }
    return (int64_t)done;
}

static uint64_t block_entry(uint64_t va)
{
    uint64_t leaf = machine->table_va + va / PAGE_SIZE * 8;

    return *word(machine->table_va + (leaf & ((1ull << 39) - 1)) / PAGE_SIZE * 8);
}

static unsigned wrong_words(uint64_t va, uint64_t base)
{
    unsigned wrong = 0;

    for (uint64_t i = 0; i < N; i++)
        wrong += word(va + i * PAGE_SIZE)[i] != (base ? base + i : 0);
    return wrong;
}

static void write_words(uint64_t va, uint64_t base)
{
    for (uint64_t i = 0; i < N; i++)
        word(va + i * PAGE_SIZE)[i] = base + i;
}

static unsigned nonzero(uint64_t va)
{
    uint64_t any = 0;

    for (uint64_t i = 0; i < BYTES / 8; i++)
        any |= word(va)[i];
    return any != 0;
}

static void check_making(void)
{
    uint64_t before = free_frames(), entry;

    check_is("K8 a large page is allocated, in pieces", large(EXO_SELF_SPACE, SPARE, EXO_WANT_ANY, RW), N);
    check("K8 and costs 512 frames and two tables at most", before - free_frames() <= N + 2);
    check_is("it comes zeroed", nonzero(SPARE), 0);
    write_words(SPARE, 1000);
    check_is("it is 2 MiB of memory", wrong_words(SPARE, 1000), 0);
    entry = block_entry(SPARE);
    check("one block entry binds it", (entry & 3) == 1 && !(entry & 0x1ff000));
    check("behind the entry is no table to be seen",
          probe(do_read, machine->table_va + SPARE / PAGE_SIZE * 8).reason == EXO_UPCALL_FAULT);
    check_is("K20 a part is not unmapped", exo_page_unmap(EXO_SELF_SPACE, SPARE + PAGE_SIZE, 1, 0),
             -EXO_EINVAL);
    check_is("K20 nor protected", exo_page_protect(EXO_SELF_SPACE, SPARE, N - 1, EXO_PROT_READ), -EXO_EINVAL);
    check_is("K20 nor bound over", exo_page_alloc(EXO_SELF_SPACE, SPARE, 1, EXO_WANT_ANY, RW), -EXO_EBOUND);
    check_is("K20 an address between is refused", large(EXO_SELF_SPACE, SPARE + BYTES / 2, EXO_WANT_ANY, RW),
             -EXO_ERANGE);
    check_is("it is unmapped whole", exo_page_unmap(EXO_SELF_SPACE, SPARE, N, 0), N);
    check_is("K13 and gone at once", probe(do_read, SPARE + 100 * PAGE_SIZE).detail, EXO_PROT_READ);
    check_is("K8 every frame is back", (int64_t)free_frames(), (int64_t)before);
    check_is("the same frames again", large(EXO_SELF_SPACE, SPARE, (entry & 0xffffffe00000) / PAGE_SIZE, RW),
             N);
    check_is("come zeroed again", nonzero(SPARE), 0);
    exo_page_unmap(EXO_SELF_SPACE, SPARE, N, 0);
}

static void check_rights(void)
{
    struct trap trap;

    large(EXO_SELF_SPACE, SPARE, EXO_WANT_ANY, RW);
    write_words(SPARE, 7);
    check_is("a large page is protected", exo_page_protect(EXO_SELF_SPACE, SPARE, N, EXO_PROT_READ), N);
    trap = probe(do_write, SPARE + 300 * PAGE_SIZE);
    check("K13 and cannot be written then", trap.reason == EXO_UPCALL_FAULT &&
                                                trap.detail == (EXO_PROT_WRITE | EXO_ACCESS_BOUND) &&
                                                trap.info == SPARE + 300 * PAGE_SIZE);
    check_is("but read", wrong_words(SPARE, 7), 0);
    check("nor run", probe(do_jump, SPARE).detail == (EXO_PROT_EXEC | EXO_ACCESS_BOUND));
    exo_page_protect(EXO_SELF_SPACE, SPARE, N, EXO_PROT_NONE);
    check("without access it is bound, and no more",
          probe(do_read, SPARE + 5).detail == (EXO_PROT_READ | EXO_ACCESS_BOUND) &&
              exo_page_alloc(EXO_SELF_SPACE, SPARE, 1, EXO_WANT_ANY, RW) == -EXO_EBOUND);
    exo_page_protect(EXO_SELF_SPACE, SPARE, N, RW);
    check("and comes back as it was", wrong_words(SPARE, 7) == 0 && !probe(do_write, SPARE).reason);
    exo_page_unmap(EXO_SELF_SPACE, SPARE, N, 0);
}

static void check_copies(void)
{
    uint64_t before = free_frames(), other = SPARE + 2 * BYTES;

    large(EXO_SELF_SPACE, SPARE, EXO_WANT_ANY, RW);
    write_words(SPARE, 1);
    check_is("a large page is copied as one",
             exo_page_map(EXO_SELF_SPACE, other, EXO_SELF_SPACE, SPARE, N, EXO_PROT_READ), N);
    check_is("and shows the same", wrong_words(other, 1), 0);
    check_is("K5 with no more rights", exo_page_protect(EXO_SELF_SPACE, other, N, RW), -EXO_ERIGHTS);
    check("K5 it cannot be written there", probe(do_write, other).reason == EXO_UPCALL_FAULT);
    check_is("a part is copied as a page",
             exo_page_map(EXO_SELF_SPACE, SPARE + 4 * BYTES, EXO_SELF_SPACE, SPARE + 9 * PAGE_SIZE, 1, RW),
             1);
    check("which shows that part", word(SPARE + 4 * BYTES)[9] == 10);
    exo_page_unmap(EXO_SELF_SPACE, SPARE, N, 0);
    exo_page_unmap(EXO_SELF_SPACE, other, N, 0);
    check("K3 and keeps all of it", word(SPARE + 4 * BYTES)[9] == 10 && before - free_frames() > N);
    exo_page_unmap(EXO_SELF_SPACE, SPARE + 4 * BYTES, 1, 0);
    check_is("K3 until it goes too", (int64_t)free_frames(), (int64_t)before);
}

static volatile uint64_t seen;

static void read_and_write(uint64_t va)
{
    seen = *word(va);
    *word(va) = 4321;
}

static void check_peer(void)
{
    uint64_t before = free_frames();
    struct peer peer = peer_make(3);

    large(EXO_SELF_SPACE, SPARE, EXO_WANT_ANY, RW);
    *word(SPARE + 77 * PAGE_SIZE) = 1234;
    check_is("a large page is shared with a peer, elsewhere",
             exo_page_map(peer.space, SPARE + BYTES, EXO_SELF_SPACE, SPARE, N, RW), N);
    peer_start(&peer, read_and_write, SPARE + BYTES + 77 * PAGE_SIZE);
    peer_let(&peer);
    check_is("the peer sees it", (int64_t)seen, 1234);
    check_is("and writes it", (int64_t)*word(SPARE + 77 * PAGE_SIZE), 4321);
    exo_page_unmap(EXO_SELF_SPACE, SPARE, N, 0);
    peer_end(&peer);
    check_is("K3 K22 and takes it along when it goes", (int64_t)free_frames(), (int64_t)before);
}

/* Small pages, a large one, small ones, at the same address: no translation of one outlives it. */
static void check_turns(void)
{
    uint64_t before = free_frames();
    unsigned right = 0;

    for (unsigned i = 0; i < 8; i++) {
        uint64_t lazily = i & 1 ? EXO_LAZY : 0;

        pages_alloc(EXO_SELF_SPACE, SPARE, 8, RW);
        *word(SPARE + 3 * PAGE_SIZE) = 55;
        exo_page_unmap(EXO_SELF_SPACE, SPARE, 8, lazily);
        large(EXO_SELF_SPACE, SPARE, EXO_WANT_ANY, RW);
        right += wrong_words(SPARE, 0) == 0;
        write_words(SPARE, 100);
        exo_page_unmap(EXO_SELF_SPACE, SPARE, N, lazily);
        pages_alloc(EXO_SELF_SPACE, SPARE, 4, RW);
        right += *word(SPARE + 3 * PAGE_SIZE) == 0 && word(SPARE)[0] == 0;
        right += probe(do_read, SPARE + 5 * PAGE_SIZE).reason == EXO_UPCALL_FAULT;
        exo_page_unmap(EXO_SELF_SPACE, SPARE, 4, lazily);
    }
    check_is("K13 large and small take turns at an address", right, 24);
    check_is("K8 every frame is back", (int64_t)free_frames(), (int64_t)before);
}

/* Program, vcpu page and stack where they are here, so that a vcpu can go there. */
static bool furnish(exo_handle_t space)
{
    uint64_t stack = EXO_FIRST_STACK_TOP - EXO_FIRST_STACK_PAGES * PAGE_SIZE;

    return program_bind(space) == 0 &&
           exo_page_map(space, EXO_FIRST_VCPU_VA, EXO_SELF_SPACE, EXO_FIRST_VCPU_VA, 1, RW) == 1 &&
           exo_page_map(space, stack, EXO_SELF_SPACE, stack, EXO_FIRST_STACK_PAGES, RW) ==
               (int64_t)EXO_FIRST_STACK_PAGES;
}

/* In three spaces, at one address, and back and forth between them. */
static void check_spaces(void)
{
    exo_handle_t spaces[3];
    unsigned right = 0;

    for (unsigned i = 0; i < 3; i++) {
        spaces[i] = (exo_handle_t)exo_space_create();
        right += furnish(spaces[i]) && large(spaces[i], SPARE, EXO_WANT_ANY, RW) == N;
    }
    for (unsigned i = 0; i < 9 && right >= 3; i++) {
        exo_space_switch(spaces[i % 3]);
        right += wrong_words(SPARE, i < 3 ? 0 : 10000 * (i % 3 + 1)) == 0;
        write_words(SPARE, 10000 * (i % 3 + 1));
    }
    exo_space_switch(EXO_SELF_SPACE);
    check_is("K11 three spaces show three large pages", right, 12);
    for (unsigned i = 0; i < 3; i++) {
        while (exo_space_destroy(spaces[i]) > 0)
            ;
        exo_cap_drop(spaces[i]);
    }
}

void check_large(void)
{
    uint64_t before = free_frames();

    check_making();
    check_rights();
    check_copies();
    check_peer();
    check_turns();
    check_spaces();
    check_is("K8 large pages leave nothing behind", (int64_t)free_frames(), (int64_t)before);
}
