/* sources: libos/mem/map.c libos/mem/fault.c libos/mem/heap.c libos/mem/region.c
 * The memory module on a kernel that is an array: what is bound where, and calls that fail on demand.
 * P3, K15, K19, K24, T1. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mock.h"
#include "mem/mem.h"
#include "os/layout.h"
#include "rt/rt.h"

#define WINDOW 2048u /* pages of each of the two windows that the tests use */
#define RW (EXO_PROT_READ | EXO_PROT_WRITE)
#define FREE 0xffu

/* ---- the kernel ------------------------------------------------------------------------------------------ */

static uint8_t regions_window[WINDOW], heap_window[WINDOW]; /* protection, or FREE */
static uint64_t used, limit, calls, fail_at;                /* fail_at: this call fails; 0: none */

static uint8_t *page_at(uint64_t va)
{
    if (va >= OS_REGIONS_VA && va < OS_REGIONS_VA + WINDOW * PAGE_SIZE)
        return &regions_window[(va - OS_REGIONS_VA) / PAGE_SIZE];
    ck_assert(va >= OS_HEAP_VA && va < OS_HEAP_VA + WINDOW * PAGE_SIZE);
    return &heap_window[(va - OS_HEAP_VA) / PAGE_SIZE];
}

static uint64_t bound_from(uint64_t va, uint64_t end)
{
    while (va < end && *page_at(va) == FREE)
        va += PAGE_SIZE;
    return va < end ? va : end;
}

/* All or nothing, 64 pages at most, as the kernel does it. */
static int64_t bind(uint64_t va, uint64_t n, unsigned prot, bool counted)
{
    n = min_u64(n, EXO_RANGE_MAX);
    if (counted && used + n > limit)
        return -EXO_EQUOTA;
    for (uint64_t i = 0; i < n; i++)
        if (*page_at(va + i * PAGE_SIZE) != FREE)
            return -EXO_EBOUND;
    for (uint64_t i = 0; i < n; i++)
        *page_at(va + i * PAGE_SIZE) = (uint8_t)prot;
    used += n;
    return (int64_t)n;
}

static int64_t unbind(uint64_t va, uint64_t n)
{
    n = min_u64(n, EXO_RANGE_MAX);
    for (uint64_t i = 0; i < n; i++) {
        used -= *page_at(va + i * PAGE_SIZE) != FREE;
        *page_at(va + i * PAGE_SIZE) = FREE;
    }
    return (int64_t)n;
}

static int64_t protect(uint64_t va, uint64_t n, unsigned prot)
{
    n = min_u64(n, EXO_RANGE_MAX);
    for (uint64_t i = 0; i < n; i++)
        if (*page_at(va + i * PAGE_SIZE) == FREE)
            return -EXO_EUNBOUND;
    for (uint64_t i = 0; i < n; i++)
        *page_at(va + i * PAGE_SIZE) = (uint8_t)prot;
    return (int64_t)n;
}

static void kernel(enum exo_call number, uint64_t x[8])
{
    if (number == EXO_CALL_env_status) {
        x[0] = x[1] == EXO_ENV_LIMIT ? limit : used;
        return;
    }
    calls++;
    if (fail_at && calls == fail_at && number != EXO_CALL_page_unmap) {
        x[0] = (uint64_t)(int64_t)-EXO_ENOMEM;
        return;
    }
    switch (number) {
    case EXO_CALL_page_alloc:
        x[0] = (uint64_t)bind(x[1], x[2], x[4] & 7, true);
        break;
    case EXO_CALL_page_map:
        x[0] = (uint64_t)bind(x[1], x[4], x[5] & 7, false);
        break;
    case EXO_CALL_mmio_map:
        x[0] = (uint64_t)bind(x[2], x[4], x[5] & 7, false);
        break;
    case EXO_CALL_page_unmap:
        x[0] = (uint64_t)unbind(x[1], x[2]);
        break;
    case EXO_CALL_page_protect:
        x[0] = (uint64_t)protect(x[1], x[2], x[3] & 7);
        break;
    default:
        x[0] = (uint64_t)(int64_t)-EXO_ENOCALL;
    }
}

/* ---- helpers --------------------------------------------------------------------------------------------- */

static struct region nodes[400];

static void setup(void)
{
    memset(regions_window, FREE, sizeof regions_window);
    memset(heap_window, FREE, sizeof heap_window);
    memset(&mem, 0, sizeof mem);
    region_pool_add(&mem.pool, nodes, sizeof nodes);
    mem.pool_end = OS_POOL_END; /* the pool does not grow here */
    used = calls = fail_at = 0;
    limit = 100000;
    host_exo_call = kernel;
    host_next_bound = bound_from;
}

