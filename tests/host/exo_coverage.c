/* What a build without sanitizers, for `make coverage`, has in their place: a word for SIGSEGV, and nothing for fibers.  It is
 * linked with --wrap=_exit, so that what a child process that a test forks has executed counts too, however it ends. */
#include <sanitizer/common_interface_defs.h>
#include <signal.h>
#include <unistd.h>

void __gcov_dump(void);
_Noreturn void __real__exit(int status);
_Noreturn void __wrap__exit(int status);

void __wrap__exit(int status)
{
    __gcov_dump();
    __real__exit(status);
}

void __sanitizer_start_switch_fiber(void **save, const void *bottom, size_t size)
{
    (void)save;
    (void)bottom;
    (void)size;
}

void __sanitizer_finish_switch_fiber(void *save, const void **bottom, size_t *size)
{
    (void)save;
    (void)bottom;
    (void)size;
}

static void die(int number)
{
    (void)number;
    _exit(1);
}

static __attribute__((constructor)) void begin(void)
{
    signal(SIGSEGV, die);
}
