/* Details that other suites pass by: each test here finds a mistake in the kernel that nothing else found (docs/mutants.md). */
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "table.h" /* in front: its roots are of tables, exo_machine.h has one of environments */

#include "base/elf64.h"
#include "cap.h"
#include "cpu.h"
#include "event.h"
#include "exo_machine.h"
#include "irq.h"
#include "msi.h"
#include "tlb.h"

#define VA 0x10000000ull

static struct actor client, server;
static uint64_t gate; /* the client's, into the server */

static void setup(void)
{
    uint64_t mine;

    exo_boot();
    client = actor_make(100);
    server = actor_make(100);
    mine = (uint64_t)CALL_OK(gate_create, server.vcpu_cap, 0);
    gate = (uint64_t)CALL_OK(cap_grant, client.env_cap, mine, EXO_RIGHT_USE | EXO_RIGHT_COPY, 99, 0);
}

/* ---- K14 ------------------------------------------------------------------------------------------------- */

static unsigned lies;

/* Another CPU of both writes to their pages while the kernel has a table made for what is transferred. */
static void lie(const void *page)
{
    (void)page;
    lies++;
    client.vcpu->page->send = (struct exo_send){.va = VA + (5ull << 30), .npages = 77, .prot = EXO_PROT_READ};
    server.vcpu->page->recv = (struct exo_recv){.va = VA + (6ull << 30), .max_pages = 1};
}

START_TEST(K14_what_was_checked_is_what_is_done)
{
    const struct exo_recv *recv = &server.vcpu->page->recv;

    as(&client);
    CALL_OK(page_alloc, EXO_SELF_SPACE, VA, 2, EXO_WANT_ANY, RW);
    *(uint64_t *)machine_touch(VA + PAGE_SIZE, EXO_PROT_WRITE) = 1234;
    client.vcpu->page->send = (struct exo_send){.va = VA, .npages = 2, .prot = RW};
    server.vcpu->page->recv = (struct exo_recv){.va = VA + (1ull << 30), .max_pages = 8};
    as(&server);
    ck_assert_int_eq(CALL(reply_wait, 0, 0, 0, 0, 0, 0, 0, EXO_FOREVER), MACHINE_AWAY);
    as(&client);
    machine_zeroing = lie;
    ck_assert_int_eq(CALL(call, gate | EXO_MSG_PAGES, 11, 12, 13, 14, 15, 16, EXO_FOREVER), MACHINE_AWAY);
    machine_zeroing = NULL;
    ck_assert_uint_gt(lies, 0);
    ck_assert_ptr_eq(machine.cpu->current, server.vcpu);
    ck_assert_uint_eq(recv->npages, 2); /* what came, whatever the page says meanwhile */
    ck_assert_uint_eq(recv->prot, RW);
    for (unsigned i = 1; i <= 6; i++)
        ck_assert_uint_eq(server.vcpu->regs.x[i], 10 + i);
    ck_assert_uint_eq(*(uint64_t *)machine_touch(VA + (1ull << 30) + PAGE_SIZE, EXO_PROT_READ), 1234);
}
END_TEST

/* ---- K21 ------------------------------------------------------------------------------------------------- */

/* Both calls go the short way, from one vcpu to the other. */
static uint64_t called(void)
{
    if (server.vcpu->state != VCPU_RECEIVING) {
        as(&server);
        ck_assert_int_eq(CALL(reply_wait, 0, 0, 0, 0, 0, 0, 0, EXO_FOREVER), MACHINE_AWAY);
    }
    as(&client);
    ck_assert_int_eq(CALL(call, gate, 1, 2, 3, 4, 5, 6, EXO_FOREVER), MACHINE_AWAY);
    ck_assert_ptr_eq(machine.cpu->current, server.vcpu);
    return server.vcpu->regs.x[0];
}

START_TEST(K21_no_token_comes_twice)
{
    uint64_t first = called(), second;

    ck_assert_int_eq(CALL(reply_wait, first, 0, 0, 0, 0, 0, 0, EXO_FOREVER), MACHINE_AWAY);
    ck_assert_ptr_eq(machine.cpu->current, client.vcpu);
    ck_assert_int_eq(CALL(call, gate, 1, 2, 3, 4, 5, 6, EXO_FOREVER), MACHINE_AWAY);
    ck_assert_ptr_eq(machine.cpu->current, server.vcpu);
    ck_assert_ptr_eq(client.vcpu->peer, server.vcpu);
    second = server.vcpu->regs.x[0];
    ck_assert_uint_ne(second, first);
    ck_assert_int_eq(CALL(reply_wait, first, 0, 0, 0, 0, 0, 0, EXO_FOREVER), -EXO_ETOKEN);
    ck_assert_int_eq(CALL(reply_wait, second, 0, 0, 0, 0, 0, 0, EXO_FOREVER), MACHINE_AWAY);
    ck_assert_ptr_eq(machine.cpu->current, client.vcpu);
    ck_assert_ptr_null(client.vcpu->peer);
}
END_TEST

/* A call that may be ended by an event, and the next, which may not. */
START_TEST(I1_each_call_says_what_may_end_it)
{
    uint64_t event = (uint64_t)CALL_OK(event_create, client.vcpu_cap, 1);

    as(&server);
    ck_assert_int_eq(CALL(reply_wait, 0, 0, 0, 0, 0, 0, 0, EXO_FOREVER), MACHINE_AWAY);
    as(&client);
    client.vcpu->page->upcall_events = 1;
    ck_assert_int_eq(CALL(call, gate | EXO_MSG_INTR, 1, 2, 3, 4, 5, 6, EXO_FOREVER), MACHINE_AWAY);
    ck_assert_int_eq(CALL(reply_wait, server.vcpu->regs.x[0], 0, 0, 0, 0, 0, 0, EXO_FOREVER), MACHINE_AWAY);
    (void)called();
    as(&root);
    CALL_OK(signal, event, 1);
    ck_assert_int_eq(client.vcpu->state, VCPU_CALLING);
    client.vcpu->page->events = 0;
}
END_TEST

/* A message with nothing but words says so, whatever came with the one before. */
START_TEST(I1_nothing_came_along)
{
    struct exo_recv *recv = &server.vcpu->page->recv;

    (void)called();
    as(&server);
    recv->npages = 3;
    recv->cap = 5;
    machine.no_fast_paths |= _i;
    ck_assert_int_eq(CALL(reply_wait, server.vcpu->regs.x[0], 0, 0, 0, 0, 0, 0, EXO_FOREVER), MACHINE_AWAY);
    as(&client);
    ck_assert_int_eq(CALL(call, gate, 1, 2, 3, 4, 5, 6, EXO_FOREVER), MACHINE_AWAY);
    ck_assert_uint_eq(recv->npages, 0);
    ck_assert_uint_eq(recv->cap, 0);
    ck_assert_uint_eq(client.vcpu->page->recv.npages, 0);
}
END_TEST

/* A token has room for all bits of its number beside the flags of an answer. */
START_TEST(K21_numbers_of_tokens_fit)
{
    uint64_t token;

    machine.cpu->call_serial = (1u << 28) - 2;
    token = called();
    ck_assert_uint_eq(token, ((1ull << 28) - 1) << 32 | vcpu_frame(client.vcpu));
    ck_assert_int_eq(CALL(reply_wait, token, 0, 0, 0, 0, 0, 0, EXO_FOREVER), MACHINE_AWAY);
    ck_assert_ptr_eq(machine.cpu->current, client.vcpu);
}
END_TEST

/* However long nobody ran: the slot that runs then has its end before it. */
START_TEST(C1_who_comes_after_idleness_has_a_slot)
{
    as(&server);
    ck_assert_int_eq(CALL(wait, 1, EXO_FOREVER), MACHINE_AWAY);
    as(&root);
    ck_assert_int_eq(CALL(wait, 1, EXO_FOREVER), MACHINE_AWAY);
    as(&client);
    ck_assert_int_eq(CALL(wait, 1, machine.time + 20 * machine.cpu->slot_ticks + 1), 0);
    ck_assert_ptr_eq(machine.cpu->current, client.vcpu);
    ck_assert_uint_gt(machine.cpu->slot_end, machine.time);
    ck_assert_uint_le(machine.cpu->slot_end, machine.time + machine.cpu->slot_ticks);
}
END_TEST

/* Whoever owns the slot keeps it, though an interrupt is for somebody else. */
START_TEST(C1_owners_are_not_interrupted)
{
    CALL_OK(irq_bind, EXO_FIRST_IRQ, 40, client.vcpu_cap, 0);
    as(&client);
    CALL(wait, 1, EXO_FOREVER);
    as(&root);
    for (uint64_t slot = 0; slot < CPU_SLOTS; slot++)
        CALL_OK(slice_bind, EXO_FIRST_SLICE, slot, server.vcpu_cap);
    as(&server);
    machine_irq(40);
    ck_assert_ptr_eq(machine.cpu->current, server.vcpu);
    ck_assert_int_eq(client.vcpu->state, VCPU_READY);
    ck_assert(!machine.cpu->borrows);
}
END_TEST

/* A wait's deadline is its second argument, whatever stands behind it. */
START_TEST(C1_waits_until_their_deadline)
{
    const uint64_t deadline = machine.time + 50;

    as(&client);
    ck_assert_int_eq(CALL(wait, 1, deadline, EXO_FOREVER), MACHINE_AWAY);
    ck_assert_uint_eq(client.vcpu->deadline.at, deadline);
}
END_TEST

/* The short way of a call takes the registers of floating point away, as the long one does.  K13 */
START_TEST(K22_fast_calls_hand_no_fp_over)
{
    (void)called();
    ck_assert_int_eq(CALL(reply_wait, server.vcpu->regs.x[0], 0, 0, 0, 0, 0, 0, EXO_FOREVER), MACHINE_AWAY);
    ck_assert_ptr_eq(machine.cpu->current, client.vcpu);
    machine_fp()[0] = 1234;
    ck_assert(machine.on->fp_on);
    ck_assert_int_eq(CALL(call, gate, 1, 2, 3, 4, 5, 6, EXO_FOREVER), MACHINE_AWAY);
    ck_assert_ptr_eq(machine.cpu->current, server.vcpu);
    ck_assert(!machine.on->fp_on);
    ck_assert_uint_eq(machine_fp()[0], 0);
}
END_TEST

/* A call that is refused leaves zeros in the registers that carry no result. */
START_TEST(I1_refused_calls_leave_zeros)
{
    as(&client);
    CALL_FAILS(EXO_ETOKEN, reply_wait, 12345, 1, 2, 3, 4, 5, 6, EXO_FOREVER);
    for (unsigned i = 1; i <= 7; i++)
        ck_assert_uint_eq(client.vcpu->regs.x[i], 0);
}
END_TEST

/* ---- K8 -------------------------------------------------------------------------------------------------- */

static uint32_t lists_taken(void)
{
    return lock_shared(EXO_LOCK_FRAMES)->served;
}

/* What the CPU's cache gets from the free lists, and what goes back there, goes under their lock. */
START_TEST(K8_lists_change_under_their_lock)
{
    unsigned filled = 0, spilled = 0;

    as(&client);
    for (uint64_t i = 0; i < 80; i++) {
        uint32_t before = lists_taken(), n = machine.cpu->frames.n;

        CALL_OK(page_alloc, EXO_SELF_SPACE, VA + i * PAGE_SIZE, 1, EXO_WANT_ANY, RW);
        filled += machine.cpu->frames.n > n;
        ck_assert(machine.cpu->frames.n <= n || lists_taken() != before);
    }
    for (uint64_t i = 0; i < 80; i++) {
        uint32_t before = lists_taken(), n = machine.cpu->frames.n;

        CALL_OK(page_unmap, EXO_SELF_SPACE, VA + i * PAGE_SIZE, 1, 0);
        spilled += machine.cpu->frames.n < n;
        ck_assert(machine.cpu->frames.n >= n || lists_taken() != before);
    }
    ck_assert_uint_gt(filled, 0);
    ck_assert_uint_gt(spilled, 0);
}
END_TEST

/* A range over two tables gives both back.  K15 */
START_TEST(K8_both_tables_go)
{
    const uint64_t va = VA + (2 << 20) - PAGE_SIZE;
    uint64_t before = account_in_use(&client.env->owner.account);

    as(&client);
    ck_assert_int_eq(CALL(page_alloc, EXO_SELF_SPACE, va, 2, EXO_WANT_ANY, RW), 2);
    ck_assert_uint_ge(account_in_use(&client.env->owner.account), before + 4);
    ck_assert_int_eq(CALL(page_unmap, EXO_SELF_SPACE, va, 2, 0), 2);
    ck_assert_uint_eq(account_in_use(&client.env->owner.account), before);
}
END_TEST

/* ---- K27 ------------------------------------------------------------------------------------------------- */

/* The client binds n pages at VA; init is current afterwards. */
static void client_has(uint64_t n)
{
    as(&client);
    for (uint64_t i = 0; i < n; i++)
        CALL_OK(page_alloc, EXO_SELF_SPACE, VA + i * PAGE_SIZE, 1, EXO_WANT_ANY, RW);
    as(&root);
}

/* A limit that nothing has to be given up for disturbs nobody. */
START_TEST(K27_whoever_has_room_is_not_asked)
{
    as(&server);
    ck_assert_int_eq(CALL(reply_wait, 0, 0, 0, 0, 0, 0, 0, EXO_FOREVER), MACHINE_AWAY);
    as(&root);
    ck_assert_int_eq(CALL(env_limit, server.env_cap, 90, 0), 0);
    ck_assert_uint_eq(server.env->owner.account.limit, 90);
    ck_assert_int_eq(server.vcpu->state, VCPU_RECEIVING);
    ck_assert_uint_eq(server.vcpu->notices.due, 0);
}
END_TEST

