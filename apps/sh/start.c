#include "shell.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "input.h"
#include "launch.h"
#include "mem.h"
#include "term.h"

static const char help[] =
    "usage: sh [-eux] [-i] [FILE [ARGUMENT]...]\n"
    "       sh [-eux] -c COMMANDS [NAME [ARGUMENT]...]\n"
    "Runs COMMANDS, or the commands in FILE, or those on standard input.\n"
    "  -e  leave when a command fails         -u  an unset variable is an error\n"
    "  -x  show each command before it runs   -i  with prompt, editing and job control\n"
    "Type help for the commands of the shell itself.\n";

struct options {
    const char *commands; /* of -c */
    bool interactive;
    int next; /* the first argument that is no option */
};

static void on_interrupt(int signal_number)
{
    (void)signal_number;
    shell_interrupted = 1;
}

static bool parse_letters(struct shell *sh, struct options *options, const char *letters, bool *commands)
{
    for (; *letters; letters++) {
        if (*letters == 'c')
            *commands = true;
        else if (*letters == 'e')
            sh->opt_errexit = true;
        else if (*letters == 'u')
            sh->opt_nounset = true;
        else if (*letters == 'x')
            sh->opt_xtrace = true;
        else if (*letters == 'i')
            options->interactive = true;
        else
            return false;
    }
    return true;
}

/* False: the use was wrong, and was told. */
static bool parse_options(struct shell *sh, struct options *options, int argc, char **argv)
{
    bool commands = false;
    int i = 1;

    for (; i < argc && argv[i][0] == '-' && argv[i][1] && !commands; i++) {
        if (strcmp(argv[i], "--") == 0) {
            i++;
            break;
        }
        if (!parse_letters(sh, options, argv[i] + 1, &commands)) {
            fprintf(stderr, "sh: %s: unknown option\n%s", argv[i], help);
            return false;
        }
    }
    if (commands && i == argc) {
        fprintf(stderr, "sh: -c needs COMMANDS\n%s", help);
        return false;
    }
    if (commands)
        options->commands = argv[i++];
    options->next = i;
    return true;
}

static void set_params(struct shell *sh, int argc, char **argv, int from)
{
    for (; from < argc; from++)
        list_push(&sh->params, xstrdup(argv[from]));
}

/* Without SA_RESTART: an interrupted wait returns. */
static void catch_interrupt(void)
{
    struct sigaction action = {.sa_handler = on_interrupt};

    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
}

static void be_interactive(struct shell *sh)
{
    sh->interactive = true;
    term_init();
    catch_interrupt();
    signal(SIGQUIT, SIG_IGN);
    signal(SIGTSTP, SIG_IGN);
    signal(SIGTTIN, SIG_IGN);
    signal(SIGTTOU, SIG_IGN);
}

static int run_file(struct shell *sh, const char *path)
{
    sh->name = path;
    sh->in_script = true;
    if (input_run_file(sh, path))
        return sh->status;
    fprintf(stderr, "sh: %s: %s\n", path, strerror(errno));
    return errno == ENOENT ? STATUS_NOT_FOUND : STATUS_CANNOT_RUN;
}

static int run(struct shell *sh, const struct options *options, int argc, char **argv)
{
    int next = options->next;

    if (options->commands) {
        if (next < argc)
            sh->name = argv[next];
        set_params(sh, argc, argv, next + 1);
        return shell_run_text(sh, options->commands, strlen(options->commands), 1);
    }
    if (next < argc) {
        set_params(sh, argc, argv, next + 1);
        return run_file(sh, argv[next]);
    }
    if (options->interactive || isatty(STDIN_FILENO))
        be_interactive(sh);
    return input_run(sh);
}

/* argv[0] leads to the shell's own program, except for a login shell ("-sh"). */
static char *find_self(const struct shell *sh, const char *name)
{
    char *path = name && name[0] != '-' ? program_find(sh, name) : NULL;

    return path ? path : xstrdup("/bin/sh");
}

int shell_main(int argc, char **argv)
{
    extern char **environ;
    struct options options = {0};
    struct shell sh;
    char *self;
    int status;

    if (argc > 1 && strcmp(argv[1], "--help") == 0) {
        fputs(help, stdout);
        return 0;
    }
    shell_init(&sh, "/bin/sh", environ);
    self = find_self(&sh, argc ? argv[0] : NULL);
    sh.self = self;
    if (parse_options(&sh, &options, argc, argv))
        status = run(&sh, &options, argc, argv);
    else
        status = STATUS_USAGE;
    shell_free(&sh);
    free(self);
    return status;
}
