/* Programs that must end with a report, and take nothing else down.  K19, K30, P2. */
#include "core.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "os/exo.h"
#include "os/rt.h"
#include "os/thread.h"

static int endless(int n)
{
    volatile char frame[512];

    frame[0] = (char)n;
    return n < 0 ? 0 : endless(n + 1) + frame[0];
}

static int overflow(void)
{
    return endless(0);
}

static void *overflow_in_thread(void *arg)
{
    (void)arg;
    endless(0);
    return NULL;
}

static int thread(void)
{
    struct os_thread *t;

    os_thread_create(&t, NULL, overflow_in_thread, NULL);
    return os_thread_join(t, NULL);
}

static int null(void)
{
    *(volatile int *)0 = 1;
    return 0;
}

static int call_null(void)
{
    ((void (*volatile)(void))0)();
    return 0;
}

static int memory(void)
{
    size_t bytes = (size_t)1 << 30;
    volatile char *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    for (size_t i = 0; i < bytes; i += PAGE_SIZE)
        p[i] = 1;
    return 0;
}

static int undefined(void)
{
    static const unsigned nothing[1]; /* not executable either */

    ((void (*)(void))(uintptr_t)nothing)();
    return 0;
}

static int trap(void)
{
    __builtin_trap();
}

static int no_stack(void) /* the fault handler has nowhere to run */
{
    os_vcpu()->upcall_sp = 64;
    return null();
}

static int no_entry(void)
{
    os_vcpu()->upcall_entry = 8;
    return null();
}

static int masked(void)
{
    os_vcpu()->upcall_masked = 1;
    return null();
}

static int kernel(void)
{
    *(volatile int *)0xffff000040080000 = 1;
    return 0;
}

static int abort_it(void)
{
    abort();
}

static const struct {
    const char *name;
    int (*fn)(void);
} ways[] = {
    {"overflow", overflow}, {"thread", thread},  {"null", null},     {"call-null", call_null},
    {"memory", memory},     {"data", undefined}, {"trap", trap},     {"no-stack", no_stack},
    {"no-entry", no_entry}, {"masked", masked},  {"kernel", kernel}, {"abort", abort_it},
};

int fatal(const char *how)
{
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++)
        if (strcmp(ways[i].name, how) == 0)
            return ways[i].fn();
    fprintf(stderr, "core: %s: no such way\n", how);
    return 2;
}
