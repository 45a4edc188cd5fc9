#include "exec.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "builtins.h"
#include "expand.h"
#include "launch.h"
#include "redirect.h"
#include "subshell.h"

/* A simple command after expansion. */
struct command {
    struct list argv;
    struct list assigns; /* NAME=value */
    const struct builtin *builtin;
};

static bool expand_assigns(struct shell *sh, const struct word *word, struct list *out)
{
    for (; word; word = word->next) {
        size_t name_len = assignment_name_len(word->raw) + 1;
        struct span raw = {word->raw.text + name_len, word->raw.len - name_len};
        char *value = expand_text(sh, raw);
        struct str text = {0};

        if (!value)
            return false;
        str_put(&text, word->raw.text, name_len);
        str_puts(&text, value);
        free(value);
        list_push(out, str_take(&text));
    }
    return true;
}

static void trace(const struct shell *sh, const struct command *command)
{
    if (!sh->opt_xtrace || (!command->argv.len && !command->assigns.len))
        return;
    fputs("+", stderr);
    for (size_t i = 0; i < command->assigns.len; i++)
        fprintf(stderr, " %s", command->assigns.item[i]);
    for (size_t i = 0; i < command->argv.len; i++)
        fprintf(stderr, " %s", command->argv.item[i]);
    fputc('\n', stderr);
}

static void command_free(struct command *command)
{
    list_free(&command->argv);
    list_free(&command->assigns);
}

/* False: an error was reported. */
static bool command_expand(struct shell *sh, const struct node *node, struct command *command)
{
    *command = (struct command){0};
    sh->line = node->line;
    if (!expand_words(sh, node->words, &command->argv) ||
        !expand_assigns(sh, node->assigns, &command->assigns)) {
        command_free(command);
        return false;
    }
    if (command->argv.len)
        command->builtin = builtin_find(command->argv.item[0]);
    trace(sh, command);
    return true;
}

/* Assignments */

static void assign(struct shell *sh, const char *text)
{
    char *name = xstrdup(text);
    size_t len = strcspn(name, "=");

    name[len] = '\0';
    vars_set(&sh->vars, name, text + len + 1);
    free(name);
}

static void assign_all(struct shell *sh, const struct list *assigns)
{
    for (size_t i = 0; i < assigns->len; i++)
        assign(sh, assigns->item[i]);
}

/* What the variables that assigns will set are now: NAME=value, or NAME for one that is not set. */
static void remember_all(const struct shell *sh, const struct list *assigns, struct list *old)
{
    for (size_t i = 0; i < assigns->len; i++) {
        struct str text = {0};
        const char *value;

        str_put(&text, assigns->item[i], strcspn(assigns->item[i], "="));
        value = vars_get(&sh->vars, str_text(&text));
        if (value) {
            str_putc(&text, '=');
            str_puts(&text, value);
        }
        list_push(old, str_take(&text));
    }
}

static void put_back_all(struct shell *sh, const struct list *old)
{
    for (size_t i = old->len; i-- > 0;) {
        if (strchr(old->item[i], '='))
            assign(sh, old->item[i]);
        else
            vars_unset(&sh->vars, old->item[i]);
    }
}

/* Builtins */

static int flush_output(struct shell *sh, const struct command *command, int status)
{
    bool failed = fflush(stdout) != 0 || ferror(stdout);

    clearerr(stdout);
    if (!failed || status)
        return status;
    if (errno == EPIPE)
        return STATUS_SIGNAL + SIGPIPE; /* as a program would end, without a word */
    shell_error(sh, "%s: write error: %s", command->argv.item[0], strerror(errno));
    return STATUS_FAILED;
}

static int run_builtin(struct shell *sh, const struct command *command)
{
    struct list old = {0};
    int status;

    if (!command->builtin->keeps_assignments)
        remember_all(sh, &command->assigns, &old);
    assign_all(sh, &command->assigns);
    status = command->builtin->run(sh, (int)command->argv.len, command->argv.item);
    status = flush_output(sh, command, status);
    put_back_all(sh, &old);
    list_free(&old);
    return status;
}

/* Simple commands */

static int run_in_foreground(struct shell *sh, const struct node *node, const struct command *command)
{
    struct job *job = job_new(sh, node->source, false);

    launch_program(sh, job, &command->argv, &command->assigns);
    return job_wait(sh, job);
}

