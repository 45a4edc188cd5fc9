/* Revocation: asking with a deadline, taking after it, telling what was taken, and ending who has nothing to give.
 * K27 K3 K24 K29, principle 8 */
#include <string.h>

#include "cpu.h"
#include "exo_machine.h"

#define VA 0x10000000ull
#define FAR 0x30000000ull
#define LIMIT 100u
#define NOTICE (EXO_RECLAIM_NOTICE_US * (MACHINE_HZ / 1000000))
#define NONE ACCOUNT_STEADY

static struct actor a, b, c;
static uint64_t free_before;

static void setup(void)
{
    exo_boot();
    free_before = exo_free_frames();
    a = actor_make(LIMIT);
    b = actor_make(LIMIT);
    c = actor_make(LIMIT);
}

static uint64_t in_use(const struct actor *of)
{
    return account_in_use(&of->env->owner.account);
}

static uint64_t limit_of(const struct actor *of)
{
    return of->env->owner.account.limit;
}

/* The actor binds n pages at va; init is current afterwards. */
static void has(const struct actor *of, uint64_t va, uint64_t n)
{
    as(of);
    for (uint64_t done = 0; done < n;)
        done +=
            (uint64_t)CALL_OK(page_alloc, EXO_SELF_SPACE, va + done * PAGE_SIZE, n - done, EXO_WANT_ANY, RW);
    as(&root);
}

static bool bound(const struct actor *of, uint64_t va)
{
    struct binding binding;

    return space_lookup(of->env->home, va, &binding);
}

static unsigned nbound(const struct actor *of, uint64_t va, unsigned n)
{
    unsigned count = 0;

    for (unsigned i = 0; i < n; i++)
        count += bound(of, va + i * PAGE_SIZE);
    return count;
}

static bool asked(const struct actor *of, enum exo_revoke_kind kind, uint64_t number)
{
    const struct exo_vcpu_page *page = of->vcpu->page;

    return machine_in_upcall(of->vcpu) && page->reason == EXO_UPCALL_REVOKE && page->info == kind &&
           page->detail == number;
}

/* Whether the upcall that the actor comes back to is this one; it is out of it then. */
static bool hears(const struct actor *of, enum exo_revoke_kind kind, uint64_t number)
{
    bool was;

    as(of);
    was = asked(of, kind, number);
    if (was)
        upcall_done();
    return was;
}

static bool hears_nothing(const struct actor *of)
{
    as(of);
    return !machine_in_upcall(of->vcpu);
}

static bool ended_revoked(const struct actor *of)
{
    return of->env->state == EXO_ENV_ENDED && of->env->reason == EXO_END_REVOKED;
}

static void all_gone(void)
{
    as(&root);
    actor_destroy(&a);
    actor_destroy(&b);
    actor_destroy(&c);
    ck_assert_uint_eq(exo_free_frames(), free_before);
}

#define VICTIM(of, i, from, n)                                                                               \
    ((of)->vcpu->page->victims[i] = (struct exo_victim){.va = (from), .npages = (n)})

/* ---- limits -------------------------------------------------------------------------------------------------- */

START_TEST(room_moves_at_once)
{
    uint64_t reserved = root.env->owner.account.reserved;

    ck_assert_int_eq(CALL(env_limit, a.env_cap, LIMIT + 20, 0), 0);
    ck_assert_uint_eq(limit_of(&a), LIMIT + 20);
    ck_assert_uint_eq(root.env->owner.account.reserved, reserved + 20);
    ck_assert_int_eq(CALL(env_limit, a.env_cap, in_use(&a), 0), 0);
    ck_assert_uint_eq(limit_of(&a), in_use(&a));
    ck_assert_uint_eq(root.env->owner.account.reserved, reserved - LIMIT + in_use(&a));
    ck_assert_int_eq(CALL(env_limit, a.env_cap, in_use(&a), 0), 0);
    as(&a);
    ck_assert(!machine_in_upcall(a.vcpu));
    CALL_FAILS(EXO_EQUOTA, page_alloc, EXO_SELF_SPACE, VA, 1, EXO_WANT_ANY, RW);
    all_gone();
}
END_TEST

START_TEST(asked_and_complies)
{
    uint64_t used, deadline = machine.time + 1000;

    has(&a, VA, 30);
    used = in_use(&a);
    ck_assert_int_eq(CALL(env_limit, a.env_cap, used - 10, deadline), 10);
    ck_assert_uint_eq(limit_of(&a), used); /* what it does not use goes at once */
    ck_assert_int_eq(CALL(env_status, a.env_cap, EXO_ENV_LIMIT), (int64_t)used - 10);
    ck_assert_int_eq(CALL(env_status, a.env_cap, EXO_ENV_USED), (int64_t)used);
    as(&a);
    ck_assert(asked(&a, EXO_REVOKE_FRAMES, 10));
    ck_assert_uint_eq(a.vcpu->page->revoke.deadline, deadline);
    upcall_done();
    CALL_FAILS(EXO_EQUOTA, page_alloc, EXO_SELF_SPACE, FAR, 1, EXO_WANT_ANY, RW);
    CALL_FAILS(EXO_EQUOTA, env_create, 0, 0, 0);
    CALL_FAILS(EXO_EQUOTA, space_create, 0);
    CALL_OK(page_unmap, EXO_SELF_SPACE, VA, 4, 0);
    CALL_FAILS(EXO_EQUOTA, page_alloc, EXO_SELF_SPACE, VA, 1, EXO_WANT_ANY,
               RW); /* still below what it gave */
    as(&root);
    ck_assert_int_eq(CALL(env_limit, a.env_cap, used - 10, deadline), 6);
    ck_assert_uint_eq(limit_of(&a), used - 4);
    as(&a);
    CALL_OK(page_unmap, EXO_SELF_SPACE, VA, 11, 0);
    CALL_OK(page_alloc, EXO_SELF_SPACE, VA, 1, EXO_WANT_ANY, RW); /* one to spare */
    CALL_FAILS(EXO_EQUOTA, page_alloc, EXO_SELF_SPACE, VA + PAGE_SIZE, 1, EXO_WANT_ANY, RW);
    as(&root);
    ck_assert_int_eq(CALL(env_limit, a.env_cap, used - 10, deadline), 0);
    ck_assert_uint_eq(limit_of(&a), used - 10);
    ck_assert(hears_nothing(&a)); /* nothing was taken */
    all_gone();
}
END_TEST

