/* What devices reach: exactly what is bound for them, while it is bound.  K18, K3, K8, K5, I1 */
#include <string.h>

#include "cpu.h"
#include "dma.h"
#include "exo_machine.h"

#define VA 0x10000000ull
#define IOVA 0x80000000ull
#define STREAM 8u
#define PAGES 8u
#define R ((uint64_t)EXO_PROT_READ)
#define DOORBELL 0x08020000ull

static struct actor a;
static uint64_t dma, domain, before;

/* init: PAGES pages at VA, filled with their number. */
static void buffer(void)
{
    CALL_OK(page_alloc, EXO_SELF_SPACE, VA, PAGES, EXO_WANT_ANY, RW);
    for (unsigned i = 0; i < PAGES; i++)
        memset(machine_touch(VA + i * PAGE_SIZE, EXO_PROT_WRITE), (int)i + 1, PAGE_SIZE);
}

static void setup_with(bool iommu)
{
    machine.iommu = iommu;
    machine.msi = MACHINE_MSI_NONE; /* no doorbell but those that a test makes */
    exo_boot();
    dma = EXO_FIRST_DMA;
    buffer();
    before = exo_free_frames();
}

static void setup(void)
{
    setup_with(true);
    domain = (uint64_t)CALL_OK(dma_open, dma, STREAM);
}

static void setup_none(void)
{
    setup_with(false);
}

static bool reaches(uint64_t stream, uint64_t address, unsigned want)
{
    return machine_dma(stream, address, want) != NULL;
}

static struct binding bound_at(uint64_t va)
{
    struct binding binding = {0};

    ck_assert(space_lookup(machine.cpu->current->env->home, va, &binding));
    return binding;
}

/* An environment's stream; its DMA capability is the first behind ENV and SPACE. */
#define POOR_DMA 3u

static uint64_t opened(uint64_t stream)
{
    return (uint64_t)CALL_OK(dma_open, POOR_DMA, stream);
}

static exo_handle_t weak(uint64_t handle, unsigned rights)
{
    return (exo_handle_t)CALL_OK(cap_grant, EXO_SELF_ENV, handle, rights, 0, 0);
}

static void close_all(uint64_t handle)
{
    int64_t rc;

    do
        rc = CALL(dma_close, handle);
    while (rc == 1);
    ck_assert_int_eq(rc, 0);
    CALL_OK(cap_drop, handle);
}

/* ---- an IOMMU --------------------------------------------------------------------------------------------------- */

START_TEST(K18_a_device_reaches_what_is_bound)
{
    uint8_t *at;

    ck_assert(!reaches(STREAM, IOVA, EXO_PROT_READ));
    ck_assert_int_eq(CALL(dma_bind, domain, IOVA, EXO_SELF_SPACE, VA, 2, RW), 2);
    at = machine_dma(STREAM, IOVA + PAGE_SIZE + 5, EXO_PROT_WRITE);
    ck_assert_ptr_nonnull(at);
    ck_assert_uint_eq(*at, 2);
    *at = 77;
    ck_assert_uint_eq(*(uint8_t *)machine_touch(VA + PAGE_SIZE + 5, EXO_PROT_READ), 77);
    ck_assert_uint_eq((uint64_t)CALL_OK(dma_address, domain, IOVA + 5), IOVA + 5);
    ck_assert_int_eq(CALL(dma_status, domain, EXO_DMA_PAGES), 2);
    close_all(domain);
    ck_assert_uint_eq(exo_free_frames(), before);
}
END_TEST

/* Neither other pages of its owner, nor the kernel's, by whatever number. */
START_TEST(K18_a_device_reaches_nothing_else)
{
    CALL_OK(dma_bind, domain, IOVA, EXO_SELF_SPACE, VA, 1, R);
    ck_assert(reaches(STREAM, IOVA, EXO_PROT_READ));
    ck_assert(!reaches(STREAM, IOVA, EXO_PROT_WRITE)); /* for reading only */
    ck_assert(!reaches(STREAM, IOVA + PAGE_SIZE, EXO_PROT_READ));
    ck_assert(!reaches(STREAM, IOVA - 1, EXO_PROT_READ));
    ck_assert(!reaches(STREAM, VA, EXO_PROT_READ));
    ck_assert(!reaches(STREAM, UINT64_MAX, EXO_PROT_READ));
    for (pfn_t pfn = system_info->first_frame; pfn < system_info->first_frame + system_info->nframes; pfn++)
        ck_assert(!reaches(STREAM, (uint64_t)pfn << PAGE_SHIFT, EXO_PROT_READ));
    ck_assert(!reaches(STREAM + 1, IOVA, EXO_PROT_READ)); /* another device */
    ck_assert(!reaches(MACHINE_STREAMS, IOVA, EXO_PROT_READ));
}
END_TEST

START_TEST(K18_an_unbound_page_is_out_of_reach)
{
    struct binding page = bound_at(VA + 3 * PAGE_SIZE);

    CALL_OK(dma_bind, domain, IOVA, EXO_SELF_SPACE, VA, PAGES, RW);
    for (unsigned i = 0; i < PAGES; i++) /* all is cached now */
        ck_assert(reaches(STREAM, IOVA + i * PAGE_SIZE, EXO_PROT_WRITE));
    ck_assert_int_eq(CALL(dma_unbind, domain, IOVA + 3 * PAGE_SIZE, 1), 1);
    for (unsigned i = 0; i < PAGES; i++)
        ck_assert_int_eq(reaches(STREAM, IOVA + i * PAGE_SIZE, EXO_PROT_WRITE), i != 3);
    ck_assert_uint_eq(frame_entry(page.pfn)->refs, 1);
    ck_assert_int_eq(CALL(dma_unbind, domain, IOVA, PAGES), PAGES); /* what is not bound is passed over */
    ck_assert(!reaches(STREAM, IOVA, EXO_PROT_READ));
    exo_check();
    /* The address may be used again. */
    CALL_OK(dma_bind, domain, IOVA, EXO_SELF_SPACE, VA + PAGE_SIZE, 1, R);
    ck_assert_uint_eq(*(uint8_t *)machine_dma(STREAM, IOVA, EXO_PROT_READ), 2);
}
END_TEST

