#include "deadline.h"

static uint32_t rank_of(const struct deadline *d)
{
    return d ? d->rank : 0;
}

/* Restores the leftist order at d; true where d's rank changed. */
static bool fix(struct deadline *d)
{
    struct deadline *left = d->left, *right = d->right;
    uint32_t l = rank_of(left), r = rank_of(right), before = d->rank;
    bool swap = l < r;

    d->left = swap ? right : left;
    d->right = swap ? left : right;
    d->rank = (swap ? l : r) + 1;
    return d->rank != before;
}

/* One of d's branches has changed. */
static void mend(struct deadline *d)
{
    while (d && fix(d))
        d = d->parent;
}

/* Walks both right spines, which are at most log2(n) long, down and up again.  The first one's parent is NULL. */
static struct deadline *merge(struct deadline *a, struct deadline *b)
{
    struct deadline *first = NULL, **link = &first, *last = NULL;

    while (a && b) {
        struct deadline *sooner = b->at < a->at ? b : a;

        b = sooner == a ? b : a;
        *link = sooner;
        sooner->parent = last;
        last = sooner;
        link = &sooner->right;
        a = sooner->right;
    }
    a = a ? a : b;
    *link = a;
    if (a)
        a->parent = last;
    for (; last; last = last->parent)
        fix(last);
    return first;
}

/* Into the right spine, where all above come sooner. */
void deadline_insert(struct deadline_heap *heap, struct deadline *d, uint64_t at)
{
    struct deadline *above = NULL, *below = heap->first;

    while (below && below->at <= at) {
        above = below;
        below = below->right;
    }
    *d = (struct deadline){.at = at, .left = below, .parent = above, .rank = 1};
    if (below)
        below->parent = d;
    if (above)
        above->right = d;
    else
        heap->first = d;
    mend(above);
}

__attribute__((noinline)) void deadline_take(struct deadline_heap *heap, struct deadline *d)
{
    struct deadline *parent = d->parent;
    struct deadline *rest = merge(d->left, d->right);

    if (rest)
        rest->parent = parent;
    if (!parent)
        heap->first = rest;
    else if (parent->left == d)
        parent->left = rest;
    else
        parent->right = rest;
    mend(parent);
    *d = (struct deadline){0};
}
