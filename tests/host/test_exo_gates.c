/* Gates: calls, replies, what goes along, and every way that one can come to nothing.  I1 I4 K4 K14 K29, invariant 8 */
#include <string.h>

#include "exo_pair.h"

static struct actor third; /* may call the server too; the client's gate has badge 99 */

static void setup(void)
{
    uint64_t mine;

    pair_boot();
    third = actor_make(100);
    mine = (uint64_t)CALL_OK(gate_create, server.vcpu_cap, 0);
    ck_assert_uint_eq(
        gate, (uint64_t)CALL_OK(cap_grant, third.env_cap, mine, EXO_RIGHT_USE | EXO_RIGHT_COPY, 55, 0));
}

#define RECEIVE(deadline) CALL(reply_wait, 0, 0, 0, 0, 0, 0, 0, deadline)
#define REPLY(token, ...) CALL(reply_wait, token, __VA_ARGS__)
#define SEND(flags, deadline) CALL(call, gate | (flags), 11, 12, 13, 14, 15, 16, deadline)

static void server_waits(void)
{
    if (server.vcpu->state == VCPU_RECEIVING)
        return;
    as(&server);
    ck_assert_int_eq(RECEIVE(EXO_FOREVER), MACHINE_AWAY);
    ck_assert_int_eq(server.vcpu->state, VCPU_RECEIVING);
}

/* The client calls while the server waits; the server is current then.  The token. */
static uint64_t called_with(uint64_t flags, uint64_t deadline)
{
    server_waits();
    as(&client);
    ck_assert_int_eq(SEND(flags, deadline), MACHINE_AWAY);
    ck_assert_ptr_eq(machine.cpu->current, server.vcpu);
    ck_assert_int_eq(client.vcpu->state, VCPU_CALLING);
    return x(server.vcpu, 0);
}

START_TEST(words_and_badge)
{
    uint64_t token = called_with(0, EXO_FOREVER);

    ck_assert_int_gt((int64_t)token, 0);
    for (unsigned i = 1; i <= 6; i++)
        ck_assert_uint_eq(x(server.vcpu, i), 10 + i);
    ck_assert_uint_eq(x(server.vcpu, 7), 99);
    ck_assert_int_eq(REPLY(token, 21, 22, 23, 24, 25, 26, EXO_FOREVER), MACHINE_AWAY);
    ck_assert_ptr_eq(machine.cpu->current, client.vcpu); /* the slice comes back at once */
    ck_assert_int_eq(result(client.vcpu), 0);
    for (unsigned i = 1; i <= 6; i++)
        ck_assert_uint_eq(x(client.vcpu, i), 20 + i);
    ck_assert_uint_eq(x(client.vcpu, 7), 0);
    for (unsigned i = 8; i <= 18; i++)
        ck_assert_uint_eq(x(client.vcpu, i), 0); /* nothing of the kernel or of others in the rest */
}
END_TEST

START_TEST(queued_callers_in_order)
{
    as(&client);
    ck_assert_int_eq(SEND(0, EXO_FOREVER), MACHINE_AWAY);
    as(&third);
    ck_assert_int_eq(SEND(0, EXO_FOREVER), MACHINE_AWAY);
    ck_assert_int_eq(client.vcpu->state, VCPU_SENDING);
    ck_assert_uint_eq(server.vcpu->page->events, EXO_EVENT_CALL);
    exo_check();
    as(&server);
    RECEIVE(EXO_FOREVER);
    ck_assert_uint_eq(x(server.vcpu, 7), 99);
    uint64_t first = x(server.vcpu, 0);

    RECEIVE(EXO_FOREVER); /* takes a second one before it answered the first: deferred replies */
    ck_assert_uint_eq(x(server.vcpu, 7), 55);
    uint64_t second = x(server.vcpu, 0);

    exo_check();
    REPLY(second, 2, 0, 0, 0, 0, 0, EXO_FOREVER);
    ck_assert_uint_eq(x(third.vcpu, 1), 2);
    ck_assert_int_eq(client.vcpu->state, VCPU_CALLING);
    ck_assert_int_eq(server.vcpu->state, VCPU_RECEIVING);
    as(&third);
    ck_assert_int_eq(SEND(0, EXO_FOREVER), MACHINE_AWAY); /* wakes the server */
    REPLY(first, 1, 0, 0, 0, 0, 0, EXO_FOREVER);
    ck_assert_uint_eq(x(client.vcpu, 1), 1);
}
END_TEST

