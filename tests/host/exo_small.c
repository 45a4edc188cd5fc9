#include "exo_small.h"

#include <string.h>

#include "audit.h"
#include "cpu.h"

#define SMALL_LIMIT 14u
#define OF_A_VCPU 2u   /* frames */
#define OF_A_DOMAIN 6u /* with the page of stream entries */
#define PIECE 24u      /* pages that one call zeroes: space_large.c */
#define AGAIN_MAX 100u /* where another CPU has to take an interrupt first, it never ends */
#define LAST_WORD (PAGE_SIZE - 8)

struct small small;

/* A large page stands behind it. */
static struct exo_range rest = {RAM_BASE + 0x150000, 0x200000 - 0x150000};

static void boot(unsigned cpus_wanted)
{
    struct exo_tree tree = {.nmemory = 1, .memory = {{RAM_BASE, small.ram_bytes}}, .nreserved = 1};

    machine.ncpus = cpus_wanted;
    machine.iommu = small.with & SMALL_DMA;
    exo_image_make(&exo_image, small.ram_bytes);
    tree.initrd = (struct exo_range){exo_image.bundle_base, exo_image.bundle_len};
    tree.reserved[0] = rest;
    exo_tree_make(&exo_image, &tree);
    exo_boot_image();
}

static void child_vcpu(unsigned i, uint64_t handles, unsigned cpu, exo_handle_t *handle)
{
    uint64_t va = ACTOR_VCPU_VA + i * PAGE_SIZE;

    CALL_OK(page_alloc, handles >> 32, va, 1, EXO_WANT_ANY, RW);
    *handle = (exo_handle_t)CALL_OK(vcpu_create, handles & UINT32_MAX, cpu, handles >> 32, va);
    small.vcpu[i] = vcpu_of(cap_at(root.env, *handle));
    small_entry(*handle);
    CALL_OK(vcpu_start, *handle, 0);
    machine_on(cpu);
    machine_run(small.vcpu[i]);
    upcall_done();
    machine_on(0);
    machine_run(root.vcpu);
}

/* What init may do to the child it may do by its own capabilities; the child gets these two. */
static void connect(uint64_t env_handle, const exo_handle_t *vcpus, unsigned n)
{
    uint64_t gate = (uint64_t)CALL_OK(gate_create, EXO_FIRST_VCPU, 7);
    uint64_t event = (uint64_t)CALL_OK(event_create, EXO_FIRST_VCPU, 3);

    CALL_OK(cap_grant, env_handle, gate, EXO_RIGHTS_ALL);
    CALL_OK(cap_grant, env_handle, event, EXO_RIGHTS_ALL);
    CALL_OK(cap_drop, gate);
    CALL_OK(cap_drop, event);
    for (unsigned i = 0; i < n; i++) {
        CALL_OK(gate_create, vcpus[i], 9);
        CALL_OK(event_create, vcpus[i], 3);
    }
}

static void messages(struct vcpu *vcpu, exo_handle_t cap)
{
    vcpu->page->send = (struct exo_send){SMALL_VA1, 1, EXO_PROT_READ, cap, EXO_RIGHTS_ALL};
    vcpu->page->recv = (struct exo_recv){.va = SMALL_VA2, .max_pages = 1, .take_cap = 1};
}

/* ---- with more ---------------------------------------------------------------------------------------------------- */

#define LESS_THAN_INIT ((uint64_t)EXO_RIGHTS_ALL & ~(uint64_t)EXO_RIGHT_MANAGE)

static void buffer(uint64_t space)
{
    CALL_OK(page_alloc, EXO_SELF_SPACE, SMALL_BUF, 1, EXO_WANT_ANY, RW);
    CALL_OK(page_map, space, SMALL_BUF, EXO_SELF_SPACE, SMALL_BUF, 1, RW);
}

static void open_domain(uint64_t dma)
{
    uint64_t domain;

    machine_run(small.vcpu[0]);
    domain = (uint64_t)CALL_OK(dma_open, dma, SMALL_STREAM);
    CALL_OK(dma_bind, domain, SMALL_IOVA1, EXO_SELF_SPACE, SMALL_BUF, 1, RW);
    machine_run(root.vcpu);
}

static void give_more(uint64_t env, uint64_t space)
{
    uint64_t dma = 0;

    if (small.with & (SMALL_DMA | SMALL_TRACE))
        buffer(space);
    if (small.with & (SMALL_DMA | SMALL_MSI))
        dma = (uint64_t)CALL_OK(cap_grant, env, EXO_FIRST_DMA, LESS_THAN_INIT, SMALL_STREAM, 2);
    if (small.with & SMALL_DMA)
        open_domain(dma);
    if (small.with & SMALL_MSI)
        CALL_OK(cap_grant, env, EXO_FIRST_IRQ, LESS_THAN_INIT, SMALL_LPI, 2);
    if (small.with & SMALL_TRACE)
        CALL_OK(cap_grant, env, EXO_FIRST_TRACE, LESS_THAN_INIT);
}

static void drop_unused(void)
{
    CALL_OK(cap_drop, EXO_FIRST_MMIO);
    CALL_OK(cap_drop, EXO_FIRST_INFO);
    CALL_OK(cap_drop, EXO_FIRST_MACHINE);
    if (!(small.with & (SMALL_DMA | SMALL_MSI)))
        CALL_OK(cap_drop, EXO_FIRST_DMA);
    if (!(small.with & SMALL_TRACE))
        CALL_OK(cap_drop, EXO_FIRST_TRACE);
}

