/* Regions of address space, without overlap, in a treap ordered by address: each operation costs O(log n).
 *
 *               [ va, end ) prio          A node's prio is above its children's, so the shape does not depend
 *              /              \           on the order of insertion.  Each node also knows its subtree's extent
 *     lower addresses    higher ones      and largest hole, so that room is found without walking all regions.
 *
 * Pure data structure: it calls nothing, allocates nothing, and locks nothing.  Nodes come from a
 * region_pool, whose memory must always be bound, since the page fault handler reads them. */
#ifndef MEM_REGION_H
#define MEM_REGION_H

#include "base/types.h"

struct region {
    uint64_t va, end; /* end > va */
    struct region *left, *right;
    uint64_t lo, hi; /* of the subtree */
    uint64_t hole;   /* the largest between two regions of the subtree, in bytes */
    uint32_t prio;
    uint8_t kind; /* enum os_region_kind */
    uint8_t prot;
    uint8_t guard;       /* not 0: the lowest page is never bound */
    uint8_t large;       /* not 0: large pages, where one fits and there is one */
    uint64_t next_touch; /* where a walk through the region would fault next, */
    uint64_t batch;      /* and how many pages it was given last */
};

struct region_pool {
    struct region *free; /* linked by right */
    uint64_t nfree;
    uint32_t seed;
};

struct region_set {
    struct region *root;
    struct region *last; /* the last one found: faults come in runs */
};

/* Give memory to a pool: as many nodes as fit. */
void region_pool_add(struct region_pool *pool, void *memory, size_t bytes);
/* A node, or NULL. */
struct region *region_new(struct region_pool *pool);
void region_free(struct region_pool *pool, struct region *r);

/* The region that holds va, or NULL. */
struct region *region_find(struct region_set *set, uint64_t va);
/* The first region that ends above va, or NULL. */
struct region *region_above(const struct region_set *set, uint64_t va);
/* Is the range free of regions?  An empty range is. */
bool region_clear(const struct region_set *set, uint64_t va, uint64_t end);

/* Put a region in; its range must be clear. */
void region_insert(struct region_set *set, struct region *r);
/* Take it out; it must be in. */
void region_remove(struct region_set *set, struct region *r);
/* Move its ends; the range gained must be clear. */
void region_resize(struct region_set *set, struct region *r, uint64_t va, uint64_t end);
/* Cut r at `at` (inside it, page aligned): it keeps what is below, `upper`, a fresh node, gets the rest. */
void region_cut(struct region_set *set, struct region *r, uint64_t at, struct region *upper);

/* The lowest address of a hole of `bytes` in [lo, hi), or 0.  bytes > 0. */
uint64_t region_hole(const struct region_set *set, uint64_t lo, uint64_t hi, uint64_t bytes);

#endif
