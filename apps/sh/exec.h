/*
 * Exec: runs a tree that the parser made.
 */
#ifndef SH_EXEC_H
#define SH_EXEC_H

#include "parse.h"
#include "shell.h"

/* Runs node and returns its status, which also becomes sh->status. */
int exec_node(struct shell *sh, const struct node *node);

#endif
