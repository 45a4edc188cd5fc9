/* Loading an ELF program into another space, through a small table of operations, so that the same code
 * runs in a parent, in init, and in host tests where any operation may fail. */
#ifndef OS_LOAD_H
#define OS_LOAD_H

#include "base/elf64.h"
#include "os/proc.h"

#define LOAD_BATCH_PAGES 16u
#define LOAD_WHY_BYTES 200u

struct load_ops {
    /* npages (at most LOAD_BATCH_PAGES) new zeroed pages in the child at va, for a while also at *window here. */
    int (*open)(void *ctx, uint64_t va, unsigned npages, void **window);
    /* Their final protection in the child (enum exo_prot), and the window's end, which happens in any case. */
    int (*close)(void *ctx, uint64_t va, unsigned npages, unsigned prot);
    /* npages new zeroed pages in the child at va that need no content. */
    int (*zero)(void *ctx, uint64_t va, uint64_t npages, unsigned prot);
};

/* Programs lie in [LOAD_VA_MIN, LOAD_VA_MAX). */
#define LOAD_VA_MIN 0x400000ull
#define LOAD_VA_MAX 0x1000000000ull

/* Loads the image named `path`.  0 and *entry, or a negative errno and a sentence in why.  After a failure
 * pages may remain in the child, which the caller destroys; no window remains open. */
int os_load(const char *path, const struct os_image *image, const struct load_ops *ops, void *ctx,
            uint64_t *entry, char why[LOAD_WHY_BYTES]);

/* The decoding part: 0 or -ENOEXEC or what reading gives. */
int os_load_plan(const char *path, const struct os_image *image, struct elf64_plan *plan,
                 char why[LOAD_WHY_BYTES]);

/* Operations on a real child through its SPACE capability; the window is at window_va in this space. */
struct load_space {
    exo_handle_t space;
    uint64_t window_va;
};
extern const struct load_ops load_space_ops;

/* An image in memory. */
struct load_memory {
    const uint8_t *base;
    uint64_t bytes;
};
int64_t load_memory_read(void *ctx, uint64_t offset, void *buf, size_t bytes);

#endif
