/*
 * test and [ : by the number of arguments, as POSIX says, so that operands may look like operators.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "builtins.h"

enum { TEST_TRUE, TEST_FALSE, TEST_ERROR = STATUS_USAGE };

static int answer(bool holds)
{
    return holds ? TEST_TRUE : TEST_FALSE;
}

static bool integer(struct shell *sh, const char *text, long long *value)
{
    char *end;

    errno = 0;
    *value = strtoll(text, &end, 10);
    if (!errno && end != text && !*end)
        return true;
    shell_error(sh, "test: %s: not a number", text);
    return false;
}

static int test_file(char kind, const char *path)
{
    struct stat st;

    if (kind == 'r' || kind == 'w' || kind == 'x')
        return answer(access(path, kind == 'r' ? R_OK : kind == 'w' ? W_OK : X_OK) == 0);
    if ((kind == 'h' || kind == 'L' ? lstat(path, &st) : stat(path, &st)) < 0)
        return TEST_FALSE;
    switch (kind) {
    case 'f':
        return answer(S_ISREG(st.st_mode));
    case 'd':
        return answer(S_ISDIR(st.st_mode));
    case 'c':
        return answer(S_ISCHR(st.st_mode));
    case 'b':
        return answer(S_ISBLK(st.st_mode));
    case 'p':
        return answer(S_ISFIFO(st.st_mode));
    case 'h':
    case 'L':
        return answer(S_ISLNK(st.st_mode));
    case 's':
        return answer(st.st_size > 0);
    default:
        return TEST_TRUE; /* -e */
    }
}

static int test_unary(struct shell *sh, const char *op, const char *arg)
{
    long long fd;

    if (strcmp(op, "!") == 0)
        return answer(!*arg);
    if (op[0] != '-' || !op[1] || op[2] || !strchr("nzefdcbphLsrwxt", op[1])) {
        shell_error(sh, "test: %s: unknown operator", op);
        return TEST_ERROR;
    }
    if (op[1] == 'n' || op[1] == 'z')
        return answer((op[1] == 'n') == (*arg != '\0'));
    if (op[1] == 't')
        return integer(sh, arg, &fd) ? answer(isatty((int)fd)) : TEST_ERROR;
    return test_file(op[1], arg);
}

static int compare(struct shell *sh, const char *left, const char *op, const char *right)
{
    static const char *const names[] = {"-eq", "-ne", "-lt", "-le", "-gt", "-ge"};
    long long a, b;
    size_t i = 0;

    while (i < 6 && strcmp(names[i], op) != 0)
        i++;
    if (i == 6) {
        shell_error(sh, "test: %s: unknown operator", op);
        return TEST_ERROR;
    }
    if (!integer(sh, left, &a) || !integer(sh, right, &b))
        return TEST_ERROR;
    switch (i) {
    case 0:
        return answer(a == b);
    case 1:
        return answer(a != b);
    case 2:
        return answer(a < b);
    case 3:
        return answer(a <= b);
    case 4:
        return answer(a > b);
    default:
        return answer(a >= b);
    }
}

static int test_binary(struct shell *sh, char **arg)
{
    if (strcmp(arg[1], "=") == 0 || strcmp(arg[1], "==") == 0)
        return answer(strcmp(arg[0], arg[2]) == 0);
    if (strcmp(arg[1], "!=") == 0)
        return answer(strcmp(arg[0], arg[2]) != 0);
    if (strcmp(arg[1], "-a") == 0)
        return answer(*arg[0] && *arg[2]);
    if (strcmp(arg[1], "-o") == 0)
        return answer(*arg[0] || *arg[2]);
    return compare(sh, arg[0], arg[1], arg[2]);
}

static int evaluate(struct shell *sh, int count, char **arg)
{
    bool inverted = false;
    int result;

    while (count > 2 && strcmp(arg[0], "!") == 0 && !(count == 3 && strcmp(arg[1], "=") == 0)) {
        inverted = !inverted;
        count--;
        arg++;
    }
    switch (count) {
    case 0:
        result = TEST_FALSE;
        break;
    case 1:
        result = answer(*arg[0] != '\0');
        break;
    case 2:
        result = test_unary(sh, arg[0], arg[1]);
        break;
    case 3:
        result = test_binary(sh, arg);
        break;
    default:
        shell_error(sh, "test: too many arguments; use && and || between tests");
        return TEST_ERROR;
    }
    return inverted && result != TEST_ERROR ? !result : result;
}

int builtin_test(struct shell *sh, int argc, char **argv)
{
    if (strcmp(argv[0], "[") != 0)
        return evaluate(sh, argc - 1, argv + 1);
    if (strcmp(argv[argc - 1], "]") != 0) {
        shell_error(sh, "[: missing ]");
        return TEST_ERROR;
    }
    return evaluate(sh, argc - 2, argv + 1);
}
