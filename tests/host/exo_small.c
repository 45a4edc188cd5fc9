#include "exo_small.h"

#include <string.h>

#include "audit.h"
#include "cpu.h"

#define SMALL_LIMIT 14u
#define SMALL_RAM (2ull << 20)
#define LAST_WORD (PAGE_SIZE - 8)

struct small small;

static struct exo_range rest = {RAM_BASE + 0x150000, SMALL_RAM - 0x150000};

static void boot(unsigned cpus_wanted)
{
    struct exo_tree tree = {.nmemory = 1, .memory = {{RAM_BASE, SMALL_RAM}}, .nreserved = 1};

    machine.ncpus = cpus_wanted;
    exo_image_make(&exo_image, SMALL_RAM);
    tree.initrd = (struct exo_range){exo_image.bundle_base, exo_image.bundle_len};
    tree.reserved[0] = rest;
    exo_tree_make(&exo_image, &tree);
    exo_image_load(&exo_image);
    machine_boot(RAM_BASE, IMAGE_LEN, exo_image.tree_base);
    ck_assert_msg(machine.end == MACHINE_RUNS, "boot: %s", machine.console);
    root = (struct actor){machine.cpu->current->env, machine.cpu->current, EXO_SELF_ENV, EXO_SELF_SPACE,
                          EXO_FIRST_VCPU};
    root.vcpu->page->upcall_entry = UPCALL_ENTRY;
    upcall_done();
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
static void connect(uint64_t env_handle, const exo_handle_t *vcpus)
{
    uint64_t gate = (uint64_t)CALL_OK(gate_create, EXO_FIRST_VCPU, 7);
    uint64_t event = (uint64_t)CALL_OK(event_create, EXO_FIRST_VCPU, 3);

    CALL_OK(cap_grant, env_handle, gate, EXO_RIGHTS_ALL);
    CALL_OK(cap_grant, env_handle, event, EXO_RIGHTS_ALL);
    CALL_OK(cap_drop, gate);
    CALL_OK(cap_drop, event);
    for (unsigned i = 0; i < 2; i++) {
        CALL_OK(gate_create, vcpus[i], 9);
        CALL_OK(event_create, vcpus[i], 3);
    }
}

static void messages(struct vcpu *vcpu, exo_handle_t cap)
{
    vcpu->page->send = (struct exo_send){SMALL_VA1, 1, EXO_PROT_READ, cap, EXO_RIGHTS_ALL};
    vcpu->page->recv = (struct exo_recv){.va = SMALL_VA2, .max_pages = 1, .take_cap = 1};
}

void small_boot(unsigned cpus_wanted, unsigned nframes)
{
    static const exo_handle_t unused[] = {EXO_FIRST_MMIO, EXO_FIRST_INFO, EXO_FIRST_MACHINE, EXO_FIRST_DMA,
                                          EXO_FIRST_TRACE};
    exo_handle_t vcpus[2];
    uint64_t handles, va = SMALL_BUSY_VA;

    boot(cpus_wanted);
    CALL_OK(page_alloc, EXO_SELF_SPACE, ACTOR_VCPU_VA, 1, EXO_WANT_ANY,
            RW); /* so that the tables are there */
    handles = (uint64_t)CALL_OK(env_create, SMALL_LIMIT, 0, 0);
    small.env = env_of(cap_at(root.env, handles & UINT32_MAX));
    child_vcpu(0, handles, 0, &vcpus[0]);
    child_vcpu(1, handles, cpus_wanted - 1, &vcpus[1]);
    connect(handles & UINT32_MAX, vcpus);
    for (unsigned i = 0; i < ARRAY_LEN(unused); i++)
        CALL_OK(cap_drop, unused[i]);
    messages(root.vcpu, (exo_handle_t)EXO_FIRST_VCPU);
    messages(small.vcpu[0], EXO_SELF_SPACE);
    messages(small.vcpu[1], EXO_SELF_SPACE);
    machine.stay = true;
    machine.held = ~0ull;
    CALL_OK(page_alloc, EXO_SELF_SPACE, va, 1, EXO_WANT_ANY, RW); /* with its tables */
    while (exo_free_frames() > nframes)
        CALL_OK(page_alloc, EXO_SELF_SPACE, va += PAGE_SIZE, 1, EXO_WANT_ANY, RW);
    ck_assert_uint_eq(exo_free_frames(), nframes);
    ck_assert_uint_lt(va, SMALL_BUSY_END);
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
