/* Spaces: bindings, their rights, device pages, ASIDs and a TLB that forgets nothing by itself.
 * K3 K5 K11 K13 K15 K16 K20 */
#include <string.h>

#include "exo_machine.h"

#define VA 0x10000000ull

static struct space *home(void)
{
    return root.env->home;
}

static bool bound(uint64_t va, struct binding *b)
{
    return space_lookup(home(), va, b);
}

START_TEST(ranges)
{
    uint64_t top = system_info->table_va, state = exo_state();
    static const uint64_t bad_va[] = {1, 0xfff, 0x1001, UINT64_MAX, UINT64_MAX - PAGE_MASK, 1ull << 63};
    const struct {
        uint64_t va, n;
    } bad[] = {{top, 1},
               {top - PAGE_SIZE, 2},
               {0, UINT64_MAX},
               {PAGE_SIZE, UINT64_MAX >> PAGE_SHIFT},
               {0, (top >> PAGE_SHIFT) + 1},
               {VA, 1ull << 52},
               {system_info->user_top, 1},
               {top, 0x1000}};

    for (unsigned i = 0; i < ARRAY_LEN(bad_va); i++) {
        CALL_FAILS(EXO_ERANGE, page_alloc, EXO_SELF_SPACE, bad_va[i], 1, EXO_WANT_ANY, RW);
        CALL_FAILS(EXO_ERANGE, page_unmap, EXO_SELF_SPACE, bad_va[i], 1);
        CALL_FAILS(EXO_ERANGE, page_protect, EXO_SELF_SPACE, bad_va[i], 1, 1);
        CALL_FAILS(EXO_ERANGE, page_map, EXO_SELF_SPACE, bad_va[i], EXO_SELF_SPACE, EXO_FIRST_VCPU_VA, 1, 1);
        CALL_FAILS(EXO_ERANGE, page_map, EXO_SELF_SPACE, VA, EXO_SELF_SPACE, bad_va[i], 1, 1);
        CALL_FAILS(EXO_ERANGE, mmio_map, EXO_FIRST_MMIO, EXO_SELF_SPACE, bad_va[i], 0x9000000, 1, 3);
        CALL_FAILS(EXO_ERANGE, info_map, EXO_FIRST_INFO, 0, 0, EXO_SELF_SPACE, bad_va[i]);
        CALL_FAILS(EXO_ERANGE, vcpu_create, EXO_SELF_ENV, 0, EXO_SELF_SPACE, bad_va[i]);
    }
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        CALL_FAILS(EXO_ERANGE, page_alloc, EXO_SELF_SPACE, bad[i].va, bad[i].n, EXO_WANT_ANY, RW);
        CALL_FAILS(EXO_ERANGE, page_unmap, EXO_SELF_SPACE, bad[i].va, bad[i].n);
        CALL_FAILS(EXO_ERANGE, page_protect, EXO_SELF_SPACE, bad[i].va, bad[i].n, 1);
        CALL_FAILS(EXO_ERANGE, page_map, EXO_SELF_SPACE, bad[i].va, EXO_SELF_SPACE, 0, bad[i].n, 1);
    }
    ck_assert_uint_eq(exo_state(), state);
    /* The very last page is as good as any. */
    ck_assert_int_eq(CALL(page_alloc, EXO_SELF_SPACE, top - PAGE_SIZE, 1, EXO_WANT_ANY, RW), 1);
    ck_assert_int_eq(CALL(page_unmap, EXO_SELF_SPACE, top - PAGE_SIZE, 1), 1);
    ck_assert_uint_eq(exo_state(), state);
}
END_TEST

#define GIB (1ull << 30)

START_TEST(all_or_nothing)
{
    uint64_t state;

    CALL_OK(page_alloc, EXO_SELF_SPACE, VA + 10 * PAGE_SIZE, 1, EXO_WANT_ANY, RW);
    state = exo_state();
    CALL_FAILS(EXO_EBOUND, page_alloc, EXO_SELF_SPACE, VA, 64, EXO_WANT_ANY, RW);
    CALL_FAILS(EXO_EUNBOUND, page_map, EXO_SELF_SPACE, VA + (1 << 30), EXO_SELF_SPACE, VA + 10 * PAGE_SIZE, 2,
               1);
    CALL_FAILS(EXO_EBOUND, page_map, EXO_SELF_SPACE, VA + 10 * PAGE_SIZE, EXO_SELF_SPACE, VA + 10 * PAGE_SIZE,
               1, 1);
    CALL_FAILS(EXO_EUNBOUND, page_protect, EXO_SELF_SPACE, VA + 10 * PAGE_SIZE, 2, 1);
    ck_assert_uint_eq(exo_state(), state);
    /* A range call does 64 pages at most, allocates or frees 12, and says so. */
    for (uint64_t done = 0; done < 64; done += 12)
        ck_assert_int_eq(CALL(page_alloc, EXO_SELF_SPACE, GIB + done * PAGE_SIZE, 100, EXO_WANT_ANY, RW), 12);
    exo_unmap(EXO_SELF_SPACE, GIB + 64 * PAGE_SIZE, 8);
    for (unsigned i = 2; i <= 4; i++)
        ck_assert_int_eq(CALL(page_map, EXO_SELF_SPACE, i * GIB, EXO_SELF_SPACE, GIB, 100, RW), 64);
    for (unsigned i = 0; i < 4; i++) { /* as many as may be the last that bind their frames */
        static const int64_t at_once[] = {48, 37, 24, 12};

        ck_assert_int_eq(CALL(page_unmap, EXO_SELF_SPACE, (i + 1) * GIB, 100), at_once[i]);
        exo_unmap(EXO_SELF_SPACE, (i + 1) * GIB, 64);
    }
    ck_assert_uint_eq(exo_state(), state);
}
END_TEST

