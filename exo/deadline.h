/* Deadlines of one CPU: a leftist heap of nodes that live inside their owners.
 * Insertion and removal cost O(log n), the next deadline is a load; nothing is allocated. */
#ifndef EXO_DEADLINE_H
#define EXO_DEADLINE_H

#include "base/types.h"

struct deadline {
    uint64_t at; /* ticks */
    struct deadline *left, *right, *parent;
    uint32_t rank; /* length of the right spine; 0: in no heap */
};

struct deadline_heap {
    struct deadline *first; /* NULL: empty */
};

static inline bool deadline_is_set(const struct deadline *d)
{
    return d->rank != 0;
}

/* d must be in no heap. */
void deadline_insert(struct deadline_heap *heap, struct deadline *d, uint64_t at);
/* d must be in the heap. */
void deadline_take(struct deadline_heap *heap, struct deadline *d);

static inline void deadline_remove(struct deadline_heap *heap, struct deadline *d)
{
    if (deadline_is_set(d))
        deadline_take(heap, d);
}

#endif