/* What was taken until the limit was raised again is told then, and not before. */
START_TEST(K27_taken_is_told_when_it_is_called_off)
{
    uint64_t used, deadline = machine.time + 10;
    int64_t left;

    client_has(40);
    used = account_in_use(&client.env->owner.account);
    client.vcpu->page->victims[0] = (struct exo_victim){.va = VA, .npages = 40};
    ck_assert_int_eq(CALL(env_limit, client.env_cap, used - 30, deadline), 30);
    as(&client);
    ck_assert_uint_eq(client.vcpu->page->info, EXO_REVOKE_FRAMES);
    upcall_done();
    ck_assert_uint_eq(client.vcpu->page->revoke.deadline, deadline);
    as(&root);
    exo_later(deadline);
    left = CALL_OK(env_limit, client.env_cap, used - 30, 0); /* a piece */
    ck_assert(left > 0 && left < 30);
    CALL_FAILS(EXO_EQUOTA, env_limit, client.env_cap, UINT64_MAX >> 8, 0);
    ck_assert_uint_eq(client.vcpu->notices.due, 0);
    ck_assert_int_eq(CALL(env_limit, client.env_cap, used + 10, 0), 0);
    as(&client);
    ck_assert(machine_in_upcall(client.vcpu));
    ck_assert_uint_eq(client.vcpu->page->info, EXO_REVOKE_TAKEN);
    ck_assert_uint_eq(client.vcpu->page->detail, 30 - (uint64_t)left);
    ck_assert_uint_eq(client.vcpu->page->revoke.deadline, 0); /* that was the request's */
    upcall_done();
}
END_TEST

/* A request is called off by the limit that there is still. */
START_TEST(K27_the_limit_that_it_has_calls_off)
{
    const struct account *account = &client.env->owner.account;

    client_has(40);
    ck_assert_int_eq(CALL(env_limit, client.env_cap, account_in_use(account) - 30, machine.time + 1000), 30);
    ck_assert_uint_ne(account->wanted, ACCOUNT_STEADY);
    ck_assert_int_eq(CALL(env_limit, client.env_cap, account->limit, 0), 0);
    ck_assert_uint_eq(account->wanted, ACCOUNT_STEADY);
    as(&client);
    upcall_done();
}
END_TEST

/* The last reference that there is room for, and the one behind it. */
START_TEST(K27_references_have_an_end)
{
    struct binding b;

    client_has(1);
    ck_assert(space_lookup(client.env->home, VA, &b));
    frame_entry(b.pfn)->refs = FRAME_REFS_MAX - 1;
    ck_assert(frame_ref_possible(b.pfn));
    frame_entry(b.pfn)->refs = FRAME_REFS_MAX;
    ck_assert(!frame_ref_possible(b.pfn));
    as(&client);
    CALL_FAILS(EXO_EFULL, page_map, EXO_SELF_SPACE, VA + PAGE_SIZE, EXO_SELF_SPACE, VA, 1, RW);
    ck_assert_uint_eq(frame_entry(b.pfn)->refs, FRAME_REFS_MAX);
    frame_entry(b.pfn)->refs = 1;
}
END_TEST

/* A frame that was in a list before says nothing of that: the new one has used no time, and is in no TLB. */
START_TEST(C4_new_ones_have_not_run)
{
    client_has(30); /* frames come back in an order that is none */
    as(&client);
    for (uint64_t i = 0; i < 30; i += 2)
        CALL_OK(page_unmap, EXO_SELF_SPACE, VA + i * PAGE_SIZE, 1, 0);
    as(&root);
    for (unsigned i = 0; i < 8; i++) {
        struct actor new = actor_new(20);

        ck_assert_uint_eq(frame_entry(vcpu_frame(new.vcpu))->ticks, 0);
        ck_assert_uint_eq(frame_entry(paddr_to_pfn(virt_to_phys(new.env->home)))->cpus, 0);
    }
}
END_TEST

/* Whoever waits hears of it. */
START_TEST(K27_taken_wakes_who_waits)
{
    uint64_t used, left;

    client_has(40);
    used = account_in_use(&client.env->owner.account);
    client.vcpu->page->victims[0] = (struct exo_victim){.va = VA, .npages = 40};
    ck_assert_int_eq(CALL(env_limit, client.env_cap, used - 30, machine.time + 10), 30);
    as(&client);
    upcall_done();
    ck_assert_int_eq(CALL(wait, 1, EXO_FOREVER), MACHINE_AWAY);
    as(&root);
    exo_later(machine.time + 10);
    left = (uint64_t)CALL_OK(env_limit, client.env_cap, used - 30, 0);
    ck_assert_uint_gt(left, 0);
    ck_assert_int_eq(client.vcpu->state, VCPU_WAITING);
    ck_assert_int_eq(CALL(env_limit, client.env_cap, used + 10, 0), 0);
    ck_assert_int_eq(client.vcpu->state, VCPU_READY);
}
END_TEST

/* Pages that were not asked for, since another of them could not be, are as they were. */
START_TEST(K27_refused_reclaim_marks_nothing)
{
    client_has(3);
    as(&client);
    CALL_FAILS(EXO_EUNBOUND, page_reclaim, EXO_SELF_SPACE, VA + PAGE_SIZE, 3, 0);
    CALL_OK(page_reclaim, EXO_SELF_SPACE, VA, 1, EXO_FOREVER);
    as(&root); /* what is reclaimed goes to nobody, what is not does */
    CALL_FAILS(EXO_EBUSY, page_map, server.space_cap, VA, client.space_cap, VA, 1, EXO_PROT_MAX(RW) | RW);
    ck_assert_int_eq(
        CALL(page_map, server.space_cap, VA, client.space_cap, VA + PAGE_SIZE, 2, EXO_PROT_MAX(RW) | RW), 2);
}
END_TEST

/* A page that was asked back once is not asked back with those of the next call. */
START_TEST(K27_each_reclaim_has_its_number)
{
    client_has(2);
    as(&client);
    CALL_OK(page_reclaim, EXO_SELF_SPACE, VA, 1, EXO_FOREVER);
    CALL_OK(page_reclaim, EXO_SELF_SPACE, VA, 0, 0); /* called off */
    CALL_OK(page_reclaim, EXO_SELF_SPACE, VA + PAGE_SIZE, 1, EXO_FOREVER);
    as(&root);
    CALL_FAILS(EXO_EBUSY, page_map, server.space_cap, VA, client.space_cap, VA + PAGE_SIZE, 1,
               EXO_PROT_MAX(RW) | RW);
    ck_assert_int_eq(CALL(page_map, server.space_cap, VA, client.space_cap, VA, 1, EXO_PROT_MAX(RW) | RW), 1);
}
END_TEST

/* Who waits hears at once that a page of its is gone. */
START_TEST(K27_what_went_wakes_who_waits)
{
    struct binding b;

    client_has(1);
    CALL_OK(page_map, server.space_cap, VA, client.space_cap, VA, 1, EXO_PROT_MAX(RW) | RW);
    as(&server);
    server.vcpu->page->upcall_masked = 1; /* so it is not woken before */
    CALL(wait, 1, EXO_FOREVER);
    as(&client);
    while (CALL_OK(page_reclaim, EXO_SELF_SPACE, VA, 1, 0) == EXO_RECLAIM_MORE)
        ;
    server.vcpu->page->upcall_masked = 0;
    exo_later(client.env->reclaim.deadline);
    for (;;) {
        CALL_OK(page_reclaim, EXO_SELF_SPACE, VA, 1, 0);
        if (!space_lookup(server.env->home, VA, &b))
            break;
        if (server.vcpu->state == VCPU_WAITING)
            continue;
        as(&server); /* asked once more, it waits again */
        upcall_done();
        CALL(wait, 1, EXO_FOREVER);
        as(&client);
    }
    ck_assert_int_eq(server.vcpu->state, VCPU_READY);
    as(&server);
    ck_assert_uint_eq(server.vcpu->page->info, EXO_REVOKE_GONE);
    upcall_done();
}
END_TEST

/* ---- C1 -------------------------------------------------------------------------------------------------- */

/* A slot that was lent comes back when who got it waits, whoever else was ready before. */
START_TEST(C1_lent_slot_comes_back)
{
    for (uint64_t i = 0; i < CPU_SLOTS; i++)
        CALL_OK(slice_bind, EXO_FIRST_SLICE, i, root.vcpu_cap);
    ck_assert_int_eq(server.vcpu->state, VCPU_READY);
    CALL(yield, client.vcpu_cap);
    ck_assert_ptr_eq(machine.cpu->current, client.vcpu);
    CALL0(null);
    ck_assert_ptr_eq(machine.cpu->current, client.vcpu);
    CALL(wait, 1, EXO_FOREVER);
    ck_assert_ptr_eq(machine.cpu->current, root.vcpu);
    ck_assert_int_eq(server.vcpu->state, VCPU_READY);
}
END_TEST

/* Who came for an interrupt goes on over the end of a slot once, and then waits for his turn like others. */
START_TEST(C1_borrowed_time_ends)
{
    uint64_t slot = machine.cpu->slot_ticks;

    CALL_OK(irq_bind, EXO_FIRST_IRQ, 40, server.vcpu_cap, 3);
    as(&server);
    CALL(wait, 8, EXO_FOREVER);
    as(&root);
    machine_advance(slot - machine.time % slot);
    as(&root);
    machine_irq(40);
    ck_assert_ptr_eq(machine.cpu->current, server.vcpu);
    machine_advance(slot);
    ck_assert_ptr_eq(machine.cpu->current, server.vcpu);
    machine_advance(slot);
    ck_assert_ptr_ne(machine.cpu->current, server.vcpu);
}
END_TEST

/* What a call of page_reclaim takes counts for more than what it looks at: eight pages are a piece's work. */
START_TEST(K27_pages_are_taken_in_pieces)
{
    uint64_t most = 0, left;
    int64_t rc;

    client_has(40);
    ck_assert_int_eq(CALL(page_map, server.space_cap, VA, client.space_cap, VA, 40, EXO_PROT_MAX(RW) | RW),
                     40);
    left = server.env->home->nbound;
    as(&client);
    do {
        as(&client);
        rc = CALL_OK(page_reclaim, EXO_SELF_SPACE, VA, 40, 0);
        most = max_u64(most, left - server.env->home->nbound);
        left = server.env->home->nbound;
        if (rc == EXO_RECLAIM_ASKED)
            exo_later(client.env->reclaim.deadline);
    } while (rc != EXO_RECLAIM_DONE);
    ck_assert_uint_eq(most, 8);
}
END_TEST

/* A walk looks at 128 frames in a call, though none of them is of interest. */
START_TEST(K27_walks_go_in_pieces)
{
    const struct env_reclaim *walk = &client.env->reclaim;
    pfn_t most = 0, at;

    client_has(1);
    as(&client);
    ck_assert_int_eq(CALL(page_reclaim, EXO_SELF_SPACE, VA, 1, 0), EXO_RECLAIM_MORE);
    do {
        at = walk->at;
        if (CALL_OK(page_reclaim, EXO_SELF_SPACE, VA, 1, 0) == EXO_RECLAIM_DONE)
            break;
        most = walk->at - at > most ? walk->at - at : most;
    } while (walk->at > at);
    ck_assert_uint_eq(most, 128);
}
END_TEST

/* To end one holder whose vcpu has its page there is all that a call does. */
START_TEST(K27_one_end_is_a_piece)
{
    const struct env *holders[4];
    uint64_t both[4], vcpus[4], event = 0;
    unsigned ended = 0, before;
    int64_t rc;

    client_has(4);
    for (unsigned i = 0; i < 4; i++) {
        both[i] = (uint64_t)CALL_OK(env_create, 20, 0, 0);
        CALL_OK(page_map, both[i] >> 32, ACTOR_VCPU_VA, client.space_cap, VA + i * PAGE_SIZE, 1, RW);
        holders[i] = env_of(cap_at(root.env, both[i] & UINT32_MAX));
    }
    for (unsigned i = 0; i < 4; i++) /* their frames beside each other */
        vcpus[i] = (uint64_t)CALL_OK(vcpu_create, both[i] & UINT32_MAX, 0, both[i] >> 32, ACTOR_VCPU_VA);
    event = (uint64_t)CALL_OK(event_create, vcpus[0], 1);
    as(&client);
    do {
        before = ended;
        ended = 0;
        for (unsigned i = 0; i < 4; i++)
            ended += holders[i]->state == EXO_ENV_ENDED;
        ck_assert_uint_le(ended - before, 1);
        as(&client);
        rc = CALL_OK(page_reclaim, EXO_SELF_SPACE, VA, 4, 0);
        if (rc == EXO_RECLAIM_ASKED)
            exo_later(client.env->reclaim.deadline);
    } while (rc != EXO_RECLAIM_DONE);
    ck_assert_uint_ge(ended, 3);
    as(&root);
    CALL_OK(signal, event, 1); /* it has no page any more */
}
END_TEST