/* The rest is taken when the time has come and not before, in the list's order, and told. */
START_TEST(takes_victims_in_order)
{
    uint64_t used, deadline = machine.time + 1000;
    int64_t left;

    has(&a, VA, 10);
    has(&a, FAR, 20);
    used = in_use(&a);
    VICTIM(&a, 1, FAR + 4 * PAGE_SIZE, 16);
    VICTIM(&a, 3, VA, 10);
    ck_assert_int_eq(CALL(env_limit, a.env_cap, used - 20, deadline), 20);
    ck_assert(hears(&a, EXO_REVOKE_FRAMES, 20));
    CALL_OK(page_unmap, EXO_SELF_SPACE, FAR, 2, 0); /* in part */
    as(&root);
    for (exo_later(deadline - 2); machine.time < deadline; machine.time++)
        ck_assert_int_eq(CALL(env_limit, a.env_cap, used - 20, 0), 18);
    ck_assert_uint_eq(nbound(&a, FAR, 20), 18);
    do
        left = CALL_OK(env_limit, a.env_cap, used - 20, 0);
    while (left);
    ck_assert_uint_eq(nbound(&a, FAR, 4), 2);
    ck_assert_uint_eq(nbound(&a, FAR + 4 * PAGE_SIZE, 16), 0);
    ck_assert_uint_eq(nbound(&a, VA, 10), 8);
    ck_assert(!bound(&a, VA + PAGE_SIZE) && bound(&a, VA + 2 * PAGE_SIZE));
    ck_assert_uint_eq(a.vcpu->page->victims[1].taken, 16);
    ck_assert_uint_eq(a.vcpu->page->victims[3].taken, 2);
    ck_assert_uint_eq(in_use(&a), used - 20);
    ck_assert_uint_eq(limit_of(&a), used - 20);
    ck_assert(hears(&a, EXO_REVOKE_TAKEN, 18));
    ck_assert(hears_nothing(&a));
    ck_assert_ptr_null(machine_touch(VA, EXO_PROT_READ)); /* no TLB holds what was taken */
    ck_assert_uint_eq(a.vcpu->page->reason, EXO_UPCALL_FAULT);
    upcall_done();
    all_gone();
}
END_TEST

START_TEST(a_deadline_moves_back_only)
{
    uint64_t used, deadline = machine.time + 1000;

    has(&a, VA, 20);
    used = in_use(&a);
    VICTIM(&a, 0, VA, 20);
    CALL_OK(env_limit, a.env_cap, used - 5, deadline);
    CALL_OK(env_limit, a.env_cap, used - 5, deadline + 1000);
    CALL_OK(env_limit, a.env_cap, used - 5, 0);
    exo_later(deadline + 999);
    ck_assert_int_eq(CALL(env_limit, a.env_cap, used - 5, deadline), 5);
    CALL_FAILS(EXO_EBUSY, env_limit, a.env_cap, used - 6, deadline + 5000); /* no more than was asked */
    ck_assert_int_eq(CALL(env_limit, a.env_cap, used - 3, 0), 3);           /* but less */
    ck_assert_uint_eq(nbound(&a, VA, 20), 20);
    machine.time++;
    ck_assert_int_eq(CALL(env_limit, a.env_cap, used - 3, 0), 0);
    ck_assert_uint_eq(nbound(&a, VA, 20), 17);
    all_gone();
}
END_TEST

/* A raised limit ends it. */
START_TEST(thought_better_of)
{
    uint64_t used;

    has(&a, VA, 20);
    used = in_use(&a);
    CALL_OK(env_limit, a.env_cap, 5, 0);
    ck_assert_int_eq(CALL(env_limit, a.env_cap, LIMIT, 0), 0);
    ck_assert_uint_eq(a.env->owner.account.wanted, NONE);
    ck_assert(hears_nothing(&a)); /* the question was not delivered, and is no more */
    CALL_OK(page_alloc, EXO_SELF_SPACE, FAR, 5, EXO_WANT_ANY, RW);
    as(&root);
    ck_assert_int_eq(CALL(env_limit, a.env_cap, used, 0) > 0, 1);
    CALL_FAILS(EXO_EQUOTA, env_limit, a.env_cap, UINT64_MAX, 0);
    CALL_FAILS(EXO_EQUOTA, env_limit, a.env_cap, root.env->owner.account.limit, 0);
    ck_assert_uint_eq(a.env->owner.account.wanted, used); /* and it is still asked */
    all_gone();
}
END_TEST

START_TEST(refuses_and_ends)
{
    uint64_t deadline = machine.time + 1000, event = (uint64_t)CALL_OK(event_create, EXO_FIRST_VCPU, 0xff);
    uint64_t handles = (uint64_t)CALL_OK(env_create, 50, event, 0x10);
    struct env *env = env_of(cap_at(root.env, (exo_handle_t)handles));
    int64_t left;

    has(&a, VA, 20);
    left = CALL_OK(env_limit, a.env_cap, 10, deadline);
    ck_assert_int_gt(left, 0);
    ck_assert(hears(&a, EXO_REVOKE_FRAMES, (uint64_t)left));
    as(&root);
    exo_later(deadline - 1);
    ck_assert_int_eq(CALL(env_limit, a.env_cap, 10, 0), left);
    ck_assert_int_eq(a.env->state, EXO_ENV_ALIVE);
    exo_later(deadline);
    ck_assert_int_eq(CALL(env_limit, a.env_cap, 10, 0), left);
    ck_assert(ended_revoked(&a));
    ck_assert_int_eq(CALL(env_status, a.env_cap, EXO_ENV_REASON), EXO_END_REVOKED);
    ck_assert_int_eq(CALL(env_status, a.env_cap, EXO_ENV_CODE), left);
    ck_assert_int_eq(CALL(env_status, a.env_cap, EXO_ENV_PC), 0); /* it did nothing to end */
    ck_assert_int_eq(CALL(env_status, a.env_cap, EXO_ENV_ADDRESS), 0);
    CALL_FAILS(EXO_ESTATE, env_limit, a.env_cap, 10, 0);
    /* One that never ran, so that nobody can be asked, ends too, and its parent hears of it. */
    ck_assert_int_gt(CALL(env_limit, (exo_handle_t)handles, 1, 0), 0);
    CALL_OK(env_limit, (exo_handle_t)handles, 1, 0);
    ck_assert_int_eq(env->reason, EXO_END_REVOKED);
    ck_assert_uint_eq(root.vcpu->page->events, 0x10);
    while (CALL_OK(env_destroy, (exo_handle_t)handles))
        ;
    CALL_OK(cap_drop, (exo_handle_t)handles);
    CALL_OK(cap_drop, (exo_handle_t)(handles >> 32));
    CALL_OK(cap_drop, event);
    all_gone();
}
END_TEST

/* Takes what is left after the deadline; how many calls that took. */
static unsigned drive(uint64_t limit)
{
    unsigned calls = 0;

    exo_later(machine.time + 10000);
    while (CALL(env_limit, a.env_cap, limit, 0) > 0) {
        ck_assert_uint_lt(++calls, 5000);
        if (calls % 16 == 0)
            exo_check();
    }
    return calls;
}

/* Lists that a hostile application writes: whatever they say, only its own pages go, and the calls come to an end. */
START_TEST(hostile_lists)
{
    static const struct exo_victim lists[][3] = {
        {{VA + 1, 4, 0}, {UINT64_MAX - PAGE_MASK, 2, 0}, {PAGE_SIZE - 1, UINT32_MAX, 0}},
        {{VA, UINT32_MAX, 0}, {UINT64_MAX, UINT32_MAX, UINT32_MAX}, {1ull << 63, 1, 1}},
        {{0x7f80000000ull, 64, 0}, {0x8000000000ull, 1, 0}, {0x7f7ffff000ull, 2, 0}},
        {{VA, 20, 0}, {VA, 20, 0}, {VA + 10 * PAGE_SIZE, 20, 0}},
        {{0, 0x7f7ffffu, 0}, {0, 0, 0}, {VA, 1, 0}},
        {{ACTOR_VCPU_VA, 1, 0}, {VA, 3, 7}, {0, 0, 9}},
    };
    static const bool enough[] = {false, true, false, true, true, false};
    uint64_t others;

    has(&b, VA, 20);
    others = in_use(&b);
    has(&a, VA, 20);
    for (unsigned i = 0; i < 3; i++)
        a.vcpu->page->victims[i] = lists[_i][i];
    CALL_OK(env_limit, a.env_cap, in_use(&a) - 15, machine.time);
    drive(in_use(&a) - 15);
    ck_assert_int_eq(ended_revoked(&a), !enough[_i]);
    if (enough[_i]) {
        as(&a);
        ck_assert_uint_eq(a.vcpu->page->info, EXO_REVOKE_TAKEN);
        ck_assert_uint_le(a.vcpu->page->detail, 15); /* tables went too */
    }
    ck_assert_uint_eq(nbound(&b, VA, 20), 20);
    ck_assert_uint_eq(in_use(&b), others);
    all_gone();
}
END_TEST

