/*
 * Arith: the value of $((...)), in long long with C's operators.
 */
#ifndef SH_ARITH_H
#define SH_ARITH_H

#include <stdbool.h>

#include "vars.h"

/* False: *error says what is wrong, and *value is not set. Overflow wraps. */
bool arith_eval(struct vars *vars, const char *text, long long *value, const char **error);

#endif
