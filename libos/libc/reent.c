/* newlib's state for each thread: errno and what functions like strtok keep between calls. */
#include <reent.h>
#include <stdlib.h>
#include <string.h>

#include "libc/libc.h"
#include "rt/rt.h"

extern void __sinit(struct _reent *) __attribute__((weak)); /* stdio, where the program has it */

struct _reent *__getreent(void)
{
    return rt_thread_local();
}

extern void os_proc_thread_end(void) __attribute__((weak)); /* os/proc.h, likewise */

/* exit() closes the streams through the main thread's state, so that must know stdio even if only others use it. */
static void thread_init(void *local)
{
    _REENT_INIT_PTR((struct _reent *)local);
    if (__sinit)
        __sinit(_GLOBAL_REENT);
}

/* The streams are the program's: they stay open when a thread ends. */
static void thread_fini(void *local)
{
    struct _reent *r = local;

    if (os_proc_thread_end)
        os_proc_thread_end();
#if __NEWLIB__ >= 4
    _REENT_CLEANUP(r) = NULL;
#else
    r->__sdidinit = 0;
#endif
    _reclaim_reent(r);
}

static const struct rt_local for_rt = {sizeof(struct _reent), thread_init, thread_fini, exit};

void libc_threads_start(void)
{
    rt_set_local(&for_rt, _GLOBAL_REENT);
}
