/* fpkeep SEED: holds values of its own in all FP registers while others do the same, and while pages are copied for it; they
 * must stay (K5). */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "os/exo.h"
#include "os/mem.h"
#include "os/time.h"

void fp_set(uint64_t base);
uint64_t fp_wrong(uint64_t base);

#define PRIVATE 64u

/* Pages that are copied when they are written. */
static volatile char *private_pages(void)
{
    struct os_map own = {.kind = OS_REGION_ANON, .prot = EXO_PROT_READ | EXO_PROT_WRITE, .npages = PRIVATE};
    struct os_map shown = {.kind = OS_REGION_PRIVATE, .prot = own.prot, .npages = PRIVATE};
    uint64_t va;

    own.flags = OS_MAP_POPULATE;
    if (os_map_region(&own, &shown.source) || os_map_region(&shown, &va)) {
        puts("fpkeep: no private pages");
        exit(2);
    }
    return (volatile char *)va;
}

int main(int argc, char **argv)
{
    uint64_t base = (argc > 1 ? strtoul(argv[1], NULL, 0) : 1) * 0x100000001ull, wrong = 0, rounds = 0;
    uint64_t end = os_deadline_ns(1500000000);
    volatile char *page = private_pages();

    do {
        fp_set(base);
        if (rounds < PRIVATE) /* from the last one down: one at a time */
            page[(PRIVATE - 1 - rounds) * PAGE_SIZE] = 1;
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