static int map(uint64_t *va, enum os_region_kind kind, uint64_t npages, unsigned flags)
{
    const struct os_map what = {
        .kind = kind, .prot = RW, .npages = npages, .flags = flags, .from = 5, .va = *va};

    return os_map_region(&what, va);
}

static bool fault(uint64_t va, unsigned access)
{
    int error;

    return mem_fault(va, access, &error);
}

static uint64_t count_regions(void)
{
    struct os_region_info info;
    uint64_t n = 0;

    for (uint64_t va = 0; os_region_next(va, &info) == 0; va = info.va + info.npages * PAGE_SIZE)
        n++;
    return n;
}

/* ---- tests ----------------------------------------------------------------------------------------------- */

static bool reads_allowed(uint64_t va, uint64_t access)
{
    (void)va;
    return access == EXO_PROT_READ;
}

START_TEST(demand_zero_binds_what_is_touched)
{
    uint64_t va = 0;

    ck_assert_int_eq(map(&va, OS_REGION_ANON, 100, 0), 0);
    ck_assert_uint_eq(used, 0);
    ck_assert(fault(va + 50 * PAGE_SIZE + 123, EXO_PROT_WRITE));
    ck_assert_uint_eq(used, 1);
    ck_assert(fault(va + 51 * PAGE_SIZE, EXO_PROT_READ)); /* a walk: more at a time */
    ck_assert_uint_eq(used, 3);
    ck_assert(fault(va + 53 * PAGE_SIZE, EXO_PROT_READ));
    ck_assert_uint_eq(used, 7);
    ck_assert(fault(va + 99 * PAGE_SIZE, EXO_PROT_READ)); /* never beyond the region */
    ck_assert(!fault(va + 100 * PAGE_SIZE, EXO_PROT_READ));
    ck_assert(!fault(va - 1, EXO_PROT_READ));
    ck_assert(!fault(va, EXO_PROT_EXEC));
    ck_assert(
        !fault(va + 50 * PAGE_SIZE, EXO_PROT_WRITE | EXO_ACCESS_BOUND)); /* the tables do not allow it */
    host_page_allows = reads_allowed;
    ck_assert(fault(va + 50 * PAGE_SIZE, EXO_PROT_READ | EXO_ACCESS_BOUND)); /* another vcpu was faster */
    ck_assert(!fault(va + 50 * PAGE_SIZE, EXO_PROT_WRITE | EXO_ACCESS_BOUND));
}
END_TEST

START_TEST(batch_meets_bound_page)
{
    uint64_t va = 0;

    ck_assert_int_eq(map(&va, OS_REGION_ANON, 20, 0), 0);
    ck_assert_int_eq(os_touch(va + 2 * PAGE_SIZE, 1), 0);
    ck_assert(fault(va, EXO_PROT_READ));
    ck_assert(fault(va + PAGE_SIZE, EXO_PROT_READ)); /* would take page 2 along, which is bound */
    ck_assert_uint_eq(used, 3);
}
END_TEST

START_TEST(stack_grows_down_to_its_guard)
{
    uint64_t va = 0;

    ck_assert_int_eq(map(&va, OS_REGION_STACK, 16, OS_MAP_GUARD), 0);
    for (uint64_t p = 16; p-- > 1;) {
        if (!os_page_bound(va + p * PAGE_SIZE))
            ck_assert(fault(va + p * PAGE_SIZE + 8, EXO_PROT_WRITE));
    }
    ck_assert_uint_eq(used, 15);
    ck_assert(!fault(va + 8, EXO_PROT_WRITE));
    ck_assert_int_eq(os_touch(va, 16 * PAGE_SIZE), 0);
    ck_assert_uint_eq(used, 15); /* touching does not bind the guard either */
}
END_TEST

START_TEST(out_of_memory_is_told_apart)
{
    uint64_t va = 0;
    int error;

    ck_assert_int_eq(map(&va, OS_REGION_ANON, 10, 0), 0);
    limit = 0;
    ck_assert(!mem_fault(va, EXO_PROT_READ, &error));
    ck_assert_int_eq(error, EXO_EQUOTA);
    ck_assert(!mem_fault(va - 8, EXO_PROT_READ, &error));
    ck_assert_int_eq(error, 0);
}
END_TEST

