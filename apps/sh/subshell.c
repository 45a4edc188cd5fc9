#include "subshell.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "launch.h"
#include "mem.h"
#include "redirect.h"

static void put_variables(const struct shell *sh, struct str *text)
{
    for (const struct var *var = sh->vars.first; var; var = var->next) {
        if (var->exported || !var->value)
            continue;
        str_puts(text, var->name);
        str_putc(text, '=');
        str_put_quoted(text, var->value);
        str_putc(text, ';');
    }
}

static void put_options(const struct shell *sh, struct str *text)
{
    if (sh->opt_errexit)
        str_puts(text, "set -e;");
    if (sh->opt_nounset)
        str_puts(text, "set -u;");
    if (sh->opt_xtrace)
        str_puts(text, "set -x;");
}

void subshell_start(struct shell *sh, struct job *job, struct span source)
{
    struct list argv = {0};
    struct str text = {0};

    put_variables(sh, &text);
    put_options(sh, &text);
    str_put(&text, source.text, source.len);
    list_push(&argv, xstrdup(sh->self));
    list_push(&argv, xstrdup("-c"));
    list_push(&argv, str_take(&text));
    list_push(&argv, xstrdup(sh->name));
    for (size_t i = 0; i < sh->params.len; i++)
        list_push(&argv, xstrdup(sh->params.item[i]));
    launch_self(sh, job, &argv);
    list_free(&argv);
}

static bool read_all(int fd, struct str *output)
{
    char bytes[512];
    ssize_t got;

    while ((got = read(fd, bytes, sizeof(bytes))) != 0) {
        if (got < 0 && errno != EINTR)
            return false;
        for (ssize_t i = 0; i < got; i++)
            if (bytes[i])
                str_putc(output, bytes[i]);
    }
    while (output->len && output->text[output->len - 1] == '\n')
        str_erase(output, output->len - 1, 1);
    return true;
}

static void start_into(struct shell *sh, struct job *job, struct span source, int fd)
{
    struct saved_fds saved = {0};

    if (redirect_fd(&saved, STDOUT_FILENO, fd)) {
        subshell_start(sh, job, source);
    } else {
        shell_error(sh, "cannot redirect: %s", strerror(errno));
        job_add(job, 0, STATUS_FAILED);
    }
    redirect_undo(&saved);
}

bool subshell_capture(struct shell *sh, struct span source, struct str *output)
{
    struct job *job;
    int fds[2];
    bool done;

    if (!pipe_private(fds)) {
        shell_error(sh, "cannot make a pipe: %s", strerror(errno));
        return false;
    }
    job = job_new(sh, source, false);
    start_into(sh, job, source, fds[1]);
    close(fds[1]);
    done = read_all(fds[0], output);
    if (!done)
        shell_error(sh, "cannot read the output of $(...): %s", strerror(errno));
    close(fds[0]);
    sh->capture_status = job_wait(sh, job);
    return done;
}
