/* Details that other suites pass by: each test here finds a mistake in the kernel that nothing else found (docs/mutants.md). */

#include "table.h" /* in front: its roots are of tables, exo_machine.h has one of environments */

#include "cap.h"
#include "cpu.h"
#include "event.h"
#include "exo_pair.h"
#include "irq.h"
#include "msi.h"
#include "tlb.h"

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

    tcase_add_checked_fixture(tc, pair_boot, exo_check);
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
    suite_add_tcase(s, tc);

    return s;
}

int main(void)
{
    return exo_suite_run(suite());
}
