/* touch: sets the times of files, and makes those that are not there. */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/time.h>

#include "../common/tool.h"

static const char help[] = "usage: touch [-acm] [-r OTHER] FILE...\n"
                           "Sets the times of each FILE to now, and makes it, empty, if it is not there.\n"
                           "  -a  the time of access alone         -m  the time of modification alone\n"
                           "  -r  to those of OTHER, not to now    -c  make no file\n";

struct options {
    bool access, modification, no_create;
    struct timeval times[2]; /* to set: of access, of modification */
};

static struct timeval timeval_of(const struct timespec *t)
{
    return (struct timeval){.tv_sec = t->tv_sec, .tv_usec = t->tv_nsec / 1000};
}

/* False: it is not there, and shall not be. */
static bool made_or_there(const char *path, const struct options *options, struct stat *st, int *status)
{
    int fd;

    if (stat(path, st) == 0)
        return true;
    if (errno == ENOENT && options->no_create)
        return false;
    fd = errno == ENOENT ? open(path, O_WRONLY | O_CREAT, 0666) : -1;
    if (fd >= 0 && fstat(fd, st) == 0) {
        close(fd);
        return true;
    }
    tool_error("touch", path);
    *status = TOOL_FAILED;
    if (fd >= 0)
        close(fd);
    return false;
}

static int touch(const char *path, const struct options *options)
{
    struct timeval times[2] = {options->times[0], options->times[1]};
    int status = TOOL_OK;
    struct stat st;

    if (!made_or_there(path, options, &st, &status))
        return status;
    if (!options->access)
        times[0] = timeval_of(&st.st_atim);
    if (!options->modification)
        times[1] = timeval_of(&st.st_mtim);
    if (utimes(path, times) == 0)
        return TOOL_OK;
    tool_error("touch", path);
    return TOOL_FAILED;
}

/* The times to set: now, or those of another file. */
static bool take_times(const char *other, struct timeval times[2])
{
    struct stat st;

    if (!other) {
        gettimeofday(&times[0], NULL);
        times[1] = times[0];
        return true;
    }
    if (stat(other, &st) < 0) {
        tool_error("touch", other);
        return false;
    }
    times[0] = timeval_of(&st.st_atim);
    times[1] = timeval_of(&st.st_mtim);
    return true;
}

int main(int argc, char **argv)
{
    struct options options = {0};
    const char *other = NULL;
    int option, status = TOOL_OK;

    if (tool_help(argc, argv, help))
        return tool_finish("touch", TOOL_OK);
    while ((option = tool_option(argc, argv, "acmr:")) != -1) {
        if (option == '?')
            return tool_bad_option("touch", help);
        options.access |= option == 'a';
        options.modification |= option == 'm';
        options.no_create |= option == 'c';
        other = option == 'r' ? optarg : other;
    }
    if (!options.access && !options.modification)
        options.access = options.modification = true;
    if (optind == argc)
        return tool_usage("touch", "which file?", help);
    if (!take_times(other, options.times))
        return TOOL_FAILED;
    for (; optind < argc; optind++)
        status |= touch(argv[optind], &options);
    return status;
}