START_TEST(K18_a_stream_is_blocked_before_and_after)
{
    CALL_OK(dma_bind, domain, IOVA, EXO_SELF_SPACE, VA, 1, R);
    ck_assert(reaches(STREAM, IOVA, EXO_PROT_READ));
    close_all(domain);
    ck_assert(!reaches(STREAM, IOVA, EXO_PROT_READ));
    CALL_FAILS(EXO_EHANDLE, dma_status, domain, EXO_DMA_STREAM);
    domain = (uint64_t)CALL_OK(dma_open, dma, STREAM);
    ck_assert(!reaches(STREAM, IOVA, EXO_PROT_READ)); /* nothing is left of the one before */
    close_all(domain);
    ck_assert_uint_eq(exo_free_frames(), before);
}
END_TEST

START_TEST(K3_a_pin_keeps_a_frame)
{
    struct binding page = bound_at(VA);
    uint64_t left;

    CALL_OK(dma_bind, domain, IOVA, EXO_SELF_SPACE, VA, 1, RW);
    CALL_OK(dma_bind, domain, IOVA + PAGE_SIZE, EXO_SELF_SPACE, VA, 1, R); /* twice, for once */
    ck_assert_uint_eq(frame_entry(page.pfn)->refs, 3);
    CALL_OK(page_unmap, EXO_SELF_SPACE, VA, 1, 0);
    ck_assert_uint_eq(frame_entry(page.pfn)->kind, EXO_FRAME_USER);
    ck_assert_uint_eq(*(uint8_t *)machine_dma(STREAM, IOVA, EXO_PROT_WRITE), 1);
    left = exo_free_frames();
    CALL_OK(dma_unbind, domain, IOVA, 1);
    ck_assert_uint_eq(exo_free_frames(), left);
    CALL_OK(dma_unbind, domain, IOVA + PAGE_SIZE, 1);
    ck_assert_uint_eq(frame_entry(page.pfn)->kind, EXO_FRAME_FREE);
}
END_TEST

/* Page tables are made as they are needed, and go when they are empty. */
START_TEST(K8_tables_come_and_go)
{
    uint64_t opened = exo_free_frames();

    for (uint64_t iova = 0; iova < 1ull << 47; iova = iova ? iova << 3 : PAGE_SIZE) {
        CALL_OK(dma_bind, domain, iova, EXO_SELF_SPACE, VA, 3, RW);
        ck_assert(reaches(STREAM, iova + 2 * PAGE_SIZE, EXO_PROT_WRITE));
        ck_assert_uint_lt(exo_free_frames(), opened);
        CALL_OK(dma_unbind, domain, iova, 3);
        ck_assert_uint_eq(exo_free_frames(), opened);
        exo_check();
    }
    /* Across two lowest tables. */
    CALL_OK(dma_bind, domain, (4 << 20) - 2 * PAGE_SIZE, EXO_SELF_SPACE, VA, 4, RW);
    CALL_OK(dma_unbind, domain, (4 << 20) - 2 * PAGE_SIZE, 4);
    ck_assert_uint_eq(exo_free_frames(), opened);
}
END_TEST

START_TEST(K18_faults_are_told)
{
    const struct exo_log *log = machine.cpu->log;

    CALL_OK(dma_bind, domain, IOVA, EXO_SELF_SPACE, VA, 1, R);
    ck_assert_int_eq(CALL(dma_status, domain, EXO_DMA_FAULTS), 0);
    ck_assert(!reaches(STREAM, IOVA + 12, EXO_PROT_WRITE));
    ck_assert_int_eq(CALL(dma_status, domain, EXO_DMA_FAULTS), 1);
    ck_assert_int_eq(CALL(dma_status, domain, EXO_DMA_FAULT_ADDRESS), IOVA + 12);
    ck_assert_int_eq(CALL(dma_status, domain, EXO_DMA_FAULT_ACCESS), EXO_PROT_WRITE);
    for (unsigned i = 0; i < 100; i++)
        ck_assert(!reaches(STREAM, 0x5000, EXO_PROT_READ));
    ck_assert_int_eq(CALL(dma_status, domain, EXO_DMA_FAULTS), 33); /* as many as the queue holds */
    ck_assert_int_eq(CALL(dma_status, domain, EXO_DMA_FAULT_ADDRESS), 0x5000);
    ck_assert_int_eq(CALL(dma_status, domain, EXO_DMA_FAULT_ACCESS), EXO_PROT_READ);
    ck_assert_ptr_nonnull(strstr(log->text, "iommu: stream 8 was kept from a write of 0x8000000c\n"));
    ck_assert_ptr_null(strstr(log->text, "0x5000")); /* once is enough */
    ck_assert(!reaches(9, 0x7000, EXO_PROT_READ));
    CALL_OK(dma_status, domain, EXO_DMA_FAULTS);
    ck_assert_ptr_nonnull(strstr(log->text, "stream 9, which is nobody's, was kept from a read of 0x7000\n"));
    for (unsigned i = 0; i < 1000; i++) {
        reaches(9, 0x9000, EXO_PROT_READ);
        CALL_OK(dma_status, domain, EXO_DMA_FAULTS);
    }
    ck_assert_uint_lt(log->written, 4000); /* no storm */
    ck_assert_int_eq(CALL(dma_status, domain, EXO_DMA_STREAM), STREAM);
    ck_assert_int_eq(CALL(dma_status, domain, EXO_DMA_TRANSLATED), 1);
}
END_TEST

/* ---- errors: the documented one, and nothing changes ------------------------------------------------------------ */

