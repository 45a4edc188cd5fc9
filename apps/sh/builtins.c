#include "builtins.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "exec.h"
#include "input.h"
#include "launch.h"
#include "mem.h"
#include "parse.h"
#include "term.h"

static int usage(struct shell *sh, const char *name)
{
    fprintf(stderr, "%s: usage: %s %s\n", sh->name, name, builtin_find(name)->usage);
    return STATUS_USAGE;
}

/* A number from 0 to INT_MAX. False: an error was reported. */
static bool number_of(struct shell *sh, const char *name, const char *text, int *number)
{
    char *end;
    long value;

    errno = 0;
    value = strtol(text, &end, 10);
    if (errno || end == text || *end || value < 0 || value > 0x7fffffff) {
        shell_error(sh, "%s: %s: a number is expected", name, text);
        return false;
    }
    *number = (int)value;
    return true;
}

static int run_colon(struct shell *sh, int argc, char **argv)
{
    (void)sh, (void)argc, (void)argv;
    return 0;
}

static int run_cd(struct shell *sh, int argc, char **argv)
{
    const char *target = argc > 1 ? argv[1] : vars_get(&sh->vars, "HOME");
    const char *old = vars_get(&sh->vars, "PWD");
    bool back = target && strcmp(target, "-") == 0;
    char *directory;

    if (argc > 2)
        return usage(sh, "cd");
    if (back)
        target = vars_get(&sh->vars, "OLDPWD");
    if (!target) {
        shell_error(sh, "cd: %s is not set", back ? "OLDPWD" : "HOME");
        return STATUS_FAILED;
    }
    if (chdir(target) < 0) {
        shell_error(sh, "cd: %s: %s", target, strerror(errno));
        return STATUS_FAILED;
    }
    directory = getcwd(NULL, 0);
    if (back && directory)
        puts(directory);
    if (old)
        vars_set(&sh->vars, "OLDPWD", old);
    if (directory)
        vars_set(&sh->vars, "PWD", directory);
    free(directory);
    return 0;
}

static int run_pwd(struct shell *sh, int argc, char **argv)
{
    char *directory;

    (void)argv;
    if (argc > 1)
        return usage(sh, "pwd");
    directory = getcwd(NULL, 0);
    if (!directory) {
        shell_error(sh, "pwd: %s", strerror(errno));
        return STATUS_FAILED;
    }
    puts(directory);
    free(directory);
    return 0;
}

static int run_exit(struct shell *sh, int argc, char **argv)
{
    int status = sh->status;

    if (argc > 2)
        return usage(sh, "exit");
    if (argc == 2 && !number_of(sh, "exit", argv[1], &status))
        status = STATUS_USAGE;
    sh->leaving = true;
    return status & 0xff;
}

static void print_variables(const struct shell *sh, bool exported_only, const char *prefix)
{
    for (const struct var *var = sh->vars.first; var; var = var->next) {
        struct str quoted = {0};

        if (exported_only && !var->exported)
            continue;
        if (var->value) {
            str_put_quoted(&quoted, var->value);
            printf("%s%s=%s\n", prefix, var->name, str_text(&quoted));
        } else if (exported_only) {
            printf("%s%s\n", prefix, var->name);
        }
        str_free(&quoted);
    }
}

static bool check_name(struct shell *sh, const char *builtin, const char *text, size_t len)
{
    if (name_valid(text, len))
        return true;
    shell_error(sh, "%s: `%s': not a valid name", builtin, text);
    return false;
}

static int run_export(struct shell *sh, int argc, char **argv)
{
    int status = 0;

    if (argc == 1 || strcmp(argv[1], "-p") == 0)
        print_variables(sh, true, "export ");
    for (int i = argc > 1 && strcmp(argv[1], "-p") == 0 ? 2 : 1; i < argc; i++) {
        size_t len = strcspn(argv[i], "=");
        char *name = xstrndup(argv[i], len);

        if (!check_name(sh, "export", argv[i], len)) {
            status = STATUS_FAILED;
        } else {
            if (argv[i][len])
                vars_set(&sh->vars, name, argv[i] + len + 1);
            vars_export(&sh->vars, name);
        }
        free(name);
    }
    return status;
}

static int run_unset(struct shell *sh, int argc, char **argv)
{
    int status = 0;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-v") == 0 && i == 1)
            continue;
        if (check_name(sh, "unset", argv[i], strlen(argv[i])))
            vars_unset(&sh->vars, argv[i]);
        else
            status = STATUS_FAILED;
    }
    return status;
}

static bool set_options(struct shell *sh, const char *letters)
{
    bool on = letters[0] == '-';

    for (letters++; *letters; letters++) {
        if (*letters == 'e')
            sh->opt_errexit = on;
        else if (*letters == 'x')
            sh->opt_xtrace = on;
        else if (*letters == 'u')
            sh->opt_nounset = on;
        else
            return false;
    }
    return true;
}

