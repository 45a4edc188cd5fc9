/* The libOS's memory module on the real kernel, with memory that is really touched, and with every call failing
 * once.  T1 P3 K15 K19 K24 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "exo_mock.h"
#include "mem/mem.h"
#include "os/exo.h"
#include "os/layout.h"
#include "rt/arch.h"

static bool fault(uint64_t va, unsigned access)
{
    int error;

    return mem_fault(va, access, &error);
}

static uint64_t frames(void)
{
    return mock_app.env->owner.account.used;
}

static void setup(void)
{
    struct os_map what = {.kind = OS_REGION_ANON, .prot = EXO_PROT_READ | EXO_PROT_WRITE, .npages = 1};
    uint64_t va;

    mock_start(600, fault);
    mem.pool_end = OS_POOL_VA;
    ck_assert_int_eq(os_map_region(&what, &va), 0); /* the pool has its first page now */
    ck_assert_int_eq(os_unmap(va, 1), 0);
}

START_TEST(calls_reach_the_kernel)
{
    ck_assert_int_eq(exo_env_status(EXO_SELF_ENV, EXO_ENV_LIMIT), 600);
    ck_assert_int_eq(exo_cap_drop(12345), -EXO_EHANDLE);
    ck_assert_uint_eq(os_vcpu()->self, OS_VCPU_VA);
    ck_assert_int_eq(exo_wait(1, exo_wait(0, 0) + machine.time + 500), 0);
    ck_assert_uint_ge(machine.time, 500);
    ck_assert_uint_eq(mock_calls(EXO_CALL_wait), 2);
}
END_TEST

START_TEST(memory_is_there_when_touched)
{
    struct os_map what = {.kind = OS_REGION_ANON, .prot = EXO_PROT_READ | EXO_PROT_WRITE, .npages = 100};
    uint64_t va, before = frames();
    volatile uint8_t *at;

    ck_assert_int_eq(os_map_region(&what, &va), 0);
    ck_assert_uint_eq(frames(), before);
    at = (volatile uint8_t *)va;
    for (unsigned i = 0; i < 100; i++)
        at[i * PAGE_SIZE + i] = (uint8_t)i;
    ck_assert_uint_ge(frames(), before + 100);
    for (unsigned i = 0; i < 100; i++)
        ck_assert_uint_eq(at[i * PAGE_SIZE + i], i);
    exo_check();
    ck_assert_int_eq(os_discard(va + 10 * PAGE_SIZE, 10), 0);
    ck_assert_uint_eq(at[15 * PAGE_SIZE + 15], 0); /* zeroes again, and nothing stale */
    ck_assert_uint_eq(at[25 * PAGE_SIZE + 25], 25);
    ck_assert_int_eq(os_unmap(va, 100), 0);
    ck_assert_uint_eq(frames(), before);
}
END_TEST

START_TEST(shared_memory_is_one_memory)
{
    struct os_map own = {.kind = OS_REGION_ANON,
                         .prot = EXO_PROT_READ | EXO_PROT_WRITE,
                         .npages = 4,
                         .flags = OS_MAP_POPULATE};
    struct os_map other = {.kind = OS_REGION_SHARED, .prot = EXO_PROT_READ, .npages = 4};
    uint64_t a, b;

    ck_assert_int_eq(os_map_region(&own, &a), 0);
    other.source = a;
    ck_assert_int_eq(os_map_region(&other, &b), 0);
    memset((void *)a, 0x77, 4 * PAGE_SIZE);
    ck_assert_mem_eq((void *)b, (void *)a, 4 * PAGE_SIZE);
    ck_assert_int_eq(os_unmap(a, 4), 0);
    ck_assert_uint_eq(*(volatile uint8_t *)b, 0x77); /* held elsewhere */
    ck_assert_int_eq(os_unmap(b, 4), 0);
}
END_TEST

#define SHOWN 40u

