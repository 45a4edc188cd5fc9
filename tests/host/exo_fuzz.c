/* Calls at random: the decoding of numbers into steps, and what has to hold after each. */
#include "exo_fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit.h"
#include "cpu.h"
#include "exo_machine.h"

/* ---- numbers ------------------------------------------------------------------------------------------------------- */

static struct exo_numbers numbers;

static uint64_t read_bytes(unsigned n)
{
    uint64_t value = 0;

    if (numbers.in_record < n)
        return dice(&numbers.dice);
    for (unsigned i = 0; i < n; i++)
        value = value << 8 | *numbers.bytes++;
    numbers.in_record -= n;
    numbers.left -= n;
    return value;
}

static uint64_t any(void)
{
    return numbers.bytes ? read_bytes(8) : dice(&numbers.dice);
}

static uint64_t below(uint64_t n)
{
    return (!numbers.bytes ? dice(&numbers.dice) : read_bytes(n <= 0x100 ? 1 : n <= 0x10000 ? 2 : 8)) % n;
}

/* To the next step's; false: there are none. */
static bool next_step(void)
{
    if (!numbers.bytes)
        return true;
    numbers.bytes += numbers.in_record;
    numbers.left -= numbers.in_record;
    numbers.in_record = numbers.left < EXO_FUZZ_RECORD ? 0 : EXO_FUZZ_RECORD;
    numbers.dice.state = 0;
    for (unsigned i = 0; i < numbers.in_record; i++)
        numbers.dice.state = numbers.dice.state * 0x100000001b3ull + numbers.bytes[i];
    return numbers.in_record > 0;
}

static bool used_up(void)
{
    return numbers.bytes && numbers.in_record == 0;
}

/* ---- calls --------------------------------------------------------------------------------------------------------- */

static const char *origin; /* of the numbers, for messages */
static uint64_t step;
static char doing[200];

static struct actor actors[3];
static const uint64_t windows[] = {0x10000000, 0x10008000, 0x101ff000, 0x7f7fffffe000};

/* A handle of this type in an environment's table, from a random place on; 0: it has none.  0 for any type. */
static uint64_t handle_of(const struct env *env, unsigned type)
{
    const struct cap_table *table = &env->owner.caps;
    uint32_t n = table->nframes * CAPS_PER_FRAME, from = n ? (uint32_t)below(n) : 0;

    for (uint32_t i = 0; i < n; i++) {
        uint32_t index = (from + i) % n;
        const struct cap *slots = frame_address(table->frames[index / CAPS_PER_FRAME]);
        const struct cap *cap = &slots[index % CAPS_PER_FRAME];

        if (cap->type != EXO_CAP_NONE && (!type || cap->type == type))
            return (uint64_t)cap->generation << EXO_HANDLE_INDEX_BITS | index;
    }
    return 0;
}

static uint64_t some_handle(unsigned type)
{
    switch (below(40)) {
    case 0:
        return any();
    case 1:
        return below(100);
    case 2:
        return handle_of(actors[below(3)].vcpu ? root.env : machine.cpu->current->env, 0); /* another's */
    default:
        return handle_of(machine.cpu->current->env, type);
    }
}

static uint64_t some_va(void)
{
    if (below(50) == 0)
        return any();
    return windows[below(ARRAY_LEN(windows))] + below(8) * PAGE_SIZE;
}

static uint64_t some_number(void)
{
    switch (below(12)) {
    case 0:
        return any();
    case 1:
        return UINT64_MAX;
    case 2:
        return 1ull << below(64);
    default:
        return below(10);
    }
}

static uint64_t some_deadline(void)
{
    return below(6) ? machine.time + below(3000) : below(2) ? 0 : EXO_FOREVER;
}

/* What each argument means: handles by type (E environment, S space, V vcpu, G gate with flags, T event, L slice, I irq,
 * M mmio, N info, R trace, A dma, D domain, H any), v address, x stream, n number, m small count, p protection, t deadline,
 * w frame wanted, k token, u limit, c CPU, f protection, lazy or not, z nothing or lazy, r rights, b bits, l line,
 * d device, s slot, 0 mostly zero. */
