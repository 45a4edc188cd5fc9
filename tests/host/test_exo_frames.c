/* Frames and accounts, against a slow allocator that cannot be wrong.  K8 K20 K21 K26 */
#include <stdlib.h>
#include <string.h>

#include "exo_machine.h"
#include "frame.h"

#define MACHINE_FRAMES 2048u

static struct account *account;

static void setup(void)
{
    exo_boot_ram((uint64_t)MACHINE_FRAMES << PAGE_SHIFT);
    account = &root.env->owner.account;
}

/* The tests here take frames behind the kernel's back, and give all of them back before the audit. */

static bool is_free(pfn_t pfn)
{
    return frame_is_ram(pfn) && frame_entry(pfn)->kind == EXO_FRAME_FREE;
}

/* The oracle: one flag a frame, all questions answered by looking at all of them. */
static bool oracle[MACHINE_FRAMES]; /* true: free */

static void oracle_start(void)
{
    for (unsigned i = 0; i < MACHINE_FRAMES; i++)
        oracle[i] = is_free(system_info->first_frame + i);
}

static uint64_t oracle_free(void)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < MACHINE_FRAMES; i++)
        n += oracle[i];
    return n;
}

static bool oracle_has_run(uint64_t n)
{
    uint64_t size = 1;

    while (size < n)
        size *= 2;
    for (uint64_t at = 0; at + size <= MACHINE_FRAMES; at++) {
        uint64_t i = 0;

        if ((system_info->first_frame + at) & (size - 1))
            continue;
        while (i < size && oracle[at + i])
            i++;
        if (i == size)
            return true;
    }
    return false;
}

struct held {
    pfn_t pfn;
    uint64_t n;
};
static struct held held[MACHINE_FRAMES];
static unsigned nheld;

static void hold(pfn_t pfn, uint64_t n)
{
    held[nheld++] = (struct held){pfn, n};
    for (uint64_t i = 0; i < n; i++) {
        uint64_t at = pfn + i - system_info->first_frame;

        ck_assert_uint_lt(at, MACHINE_FRAMES);
        ck_assert_msg(oracle[at], "frame %lu was handed out twice", (unsigned long)(pfn + i));
        oracle[at] = false;
        for (unsigned w = 0; w < PAGE_SIZE / 8; w += 64)
            ck_assert_uint_eq(((const uint64_t *)frame_address(pfn + (pfn_t)i))[w], 0);
        memset(frame_address(pfn + (pfn_t)i), 0xa5, PAGE_SIZE);
    }
}

/* Zeroed a frame at a time, by whoever binds it. */
static void hold_run(pfn_t pfn, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++)
        frame_zero(pfn + (pfn_t)i);
    hold(pfn, n);
}

static void let_go(unsigned which)
{
    for (uint64_t i = 0; i < held[which].n; i++) {
        frame_free(held[which].pfn + (pfn_t)i);
        oracle[held[which].pfn + i - system_info->first_frame] = true;
    }
    held[which] = held[--nheld];
}

static void one_any(void)
{
    pfn_t pfn;
    int rc = frame_alloc(account, EXO_FRAME_USER, NULL, &pfn);

    ck_assert_int_eq(rc, oracle_free() ? 0 : -EXO_ENOMEM);
    if (!rc)
        hold(pfn, 1);
}

static void one_by_number(struct dice *d)
{
    struct frame_want want = {.pfn = system_info->first_frame + dice_below(d, MACHINE_FRAMES)};
    pfn_t pfn;
    int rc = frame_alloc(account, EXO_FRAME_USER, &want, &pfn);

    ck_assert_int_eq(rc, oracle[want.pfn - system_info->first_frame] ? 0 : -EXO_EBUSY);
    if (!rc) {
        ck_assert_uint_eq(pfn, want.pfn);
        hold(pfn, 1);
    }
}

static void run_any(struct dice *d)
{
    const struct frame_want want = {.pfn = EXO_WANT_ANY};
    uint64_t n = 1 + dice_below(d, 1ull << dice_below(d, 9));
    pfn_t pfn;
    int rc = frame_alloc_run(account, n, &want, &pfn);

    ck_assert_int_eq(rc, oracle_has_run(n) ? 0 : -EXO_ENOMEM);
    if (!rc) {
        ck_assert(n == 1 || pfn % (1ull << (64 - __builtin_clzll(n - 1))) == 0);
        hold_run(pfn, n);
    }
}

