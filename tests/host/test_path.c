/* sources: libos/fs/path.c */
/* Paths as text.  F1 */
#include <check.h>
#include <errno.h>
#include <string.h>

#include "libos/fs/path.h"

START_TEST(parts)
{
    const char *text = "//usr/./bin//", *at = text, *end = text + strlen(text);
    struct path_part part;
    static const char *const want[] = {"usr", ".", "bin"};
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        ck_assert(path_next(&at, end, &part));
        ck_assert_uint_eq(part.len, strlen(want[i]));
        ck_assert_mem_eq(part.text, want[i], part.len);
        ck_assert(path_is_last(at, end) == (i == 2));
    }
    ck_assert(!path_next(&at, end, &part));
    at = text;
    ck_assert(!path_next(&at, text, &part)); /* nothing between the two */
}
END_TEST

START_TEST(joining)
{
    char out[PATH_BYTES], longest[PATH_BYTES + 1];
    ck_assert_int_eq(path_join("/home", "file", out), 0);
    ck_assert_str_eq(out, "/home/file");
    ck_assert_int_eq(path_join("/", "file", out), 0);
    ck_assert_str_eq(out, "/file");
    ck_assert_int_eq(path_join("/home", "/file/", out), 0);
    ck_assert_str_eq(out, "/file/");
    ck_assert_int_eq(path_join("/home", "", out), -ENOENT);
    memset(longest, 'x', sizeof(longest));
    longest[0] = '/';
    longest[PATH_BYTES - 1] = 0;
    ck_assert_int_eq(path_join("/", longest, out), -ENAMETOOLONG);
    longest[PATH_BYTES - 2] = 0;
    ck_assert_int_eq(path_join("/home", longest, out), 0);
    ck_assert_uint_eq(strlen(out), PATH_BYTES - 2);
    ck_assert_int_eq(path_join("/home", longest + 1, out), -ENAMETOOLONG);
    longest[PATH_BYTES - 1] = 'x';
    longest[PATH_BYTES] = 0;
    ck_assert_int_eq(path_join(longest, "x", out), -ENAMETOOLONG);
}
END_TEST

START_TEST(normalizing)
{
    static const char *const cases[][2] = {
        {"/", "/"},
        {"//", "/"},
        {"/a/b", "/a/b"},
        {"/a//b/", "/a/b"},
        {"/a/./b", "/a/b"},
        {"/a/../b", "/b"},
        {"/..", "/"},
        {"/../../a", "/a"},
        {"/a/b/..", "/a"},
        {"/a/b/../..", "/"},
        {"/a/b/../../..", "/"},
        {"/.", "/"},
        {"/...", "/..."},
        {"/a/.b/..c", "/a/.b/..c"},
        {"/a/../../b/./c/", "/b/c"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[64];
        strcpy(text, cases[i][0]);
        path_normalize(text);
        ck_assert_str_eq(text, cases[i][1]);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("path");
    TCase *tc = tcase_create("path");
    tcase_add_test(tc, parts);
    tcase_add_test(tc, joining);
    tcase_add_test(tc, normalizing);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
