/* Capabilities: handles, derivation, revocation, full tables.  K18 K21, invariant 6 */
#include "exo_machine.h"

static uint64_t grant(const struct actor *to, uint64_t cap, uint64_t rights, uint64_t a, uint64_t b)
{
    return (uint64_t)CALL_OK(cap_grant, to->env_cap, cap, rights, a, b);
}

START_TEST(dropped_handles_name_nothing)
{
    uint64_t first = grant(&root, EXO_FIRST_INFO, EXO_RIGHT_READ, 0, 0), again;

    CALL_OK(cap_drop, first);
    CALL_FAILS(EXO_EHANDLE, cap_drop, first);
    again = grant(&root, EXO_FIRST_INFO, EXO_RIGHT_READ, 0, 0);
    ck_assert_uint_ne(first, again);
    ck_assert_uint_eq(first & ((1u << EXO_HANDLE_INDEX_BITS) - 1),
                      again & ((1u << EXO_HANDLE_INDEX_BITS) - 1));
    CALL_FAILS(EXO_EHANDLE, cap_drop, first);
    CALL_FAILS(EXO_EHANDLE, info_map, first, EXO_INFO_LOG, 0, EXO_SELF_SPACE, 0x100000);
}
END_TEST

START_TEST(wild_handles)
{
    static const uint64_t wild[] = {0,          1u << 14,   64,         65,         16383,
                                    1000,       0x80000001, 0x7fffffff, 1ull << 32, (1ull << 32) + 1,
                                    UINT64_MAX, INT64_MAX,  0x4001};

    for (unsigned i = 0; i < ARRAY_LEN(wild); i++) {
        CALL_FAILS(EXO_EHANDLE, cap_drop, wild[i]);
        CALL_FAILS(EXO_EHANDLE, cap_revoke, wild[i]);
        CALL_FAILS(EXO_EHANDLE, signal, wild[i], 1);
        CALL_FAILS(EXO_EHANDLE, cap_grant, EXO_SELF_ENV, wild[i], 1);
        CALL_FAILS(EXO_EHANDLE, cap_grant, wild[i], EXO_FIRST_INFO, 1);
        CALL_FAILS(EXO_EHANDLE, page_alloc, wild[i], 0x100000, 1, EXO_WANT_ANY, RW);
    }
}
END_TEST

START_TEST(rights_only_shrink)
{
    struct actor a = actor_make(64);
    uint64_t all = grant(&root, EXO_FIRST_INFO, EXO_RIGHTS_ALL, 0, 0);
    uint64_t some = grant(&root, all, EXO_RIGHT_READ | EXO_RIGHT_COPY, 0, 0);
    uint64_t last = grant(&a, some, EXO_RIGHT_READ, 0, 0);

    CALL_FAILS(EXO_ERIGHTS, cap_grant, a.env_cap, some, EXO_RIGHT_READ | EXO_RIGHT_USE);
    CALL_FAILS(EXO_ERIGHTS, cap_grant, a.env_cap, some, EXO_RIGHTS_ALL);
    CALL_FAILS(EXO_ERIGHTS, cap_grant, a.env_cap, some, EXO_RIGHT_READ | 32);
    as(&a);
    CALL_FAILS(EXO_ERIGHTS, cap_grant, EXO_SELF_ENV, last, EXO_RIGHT_READ); /* without COPY it stays here */
    ck_assert_int_eq(CALL(info_map, last, EXO_INFO_SYSTEM, 0, EXO_SELF_SPACE, 0x200000), 0);
}
END_TEST

