/* Every call number with every class of wrong argument: an error of the list, and nothing changed.  K5 K14 K18 K20
 * K24, and the log ring.  K25 */
#include <stdio.h>
#include <string.h>

#include "cpu.h"
#include "exo_machine.h"
#include "log.h"

static struct actor a;

static void setup(void)
{
    exo_boot();
    a = actor_make(200);
    CALL_OK(page_alloc, EXO_SELF_SPACE, 0x10000000, 4, EXO_WANT_ANY, RW);
}

#define CALL_NARGS(name, nargs, args, what) nargs,
static const unsigned char nargs_of[] = {EXO_CALLS(CALL_NARGS)};
#define CALL_NAME(name, nargs, args, what) #name,
static const char *const name_of[] = {EXO_CALLS(CALL_NAME)};

static bool is_error(int64_t rc)
{
#define IS_IT(number, name, sentence) || rc == -(number)
    return false EXO_ERRORS(IS_IT);
}

START_TEST(one_list)
{
    ck_assert_uint_eq(ARRAY_LEN(nargs_of), EXO_NCALLS);
    ck_assert_uint_eq(EXO_CALL_resume, 0);
    ck_assert_uint_eq(EXO_CALL_null, EXO_NSWITCH);
}
END_TEST

START_TEST(unknown_numbers)
{
    static const uint64_t numbers[] = {
        EXO_NCALLS, EXO_NCALLS + 1, 63,         64,         UINT32_MAX,
        1ull << 32, INT64_MAX,      UINT64_MAX, 1ull << 63, (1ull << 32) + EXO_NSWITCH,
        1000};
    const uint64_t args[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    uint64_t state = exo_state();

    for (unsigned i = 0; i < ARRAY_LEN(numbers); i++) {
        ck_assert_int_eq(machine_call(numbers[i], args), -EXO_ENOCALL);
        for (unsigned r = 1; r < 19; r++)
            ck_assert_uint_eq(root.vcpu->regs.x[r], 0);
    }
    ck_assert_uint_eq(exo_state(), state);
}
END_TEST

/* Values that are wrong, or just right, somewhere. */
static uint64_t strange(struct dice *d)
{
    static const uint64_t values[] = {0,
                                      1,
                                      2,
                                      3,
                                      4,
                                      5,
                                      6,
                                      7,
                                      8,
                                      9,
                                      31,
                                      32,
                                      63,
                                      64,
                                      65,
                                      PAGE_SIZE,
                                      PAGE_SIZE - 1,
                                      PAGE_SIZE + 1,
                                      0x10000000,
                                      0x10001000,
                                      RAM_BASE,
                                      0x09000000,
                                      EXO_FIRST_VCPU_VA,
                                      UINT32_MAX,
                                      1ull << 32,
                                      (1ull << 32) + 1,
                                      1ull << 39,
                                      0x7f8000000000,
                                      1ull << 47,
                                      1ull << 48,
                                      1ull << 52,
                                      INT64_MAX,
                                      1ull << 63,
                                      UINT64_MAX - PAGE_MASK,
                                      UINT64_MAX};

    if (dice_below(d, 20) == 0)
        return dice(d);
    return values[dice_below(d, ARRAY_LEN(values))];
}

/* Calls that never come back, or that a test of failures has no use for. */
static bool left_out(uint64_t number)
{
    return number == EXO_CALL_env_exit || number == EXO_CALL_machine_stop || number == EXO_CALL_wait ||
           number == EXO_CALL_resume || number == EXO_CALL_env_stop || number == EXO_CALL_env_destroy ||
           number == EXO_CALL_reply_wait;
}

/* Whenever a call says no, everything is as it was. */
START_TEST(failing_changes_nothing)
{
    uint64_t number = (uint64_t)_i, failed = 0, went_well = 0;
    struct dice d = {number * 1000003 + 17};

    if (left_out(number))
        return;
    for (unsigned round = 0; round < 1500; round++) {
        uint64_t args[8] = {0}, state;
        int64_t rc;

        for (unsigned i = 0; i < nargs_of[number]; i++)
            args[i] = strange(&d);
        if (number == EXO_CALL_call)
            args[7] = 0;
        as(&root);
        CALL0(null);
        state = exo_state();
        rc = machine_call(number, args);
        if (rc == MACHINE_AWAY) {
            went_well++;
            continue;
        }
        if (rc >= 0) {
            went_well++;
            continue;
        }
        failed++;
        ck_assert_msg(is_error(rc), "%s: %ld is no error of the list", name_of[number], (long)rc);
        ck_assert_msg(exo_state() == state, "%s(%lx %lx %lx %lx %lx %lx) answered %ld and changed something",
                      name_of[number], (unsigned long)args[0], (unsigned long)args[1], (unsigned long)args[2],
                      (unsigned long)args[3], (unsigned long)args[4], (unsigned long)args[5], (long)rc);
    }
    ck_assert_msg(nargs_of[number] == 0 || failed > 0, "%s never failed", name_of[number]);
    ck_assert_uint_eq(failed + went_well, 1500);
}
END_TEST

/* The calls that hold the caller up: their errors. */
START_TEST(switching_errors)
{
    uint64_t state = exo_state();

    CALL_FAILS(EXO_EHANDLE, env_stop, 0);
    CALL_FAILS(EXO_ETYPE, env_stop, EXO_SELF_SPACE);
    CALL_FAILS(EXO_EHANDLE, env_destroy, 1ull << 32 | EXO_SELF_ENV);
    CALL_FAILS(EXO_ETYPE, env_destroy, EXO_FIRST_VCPU);
    CALL_FAILS(EXO_EHANDLE, machine_stop, 0, 0);
    CALL_FAILS(EXO_EINVAL, machine_stop, EXO_FIRST_MACHINE, 2);
    CALL_FAILS(EXO_EINVAL, machine_stop, EXO_FIRST_MACHINE, UINT64_MAX);
    CALL_FAILS(EXO_ETOKEN, reply_wait, 12345, 0, 0, 0, 0, 0, 0, 0);
    CALL_FAILS(EXO_ETOKEN, reply_wait, UINT64_MAX, 0, 0, 0, 0, 0, 0, 0);
    ck_assert_uint_eq(exo_state(), state);
    as(&a);
    CALL_FAILS(EXO_EHANDLE, machine_stop, EXO_FIRST_MACHINE, 0); /* not everybody's */
    as(&root);
    CALL(machine_stop, EXO_FIRST_MACHINE, EXO_STOP_RESET);
    ck_assert_int_eq(machine.end, MACHINE_STOPPED);
    ck_assert_int_eq(machine.stopped, EXO_STOP_RESET);
}
END_TEST

START_TEST(nothing_leaks_through_registers)
{
    as(&a);
    for (unsigned i = 0; i < EXO_NREGS; i++)
        a.vcpu->regs.x[i] = 0x1000 + i;
    CALL_OK(env_status, EXO_SELF_ENV, EXO_ENV_LIMIT);
    for (unsigned i = 1; i < 19; i++)
        ck_assert_uint_eq(a.vcpu->regs.x[i], 0);
    for (unsigned i = 19; i < EXO_NREGS; i++)
        ck_assert_uint_eq(a.vcpu->regs.x[i], 0x1000 + i);
    CALL(yield, 0);
    as(&a);
    for (unsigned i = 1; i < 19; i++)
        ck_assert_uint_eq(a.vcpu->regs.x[i], 0);
    for (unsigned i = 19; i < EXO_NREGS; i++)
        ck_assert_uint_eq(a.vcpu->regs.x[i], 0x1000 + i);
}
END_TEST

START_TEST(status_fields)
{
    ck_assert_int_eq(CALL(env_status, a.env_cap, EXO_ENV_STATE), EXO_ENV_ALIVE);
    ck_assert_int_eq(CALL(env_status, a.env_cap, EXO_ENV_LIMIT), 200);
    ck_assert_int_eq(CALL(env_status, a.env_cap, EXO_ENV_USED), (int64_t)a.env->owner.account.used);
    ck_assert_int_eq(CALL(env_status, a.env_cap, EXO_ENV_ID), env_frame(a.env));
    CALL_FAILS(EXO_EINVAL, env_status, a.env_cap, EXO_NENV_FIELDS);
    CALL_FAILS(EXO_EINVAL, env_status, a.env_cap, UINT64_MAX);
}
END_TEST

/* ---- the log -------------------------------------------------------------------------------------------------------- */

START_TEST(log_ring)
{
    const struct exo_log *log = machine.cpu->log;
    uint64_t size = system_info->log_bytes - sizeof(*log), written = log->written;
    char expected[65536];
    uint64_t at = written % size;
    struct dice d = {4};

    memcpy(expected, log->text, size);
    for (unsigned round = 0; round < 2000; round++) {
        uint64_t words[6], len = dice_below(&d, 49);

        for (unsigned i = 0; i < 6; i++)
            words[i] = dice(&d);
        ck_assert_int_eq(CALL(log_write, len, words[0], words[1], words[2], words[3], words[4], words[5]),
                         (int64_t)len);
        for (uint64_t i = 0; i < len; i++) {
            expected[at] = ((const char *)words)[i];
            at = (at + 1) % size;
        }
        written += len;
    }
    ck_assert_uint_eq(log->written, written);
    ck_assert_mem_eq(log->text, expected, size);
    CALL_FAILS(EXO_ERANGE, log_write, 49);
    CALL_FAILS(EXO_ERANGE, log_write, UINT64_MAX);
    ck_assert_uint_eq(log->written, written);
}
END_TEST

START_TEST(formatting)
{
    char out[100];

    ck_assert_uint_eq(exo_format(out, sizeof(out), "%s %c %u %d %x %lu %lx %%", "abc", 'z', 0u, INT32_MIN,
                                 0xbeefu, UINT64_MAX, 0x1234567890abcdeful),
                      strlen(out));
    ck_assert_str_eq(out, "abc z 0 -2147483648 beef 18446744073709551615 1234567890abcdef %");
    ck_assert_uint_eq(exo_format(out, 5, "%s", "too long"), 4);
    ck_assert_str_eq(out, "too ");
    ck_assert_uint_eq(exo_format(out, 1, "x%u", 5u), 0);
    ck_assert_str_eq(out, "");
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("calls");
    TCase *tc = tcase_create("calls");

    tcase_add_checked_fixture(tc, setup, exo_check);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, one_list);
    tcase_add_test(tc, unknown_numbers);
    tcase_add_test(tc, switching_errors);
    tcase_add_test(tc, nothing_leaks_through_registers);
    tcase_add_test(tc, status_fields);
    tcase_add_test(tc, log_ring);
    tcase_add_test(tc, formatting);
    suite_add_tcase(s, tc);

    tc = tcase_create("failing");
    tcase_add_checked_fixture(tc, setup, exo_check);
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, failing_changes_nothing, 0, EXO_NCALLS);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    return exo_suite_run(suite());
}
