/* What the process server in init understands: requests on the gate OS_HANDLE_INIT, by the rules of os/ipc.h.
 * libos/proc and libos/ipc are its clients; programs use os/proc.h and os/ipc.h. */
#ifndef OS_PROCPROTO_H
#define OS_PROCPROTO_H

#include "os/ipc.h"

enum os_proc_op {
    OS_PROC_CONNECT = OS_OP_FIRST, /* w1..w3: service -> w1: gate.  Answered when the service is there. */
    OS_PROC_PROVIDE,               /* w1..w3: service */
    OS_PROC_SPAWN, /* w1: pgid as os_spawn.pgid; one page: the path, ended by 0 -> w1: pid, w2: SPACE handle or 0 */
    OS_PROC_START,     /* w1: pid, w2: entry point; pages: the start block */
    OS_PROC_ABORT,     /* w1: pid */
    OS_PROC_WAIT,      /* w1: pid as os_wait's, w2: flags -> w1: pid or 0, w2: status */
    OS_PROC_KILL,      /* w1: pid as os_kill's, w2: signal */
    OS_PROC_SETPGID,   /* w1: pid, w2: pgid */
    OS_PROC_INTERRUPT, /* w1: pgid, w2: signal; manifest: terminal */
    OS_PROC_USED,      /* w1: pid -> w0: frames */
    OS_PROC_LIMIT,     /* w1: pid, w2: frames, w3: deadline -> w0: frames that it has to give back yet */
    OS_PROC_DRAINED,   /* the provider of "console": all output is out */
    OS_PROC_END
};

/* Short text in words w[1] to w[3], 0 behind it. */
static inline void os_name_pack(const char *name, struct os_words *w)
{
    char *to = (char *)&w->w[1];
    size_t i = 0;

    for (; i < OS_SERVICE_NAME_MAX && name[i]; i++)
        to[i] = name[i];
    for (; i <= OS_SERVICE_NAME_MAX; i++)
        to[i] = 0;
}

static inline bool os_name_char_ok(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
}

/* A service name: 1 to OS_SERVICE_NAME_MAX of the permitted characters. */
static inline bool os_name_ok(const char *name)
{
    size_t i = 0;

    while (i <= OS_SERVICE_NAME_MAX && os_name_char_ok(name[i]))
        i++;
    return i > 0 && i <= OS_SERVICE_NAME_MAX && name[i] == 0;
}

/* Out of a message; false: not a service name. */
static inline bool os_name_unpack(const struct os_words *w, char name[OS_SERVICE_NAME_MAX + 1])
{
    const char *from = (const char *)&w->w[1];

    for (size_t i = 0; i <= OS_SERVICE_NAME_MAX; i++)
        name[i] = from[i];
    name[OS_SERVICE_NAME_MAX] = 0;
    return os_name_ok(name);
}

#endif