/* Pages of our own that hold their numbers, and where they are shown once more. */
static uint64_t private_region(uint64_t *source)
{
    struct os_map own = {.kind = OS_REGION_ANON,
                         .prot = EXO_PROT_READ | EXO_PROT_WRITE,
                         .npages = SHOWN,
                         .flags = OS_MAP_POPULATE};
    struct os_map copy = {.kind = OS_REGION_PRIVATE, .prot = EXO_PROT_READ | EXO_PROT_WRITE, .npages = SHOWN};
    uint64_t va;

    ck_assert_int_eq(os_map_region(&own, source), 0);
    for (uint64_t i = 0; i < SHOWN; i++)
        ((volatile uint64_t *)(*source + i * PAGE_SIZE))[7] = i;
    copy.source = *source;
    ck_assert_int_eq(os_map_region(&copy, &va), 0);
    return va;
}

/* P3: who reads sees what others have; who writes has a copy, and a walk gets more of them each time. */
START_TEST(private_pages_are_copied_when_written)
{
    uint64_t source, before, va = private_region(&source), calls;
    volatile uint64_t *word;

    before = frames();
    for (uint64_t i = 0; i < SHOWN; i++)
        ck_assert_uint_eq(((volatile uint64_t *)(va + i * PAGE_SIZE))[7], i);
    ck_assert_uint_eq(frames(), before);
    ((volatile uint64_t *)source)[9] = 5; /* is seen still */
    ck_assert_uint_eq(((volatile uint64_t *)va)[9], 5);
    calls = mock_calls(EXO_CALL_page_map);
    for (uint64_t i = 0; i < SHOWN; i++) {
        word = (volatile uint64_t *)(va + i * PAGE_SIZE);
        word[8] = 1000 + i;
        ck_assert_uint_eq(word[7], i);
        ck_assert_uint_eq(((volatile uint64_t *)(source + i * PAGE_SIZE))[8], 0);
    }
    ck_assert_uint_eq(mock_calls(EXO_CALL_page_map), calls + 6); /* 1, 2, 4, 8, 16, and the rest */
    ck_assert_uint_eq(frames(), before + SHOWN);
    ((volatile uint64_t *)source)[9] = 6; /* not any more */
    ck_assert_uint_eq(((volatile uint64_t *)va)[9], 5);
    ck_assert(!os_page_bound(OS_COPY_VA));
    exo_check();
    ck_assert_int_eq(os_unmap(va, SHOWN), 0);
    ck_assert_uint_eq(frames(), before);
}
END_TEST

/* What is protected against writing stays what it is, copy or not; who may write again has no second copy. */
START_TEST(private_pages_are_protected)
{
    uint64_t source, before, va = private_region(&source);
    volatile uint64_t *first = (volatile uint64_t *)va;

    before = frames();
    first[8] = 1;
    ck_assert_int_eq(os_protect(va, SHOWN, EXO_PROT_READ), 0);
    ck_assert(!fault(va, EXO_PROT_WRITE | EXO_ACCESS_BOUND));
    ck_assert(!fault(va + PAGE_SIZE, EXO_PROT_WRITE | EXO_ACCESS_BOUND));
    ck_assert_int_eq(os_protect(va, SHOWN, EXO_PROT_READ | EXO_PROT_WRITE), 0);
    first[8] = 2;
    ck_assert_uint_eq(frames(), before + 1);
    ((volatile uint64_t *)(va + PAGE_SIZE))[8] = 3;
    ck_assert_uint_eq(((volatile uint64_t *)(source + PAGE_SIZE))[8], 0);
    ck_assert_uint_eq(((volatile uint64_t *)source)[8], 0);
    ck_assert_int_eq(os_protect(va, 1, EXO_PROT_READ | EXO_PROT_EXEC), 0); /* a copy is ours */
    ck_assert_int_eq(os_protect(va + 9 * PAGE_SIZE, 1, EXO_PROT_READ | EXO_PROT_EXEC), -EACCES);
    ck_assert_int_eq(os_protect(va, SHOWN, EXO_PROT_NONE), 0);
    ck_assert(!fault(va, EXO_PROT_READ | EXO_ACCESS_BOUND));
    exo_check();
}
END_TEST

