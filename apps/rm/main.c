/* rm: removes files and directories. */
#include <dirent.h>
#include <sys/stat.h>

#include "../common/tool.h"

static const char help[] = "usage: rm [-rf] FILE...\n"
                           "  -r  directories too, with all that is in them\n"
                           "  -f  a FILE that does not exist is no error\n";

struct removal {
    bool recursive;
    bool force;
    struct tool_path path; /* what is being removed */
};

static int remove_path(struct removal *rm);

static int fail(const char *path)
{
    tool_error("rm", path);
    return TOOL_FAILED;
}

/* Puts the first entry of the directory behind the path. False: it is empty, or *status says no. */
static bool push_first_entry(struct removal *rm, int *status)
{
    DIR *stream = opendir(rm->path.text);
    struct dirent *entry;
    bool pushed;

    if (!stream) {
        *status = fail(rm->path.text);
        return false;
    }
    do
        entry = readdir(stream);
    while (entry && tool_is_dots(entry->d_name));
    pushed = entry && tool_path_push(&rm->path, entry->d_name);
    if (entry && !pushed)
        *status = fail(rm->path.text);
    closedir(stream);
    return pushed;
}

/* Always the first that is left: a directory that changes while it is read may be read askew, and so
 * a deep tree needs no more than one open directory. Stops at what cannot be removed. */
static int remove_entries(struct removal *rm)
{
    size_t len = rm->path.len;
    int status = TOOL_OK;

    while (!status && push_first_entry(rm, &status)) {
        status = remove_path(rm);
        tool_path_pop(&rm->path, len);
    }
    return status;
}

static int remove_directory(struct removal *rm)
{
    int status;

    if (!rm->recursive) {
        tool_complain("rm", rm->path.text, "is a directory; -r removes directories");
        return TOOL_FAILED;
    }
    status = remove_entries(rm);
    if (!status && rmdir(rm->path.text) < 0)
        status = fail(rm->path.text);
    return status;
}

static int remove_path(struct removal *rm)
{
    struct stat st;

    if (lstat(rm->path.text, &st) < 0)
        return rm->force && (errno == ENOENT || errno == ENOTDIR) ? TOOL_OK : fail(rm->path.text);
    if (S_ISDIR(st.st_mode))
        return remove_directory(rm);
    return unlink(rm->path.text) == 0 ? TOOL_OK : fail(rm->path.text);
}

static int remove_argument(struct removal *rm, char *argument)
{
    const char *base = *argument ? tool_base(argument) : argument;

    if (tool_is_dots(base) || strcmp(base, "/") == 0) {
        tool_complain("rm", argument, "will not be removed");
        return TOOL_FAILED;
    }
    tool_path_pop(&rm->path, 0);
    return tool_path_push(&rm->path, argument) ? remove_path(rm) : fail(argument);
}

int main(int argc, char **argv)
{
    static struct removal rm;
    int option, status = TOOL_OK;

    if (tool_help(argc, argv, help))
        return TOOL_OK;
    while ((option = tool_option(argc, argv, "rRf")) != -1) {
        if (option == '?')
            return tool_bad_option("rm", help);
        rm.recursive |= option != 'f';
        rm.force |= option == 'f';
    }
    if (optind == argc && !rm.force)
        return tool_usage("rm", "which file?", help);
    for (; optind < argc; optind++)
        status |= remove_argument(&rm, argv[optind]);
    return status;
}
