/* When the kernel itself is wrong, or the machine cannot be used: say so, stop. */
#ifndef EXO_PANIC_H
#define EXO_PANIC_H

#include "base/types.h"

/* A kernel bug.  Never reachable by a call. */
_Noreturn void panic(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The machine or what it was given to boot cannot be used: prints "corbel: " and the sentence, powers off. */
_Noreturn void boot_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

#define ASSERT(condition)                                                                                    \
    do {                                                                                                     \
        if (__builtin_expect(!(condition), 0))                                                               \
            panic("%s:%d: " #condition, __FILE__, __LINE__);                                                 \
    } while (0)

#endif
