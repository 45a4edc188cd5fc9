/* Environments: life and death in every phase, accounts that outlive them.  K1 K3 K22 K29, invariant 10 */
#include <string.h>

#include "cpu.h"
#include "exo_machine.h"

#define SHARE_VA 0x30000000ull

static uint64_t frames_before;

static void setup(void)
{
    struct actor warm_up;

    exo_boot();
    warm_up = actor_make(32); /* the tables that init itself needs are there from now on */
    CALL_OK(page_alloc, EXO_SELF_SPACE, SHARE_VA, 1, EXO_WANT_ANY, RW);
    actor_destroy(&warm_up);
    frames_before = exo_free_frames();
}

/* K3 */
START_TEST(thousand_cycles)
{
    for (unsigned i = 0; i < 1000; i++) {
        struct actor a = actor_make(64);

        CALL_OK(page_alloc, a.space_cap, 0x400000, 8, EXO_WANT_ANY, RW);
        CALL_OK(page_map, a.space_cap, 0x500000, EXO_SELF_SPACE, SHARE_VA, 1, EXO_PROT_READ);
        actor_destroy(&a);
        ck_assert_uint_eq(exo_free_frames(), frames_before);
    }
}
END_TEST

START_TEST(fails_at_every_frame)
{
    for (uint64_t limit = 0; limit < 6; limit++) {
        int64_t rc = CALL(env_create, limit, 0, 0);

        ck_assert_int_eq(rc, limit < 3 ? -EXO_EQUOTA : rc);
        if (rc >= 0) {
            struct actor a = {.env_cap = (exo_handle_t)rc, .space_cap = (exo_handle_t)(rc >> 32)};

            actor_destroy(&a);
        }
        exo_check();
        ck_assert_uint_eq(exo_free_frames(), frames_before);
    }
    CALL_FAILS(EXO_EQUOTA, env_create, exo_free_frames() + 1, 0, 0);
    CALL_FAILS(EXO_EQUOTA, env_create, UINT64_MAX, 0, 0);
    ck_assert_uint_eq(exo_free_frames(), frames_before);
}
END_TEST

enum phase {
    EMPTY,
    STOPPED,
    READY,
    RAN,
    WAITING,
    TIMED,
    RECEIVING,
    SENDING,
    CALLING,
    CALLED,
    IN_UPCALL,
    SLOTTED,
    NPHASES
};

/* Brings a's vcpu into a phase, with b as its peer. */
static void bring(struct actor *a, struct actor *b, enum phase phase)
{
    int64_t gate;

    if (phase == EMPTY)
        return;
    if (phase == SLOTTED) {
        CALL_OK(slice_bind, EXO_FIRST_SLICE, 3, a->vcpu_cap);
        CALL_OK(slice_bind, EXO_FIRST_SLICE, 4, a->vcpu_cap);
        CALL_OK(irq_bind, EXO_FIRST_IRQ, 40, a->vcpu_cap, 5);
    }
    if (phase <= STOPPED || phase == SLOTTED)
        return;
    actor_start(a);
    if (phase == CALLED) { /* somebody waits for its answer */
        gate = CALL_OK(gate_create, a->vcpu_cap, 1);
        gate = CALL_OK(cap_grant, b->env_cap, (uint64_t)gate, EXO_RIGHT_USE);
        as(a);
        CALL(reply_wait, 0, 0, 0, 0, 0, 0, 0, EXO_FOREVER);
        as(b);
        CALL(call, (uint64_t)gate, 1, 2, 3, 4, 5, 6, EXO_FOREVER);
        as(&root);
        return;
    }
    gate = CALL_OK(gate_create, b->vcpu_cap, 1);
    gate = CALL_OK(cap_grant, a->env_cap, (uint64_t)gate, EXO_RIGHT_USE);
    if (phase == CALLING) {
        as(b);
        CALL(reply_wait, 0, 0, 0, 0, 0, 0, 0, EXO_FOREVER);
        as(&root);
    }
    if (phase == READY)
        return;
    as(a);
    switch (phase) {
    case WAITING:
        CALL(wait, 1, EXO_FOREVER);
        break;
    case TIMED:
        CALL(wait, 1, machine.time + 1000000);
        break;
    case RECEIVING:
        CALL(reply_wait, 0, 0, 0, 0, 0, 0, 0, machine.time + 1000000);
        break;
    case SENDING:
    case CALLING:
        CALL(call, (uint64_t)gate, 1, 2, 3, 4, 5, 6, machine.time + 1000000);
        break;
    case IN_UPCALL:
        machine_touch(0x7000000, EXO_PROT_READ);
        break;
    default:
        break;
    }
    as(&root);
}

