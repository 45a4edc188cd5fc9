/* rmdir: removes empty directories. */
#include "../common/tool.h"

static const char help[] = "usage: rmdir [-p] DIRECTORY...\n"
                           "Removes each DIRECTORY, which must be empty.\n"
                           "  -p  those named above it too: a/b/c, then a/b, then a\n";

/* Cuts the last name off a path. False: there is nothing above it. */
static bool cut(char *path)
{
    char *slash = strrchr(path, '/');

    if (!slash)
        return false;
    while (slash > path && slash[-1] == '/')
        slash--;
    *slash = '\0';
    return *path != '\0';
}

static int remove_one(char *path, bool parents)
{
    tool_base(path); /* takes slashes off its end */
    do {
        if (rmdir(path) < 0) {
            tool_error("rmdir", path);
            return TOOL_FAILED;
        }
    } while (parents && cut(path));
    return TOOL_OK;
}

int main(int argc, char **argv)
{
    bool parents = false;
    int option, status = TOOL_OK;

    if (tool_help(argc, argv, help))
        return tool_finish("rmdir", TOOL_OK);
    while ((option = tool_option(argc, argv, "p")) != -1) {
        if (option == '?')
            return tool_bad_option("rmdir", help);
        parents = true;
    }
    if (optind == argc)
        return tool_usage("rmdir", "which directory?", help);
    for (; optind < argc; optind++)
        status |= remove_one(argv[optind], parents);
    return status;
}
