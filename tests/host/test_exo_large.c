/* Large pages: one entry for 512 frames, made in pieces, changed whole, with parts that may be bound on their own.
 * K3 K5 K8 K13 K14 K15 K20 K22 */
#include <string.h>

#include "audit.h"
#include "exo_machine.h"

#define VA 0x12340000000ull
#define N EXO_LARGE_PAGES
#define BYTES EXO_LARGE_BYTES
#define LARGE (RW | EXO_ALLOC_LARGE)
#define MORE (LARGE | EXO_ALLOC_MORE)

static struct space *space_at(uint64_t handle)
{
    return frame_address(cap_at(machine.cpu->current->env, handle)->object);
}

static bool lookup(uint64_t handle, uint64_t va, struct binding *b)
{
    return space_lookup(space_at(handle), va, b);
}

/* All of one; at most that many calls. */
static int64_t large(uint64_t space, uint64_t va, uint64_t want, uint64_t flags)
{
    uint64_t done = 0;

    for (unsigned calls = 0; done < N; calls++) {
        int64_t rc = CALL(page_alloc, space, va + done * PAGE_SIZE, N - done, want,
                          flags | (done ? EXO_ALLOC_MORE : 0));

        if (rc < 0)
            return rc;
        ck_assert_int_gt(rc, 0);
        ck_assert_int_le(rc, EXO_RANGE_MAX);
        ck_assert_uint_lt(calls, 600);
        done += (uint64_t)rc;
    }
    ck_assert_uint_eq(done, N);
    return 0;
}

#define LARGE_OK(space, va) ck_assert_int_eq(large(space, va, EXO_WANT_ANY, LARGE), 0)

/* All of n, as many calls as it takes. */
static void pages(uint64_t space, uint64_t va, uint64_t n)
{
    for (uint64_t done = 0; done < n;)
        done += (uint64_t)CALL_OK(page_alloc, space, va + done * PAGE_SIZE, n - done, EXO_WANT_ANY, RW);
}

static void unmap(uint64_t space, uint64_t va, uint64_t n)
{
    for (uint64_t done = 0; done < n;)
        done += (uint64_t)CALL_OK(page_unmap, space, va + done * PAGE_SIZE, n - done, 0);
}

static uint64_t entries_of(pfn_t pfn)
{
    return frame_entry(pfn)->entries;
}

static void setup(void)
{
    exo_boot_ram(16 << 20);
}

static void setup_iommu(void)
{
    machine.iommu = true;
    setup();
}

/* ---- making --------------------------------------------------------------------------------------------------- */

START_TEST(is_one_aligned_run)
{
    uint64_t before = exo_free_frames(), bound = root.env->home->nbound;
    struct binding b, head;
    uint8_t *first;

    LARGE_OK(EXO_SELF_SPACE, VA);
    ck_assert_uint_eq(root.env->home->nbound, bound + 1);
    ck_assert_uint_ge(before - exo_free_frames(), N);
    ck_assert_uint_le(before - exo_free_frames(), N + 2); /* and no leaf table */
    ck_assert(lookup(EXO_SELF_SPACE, VA, &head));
    ck_assert_uint_eq(head.pfn % N, 0);
    ck_assert_uint_eq(entries_of(head.pfn), EXO_LARGE_HEAD);
    ck_assert_uint_eq(frame_entry(head.pfn)->refs, 1);
    for (uint64_t i = 0; i < N; i++) {
        ck_assert(lookup(EXO_SELF_SPACE, VA + i * PAGE_SIZE, &b));
        ck_assert_uint_eq(b.pfn, head.pfn + i);
        ck_assert_uint_eq(b.prot, RW);
        ck_assert_uint_eq(b.max, EXO_PROT_ALL);
    }
    ck_assert(!lookup(EXO_SELF_SPACE, VA + BYTES, &b) && !lookup(EXO_SELF_SPACE, VA - PAGE_SIZE, &b));
    first = machine_touch(VA, EXO_PROT_WRITE);
    ck_assert_ptr_nonnull(first);
    for (uint64_t i = 0; i < N; i += 37) {
        uint64_t *at = machine_touch(VA + i * PAGE_SIZE, EXO_PROT_WRITE);

        ck_assert_ptr_eq(at, first + i * PAGE_SIZE);
        for (unsigned w = 0; w < PAGE_SIZE / 8; w++)
            ck_assert_uint_eq(at[w], 0);
    }
    ck_assert_int_eq(CALL(page_unmap, EXO_SELF_SPACE, VA, N), N);
    ck_assert_uint_eq(entries_of(head.pfn) | entries_of(head.pfn + 1), 0);
    ck_assert_uint_eq(exo_free_frames(), before);
    exo_check();
    ck_assert_ptr_null(machine_touch(VA + 5 * PAGE_SIZE, EXO_PROT_READ));
    ck_assert_uint_eq(root.vcpu->page->detail, EXO_PROT_READ);
    upcall_done();
}
END_TEST

/* What was there before is gone: the frames held other data. */
START_TEST(comes_zeroed)
{
    struct binding b, again;

    LARGE_OK(EXO_SELF_SPACE, VA);
    ck_assert(lookup(EXO_SELF_SPACE, VA, &b));
    memset(frame_address(b.pfn), 0xaa, BYTES);
    CALL_OK(page_unmap, EXO_SELF_SPACE, VA, N);
    ck_assert_int_eq(large(EXO_SELF_SPACE, VA + 4 * BYTES, b.pfn, LARGE), 0);
    ck_assert(lookup(EXO_SELF_SPACE, VA + 4 * BYTES, &again));
    ck_assert_uint_eq(again.pfn, b.pfn);
    for (uint64_t i = 0; i < BYTES / 8; i++)
        ck_assert_uint_eq(((uint64_t *)frame_address(b.pfn))[i], 0);
}
END_TEST