/* What stands behind the list of victims is none of them. */
START_TEST(K27_sixteen_victims)
{
    struct exo_victim *victims = client.vcpu->page->victims;
    uint64_t used, deadline = machine.time + 10;

    client_has(40);
    used = account_in_use(&client.env->owner.account);
    victims[EXO_VICTIMS] = (struct exo_victim){.va = VA, .npages = 40};
    ck_assert_int_eq(CALL(env_limit, client.env_cap, used - 30, deadline), 30);
    exo_later(deadline);
    ck_assert_int_eq(CALL(env_limit, client.env_cap, used - 30, 0), 30);
    ck_assert_int_eq(client.env->state, EXO_ENV_ENDED);
    ck_assert_int_eq(client.env->reason, EXO_END_REVOKED);
}
END_TEST

static uint64_t vcpu_va(unsigned i)
{
    return 0x300000 + i * PAGE_SIZE;
}

/* Of seventeen vcpus, all but the last can be asked; those that are not started hear nothing. */
START_TEST(K27_one_of_the_first_sixteen_hears)
{
    struct vcpu *vcpus[17] = {client.vcpu};
    exo_handle_t handle;

    as(&client);
    for (unsigned i = 1; i < 17; i++) {
        vcpus[i] = actor_vcpu(vcpu_va(i), &handle);
        vcpus[i]->page->upcall_masked = 1;
    }
    vcpus[0]->page->upcall_masked = 1;
    ck_assert_ptr_eq(notice_vcpu(client.env), vcpus[0]);
    vcpus[16]->page->upcall_masked = 0;
    ck_assert_ptr_eq(notice_vcpu(client.env), vcpus[0]);
    vcpus[15]->page->upcall_masked = 0;
    ck_assert_ptr_eq(notice_vcpu(client.env), vcpus[15]);
    vcpus[0]->page->upcall_masked = 0;
    ck_assert_ptr_eq(notice_vcpu(client.env), vcpus[0]);
}
END_TEST

/* What waits to be told grows by what lies in it or right behind it, and by nothing else; the earliest deadline counts. */
START_TEST(K27_requests_grow_by_neighbours)
{
    struct vcpu *vcpu = client.vcpu;
    const struct notice_range *waits = &vcpu->notices.pages;

    ck_assert(notice_pages(vcpu, 5, VA, 1, 100));
    ck_assert(notice_pages(vcpu, 5, VA, 1, 90));
    ck_assert_uint_eq(waits->npages, 1);
    ck_assert_uint_eq(waits->deadline, 90);
    ck_assert(notice_pages(vcpu, 5, VA + PAGE_SIZE, 2, 95));
    ck_assert(!notice_pages(vcpu, 5, VA + 4 * PAGE_SIZE, 1, 10));
    ck_assert(!notice_pages(vcpu, 5, VA - PAGE_SIZE, 1, 10));
    ck_assert(!notice_pages(vcpu, 6, VA + PAGE_SIZE, 1, 10));
    ck_assert(notice_pages(vcpu, 5, VA + PAGE_SIZE, 1, 95));
    ck_assert_uint_eq(waits->space, 5);
    ck_assert_uint_eq(waits->va, VA);
    ck_assert_uint_eq(waits->npages, 3);
    ck_assert_uint_eq(waits->deadline, 90);
}
END_TEST

/* Wherever in a space a page is that is asked for: its address is that of its first byte. */
START_TEST(K27_requests_name_pages)
{
    client_has(1);
    CALL_OK(page_map, server.space_cap, 3 * PAGE_SIZE, client.space_cap, VA, 1, RW);
    as(&client);
    while (CALL_OK(page_reclaim, EXO_SELF_SPACE, VA, 1, EXO_FOREVER) == EXO_RECLAIM_MORE)
        ;
    ck_assert_uint_eq(server.vcpu->notices.pages.npages, 1);
    ck_assert_uint_eq(server.vcpu->notices.pages.va, 3 * PAGE_SIZE);
    CALL_OK(page_reclaim, EXO_SELF_SPACE, VA, 0, 0);
    as(&server);
    upcall_done();
}
END_TEST

/* What went is told as one range around all of it, and of no space in particular if it was of two. */
START_TEST(K27_what_went_is_one_range)
{
    const struct notice_range *gone = &client.vcpu->notices.gone;

    notice_gone(client.vcpu, 5, VA + 2 * PAGE_SIZE, 1);
    notice_gone(client.vcpu, 5, VA, 1);
    ck_assert_uint_eq(gone->space, 5);
    ck_assert_uint_eq(gone->va, VA);
    ck_assert_uint_eq(gone->npages, 3);
    notice_gone(client.vcpu, 6, VA + 4 * PAGE_SIZE, 2);
    ck_assert_uint_eq(gone->space, EXO_REVOKE_ANYWHERE);
    ck_assert_uint_eq(gone->va, VA);
    ck_assert_uint_eq(gone->npages, 6);
}
END_TEST

/* ---- vcpus ------------------------------------------------------------------------------------------------ */

/* The shared page may be the last page that a user has. */
START_TEST(vcpu_page_is_the_last)
{
    const uint64_t last = system_info->table_va - PAGE_SIZE;
    uint64_t handle;

    as(&client);
    CALL_OK(page_alloc, EXO_SELF_SPACE, last, 1, EXO_WANT_ANY, RW);
    handle = (uint64_t)CALL_OK(vcpu_create, EXO_SELF_ENV, 0, EXO_SELF_SPACE, last);
    ck_assert_uint_eq(vcpu_of(cap_at(client.env, handle))->page->self, last);
}
END_TEST

/* Who has masked upcalls gets none, whichever way it comes back to its CPU. */
START_TEST(masked_ones_are_not_interrupted)
{
    struct exo_vcpu_page *page = client.vcpu->page;
    uint64_t event;

    event = (uint64_t)CALL_OK(event_create, client.vcpu_cap, 1);
    as(&client);
    page->upcall_events = 1;
    page->upcall_masked = 1;
    page->reason = EXO_UPCALL_EXCEPTION;
    notice_gone(client.vcpu, 0, VA, 1);
    as(&root);
    CALL_OK(signal, event, 1);
    as(&client);
    machine_advance(2 * machine.cpu->slot_ticks);
    as(&client);
    ck_assert_uint_eq(page->reason, EXO_UPCALL_EXCEPTION);
    page->upcall_masked = 0;
    CALL(yield, 0);
    as(&client);
    ck_assert_uint_eq(page->reason, EXO_UPCALL_REVOKE);
    upcall_done();
}
END_TEST

/* Who runs is told by two numbers, as the frame table knows them. */
START_TEST(tables_tell_who_runs)
{
    const struct exo_running *running = &machine.cpu->info->running;

    as(&client);
    ck_assert_uint_eq(running->vcpu, vcpu_frame(client.vcpu));
    ck_assert_uint_eq(running->env, env_frame(client.env));
    as(&server);
    ck_assert_uint_eq(running->vcpu, vcpu_frame(server.vcpu));
    ck_assert_uint_eq(running->env, env_frame(server.env));
}
END_TEST

/* Who is stopped as another is taken down has no status, and has not faulted. */
START_TEST(K30_stopped_is_no_fault)
{
    struct actor child;

    as(&client);
    child = actor_new(20);
    as(&root);
    ck_assert_int_eq(CALL(env_destroy, client.env_cap), 1);
    for (const struct env *env = child.env; env != root.env; env = env->parent) {
        ck_assert_int_eq(env->reason, EXO_END_STOP);
        ck_assert_uint_eq(env->code, 0);
        ck_assert_uint_eq(env->pc, 0);
        ck_assert_uint_eq(env->address, 0);
    }
}
END_TEST

/* Nor has who takes himself down. */
START_TEST(K30_ones_own_end_is_no_fault)
{
    as(&client);
    CALL(env_destroy, EXO_SELF_ENV);
    ck_assert_int_eq(client.env->state, EXO_ENV_ENDED);
    ck_assert_int_eq(client.env->reason, EXO_END_STOP);
    ck_assert_uint_eq(client.env->code, 0);
    ck_assert_uint_eq(client.env->pc, 0);
    ck_assert_uint_eq(client.env->address, 0);
}
END_TEST

/* ---- spaces ------------------------------------------------------------------------------------------------ */

/* A range may be all that a user has, and no page more. */
START_TEST(ranges_may_be_everything)
{
    const uint64_t all = system_info->table_va >> PAGE_SHIFT;

    ck_assert(space_range_ok(0, all));
    ck_assert(!space_range_ok(0, all + 1));
    ck_assert(!space_range_ok(PAGE_SIZE, all));
    ck_assert(space_range_ok(PAGE_SIZE, all - 1));
}
END_TEST

/* What begins where a range ends is not in it. */
START_TEST(ranges_end_before_their_end)
{
    uint64_t va = VA;
    unsigned looks = 100;

    as(&client);
    CALL_OK(page_alloc, EXO_SELF_SPACE, VA, 1, EXO_WANT_ANY, RW);
    ck_assert_uint_eq(table_seek(client.env->home->root, &va, VA, NULL, &looks), 0);
    ck_assert_uint_eq(va, VA);
    ck_assert_uint_eq(table_seek(client.env->home->root, &va, VA + PAGE_SIZE, NULL, &looks), 1);
    CALL_OK(page_alloc, EXO_SELF_SPACE, VA + PAGE_SIZE, 1, EXO_WANT_ANY, RW);
    CALL_OK(page_unmap, EXO_SELF_SPACE, VA, 1, 0);
    ck_assert_uint_eq(table_seek(client.env->home->root, &va, VA + PAGE_SIZE, NULL, &looks), 0);
    ck_assert_uint_eq(va, VA + PAGE_SIZE);
}
END_TEST

/* Binding to a space needs to use it, binding from it to read it, and binding within it both.  K22; loop: a page, or two */
START_TEST(K22_rights_of_both_spaces)
{
    const uint64_t n = 1 + (uint64_t)_i % 2, to = VA + (1ull << 30);
    uint64_t use, read;

    machine.no_fast_paths |= _i >= 2;
    client_has(2);
    use = (uint64_t)CALL_OK(cap_grant, EXO_SELF_ENV, client.space_cap, EXO_RIGHT_USE, 0, 0);
    read = (uint64_t)CALL_OK(cap_grant, EXO_SELF_ENV, client.space_cap, EXO_RIGHT_READ, 0, 0);
    CALL_FAILS(EXO_ERIGHTS, page_map, use, to, use, VA, n, RW);
    CALL_FAILS(EXO_ERIGHTS, page_map, read, to, read, VA, n, RW);
    CALL_FAILS(EXO_ERIGHTS, page_map, read, to, use, VA, n, RW);
    ck_assert_int_eq(CALL(page_map, use, to, read, VA, n, RW), (int64_t)n);
    ck_assert_int_eq(CALL(page_map, use, to + PAGE_SIZE * n, client.space_cap, VA, n, RW), (int64_t)n);
    ck_assert_int_eq(CALL(page_map, client.space_cap, to + 2 * PAGE_SIZE * n, read, VA, n, RW), (int64_t)n);
}
END_TEST

/* Who is to hear of an end hears of it, wherever his frame has been before.  K30 */
START_TEST(K30_watchers_are_found)
{
    struct actor watcher = actor_make(20);
    uint64_t event, watched;

    actor_destroy(&watcher);
    watcher = actor_make(20);
    ck_assert_uint_ne(frame_entry(vcpu_frame(watcher.vcpu))->serial, 0);
    event = (uint64_t)CALL_OK(event_create, watcher.vcpu_cap, 0xff);
    watched = (uint64_t)CALL_OK(env_create, 10, event, 4) & UINT32_MAX;
    CALL_OK(env_stop, watched);
    ck_assert_uint_eq(watcher.vcpu->page->events & 0xff, 4);
}
END_TEST

/* A space that never had a page leaves nothing in the TLB either: its tables' window was there to be read. */
START_TEST(K13_empty_spaces_leave_the_tlb)
{
    const uint64_t w = system_info->table_va, shown = w | w >> 9 | w >> 18 | w >> 27; /* the root itself */
    uint64_t other;

    as(&client);
    other = (uint64_t)CALL_OK(space_create, 0);
    ck_assert_int_eq(CALL(space_switch, other), 0);
    ck_assert_ptr_nonnull(machine_touch(shown, EXO_PROT_READ));
    ck_assert_int_eq(CALL(space_switch, EXO_SELF_SPACE), 0);
    while (CALL_OK(space_destroy, other))
        ;
    exo_check();
}
END_TEST

/* Stale is what was unbound lazily, in this epoch and in these pages. */
START_TEST(K13_stale_is_what_overlaps)
{
    struct tlb_lazy lazy = {0};

    tlb_lazy_add(&lazy, VA, 2);
    ck_assert(tlb_lazy_overlaps(&lazy, VA + PAGE_SIZE, 2));
    ck_assert(!tlb_lazy_overlaps(&lazy, VA + 2 * PAGE_SIZE, 1));
    ck_assert(!tlb_lazy_overlaps(&lazy, VA - PAGE_SIZE, 1));
    tlb_lazy_end(&lazy);
    ck_assert(!tlb_lazy_overlaps(&lazy, VA, 2));
}
END_TEST

/* With the last space that has stale translations its epoch ends: nobody has to flush everything for these frames. */
START_TEST(K13_epochs_end_with_the_last_lazy_one)
{
    client_has(3);
    as(&client);
    for (unsigned i = 0; i < 2; i++) {
        const uint32_t epoch = tlb_epoch();

        ck_assert_ptr_nonnull(machine_touch(VA + i * PAGE_SIZE, EXO_PROT_READ));
        CALL_OK(page_unmap, EXO_SELF_SPACE, VA + i * PAGE_SIZE, 1, EXO_LAZY);
        ck_assert_uint_eq(tlb_epoch(), epoch);
        CALL_OK(tlb_sync, EXO_SELF_SPACE, VA, 3);
        ck_assert_uint_eq(tlb_epoch(), epoch + 1);
    }
}
END_TEST

