/* newlib's file status, and lstat, which newlib declares for some systems only. */
#ifndef CORBEL_LIBC_SYS_STAT_H
#define CORBEL_LIBC_SYS_STAT_H

#include_next <sys/stat.h>

#ifdef __cplusplus
extern "C" {
#endif

int lstat(const char *__restrict path, struct stat *__restrict st);

#ifdef __cplusplus
}
#endif

#endif