static uint64_t limit_of_child(unsigned nvcpus)
{
    return SMALL_LIMIT + (nvcpus - 2) * OF_A_VCPU + (small.with & SMALL_DMA ? OF_A_DOMAIN : 0) +
           (small.with & SMALL_LARGE ? EXO_LARGE_PAGES : 0);
}

/* ---- the whole ---------------------------------------------------------------------------------------------------- */

static void make_busy(uint64_t left)
{
    uint64_t va = SMALL_BUSY_VA;

    CALL_OK(page_alloc, EXO_SELF_SPACE, va, 1, EXO_WANT_ANY, RW); /* with its tables */
    while (exo_free_frames() > left)
        CALL_OK(page_alloc, EXO_SELF_SPACE, va += PAGE_SIZE, 1, EXO_WANT_ANY, RW);
    ck_assert_uint_eq(exo_free_frames(), left);
    ck_assert_uint_lt(va, SMALL_BUSY_END);
}

/* In the child's space, all but its last piece. */
static void begin_large(uint64_t space)
{
    uint64_t flags = RW | EXO_ALLOC_LARGE, left = EXO_LARGE_PAGES;

    while (left > PIECE)
        left -= (uint64_t)CALL_OK(page_alloc, space, SMALL_VA3 + (EXO_LARGE_PAGES - left) * PAGE_SIZE, left,
                                  EXO_WANT_ANY, flags | (left < EXO_LARGE_PAGES ? EXO_ALLOC_MORE : 0));
}

void small_boot_with(unsigned cpus_wanted, unsigned nframes, unsigned with)
{
    unsigned n = cpus_wanted > 2 ? cpus_wanted : 2;
    exo_handle_t vcpus[SMALL_CPUS_MAX];
    uint64_t handles;

    small.with = with;
    small.ram_bytes = with & SMALL_LARGE ? 4 << 20 : 2 << 20;
    boot(cpus_wanted);
    CALL_OK(page_alloc, EXO_SELF_SPACE, ACTOR_VCPU_VA, 1, EXO_WANT_ANY,
            RW); /* so that the tables are there */
    handles = (uint64_t)CALL_OK(env_create, limit_of_child(n), 0, 0);
    small.env = env_of(cap_at(root.env, handles & UINT32_MAX));
    if (with & SMALL_LARGE)
        begin_large(handles >> 32);
    child_vcpu(0, handles, 0, &vcpus[0]);
    child_vcpu(1, handles, cpus_wanted - 1, &vcpus[1]);
    for (unsigned i = 2; i < n; i++)
        child_vcpu(i, handles, i - 1, &vcpus[i]);
    connect(handles & UINT32_MAX, vcpus, n);
    give_more(handles & UINT32_MAX, handles >> 32);
    drop_unused();
    messages(root.vcpu, (exo_handle_t)EXO_FIRST_VCPU);
    for (unsigned i = 0; i < n; i++)
        messages(small.vcpu[i], EXO_SELF_SPACE);
    machine.stay = true;
    machine.held = ~0ull;
    make_busy(nframes);
}

void small_boot(unsigned cpus_wanted, unsigned nframes)
{
    small_boot_with(cpus_wanted, nframes, 0);
}

void small_on(unsigned cpu)
{
    machine.held = ~0ull;
    machine_on(cpu);
}

void small_take(unsigned cpu)
{
    machine.held = ~(1ull << cpu);
    machine_on(cpu);
    machine.held = ~0ull;
}

void small_interrupt(unsigned cpu)
{
    machine.cpus[cpu].kicked = true;
    machine.time += 100;
    small_take(cpu);
}

void small_time(void)
{
    uint64_t next = EXO_FOREVER;

    for (unsigned i = 0; i < ncpus; i++)
        if (machine.cpus[i].timer > machine.time)
            next = min_u64(next, machine.cpus[i].timer);
    if (next != EXO_FOREVER)
        machine.time = next;
}

void small_touch(uint64_t va, unsigned want)
{
    uint64_t *word = machine_touch(va + LAST_WORD, want);

    if (word && want & EXO_PROT_WRITE)
        *word = SMALL_WORD;
}

void small_clear(void)
{
    __atomic_store_n(&machine.cpu->current->page->events, 0, __ATOMIC_RELEASE);
}

void small_listen(uint64_t bits)
{
    machine.cpu->current->page->upcall_events = bits;
}

void small_entry(int64_t handle)
{
    if (handle > 0)
        vcpu_of(cap_at(machine.cpu->current->env, (uint64_t)handle))->page->upcall_entry = UPCALL_ENTRY;
}

void small_press(unsigned cpu)
{
    small_on(cpu);
    machine.cpus[cpu].kicked = true;
    machine.held = ~(1ull << cpu);
}

int64_t small_again(uint64_t number, const uint64_t args[8])
{
    int64_t rc = 1;

    for (unsigned i = 0; i < AGAIN_MAX && rc == 1; i++)
        rc = machine_call(number, args);
    return rc;
}

int64_t small_more(uint64_t handle, uint64_t flags)
{
    const struct cap *cap = cap_at(machine.cpu->current->env, handle);
    const struct space_run *run = &((const struct space *)frame_address(cap->object))->run;
    int64_t rc = 0;

    while (rc >= 0 && run->left > PIECE)
        rc = CALL(page_alloc, handle, run->va, run->left, EXO_WANT_ANY, flags | EXO_ALLOC_MORE);
    return rc;
}

void small_dma(uint64_t stream, uint64_t iova, unsigned want)
{
    uint64_t *word = machine_dma(stream, iova + LAST_WORD, want);

    if (word && want & EXO_PROT_WRITE)
        *word = SMALL_WORD;
}
