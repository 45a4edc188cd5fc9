/* The descriptor table: which small number means which open file.
 *
 * A pure library.  The lowest free number is found in two steps, without a scan: a bit for each number in
 * use, and a bit for each word of those that is full.  Several numbers may mean one file (dup), and the
 * table counts them. */
#ifndef LIBOS_FS_FDTABLE_H
#define LIBOS_FS_FDTABLE_H

#include "base/types.h"

#define FD_MAX 1024u
#define FD_WORDS (FD_MAX / 64u)

struct fd_file {  /* embedded in what a descriptor stands for */
    uint32_t fds; /* descriptors that mean it */
};

struct fdtable {
    uint64_t full; /* bit w: used[w] has no free number */
    uint64_t used[FD_WORDS];
    uint64_t cloexec[FD_WORDS];
    struct fd_file *file[FD_MAX];
};

/* The lowest free number at or above `min` now means the file.  -EMFILE, -EINVAL: min out of range. */
int fdtable_add(struct fdtable *table, struct fd_file *file, int min, bool cloexec);

/* The file that a number means; NULL: none. */
struct fd_file *fdtable_get(const struct fdtable *table, int fd);

/* Free a number.  *last is the file if no other number means it, otherwise NULL.  -EBADF. */
int fdtable_remove(struct fdtable *table, int fd, struct fd_file **last);

/* Make `fd` mean the file, whatever it meant before; *last as above.  -EBADF: no such number. */
int fdtable_set(struct fdtable *table, int fd, struct fd_file *file, bool cloexec, struct fd_file **last);

/* -EBADF. */
int fdtable_get_cloexec(const struct fdtable *table, int fd);
int fdtable_set_cloexec(struct fdtable *table, int fd, bool cloexec);

/* The first number in use at or above `fd`; -1: none. */
int fdtable_next(const struct fdtable *table, int fd);

#endif
