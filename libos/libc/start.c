/* From the program's entry to main, and from there to its end.
 *
 *   _start (crt0) -> os_start: rt, mem, the main thread        on the upcall stack, upcalls masked
 *                 -> main_entry: layers, constructors, main    in the main thread */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "libc/libc.h"
#include "mem/mem.h"
#include "os/exo.h"
#include "os/layout.h"
#include "os/start.h"
#include "rt/rt.h"

#define STACK_BOUND_AT_ONCE 4u /* pages: as deep as spawning and files go */

typedef void init_fn(void);
extern init_fn *__preinit_array_start[], *__preinit_array_end[]; /* app.ld */
extern init_fn *__init_array_start[], *__init_array_end[];
extern init_fn *__fini_array_start[], *__fini_array_end[];

extern int main(int argc, char **argv, char **envp);

/* Left out of programs that do not link them. */
extern void os_proc_init(struct os_start *start) __attribute__((weak));
extern void os_files_init(struct os_start *start) __attribute__((weak));

static char *no_strings[] = {NULL};
static char *init_argv[] = {(char *)(uintptr_t) "init", NULL};

static void run_all(init_fn **from, init_fn **to)
{
    while (from < to)
        (*from++)();
}

static void run_destructors(void)
{
    for (init_fn **fn = __fini_array_end; fn > __fini_array_start;)
        (*--fn)();
}

static void main_entry(void)
{
    struct os_start *start = (struct os_start *)(uintptr_t)os_start_block();
    char **argv = start ? os_start_argv(start) : init_argv;
    int argc = start ? (int)start->argc : 1;

    environ = start ? os_start_envp(start) : no_strings;
    if (os_proc_init)
        os_proc_init(start);
    if (os_files_init)
        os_files_init(start);
    atexit(run_destructors);
    run_all(__preinit_array_start, __preinit_array_end);
    run_all(__init_array_start, __init_array_end);
    exit(main(argc, argv, environ));
}

static void must(int rc, const char *what)
{
    if (!rc)
        return;
    os_log("a program could not start: %s: error %d\n", what, rc);
    for (;;)
        exo_env_exit(127);
}

static uint64_t map_main_stack(void)
{
    const struct os_map what = {.kind = OS_REGION_STACK,
                                .prot = EXO_PROT_READ | EXO_PROT_WRITE,
                                .flags = OS_MAP_FIXED | OS_MAP_GUARD,
                                .va = OS_STACK_TOP - OS_STACK_PAGES * PAGE_SIZE,
                                .npages = OS_STACK_PAGES};
    uint64_t bytes = align_up(rt_thread_bytes(), PAGE_SIZE) + STACK_BOUND_AT_ONCE * PAGE_SIZE, va;

    must(os_map_region(&what, &va), "stack");
    must(os_touch(OS_STACK_TOP - bytes, bytes), "stack");
    return va;
}

void os_start(uint64_t info)
{
    rt_start(info);
    must(mem_start(), "memory");
    libc_threads_start();
    os_set_spare(libc_spare);
    rt_enter_main(map_main_stack(), OS_STACK_PAGES, main_entry);
}
