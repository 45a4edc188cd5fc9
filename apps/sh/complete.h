/*
 * Complete: how the word before the cursor may go on. The first word is a command, others are paths.
 */
#ifndef SH_COMPLETE_H
#define SH_COMPLETE_H

#include "shell.h"

/*
 * addition: what all candidates have in common behind what is typed, and a space or / if there is only
 * one. offers: the candidates, if there are several and nothing to add.
 */
void complete_word(const struct shell *sh, const char *line, size_t at, struct str *addition,
                   struct list *offers);

#endif
