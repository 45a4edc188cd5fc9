#include "pattern.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "mem.h"

/* [abc], [a-z], [!a-z] at pattern; sets *after behind it. False with *after NULL: it has no ]. */
static bool match_bracket(const char *pattern, char c, const char **after)
{
    const char *p = pattern + 1;
    bool inverted = *p == '!' || *p == '^', hit = false;

    if (inverted)
        p++;
    for (bool first = true; *p && (*p != ']' || first); first = false) {
        unsigned char low, high;

        if (*p == '\\' && p[1])
            p++;
        low = high = (unsigned char)*p++;
        if (*p == '-' && p[1] && p[1] != ']') {
            p += p[1] == '\\' && p[2] ? 2 : 1;
            high = (unsigned char)*p++;
        }
        hit |= low <= (unsigned char)c && (unsigned char)c <= high;
    }
    *after = *p == ']' ? p + 1 : NULL;
    return hit != inverted;
}

/* Whether c fits the one pattern character at *pattern, which is stepped over. */
static bool match_one(const char **pattern, char c)
{
    const char *p = *pattern, *after;
    bool hit;

    if (*p == '[') {
        hit = match_bracket(p, c, &after);
        if (after) {
            *pattern = after;
            return hit;
        }
    }
    if (*p == '\\' && p[1])
        p++;
    else if (*p == '?') {
        *pattern = p + 1;
        return true;
    }
    *pattern = p + 1;
    return *p == c;
}

/* On a mismatch only the last * needs to take one character more: no recursion, no blow-up. */
bool pattern_match(const char *pattern, const char *text)
{
    const char *star = NULL, *resume = NULL;

    while (*text) {
        if (*pattern == '*') {
            star = ++pattern;
            resume = text;
        } else if (*pattern && match_one(&pattern, *text)) {
            text++;
        } else if (star) {
            pattern = star;
            text = ++resume;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return !*pattern;
}

char *pattern_unescape(const char *pattern, size_t len)
{
    struct str text = {0};

    for (size_t i = 0; i < len; i++) {
        if (pattern[i] == '\\' && i + 1 < len)
            i++;
        str_putc(&text, pattern[i]);
    }
    return str_take(&text);
}

static bool has_wildcard(const char *pattern, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (pattern[i] == '\\')
            i++;
        else if (strchr("*?[", pattern[i]))
            return true;
    }
    return false;
}

static void walk(struct str *path, const char *pattern, struct list *out);

static void walk_on(struct str *path, const char *name, const char *rest, struct list *out)
{
    size_t len = path->len;

    str_puts(path, name);
    walk(path, rest, out);
    str_erase(path, len, path->len - len);
}

static void walk_entries(struct str *path, const char *segment, const char *rest, struct list *out)
{
    DIR *dir = opendir(path->len ? str_text(path) : ".");
    struct dirent *entry;

    if (!dir)
        return;
    while ((entry = readdir(dir))) {
        if (entry->d_name[0] == '.' && segment[0] != '.')
            continue;
        if (pattern_match(segment, entry->d_name))
            walk_on(path, entry->d_name, rest, out);
    }
    closedir(dir);
}

/* path is settled; pattern is what remains, slashes first. */
static void walk(struct str *path, const char *pattern, struct list *out)
{
    size_t start = path->len, slashes = strspn(pattern, "/"), len = strcspn(pattern + slashes, "/");
    char *segment = xstrndup(pattern + slashes, len);
    const char *rest = pattern + slashes + len;
    struct stat st;

    str_put(path, pattern, slashes);
    if (has_wildcard(segment, len)) {
        walk_entries(path, segment, rest, out);
    } else if (len) {
        char *name = pattern_unescape(segment, len);

        walk_on(path, name, rest, out);
        free(name);
    } else if (lstat(str_text(path), &st) == 0) {
        list_push(out, xstrdup(str_text(path)));
    }
    str_erase(path, start, path->len - start);
    free(segment);
}

size_t pattern_paths(const char *pattern, struct list *out)
{
    struct str path = {0};
    size_t before = out->len;

    walk(&path, pattern, out);
    list_sort(out, before);
    str_free(&path);
    return out->len - before;
}
