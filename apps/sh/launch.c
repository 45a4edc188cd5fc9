#include "launch.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mem.h"
#include "os/proc.h"
#include "redirect.h"
#include "term.h"

static bool is_program(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

static char *join_path(const char *dir, size_t len, const char *name)
{
    struct str path = {0};

    str_put(&path, dir, len);
    if (len && dir[len - 1] != '/')
        str_putc(&path, '/');
    str_puts(&path, name);
    return str_take(&path);
}

char *program_find(const struct shell *sh, const char *name)
{
    const char *dir = vars_get(&sh->vars, "PATH");

    if (strchr(name, '/'))
        return xstrdup(name);
    for (dir = dir ? dir : "/bin"; *name;) {
        size_t len = strcspn(dir, ":");
        char *path = join_path(dir, len, name);

        if (is_program(path))
            return path;
        free(path);
        if (!dir[len])
            break;
        dir += len + 1;
    }
    return NULL;
}

/* Signals that the shell catches or ignores are as usual in its programs. */
static void default_signals(posix_spawnattr_t *attr)
{
    sigset_t signals;

    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGQUIT);
    sigaddset(&signals, SIGTSTP);
    sigaddset(&signals, SIGTTIN);
    sigaddset(&signals, SIGTTOU);
    sigaddset(&signals, SIGPIPE);
    posix_spawnattr_setsigdefault(attr, &signals);
}

/* An interactive shell gives each job a process group of its own, led by its first process. */
static int spawn(struct shell *sh, struct job *job, const char *path, const struct list *argv,
                 const struct list *environment, pid_t *pid)
{
    posix_spawnattr_t attr;
    int error = posix_spawnattr_init(&attr);
    int flags = sh->interactive ? POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP : 0;

    if (error)
        return error;
    default_signals(&attr);
    posix_spawnattr_setpgroup(&attr, job->group);
    posix_spawnattr_setflags(&attr, (short)flags);
    error = posix_spawn(pid, path, NULL, &attr, argv->item, environment->item);
    posix_spawnattr_destroy(&attr);
    return error;
}

static void started(struct shell *sh, struct job *job, pid_t pid)
{
    job_add(job, pid, 0);
    if (!sh->interactive || job->group)
        return;
    job->group = pid;
    if (!job->background)
        term_give(pid);
}

static int status_of_error(int error)
{
    return error == ENOENT || error == ENOTDIR ? STATUS_NOT_FOUND : STATUS_CANNOT_RUN;
}

static bool is_directory(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Whether the file may be a script: text has no zero bytes. */
static bool is_text(const char *path)
{
    int fd = fd_make_private(open(path, O_RDONLY));
    char bytes[256];
    ssize_t got;

    if (fd < 0)
        return false;
    got = read(fd, bytes, sizeof(bytes));
    close(fd);
    return got >= 0 && !memchr(bytes, '\0', (size_t)got);
}

/* A file that the system cannot run is a script for another shell. */
static int spawn_script(struct shell *sh, struct job *job, const char *path, const struct list *argv,
                        const struct list *environment, pid_t *pid)
{
    struct list script = {0};
    int error;

    if (!is_text(path))
        return ENOEXEC;
    list_push(&script, xstrdup(sh->self));
    list_push(&script, xstrdup(path));
    for (size_t i = 1; i < argv->len; i++)
        list_push(&script, xstrdup(argv->item[i]));
    error = spawn(sh, job, sh->self, &script, environment, pid);
    list_free(&script);
    return error;
}

/* About a file that is no program the system has a sentence of its own. */
static void say_refused(struct shell *sh, const char *name, int error)
{
    if (error == ENOEXEC && os_proc_error()[0])
        shell_error(sh, "%s", os_proc_error());
    else
        shell_error(sh, "%s: %s", name, strerror(error));
}

static void launch_path(struct shell *sh, struct job *job, const char *path, const struct list *argv,
                        const struct list *assigns)
{
    struct list environment = {0};
    pid_t pid = 0;
    int error;

    fflush(NULL);
    vars_environment(&sh->vars, assigns, &environment);
    list_push(&environment, NULL);
    error = is_directory(path) ? EISDIR : spawn(sh, job, path, argv, &environment, &pid);
    if (error == ENOEXEC)
        error = spawn_script(sh, job, path, argv, &environment, &pid);
    list_free(&environment);
    if (!error) {
        started(sh, job, pid);
    } else {
        say_refused(sh, argv->item[0], error);
        job_add(job, 0, status_of_error(error));
    }
}

void launch_program(struct shell *sh, struct job *job, const struct list *argv, const struct list *assigns)
{
    char *path = program_find(sh, argv->item[0]);

    if (path) {
        launch_path(sh, job, path, argv, assigns);
    } else {
        shell_error(sh, "%s: command not found", argv->item[0]);
        job_add(job, 0, STATUS_NOT_FOUND);
    }
    free(path);
}

void launch_self(struct shell *sh, struct job *job, const struct list *argv)
{
    launch_path(sh, job, sh->self, argv, &(struct list){0});
}
