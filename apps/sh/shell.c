#include "shell.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "exec.h"
#include "parse.h"

volatile sig_atomic_t shell_interrupted;

static void set_default(struct vars *vars, const char *name, const char *value)
{
    if (!vars_get(vars, name))
        vars_set(vars, name, value);
}

/* $PWD is what the system says, not what a parent believed. */
static void set_directory(struct vars *vars)
{
    char *directory = getcwd(NULL, 0);

    if (directory)
        vars_set(vars, "PWD", directory);
    vars_export(vars, "PWD");
    free(directory);
}

void shell_init(struct shell *sh, const char *self, char *const *environment)
{
    *sh = (struct shell){.name = "sh", .self = self, .line = 1};
    vars_import(&sh->vars, environment);
    vars_unset(&sh->vars, "IFS");
    set_default(&sh->vars, "PATH", "/bin");
    vars_export(&sh->vars, "PATH");
    set_directory(&sh->vars);
}

void shell_free(struct shell *sh)
{
    vars_free(&sh->vars);
    list_free(&sh->params);
    list_free(&sh->history.lines);
    jobs_free(&sh->jobs);
}

void shell_error(struct shell *sh, const char *format, ...)
{
    va_list args;

    fflush(stdout);
    fprintf(stderr, "%s: ", sh->name);
    if (sh->in_script)
        fprintf(stderr, "line %d: ", sh->line);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    fflush(stderr);
}

bool shell_stopping(const struct shell *sh)
{
    return sh->leaving || sh->break_loops > 0 || shell_interrupted;
}

static int syntax_error(struct shell *sh, const struct parse_error *error)
{
    fprintf(stderr, "%s: line %d: %s\n", sh->name, error->line, error->what);
    return sh->status = STATUS_USAGE;
}

int shell_run_text(struct shell *sh, const char *text, size_t len, int line)
{
    struct parse_error error;
    struct script script;

    /* a \ that joins the last line to nothing */
    if (len >= 2 && text[len - 1] == '\n' && text[len - 2] == '\\')
        len -= 2;
    if (script_parse(&script, text, len, line, &error) != PARSE_OK)
        syntax_error(sh, &error);
    else if (script.root)
        exec_node(sh, script.root);
    script_free(&script);
    return sh->status;
}
