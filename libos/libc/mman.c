/* mmap and its kin, over os/mem.h.  Files cannot be mapped yet: ENODEV. */
#include <errno.h>
#include <sys/mman.h>

#include "os/exo.h"
#include "os/mem.h"

_Static_assert(PROT_READ == EXO_PROT_READ && PROT_WRITE == EXO_PROT_WRITE && PROT_EXEC == EXO_PROT_EXEC,
               "prot");

static int result(int rc)
{
    if (rc == 0)
        return 0;
    errno = -rc;
    return -1;
}

static uint64_t pages(size_t bytes)
{
    return bytes / PAGE_SIZE + (bytes % PAGE_SIZE != 0);
}

void *mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
    struct os_map what = {.kind = OS_REGION_ANON, .prot = (unsigned)prot, .npages = pages(len)};
    uint64_t va;
    int rc;

    (void)fd;
    if (!(flags & MAP_ANONYMOUS) || offset) {
        errno = flags & MAP_ANONYMOUS ? EINVAL : ENODEV;
        return MAP_FAILED;
    }
    if (flags & MAP_FIXED) {
        what.flags = OS_MAP_FIXED | OS_MAP_REPLACE;
        what.va = (uint64_t)addr;
    }
    rc = os_map_region(&what, &va);
    return result(rc) ? MAP_FAILED : (void *)va;
}

int munmap(void *addr, size_t len)
{
    return result(os_unmap((uint64_t)addr, pages(len)));
}

int mprotect(void *addr, size_t len, int prot)
{
    return len == 0 ? 0 : result(os_protect((uint64_t)addr, pages(len), (unsigned)prot));
}

int madvise(void *addr, size_t len, int advice)
{
    if (advice == MADV_DONTNEED && len)
        return result(os_discard((uint64_t)addr, pages(len)));
    if (advice == MADV_WILLNEED && len)
        return result(os_touch((uint64_t)addr, len));
    return result(advice < MADV_NORMAL || advice > MADV_DONTNEED ? -EINVAL : 0);
}

int posix_madvise(void *addr, size_t len, int advice)
{
    return madvise(addr, len, advice == POSIX_MADV_DONTNEED ? MADV_NORMAL : advice) ? errno : 0;
}

int msync(void *addr, size_t len, int flags)
{
    (void)addr;
    (void)len;
    return result(flags & ~(MS_ASYNC | MS_INVALIDATE | MS_SYNC) ? -EINVAL : 0);
}