/* Whatever frame or table is the one that is not there: an error, and nothing changed.  K15 K22 */
START_TEST(out_of_frames_at_every_point)
{
    struct account *account = &root.env->owner.account;
    uint64_t limit = account->limit,
             va = VA + (1ull << 39) - 2 * PAGE_SIZE; /* a new table at every level, twice */
    bool done = false;

    CALL_OK(page_alloc, EXO_SELF_SPACE, VA, 4, EXO_WANT_ANY, RW);
    for (uint64_t spare = 0; !done; spare++) {
        uint64_t state;
        int64_t rc;

        account->limit = account->used + account->reserved + spare;
        state = exo_state();
        rc = _i == 0   ? CALL(page_alloc, EXO_SELF_SPACE, va, 4, EXO_WANT_ANY, RW)
             : _i == 1 ? CALL(page_alloc, EXO_SELF_SPACE, va, 4, EXO_WANT_ANY, RW | EXO_ALLOC_CONTIG)
             : _i == 2 ? CALL(page_map, EXO_SELF_SPACE, va, EXO_SELF_SPACE, VA, 4, RW)
             : _i == 3 ? CALL(mmio_map, EXO_FIRST_MMIO, EXO_SELF_SPACE, va, 0x9000000, 4, RW)
             : _i == 4 ? CALL(info_map, EXO_FIRST_INFO, EXO_INFO_LOG, 0, EXO_SELF_SPACE, va)
             : _i == 5 ? CALL(space_create, 0)
                       : CALL(env_create, 5, 0, 0);
        done = rc >= 0;
        if (!done) {
            ck_assert_int_eq(rc, -EXO_EQUOTA);
            ck_assert_uint_eq(exo_state(), state);
            exo_check();
        }
        ck_assert_uint_lt(spare, 20);
    }
    account->limit = limit;
}
END_TEST

START_TEST(tables_come_and_go)
{
    struct dice d = {(uint64_t)_i + 5};
    uint64_t before = exo_free_frames();

    for (unsigned round = 0; round < 300; round++) {
        uint64_t va = (dice_below(&d, 4) << 39 | dice_below(&d, 4) << 30 | dice_below(&d, 4) << 21) +
                      dice_below(&d, 512) * PAGE_SIZE + (1ull << 38);
        uint64_t n = 1 + dice_below(&d, 12);

        if (dice_below(&d, 2))
            CALL(page_alloc, EXO_SELF_SPACE, va, n, EXO_WANT_ANY, RW);
        else
            exo_unmap(EXO_SELF_SPACE, va, 64);
        if (machine_touch(va, EXO_PROT_READ) == NULL)
            upcall_done();
        if (round % 20 == 0)
            exo_check();
    }
    exo_check();
    for (uint64_t top = 0; top < 5; top++)
        for (uint64_t mid = 0; mid < 4; mid++)
            for (uint64_t low = 0; low < 6; low++)
                for (uint64_t page = 0; page < 512; page += 64)
                    exo_unmap(EXO_SELF_SPACE,
                              (top << 39 | mid << 30) + (1ull << 38) + (low << 21) + page * PAGE_SIZE, 64);
    ck_assert_uint_eq(exo_free_frames(), before);
}
END_TEST

/* ---- rights ------------------------------------------------------------------------------------------------ */

/* Bindings of one frame, copied and protected at random among three spaces: none ever exceeds what it came from. */
START_TEST(rights_never_grow)
{
    struct dice d = {(uint64_t)_i * 31 + 7};
    uint64_t spaces[3] = {EXO_SELF_SPACE, (uint64_t)CALL_OK(space_create, 0),
                          (uint64_t)CALL_OK(space_create, 0)};
    unsigned max[3][32] = {{0}}; /* the model: rights that the binding may have; 0: unbound */
    bool there[3][32] = {{false}};

    CALL_OK(page_alloc, EXO_SELF_SPACE, VA, 1, EXO_WANT_ANY, EXO_PROT_READ);
    max[0][0] = EXO_PROT_ALL;
    there[0][0] = true;
    for (unsigned step = 0; step < 3000; step++) {
        uint64_t s = dice_below(&d, 3), p = dice_below(&d, 32), to = dice_below(&d, 3),
                 tp = 1 + dice_below(&d, 31);
        unsigned prot = (unsigned)dice_below(&d, 8), most = (unsigned)dice_below(&d, 8);
        bool good = (prot & 6) != 6;
        int64_t rc;

        switch (dice_below(&d, 4)) {
        case 0:
        case 1:
            rc = CALL(page_map, spaces[to], VA + tp * PAGE_SIZE, spaces[s], VA + p * PAGE_SIZE, 1,
                      prot | EXO_PROT_MAX(most));
            good = good && !(most && prot & ~most) && there[s][p] && !there[to][tp] &&
                   !((prot | most) & ~max[s][p]);
            ck_assert_msg((rc == 1) == good, "map: %ld", (long)rc);
            if (rc == 1) {
                there[to][tp] = true;
                max[to][tp] = (most ? most : prot) | EXO_PROT_READ;
            }
            break;
        case 2:
            rc = CALL(page_protect, spaces[s], VA + p * PAGE_SIZE, 1, prot);
            good = good && there[s][p] && !(prot & ~max[s][p]);
            ck_assert_msg((rc == 1) == good, "protect: %ld", (long)rc);
            break;
        default:
            CALL_OK(page_unmap, spaces[to], VA + tp * PAGE_SIZE, 1);
            there[to][tp] = false;
        }
    }
}
END_TEST

