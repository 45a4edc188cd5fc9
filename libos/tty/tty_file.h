/* The console as a kind of file (os/vfs.h), and what terminals can do besides. */
#ifndef LIBOS_TTY_TTY_FILE_H
#define LIBOS_TTY_TTY_FILE_H

#include "os/tty.h"
#include "os/vfs.h"

extern const struct vfs_ops tty_file_ops;

bool tty_is_file(const struct vfs_file *file);

/* Negative errno; -ENOTTY is the caller's business. */
int tty_get_attr(struct tty_attr *out);
int tty_set_attr(enum tty_when when, const struct tty_attr *attr);
int64_t tty_request(enum tty_op op, uint64_t arg); /* one that needs words only and is answered at once */
int tty_drain(void);

#endif
