/* tail: how files end.  Keeps no more in memory than what it will print, and as much again. */
#include <stdlib.h>

#include "../common/part.h"

static const char help[] =
    "usage: tail [-n [+]LINES | -c [+]BYTES | -LINES] [FILE]...\n"
    "Prints the last 10, or so many, lines or bytes of each FILE, or of standard input for -\n"
    "or none; with +, all from that line or byte on, counted from 1.\n";

enum { CHUNK = 16384 };

/* The last bytes read: text[first] to text[len - 1].  `lines` of them are complete. */
struct window {
    char *text;
    size_t first, len, size;
    uint64_t lines;
};

/* Room for a chunk more. */
static bool window_room(struct window *w)
{
    char *text;

    if (w->first >= w->len - w->first) {
        memmove(w->text, w->text + w->first, w->len - w->first);
        w->len -= w->first;
        w->first = 0;
    }
    if (w->size - w->len >= CHUNK)
        return true;
    text = realloc(w->text, 2 * w->size + CHUNK);
    if (!text)
        return false;
    w->text = text;
    w->size = 2 * w->size + CHUNK;
    return true;
}

static void drop_lines(struct window *w, uint64_t wanted)
{
    /* A last line without its newline is one too. */
    uint64_t lines = w->lines + (w->len > w->first && w->text[w->len - 1] != '\n');

    for (; lines > wanted; lines--) {
        const char *end = memchr(w->text + w->first, '\n', w->len - w->first);

        w->first = end ? (size_t)(end - w->text) + 1 : w->len;
        w->lines -= end != NULL;
    }
}

static void drop(struct window *w, const struct tool_part *part)
{
    if (!part->bytes)
        drop_lines(w, part->count);
    else if (w->len - w->first > part->count)
        w->first = w->len - (size_t)part->count;
}

static int read_window(struct window *w, const struct tool_part *part, FILE *in)
{
    size_t got;

    do {
        if (!window_room(w))
            return ENOMEM;
        got = fread(w->text + w->len, 1, CHUNK, in);
        for (size_t i = 0; i < got; i++)
            w->lines += w->text[w->len + i] == '\n';
        w->len += got;
        drop(w, part);
    } while (got);
    return tool_input_error(in);
}

static int print_from(const struct tool_part *part, FILE *in)
{
    uint64_t before = part->count ? part->count - 1 : 0;
    int c;

    while (before && (c = getc(in)) != EOF)
        before -= part->bytes || c == '\n';
    while ((c = getc(in)) != EOF)
        if (putchar(c) == EOF)
            return 0; /* told at the end */
    return tool_input_error(in);
}

static int print_tail(void *ctx, FILE *in, const char *name)
{
    struct tool_part *part = ctx;
    struct window w = {0};
    int error;

    tool_part_title(part, name);
    if (part->plus)
        return print_from(part, in);
    error = read_window(&w, part, in);
    if (!error)
        fwrite(w.text + w.first, 1, w.len - w.first, stdout);
    free(w.text);
    return error;
}

int main(int argc, char **argv)
{
    struct tool_part part;
    char **files;
    int status;

    if (tool_help(argc, argv, help))
        return tool_finish("tail", TOOL_OK);
    status = tool_part_options("tail", help, argc, argv, true, &part, &files);
    return status ? status : tool_finish("tail", tool_inputs("tail", files, false, print_tail, &part));
}
