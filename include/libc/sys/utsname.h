/* The system's names (POSIX.1-2008, sys/utsname.h). */
#ifndef CORBEL_LIBC_SYS_UTSNAME_H
#define CORBEL_LIBC_SYS_UTSNAME_H

#define _UTSNAME_LENGTH 65

struct utsname {
    char sysname[_UTSNAME_LENGTH];
    char nodename[_UTSNAME_LENGTH];
    char release[_UTSNAME_LENGTH];
    char version[_UTSNAME_LENGTH];
    char machine[_UTSNAME_LENGTH];
};

#ifdef __cplusplus
extern "C" {
#endif

int uname(struct utsname *name);

#ifdef __cplusplus
}
#endif

#endif