/* Invariant 8: only the callee, only once, only while the caller waits. */
START_TEST(tokens)
{
    uint64_t token = called_with(0, EXO_FOREVER), state;
    static const uint64_t flips[] = {1,          1ull << 8,  1ull << 31, 1ull << 32, 1ull << 40,
                                     1ull << 59, 1ull << 62, 1ull << 63, UINT32_MAX};

    state = exo_state();
    for (unsigned i = 0; i < ARRAY_LEN(flips); i++)
        ck_assert_int_eq(REPLY(token ^ flips[i], 0, 0, 0, 0, 0, 0, EXO_FOREVER), -EXO_ETOKEN);
    for (pfn_t pfn = system_info->first_frame - 2; pfn < system_info->first_frame + system_info->nframes + 2;
         pfn++)
        if (pfn != (pfn_t)token)
            ck_assert_int_eq(REPLY((token >> 32 << 32) | pfn, 0, 0, 0, 0, 0, 0, EXO_FOREVER), -EXO_ETOKEN);
    ck_assert_uint_eq(exo_state(), state);
    as(&third); /* somebody else's token */
    ck_assert_int_eq(REPLY(token, 0, 0, 0, 0, 0, 0, EXO_FOREVER), -EXO_ETOKEN);
    as(&server);
    REPLY(token, 0, 0, 0, 0, 0, 0, EXO_FOREVER);
    as(&third);
    SEND(0, EXO_FOREVER);
    ck_assert_ptr_eq(machine.cpu->current, server.vcpu);
    ck_assert_int_eq(REPLY(token, 0, 0, 0, 0, 0, 0, EXO_FOREVER), -EXO_ETOKEN); /* used up */
    as(&client);
    SEND(0, EXO_FOREVER);
    as(&server);
    RECEIVE(0);
    ck_assert_uint_ne(x(server.vcpu, 0), token);
    ck_assert_int_eq(REPLY(token, 0, 0, 0, 0, 0, 0, EXO_FOREVER),
                     -EXO_ETOKEN); /* the same caller, an earlier call */
}
END_TEST

/* K21: a token of a caller that is gone does not answer whoever has its frame now. */
START_TEST(token_of_a_dead_caller)
{
    uint64_t token = called_with(0, EXO_FOREVER);
    struct vcpu *dead = client.vcpu;
    uint64_t mine, handles;
    pfn_t pfn;

    as(&root);
    mine = (uint64_t)CALL_OK(gate_create, server.vcpu_cap, 0);
    pfn = vcpu_frame(dead);
    CALL_OK(page_alloc, EXO_SELF_SPACE, VA + 2 * PAGE_SIZE, 1, EXO_WANT_ANY, RW); /* the tables are there */
    actor_destroy(&client);
    exo_check();
    CALL(page_alloc, EXO_SELF_SPACE, VA, 1, pfn ^ 1, RW); /* alone, the frame is the next to be taken */
    CALL_OK(page_alloc, EXO_SELF_SPACE, VA + PAGE_SIZE, 1, pfn, RW);
    handles = (uint64_t)CALL_OK(env_create, 30, 0, 0);
    client = (struct actor){.env_cap = (exo_handle_t)handles, .space_cap = (exo_handle_t)(handles >> 32)};
    client.env = env_of(cap_at(root.env, client.env_cap));
    CALL_OK(page_alloc, client.space_cap, ACTOR_VCPU_VA, 1, EXO_WANT_ANY, RW);
    CALL_OK(page_unmap, EXO_SELF_SPACE, VA + PAGE_SIZE, 1);
    client.vcpu_cap = (exo_handle_t)CALL_OK(vcpu_create, client.env_cap, 0, client.space_cap, ACTOR_VCPU_VA);
    client.vcpu = vcpu_of(cap_at(root.env, client.vcpu_cap));
    client.vcpu->page->upcall_entry = UPCALL_ENTRY;
    actor_start(&client);
    ck_assert_ptr_eq(client.vcpu, dead);
    gate = (uint64_t)CALL_OK(cap_grant, client.env_cap, mine, EXO_RIGHT_USE);
    as(&client);
    SEND(0, EXO_FOREVER);
    as(&server);
    RECEIVE(0);
    ck_assert_uint_ne(x(server.vcpu, 0), token);
    ck_assert_int_eq(REPLY(token, 0, 0, 0, 0, 0, 0, EXO_FOREVER), -EXO_ETOKEN);
}
END_TEST