START_TEST(wrong_arguments)
{
    uint64_t state, other = (uint64_t)CALL_OK(space_create, 0);
    struct binding b;

    LARGE_OK(EXO_SELF_SPACE, VA);
    ck_assert(lookup(EXO_SELF_SPACE, VA, &b));
    state = exo_state();
    CALL_FAILS(EXO_ERANGE, page_alloc, other, VA, N - 1, EXO_WANT_ANY, LARGE);
    CALL_FAILS(EXO_ERANGE, page_alloc, other, VA, N + 1, EXO_WANT_ANY, LARGE);
    CALL_FAILS(EXO_ERANGE, page_alloc, other, VA, 0, EXO_WANT_ANY, LARGE);
    CALL_FAILS(EXO_ERANGE, page_alloc, other, VA, 2 * N, EXO_WANT_ANY, LARGE);
    CALL_FAILS(EXO_ERANGE, page_alloc, other, VA + PAGE_SIZE, N, EXO_WANT_ANY, LARGE);
    CALL_FAILS(EXO_ERANGE, page_alloc, other, VA + BYTES / 2, N, EXO_WANT_ANY, LARGE);
    CALL_FAILS(EXO_ERANGE, page_alloc, other, system_info->table_va, N, EXO_WANT_ANY, LARGE);
    CALL_FAILS(EXO_EINVAL, page_alloc, other, VA, N, EXO_WANT_ANY, LARGE | EXO_ALLOC_CONTIG);
    CALL_FAILS(EXO_EINVAL, page_alloc, other, VA, N, EXO_WANT_ANY, LARGE | EXO_PROT_EXEC);
    CALL_FAILS(EXO_EINVAL, page_alloc, other, VA, N, EXO_WANT_ANY, LARGE | 1 << 6);
    CALL_FAILS(EXO_EINVAL, page_alloc, other, VA, N, b.pfn + 1, LARGE);
    CALL_FAILS(EXO_EINVAL, page_alloc, other, VA, N, 0, LARGE);
    CALL_FAILS(EXO_EINVAL, page_alloc, other, VA, N, system_info->first_frame + system_info->nframes, LARGE);
    CALL_FAILS(EXO_EINVAL, page_alloc, other, VA, N, b.pfn, LARGE | 30 << EXO_ALLOC_LIMIT_SHIFT);
    CALL_FAILS(EXO_ENOMEM, page_alloc, other, VA, N, EXO_WANT_ANY, LARGE | 30 << EXO_ALLOC_LIMIT_SHIFT);
    CALL_FAILS(EXO_EBUSY, page_alloc, other, VA, N, b.pfn, LARGE);
    CALL_FAILS(EXO_ESTATE, page_alloc, other, VA, N, EXO_WANT_ANY, MORE);
    CALL_FAILS(EXO_EBOUND, page_alloc, EXO_SELF_SPACE, VA, N, EXO_WANT_ANY, LARGE);
    /* In it, nothing else is bound, and it changes whole or not at all. */
    CALL_FAILS(EXO_EBOUND, page_alloc, EXO_SELF_SPACE, VA + 7 * PAGE_SIZE, 1, EXO_WANT_ANY, RW);
    CALL_FAILS(EXO_EBOUND, page_alloc, EXO_SELF_SPACE, VA - PAGE_SIZE, 2, EXO_WANT_ANY, RW);
    CALL_FAILS(EXO_EBOUND, mmio_map, EXO_FIRST_MMIO, EXO_SELF_SPACE, VA, 0x9000000, 1, RW);
    CALL_FAILS(EXO_EBOUND, info_map, EXO_FIRST_INFO, 0, 0, EXO_SELF_SPACE, VA + PAGE_SIZE);
    CALL_FAILS(EXO_EBOUND, page_map, EXO_SELF_SPACE, VA, EXO_SELF_SPACE, VA, N, RW);
    CALL_FAILS(EXO_EBOUND, page_map, EXO_SELF_SPACE, VA, EXO_SELF_SPACE, EXO_FIRST_VCPU_VA, 1, RW);
    for (unsigned i = 0; i < 4; i++) {
        uint64_t va = VA + (i & 1 ? PAGE_SIZE : 0), n = i & 2 ? 1 : i & 1 ? 2 * N : N - 1;

        CALL_FAILS(EXO_EINVAL, page_unmap, EXO_SELF_SPACE, va, n);
        CALL_FAILS(EXO_EINVAL, page_unmap, EXO_SELF_SPACE, va, n, EXO_LAZY);
        CALL_FAILS(EXO_EINVAL, page_protect, EXO_SELF_SPACE, va, n, EXO_PROT_READ);
        CALL_FAILS(EXO_EINVAL, page_protect, EXO_SELF_SPACE, va, n, EXO_PROT_READ | EXO_LAZY);
    }
    CALL_FAILS(EXO_EINVAL, page_protect, EXO_SELF_SPACE, VA, N, 6);
    CALL_FAILS(EXO_EUNBOUND, page_protect, EXO_SELF_SPACE, VA + BYTES, N, EXO_PROT_READ);
    ck_assert_int_eq(CALL(page_unmap, EXO_SELF_SPACE, VA, 0), 0);
    ck_assert_int_eq(CALL(page_protect, EXO_SELF_SPACE, VA, 0, EXO_PROT_READ), 0);
    ck_assert_uint_eq(exo_state(), state);
}
END_TEST

/* A page anywhere in the 2 MiB is in the way, wherever it is. */
START_TEST(needs_all_of_the_place)
{
    static const uint64_t at[] = {0, 1, 255, 511};

    for (unsigned i = 0; i < ARRAY_LEN(at); i++) {
        uint64_t state;

        CALL_OK(page_alloc, EXO_SELF_SPACE, VA + at[i] * PAGE_SIZE, 1, EXO_WANT_ANY, RW);
        state = exo_state();
        CALL_FAILS(EXO_EBOUND, page_alloc, EXO_SELF_SPACE, VA, N, EXO_WANT_ANY, LARGE);
        ck_assert_uint_eq(exo_state(), state);
        CALL_OK(page_unmap, EXO_SELF_SPACE, VA + at[i] * PAGE_SIZE, 1);
    }
    LARGE_OK(EXO_SELF_SPACE, VA); /* the tables that stood there are gone, walk caches too */
    ck_assert_ptr_nonnull(machine_touch(VA, EXO_PROT_WRITE));
    exo_check();
    CALL_OK(page_unmap, EXO_SELF_SPACE, VA, N);
    CALL_OK(page_alloc, EXO_SELF_SPACE, VA, 3, EXO_WANT_ANY, RW); /* and the other way round */
    ck_assert_ptr_nonnull(machine_touch(VA + PAGE_SIZE, EXO_PROT_WRITE));
}
END_TEST

/* K15 K22: whatever frame is the one that is not there, the run's or a table's. */
START_TEST(out_of_frames_at_every_point)
{
    struct account *account = &root.env->owner.account;
    uint64_t limit = account->limit, spare = 0, nfailed = 0, far = VA + (1ull << 39), other;
    bool done = false;

    other = (uint64_t)CALL_OK(space_create, 0);
    if (_i)
        LARGE_OK(EXO_SELF_SPACE, VA);
    for (; !done; spare++) {
        uint64_t state;
        int64_t rc;

        if (!_i && spare == 1)
            spare = N - 1;
        account->limit = account->used + account->reserved + spare;
        state = exo_state();
        rc = _i == 0   ? large(EXO_SELF_SPACE, far, EXO_WANT_ANY, LARGE)
             : _i == 1 ? CALL(page_map, other, far, EXO_SELF_SPACE, VA, N, RW)
                       : CALL(page_map, other, far + PAGE_SIZE, EXO_SELF_SPACE, VA + PAGE_SIZE, 4, RW);
        done = rc >= 0;
        if (!done) {
            ck_assert_int_eq(rc, -EXO_EQUOTA);
            ck_assert_uint_eq(exo_state(), state);
            exo_check();
            nfailed++;
        }
        ck_assert_uint_lt(nfailed, 10);
    }
    ck_assert_uint_gt(nfailed, 1);
    account->limit = limit;
}
END_TEST

/* No run is free, though more than enough frames are. */
START_TEST(fragmented)
{
    uint64_t got = 0, free_before = exo_free_frames(), state;

    for (uint64_t pfn = system_info->first_frame + 7; pfn < system_info->first_frame + system_info->nframes;
         pfn += N / 2)
        got += CALL(page_alloc, EXO_SELF_SPACE, VA + got * PAGE_SIZE, 1, pfn, RW) == 1;
    ck_assert_uint_gt(got, 6);
    ck_assert_uint_gt(free_before, 4 * N);
    state = exo_state();
    CALL_FAILS(EXO_ENOMEM, page_alloc, EXO_SELF_SPACE, VA + BYTES, N, EXO_WANT_ANY, LARGE);
    ck_assert_uint_eq(exo_state(), state);
    unmap(EXO_SELF_SPACE, VA, 64);
    LARGE_OK(EXO_SELF_SPACE, VA);
}
END_TEST

/* ---- in pieces -------------------------------------------------------------------------------------------------- */

static void irq_again(void)
{
    CALL(irq_ack, EXO_FIRST_IRQ, 40);
    root.vcpu->page->events = 0;
    machine.irq_raised |= 1ull << 40;
}

/* K8 K14: made in pieces, fewer at a time when interrupts wait; let go of in the midst in each way there is.
 * Long: a case for each. */
