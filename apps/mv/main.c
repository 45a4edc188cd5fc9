/* mv: renames files and directories. */
#include <sys/stat.h>

#include "../common/tool.h"

static const char help[] =
    "usage: mv [-f] SOURCE... TARGET\n"
    "Renames SOURCE to TARGET, or moves each SOURCE into TARGET if that is a directory.\n"
    "From one file system to another: cp -r, then rm -r.\n";

static bool is_directory(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int fail(const char *path)
{
    tool_error("mv", path);
    return TOOL_FAILED;
}

static int fail_rename(const char *from, const char *to)
{
    char both[2 * TOOL_PATH_MAX];
    int error = errno;

    snprintf(both, sizeof(both), "%s to %s", from, to);
    errno = error;
    return fail(both);
}

static int move(char *source, const char *target, bool into)
{
    struct tool_path to = {.len = 0};
    struct stat st;

    if (lstat(source, &st) < 0)
        return fail(source);
    if (!tool_path_push(&to, target) || (into && !tool_path_push(&to, tool_base(source))))
        return fail(target);
    return rename(source, to.text) == 0 ? TOOL_OK : fail_rename(source, to.text);
}

int main(int argc, char **argv)
{
    int status = TOOL_OK;
    bool into;

    if (tool_help(argc, argv, help))
        return TOOL_OK;
    for (int option; (option = tool_option(argc, argv, "f")) != -1;)
        if (option == '?')
            return tool_bad_option("mv", help);
    if (argc - optind < 2)
        return tool_usage("mv", optind == argc ? "what, and to where?" : "to where?", help);
    into = is_directory(argv[argc - 1]);
    if (argc - optind > 2 && !into) {
        tool_complain("mv", argv[argc - 1], "several files need a directory to go to");
        return TOOL_FAILED;
    }
    for (; optind < argc - 1; optind++)
        status |= move(argv[optind], argv[argc - 1], into);
    return status;
}