static void run_below(struct dice *d)
{
    struct frame_want want = {.pfn = EXO_WANT_ANY,
                              .below = system_info->first_frame + dice_below(d, MACHINE_FRAMES)};
    uint64_t n = 1 + dice_below(d, 8);
    pfn_t pfn;
    int rc;

    if (dice_below(d, 2)) /* where a zone ends, the search is complete */
        want.below = 1ull << (FRAME_ZONE_SHIFT + 1);
    rc = frame_alloc_run(account, n, &want, &pfn);
    if (want.below == 1ull << (FRAME_ZONE_SHIFT + 1))
        ck_assert_int_eq(rc, oracle_has_run(n) ? 0 : -EXO_ENOMEM);
    if (!rc) {
        ck_assert_uint_le(pfn + n, want.below);
        hold_run(pfn, n);
    } else {
        ck_assert_int_eq(rc, -EXO_ENOMEM); /* it may give up early, but says so */
    }
}

START_TEST(against_oracle)
{
    struct dice d = {(uint64_t)_i * 7919 + 1};

    account->limit += MACHINE_FRAMES; /* memory runs out before the account does */
    world_enter();
    oracle_start();
    for (unsigned step = 0; step < 6000; step++) {
        uint64_t what = dice_below(&d, 16);

        if (what < 4)
            one_any();
        else if (what < 6)
            one_by_number(&d);
        else if (what < 8)
            run_any(&d);
        else if (what < 9)
            run_below(&d);
        else if (nheld && (what < 14 || (step / 500) % 2))
            let_go((unsigned)dice_below(&d, nheld));
        ck_assert_uint_eq(exo_free_frames(), oracle_free());
    }
    while (nheld)
        let_go(nheld - 1);
    world_leave();
    local_leave();
    account->limit -= MACHINE_FRAMES;
}
END_TEST

START_TEST(until_nothing_is_left)
{
    uint64_t before = exo_free_frames(), got = 0;
    struct actor a = actor_make(before / 2);
    uint64_t left = exo_free_frames();
    int64_t rc;

    while ((rc = CALL(page_alloc, EXO_SELF_SPACE, 0x10000000 + got * PAGE_SIZE, 1, EXO_WANT_ANY, RW)) == 1)
        got++;
    ck_assert_int_eq(rc, -EXO_EQUOTA); /* what the child's account reserves is not ours */
    ck_assert_uint_gt(exo_free_frames(), 0);
    ck_assert_uint_ge(got + 16, left - before / 2);
    exo_unmap(EXO_SELF_SPACE, 0x10000000, got);
    ck_assert_uint_eq(exo_free_frames(), left);
    actor_destroy(&a);
    CALL_OK(page_alloc, EXO_SELF_SPACE, 0x10000000, 64, EXO_WANT_ANY, RW);
}
END_TEST

START_TEST(wanted_frames)
{
    uint64_t last = system_info->first_frame + system_info->nframes - 1;

    CALL_FAILS(EXO_EINVAL, page_alloc, EXO_SELF_SPACE, 0x200000, 1, system_info->first_frame - 1, RW);
    CALL_FAILS(EXO_EINVAL, page_alloc, EXO_SELF_SPACE, 0x200000, 1, last + 1, RW);
    CALL_FAILS(EXO_EINVAL, page_alloc, EXO_SELF_SPACE, 0x200000, 2, last, RW); /* the second does not exist */
    CALL_FAILS(EXO_EINVAL, page_alloc, EXO_SELF_SPACE, 0x200000, 1, 1ull << 32, RW);
    CALL_FAILS(EXO_EBUSY, page_alloc, EXO_SELF_SPACE, 0x200000, 1, system_info->first_frame,
               RW); /* the kernel's */
    ck_assert_int_eq(CALL(page_alloc, EXO_SELF_SPACE, 0x200000, 1, last, RW), 1);
    ck_assert_uint_eq(frame_entry((pfn_t)last)->kind, EXO_FRAME_USER);
    CALL_FAILS(EXO_EBUSY, page_alloc, EXO_SELF_SPACE, 0x300000, 1, last, RW);
    CALL_FAILS(EXO_EBUSY, page_alloc, EXO_SELF_SPACE, 0x300000, 2, last - 1, RW); /* all or nothing */
    ck_assert_uint_eq(frame_entry((pfn_t)last - 1)->kind, EXO_FRAME_FREE);
}
END_TEST