START_TEST(made_in_pieces)
{
    uint64_t space = (uint64_t)CALL_OK(space_create, 0), before, done = 0, stop = _i % 6 ? 300 : N;
    struct binding b;
    int64_t rc;

    CALL_OK(page_alloc, space, VA + 9 * BYTES, 1, EXO_WANT_ANY, RW); /* tables down to the last but one */
    before = exo_free_frames();
    if (_i >= 6)
        CALL_OK(irq_bind, EXO_FIRST_IRQ, 40, EXO_FIRST_VCPU, 0);
    while (done < stop) {
        if (_i >= 6)
            irq_again();
        rc = CALL_OK(page_alloc, space, VA + done * PAGE_SIZE, N - done, EXO_WANT_ANY, done ? MORE : LARGE);
        ck_assert_int_ge(rc, 1);
        ck_assert_int_le(rc, _i >= 6 ? 1 : EXO_RANGE_MAX);
        done += (uint64_t)rc;
        ck_assert_uint_eq(before - exo_free_frames(), N);
        ck_assert_int_eq(lookup(space, VA, &b), done == N); /* nothing is seen before all is */
        if (done % 16 == 0 || done == N)
            exo_check();
    }
    if (done < N) {
        CALL_FAILS(EXO_ESTATE, page_alloc, space, VA, N - done, EXO_WANT_ANY, MORE);
        CALL_FAILS(EXO_ESTATE, page_alloc, space, VA + done * PAGE_SIZE, N - done + 1, EXO_WANT_ANY, MORE);
        CALL_FAILS(EXO_ESTATE, page_alloc, space, VA + done * PAGE_SIZE, N - done, EXO_WANT_ANY,
                   RW | EXO_ALLOC_CONTIG | EXO_ALLOC_MORE);
    }
    switch (_i % 6) {
    case 1: /* by saying so */
        ck_assert_int_eq(CALL(page_alloc, space, VA, 0, EXO_WANT_ANY, MORE), 0);
        break;
    case 2: /* by another run */
        CALL_OK(page_alloc, space, VA + BYTES, 1, EXO_WANT_ANY, RW | EXO_ALLOC_CONTIG);
        CALL_OK(page_unmap, space, VA + BYTES, 1);
        break;
    case 3: /* by another large page */
        LARGE_OK(space, VA + BYTES);
        CALL_OK(page_unmap, space, VA + BYTES, N);
        break;
    case 4: /* as something came in the way */
        CALL_OK(page_alloc, space, VA + 400 * PAGE_SIZE, 1, EXO_WANT_ANY, RW);
        do
            rc = CALL(page_alloc, space, VA + done * PAGE_SIZE, N - done, EXO_WANT_ANY, MORE);
        while (rc > 0 && (done += (uint64_t)rc) < N);
        ck_assert_int_eq(rc, -EXO_EBOUND);
        CALL_OK(page_unmap, space, VA + 400 * PAGE_SIZE, 1);
        break;
    case 5: /* with its space */
        break;
    default:
        CALL_OK(page_unmap, space, VA, N);
    }
    if (_i % 6 != 5) {
        CALL_FAILS(EXO_ESTATE, page_alloc, space, VA + done * PAGE_SIZE, N - done, EXO_WANT_ANY, MORE);
        ck_assert_uint_eq(exo_free_frames(), before);
    }
    exo_check();
    while (CALL_OK(space_destroy, space))
        exo_check();
    ck_assert_uint_eq(exo_free_frames(), before + 6);
}
END_TEST

/* K22: its environment is destroyed while one is being zeroed, one bound, one shared, and parts pinned. */
START_TEST(killed_in_the_midst)
{
    uint64_t before = exo_free_frames();
    struct actor a = actor_make(4 * N);
    struct binding b;

    LARGE_OK(a.space_cap, VA);
    CALL_OK(page_map, EXO_SELF_SPACE, VA, a.space_cap, VA, N, EXO_PROT_READ);
    CALL_OK(vcpu_create, a.env_cap, 0, a.space_cap, VA + 9 * PAGE_SIZE);
    as(&a);
    CALL_OK(page_alloc, EXO_SELF_SPACE, VA + BYTES, N, EXO_WANT_ANY, LARGE);
    ck_assert_ptr_nonnull(machine_touch(VA + 3 * PAGE_SIZE, EXO_PROT_WRITE));
    as(&root);
    exo_check();
    actor_destroy(&a);
    exo_check();
    ck_assert(
        lookup(EXO_SELF_SPACE, VA + 9 * PAGE_SIZE, &b)); /* ours still, and charged to the one that ended */
    ck_assert_ptr_nonnull(machine_touch(VA + 3 * PAGE_SIZE, EXO_PROT_READ));
    CALL_OK(page_unmap, EXO_SELF_SPACE, VA, N);
    ck_assert_uint_eq(exo_free_frames(), before);
}
END_TEST

/* A TLB that may hold the large page may hold any part of it, when all of it is free.  K13 */
START_TEST(all_parts_are_stale)
{
    struct binding b;

    LARGE_OK(EXO_SELF_SPACE, VA);
    pages(EXO_SELF_SPACE, VA + BYTES, 1); /* or a table would go, and all be flushed */
    ck_assert(lookup(EXO_SELF_SPACE, VA, &b));
    ck_assert_ptr_nonnull(machine_touch(VA, EXO_PROT_WRITE));
    CALL_OK(page_unmap, EXO_SELF_SPACE, VA, N, EXO_LAZY);
    for (unsigned i = 0; i < N; i++)
        ck_assert(frame_kind(b.pfn + i) == EXO_FRAME_FREE && frame_is_stale(b.pfn + i));
}
END_TEST

/* One outlives whoever paid, and his parent as well: each account goes with its last frame.  K3 */
START_TEST(outlives_two_environments)
{
    uint64_t before = exo_free_frames(), both;
    struct actor a = actor_make(2 * N + 40);

    as(&a);
    both = (uint64_t)CALL_OK(env_create, N + 20, 0, 0);
    LARGE_OK(both >> 32, VA);
    CALL_OK(page_map, EXO_SELF_SPACE, VA, both >> 32, VA, N, EXO_PROT_READ);
    as(&root);
    CALL_OK(page_map, EXO_SELF_SPACE, VA, a.space_cap, VA, N, EXO_PROT_READ);
    actor_destroy(&a);
    exo_check();
    ck_assert_uint_lt(exo_free_frames(), before - N);
    CALL_OK(page_unmap, EXO_SELF_SPACE, VA, N);
    ck_assert_uint_eq(exo_free_frames(), before);
    ck_assert_uint_eq(root.env->owner.account.limit, root.env->owner.account.used + before);
    ck_assert_uint_eq(root.env->owner.account.reserved, 0);
}
END_TEST

/* ---- changing ---------------------------------------------------------------------------------------------------- */

/* K13: no TLB holds what it was. */
/* Its space is being destroyed meanwhile: it is zeroed, and never bound; nor is a copy of another one.  K29 */
START_TEST(space_ends_in_the_midst)
{
    uint64_t before = exo_free_frames(), space = (uint64_t)CALL_OK(space_create, 0), done = 0;
    int64_t rc = 1;

    LARGE_OK(EXO_SELF_SPACE, VA);
    for (uint64_t i = 0; i < 12; i++)
        CALL_OK(page_alloc, space, i << 32, 1, EXO_WANT_ANY, RW);
    done = (uint64_t)CALL_OK(page_alloc, space, VA, N, EXO_WANT_ANY, LARGE);
    ck_assert_int_gt(CALL_OK(space_destroy, space), 0);
    CALL_FAILS(EXO_EDEAD, page_map, space, VA + BYTES, EXO_SELF_SPACE, VA, N, RW);
    for (; rc > 0; done += (uint64_t)rc) {
        rc = CALL(page_alloc, space, VA + done * PAGE_SIZE, N - done, EXO_WANT_ANY, MORE);
        if (rc < 0)
            break;
        ck_assert_uint_lt(done + (uint64_t)rc, N);
    }
    ck_assert_int_eq(rc, -EXO_EDEAD);
    CALL_FAILS(EXO_ESTATE, page_alloc, space, VA + done * PAGE_SIZE, N - done, EXO_WANT_ANY, MORE);
    exo_check();
    while (CALL_OK(space_destroy, space))
        ;
    CALL_OK(cap_drop, space);
    CALL_OK(page_unmap, EXO_SELF_SPACE, VA, N);
    ck_assert_uint_eq(exo_free_frames(), before);
}
END_TEST

START_TEST(protect_and_unmap)
{
    uint8_t *at;

    LARGE_OK(EXO_SELF_SPACE, VA);
    at = machine_touch(VA + 100 * PAGE_SIZE, EXO_PROT_WRITE);
    ck_assert_ptr_nonnull(at);
    ck_assert_int_eq(CALL(page_protect, EXO_SELF_SPACE, VA, N, EXO_PROT_READ), N);
    exo_check();
    ck_assert_ptr_null(machine_touch(VA + 100 * PAGE_SIZE, EXO_PROT_WRITE));
    ck_assert_uint_eq(root.vcpu->page->detail, EXO_PROT_WRITE | EXO_ACCESS_BOUND);
    upcall_done();
    ck_assert_ptr_eq(machine_touch(VA + 100 * PAGE_SIZE, EXO_PROT_READ), at);
    ck_assert_int_eq(CALL(page_protect, EXO_SELF_SPACE, VA, 3 * N, EXO_PROT_NONE), N);
    exo_check();
    ck_assert_ptr_null(machine_touch(VA, EXO_PROT_READ));
    ck_assert_uint_eq(root.vcpu->page->detail, EXO_PROT_READ | EXO_ACCESS_BOUND);
    upcall_done();
    /* Without access it is a large page all the same. */
    CALL_FAILS(EXO_EINVAL, page_unmap, EXO_SELF_SPACE, VA, 1);
    CALL_FAILS(EXO_EBOUND, page_alloc, EXO_SELF_SPACE, VA + PAGE_SIZE, 1, EXO_WANT_ANY, RW);
    ck_assert_int_eq(CALL(page_protect, EXO_SELF_SPACE, VA, N, EXO_PROT_EXEC | EXO_PROT_READ), N);
    ck_assert_ptr_nonnull(machine_touch(VA + 511 * PAGE_SIZE, EXO_PROT_EXEC));
    ck_assert_int_eq(CALL(page_unmap, EXO_SELF_SPACE, VA, (system_info->table_va - VA) >> PAGE_SHIFT), N);
    exo_check();
    ck_assert_ptr_null(machine_touch(VA + 511 * PAGE_SIZE, EXO_PROT_READ));
    upcall_done();
}
END_TEST

