/* wc: counts lines, words and bytes. */
#include <ctype.h>
#include <inttypes.h>

#include "../common/input.h"

static const char help[] =
    "usage: wc [-lwc] [FILE]...\n"
    "Counts lines, words and bytes of each FILE, or of standard input for - or none, and of\n"
    "all of them where there are several.\n"
    "  -l  lines    -w  words    -c  bytes\n";

struct counts {
    uint64_t lines, words, bytes;
};

struct wc {
    bool lines, words, bytes; /* which to print */
    struct counts total;
};

static void print_count(uint64_t n, bool wanted, bool *first)
{
    if (wanted)
        printf("%s%" PRIu64, *first ? "" : " ", n);
    *first &= !wanted;
}

static void print_counts(const struct wc *wc, const struct counts *counts, const char *name)
{
    bool first = true;

    print_count(counts->lines, wc->lines, &first);
    print_count(counts->words, wc->words, &first);
    print_count(counts->bytes, wc->bytes, &first);
    printf(name ? " %s\n" : "\n", name);
}

static void count_bytes(struct counts *counts, const char *bytes, size_t len, bool *inside)
{
    counts->bytes += len;
    for (size_t i = 0; i < len; i++) {
        bool blank = isspace((unsigned char)bytes[i]);

        counts->lines += bytes[i] == '\n';
        counts->words += !blank && !*inside;
        *inside = !blank;
    }
}

static int count(void *ctx, FILE *in, const char *name)
{
    static char bytes[16384];
    struct wc *wc = ctx;
    struct counts counts = {0};
    bool inside = false;
    size_t got;
    int error;

    while ((got = fread(bytes, 1, sizeof(bytes), in)) > 0)
        count_bytes(&counts, bytes, got, &inside);
    error = tool_input_error(in);
    wc->total.lines += counts.lines;
    wc->total.words += counts.words;
    wc->total.bytes += counts.bytes;
    if (!error)
        print_counts(wc, &counts, name);
    return error;
}

int main(int argc, char **argv)
{
    struct wc wc = {0};
    int option, status;

    if (tool_help(argc, argv, help))
        return tool_finish("wc", TOOL_OK);
    while ((option = tool_option(argc, argv, "lwc")) != -1) {
        if (option == '?')
            return tool_bad_option("wc", help);
        wc.lines |= option == 'l';
        wc.words |= option == 'w';
        wc.bytes |= option == 'c';
    }
    if (!wc.lines && !wc.words && !wc.bytes)
        wc.lines = wc.words = wc.bytes = true;
    status = tool_inputs("wc", argv + optind, false, count, &wc);
    if (argc - optind > 1)
        print_counts(&wc, &wc.total, "total");
    return tool_finish("wc", status);
}
