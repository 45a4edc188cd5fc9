/* hog KIND: takes as much of something as the kernel gives, and says how much and why no more. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/exo.h"
#include "os/start.h"

#define SPARE 0x5000000000ull

static int64_t page(uint64_t i)
{
    return exo_page_alloc(EXO_SELF_SPACE, SPARE + i * PAGE_SIZE, 1, EXO_WANT_ANY,
                          EXO_PROT_READ | EXO_PROT_WRITE);
}

/* Each page needs tables of its own. */
static int64_t table(uint64_t i)
{
    uint64_t va = SPARE - (i << 21);

    return exo_page_alloc(EXO_SELF_SPACE, va, 1, EXO_WANT_ANY, EXO_PROT_READ);
}

static int64_t run(uint64_t i)
{
    uint64_t va = SPARE + i * (256 * PAGE_SIZE), flags = EXO_PROT_READ | EXO_PROT_WRITE | EXO_ALLOC_CONTIG;
    int64_t rc = 1;

    for (uint64_t done = 0; done < 256 && rc > 0; done += (uint64_t)rc) {
        rc = exo_page_alloc(EXO_SELF_SPACE, va + done * PAGE_SIZE, 256 - done, EXO_WANT_ANY, flags);
        flags |= EXO_ALLOC_MORE;
    }
    return rc;
}

static int64_t space(uint64_t i)
{
    (void)i;
    return exo_space_create();
}

static int64_t env(uint64_t i)
{
    (void)i;
    return exo_env_create(16, 0, 0);
}

static int64_t vcpu(uint64_t i)
{
    int64_t rc = exo_page_alloc(EXO_SELF_SPACE, SPARE + i * PAGE_SIZE, 1, EXO_WANT_ANY,
                                EXO_PROT_READ | EXO_PROT_WRITE);

    return rc < 0 ? rc : exo_vcpu_create(EXO_SELF_ENV, 0, EXO_SELF_SPACE, SPARE + i * PAGE_SIZE);
}

static int64_t gate(uint64_t i)
{
    return exo_gate_create(OS_HANDLE_VCPU, i);
}

/* Grants of grants of grants. */
static int64_t chain(uint64_t i)
{
    static exo_handle_t last = EXO_SELF_SPACE;
    int64_t rc = exo_cap_grant(EXO_SELF_ENV, last, EXO_RIGHTS_ALL, 0, 0);

    (void)i;
    last = rc > 0 ? (exo_handle_t)rc : last;
    return rc;
}

static int64_t heap(uint64_t i)
{
    char *block = malloc(100000);

    (void)i;
    return block ? memset(block, 1, 100000) != NULL : -EXO_EQUOTA;
}

static const struct {
    const char *name;
    int64_t (*take)(uint64_t i);
} kinds[] = {{"pages", page}, {"tables", table}, {"runs", run},    {"spaces", space}, {"envs", env},
             {"vcpus", vcpu}, {"gates", gate},   {"chain", chain}, {"heap", heap}};

int main(int argc, char **argv)
{
    for (unsigned k = 0; argc == 2 && k < sizeof(kinds) / sizeof(*kinds); k++) {
        uint64_t i = 0;
        int64_t rc;

        if (strcmp(argv[1], kinds[k].name))
            continue;
        puts("hog: here it goes"); /* what printing needs is there now */
        while ((rc = kinds[k].take(i)) > 0)
            i++;
        printf("hog: %u %s, then %s\n", (unsigned)i, argv[1], exo_errname((int)rc));
        return 0;
    }
    fputs("usage: hog pages|tables|runs|spaces|envs|vcpus|gates|chain|heap\n", stderr);
    return 2;
}