/* K29, invariant 10: nothing is left behind, and the peer hears of it. */
START_TEST(destroyed_in_phase)
{
    struct actor a = actor_new(64), b = actor_make(64);

    bring(&a, &b, (enum phase)_i);
    exo_check();
    actor_destroy(&a);
    exo_check();
    if (_i == CALLED) {
        ck_assert_int_eq(b.vcpu->state, VCPU_READY);
        ck_assert_int_eq(result(b.vcpu), -EXO_EDEAD);
    }
    as(&b);
    as(&root);
    actor_destroy(&b);
    ck_assert_uint_eq(exo_free_frames(), frames_before);
}
END_TEST

/* The same, the other one going first: whoever calls, queues or is called hears EXO_EDEAD. */
START_TEST(peer_destroyed_in_phase)
{
    struct actor a = actor_new(64), b = actor_make(64);

    bring(&a, &b, (enum phase)_i);
    actor_destroy(&b);
    exo_check();
    if (_i == SENDING || _i == CALLING) {
        ck_assert_int_eq(a.vcpu->state, VCPU_READY);
        ck_assert_int_eq(result(a.vcpu), -EXO_EDEAD);
    }
    actor_destroy(&a);
    ck_assert_uint_eq(exo_free_frames(), frames_before);
}
END_TEST

/* K1 */
START_TEST(exit_never_returns)
{
    struct actor a = actor_make(64);
    uint64_t event = (uint64_t)CALL_OK(event_create, EXO_FIRST_VCPU, 0xf0);
    int64_t handles = CALL_OK(env_create, 32, event, 0x30);

    as(&a);
    ck_assert_int_eq(CALL(env_exit, 42), MACHINE_AWAY);
    ck_assert_ptr_eq(machine.cpu->current, root.vcpu);
    ck_assert_int_eq(a.vcpu->state, VCPU_DEAD);
    ck_assert_int_eq(CALL(env_status, a.env_cap, EXO_ENV_STATE), EXO_ENV_ENDED);
    ck_assert_int_eq(CALL(env_status, a.env_cap, EXO_ENV_REASON), EXO_END_EXIT);
    ck_assert_int_eq(CALL(env_status, a.env_cap, EXO_ENV_CODE), 42);
    CALL_FAILS(EXO_ESTATE, vcpu_create, a.env_cap, 0, a.space_cap, ACTOR_VCPU_VA);
    CALL_FAILS(EXO_ESTATE, vcpu_start, a.vcpu_cap, 0);
    CALL_FAILS(EXO_ESTATE, slice_bind, EXO_FIRST_SLICE, 0, a.vcpu_cap);
    CALL_FAILS(EXO_ESTATE, irq_bind, EXO_FIRST_IRQ, 33, a.vcpu_cap, 0);
    CALL_FAILS(EXO_ESTATE, cap_grant, a.env_cap, EXO_FIRST_INFO, EXO_RIGHT_READ);
    CALL_OK(env_stop, (uint64_t)handles & UINT32_MAX);
    ck_assert_uint_eq(root.vcpu->page->events, 0x30);
    actor_destroy(&a);
    CALL_FAILS(EXO_EHANDLE, env_status, a.env_cap, EXO_ENV_STATE);
}
END_TEST

START_TEST(destroys_itself)
{
    struct actor a = actor_make(64);

    as(&a);
    ck_assert_int_eq(CALL(env_destroy, EXO_SELF_ENV), MACHINE_AWAY);
    ck_assert_int_eq(CALL(env_status, a.env_cap, EXO_ENV_REASON), EXO_END_STOP);
    actor_destroy(&a);
    ck_assert_uint_eq(exo_free_frames(), frames_before);
}
END_TEST

