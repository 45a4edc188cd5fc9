/* A child's descriptors, planned before it exists.  Implemented by libos/fs, used by posix_spawn (libos/libc).
 *
 * A plan starts as a copy of the parent's table without descriptors that close on exec; file actions change the
 * plan, never the parent's table.  Descriptors that the plan opens belong to the plan until it is dropped. */
#ifndef OS_INHERIT_H
#define OS_INHERIT_H

#include <sys/types.h>

#include "os/start.h"

struct os_inherit;

/* Each returns 0 or a negative errno (-EBADF, -ENOMEM, and what open gives). */
int os_inherit_begin(struct os_inherit **out);
int os_inherit_dup2(struct os_inherit *plan, int from, int to);
int os_inherit_close(struct os_inherit *plan, int fd);
int os_inherit_open(struct os_inherit *plan, int fd, const char *path, int oflag, mode_t mode);
int os_inherit_chdir(struct os_inherit *plan, const char *path);

/* The directory that the child starts in: absolute, valid until the plan is dropped. */
const char *os_inherit_cwd(const struct os_inherit *plan);

/* Ask the services to keep the plan's files for the process `pid`, and describe them for its start block.
 * Returns how many, or a negative errno; what was duplicated by then goes when init ends that pid. */
int os_inherit_finish(struct os_inherit *plan, uint32_t pid, struct os_start_fd *fds, unsigned max);

void os_inherit_drop(struct os_inherit *plan);

#endif
