#include "exo_machine.h"

#include <stdlib.h>
#include <string.h>

#include "audit.h"
#include "irq.h"
#include "log.h"

struct exo_image exo_image;
struct actor root;

static struct audit_note *notes;

/* ---- boot and audit ---------------------------------------------------------------------------------------------- */

void exo_boot_image(void)
{
    exo_image_load(&exo_image);
    machine_boot(RAM_BASE, IMAGE_LEN, exo_image.tree_base);
    ck_assert_msg(machine.end == MACHINE_RUNS, "boot: %s", machine.console);
    root = (struct actor){machine.cpu->current->env, machine.cpu->current, EXO_SELF_ENV, EXO_SELF_SPACE,
                          EXO_FIRST_VCPU};
    root.vcpu->page->upcall_entry = UPCALL_ENTRY;
    upcall_done();
}

void exo_boot_ram(uint64_t len)
{
    exo_image_make(&exo_image, len);
    exo_boot_image();
    exo_check();
}

void exo_boot(void)
{
    exo_boot_ram(4 << 20);
}

void exo_unboot(void)
{
    free(notes);
    notes = NULL;
    machine_unmake();
}

void exo_check(void)
{
    const char *violation;

    if (machine.end == MACHINE_STOPPED) {
        ck_assert_msg(!strstr(machine.console, "panic"), "%s", machine.console);
        return;
    }
    if (!notes)
        notes = calloc(system_info->nframes, sizeof(*notes));
    violation = exo_audit(notes);
    ck_assert_msg(!violation, "audit: %s", violation);
}

void exo_later(uint64_t time)
{
    machine.time = time;
    machine.cpu->slot_end = time + machine.cpu->slot_ticks;
}

uint64_t exo_free_frames(void)
{
    return exo_frames(system_info, EXO_FRAME_FREE);
}

/* ---- state ------------------------------------------------------------------------------------------------------- */

static uint64_t hash(uint64_t h, const void *bytes, size_t len)
{
    const uint64_t *word = bytes;

    for (size_t i = 0; i < len / 8; i++)
        h = (h ^ word[i]) * 0x9e3779b97f4a7c15ull, h ^= h >> 29;
    return h;
}

/* A capability slot's number of uses and the order of free slots are nobody's state. */
static uint64_t hash_caps(uint64_t h, pfn_t pfn)
{
    const struct cap *slots = frame_address(pfn);

    for (unsigned i = 0; i < CAPS_PER_FRAME; i++)
        if (slots[i].type != EXO_CAP_NONE)
            h = hash(h, &slots[i], sizeof(slots[i]));
    return h;
}

static uint64_t hash_env(uint64_t h, const struct env *env)
{
    struct env copy = *env;

    copy.owner.caps.first_free = 0;
    return hash(h, &copy, sizeof(copy));
}

/* The running vcpu's registers hold the call's own result. */
static uint64_t hash_vcpu(uint64_t h, const struct vcpu *vcpu)
{
    struct vcpu copy = *vcpu;

    copy.sound = 0; /* whether that is known or is to be found out */
    if (vcpu == machine.cpu->current) {
        memset(copy.regs.x, 0, sizeof(copy.regs.x));
        copy.wait_mask = 0; /* what its last call left there */
        copy.gate_badge = copy.send_flags = 0;
        copy.interruptible = false;
    }
    return hash(h, &copy, sizeof(copy));
}

/* How often it was locked does not count. */
static uint64_t hash_space(uint64_t h, const struct space *space)
{
    struct space copy = *space;

    copy.lock = (struct exo_lock){0};
    return hash(h, &copy, sizeof(copy));
}

static uint64_t hash_frame(uint64_t h, pfn_t pfn)
{
    const struct exo_frame *f = frame_entry(pfn);
    const uint64_t entry[4] = {pfn, f->kind, f->account, (uint64_t)f->refs << 32 | f->entries};

    h = hash(h, entry, sizeof(entry));
    switch (f->kind) {
    case EXO_FRAME_CAPS:
        return hash_caps(h, pfn);
    case EXO_FRAME_ENV:
        return hash_env(h, frame_address(pfn));
    case EXO_FRAME_VCPU:
        return hash_vcpu(h, frame_address(pfn));
    case EXO_FRAME_SPACE:
        return hash_space(h, frame_address(pfn));
    default:
        return hash(h, frame_address(pfn), PAGE_SIZE);
    }
}

uint64_t exo_state(void)
{
    uint64_t h = 1;

    for (pfn_t pfn = system_info->first_frame; pfn < system_info->first_frame + system_info->nframes; pfn++) {
        unsigned kind = frame_kind(pfn);

        if (kind != EXO_FRAME_FREE && kind != EXO_FRAME_INFO && kind != EXO_FRAME_RESERVED &&
            kind != EXO_FRAME_KERNEL)
            h = hash_frame(h, pfn);
    }
    h = hash(h, machine.cpu->slots, sizeof(machine.cpu->slots));
    h = hash(h, &machine.lpi_enabled, sizeof(machine.lpi_enabled));
    return hash(h, &machine.irq_enabled, sizeof(machine.irq_enabled));
}