#define NOTHING_CHANGES(error, name, ...)                                                                    \
    do {                                                                                                     \
        const uint64_t args_[8] = {__VA_ARGS__};                                                             \
        uint64_t state_ = exo_state(), free_ = exo_free_frames();                                            \
        int64_t got_ = machine_call(EXO_CALL_##name, args_);                                                 \
        ck_assert_msg(got_ == -(error), #name ": %ld, not " #error, (long)got_);                             \
        ck_assert_msg(exo_state() == state_ && exo_free_frames() == free_, #name ": something changed");     \
    } while (0)

START_TEST(K5_errors_of_open_and_close)
{
    uint64_t narrow =
        (uint64_t)CALL_OK(cap_grant, EXO_SELF_ENV, dma, EXO_RIGHT_USE | EXO_RIGHT_COPY, STREAM + 1, 2);
    uint64_t all = exo_free_frames();

    NOTHING_CHANGES(EXO_EHANDLE, dma_open, 0, STREAM + 1);
    NOTHING_CHANGES(EXO_ETYPE, dma_open, EXO_FIRST_IRQ, STREAM + 1);
    NOTHING_CHANGES(EXO_ERIGHTS, dma_open, weak(dma, EXO_RIGHT_MANAGE), STREAM + 1);
    NOTHING_CHANGES(EXO_ERANGE, dma_open, narrow, STREAM);
    NOTHING_CHANGES(EXO_ERANGE, dma_open, narrow, STREAM + 3);
    NOTHING_CHANGES(EXO_ERANGE, dma_open, narrow, UINT64_MAX);
    NOTHING_CHANGES(EXO_ERANGE, dma_open, dma, MACHINE_STREAMS);
    NOTHING_CHANGES(EXO_ERANGE, dma_open, dma, EXO_DMA_STREAMS);
    NOTHING_CHANGES(EXO_EBUSY, dma_open, dma, STREAM);
    NOTHING_CHANGES(EXO_EUNTRUSTED, dma_open, weak(dma, EXO_RIGHT_USE), EXO_DMA_DIRECT + STREAM);
    ck_assert_uint_eq(exo_free_frames(), all);
    NOTHING_CHANGES(EXO_ETYPE, dma_close, dma);
    NOTHING_CHANGES(EXO_ERIGHTS, dma_close, weak(domain, EXO_RIGHT_USE | EXO_RIGHT_READ));
    NOTHING_CHANGES(EXO_ERANGE, cap_grant, EXO_SELF_ENV, narrow, EXO_RIGHT_USE, STREAM, 2);
    NOTHING_CHANGES(EXO_ERANGE, cap_grant, EXO_SELF_ENV, dma, EXO_RIGHT_USE, STREAM, 0);
    NOTHING_CHANGES(EXO_EINVAL, cap_grant, EXO_SELF_ENV, domain, EXO_RIGHT_USE, 1, 1);
}
END_TEST

START_TEST(K5_errors_of_bind)
{
    uint64_t other, dead;

    CALL_OK(dma_bind, domain, IOVA, EXO_SELF_SPACE, VA, 1, R);
    CALL_OK(page_map, EXO_SELF_SPACE, VA + 0x100000, EXO_SELF_SPACE, VA, 2, R); /* may never be written */
    CALL_OK(mmio_map, EXO_FIRST_MMIO, EXO_SELF_SPACE, VA + 0x200000, 0x9000000, 1, RW);
    other = (uint64_t)CALL_OK(space_create, 0);
    NOTHING_CHANGES(EXO_EHANDLE, dma_bind, 0, IOVA, EXO_SELF_SPACE, VA, 1, R);
    NOTHING_CHANGES(EXO_ETYPE, dma_bind, dma, IOVA, EXO_SELF_SPACE, VA, 1, R);
    NOTHING_CHANGES(EXO_ERIGHTS, dma_bind, weak(domain, EXO_RIGHT_READ), IOVA, EXO_SELF_SPACE, VA, 1, R);
    NOTHING_CHANGES(EXO_EHANDLE, dma_bind, domain, IOVA + 0x1000, 0, VA, 1, R);
    NOTHING_CHANGES(EXO_ETYPE, dma_bind, domain, IOVA + 0x1000, EXO_SELF_ENV, VA, 1, R);
    NOTHING_CHANGES(EXO_ERIGHTS, dma_bind, domain, IOVA + 0x1000, weak(EXO_SELF_SPACE, EXO_RIGHT_USE), VA, 1,
                    R);
    NOTHING_CHANGES(EXO_ERANGE, dma_bind, domain, IOVA + 8, EXO_SELF_SPACE, VA, 1, R);
    NOTHING_CHANGES(EXO_ERANGE, dma_bind, domain, 1ull << ARCH_USER_BITS, EXO_SELF_SPACE, VA, 1, R);
    NOTHING_CHANGES(EXO_ERANGE, dma_bind, domain, (1ull << ARCH_USER_BITS) - PAGE_SIZE, EXO_SELF_SPACE, VA, 2,
                    R);
    NOTHING_CHANGES(EXO_ERANGE, dma_bind, domain, IOVA, EXO_SELF_SPACE, VA, UINT64_MAX, R);
    NOTHING_CHANGES(EXO_ERANGE, dma_bind, domain, -(uint64_t)PAGE_SIZE, EXO_SELF_SPACE, VA, 2, R);
    NOTHING_CHANGES(EXO_ERANGE, dma_bind, domain, IOVA, EXO_SELF_SPACE, VA + 1, 1, R);
    NOTHING_CHANGES(EXO_ERANGE, dma_bind, domain, IOVA, EXO_SELF_SPACE, system_info->table_va, 1, R);
    NOTHING_CHANGES(EXO_EINVAL, dma_bind, domain, IOVA + 0x1000, EXO_SELF_SPACE, VA, 1, 0);
    NOTHING_CHANGES(EXO_EINVAL, dma_bind, domain, IOVA + 0x1000, EXO_SELF_SPACE, VA, 1, EXO_PROT_WRITE);
    NOTHING_CHANGES(EXO_EINVAL, dma_bind, domain, IOVA + 0x1000, EXO_SELF_SPACE, VA, 1, R | EXO_PROT_EXEC);
    NOTHING_CHANGES(EXO_EINVAL, dma_bind, domain, IOVA + 0x1000, EXO_SELF_SPACE, VA, 1, R | 1ull << 40);
    NOTHING_CHANGES(EXO_EUNBOUND, dma_bind, domain, IOVA + 0x1000, EXO_SELF_SPACE,
                    VA + (PAGES - 1) * PAGE_SIZE, 2, R);
    NOTHING_CHANGES(EXO_EUNBOUND, dma_bind, domain, IOVA + 0x1000, other, VA, 1, R);
    NOTHING_CHANGES(EXO_ERIGHTS, dma_bind, domain, IOVA + 0x1000, EXO_SELF_SPACE, VA + 0x100000, 2, RW);
    NOTHING_CHANGES(EXO_EINVAL, dma_bind, domain, IOVA + 0x1000, EXO_SELF_SPACE, VA + 0x200000, 1, R);
    NOTHING_CHANGES(EXO_EINVAL, dma_bind, domain, IOVA + 0x1000, EXO_SELF_SPACE, EXO_FIRST_SYSTEM_VA, 1, R);
    NOTHING_CHANGES(EXO_EBOUND, dma_bind, domain, IOVA, EXO_SELF_SPACE, VA, 1, R);
    NOTHING_CHANGES(EXO_EBOUND, dma_bind, domain, IOVA - 0x2000, EXO_SELF_SPACE, VA, 4, R);
    frame_entry(bound_at(VA + PAGE_SIZE).pfn)->refs += UINT32_MAX - 20;
    NOTHING_CHANGES(EXO_EFULL, dma_bind, domain, IOVA + 0x1000, EXO_SELF_SPACE, VA, 2, R);
    frame_entry(bound_at(VA + PAGE_SIZE).pfn)->refs -= UINT32_MAX - 20;
    dead = (uint64_t)CALL_OK(dma_open, dma, STREAM + 1);
    CALL_OK(dma_bind, dead, IOVA, EXO_SELF_SPACE, VA, 1, R);
    ck_assert_int_eq(CALL(dma_close, dead), 1);
    NOTHING_CHANGES(EXO_EDEAD, dma_bind, dead, IOVA + PAGE_SIZE, EXO_SELF_SPACE, VA, 1, R);
    while (CALL_OK(dma_close, dead))
        ;
    NOTHING_CHANGES(EXO_EDEAD, dma_bind, dead, IOVA, EXO_SELF_SPACE, VA, 1, R);
    NOTHING_CHANGES(EXO_EDEAD, dma_close, dead);
}
END_TEST

START_TEST(K5_errors_of_the_others)
{
    CALL_OK(dma_bind, domain, IOVA, EXO_SELF_SPACE, VA, 1, R);
    NOTHING_CHANGES(EXO_ETYPE, dma_unbind, EXO_SELF_SPACE, IOVA, 1);
    NOTHING_CHANGES(EXO_ERIGHTS, dma_unbind, weak(domain, EXO_RIGHT_READ), IOVA, 1);
    NOTHING_CHANGES(EXO_ERANGE, dma_unbind, domain, IOVA + 1, 1);
    NOTHING_CHANGES(EXO_ERANGE, dma_unbind, domain, UINT64_MAX - PAGE_MASK, 1);
    NOTHING_CHANGES(EXO_ERANGE, dma_unbind, domain, 0, UINT64_MAX);
    NOTHING_CHANGES(EXO_ERANGE, dma_unbind, domain, 0, (DMA_ADDRESS_END >> PAGE_SHIFT) + 1);
    ck_assert_int_gt(CALL(dma_unbind, domain, 0, DMA_ADDRESS_END >> PAGE_SHIFT),
                     0); /* a piece of all there is */
    NOTHING_CHANGES(EXO_ETYPE, dma_address, dma, IOVA);
    NOTHING_CHANGES(EXO_ERIGHTS, dma_address, weak(domain, EXO_RIGHT_READ), IOVA);
    NOTHING_CHANGES(EXO_EUNBOUND, dma_address, domain, IOVA + PAGE_SIZE);
    NOTHING_CHANGES(EXO_EUNBOUND, dma_address, domain, 1ull << 40);
    NOTHING_CHANGES(EXO_ERANGE, dma_address, domain, UINT64_MAX);
    NOTHING_CHANGES(EXO_ERIGHTS, dma_status, weak(domain, EXO_RIGHT_USE), 0);
    NOTHING_CHANGES(EXO_EINVAL, dma_status, domain, EXO_NDMA_FIELDS);
    NOTHING_CHANGES(EXO_ETYPE, dma_status, dma, 0);
    ck_assert_int_eq(CALL(dma_bind, domain, IOVA, EXO_SELF_SPACE, VA, 0, R), 0);
    ck_assert_int_eq(CALL(dma_unbind, domain, IOVA, 0), 0);
    ck_assert(reaches(STREAM, IOVA, EXO_PROT_READ));
}
END_TEST

/* One call does a bounded piece, and less when an interrupt waits. */
START_TEST(K5_bounded)
{
    for (uint64_t i = 0; i < 64; i++)
        CALL_OK(page_alloc, EXO_SELF_SPACE, VA + 0x100000 + i * PAGE_SIZE, 1, EXO_WANT_ANY, RW);
    ck_assert_int_eq(CALL(dma_bind, domain, IOVA, EXO_SELF_SPACE, VA + 0x100000, 64, RW), DMA_RANGE_MAX);
    ck_assert_int_eq(CALL(dma_bind, domain, IOVA + 0x40000, EXO_SELF_SPACE, VA + 0x120000, 32, RW), 32);
    ck_assert(!reaches(STREAM, IOVA + DMA_RANGE_MAX * PAGE_SIZE, EXO_PROT_READ));
    ck_assert_int_eq(CALL(dma_unbind, domain, IOVA, 1000), DMA_RANGE_MAX);
    ck_assert(!reaches(STREAM, IOVA + 0x1f000, EXO_PROT_READ));
    ck_assert(reaches(STREAM, IOVA + 0x40000, EXO_PROT_READ));
}
END_TEST

/* ---- want of memory ------------------------------------------------------------------------------------------------ */

/* An environment with a limit of n frames, its stream, and three pages at VA that are init's. */
static struct actor poor(uint64_t limit)
{
    struct actor poor = actor_make(limit);

    CALL_OK(page_map, poor.space_cap, VA, EXO_SELF_SPACE, VA, 3, RW);
    CALL_OK(cap_grant, poor.env_cap, dma, EXO_RIGHT_USE, STREAM + 64, 1);
    return poor;
}

START_TEST(K8_exhaustion_at_each_allocation)
{
    uint64_t all = exo_free_frames(), refused = 0, least;
    bool done = false;

    a = poor(50);
    least = a.env->owner.account.used;
    actor_destroy(&a);
    for (uint64_t limit = least; !done; limit++) {
        int64_t handle, rc = -1;

        a = poor(limit);
        as(&a);
        handle = CALL(dma_open, POOR_DMA, STREAM + 64);
        if (handle < 0) {
            ck_assert_int_eq(handle, -EXO_EQUOTA);
            ck_assert(!reaches(STREAM + 64, IOVA, EXO_PROT_READ));
        } else {
            rc = CALL(dma_bind, handle, IOVA - PAGE_SIZE, EXO_SELF_SPACE, VA, 3, RW); /* in two tables */
            ck_assert(rc == -EXO_EQUOTA || rc == 3);
            ck_assert_int_eq(reaches(STREAM + 64, IOVA, EXO_PROT_READ), rc == 3);
        }
        refused += rc < 0;
        done = rc == 3;
        exo_check();
        as(&root);
        actor_destroy(&a);
        ck_assert(!reaches(STREAM + 64, IOVA, EXO_PROT_READ));
        ck_assert_uint_eq(exo_free_frames(), all);
    }
    /* head, root, a page of streams, then two times a path of tables but for the root */
    ck_assert_uint_eq(refused, 3 + 2 * (ARCH_PT_LEVELS - 1) - 1);
}
END_TEST

#define TAGS 126u /* 128, less number 0 and the one that is open */

/* As often as one likes. */
START_TEST(K8_more_domains_than_tags)
{
    uint64_t handles[TAGS + 1];

    for (unsigned i = 0; i < TAGS + 1; i++) /* room in init's table, which does not shrink */
        handles[i] = weak(dma, 0);
    for (unsigned i = 0; i < TAGS + 1; i++)
        CALL_OK(cap_drop, handles[i]);
    before = exo_free_frames() + 3; /* head, root and streams of the one that is open */
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < TAGS; i++)
            handles[i] = (uint64_t)CALL_OK(dma_open, dma, 100 + i);
        CALL_FAILS(EXO_EFULL, dma_open, dma, 100 + TAGS);
        for (unsigned i = 0; i < TAGS; i++) {
            ck_assert_uint_ne(dma_stream_domain(100 + i)->tag, 0);
            for (unsigned k = 0; k < i; k++)
                ck_assert_uint_ne(dma_stream_domain(100 + i)->tag, dma_stream_domain(100 + k)->tag);
        }
        exo_check();
        for (unsigned i = 0; i < TAGS; i++)
            close_all(handles[i]);
    }
    close_all(domain);
    ck_assert_uint_eq(exo_free_frames(), before);
}
END_TEST

/* Two pages on both sides of where a table ends: both tables go with them.  Loop: at an even, and at an odd one. */
START_TEST(K8_both_tables_of_a_range_go)
{
    const uint64_t iova = IOVA + (1ull + (unsigned)_i) * (2 << 20) - PAGE_SIZE;
    uint64_t free = exo_free_frames();

    ck_assert_int_eq(CALL(dma_bind, domain, iova, EXO_SELF_SPACE, VA, 2, RW), 2);
    ck_assert_int_eq(CALL(dma_unbind, domain, iova, 2), 2);
    ck_assert_uint_eq(exo_free_frames(), free);
}
END_TEST

/* One that ends with a page at the end of a table, and nothing behind. */
START_TEST(K8_the_last_page_of_a_table)
{
    CALL_OK(dma_bind, domain, IOVA + (2 << 20) - PAGE_SIZE, EXO_SELF_SPACE, VA, 1, RW);
    close_all(domain);
    ck_assert_uint_eq(exo_free_frames(), before);
}
END_TEST

/* Pieces are as large as they may be: one lets the device go, one finds the page through three tables, and two see that there is
 * nothing else. */
START_TEST(K5_few_pieces_close_a_domain)
{
    CALL_OK(dma_bind, domain, IOVA + (9 << 21) + 9 * PAGE_SIZE, EXO_SELF_SPACE, VA, 1, RW);
    for (unsigned i = 0; i < 3; i++)
        ck_assert_int_eq(CALL(dma_close, domain), 1);
    ck_assert_int_eq(CALL(dma_close, domain), 0);
    CALL_OK(cap_drop, domain);
    ck_assert_uint_eq(exo_free_frames(), before);
}
END_TEST

/* The unit is told that a page of stream entries is gone: whoever has the frame next writes no entries there. */
START_TEST(K18_a_freed_page_holds_no_streams)
{
    const uint64_t forged = VA + 0x100000, iova = IOVA + (3 << 21) + (5 << 12);
    pfn_t was = dma_stream_table(STREAM / 64), table = bound_at(VA).pfn;
    uint64_t *words = frame_address(bound_at(VA + PAGE_SIZE).pfn), *entries;

    close_all(domain);
    ck_assert_uint_eq(dma_stream_table(STREAM / 64), 0);
    ck_assert_int_eq(CALL(page_alloc, EXO_SELF_SPACE, forged, 1, was, RW), 1);
    entries = frame_address(was);
    ((struct arch_domain *)words)->root = pfn_to_paddr(table).v;
    ((struct arch_domain *)words)->tag = 1;
    for (unsigned i = 0; i < PAGE_SIZE / 8; i++) {
        entries[i] = virt_to_phys(words).v;
        ((pte_t *)frame_address(table))[i] =
            i == 5 ? pte_leaf(pfn_to_paddr(table), RW, RW, MEMORY_NORMAL) : pte_table(pfn_to_paddr(table));
    }
    ck_assert(!reaches(STREAM, iova, EXO_PROT_READ));
}
END_TEST

START_TEST(bounds_of_lists)
{
    ck_assert(!dma_is_doorbell((paddr_t){0}));
    ck_assert_uint_eq(dma_stream_table(DMA_STREAMS_MAX / 64), 0);
}
END_TEST

/* ---- ends ---------------------------------------------------------------------------------------------------------- */

/* In the midst of transfers: after every step the device reaches nothing that is not still the dead one's. */
START_TEST(K18_K3_the_end_of_an_environment_in_the_midst)
{
    uint64_t all = exo_free_frames(), handle, pages = 150;
    pfn_t pfns[150];
    int64_t rc;

    a = actor_make(400);
    CALL_OK(cap_grant, a.env_cap, dma, EXO_RIGHT_USE, STREAM + 1, 1);
    as(&a);
    handle = (uint64_t)CALL_OK(dma_open, POOR_DMA, STREAM + 1);
    for (uint64_t i = 0; i < pages; i++) {
        CALL_OK(page_alloc, EXO_SELF_SPACE, VA + i * PAGE_SIZE, 1, EXO_WANT_ANY, RW);
        pfns[i] = bound_at(VA + i * PAGE_SIZE).pfn;
        CALL_OK(dma_bind, handle, IOVA + i * i * PAGE_SIZE, EXO_SELF_SPACE, VA + i * PAGE_SIZE, 1, RW);
        ck_assert(reaches(STREAM + 1, IOVA + i * i * PAGE_SIZE, EXO_PROT_WRITE));
        if (i % 3 == 0) /* only the device has it */
            CALL_OK(page_unmap, EXO_SELF_SPACE, VA + i * PAGE_SIZE, 1, 0);
    }
    as(&root);
    do {
        rc = CALL(env_destroy, a.env_cap);
        for (uint64_t i = 0; i < pages; i++)
            if (reaches(STREAM + 1, IOVA + i * i * PAGE_SIZE, EXO_PROT_WRITE))
                ck_assert(frame_entry(pfns[i])->kind == EXO_FRAME_USER && frame_entry(pfns[i])->refs > 0);
        exo_check();
    } while (rc == 1);
    ck_assert_int_eq(rc, 0);
    for (uint64_t i = 0; i < pages; i++)
        ck_assert(!reaches(STREAM + 1, IOVA + i * i * PAGE_SIZE, EXO_PROT_READ));
    CALL_OK(cap_drop, a.env_cap);
    CALL_OK(cap_drop, a.space_cap);
    CALL_OK(cap_drop, a.vcpu_cap);
    ck_assert_uint_eq(exo_free_frames(), all);
    close_all((uint64_t)CALL_OK(dma_open, dma, STREAM + 1)); /* the stream is free again */
}
END_TEST

/* Two environments' streams stand in one page of entries, which the first of them paid for. */
START_TEST(K8_a_page_of_streams_outlives_its_payer)
{
    struct actor b;
    uint64_t all = exo_free_frames();

    a = actor_make(60);
    b = actor_make(60);
    CALL_OK(cap_grant, a.env_cap, dma, EXO_RIGHT_USE, 70, 1);
    CALL_OK(cap_grant, b.env_cap, dma, EXO_RIGHT_USE, 71, 1);
    as(&a);
    CALL_OK(dma_open, POOR_DMA, 70);
    as(&b);
    CALL_OK(page_alloc, EXO_SELF_SPACE, VA, 1, EXO_WANT_ANY, RW);
    CALL_OK(dma_bind, opened(71), IOVA, EXO_SELF_SPACE, VA, 1, RW);
    ck_assert(reaches(71, IOVA, EXO_PROT_WRITE));
    as(&root);
    actor_destroy(&a);
    exo_check();
    ck_assert(reaches(71, IOVA, EXO_PROT_WRITE));
    actor_destroy(&b);
    ck_assert(!reaches(71, IOVA, EXO_PROT_WRITE));
    ck_assert_uint_eq(exo_free_frames(), all);
}
END_TEST

/* A domain given away is a place for others' memory, as a space is. */
START_TEST(K5_memory_of_another)
{
    uint64_t all, given;
    struct binding page;

    CALL_OK(dma_bind, domain, IOVA, EXO_SELF_SPACE, VA, 1, RW);
    all = exo_free_frames();
    a = actor_make(60);
    given = (uint64_t)CALL_OK(cap_grant, a.env_cap, domain, EXO_RIGHT_USE);
    as(&a);
    CALL_OK(page_alloc, EXO_SELF_SPACE, VA, 1, EXO_WANT_ANY, RW);
    page = bound_at(VA);
    CALL_OK(dma_bind, given, IOVA + PAGE_SIZE, EXO_SELF_SPACE, VA, 1, RW);
    CALL_FAILS(EXO_ERIGHTS, dma_close, given);
    CALL_FAILS(EXO_ERIGHTS, dma_status, given, 0);
    as(&root);
    actor_destroy(&a);
    ck_assert(reaches(STREAM, IOVA + PAGE_SIZE, EXO_PROT_WRITE)); /* it is the domain's still */
    ck_assert_uint_eq(frame_entry(page.pfn)->kind, EXO_FRAME_USER);
    exo_check();
    CALL_OK(dma_unbind, domain, IOVA + PAGE_SIZE, 1);
    ck_assert_uint_eq(exo_free_frames(), all);
}
END_TEST

/* ---- an IOMMU that does not answer -------------------------------------------------------------------------------- */

START_TEST(K18_no_answer_and_nothing_is_freed)
{
    struct binding page = bound_at(VA);
    uint64_t state;

    CALL_OK(dma_bind, domain, IOVA, EXO_SELF_SPACE, VA, 2, RW);
    ck_assert(reaches(STREAM, IOVA, EXO_PROT_WRITE));
    machine.iommu_deaf = true;
    state = exo_state();
    CALL_FAILS(EXO_ETIMEDOUT, dma_unbind, domain, IOVA, 2);
    ck_assert_uint_eq(exo_state(), state);
    CALL_OK(page_unmap, EXO_SELF_SPACE, VA, PAGES, 0);
    ck_assert_uint_eq(frame_entry(page.pfn)->kind, EXO_FRAME_USER);
    exo_check();
    ck_assert_int_eq(CALL(dma_close, domain), 0); /* it is lost */
    CALL_FAILS(EXO_EDEAD, dma_bind, domain, IOVA, EXO_SELF_SPACE, VA, 1, RW);
    CALL_FAILS(EXO_EBUSY, dma_open, dma, STREAM);
    ck_assert_uint_eq(frame_entry(page.pfn)->refs, 1);
    ck_assert_ptr_nonnull(
        strstr(machine.cpu->log->text, "iommu: no answer; stream 8 and its memory are lost\n"));
    exo_check();
    CALL_FAILS(EXO_ETIMEDOUT, dma_open, dma, STREAM + 1);
    exo_check();
}
END_TEST

/* Tables that were made in vain may have been walked: they stay, and nothing else changes. */
START_TEST(K18_no_answer_and_no_table_is_freed)
{
    CALL_OK(dma_bind, domain, IOVA, EXO_SELF_SPACE, VA, 1, RW);
    ck_assert(reaches(STREAM, IOVA, EXO_PROT_READ));
    machine.iommu_deaf = true;
    CALL_FAILS(EXO_EBOUND, dma_bind, domain, IOVA - 2 * PAGE_SIZE, EXO_SELF_SPACE, VA, 3, RW);
    exo_check();
    ck_assert(!reaches(STREAM, IOVA - PAGE_SIZE, EXO_PROT_READ));
    ck_assert_int_eq(CALL(dma_bind, domain, IOVA - 2 * PAGE_SIZE, EXO_SELF_SPACE, VA, 2, RW), 2);
    exo_check();
    machine.iommu_deaf = false; /* it is not asked again */
    CALL_FAILS(EXO_ETIMEDOUT, dma_unbind, domain, IOVA, 1);
    ck_assert(reaches(STREAM, IOVA, EXO_PROT_READ));
}
END_TEST

/* The environment goes, what the device may still reach does not. */
START_TEST(K18_no_answer_at_the_end_of_an_environment)
{
    struct binding page;

    a = actor_make(60);
    CALL_OK(cap_grant, a.env_cap, dma, EXO_RIGHT_USE, STREAM + 1, 1);
    as(&a);
    CALL_OK(page_alloc, EXO_SELF_SPACE, VA, 1, EXO_WANT_ANY, RW);
    page = bound_at(VA);
    CALL_OK(dma_bind, opened(STREAM + 1), IOVA, EXO_SELF_SPACE, VA, 1, RW);
    ck_assert(reaches(STREAM + 1, IOVA, EXO_PROT_WRITE));
    as(&root);
    machine.iommu_deaf = true;
    actor_destroy(&a);
    exo_check();
    ck_assert_uint_eq(frame_entry(page.pfn)->kind, EXO_FRAME_USER);
    ck_assert_uint_eq(frame_entry(page.pfn)->refs, 1);
    CALL_FAILS(EXO_EBUSY, page_alloc, EXO_SELF_SPACE, VA + 0x100000, 1, page.pfn, RW);
}
END_TEST

/* ---- the interrupt controller's doorbell ----------------------------------------------------------------------------- */

START_TEST(K18_doorbells_are_reached_by_all)
{
    uint64_t other;

    close_all(domain);
    ck_assert(dma_doorbell((paddr_t){DOORBELL + 0x40}));
    for (unsigned i = 1; i < DMA_DOORBELLS_MAX; i++)
        ck_assert(dma_doorbell((paddr_t){DOORBELL + i * 0x10000}));
    ck_assert(!dma_doorbell((paddr_t){0x1000}));
    domain = (uint64_t)CALL_OK(dma_open, dma, STREAM);
    ck_assert(machine_dma(STREAM, DOORBELL + 0x40, EXO_PROT_WRITE) == machine.linear + DOORBELL + 0x40);
    ck_assert_int_eq(CALL(dma_status, domain, EXO_DMA_PAGES), DMA_DOORBELLS_MAX);
    CALL_FAILS(EXO_EBOUND, dma_bind, domain, DOORBELL, EXO_SELF_SPACE, VA, 1, RW);
    CALL_OK(dma_unbind, domain, DOORBELL, 1); /* the kernel's, not the owner's */
    ck_assert(reaches(STREAM, DOORBELL, EXO_PROT_WRITE));
    CALL_FAILS(EXO_EUNBOUND, dma_address, domain, DOORBELL);
    other = (uint64_t)CALL_OK(dma_open, dma, EXO_DMA_DIRECT);
    ck_assert_int_eq(CALL(dma_status, other, EXO_DMA_PAGES), 0);
    close_all(domain);
    close_all(other);
    ck_assert_uint_eq(exo_free_frames(), before);
}
END_TEST

/* ---- no IOMMU ---------------------------------------------------------------------------------------------------------- */

START_TEST(K18_without_iommu_only_the_trusted)
{
    uint64_t use = weak(dma, EXO_RIGHT_USE), trusted = weak(dma, EXO_RIGHT_USE | EXO_RIGHT_MANAGE);
    struct binding page = bound_at(VA);

    ck_assert_uint_eq(system_info->dma_streams, 0);
    before = exo_free_frames();
    NOTHING_CHANGES(EXO_EUNTRUSTED, dma_open, use, STREAM);
    NOTHING_CHANGES(EXO_EUNTRUSTED, dma_open, use, EXO_DMA_DIRECT);
    domain = (uint64_t)CALL_OK(dma_open, trusted, STREAM);
    ck_assert_int_eq(CALL(dma_status, domain, EXO_DMA_TRANSLATED), 0);
    CALL_OK(dma_bind, domain, IOVA, EXO_SELF_SPACE, VA, 2, RW);
    ck_assert_int_eq(CALL(dma_address, domain, IOVA + 9), (int64_t)page.pfn * PAGE_SIZE + 9);
    ck_assert_uint_eq(
        *(uint8_t *)machine_dma(STREAM, (uint64_t)CALL_OK(dma_address, domain, IOVA), EXO_PROT_READ), 1);
    CALL_OK(page_unmap, EXO_SELF_SPACE, VA, 1, 0); /* pinned all the same */
    ck_assert_uint_eq(frame_entry(page.pfn)->kind, EXO_FRAME_USER);
    CALL_OK(dma_unbind, domain, IOVA, 1);
    ck_assert_uint_eq(frame_entry(page.pfn)->kind, EXO_FRAME_FREE);
    exo_check();
    close_all(domain);
    ck_assert_uint_eq(exo_free_frames(), before + 1);
}
END_TEST

START_TEST(K3_pins_without_iommu_end_with_the_environment)
{
    uint64_t all = exo_free_frames();

    a = actor_make(60);
    CALL_OK(cap_grant, a.env_cap, dma, EXO_RIGHT_USE | EXO_RIGHT_MANAGE, EXO_DMA_DIRECT, 1);
    as(&a);
    CALL_OK(page_alloc, EXO_SELF_SPACE, VA, 4, EXO_WANT_ANY, RW);
    CALL_OK(dma_bind, opened(EXO_DMA_DIRECT), IOVA, EXO_SELF_SPACE, VA, 4, RW);
    CALL_OK(page_unmap, EXO_SELF_SPACE, VA, 4, 0);
    exo_check();
    as(&root);
    actor_destroy(&a);
    ck_assert_uint_eq(exo_free_frames(), all);
}
END_TEST

/* A device that is not behind the IOMMU that there is counts as without. */
START_TEST(K18_beside_the_iommu)
{
    CALL_FAILS(EXO_EUNTRUSTED, dma_open, weak(dma, EXO_RIGHT_USE), EXO_DMA_DIRECT + 3);
    domain = (uint64_t)CALL_OK(dma_open, dma, EXO_DMA_DIRECT + 3);
    CALL_OK(dma_bind, domain, IOVA, EXO_SELF_SPACE, VA, 1, RW);
    ck_assert_int_eq(CALL(dma_address, domain, IOVA), (int64_t)bound_at(VA).pfn * PAGE_SIZE);
    ck_assert_int_eq(CALL(dma_status, domain, EXO_DMA_TRANSLATED), 0);
}
END_TEST

START_TEST(boot_says_which)
{
    ck_assert_ptr_nonnull(strstr(machine.cpu->log->text,
                                 _i ? "iommu: the model\n" : "iommu: none: devices reach all memory\n"));
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("dma");
    TCase *with = tcase_create("with an IOMMU"), *without = tcase_create("without");

    tcase_set_timeout(with, 60);
    tcase_set_timeout(without, 60);
    tcase_add_checked_fixture(with, setup, exo_check);
    tcase_add_test(with, K18_a_device_reaches_what_is_bound);
    tcase_add_test(with, K18_a_device_reaches_nothing_else);
    tcase_add_test(with, K18_an_unbound_page_is_out_of_reach);
    tcase_add_test(with, K18_a_stream_is_blocked_before_and_after);
    tcase_add_test(with, K3_a_pin_keeps_a_frame);
    tcase_add_test(with, K8_tables_come_and_go);
    tcase_add_test(with, K18_faults_are_told);
    tcase_add_test(with, K5_errors_of_open_and_close);
    tcase_add_test(with, K5_errors_of_bind);
    tcase_add_test(with, K5_errors_of_the_others);
    tcase_add_test(with, K5_bounded);
    tcase_add_test(with, K8_exhaustion_at_each_allocation);
    tcase_add_test(with, K8_more_domains_than_tags);
    tcase_add_loop_test(with, K8_both_tables_of_a_range_go, 0, 2);
    tcase_add_test(with, K8_the_last_page_of_a_table);
    tcase_add_test(with, K5_few_pieces_close_a_domain);
    tcase_add_test(with, K18_a_freed_page_holds_no_streams);
    tcase_add_test(with, bounds_of_lists);
    tcase_add_test(with, K18_K3_the_end_of_an_environment_in_the_midst);
    tcase_add_test(with, K8_a_page_of_streams_outlives_its_payer);
    tcase_add_test(with, K5_memory_of_another);
    tcase_add_test(with, K18_no_answer_and_nothing_is_freed);
    tcase_add_test(with, K18_no_answer_and_no_table_is_freed);
    tcase_add_test(with, K18_no_answer_at_the_end_of_an_environment);
    tcase_add_test(with, K18_doorbells_are_reached_by_all);
    tcase_add_test(with, K18_beside_the_iommu);
    tcase_add_loop_test(with, boot_says_which, 1, 2);
    suite_add_tcase(s, with);
    tcase_add_checked_fixture(without, setup_none, exo_check);
    tcase_add_test(without, K18_without_iommu_only_the_trusted);
    tcase_add_test(without, K3_pins_without_iommu_end_with_the_environment);
    tcase_add_loop_test(without, boot_says_which, 0, 1);
    suite_add_tcase(s, without);
    return s;
}

int main(void)
{
    return exo_suite_run(suite());
}
