/* Frames and accounts, against a slow allocator that cannot be wrong.  K8 K20 K21 K26 */
#include <stdlib.h>
#include <string.h>

#include "audit.h"
#include "block.h"
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
    return frame_is_ram(pfn) && frame_kind(pfn) == EXO_FRAME_FREE;
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
    const uint64_t below_1g = 30u << EXO_ALLOC_LIMIT_SHIFT, below_2g = 31u << EXO_ALLOC_LIMIT_SHIFT;
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
    /* By number and below a limit: both hold. */
    CALL_FAILS(EXO_EINVAL, page_alloc, EXO_SELF_SPACE, 0x300000, 1, last - 1, RW | below_1g);
    ck_assert_int_eq(CALL(page_alloc, EXO_SELF_SPACE, 0x300000, 1, last - 1, RW | below_2g), 1);
    CALL_OK(page_unmap, EXO_SELF_SPACE, 0x300000, 1);
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

/* ---- what nobody has needed yet has no entries -------------------------------------------------------------------------- */

#define LARGE_MIB 256u

static void setup_large(void)
{
    exo_boot_ram((uint64_t)LARGE_MIB << 20);
    account = &root.env->owner.account;
}

static pfn_t frames_end(void)
{
    return system_info->first_frame + system_info->nframes;
}

/* The first frame of the nth leaf that was never written and is free. */
static pfn_t unwritten(unsigned n)
{
    for (pfn_t pfn = system_info->first_frame; pfn < frames_end(); pfn += FRAME_LEAF)
        if (frame_leaf(pfn) == EXO_FRAME_FREE && n-- == 0)
            return pfn;
    ck_abort_msg("all leaves are written");
}

static unsigned leaves_written(void)
{
    unsigned n = 0;

    for (pfn_t pfn = system_info->first_frame; pfn < frames_end(); pfn += FRAME_LEAF)
        n += frame_leaf(pfn) == FRAME_WRITTEN;
    return n;
}

static void counts_agree(void)
{
    uint64_t of[EXO_NFRAME_KINDS] = {0};

    for (pfn_t pfn = system_info->first_frame; pfn < frames_end(); pfn++)
        of[frame_kind(pfn)]++;
    for (unsigned kind = 0; kind < EXO_NFRAME_KINDS; kind++)
        ck_assert_uint_eq(of[kind], exo_frames(system_info, kind));
}

/* K8 */
START_TEST(boot_writes_little)
{
    pfn_t table = paddr_to_pfn(virt_to_phys(frame_ram.table));
    uint32_t pages = system_info->nframes / FRAME_LEAF;

    ck_assert_uint_lt(leaves_written(), 40);
    for (pfn_t pfn = table; pfn < table + pages; pfn++) {
        ck_assert_uint_eq(frame_kind(pfn), EXO_FRAME_INFO);
        ck_assert_uint_eq(frame_look(pfn)->kind, EXO_FRAME_INFO);
    }
    ck_assert_uint_eq(frame_look(unwritten(1))->account, 0);
    counts_agree();
}
END_TEST

/* K8 */
START_TEST(unwritten_by_number)
{
    uint64_t before = exo_free_frames();
    unsigned written = leaves_written();
    pfn_t pfn = unwritten(37) + 5;

    CALL_OK(page_alloc, EXO_SELF_SPACE, 0x200000, 1, pfn, RW);
    for (unsigned at = 0; at < PAGE_SIZE; at += 8)
        ck_assert_uint_eq(*(const uint64_t *)machine_touch(0x200000 + at, EXO_PROT_READ), 0);
    ck_assert_uint_eq(frame_entry(pfn)->kind, EXO_FRAME_USER);
    ck_assert_uint_eq(frame_entry(pfn)->refs, 1);
    ck_assert_uint_eq(frame_entry(pfn)->serial, 0);
    for (pfn_t other = pfn - 5; other < pfn - 5 + FRAME_LEAF; other++)
        ck_assert_uint_eq(frame_entry(other)->kind, other == pfn ? EXO_FRAME_USER : EXO_FRAME_FREE);
    ck_assert_uint_le(leaves_written() - written, FRAME_ORDERS);
    counts_agree();
    exo_check();
    CALL_FAILS(EXO_EBUSY, page_alloc, EXO_SELF_SPACE, 0x300000, 1, pfn, RW);
    CALL_OK(page_alloc, EXO_SELF_SPACE, 0x201000, 64, unwritten(11) + 100,
            RW); /* from one leaf into the next */
    exo_check();
    exo_unmap(EXO_SELF_SPACE, 0x200000, 65);
    ck_assert_uint_eq(exo_free_frames(), before);
}
END_TEST

