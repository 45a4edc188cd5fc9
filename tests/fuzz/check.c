/* In the place of Check, for helpers of tests/host that a target uses: an assertion that does not hold ends the process. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <check.h>

void _ck_assert_failed(const char *file, int line, const char *expr, const char *msg, ...)
{
    va_list args;

    fprintf(stderr, "%s:%d: %s: ", file, line, expr);
    if (msg) {
        va_start(args, msg);
        vfprintf(stderr, msg, args);
        va_end(args);
    }
    fputc('\n', stderr);
    abort();
}

void _mark_point(const char *file, int line)
{
    (void)file;
    (void)line;
}