/* A list that changes under the kernel's eyes, and pages of somebody else's that come and go in it. */
START_TEST(changing_lists)
{
    struct dice d = {(uint64_t)_i};
    uint64_t limit;

    has(&a, VA, 40);
    has(&b, VA, 8);
    for (unsigned i = 0; i < 8; i++)
        CALL_OK(page_map, a.space_cap, FAR + i * 0x200000, b.space_cap, VA + i * PAGE_SIZE, 1, RW);
    limit = in_use(&a) - 30;
    CALL_OK(env_limit, a.env_cap, limit, machine.time);
    for (unsigned calls = 0; a.env->state == EXO_ENV_ALIVE; calls++) {
        ck_assert_uint_lt(calls, 2000);
        for (unsigned i = 0; i < EXO_VICTIMS; i++)
            VICTIM(&a, i, dice_below(&d, 2) ? FAR : VA + dice_below(&d, 40) * PAGE_SIZE,
                   (uint32_t)(dice_below(&d, 3) ? dice_below(&d, 5) : dice(&d)));
        if (CALL_OK(env_limit, a.env_cap, limit, 0) == 0)
            break;
        CALL(page_map, a.space_cap, FAR, b.space_cap, VA, 1,
             RW); /* as long as it can still pay for the table */
    }
    ck_assert(ended_revoked(&a) || in_use(&a) <= limit);
    ck_assert_uint_eq(nbound(&b, VA, 8), 8);
    all_gone();
}
END_TEST

/* A list whose first range always ends a little further away: as many pieces as a sound list could need, and no more. */
START_TEST(lists_without_an_end)
{
    struct exo_victim *victim = &a.vcpu->page->victims[0];
    uint64_t limit, steps;

    has(&a, FAR, 4);
    limit = in_use(&a) - 3;
    VICTIM(&a, 0, FAR + 8 * PAGE_SIZE, 500);
    ck_assert_int_gt(CALL(env_limit, a.env_cap, limit, 0), 0);
    steps = a.env->revocation.steps;
    ck_assert_uint_gt(steps, in_use(&a));
    exo_later(machine.time + 10000);
    for (uint64_t i = 0; i < steps; i++) {
        ck_assert_int_gt(CALL(env_limit, a.env_cap, limit, 0), 0);
        ck_assert_int_eq(a.env->state, EXO_ENV_ALIVE);
        *victim = (struct exo_victim){FAR + (8ull - victim->taken) * PAGE_SIZE, victim->taken + 500, 0};
    }
    ck_assert_int_gt(CALL(env_limit, a.env_cap, limit, 0), 0);
    ck_assert(ended_revoked(&a));
    ck_assert_uint_eq(nbound(&a, FAR, 4), 4);
    all_gone();
}
END_TEST

/* A victim far away in a range that is nearly empty: each call stays short, and it is found. */
START_TEST(sparse_victims)
{
    uint64_t before = in_use(&a);

    has(&a, VA, 1);
    has(&a, 0x5000000000, 1);
    has(&a, 0x5000000000 + 300 * PAGE_SIZE, 1);
    VICTIM(&a, 0, VA, 0x6000000);
    CALL_OK(env_limit, a.env_cap, before, machine.time);
    ck_assert_uint_gt(drive(before), 5);
    ck_assert_int_eq(a.env->state, EXO_ENV_ALIVE);
    ck_assert(hears(&a, EXO_REVOKE_TAKEN, 3));
    all_gone();
}
END_TEST

START_TEST(pending_while_masked)
{
    has(&a, VA, 10);
    a.vcpu->page->upcall_masked = 1;
    CALL_OK(env_limit, a.env_cap, in_use(&a) - 2, EXO_FOREVER);
    ck_assert(hears_nothing(&a));
    CALL0(null);
    ck_assert(!machine_in_upcall(a.vcpu));
    a.vcpu->page->regs = (struct exo_regs){.pc = USER_PC};
    CALL0(resume);
    ck_assert(asked(&a, EXO_REVOKE_FRAMES, 2));
    upcall_done();
    ck_assert(!machine_in_upcall(a.vcpu)); /* once */
    all_gone();
}
END_TEST

/* Whoever waits, in whatever way, hears of it; only a call that is not to be interrupted goes on. */
START_TEST(wakes_who_waits)
{
    uint64_t mine = (uint64_t)CALL_OK(gate_create, b.vcpu_cap, 0);
    uint64_t gate = (uint64_t)CALL_OK(cap_grant, a.env_cap, mine, EXO_RIGHT_USE);
    int64_t expected = 0;

    has(&a, VA, 10);
    as(&a);
    switch (_i) {
    case 0:
        ck_assert_int_eq(CALL(wait, 1, EXO_FOREVER), MACHINE_AWAY);
        break;
    case 1:
        ck_assert_int_eq(CALL(reply_wait, 0, 0, 0, 0, 0, 0, 0, EXO_FOREVER), MACHINE_AWAY);
        break;
    case 2:
        ck_assert_int_eq(CALL(call, gate | EXO_MSG_INTR, 0, 0, 0, 0, 0, 0, EXO_FOREVER), MACHINE_AWAY);
        expected = -EXO_EINTR;
        break;
    case 3:
        a.vcpu->page->upcall_masked = 1; /* as servers do: they hear of it, and unmask */
        ck_assert_int_eq(CALL(reply_wait, 0, 0, 0, 0, 0, 0, 0, EXO_FOREVER), MACHINE_AWAY);
        break;
    default:
        ck_assert_int_eq(CALL(call, gate, 0, 0, 0, 0, 0, 0, EXO_FOREVER), MACHINE_AWAY);
    }
    as(&root);
    CALL_OK(env_limit, a.env_cap, in_use(&a) - 2, EXO_FOREVER);
    if (_i == 4) {
        ck_assert_int_eq(a.vcpu->state, VCPU_SENDING);
        as(&b);
        CALL(reply_wait, 0, 0, 0, 0, 0, 0, 0, EXO_FOREVER);
        CALL(reply_wait, x(b.vcpu, 0), 0, 0, 0, 0, 0, 0, EXO_FOREVER);
    } else {
        ck_assert_int_eq(a.vcpu->state, VCPU_READY);
    }
    as(&a);
    if (_i == 3) {
        ck_assert(!machine_in_upcall(a.vcpu));
        ck_assert_int_eq(result(a.vcpu), 0);
        ck_assert_int_eq(CALL(reply_wait, 0, 0, 0, 0, 0, 0, 0, EXO_FOREVER), 0); /* it is still pending */
        a.vcpu->page->upcall_masked = 0;
        CALL(wait, 0, 0);
    }
    ck_assert(asked(&a, EXO_REVOKE_FRAMES, 2));
    ck_assert_int_eq(result(a.vcpu), expected);
    upcall_done();
    as(&root);
    CALL_OK(cap_drop, mine);
    all_gone();
}
END_TEST

