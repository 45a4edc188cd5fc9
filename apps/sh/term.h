/*
 * Term: the terminal that the shell was started on.
 *
 * The shell has it character by character while a line is edited, line by line with echo otherwise.
 * A program that runs in the foreground has it as its process group.
 */
#ifndef SH_TERM_H
#define SH_TERM_H

#include <stdbool.h>
#include <sys/types.h>

/* Remembers how the terminal is set. */
void term_init(void);
/* For editing: keys one by one, no echo, no signals. False: not a terminal, or it cannot. */
bool term_raw(void);
/* As it was before term_raw(). */
void term_restore(void);
/* Makes group the foreground process group; where there are no process groups, nothing. */
void term_give(pid_t group);
void term_take_back(void);

#endif