/* ---- lines ------------------------------------------------------------------------------------------------- */

/* Numbers between the wired lines and those of messages, and behind these, name nothing; no row is shown for them. */
START_TEST(K18_lines_that_are_not_there)
{
    const uint32_t wrong[] = {MACHINE_LINES, MACHINE_LPI_MIN - 1, MACHINE_LPI_MIN + MACHINE_LPIS, UINT32_MAX};
    const uint32_t right[] = {0, MACHINE_LINES - 1, MACHINE_LPI_MIN, MACHINE_LPI_MIN + MACHINE_LPIS - 1};
    paddr_t at;
    const struct exo_line *shown;

    for (unsigned i = 0; i < ARRAY_LEN(wrong); i++)
        ck_assert_ptr_null(irq_of(wrong[i]));
    ck_assert_int_eq(info_page(EXO_INFO_LINES, 0, &at), 0);
    shown = phys_to_virt(at);
    for (unsigned i = 0; i < ARRAY_LEN(right); i++) {
        const struct irq *irq = irq_of(right[i]);

        ck_assert_uint_eq(irq->line, right[i]);
        ck_assert_uint_eq(shown[irq - irq_row(0)].line, right[i]);
    }
    ck_assert_uint_eq(system_info->nlines, MACHINE_LINES + MACHINE_LPIS);
    ck_assert_uint_eq(shown[system_info->nlines].line, 0);
}
END_TEST

/* One device's worth of the right to DMA is enough for that device. */
START_TEST(K18_the_last_device_of_a_range)
{
    uint64_t lines = (uint64_t)CALL_OK(cap_grant, client.env_cap, EXO_FIRST_IRQ, EXO_RIGHT_USE);
    uint64_t device = (uint64_t)CALL_OK(cap_grant, client.env_cap, EXO_FIRST_DMA, EXO_RIGHT_USE, 8, 1);
    exo_handle_t vcpu;

    as(&client);
    actor_vcpu(vcpu_va(1), &vcpu);
    ck_assert_int_ge(CALL(msi_bind, lines, MACHINE_LPI_MIN, device, 8, 0, vcpu, 3), 0);
    CALL_FAILS(EXO_ERANGE, msi_bind, lines, MACHINE_LPI_MIN, device, 9, 0, vcpu, 3);
    CALL_FAILS(EXO_ERANGE, msi_bind, lines, MACHINE_LPI_MIN, device, 7, 0, vcpu, 3);
}
END_TEST

START_TEST(K18_message_lines_have_an_end)
{
    ck_assert(!msi_raises(MACHINE_LPI_MIN - 1));
    ck_assert(msi_raises(MACHINE_LPI_MIN));
    ck_assert(msi_raises(MACHINE_LPI_MIN + MACHINE_LPIS - 1));
    ck_assert(!msi_raises(MACHINE_LPI_MIN + MACHINE_LPIS));
}
END_TEST

static void release_piece(void *vcpu)
{
    local_enter();
    world_upgrade();
    irq_vcpu_end(vcpu);
    world_leave();
    local_leave();
}

/* A piece of the end of whoever has many lines is eight of them (docs/kernel.md). */
START_TEST(K18_lines_go_in_pieces)
{
    for (uint64_t line = 40; line < 57; line++)
        ck_assert_int_eq(CALL(irq_bind, EXO_FIRST_IRQ, line, client.vcpu_cap, 3), 0);
    for (unsigned left = 17; left > 0; left -= min_u64(left, 8)) {
        ck_assert_uint_eq(client.vcpu->nirqs, left);
        ck_assert_int_eq(machine_try(release_piece, client.vcpu), MACHINE_RUNS);
    }
    ck_assert_uint_eq(client.vcpu->nirqs, 0);
    for (uint32_t line = 40; line < 57; line++)
        ck_assert_ptr_null(irq_holder(line));
}
END_TEST

/* The end of a vcpu that has a line is a piece, as that of any other is not. */
START_TEST(K18_whoever_has_lines_is_a_piece)
{
    uint64_t lines, pieces[2] = {0}, event;
    struct actor many;

    for (unsigned i = 0; i < 2; i++) {
        many = actor_make(100);
        event = (uint64_t)CALL_OK(cap_grant, many.env_cap, EXO_FIRST_IRQ, EXO_RIGHT_USE, 40, 8);
        as(&many);
        for (unsigned k = 0; k < 6; k++) {
            exo_handle_t vcpu;

            actor_vcpu(vcpu_va(1 + k), &vcpu);
            if (i)
                ck_assert_int_eq(CALL(irq_bind, event, 40 + k, vcpu, 1), 0);
        }
        as(&root);
        while (CALL_OK(env_destroy, many.env_cap) > 0)
            pieces[i]++;
    }
    lines = pieces[1] - pieces[0];
    ck_assert_uint_ge(lines, 3);
}
END_TEST

/* ---- several CPUs ----------------------------------------------------------------------------------------- */

#define OTHER_VA 0x200000ull

static exo_handle_t other_cap;

static void setup_cpus(void)
{
    machine.ncpus = 3;
    setup();
    machine.stay = true;
}

/* A vcpu of this actor's on another CPU, out of its START upcall there; CPU 0 is played again, and the actor current. */
static struct vcpu *other_of(const struct actor *a, unsigned cpu)
{
    static unsigned n;
    const uint64_t va = OTHER_VA + n++ * PAGE_SIZE;
    struct vcpu *vcpu;

    as(a);
    CALL_OK(page_alloc, EXO_SELF_SPACE, va, 1, EXO_WANT_ANY, RW);
    other_cap = (exo_handle_t)CALL_OK(vcpu_create, EXO_SELF_ENV, cpu, EXO_SELF_SPACE, va);
    vcpu = vcpu_of(cap_at(a->env, other_cap));
    vcpu->page->upcall_entry = UPCALL_ENTRY;
    CALL_OK(vcpu_start, other_cap, 0);
    machine_on(cpu);
    machine_run(vcpu);
    upcall_done();
    machine_on(0);
    as(a);
    return vcpu;
}

START_TEST(vcpu_is_told_its_cpu)
{
    for (unsigned cpu = 1; cpu < 3; cpu++)
        ck_assert_uint_eq(other_of(&client, cpu)->page->cpu, cpu);
}
END_TEST

static void look_at_notes(void *none)
{
    (void)none;
    local_enter();
    event_notes();
    local_leave();
}

/* A vcpu that goes before its CPU has looked at a signal for it takes the note along. */
START_TEST(K29_no_note_stays_behind)
{
    struct vcpu *vcpu = other_of(&client, 1);
    uint64_t event = (uint64_t)CALL_OK(event_create, other_cap, 1);

    machine_on(1);
    CALL(wait, 1, EXO_FOREVER);
    ck_assert_int_eq(vcpu->state, VCPU_WAITING);
    machine_on(0);
    machine.held = 1 << 1;
    CALL_OK(signal, event, 1);
    ck_assert(!list_empty(&cpus[1].inbox));
    as(&root);
    actor_destroy(&client);
    ck_assert(list_empty(&cpus[1].inbox));
    machine.held = 0;
    machine_on(1);
    ck_assert_ptr_null(machine.cpu->current);
    machine_on(0);
}
END_TEST

/* A CPU looks at 32 notes before others have their turn. */
START_TEST(K28_notes_go_in_pieces)
{
    uint64_t left = 0;

    for (uint64_t i = 0; i < 33; i++) {
        const uint64_t va = OTHER_VA + i * PAGE_SIZE;
        uint64_t handle, event;

        CALL_OK(page_alloc, EXO_SELF_SPACE, va, 1, EXO_WANT_ANY, RW);
        handle = (uint64_t)CALL_OK(vcpu_create, EXO_SELF_ENV, 1, EXO_SELF_SPACE, va);
        machine.held = 1 << 1;
        event = (uint64_t)CALL_OK(event_create, handle, 1);
        CALL_OK(signal, event, 1);
    }
    machine_on(1);
    ck_assert_int_eq(machine_try(look_at_notes, NULL), MACHINE_RUNS);
    for (const struct list *at = cpus[1].inbox.next; at != &cpus[1].inbox; at = at->next)
        left++;
    ck_assert_uint_eq(left, 1);
    machine.held = 0;
    machine_on(0);
    machine_on(1);
    ck_assert(list_empty(&cpus[1].inbox));
    machine_on(0);
}
END_TEST

/* A space that has run on another CPU only is known there only. */
START_TEST(K13_spaces_are_where_they_ran)
{
    struct actor child = actor_new(30);
    const struct space *home = child.env->home;
    struct vcpu *vcpu;
    uint64_t handle;

    CALL_OK(page_alloc, child.space_cap, OTHER_VA, 1, EXO_WANT_ANY, RW);
    handle = (uint64_t)CALL_OK(vcpu_create, child.env_cap, 1, child.space_cap, OTHER_VA);
    vcpu = vcpu_of(cap_at(root.env, handle));
    vcpu->page->upcall_entry = UPCALL_ENTRY;
    CALL_OK(vcpu_start, handle, 0);
    machine_on(1);
    machine_run(vcpu);
    upcall_done();
    ck_assert_uint_eq(home->cpus, 1 << 1);
    ck_assert_uint_eq(frame_entry(paddr_to_pfn(virt_to_phys(home)))->cpus, 1 << 1);
    machine_on(0);
}
END_TEST

/* Ended, and its vcpus gone, but its space is still in the MMU of a CPU that is on its way out of the kernel.  Loop: the CPU. */
START_TEST(K1_a_loaded_space_stays)
{
    struct space *home = client.env->home, *other = cpus[_i].loaded;
    const pfn_t pfn = paddr_to_pfn(virt_to_phys(home));
    int64_t rc;

    for (unsigned i = 0; i < 100; i++) {
        cpus[_i].loaded = home;
        ck_assert_int_eq(CALL(env_destroy, client.env_cap), 1);
        cpus[_i].loaded = other;
    }
    ck_assert(list_empty(&client.env->vcpus));
    ck_assert_int_eq(frame_entry(pfn)->kind, EXO_FRAME_SPACE);
    while ((rc = CALL(env_destroy, client.env_cap)) == 1)
        ;
    ck_assert_int_eq(rc, 0);
    ck_assert_int_ne(frame_entry(pfn)->kind, EXO_FRAME_SPACE);
}
END_TEST

static uint32_t worlds(void)
{
    return lock_shared(EXO_LOCK_WORLD)->served;
}

/* Answers the client's call from the server, and tells in which mode: with the world or without. */
static bool answer_takes_world(uint64_t token)
{
    uint32_t before = worlds();

    CALL(reply_wait, token, 1, 2, 3, 4, 5, 6, 0);
    return worlds() != before;
}

/* Of two calls, and answers, the one to another CPU's caller changes what is that CPU's, and the one at home does not. */
START_TEST(K8_answers_take_the_world_if_they_must)
{
    struct vcpu *far = other_of(&client, 1);
    uint32_t before;

    for (unsigned cpu = 0; cpu < 2; cpu++) {
        machine_on(0);
        as(&server);
        CALL(reply_wait, 0, 0, 0, 0, 0, 0, 0, EXO_FOREVER);
        machine_on(cpu);
        if (cpu == 0)
            as(&client);
        before = worlds();
        CALL(call, gate, 1, 2, 3, 4, 5, 6, EXO_FOREVER);
        ck_assert_int_eq(worlds() != before, cpu);
        machine_on(0);
        as(&server);
        ck_assert_int_eq(answer_takes_world(server.vcpu->regs.x[0]), cpu);
        ck_assert_int_eq(result(cpu ? far : client.vcpu), 0);
        ck_assert_uint_eq(x(cpu ? far : client.vcpu, 1), 1);
    }
}
END_TEST

/* A call to another CPU's vcpu ends early: by a signal from elsewhere, by one from its own CPU, by its deadline.  All that is
 * known on both CPUs, so the world is taken, once.  Loop: which; and with fast paths or without. */
START_TEST(K28_calls_abroad_end_with_the_world)
{
    struct vcpu *far = other_of(&client, 1), *beside;
    uint64_t event = (uint64_t)CALL_OK(event_create, other_cap, 1);
    uint32_t before, how = (uint32_t)_i % 3;

    machine.no_fast_paths |= _i >= 3;
    beside = other_of(&client, 1);
    far->page->upcall_events = 1;
    machine_on(1);
    machine_run(far);
    CALL(call, gate | EXO_MSG_INTR, 1, 2, 3, 4, 5, 6, how == 2 ? machine.time + 50 : EXO_FOREVER);
    ck_assert_int_eq(far->state, VCPU_SENDING);
    ck_assert_uint_eq(server.vcpu->nfar, 1);
    before = worlds();
    if (how == 0) {
        machine_on(0);
        as(&client);
        CALL_OK(signal, event, 1);
        ck_assert_uint_eq(worlds(), before);
        machine_on(1);
    } else if (how == 1) {
        machine_run(beside);
        CALL_OK(signal, event, 1);
    } else {
        machine_advance(100);
    }
    ck_assert_uint_eq(worlds(), before + 1);
    ck_assert_int_eq(result(far), how == 2 ? -EXO_ETIMEDOUT : -EXO_EINTR);
    ck_assert(list_empty(&server.vcpu->senders));
    ck_assert_uint_eq(server.vcpu->nfar, 0);
    machine_on(0);
}
END_TEST