/* Where two zones meet, and below it. */
START_TEST(unwritten_below_a_limit)
{
    const struct frame_want want = {.pfn = EXO_WANT_ANY, .below = unwritten(3) + FRAME_LEAF};
    pfn_t pfns[3];

    world_enter();
    for (unsigned i = 0; i < 3; i++) {
        ck_assert_int_eq(frame_alloc(account, EXO_FRAME_USER, &want, &pfns[i]), 0);
        ck_assert_uint_lt(pfns[i], want.below);
        ck_assert_uint_eq(frame_entry(pfns[i])->kind, EXO_FRAME_USER);
    }
    counts_agree();
    for (unsigned i = 0; i < 3; i++)
        frame_free(pfns[i]);
    world_leave();
    local_leave();
}
END_TEST

/* K8 K14: runs and large pages of frames that have no entries yet, and the rest of a run. */
START_TEST(unwritten_runs)
{
    static const uint64_t sizes[] = {1024, 1, 600, 512, 129, 128, 127};
    const struct frame_want any = {.pfn = EXO_WANT_ANY}, here = {.pfn = (unwritten(200) + 511) & ~511u};
    pfn_t pfns[ARRAY_LEN(sizes)], large[2];
    uint64_t before;

    world_enter();
    before = exo_free_frames();
    ck_assert_int_eq(frame_alloc_large(account, &here, &large[0]), 0);
    ck_assert_uint_eq(large[0], here.pfn);
    ck_assert_int_eq(frame_alloc_large(account, &any, &large[1]), 0);
    for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
        ck_assert_int_eq(frame_alloc_run(account, sizes[i], &any, &pfns[i]), 0);
        for (pfn_t pfn = pfns[i]; pfn < pfns[i] + sizes[i]; pfn++) {
            const struct exo_frame *f = frame_entry(pfn);

            ck_assert(f->kind == EXO_FRAME_USER && f->account == env_frame(root.env) && !f->refs &&
                      !f->epoch);
        }
        counts_agree();
    }
    for (unsigned i = 0; i < EXO_LARGE_PAGES; i++)
        ck_assert_uint_eq(frame_entry(large[0] + i)->entries, i ? EXO_LARGE_PART : EXO_LARGE_HEAD);
    for (unsigned i = 0; i < ARRAY_LEN(sizes); i++)
        frame_run_free(pfns[i], sizes[i]);
    frame_run_free(large[0], EXO_LARGE_PAGES);
    frame_run_free(large[1], EXO_LARGE_PAGES);
    ck_assert_uint_eq(exo_free_frames(), before);
    world_leave();
    local_leave();
}
END_TEST

/* K8: whatever order it is taken in, there is no frame more or less than the count says. */
START_TEST(all_that_there_is)
{
    static pfn_t runs[LARGE_MIB], singles[LARGE_MIB << 8];
    const struct frame_want any = {.pfn = EXO_WANT_ANY};
    unsigned nruns = 0, nsingles = 0;
    uint64_t before;

    account->limit += system_info->nframes;
    world_enter();
    before = exo_free_frames();
    for (unsigned i = 0; i < 100; i++)
        ck_assert_int_eq(frame_alloc_run(account, 1, &any, &singles[nsingles++]), 0);
    while (!frame_alloc_run(account, 512, &any, &runs[nruns]))
        nruns++;
    while (!frame_alloc_run(account, 1, &any, &singles[nsingles]))
        nsingles++;
    ck_assert_uint_eq(exo_free_frames(), 0);
    ck_assert_uint_eq(nruns * 512 + nsingles, before);
    counts_agree();
    for (unsigned i = 0; i < nsingles; i++)
        frame_run_free(singles[i], 1);
    while (nruns)
        frame_run_free(runs[--nruns], 512);
    ck_assert_uint_eq(exo_free_frames(), before);
    world_leave();
    local_leave();
    account->limit -= system_info->nframes;
}
END_TEST

