/* Leaving a signal's handler for where sigsetjmp was. */
#include <setjmp.h>

void siglongjmp(sigjmp_buf env, int value)
{
    if (env[0].saved)
        sigprocmask(SIG_SETMASK, &env[0].mask, NULL);
    longjmp(env[0].registers, value);
}
