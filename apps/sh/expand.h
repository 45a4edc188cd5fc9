/*
 * Expand: from a word as it was written to the texts that a program gets.
 *
 * Parameters, command substitution and arithmetic are put in; what came from them unquoted is split at
 * the characters of $IFS; unquoted * ? [...] become the paths that fit; quotes go.
 */
#ifndef SH_EXPAND_H
#define SH_EXPAND_H

#include <stdbool.h>

#include "parse.h"
#include "shell.h"

/* All words of a command, as fields at the end of out. False: an error was reported. */
bool expand_words(struct shell *sh, const struct word *words, struct list *out);
/* One text, neither split nor globbed (assignments, redirections). NULL: an error was reported. */
char *expand_text(struct shell *sh, struct span raw);

#endif