START_TEST(arguments_are_checked)
{
    struct os_map what = {.kind = OS_REGION_ANON, .prot = RW, .npages = 1};
    uint64_t va;

    what.prot = EXO_PROT_WRITE | EXO_PROT_EXEC;
    ck_assert_int_eq(os_map_region(&what, &va), -EINVAL);
    what.prot = 8;
    ck_assert_int_eq(os_map_region(&what, &va), -EINVAL);
    what.prot = RW;
    what.npages = 0;
    ck_assert_int_eq(os_map_region(&what, &va), -EINVAL);
    what.npages = UINT64_MAX / PAGE_SIZE + 2;
    ck_assert_int_eq(os_map_region(&what, &va), -ENOMEM);
    what = (struct os_map){.kind = OS_REGION_ANON, .prot = RW, .flags = OS_MAP_FIXED, .npages = 1, .va = 1};
    ck_assert_int_eq(os_map_region(&what, &va), -EINVAL);
    what.va = 0;
    ck_assert_int_eq(os_map_region(&what, &va), -EINVAL);
    what.va = UINT64_MAX & ~(uint64_t)PAGE_MASK;
    ck_assert_int_eq(os_map_region(&what, &va), -EINVAL);
    what.va = OS_REGIONS_VA;
    what.npages = UINT64_MAX / PAGE_SIZE;
    ck_assert_int_eq(os_map_region(&what, &va), -EINVAL);
    ck_assert_int_eq(os_unmap(OS_REGIONS_VA, UINT64_MAX), -EINVAL);
    ck_assert_int_eq(os_unmap(OS_REGIONS_VA + 1, 1), -EINVAL);
    ck_assert_int_eq(os_unmap(OS_REGIONS_VA, 0), -EINVAL);
    ck_assert_int_eq(os_protect(OS_REGIONS_VA, 1, RW), -EINVAL); /* nothing is there */
    ck_assert_uint_eq(calls, 0);
}
END_TEST

START_TEST(fixed_and_replace)
{
    uint64_t va = OS_REGIONS_VA + 8 * PAGE_SIZE;

    ck_assert_int_eq(map(&va, OS_REGION_ANON, 8, OS_MAP_FIXED | OS_MAP_POPULATE), 0);
    va += 4 * PAGE_SIZE;
    ck_assert_int_eq(map(&va, OS_REGION_ANON, 8, OS_MAP_FIXED), -EEXIST);
    ck_assert_int_eq(map(&va, OS_REGION_ANON, 2, OS_MAP_FIXED | OS_MAP_REPLACE), 0);
    ck_assert_uint_eq(used, 6);
    ck_assert_uint_eq(count_regions(), 3);
    ck_assert_int_eq(os_unmap(OS_REGIONS_VA, 100), 0);
    ck_assert_uint_eq(used, 0);
    ck_assert_uint_eq(mem.pool.nfree, ARRAY_LEN(nodes));
}
END_TEST

START_TEST(protect_spans_bound_and_unbound_pages)
{
    uint64_t va = 0;

    ck_assert_int_eq(map(&va, OS_REGION_ANON, 10, 0), 0);
    ck_assert_int_eq(os_touch(va + 4 * PAGE_SIZE, 2 * PAGE_SIZE), 0);
    ck_assert_int_eq(os_protect(va + 2 * PAGE_SIZE, 6, EXO_PROT_READ), 0);
    ck_assert_uint_eq(*page_at(va + 4 * PAGE_SIZE), EXO_PROT_READ);
    ck_assert(!fault(va + 3 * PAGE_SIZE, EXO_PROT_WRITE));
    ck_assert(fault(va + 3 * PAGE_SIZE, EXO_PROT_READ));
    ck_assert_uint_eq(*page_at(va + 3 * PAGE_SIZE), EXO_PROT_READ);
    ck_assert(fault(va + PAGE_SIZE, EXO_PROT_WRITE));
    ck_assert_uint_eq(count_regions(), 3);
}
END_TEST

START_TEST(discard_gives_pages_back)
{
    uint64_t va = 0, device = 0;

    ck_assert_int_eq(map(&va, OS_REGION_ANON, 10, OS_MAP_POPULATE), 0);
    ck_assert_int_eq(os_discard(va, 10), 0);
    ck_assert_uint_eq(used, 0);
    ck_assert(fault(va, EXO_PROT_READ));
    ck_assert_int_eq(map(&device, OS_REGION_DEVICE, 1, 0), 0);
    ck_assert_int_eq(os_discard(device, 1), -EINVAL);
}
END_TEST

START_TEST(every_failing_call_leaves_nothing)
{
    static const enum os_region_kind kinds[] = {OS_REGION_ANON, OS_REGION_DMA, OS_REGION_SHARED,
                                                OS_REGION_PRIVATE, OS_REGION_DEVICE};

    for (uint64_t at = 1; at <= 4; at++) {
        uint64_t va = 0;

        setup();
        fail_at = at;
        ck_assert_int_eq(map(&va, kinds[_i], 200, OS_MAP_POPULATE), -ENOMEM); /* 200 pages: four calls */
        ck_assert_uint_eq(used, 0);
        ck_assert_uint_eq(count_regions(), 0);
        ck_assert_uint_eq(mem.pool.nfree, ARRAY_LEN(nodes));
    }
}
END_TEST

