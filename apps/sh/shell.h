/*
 * Shell: the state of one shell, handed to everything that runs in it.
 */
#ifndef SH_SHELL_H
#define SH_SHELL_H

#include <signal.h>
#include <stdbool.h>

#include "history.h"
#include "job.h"
#include "str.h"
#include "vars.h"

enum {
    STATUS_FAILED = 1,
    STATUS_USAGE = 2,        /* wrong use of a builtin, and syntax errors */
    STATUS_CANNOT_RUN = 126, /* found, but not a program that can run */
    STATUS_NOT_FOUND = 127,
    STATUS_SIGNAL = 128, /* + the signal's number */
};

struct shell {
    struct vars vars;
    struct list params; /* $1, $2, ... */
    const char *name;   /* $0, and what error messages begin with */
    const char *self;   /* the shell's own program, for subshells */
    int status;         /* $? */
    int capture_status; /* of the last $(...) in the command that runs */
    int last_background_pid;
    int line; /* of the command that runs */

    bool interactive;
    bool in_script; /* error messages tell the line */
    bool opt_errexit;
    bool opt_xtrace;
    bool opt_nounset;
    int errexit_off; /* > 0 inside conditions, where a failure is an answer */

    bool leaving;    /* exit was called, or an error ends the shell */
    int loops;       /* loops we are in */
    int break_loops; /* loops still to leave */
    bool continuing; /* the last of these goes on with its next round */
    int source_depth;
    struct jobs jobs;
    struct history history;
};

/* Set by the SIGINT handler; ends whatever the shell runs. */
extern volatile sig_atomic_t shell_interrupted;

/* The whole program: reads its arguments, runs, returns the exit status. */
int shell_main(int argc, char **argv);
void shell_init(struct shell *sh, const char *self, char *const *environment);
void shell_free(struct shell *sh);
/* Prints "name: ", in a script the line, and what went wrong. */
void shell_error(struct shell *sh, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Whether running must stop: exit, break, continue or Ctrl-C. */
bool shell_stopping(const struct shell *sh);
/* Parses all of text, then runs it. The status of the last command; STATUS_USAGE if it does not parse. */
int shell_run_text(struct shell *sh, const char *text, size_t len, int line);

#endif