START_TEST(needs_the_right_to_map_out)
{
    struct actor a = actor_make(64);
    uint64_t use = (uint64_t)CALL_OK(cap_grant, EXO_SELF_ENV, a.space_cap, EXO_RIGHT_USE);
    uint64_t read = (uint64_t)CALL_OK(cap_grant, EXO_SELF_ENV, a.space_cap, EXO_RIGHT_READ);

    CALL_OK(page_alloc, use, VA, 1, EXO_WANT_ANY, RW);
    CALL_FAILS(EXO_ERIGHTS, page_map, EXO_SELF_SPACE, VA, use, VA, 1, 1);
    CALL_FAILS(EXO_ERIGHTS, page_alloc, read, VA + PAGE_SIZE, 1, EXO_WANT_ANY, RW);
    CALL_FAILS(EXO_ERIGHTS, page_unmap, read, VA, 1);
    CALL_FAILS(EXO_ERIGHTS, page_protect, read, VA, 1, 1);
    CALL_FAILS(EXO_ERIGHTS, page_map, read, VA + PAGE_SIZE, read, VA, 1, 1);
    CALL_FAILS(EXO_ERIGHTS, space_destroy, read);
    CALL_FAILS(EXO_EBUSY, space_destroy, a.space_cap);
    ck_assert_int_eq(CALL(page_map, EXO_SELF_SPACE, VA, read, VA, 1, 1), 1);
}
END_TEST

/* ---- what is not a user's ------------------------------------------------------------------------------------ */

/* K5 K15 */
START_TEST(device_pages)
{
    uint64_t ram = RAM_BASE, free_before = exo_free_frames(), tables;
    struct binding b;

    CALL_FAILS(EXO_ERANGE, mmio_map, EXO_FIRST_MMIO, EXO_SELF_SPACE, VA, ram, 1, 3);
    CALL_FAILS(EXO_ERANGE, mmio_map, EXO_FIRST_MMIO, EXO_SELF_SPACE, VA, ram - PAGE_SIZE, 2, 3);
    CALL_FAILS(EXO_ERANGE, mmio_map, EXO_FIRST_MMIO, EXO_SELF_SPACE, VA, ram + (4 << 20) - PAGE_SIZE, 1, 3);
    CALL_FAILS(EXO_ERANGE, mmio_map, EXO_FIRST_MMIO, EXO_SELF_SPACE, VA, MACHINE_DEVICE_BASE, 1, 3);
    CALL_FAILS(EXO_ERANGE, mmio_map, EXO_FIRST_MMIO, EXO_SELF_SPACE, VA, 0x9000800, 1, 3);
    CALL_FAILS(EXO_ERANGE, mmio_map, EXO_FIRST_MMIO, EXO_SELF_SPACE, VA, (1ull << 48) - PAGE_SIZE, 2, 3);
    CALL_FAILS(EXO_ERANGE, mmio_map, EXO_FIRST_MMIO, EXO_SELF_SPACE, VA, UINT64_MAX - PAGE_MASK, 1, 3);
    CALL_FAILS(EXO_EINVAL, mmio_map, EXO_FIRST_MMIO, EXO_SELF_SPACE, VA, 0x9000000, 1, EXO_PROT_EXEC);
    ck_assert_uint_eq(exo_free_frames(), free_before);
    ck_assert_int_eq(CALL(mmio_map, EXO_FIRST_MMIO, EXO_SELF_SPACE, VA, 0x9000000, 2, EXO_PROT_READ), 2);
    tables = free_before - exo_free_frames();
    CALL_FAILS(EXO_ERIGHTS, page_protect, EXO_SELF_SPACE, VA, 1, 3);
    ck_assert_int_eq(CALL(page_map, EXO_SELF_SPACE, VA + 8 * PAGE_SIZE, EXO_SELF_SPACE, VA, 2, 1), 2);
    CALL_FAILS(EXO_ERIGHTS, page_map, EXO_SELF_SPACE, VA + 10 * PAGE_SIZE, EXO_SELF_SPACE, VA, 1, RW);
    ck_assert_int_eq(CALL(page_map, EXO_SELF_SPACE, VA + 10 * PAGE_SIZE, EXO_SELF_SPACE, VA, 1, 1), 1);
    ck_assert(bound(VA + 10 * PAGE_SIZE, &b) && b.memory == MEMORY_DEVICE &&
              b.pfn == 0x9000000 >> PAGE_SHIFT);
    ck_assert_int_eq(CALL(page_unmap, EXO_SELF_SPACE, VA, 64), 64);
    ck_assert_uint_eq(exo_free_frames(), free_before);
    ck_assert_uint_gt(tables, 0);
}
END_TEST