START_TEST(bad_gates)
{
    uint64_t own;

    as(&server);
    CALL_FAILS(EXO_EINVAL, call, 1ull << 35 | 1);
    CALL_FAILS(EXO_EHANDLE, call, 0);
    CALL_FAILS(EXO_ETYPE, call, EXO_SELF_ENV);
    as(&root);
    own = (uint64_t)CALL_OK(gate_create, EXO_FIRST_VCPU, 1);
    CALL_FAILS(EXO_EINVAL, call, own); /* oneself */
    own = (uint64_t)CALL_OK(cap_grant, EXO_SELF_ENV, own, EXO_RIGHT_COPY);
    CALL_FAILS(EXO_ERIGHTS, call, own);
    CALL_OK(env_stop, server.env_cap);
    as(&client);
    ck_assert_int_eq(SEND(0, EXO_FOREVER), -EXO_EDEAD); /* at once */
}
END_TEST

/* ---- time and events ------------------------------------------------------------------------------------------ */

START_TEST(call_times_out)
{
    uint64_t token = called_with(0, machine.time + 1000);

    machine_advance(999);
    ck_assert_int_eq(client.vcpu->state, VCPU_CALLING);
    machine_advance(1);
    ck_assert_int_eq(client.vcpu->state, VCPU_READY);
    ck_assert_int_eq(result(client.vcpu), -EXO_ETIMEDOUT);
    exo_check();
    ck_assert_int_eq(REPLY(token, 0, 0, 0, 0, 0, 0, EXO_FOREVER), -EXO_ETOKEN);
}
END_TEST

START_TEST(queueing_times_out)
{
    as(&client);
    ck_assert_int_eq(SEND(0, machine.time + 5), MACHINE_AWAY);
    machine_advance(5);
    ck_assert_int_eq(result(client.vcpu), -EXO_ETIMEDOUT);
    as(&client);
    machine.stay = true;
    SEND(0, 0); /* a deadline in the past: at the next interrupt, that is now */
    ck_assert_int_eq(result(client.vcpu), -EXO_ETIMEDOUT);
    ck_assert(list_empty(&server.vcpu->senders));
    as(&server);
    server.vcpu->page->events = 0;
    ck_assert_int_eq(RECEIVE(0), -EXO_ETIMEDOUT);
    ck_assert_int_eq(RECEIVE(machine.time), -EXO_ETIMEDOUT);
}
END_TEST

START_TEST(receiving_times_out)
{
    as(&server);
    RECEIVE(machine.time + 100);
    machine_advance(100);
    ck_assert_int_eq(result(server.vcpu), -EXO_ETIMEDOUT);
    as(&server);
    RECEIVE(machine.time + 100); /* a call before the deadline takes it away */
    as(&client);
    SEND(0, EXO_FOREVER);
    machine_advance(1000);
    ck_assert_int_gt(result(server.vcpu), 0);
}
END_TEST

START_TEST(interruptible)
{
    bool intr = _i & 1, calling = _i & 2;
    uint64_t event;

    as(&root);
    event = (uint64_t)CALL_OK(event_create, client.vcpu_cap, 4);
    client.vcpu->page->upcall_events = 4;
    client.vcpu->page->upcall_masked = 1;
    if (calling)
        server_waits();
    as(&client);
    SEND(intr ? EXO_MSG_INTR : 0, EXO_FOREVER);
    as(&root);
    CALL_OK(signal, event, 4);
    if (intr) {
        ck_assert_int_eq(client.vcpu->state, VCPU_READY);
        ck_assert_int_eq(result(client.vcpu), -EXO_EINTR);
    } else {
        ck_assert_int_eq(client.vcpu->state, calling ? VCPU_CALLING : VCPU_SENDING);
    }
    exo_check();
    if (intr) {
        as(&client);
        ck_assert_int_eq(SEND(EXO_MSG_INTR, EXO_FOREVER), -EXO_EINTR); /* it is still pending */
    }
}
END_TEST