/* exec > file: the redirections outlive the command. */
static bool keeps_redirections(const struct command *command)
{
    return command->argv.len == 1 && strcmp(command->argv.item[0], "exec") == 0;
}

static int run_redirected(struct shell *sh, const struct node *node, const struct command *command,
                          int status)
{
    struct saved_fds saved = {0};

    if (!redirect_apply(sh, node->redirs, &saved))
        status = STATUS_FAILED;
    else if (command->builtin)
        status = run_builtin(sh, command);
    else if (command->argv.len)
        status = run_in_foreground(sh, node, command);
    else
        assign_all(sh, &command->assigns);
    if (keeps_redirections(command) && status == 0)
        redirect_keep(&saved);
    else
        redirect_undo(&saved);
    return status;
}

/* A command without words has the status of its last $(...), else 0. */
static int run_command(struct shell *sh, const struct node *node)
{
    struct command command;
    int status;

    sh->capture_status = 0;
    if (!command_expand(sh, node, &command))
        return STATUS_FAILED;
    status = run_redirected(sh, node, &command, sh->capture_status);
    command_free(&command);
    return status;
}

/* Members of pipelines and jobs: each in a process of its own. */

static void start_words(struct shell *sh, struct job *job, const struct command *command)
{
    struct str text = {0};

    for (size_t i = 0; i < command->assigns.len; i++) {
        size_t name_len = strcspn(command->assigns.item[i], "=") + 1;

        str_put(&text, command->assigns.item[i], name_len);
        str_put_quoted(&text, command->assigns.item[i] + name_len);
        str_putc(&text, ' ');
    }
    for (size_t i = 0; i < command->argv.len; i++) {
        str_put_quoted(&text, command->argv.item[i]);
        str_putc(&text, ' ');
    }
    subshell_start(sh, job, (struct span){str_text(&text), text.len});
    str_free(&text);
}

static void start_command(struct shell *sh, struct job *job, const struct node *node)
{
    struct saved_fds saved = {0};
    struct command command;

    if (!command_expand(sh, node, &command)) {
        job_add(job, 0, STATUS_FAILED);
        return;
    }
    if (!redirect_apply(sh, node->redirs, &saved))
        job_add(job, 0, STATUS_FAILED);
    else if (!command.argv.len)
        job_add(job, 0, 0);
    else if (command.builtin)
        start_words(sh, job, &command);
    else
        launch_program(sh, job, &command.argv, &command.assigns);
    redirect_undo(&saved);
    command_free(&command);
}

static void start_subshell(struct shell *sh, struct job *job, const struct node *node)
{
    struct saved_fds saved = {0};

    if (redirect_apply(sh, node->redirs, &saved))
        subshell_start(sh, job, node->body[0]->source);
    else
        job_add(job, 0, STATUS_FAILED);
    redirect_undo(&saved);
}

static void start_node(struct shell *sh, struct job *job, const struct node *node)
{
    if (node->kind == NODE_COMMAND)
        start_command(sh, job, node);
    else if (node->kind == NODE_SUBSHELL)
        start_subshell(sh, job, node);
    else
        subshell_start(sh, job, node->source);
}

/* Pipelines */

/* Starts node reading from in and writing to out; -1: the shell's own. */
static void start_between(struct shell *sh, struct job *job, const struct node *node, int in, int out)
{
    struct saved_fds saved = {0};
    bool done = (in < 0 || redirect_fd(&saved, STDIN_FILENO, in)) &&
                (out < 0 || redirect_fd(&saved, STDOUT_FILENO, out));

    if (done) {
        start_node(sh, job, node);
    } else {
        shell_error(sh, "cannot redirect: %s", strerror(errno));
        job_add(job, 0, STATUS_FAILED);
    }
    redirect_undo(&saved);
}

/* history, jobs, help in front of a pipe: nobody reads yet, so they must run last. */
static bool must_run_last(const struct node *first)
{
    const struct builtin *builtin;
    char *name;

    if (first->kind != NODE_COMMAND || !first->words)
        return false;
    name = xstrndup(first->words->raw.text, first->words->raw.len);
    builtin = builtin_find(name);
    free(name);
    return builtin && builtin->tells_own_state;
}

