#include "complete.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "builtins.h"
#include "mem.h"

/* Where the word that ends at the cursor begins. Quotes are not looked at; \ keeps a blank in it. */
static size_t word_start(const char *line, size_t at)
{
    while (at && (!strchr(" \t;|&<>(=", line[at - 1]) || (at > 1 && line[at - 2] == '\\')))
        at--;
    return at;
}

static bool is_command_place(const char *line, size_t start)
{
    while (start && line[start - 1] == ' ')
        start--;
    return !start || strchr(";|&(", line[start - 1]);
}

static void offer(struct list *offers, const char *name, const char *typed)
{
    if (strncmp(name, typed, strlen(typed)) == 0)
        list_push(offers, xstrdup(name));
}

static void offer_entries(const char *directory, const char *typed, struct list *offers)
{
    DIR *dir = opendir(directory);
    struct dirent *entry;

    if (!dir)
        return;
    while ((entry = readdir(dir)))
        if (entry->d_name[0] != '.' || typed[0] == '.')
            offer(offers, entry->d_name, typed);
    closedir(dir);
}

static void offer_commands(const struct shell *sh, const char *typed, struct list *offers)
{
    const char *path = vars_get(&sh->vars, "PATH");
    const struct builtin *builtin;

    for (size_t i = 0; (builtin = builtin_at(i)); i++)
        offer(offers, builtin->name, typed);
    for (path = path ? path : "/bin"; *path; path += strspn(path, ":")) {
        size_t len = strcspn(path, ":");
        char *directory = xstrndup(path, len);

        offer_entries(directory, typed, offers);
        free(directory);
        path += len;
    }
}

static void drop_duplicates(struct list *offers)
{
    size_t kept = 0;

    list_sort(offers, 0);
    for (size_t i = 0; i < offers->len; i++) {
        if (kept && strcmp(offers->item[kept - 1], offers->item[i]) == 0)
            free(offers->item[i]);
        else
            offers->item[kept++] = offers->item[i];
    }
    offers->len = kept;
}

static size_t common_len(const struct list *offers)
{
    size_t len = strlen(offers->item[0]);

    for (size_t i = 1; i < offers->len; i++)
        for (size_t j = 0; j < len; j++)
            if (offers->item[i][j] != offers->item[0][j])
                len = j;
    return len;
}

static bool is_directory(const char *directory, const char *name)
{
    struct str path = {0};
    struct stat st;
    bool is;

    str_puts(&path, directory);
    str_putc(&path, '/');
    str_puts(&path, name);
    is = stat(str_text(&path), &st) == 0 && S_ISDIR(st.st_mode);
    str_free(&path);
    return is;
}

static void settle(const char *directory, size_t typed_len, struct str *addition, struct list *offers)
{
    size_t len;

    drop_duplicates(offers);
    if (!offers->len)
        return;
    len = common_len(offers);
    for (size_t i = typed_len; i < len; i++) {
        if (strchr(" \t\\'\"$&;|<>()*?[#~`", offers->item[0][i]))
            str_putc(addition, '\\');
        str_putc(addition, offers->item[0][i]);
    }
    if (offers->len == 1)
        str_putc(addition, directory && is_directory(directory, offers->item[0]) ? '/' : ' ');
    if (addition->len)
        list_free(offers);
}

static char *unescape(const char *text, size_t len)
{
    struct str plain = {0};

    for (size_t i = 0; i < len; i++) {
        i += text[i] == '\\' && i + 1 < len;
        str_putc(&plain, text[i]);
    }
    return str_take(&plain);
}

static void complete_path(char *typed, struct str *addition, struct list *offers)
{
    char *slash = strrchr(typed, '/'), *directory;

    if (!slash)
        directory = xstrdup(".");
    else
        directory = slash == typed ? xstrdup("/") : xstrndup(typed, (size_t)(slash - typed));
    offer_entries(directory, slash ? slash + 1 : typed, offers);
    settle(directory, strlen(slash ? slash + 1 : typed), addition, offers);
    free(directory);
}

void complete_word(const struct shell *sh, const char *line, size_t at, struct str *addition,
                   struct list *offers)
{
    size_t start = word_start(line, at);
    char *typed = unescape(line + start, at - start);

    list_free(offers);
    if (is_command_place(line, start) && !strchr(typed, '/')) {
        offer_commands(sh, typed, offers);
        settle(NULL, strlen(typed), addition, offers);
    } else {
        complete_path(typed, addition, offers);
    }
    free(typed);
}
