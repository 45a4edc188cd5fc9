/* A ramfs's memory that counts what is out, and fails when it is told to. */
#ifndef HOST_COUNTED_MEMORY_H
#define HOST_COUNTED_MEMORY_H

#include <stdlib.h>

#include "libos/fs/ramfs.h"

struct counted_memory {
    long until_failure; /* allocations that succeed; -1: all */
    bool failed;
    uint64_t bytes; /* out at this moment */
    uint64_t now;
};

static void *counted_alloc(void *ctx, size_t bytes)
{
    struct counted_memory *mem = ctx;

    if (mem->until_failure == 0) {
        mem->failed = true;
        return NULL;
    }
    if (mem->until_failure > 0)
        mem->until_failure--;
    mem->bytes += bytes;
    return calloc(1, bytes);
}

static void counted_free(void *ctx, void *p, size_t bytes)
{
    ((struct counted_memory *)ctx)->bytes -= bytes;
    free(p);
}

static uint64_t counted_now(void *ctx)
{
    return ++((struct counted_memory *)ctx)->now;
}

static const struct ramfs_ops counted_ops = {counted_alloc, counted_free, counted_now};

#endif
