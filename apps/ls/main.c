/* ls: what is in directories. */
#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "../common/tool.h"

static const char help[] =
    "usage: ls [-laA1dhFR] [FILE]...\n"
    "Lists each FILE, or what is in it if it is a directory; . if there is none.\n"
    "  -l  with kind and mode, links, owner, group, size, time\n"
    "  -h  sizes with K, M, G      -1  one name a line      -F  a / behind directories\n"
    "  -a  names with a leading dot too (-A: without . and ..)\n"
    "  -d  a directory itself, not what is in it            -R  directories below too\n";

struct options {
    bool details, all, almost_all, lines, themselves, human, classify, recursive;
};

struct entry {
    char *name;
    struct stat st;
};

struct listing {
    struct entry *entries;
    size_t len, size;
};

static struct options options;
static struct tool_path path; /* the directory that is listed */
static int status = TOOL_OK;

static void list_directory(bool titled);

static void fail(const char *what)
{
    tool_error("ls", what);
    status = TOOL_FAILED;
}

/* Listings */

static bool listing_add(struct listing *listing, const char *name, const struct stat *st)
{
    char *copy = strdup(name);

    if (copy && listing->len == listing->size) {
        size_t size = 2 * listing->size + 16;
        struct entry *entries = realloc(listing->entries, size * sizeof(*entries));

        if (!entries) {
            free(copy);
            return false;
        }
        listing->entries = entries;
        listing->size = size;
    }
    if (copy)
        listing->entries[listing->len++] = (struct entry){copy, *st};
    return copy != NULL;
}

