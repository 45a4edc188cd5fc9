#include "history.h"

#include <stdlib.h>
#include <string.h>

#include "mem.h"

static void forget_oldest(struct history *history)
{
    struct list *lines = &history->lines;

    free(lines->item[0]);
    memmove(lines->item, lines->item + 1, lines->len * sizeof(*lines->item));
    lines->len--;
    history->dropped++;
}

void history_add(struct history *history, const char *line)
{
    struct list *lines = &history->lines;

    if (!line[strspn(line, " \t\n")])
        return;
    if (lines->len && strcmp(lines->item[lines->len - 1], line) == 0)
        return;
    if (lines->len == HISTORY_LINES_MAX)
        forget_oldest(history);
    list_push(lines, xstrdup(line));
}

void history_clear(struct history *history)
{
    history->dropped += history->lines.len;
    list_free(&history->lines);
}