START_TEST(events_end_receiving)
{
    uint64_t event = (uint64_t)CALL_OK(event_create, server.vcpu_cap, 2);

    server.vcpu->page->upcall_events = 2;
    server.vcpu->page->upcall_masked = 1;
    server_waits();
    as(&root);
    CALL_OK(signal, event, 2);
    ck_assert_int_eq(server.vcpu->state, VCPU_READY);
    ck_assert_int_eq(result(server.vcpu), 0); /* no token */
    as(&server);
    ck_assert_int_eq(RECEIVE(EXO_FOREVER), 0); /* still pending */
}
END_TEST

/* An answer is given though events wait, and then who answered goes on: to look at them, not to wait.  I1, K28 */
START_TEST(events_end_receiving_after_an_answer)
{
    uint64_t event = (uint64_t)CALL_OK(event_create, server.vcpu_cap, 2), token;

    server.vcpu->page->upcall_events = 2;
    server.vcpu->page->upcall_masked = 1;
    token = called_with(0, EXO_FOREVER);
    as(&root);
    CALL_OK(signal, event, 2);
    as(&server);
    REPLY(token, 21, 22, 23, 24, 25, 26, EXO_FOREVER);
    ck_assert_int_eq(result(client.vcpu), 0);
    ck_assert_uint_eq(x(client.vcpu, 1), 21);
    ck_assert_int_eq(result(server.vcpu), 0); /* no token */
    ck_assert_int_ne(server.vcpu->state, VCPU_RECEIVING);
    ck_assert_int_ne(client.vcpu->state, VCPU_CALLING);
}
END_TEST

/* An upcall in the middle of a call keeps the call's result. */
START_TEST(upcall_after_a_call)
{
    uint64_t event = (uint64_t)CALL_OK(event_create, client.vcpu_cap, 4), token;

    client.vcpu->page->upcall_events = 4;
    token = called_with(0, EXO_FOREVER);
    as(&root);
    CALL_OK(signal, event, 4);
    ck_assert_int_eq(client.vcpu->state, VCPU_CALLING);
    as(&server);
    REPLY(token, 77, 0, 0, 0, 0, 0, EXO_FOREVER);
    ck_assert_ptr_eq(machine.cpu->current, client.vcpu);
    ck_assert(machine_in_upcall(client.vcpu));
    ck_assert_uint_eq(client.vcpu->regs.x[0], EXO_UPCALL_EVENT);
    ck_assert_uint_eq(client.vcpu->page->regs.x[1], 77);
    client.vcpu->page->events = 0;
    upcall_done();
    ck_assert_uint_eq(client.vcpu->regs.x[1], 77);
    ck_assert_uint_eq(client.vcpu->regs.pc, USER_PC);
}
END_TEST

/* ---- what goes along ------------------------------------------------------------------------------------------- */

static void prepare(uint64_t npages)
{
    as(&client);
    CALL_OK(page_alloc, EXO_SELF_SPACE, VA, npages, EXO_WANT_ANY, RW);
    for (uint64_t i = 0; i < npages; i++)
        *(uint64_t *)machine_touch(VA + i * PAGE_SIZE, EXO_PROT_WRITE) = 1000 + i;
    client.vcpu->page->send = (struct exo_send){.va = VA,
                                                .npages = (uint32_t)npages,
                                                .prot = RW,
                                                .cap = (exo_handle_t)gate,
                                                .rights = EXO_RIGHTS_ALL};
    server.vcpu->page->recv = (struct exo_recv){.va = VA + (1 << 30), .max_pages = 8, .take_cap = 1};
}

