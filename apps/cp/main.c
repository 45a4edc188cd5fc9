/* cp: copies files and directories. */
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "../common/tool.h"

static const char help[] = "usage: cp [-rf] SOURCE... TARGET\n"
                           "Copies SOURCE to TARGET, or each SOURCE into TARGET if that is a directory.\n"
                           "  -r  directories too, with all that is in them\n"
                           "  -f  remove a TARGET that cannot be written, and try again\n";

struct copy {
    bool recursive;
    bool force;
    struct tool_path from;
    struct tool_path to;
    struct stat root; /* the directory that a tree is copied to: not to be copied itself */
    bool has_root;
};

static int copy_path(struct copy *copy);

static int fail(const char *path)
{
    tool_error("cp", path);
    return TOOL_FAILED;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static int copy_bytes(struct copy *copy, int in, int out)
{
    static char bytes[16384];
    ssize_t got;

    while ((got = read(in, bytes, sizeof(bytes))) > 0) {
        for (ssize_t done = 0; done < got;) {
            ssize_t put = write(out, bytes + done, (size_t)(got - done));

            if (put < 0)
                return fail(copy->to.text);
            done += put;
        }
    }
    return got < 0 ? fail(copy->from.text) : TOOL_OK;
}

static int open_target(const struct copy *copy, mode_t mode)
{
    int out = open(copy->to.text, O_WRONLY | O_CREAT | O_TRUNC, mode & 0777);

    if (out < 0 && copy->force && unlink(copy->to.text) == 0)
        out = open(copy->to.text, O_WRONLY | O_CREAT | O_TRUNC, mode & 0777);
    return out;
}

static int copy_file(struct copy *copy, const struct stat *st)
{
    int in = open(copy->from.text, O_RDONLY), out, status;

    if (in < 0)
        return fail(copy->from.text);
    out = open_target(copy, st->st_mode);
    if (out < 0) {
        status = fail(copy->to.text);
        close(in);
        return status;
    }
    status = copy_bytes(copy, in, out);
    if (close(out) < 0 && !status)
        status = fail(copy->to.text);
    close(in);
    return status;
}

static int copy_entry(struct copy *copy, const char *name)
{
    size_t from_len = copy->from.len, to_len = copy->to.len;
    int status;

    if (tool_path_push(&copy->from, name) && tool_path_push(&copy->to, name))
        status = copy_path(copy);
    else
        status = fail(copy->from.text);
    tool_path_pop(&copy->from, from_len);
    tool_path_pop(&copy->to, to_len);
    return status;
}

static int copy_entries(struct copy *copy)
{
    DIR *stream = opendir(copy->from.text);
    struct dirent *entry;
    int status = TOOL_OK;

    if (!stream)
        return fail(copy->from.text);
    while ((entry = readdir(stream)))
        if (!tool_is_dots(entry->d_name))
            status |= copy_entry(copy, entry->d_name);
    closedir(stream);
    return status;
}

/* The target directory, made if it is not there yet. Its identity is kept, so that it is not copied. */
static bool make_directory(struct copy *copy, mode_t mode)
{
    struct stat st;

    if (mkdir(copy->to.text, (mode & 0777) | 0700) < 0 && errno != EEXIST)
        return false;
    if (stat(copy->to.text, &st) < 0)
        return false;
    if (!S_ISDIR(st.st_mode)) {
        errno = ENOTDIR;
        return false;
    }
    if (!copy->has_root)
        copy->root = st;
    copy->has_root = true;
    return true;
}

static int copy_directory(struct copy *copy, const struct stat *st)
{
    if (!copy->recursive) {
        tool_complain("cp", copy->from.text, "is a directory; -r copies directories");
        return TOOL_FAILED;
    }
    if (copy->has_root && same_file(st, &copy->root)) {
        tool_complain("cp", copy->from.text, "is the target itself, and left out");
        return TOOL_FAILED;
    }
    return make_directory(copy, st->st_mode) ? copy_entries(copy) : fail(copy->to.text);
}

static int copy_path(struct copy *copy)
{
    struct stat from, to;

    if (stat(copy->from.text, &from) < 0)
        return fail(copy->from.text);
    if (stat(copy->to.text, &to) == 0 && same_file(&from, &to)) {
        tool_complain("cp", copy->to.text, "is the same file as its source");
        return TOOL_FAILED;
    }
    return S_ISDIR(from.st_mode) ? copy_directory(copy, &from) : copy_file(copy, &from);
}

/* Sets the two paths; the target gets the source's last name if it is a directory. */
static int copy_argument(struct copy *copy, char *source, const char *target, bool into)
{
    tool_path_pop(&copy->from, 0);
    tool_path_pop(&copy->to, 0);
    copy->has_root = false;
    if (!tool_path_push(&copy->from, source))
        return fail(source);
    if (!tool_path_push(&copy->to, target) || (into && !tool_path_push(&copy->to, tool_base(source))))
        return fail(target);
    return copy_path(copy);
}

int main(int argc, char **argv)
{
    static struct copy copy;
    int option, status = TOOL_OK;
    struct stat st;
    bool into;

    if (tool_help(argc, argv, help))
        return TOOL_OK;
    while ((option = tool_option(argc, argv, "rRf")) != -1) {
        if (option == '?')
            return tool_bad_option("cp", help);
        copy.recursive |= option != 'f';
        copy.force |= option == 'f';
    }
    if (argc - optind < 2)
        return tool_usage("cp", optind == argc ? "what, and to where?" : "to where?", help);
    into = stat(argv[argc - 1], &st) == 0 && S_ISDIR(st.st_mode);
    if (argc - optind > 2 && !into) {
        tool_complain("cp", argv[argc - 1], "several files need a directory to go to");
        return TOOL_FAILED;
    }
    for (; optind < argc - 1; optind++)
        status |= copy_argument(&copy, argv[optind], argv[argc - 1], into);
    return status;
}