/* K5: the kernel's tables are shown read-only and stay so, and are nobody's vcpu page. */
START_TEST(tables_shown)
{
    struct binding b;

    for (uint64_t t = 0; t < EXO_NINFO_TABLES; t++)
        ck_assert_int_eq(CALL(info_map, EXO_FIRST_INFO, t, 0, EXO_SELF_SPACE, VA + t * PAGE_SIZE), 0);
    CALL_FAILS(EXO_EINVAL, info_map, EXO_FIRST_INFO, EXO_NINFO_TABLES, 0, EXO_SELF_SPACE, VA + 0x100000);
    CALL_FAILS(EXO_EINVAL, info_map, EXO_FIRST_INFO, UINT64_MAX, 0, EXO_SELF_SPACE, VA + 0x100000);
    CALL_FAILS(EXO_ERANGE, info_map, EXO_FIRST_INFO, EXO_INFO_SYSTEM, 1, EXO_SELF_SPACE, VA + 0x100000);
    CALL_FAILS(EXO_ERANGE, info_map, EXO_FIRST_INFO, EXO_INFO_FRAMES, UINT64_MAX, EXO_SELF_SPACE,
               VA + 0x100000);
    CALL_FAILS(EXO_EBOUND, info_map, EXO_FIRST_INFO, EXO_INFO_LOG, 0, EXO_SELF_SPACE, VA);
    ck_assert(bound(VA, &b));
    ck_assert_uint_eq(frame_entry(b.pfn)->kind, EXO_FRAME_INFO);
    CALL_FAILS(EXO_ERIGHTS, page_protect, EXO_SELF_SPACE, VA, 1, RW);
    CALL_FAILS(EXO_ERIGHTS, page_protect, EXO_SELF_SPACE, VA, 1, 5);
    CALL_FAILS(EXO_ERIGHTS, page_map, EXO_SELF_SPACE, VA + 0x100000, EXO_SELF_SPACE, VA, 1, RW);
    CALL_FAILS(EXO_ERIGHTS, page_map, EXO_SELF_SPACE, VA + 0x100000, EXO_SELF_SPACE, VA, 1,
               1 | EXO_PROT_MAX(3));
    CALL_FAILS(EXO_ERIGHTS, vcpu_create, EXO_SELF_ENV, 0, EXO_SELF_SPACE, VA);
    ck_assert_ptr_nonnull(machine_touch(VA, EXO_PROT_READ));
    ck_assert_ptr_null(machine_touch(VA, EXO_PROT_WRITE));
    upcall_done();
    CALL_OK(page_unmap, EXO_SELF_SPACE, VA, 1);
    ck_assert_uint_eq(frame_entry(b.pfn)->kind, EXO_FRAME_INFO); /* it is still the kernel's */
}
END_TEST

START_TEST(own_tables_readable)
{
    uint64_t window = system_info->table_va;
    const uint64_t *entry;
    struct binding b;

    CALL_OK(page_alloc, EXO_SELF_SPACE, VA, 1, EXO_WANT_ANY, RW);
    entry = machine_touch(window + (VA >> PAGE_SHIFT) * 8, EXO_PROT_READ);
    ck_assert_ptr_nonnull(entry);
    ck_assert(bound(VA, &b));
    ck_assert_uint_eq(pte_paddr(*entry).v >> PAGE_SHIFT, b.pfn);
    ck_assert_ptr_null(machine_touch(window + (VA >> PAGE_SHIFT) * 8, EXO_PROT_WRITE));
    ck_assert_uint_eq(root.vcpu->page->reason, EXO_UPCALL_FAULT);
    upcall_done();
    /* The root shows itself. */
    entry = machine_touch(window + (window >> PAGE_SHIFT) * 8, EXO_PROT_READ);
    ck_assert_ptr_nonnull(entry);
}
END_TEST

/* ---- translations --------------------------------------------------------------------------------------------- */

/* K13 */
START_TEST(no_stale_translation)
{
    uint8_t *at;

    CALL_OK(page_alloc, EXO_SELF_SPACE, VA, 2, EXO_WANT_ANY, RW);
    at = machine_touch(VA, EXO_PROT_WRITE);
    ck_assert_ptr_nonnull(at);
    ck_assert_ptr_nonnull(machine_touch(VA + PAGE_SIZE, EXO_PROT_WRITE));
    exo_check();
    CALL_OK(page_protect, EXO_SELF_SPACE, VA, 1, EXO_PROT_READ);
    exo_check();
    ck_assert_ptr_null(machine_touch(VA, EXO_PROT_WRITE));
    ck_assert_uint_eq(root.vcpu->page->detail, EXO_PROT_WRITE | EXO_ACCESS_BOUND);
    upcall_done();
    ck_assert_ptr_eq(machine_touch(VA, EXO_PROT_READ), at);
    CALL_OK(page_protect, EXO_SELF_SPACE, VA, 1, EXO_PROT_NONE);
    ck_assert_ptr_null(machine_touch(VA, EXO_PROT_READ));
    upcall_done();
    CALL_OK(page_unmap, EXO_SELF_SPACE, VA, 2);
    exo_check();
    ck_assert_ptr_null(machine_touch(VA + PAGE_SIZE, EXO_PROT_READ));
    ck_assert_uint_eq(root.vcpu->page->detail, EXO_PROT_READ);
    upcall_done();
    ck_assert_ptr_null(machine_touch(system_info->table_va + (VA >> PAGE_SHIFT) * 8, EXO_PROT_READ));
    upcall_done();
}
END_TEST

