/*
 * grep: lines that contain a text.
 *
 * The C library has no regular expressions. A pattern that would mean something else as one than as plain text is
 * refused, unless -F says that plain text is meant: no pattern ever means something else than elsewhere.
 */
#define _GNU_SOURCE /* memmem */
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>

#include "../common/input.h"

static const char help[] =
    "usage: grep [-Fcilnqsvx] [-e TEXT]... [TEXT] [FILE]...\n"
    "Prints the lines of each FILE, or of standard input for - or none, that contain TEXT.\n"
    "TEXT is plain text: regular expressions are not supported. Where it would mean more than\n"
    "itself as one, -F must say that it does not.\n"
    "  -c  only how many lines      -l  only the names of files with such lines\n"
    "  -q  nothing, only the status -n  with the line's number\n"
    "  -v  lines without TEXT       -x  lines that are TEXT, from end to end\n"
    "  -i  no matter which case     -s  no word about files that cannot be read\n"
    "  -F  TEXT is plain text       -e  TEXT, also one of several\n"
    "Status: 0 a line was found, 1 none was, 2 something failed.\n";

enum { FOUND, NOT_FOUND, TROUBLE, PATTERNS_MAX = 64 };

struct text {
    char *bytes;
    size_t len, size;
};

struct grep {
    bool plain, count, ignore_case, names_only, numbers, quiet, silent, invert, whole;
    bool with_names; /* several files */
    bool found;
    size_t npatterns;
    struct text patterns[PATTERNS_MAX];
};

static void fold(struct text *text)
{
    for (size_t i = 0; i < text->len; i++)
        text->bytes[i] = (char)tolower((unsigned char)text->bytes[i]);
}

/* ---- lines ---------------------------------------------------------------------------------------------- */

static bool text_put(struct text *text, char c)
{
    if (text->len == text->size) {
        size_t size = 2 * text->size + 256;
        char *bytes = realloc(text->bytes, size);

        if (!bytes)
            return false;
        text->bytes = bytes;
        text->size = size;
    }
    text->bytes[text->len++] = c;
    return true;
}

/* The next line, without its newline. False: there is none, or *error says why. */
static bool read_line(FILE *in, struct text *line, int *error)
{
    int c = getc(in);

    line->len = 0;
    if (c == EOF)
        *error = tool_input_error(in);
    if (c == EOF)
        return false;
    for (; c != EOF && c != '\n'; c = getc(in))
        if (!text_put(line, (char)c)) {
            *error = ENOMEM;
            return false;
        }
    return true;
}

/* ---- matching ------------------------------------------------------------------------------------------- */

static bool contains(const struct text *line, const struct text *pattern, bool whole)
{
    if (!pattern->len)
        return !whole || !line->len;
    if (whole)
        return line->len == pattern->len && memcmp(line->bytes, pattern->bytes, line->len) == 0;
    return line->len && memmem(line->bytes, line->len, pattern->bytes, pattern->len) != NULL;
}

static bool matches(const struct grep *grep, const struct text *line)
{
    for (size_t i = 0; i < grep->npatterns; i++)
        if (contains(line, &grep->patterns[i], grep->whole))
            return true;
    return false;
}

/* Whether the line is one that is wanted. folded is the place for a copy. */
static bool selected(const struct grep *grep, const struct text *line, struct text *folded, int *error)
{
    if (!grep->ignore_case)
        return matches(grep, line) != grep->invert;
    folded->len = 0;
    for (size_t i = 0; i < line->len; i++)
        if (!text_put(folded, line->bytes[i])) {
            *error = ENOMEM;
            return false;
        }
    fold(folded);
    return matches(grep, folded) != grep->invert;
}

/* ---- files ---------------------------------------------------------------------------------------------- */

static void print_line(const struct grep *grep, const char *name, uint64_t number, const struct text *line)
{
    if (grep->with_names)
        printf("%s:", name);
    if (grep->numbers)
        printf("%" PRIu64 ":", number);
    fwrite(line->bytes, 1, line->len, stdout);
    putchar('\n');
}