START_TEST(pages_and_a_cap)
{
    struct exo_recv *recv = &server.vcpu->page->recv;
    uint64_t token;

    prepare(4);
    token = called_with(EXO_MSG_PAGES | EXO_MSG_CAP, EXO_FOREVER);
    ck_assert_uint_eq(recv->npages, 4);
    ck_assert_uint_eq(recv->prot, RW);
    for (uint64_t i = 0; i < 4; i++)
        ck_assert_uint_eq(*(uint64_t *)machine_touch(recv->va + i * PAGE_SIZE, EXO_PROT_READ), 1000 + i);
    ck_assert_ptr_nonnull(cap_at(server.env, recv->cap));
    ck_assert_uint_eq(cap_at(server.env, recv->cap)->rights,
                      EXO_RIGHT_USE | EXO_RIGHT_COPY); /* no more than it had */
    exo_check();
    /* And back: the reply takes pages of the server's. */
    CALL_OK(page_alloc, EXO_SELF_SPACE, VA, 1, EXO_WANT_ANY, RW);
    server.vcpu->page->send =
        (struct exo_send){.va = VA, .npages = 1, .prot = EXO_PROT_READ, .cap = recv->cap};
    client.vcpu->page->recv = (struct exo_recv){.va = VA + (2ull << 30), .max_pages = 1, .take_cap = 1};
    REPLY(token | EXO_REPLY_PAGES | EXO_REPLY_CAP, 0, 0, 0, 0, 0, 0, EXO_FOREVER);
    ck_assert_int_eq(result(client.vcpu), 0);
    ck_assert_uint_eq(client.vcpu->page->recv.npages, 1);
    ck_assert_uint_eq(cap_at(client.env, client.vcpu->page->recv.cap)->rights, 0);
    ck_assert_ptr_null(machine_touch(VA + (2ull << 30), EXO_PROT_WRITE));
}
END_TEST

/* K4 I4: whatever is wrong, nothing went along, and both can go on.  Long: a list of what can be wrong. */
START_TEST(transfers_fail_whole)
{
    struct exo_send *send = &client.vcpu->page->send;
    struct exo_recv *recv = &server.vcpu->page->recv;
    uint64_t flags = EXO_MSG_PAGES | EXO_MSG_CAP, state;
    int expected = EXO_EINVAL;

    prepare(4);
    switch (_i) {
    case 0:
        send->npages = 0;
        break;
    case 1:
        send->npages = EXO_RANGE_MAX + 1;
        recv->max_pages = UINT32_MAX;
        break;
    case 2:
        send->npages = 5;
        expected = EXO_EUNBOUND;
        break;
    case 3:
        recv->max_pages = 3;
        expected = EXO_ERANGE;
        break;
    case 4:
        send->prot = 8;
        break;
    case 5:
        send->prot = EXO_PROT_WRITE | EXO_PROT_EXEC;
        break;
    case 6:
        send->va = VA + 1;
        expected = EXO_ERANGE;
        break;
    case 7:
        recv->va = UINT64_MAX - PAGE_MASK;
        expected = EXO_ERANGE;
        break;
    case 8: /* the window is not empty at its end */
        as(&server);
        CALL_OK(page_alloc, EXO_SELF_SPACE, recv->va + 3 * PAGE_SIZE, 1, EXO_WANT_ANY, RW);
        expected = EXO_EBOUND;
        break;
    case 9:
        send->cap = 0;
        expected = EXO_EHANDLE;
        break;
    case 10:
        send->cap = 0x7fffffff;
        expected = EXO_EHANDLE;
        break;
    case 11:
        recv->take_cap = 0;
        break;
    case 12: /* the receiver's account pays for the tables */
        as(&server);
        for (uint64_t at = VA + (1 << 29); CALL(page_alloc, EXO_SELF_SPACE, at, 1, EXO_WANT_ANY, RW) == 1;
             at += PAGE_SIZE)
            ;
        recv->va = VA + (5ull << 39);
        expected = EXO_EQUOTA;
        break;
    case 13: /* more rights than the binding has */
        as(&client);
        CALL_OK(page_map, EXO_SELF_SPACE, VA + (1 << 21), EXO_SELF_SPACE, VA, 4, EXO_PROT_READ);
        send->va = VA + (1 << 21);
        expected = EXO_ERIGHTS;
        break;
    case 14:
        as(&root);
        send->cap =
            (exo_handle_t)CALL_OK(cap_grant, client.env_cap, EXO_FIRST_INFO, EXO_RIGHT_READ); /* no COPY */
        expected = EXO_ERIGHTS;
        break;
    default:
        break;
    }
    if (_i % 2 == 0) { /* delivered at once */
        server_waits();
        as(&client);
        recv->npages = 0;
        recv->cap = 0;
        state = exo_state();
        ck_assert_int_eq(SEND(flags, EXO_FOREVER), -expected);
        ck_assert_uint_eq(exo_state(), state);
        ck_assert_int_eq(server.vcpu->state, VCPU_RECEIVING);
    }
    as(&client); /* found queueing */
    if (server.vcpu->state != VCPU_RECEIVING) {
        SEND(flags, EXO_FOREVER);
        as(&server);
        server.vcpu->page->events = 0;
        RECEIVE(EXO_FOREVER);
        ck_assert_int_eq(result(client.vcpu), -expected);
        ck_assert_int_eq(server.vcpu->state, VCPU_RECEIVING);
    }
    exo_check();
    as(&client);
    ck_assert_int_eq(SEND(0, EXO_FOREVER), MACHINE_AWAY); /* an honest one still goes through */
    ck_assert_ptr_eq(machine.cpu->current, server.vcpu);
    ck_assert_uint_eq(recv->npages, 0);
    ck_assert_uint_eq(recv->cap, 0);
}
END_TEST

