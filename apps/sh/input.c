#include "input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "edit.h"
#include "exec.h"
#include "parse.h"
#include "redirect.h"
#include "term.h"

/*
 * Byte by byte: what stands behind the newline belongs to the program that the line starts.
 * A last line without a newline is a line too.
 */
static bool read_plain_line(struct str *line)
{
    size_t before = line->len;
    char c;

    for (;;) {
        ssize_t got = read(STDIN_FILENO, &c, 1);

        if (got < 0 && errno == EINTR) {
            if (shell_interrupted)
                return false;
            continue;
        }
        if (got <= 0)
            return line->len > before;
        str_putc(line, c);
        if (c == '\n')
            return true;
    }
}

static char *prompt_text(const struct shell *sh, bool continued)
{
    const char *set = vars_get(&sh->vars, continued ? "PS2" : "PS1"), *directory = vars_get(&sh->vars, "PWD");
    struct str text = {0};

    if (set || continued) {
        str_puts(&text, set ? set : "> ");
    } else {
        str_puts(&text, "corbel:");
        str_puts(&text, directory ? directory : "?");
        str_puts(&text, "$ ");
    }
    return str_take(&text);
}

/* Appends a line to text. False: the input has ended, or the line was cancelled. */
static bool read_prompted_line(struct shell *sh, struct str *text)
{
    char *prompt = prompt_text(sh, text->len > 0);
    enum edit_result result = EDIT_UNABLE;
    struct str line = {0};
    bool got;

    if (term_raw()) {
        result = edit_line(sh, prompt, &line);
        term_restore();
    }
    if (result == EDIT_UNABLE) {
        fputs(prompt, stdout);
        fflush(stdout);
        got = read_plain_line(&line);
    } else {
        got = result == EDIT_LINE;
        shell_interrupted = result == EDIT_CANCELLED; /* a signal while a line is typed is none */
    }
    if (got)
        str_put(text, str_text(&line), line.len);
    str_free(&line);
    free(prompt);
    return got;
}

static bool read_line(struct shell *sh, struct str *text)
{
    return sh->interactive ? read_prompted_line(sh, text) : read_plain_line(text);
}

static void remember(struct shell *sh, const struct str *text)
{
    char *line = xstrndup(str_text(text), text->len);

    while (*line && line[strlen(line) - 1] == '\n')
        line[strlen(line) - 1] = '\0';
    history_add(&sh->history, line);
    free(line);
}

enum reading { READ_COMMAND, READ_CANCELLED, READ_END };

/* Reads lines until they make whole commands, or cannot any more. */
static enum reading read_command(struct shell *sh, struct str *text, struct script *script, int line)
{
    struct parse_error error;

    for (;;) {
        if (!read_line(sh, text)) {
            if (shell_interrupted)
                return READ_CANCELLED;
            return text->len ? READ_COMMAND : READ_END;
        }
        if (script_parse(script, str_text(text), text->len, line, &error) != PARSE_INCOMPLETE)
            return READ_COMMAND;
        script_free(script);
    }
}

static int count_lines(const struct str *text)
{
    int lines = 0;

    for (size_t i = 0; i < text->len; i++)
        lines += text->text[i] == '\n';
    return lines;
}

/* One command from the input. False: there are no more. */
static bool run_next(struct shell *sh, int *line)
{
    struct script script = {0};
    struct str text = {0};
    enum reading reading;

    shell_interrupted = 0;
    if (sh->interactive)
        jobs_poll(sh, true);
    reading = read_command(sh, &text, &script, sh->interactive ? 1 : *line);
    script_free(&script);
    if (reading == READ_COMMAND) {
        if (sh->interactive)
            remember(sh, &text);
        shell_run_text(sh, str_text(&text), text.len, sh->interactive ? 1 : *line);
        *line += count_lines(&text);
        if (shell_interrupted && sh->interactive)
            putchar('\n'); /* behind the ^C that the terminal echoed */
    }
    if (shell_interrupted)
        sh->status = STATUS_SIGNAL + SIGINT;
    str_free(&text);
    return reading != READ_END;
}

int input_run(struct shell *sh)
{
    int line = 1;

    while (!sh->leaving && run_next(sh, &line))
        ;
    if (sh->interactive && !sh->leaving)
        fputs("exit\n", stdout);
    return sh->status;
}

static bool read_file(const char *path, struct str *text)
{
    int fd = fd_make_private(open(path, O_RDONLY)), error;
    char bytes[1024];
    ssize_t got = 0;

    if (fd < 0)
        return false;
    while ((got = read(fd, bytes, sizeof(bytes))) > 0)
        str_put(text, bytes, (size_t)got);
    error = errno;
    close(fd);
    errno = error;
    return got == 0;
}

bool input_run_file(struct shell *sh, const char *path)
{
    struct str text = {0};
    bool done = read_file(path, &text);
    int error = errno;

    if (done)
        shell_run_text(sh, str_text(&text), text.len, 1);
    str_free(&text);
    errno = error;
    return done;
}
