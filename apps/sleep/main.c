/* sleep: waits. */
#include <stdlib.h>
#include <time.h>

#include "../common/tool.h"

static const char help[] =
    "usage: sleep TIME...\n"
    "Waits for the sum of all TIMEs: seconds, with fractions, or with s, m, h, d behind.\n";

static bool seconds_of(const char *text, double *seconds)
{
    char *end;
    double value = strtod(text, &end);

    if (end == text || !(value >= 0))
        return false;
    if (*end == 'm')
        value *= 60;
    else if (*end == 'h')
        value *= 3600;
    else if (*end == 'd')
        value *= 86400;
    if (*end && (!strchr("smhd", *end) || end[1]))
        return false;
    *seconds += value;
    return true;
}

int main(int argc, char **argv)
{
    struct timespec left;
    double seconds = 0;

    if (tool_help(argc, argv, help))
        return TOOL_OK;
    if (argc < 2)
        return tool_usage("sleep", "how long?", help);
    for (int i = 1; i < argc; i++)
        if (!seconds_of(argv[i], &seconds)) {
            tool_complain("sleep", argv[i], "not a time");
            return TOOL_USAGE;
        }
    if (seconds > 1e9)
        seconds = 1e9; /* more than 30 years */
    left.tv_sec = (time_t)seconds;
    left.tv_nsec = (long)((seconds - (double)left.tv_sec) * 1e9);
    while (nanosleep(&left, &left) < 0) {
        if (errno != EINTR) {
            tool_error("sleep", argv[1]);
            return TOOL_FAILED;
        }
    }
    return TOOL_OK;
}