/* The vcpu that can listen is told. */
START_TEST(tells_one_that_listens)
{
    exo_handle_t handle;
    struct vcpu *second;

    has(&a, VA, 10);
    as(&a);
    second = actor_vcpu(FAR, &handle);
    a.vcpu->page->upcall_masked = 1;
    as(&root);
    CALL_OK(env_limit, a.env_cap, in_use(&a) - 2, EXO_FOREVER);
    ck_assert_uint_eq(a.vcpu->notices.due, 0);
    machine_run(second);
    ck_assert_uint_eq(second->page->reason, EXO_UPCALL_REVOKE);
    upcall_done();
    a.vcpu->page->upcall_masked = 0;
    all_gone();
}
END_TEST

/* What its children may use counts: it can pass the question on, and raise and lower as it likes within its own. */
START_TEST(children_count)
{
    uint64_t handles, used;
    exo_handle_t child;

    as(&a);
    handles = (uint64_t)CALL_OK(env_create, 60, 0, 0);
    child = (exo_handle_t)handles;
    CALL_OK(page_alloc, handles >> 32, VA, 20, EXO_WANT_ANY, RW);
    used = in_use(&a);
    as(&root);
    ck_assert_int_eq(CALL(env_limit, a.env_cap, used - 50, EXO_FOREVER), 50);
    ck_assert(hears(&a, EXO_REVOKE_FRAMES, 50));
    ck_assert_int_gt(CALL(env_limit, child, 5, 0), 0);
    while (CALL(env_limit, child, 5, 0) > 0)
        ;
    while (CALL_OK(env_destroy, child))
        ;
    as(&root);
    ck_assert_int_eq(CALL(env_limit, a.env_cap, used - 50, 0), 0);
    all_gone();
}
END_TEST

START_TEST(limit_errors)
{
    exo_handle_t weak, other;
    uint64_t handles, state;

    has(&a, VA, 10);
    weak = (exo_handle_t)CALL_OK(cap_grant, EXO_SELF_ENV, a.env_cap, EXO_RIGHTS_ALL & ~EXO_RIGHT_MANAGE);
    as(&a);
    handles = (uint64_t)CALL_OK(env_create, 10, 0, 0);
    CALL_OK(cap_grant, EXO_SELF_ENV, handles & UINT32_MAX, EXO_RIGHTS_ALL);
    as(&root);
    other = (exo_handle_t)CALL_OK(cap_grant, b.env_cap, a.env_cap, EXO_RIGHTS_ALL);
    state = exo_state();
    CALL_FAILS(EXO_EHANDLE, env_limit, 0, 10, 0);
    CALL_FAILS(EXO_EHANDLE, env_limit, UINT64_MAX, 10, 0);
    CALL_FAILS(EXO_ETYPE, env_limit, a.space_cap, 10, 0);
    CALL_FAILS(EXO_ERIGHTS, env_limit, weak, 10, 0);
    CALL_FAILS(EXO_ESTATE, env_limit, EXO_SELF_ENV, 10, 0);
    CALL_FAILS(EXO_EQUOTA, env_limit, a.env_cap, INT64_MAX, 0);
    CALL_FAILS(EXO_EQUOTA, env_limit, a.env_cap, UINT64_MAX, UINT64_MAX);
    ck_assert_uint_eq(exo_state(), state);
    as(&b);
    CALL_FAILS(EXO_ESTATE, env_limit, other, 10, 0); /* all rights, and not the parent */
    as(&a);
    CALL_FAILS(EXO_ESTATE, env_limit, EXO_SELF_ENV, 10, 0); /* nobody lowers or raises his own */
    as(&root);
    CALL_OK(cap_drop, weak);
    all_gone();
}
END_TEST

/* ---- pages ----------------------------------------------------------------------------------------------------- */

/* a has n pages at VA, of which b has copies at FAR; a is current. */
static void shared(unsigned n)
{
    has(&a, VA, n);
    CALL_OK(page_map, b.space_cap, FAR, a.space_cap, VA, n, EXO_PROT_MAX(RW) | RW);
    as(&a);
}

static int64_t reclaim(uint64_t n, uint64_t deadline)
{
    int64_t rc;

    as(&a);
    do
        rc = CALL_OK(page_reclaim, EXO_SELF_SPACE, VA, n, deadline);
    while (rc == EXO_RECLAIM_MORE);
    return rc;
}

static uint32_t refs(const struct actor *of, uint64_t va)
{
    struct binding binding;

    ck_assert(space_lookup(of->env->home, va, &binding));
    return frame_entry(binding.pfn)->refs;
}

START_TEST(nobody_else)
{
    has(&a, VA, 3);
    ck_assert_int_eq(reclaim(3, 0), EXO_RECLAIM_DONE);
    ck_assert_uint_eq(a.env->owner.account.reclaim, 0);
    CALL_OK(page_map, EXO_SELF_SPACE, FAR, EXO_SELF_SPACE, VA, 3,
            RW); /* its own other bindings do not matter */
    ck_assert_int_eq(reclaim(3, 0), EXO_RECLAIM_DONE);
    ck_assert_uint_eq(refs(&a, VA), 2);
    all_gone();
}
END_TEST

START_TEST(lets_go_in_time)
{
    uint64_t deadline = machine.time + 10 * NOTICE;

    shared(3);
    ck_assert_int_eq(reclaim(3, deadline), EXO_RECLAIM_ASKED);
    ck_assert_int_eq(reclaim(3, deadline), EXO_RECLAIM_ASKED);
    as(&b);
    ck_assert(asked(&b, EXO_REVOKE_PAGES, 3));
    ck_assert_uint_eq(b.vcpu->page->revoke.va, FAR);
    ck_assert_uint_eq(b.vcpu->page->revoke.space, 0);
    ck_assert_uint_eq(b.vcpu->page->revoke.deadline, deadline);
    upcall_done();
    CALL_OK(page_unmap, EXO_SELF_SPACE, FAR, 2, 0);
    ck_assert_int_eq(reclaim(3, deadline), EXO_RECLAIM_ASKED);
    ck_assert(hears(&b, EXO_REVOKE_PAGES, 1)); /* it is asked anew for what is left */
    CALL_OK(page_unmap, EXO_SELF_SPACE, FAR, 3, 0);
    ck_assert_int_eq(reclaim(3, deadline), EXO_RECLAIM_DONE);
    for (unsigned i = 0; i < 3; i++)
        ck_assert_uint_eq(refs(&a, VA + i * PAGE_SIZE), 1);
    ck_assert(hears_nothing(&b));
    ck_assert(hears_nothing(&a));
    all_gone();
}
END_TEST

