#include "mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ARENA_BLOCK_BYTES = 4096, ARENA_ALIGN = 16 };

struct arena_block {
    struct arena_block *next;
    size_t used;
    size_t size;
    _Alignas(ARENA_ALIGN) char bytes[];
};

static void *checked(void *got)
{
    if (!got) {
        fputs("sh: out of memory\n", stderr);
        exit(2);
    }
    return got;
}

void *xmalloc(size_t len)
{
    return checked(malloc(len ? len : 1));
}

void *xrealloc(void *old, size_t len)
{
    return checked(realloc(old, len ? len : 1));
}

char *xstrndup(const char *text, size_t len)
{
    char *copy = xmalloc(len + 1);

    memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}

char *xstrdup(const char *text)
{
    return xstrndup(text, strlen(text));
}

static struct arena_block *block_new(struct arena *arena, size_t len)
{
    size_t size = len > ARENA_BLOCK_BYTES ? len : ARENA_BLOCK_BYTES;
    struct arena_block *block = xmalloc(sizeof(*block) + size);

    block->next = arena->blocks;
    block->used = 0;
    block->size = size;
    arena->blocks = block;
    return block;
}

void *arena_alloc(struct arena *arena, size_t len)
{
    size_t rounded = (len + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
    struct arena_block *block = arena->blocks;
    void *got;

    if (!block || block->size - block->used < rounded)
        block = block_new(arena, rounded);
    got = block->bytes + block->used;
    block->used += rounded;
    return memset(got, 0, len);
}

char *arena_strndup(struct arena *arena, const char *text, size_t len)
{
    char *copy = arena_alloc(arena, len + 1);

    memcpy(copy, text, len);
    return copy;
}

void arena_free(struct arena *arena)
{
    while (arena->blocks) {
        struct arena_block *next = arena->blocks->next;

        free(arena->blocks);
        arena->blocks = next;
    }
}