static int run_set(struct shell *sh, int argc, char **argv)
{
    struct list params = {0};
    int i = 1;

    if (argc == 1)
        print_variables(sh, false, "");
    for (; i < argc && (argv[i][0] == '-' || argv[i][0] == '+') && argv[i][1]; i++) {
        if (strcmp(argv[i], "--") == 0)
            break;
        if (!set_options(sh, argv[i]))
            return usage(sh, "set");
    }
    if (i == argc)
        return 0;
    for (i += strcmp(argv[i], "--") == 0; i < argc; i++)
        list_push(&params, xstrdup(argv[i]));
    list_free(&sh->params);
    sh->params = params;
    return 0;
}

static int run_shift(struct shell *sh, int argc, char **argv)
{
    struct list *params = &sh->params;
    int count = 1;

    if (argc > 2)
        return usage(sh, "shift");
    if (argc == 2 && !number_of(sh, "shift", argv[1], &count))
        return STATUS_USAGE;
    if ((size_t)count > params->len) {
        shell_error(sh, "shift: there are only %zu parameters", params->len);
        return STATUS_FAILED;
    }
    for (int i = 0; i < count; i++)
        free(params->item[i]);
    if (count) {
        params->len -= (size_t)count;
        memmove(params->item, params->item + count, (params->len + 1) * sizeof(*params->item));
    }
    return 0;
}

static int leave_loops(struct shell *sh, int argc, char **argv, bool continuing)
{
    int count = 1;

    if (argc > 2)
        return usage(sh, argv[0]);
    if (argc == 2 && !number_of(sh, argv[0], argv[1], &count))
        return STATUS_USAGE;
    if (!sh->loops || count < 1) {
        shell_error(sh, "%s: %s", argv[0], count < 1 ? "at least one loop must be left" : "not in a loop");
        return STATUS_FAILED;
    }
    sh->break_loops = count < sh->loops ? count : sh->loops;
    sh->continuing = continuing;
    return 0;
}

static int run_break(struct shell *sh, int argc, char **argv)
{
    return leave_loops(sh, argc, argv, false);
}

static int run_continue(struct shell *sh, int argc, char **argv)
{
    return leave_loops(sh, argc, argv, true);
}

static int run_history(struct shell *sh, int argc, char **argv)
{
    const struct history *history = &sh->history;

    if (argc == 2 && strcmp(argv[1], "-c") == 0) {
        history_clear(&sh->history);
        return 0;
    }
    if (argc > 1)
        return usage(sh, "history");
    for (size_t i = 0; i < history->lines.len; i++)
        printf("%5zu  %s\n", history->dropped + i + 1, history->lines.item[i]);
    return 0;
}

static int run_help(struct shell *sh, int argc, char **argv)
{
    const struct builtin *builtin;

    (void)sh, (void)argc, (void)argv;
    printf("Commands of the shell itself; each other command is a program in $PATH.\n\n");
    for (size_t i = 0; (builtin = builtin_at(i)); i++)
        printf("  %-9s%-24s %s\n", builtin->name, builtin->usage, builtin->help);
    printf("\nA | B   pipe      A && B, A || B   if A worked, failed      A &   in the background\n"
           "< > >> 2> 2>&1   redirect      * ? [a-z]   paths      $x ${x:-y} $? $(A) $((1+2))   values\n"
           "if A; then B; else C; fi      while A; do B; done      for x in A B; do C; done\n"
           "Keys: up and down: history      Tab: complete      ^C: cancel      ^D: leave\n");
    return 0;
}

static struct job *job_named(struct shell *sh, const char *builtin, const char *name)
{
    struct job *job = jobs_find(sh, name);

    if (!job)
        shell_error(sh, "%s: %s: no such job", builtin, *name ? name : "current");
    return job;
}

static int wait_for_all(struct shell *sh)
{
    struct job *next;

    for (struct job *job = sh->jobs.first; job; job = next) {
        next = job->next;
        if (job->background && job_wait_background(sh, job) == STATUS_SIGNAL + SIGINT && shell_interrupted)
            return STATUS_SIGNAL + SIGINT;
    }
    return 0;
}

static int run_wait(struct shell *sh, int argc, char **argv)
{
    int status = 0;

    if (argc == 1)
        return wait_for_all(sh);
    for (int i = 1; i < argc; i++) {
        struct job *job = job_named(sh, "wait", argv[i]);

        status = job ? job_wait_background(sh, job) : STATUS_NOT_FOUND;
    }
    return status;
}

static int run_jobs(struct shell *sh, int argc, char **argv)
{
    (void)argv;
    if (argc > 1)
        return usage(sh, "jobs");
    jobs_print(sh);
    return 0;
}

static struct job *job_to_continue(struct shell *sh, int argc, char **argv)
{
    struct job *job = job_named(sh, argv[0], argc > 1 ? argv[1] : "");

