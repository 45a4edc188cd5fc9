/*
 * Subshell: a piece of a script in a shell of its own.
 *
 * There is no fork. A second shell is started on the text of the piece, and told in front of it what
 * this one knows: variables, parameters, options.
 */
#ifndef SH_SUBSHELL_H
#define SH_SUBSHELL_H

#include <stdbool.h>

#include "job.h"
#include "shell.h"

/* Starts a shell for source as a process of job. */
void subshell_start(struct shell *sh, struct job *job, struct span source);
/* Runs source to its end; its output without newlines at the end. False: an error was reported. */
bool subshell_capture(struct shell *sh, struct span source, struct str *output);

#endif