/* K24: a write that cannot be paid for fails, and the page is as it was; with enough for one it is copied alone. */
START_TEST(private_pages_need_memory)
{
    uint64_t source, before, va = private_region(&source);
    int error;

    before = frames();
    mock_frames_left(0);
    ck_assert(!mem_fault(va, EXO_PROT_WRITE | EXO_ACCESS_BOUND, &error));
    ck_assert_int_eq(error, EXO_EQUOTA);
    ck_assert_uint_eq(frames(), before);
    mock_frames_left(UINT64_MAX);
    ((volatile uint64_t *)(va + 10 * PAGE_SIZE))[8] = 1;
    mock_fail(EXO_CALL_page_alloc, 1, EXO_ENOMEM);
    ((volatile uint64_t *)(va + 11 * PAGE_SIZE))[8] = 1; /* two are asked for first */
    ck_assert(mock_failed());
    ck_assert(arch_page_allows(va + 11 * PAGE_SIZE, EXO_PROT_WRITE));
    ck_assert(!arch_page_allows(va + 12 * PAGE_SIZE, EXO_PROT_WRITE));
    ck_assert_uint_eq(((volatile uint64_t *)(va + 11 * PAGE_SIZE))[7], 11);
    exo_check();
}
END_TEST

/* Does the same again with the 1st, 2nd, ... call failing, until none is left to fail. */
START_TEST(every_call_fails_once)
{
    static const struct os_map maps[] = {
        {.kind = OS_REGION_ANON, .prot = EXO_PROT_READ, .npages = 200, .flags = OS_MAP_POPULATE},
        {.kind = OS_REGION_STACK,
         .prot = EXO_PROT_READ | EXO_PROT_WRITE,
         .npages = 70,
         .flags = OS_MAP_POPULATE | OS_MAP_GUARD},
        {.kind = OS_REGION_DMA, .prot = EXO_PROT_READ | EXO_PROT_WRITE, .npages = 130},
        {.kind = OS_REGION_DMA,
         .prot = EXO_PROT_READ | EXO_PROT_WRITE,
         .npages = 100,
         .flags = OS_MAP_CONTIG},
        {.kind = OS_REGION_SHARED, .prot = EXO_PROT_READ, .npages = 1, .source = OS_VCPU_VA},
        {.kind = OS_REGION_PRIVATE,
         .prot = EXO_PROT_READ | EXO_PROT_WRITE,
         .npages = 1,
         .source = OS_VCPU_VA},
    };
    uint64_t va, nth = 1, before = frames();
    bool again = true;

    for (; again; nth++) {
        int rc;

        mock_fail_any(nth);
        rc = os_map_region(&maps[_i], &va);
        again = mock_failed();
        ck_assert_int_eq(rc, again ? -ENOMEM : 0);
        if (again)
            ck_assert_uint_eq(frames(), before);
        exo_check();
    }
    ck_assert_uint_gt(nth, 2);
    ck_assert_int_eq(os_unmap(va, maps[_i].npages), 0);
    ck_assert_uint_eq(frames(), before);
}
END_TEST

START_TEST(memory_runs_out_at_every_frame)
{
    const struct os_map what = {.kind = OS_REGION_DMA, .prot = EXO_PROT_READ, .npages = 9};
    uint64_t va, before = frames();
    int rc = -ENOMEM;

    for (uint64_t n = 0; rc; n++) {
        mock_frames_left(n);
        rc = os_map_region(&what, &va);
        ck_assert(rc == 0 || rc == -ENOMEM);
        if (rc)
            ck_assert_uint_eq(frames(), before);
        exo_check();
        ck_assert_uint_lt(n, 30);
    }
    mock_frames_left(UINT64_MAX);
    ck_assert_int_eq(os_unmap(va, 9), 0);
    ck_assert_uint_eq(frames(), before);
}
END_TEST

START_TEST(heap_grows_and_shrinks)
{
    uint64_t before = frames(), start = mem_heap_move(100000);

    ck_assert_uint_eq(start, OS_HEAP_VA);
    memset((void *)start, 0x11, 100000);
    ck_assert_uint_eq(mem_heap_move(-50000), start + 100000);
    ck_assert_uint_eq(((volatile uint8_t *)start)[49999], 0x11);
    ck_assert_uint_eq(mem_heap_move(1 << 30), 0); /* more than the account has */
    ck_assert_uint_eq(mem_heap_move(-50000), start + 50000);
    ck_assert_uint_eq(frames(), before);
}
END_TEST

