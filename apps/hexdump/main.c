/*
 * hexdump: bytes as numbers and as characters, in the layout of hexdump -C elsewhere.
 *
 *   00000000  68 65 6c 6c 6f 0a                                 |hello.|
 *
 * Lines of 16 bytes equal to the one before are shown as one *, and the last line tells the length.
 */
#include <fcntl.h>
#include <stdlib.h>

#include "../common/tool.h"

enum { LINE_BYTES = 16 };

static const char help[] = "usage: hexdump [-C] [-v] [-n LENGTH] [-s OFFSET] [FILE]...\n"
                           "  -n  so many bytes at most      -s  skip so many bytes at the beginning\n"
                           "  -v  show equal lines too       -C  accepted; it is always on\n"
                           "Numbers may be 0x hexadecimal, and may end in k or m.\n";

/* All files one after the other, as one stream. */
struct stream {
    char **names; /* still to be read; ends with NULL */
    const char *name;
    int fd; /* -1: none open */
    int status;
    unsigned long long left; /* bytes that may still be read */
};

struct dump {
    bool verbose;
    bool has_last;
    bool starred;
    unsigned long long offset;
    unsigned char last[LINE_BYTES];
};

static void stream_fail(struct stream *stream)
{
    tool_error("hexdump", stream->name);
    stream->status = TOOL_FAILED;
}

/* Opens the next file that can be opened. False: there is none. */
static bool stream_next(struct stream *stream)
{
    while (*stream->names) {
        stream->name = *stream->names++;
        stream->fd = strcmp(stream->name, "-") == 0 ? STDIN_FILENO : open(stream->name, O_RDONLY);
        if (stream->fd >= 0)
            return true;
        stream_fail(stream);
    }
    return false;
}

static void stream_close(struct stream *stream)
{
    if (stream->fd > STDIN_FILENO)
        close(stream->fd);
    stream->fd = -1;
}

/* Reads up to len bytes; less only at the end of everything. */
static size_t stream_read(struct stream *stream, unsigned char *bytes, size_t len)
{
    size_t done = 0;

    if (len > stream->left)
        len = (size_t)stream->left;
    while (done < len && (stream->fd >= 0 || stream_next(stream))) {
        ssize_t got = read(stream->fd, bytes + done, len - done);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            stream_fail(stream);
        if (got <= 0)
            stream_close(stream);
        else
            done += (size_t)got;
    }
    stream->left -= done;
    return done;
}

/* False: there are not so many bytes. */
static bool stream_skip(struct stream *stream, unsigned long long count)
{
    static unsigned char bytes[4096];

    while (count) {
        size_t len = count < sizeof(bytes) ? (size_t)count : sizeof(bytes),
               got = stream_read(stream, bytes, len);

        count -= got;
        if (got < len)
            return false;
    }
    return true;
}

static void print_line(unsigned long long offset, const unsigned char *bytes, size_t len)
{
    printf("%08llx ", offset);
    for (size_t i = 0; i < LINE_BYTES; i++) {
        const char *blank = i == LINE_BYTES / 2 ? "  " : " ";

        if (i < len)
            printf("%s%02x", blank, bytes[i]);
        else
            printf("%s  ", blank);
    }
    printf("  |");
    for (size_t i = 0; i < len; i++)
        putchar(bytes[i] >= 0x20 && bytes[i] < 0x7f ? bytes[i] : '.');
    printf("|\n");
}

static void dump_line(struct dump *dump, const unsigned char *bytes, size_t len)
{
    bool same = len == LINE_BYTES && dump->has_last && memcmp(bytes, dump->last, LINE_BYTES) == 0;

    if (same && !dump->verbose) {
        if (!dump->starred)
            puts("*");
        dump->starred = true;
    } else {
        print_line(dump->offset, bytes, len);
        dump->starred = false;
    }
    memcpy(dump->last, bytes, len);
    dump->has_last = len == LINE_BYTES;
    dump->offset += len;
}

static bool number_of(const char *text, unsigned long long *number)
{
    char *end;

    errno = 0;
    *number = strtoull(text, &end, 0);
    if (errno || end == text || text[0] == '-')
        return false;
    if (*end == 'k' || *end == 'm') {
        *number *= *end == 'k' ? 1024 : 1024 * 1024;
        end++;
    }
    return !*end;
}

static int run(struct stream *stream, struct dump *dump, unsigned long long skip)
{
    unsigned char bytes[LINE_BYTES];
    unsigned long long wanted = stream->left;
    size_t len;

    stream->left = ~0ull;
    dump->offset = skip;
    if (!stream_skip(stream, skip)) {
        stream_close(stream);
        if (!stream->status)
            tool_complain("hexdump", stream->name ? stream->name : "standard input",
                          "ends before the offset");
        return TOOL_FAILED;
    }
    stream->left = wanted;
    while ((len = stream_read(stream, bytes, sizeof(bytes))))
        dump_line(dump, bytes, len);
    stream_close(stream);
    if (dump->offset > skip)
        printf("%08llx\n", dump->offset);
    return tool_finish("hexdump", stream->status);
}

int main(int argc, char **argv)
{
    static char standard_input[] = "-", *no_names[] = {standard_input, NULL};
    struct stream stream = {.fd = -1, .left = ~0ull};
    struct dump dump = {0};
    unsigned long long skip = 0;
    int option;

    if (tool_help(argc, argv, help))
        return TOOL_OK;
    while ((option = tool_option(argc, argv, "Cvn:s:")) != -1) {
        if (option == '?')
            return tool_bad_option("hexdump", help);
        if ((option == 'n' && !number_of(optarg, &stream.left)) ||
            (option == 's' && !number_of(optarg, &skip)))
            return tool_usage("hexdump", "a number is expected behind -n and -s", help);
        dump.verbose |= option == 'v';
    }
    stream.names = optind < argc ? argv + optind : no_names;
    return run(&stream, &dump, skip);
}