/* Nor does the short way of a call lead there.  K28 */
START_TEST(K28_calls_abroad_go_the_long_way)
{
    struct vcpu *far = other_of(&client, 1);
    uint64_t into = (uint64_t)CALL_OK(gate_create, other_cap, 0);

    machine_on(1);
    machine_run(far);
    ck_assert_int_eq(CALL(reply_wait, 0, 0, 0, 0, 0, 0, 0, EXO_FOREVER), MACHINE_AWAY);
    ck_assert_int_eq(far->state, VCPU_RECEIVING);
    machine_on(0);
    as(&client);
    ck_assert_int_eq(CALL(call, into, 1, 2, 3, 4, 5, 6, EXO_FOREVER), MACHINE_AWAY);
    ck_assert_ptr_ne(machine.cpu->current, far);
    ck_assert_int_ne(far->state, VCPU_RUNNING);
    machine_on(1);
    ck_assert_ptr_eq(machine.cpu->current, far);
    ck_assert_uint_eq(far->regs.x[1], 1);
    ck_assert_uint_eq(far->regs.x[6], 6);
    machine_on(0);
}
END_TEST

/* A slot's owner has it from its beginning, though a note is to be looked at besides.  C1, K28 */
START_TEST(C1_owners_come_with_notes)
{
    uint64_t event = (uint64_t)CALL_OK(event_create, EXO_FIRST_VCPU, 1);

    other_of(&root, 1);
    for (uint64_t slot = 0; slot < CPU_SLOTS; slot++)
        CALL_OK(slice_bind, EXO_FIRST_SLICE, slot, server.vcpu_cap);
    as(&server);
    CALL(wait, 1 << 5, machine.time + 10);
    as(&client);
    machine_on(1);
    CALL_OK(signal, event, 1);
    machine.time += 20;
    machine_on(0);
    ck_assert_uint_eq(root.vcpu->page->events & 1, 1);
    ck_assert_ptr_eq(machine.cpu->current, server.vcpu);
}
END_TEST

static void rollover(void *unused)
{
    (void)unused;
    local_enter();
    world_upgrade();
    spaces_rollover();
    world_leave();
    local_leave();
}

/* ASIDs begin anew while a CPU has no space loaded.  K13 */
START_TEST(K13_idle_cpus_keep_no_asid)
{
    uint32_t before = tlb_epoch();

    ck_assert_ptr_null(cpus[2].loaded);
    ck_assert_int_eq(machine_try(rollover, NULL), MACHINE_RUNS);
    ck_assert_uint_eq(tlb_epoch(), before + 1); /* nothing is stale any more */
    as(&client);
    as(&root);
}
END_TEST

/* What is no caller's token is refused in local mode, unless it names another CPU's vcpu. */
START_TEST(I1_invented_tokens_disturb_nobody)
{
    struct vcpu *far = other_of(&client, 1);
    const pfn_t wrong[] = {0, system_info->first_frame + (pfn_t)system_info->nframes, env_frame(client.env),
                           vcpu_frame(client.vcpu)};

    as(&server);
    for (unsigned i = 0; i < ARRAY_LEN(wrong); i++) {
        ck_assert_msg(!answer_takes_world(1ull << 32 | wrong[i]), "%u", i);
        ck_assert_int_eq(result(server.vcpu), -EXO_ETOKEN);
        ck_assert_msg(!answer_takes_world(EXO_REPLY_CAP | 1ull << 32 | wrong[i]), "%u", i);
        ck_assert_int_eq(result(server.vcpu), -EXO_ETOKEN);
    }
    ck_assert(answer_takes_world(1ull << 32 | vcpu_frame(far)));
    ck_assert_int_eq(result(server.vcpu), -EXO_ETOKEN);
    ck_assert(!answer_takes_world(0));
    ck_assert(!answer_takes_world(EXO_REPLY_CAP));
}
END_TEST

/* Capability tables change with the world only: so an answer that brings one takes it, though the caller is at home. */
START_TEST(K8_answers_with_capabilities_take_the_world)
{
    as(&server);
    CALL(reply_wait, 0, 0, 0, 0, 0, 0, 0, EXO_FOREVER);
    as(&client);
    client.vcpu->page->recv.take_cap = 1;
    CALL(call, gate, 1, 2, 3, 4, 5, 6, EXO_FOREVER);
    as(&server);
    server.vcpu->page->send = (struct exo_send){.cap = EXO_SELF_ENV, .rights = EXO_RIGHT_READ};
    ck_assert(answer_takes_world(EXO_REPLY_CAP | server.vcpu->regs.x[0]));
    ck_assert_int_eq(result(client.vcpu), 0);
    ck_assert_ptr_eq(env_of(cap_at(client.env, client.vcpu->page->recv.cap)), server.env);
}
END_TEST

/* ---- fast paths ------------------------------------------------------------------------------------------- */

static uint64_t seen[2][256];
static unsigned nseen[2];
static struct actor waiter;
static uint64_t waiters_event; /* root's */
#define LANDING_VA (VA + (1ull << 30))

static void see(unsigned way, uint64_t value)
{
    ck_assert_uint_lt(nseen[way], ARRAY_LEN(seen[way]));
    seen[way][nseen[way]++] = value;
}

/* Who runs, with which words; the name in a token, without its number. */
static void see_words(unsigned way)
{
    const struct vcpu *vcpu = machine.cpu->current;

    see(way, vcpu_frame(vcpu));
    see(way, result(vcpu) < 0 ? x(vcpu, 0) : x(vcpu, 0) & UINT32_MAX);
    for (unsigned i = 1; i < 8; i++)
        see(way, x(vcpu, i));
    see(way, client.vcpu->state);
    see(way, server.vcpu->state);
    see(way, machine.on->asid);
}

static void see_page(unsigned way, uint64_t va)
{
    struct binding b = {0};

    see(way, space_lookup(client.env->home, va, &b));
    see(way, (uint64_t)b.prot << 8 | b.max);
    see(way, b.pfn ? frame_entry(b.pfn)->refs : 0);
    see(way, machine_touch(va, EXO_PROT_WRITE) != NULL);
    if (machine_in_upcall(client.vcpu))
        upcall_done();
    see(way, exo_free_frames());
}

/* What came along, and what is bound where it was to land. */
static void see_pages(unsigned way, const struct actor *to)
{
    const struct exo_recv *recv = &to->vcpu->page->recv;
    struct binding b = {0};

    see(way, recv->npages);
    see(way, recv->prot);
    see(way, recv->cap);
    see(way, space_lookup(to->env->home, recv->va, &b));
    see(way, (uint64_t)b.prot << 8 | b.max);
    see(way, b.pfn ? frame_entry(b.pfn)->refs : 0);
}

/* A call that an event may end; and once an event is there, it ends at once. */
static void go_interruptible(unsigned way)
{
    CALL(call, gate | EXO_MSG_INTR, 1, 2, 3, 4, 5, 6, EXO_FOREVER);
    see_words(way);
    see(way, client.vcpu->interruptible);
    CALL(reply_wait, server.vcpu->regs.x[0], 7, 8, 9, 10, 11, 12, EXO_FOREVER);
    see_words(way);
    client.vcpu->page->upcall_masked = 1;
    client.vcpu->page->upcall_events = client.vcpu->page->events = 1;
    see(way, (uint64_t)CALL(call, gate | EXO_MSG_INTR, 1, 2, 3, 4, 5, 6, EXO_FOREVER));
    see_words(way);
    client.vcpu->page->events = 0;
    client.vcpu->page->upcall_masked = 0;
}

/* A page there, and a page back. */
static void go_with_pages(unsigned way)
{
    client.vcpu->page->send = (struct exo_send){.va = VA, .npages = 1, .prot = EXO_PROT_READ};
    server.vcpu->page->recv = (struct exo_recv){.va = LANDING_VA, .max_pages = 1, .cap = 77};
    CALL(call, gate | EXO_MSG_PAGES | EXO_MSG_INTR, 1, 2, 3, 4, 5, 6, EXO_FOREVER);
    see_words(way);
    see_pages(way, &server);
    server.vcpu->page->send = (struct exo_send){.va = LANDING_VA, .npages = 1, .prot = EXO_PROT_READ};
    client.vcpu->page->recv = (struct exo_recv){.va = LANDING_VA, .max_pages = 1, .cap = 77};
    CALL(reply_wait, server.vcpu->regs.x[0] | EXO_REPLY_PAGES, 7, 8, 9, 10, 11, 12, EXO_FOREVER);
    see_words(way);
    see_pages(way, &client);
    client.vcpu->page->send = (struct exo_send){.va = VA, .npages = 1, .prot = RW};
    server.vcpu->page->recv = (struct exo_recv){.va = LANDING_VA + PAGE_SIZE, .max_pages = 1};
    CALL(call, gate | EXO_MSG_PAGES, 1, 2, 3, 4, 5, 6, EXO_FOREVER); /* now there is a table */
    see_words(way);
    see_pages(way, &server);
    CALL(reply_wait, server.vcpu->regs.x[0], 7, 8, 9, 10, 11, 12, EXO_FOREVER);
    see_words(way);
    see(way, (uint64_t)CALL(page_unmap, EXO_SELF_SPACE, LANDING_VA, 1, 0));
    as(&root);
    see(way, (uint64_t)CALL(page_unmap, server.space_cap, LANDING_VA, 2, 0));
    as(&client);
}

/* What an upcall of the client's tells. */
static void see_upcall(unsigned way)
{
    const struct exo_vcpu_page *page = client.vcpu->page;

    ck_assert_ptr_eq(machine.cpu->current, client.vcpu);
    ck_assert(machine_in_upcall(client.vcpu));
    see(way, page->reason);
    see(way, page->info);
    see(way, page->detail);
    see(way, page->regs.pc);
    see(way, client.vcpu->regs.pc);
    see(way, client.vcpu->regs.sp);
    upcall_done();
}

static void go_up(unsigned way)
{
    machine_exception(EXO_EXC_BREAKPOINT, 1234);
    see_upcall(way);
    machine_touch(VA + PAGE_SIZE, EXO_PROT_READ); /* nothing */
    see_upcall(way);
    machine_touch(VA, EXO_PROT_EXEC); /* a page that may not */
    see_upcall(way);
    machine_touch(LANDING_VA + (1ull << 30), EXO_PROT_READ); /* not even a table */
    see_upcall(way);
    machine_touch(1ull << ARCH_USER_BITS | VA, EXO_PROT_EXEC); /* nobody has such an address */
    see_upcall(way);
}

/* Somebody waits, and is woken by an event, and by a line. */
static void go_waiting(unsigned way)
{
    as(&waiter);
    CALL(wait, 12, EXO_FOREVER);
    as(&root);
    CALL(signal, waiters_event, 5);
    see(way, waiter.vcpu->state);
    see(way, x(waiter.vcpu, 0));
    as(&waiter);
    waiter.vcpu->page->events = 0;
    CALL(wait, 8, EXO_FOREVER);
    as(&root);
    machine_irq(40 + way);
    see_words(way);
    see(way, machine.cpu->borrows);
    see(way, root.vcpu->state);
    see(way, machine.cpu->ready.next == &root.vcpu->queue);
    waiter.vcpu->page->events = 0;
    as(&client);
}

/* What has a fast path, once each: from the client, which is current, while the server receives. */
static void go(unsigned way, uint64_t own, uint64_t beside)
{
    CALL(call, gate, 1, 2, 3, 4, 5, 6, EXO_FOREVER);
    see_words(way);
    CALL(reply_wait, server.vcpu->regs.x[0], 7, 8, 9, 10, 11, 12, EXO_FOREVER);
    see_words(way);
    CALL(yield, beside); /* in the same space */
    see_words(way);
    CALL(yield, own);
    see_words(way);
    see(way, (uint64_t)CALL(page_map, EXO_SELF_SPACE, VA + PAGE_SIZE, EXO_SELF_SPACE, VA, 1, RW));
    see_page(way, VA + PAGE_SIZE);
    see(way, (uint64_t)CALL(page_protect, EXO_SELF_SPACE, VA + PAGE_SIZE, 1, EXO_PROT_READ));
    see_page(way, VA + PAGE_SIZE);
    see(way, (uint64_t)CALL(page_unmap, EXO_SELF_SPACE, VA + PAGE_SIZE, 1, 0));
    see_page(way, VA + PAGE_SIZE);
    ck_assert_ptr_eq(machine.cpu->current, client.vcpu);
    go_interruptible(way);
    go_with_pages(way);
    go_up(way);
    go_waiting(way);
}

/* What a fast path does, the long way does.  I1, K13, K15 */
START_TEST(both_ways_do_the_same)
{
    uint64_t own = (uint64_t)CALL_OK(cap_grant, client.env_cap, client.vcpu_cap, EXO_RIGHT_USE);
    exo_handle_t beside;
    struct vcpu *other;

    waiter = actor_make(50);
    waiters_event = (uint64_t)CALL_OK(event_create, waiter.vcpu_cap, 5);
    for (unsigned way = 0; way < 2; way++)
        CALL_OK(irq_bind, EXO_FIRST_IRQ, 40 + way, waiter.vcpu_cap, 3);
    as(&server);
    CALL(reply_wait, 0, 0, 0, 0, 0, 0, 0, EXO_FOREVER);
    as(&client);
    CALL_OK(page_alloc, EXO_SELF_SPACE, VA, 1, EXO_WANT_ANY, RW);
    other = actor_vcpu(VA + 2 * PAGE_SIZE, &beside);
    for (unsigned way = 0; way < 2; way++) {
        machine.no_fast_paths = way;
        go(way, own, beside);
        exo_check();
    }
    ck_assert_int_eq(other->state, VCPU_READY);
    ck_assert_uint_eq(seen[0][0], vcpu_frame(server.vcpu));
    ck_assert_uint_gt(nseen[0], 180);
    ck_assert_uint_eq(nseen[0], nseen[1]);
    for (unsigned i = 0; i < nseen[0]; i++)
        ck_assert_msg(seen[0][i] == seen[1][i], "%u: %lx, %lx", i, (unsigned long)seen[0][i],
                      (unsigned long)seen[1][i]);
}
END_TEST