START_TEST(meaning_only_narrows)
{
    uint64_t lines = grant(&root, EXO_FIRST_IRQ, EXO_RIGHTS_ALL, 40, 4), mmio, event, gate;

    CALL_FAILS(EXO_ERANGE, cap_grant, EXO_SELF_ENV, lines, 1, 39, 1);
    CALL_FAILS(EXO_ERANGE, cap_grant, EXO_SELF_ENV, lines, 1, 43, 2);
    CALL_FAILS(EXO_ERANGE, cap_grant, EXO_SELF_ENV, lines, 1, 41, UINT64_MAX);
    CALL_FAILS(EXO_ERANGE, cap_grant, EXO_SELF_ENV, lines, 1, 41, 0);
    CALL_FAILS(EXO_ERANGE, irq_bind, lines, 44, EXO_FIRST_VCPU, 1);
    CALL_FAILS(EXO_ERANGE, irq_bind, lines, UINT64_MAX, EXO_FIRST_VCPU, 1);
    mmio = grant(&root, EXO_FIRST_MMIO, EXO_RIGHTS_ALL, 0x9000000, 0x2000);
    CALL_FAILS(EXO_ERANGE, cap_grant, EXO_SELF_ENV, mmio, 1, 0x9000000, 0x3000);
    CALL_FAILS(EXO_ERANGE, cap_grant, EXO_SELF_ENV, mmio, 1, 0x9000800, 0x1000);
    CALL_FAILS(EXO_ERANGE, cap_grant, EXO_SELF_ENV, mmio, 1, 0x9001000, 0xfff);
    event = (uint64_t)CALL_OK(event_create, EXO_FIRST_VCPU, 0xf0);
    CALL_FAILS(EXO_ERIGHTS, cap_grant, EXO_SELF_ENV, event, 1, 0x1f0, 0);
    CALL_FAILS(EXO_ERIGHTS, cap_grant, EXO_SELF_ENV, event, 1, 0, 1);
    CALL_FAILS(EXO_ERIGHTS, signal, grant(&root, event, EXO_RIGHT_USE, 0x10, 0), 0x20);
    gate = (uint64_t)CALL_OK(gate_create, EXO_FIRST_VCPU, 0);
    gate = grant(&root, gate, EXO_RIGHTS_ALL, 77, 0); /* a badge, once set, stays */
    CALL_FAILS(EXO_ERIGHTS, cap_grant, EXO_SELF_ENV, gate, 1, 78, 0);
    ck_assert_uint_eq(cap_at(root.env, grant(&root, gate, EXO_RIGHT_USE, 0, 0))->a, 77);
    CALL_FAILS(EXO_EINVAL, cap_grant, EXO_SELF_ENV, EXO_FIRST_INFO, 1, 1, 0);
}
END_TEST

static void revoke(uint64_t cap)
{
    unsigned calls = 0;

    while (CALL_OK(cap_revoke, cap)) {
        exo_check();
        ck_assert_uint_lt(++calls, 4000); /* each call gets somewhere */
    }
}

START_TEST(revokes_a_chain)
{
    uint64_t top = grant(&root, EXO_FIRST_INFO, EXO_RIGHTS_ALL, 0, 0), at = top;
    uint32_t before = root.env->owner.caps.nused;

    for (int i = 0; i < _i; i++)
        at = grant(&root, at, EXO_RIGHTS_ALL, 0, 0);
    revoke(top);
    ck_assert_uint_eq(root.env->owner.caps.nused, before);
    if (_i)
        CALL_FAILS(EXO_EHANDLE, cap_drop, at);
    CALL_OK(cap_drop, top);
}
END_TEST

/* One call does 64 capabilities' work, and says whether more is left.  Loop: which call, how many. */
START_TEST(pieces_are_bounded)
{
    const unsigned n = 63 + (unsigned)_i / 2;
    uint64_t top = grant(&root, EXO_FIRST_INFO, EXO_RIGHTS_ALL, 0, 0);
    uint32_t before = root.env->owner.caps.nused;

    for (unsigned i = 0; i < n; i++)
        grant(&root, top, EXO_RIGHTS_ALL, 0, 0);
    if (_i % 2) {
        ck_assert_int_eq(CALL(cap_revoke, top), n > 64);
        ck_assert_uint_eq(root.env->owner.caps.nused, before + (n > 64 ? n - 64 : 0));
        if (n > 64)
            ck_assert_int_eq(CALL(cap_revoke, top), 0);
        ck_assert_uint_eq(root.env->owner.caps.nused, before);
    } else {
        ck_assert_int_eq(CALL(cap_drop, top), n > 64);
        if (n > 64)
            ck_assert_int_eq(CALL(cap_drop, top), 0);
        ck_assert_uint_eq(root.env->owner.caps.nused, before - 1 + n); /* they hang on what it hung on */
        ck_assert_int_eq(CALL(cap_revoke, EXO_FIRST_INFO), n > 64);
    }
}
END_TEST

