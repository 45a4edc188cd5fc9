/* sources: libos/mem/region.c
 * Regions of address space against a slow oracle: one byte for each page.  K20, K26, P3. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "mem/region.h"

#define PAGES 512u
#define STEPS 20000
#define NNODES 600u

static struct region_pool pool;
static struct region_set set;
static struct region nodes[NNODES];
static uint16_t oracle[PAGES]; /* 0: free, else the region's id */
static uint16_t next_id;

static uint64_t va(uint64_t page)
{
    return (page + 1) * PAGE_SIZE;
}

static void setup(void)
{
    memset(&pool, 0, sizeof pool);
    memset(&set, 0, sizeof set);
    memset(oracle, 0, sizeof oracle);
    next_id = 1;
    region_pool_add(&pool, nodes, sizeof nodes);
}

/* A subtree keeps order, heap order and its sums. */
static uint64_t check_tree(const struct region *r, uint64_t lo, uint64_t hi)
{
    uint64_t count = 1, hole = 0;

    if (!r)
        return 0;
    ck_assert(r->va < r->end && r->va >= lo && r->end <= hi);
    count += check_tree(r->left, lo, r->va) + check_tree(r->right, r->end, hi);
    ck_assert(!r->left || r->left->prio <= r->prio);
    ck_assert(!r->right || r->right->prio <= r->prio);
    ck_assert_uint_eq(r->lo, r->left ? r->left->lo : r->va);
    ck_assert_uint_eq(r->hi, r->right ? r->right->hi : r->end);
    if (r->left)
        hole = max_u64(r->left->hole, r->va - r->left->hi);
    if (r->right)
        hole = max_u64(hole, max_u64(r->right->hole, r->right->lo - r->end));
    ck_assert_uint_eq(r->hole, hole);
    return count;
}

static uint64_t oracle_hole(uint64_t from, uint64_t to, uint64_t n)
{
    uint64_t run = 0;

    for (uint64_t p = from; p < to; p++) {
        run = oracle[p] ? 0 : run + 1;
        if (run == n)
            return va(p - n + 1);
    }
    return 0;
}

static bool oracle_clear(uint64_t from, uint64_t to)
{
    for (uint64_t p = from; p < to; p++)
        if (oracle[p])
            return false;
    return true;
}

static void fill(uint64_t from, uint64_t to, uint16_t id)
{
    for (uint64_t p = from; p < to; p++)
        oracle[p] = id;
}

static uint64_t page_of(uint64_t address)
{
    return address / PAGE_SIZE - 1;
}

static void try_insert(uint64_t from, uint64_t n)
{
    struct region *r;

    ck_assert_int_eq(region_clear(&set, va(from), va(from + n)), oracle_clear(from, from + n));
    if (!oracle_clear(from, from + n) || n == 0)
        return;
    r = region_new(&pool);
    ck_assert_ptr_nonnull(r);
    r->va = va(from);
    r->end = va(from + n);
    region_insert(&set, r);
    fill(from, from + n, next_id++);
}

static void try_remove(uint64_t page)
{
    struct region *r = region_find(&set, va(page) + (uint64_t)rand() % PAGE_SIZE);

    ck_assert_int_eq(r != NULL, oracle[page] != 0);
    if (!r)
        return;
    fill(page_of(r->va), page_of(r->end), 0);
    region_remove(&set, r);
    region_free(&pool, r);
}

static void try_cut(uint64_t page)
{
    struct region *r = region_find(&set, va(page));

    if (!r || r->va == va(page))
        return;
    fill(page, page_of(r->end), next_id++);
    region_cut(&set, r, va(page), region_new(&pool));
}

static void try_shrink(uint64_t page)
{
    struct region *r = region_find(&set, va(page));

    if (!r || r->va == va(page))
        return;
    fill(page, page_of(r->end), 0);
    region_resize(&set, r, r->va, va(page));
}

static void check_lookups(void)
{
    uint64_t page = (uint64_t)rand() % PAGES, n = 1 + (uint64_t)rand() % 40,
             to = page + (uint64_t)rand() % (PAGES - page + 1);
    struct region *above = region_above(&set, va(page));
    uint64_t p = page;

    while (p < PAGES && !oracle[p])
        p++;
    ck_assert_int_eq(above != NULL, p < PAGES);
    if (above)
        ck_assert(va(p) >= above->va && va(p) < above->end);
    ck_assert_uint_eq(region_hole(&set, va(page), va(to), n * PAGE_SIZE), oracle_hole(page, to, n));
}

START_TEST(random_walk_agrees_with_oracle)
{
    setup();
    srand((unsigned)_i + 1);
    for (int step = 0; step < STEPS; step++) {
        uint64_t page = (uint64_t)rand() % (PAGES - 24);

        switch (rand() % 5) {
        case 0:
        case 1:
            try_insert(page, (uint64_t)rand() % 24);
            break;
        case 2:
            try_remove(page);
            break;
        case 3:
            try_cut(page);
            break;
        default:
            try_shrink(page);
        }
        check_lookups();
        if (step % 64 == 0)
            ck_assert_uint_eq(check_tree(set.root, 0, UINT64_MAX) + pool.nfree, NNODES);
    }
}
END_TEST

START_TEST(pool_runs_dry_with_null)
{
    setup();
    for (unsigned i = 0; i < NNODES; i++)
        ck_assert_ptr_nonnull(region_new(&pool));
    ck_assert_ptr_null(region_new(&pool));
}
END_TEST

START_TEST(depth_stays_logarithmic)
{
    unsigned depth = 0;

    setup();
    for (uint64_t p = 0; p < PAGES; p++)
        try_insert(p, 1); /* in order: the worst case of a plain tree */
    for (uint64_t p = 0; p < PAGES; p++) {
        unsigned d = 0;

        for (const struct region *r = set.root; r && !(va(p) >= r->va && va(p) < r->end); d++)
            r = va(p) < r->va ? r->left : r->right;
        depth = d > depth ? d : depth;
    }
    ck_assert_uint_lt(depth, 40);
}
END_TEST

START_TEST(holes_at_the_limits)
{
    setup();
    ck_assert_uint_eq(region_hole(&set, va(0), va(10), 10 * PAGE_SIZE), va(0));
    ck_assert_uint_eq(region_hole(&set, va(0), va(10), 11 * PAGE_SIZE), 0);
    ck_assert_uint_eq(region_hole(&set, va(3), va(3), PAGE_SIZE), 0);
    try_insert(0, 5);
    ck_assert_uint_eq(region_hole(&set, va(0), va(10), 5 * PAGE_SIZE), va(5));
    ck_assert_uint_eq(region_hole(&set, va(0), va(10), UINT64_MAX & ~(uint64_t)PAGE_MASK), 0);
    ck_assert_uint_eq(region_hole(&set, va(2), va(4), PAGE_SIZE), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("region");
    TCase *tc = tcase_create("region");
    SRunner *runner;
    int failed;

    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, random_walk_agrees_with_oracle, 0, 8);
    tcase_add_test(tc, pool_runs_dry_with_null);
    tcase_add_test(tc, depth_stays_logarithmic);
    tcase_add_test(tc, holes_at_the_limits);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