START_TEST(bad_reply_keeps_the_caller)
{
    uint64_t token;

    prepare(1);
    token = called_with(0, EXO_FOREVER);
    server.vcpu->page->send = (struct exo_send){.va = VA, .npages = 1, .prot = RW};
    client.vcpu->page->recv = (struct exo_recv){.va = VA + (1 << 30), .max_pages = 4};
    ck_assert_int_eq(REPLY(token | EXO_REPLY_PAGES, 0, 0, 0, 0, 0, 0, EXO_FOREVER), -EXO_EUNBOUND);
    ck_assert_int_eq(REPLY(token | EXO_REPLY_CAP, 0, 0, 0, 0, 0, 0, EXO_FOREVER), -EXO_EINVAL);
    ck_assert_int_eq(client.vcpu->state, VCPU_CALLING);
    REPLY(token, 5, 0, 0, 0, 0, 0, EXO_FOREVER);
    ck_assert_uint_eq(x(client.vcpu, 1), 5);
}
END_TEST

/* I4: 200 rounds with pages and capabilities, and the frames are what they were. */
START_TEST(rounds_leave_nothing)
{
    uint64_t frames = 0;

    prepare(4);
    for (unsigned i = 0; i < 200; i++) {
        struct exo_recv *recv = &server.vcpu->page->recv;
        uint64_t token = called_with(EXO_MSG_PAGES | EXO_MSG_CAP, EXO_FOREVER);

        CALL_OK(page_unmap, EXO_SELF_SPACE, recv->va, 4);
        CALL_OK(cap_drop, recv->cap);
        REPLY(token, 0, 0, 0, 0, 0, 0, EXO_FOREVER);
        as(&root);
        if (i == 0)
            frames = exo_free_frames();
        ck_assert_uint_eq(exo_free_frames(), frames);
        server.vcpu->page->events = 0;
    }
}
END_TEST

/* K29 */
START_TEST(ring_of_death)
{
    /* client calls server, server calls third, third calls nobody; then one of them ends. */
    const struct actor *victim = (const struct actor *[]){&client, &server, &third}[_i];
    uint64_t to_third = (uint64_t)CALL_OK(gate_create, third.vcpu_cap, 0);

    to_third = (uint64_t)CALL_OK(cap_grant, server.env_cap, to_third, EXO_RIGHT_USE);
    called_with(0, EXO_FOREVER);
    as(&third);
    RECEIVE(EXO_FOREVER);
    as(&server);
    CALL(call, to_third, 0, 0, 0, 0, 0, 0, EXO_FOREVER);
    ck_assert_ptr_eq(machine.cpu->current, third.vcpu);
    exo_check();
    as(&root);
    CALL_OK(env_stop, victim->env_cap);
    exo_check();
    if (victim == &server) {
        ck_assert_int_eq(result(client.vcpu), -EXO_EDEAD);
        ck_assert_int_eq(client.vcpu->state, VCPU_READY);
    }
    if (victim == &third) {
        ck_assert_int_eq(result(server.vcpu), -EXO_EDEAD);
        ck_assert_int_eq(client.vcpu->state, VCPU_CALLING);
    }
    actor_destroy(victim);
}
END_TEST

