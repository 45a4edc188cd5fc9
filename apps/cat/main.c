/* cat: files, one after the other, to standard output. */
#include <fcntl.h>

#include "../common/tool.h"

static const char help[] = "usage: cat [-n] [FILE]...\n"
                           "Copies each FILE, or standard input for - or none, to standard output.\n"
                           "  -n  number the lines\n";

struct numbering {
    bool wanted;
    bool inside_line;
    unsigned long line;
};

static bool write_all(const char *bytes, size_t len)
{
    while (len) {
        ssize_t done = write(STDOUT_FILENO, bytes, len);

        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return false;
        bytes += done;
        len -= (size_t)done;
    }
    return true;
}

static bool put_numbered(struct numbering *numbering, const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (!numbering->inside_line)
            printf("%6lu\t", ++numbering->line);
        numbering->inside_line = bytes[i] != '\n';
        putchar(bytes[i]);
    }
    return fflush(stdout) == 0;
}

/* The exit status; *writable becomes false when there is no use in going on. */
static int copy(int fd, const char *name, struct numbering *numbering, bool *writable)
{
    static char bytes[16384];
    ssize_t got;

    while ((got = read(fd, bytes, sizeof(bytes))) != 0) {
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            tool_error("cat", name);
            return TOOL_FAILED;
        }
        *writable =
            numbering->wanted ? put_numbered(numbering, bytes, (size_t)got) : write_all(bytes, (size_t)got);
        if (!*writable) {
            tool_error("cat", "standard output");
            return TOOL_FAILED;
        }
    }
    return TOOL_OK;
}

static int copy_file(const char *name, struct numbering *numbering, bool *writable)
{
    int fd, status;

    if (strcmp(name, "-") == 0)
        return copy(STDIN_FILENO, "standard input", numbering, writable);
    fd = open(name, O_RDONLY);
    if (fd < 0) {
        tool_error("cat", name);
        return TOOL_FAILED;
    }
    status = copy(fd, name, numbering, writable);
    close(fd);
    return status;
}

int main(int argc, char **argv)
{
    struct numbering numbering = {0};
    bool writable = true;
    int option, status = TOOL_OK;

    if (tool_help(argc, argv, help))
        return TOOL_OK;
    while ((option = tool_option(argc, argv, "nu")) != -1) {
        if (option == '?')
            return tool_bad_option("cat", help);
        numbering.wanted |= option == 'n';
    }
    if (optind == argc)
        return copy_file("-", &numbering, &writable);
    for (; optind < argc && writable; optind++)
        status |= copy_file(argv[optind], &numbering, &writable);
    return status;
}
