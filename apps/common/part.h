/* What head and tail do alike: how much of a file is wanted, and titles where there are several. */
#ifndef APPS_COMMON_PART_H
#define APPS_COMMON_PART_H

#include "input.h"

struct tool_part {
    uint64_t count; /* of bytes or lines */
    bool bytes;
    bool plus; /* tail +COUNT: all from there on */
    bool titles;
    bool titled_before;
};

static inline void tool_part_title(struct tool_part *part, const char *name)
{
    if (!part->titles)
        return;
    printf("%s==> %s <==\n", part->titled_before ? "\n" : "",
           tool_input_is_standard(name) ? "standard input" : name);
    part->titled_before = true;
}

/* Reads the arguments. signs: whether the count may begin with + or -.
 * Returns TOOL_OK and where the files begin in *files, or the exit status of wrong use, which was told. */
static inline int tool_part_options(const char *tool, const char *help, int argc, char **argv, bool signs,
                                    struct tool_part *part, char ***files)
{
    int option;

    *part = (struct tool_part){.count = 10};
    if (argc > 1 && argv[1][0] == '-' && tool_number(argv[1] + 1, &part->count)) {
        argc--; /* "-5" means "-n 5"; tool_option() starts behind it */
        argv++;
    }
    while ((option = tool_option(argc, argv, "n:c:")) != -1) {
        const char *text = optarg;

        if (option == '?')
            return tool_bad_option(tool, help);
        part->bytes = option == 'c';
        part->plus = signs && *text == '+';
        if (!tool_number(signs && (*text == '+' || *text == '-') ? text + 1 : text, &part->count)) {
            tool_complain(tool, text, "not a count");
            return TOOL_USAGE;
        }
    }
    part->titles = argc - optind > 1;
    *files = argv + optind;
    return TOOL_OK;
}

#endif
