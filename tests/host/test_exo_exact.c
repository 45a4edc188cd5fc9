/* Details that other suites pass by: each test here finds a mistake in the kernel that nothing else found (docs/mutants.md). */
#include <string.h>

#include "cap.h"
#include "exo_machine.h"

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
    ck_assert_int_eq(CALL(call, gate | EXO_MSG_PAGES, 0, 0, 0, 0, 0, 0, EXO_FOREVER), MACHINE_AWAY);
    machine_zeroing = NULL;
    ck_assert_uint_gt(lies, 0);
    ck_assert_ptr_eq(machine.cpu->current, server.vcpu);
    ck_assert_uint_eq(recv->npages, 2); /* what came, whatever the page says meanwhile */
    ck_assert_uint_eq(recv->prot, RW);
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
    upcall_done();
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

static Suite *suite(void)
{
    Suite *s = suite_create("exact");
    TCase *tc = tcase_create("exact");

    tcase_add_checked_fixture(tc, setup, exo_check);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, K14_what_was_checked_is_what_is_done);
    tcase_add_test(tc, K21_no_token_comes_twice);
    tcase_add_test(tc, K8_lists_change_under_their_lock);
    tcase_add_test(tc, K27_whoever_has_room_is_not_asked);
    tcase_add_test(tc, K27_taken_is_told_when_it_is_called_off);
    tcase_add_test(tc, K27_refused_reclaim_marks_nothing);
    tcase_add_test(tc, C1_lent_slot_comes_back);
    tcase_add_test(tc, C1_borrowed_time_ends);
    tcase_add_test(tc, K8_both_tables_go);
    tcase_add_test(tc, I1_refused_calls_leave_zeros);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    return exo_suite_run(suite());
}