START_TEST(contiguous)
{
    static const uint64_t sizes[] = {1, 2, 3, 16, 17, 100, 512};

    for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
        uint64_t va = 0x40000000 + i * 0x1000000ull, n = sizes[i], size = 1;
        struct binding first, b;

        while (size < n)
            size *= 2;
        ck_assert_int_eq(exo_alloc_run(EXO_SELF_SPACE, va, n, EXO_WANT_ANY, RW), (int64_t)n);
        ck_assert(space_lookup(root.env->home, va, &first));
        ck_assert_uint_eq(first.pfn % size, 0);
        for (uint64_t p = 0; p < n; p++) {
            ck_assert(space_lookup(root.env->home, va + p * PAGE_SIZE, &b));
            ck_assert_uint_eq(b.pfn, first.pfn + p);
        }
        ck_assert(!space_lookup(root.env->home, va + n * PAGE_SIZE, &b));
    }
    CALL_OK(page_alloc, EXO_SELF_SPACE, 0x80000000, 64, system_info->first_frame + 1024, RW); /* in the way */
    CALL_FAILS(EXO_ENOMEM, page_alloc, EXO_SELF_SPACE, 0x20000000, 1024, EXO_WANT_ANY, RW | EXO_ALLOC_CONTIG);
    CALL_FAILS(EXO_ERANGE, page_alloc, EXO_SELF_SPACE, 0x20000000, 1025, EXO_WANT_ANY, RW | EXO_ALLOC_CONTIG);
    CALL_FAILS(EXO_ERANGE, page_alloc, EXO_SELF_SPACE, 0x20000000, 0, EXO_WANT_ANY, RW | EXO_ALLOC_CONTIG);
    CALL_FAILS(EXO_ENOMEM, page_alloc, EXO_SELF_SPACE, 0x20000000, 1, EXO_WANT_ANY,
               RW | 30 << EXO_ALLOC_LIMIT_SHIFT);
    ck_assert_int_eq(
        CALL(page_alloc, EXO_SELF_SPACE, 0x20000000, 1, EXO_WANT_ANY, RW | 31 << EXO_ALLOC_LIMIT_SHIFT), 1);
    CALL_FAILS(EXO_EINVAL, page_alloc, EXO_SELF_SPACE, 0x20001000, 1, EXO_WANT_ANY,
               RW | 12 << EXO_ALLOC_LIMIT_SHIFT);
    CALL_FAILS(EXO_EINVAL, page_alloc, EXO_SELF_SPACE, 0x20001000, 1, EXO_WANT_ANY,
               RW | 49 << EXO_ALLOC_LIMIT_SHIFT);
}
END_TEST

/* K21: a frame whose count is nearly full refuses another binding and is otherwise as usable as before. */
START_TEST(full_reference_count)
{
    struct binding b;

    CALL_OK(page_alloc, EXO_SELF_SPACE, 0x200000, 2, EXO_WANT_ANY, RW);
    ck_assert(space_lookup(root.env->home, 0x200000, &b));
    frame_entry(b.pfn)->refs += UINT32_MAX - 1;
    CALL_FAILS(EXO_EFULL, page_map, EXO_SELF_SPACE, 0x300000, EXO_SELF_SPACE, 0x200000, 1, RW);
    CALL_FAILS(EXO_EFULL, vcpu_create, EXO_SELF_ENV, 0, EXO_SELF_SPACE, 0x200000);
    /* Protection needs no reference, and the check of the rest is not cut short. */
    CALL_FAILS(EXO_EUNBOUND, page_protect, EXO_SELF_SPACE, 0x200000, 3, EXO_PROT_READ);
    ck_assert_int_eq(CALL(page_protect, EXO_SELF_SPACE, 0x200000, 2, EXO_PROT_READ), 2);
    CALL_OK(page_map, EXO_SELF_SPACE, 0x210000, EXO_SELF_SPACE, 0x201000, 1, EXO_PROT_READ);
    frame_entry(b.pfn)->refs -= UINT32_MAX - 1;
}
END_TEST

/* A device that always has something to say. */
static void irq_again(void)
{
    CALL(irq_ack, EXO_FIRST_IRQ, 40);
    root.vcpu->page->events = 0;
    machine.irq_raised |= 1ull << 40;
}

/* K8 K14: a call that an interrupt cuts short says how far it came; the rest of the run stays the space's until another
 * call goes on with it, or it is let go of, in one of four ways. */
