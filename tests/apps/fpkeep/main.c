/* fpkeep SEED: holds values of its own in all FP registers while others do the same; they must stay (K5). */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "os/exo.h"
#include "os/time.h"

void fp_set(uint64_t base);
uint64_t fp_wrong(uint64_t base);

int main(int argc, char **argv)
{
    uint64_t base = (argc > 1 ? strtoul(argv[1], NULL, 0) : 1) * 0x100000001ull, wrong = 0, rounds = 0;
    uint64_t end = os_deadline_ns(1500000000);

    do {
        fp_set(base);
        for (unsigned i = 0; i < 1000; i++)
            wrong += fp_wrong(base);
        exo_yield(0);
        wrong += fp_wrong(base);
        exo_wait(0, os_deadline_ns(100000));
        wrong += fp_wrong(base);
        rounds++;
    } while (os_deadline_ns(0) < end);
    printf("fpkeep %s: %s after %s rounds\n", argc > 1 ? argv[1] : "",
           wrong ? "values were lost" : "all is there", rounds > 10 ? "many" : "few");
    return wrong != 0;
}