/* Starts the members from node on, the first of them reading from in, which is closed. */
static void start_rest(struct shell *sh, struct job *job, const struct node *node, int in)
{
    for (; node; node = node->next) {
        int fds[2] = {-1, -1};

        if (node->next && !pipe_private(fds)) {
            shell_error(sh, "cannot make a pipe: %s", strerror(errno));
            job_add(job, 0, STATUS_FAILED);
            node = NULL;
        } else {
            start_between(sh, job, node, in, fds[1]);
        }
        if (in >= 0)
            close(in);
        if (fds[1] >= 0)
            close(fds[1]);
        in = fds[0];
        if (!node)
            return;
    }
}

/* Runs node inside this shell, writing to out. */
static int run_into(struct shell *sh, const struct node *node, int out)
{
    struct saved_fds saved = {0};
    void (*old)(int) = signal(SIGPIPE, SIG_IGN);
    int status = STATUS_FAILED;

    if (redirect_fd(&saved, STDOUT_FILENO, out))
        status = exec_node(sh, node);
    redirect_undo(&saved);
    signal(SIGPIPE, old);
    return status;
}

static void start_first_last(struct shell *sh, struct job *job, const struct node *first)
{
    int fds[2];

    if (!pipe_private(fds)) {
        shell_error(sh, "cannot make a pipe: %s", strerror(errno));
        job_add(job, 0, STATUS_FAILED);
        return;
    }
    start_rest(sh, job, first->next, fds[0]);
    run_into(sh, first, fds[1]);
    close(fds[1]);
}

static int run_pipeline(struct shell *sh, const struct node *node)
{
    struct job *job = job_new(sh, node->source, false);

    start_rest(sh, job, node->body[0], -1);
    return job_wait(sh, job);
}

static int run_pipeline_from_shell(struct shell *sh, const struct node *node)
{
    struct job *job = job_new(sh, node->source, false);

    start_first_last(sh, job, node->body[0]);
    return job_wait(sh, job);
}

/* Background */

/* Without job control a background command must not read what the script reads. */
static bool detach_input(const struct shell *sh, struct saved_fds *saved)
{
    int null;
    bool done;

    if (sh->interactive)
        return true;
    null = fd_make_private(open("/dev/null", O_RDONLY));
    if (null < 0)
        return true; /* no such device here: it shares the input */
    done = redirect_fd(saved, STDIN_FILENO, null);
    close(null);
    return done;
}

static int run_background(struct shell *sh, const struct node *node)
{
    struct job *job = job_new(sh, node->source, true);
    struct saved_fds saved = {0};

    if (!detach_input(sh, &saved))
        job_add(job, 0, STATUS_FAILED);
    else if (node->negated)
        subshell_start(sh, job, node->source);
    else if (node->kind == NODE_PIPELINE)
        start_rest(sh, job, node->body[0], -1);
    else
        start_node(sh, job, node);
    redirect_undo(&saved);
    if (job->last_pid)
        sh->last_background_pid = (int)job->last_pid;
    if (sh->interactive)
        fprintf(stderr, "[%d] %d\n", job->number, (int)job->last_pid);
    return 0;
}

/* Compound commands */

static int run_list(struct shell *sh, const struct node *node)
{
    int status = 0;

    for (node = node->body[0]; node && !shell_stopping(sh); node = node->next)
        status = exec_node(sh, node);
    return status;
}

static int run_andor(struct shell *sh, const struct node *node)
{
    int status = 0;

    for (node = node->body[0]; node && !shell_stopping(sh); node = node->next) {
        if ((node->join == JOIN_AND && status) || (node->join == JOIN_OR && !status))
            continue;
        sh->errexit_off += node->next != NULL;
        status = exec_node(sh, node);
        sh->errexit_off -= node->next != NULL;
    }
    return status;
}

static int run_group(struct shell *sh, const struct node *node)
{
    return exec_node(sh, node->body[0]);
}

static int run_subshell(struct shell *sh, const struct node *node)
{
    struct job *job = job_new(sh, node->source, false);

    subshell_start(sh, job, node->body[0]->source);
    return job_wait(sh, job);
}