START_TEST(children_go_first)
{
    struct actor a = actor_make(300);
    struct actor chain[4];

    as(&a);
    for (unsigned i = 0; i < 4; i++) {
        chain[i] = actor_make(250 - 50 * i);
        as(&chain[i]);
        CALL_OK(page_alloc, EXO_SELF_SPACE, 0x900000, 3, EXO_WANT_ANY, RW);
    }
    as(&root);
    while (CALL_OK(env_destroy, a.env_cap))
        exo_check();
    CALL_FAILS(EXO_EDEAD, env_status, a.env_cap, EXO_ENV_STATE);
    actor_destroy(
        &(struct actor){.env_cap = actor_make(20).env_cap, .space_cap = a.space_cap, .vcpu_cap = a.vcpu_cap});
}
END_TEST

START_TEST(no_ancestor_destroyed)
{
    struct actor a = actor_make(200), b;
    uint64_t grand;

    as(&a);
    b = actor_make(100);
    grand = (uint64_t)CALL_OK(cap_grant, b.env_cap, EXO_SELF_ENV, EXO_RIGHTS_ALL);
    as(&b);
    CALL_FAILS(EXO_EBUSY, env_destroy, grand);
    ck_assert_int_eq(CALL(env_stop, grand), 0); /* but it may be stopped */
    ck_assert_int_eq(a.vcpu->state, VCPU_DEAD);
    as(&root);
    while (CALL_OK(env_destroy, a.env_cap))
        ;
}
END_TEST

START_TEST(nesting_is_bounded)
{
    struct actor a = actor_make(700), top = a;
    unsigned depth = 1;

    for (;; depth++) {
        int64_t rc;

        as(&a);
        rc = CALL(env_create, 10, 0, 0);
        if (rc < 0) {
            ck_assert_int_eq(rc, -EXO_EFULL);
            break;
        }
        CALL_OK(cap_drop, (uint64_t)rc & UINT32_MAX); /* it is still our child */
        CALL_OK(cap_drop, (uint64_t)rc >> 32);
        a = actor_make(600 - 40 * depth);
    }
    ck_assert_uint_eq(depth, ENV_DEPTH_MAX - 1);
    exo_check();
    as(&root);
    actor_destroy(&top);
    ck_assert_uint_eq(exo_free_frames(), frames_before);
}
END_TEST

/* A page that its payer's death leaves with somebody else is paid for by the payer's parent, at any depth, and its
 * going frees the accounts that waited for it. */
START_TEST(accounts_wait_for_frames)
{
    struct actor chain[4];
    unsigned depth = (unsigned)_i;
    uint64_t page = 0x800000, handle;

    for (unsigned i = 0; i < depth; i++) {
        chain[i] = actor_make(400 - 60 * i);
        if (i + 1 < depth)
            as(&chain[i]);
        else
            CALL_OK(page_alloc, chain[i].space_cap, page, 2, EXO_WANT_ANY, RW);
    }
    /* Hand the page up, space by space, to init. */
    for (unsigned i = depth; i-- > 0;) {
        as(i ? &chain[i - 1] : &root);
        CALL_OK(page_map, EXO_SELF_SPACE, page, chain[i].space_cap, page, 2, RW);
    }
    exo_check();
    handle = chain[0].env_cap;
    while (CALL_OK(env_destroy, handle))
        exo_check();
    exo_check();
    CALL_OK(page_unmap, EXO_SELF_SPACE, page, 1);
    exo_check();
    CALL_OK(page_unmap, EXO_SELF_SPACE, page + PAGE_SIZE, 1);
    exo_check();
    ck_assert_uint_eq(root.env->owner.account.reserved, 0);
    ck_assert_uint_eq(exo_free_frames(), frames_before);
}
END_TEST