/* Tables vanish under walk caches and under the tables' window. */
START_TEST(tables_leave_the_caches)
{
    uint64_t window = system_info->table_va;

    for (unsigned round = 0; round < 40; round++) {
        uint64_t va = VA + ((uint64_t)round << (21 + 9 * (round % 3)));

        CALL_OK(page_alloc, EXO_SELF_SPACE, va, 1, EXO_WANT_ANY, RW);
        ck_assert_ptr_nonnull(machine_touch(va, EXO_PROT_READ));
        ck_assert_ptr_nonnull(machine_touch(window + (va >> PAGE_SHIFT) * 8, EXO_PROT_READ));
        CALL_OK(page_unmap, EXO_SELF_SPACE, va, 1);
        exo_check();
    }
}
END_TEST

/* K11: more spaces than ASIDs, in every order: each sees its own memory. */
START_TEST(asids_roll_over)
{
    struct actor actors[12];
    struct dice d = {9};
    uint64_t flushes;

    machine.asid_bits = 3;
    for (uint64_t i = 0; i < ARRAY_LEN(actors); i++) {
        actors[i] = actor_make(32);
        CALL_OK(page_alloc, actors[i].space_cap, VA, 1, EXO_WANT_ANY, RW);
        as(&actors[i]);
        *(uint64_t *)machine_touch(VA, EXO_PROT_WRITE) = i;
        as(&root);
    }
    for (unsigned step = 0; step < 500; step++) {
        uint64_t i = dice_below(&d, ARRAY_LEN(actors));

        as(&actors[i]);
        ck_assert_uint_lt(machine.on->asid, 8);
        ck_assert_uint_ne(machine.on->asid, 0);
        ck_assert_uint_eq(*(uint64_t *)machine_touch(VA, EXO_PROT_READ), i);
        exo_check();
    }
    flushes = tlb_flushes();
    for (unsigned step = 0; step < 50; step++) { /* few spaces: switching costs no flush */
        as(&actors[step % 3]);
    }
    ck_assert_uint_le(tlb_flushes() - flushes, 1);
    as(&root);
    for (uint64_t i = 0; i < ARRAY_LEN(actors); i += 2)
        actor_destroy(&actors[i]);
}
END_TEST

START_TEST(destroyed_space_leaves_nothing)
{
    uint64_t before = exo_free_frames(), space = (uint64_t)CALL_OK(space_create, 0);
    unsigned steps = 0;

    for (uint64_t i = 0; i < 6; i++)
        CALL_OK(page_alloc, space, VA + (i << (20 + 4 * i)), 40, EXO_WANT_ANY, RW);
    while (CALL_OK(space_destroy, space)) {
        CALL_FAILS(EXO_EDEAD, page_alloc, space, 0x1000, 1, EXO_WANT_ANY, RW);
        exo_check();
        steps++;
    }
    ck_assert_uint_ge(steps, 3);
    CALL_FAILS(EXO_EDEAD, page_alloc, space, 0x1000, 1, EXO_WANT_ANY, RW);
    ck_assert_uint_eq(exo_free_frames(), before);
}
END_TEST

/* ---- lazily ----------------------------------------------------------------------------------------------------- */

