/* Directory entries (POSIX.1-2008, dirent.h). newlib's <dirent.h> declares the functions and expects
 * the types here. */
#ifndef CORBEL_LIBC_SYS_DIRENT_H
#define CORBEL_LIBC_SYS_DIRENT_H

#include <sys/types.h>

#define MAXNAMLEN 255

#define _DIRENT_HAVE_D_TYPE

struct dirent {
    ino_t d_ino;
    unsigned char d_type; /* DT_*, DT_UNKNOWN where the file system does not tell */
    char d_name[MAXNAMLEN + 1];
};

typedef struct __corbel_dir DIR;

#define DT_UNKNOWN 0
#define DT_FIFO 1
#define DT_CHR 2
#define DT_DIR 4
#define DT_BLK 6
#define DT_REG 8
#define DT_LNK 10
#define DT_SOCK 12

#endif