START_TEST(no_nodes_no_harm)
{
    uint64_t va = 0, rest;

    ck_assert_int_eq(map(&va, OS_REGION_ANON, 10, OS_MAP_POPULATE), 0);
    for (rest = mem.pool.nfree; rest > 1; rest--)
        region_new(&mem.pool);
    ck_assert_int_eq(os_unmap(va + PAGE_SIZE, 2), -ENOMEM);
    ck_assert_int_eq(os_protect(va + PAGE_SIZE, 2, EXO_PROT_READ), -ENOMEM);
    ck_assert_uint_eq(used, 10);
    ck_assert_uint_eq(count_regions(), 1);
}
END_TEST

START_TEST(heap_moves_both_ways)
{
    uint64_t start = mem_heap_move(0), before;

    ck_assert_uint_eq(start, OS_HEAP_VA);
    ck_assert_uint_eq(mem_heap_move(10000), start);
    ck_assert_uint_eq(used, 3);
    ck_assert_uint_eq(mem_heap_move(100 * PAGE_SIZE), start + 10000);
    ck_assert_uint_eq(used, 3 + 16); /* the rest when it is touched */
    ck_assert(fault(start + 90 * PAGE_SIZE, EXO_PROT_WRITE));
    before = mem_heap_move(-(int64_t)(100 * PAGE_SIZE));
    ck_assert_uint_eq(before, start + 10000 + 100 * PAGE_SIZE);
    ck_assert_uint_eq(used, 3);
    ck_assert_uint_eq(mem_heap_move(-20000), 0); /* below its start */
    ck_assert_uint_eq(mem_heap_move(INT64_MIN), 0);
    limit = used + 5;
    ck_assert_uint_eq(mem_heap_move(6 * PAGE_SIZE), 0); /* cannot be paid */
    ck_assert_uint_eq(used, 3);
    fail_at = calls + 1;
    ck_assert_uint_eq(mem_heap_move(2 * PAGE_SIZE), 0);
    ck_assert_uint_eq(used, 3);
    ck_assert_uint_eq(mem_heap_move(-10000), start + 10000);
    ck_assert_uint_eq(used, 0);
}
END_TEST

/* Regions and the kernel's pages agree after any sequence. */
START_TEST(random_walk)
{
    uint8_t mapped[300] = {0};

    srand((unsigned)_i + 1);
    for (int step = 0; step < 3000; step++) {
        uint64_t from = (uint64_t)rand() % 256, n = 1 + (uint64_t)rand() % 40,
                 va = OS_REGIONS_VA + from * PAGE_SIZE;
        bool clear = true, full = true;

        for (uint64_t p = from; p < from + n; p++) {
            clear &= !mapped[p];
            full &= mapped[p];
        }
        switch (rand() % 5) {
        case 0:
            ck_assert_int_eq(map(&va, OS_REGION_ANON, n, OS_MAP_FIXED), clear ? 0 : -EEXIST);
            if (clear)
                memset(mapped + from, 1, n);
            break;
        case 1:
            ck_assert_int_eq(os_unmap(va, n), 0);
            memset(mapped + from, 0, n);
            break;
        case 2:
            ck_assert_int_eq(os_protect(va, n, rand() % 2 ? RW : EXO_PROT_READ), full ? 0 : -EINVAL);
            break;
        case 3:
            fault(va, EXO_PROT_READ);
            break;
        default:
            ck_assert_int_eq(os_touch(va, n * PAGE_SIZE), full ? 0 : -EINVAL);
        }
        for (uint64_t p = 0; p < 300;
             p++) { /* one assertion for all three: each costs a write to the runner */
            struct os_region_info info;
            uint64_t at = OS_REGIONS_VA + p * PAGE_SIZE;
            bool found = os_region_at(at, &info) == 0, agree = found == mapped[p];

            agree = agree && (*page_at(at) == FREE || (found && *page_at(at) == info.prot));
            if (!agree)
                ck_abort_msg("step %d: page %u", step, (unsigned)p);
        }
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("map");
    TCase *tc = tcase_create("map");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tc, setup, NULL);
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, demand_zero_binds_what_is_touched);
    tcase_add_test(tc, batch_meets_bound_page);
    tcase_add_test(tc, stack_grows_down_to_its_guard);
    tcase_add_test(tc, out_of_memory_is_told_apart);
    tcase_add_test(tc, arguments_are_checked);
    tcase_add_test(tc, fixed_and_replace);
    tcase_add_test(tc, protect_spans_bound_and_unbound_pages);
    tcase_add_test(tc, discard_gives_pages_back);
    tcase_add_loop_test(tc, every_failing_call_leaves_nothing, 0, 5);
    tcase_add_test(tc, no_nodes_no_harm);
    tcase_add_test(tc, heap_moves_both_ways);
    tcase_add_loop_test(tc, random_walk, 0, 6);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