/* K13: a lazy change may be seen late, and by nobody else. */
START_TEST(lazy_until_synced)
{
    uint64_t flushes;
    struct binding b;
    uint8_t *at;

    CALL_OK(page_alloc, EXO_SELF_SPACE, VA, 8, EXO_WANT_ANY, RW);
    at = machine_touch(VA, EXO_PROT_WRITE);
    ck_assert_ptr_nonnull(machine_touch(VA + PAGE_SIZE, EXO_PROT_WRITE));
    CALL_FAILS(EXO_EINVAL, page_unmap, EXO_SELF_SPACE, VA, 1, 1);
    CALL_FAILS(EXO_EINVAL, page_unmap, EXO_SELF_SPACE, VA, 1, UINT64_MAX);
    ck_assert(bound(VA, &b));
    flushes = tlb_flushes();
    CALL_OK(page_protect, EXO_SELF_SPACE, VA, 1, EXO_PROT_READ | EXO_LAZY);
    CALL_OK(page_unmap, EXO_SELF_SPACE, VA + PAGE_SIZE, 1, EXO_LAZY);
    ck_assert_uint_eq(tlb_flushes(), flushes);
    exo_check();
    ck_assert_ptr_eq(machine_touch(VA, EXO_PROT_WRITE), at); /* not yet */
    ck_assert_ptr_nonnull(machine_touch(VA + PAGE_SIZE, EXO_PROT_WRITE));
    ck_assert_int_eq(CALL(tlb_sync, EXO_SELF_SPACE, VA, 1), 0); /* a part */
    exo_check();
    ck_assert_ptr_null(machine_touch(VA, EXO_PROT_WRITE));
    upcall_done();
    ck_assert_ptr_nonnull(machine_touch(VA + PAGE_SIZE, EXO_PROT_WRITE));
    ck_assert_int_eq(CALL(tlb_sync, EXO_SELF_SPACE, VA, 8), 0);
    exo_check();
    ck_assert_ptr_null(machine_touch(VA + PAGE_SIZE, EXO_PROT_READ));
    upcall_done();
    CALL_FAILS(EXO_ERANGE, tlb_sync, EXO_SELF_SPACE, VA + 1, 1);
    CALL_FAILS(EXO_ERANGE, tlb_sync, EXO_SELF_SPACE, VA, UINT64_MAX);
    CALL_FAILS(EXO_EHANDLE, tlb_sync, 0, VA, 1);
    ck_assert_int_eq(CALL(tlb_sync, EXO_SELF_SPACE, VA, 1 << 20), 0); /* a large one: all of the space */
    ck_assert_int_eq(CALL(tlb_sync, EXO_SELF_SPACE, VA, 0), 0);
}
END_TEST

/* K13: lazily or not, what no TLB can hold is nothing to wait for, or to flush. */
START_TEST(lazy_where_nobody_looks)
{
    uint64_t space = (uint64_t)CALL_OK(space_create, 0), flushes;
    struct space *s = frame_address(cap_at(root.env, space)->object);
    struct binding b;

    CALL_OK(page_alloc, space, VA, 4, EXO_WANT_ANY, RW);
    ck_assert(space_lookup(s, VA + PAGE_SIZE, &b));
    CALL_OK(page_map, EXO_SELF_SPACE, VA, space, VA + PAGE_SIZE, 1, RW);
    flushes = tlb_flushes();
    ck_assert_int_eq(CALL(page_protect, space, VA, 2, EXO_PROT_READ | EXO_LAZY), 2);
    ck_assert(!tlb_lazy_any(&s->lazy));
    ck_assert_int_eq(CALL(page_unmap, space, VA + PAGE_SIZE, 2, EXO_LAZY), 2);
    ck_assert(!tlb_lazy_any(&s->lazy));
    ck_assert(!frame_is_stale(b.pfn));
    CALL_OK(page_alloc, space, VA + PAGE_SIZE, 2, EXO_WANT_ANY, RW);
    ck_assert_uint_eq(tlb_flushes(), flushes);
    ck_assert(space_lookup(s, VA, &b) && b.prot == EXO_PROT_READ);
    CALL_OK(space_switch, space);
    ck_assert_ptr_null(machine_touch(VA, EXO_PROT_WRITE));
}
END_TEST

/* K13: the very frame that a TLB still leads to is asked for; whoever gets it, the TLB has let go. */
START_TEST(stale_frames_are_not_handed_out)
{
    struct actor a = actor_make(64);
    struct binding b;

    CALL_OK(page_alloc, a.space_cap, VA, 1, EXO_WANT_ANY, RW); /* its tables are there */
    CALL_OK(page_alloc, EXO_SELF_SPACE, VA, 4, EXO_WANT_ANY, RW);
    CALL_OK(page_map, EXO_SELF_SPACE, VA + 8 * PAGE_SIZE, EXO_SELF_SPACE, VA, 1, RW);
    ck_assert(bound(VA, &b));
    *(uint64_t *)machine_touch(VA, EXO_PROT_WRITE) = 77;
    /* One binding ends lazily, the last one not: it is stale all the same. */
    CALL_OK(page_unmap, EXO_SELF_SPACE, VA, 1, EXO_LAZY);
    CALL_OK(page_unmap, EXO_SELF_SPACE, VA + 8 * PAGE_SIZE, 1);
    ck_assert_uint_eq(frame_entry(b.pfn)->kind, EXO_FRAME_FREE);
    ck_assert_ptr_nonnull(machine_touch(VA, EXO_PROT_WRITE));
    exo_check();
    ck_assert_int_eq(
        CALL(page_alloc, _i ? a.space_cap : EXO_SELF_SPACE, VA + (16 << PAGE_SHIFT), 1, b.pfn, RW), 1);
    exo_check();
    ck_assert_ptr_null(machine_touch(VA, EXO_PROT_READ));
    upcall_done();
    /* And an address gets another page only when no TLB holds the one before. */
    ck_assert_ptr_nonnull(machine_touch(VA + PAGE_SIZE, EXO_PROT_WRITE));
    CALL_OK(page_unmap, EXO_SELF_SPACE, VA + PAGE_SIZE, 1, EXO_LAZY);
    CALL_OK(page_map, EXO_SELF_SPACE, VA + PAGE_SIZE, EXO_SELF_SPACE, VA + 2 * PAGE_SIZE, 1, 1);
    exo_check();
    ck_assert_ptr_null(machine_touch(VA + PAGE_SIZE, EXO_PROT_WRITE));
    upcall_done();
}
END_TEST