/* ---- ranges, however many calls they take --------------------------------------------------------------------------- */

void exo_unmap(uint64_t space, uint64_t va, uint64_t n)
{
    for (uint64_t done = 0; done < n;)
        done += (uint64_t)CALL_OK(page_unmap, space, va + done * PAGE_SIZE, n - done);
}

int64_t exo_alloc_run(uint64_t space, uint64_t va, uint64_t n, uint64_t want, uint64_t flags)
{
    uint64_t done = 0;

    do {
        int64_t rc = CALL(page_alloc, space, va + done * PAGE_SIZE, n - done, want,
                          flags | EXO_ALLOC_CONTIG | (done ? (uint64_t)EXO_ALLOC_MORE : 0));

        if (rc < 0)
            return rc;
        done += (uint64_t)rc;
    } while (done < n);
    return (int64_t)done;
}

/* ---- actors -------------------------------------------------------------------------------------------------------- */

struct cap *cap_at(const struct env *env, uint64_t handle)
{
    struct cap *cap;

    return cap_find_any((struct cap_owner *)&env->owner, handle, &cap) ? NULL : cap;
}

static struct vcpu *vcpu_at(uint64_t handle)
{
    return vcpu_of(cap_at(machine.cpu->current->env, handle));
}

struct actor actor_new(uint64_t limit)
{
    uint64_t handles = (uint64_t)CALL_OK(env_create, limit, 0, 0);
    struct actor a = {.env_cap = (exo_handle_t)handles, .space_cap = (exo_handle_t)(handles >> 32)};

    a.env = env_of(cap_at(machine.cpu->current->env, a.env_cap));
    CALL_OK(page_alloc, a.space_cap, ACTOR_VCPU_VA, 1, EXO_WANT_ANY, RW);
    a.vcpu_cap = (exo_handle_t)CALL_OK(vcpu_create, a.env_cap, 0, a.space_cap, ACTOR_VCPU_VA);
    a.vcpu = vcpu_at(a.vcpu_cap);
    a.vcpu->page->upcall_entry = UPCALL_ENTRY;
    return a;
}

void actor_start(struct actor *a)
{
    struct vcpu *maker = machine.cpu->current;

    CALL_OK(vcpu_start, a->vcpu_cap, 7);
    machine_run(a->vcpu);
    upcall_done();
    machine_run(maker);
}

struct actor actor_make(uint64_t limit)
{
    struct actor a = actor_new(limit);

    actor_start(&a);
    return a;
}

struct vcpu *actor_vcpu(uint64_t va, exo_handle_t *handle)
{
    struct vcpu *maker = machine.cpu->current, *vcpu;

    CALL_OK(page_alloc, EXO_SELF_SPACE, va, 1, EXO_WANT_ANY, RW);
    *handle = (exo_handle_t)CALL_OK(vcpu_create, EXO_SELF_ENV, 0, EXO_SELF_SPACE, va);
    vcpu = vcpu_at(*handle);
    vcpu->page->upcall_entry = UPCALL_ENTRY;
    CALL_OK(vcpu_start, *handle, 0);
    machine_run(vcpu);
    upcall_done();
    machine_run(maker);
    return vcpu;
}

void actor_destroy(const struct actor *a)
{
    int64_t rc;

    do
        rc = CALL(env_destroy, a->env_cap);
    while (rc > 0);
    ck_assert_int_eq(rc, 0);
    CALL_OK(cap_drop, a->env_cap);
    CALL_OK(cap_drop, a->space_cap);
    if (a->vcpu_cap)
        CALL_OK(cap_drop, a->vcpu_cap);
}

void as(const struct actor *a)
{
    machine_run(a->vcpu);
    ck_assert_msg(machine.end == MACHINE_RUNS, "%s", machine.console);
    ck_assert_ptr_eq(machine.cpu->current, a->vcpu);
}

void upcall_done(void)
{
    struct exo_vcpu_page *page = machine.cpu->current->page;

    if (page->reason == EXO_UPCALL_START)
        page->regs = (struct exo_regs){.pc = USER_PC};
    CALL0(resume);
}

uint64_t x(const struct vcpu *vcpu, unsigned n)
{
    return machine_in_upcall(vcpu) ? vcpu->page->regs.x[n] : vcpu->regs.x[n];
}

int64_t result(const struct vcpu *vcpu)
{
    return (int64_t)x(vcpu, 0);
}

/* ---- dice ---------------------------------------------------------------------------------------------------------- */

uint64_t dice(struct dice *d)
{
    d->state += 0x9e3779b97f4a7c15ull; /* splitmix64 */
    uint64_t z = d->state;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

uint64_t dice_below(struct dice *d, uint64_t n)
{
    return dice(d) % n;
}

/* ---- text ---------------------------------------------------------------------------------------------------------- */

size_t exo_format(char *out, size_t size, const char *text, ...)
{
    va_list args;
    size_t len;

    va_start(args, text);
    len = format_text(out, size, text, args);
    va_end(args);
    return len;
}
