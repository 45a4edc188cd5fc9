/* The file server's memory: whole pages straight from the kernel, so that each is accounted, arrives zeroed, and
 * goes back the moment its file gives it up; everything smaller from malloc. */
#ifndef APPS_FSD_STORE_H
#define APPS_FSD_STORE_H

#include "libos/fs/ramfs.h"

/* Reserve addresses for as many pages as this process's account may still get, less a share for its own work.
 * Returns the bytes that files may take, or a negative errno. */
int64_t store_init(void);

extern const struct ramfs_ops store_ops;

#endif