/* K13 K11: lazily and not, synced and not, in several spaces, with ASIDs that roll over. */
START_TEST(lazy_at_random)
{
    struct dice d = {(uint64_t)_i * 7 + 1};
    uint64_t spaces[6];

    machine.asid_bits = 3;
    for (unsigned i = 0; i < ARRAY_LEN(spaces); i++)
        spaces[i] = (uint64_t)CALL_OK(space_create, 0);
    for (unsigned step = 0; step < 2500; step++) {
        uint64_t space = spaces[dice_below(&d, ARRAY_LEN(spaces))], va = VA + dice_below(&d, 32) * PAGE_SIZE;
        uint64_t n = 1 + dice_below(&d, 4), lazy = dice_below(&d, 3) ? EXO_LAZY : 0;

        switch (dice_below(&d, 9)) {
        case 0:
        case 1:
            CALL(page_alloc, space, va, n, EXO_WANT_ANY, RW);
            break;
        case 2:
            CALL(page_unmap, space, va, n, lazy);
            break;
        case 3:
            CALL(page_protect, space, va, n, (dice_below(&d, 2) ? EXO_PROT_READ : RW) | lazy);
            break;
        case 4:
            CALL(page_map, space, va, spaces[dice_below(&d, ARRAY_LEN(spaces))], va ^ PAGE_SIZE, 1, 1);
            break;
        case 5:
            CALL(tlb_sync, space, va, dice_below(&d, 2) ? n : 100);
            break;
        case 6:
            CALL_OK(space_switch, space);
            break;
        default:
            if (!machine_touch(va, dice_below(&d, 2) ? EXO_PROT_READ : EXO_PROT_WRITE))
                upcall_done();
        }
        exo_check();
    }
    CALL_OK(space_switch, EXO_SELF_SPACE);
    for (unsigned i = 0; i < ARRAY_LEN(spaces); i++)
        while (CALL_OK(space_destroy, spaces[i]))
            exo_check();
}
END_TEST

/* ---- several spaces in one environment ------------------------------------------------------------------------ */

/* What the current vcpu reads at VA. */
static uint64_t word_at_va(void)
{
    const uint64_t *word = machine_touch(VA, EXO_PROT_READ);

    ck_assert_ptr_nonnull(word);
    return *word;
}

/* K11: a vcpu moves between spaces of its environment, and each move costs no flush. */
START_TEST(vcpu_changes_spaces)
{
    uint64_t before, other = (uint64_t)CALL_OK(space_create, 0), flushes;
    struct vcpu *second;
    exo_handle_t handle;

    second = actor_vcpu(0x200000, &handle);
    CALL_OK(page_alloc, EXO_SELF_SPACE, VA, 1, EXO_WANT_ANY, RW);
    CALL_OK(page_alloc, other, VA, 2, EXO_WANT_ANY, RW);
    *(uint64_t *)machine_touch(VA, EXO_PROT_WRITE) = 1;
    ck_assert_int_eq(CALL(space_switch, other), 0);
    ck_assert_uint_eq(word_at_va(), 0);
    *(uint64_t *)machine_touch(VA, EXO_PROT_WRITE) = 2;
    exo_check();
    /* Faults are told as of the space that it runs in. */
    ck_assert_ptr_null(machine_touch(VA + PAGE_SIZE, EXO_PROT_EXEC));
    ck_assert_uint_eq(root.vcpu->page->detail, EXO_PROT_EXEC | EXO_ACCESS_BOUND);
    upcall_done();
    machine_run(second); /* another vcpu stays where it was */
    ck_assert_uint_eq(word_at_va(), 1);
    as(&root);
    ck_assert_uint_eq(word_at_va(), 2);
    flushes = tlb_flushes();
    for (unsigned i = 0; i < 20; i++) {
        ck_assert_int_eq(CALL(space_switch, i % 2 ? other : EXO_SELF_SPACE), 0);
        ck_assert_uint_eq(word_at_va(), i % 2 ? 2 : 1);
    }
    ck_assert_uint_eq(tlb_flushes(), flushes);
    CALL_FAILS(EXO_EBUSY, space_destroy, other);
    ck_assert_int_eq(CALL(space_switch, EXO_SELF_SPACE), 0);
    before = exo_free_frames();
    while (CALL_OK(space_destroy, other))
        CALL_FAILS(EXO_EDEAD, space_switch, other);
    CALL_FAILS(EXO_EDEAD, space_switch, other);
    ck_assert_uint_gt(exo_free_frames(), before);
    ck_assert_uint_eq(word_at_va(), 1);
}
END_TEST

