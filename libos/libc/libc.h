/* Between the files of libos/libc that serve newlib. */
#ifndef LIBC_LIBC_H
#define LIBC_LIBC_H

#include <stdint.h>

/* crt0 comes here: info is the START upcall's. */
_Noreturn void os_start(uint64_t info);

/* newlib's state for each thread. */
void libc_threads_start(void);

/* Gives back memory that nobody will miss. */
void libc_spare(void);

#endif