static int search_file(void *ctx, FILE *in, const char *name)
{
    struct grep *grep = ctx;
    struct text line = {0}, folded = {0};
    bool printing = !grep->quiet && !grep->names_only && !grep->count;
    bool first_only = grep->quiet || grep->names_only;
    uint64_t number = 0, count = 0;
    int error = 0;

    if (tool_input_is_standard(name))
        name = "(standard input)";
    while (!(first_only && count) && read_line(in, &line, &error)) {
        bool wanted = selected(grep, &line, &folded, &error);

        if (error)
            break;
        number++;
        count += wanted;
        if (wanted && printing)
            print_line(grep, name, number, &line);
    }
    free(line.bytes);
    free(folded.bytes);
    grep->found |= count > 0;
    if (grep->names_only && !grep->quiet && count)
        puts(name);
    if (grep->count && !first_only && !error)
        printf(grep->with_names ? "%s:%" PRIu64 "\n" : "%.0s%" PRIu64 "\n", name, count);
    return error;
}

/* ---- patterns ------------------------------------------------------------------------------------------- */

/* Whether a basic regular expression (POSIX.1-2008, 9.3) of these bytes means just them. */
static bool means_itself(const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        bool special = strchr("\\[.", bytes[i]) || (bytes[i] == '*' && i) || (bytes[i] == '^' && !i) ||
                       (bytes[i] == '$' && i + 1 == len);

        if (bytes[i] && special)
            return false;
    }
    return true;
}

static int add_pattern(struct grep *grep, char *bytes, size_t len)
{
    if (grep->npatterns == PATTERNS_MAX) {
        tool_complain("grep", bytes, "too many texts");
        return TROUBLE;
    }
    grep->patterns[grep->npatterns++] = (struct text){.bytes = bytes, .len = len};
    return TOOL_OK;
}

/* Each line of the argument is a text. */
static int add_patterns(struct grep *grep, char *argument)
{
    int status = TOOL_OK;

    for (char *line = argument; !status; line++) {
        size_t len = strcspn(line, "\n");

        status = add_pattern(grep, line, len);
        line += len;
        if (!*line)
            break;
    }
    return status;
}

static int check_patterns(struct grep *grep)
{
    for (size_t i = 0; i < grep->npatterns; i++) {
        struct text *pattern = &grep->patterns[i];

        if (!grep->plain && !means_itself(pattern->bytes, pattern->len)) {
            tool_complain("grep", pattern->bytes,
                          "regular expressions are not supported; -F takes it as text");
            return TROUBLE;
        }
        if (grep->ignore_case)
            fold(pattern);
    }
    return TOOL_OK;
}

static void take_flag(struct grep *grep, int option)
{
    grep->plain |= option == 'F';
    grep->count |= option == 'c';
    grep->ignore_case |= option == 'i';
    grep->names_only |= option == 'l';
    grep->numbers |= option == 'n';
    grep->quiet |= option == 'q';
    grep->silent |= option == 's';
    grep->invert |= option == 'v';
    grep->whole |= option == 'x';
}

int main(int argc, char **argv)
{
    static struct grep grep;
    int option, status;

    if (tool_help(argc, argv, help))
        return tool_finish("grep", FOUND);
    while ((option = tool_option(argc, argv, "Fcilnqsvxe:")) != -1) {
        if (option == '?')
            return tool_bad_option("grep", help);
        if (option == 'e' && add_patterns(&grep, optarg))
            return TROUBLE;
        take_flag(&grep, option);
    }
    if (!grep.npatterns && optind == argc)
        return tool_usage("grep", "which text?", help);
    if (!grep.npatterns && add_patterns(&grep, argv[optind++]))
        return TROUBLE;
    if (check_patterns(&grep))
        return TROUBLE;
    grep.with_names = argc - optind > 1;
    status = tool_inputs("grep", argv + optind, grep.silent, search_file, &grep);
    if (tool_finish("grep", TOOL_OK) || (status && !(grep.quiet && grep.found)))
        return TROUBLE;
    return grep.found ? FOUND : NOT_FOUND;
}