/* ---- ends in pieces ------------------------------------------------------------------------------------------- */

#define CROWD 300u
#define PIECE 17u                    /* peers that one step may deal with, and one of the next vcpu */
#define STEP_TICKS (1000u / 16u + 1) /* after which the timer goes on with it */

static struct vcpu *crowd[CROWD];
static struct actor many;
static uint64_t many_gate, frames_at_first;

/* `many` has 300 vcpus more, and a gate into the server. */
static void setup_crowd(void)
{
    uint64_t mine;
    struct actor warm_up;

    exo_boot_ram(16 << 20);
    warm_up = actor_make(100);
    actor_destroy(&warm_up);
    frames_at_first = exo_free_frames();
    server = actor_make(100);
    many = actor_make(1000);
    mine = (uint64_t)CALL_OK(gate_create, server.vcpu_cap, 0);
    many_gate = (uint64_t)CALL_OK(cap_grant, many.env_cap, mine, EXO_RIGHT_USE);
    CALL_OK(cap_drop, mine);
    as(&many);
    for (unsigned i = 0; i < CROWD; i++) {
        exo_handle_t handle;

        crowd[i] = actor_vcpu(VA + i * PAGE_SIZE, &handle);
    }
}

static void crowd_calls(unsigned first, unsigned end)
{
    for (unsigned i = first; i < end; i++) {
        machine_run(crowd[i]);
        CALL(call, many_gate, 1, 2, 3, 4, 5, 6, EXO_FOREVER);
    }
}

static unsigned crowd_waiting(void)
{
    unsigned n = 0;

    for (unsigned i = 0; i < CROWD; i++)
        if (crowd[i]->state == VCPU_CALLING || crowd[i]->state == VCPU_SENDING)
            n++;
        else
            ck_assert_int_eq(result(crowd[i]), -EXO_EDEAD);
    return n;
}

static void crowd_goes(void)
{
    as(&root);
    actor_destroy(&many);
    exo_check();
    ck_assert_uint_eq(exo_free_frames(), frames_at_first);
}

/* K1 K29: 300 callers, some of them waiting for an answer, hear that the server ended, without anybody destroying it,
 * in bounded steps; in between, calls of it fail at once. */
START_TEST(callers_hear_in_pieces)
{
    unsigned left = CROWD;

    crowd_calls(0, CROWD);
    for (unsigned i = 0; i < CROWD / 2; i++) {
        as(&server);
        CALL(reply_wait, 0, 0, 0, 0, 0, 0, 0, EXO_FOREVER);
    }
    ck_assert_uint_eq(crowd_waiting(), CROWD);
    exo_check();
    as(_i ? &server : &root);
    if (_i)
        CALL(env_exit, 1); /* by itself */
    else
        CALL_OK(env_stop, server.env_cap);
    ck_assert_int_eq(CALL_OK(env_status, server.env_cap, EXO_ENV_STATE), EXO_ENV_ENDED);
    for (unsigned steps = 0; left; steps++) {
        unsigned now = crowd_waiting();

        exo_check();
        ck_assert_uint_le(left - now, steps ? PIECE : 2 * PIECE); /* the end's own, and the way out's */
        ck_assert_uint_lt(steps, CROWD / 8);
        if (now && steps == 1) {
            as(&many);
            ck_assert_int_eq(CALL(call, many_gate, 1, 2, 3, 4, 5, 6, EXO_FOREVER), -EXO_EDEAD);
            now = crowd_waiting();
        }
        left = now;
        machine_advance(STEP_TICKS);
    }
    as(&root);
    actor_destroy(&server);
    crowd_goes();
}
END_TEST