/* A touch that no region allows is what it is on a machine. */
START_TEST(stray_touch)
{
    close(2); /* what the sanitizer has to say about it */
    *(volatile uint8_t *)(OS_REGIONS_VA + 0x100000) = 1;
}
END_TEST

START_TEST(write_to_read_only)
{
    const struct os_map what = {.kind = OS_REGION_ANON, .prot = EXO_PROT_READ, .npages = 1};
    uint64_t va;

    if (os_map_region(&what, &va) || *(volatile uint8_t *)va)
        return;
    close(2);
    *(volatile uint8_t *)va = 1;
}
END_TEST

#define BYTES EXO_LARGE_BYTES
#define N EXO_LARGE_PAGES

static uint64_t large_region(uint64_t npages)
{
    struct os_map what = {.kind = OS_REGION_ANON, .prot = RW, .flags = OS_MAP_LARGE, .npages = npages};
    uint64_t va;

    ck_assert_int_eq(os_map_region(&what, &va), 0);
    ck_assert_uint_eq(va % BYTES, 0);
    return va;
}

static void setup_large(void)
{
    setup();
    mock_frames_left(3 * N + 100);
}

/* Large pages are shown in parts, which are copied as others are. */
START_TEST(private_parts_of_large_pages)
{
    struct os_map copy = {.kind = OS_REGION_PRIVATE, .prot = RW, .npages = N, .source = large_region(N)};
    uint64_t va, before;

    ((volatile uint8_t *)copy.source)[9 * PAGE_SIZE] = 9;
    ck_assert(arch_is_large(copy.source));
    copy.flags = OS_MAP_FIXED;
    copy.va = copy.source + 2 * BYTES; /* where a large page could be */
    ck_assert_int_eq(os_map_region(&copy, &va), 0);
    ck_assert(!arch_is_large(va));
    before = frames();
    ((volatile uint8_t *)va)[9 * PAGE_SIZE + 1] = 1;
    ck_assert_uint_eq(((volatile uint8_t *)va)[9 * PAGE_SIZE], 9);
    ck_assert_uint_eq(((volatile uint8_t *)copy.source)[9 * PAGE_SIZE + 1], 0);
    ck_assert_uint_eq(frames(), before + 1);
    exo_check();
}
END_TEST

/* One touch binds 2 MiB; what is left over at the end comes in small pages. */
START_TEST(large_when_touched)
{
    uint64_t va = large_region(2 * N + 5), before = frames();
    volatile uint8_t *at = (volatile uint8_t *)va;

    at[BYTES + 300 * PAGE_SIZE] = 7;
    ck_assert(arch_is_large(va + BYTES) && !arch_is_large(va));
    ck_assert(os_page_bound(va + BYTES) && os_page_bound(va + 2 * BYTES - PAGE_SIZE) && !os_page_bound(va));
    ck_assert_uint_ge(frames(), before + N);
    ck_assert_uint_le(frames(), before + N + 3);
    ck_assert_int_eq(at[BYTES] + at[2 * BYTES - 1], 0);
    at[2 * BYTES] = 8;
    ck_assert(!arch_is_large(va + 2 * BYTES));
    ck_assert_int_eq(os_touch(va, (2 * N + 5) * PAGE_SIZE), 0);
    ck_assert(arch_is_large(va));
    ck_assert(at[BYTES + 300 * PAGE_SIZE] == 7 && at[2 * BYTES] == 8);
    exo_check();
    ck_assert_int_eq(os_unmap(va, 2 * N + 5), 0);
    ck_assert_uint_eq(frames(), before);
}
END_TEST

