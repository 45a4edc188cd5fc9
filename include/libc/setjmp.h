/* newlib's setjmp, and POSIX's with the signal mask. */
#ifndef CORBEL_LIBC_SETJMP_H
#define CORBEL_LIBC_SETJMP_H

#include <signal.h>

#include_next <setjmp.h>

typedef struct {
    jmp_buf registers;
    sigset_t mask;
    int saved;
} sigjmp_buf[1];

#undef sigsetjmp
#undef siglongjmp
/* A macro, since setjmp must be called in the frame that is returned to. */
#define sigsetjmp(env, save)                                                                                 \
    ((env)[0].saved = (save), (save) ? sigprocmask(SIG_BLOCK, NULL, &(env)[0].mask) : 0,                     \
     setjmp((env)[0].registers))

_Noreturn void siglongjmp(sigjmp_buf env, int value);

#endif
