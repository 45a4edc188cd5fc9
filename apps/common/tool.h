/*
 * What every small program does alike: help, usage errors, error messages, the last look at the output.
 *
 * Exit status: 0 all done, 1 something failed and was told, 2 wrong use.
 */
#ifndef APPS_COMMON_TOOL_H
#define APPS_COMMON_TOOL_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { TOOL_OK, TOOL_FAILED, TOOL_USAGE };

/* "ls: /nosuch: No such file or directory", after errno was set. */
static inline void tool_error(const char *tool, const char *what)
{
    int error = errno;

    fflush(stdout);
    fprintf(stderr, "%s: %s: %s\n", tool, what, strerror(error));
}

/* The same with a sentence instead of errno. */
static inline void tool_complain(const char *tool, const char *what, const char *sentence)
{
    fflush(stdout);
    fprintf(stderr, "%s: %s: %s\n", tool, what, sentence);
}

/* Whether the program was asked for its help alone, which is then printed. */
static inline bool tool_help(int argc, char **argv, const char *help)
{
    if (argc != 2 || strcmp(argv[1], "--help") != 0)
        return false;
    fputs(help, stdout);
    return true;
}

/* Wrong use: says what, then the help's first line. Returns the exit status. */
static inline int tool_usage(const char *tool, const char *what, const char *help)
{
    int line = (int)strcspn(help, "\n");

    fprintf(stderr, "%s: %s\n%.*s\n", tool, what, line, help);
    return TOOL_USAGE;
}

/* Moves argument i in front of the operands before it, and steps over it. */
static inline char *tool_take(char **argv, int i)
{
    char *taken = argv[i];

    memmove(argv + optind + 1, argv + optind, (size_t)(i - optind) * sizeof(*argv));
    argv[optind++] = taken;
    return taken;
}

/* getopt(), which in newlib neither knows "-" as an operand nor sets optopt. Options may follow operands. */
static inline int tool_option(int argc, char **argv, const char *known)
{
    static char *letters; /* still to be looked at, of the argument before `next` */
    static int next;
    const char *found;

    if (optind == 0)
        optind = 1; /* newlib starts with 0 */
    if (!letters || !*letters) {
        for (next = optind; next < argc && (argv[next][0] != '-' || !argv[next][1]);)
            next++;
        if (next == argc || strcmp(letters = tool_take(argv, next++), "--") == 0)
            return -1;
        letters++;
    }
    optopt = (unsigned char)*letters++;
    found = optopt == ':' ? NULL : strchr(known, optopt);
    if (!found)
        return '?';
    if (found[1] != ':')
        return optopt;
    if (!*letters && next == argc)
        return '?';
    optarg = *letters ? letters : tool_take(argv, next++);
    letters = NULL;
    return optopt;
}

/* After tool_option() returned '?'. */
static inline int tool_bad_option(const char *tool, const char *help)
{
    char what[64];

    snprintf(what, sizeof(what), "-%c: unknown option, or its value is missing", optopt ? optopt : '?');
    return tool_usage(tool, what, help);
}

/* Output that could not be written is a failure too. */
static inline int tool_finish(const char *tool, int status)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    tool_error(tool, "standard output");
    return TOOL_FAILED;
}

/* A decimal number and nothing else. False: it is none, or too large. */
static inline bool tool_number(const char *text, uint64_t *value)
{
    uint64_t n = 0;

    if (!*text)
        return false;
    for (; *text; text++) {
        unsigned digit = (unsigned)*text - '0';

        if (digit > 9 || n > (UINT64_MAX - digit) / 10)
            return false;
        n = n * 10 + digit;
    }
    *value = n;
    return true;
}

/* The last part of a path: "b" of "/a/b" and of "/a/b/"; "/" of "/". For the caller's own use of path. */
static inline const char *tool_base(char *path)
{
    size_t len = strlen(path);
    const char *slash;

    while (len > 1 && path[len - 1] == '/')
        path[--len] = '\0';
    slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

enum { TOOL_PATH_MAX = 1024 };

/* One path for a walk through a tree: names are put behind it and taken off again. */
struct tool_path {
    char text[TOOL_PATH_MAX];
    size_t len;
};

/* Puts name behind path. False with errno, and path as it was: it is too long. */
static inline bool tool_path_push(struct tool_path *path, const char *name)
{
    const char *slash = path->len && path->text[path->len - 1] != '/' ? "/" : "";
    size_t room = sizeof(path->text) - path->len;
    size_t len = (size_t)snprintf(path->text + path->len, room, "%s%s", slash, name);

    if (len < room) {
        path->len += len;
        return true;
    }
    path->text[path->len] = '\0';
    errno = ENAMETOOLONG;
    return false;
}

/* Back to the length that it had. */
static inline void tool_path_pop(struct tool_path *path, size_t len)
{
    path->len = len;
    path->text[len] = '\0';
}

/* Whether a directory entry is . or .. */
static inline bool tool_is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

#endif
