/*
 * History: the last lines that were typed, in memory.
 */
#ifndef SH_HISTORY_H
#define SH_HISTORY_H

#include "str.h"

enum { HISTORY_LINES_MAX = 500 };

struct history {
    struct list lines; /* oldest first */
    size_t dropped;    /* how many older ones were forgotten: numbers stay as they were */
};

/* Keeps a copy, unless line is blank or the same as the last. */
void history_add(struct history *history, const char *line);
void history_clear(struct history *history);

#endif