static const char *const shapes[EXO_NCALLS] = {
    [EXO_CALL_call] = "Gnnnnnnt",     [EXO_CALL_reply_wait] = "knnnnnnt", [EXO_CALL_wait] = "bt",
    [EXO_CALL_yield] = "V",           [EXO_CALL_env_exit] = "n",          [EXO_CALL_env_stop] = "E",
    [EXO_CALL_env_destroy] = "E",     [EXO_CALL_page_alloc] = "Svmwp",    [EXO_CALL_page_map] = "SvSvmp",
    [EXO_CALL_page_protect] = "Svmf", [EXO_CALL_page_unmap] = "Svmz",     [EXO_CALL_space_destroy] = "S",
    [EXO_CALL_env_create] = "mTb",    [EXO_CALL_env_status] = "En",       [EXO_CALL_vcpu_create] = "EcSv",
    [EXO_CALL_vcpu_start] = "Vn",     [EXO_CALL_slice_bind] = "LsV",      [EXO_CALL_slice_release] = "Ls",
    [EXO_CALL_gate_create] = "Vn",    [EXO_CALL_event_create] = "Vb",     [EXO_CALL_signal] = "Tb",
    [EXO_CALL_cap_grant] = "EHr00",   [EXO_CALL_cap_drop] = "H",          [EXO_CALL_cap_revoke] = "H",
    [EXO_CALL_irq_bind] = "IlVn",     [EXO_CALL_irq_ack] = "Il",          [EXO_CALL_mmio_map] = "MSvdmp",
    [EXO_CALL_info_map] = "NnnSv",    [EXO_CALL_log_write] = "nnnnnnn",   [EXO_CALL_space_switch] = "S",
    [EXO_CALL_asid_pin] = "S",        [EXO_CALL_asid_unpin] = "S",        [EXO_CALL_tlb_sync] = "Svm",
    [EXO_CALL_msi_bind] = "IiAjjVn",  [EXO_CALL_env_limit] = "Eut",       [EXO_CALL_page_reclaim] = "Svmt",
    [EXO_CALL_dma_open] = "Ax",       [EXO_CALL_dma_bind] = "DvSvmp",     [EXO_CALL_dma_unbind] = "Dvm",
    [EXO_CALL_dma_address] = "Dv",    [EXO_CALL_dma_status] = "Dn",       [EXO_CALL_dma_close] = "D",
    [EXO_CALL_trace_bind] = "R0Svm",  [EXO_CALL_trace_control] = "R0n",
};

static uint64_t last_token;

static uint64_t argument(char shape)
{
    static const char types[] = " ESVGTLIMN-ADR"; /* at the number of each type */
    const char *type = strchr(types, shape);

    if (type)
        return some_handle((unsigned)(type - types)) | (shape == 'G' ? below(8) << 32 : 0);
    switch (shape) {
    case 'H':
        return some_handle(0);
    case 'k':
        return below(3) == 0 ? 0 : last_token ^ (below(6) ? below(4) << 60 : any());
    case 'v':
        return some_va();
    case 'm':
        return below(8) ? 1 + below(below(2) ? 2 : 20) : some_number();
    case 'u':
        return below(6) ? 60 + below(90) : some_number();
    case 'p':
        return below(8) ? 1 + 2 * below(2) : below(256);
    case 'c':
        return below(20) ? below(ncpus) : some_number();
    case 'f':
        return argument('p') | (below(2) ? EXO_LAZY : 0);
    case 'z':
        return below(30) ? below(2) * EXO_LAZY : some_number();
    case 'w':
        return below(8) ? EXO_WANT_ANY : system_info->first_frame + below(system_info->nframes);
    case 't':
        return some_deadline();
    case 'r':
        return below(3) ? EXO_RIGHTS_ALL : below(32);
    case 'b':
        return below(10) ? below(16) : any();
    case 'l':
        return below(2) ? argument('i') : 32 + below(34);
    case 'i':
        return MACHINE_LPI_MIN - 1 + below(12);
    case 'j':
        return below(20) ? below(6) : some_number();
    case 'd':
        return 0x9000000 + below(4) * PAGE_SIZE;
    case 's':
        return below(66);
    case 'x':
        return below(6) + (below(8) ? 62 : EXO_DMA_DIRECT);
    case '0':
        return below(30) ? 0 : some_number();
    default:
        return some_number();
    }
}

