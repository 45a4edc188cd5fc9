/*
 * Vars: the shell's variables. Those that are exported go to the programs it starts.
 */
#ifndef SH_VARS_H
#define SH_VARS_H

#include <stdbool.h>

#include "str.h"

struct var {
    struct var *next;
    char *name;
    char *value; /* NULL: exported or named, but not set */
    bool exported;
};

struct vars {
    struct var *first; /* sorted by name */
};

/* Takes over NAME=value texts; those whose name is no variable's name are left out. */
void vars_import(struct vars *vars, char *const *environment);
/* The value, or NULL when it is not set. */
const char *vars_get(const struct vars *vars, const char *name);
void vars_set(struct vars *vars, const char *name, const char *value);
void vars_unset(struct vars *vars, const char *name);
void vars_export(struct vars *vars, const char *name);
/* NAME=value for each exported variable, with those in over (NAME=value) in their place. */
void vars_environment(const struct vars *vars, const struct list *over, struct list *out);
void vars_free(struct vars *vars);

#endif