/* What a call about one page, or two, meets, of a client that has from VA on: a page, a hole, a copy that may be read and no more,
 * a copy with all rights, one that is unbound lazily where the situation is STALE; then a pair, another page and a copy of this
 * one; and room for two.  Around EDGE_VA two in two tables, the second one to be read alone; at LARGE_VA a large page, at LONE_VA a
 * page alone in its table and bound once, at FAR_VA one alone that is bound elsewhere too, at DEVICE_VA (root's) registers. */
#define HOLE_VA (VA + PAGE_SIZE)
#define READ_VA (VA + 2 * PAGE_SIZE)
#define COPY_VA (VA + 3 * PAGE_SIZE)
#define STALE_VA (VA + 4 * PAGE_SIZE)
#define LARGE_VA (VA + EXO_LARGE_BYTES)
#define LONE_VA (VA + 2 * EXO_LARGE_BYTES)
#define FAR_VA (VA + 3 * EXO_LARGE_BYTES)
#define NOWHERE_VA (VA + 4 * EXO_LARGE_BYTES)
#define DEVICE_VA (VA + 5 * EXO_LARGE_BYTES)
#define PAIR_VA (VA + 8 * PAGE_SIZE)
#define ROOM_VA (VA + 16 * PAGE_SIZE)
#define EDGE_VA (VA + 7 * EXO_LARGE_BYTES)

enum situation { USUAL, STALE, DEVICE, CLAIMED, FULL, ENDING, NEVER_RAN };

static const struct pages_call {
    uint64_t call, args[6];
    enum situation situation;
    int64_t result; /* as abi.md says */
} pages[] = {
#define ONE(name, result, situation, ...)                                                                    \
    {                                                                                                        \
        EXO_CALL_##name, {__VA_ARGS__}, situation, result                                                    \
    }
#define MAP(result, to, from, prot)                                                                          \
    ONE(page_map, result, USUAL, EXO_SELF_SPACE, to, EXO_SELF_SPACE, from, 1, prot)
#define PROTECT(result, va, prot) ONE(page_protect, result, USUAL, EXO_SELF_SPACE, va, 1, prot)
#define UNMAP(result, va, flags) ONE(page_unmap, result, USUAL, EXO_SELF_SPACE, va, 1, flags)
#define MAX(rights) ((uint64_t)(rights) << EXO_PROT_MAX_SHIFT)
    MAP(1, HOLE_VA, VA, RW),
    MAP(1, HOLE_VA, VA, EXO_PROT_READ | EXO_PROT_EXEC),
    MAP(1, HOLE_VA, VA, EXO_PROT_NONE),
    MAP(1, HOLE_VA, VA, EXO_PROT_READ | MAX(EXO_PROT_ALL)),
    MAP(1, HOLE_VA, READ_VA, EXO_PROT_READ),
    MAP(1, NOWHERE_VA, VA, RW),
    ONE(page_map, 1, STALE, EXO_SELF_SPACE, STALE_VA, EXO_SELF_SPACE, VA, 1, RW),
    ONE(page_map, 1, STALE, EXO_SELF_SPACE, HOLE_VA, EXO_SELF_SPACE, VA, 1, RW),
    MAP(1, HOLE_VA, LARGE_VA + PAGE_SIZE, RW),
    ONE(page_map, -EXO_EUNBOUND, STALE, EXO_SELF_SPACE, HOLE_VA, EXO_SELF_SPACE, STALE_VA, 1, RW),
    MAP(-EXO_EUNBOUND, HOLE_VA, ROOM_VA, RW),
    MAP(-EXO_EUNBOUND, HOLE_VA, NOWHERE_VA, RW),
    MAP(-EXO_EBOUND, COPY_VA, VA, RW),
    MAP(-EXO_EBOUND, LARGE_VA, VA, RW),
    MAP(-EXO_ERIGHTS, HOLE_VA, READ_VA, RW),
    MAP(-EXO_ERIGHTS, HOLE_VA, READ_VA, EXO_PROT_READ | MAX(RW)),
    MAP(-EXO_EINVAL, HOLE_VA, VA, EXO_PROT_WRITE | EXO_PROT_EXEC),
    MAP(-EXO_EINVAL, HOLE_VA, VA, EXO_PROT_ALL + 1),
    MAP(-EXO_EINVAL, HOLE_VA, VA, RW | MAX(EXO_PROT_READ)),
    MAP(-EXO_EINVAL, HOLE_VA, VA, RW | MAX(EXO_PROT_ALL + 1)),
    MAP(-EXO_ERANGE, HOLE_VA + 1, VA, RW),
    MAP(-EXO_ERANGE, HOLE_VA, VA + 8, RW),
    MAP(-EXO_ERANGE, 1ull << 60, VA, RW),
    MAP(-EXO_ERANGE, HOLE_VA, 1ull << 60, RW),
    ONE(page_map, -EXO_EHANDLE, USUAL, 0, HOLE_VA, 0, VA, 1, RW),
    ONE(page_map, -EXO_ETYPE, USUAL, EXO_SELF_ENV, HOLE_VA, EXO_SELF_ENV, VA, 1, RW),
    ONE(page_map, 1, DEVICE, EXO_SELF_SPACE, HOLE_VA, EXO_SELF_SPACE, DEVICE_VA, 1, RW),
    ONE(page_map, 1, CLAIMED, EXO_SELF_SPACE, HOLE_VA, EXO_SELF_SPACE, VA, 1, RW),
    ONE(page_map, -EXO_EFULL, FULL, EXO_SELF_SPACE, HOLE_VA, EXO_SELF_SPACE, VA, 1, RW),
    ONE(page_map, -EXO_EDEAD, ENDING, 0, HOLE_VA, 0, VA + 99 * PAGE_SIZE, 1, RW),
    ONE(page_map, 1, NEVER_RAN, 0, HOLE_VA, 0, VA, 1, RW),
    PROTECT(1, VA, EXO_PROT_READ),
    PROTECT(1, VA, EXO_PROT_NONE),
    PROTECT(1, VA, EXO_PROT_READ | EXO_PROT_EXEC),
    PROTECT(1, VA, EXO_PROT_READ | EXO_LAZY),
    PROTECT(-EXO_EUNBOUND, HOLE_VA, EXO_PROT_READ),
    PROTECT(-EXO_EUNBOUND, NOWHERE_VA, EXO_PROT_READ),
    PROTECT(-EXO_ERIGHTS, READ_VA, RW),
    PROTECT(-EXO_EINVAL, VA, EXO_PROT_WRITE | EXO_PROT_EXEC),
    PROTECT(-EXO_EINVAL, LARGE_VA, EXO_PROT_READ),
    PROTECT(-EXO_ERANGE, VA + 2, EXO_PROT_READ),
    PROTECT(-EXO_ERANGE, 1ull << 60, EXO_PROT_READ),
    ONE(page_protect, -EXO_EHANDLE, USUAL, 12345, VA, 1, RW),
    ONE(page_protect, -EXO_ETYPE, USUAL, EXO_SELF_ENV, VA, 1, RW),
    ONE(page_protect, 1, NEVER_RAN, 0, VA, 1, EXO_PROT_READ),
    UNMAP(1, COPY_VA, 0),
    UNMAP(1, COPY_VA, EXO_LAZY),
    UNMAP(1, HOLE_VA, 0),
    UNMAP(1, NOWHERE_VA, 0),
    UNMAP(1, LONE_VA, 0),
    UNMAP(1, FAR_VA, 0),
    UNMAP(-EXO_EINVAL, LARGE_VA + PAGE_SIZE, 0),
    UNMAP(-EXO_EINVAL, VA, 2),
    UNMAP(-EXO_ERANGE, VA + 4, 0),
    UNMAP(-EXO_ERANGE, 1ull << 60, 0),
    ONE(page_unmap, -EXO_EHANDLE, USUAL, 0, VA, 1, 0),
    ONE(page_unmap, -EXO_ETYPE, USUAL, EXO_SELF_ENV, VA, 1, 0),
    ONE(page_unmap, 1, DEVICE, EXO_SELF_SPACE, DEVICE_VA, 1, 0),
    ONE(page_unmap, 1, NEVER_RAN, 0, VA, 1, 0),
/* none; and two, of which the second one decides */
#define MAP2(result, situation, to, from, prot)                                                              \
    ONE(page_map, result, situation, EXO_SELF_SPACE, to, EXO_SELF_SPACE, from, 2, prot)
    ONE(page_map, 0, USUAL, EXO_SELF_SPACE, HOLE_VA, EXO_SELF_SPACE, VA, 0, RW),
    MAP2(2, USUAL, ROOM_VA, PAIR_VA, RW),
    MAP2(2, USUAL, ROOM_VA, COPY_VA - PAGE_SIZE, EXO_PROT_READ),
    MAP2(2, USUAL, NOWHERE_VA - PAGE_SIZE, PAIR_VA, RW),
    MAP2(2, CLAIMED, ROOM_VA, PAIR_VA, RW),
    MAP2(-EXO_EFULL, FULL, ROOM_VA, PAIR_VA, RW),
    MAP2(-EXO_EBOUND, USUAL, PAIR_VA - PAGE_SIZE, PAIR_VA, RW),
    MAP2(-EXO_EUNBOUND, USUAL, ROOM_VA, VA, RW),
    MAP2(-EXO_EUNBOUND, USUAL, ROOM_VA, NOWHERE_VA - PAGE_SIZE, RW),
    MAP2(-EXO_ERIGHTS, USUAL, ROOM_VA, READ_VA, RW),
    MAP2(2, USUAL, ROOM_VA, LARGE_VA, RW),
    MAP2(2, USUAL, ROOM_VA, EDGE_VA - PAGE_SIZE, EXO_PROT_READ),
    MAP2(-EXO_ERIGHTS, USUAL, ROOM_VA, EDGE_VA - PAGE_SIZE, RW),
    MAP2(-EXO_EBOUND, USUAL, FAR_VA - PAGE_SIZE, PAIR_VA, RW),
    ONE(page_protect, 2, USUAL, EXO_SELF_SPACE, PAIR_VA, 2, EXO_PROT_READ),
    ONE(page_protect, 2, USUAL, EXO_SELF_SPACE, PAIR_VA, 2, EXO_PROT_READ | EXO_LAZY),
    ONE(page_protect, 1, USUAL, EXO_SELF_SPACE, LARGE_VA - PAGE_SIZE, 2, EXO_PROT_READ),
    ONE(page_protect, -EXO_EUNBOUND, USUAL, EXO_SELF_SPACE, VA, 2, EXO_PROT_READ),
    ONE(page_protect, -EXO_ERIGHTS, USUAL, EXO_SELF_SPACE, READ_VA, 2, RW),
    ONE(page_unmap, 2, USUAL, EXO_SELF_SPACE, PAIR_VA, 2, 0),
    ONE(page_unmap, 2, USUAL, EXO_SELF_SPACE, VA, 2, 0),
    ONE(page_unmap, 2, USUAL, EXO_SELF_SPACE, HOLE_VA, 2, EXO_LAZY),
    ONE(page_unmap, 64, USUAL, EXO_SELF_SPACE, FAR_VA - 32 * PAGE_SIZE, 64, 0),
    ONE(page_unmap, 64, USUAL, EXO_SELF_SPACE, NOWHERE_VA - 32 * PAGE_SIZE, 64, 0),
};

static void copy(uint64_t to, uint64_t prot)
{
    CALL_OK(page_map, EXO_SELF_SPACE, to, EXO_SELF_SPACE, VA, 1, prot);
}

static void furnish(void)
{
    CALL_OK(page_alloc, EXO_SELF_SPACE, VA, 1, EXO_WANT_ANY, RW);
    copy(READ_VA, EXO_PROT_READ);
    copy(COPY_VA, RW);
    copy(STALE_VA, RW);
    copy(FAR_VA, RW);
    CALL_OK(page_alloc, EXO_SELF_SPACE, PAIR_VA, 1, EXO_WANT_ANY, RW);
    copy(PAIR_VA + PAGE_SIZE, RW);
    CALL_OK(page_alloc, EXO_SELF_SPACE, LARGE_VA - PAGE_SIZE, 1, EXO_WANT_ANY, RW);
    CALL_OK(page_alloc, EXO_SELF_SPACE, EDGE_VA - PAGE_SIZE, 1, EXO_WANT_ANY, RW);
    copy(EDGE_VA, EXO_PROT_READ);
    CALL_OK(page_alloc, EXO_SELF_SPACE, LONE_VA, 1, EXO_WANT_ANY, RW);
    for (uint64_t done = 0; done < EXO_LARGE_PAGES;)
        done +=
            (uint64_t)CALL_OK(page_alloc, EXO_SELF_SPACE, LARGE_VA + done * PAGE_SIZE, EXO_LARGE_PAGES - done,
                              EXO_WANT_ANY, RW | EXO_ALLOC_LARGE | (done ? (uint64_t)EXO_ALLOC_MORE : 0));
}