/* K15 K19: parts of one are refused, with nothing changed; the whole is not. */
START_TEST(large_is_changed_whole)
{
    uint64_t va = large_region(3 * N);
    volatile uint8_t *at = (volatile uint8_t *)va;
    uint64_t before;

    at[0] = 1;
    at[BYTES] = 2;
    before = frames();
    ck_assert_int_eq(os_unmap(va, N - 1), -EINVAL);
    ck_assert_int_eq(os_unmap(va + PAGE_SIZE, N), -EINVAL);
    ck_assert_int_eq(os_protect(va + BYTES / 2, N, EXO_PROT_READ), -EINVAL);
    ck_assert_int_eq(os_protect(va, 1, EXO_PROT_READ), -EINVAL);
    ck_assert_int_eq(os_discard(va, 1), -EINVAL);
    ck_assert_int_eq(os_discard(va + BYTES + PAGE_SIZE, 1), -EINVAL);
    ck_assert_uint_eq(frames(), before);
    ck_assert_int_eq(os_unmap(va + 2 * BYTES + PAGE_SIZE, 7), 0); /* what is not bound has no parts */
    ck_assert_int_eq(os_protect(va, 2 * N, EXO_PROT_READ), 0);
    ck_assert_int_eq(at[0] + at[BYTES], 3);
    ck_assert_int_eq(os_protect(va, N, RW), 0);
    at[PAGE_SIZE] = 9;
    ck_assert_int_eq(os_discard(va, N), 0);
    ck_assert_uint_le(frames(), before - N);
    ck_assert_int_eq(at[PAGE_SIZE], 0); /* comes back zeroed, and large */
    ck_assert(arch_is_large(va));
    ck_assert_int_eq(os_unmap(va + BYTES, N), 0);
    ck_assert(!os_page_bound(va + BYTES) && os_page_bound(va));
    exo_check();
}
END_TEST

/* Where there is no run, there are pages; every frame may be the last. */
START_TEST(small_where_no_run_is)
{
    uint64_t va = large_region(N), before = frames();
    volatile uint8_t *at = (volatile uint8_t *)va;

    if (_i == 0)
        mock_frames_left(100);
    else
        mock_fail(EXO_CALL_page_alloc, (uint64_t)_i, _i == 1 ? EXO_ENOMEM : EXO_EBOUND);
    at[5 * PAGE_SIZE] = 5;
    ck_assert(!arch_is_large(va));
    ck_assert_uint_le(frames(), before + 5); /* and what was begun was given back */
    ck_assert(!os_page_bound(va) && os_page_bound(va + 5 * PAGE_SIZE));
    at[6 * PAGE_SIZE] = 6; /* and stays so */
    ck_assert(!arch_is_large(va));
    ck_assert_int_eq(os_unmap(va, N), 0);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("libOS on the kernel");
    TCase *tc = tcase_create("memory"), *large = tcase_create("large"), *stray = tcase_create("stray");

    tcase_add_checked_fixture(tc, setup, exo_check);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, calls_reach_the_kernel);
    tcase_add_test(tc, memory_is_there_when_touched);
    tcase_add_test(tc, shared_memory_is_one_memory);
    tcase_add_loop_test(tc, every_call_fails_once, 0, 6);
    tcase_add_test(tc, private_pages_are_copied_when_written);
    tcase_add_test(tc, private_pages_are_protected);
    tcase_add_test(tc, private_pages_need_memory);
    tcase_add_test(tc, memory_runs_out_at_every_frame);
    tcase_add_test(tc, heap_grows_and_shrinks);
    suite_add_tcase(s, tc);
    tcase_add_checked_fixture(large, setup_large, exo_check);
    tcase_add_test(large, large_when_touched);
    tcase_add_test(large, private_parts_of_large_pages);
    tcase_add_test(large, large_is_changed_whole);
    tcase_add_loop_test(large, small_where_no_run_is, 0, 4);
    suite_add_tcase(s, large);
    tcase_add_checked_fixture(stray, setup, NULL);
    tcase_add_exit_test(stray, stray_touch, 1); /* the sanitizer's word for SIGSEGV */
    tcase_add_exit_test(stray, write_to_read_only, 1);
    suite_add_tcase(s, stray);
    return s;
}

int main(void)
{
    return exo_suite_run(suite());
}