START_TEST(revokes_a_tree)
{
    struct dice d = {(uint64_t)_i};
    struct actor a = actor_make(64), b = actor_make(64);
    const struct actor *to[3] = {&root, &a, &b};
    uint64_t mine[300], top = grant(&root, EXO_FIRST_INFO, EXO_RIGHTS_ALL, 0, 0);
    unsigned n = 0;

    mine[n++] = top;
    for (unsigned i = 0; i < 400; i++) {
        const struct actor *target = to[dice_below(&d, 3)];
        uint64_t cap = grant(target, mine[dice_below(&d, n)], EXO_RIGHTS_ALL, 0, 0);

        if (target == &root && n < ARRAY_LEN(mine))
            mine[n++] = cap;
    }
    for (unsigned i = 1; i < n; i += 7) { /* what came of a dropped one hangs on the one above */
        int64_t left;

        while ((left = CALL(cap_drop, mine[i])) > 0)
            ;
        ck_assert_int_eq(left, 0);
    }
    exo_check();
    revoke(top);
    for (unsigned i = 1; i < n; i++)
        ck_assert_ptr_null(cap_at(root.env, mine[i]));
    ck_assert_uint_eq(a.env->owner.caps.nused, 2);
    ck_assert_uint_eq(b.env->owner.caps.nused, 2);
    CALL_OK(cap_drop, top);
}
END_TEST

START_TEST(full_table)
{
    uint64_t first = exo_free_frames();
    int64_t rc;

    for (uint32_t n = root.env->owner.caps.nused; n < CAPS_FRAMES * CAPS_PER_FRAME - 1; n++)
        CALL_OK(cap_grant, EXO_SELF_ENV, EXO_FIRST_INFO, EXO_RIGHT_READ);
    ck_assert_uint_eq(first - exo_free_frames(), CAPS_FRAMES - 1);
    first = exo_state();
    CALL_FAILS(EXO_EFULL, cap_grant, EXO_SELF_ENV, EXO_FIRST_INFO, EXO_RIGHT_READ);
    CALL_FAILS(EXO_EFULL, space_create, 0);
    CALL_FAILS(EXO_EFULL, env_create, 16, 0, 0);
    CALL_FAILS(EXO_EFULL, gate_create, EXO_FIRST_VCPU, 0);
    CALL_FAILS(EXO_EFULL, event_create, EXO_FIRST_VCPU, 1);
    ck_assert_uint_eq(exo_state(), first);
    revoke(EXO_FIRST_INFO);
    rc = CALL(space_create, 0);
    ck_assert_int_ge(rc, 0);
}
END_TEST

START_TEST(grants_until_the_account_is_empty)
{
    struct actor a = actor_make(12);
    uint64_t granted = 0;
    int64_t rc;

    while ((rc = CALL(cap_grant, a.env_cap, EXO_FIRST_INFO, EXO_RIGHT_READ)) > 0)
        granted++;
    ck_assert_int_eq(rc, -EXO_EQUOTA); /* the receiver pays for its own table */
    ck_assert_uint_gt(granted, 60);
    actor_destroy(&a);
}
END_TEST

