/* What the file functions of this library share. */
#ifndef LIBOS_LIBC_FILE_H
#define LIBOS_LIBC_FILE_H

#include <sys/types.h>

extern mode_t libc_umask;

#endif
