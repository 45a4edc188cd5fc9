/* What filters do alike: their operands, one after the other, as open streams. */
#ifndef APPS_COMMON_INPUT_H
#define APPS_COMMON_INPUT_H

#include "tool.h"

/* Reads one stream. name: the operand; NULL: there was none, so this is standard input.
 * Returns 0, or the errno of a read that failed (tool_input_error). */
typedef int tool_input_fn(void *ctx, FILE *in, const char *name);

/* What a tool_input_fn returns, called right behind its last read. */
static inline int tool_input_error(FILE *in)
{
    return ferror(in) ? errno : 0;
}

static inline bool tool_input_is_standard(const char *name)
{
    return !name || strcmp(name, "-") == 0;
}

/* One operand. 0, or an errno. */
static inline int tool_input(const char *name, tool_input_fn *read_one, void *ctx)
{
    bool standard = tool_input_is_standard(name);
    FILE *in = standard ? stdin : fopen(name, "r");
    int error;

    if (!in)
        return errno;
    error = read_one(ctx, in, name);
    if (!standard)
        fclose(in);
    return error;
}

/* All operands: names ends with NULL, and names nothing for standard input alone, as "-" does.
 * Returns the exit status; what could not be read is told, unless quiet. */
static inline int tool_inputs(const char *tool, char **names, bool quiet, tool_input_fn *read_one, void *ctx)
{
    int status = TOOL_OK;

    do {
        int error = tool_input(*names, read_one, ctx);

        if (error) {
            const char *name = tool_input_is_standard(*names) ? "standard input" : *names;

            status = TOOL_FAILED;
            if (!quiet)
                tool_complain(tool, name, strerror(error));
        }
    } while (*names && *++names);
    return status;
}

#endif