/* K8 K29: the same while it is destroyed: its frames go after the last of its callers was told. */
START_TEST(callers_hear_while_it_goes)
{
    unsigned left = CROWD;
    pfn_t pfn = vcpu_frame(server.vcpu);

    crowd_calls(0, CROWD);
    as(&root);
    while (CALL_OK(env_destroy, server.env_cap)) {
        unsigned now = crowd_waiting();

        exo_check();
        ck_assert_uint_le(left - now, 4 * PIECE);
        ck_assert(now == 0 || frame_entry(pfn)->kind == EXO_FRAME_VCPU);
        left = now;
    }
    ck_assert_uint_eq(left, 0);
    CALL_OK(cap_drop, server.env_cap);
    CALL_OK(cap_drop, server.space_cap);
    CALL_OK(cap_drop, server.vcpu_cap);
    crowd_goes();
}
END_TEST

/* K1 K29: an environment of 300 vcpus, ready, calling and queueing, ends by itself: none of them runs again, is
 * received, answered, woken or started, whether it is DEAD yet or not. */
START_TEST(crowd_ends)
{
    uint64_t token;

    crowd_calls(0, CROWD / 2);
    as(&server);
    CALL(reply_wait, 0, 0, 0, 0, 0, 0, 0, EXO_FOREVER);
    token = x(server.vcpu, 0);
    machine_run(many.vcpu);
    ck_assert_int_eq(CALL(env_exit, 1), MACHINE_AWAY);
    for (unsigned steps = 0; many.env->ending_at != &many.env->vcpus; steps++) {
        unsigned dead = 0;

        exo_check();
        ck_assert_ptr_ne(machine.cpu->current->env, many.env);
        ck_assert_uint_lt(steps, CROWD / 8);
        if (steps == 0) {
            as(&server);
            ck_assert_int_eq(CALL(reply_wait, token, 0, 0, 0, 0, 0, 0, EXO_FOREVER), -EXO_ETOKEN);
            server.vcpu->page->events = 0;
            CALL(reply_wait, 0, 0, 0, 0, 0, 0, 0, 0);
            ck_assert_int_le(result(server.vcpu), 0); /* no message of a dead one */
            as(&root);
            CALL_FAILS(EXO_ESTATE, vcpu_start, many.vcpu_cap, 0);
            CALL_FAILS(EXO_ESTATE, yield, many.vcpu_cap);
        }
        for (unsigned i = 0; i < CROWD; i++)
            dead += crowd[i]->state == VCPU_DEAD;
        ck_assert_uint_le(dead, (steps + 8) * PIECE);
        machine_advance(STEP_TICKS);
    }
    as(&root);
    actor_destroy(&server);
    crowd_goes();
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("gates");
    TCase *tc = tcase_create("gates");

    tcase_add_checked_fixture(tc, setup, exo_check);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, words_and_badge);
    tcase_add_test(tc, queued_callers_in_order);
    tcase_add_test(tc, tokens);
    tcase_add_test(tc, token_of_a_dead_caller);
    tcase_add_test(tc, bad_gates);
    tcase_add_test(tc, call_times_out);
    tcase_add_test(tc, queueing_times_out);
    tcase_add_test(tc, receiving_times_out);
    tcase_add_loop_test(tc, interruptible, 0, 4);
    tcase_add_test(tc, events_end_receiving);
    tcase_add_test(tc, events_end_receiving_after_an_answer);
    tcase_add_test(tc, upcall_after_a_call);
    tcase_add_test(tc, pages_and_a_cap);
    tcase_add_loop_test(tc, transfers_fail_whole, 0, 15);
    tcase_add_test(tc, bad_reply_keeps_the_caller);
    tcase_add_test(tc, rounds_leave_nothing);
    tcase_add_loop_test(tc, ring_of_death, 0, 3);
    suite_add_tcase(s, tc);
    tc = tcase_create("ends in pieces");
    tcase_add_checked_fixture(tc, setup_crowd, exo_check);
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, callers_hear_in_pieces, 0, 2);
    tcase_add_test(tc, callers_hear_while_it_goes);
    tcase_add_test(tc, crowd_ends);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    return exo_suite_run(suite());
}
