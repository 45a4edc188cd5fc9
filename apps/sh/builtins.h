/*
 * Builtins: the commands that must run in the shell itself, because they change it or tell about it.
 */
#ifndef SH_BUILTINS_H
#define SH_BUILTINS_H

#include <stdbool.h>

#include "shell.h"

struct builtin {
    const char *name;
    int (*run)(struct shell *sh, int argc, char **argv);
    const char *usage;      /* the arguments */
    const char *help;       /* one line */
    bool keeps_assignments; /* X=1 before it stays set: POSIX's special builtins */
    bool tells_own_state;   /* only this shell can answer, so a pipeline must not hand it to another */
};

/* NULL: there is none of that name. */
const struct builtin *builtin_find(const char *name);
/* The nth of all, NULL behind the last. */
const struct builtin *builtin_at(size_t index);

int builtin_test(struct shell *sh, int argc, char **argv);
int builtin_read(struct shell *sh, int argc, char **argv);

#endif
