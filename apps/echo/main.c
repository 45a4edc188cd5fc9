/* echo: its arguments, with blanks between them and a newline behind. */
#include "../common/tool.h"

struct options {
    bool newline;
    bool escapes;
};

/* An option is - and letters of n, e, E only; anything else is text. */
static bool take_option(const char *arg, struct options *options)
{
    if (arg[0] != '-' || !arg[1] || arg[strspn(arg + 1, "neE") + 1])
        return false;
    for (arg++; *arg; arg++) {
        if (*arg == 'n')
            options->newline = false;
        else
            options->escapes = *arg == 'e';
    }
    return true;
}

/* \0 and up to three octal digits, at the first of these. */
static const char *put_octal(const char *p)
{
    int value = 0;

    for (int i = 0; i < 3 && *p >= '0' && *p <= '7'; i++)
        value = value * 8 + *p++ - '0';
    putchar(value & 0xff);
    return p;
}

/* False: \c, which ends all output. */
static bool put_escaped(const char *p)
{
    static const char letters[] = "abefnrtv\\", values[] = "\a\b\033\f\n\r\t\v\\";

    while (*p) {
        const char *letter = *p == '\\' && p[1] ? strchr(letters, p[1]) : NULL;

        if (*p == '\\' && p[1] == 'c')
            return false;
        if (letter) {
            putchar(values[letter - letters]);
            p += 2;
        } else if (*p == '\\' && p[1] == '0') {
            p = put_octal(p + 2);
        } else {
            putchar(*p++);
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    struct options options = {.newline = true};
    int i = 1;

    while (i < argc && take_option(argv[i], &options))
        i++;
    for (; i < argc; i++) {
        if (options.escapes) {
            if (!put_escaped(argv[i]))
                return tool_finish("echo", TOOL_OK);
        } else {
            fputs(argv[i], stdout);
        }
        if (i + 1 < argc)
            putchar(' ');
    }
    if (options.newline)
        putchar('\n');
    return tool_finish("echo", TOOL_OK);
}