/* K5: rights do not grow by being copied large. */
START_TEST(shared)
{
    uint64_t before = exo_free_frames(), other = (uint64_t)CALL_OK(space_create, 0);
    struct binding b;

    LARGE_OK(EXO_SELF_SPACE, VA);
    ck_assert_int_eq(CALL(page_map, other, VA + BYTES, EXO_SELF_SPACE, VA, 9 * N, EXO_PROT_READ), N);
    ck_assert(lookup(other, VA + BYTES + 77 * PAGE_SIZE, &b));
    ck_assert_uint_eq(b.max, EXO_PROT_READ);
    ck_assert_uint_eq(frame_entry(b.pfn & ~511u)->refs, 2);
    CALL_FAILS(EXO_ERIGHTS, page_protect, other, VA + BYTES, N, RW);
    CALL_FAILS(EXO_ERIGHTS, page_map, other, VA, other, VA + BYTES, N, RW);
    CALL_FAILS(EXO_ERIGHTS, page_map, other, VA, other, VA + BYTES, 1, RW);
    CALL_FAILS(EXO_ERIGHTS, page_map, other, VA, other, VA + BYTES, N, EXO_PROT_READ | EXO_PROT_MAX(RW));
    exo_check();
    *(uint64_t *)machine_touch(VA + 77 * PAGE_SIZE, EXO_PROT_WRITE) = 123;
    CALL_OK(page_unmap, EXO_SELF_SPACE, VA, N);
    ck_assert_uint_eq(*(uint64_t *)frame_address(b.pfn), 123);
    ck_assert_uint_eq(frame_entry(b.pfn & ~511u)->refs, 1);
    exo_check();
    while (CALL_OK(space_destroy, other))
        exo_check();
    ck_assert_uint_eq(exo_free_frames(), before);
}
END_TEST

/* Parts are ordinary pages where they are copied to, and keep all of it: K3. */
START_TEST(parts)
{
    uint64_t before = exo_free_frames();
    struct binding b;
    uint64_t *word;

    LARGE_OK(EXO_SELF_SPACE, VA);
    word = machine_touch(VA + 11 * PAGE_SIZE, EXO_PROT_WRITE);
    *word = 9;
    ck_assert_int_eq(CALL(page_map, EXO_SELF_SPACE, VA + BYTES, EXO_SELF_SPACE, VA + 10 * PAGE_SIZE, 5, RW),
                     5);
    /* Aligned and whole, but not where it goes. */
    ck_assert_int_eq(
        CALL(page_map, EXO_SELF_SPACE, VA + 2 * BYTES + PAGE_SIZE, EXO_SELF_SPACE, VA, N, EXO_PROT_READ), 64);
    ck_assert(lookup(EXO_SELF_SPACE, VA + BYTES + PAGE_SIZE, &b));
    ck_assert_uint_eq(entries_of(b.pfn), EXO_LARGE_PART);
    ck_assert_uint_eq(frame_entry(b.pfn)->refs, 0);
    ck_assert_uint_eq(frame_entry(b.pfn & ~511u)->refs, 1 + 5 + 64);
    exo_check();
    ck_assert_ptr_eq(machine_touch(VA + BYTES + PAGE_SIZE, EXO_PROT_WRITE), word);
    CALL_OK(page_protect, EXO_SELF_SPACE, VA + BYTES, 5, EXO_PROT_READ);
    ck_assert_ptr_null(machine_touch(VA + BYTES + PAGE_SIZE, EXO_PROT_WRITE));
    upcall_done();
    ck_assert_int_eq(CALL(page_unmap, EXO_SELF_SPACE, VA, N), N);
    ck_assert_int_eq(CALL(page_unmap, EXO_SELF_SPACE, VA + 2 * BYTES, 65, 0), 64);
    CALL_OK(page_unmap, EXO_SELF_SPACE, VA + 2 * BYTES + 64 * PAGE_SIZE, 1);
    exo_check();
    ck_assert_uint_gt(before - exo_free_frames(), N);
    ck_assert_uint_eq(*(uint64_t *)machine_touch(VA + BYTES + PAGE_SIZE, EXO_PROT_READ), 9);
    CALL_OK(page_unmap, EXO_SELF_SPACE, VA + BYTES, 4);
    ck_assert_uint_gt(before - exo_free_frames(), N);
    CALL_OK(page_unmap, EXO_SELF_SPACE, VA + BYTES + 4 * PAGE_SIZE, 1, _i ? EXO_LAZY : 0);
    ck_assert_uint_eq(exo_free_frames(), before);
}
END_TEST

/* A part as a vcpu's page; the head counts the pin, and is full when it is full. */
START_TEST(pinned_part)
{
    struct binding b;
    uint64_t vcpu;

    LARGE_OK(EXO_SELF_SPACE, VA);
    ck_assert(lookup(EXO_SELF_SPACE, VA, &b));
    vcpu = (uint64_t)CALL_OK(vcpu_create, EXO_SELF_ENV, 0, EXO_SELF_SPACE, VA + 3 * PAGE_SIZE);
    ck_assert_uint_eq(frame_entry(b.pfn)->refs, 2);
    CALL_OK(page_unmap, EXO_SELF_SPACE, VA, N);
    exo_check();
    ck_assert_uint_eq(frame_entry(b.pfn)->kind, EXO_FRAME_USER);
    CALL_OK(cap_drop, vcpu);
    LARGE_OK(EXO_SELF_SPACE, VA);
    ck_assert(lookup(EXO_SELF_SPACE, VA, &b));
    frame_entry(b.pfn)->refs += UINT32_MAX - 1;
    CALL_FAILS(EXO_EFULL, page_map, EXO_SELF_SPACE, VA + BYTES, EXO_SELF_SPACE, VA, N, RW);
    CALL_FAILS(EXO_EFULL, page_map, EXO_SELF_SPACE, VA + BYTES, EXO_SELF_SPACE, VA + 8 * PAGE_SIZE, 1, RW);
    CALL_FAILS(EXO_EFULL, vcpu_create, EXO_SELF_ENV, 0, EXO_SELF_SPACE, VA + 8 * PAGE_SIZE);
    frame_entry(b.pfn)->refs -= UINT32_MAX - 1;
}
END_TEST

