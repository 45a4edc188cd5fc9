/*
 * Pattern: texts with * ? [...] and \ before a character that stands for itself.
 */
#ifndef SH_PATTERN_H
#define SH_PATTERN_H

#include <stdbool.h>

#include "str.h"

/* Whether all of text fits pattern. A / is a character like any other here. */
bool pattern_match(const char *pattern, const char *text);
/* Adds the paths that fit, sorted, to out; how many. A leading dot must be written out. */
size_t pattern_paths(const char *pattern, struct list *out);
/* The pattern without its backslashes; the caller frees it. */
char *pattern_unescape(const char *pattern, size_t len);

#endif