static bool run_condition(struct shell *sh, const struct node *node)
{
    int status;

    sh->errexit_off++;
    status = exec_node(sh, node);
    sh->errexit_off--;
    return status == 0;
}

static int run_if(struct shell *sh, const struct node *node)
{
    for (; node; node = node->body[2]) {
        if (node->kind != NODE_IF)
            return exec_node(sh, node);
        if (run_condition(sh, node->body[0]))
            return shell_stopping(sh) ? sh->status : exec_node(sh, node->body[1]);
        if (shell_stopping(sh))
            return sh->status;
    }
    return 0;
}

/* After a round: whether the loop goes on. Counts break and continue down. */
static bool loop_goes_on(struct shell *sh)
{
    if (sh->break_loops > 0) {
        sh->break_loops--;
        if (sh->break_loops > 0 || !sh->continuing)
            return false;
        sh->continuing = false;
    }
    return !shell_stopping(sh);
}

static int run_while(struct shell *sh, const struct node *node)
{
    int status = 0;

    sh->loops++;
    for (;;) {
        bool holds = run_condition(sh, node->body[0]);

        if (!shell_stopping(sh) && holds == (node->kind == NODE_WHILE))
            status = exec_node(sh, node->body[1]);
        else if (!shell_stopping(sh))
            break;
        if (!loop_goes_on(sh))
            break;
    }
    sh->loops--;
    return status;
}

static bool for_values(struct shell *sh, const struct node *node, struct list *values)
{
    if (!node->for_params)
        return expand_words(sh, node->words, values);
    for (size_t i = 0; i < sh->params.len; i++)
        list_push(values, xstrdup(sh->params.item[i]));
    return true;
}

static int run_for(struct shell *sh, const struct node *node)
{
    char *name = xstrndup(node->name.text, node->name.len);
    struct list values = {0};
    int status = for_values(sh, node, &values) ? 0 : STATUS_FAILED;

    sh->loops++;
    for (size_t i = 0; i < values.len && !shell_stopping(sh); i++) {
        vars_set(&sh->vars, name, values.item[i]);
        status = exec_node(sh, node->body[0]);
        if (!loop_goes_on(sh))
            break;
    }
    sh->loops--;
    list_free(&values);
    free(name);
    return status;
}

static int run_plain(struct shell *sh, const struct node *node)
{
    switch (node->kind) {
    case NODE_LIST:
        return run_list(sh, node);
    case NODE_ANDOR:
        return run_andor(sh, node);
    case NODE_PIPELINE:
        return must_run_last(node->body[0]) ? run_pipeline_from_shell(sh, node) : run_pipeline(sh, node);
    case NODE_COMMAND:
        return run_command(sh, node);
    case NODE_GROUP:
        return run_group(sh, node);
    case NODE_SUBSHELL:
        return run_subshell(sh, node);
    case NODE_IF:
        return run_if(sh, node);
    case NODE_WHILE:
    case NODE_UNTIL:
        return run_while(sh, node);
    case NODE_FOR:
        return run_for(sh, node);
    }
    return STATUS_FAILED;
}

/* A compound command with redirections around all of it. */
static int run_compound(struct shell *sh, const struct node *node)
{
    struct saved_fds saved = {0};
    int status = STATUS_FAILED;

    sh->line = node->line;
    if (redirect_apply(sh, node->redirs, &saved))
        status = run_plain(sh, node);
    redirect_undo(&saved);
    return status;
}

/* set -e: whether a failure of this node ends the shell. A list or a condition has decided already. */
static bool failure_ends_shell(const struct shell *sh, const struct node *node)
{
    return sh->opt_errexit && !sh->errexit_off && !node->negated &&
           (node->kind == NODE_COMMAND || node->kind == NODE_PIPELINE || node->kind == NODE_SUBSHELL);
}

int exec_node(struct shell *sh, const struct node *node)
{
    int status;

    if (node->background) {
        status = run_background(sh, node);
    } else {
        sh->errexit_off += node->negated;
        status = node->redirs && node->kind != NODE_COMMAND ? run_compound(sh, node) : run_plain(sh, node);
        sh->errexit_off -= node->negated;
        if (node->negated && !shell_stopping(sh))
            status = !status;
    }
    sh->status = status;
    if (status && failure_ends_shell(sh, node))
        sh->leaving = true;
    return status;
}
