/*
 * Scan: where a quoted or nested piece of a word ends.
 *
 * The lexer uses it to find the end of a word, the expansion to find the end of each piece in it, so
 * that the two can never disagree.
 */
#ifndef SH_SCAN_H
#define SH_SCAN_H

#include <stdbool.h>

struct scan {
    const char *end;     /* end of the text */
    const char *missing; /* out: what was looked for when the text ended, or NULL */
    bool too_deep;       /* out: nested deeper than the shell accepts */
    int depth;
};

/*
 * Steps over one unit at p < scan->end, outside double quotes: a character, \c, '...', "...", `...`,
 * $(...), $((...)), ${...} or $. Returns the first character after it; NULL when it does not end.
 */
const char *scan_unit(struct scan *scan, const char *p);

/* The same between double quotes, where ' is an ordinary character. */
const char *scan_quoted_unit(struct scan *scan, const char *p);

/* Whether $((, at the $, really opens an arithmetic expression: it ends in )). after: its end. */
bool scan_is_arithmetic(const char *p, const char *after);

#endif
