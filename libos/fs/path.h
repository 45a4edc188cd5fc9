/* Paths as text: pure functions, no system calls.
 *
 * A path is names between slashes.  A trailing slash, like a last "." or "..", asks for a directory. */
#ifndef LIBOS_FS_PATH_H
#define LIBOS_FS_PATH_H

#include "base/types.h"

#define PATH_BYTES 1024u /* with the closing NUL */

struct path_part {
    const char *text; /* not terminated */
    size_t len;
};

/* The next name of the path that starts at *at and ends at `end`; moves *at behind it.
 * false: there is none.  part->len may be anything; the caller knows what names it takes. */
bool path_next(const char **at, const char *end, struct path_part *part);

/* Does anything but slashes follow? */
bool path_is_last(const char *at, const char *end);

/* The absolute path that `path` means from the directory `cwd`, itself absolute, as it stands: "." and
 * ".." remain.  -ENOENT for an empty path, -ENAMETOOLONG. */
int path_join(const char *cwd, const char *path, char out[PATH_BYTES]);

/* Takes "." , ".." and doubled slashes out of an absolute path, in place.  ".." of the root is the root.
 * Right only for a path that was walked and found to be a directory, since nothing is looked up here. */
void path_normalize(char *path);

#endif