/* Programs see nothing that was in memory before.  K5 */
START_TEST(shown_leaves)
{
    pfn_t pfn = unwritten(9);
    const struct exo_frame *seen;

    CALL_OK(info_map, EXO_FIRST_INFO, EXO_INFO_FRAMES, (pfn - system_info->first_frame) / FRAME_LEAF,
            EXO_SELF_SPACE, 0x200000);
    ck_assert_uint_eq(frame_leaf(pfn), FRAME_WRITTEN);
    seen = machine_touch(0x200000, EXO_PROT_READ);
    for (unsigned i = 0; i < FRAME_LEAF; i++)
        ck_assert(seen[i].kind == EXO_FRAME_FREE && !seen[i].order1 && !seen[i].account && !seen[i].serial);
    CALL_OK(info_map, EXO_FIRST_INFO, EXO_INFO_FRAMES,
            (paddr_to_pfn(virt_to_phys(frame_ram.table)) - system_info->first_frame) / FRAME_LEAF + 1,
            EXO_SELF_SPACE, 0x201000);
    seen = machine_touch(0x201000, EXO_PROT_READ);
    for (unsigned i = 0; i < FRAME_LEAF; i++)
        ck_assert_uint_eq(seen[i].kind, EXO_FRAME_INFO);
    CALL_FAILS(EXO_ERANGE, info_map, EXO_FIRST_INFO, EXO_INFO_FRAMES, system_info->nframes / FRAME_LEAF,
               EXO_SELF_SPACE, 0x202000);
}
END_TEST

/* What lies in memory where an entry will be may look like anything: a token that names it names nobody.  K21 I1 */
START_TEST(unwritten_entries_are_not_believed)
{
    pfn_t pfn = unwritten(20) + 3;
    struct exo_frame *garbage = &frame_ram.table[pfn - system_info->first_frame];
    struct vcpu *forged = frame_address(pfn);

    *garbage = *frame_entry(vcpu_frame(root.vcpu));
    ck_assert_uint_eq(garbage->kind, EXO_FRAME_VCPU);
    *forged = *root.vcpu;
    forged->state = VCPU_CALLING;
    forged->peer = root.vcpu;
    forged->call_serial = 1;
    CALL_FAILS(EXO_ETOKEN, reply_wait, 1ull << 32 | pfn, 0, 0, 0, 0, 0, 0, machine.time + 1000);
    ck_assert_uint_eq(frame_kind(pfn), EXO_FRAME_FREE);
}
END_TEST

/* A walk over all frames goes past what nobody has. */
START_TEST(reclaimed_without_entries)
{
    struct actor a = actor_make(100);
    uint64_t deadline = machine.time + 1000000000;
    unsigned written, calls = 0;
    int64_t rc;

    CALL_OK(page_alloc, EXO_SELF_SPACE, 0x10000000, 1, EXO_WANT_ANY, RW);
    CALL_OK(page_map, a.space_cap, 0x10000000, EXO_SELF_SPACE, 0x10000000, 1, RW);
    written = leaves_written();
    while ((rc = CALL(page_reclaim, EXO_SELF_SPACE, 0x10000000, 1, deadline)) != EXO_RECLAIM_DONE) {
        ck_assert_int_ge(rc, 0);
        ck_assert_uint_lt(calls++, system_info->nframes / FRAME_LEAF); /* a few walks */
        if (rc == EXO_RECLAIM_ASKED)
            exo_later(deadline);
    }
    ck_assert_uint_eq(leaves_written(), written);
    actor_destroy(&a);
}
END_TEST

