#include "deadline.h"

static uint32_t rank_of(const struct deadline *d)
{
    return d ? d->rank : 0;
}

/* Restores the leftist order at d; true where d's rank changed. */
static bool fix(struct deadline *d)
{
    uint32_t before = d->rank;

    if (rank_of(d->left) < rank_of(d->right)) {
        struct deadline *left = d->left;

        d->left = d->right;
        d->right = left;
    }
    d->rank = rank_of(d->right) + 1;
    return d->rank != before;
}

/* Walks both right spines, which are at most log2(n) long, so recursion is that deep. */
static struct deadline *merge(struct deadline *a, struct deadline *b)
{
    if (!a)
        return b;
    if (!b)
        return a;
    if (b->at < a->at) {
        struct deadline *swap = a;

        a = b;
        b = swap;
    }
    a->right = merge(a->right, b);
    a->right->parent = a;
    fix(a);
    return a;
}

void deadline_insert(struct deadline_heap *heap, struct deadline *d, uint64_t at)
{
    *d = (struct deadline){.at = at, .rank = 1};
    heap->first = merge(heap->first, d); /* whichever comes first, it has no parent */
}

void deadline_take(struct deadline_heap *heap, struct deadline *d)
{
    struct deadline *parent = d->parent;
    struct deadline *rest;

    rest = merge(d->left, d->right);
    if (rest)
        rest->parent = parent;
    if (!parent)
        heap->first = rest;
    else if (parent->left == d)
        parent->left = rest;
    else
        parent->right = rest;
    while (parent && fix(parent))
        parent = parent->parent;
    *d = (struct deadline){0};
}