/* K11: pinned spaces keep their ASID while all others change theirs all the time. */
START_TEST(pinned_asids_stay)
{
    uint64_t spaces[40], pinned[40] = {0}, flushes;
    struct dice d = {(uint64_t)_i + 3};
    unsigned npins = 0, nstays = 0;

    machine.asid_bits = 4;
    for (uint64_t i = 0; i < ARRAY_LEN(spaces); i++) {
        spaces[i] = (uint64_t)CALL_OK(space_create, 0);
        CALL_OK(page_alloc, spaces[i], VA, 1, EXO_WANT_ANY, RW);
        CALL_OK(space_switch, spaces[i]);
        *(uint64_t *)machine_touch(VA, EXO_PROT_WRITE) = i;
    }
    for (unsigned step = 0; step < 1500; step++) {
        uint64_t i = dice_below(&d, ARRAY_LEN(spaces));

        CALL_OK(space_switch, spaces[i]);
        ck_assert_uint_eq(word_at_va(), i);
        ck_assert_uint_lt(machine.on->asid, 16);
        if (pinned[i] > 1) { /* its ASID is known */
            ck_assert_uint_eq(machine.on->asid, pinned[i] - 1);
            nstays++;
        } else if (pinned[i]) {
            pinned[i] = machine.on->asid + 1;
        }
        if (step % 10 == 0) { /* sometimes of the one that runs */
            i = dice_below(&d, 3) ? dice_below(&d, ARRAY_LEN(spaces)) : i;
            if (pinned[i]) {
                CALL_FAILS(EXO_ESTATE, asid_pin, spaces[i]);
                ck_assert_int_eq(CALL(asid_unpin, spaces[i]), 0);
                pinned[i] = 0;
                npins--;
            } else if (npins == 4) {
                CALL_FAILS(EXO_EFULL, asid_pin, spaces[i]);
            } else {
                CALL_FAILS(EXO_ESTATE, asid_unpin, spaces[i]);
                ck_assert_int_eq(CALL(asid_pin, spaces[i]), 0);
                pinned[i] = 1;
                npins++;
            }
            ck_assert_ptr_nonnull(machine_touch(VA, EXO_PROT_READ)); /* the caller's is still in the MMU */
        }
        if (step % 20 == 0 || pinned[i])
            exo_check();
    }
    ck_assert_uint_gt(nstays, 20);
    CALL_OK(space_switch, EXO_SELF_SPACE);
    for (uint64_t i = 0; i < ARRAY_LEN(spaces); i++)
        while (CALL_OK(space_destroy, spaces[i]))
            ;
    exo_check();
    for (unsigned i = 0; i < 4; i++) { /* those that were destroyed pin no more */
        spaces[i] = (uint64_t)CALL_OK(space_create, 0);
        ck_assert_int_eq(CALL(asid_pin, spaces[i]), 0);
    }
    flushes = tlb_flushes();
    for (unsigned i = 0; i < 40; i++)
        CALL_OK(space_switch, i % 5 == 4 ? EXO_SELF_SPACE : spaces[i % 5]);
    ck_assert_uint_le(tlb_flushes() - flushes, 1);
}
END_TEST

START_TEST(only_ones_own_spaces)
{
    struct actor a = actor_make(64);
    uint64_t given, read, own = (uint64_t)CALL_OK(space_create, 0);

    CALL_FAILS(EXO_ESTATE, space_switch, a.space_cap);
    CALL_FAILS(EXO_ETYPE, space_switch, EXO_SELF_ENV);
    CALL_FAILS(EXO_EHANDLE, space_switch, 0);
    read = (uint64_t)CALL_OK(cap_grant, EXO_SELF_ENV, own, EXO_RIGHT_READ);
    CALL_FAILS(EXO_ERIGHTS, space_switch, read);
    given = (uint64_t)CALL_OK(cap_grant, a.env_cap, own, EXO_RIGHTS_ALL);
    as(&a);
    CALL_FAILS(EXO_ESTATE, space_switch, given);
    exo_check();
    as(&root);
    /* An environment ends while its vcpu runs somewhere else than at home. */
    as(&a);
    given = (uint64_t)CALL_OK(space_create, 0);
    ck_assert_int_eq(CALL(space_switch, given), 0);
    exo_check();
    as(&root);
    actor_destroy(&a);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("spaces");
    TCase *tc = tcase_create("spaces");

    tcase_add_checked_fixture(tc, exo_boot, exo_check);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, ranges);
    tcase_add_test(tc, all_or_nothing);
    tcase_add_loop_test(tc, out_of_frames_at_every_point, 0, 7);
    tcase_add_loop_test(tc, tables_come_and_go, 0, 4);
    tcase_add_loop_test(tc, rights_never_grow, 0, 4);
    tcase_add_test(tc, needs_the_right_to_map_out);
    tcase_add_test(tc, device_pages);
    tcase_add_test(tc, tables_shown);
    tcase_add_test(tc, own_tables_readable);
    tcase_add_test(tc, no_stale_translation);
    tcase_add_test(tc, tables_leave_the_caches);
    tcase_add_test(tc, asids_roll_over);
    tcase_add_test(tc, destroyed_space_leaves_nothing);
    tcase_add_test(tc, lazy_until_synced);
    tcase_add_test(tc, lazy_where_nobody_looks);
    tcase_add_loop_test(tc, stale_frames_are_not_handed_out, 0, 2);
    tcase_add_test(tc, vcpu_changes_spaces);
    tcase_add_loop_test(tc, pinned_asids_stay, 0, 4);
    tcase_add_test(tc, only_ones_own_spaces);
    suite_add_tcase(s, tc);

    tc = tcase_create("lazy");
    tcase_add_checked_fixture(tc, exo_boot, exo_check);
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, lazy_at_random, 0, 4);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    return exo_suite_run(suite());
}
