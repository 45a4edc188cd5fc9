/* head: how files begin. */
#include "../common/part.h"

static const char help[] =
    "usage: head [-n LINES | -c BYTES | -LINES] [FILE]...\n"
    "Prints the first 10, or so many, lines or bytes of each FILE, or of standard input for -\n"
    "or none.\n";

static int print_head(void *ctx, FILE *in, const char *name)
{
    struct tool_part *part = ctx;
    uint64_t left = part->count;
    int c;

    tool_part_title(part, name);
    while (left && (c = getc(in)) != EOF) {
        if (putchar(c) == EOF)
            return 0; /* told at the end */
        left -= part->bytes || c == '\n';
    }
    return tool_input_error(in);
}

int main(int argc, char **argv)
{
    struct tool_part part;
    char **files;
    int status;

    if (tool_help(argc, argv, help))
        return tool_finish("head", TOOL_OK);
    status = tool_part_options("head", help, argc, argv, false, &part, &files);
    return status ? status : tool_finish("head", tool_inputs("head", files, false, print_head, &part));
}