/* The unwilling keeps a page until the deadline, and not a tick longer.  K27 */
START_TEST(unwilling_holder)
{
    uint64_t deadline = machine.time + 10 * NOTICE;

    shared(4);
    as(&b);
    ck_assert_ptr_nonnull(machine_touch(FAR, EXO_PROT_WRITE));
    ck_assert_int_eq(reclaim(4, deadline), EXO_RECLAIM_ASKED);
    ck_assert(hears(&b, EXO_REVOKE_PAGES, 4));
    exo_later(deadline - 1);
    ck_assert_int_eq(reclaim(4, 0), EXO_RECLAIM_ASKED);
    ck_assert_uint_eq(nbound(&b, FAR, 4), 4);
    exo_later(deadline);
    reclaim(4, 0); /* the walk that had begun before asks once more */
    ck_assert_int_eq(reclaim(4, 0), EXO_RECLAIM_DONE);
    ck_assert_uint_eq(nbound(&b, FAR, 4), 0);
    ck_assert_uint_eq(refs(&a, VA), 1);
    ck_assert_int_eq(b.env->state, EXO_ENV_ALIVE);
    as(&b);
    while (asked(&b, EXO_REVOKE_PAGES, 4))
        upcall_done();
    ck_assert(asked(&b, EXO_REVOKE_GONE, 4));
    ck_assert_uint_eq(b.vcpu->page->revoke.va, FAR);
    upcall_done();
    ck_assert_ptr_null(machine_touch(FAR, EXO_PROT_WRITE)); /* nor does its TLB know the way */
    upcall_done();
    all_gone();
}
END_TEST

/* Whatever deadline the caller names, strangers have this long. */
START_TEST(least_notice)
{
    uint64_t began = machine.time;

    shared(1);
    ck_assert_int_eq(reclaim(1, 0), EXO_RECLAIM_ASKED);
    exo_later(began + NOTICE - 1);
    ck_assert_int_eq(reclaim(1, 0), EXO_RECLAIM_ASKED);
    ck_assert(bound(&b, FAR));
    exo_later(machine.time + 10);
    while (reclaim(1, 0) != EXO_RECLAIM_DONE)
        ck_assert_uint_lt(machine.time, began + NOTICE + 50);
    ck_assert(!bound(&b, FAR));
    all_gone();
}
END_TEST

/* A page on its way back goes nowhere else: not from holder to holder, not from space to space, not into a message, nor
 * under a vcpu. */
START_TEST(no_sharing_meanwhile)
{
    uint64_t mine = (uint64_t)CALL_OK(gate_create, c.vcpu_cap, 0);
    uint64_t gate = (uint64_t)CALL_OK(cap_grant, b.env_cap, mine, EXO_RIGHT_USE), space, into_c;

    into_c = (uint64_t)CALL_OK(cap_grant, b.env_cap, c.space_cap, EXO_RIGHTS_ALL);
    shared(2);
    as(&b);
    space = (uint64_t)CALL_OK(space_create, 0);
    CALL_OK(page_map, space, VA, EXO_SELF_SPACE, FAR, 1, RW);
    ck_assert_int_eq(reclaim(1, EXO_FOREVER), EXO_RECLAIM_ASKED);
    as(&b);
    upcall_done();
    CALL_FAILS(EXO_EBUSY, page_map, EXO_SELF_SPACE, VA, EXO_SELF_SPACE, FAR, 1, RW);
    CALL_FAILS(EXO_EBUSY, page_map, EXO_SELF_SPACE, VA, EXO_SELF_SPACE, FAR, 2, RW); /* all or nothing */
    CALL_FAILS(EXO_EBUSY, page_map, EXO_SELF_SPACE, FAR + 2 * PAGE_SIZE, EXO_SELF_SPACE, FAR, 1, RW);
    ck_assert(!bound(&b, FAR + 2 * PAGE_SIZE));
    CALL_FAILS(EXO_EBUSY, page_map, space, FAR, EXO_SELF_SPACE, FAR, 1, RW);
    CALL_FAILS(EXO_EBUSY, page_map, into_c, FAR, EXO_SELF_SPACE, FAR, 1, RW);
    CALL_FAILS(EXO_EBUSY, vcpu_create, EXO_SELF_ENV, 0, EXO_SELF_SPACE, FAR);
    CALL_OK(page_map, EXO_SELF_SPACE, VA, EXO_SELF_SPACE, FAR + PAGE_SIZE, 1, RW); /* another is free to go */
    as(&c);
    c.vcpu->page->recv = (struct exo_recv){.va = FAR, .max_pages = 1};
    CALL(reply_wait, 0, 0, 0, 0, 0, 0, 0, EXO_FOREVER);
    as(&b);
    b.vcpu->page->send = (struct exo_send){.va = FAR, .npages = 1, .prot = RW};
    ck_assert_int_eq(CALL(call, gate | EXO_MSG_PAGES, 0, 0, 0, 0, 0, 0, EXO_FOREVER), -EXO_EBUSY);
    as(&a);
    CALL_OK(page_map, EXO_SELF_SPACE, FAR, EXO_SELF_SPACE, VA, 1, RW); /* its own it may bind as it likes */
    CALL_OK(page_map, EXO_SELF_SPACE, FAR + PAGE_SIZE, EXO_SELF_SPACE, VA, 1, RW);
    as(&root);
    CALL_OK(page_map, EXO_SELF_SPACE, FAR, b.space_cap, FAR, 1, RW); /* and so may who pays for it */
    as(&a);
    CALL_OK(page_reclaim, EXO_SELF_SPACE, VA, 0, 0); /* it thinks better of it */
    as(&b);
    CALL_OK(page_map, space, FAR, EXO_SELF_SPACE, FAR, 1, RW);
    as(&root);
    CALL_OK(page_unmap, EXO_SELF_SPACE, FAR, 1, 0);
    CALL_OK(cap_drop, mine);
    all_gone();
}
END_TEST

/* What one holder has in several spaces, and several holders have. */
START_TEST(several_holders)
{
    uint64_t spaces[3];

    shared(2);
    as(&root);
    CALL_OK(page_map, c.space_cap, FAR, a.space_cap, VA, 1, RW);
    as(&b);
    for (unsigned i = 0; i < 3; i++) {
        spaces[i] = (uint64_t)CALL_OK(space_create, 0);
        CALL_OK(page_map, spaces[i], VA + i * 0x40000000ull, EXO_SELF_SPACE, FAR, 2, RW);
        CALL_OK(page_map, spaces[i], FAR + 0x240000000ull, EXO_SELF_SPACE, FAR, 2, RW);
    }
    ck_assert_int_eq(reclaim(2, 0), EXO_RECLAIM_ASKED);
    ck_assert(hears(&c, EXO_REVOKE_PAGES, 1));
    as(&b);
    ck_assert_uint_eq(b.vcpu->page->info, EXO_REVOKE_PAGES);
    upcall_done();
    exo_later(machine.time + NOTICE);
    while (reclaim(2, 0) != EXO_RECLAIM_DONE)
        ;
    ck_assert_uint_eq(refs(&a, VA), 1);
    ck_assert_uint_eq(refs(&a, VA + PAGE_SIZE), 1);
    ck_assert(!bound(&c, FAR));
    as(&b);
    while (b.vcpu->page->info == EXO_REVOKE_PAGES)
        upcall_done();
    ck_assert_uint_eq(b.vcpu->page->info, EXO_REVOKE_GONE);
    ck_assert_uint_eq(b.vcpu->page->revoke.space, EXO_REVOKE_ANYWHERE);
    all_gone();
}
END_TEST