/* Small, large, small, a hole, large: every range call goes through it with the rest until all is done. */
START_TEST(mixed_ranges)
{
    const uint64_t from = VA - 100 * PAGE_SIZE, n = 100 + N + 70 + (N - 70) + N;
    uint64_t before = exo_free_frames(), other = (uint64_t)CALL_OK(space_create, 0), at, calls = 0, target;
    struct binding b, c;

    pages(EXO_SELF_SPACE, from, 100);
    LARGE_OK(EXO_SELF_SPACE, VA);
    pages(EXO_SELF_SPACE, VA + BYTES, 70);
    LARGE_OK(EXO_SELF_SPACE, VA + 2 * BYTES);
    /* Stops in front of the large page. */
    ck_assert_int_eq(CALL(page_protect, EXO_SELF_SPACE, VA - 9 * PAGE_SIZE, 600, EXO_PROT_READ), 9);
    ck_assert_int_eq(CALL(page_unmap, EXO_SELF_SPACE, VA + 2 * BYTES - 9 * PAGE_SIZE, 10), 9);
    for (at = 0; at < 100 + N + 70; calls++) {
        uint64_t left = 100 + N + 70 - at;
        int64_t rc = CALL_OK(page_protect, EXO_SELF_SPACE, from + at * PAGE_SIZE, left, EXO_PROT_READ);

        ck_assert_int_gt(rc, 0);
        at += (uint64_t)rc;
    }
    ck_assert_uint_eq(calls, 2 + 1 + 2);
    ck_assert_int_eq(lookup(EXO_SELF_SPACE, VA + 5 * PAGE_SIZE, &b) && b.prot == EXO_PROT_READ, true);
    target = _i ? from + 2 * BYTES : from + BYTES + PAGE_SIZE; /* where large pages stay so, or not */
    for (at = 0, calls = 0; at < 100 + N + 70; calls++) {
        int64_t rc = CALL_OK(page_map, other, target + at * PAGE_SIZE, EXO_SELF_SPACE, from + at * PAGE_SIZE,
                             100 + N + 70 - at, EXO_PROT_READ);

        ck_assert_int_gt(rc, 0);
        at += (uint64_t)rc;
    }
    ck_assert_uint_eq(calls, _i ? 5u : 11u);
    for (at = 0; at < 100 + N + 70; at++) {
        ck_assert(lookup(EXO_SELF_SPACE, from + at * PAGE_SIZE, &b));
        ck_assert(lookup(other, target + at * PAGE_SIZE, &c));
        ck_assert_uint_eq(b.pfn, c.pfn);
    }
    exo_check();
    for (at = 0, calls = 0; at < n; calls++) {
        int64_t rc = CALL_OK(page_unmap, EXO_SELF_SPACE, from + at * PAGE_SIZE, n - at, _i ? EXO_LAZY : 0);

        ck_assert_int_gt(rc, 0);
        at += (uint64_t)rc;
        exo_check();
    }
    ck_assert_uint_eq(at, n);
    ck_assert_uint_le(calls, 9 + 1 + 6 + 1 + 1); /* 12 pages that are freed at a time */
    while (CALL_OK(space_destroy, other))
        exo_check();
    ck_assert_uint_eq(exo_free_frames(), before);
}
END_TEST

/* A message's pages are parts; K16: all arrive, or none. */
START_TEST(sent_by_message)
{
    struct actor a = actor_make(64);
    uint64_t gate;
    struct binding b, c;

    LARGE_OK(EXO_SELF_SPACE, VA);
    gate = (uint64_t)CALL_OK(gate_create, a.vcpu_cap, 0);
    a.vcpu->page->recv = (struct exo_recv){.va = VA, .max_pages = 8};
    as(&a);
    CALL(reply_wait, 0, 0, 0, 0, 0, 0, 0, EXO_FOREVER);
    as(&root);
    CALL_OK(page_alloc, EXO_SELF_SPACE, VA - 4 * PAGE_SIZE, 4, EXO_WANT_ANY, RW);
    root.vcpu->page->send = (struct exo_send){.va = VA - 4 * PAGE_SIZE, .npages = 8, .prot = EXO_PROT_READ};
    CALL(call, gate | EXO_MSG_PAGES, 0, 0, 0, 0, 0, 0, machine.time + 1000);
    ck_assert_uint_eq(a.vcpu->page->recv.npages, 8);
    for (uint64_t i = 0; i < 8; i++) {
        ck_assert(space_lookup(a.env->home, VA + i * PAGE_SIZE, &b));
        ck_assert(space_lookup(root.env->home, VA + (i - 4) * PAGE_SIZE, &c));
        ck_assert_uint_eq(b.pfn, c.pfn);
    }
    exo_check();
}
END_TEST

/* The tables' window shows the entry of level 1; behind it is no table, and what it names is not shown as one. */
START_TEST(tables_window)
{
    uint64_t tables = system_info->table_va, leaf = tables + (VA >> PAGE_SHIFT) * 8;
    const uint64_t *entry;
    struct binding b;

    LARGE_OK(EXO_SELF_SPACE, VA);
    ck_assert(lookup(EXO_SELF_SPACE, VA, &b));
    entry = machine_touch(tables + (leaf >> PAGE_SHIFT) * 8, EXO_PROT_READ);
    ck_assert_ptr_nonnull(entry);
    ck_assert_uint_eq(pte_paddr(*entry).v >> PAGE_SHIFT, b.pfn);
    ck_assert(!pte_is_table(*entry));
    ck_assert_ptr_null(machine_touch(leaf, EXO_PROT_READ));
    upcall_done();
    exo_check();
}
END_TEST

/* ---- lazily -------------------------------------------------------------------------------------------------------- */

/* K13: any of its frames, handed out again, is one to which no TLB leads. */
START_TEST(lazy_changes)
{
    struct binding b;
    uint8_t *at;

    CALL_OK(page_alloc, EXO_SELF_SPACE, VA + 9 * BYTES, 1, EXO_WANT_ANY, RW); /* tables that stay */
    LARGE_OK(EXO_SELF_SPACE, VA);
    ck_assert(lookup(EXO_SELF_SPACE, VA, &b));
    at = machine_touch(VA + 200 * PAGE_SIZE, EXO_PROT_WRITE);
    CALL_OK(page_protect, EXO_SELF_SPACE, VA, N, EXO_PROT_READ | EXO_LAZY);
    exo_check();
    ck_assert_ptr_eq(machine_touch(VA + 200 * PAGE_SIZE, EXO_PROT_WRITE), at);    /* not yet */
    ck_assert_int_eq(CALL(tlb_sync, EXO_SELF_SPACE, VA + 200 * PAGE_SIZE, 1), 0); /* any page of it will do */
    ck_assert_ptr_null(machine_touch(VA + 200 * PAGE_SIZE, EXO_PROT_WRITE));
    upcall_done();
    CALL_OK(page_protect, EXO_SELF_SPACE, VA, N, RW);
    if (_i == 3)
        CALL_OK(page_map, EXO_SELF_SPACE, VA + 4 * BYTES, EXO_SELF_SPACE, VA, N, RW);
    ck_assert_ptr_eq(machine_touch(VA + 200 * PAGE_SIZE, EXO_PROT_WRITE), at);
    ck_assert_int_eq(CALL(page_unmap, EXO_SELF_SPACE, VA, N, EXO_LAZY), N);
    exo_check();
    ck_assert_uint_eq(frame_entry(b.pfn + 200)->kind, _i == 3 ? EXO_FRAME_USER : EXO_FRAME_FREE);
    ck_assert_ptr_eq(machine_touch(VA + 200 * PAGE_SIZE, EXO_PROT_WRITE), at); /* nor now */
    switch (_i) {
    case 0: /* a small page gets one of the frames */
        CALL_OK(page_alloc, EXO_SELF_SPACE, VA - BYTES, 1, b.pfn + 200, RW);
        break;
    case 1: /* another large page gets them all */
        ck_assert_int_eq(large(EXO_SELF_SPACE, VA - BYTES, b.pfn, LARGE), 0);
        break;
    case 2: /* the address gets another page */
        CALL_OK(page_map, EXO_SELF_SPACE, VA + 200 * PAGE_SIZE, EXO_SELF_SPACE, EXO_FIRST_VCPU_VA, 1, 1);
        ck_assert_ptr_ne(machine_touch(VA + 200 * PAGE_SIZE, EXO_PROT_READ), at);
        break;
    case 3: /* or another large one, of other frames */
        LARGE_OK(EXO_SELF_SPACE, VA);
        *(uint64_t *)machine_touch(VA + 200 * PAGE_SIZE, EXO_PROT_WRITE) = 5;
        break;
    case 4: /* or it is synced */
        CALL_OK(tlb_sync, EXO_SELF_SPACE, VA, N);
        break;
    default: /* a contiguous run */
        CALL_OK(page_alloc, EXO_SELF_SPACE, VA - BYTES, 8, b.pfn + 200, RW | EXO_ALLOC_CONTIG);
    }
    exo_check();
    if (_i != 2 && _i != 3) {
        ck_assert_ptr_null(machine_touch(VA + 200 * PAGE_SIZE, EXO_PROT_READ));
        upcall_done();
    }
}
END_TEST

/* In a space that no TLB holds a lazy change is over at once: the frames go to others without a flush.  K13 */
START_TEST(lazy_where_nobody_looks)
{
    uint64_t space = (uint64_t)CALL_OK(space_create, 0), flushes;
    struct binding b;

    LARGE_OK(space, VA);
    ck_assert(lookup(space, VA, &b));
    flushes = tlb_flushes();
    ck_assert_int_eq(CALL(page_protect, space, VA, N, EXO_PROT_READ | EXO_LAZY), N);
    ck_assert_int_eq(CALL(page_unmap, space, VA, N, EXO_LAZY), N);
    ck_assert(!frame_is_stale(b.pfn));
    ck_assert_uint_eq(frame_entry(b.pfn)->kind, EXO_FRAME_FREE);
    ck_assert_int_eq(large(EXO_SELF_SPACE, VA, b.pfn, LARGE), 0);
    ck_assert_uint_eq(tlb_flushes(), flushes);
}
END_TEST