    if (job && !job->group) {
        shell_error(sh, "%s: only an interactive shell controls jobs", argv[0]);
        return NULL;
    }
    return job;
}

static int continue_job(struct shell *sh, const char *builtin, struct job *job)
{
    if (job_continue(job))
        return 0;
    shell_error(sh, "%s: %s: %s", builtin, job->text, strerror(errno));
    return STATUS_FAILED;
}

static int run_fg(struct shell *sh, int argc, char **argv)
{
    struct job *job = job_to_continue(sh, argc, argv);

    if (!job)
        return STATUS_FAILED;
    puts(job->text);
    fflush(stdout);
    term_give(job->group);
    if (continue_job(sh, "fg", job)) {
        term_take_back();
        return STATUS_FAILED;
    }
    job->background = false;
    return job_wait(sh, job);
}

static int run_bg(struct shell *sh, int argc, char **argv)
{
    struct job *job = job_to_continue(sh, argc, argv);

    return job ? continue_job(sh, "bg", job) : STATUS_FAILED;
}

enum { SOURCE_DEPTH_MAX = 50 };

static int run_source(struct shell *sh, int argc, char **argv)
{
    if (argc != 2)
        return usage(sh, ".");
    if (sh->source_depth == SOURCE_DEPTH_MAX) {
        shell_error(sh, ".: %s: nested too deeply", argv[1]);
        return STATUS_FAILED;
    }
    sh->status = 0;
    sh->source_depth++;
    if (!input_run_file(sh, argv[1])) {
        shell_error(sh, ".: %s: %s", argv[1], strerror(errno));
        sh->status = STATUS_FAILED;
    }
    sh->source_depth--;
    return sh->status;
}

/* The redirections of a bare exec are kept by whoever runs it. */
static int run_exec(struct shell *sh, int argc, char **argv)
{
    if (argc == 1)
        return 0;
    shell_error(sh, "exec: %s: a program cannot take the shell's place here; run it, then exit", argv[1]);
    return STATUS_CANNOT_RUN;
}

static int run_type(struct shell *sh, int argc, char **argv)
{
    int status = 0;

    for (int i = 1; i < argc; i++) {
        char *path = program_find(sh, argv[i]);

        if (builtin_find(argv[i])) {
            printf("%s is a command of the shell\n", argv[i]);
        } else if (path && access(path, X_OK) == 0) {
            printf("%s is %s\n", argv[i], path);
        } else {
            shell_error(sh, "type: %s: not found", argv[i]);
            status = STATUS_NOT_FOUND;
        }
        free(path);
    }
    return status;
}

static const struct builtin builtins[] = {
    {".", run_source, "FILE", "run the commands in FILE here", true, false},
    {":", run_colon, "", "do nothing", true, false},
    {"[", builtin_test, "EXPRESSION ]", "test files, texts, numbers", false, false},
    {"bg", run_bg, "[%JOB]", "let a stopped job go on in the background", false, true},
    {"break", run_break, "[N]", "leave N loops", true, false},
    {"cd", run_cd, "[DIRECTORY | -]", "change the working directory", false, false},
    {"continue", run_continue, "[N]", "go on with the next round", true, false},
    {"exec", run_exec, "[REDIRECTION]...", "redirect the shell itself", true, false},
    {"exit", run_exit, "[STATUS]", "leave the shell", true, false},
    {"export", run_export, "[-p] [NAME[=VALUE]]...", "hand variables to programs", true, false},
    {"fg", run_fg, "[%JOB]", "bring a job to the foreground", false, true},
    {"help", run_help, "", "this list", false, true},
    {"history", run_history, "[-c]", "lines typed so far; -c forgets them", false, true},
    {"jobs", run_jobs, "", "what runs in the background", false, true},
    {"pwd", run_pwd, "", "print the working directory", false, false},
    {"read", builtin_read, "[-r] [NAME]...", "a line of input into variables", false, false},
    {"set", run_set, "[-eux] [--] [VALUE]...", "options, $1 $2 ..., all variables", true, false},
    {"shift", run_shift, "[N]", "drop the first N parameters", true, false},
    {"test", builtin_test, "EXPRESSION", "test files, texts, numbers", false, false},
    {"type", run_type, "NAME...", "say what a command is", false, false},
    {"unset", run_unset, "NAME...", "remove variables", true, false},
    {"wait", run_wait, "[%JOB | PID]...", "wait for background jobs", false, true},
};

const struct builtin *builtin_at(size_t index)
{
    return index < sizeof(builtins) / sizeof(builtins[0]) ? &builtins[index] : NULL;
}

const struct builtin *builtin_find(const char *name)
{
    const struct builtin *builtin;

    for (size_t i = 0; (builtin = builtin_at(i)); i++)
        if (strcmp(builtin->name, name) == 0)
            return builtin;
    return NULL;
}