/* A page that a vcpu of the holder has pinned: it ends, the page comes back, its peers and its parent hear of it. */
START_TEST(pinned_by_a_vcpu)
{
    exo_handle_t handle;
    uint64_t gate, mine;

    shared(1);
    as(&b);
    handle = (exo_handle_t)CALL_OK(vcpu_create, EXO_SELF_ENV, 0, EXO_SELF_SPACE, FAR);
    ck_assert_int_gt(handle, 0);
    CALL_OK(page_unmap, EXO_SELF_SPACE, FAR, 1, 0);
    as(&root);
    mine = (uint64_t)CALL_OK(gate_create, b.vcpu_cap, 0);
    gate = (uint64_t)CALL_OK(cap_grant, c.env_cap, mine, EXO_RIGHT_USE);
    as(&c);
    ck_assert_int_eq(CALL(call, gate, 0, 0, 0, 0, 0, 0, EXO_FOREVER), MACHINE_AWAY);
    ck_assert_int_eq(reclaim(1, 0), EXO_RECLAIM_ASKED);
    ck_assert(hears(&b, EXO_REVOKE_PAGES, 1));
    ck_assert_int_eq(reclaim(1, 0), EXO_RECLAIM_ASKED);
    ck_assert_int_eq(b.env->state, EXO_ENV_ALIVE);
    exo_later(machine.time + NOTICE);
    while (reclaim(1, 0) != EXO_RECLAIM_DONE)
        ;
    ck_assert(ended_revoked(&b));
    ck_assert_uint_eq(refs(&a, VA), 1);
    exo_check();
    as(&c);
    ck_assert_int_eq(result(c.vcpu), -EXO_EDEAD);
    ck_assert_int_eq(reclaim(1, 0), EXO_RECLAIM_DONE); /* who has no page any more has none of these */
    as(&root);
    CALL_OK(cap_drop, mine);
    all_gone();
}
END_TEST

/* The same one of its own vcpus has is its own matter. */
START_TEST(own_vcpu_page)
{
    as(&a);
    ck_assert_int_eq(CALL(page_reclaim, EXO_SELF_SPACE, VA, 1, 0), -EXO_EUNBOUND);
    has(&a, VA, 1);
    as(&a);
    CALL_OK(vcpu_create, EXO_SELF_ENV, 0, EXO_SELF_SPACE, VA);
    ck_assert_int_eq(reclaim(1, 0), EXO_RECLAIM_DONE);
    ck_assert_uint_eq(refs(&a, VA), 2);
    all_gone();
}
END_TEST

/* However often pages were reclaimed: 0 is no mark. */
START_TEST(reclaims_without_number)
{
    a.env->nreclaims = UINT32_MAX;
    shared(1);
    ck_assert_int_eq(CALL(page_reclaim, EXO_SELF_SPACE, VA, 1, EXO_FOREVER), EXO_RECLAIM_MORE);
    ck_assert_uint_eq(a.env->owner.account.reclaim, 1);
    ck_assert_int_eq(reclaim(1, EXO_FOREVER), EXO_RECLAIM_ASKED);
    as(&b);
    upcall_done();
    CALL_FAILS(EXO_EBUSY, page_map, EXO_SELF_SPACE, FAR + PAGE_SIZE, EXO_SELF_SPACE, FAR, 1, RW);
    CALL_OK(page_unmap, EXO_SELF_SPACE, FAR, 1, 0);
    ck_assert_int_eq(reclaim(1, EXO_FOREVER), EXO_RECLAIM_DONE);
    all_gone();
}
END_TEST

/* The space that was named is gone, and another one stands in its frame: that one was not named.  K21 */
START_TEST(another_space_in_its_place)
{
    uint64_t spaces[2];
    pfn_t where[2];

    as(&a);
    for (unsigned i = 0; i < 2; i++) {
        spaces[i] = (uint64_t)CALL_OK(space_create, 0);
        where[i] = cap_at(a.env, spaces[i])->object;
        CALL_OK(page_alloc, spaces[i], VA, 1, EXO_WANT_ANY, RW);
        if (i == 0) {
            ck_assert_int_eq(CALL(page_reclaim, spaces[0], VA, 1, 0), EXO_RECLAIM_MORE);
            CALL_OK(page_unmap, spaces[0], VA, 1, 0);
            while (CALL_OK(space_destroy, spaces[0]))
                ;
        }
    }
    ck_assert_uint_eq(where[0], where[1]);
    CALL_FAILS(EXO_EBUSY, page_reclaim, spaces[1], VA, 1, 0);
    CALL_OK(page_reclaim, spaces[1], VA, 0, 0);
    ck_assert_int_eq(CALL(page_reclaim, spaces[1], VA, 1, 0), EXO_RECLAIM_MORE);
    all_gone();
}
END_TEST

/* Unbound lazily, it was still in the holder's TLB. */
START_TEST(lazily_let_go)
{
    shared(2);
    as(&b);
    ck_assert_ptr_nonnull(machine_touch(FAR, EXO_PROT_WRITE));
    CALL_OK(page_unmap, EXO_SELF_SPACE, FAR, 1, EXO_LAZY);
    ck_assert_ptr_nonnull(machine_touch(FAR, EXO_PROT_WRITE));
    ck_assert_int_eq(reclaim(1, 0), EXO_RECLAIM_DONE);
    as(&b);
    ck_assert_ptr_null(machine_touch(FAR, EXO_PROT_WRITE));
    upcall_done();
    all_gone();
}
END_TEST

/* Who has ended is not asked. */
START_TEST(dead_holders)
{
    shared(2);
    as(&b);
    CALL_OK(vcpu_create, EXO_SELF_ENV, 0, EXO_SELF_SPACE, FAR + PAGE_SIZE);
    as(&root);
    CALL(env_stop, b.env_cap);
    ck_assert_int_eq(reclaim(2, EXO_FOREVER), EXO_RECLAIM_DONE);
    ck_assert_uint_eq(refs(&a, VA), 1);
    ck_assert_uint_eq(refs(&a, VA + PAGE_SIZE), 1);
    ck_assert_int_eq(b.env->reason, EXO_END_STOP);
    all_gone();
}
END_TEST

/* Ancestors pay for the caller, and keep what they bound. */
START_TEST(ancestors_keep)
{
    has(&a, VA, 1);
    CALL_OK(page_map, EXO_SELF_SPACE, FAR, a.space_cap, VA, 1, RW);
    ck_assert_int_eq(reclaim(1, 0), EXO_RECLAIM_DONE);
    ck_assert(bound(&root, FAR));
    as(&root);
    CALL_OK(page_unmap, EXO_SELF_SPACE, FAR, 1, 0);
    all_gone();
}
END_TEST

/* The caller ends in the midst of it: what it had marked is shared again, and nobody is asked for it. */
START_TEST(caller_ends)
{
    shared(1);
    ck_assert_int_eq(reclaim(1, EXO_FOREVER), EXO_RECLAIM_ASKED);
    as(&root);
    while (CALL_OK(env_destroy, a.env_cap))
        ;
    exo_check();
    CALL_OK(page_map, c.space_cap, FAR, b.space_cap, FAR, 1, RW);
    CALL_OK(cap_drop, a.env_cap);
    CALL_OK(cap_drop, a.space_cap);
    CALL_OK(cap_drop, a.vcpu_cap);
    a = actor_make(LIMIT);
    all_gone();
}
END_TEST

