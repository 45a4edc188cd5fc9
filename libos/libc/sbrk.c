/* malloc's arena. */
#include <errno.h>
#include <stddef.h>
#include <unistd.h>

#include "mem/mem.h"

void *_sbrk(ptrdiff_t delta);
void *_sbrk(ptrdiff_t delta)
{
    uint64_t before = mem_heap_move(delta);

    if (before)
        return (void *)before;
    errno = ENOMEM;
    return (void *)-1;
}