/* A space in which nobody ever ran, with pages from VA on. */
static uint64_t other_space(uint64_t n)
{
    uint64_t handle = (uint64_t)CALL_OK(space_create, 0);

    for (uint64_t done = 0; done < n;)
        done += (uint64_t)CALL_OK(page_alloc, handle, VA + done * PAGE_SIZE, n - done, EXO_WANT_ANY, RW);
    return handle;
}

static struct space *arrange(const struct pages_call *one, uint64_t args[8])
{
    struct space *space = client.env->home;
    struct exo_frame *f;
    struct binding b;

    ck_assert(space_lookup(space, VA, &b));
    f = frame_entry(b.pfn);
    switch (one->situation) {
    case USUAL:
        return space;
    case STALE:
        ck_assert_ptr_nonnull(machine_touch(STALE_VA, EXO_PROT_READ));
        CALL_OK(page_unmap, EXO_SELF_SPACE, STALE_VA, 1, EXO_LAZY);
        return space;
    case DEVICE:
        as(&root);
        CALL_OK(mmio_map, EXO_FIRST_MMIO, EXO_SELF_SPACE, DEVICE_VA, 0x9000000, 1, RW);
        CALL_OK(page_alloc, EXO_SELF_SPACE, VA, 1, EXO_WANT_ANY, RW);
        return root.env->home;
    case CLAIMED:
        f->reclaim = 77; /* by a call that has ended */
        return space;
    case FULL:
        f->refs += FRAME_REFS_MAX;
        return space;
    case ENDING:
    case NEVER_RAN:
        args[0] = other_space(one->situation == ENDING ? 100 : 1);
        if (one->call == EXO_CALL_page_map)
            args[2] = args[0];
        space = frame_address(cap_at(client.env, args[0])->object);
        if (one->situation == ENDING)
            ck_assert_int_eq(CALL_OK(space_destroy, args[0]), 1);
        return space;
    }
    return space;
}

static void see_space(unsigned way, struct space *space)
{
    static const uint64_t places[] = {VA,
                                      HOLE_VA,
                                      READ_VA,
                                      COPY_VA,
                                      STALE_VA,
                                      PAIR_VA,
                                      PAIR_VA + PAGE_SIZE,
                                      ROOM_VA,
                                      ROOM_VA + PAGE_SIZE,
                                      LARGE_VA - PAGE_SIZE,
                                      LARGE_VA,
                                      LONE_VA,
                                      FAR_VA - PAGE_SIZE,
                                      FAR_VA,
                                      NOWHERE_VA - PAGE_SIZE,
                                      NOWHERE_VA,
                                      EDGE_VA - PAGE_SIZE,
                                      EDGE_VA,
                                      DEVICE_VA};
    struct binding b;

    for (unsigned i = 0; i < ARRAY_LEN(places); i++) {
        b = (struct binding){0};
        see(way, space_lookup(space, places[i], &b));
        see(way, (uint64_t)b.pfn << 16 | (uint64_t)b.prot << 8 | b.max);
        see(way, b.memory == MEMORY_NORMAL && b.pfn ? frame_holder(b.pfn)->refs : 0);
    }
    see(way, space->nbound);
    see(way, exo_free_frames());
}

static unsigned one_way(const struct pages_call *one, bool long_way)
{
    uint64_t args[8] = {0};
    struct space *space;
    struct binding b;

    exo_boot_ram(16 << 20);
    client = actor_make(1000);
    as(&client);
    furnish();
    memcpy(args, one->args, sizeof(one->args));
    space = arrange(one, args);
    machine.no_fast_paths = long_way;
    see(0, (uint64_t)machine_call(one->call, args));
    see_space(0, space);
    if (one->situation == FULL) {
        ck_assert(space_lookup(space, VA, &b));
        frame_entry(b.pfn)->refs -= FRAME_REFS_MAX;
    }
    exo_check();
    return nseen[0];
}