START_TEST(reclaim_errors)
{
    uint64_t weak, state, other;

    shared(2);
    as(&root);
    weak = (uint64_t)CALL_OK(cap_grant, a.env_cap, a.space_cap, EXO_RIGHTS_ALL & ~EXO_RIGHT_READ);
    other = (uint64_t)CALL_OK(cap_grant, a.env_cap, b.space_cap, EXO_RIGHTS_ALL);
    as(&b);
    CALL_OK(page_alloc, EXO_SELF_SPACE, VA, 1, EXO_WANT_ANY, RW);
    as(&root);
    CALL_OK(page_map, a.space_cap, FAR, b.space_cap, VA, 1, RW);
    CALL_OK(info_map, EXO_FIRST_INFO, EXO_INFO_SYSTEM, 0, a.space_cap, FAR + PAGE_SIZE);
    CALL_OK(mmio_map, EXO_FIRST_MMIO, a.space_cap, FAR + 2 * PAGE_SIZE, 0x9000000, 1, RW);
    as(&a);
    state = exo_state();
    CALL_FAILS(EXO_EHANDLE, page_reclaim, 0, VA, 1, 0);
    CALL_FAILS(EXO_ETYPE, page_reclaim, EXO_SELF_ENV, VA, 1, 0);
    CALL_FAILS(EXO_ERIGHTS, page_reclaim, weak, VA, 1, 0);
    CALL_FAILS(EXO_ERANGE, page_reclaim, EXO_SELF_SPACE, VA + 1, 1, 0);
    CALL_FAILS(EXO_ERANGE, page_reclaim, EXO_SELF_SPACE, 1ull << 63, 1, 0);
    CALL_FAILS(EXO_ERANGE, page_reclaim, EXO_SELF_SPACE, VA, UINT64_MAX, 0);
    CALL_FAILS(EXO_ERANGE, page_reclaim, EXO_SELF_SPACE, VA, EXO_RANGE_MAX + 1, 0);
    CALL_FAILS(EXO_EUNBOUND, page_reclaim, EXO_SELF_SPACE, VA, 3, 0);
    CALL_FAILS(EXO_EUNBOUND, page_reclaim, EXO_SELF_SPACE, 0x77000000, 1, 0);
    CALL_FAILS(EXO_ESTATE, page_reclaim, other, FAR, 1, 0);                          /* another's space */
    CALL_FAILS(EXO_ERIGHTS, page_reclaim, EXO_SELF_SPACE, FAR, 1, 0);                /* another pays */
    CALL_FAILS(EXO_EINVAL, page_reclaim, EXO_SELF_SPACE, FAR + PAGE_SIZE, 1, 0);     /* a kernel table */
    CALL_FAILS(EXO_EINVAL, page_reclaim, EXO_SELF_SPACE, FAR + 2 * PAGE_SIZE, 1, 0); /* registers */
    ck_assert_uint_eq(exo_state(), state);
    ck_assert_int_eq(reclaim(2, EXO_FOREVER), EXO_RECLAIM_ASKED);
    as(&a);
    state = exo_state();
    CALL_FAILS(EXO_EBUSY, page_reclaim, EXO_SELF_SPACE, VA, 1, EXO_FOREVER);
    CALL_FAILS(EXO_EBUSY, page_reclaim, EXO_SELF_SPACE, VA + PAGE_SIZE, 1, 0);
    ck_assert_uint_eq(exo_state(), state);
    CALL_OK(page_reclaim, EXO_SELF_SPACE, VA, 0, 0);
    all_gone();
}
END_TEST

/* No call of either kind looks at everything at once. */
START_TEST(in_pieces)
{
    unsigned calls = 0;
    int64_t rc;

    shared(1);
    do {
        rc = CALL_OK(page_reclaim, EXO_SELF_SPACE, VA, 1, 0);
        calls++;
    } while (rc == EXO_RECLAIM_MORE);
    ck_assert_uint_ge(calls, system_info->nframes / 128);
    all_gone();
}
END_TEST

/* ---- every order ------------------------------------------------------------------------------------------------- */

/* a reclaims what b and c hold, init lowers b's limit; one after the other in an order of its own: */
enum step {
    RECLAIM,   /* some pieces of it */
    DEADLINE,  /* passes for all */
    LOWER,     /* b's limit, twice */
    STOP_B,    /* ends */
    DESTROY_C, /* goes */
    STOP_A,    /* the caller ends */
    NSTEPS
};

static void one_step(enum step step)
{
    as(&root);
    switch (step) {
    case RECLAIM:
        for (unsigned i = 0; i < 7 && a.env->state == EXO_ENV_ALIVE; i++) {
            as(&a);
            CALL(page_reclaim, EXO_SELF_SPACE, VA, 2, 0);
        }
        return;
    case DEADLINE:
        exo_later(machine.time + NOTICE);
        return;
    case LOWER:
        for (unsigned i = 0; i < 2; i++)
            CALL(env_limit, b.env_cap, 9, machine.time + NOTICE / 2);
        return;
    case STOP_B:
        CALL(env_stop, b.env_cap);
        return;
    case DESTROY_C:
        while (CALL(env_destroy, c.env_cap) > 0)
            ;
        return;
    default:
        CALL(env_stop, a.env_cap);
    }
}

/* The nth order of the steps. */
static void order(unsigned n, enum step steps[NSTEPS])
{
    for (unsigned i = 0; i < NSTEPS; i++)
        steps[i] = (enum step)i;
    for (unsigned i = NSTEPS; i > 1; n /= i, i--) {
        enum step last = steps[i - 1];

        steps[i - 1] = steps[n % i];
        steps[n % i] = last;
    }
}

static void drop_actor(struct actor *of)
{
    while (CALL(env_destroy, of->env_cap) > 0)
        ;
    CALL_OK(cap_drop, of->env_cap);
    CALL_OK(cap_drop, of->space_cap);
    CALL_OK(cap_drop, of->vcpu_cap);
}

START_TEST(in_every_order)
{
    enum step steps[NSTEPS];

    for (unsigned n = (unsigned)_i * 72; n < (unsigned)_i * 72 + 72; n++) {
        order(n, steps);
        shared(2);
        as(&root);
        CALL_OK(page_map, c.space_cap, FAR, a.space_cap, VA, 2, RW);
        as(&b);
        CALL_OK(vcpu_create, EXO_SELF_ENV, 0, EXO_SELF_SPACE, FAR + PAGE_SIZE);
        VICTIM(&b, 0, FAR, 2);
        for (unsigned i = 0; i < NSTEPS; i++) {
            one_step(steps[i]);
            exo_check();
        }
        one_step(RECLAIM);
        as(&root);
        drop_actor(&a);
        drop_actor(&b);
        drop_actor(&c);
        ck_assert_msg(exo_free_frames() == free_before, "order %u", n);
        a = actor_make(LIMIT);
        b = actor_make(LIMIT);
        c = actor_make(LIMIT);
    }
}
END_TEST

/* ---- what devices reach: K18 ------------------------------------------------------------------------------------ */

#define STREAM 8u
#define IOVA 0x80000000ull

static uint64_t domain; /* b's */

static void setup_iommu(void)
{
    machine.iommu = true;
    setup();
}

/* b's device, too, reaches the n pages that a and b share, and b unbinds them. */
static void pinned(unsigned n)
{
    uint64_t dma = (uint64_t)CALL_OK(cap_grant, b.env_cap, EXO_FIRST_DMA, EXO_RIGHT_USE, STREAM, 1);

    shared(n);
    as(&b);
    domain = (uint64_t)CALL_OK(dma_open, dma, STREAM);
    ck_assert_int_eq(CALL(dma_bind, domain, IOVA, EXO_SELF_SPACE, FAR, n, RW), n);
    CALL_OK(page_unmap, EXO_SELF_SPACE, FAR, n, 0);
}