/* The other way round: a large page gets a frame to which a TLB leads from before. */
START_TEST(stale_small_page)
{
    pfn_t head = align_down(system_info->first_frame + system_info->nframes - 1, N);

    CALL_OK(page_alloc, EXO_SELF_SPACE, VA, 2, head + 5, RW);
    ck_assert_ptr_nonnull(machine_touch(VA, EXO_PROT_WRITE));
    ck_assert_ptr_nonnull(machine_touch(VA + PAGE_SIZE, EXO_PROT_WRITE));
    CALL_OK(page_map, EXO_SELF_SPACE, VA + 2 * PAGE_SIZE, EXO_SELF_SPACE, EXO_FIRST_VCPU_VA, 1, 1);
    CALL_OK(page_unmap, EXO_SELF_SPACE, VA, 2, EXO_LAZY);
    ck_assert_ptr_nonnull(machine_touch(VA, EXO_PROT_WRITE));
    ck_assert_int_eq(large(EXO_SELF_SPACE, VA + BYTES, head, LARGE), 0);
    exo_check();
    ck_assert_ptr_null(machine_touch(VA, EXO_PROT_WRITE));
    upcall_done();
}
END_TEST

/* A part is unmapped lazily, and then all the rest is not: the frames are stale still. */
START_TEST(lazy_part)
{
    struct binding b;

    LARGE_OK(EXO_SELF_SPACE, VA);
    ck_assert(lookup(EXO_SELF_SPACE, VA, &b));
    CALL_OK(page_map, EXO_SELF_SPACE, VA + BYTES, EXO_SELF_SPACE, VA + 6 * PAGE_SIZE, 1, RW);
    ck_assert_ptr_nonnull(machine_touch(VA + BYTES, EXO_PROT_WRITE));
    CALL_OK(page_alloc, EXO_SELF_SPACE, VA + BYTES + PAGE_SIZE, 1, EXO_WANT_ANY, RW); /* the table stays */
    CALL_OK(page_unmap, EXO_SELF_SPACE, VA + BYTES, 1, EXO_LAZY);
    exo_check();
    CALL_OK(page_unmap, EXO_SELF_SPACE, VA, N);
    exo_check();
    ck_assert_ptr_nonnull(machine_touch(VA + BYTES, EXO_PROT_WRITE));
    CALL_OK(page_alloc, EXO_SELF_SPACE, VA + BYTES + 2 * PAGE_SIZE, 1, b.pfn + 6, RW);
    exo_check();
    ck_assert_ptr_null(machine_touch(VA + BYTES, EXO_PROT_WRITE));
    upcall_done();
}
END_TEST

/* ---- at random ------------------------------------------------------------------------------------------------------ */

enum { PLACES = 4, SMALL = 3 };

/* The model: per space and 2 MiB place, a frame number behind each of a few addresses. */
struct place {
    pfn_t head;         /* large: its first frame */
    pfn_t small[SMALL]; /* otherwise */
};

static const uint64_t small_at[SMALL] = {0, 300, 511};

static bool empty(const struct place *p)
{
    return !p->head && !p->small[0] && !p->small[1] && !p->small[2];
}

static pfn_t model_frame(const struct place *p, unsigned i)
{
    return p->head ? p->head + (pfn_t)small_at[i] : p->small[i];
}

/* K3 K13 K22: three spaces, one with ASIDs that roll over; every answer is the model's.
 * Long: a case for each call. */
START_TEST(against_a_model)
{
    static struct place model[3][PLACES];
    uint64_t spaces[3], before = exo_free_frames();
    struct dice d = {(uint64_t)_i * 13 + 2};
    struct binding b;

    machine.asid_bits = 3;
    for (unsigned i = 0; i < 3; i++)
        spaces[i] = (uint64_t)CALL_OK(space_create, 0);
    for (unsigned step = 0; step < 1200; step++) {
        unsigned s = (unsigned)dice_below(&d, 3), t = (unsigned)dice_below(&d, 3),
                 i = (unsigned)dice_below(&d, SMALL), at = (unsigned)dice_below(&d, PLACES),
                 to = (unsigned)dice_below(&d, PLACES);
        struct place *p = &model[s][at], *q = &model[t][to];
        uint64_t va = VA + at * BYTES, tva = VA + to * BYTES, lazy = dice_below(&d, 2) ? EXO_LAZY : 0;
        int64_t rc;

        switch (dice_below(&d, 9)) {
        case 0:
            rc = large(spaces[s], va, EXO_WANT_ANY, LARGE);
            if (!empty(p)) {
                ck_assert_int_eq(rc, -EXO_EBOUND);
            } else if (rc == 0) {
                ck_assert(lookup(spaces[s], va, &b));
                p->head = b.pfn;
            } else {
                ck_assert_int_eq(rc, -EXO_ENOMEM);
            }
            break;
        case 1:
            rc = CALL(page_alloc, spaces[s], va + small_at[i] * PAGE_SIZE, 1, EXO_WANT_ANY, RW);
            ck_assert_int_eq(rc, model_frame(p, i) ? -EXO_EBOUND : 1);
            if (rc == 1 && lookup(spaces[s], va + small_at[i] * PAGE_SIZE, &b))
                p->small[i] = b.pfn;
            break;
        case 2:
            rc = CALL(page_unmap, spaces[s], va, N, lazy);
            ck_assert_int_eq(rc, p->head ? (int64_t)N : EXO_RANGE_MAX);
            p->head = p->small[0] = 0;
            break;
        case 3:
            rc = CALL(page_unmap, spaces[s], va + small_at[i] * PAGE_SIZE, 1, lazy);
            ck_assert_int_eq(rc, p->head ? -EXO_EINVAL : 1);
            p->small[i] = 0;
            break;
        case 4:
            rc = CALL(page_map, spaces[t], tva, spaces[s], va, N, RW | EXO_PROT_MAX(EXO_PROT_ALL));
            if (!p->head)
                ck_assert_int_lt(rc, 0); /* 64 pages are never all there */
            else
                ck_assert_int_eq(rc, empty(q) ? (int64_t)N : -EXO_EBOUND);
            if (rc > 0)
                q->head = p->head;
            break;
        case 5:
            rc = CALL(page_map, spaces[t], tva + small_at[i] * PAGE_SIZE, spaces[s],
                      va + small_at[i] * PAGE_SIZE, 1, RW | EXO_PROT_MAX(EXO_PROT_ALL));
            ck_assert_int_eq(rc, !model_frame(p, i) ? -EXO_EUNBOUND : model_frame(q, i) ? -EXO_EBOUND : 1);
            if (rc > 0)
                q->small[i] = model_frame(p, i);
            break;
        case 6:
            rc = CALL(page_protect, spaces[s], va, N, (dice_below(&d, 2) ? RW : EXO_PROT_READ) | lazy);
            ck_assert_int_eq(rc, p->head ? (int64_t)N : -EXO_EUNBOUND);
            break;
        case 7:
            CALL_OK(space_switch, spaces[s]);
            if (dice_below(&d, 3) == 0)
                CALL_OK(tlb_sync, spaces[s], va, dice_below(&d, 2) ? N : 1);
            break;
        default:
            if (!machine_touch(va + small_at[i] * PAGE_SIZE,
                               dice_below(&d, 2) ? EXO_PROT_READ : EXO_PROT_WRITE))
                upcall_done();
        }
        for (unsigned k = 0; k < SMALL; k++) {
            ck_assert_int_eq(lookup(spaces[s], va + small_at[k] * PAGE_SIZE, &b), model_frame(p, k) != 0);
            if (model_frame(p, k))
                ck_assert_uint_eq(b.pfn, model_frame(p, k));
        }
        exo_check();
    }
    CALL_OK(space_switch, EXO_SELF_SPACE);
    for (unsigned i = 0; i < 3; i++)
        while (CALL_OK(space_destroy, spaces[i]))
            exo_check();
    ck_assert_uint_eq(exo_free_frames(), before);
}
END_TEST

/* ---- the audit ------------------------------------------------------------------------------------------------------- */