/* Each way in a process of its own, with a machine of its own. */
START_TEST(pages_both_ways)
{
    uint64_t *shared = mmap(NULL, sizeof(seen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    const struct pages_call *one = &pages[_i];

    ck_assert_ptr_ne(shared, MAP_FAILED);
    for (unsigned way = 0; way < 2; way++) {
        pid_t pid = fork();
        int status;

        if (pid == 0) {
            unsigned n = one_way(one, way);

            memcpy(&shared[way * 128], seen[0], n * sizeof(seen[0][0]));
            _exit(0);
        }
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert_msg(status == 0, "%u: %x", way, (unsigned)status);
    }
    ck_assert_int_eq((int64_t)shared[0], one->result);
    for (unsigned i = 0; i < 128; i++)
        ck_assert_msg(shared[i] == shared[128 + i], "%u: %lx, %lx", i, (unsigned long)shared[i],
                      (unsigned long)shared[128 + i]);
}
END_TEST

static struct exo_lock *others; /* somebody else has it, until it is waited for */

static void others_drop(void)
{
    others->served++;
    machine_waits = NULL;
}

/* The CPU's lock, or the space's.  K6 */
START_TEST(waits_its_turn)
{
    static const uint64_t args[][8] = {{EXO_SELF_SPACE, HOLE_VA, EXO_SELF_SPACE, VA, 1, RW},
                                       {EXO_SELF_SPACE, HOLE_VA, 1, EXO_PROT_READ},
                                       {EXO_SELF_SPACE, HOLE_VA, 1, 0}};
    static const uint64_t calls[] = {EXO_CALL_page_map, EXO_CALL_page_protect, EXO_CALL_page_unmap};
    uint64_t event;
    struct binding b;

    as(&client);
    CALL_OK(page_alloc, EXO_SELF_SPACE, VA, 1, EXO_WANT_ANY, RW);
    others = _i ? &client.env->home->lock : &machine.cpu->lock;
    for (unsigned i = 0; i < ARRAY_LEN(calls); i++) {
        others->next++;
        machine_waits = others_drop;
        ck_assert_int_eq(machine_call(calls[i], args[i]), 1);
        ck_assert_uint_eq(others->contended, i + 1);
        ck_assert_uint_eq(others->next, others->served);
        b = (struct binding){0};
        ck_assert_int_eq(space_lookup(client.env->home, HOLE_VA, &b), i < 2);
        ck_assert_uint_eq(b.prot, i == 0 ? RW : i == 1 ? EXO_PROT_READ : 0);
    }
    if (_i)
        return;
    as(&root);
    event = (uint64_t)CALL_OK(event_create, client.vcpu_cap, 4);
    others->next++;
    machine_waits = others_drop;
    CALL_OK(signal, event, 4);
    ck_assert_uint_eq(others->contended, 4);
    ck_assert_uint_eq(client.vcpu->page->events, 4);
}
END_TEST

/* Likewise what a trap and `resume` take. */
START_TEST(traps_wait_their_turn)
{
    const struct exo_vcpu_page *page = client.vcpu->page;

    as(&client);
    CALL_OK(page_alloc, EXO_SELF_SPACE, VA, 1, EXO_WANT_ANY, EXO_PROT_READ);
    others = _i == 1 ? &client.env->home->lock : &machine.cpu->lock;
    others->next++;
    machine_waits = others_drop;
    if (_i < 2)
        machine_touch(VA, EXO_PROT_WRITE);
    else
        machine_exception(EXO_EXC_ALIGNMENT, 77);
    ck_assert_uint_eq(others->contended, 1);
    ck_assert_uint_eq(others->next, others->served);
    ck_assert_uint_eq(page->reason, _i < 2 ? EXO_UPCALL_FAULT : EXO_UPCALL_EXCEPTION);
    ck_assert_uint_eq(page->info, _i < 2 ? VA : EXO_EXC_ALIGNMENT);
    ck_assert_uint_eq(page->detail, _i < 2 ? EXO_PROT_WRITE | EXO_ACCESS_BOUND : 77);
    others = &machine.cpu->lock;
    others->next++;
    machine_waits = others_drop;
    upcall_done();
    ck_assert_uint_eq(others->contended, _i == 1 ? 1 : 2);
    ck_assert_uint_eq(others->next, others->served);
    ck_assert_uint_eq(page->upcall_masked, 0);
    ck_assert_uint_eq(client.vcpu->regs.pc, USER_PC);
}
END_TEST

/* An upcall changes what it says it does, and nothing else.  K30 */
START_TEST(K30_upcalls_keep_registers)
{
    const struct exo_vcpu_page *page = client.vcpu->page;
    struct exo_regs *regs = &client.vcpu->regs;

    as(&client);
    for (unsigned i = 0; i < EXO_NREGS; i++)
        regs->x[i] = 1000 + i;
    regs->sp = 2000;
    regs->tls = 3000;
    if (_i)
        machine_touch(VA, EXO_PROT_READ);
    else
        machine_exception(EXO_EXC_UNDEFINED, 77);
    for (unsigned i = 0; i < EXO_NREGS; i++) {
        ck_assert_uint_eq(page->regs.x[i], 1000 + i);
        ck_assert(i < 3 || regs->x[i] == 1000 + i);
    }
    ck_assert_uint_eq(regs->x[0], _i ? EXO_UPCALL_FAULT : EXO_UPCALL_EXCEPTION);
    ck_assert_uint_eq(regs->x[1], _i ? VA : EXO_EXC_UNDEFINED);
    ck_assert_uint_eq(regs->x[2], _i ? EXO_PROT_READ : 77);
    ck_assert_uint_eq(regs->pc, UPCALL_ENTRY);
    ck_assert_uint_eq(regs->sp, page->upcall_sp);
    ck_assert_uint_eq(regs->tls, 3000);
    ck_assert_uint_eq(page->regs.sp, 2000);
    ck_assert_uint_eq(page->regs.tls, 3000);
    ck_assert_uint_eq(page->regs.pc, USER_PC);
    upcall_done();
    ck_assert_mem_eq(regs->x, page->regs.x, sizeof(regs->x));
    ck_assert_uint_eq(regs->sp, 2000);
}
END_TEST

/* An exception that nobody is told of ends who had it.  K30 */
START_TEST(K30_no_entry_no_upcall)
{
    as(&client);
    client.vcpu->page->upcall_entry = 0;
    machine_exception(EXO_EXC_UNDEFINED, 77);
    ck_assert_ptr_ne(machine.cpu->current, client.vcpu);
    ck_assert_int_eq(client.env->state, EXO_ENV_ENDED);
    ck_assert_int_eq(client.env->reason, EXO_END_UPCALL);
    ck_assert_uint_eq(client.env->code, EXO_UPCALL_EXCEPTION);
    ck_assert_uint_eq(client.env->address, EXO_EXC_UNDEFINED);
}
END_TEST

/* A driver that is in the same space as who is interrupted, and uses FP registers, as the other one does.  K5 */
START_TEST(C1_drivers_get_what_is_theirs)
{
    struct vcpu *driver;
    exo_handle_t handle;

    driver = actor_vcpu(VA, &handle);
    CALL_OK(irq_bind, EXO_FIRST_IRQ, 40, handle, 3);
    machine_run(driver);
    machine_fp()[0] = 1234;
    ck_assert_int_eq(CALL(wait, 8, EXO_FOREVER), MACHINE_AWAY);
    as(&root);
    machine_fp()[0] = 5678;
    machine_irq(40);
    ck_assert_ptr_eq(machine.cpu->current, driver);
    ck_assert_uint_eq(x(driver, 0), 8);
    ck_assert_uint_eq(machine_fp()[0], 1234);
    driver->page->events = 0;
    ck_assert_int_eq(CALL(wait, 8, EXO_FOREVER), MACHINE_AWAY);
    ck_assert_ptr_eq(machine.cpu->current, root.vcpu); /* it goes on */
    ck_assert_uint_eq(machine_fp()[0], 5678);
}
END_TEST

/* A driver that takes its line as an upcall too; and a CPU that somebody else is to be chosen for.  The long way sees to both.  C1 */
START_TEST(C1_drivers_with_more_to_do)
{
    CALL_OK(irq_bind, EXO_FIRST_IRQ, 40, server.vcpu_cap, 3);
    as(&server);
    if (!_i)
        server.vcpu->page->upcall_events = 8;
    ck_assert_int_eq(CALL(wait, 8, EXO_FOREVER), MACHINE_AWAY);
    as(&root);
    if (_i)
        machine.cpu->resched = 1;
    machine_irq(40);
    ck_assert_ptr_eq(machine.cpu->current, server.vcpu);
    ck_assert_uint_eq(machine.cpu->resched, 0);
    ck_assert_int_eq(machine_in_upcall(server.vcpu), !_i);
    ck_assert_uint_eq(x(server.vcpu, 0), 8);
    ck_assert_ptr_eq(machine.cpu->ready.next, &root.vcpu->queue);
    ck_assert_uint_le(machine.cpu->timer_at, machine.cpu->slot_end);
}
END_TEST

/* Who is called for goes the long way, and leaves it with nothing undone.  K28 */
START_TEST(K28_traps_look_who_calls)
{
    as(&client);
    if (_i)
        machine.cpu->resched = 1;
    else
        cpu_attend(machine.cpu);
    machine_exception(EXO_EXC_UNDEFINED, 77);
    ck_assert_ptr_eq(machine.cpu->current, client.vcpu);
    ck_assert(machine_in_upcall(client.vcpu));
    ck_assert(!cpu_is_called(machine.cpu));
    ck_assert_uint_eq(machine.cpu->resched, 0);
}
END_TEST

/* Messages with pages and no more go the short way: nobody brings the page about CPUs up to date.  I1 */
START_TEST(I1_pages_go_the_short_way)
{
    uint64_t calls;

    (void)called();
    CALL(reply_wait, server.vcpu->regs.x[0], 0, 0, 0, 0, 0, 0, EXO_FOREVER);
    CALL_OK(page_alloc, EXO_SELF_SPACE, VA, 3, EXO_WANT_ANY, RW);
    client.vcpu->page->send = (struct exo_send){.va = VA, .npages = 3, .prot = EXO_PROT_READ};
    server.vcpu->page->recv = (struct exo_recv){.va = LANDING_VA, .max_pages = 3};
    calls = machine.cpu->info->calls;
    CALL(call, gate | EXO_MSG_PAGES, 1, 2, 3, 4, 5, 6, EXO_FOREVER);
    ck_assert_ptr_eq(machine.cpu->current, server.vcpu);
    ck_assert_uint_eq(server.vcpu->page->recv.npages, 3);
    server.vcpu->page->send = (struct exo_send){.va = LANDING_VA, .npages = 1, .prot = EXO_PROT_READ};
    client.vcpu->page->recv = (struct exo_recv){.va = LANDING_VA, .max_pages = 1};
    CALL(reply_wait, server.vcpu->regs.x[0] | EXO_REPLY_PAGES, 7, 8, 9, 10, 11, 12, EXO_FOREVER);
    ck_assert_ptr_eq(machine.cpu->current, client.vcpu);
    ck_assert_uint_eq(client.vcpu->page->recv.npages, 1);
    ck_assert_uint_eq(machine.cpu->info->calls, calls);
    ck_assert_int_eq(CALL(call, gate | EXO_MSG_PAGES | EXO_MSG_INTR, 0, 0, 0, 0, 0, 0, EXO_FOREVER),
                     -EXO_EBOUND);
}
END_TEST

/* The same for ranges, where the space's lock is taken in passing. */
START_TEST(ranges_wait_their_turn)
{
    as(&client);
    CALL_OK(page_alloc, EXO_SELF_SPACE, VA, 2, EXO_WANT_ANY, RW);
    others = &client.env->home->lock;
    others->next++;
    machine_waits = others_drop;
    ck_assert_int_eq(CALL(page_protect, EXO_SELF_SPACE, VA, 2, EXO_PROT_READ), 2);
    ck_assert_uint_eq(others->contended, 1);
    ck_assert_uint_eq(others->next, others->served);
}
END_TEST

/* ---- boot ------------------------------------------------------------------------------------------------- */

/* A stack, how fast time goes, and nothing behind the bundle in its last page. */
START_TEST(B1_what_else_the_first_program_finds)
{
    const struct exo_system *s = system_info;

    ck_assert_uint_eq(root.vcpu->page->upcall_sp, EXO_FIRST_STACK_TOP);
    ck_assert_uint_eq(s->counter_hz, MACHINE_HZ);
    ck_assert_uint_ne(s->bundle_bytes % PAGE_SIZE, 0);
    for (uint64_t at = s->bundle_bytes; at % PAGE_SIZE; at++)
        ck_assert_uint_eq(*(const uint8_t *)machine_touch(s->bundle_va + at, EXO_PROT_READ), 0);
}
END_TEST

/* One of more pages than a call binds has them all, and its vcpu page is one. */
START_TEST(B1_large_programs)
{
    const uint64_t bss = 200 * PAGE_SIZE;
    uint8_t elf[1024];
    size_t len = exo_elf_make(elf);
    struct binding b;

    exo_image_make(&exo_image, 4 << 20);
    memcpy(elf + 64 + 56 + offsetof(struct elf64_phdr, memsz), &bss, sizeof(bss));
    exo_bundle_make(&exo_image, EXO_FIRST_PROGRAM, elf, len);
    exo_boot_image();
    for (uint64_t at = 0x402200; at < 0x402200 + bss; at += PAGE_SIZE)
        ck_assert(space_lookup(root.env->home, at, &b));
    ck_assert(!space_lookup(root.env->home, 0x403000 + bss, &b));
    ck_assert(!space_lookup(root.env->home, EXO_FIRST_VCPU_VA + PAGE_SIZE, &b));
}
END_TEST

/* What boot takes is zeroed, and nothing behind it: that may be somebody's. */
START_TEST(B1_boot_zeroes_what_is_its_own)
{
    pfn_t at;
    const uint64_t *word;

    exo_boot();
    at = system_info->first_frame + IMAGE_LEN / PAGE_SIZE;
    while (frame_kind(at) != EXO_FRAME_FREE)
        at++;
    word = frame_address(at);
    for (unsigned i = 0; i < PAGE_SIZE / sizeof(*word); i++)
        ck_assert_uint_ne(word[i], 0);
}
END_TEST

/* As many processors as can be used: nothing is told of others. */
START_TEST(C4_all_processors_count)
{
    char text[2 * PAGE_SIZE];

    machine.ncpus = EXO_CPUS_MAX;
    exo_boot();
    ck_assert_uint_eq(ncpus, EXO_CPUS_MAX);
    ck_assert_uint_lt(cpus[0].log->written, sizeof(text));
    memcpy(text, cpus[0].log->text, cpus[0].log->written);
    text[cpus[0].log->written] = 0;
    ck_assert_ptr_nonnull(strstr(text, "16 processors"));
    ck_assert_ptr_null(strstr(text, "no more than"));
}
END_TEST

/* All others are woken once there is something to do. */
START_TEST(B1_others_are_told_to_go)
{
    machine.ncpus = 3;
    exo_boot();
    ck_assert(machine.cpus[1].kicked);
    ck_assert(machine.cpus[2].kicked);
}
END_TEST

/* What the page about CPUs says of calls is right whenever somebody else goes on. */
START_TEST(calls_are_counted)
{
    uint64_t before;

    exo_boot();
    before = machine.cpu->calls;
    for (unsigned i = 0; i < 5; i++)
        CALL0(null);
    machine.cpu->resched = 1;
    CALL0(null);
    ck_assert_uint_eq(machine.cpu->info->calls, before + 6);
}
END_TEST

/* A bundle that is whole, and holds others' programs only, is no broken one. */
START_TEST(B6_no_first_program)
{
    char console[1024];

    exo_image_make(&exo_image, 4 << 20);
    exo_bundle_make(&exo_image, "bin/inis", "", 0);
    exo_tree_make(&exo_image, &(struct exo_tree){.memory = {{RAM_BASE, 4 << 20}},
                                                 .nmemory = 1,
                                                 .initrd = {BUNDLE_BASE, exo_image.bundle_len}});
    ck_assert_int_eq(exo_try_boot(&exo_image, console), MACHINE_STOPPED);
    ck_assert_str_eq(console, "\ncorbel: bundle: holds no bin/init\n");
}
END_TEST

/* Several CPUs, and machines of their own. */
static void machines(Suite *s)
{
    TCase *tc = tcase_create("cpus");
    tcase_add_checked_fixture(tc, setup_cpus, exo_check);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, vcpu_is_told_its_cpu);
    tcase_add_test(tc, K29_no_note_stays_behind);
    tcase_add_test(tc, K28_notes_go_in_pieces);
    tcase_add_test(tc, K13_spaces_are_where_they_ran);
    tcase_add_loop_test(tc, K1_a_loaded_space_stays, 0, 3);
    tcase_add_test(tc, K8_answers_take_the_world_if_they_must);
    tcase_add_loop_test(tc, K28_calls_abroad_end_with_the_world, 0, 6);
    tcase_add_test(tc, K28_calls_abroad_go_the_long_way);
    tcase_add_test(tc, C1_owners_come_with_notes);
    tcase_add_test(tc, K13_idle_cpus_keep_no_asid);
    tcase_add_test(tc, I1_invented_tokens_disturb_nobody);
    tcase_add_test(tc, K8_answers_with_capabilities_take_the_world);
    suite_add_tcase(s, tc);

    tc = tcase_create("processors");
    tcase_add_checked_fixture(tc, NULL, exo_check);
    tcase_add_test(tc, C4_all_processors_count);
    tcase_add_test(tc, B1_others_are_told_to_go);
    tcase_add_test(tc, B1_large_programs);
    tcase_add_test(tc, B1_boot_zeroes_what_is_its_own);
    tcase_add_test(tc, calls_are_counted);
    suite_add_tcase(s, tc);

    tc = tcase_create("refused");
    tcase_add_test(tc, B6_no_first_program);
    suite_add_tcase(s, tc);
}

static void pages_part(Suite *s, TCase *tc, size_t part)
{
    tcase_add_loop_test(tc, pages_both_ways, (int)(part * ARRAY_LEN(pages) / 3),
                        (int)((part + 1) * ARRAY_LEN(pages) / 3));
    suite_add_tcase(s, tc);
}

/* So that each is quick enough to be asked about every mutant (docs/mutants.md). */
static void pages_in_parts(Suite *s)
{
    pages_part(s, tcase_create("pages_0"), 0);
    pages_part(s, tcase_create("pages_1"), 1);
    pages_part(s, tcase_create("pages_2"), 2);
}

static void revocation(TCase *tc)
{
    tcase_add_test(tc, K27_whoever_has_room_is_not_asked);
    tcase_add_test(tc, K27_taken_is_told_when_it_is_called_off);
    tcase_add_test(tc, K27_taken_wakes_who_waits);
    tcase_add_test(tc, K27_refused_reclaim_marks_nothing);
    tcase_add_test(tc, K27_requests_name_pages);
    tcase_add_test(tc, K27_the_limit_that_it_has_calls_off);
    tcase_add_test(tc, K27_references_have_an_end);
    tcase_add_test(tc, K27_pages_are_taken_in_pieces);
    tcase_add_test(tc, K27_walks_go_in_pieces);
    tcase_add_test(tc, K27_one_end_is_a_piece);
    tcase_add_test(tc, K27_sixteen_victims);
    tcase_add_test(tc, K27_one_of_the_first_sixteen_hears);
    tcase_add_test(tc, K27_requests_grow_by_neighbours);
    tcase_add_test(tc, K27_what_went_is_one_range);
    tcase_add_test(tc, K27_each_reclaim_has_its_number);
    tcase_add_test(tc, K27_what_went_wakes_who_waits);
}

static Suite *suite(void)
{
    Suite *s = suite_create("exact");
    TCase *tc = tcase_create("exact");

    tcase_add_checked_fixture(tc, setup, exo_check);
    tcase_set_timeout(tc, 60);
    revocation(tc);
    tcase_add_test(tc, K14_what_was_checked_is_what_is_done);
    tcase_add_test(tc, K21_no_token_comes_twice);
    tcase_add_test(tc, K8_lists_change_under_their_lock);
    tcase_add_test(tc, C1_lent_slot_comes_back);
    tcase_add_test(tc, C1_borrowed_time_ends);
    tcase_add_test(tc, K8_both_tables_go);
    tcase_add_test(tc, I1_refused_calls_leave_zeros);
    tcase_add_test(tc, I1_each_call_says_what_may_end_it);
    tcase_add_test(tc, K22_fast_calls_hand_no_fp_over);
    tcase_add_test(tc, K18_the_last_device_of_a_range);
    tcase_add_test(tc, ranges_wait_their_turn);
    tcase_add_test(tc, K18_message_lines_have_an_end);
    tcase_add_loop_test(tc, I1_nothing_came_along, 0, 2);
    tcase_add_test(tc, C4_new_ones_have_not_run);
    tcase_add_test(tc, C1_waits_until_their_deadline);
    tcase_add_test(tc, vcpu_page_is_the_last);
    tcase_add_test(tc, tables_tell_who_runs);
    tcase_add_test(tc, masked_ones_are_not_interrupted);
    tcase_add_test(tc, K30_stopped_is_no_fault);
    tcase_add_loop_test(tc, K22_rights_of_both_spaces, 0, 4);
    tcase_add_test(tc, K30_watchers_are_found);
    tcase_add_test(tc, K13_epochs_end_with_the_last_lazy_one);
    tcase_add_test(tc, K13_stale_is_what_overlaps);
    tcase_add_test(tc, K13_empty_spaces_leave_the_tlb);
    tcase_add_test(tc, ranges_may_be_everything);
    tcase_add_test(tc, K21_numbers_of_tokens_fit);
    tcase_add_test(tc, K30_ones_own_end_is_no_fault);
    tcase_add_test(tc, B1_what_else_the_first_program_finds);
    tcase_add_test(tc, K18_lines_that_are_not_there);
    tcase_add_test(tc, K18_lines_go_in_pieces);
    tcase_add_test(tc, K18_whoever_has_lines_is_a_piece);
    tcase_add_test(tc, C1_who_comes_after_idleness_has_a_slot);
    tcase_add_test(tc, C1_owners_are_not_interrupted);
    tcase_add_test(tc, ranges_end_before_their_end);
    tcase_add_test(tc, both_ways_do_the_same);
    tcase_add_loop_test(tc, waits_its_turn, 0, 2);
    tcase_add_loop_test(tc, traps_wait_their_turn, 0, 3);
    tcase_add_loop_test(tc, K30_upcalls_keep_registers, 0, 2);
    tcase_add_loop_test(tc, K28_traps_look_who_calls, 0, 2);
    tcase_add_test(tc, K30_no_entry_no_upcall);
    tcase_add_test(tc, C1_drivers_get_what_is_theirs);
    tcase_add_loop_test(tc, C1_drivers_with_more_to_do, 0, 2);
    tcase_add_test(tc, I1_pages_go_the_short_way);
    suite_add_tcase(s, tc);

    pages_in_parts(s);
    machines(s);
    return s;
}

int main(void)
{
    return exo_suite_run(suite());
}
