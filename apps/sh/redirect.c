#include "redirect.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "expand.h"

int fd_make_private(int fd)
{
    int private = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, FDS_USER), error = errno;

    if (fd >= 0)
        close(fd);
    errno = error;
    return private;
}

bool pipe_private(int fds[2])
{
    if (pipe(fds) < 0)
        return false;
    fds[0] = fd_make_private(fds[0]);
    fds[1] = fd_make_private(fds[1]);
    if (fds[0] >= 0 && fds[1] >= 0)
        return true;
    if (fds[0] >= 0)
        close(fds[0]);
    if (fds[1] >= 0)
        close(fds[1]);
    return false;
}

static bool save(struct saved_fds *saved, int fd)
{
    if (saved->saved[fd])
        return true;
    fflush(NULL);
    saved->copy[fd] = fcntl(fd, F_DUPFD_CLOEXEC, FDS_USER);
    if (saved->copy[fd] < 0 && errno != EBADF)
        return false;
    saved->saved[fd] = true;
    return true;
}

bool redirect_fd(struct saved_fds *saved, int fd, int from)
{
    return save(saved, fd) && dup2(from, fd) >= 0;
}

void redirect_undo(struct saved_fds *saved)
{
    fflush(NULL);
    for (int fd = 0; fd < FDS_USER; fd++) {
        if (!saved->saved[fd])
            continue;
        if (saved->copy[fd] < 0) {
            close(fd);
        } else {
            dup2(saved->copy[fd], fd);
            close(saved->copy[fd]);
        }
        saved->saved[fd] = false;
    }
}

void redirect_keep(struct saved_fds *saved)
{
    for (int fd = 0; fd < FDS_USER; fd++) {
        if (saved->saved[fd] && saved->copy[fd] >= 0)
            close(saved->copy[fd]);
        saved->saved[fd] = false;
    }
}

static int open_flags(enum redir_kind kind)
{
    switch (kind) {
    case REDIR_IN:
        return O_RDONLY;
    case REDIR_OUT:
        return O_WRONLY | O_CREAT | O_TRUNC;
    case REDIR_APPEND:
        return O_WRONLY | O_CREAT | O_APPEND;
    default:
        return O_RDWR | O_CREAT;
    }
}

static bool redirect_to_file(const struct redir *redir, const char *path, struct saved_fds *saved)
{
    int from = fd_make_private(open(path, open_flags(redir->kind), 0666));
    bool done;
    int error;

    if (from < 0)
        return false;
    done = redirect_fd(saved, redir->fd, from);
    error = errno;
    close(from);
    errno = error;
    return done;
}

/* n>&m, and n>&- which closes. */
static bool redirect_to_fd(const struct redir *redir, const char *target, struct saved_fds *saved)
{
    if (strcmp(target, "-") == 0) {
        if (!save(saved, redir->fd))
            return false;
        close(redir->fd);
        return true;
    }
    if (!isdigit((unsigned char)target[0]) || target[1]) {
        errno = EBADF;
        return false;
    }
    return redirect_fd(saved, redir->fd, target[0] - '0');
}

static bool apply_one(struct shell *sh, const struct redir *redir, struct saved_fds *saved)
{
    char *target = expand_text(sh, redir->target);
    bool done;

    if (!target)
        return false;
    if (redir->kind == REDIR_DUP)
        done = redirect_to_fd(redir, target, saved);
    else
        done = redirect_to_file(redir, target, saved);
    if (!done)
        shell_error(sh, "%s: %s", target, strerror(errno));
    free(target);
    return done;
}

bool redirect_apply(struct shell *sh, const struct redir *redirs, struct saved_fds *saved)
{
    for (; redirs; redirs = redirs->next)
        if (!apply_one(sh, redirs, saved))
            return false;
    return true;
}
