/* uname: what system this is. */
#include <sys/utsname.h>

#include "../common/tool.h"

static const char help[] = "usage: uname [-asnrvm]\n"
                           "  -s  the system's name (also without options)    -n  this machine's name\n"
                           "  -r  release    -v  version    -m  kind of machine    -a  all of these\n";

int main(int argc, char **argv)
{
    struct utsname names;
    const char *const values[] = {names.sysname, names.nodename, names.release, names.version, names.machine};
    static const char letters[] = "snrvm";
    unsigned wanted = 0;
    int option;

    if (tool_help(argc, argv, help))
        return TOOL_OK;
    while ((option = tool_option(argc, argv, "asnrvm")) != -1) {
        if (option == '?')
            return tool_bad_option("uname", help);
        wanted |= option == 'a' ? 31u : 1u << (strchr(letters, option) - letters);
    }
    if (optind < argc)
        return tool_usage("uname", "takes no arguments", help);
    if (uname(&names) < 0) {
        tool_error("uname", "the system");
        return TOOL_FAILED;
    }
    wanted = wanted ? wanted : 1;
    for (unsigned i = 0; i < 5; i++)
        if (wanted & 1u << i)
            printf("%s%s", values[i], wanted >> (i + 1) ? " " : "\n");
    return tool_finish("uname", TOOL_OK);
}