static void violation(const char *part)
{
    struct audit_note *notes = calloc(system_info->nframes, sizeof(*notes));
    const char *said = exo_audit(notes);

    ck_assert_msg(said && strstr(said, part), "the audit says: %s", said);
    free(notes);
}

static void leaf_forget(pfn_t pfn)
{
    frame_ram.leaves[(pfn - system_info->first_frame) / FRAME_LEAF] = EXO_FRAME_FREE;
}

/* The audit tells when an entry is missing that must be there. */
START_TEST(audit_of_leaves)
{
    const struct frame_want want = {.pfn = unwritten(30)};
    struct binding b;
    pfn_t pfn;

    switch (_i) {
    case 0: /* a free block's buddy's: all of it is in use */
        world_enter();
        ck_assert_int_eq(frame_alloc_run(account, FRAME_LEAF, &want, &pfn), 0);
        leaf_forget(pfn);
        violation("has a buddy without an entry");
        break;
    case 1: /* that of a frame in use */
        CALL_OK(page_alloc, EXO_SELF_SPACE, 0x10000000, 1, EXO_WANT_ANY, RW);
        ck_assert(space_lookup(root.env->home, 0x10000000, &b));
        leaf_forget(b.pfn);
        violation("");
        break;
    default: /* that of nobody's frames, as if they were the kernel's */
        frame_ram.leaves[(unwritten(5) - system_info->first_frame) / FRAME_LEAF] = EXO_FRAME_KERNEL;
        violation("is in a free block and not free");
        break;
    }
    machine.end = MACHINE_STOPPED;
}
END_TEST

/* ---- memory that begins in the midst of a block ---------------------------------------------------------------- */

#define BEFORE (2ull << 20)

static void setup_midst(void)
{
    struct exo_tree tree = {.memory = {{RAM_BASE - BEFORE, BEFORE + (4 << 20)}}, .nmemory = 1};

    exo_image_make(&exo_image, 4 << 20);
    exo_image.ram[0] = tree.memory[0];
    tree.initrd = (struct exo_range){exo_image.bundle_base, exo_image.bundle_len};
    exo_tree_make(&exo_image, &tree);
    exo_boot_image();
    account = &root.env->owner.account;
}

/* By number, a frame there is found where it is free, and refused where it is not.  K8 */
START_TEST(wanted_near_the_beginning)
{
    const pfn_t first = (RAM_BASE - BEFORE) >> PAGE_SHIFT, last = first + (BEFORE >> PAGE_SHIFT) - 1;

    ck_assert_uint_eq(system_info->first_frame, first);
    for (pfn_t pfn = last - 3; pfn <= last; pfn++) {
        ck_assert(is_free(pfn));
        CALL_OK(page_alloc, EXO_SELF_SPACE, 0x200000, 1, pfn, RW);
        ck_assert(!is_free(pfn));
        CALL_FAILS(EXO_EBUSY, page_alloc, EXO_SELF_SPACE, 0x300000, 1, pfn, RW);
        CALL_FAILS(EXO_EINVAL, page_alloc, EXO_SELF_SPACE, 0x300000, 1, first - 1, RW);
        exo_check();
        CALL_OK(page_unmap, EXO_SELF_SPACE, 0x200000, 1);
    }
}
END_TEST

