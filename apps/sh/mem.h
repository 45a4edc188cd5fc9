/*
 * Memory for the shell.
 *
 * x* allocate or end the shell with a sentence: a shell without memory for a line of text has nothing
 * better to do. An arena holds everything that one parse makes and is freed in one step.
 */
#ifndef SH_MEM_H
#define SH_MEM_H

#include <stddef.h>

void *xmalloc(size_t len);
void *xrealloc(void *old, size_t len);
char *xstrdup(const char *text);
char *xstrndup(const char *text, size_t len);

struct arena_block;

struct arena {
    struct arena_block *blocks;
};

/* Zeroed memory that lives until arena_free(). */
void *arena_alloc(struct arena *arena, size_t len);
char *arena_strndup(struct arena *arena, const char *text, size_t len);
void arena_free(struct arena *arena);

#endif
