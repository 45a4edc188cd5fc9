/* Boot: what the tree and the bundle say, good and bad.  B6 K9 K20 */
#include <string.h>

#include "exo_machine.h"

START_TEST(boots)
{
    ck_assert_uint_eq(machine.console_len, 0);
    ck_assert_uint_eq(system_info->nframes, 1024);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("boot");
    TCase *tc = tcase_create("good");

    tcase_add_checked_fixture(tc, exo_boot, exo_check);
    tcase_add_test(tc, boots);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    return exo_suite_run(suite());
}