static pte_t *block_at(uint64_t va)
{
    pte_t *table = frame_address(root.env->home->root);

    for (unsigned level = ARCH_PT_LEVELS - 1; level > 1; level--)
        table = phys_to_virt(pte_paddr(table[va >> (PAGE_SHIFT + 9 * level) & 511]));
    return &table[va >> (PAGE_SHIFT + 9) & 511];
}

static void plant(int which, pfn_t head)
{
    switch (which) {
    case 0:
        frame_entry(head)->refs++;
        break;
    case 1:
        frame_entry(head + 3)->refs++;
        break;
    case 2:
        frame_entry(head + 3)->entries = 0;
        break;
    case 3:
        frame_entry(head)->entries = 0;
        break;
    case 4:
        frame_entry(head + 511)->entries = EXO_LARGE_HEAD;
        break;
    case 5:
        *block_at(VA) = pte_block(pfn_to_paddr(head), EXO_PROT_READ, EXO_PROT_ALL, MEMORY_NORMAL);
        break; /* without a flush */
    case 6:
        *block_at(VA) = 0;
        break;
    case 7:
        *block_at(VA) = pte_block(pfn_to_paddr(head + 1), RW, EXO_PROT_ALL, MEMORY_NORMAL);
        break;
    case 8:
        *block_at(VA) &= ~((pte_t)EXO_PROT_WRITE << PTE_MAX_SHIFT);
        break;
    case 9:
        frame_entry(head + 3)->kind = EXO_FRAME_KERNEL;
        break;
    case 10:
        root.env->home->run.left--;
        break;
    case 11:
        root.env->home->run.large = false;
        break;
    case 12:
        CALL_OK(page_unmap, EXO_SELF_SPACE, VA, N, EXO_LAZY);
        for (unsigned i = 0; i < N; i++)
            frame_entry(head + i)->epoch--; /* as if they could be handed out */
        break;
    default:
        root.env->home->nbound--;
    }
}

START_TEST(audit_finds)
{
    static const char *const words[] = {"1 bindings, counted as 2",
                                        "0 bindings, counted as 1",
                                        "is not the large page's that it lies in",
                                        "is a part of no large page",
                                        "is not the large page's that it lies in",
                                        "a TLB holds 0x12340000000 (level 1,",
                                        "1 entries in use, counted as 2",
                                        "is bound as a large page",
                                        "exceeds its maximum",
                                        "is not the large page's that it lies in",
                                        "a large page waits with 510 pages left",
                                        "is a user's and nobody binds it",
                                        "a TLB holds 0x12340000000 (level 1,",
                                        "count of bindings"};
    static struct audit_note notes[4096];
    const char *sentence;
    struct binding b;

    CALL_OK(page_alloc, EXO_SELF_SPACE, VA + 9 * BYTES, 1, EXO_WANT_ANY, RW);
    LARGE_OK(EXO_SELF_SPACE, VA);
    ck_assert(lookup(EXO_SELF_SPACE, VA, &b));
    ck_assert_ptr_nonnull(machine_touch(VA, EXO_PROT_WRITE));
    CALL_OK(page_alloc, EXO_SELF_SPACE, VA + BYTES, N, EXO_WANT_ANY, LARGE);
    ck_assert_ptr_null(exo_audit(notes));
    plant(_i, b.pfn);
    sentence = exo_audit(notes);
    ck_assert_msg(sentence && strstr(sentence, words[_i]), "violation %d: \"%s\", not \"%s\"", _i,
                  sentence ? sentence : "nothing", words[_i]);
    if (machine.end != MACHINE_STOPPED)
        machine.end = MACHINE_STOPPED; /* no audit behind */
}
END_TEST

/* ---- with what else holds frames ---------------------------------------------------------------------------------- */

/* K18: a device pins parts; the last pin frees all. */
START_TEST(pinned_by_a_device)
{
    uint64_t before = exo_free_frames(), domain = (uint64_t)CALL_OK(dma_open, EXO_FIRST_DMA, 5);
    struct binding b;
    uint8_t *at;

    LARGE_OK(EXO_SELF_SPACE, VA);
    ck_assert(lookup(EXO_SELF_SPACE, VA, &b));
    *(uint8_t *)machine_touch(VA + 9 * PAGE_SIZE, EXO_PROT_WRITE) = 99;
    ck_assert_int_eq(CALL(dma_bind, domain, VA, EXO_SELF_SPACE, VA + 8 * PAGE_SIZE, 20, RW), 20);
    ck_assert_uint_eq(frame_entry(b.pfn)->refs, 21);
    ck_assert_uint_eq(frame_entry(b.pfn + 9)->refs, 0);
    CALL_OK(page_unmap, EXO_SELF_SPACE, VA, N);
    exo_check();
    at = machine_dma(5, VA + PAGE_SIZE, EXO_PROT_WRITE);
    ck_assert_ptr_nonnull(at);
    ck_assert_uint_eq(*at, 99);
    ck_assert_int_eq(CALL(dma_unbind, domain, VA, 19), 19);
    ck_assert_uint_eq(frame_entry(b.pfn)->refs, 1);
    ck_assert_int_eq(CALL(dma_unbind, domain, VA, 20), 20);
    ck_assert_uint_eq(frame_entry(b.pfn)->kind, EXO_FRAME_FREE);
    LARGE_OK(EXO_SELF_SPACE, VA);
    ck_assert(lookup(EXO_SELF_SPACE, VA, &b));
    frame_entry(b.pfn)->refs += UINT32_MAX - 1;
    CALL_FAILS(EXO_EFULL, dma_bind, domain, VA, EXO_SELF_SPACE, VA + 8 * PAGE_SIZE, 1, RW);
    frame_entry(b.pfn)->refs -= UINT32_MAX - 1;
    CALL_OK(dma_bind, domain, VA, EXO_SELF_SPACE, VA + 8 * PAGE_SIZE, 20, RW);
    CALL_OK(page_unmap, EXO_SELF_SPACE, VA, N);
    while (CALL_OK(dma_close, domain))
        exo_check();
    CALL_OK(cap_drop, domain);
    ck_assert_uint_eq(exo_free_frames(), before);
}
END_TEST

/* K8: parts of many large pages, each the last: few of those are freed at once, by a space and by a domain. */
START_TEST(many_last_parts)
{
    uint64_t before, domain = (uint64_t)CALL_OK(dma_open, EXO_FIRST_DMA, 5), done = 0, calls = 0;

    before = exo_free_frames();
    for (unsigned i = 0; i < 5; i++) {
        LARGE_OK(EXO_SELF_SPACE, VA);
        if (_i)
            CALL_OK(dma_bind, domain, VA + i * PAGE_SIZE, EXO_SELF_SPACE, VA + i * PAGE_SIZE, 1, RW);
        else
            CALL_OK(page_map, EXO_SELF_SPACE, VA + BYTES + i * PAGE_SIZE, EXO_SELF_SPACE, VA + i * PAGE_SIZE,
                    1, RW);
        CALL_OK(page_unmap, EXO_SELF_SPACE, VA, N);
    }
    for (; done < 5; calls++) {
        int64_t rc = _i ? CALL_OK(dma_unbind, domain, VA + done * PAGE_SIZE, 5 - done)
                        : CALL_OK(page_unmap, EXO_SELF_SPACE, VA + BYTES + done * PAGE_SIZE, 5 - done);

        ck_assert_int_gt(rc, 0);
        ck_assert_int_le(rc, _i ? 3 : 1);
        done += (uint64_t)rc;
        exo_check();
    }
    ck_assert_uint_eq(calls, _i ? 2 : 5);
    ck_assert_uint_eq(exo_free_frames(), before);
}
END_TEST

static bool revoked(const struct actor *of, enum exo_revoke_kind kind, uint64_t number, uint64_t va)
{
    const struct exo_vcpu_page *page = of->vcpu->page;
    bool was;

    as(of);
    was = machine_in_upcall(of->vcpu) && page->reason == EXO_UPCALL_REVOKE && page->info == kind &&
          page->detail == number && page->revoke.va == va;
    if (was)
        upcall_done();
    as(&root);
    return was;
}

static int64_t reclaim(uint64_t va)
{
    int64_t rc;

    do
        rc = CALL_OK(page_reclaim, EXO_SELF_SPACE, va, 1, 0);
    while (rc == EXO_RECLAIM_MORE);
    exo_check();
    return rc;
}

