/* Paths: a directory, a newline, a path.  F1: what is joined and normalized is absolute, plain and no longer than promised. */
#include "libos/fs/path.h"

#include <errno.h>
#include <string.h>

#include "fuzz.h"

static void check_plain(const char *path)
{
    const char *at = path, *end = path + strlen(path);
    struct path_part part;

    FUZZ_ASSERT(path[0] == '/' && !strstr(path, "//") && (path[1] == 0 || end[-1] != '/'));
    while (path_next(&at, end, &part))
        FUZZ_ASSERT(part.text[0] != '.' || (part.len != 1 && !(part.len == 2 && part.text[1] == '.')));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = calloc(size + 2, 1), *path, out[PATH_BYTES];
    int rc;

    text[0] = '/';
    memcpy(text + 1, data, size);
    path = strchr(text, '\n');
    if (path) {
        *path++ = 0;
        rc = path_join(text, path, out);
        FUZZ_ASSERT(rc == 0 || rc == -ENOENT || rc == -ENAMETOOLONG);
        FUZZ_ASSERT((rc == -ENOENT) == (path[0] == 0));
        if (rc == 0) {
            FUZZ_ASSERT(memchr(out, 0, sizeof(out)) && out[0] == '/');
            path_normalize(out);
            check_plain(out);
        }
    }
    free(text);
    return 0;
}
