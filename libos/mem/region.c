#include "rt/general_regs.h"

#include "mem/region.h"

/* ---- nodes ---------------------------------------------------------------------------------------------- */

void region_pool_add(struct region_pool *pool, void *memory, size_t bytes)
{
    struct region *nodes = memory;

    for (size_t i = 0; i < bytes / sizeof(struct region); i++)
        region_free(pool, &nodes[i]);
}

struct region *region_new(struct region_pool *pool)
{
    struct region *r = pool->free;

    if (!r)
        return NULL;
    pool->free = r->right;
    pool->nfree--;
    pool->seed =
        pool->seed * 1664525u + 1013904223u; /* Numerical Recipes' generator: the high bits are good */
    *r = (struct region){.prio = pool->seed >> 1};
    return r;
}

void region_free(struct region_pool *pool, struct region *r)
{
    r->right = pool->free;
    pool->free = r;
    pool->nfree++;
}

/* ---- the treap ------------------------------------------------------------------------------------------ */

static void update(struct region *r)
{
    uint64_t hole = 0;

    r->lo = r->va;
    r->hi = r->end;
    if (r->left) {
        r->lo = r->left->lo;
        hole = max_u64(r->left->hole, r->va - r->left->hi);
    }
    if (r->right) {
        r->hi = r->right->hi;
        hole = max_u64(hole, max_u64(r->right->hole, r->right->lo - r->end));
    }
    r->hole = hole;
}

/* Everything below va goes to *low, the rest to *high. */
static void split(struct region *r, uint64_t va, struct region **low, struct region **high)
{
    if (!r) {
        *low = *high = NULL;
    } else if (r->va < va) {
        split(r->right, va, &r->right, high);
        *low = r;
        update(r);
    } else {
        split(r->left, va, low, &r->left);
        *high = r;
        update(r);
    }
}

/* All of low lies below all of high. */
static struct region *merge(struct region *low, struct region *high)
{
    if (!low || !high)
        return low ? low : high;
    if (low->prio > high->prio) {
        low->right = merge(low->right, high);
        update(low);
        return low;
    }
    high->left = merge(low, high->left);
    update(high);
    return high;
}

static struct region *insert(struct region *at, struct region *r)
{
    if (!at || r->prio > at->prio) {
        split(at, r->va, &r->left, &r->right);
        at = r;
    } else if (r->va < at->va) {
        at->left = insert(at->left, r);
    } else {
        at->right = insert(at->right, r);
    }
    update(at);
    return at;
}

static struct region *remove(struct region *at, const struct region *r)
{
    if (at == r)
        return merge(at->left, at->right);
    if (r->va < at->va)
        at->left = remove(at->left, r);
    else
        at->right = remove(at->right, r);
    update(at);
    return at;
}

void region_insert(struct region_set *set, struct region *r)
{
    set->root = insert(set->root, r);
}

void region_remove(struct region_set *set, struct region *r)
{
    set->root = remove(set->root, r);
    if (set->last == r)
        set->last = NULL;
}

void region_resize(struct region_set *set, struct region *r, uint64_t va, uint64_t end)
{
    region_remove(set, r);
    r->va = va;
    r->end = end;
    region_insert(set, r);
}

void region_cut(struct region_set *set, struct region *r, uint64_t at, struct region *upper)
{
    upper->va = at;
    upper->end = r->end;
    upper->kind = r->kind;
    upper->prot = r->prot;
    upper->large = r->large;
    region_resize(set, r, r->va, at);
    region_insert(set, upper);
}

/* ---- looking -------------------------------------------------------------------------------------------- */

struct region *region_find(struct region_set *set, uint64_t va)
{
    struct region *r = set->last;

    if (r && va >= r->va && va < r->end)
        return r;
    for (r = set->root; r; r = va < r->va ? r->left : r->right) {
        if (va >= r->va && va < r->end) {
            set->last = r;
            return r;
        }
    }
    return NULL;
}

struct region *region_above(const struct region_set *set, uint64_t va)
{
    struct region *best = NULL;

    for (struct region *r = set->root; r;) {
        if (r->end > va) {
            best = r;
            r = r->left;
        } else {
            r = r->right;
        }
    }
    return best;
}

bool region_clear(const struct region_set *set, uint64_t va, uint64_t end)
{
    const struct region *r = va < end ? region_above(set, va) : NULL;

    return !r || r->va >= end;
}

/* The lowest hole of that size between regions of the subtree and the limits; *lo moves up past what was seen. */
static uint64_t hole_in(const struct region *r, uint64_t *lo, uint64_t hi, uint64_t bytes)
{
    uint64_t va = 0;

    if (!r || r->hi <= *lo || *lo >= hi)
        return 0;
    if (r->lo >= *lo && r->hole < bytes && r->lo - *lo < bytes) { /* no room in front or inside */
        *lo = r->hi;
        return 0;
    }
    va = hole_in(r->left, lo, hi, bytes);
    if (va)
        return va;
    if (r->end > *lo) {
        if (r->va > *lo && min_u64(r->va, hi) > *lo && min_u64(r->va, hi) - *lo >= bytes)
            return *lo;
        *lo = r->end;
    }
    return hole_in(r->right, lo, hi, bytes);
}

uint64_t region_hole(const struct region_set *set, uint64_t lo, uint64_t hi, uint64_t bytes)
{
    uint64_t va = hole_in(set->root, &lo, hi, bytes);

    if (va)
        return va;
    return lo < hi && hi - lo >= bytes ? lo : 0;
}