static uint64_t some_call(void)
{
    uint64_t number = below(EXO_NCALLS + 1);

    switch (number) {
    case EXO_CALL_machine_stop:
        return EXO_CALL_null;
    case EXO_CALL_env_exit:
    case EXO_CALL_env_stop:
    case EXO_CALL_slice_bind:
        return below(60) ? EXO_CALL_call : number;
    case EXO_CALL_env_destroy:
    case EXO_CALL_cap_drop:
    case EXO_CALL_cap_revoke:
        return below(8) ? EXO_CALL_cap_grant : number;
    case EXO_CALL_dma_close:
        return below(6) ? EXO_CALL_dma_bind : number;
    default:
        return number;
    }
}

/* init lives on: it does not end itself, and nobody to whom it gave itself away ends it. */
static bool allowed(struct vcpu *vcpu, uint64_t number, const uint64_t args[8])
{
    const struct cap *cap = cap_at(vcpu->env, args[0]);

    if (number == EXO_CALL_env_stop || number == EXO_CALL_env_destroy)
        return !cap || cap->type != EXO_CAP_ENV || cap_live(cap) || env_of(cap) != root.env;
    return number != EXO_CALL_env_exit || vcpu->env != root.env;
}

static bool large_now(uint64_t number)
{
    return (number == EXO_CALL_page_alloc || number == EXO_CALL_page_map || number == EXO_CALL_page_protect ||
            number == EXO_CALL_page_unmap) &&
           below(8) == 0;
}

/* The same call, of a large page. */
static void make_large(uint64_t number, uint64_t args[8])
{
    bool map = number == EXO_CALL_page_map;

    args[1] &= ~(EXO_LARGE_BYTES - 1);
    if (map)
        args[3] &= ~(EXO_LARGE_BYTES - 1);
    args[map ? 4 : 2] = EXO_LARGE_PAGES;
    if (number == EXO_CALL_page_alloc)
        args[4] |= EXO_ALLOC_LARGE;
}

/* Goes on with a large page that was begun, mostly to its end. */
static int64_t go_on(const uint64_t args[8], uint64_t done)
{
    const struct vcpu *vcpu = machine.cpu->current;
    int64_t rc = 1;

    while (rc > 0 && done < EXO_LARGE_PAGES && below(60) && machine.cpu->current == vcpu) {
        const uint64_t more[8] = {args[0], args[1] + done * PAGE_SIZE, EXO_LARGE_PAGES - done, args[3],
                                  args[4] | EXO_ALLOC_MORE};

        rc = machine_call(EXO_CALL_page_alloc, more);
        done += rc > 0 ? (uint64_t)rc : 0;
    }
    return rc;
}

static void one_call(void)
{
    struct vcpu *vcpu = machine.cpu->current;
    uint64_t number = some_call(), args[8] = {0};
    int64_t rc;

    for (unsigned i = 0; number < EXO_NCALLS && shapes[number] && shapes[number][i]; i++)
        args[i] = argument(shapes[number][i]);
    snprintf(doing, sizeof(doing), "call %lu(%lx %lx %lx %lx %lx %lx)", (unsigned long)number,
             (unsigned long)args[0], (unsigned long)args[1], (unsigned long)args[2], (unsigned long)args[3],
             (unsigned long)args[4], (unsigned long)args[5]);
    if (!allowed(vcpu, number, args))
        return;
    if (vcpu->env == root.env) { /* init comes back, or nobody ever would */
        unsigned at = number == EXO_CALL_wait ? 1 : 7;

        if (number == EXO_CALL_wait || number == EXO_CALL_call || number == EXO_CALL_reply_wait)
            args[at] = args[at] < machine.time + 5000 ? args[at] : machine.time + 5000;
    }
    if (large_now(number))
        make_large(number, args);
    rc = machine_call(number, args);
    if (number == EXO_CALL_page_alloc && args[4] & EXO_ALLOC_LARGE && rc > 0)
        rc = go_on(args, (uint64_t)rc);
    ck_assert_msg(machine.end != MACHINE_STOPPED, "%s step %lu: %s: %s", origin, (unsigned long)step, doing,
                  machine.console);
    if (rc == MACHINE_AWAY)
        return;
    ck_assert_msg(rc >= -(int64_t)EXO_EUNTRUSTED || number == EXO_CALL_wait || number == EXO_CALL_resume,
                  "%s step %lu: %s answers %ld", origin, (unsigned long)step, doing, (long)rc);
}