/* K29: the one that runs is taken down by a fault of its own, or an upcall that nobody takes.  K30 */
START_TEST(ends_with_a_diagnosis)
{
    static const int reasons[] = {EXO_END_FAULT, EXO_END_EXCEPTION, EXO_END_UPCALL, EXO_END_UPCALL};
    struct actor a = actor_make(64);

    as(&a);
    a.vcpu->page->upcall_masked = 1;
    if (_i == 0) {
        a.vcpu->regs.pc = 0x1234;
        machine_touch(0x5000, EXO_PROT_WRITE);
    } else if (_i == 1) {
        machine_exception(EXO_EXC_UNDEFINED, 0x77);
    } else if (_i == 2) {
        a.vcpu->page->upcall_masked = 0;
        a.vcpu->page->upcall_entry = 0;
        machine_touch(0x5000, EXO_PROT_READ);
    } else {
        a.vcpu->page->upcall_masked = 0;
        a.vcpu->page->upcall_entry = 0;
        a.vcpu->page->upcall_events = 1;
        a.vcpu->page->events = 1;
        CALL(yield, 0);
        machine_run(a.vcpu);
    }
    ck_assert_ptr_eq(machine.cpu->current, root.vcpu);
    ck_assert_int_eq(CALL_OK(env_status, a.env_cap, EXO_ENV_REASON), reasons[_i]);
    if (_i == 0) {
        ck_assert_int_eq(CALL(env_status, a.env_cap, EXO_ENV_ADDRESS), 0x5000);
        ck_assert_int_eq(CALL(env_status, a.env_cap, EXO_ENV_PC), 0x1234);
        ck_assert_int_eq(CALL(env_status, a.env_cap, EXO_ENV_CODE), EXO_PROT_WRITE);
    }
    actor_destroy(&a);
    ck_assert_uint_eq(exo_free_frames(), frames_before);
}
END_TEST

START_TEST(first_program_ends)
{
    CALL(env_exit, 3);
    ck_assert_int_eq(machine.end, MACHINE_STOPPED);
    ck_assert_ptr_nonnull(strstr(machine.console, "the first program ended (reason 1, status 3"));
}
END_TEST

/* ---- an end that comes in pieces ------------------------------------------------------------------------------- */

/* More vcpus than the call that ends them, and the way out of it, come to. */
enum { CROWD = 60 };
static struct actor crowd[CROWD]; /* all of one environment, not started */
#define LAST (&crowd[CROWD - 1])

static void setup_crowd(void)
{
    uint64_t both;

    setup();
    both = (uint64_t)CALL_OK(env_create, 3 * CROWD, 0, 0);
    for (uint64_t i = 0; i < CROWD; i++) {
        const uint64_t va = ACTOR_VCPU_VA + i * PAGE_SIZE;
        struct actor *a = &crowd[i];

        *a = (struct actor){.env_cap = (exo_handle_t)both, .space_cap = (exo_handle_t)(both >> 32)};
        a->env = env_of(cap_at(root.env, a->env_cap));
        CALL_OK(page_alloc, a->space_cap, va, 1, EXO_WANT_ANY, RW);
        a->vcpu_cap = (exo_handle_t)CALL_OK(vcpu_create, a->env_cap, 0, a->space_cap, va);
        a->vcpu = vcpu_of(cap_at(root.env, a->vcpu_cap));
        a->vcpu->page->upcall_entry = UPCALL_ENTRY;
    }
}

/* By init.  The last one has not been told, and may run no more. */
static void end_crowd(void)
{
    CALL_OK(env_stop, crowd->env_cap);
    ck_assert_int_eq(crowd[0].vcpu->state, VCPU_DEAD);
    ck_assert_int_ne(LAST->vcpu->state, VCPU_DEAD);
    ck_assert_ptr_eq(machine.cpu->current, root.vcpu);
}

static void crowd_is_told(void)
{
    for (unsigned i = 0; i < CROWD && LAST->vcpu->state != VCPU_DEAD; i++)
        machine_advance(machine.cpu->slot_ticks / 16);
    ck_assert_int_eq(LAST->vcpu->state, VCPU_DEAD);
    ck_assert_uint_eq(machine.cpu->nowned, 0);
    as(&root);
}