/* Pages of the image are given back: those that are the kernel's, once, and what others have beside them is not.  K9 */
START_TEST(kernel_gives_back)
{
    const pfn_t first = (RAM_BASE >> PAGE_SHIFT) + 1;
    const uint64_t n = (IMAGE_LEN >> PAGE_SHIFT) - 1, before = exo_free_frames();

    ck_assert_uint_eq(frames_count(first, n, EXO_FRAME_KERNEL), n);
    ck_assert_uint_eq(frames_count(0, 1, EXO_FRAME_KERNEL), 0); /* no memory */
    frames_give(first + 3, 2);
    ck_assert_uint_eq(exo_free_frames(), before + 2);
    frames_give(first - 1, 0);
    frames_give(first, n);
    frames_give(first, n);
    frames_give(0, 1);
    frames_give(root.vcpu->page_pfn, 1);
    ck_assert_uint_eq(exo_free_frames(), before + n);
    ck_assert_uint_eq(frames_count(first, n, EXO_FRAME_KERNEL), 0);
    ck_assert_uint_eq(frames_count(first - 1, n + 1, EXO_FRAME_FREE), n);
    for (pfn_t pfn = first; pfn - first < n; pfn++) /* and others can have them */
        CALL_OK(page_alloc, EXO_SELF_SPACE, 0x200000 + (uint64_t)(pfn - first) * PAGE_SIZE, 1, pfn, RW);
    exo_unmap(EXO_SELF_SPACE, 0x200000, n);
}
END_TEST

static void setup_gigabytes(void)
{
    exo_boot_ram(3ull << 30);
    account = &root.env->owner.account;
}

static void take_and_give(void *pfn)
{
    const struct frame_want want = {.pfn = *(pfn_t *)pfn};
    pfn_t got;

    local_enter();
    ck_assert_int_eq(frame_alloc_run(account, 1, &want, &got), 0);
    ck_assert_uint_eq(frame_entry(want.pfn - 5)->order1, 1 + 2); /* what is left before it */
    frame_run_free(got, 1);
    local_leave();
}

/* The largest block is split, and whole again.  K8 */
START_TEST(largest_block)
{
    const pfn_t block = 0x80000000ull >> PAGE_SHIFT;
    pfn_t pfn = block + 5;

    ck_assert_uint_eq(frame_entry(block)->order1, FRAME_ORDERS);
    ck_assert_int_eq(machine_try(take_and_give, &pfn), MACHINE_RUNS);
    ck_assert_uint_eq(frame_entry(block)->order1, FRAME_ORDERS);
}
END_TEST

/* Frames of one kind, a whole leaf of them, need no entries. */
START_TEST(leaves_of_one_kind)
{
    unsigned n = 0;

    for (pfn_t pfn = system_info->first_frame; pfn < frames_end(); pfn += FRAME_LEAF)
        n += frame_leaf(pfn) == EXO_FRAME_INFO;
    ck_assert_uint_gt(n, 0);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("frames");
    TCase *tc = tcase_create("frames");

    tcase_add_checked_fixture(tc, setup, exo_check);
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, against_oracle, 0, 6);
    tcase_add_test(tc, kernel_gives_back);
    tcase_add_test(tc, until_nothing_is_left);
    tcase_add_test(tc, wanted_frames);
    tcase_add_test(tc, contiguous);
    tcase_add_loop_test(tc, contiguous_in_pieces, 0, 5);
    tcase_add_test(tc, cut_short);
    tcase_add_test(tc, full_reference_count);
    suite_add_tcase(s, tc);

    tc = tcase_create("leaves");
    tcase_add_checked_fixture(tc, setup_large, exo_check);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, boot_writes_little);
    tcase_add_test(tc, unwritten_by_number);
    tcase_add_test(tc, unwritten_below_a_limit);
    tcase_add_test(tc, unwritten_runs);
    tcase_add_test(tc, all_that_there_is);
    tcase_add_test(tc, shown_leaves);
    tcase_add_test(tc, unwritten_entries_are_not_believed);
    tcase_add_test(tc, reclaimed_without_entries);
    tcase_add_loop_test(tc, audit_of_leaves, 0, 3);
    suite_add_tcase(s, tc);

    tc = tcase_create("midst");
    tcase_add_checked_fixture(tc, setup_midst, exo_check);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, wanted_near_the_beginning);
    suite_add_tcase(s, tc);

    tc = tcase_create("gigabytes");
    tcase_add_checked_fixture(tc, setup_gigabytes, exo_check);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, largest_block);
    tcase_add_test(tc, leaves_of_one_kind);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    return exo_suite_run(suite());
}