/* The user's side of a vcpu page. */
static void scribble(void)
{
    struct exo_vcpu_page *page = machine.cpu->current->page;
    uint64_t vcpu = handle_of(machine.cpu->current->env, EXO_CAP_VCPU);

    if (vcpu && cap_live(cap_at(machine.cpu->current->env, vcpu)))
        vcpu = 0;
    page->send = (struct exo_send){.va = some_va(),
                                   .npages = (uint32_t)below(5),
                                   .prot = 1,
                                   .cap = (exo_handle_t)some_handle(0),
                                   .rights = (uint32_t)below(32)};
    page->recv =
        (struct exo_recv){.va = some_va(), .max_pages = (uint32_t)below(6), .take_cap = (uint32_t)below(2)};
    for (unsigned i = 0; i < EXO_VICTIMS; i += 1 + (unsigned)below(4))
        page->victims[i] = (struct exo_victim){.va = some_va(), .npages = (uint32_t)argument('m')};
    page->upcall_events = below(3) ? 0 : any();
    page->events = below(2) ? 0 : page->events;
    if (page->upcall_entry == 0)
        page->upcall_entry = UPCALL_ENTRY;
    if (vcpu && vcpu_of(cap_at(machine.cpu->current->env, vcpu))->page)
        vcpu_of(cap_at(machine.cpu->current->env, vcpu))->page->upcall_entry = UPCALL_ENTRY;
}

/* Each CPU takes what it has to take. */
static void play_all(void)
{
    unsigned here = machine.cpu->id;

    machine.held = 0;
    for (unsigned i = 0; i < ncpus && machine.end != MACHINE_STOPPED; i++)
        machine_on(i);
    if (machine.end != MACHINE_STOPPED)
        machine_on(here);
}

/* Takes one down, and what init has of it. */
static bool bury(struct actor *a)
{
    int64_t rc;

    while ((rc = CALL(env_destroy, a->env_cap)) > 0) {
        play_all(); /* other CPUs let go of it */
        if (machine.cpu->current != root.vcpu)
            return false;
    }
    if (rc == MACHINE_AWAY)
        return false;
    CALL(cap_drop, a->env_cap);
    CALL(cap_drop, a->space_cap);
    CALL(cap_drop, a->vcpu_cap);
    return true;
}

/* init's way to get the others going again. */
static void revive(unsigned which)
{
    struct actor *a = &actors[which];
    int64_t rc;

    if (a->env && cap_at(root.env, a->env_cap) && !bury(a))
        return;
    *a = (struct actor){0};
    rc = CALL(env_create, 120, 0, 0);
    if (rc < 0)
        return;
    a->env_cap = (exo_handle_t)rc;
    a->space_cap = (exo_handle_t)(rc >> 32);
    a->env = env_of(cap_at(root.env, a->env_cap));
    if (CALL(page_alloc, a->space_cap, ACTOR_VCPU_VA, 1, EXO_WANT_ANY, RW) < 0)
        return;
    rc = CALL(vcpu_create, a->env_cap, below(ncpus), a->space_cap, ACTOR_VCPU_VA);
    if (rc < 0)
        return;
    a->vcpu_cap = (exo_handle_t)rc;
    a->vcpu = vcpu_of(cap_at(root.env, a->vcpu_cap));
    a->vcpu->page->upcall_entry = UPCALL_ENTRY;
    CALL(vcpu_start, a->vcpu_cap, 0);
    for (uint64_t h = EXO_FIRST_VCPU; h <= EXO_FIRST_INFO; h++)
        CALL(cap_grant, a->env_cap, h, below(32));
    CALL(cap_grant, a->env_cap, EXO_FIRST_DMA, below(32));
    CALL(cap_grant, a->env_cap, EXO_FIRST_TRACE, below(32));
}

static void init_must_live(void)
{
    struct exo_vcpu_page *page = root.vcpu->page;

    page->upcall_entry = UPCALL_ENTRY;
    if (root.vcpu->state == VCPU_READY || root.vcpu->state == VCPU_RUNNING)
        return;
    /* It waits for what may never come: wake it. */
    page->upcall_masked = 0;
    page->upcall_events = 1;
    machine_advance(5000);
}

