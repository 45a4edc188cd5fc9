/* privileged NAME: one instruction that user mode may not execute. */
#include <stdio.h>
#include <string.h>

/* clang-format off */
#define EACH(X) \
    X(hvc) X(smc) X(brk) X(hlt) X(eret) X(daif) X(sctlr) X(ttbr) X(vbar) X(timer) X(icache) X(dcache) X(translate) \
    X(undefined)
/* clang-format on */

#define DECLARE(name) void do_##name(unsigned long argument);
EACH(DECLARE)

static const struct {
    const char *name;
    void (*fn)(unsigned long argument);
} instructions[] = {
#define ENTRY(name) {#name, do_##name},
    EACH(ENTRY)};

int main(int argc, char **argv)
{
    for (unsigned i = 0; argc == 2 && i < sizeof(instructions) / sizeof(*instructions); i++)
        if (strcmp(argv[1], instructions[i].name) == 0) {
            instructions[i].fn(0);
            printf("privileged: %s was executed\n", argv[1]);
            return 0;
        }
    fprintf(stderr, "usage: privileged NAME\n");
    return 2;
}
