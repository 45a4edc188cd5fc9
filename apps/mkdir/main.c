/* mkdir: makes directories. */
#include <sys/stat.h>

#include "../common/tool.h"

static const char help[] = "usage: mkdir [-p] DIRECTORY...\n"
                           "  -p  make those above it too; one that exists is no error\n";

static bool is_directory(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Makes each directory on the way, too. path is changed and put back. */
static bool make_parents(char *path)
{
    for (char *p = path + 1; *p; p++) {
        bool made;

        if (*p != '/' || p[-1] == '/')
            continue;
        *p = '\0';
        made = mkdir(path, 0777) == 0 || is_directory(path);
        *p = '/';
        if (!made)
            return false;
    }
    return true;
}

static int make(char *path, bool parents)
{
    if (parents && *path && !make_parents(path)) {
        tool_error("mkdir", path);
        return TOOL_FAILED;
    }
    if (mkdir(path, 0777) == 0 || (parents && errno == EEXIST && is_directory(path)))
        return TOOL_OK;
    tool_error("mkdir", path);
    return TOOL_FAILED;
}

int main(int argc, char **argv)
{
    bool parents = false;
    int option, status = TOOL_OK;

    if (tool_help(argc, argv, help))
        return TOOL_OK;
    while ((option = tool_option(argc, argv, "p")) != -1) {
        if (option == '?')
            return tool_bad_option("mkdir", help);
        parents = true;
    }
    if (optind == argc)
        return tool_usage("mkdir", "which directory?", help);
    for (; optind < argc; optind++)
        status |= make(argv[optind], parents);
    return status;
}