/* Neither started nor yielded to, answered, or given its own slot.  K1, K29 */
START_TEST(nobody_goes_on_between_the_pieces)
{
    struct vcpu *last = LAST->vcpu;
    uint64_t token = 0;

    if (_i > 0)
        actor_start(LAST);
    if (_i == 2) {
        uint64_t gate = (uint64_t)CALL_OK(gate_create, EXO_FIRST_VCPU, 0);

        gate = (uint64_t)CALL_OK(cap_grant, LAST->env_cap, gate, EXO_RIGHT_USE);
        as(LAST);
        CALL(call, gate, 0, 0, 0, 0, 0, 0, EXO_FOREVER);
        as(&root);
        CALL(reply_wait, 0, 0, 0, 0, 0, 0, 0, 0);
        token = (uint64_t)result(root.vcpu);
        ck_assert_int_eq(last->state, VCPU_CALLING);
    } else if (_i == 3) {
        CALL_OK(slice_bind, EXO_FIRST_SLICE, machine.cpu->info->slot, LAST->vcpu_cap);
    }
    end_crowd();
    if (_i == 0) {
        CALL_FAILS(EXO_ESTATE, vcpu_start, LAST->vcpu_cap, 0);
    } else if (_i == 1) {
        ck_assert_int_eq(last->state, VCPU_READY);
        CALL_FAILS(EXO_ESTATE, yield, LAST->vcpu_cap);
    } else if (_i == 2) {
        ck_assert_int_eq(last->state, VCPU_CALLING);
        CALL_FAILS(EXO_ETOKEN, reply_wait, token, 0, 0, 0, 0, 0, 0, 0);
    } else {
        ck_assert_int_eq(last->state, VCPU_READY);
        ck_assert_uint_eq(machine.cpu->nowned, 1);
        CALL(yield, 0);
    }
    ck_assert_ptr_eq(machine.cpu->current, root.vcpu);
    exo_check();
    crowd_is_told();
    ck_assert(list_empty(&root.vcpu->callers));
}
END_TEST

/* A CPU with nothing to run does not sleep before all have been told: no time passes.  K29 */
START_TEST(told_before_the_cpu_sleeps)
{
    const uint64_t time = machine.time;

    for (unsigned i = 0; i < CROWD; i++)
        if (i % 3 == 0)
            CALL_OK(vcpu_start, crowd[i].vcpu_cap, 0);
    CALL(wait, 1, EXO_FOREVER);
    ck_assert_ptr_eq(machine.cpu->current, crowd[0].vcpu);
    machine.stay = true;
    CALL(env_exit, 0);
    ck_assert_int_eq(machine.end, MACHINE_IDLE);
    ck_assert_uint_eq(machine.time, time);
    for (unsigned i = 0; i < CROWD; i++)
        ck_assert_int_eq(crowd[i].vcpu->state, VCPU_DEAD);
    ck_assert(list_empty(&machine.cpu->endings));
}
END_TEST

/* Who has no place where upcalls begin is not started, and may be as soon as it has.  K24 */
START_TEST(starts_at_an_entry_only)
{
    struct actor a = actor_new(64);
    uint64_t state;

    a.vcpu->page->upcall_entry = 0;
    state = exo_state();
    CALL_FAILS(EXO_EINVAL, vcpu_start, a.vcpu_cap, 7);
    ck_assert_uint_eq(exo_state(), state);
    ck_assert_int_eq(a.vcpu->state, VCPU_STOPPED);
    a.vcpu->page->upcall_entry = UPCALL_ENTRY;
    CALL_OK(vcpu_start, a.vcpu_cap, 7);
    ck_assert_int_eq(a.vcpu->state, VCPU_READY);
    ck_assert_uint_eq(a.vcpu->regs.pc, UPCALL_ENTRY);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("environments");
    TCase *tc = tcase_create("life");

    tcase_add_checked_fixture(tc, setup, exo_check);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, thousand_cycles);
    tcase_add_test(tc, fails_at_every_frame);
    tcase_add_loop_test(tc, destroyed_in_phase, 0, NPHASES);
    tcase_add_loop_test(tc, peer_destroyed_in_phase, 0, NPHASES);
    tcase_add_test(tc, exit_never_returns);
    tcase_add_test(tc, destroys_itself);
    tcase_add_test(tc, children_go_first);
    tcase_add_test(tc, no_ancestor_destroyed);
    tcase_add_test(tc, nesting_is_bounded);
    tcase_add_loop_test(tc, accounts_wait_for_frames, 1, 5);
    tcase_add_loop_test(tc, ends_with_a_diagnosis, 0, 4);
    tcase_add_test(tc, starts_at_an_entry_only);
    tcase_add_test(tc, first_program_ends);
    suite_add_tcase(s, tc);

    tc = tcase_create("crowds");
    tcase_add_checked_fixture(tc, setup_crowd, exo_check);
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, nobody_goes_on_between_the_pieces, 0, 4);
    tcase_add_test(tc, told_before_the_cpu_sleeps);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    return exo_suite_run(suite());
}
