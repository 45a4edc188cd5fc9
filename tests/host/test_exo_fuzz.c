/* Three environments, one of them init, make calls at random, on one CPU or on up to four: whatever they ask for, no call
 * breaks an invariant, panics, or answers what is not in the list.  T2, and all of K and I that the audit sees
 *
 * Seeds are fixed; a failure names its seed and step.  More of it:  FUZZ_SEED=n FUZZ_STEPS=n or FUZZ_SECONDS=n in the
 * environment, then build/host/tests/test_exo_fuzz (docs/testing.md).  What a step is: exo_fuzz.c, which `make fuzz` lets
 * clang's libFuzzer steer (docs/fuzzing.md). */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "exo_fuzz.h"

#define SEEDS 8
#define STEPS 25000u
#define AUDIT_EVERY 50u

static void one_seed(uint64_t seed, uint64_t steps)
{
    const struct exo_fuzz how = {.ram = 10 << 20,
                                 .iommu = seed % 3 != 0,
                                 .ncpus = 1 + seed / 2 % 4,
                                 .trace = seed % 2 == 0,
                                 .steps = steps,
                                 .audit_every = AUDIT_EVERY};
    char name[40];

    snprintf(name, sizeof(name), "seed %lu", (unsigned long)seed);
    exo_fuzz(name, (struct exo_numbers){.dice = {seed * 0x100000001b3ull}}, &how);
}

START_TEST(fixed_seeds)
{
    one_seed((uint64_t)_i + 1, STEPS);
}
END_TEST

static uint64_t setting(const char *name)
{
    const char *text = getenv(name);

    return text ? strtoull(text, NULL, 0) : 0;
}

static Suite *suite(uint64_t first, int n, uint64_t *steps);

static uint64_t long_steps;
START_TEST(chosen_seed)
{
    one_seed((uint64_t)_i, long_steps);
}
END_TEST

static Suite *suite(uint64_t first, int n, uint64_t *steps)
{
    Suite *s = suite_create("fuzz");
    TCase *tc = tcase_create("calls");

    tcase_set_timeout(tc, steps ? 3600 : 100);
    if (steps) {
        long_steps = *steps;
        tcase_add_loop_test(tc, chosen_seed, (int)first, (int)first + n);
    } else {
        tcase_add_loop_test(tc, fixed_seeds, 0, SEEDS);
    }
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    uint64_t first = setting("FUZZ_SEED"), steps = setting("FUZZ_STEPS"), seconds = setting("FUZZ_SECONDS");
    time_t end = time(NULL) + (time_t)seconds;
    uint64_t per_seed = steps ? steps : STEPS;

    if (!first && !steps && !seconds)
        return exo_suite_run(suite(0, 0, NULL));
    if (!seconds)
        return exo_suite_run(suite(first ? first : 1, 1, &per_seed));
    for (uint64_t at = first ? first : (uint64_t)time(NULL) % 1000000; time(NULL) < end; at += 20) {
        printf("seeds from %lu on\n", (unsigned long)at);
        if (exo_suite_run(suite(at, 20, &per_seed)))
            return 1;
    }
    return 0;
}
