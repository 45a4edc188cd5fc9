/*
 * read: a line of standard input, cut into variables at the characters of $IFS; the last takes the rest.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "builtins.h"
#include "mem.h"
#include "parse.h"

/* A line without its newline; unless raw, \ keeps the next character and joins lines. False: the end. */
static bool take_line(struct str *line, bool raw)
{
    bool escaped = false;
    char c;

    for (;;) {
        ssize_t got = read(STDIN_FILENO, &c, 1);

        if (got < 0 && errno == EINTR && !shell_interrupted)
            continue;
        if (got <= 0)
            return false;
        if (c == '\n' && !escaped)
            return true;
        if (c == '\\' && !escaped && !raw) {
            escaped = true;
            continue;
        }
        if (c && !(escaped && c == '\n'))
            str_putc(line, c);
        escaped = false;
    }
}

static void assign_fields(struct shell *sh, char *text, char **names, int count)
{
    const char *ifs = vars_get(&sh->vars, "IFS");
    size_t len;

    ifs = ifs ? ifs : " \t\n";
    for (int i = 0; i < count; i++) {
        char *rest;

        text += strspn(text, ifs);
        len = strcspn(text, ifs);
        rest = text + len + (text[len] != '\0');
        if (i + 1 < count)
            text[len] = '\0';
        else
            for (len = strlen(text); len && strchr(ifs, text[len - 1]); len--)
                text[len - 1] = '\0';
        vars_set(&sh->vars, names[i], text);
        text = i + 1 < count ? rest : text + len;
    }
}

int builtin_read(struct shell *sh, int argc, char **argv)
{
    static char reply[] = "REPLY", *default_names[] = {reply};
    bool raw = argc > 1 && strcmp(argv[1], "-r") == 0, got;
    char **names = argv + 1 + raw;
    int count = argc - 1 - raw;
    struct str line = {0};

    for (int i = 0; i < count; i++)
        if (!name_valid(names[i], strlen(names[i]))) {
            shell_error(sh, "read: `%s': not a valid name", names[i]);
            return STATUS_USAGE;
        }
    got = take_line(&line, raw);
    str_put(&line, "", 0);
    assign_fields(sh, line.text, count ? names : default_names, count ? count : 1);
    str_free(&line);
    return got ? 0 : STATUS_FAILED;
}