static void listing_free(struct listing *listing)
{
    for (size_t i = 0; i < listing->len; i++)
        free(listing->entries[i].name);
    free(listing->entries);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

static void listing_sort(struct listing *listing)
{
    if (listing->len)
        qsort(listing->entries, listing->len, sizeof(*listing->entries), by_name);
}

/* Printing */

static char kind_letter(mode_t mode)
{
    if (S_ISDIR(mode))
        return 'd';
    if (S_ISCHR(mode))
        return 'c';
    if (S_ISBLK(mode))
        return 'b';
    if (S_ISFIFO(mode))
        return 'p';
    if (S_ISLNK(mode))
        return 'l';
    return S_ISSOCK(mode) ? 's' : '-';
}

static void mode_text(mode_t mode, char text[11])
{
    static const char letters[] = "rwxrwxrwx";

    text[0] = kind_letter(mode);
    for (int i = 0; i < 9; i++)
        text[i + 1] = mode & (0400u >> i) ? letters[i] : '-';
    text[10] = '\0';
}

static void size_text(long long size, char *text, size_t room)
{
    static const char units[] = "KMGTPE";
    double scaled = (double)size;
    int unit = -1;

    while (scaled >= 1024 && unit < 5) {
        scaled /= 1024;
        unit++;
    }
    if (!options.human || unit < 0)
        snprintf(text, room, "%lld", size);
    else
        snprintf(text, room, scaled < 9.95 ? "%.1f%c" : "%.0f%c", scaled, units[unit]);
}

static void time_text(time_t when, char *text, size_t room)
{
    const struct tm *local = localtime(&when);

    if (!local || !strftime(text, room, "%Y-%m-%d %H:%M", local))
        snprintf(text, room, "?");
}

static const char *classification(const struct entry *entry)
{
    return options.classify && S_ISDIR(entry->st.st_mode) ? "/" : "";
}

static void print_detailed(const struct entry *entry)
{
    char mode[11], size[32], when[40];

    mode_text(entry->st.st_mode, mode);
    size_text((long long)entry->st.st_size, size, sizeof(size));
    time_text(entry->st.st_mtime, when, sizeof(when));
    printf("%s %2lu %3lu %3lu %8s %s %s%s\n", mode, (unsigned long)entry->st.st_nlink,
           (unsigned long)entry->st.st_uid, (unsigned long)entry->st.st_gid, size, when, entry->name,
           classification(entry));
}

static size_t screen_columns(void)
{
    const char *set = getenv("COLUMNS");
    long columns = set ? strtol(set, NULL, 10) : 0;

    return columns > 0 && columns < 10000 ? (size_t)columns : 80;
}

/* Names in columns, downwards, as many columns as fit. */
static void print_columns(const struct listing *listing)
{
    size_t width = 0, columns, rows;

    for (size_t i = 0; i < listing->len; i++) {
        size_t len = strlen(listing->entries[i].name) + options.classify;

        width = len > width ? len : width;
    }
    width += 2;
    columns = screen_columns() / width;
    columns = columns ? columns : 1;
    rows = (listing->len + columns - 1) / columns;
    for (size_t row = 0; row < rows; row++) {
        for (size_t i = row; i < listing->len; i += rows) {
            const struct entry *entry = &listing->entries[i];
            bool last = i + rows >= listing->len;
            int used = printf("%s%s", entry->name, classification(entry));

            printf("%*s", last ? 0 : (int)width - used, "");
        }
        putchar('\n');
    }
}

static void print_listing(const struct listing *listing)
{
    if (!options.details && !options.lines) {
        print_columns(listing);
        return;
    }
    for (size_t i = 0; i < listing->len; i++) {
        if (options.details)
            print_detailed(&listing->entries[i]);
        else
            printf("%s%s\n", listing->entries[i].name, classification(&listing->entries[i]));
    }
}

/* Reading */

static bool is_shown(const char *name)
{
    if (name[0] != '.' || options.all)
        return true;
    return options.almost_all && !tool_is_dots(name);
}

/* Adds an entry of the directory in path. */
static void add_entry(struct listing *listing, const char *name)
{
    size_t len = path.len;
    struct stat st;

    if (!tool_path_push(&path, name) || lstat(path.text, &st) < 0 || !listing_add(listing, name, &st))
        fail(path.text);
    tool_path_pop(&path, len);
}

static bool read_directory(struct listing *listing)
{
    DIR *stream = opendir(path.text);
    struct dirent *entry;

    if (!stream) {
        fail(path.text);
        return false;
    }
    for (errno = 0; (entry = readdir(stream)); errno = 0)
        if (is_shown(entry->d_name))
            add_entry(listing, entry->d_name);
    if (errno)
        fail(path.text);
    closedir(stream);
    listing_sort(listing);
    return true;
}

static void list_below(const struct listing *listing)
{
    size_t len = path.len;

    for (size_t i = 0; i < listing->len; i++) {
        const struct entry *entry = &listing->entries[i];

        if (!S_ISDIR(entry->st.st_mode) || tool_is_dots(entry->name))
            continue;
        if (tool_path_push(&path, entry->name)) {
            putchar('\n');
            list_directory(true);
        } else {
            fail(path.text);
        }
        tool_path_pop(&path, len);
    }
}

static void list_directory(bool titled)
{
    struct listing listing = {0};

    if (titled)
        printf("%s:\n", path.text);
    if (read_directory(&listing)) {
        print_listing(&listing);
        if (options.recursive)
            list_below(&listing);
    }
    listing_free(&listing);
}

/* Arguments: files first, then directories. */

static void sort_argument(const char *name, struct listing *files, struct listing *directories)
{
    struct stat st;
    bool is_directory;

    if (stat(name, &st) < 0 && lstat(name, &st) < 0) {
        fail(name);
        return;
    }
    is_directory = S_ISDIR(st.st_mode) && !options.themselves;
    if (!is_directory && lstat(name, &st) < 0)
        fail(name);
    else if (!listing_add(is_directory ? directories : files, name, &st))
        fail(name);
}

static void list_arguments(int count, char **names)
{
    struct listing files = {0}, directories = {0};

    for (int i = 0; i < count; i++)
        sort_argument(names[i], &files, &directories);
    listing_sort(&files);
    listing_sort(&directories);
    print_listing(&files);
    for (size_t i = 0; i < directories.len; i++) {
        if (i || files.len)
            putchar('\n');
        tool_path_pop(&path, 0);
        if (tool_path_push(&path, directories.entries[i].name))
            list_directory(count > 1 || options.recursive);
        else
            fail(directories.entries[i].name);
    }
    listing_free(&files);
    listing_free(&directories);
}

static bool take_option(int option)
{
    bool *const flags[] = {&options.details,    &options.all,   &options.almost_all, &options.lines,
                           &options.themselves, &options.human, &options.classify,   &options.recursive};
    const char *letters = "laA1dhFR", *at = strchr(letters, option);

    if (!at)
        return false;
    *flags[at - letters] = true;
    return true;
}

int main(int argc, char **argv)
{
    static char here[] = ".", *no_names[] = {here};
    int option;

    if (tool_help(argc, argv, help))
        return TOOL_OK;
    while ((option = tool_option(argc, argv, "laA1dhFR")) != -1)
        if (!take_option(option))
            return tool_bad_option("ls", help);
    options.lines |= !isatty(STDOUT_FILENO);
    if (optind < argc)
        list_arguments(argc - optind, argv + optind);
    else
        list_arguments(1, no_names);
    return tool_finish("ls", status);
}