START_TEST(contiguous_in_pieces)
{
    const uint64_t va = 0x40000000, n = 100, contig = RW | EXO_ALLOC_CONTIG, more = contig | EXO_ALLOC_MORE;
    uint64_t space = (uint64_t)CALL_OK(space_create, 0), frames = exo_free_frames(), done = 0;
    struct binding first, b;

    CALL_OK(irq_bind, EXO_FIRST_IRQ, 40, EXO_FIRST_VCPU, 0);
    CALL_FAILS(EXO_EINVAL, page_alloc, space, va, n, EXO_WANT_ANY, RW | EXO_ALLOC_MORE);
    CALL_FAILS(EXO_ESTATE, page_alloc, space, va, n, EXO_WANT_ANY, more);
    while (done < (_i ? 20 : n)) {
        irq_again();
        done += (uint64_t)CALL_OK(page_alloc, space, va + done * PAGE_SIZE, n - done, EXO_WANT_ANY,
                                  done ? more : contig);
        ck_assert_uint_lt(done, n + 1);
        exo_check();
    }
    ck_assert_uint_gt(exo_free_frames(), frames - n - 10);
    ck_assert_uint_lt(exo_free_frames(), frames - n); /* all of it is paid for */
    ck_assert(space_lookup(frame_address(cap_at(root.env, space)->object), va, &first));
    for (uint64_t i = 0; i < done; i++) {
        ck_assert(space_lookup(frame_address(cap_at(root.env, space)->object), va + i * PAGE_SIZE, &b));
        ck_assert_uint_eq(b.pfn, first.pfn + i);
    }
    if (_i) {
        CALL_FAILS(EXO_ESTATE, page_alloc, space, va, n - done, EXO_WANT_ANY, more);
        CALL_FAILS(EXO_ESTATE, page_alloc, space, va + done * PAGE_SIZE, n - done - 1, EXO_WANT_ANY, more);
        CALL_FAILS(EXO_EBUSY, page_alloc, EXO_SELF_SPACE, va, 1, first.pfn + done, RW);
    }
    if (_i == 1) { /* by saying so */
        ck_assert_int_eq(CALL(page_alloc, space, va, 0, EXO_WANT_ANY, more), 0);
    } else if (_i == 2) { /* by another run */
        ck_assert_int_eq(CALL(page_alloc, space, 2 * va, 3, EXO_WANT_ANY, contig), 3);
        CALL_OK(page_unmap, space, 2 * va, 3);
    } else if (_i == 3) { /* as something is in the way */
        CALL_OK(page_alloc, space, va + (done + 1) * PAGE_SIZE, 1, EXO_WANT_ANY, RW);
        CALL_FAILS(EXO_EBOUND, page_alloc, space, va + done * PAGE_SIZE, n - done, EXO_WANT_ANY, more);
        CALL_OK(page_unmap, space, va + (done + 1) * PAGE_SIZE, 1);
    }
    exo_check();
    if (_i != 4) { /* or with its space */
        CALL_FAILS(EXO_ESTATE, page_alloc, space, va + done * PAGE_SIZE, n - done, EXO_WANT_ANY, more);
        exo_unmap(space, va, done);
        ck_assert_uint_eq(exo_free_frames(), frames);
    }
    while (CALL_OK(space_destroy, space))
        exo_check();
    ck_assert_uint_eq(exo_free_frames(), frames + 2);
}
END_TEST

/* Ordinary pages: the same, and nothing waits for the next call. */
START_TEST(cut_short)
{
    uint64_t frames = exo_free_frames(), done = 0;

    CALL_OK(irq_bind, EXO_FIRST_IRQ, 40, EXO_FIRST_VCPU, 0);
    for (unsigned calls = 0; done < 20; calls++) {
        irq_again();
        done += (uint64_t)CALL_OK(page_alloc, EXO_SELF_SPACE, 0x40000000 + done * PAGE_SIZE, 20 - done,
                                  EXO_WANT_ANY, RW);
        ck_assert_uint_eq(done, calls + 1);
        exo_check();
    }
    CALL_OK(page_unmap, EXO_SELF_SPACE, 0x40000000, 8);
    irq_again();
    CALL_OK(page_unmap, EXO_SELF_SPACE, 0x40000000 + 8 * PAGE_SIZE, 12);
    CALL_OK(page_unmap, EXO_SELF_SPACE, 0x40000000 + 8 * PAGE_SIZE, 12);
    CALL_OK(page_unmap, EXO_SELF_SPACE, 0x40000000 + 16 * PAGE_SIZE, 4);
    ck_assert_uint_eq(exo_free_frames(), frames);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("frames");
    TCase *tc = tcase_create("frames");

    tcase_add_checked_fixture(tc, setup, exo_check);
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, against_oracle, 0, 6);
    tcase_add_test(tc, until_nothing_is_left);
    tcase_add_test(tc, wanted_frames);
    tcase_add_test(tc, contiguous);
    tcase_add_loop_test(tc, contiguous_in_pieces, 0, 5);
    tcase_add_test(tc, cut_short);
    tcase_add_test(tc, full_reference_count);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    return exo_suite_run(suite());
}
