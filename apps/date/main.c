/* date: the time of day. */
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "../common/tool.h"
#include "os/time.h"

static const char help[] = "usage: date [-u] [-d @SECONDS] [+FORMAT]\n"
                           "Prints the time of day, as strftime's FORMAT says.\n"
                           "  -u  UTC, whatever TZ is    -d  that time, in seconds since 1970, not now\n";

enum { TEXT_MAX = 4096 };

static bool take_seconds(const char *text, time_t *when)
{
    uint64_t seconds;

    if (text[0] != '@' || !tool_number(text + 1, &seconds) || seconds > INT64_MAX)
        return false;
    *when = (time_t)seconds;
    return true;
}

static int print_time(time_t when, bool utc, const char *format)
{
    static char text[TEXT_MAX];
    const struct tm *parts = utc ? gmtime(&when) : localtime(&when);

    if (!parts || (*format && !strftime(text, sizeof(text), format, parts))) {
        tool_complain("date", format, "cannot be printed");
        return TOOL_FAILED;
    }
    puts(text);
    return TOOL_OK;
}

int main(int argc, char **argv)
{
    const char *format = "%a %b %e %H:%M:%S %Z %Y";
    bool utc = false, given = false;
    time_t when = time(NULL);
    int option;

    if (tool_help(argc, argv, help))
        return tool_finish("date", TOOL_OK);
    while ((option = tool_option(argc, argv, "ud:")) != -1) {
        if (option == '?')
            return tool_bad_option("date", help);
        utc |= option == 'u';
        given |= option == 'd';
        if (option == 'd' && !take_seconds(optarg, &when))
            return tool_usage("date", "-d takes @ and seconds", help);
    }
    if (argc - optind > 1 || (argc > optind && argv[optind][0] != '+'))
        return tool_usage("date", "takes one +FORMAT at most, and sets no clock", help);
    if (!given && !os_epoch_ns()) {
        tool_complain("date", "the time of day", "this machine has no clock");
        return TOOL_FAILED;
    }
    return tool_finish("date", print_time(when, utc, argc > optind ? argv[optind] + 1 : format));
}