START_TEST(dead_objects_answer)
{
    struct actor a = actor_make(64);
    uint64_t gate = (uint64_t)CALL_OK(gate_create, a.vcpu_cap, 0);
    uint64_t event = (uint64_t)CALL_OK(event_create, a.vcpu_cap, 1);
    uint64_t space = (uint64_t)CALL_OK(space_create, 0);

    while (CALL_OK(env_destroy, a.env_cap))
        ;
    while (CALL_OK(space_destroy, space))
        ;
    for (unsigned i = 0; i < 2; i++) {
        CALL_FAILS(EXO_EDEAD, call, gate);
        CALL_FAILS(EXO_EDEAD, signal, event, 1);
        CALL_FAILS(EXO_EDEAD, env_status, a.env_cap, EXO_ENV_STATE);
        CALL_FAILS(EXO_EDEAD, env_destroy, a.env_cap);
        CALL_FAILS(EXO_EDEAD, page_alloc, a.space_cap, 0x100000, 1, EXO_WANT_ANY, RW);
        CALL_FAILS(EXO_EDEAD, page_alloc, space, 0x100000, 1, EXO_WANT_ANY, RW);
        CALL_FAILS(EXO_EDEAD, vcpu_start, a.vcpu_cap, 0);
        CALL_FAILS(EXO_EDEAD, gate_create, a.vcpu_cap, 0);
        CALL_FAILS(EXO_EDEAD, yield, a.vcpu_cap);
        CALL_FAILS(EXO_EDEAD, cap_grant, EXO_SELF_ENV, gate, EXO_RIGHT_USE);
        actor_make(64); /* its frames are others' now */
    }
    CALL_OK(cap_drop, gate);
}
END_TEST

START_TEST(handles_of_every_kind)
{
    /* Each of the first capabilities where another type is needed: the type is looked at before all else. */
    for (uint64_t h = EXO_SELF_ENV; h <= EXO_FIRST_TRACE; h++) {
        if (h != EXO_SELF_SPACE)
            CALL_FAILS(EXO_ETYPE, page_unmap, h, 0x100000, 1);
        if (h != EXO_SELF_ENV)
            CALL_FAILS(EXO_ETYPE, env_status, h, 0);
        if (h != EXO_FIRST_VCPU)
            CALL_FAILS(EXO_ETYPE, vcpu_start, h, 0);
        if (h != EXO_FIRST_MMIO)
            CALL_FAILS(EXO_ETYPE, mmio_map, h, EXO_SELF_SPACE, 0x100000, 0x9000000, 1, 3);
        if (h != EXO_FIRST_IRQ)
            CALL_FAILS(EXO_ETYPE, irq_ack, h, 40);
        if (h != EXO_FIRST_DMA)
            CALL_FAILS(EXO_ETYPE, msi_bind, EXO_FIRST_IRQ, MACHINE_LPI_MIN, h, 0, 0, EXO_FIRST_VCPU, 1);
        if (h != EXO_FIRST_SLICE)
            CALL_FAILS(EXO_ETYPE, slice_release, h, 0);
        if (h != EXO_FIRST_INFO)
            CALL_FAILS(EXO_ETYPE, info_map, h, 0, 0, EXO_SELF_SPACE, 0x100000);
        if (h != EXO_FIRST_MACHINE)
            CALL_FAILS(EXO_ETYPE, machine_stop, h, 0);
        if (h != EXO_FIRST_TRACE)
            CALL_FAILS(EXO_ETYPE, trace_control, h, 0, EXO_TRACE_OFF);
        CALL_FAILS(EXO_ETYPE, signal, h, 1);
        CALL_FAILS(EXO_ETYPE, call, h);
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("capabilities");
    TCase *tc = tcase_create("capabilities"), *big = tcase_create("big");

    tcase_add_checked_fixture(tc, exo_boot, exo_check);
    tcase_add_test(tc, dropped_handles_name_nothing);
    tcase_add_test(tc, wild_handles);
    tcase_add_test(tc, rights_only_shrink);
    tcase_add_test(tc, meaning_only_narrows);
    tcase_add_test(tc, grants_until_the_account_is_empty);
    tcase_add_test(tc, dead_objects_answer);
    tcase_add_test(tc, handles_of_every_kind);
    tcase_add_loop_test(tc, revokes_a_chain, 0, 1);
    tcase_add_loop_test(tc, pieces_are_bounded, 0, 6);
    tcase_add_loop_test(tc, revokes_a_chain, 60, 70);
    tcase_add_loop_test(tc, revokes_a_chain, 500, 501);
    tcase_add_loop_test(tc, revokes_a_tree, 0, 5);
    suite_add_tcase(s, tc);
    tcase_add_checked_fixture(big, exo_boot, exo_check);
    tcase_set_timeout(big, 120);
    tcase_add_test(big, full_table);
    suite_add_tcase(s, big);
    return s;
}

int main(void)
{
    return exo_suite_run(suite());
}