static void other_things(void)
{
    switch (below(14)) {
    case 12:
    case 13: {
        uint64_t stream = 62 + below(6), address = some_va();

        if (machine.iommu)
            machine_dma(stream, address, below(2) ? EXO_PROT_READ : EXO_PROT_WRITE);
        break;
    }
    case 0:
        machine_advance(below(2000));
        break;
    case 1:
        machine_irq((uint32_t)(MACHINE_LINE_MIN + below(32)));
        machine_msi((uint32_t)below(6), (uint32_t)below(6));
        break;
    case 2:
        scribble();
        break;
    case 3:
        if (machine_in_upcall(machine.cpu->current) || machine.cpu->current->page->upcall_masked) {
            machine.cpu->current->page->regs.pc = USER_PC;
            CALL0(resume);
        }
        break;
    case 4:
        if (!machine.cpu->current->page->upcall_masked || machine.cpu->current->env != root.env)
            machine_touch(some_va(), below(2) ? EXO_PROT_READ : EXO_PROT_WRITE);
        break;
    case 5:
        machine_fp()[0]++;
        break;
    case 6:
    case 7: {
        const struct actor *a = &actors[below(3)];

        if (!a->vcpu || !cap_at(root.env, a->vcpu_cap) || cap_live(cap_at(root.env, a->vcpu_cap)))
            break;
        machine_on(a->vcpu->cpu->id);
        if (a->vcpu->state == VCPU_READY)
            machine_run(a->vcpu);
        break;
    }
    case 8:
    case 9:
        machine.held = below(2) ? any() : 0;
        machine_on((unsigned)below(ncpus));
        break;
    default:
        break;
    }
}

static void audit(struct audit_note *notes)
{
    const char *violation = exo_audit(notes);

    ck_assert_msg(!violation, "%s step %lu: after %s: %s", origin, (unsigned long)step, doing, violation);
}

static bool runs(void)
{
    ck_assert_msg(machine.end != MACHINE_STOPPED, "%s step %lu: after %s: %s", origin, (unsigned long)step,
                  doing, machine.console);
    return machine.end == MACHINE_RUNS && machine.cpu->current;
}

/* Where this CPU sleeps, another may run, now or later.  All sleep for good only where the test let init wait for nothing. */
static bool goes_on(void)
{
    if (runs())
        return true;
    machine.held = 0;
    for (unsigned i = 0; i < 100 * ncpus; i++) {
        machine_on(i % ncpus);
        if (runs())
            return true;
        if (i % ncpus == ncpus - 1)
            machine.time += 100;
    }
    return false;
}

static void run(uint64_t steps, uint64_t audit_every, struct audit_note *notes)
{
    for (step = 0; step < steps && next_step() && goes_on(); step++) {
        struct vcpu *current = machine.cpu->current;

        if (current->env == root.env) {
            init_must_live();
            if (machine.cpu->current == root.vcpu && below(400) == 0)
                revive(1 + (unsigned)below(2));
        }
        if (!goes_on())
            break;
        if (below(4))
            one_call();
        else
            other_things();
        if (goes_on() && machine.cpu->current->regs.x[0] >> 32 && machine.cpu->current->regs.x[7])
            last_token = machine.cpu->current->regs.x[0];
        if (step % audit_every == 0 && goes_on())
            audit(notes);
    }
    audit(notes);
    ck_assert_msg(step == steps || used_up(), "%s step %lu: after %s: the machine sleeps for good", origin,
                  (unsigned long)step, doing);
}

/* init has the CPU traced, as far as nobody takes that away.  T4 */
static void trace(void)
{
    CALL_OK(page_alloc, EXO_SELF_SPACE, 0x20000000, 4, EXO_WANT_ANY, RW | EXO_ALLOC_CONTIG);
    CALL_OK(trace_bind, EXO_FIRST_TRACE, 0, EXO_SELF_SPACE, 0x20000000, 4);
    CALL_OK(trace_control, EXO_FIRST_TRACE, 0, EXO_TRACE_ON);
}

void exo_fuzz(const char *name, struct exo_numbers from, const struct exo_fuzz *how)
{
    struct audit_note *notes;

    machine.iommu = how->iommu;
    machine.ncpus = how->ncpus;
    machine.msi = how->msi;
    exo_boot_ram(how->ram);
    notes = calloc(system_info->nframes, sizeof(*notes));
    origin = name;
    numbers = from;
    last_token = 0;
    memset(actors, 0, sizeof(actors));
    actors[0] = root;
    if (how->trace)
        trace();
    revive(1);
    revive(2);
    run(how->steps, how->audit_every, notes);
    free(notes);
}
