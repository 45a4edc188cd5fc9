/* What a program can give back without missing it (os/revoke.h). */
#include <malloc.h>

#include "libc/libc.h"
#include "os/mem.h"
#include "rt/rt.h"

#define KEPT_BYTES (4 * PAGE_SIZE) /* below the stack pointer: what is called next finds it bound */

void libc_spare(void)
{
    uint64_t top = align_down(arch_stack_here() - KEPT_BYTES, PAGE_SIZE);
    struct os_region_info stack;

    malloc_trim(0);
    if (!os_region_at(top, &stack) && stack.kind == OS_REGION_STACK && top > stack.va)
        (void)os_discard(stack.va, (top - stack.va) / PAGE_SIZE);
}
