#include "exo_mock.h"

#include "libos/arch/host/mock.h"
#include "os/layout.h"
#include "rt/rt.h"
#include "slice.h"

struct actor mock_app;
void (*mock_others)(void);
void (*mock_upcall)(uint64_t reason, uint64_t info, uint64_t detail);

static struct {
    bool set, any, happened;
    enum exo_call call;
    uint64_t left;
    int error;
} failure;
static uint64_t counts[EXO_NCALLS];
static uint64_t full_limit;

/* ---- failures ------------------------------------------------------------------------------------------------------ */

void mock_fail(enum exo_call call, uint64_t nth, int error)
{
    failure.set = true;
    failure.any = failure.happened = false;
    failure.call = call;
    failure.left = nth;
    failure.error = error;
}

void mock_fail_any(uint64_t nth)
{
    mock_fail(EXO_CALL_null, nth, 0);
    failure.any = true;
}

bool mock_failed(void)
{
    bool happened = failure.happened;

    failure.set = failure.happened = false;
    return happened;
}

/* What a call may answer when all its arguments are good; 0: it cannot fail. */
static int likely_error(enum exo_call call)
{
    switch (call) {
    case EXO_CALL_page_alloc:
    case EXO_CALL_page_map:
    case EXO_CALL_space_create:
    case EXO_CALL_env_create:
    case EXO_CALL_vcpu_create:
    case EXO_CALL_mmio_map:
    case EXO_CALL_info_map:
    case EXO_CALL_gate_create:
    case EXO_CALL_event_create:
    case EXO_CALL_cap_grant:
        return EXO_EQUOTA;
    case EXO_CALL_call:
        return EXO_EDEAD;
    default:
        return 0;
    }
}

static int scripted(enum exo_call call)
{
    int error = failure.any ? likely_error(call) : failure.error;

    if (!failure.set || failure.happened || !error || (!failure.any && call != failure.call) ||
        --failure.left)
        return 0;
    failure.happened = true;
    return error;
}

void mock_frames_left(uint64_t n)
{
    struct account *account = &mock_app.env->owner.account;
    uint64_t limit = n == UINT64_MAX ? full_limit : account->used + account->reserved + n;

    account->parent->reserved += limit - account->limit;
    account->limit = limit;
}

uint64_t mock_calls(enum exo_call call)
{
    return counts[call];
}

/* ---- calls ---------------------------------------------------------------------------------------------------------- */

static void come_back(void)
{
    while (machine.cpu->current != mock_app.vcpu) {
        ck_assert_msg(machine.end == MACHINE_RUNS, "the libOS waits for good %s", machine.console);
        if (machine.cpu->current == root.vcpu)
            CALL(wait, 0, machine.time + 1000000); /* init has nothing to do here */
        else if (mock_others)
            mock_others();
        else
            CALL(yield, 0);
    }
}

static void take_upcalls(void)
{
    while (machine_in_upcall(mock_app.vcpu)) {
        const struct exo_regs *regs = &mock_app.vcpu->regs;

        if (mock_upcall)
            mock_upcall(regs->x[0], regs->x[1], regs->x[2]);
        else
            mock_app.vcpu->page->events &= ~mock_app.vcpu->page->upcall_events;
        CALL0(resume);
        come_back();
    }
}

static void enter(enum exo_call number, uint64_t r[8])
{
    int error = scripted(number);

    counts[number]++;
    if (error) {
        r[0] = (uint64_t) - (int64_t)error;
        return;
    }
    ck_assert_ptr_eq(machine.cpu->current, mock_app.vcpu);
    machine_call(number, r);
    come_back();
    take_upcalls();
    for (unsigned i = 0; i < 8; i++)
        r[i] = mock_app.vcpu->regs.x[i];
    host_ticks = machine.time;
}

/* ---- its own page tables ----------------------------------------------------------------------------------------------- */

static bool is_large(uint64_t va)
{
    const pte_t *table = frame_address(mock_app.env->home->root);
    pte_t entry = 0;

    for (unsigned level = ARCH_PT_LEVELS - 1; level > 0; level--) {
        entry = table[va >> (PAGE_SHIFT + 9 * level) & 511];
        if (!pte_is_table(entry))
            return entry && level == 1;
        table = phys_to_virt(pte_paddr(entry));
    }
    return false;
}

static uint64_t next_bound(uint64_t va, uint64_t end)
{
    while (va < end) {
        const pte_t *table = frame_address(mock_app.env->home->root);
        unsigned level = ARCH_PT_LEVELS - 1;
        pte_t entry;

        while ((entry = table[va >> (PAGE_SHIFT + 9 * level) & 511]) != 0 && level > 0 &&
               pte_is_table(entry)) {
            table = phys_to_virt(pte_paddr(entry));
            level--;
        }
        if (entry)
            return va;
        va = align_down(va, 1ull << (PAGE_SHIFT + 9 * level)) + (1ull << (PAGE_SHIFT + 9 * level));
    }
    return end;
}

/* ---- start -------------------------------------------------------------------------------------------------------------- */

static bool page_allows(uint64_t va, uint64_t access)
{
    struct binding binding;

    return space_lookup(mock_app.env->home, va, &binding) && !(access & ~(uint64_t)binding.prot);
}

_Static_assert(OS_LAYOUT_BASE == MACHINE_WINDOW_BASE, "the libOS lives in the window");

void mock_start(uint64_t frames, bool (*fault)(uint64_t va, unsigned access))
{
    uint64_t handles;

    exo_boot_ram(16 << 20);
    handles = (uint64_t)CALL_OK(env_create, frames, 0, 0);
    mock_app = (struct actor){.env_cap = (exo_handle_t)handles, .space_cap = (exo_handle_t)(handles >> 32)};
    mock_app.env = env_of(cap_at(root.env, mock_app.env_cap));
    CALL_OK(page_alloc, mock_app.space_cap, OS_VCPU_VA, 1, EXO_WANT_ANY, RW);
    mock_app.vcpu_cap =
        (exo_handle_t)CALL_OK(vcpu_create, mock_app.env_cap, 0, mock_app.space_cap, OS_VCPU_VA);
    mock_app.vcpu = vcpu_of(cap_at(root.env, mock_app.vcpu_cap));
    mock_app.vcpu->page->upcall_entry = UPCALL_ENTRY;
    actor_start(&mock_app);
    full_limit = frames;
    window_open(fault);
    host_exo_call = enter;
    host_next_bound = next_bound;
    host_page_allows = page_allows;
    host_is_large = is_large;
    host_vcpu = (struct exo_vcpu_page *)OS_VCPU_VA;
    host_system = *system_info;
    as(&mock_app);
    rt_start(0);
    host_vcpu->upcall_entry = UPCALL_ENTRY;
    host_vcpu->upcall_events = 0;
}
