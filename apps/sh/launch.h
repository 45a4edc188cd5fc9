/*
 * Launch: starting a program with the shell's descriptors as they are at that moment.
 */
#ifndef SH_LAUNCH_H
#define SH_LAUNCH_H

#include <stdbool.h>

#include "job.h"
#include "shell.h"

/* The path of a program: name itself if it holds a /, else searched in $PATH. NULL: not found. */
char *program_find(const struct shell *sh, const char *name);

/*
 * Starts argv[0] as a process of job, with assigns (NAME=value) added to its environment. When it
 * cannot, says why and gives the job a process that ended with 127 or 126.
 */
void launch_program(struct shell *sh, struct job *job, const struct list *argv, const struct list *assigns);
/* Starts the shell's own program, whatever $PATH says. */
void launch_self(struct shell *sh, struct job *job, const struct list *argv);

#endif
