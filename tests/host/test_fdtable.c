/* sources: libos/fs/fdtable.c */
/* The descriptor table: always the lowest free number.  P7 K23 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libos/fs/fdtable.h"

static struct fdtable table;
static struct fd_file files[4];

static void setup(void)
{
    memset(&table, 0, sizeof(table));
    memset(files, 0, sizeof(files));
}

START_TEST(lowest_first)
{
    struct fd_file *last;
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(fdtable_add(&table, &files[0], 0, false), i);
    ck_assert_int_eq(fdtable_remove(&table, 1, &last), 0);
    ck_assert_ptr_null(last);
    ck_assert_int_eq(fdtable_remove(&table, 3, &last), 0);
    ck_assert_int_eq(fdtable_add(&table, &files[1], 0, false), 1);
    ck_assert_int_eq(fdtable_add(&table, &files[1], 10, false), 10);
    ck_assert_int_eq(fdtable_add(&table, &files[1], 0, false), 3);
    ck_assert_uint_eq(files[0].fds, 3);
    ck_assert_uint_eq(files[1].fds, 3);
}
END_TEST

START_TEST(full)
{
    struct fd_file *last;
    for (uint32_t i = 0; i < FD_MAX; i++)
        ck_assert_int_eq(fdtable_add(&table, &files[0], 0, false), (int)i);
    ck_assert_int_eq(fdtable_add(&table, &files[0], 0, false), -EMFILE);
    ck_assert_int_eq(fdtable_remove(&table, FD_MAX - 1, &last), 0);
    ck_assert_int_eq(fdtable_add(&table, &files[0], FD_MAX - 1, false), FD_MAX - 1);
    ck_assert_int_eq(fdtable_add(&table, &files[0], FD_MAX, false), -EINVAL);
    ck_assert_int_eq(fdtable_add(&table, &files[0], -1, false), -EINVAL);
    ck_assert_int_eq(fdtable_remove(&table, 100, &last), 0);
    ck_assert_int_eq(fdtable_add(&table, &files[0], 101, false), -EMFILE);
    ck_assert_int_eq(fdtable_add(&table, &files[0], 64, false), 100);
    ck_assert_uint_eq(files[0].fds, FD_MAX);
}
END_TEST

START_TEST(bad_numbers)
{
    static const int bad[] = {-1, 0, 5, FD_MAX - 1, FD_MAX, 1 << 30};
    struct fd_file *last;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        ck_assert_ptr_null(fdtable_get(&table, bad[i]));
        ck_assert_int_eq(fdtable_remove(&table, bad[i], &last), -EBADF);
        ck_assert_int_eq(fdtable_get_cloexec(&table, bad[i]), -EBADF);
        ck_assert_int_eq(fdtable_set_cloexec(&table, bad[i], true), -EBADF);
    }
    ck_assert_int_eq(fdtable_set(&table, -1, &files[0], false, &last), -EBADF);
    ck_assert_int_eq(fdtable_set(&table, FD_MAX, &files[0], false, &last), -EBADF);
    ck_assert_uint_eq(files[0].fds, 0);
}
END_TEST

START_TEST(replacing)
{
    struct fd_file *last;
    ck_assert_int_eq(fdtable_add(&table, &files[0], 0, true), 0);
    ck_assert_int_eq(fdtable_add(&table, &files[1], 0, true), 1);
    ck_assert_int_eq(fdtable_get_cloexec(&table, 1), 1);
    ck_assert_int_eq(fdtable_set(&table, 1, &files[0], false, &last), 0);
    ck_assert_ptr_eq(last, &files[1]);
    ck_assert_int_eq(fdtable_get_cloexec(&table, 1), 0);
    ck_assert_uint_eq(files[0].fds, 2);
    ck_assert_int_eq(fdtable_remove(&table, 0, &last), 0);
    ck_assert_int_eq(fdtable_set(&table, 1, &files[0], true, &last), 0); /* by itself: it stays */
    ck_assert_ptr_null(last);
    ck_assert_uint_eq(files[0].fds, 1);
    ck_assert_int_eq(fdtable_remove(&table, 1, &last), 0);
    ck_assert_ptr_eq(last, &files[0]);
    ck_assert_int_eq(fdtable_add(&table, &files[0], 1, false), 1);
    ck_assert_int_eq(fdtable_get_cloexec(&table, 1), 0); /* the mark went with the number */
}
END_TEST

/* Random work beside an array that is searched. */
START_TEST(agrees_with_an_array)
{
    static struct fd_file *model[FD_MAX];
    struct fd_file *last;
    memset(model, 0, sizeof(model));
    srand(_i);
    for (int step = 0; step < 20000; step++) {
        int fd = rand() % (int)FD_MAX;
        struct fd_file *file = &files[rand() % 4];
        if (rand() % 100 < 60) {
            int want = fd;
            while (want < (int)FD_MAX && model[want] != NULL)
                want++;
            ck_assert_int_eq(fdtable_add(&table, file, fd, false), want == (int)FD_MAX ? -EMFILE : want);
            if (want < (int)FD_MAX)
                model[want] = file;
        } else if (rand() % 4 == 0) {
            ck_assert_int_eq(fdtable_set(&table, fd, file, false, &last), 0);
            model[fd] = file;
        } else {
            ck_assert_int_eq(fdtable_remove(&table, fd, &last), model[fd] == NULL ? -EBADF : 0);
            model[fd] = NULL;
        }
        int next = rand() % (int)FD_MAX, expect = next;
        while (expect < (int)FD_MAX && model[expect] == NULL)
            expect++;
        ck_assert_int_eq(fdtable_next(&table, next), expect == (int)FD_MAX ? -1 : expect);
    }
    uint32_t count = 0;
    for (uint32_t i = 0; i < FD_MAX; i++) {
        ck_assert_ptr_eq(fdtable_get(&table, (int)i), model[i]);
        count += model[i] != NULL;
    }
    ck_assert_uint_eq(files[0].fds + files[1].fds + files[2].fds + files[3].fds, count);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fdtable");
    TCase *tc = tcase_create("fdtable");
    tcase_add_checked_fixture(tc, setup, NULL);
    tcase_add_test(tc, lowest_first);
    tcase_add_test(tc, full);
    tcase_add_test(tc, bad_numbers);
    tcase_add_test(tc, replacing);
    tcase_add_loop_test(tc, agrees_with_an_array, 1, 4);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
