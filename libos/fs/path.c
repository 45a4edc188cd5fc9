#include "libos/fs/path.h"

#include <errno.h>
#include <string.h>

bool path_next(const char **at, const char *end, struct path_part *part)
{
    const char *from = *at;
    while (from < end && *from == '/')
        from++;
    const char *to = from;
    while (to < end && *to != '/')
        to++;
    *at = to;
    *part = (struct path_part){from, (size_t)(to - from)};
    return to > from;
}

bool path_is_last(const char *at, const char *end)
{
    while (at < end && *at == '/')
        at++;
    return at == end;
}

int path_join(const char *cwd, const char *path, char out[PATH_BYTES])
{
    size_t head = path[0] == '/' ? 0 : strlen(cwd);
    size_t tail = strlen(path);
    if (tail == 0)
        return -ENOENT;
    if (head >= PATH_BYTES || tail >= PATH_BYTES - head - 1)
        return -ENAMETOOLONG;
    memcpy(out, cwd, head);
    if (head > 0 && out[head - 1] != '/')
        out[head++] = '/';
    memcpy(out + head, path, tail + 1);
    return 0;
}

static bool part_is(struct path_part part, const char *text)
{
    return part.len == strlen(text) && memcmp(part.text, text, part.len) == 0;
}

void path_normalize(char *path)
{
    const char *at = path, *end = path + strlen(path);
    struct path_part part;
    size_t len = 0; /* of the result, which never overtakes what is read */
    while (path_next(&at, end, &part)) {
        if (part_is(part, "."))
            continue;
        if (part_is(part, "..")) {
            while (len > 0 && path[--len] != '/')
                ;
            continue;
        }
        path[len++] = '/';
        memmove(path + len, part.text, part.len);
        len += part.len;
    }
    if (len == 0)
        path[len++] = '/';
    path[len] = 0;
}
