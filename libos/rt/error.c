/* The kernel's errors in words, and as the nearest errno. */
#include <errno.h>

#include "os/exo.h"

const char *exo_strerror(int error)
{
    switch (error < 0 ? -(long)error : error) {
    case 0:
        return "no error";
#define SENTENCE(number, name, sentence)                                                                     \
    case number:                                                                                             \
        return sentence;
        EXO_ERRORS(SENTENCE)
#undef SENTENCE
    default:
        return "an error that is not in the kernel's list";
    }
}

const char *exo_errname(int error)
{
    switch (error < 0 ? -(long)error : error) {
    case 0:
        return "0";
#define NAME(number, name, sentence)                                                                         \
    case number:                                                                                             \
        return #name;
        EXO_ERRORS(NAME)
#undef NAME
    default:
        return "EXO_E?";
    }
}

int exo_errno(int error)
{
    static const int table[] = {
        [EXO_ENOCALL] = ENOSYS,      [EXO_EHANDLE] = EBADF,    [EXO_ETYPE] = EINVAL,
        [EXO_ERIGHTS] = EACCES,      [EXO_EDEAD] = EPIPE,      [EXO_EINVAL] = EINVAL,
        [EXO_ERANGE] = EINVAL,       [EXO_ENOMEM] = ENOMEM,    [EXO_EQUOTA] = ENOMEM,
        [EXO_EUNBOUND] = EFAULT,     [EXO_EBOUND] = EEXIST,    [EXO_EBUSY] = EBUSY,
        [EXO_ETIMEDOUT] = ETIMEDOUT, [EXO_EINTR] = EINTR,      [EXO_EFULL] = ENOSPC,
        [EXO_ESTATE] = EBUSY,        [EXO_ETOKEN] = EPIPE,     [EXO_EUNSUPPORTED] = ENOSYS,
        [EXO_EVERSION] = ENOEXEC,    [EXO_EUNTRUSTED] = EPERM,
    };
    long n = error < 0 ? -(long)error : error;

    return n == 0 ? 0 : n < (long)ARRAY_LEN(table) && table[n] ? table[n] : EIO;
}
