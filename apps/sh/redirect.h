/*
 * Redirect: descriptors put in other places, and put back.
 *
 * The shell redirects its own descriptors, starts the program, which inherits them, and puts them
 * back: the same way for programs and builtins, and error messages go where the command's would.
 * The shell's own copies live at 10 and above and are closed in programs.
 */
#ifndef SH_REDIRECT_H
#define SH_REDIRECT_H

#include <stdbool.h>

#include "parse.h"
#include "shell.h"

enum { FDS_USER = 10 }; /* 0 to 9 belong to the user */

struct saved_fds {
    int copy[FDS_USER]; /* where the old one is; -1: there was none */
    bool saved[FDS_USER];
};

/* Carries out redirs from left to right. False: an error was reported; still to be undone. */
bool redirect_apply(struct shell *sh, const struct redir *redirs, struct saved_fds *saved);
/* Makes fd what from is; from stays open. False with errno. */
bool redirect_fd(struct saved_fds *saved, int fd, int from);
void redirect_undo(struct saved_fds *saved);
/* Forgets what the descriptors were: the redirections stay. */
void redirect_keep(struct saved_fds *saved);

/* fd moved to 10 or above and closed on exec; fd itself is closed. -1 with errno. */
int fd_make_private(int fd);
/* A pipe, both ends private. False with errno. */
bool pipe_private(int fds[2]);

#endif
