#include <stdlib.h>

#include "exo_machine.h"

int exo_suite_run(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    int failed;

    machine.no_fast_paths = getenv("NO_FAST_PATHS") != NULL;
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
