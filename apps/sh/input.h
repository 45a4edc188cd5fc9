/*
 * Input: commands from a descriptor, one line after the other, or from a whole file.
 */
#ifndef SH_INPUT_H
#define SH_INPUT_H

#include "shell.h"

/* Reads and runs commands from standard input until it ends. Interactive: with prompt and editing. */
int input_run(struct shell *sh);
/* Runs a script file in this shell. False: errno says why it cannot be read. */
bool input_run_file(struct shell *sh, const char *path);

#endif