START_TEST(a_driver_lets_go)
{
    pinned(2);
    ck_assert_int_eq(reclaim(2, EXO_FOREVER), EXO_RECLAIM_ASKED);
    as(&b);
    ck_assert(asked(&b, EXO_REVOKE_PAGES, 2));
    ck_assert_uint_eq(b.vcpu->page->revoke.space, EXO_REVOKE_STREAM | STREAM);
    ck_assert_uint_eq(b.vcpu->page->revoke.va, IOVA);
    upcall_done();
    ck_assert_int_eq(CALL(dma_unbind, domain, IOVA, 2), 2);
    ck_assert_int_eq(reclaim(2, EXO_FOREVER), EXO_RECLAIM_DONE);
    ck_assert_uint_eq(refs(&a, VA), 1);
    all_gone();
}
END_TEST

START_TEST(an_unwilling_driver)
{
    uint64_t deadline = machine.time + 10 * NOTICE;

    pinned(3);
    ck_assert_ptr_nonnull(machine_dma(STREAM, IOVA + PAGE_SIZE, EXO_PROT_WRITE));
    ck_assert_int_eq(reclaim(2, deadline), EXO_RECLAIM_ASKED);
    exo_later(deadline - 1);
    ck_assert_int_eq(reclaim(2, deadline), EXO_RECLAIM_ASKED);
    ck_assert_ptr_nonnull(machine_dma(STREAM, IOVA + PAGE_SIZE, EXO_PROT_WRITE));
    exo_later(deadline);
    reclaim(2, deadline);
    ck_assert_int_eq(reclaim(2, deadline), EXO_RECLAIM_DONE);
    ck_assert_ptr_null(machine_dma(STREAM, IOVA + PAGE_SIZE, EXO_PROT_WRITE));
    ck_assert_ptr_nonnull(
        machine_dma(STREAM, IOVA + 2 * PAGE_SIZE, EXO_PROT_WRITE)); /* nobody asked for that */
    ck_assert_uint_eq(refs(&a, VA), 1);
    as(&b);
    while (asked(&b, EXO_REVOKE_PAGES, 2))
        upcall_done();
    ck_assert(asked(&b, EXO_REVOKE_GONE, 2));
    ck_assert_uint_eq(b.vcpu->page->revoke.space, EXO_REVOKE_STREAM | STREAM);
    upcall_done();
    all_gone();
}
END_TEST

/* What the caller's own device reaches is its own matter. */
START_TEST(own_devices_keep)
{
    uint64_t dma = (uint64_t)CALL_OK(cap_grant, a.env_cap, EXO_FIRST_DMA, EXO_RIGHT_USE, STREAM, 1);

    shared(1);
    domain = (uint64_t)CALL_OK(dma_open, dma, STREAM);
    ck_assert_int_eq(CALL(dma_bind, domain, IOVA, EXO_SELF_SPACE, VA, 1, RW), 1);
    ck_assert_int_eq(reclaim(1, 0), EXO_RECLAIM_ASKED);
    exo_later(machine.time + NOTICE);
    while (reclaim(1, 0) != EXO_RECLAIM_DONE)
        ;
    ck_assert(!bound(&b, FAR));
    ck_assert_ptr_nonnull(machine_dma(STREAM, IOVA, EXO_PROT_WRITE));
    ck_assert_uint_eq(refs(&a, VA), 2);
    all_gone();
}
END_TEST

START_TEST(no_device_gets_it_meanwhile)
{
    pinned(1);
    as(&root);
    CALL_OK(page_map, b.space_cap, FAR, a.space_cap, VA, 1, EXO_PROT_MAX(RW) | RW);
    ck_assert_int_eq(reclaim(1, EXO_FOREVER), EXO_RECLAIM_ASKED);
    as(&b);
    upcall_done();
    CALL_FAILS(EXO_EBUSY, dma_bind, domain, IOVA + PAGE_SIZE, EXO_SELF_SPACE, FAR, 1, RW);
    all_gone();
}
END_TEST

/* An IOMMU that does not answer may let the device go on: then nobody is told that all have let go. */
START_TEST(a_device_that_cannot_be_stopped)
{
    int64_t rc;

    pinned(1);
    ck_assert_int_eq(reclaim(1, 0), EXO_RECLAIM_ASKED);
    exo_later(machine.time + NOTICE);
    machine.iommu_deaf = true;
    as(&a);
    do
        rc = CALL(page_reclaim, EXO_SELF_SPACE, VA, 1, 0);
    while (rc == EXO_RECLAIM_MORE || rc == EXO_RECLAIM_ASKED);
    ck_assert_int_eq(rc, -EXO_ETIMEDOUT);
    ck_assert_uint_eq(a.env->owner.account.reclaim, 0);
    ck_assert_uint_eq(refs(&a, VA), 2);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("revoke");
    TCase *tc = tcase_create("revoke");

    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, exo_check);
    tcase_add_test(tc, room_moves_at_once);
    tcase_add_test(tc, asked_and_complies);
    tcase_add_test(tc, takes_victims_in_order);
    tcase_add_test(tc, a_deadline_moves_back_only);
    tcase_add_test(tc, thought_better_of);
    tcase_add_test(tc, refuses_and_ends);
    tcase_add_loop_test(tc, hostile_lists, 0, 6);
    tcase_add_loop_test(tc, changing_lists, 0, 20);
    tcase_add_test(tc, lists_without_an_end);
    tcase_add_test(tc, sparse_victims);
    tcase_add_test(tc, pending_while_masked);
    tcase_add_loop_test(tc, wakes_who_waits, 0, 5);
    tcase_add_test(tc, tells_one_that_listens);
    tcase_add_test(tc, children_count);
    tcase_add_test(tc, limit_errors);
    tcase_add_test(tc, nobody_else);
    tcase_add_test(tc, lets_go_in_time);
    tcase_add_test(tc, unwilling_holder);
    tcase_add_test(tc, least_notice);
    tcase_add_test(tc, no_sharing_meanwhile);
    tcase_add_test(tc, several_holders);
    tcase_add_test(tc, pinned_by_a_vcpu);
    tcase_add_test(tc, own_vcpu_page);
    tcase_add_test(tc, reclaims_without_number);
    tcase_add_test(tc, another_space_in_its_place);
    tcase_add_test(tc, lazily_let_go);
    tcase_add_test(tc, dead_holders);
    tcase_add_test(tc, ancestors_keep);
    tcase_add_test(tc, caller_ends);
    tcase_add_test(tc, reclaim_errors);
    tcase_add_test(tc, in_pieces);
    tcase_add_loop_test(tc, in_every_order, 0, 10);
    suite_add_tcase(s, tc);
    tc = tcase_create("devices");
    tcase_add_checked_fixture(tc, setup_iommu, exo_check);
    tcase_add_test(tc, a_driver_lets_go);
    tcase_add_test(tc, an_unwilling_driver);
    tcase_add_test(tc, own_devices_keep);
    tcase_add_test(tc, no_device_gets_it_meanwhile);
    tcase_add_test(tc, a_device_that_cannot_be_stopped);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    return exo_suite_run(suite());
}