/* A part is reclaimed: whoever holds the whole, or any part, is asked and then without. */
START_TEST(reclaimed)
{
    const struct actor whole = actor_make(60), part = actor_make(60);
    uint64_t before = exo_free_frames(), deadline;
    struct binding b;

    LARGE_OK(EXO_SELF_SPACE, VA);
    CALL_OK(page_map, whole.space_cap, VA + 2 * BYTES, EXO_SELF_SPACE, VA, N, RW);
    CALL_OK(page_map, part.space_cap, VA + PAGE_SIZE, EXO_SELF_SPACE, VA + 100 * PAGE_SIZE, 2, RW);
    ck_assert_int_eq(reclaim(VA + 7 * PAGE_SIZE), EXO_RECLAIM_ASKED);
    deadline = machine.time + arch_time_hz() / 1000000 * EXO_RECLAIM_NOTICE_US;
    ck_assert(revoked(&whole, EXO_REVOKE_PAGES, N, VA + 2 * BYTES));
    ck_assert(revoked(&part, EXO_REVOKE_PAGES, 2, VA + PAGE_SIZE));
    CALL_FAILS(EXO_EBUSY, page_map, whole.space_cap, VA, EXO_SELF_SPACE, VA, N, RW);
    CALL_FAILS(EXO_EBUSY, page_map, part.space_cap, VA, EXO_SELF_SPACE, VA + 200 * PAGE_SIZE, 1, RW);
    as(&part);
    CALL_OK(page_unmap, EXO_SELF_SPACE, VA + PAGE_SIZE, 2);
    as(&root);
    exo_later(deadline + 1);
    ck_assert_int_eq(reclaim(VA + 7 * PAGE_SIZE), EXO_RECLAIM_DONE);
    ck_assert(!space_lookup(whole.env->home, VA + 2 * BYTES, &b));
    ck_assert(revoked(&whole, EXO_REVOKE_PAGES, N,
                      VA + 2 * BYTES)); /* the walk that was begun before the deadline */
    ck_assert(revoked(&whole, EXO_REVOKE_GONE, N, VA + 2 * BYTES));
    ck_assert(lookup(EXO_SELF_SPACE, VA, &b));
    ck_assert_uint_eq(frame_entry(b.pfn)->refs, 1);
    CALL_OK(page_map, whole.space_cap, VA, EXO_SELF_SPACE, VA, N, RW); /* again, now that it is over */
    as(&whole);
    CALL_OK(page_unmap, EXO_SELF_SPACE, VA, N);
    as(&root);
    CALL_OK(page_unmap, EXO_SELF_SPACE, VA, N);
    ck_assert_uint_ge(exo_free_frames(), before);
}
END_TEST

/* A victim goes whole, or not at all. */
START_TEST(victim)
{
    const struct actor poor = actor_make(N + 60);
    struct account *account = &poor.env->owner.account;
    uint64_t limit;
    struct binding b;
    int64_t left;

    as(&poor);
    LARGE_OK(EXO_SELF_SPACE, VA);
    pages(EXO_SELF_SPACE, VA + BYTES, 8);
    as(&root);
    poor.vcpu->page->victims[0] = (struct exo_victim){.va = VA + PAGE_SIZE, .npages = N - 1};
    poor.vcpu->page->victims[1] = (struct exo_victim){.va = VA, .npages = N - 1};
    poor.vcpu->page->victims[2] = (struct exo_victim){.va = VA + BYTES, .npages = 3};
    poor.vcpu->page->victims[3] = (struct exo_victim){.va = VA - PAGE_SIZE, .npages = N + 1};
    limit = account_in_use(account) - (_i ? 10 : 3);
    do {
        left = CALL_OK(env_limit, poor.env_cap, limit, machine.time);
        exo_check();
    } while (left);
    ck_assert_uint_eq(poor.env->state, EXO_ENV_ALIVE);
    ck_assert_int_eq(space_lookup(poor.env->home, VA, &b), !_i);
    ck_assert(!space_lookup(poor.env->home, VA + BYTES + 2 * PAGE_SIZE, &b));
    ck_assert(space_lookup(poor.env->home, VA + BYTES + 3 * PAGE_SIZE, &b));
    ck_assert_uint_eq(poor.vcpu->page->victims[3].taken, _i ? N + 1 : 0);
    ck_assert_uint_eq(account->limit, limit);
    as(&poor);
    ck_assert_uint_eq(poor.vcpu->page->info, EXO_REVOKE_TAKEN);
    ck_assert_uint_eq(poor.vcpu->page->detail, _i ? N + 3 : 3);
    as(&root);
}
END_TEST

/* The last pins of two large pages and of eight small ones are a call's work, and so is a piece of a domain's end.  Loop: which. */
START_TEST(last_pins_go_in_pieces)
{
    uint64_t domain = (uint64_t)CALL_OK(dma_open, EXO_FIRST_DMA, 5), small = VA + 2 * EXO_LARGE_BYTES;
    uint64_t before;

    for (unsigned i = 0; i < 2; i++) {
        LARGE_OK(EXO_SELF_SPACE, VA + i * EXO_LARGE_BYTES);
        CALL_OK(dma_bind, domain, VA + i * PAGE_SIZE, EXO_SELF_SPACE, VA + i * EXO_LARGE_BYTES, 1, RW);
        ck_assert_int_eq(CALL(page_unmap, EXO_SELF_SPACE, VA + i * EXO_LARGE_BYTES, N), N);
    }
    for (unsigned i = 0; i < 9; i++)
        CALL_OK(page_alloc, EXO_SELF_SPACE, small + i * PAGE_SIZE, 1, EXO_WANT_ANY, RW);
    ck_assert_int_eq(CALL(dma_bind, domain, VA + 2 * PAGE_SIZE, EXO_SELF_SPACE, small, 9, RW), 9);
    exo_unmap(EXO_SELF_SPACE, small, 9);
    before = exo_free_frames();
    if (_i == 0) {
        ck_assert_int_eq(CALL(dma_unbind, domain, VA, 11), 10);
        ck_assert_uint_eq(exo_free_frames(), before + 2 * N + 8);
        ck_assert_int_eq(CALL(dma_unbind, domain, VA + 10 * PAGE_SIZE, 1), 1);
    }
    for (uint64_t free = exo_free_frames(); CALL_OK(dma_close, domain); free = exo_free_frames())
        ck_assert_uint_le(exo_free_frames(), free + 2 * N + 8);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("large pages");
    TCase *tc = tcase_create("large"), *dma = tcase_create("dma");

    tcase_add_checked_fixture(tc, setup, exo_check);
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, is_one_aligned_run);
    tcase_add_test(tc, comes_zeroed);
    tcase_add_test(tc, wrong_arguments);
    tcase_add_test(tc, needs_all_of_the_place);
    tcase_add_loop_test(tc, out_of_frames_at_every_point, 0, 3);
    tcase_add_test(tc, fragmented);
    tcase_add_loop_test(tc, made_in_pieces, 0, 12);
    tcase_add_test(tc, killed_in_the_midst);
    tcase_add_test(tc, outlives_two_environments);
    tcase_add_test(tc, all_parts_are_stale);
    tcase_add_test(tc, space_ends_in_the_midst);
    tcase_add_test(tc, protect_and_unmap);
    tcase_add_test(tc, shared);
    tcase_add_loop_test(tc, parts, 0, 2);
    tcase_add_test(tc, pinned_part);
    tcase_add_loop_test(tc, mixed_ranges, 0, 2);
    tcase_add_test(tc, sent_by_message);
    tcase_add_test(tc, tables_window);
    tcase_add_loop_test(tc, lazy_changes, 0, 6);
    tcase_add_test(tc, lazy_where_nobody_looks);
    tcase_add_test(tc, stale_small_page);
    tcase_add_test(tc, lazy_part);
    tcase_add_loop_test(tc, audit_finds, 0, 14);
    tcase_add_loop_test(tc, many_last_parts, 0, 2);
    tcase_add_test(tc, reclaimed);
    tcase_add_loop_test(tc, victim, 0, 2);
    suite_add_tcase(s, tc);

    tc = tcase_create("model");
    tcase_add_checked_fixture(tc, setup, exo_check);
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, against_a_model, 0, 4);
    suite_add_tcase(s, tc);

    tcase_add_checked_fixture(dma, setup_iommu, exo_check);
    tcase_add_test(dma, pinned_by_a_device);
    tcase_add_loop_test(dma, last_pins_go_in_pieces, 0, 2);
    suite_add_tcase(s, dma);
    return s;
}

int main(void)
{
    return exo_suite_run(suite());
}
