/* Each call with each class of wrong argument, one wrong at a time: the documented error, nothing changed, a clean audit.
 * K2 K5 K14 K20 K24
 *
 * A call without a row here fails the suite.  A row has a good value for each argument, and what kind of value each is: the
 * kind says which values are wrong, and with which error.  That the good ones are good is tried last. */
#include <string.h>

#include "exo_machine.h"

#define VA 0x10000000ull
#define READ_VA 0x18000000ull /* of what may only be read, */
#define MMIO_VA 0x19000000ull /* and of registers */
#define FREE_VA 0x20000000ull
#define IOVA 0x4000ull      /* bound, and the one before it is not */
#define LPI MACHINE_LPI_MIN /* bound, and the next is not */
#define BAD_MAX 24u

/* Kinds; a letter in upper case allows 0 as "none" where there is one in lower case. */
#define HANDLES                                                                                              \
    "esvgtlimfpDXR" /* ENV, SPACE, VCPU, GATE, EVENT, SLICE, IRQ, MMIO, INFO, MACHINE, DMA, DOMAIN, TRACE */
#define HANDLES_OR_NONE "ESVGTLIMFP"

struct row {
    uint64_t good[8];
    const char *kinds[8]; /* NULL from the last argument on; "": every value is right */
    int64_t error;        /* what the good ones give: 0, nothing wrong */
    bool there, final;    /* final: the good ones would end the machine */
};

static struct row rows[EXO_NCALLS];
static struct actor a, dead, fresh;
static uint64_t stale, weak[EXO_NCAP_TYPES], gone[EXO_NCAP_TYPES];

struct bad {
    uint64_t value;
    int64_t error;
};

static struct bad bads[BAD_MAX];
static unsigned nbads;

static void wrong(uint64_t value, int64_t error)
{
    ck_assert_uint_lt(nbads, BAD_MAX);
    bads[nbads++] = (struct bad){value, error};
}

/* ---- kinds ------------------------------------------------------------------------------------------------------- */

/* No handle at all. */
static void wrong_handles(uint64_t good, bool none)
{
    if (!none)
        wrong(0, EXO_EHANDLE);
    wrong(stale, EXO_EHANDLE);
    wrong((1u << EXO_HANDLE_INDEX_BITS) - 1, EXO_EHANDLE);
    wrong(good + (1u << EXO_HANDLE_INDEX_BITS), EXO_EHANDLE); /* another generation */
    wrong(1ull << 31 | good, EXO_EHANDLE);
}

static void wrong_caps(char letter, uint64_t good)
{
    bool none = strchr(HANDLES_OR_NONE, letter) != NULL;
    const char *at = strchr(none ? HANDLES_OR_NONE : HANDLES, letter);
    unsigned type = EXO_CAP_ENV + (unsigned)(at - (none ? HANDLES_OR_NONE : HANDLES));

    wrong_handles(good, none);
    wrong(type == EXO_CAP_ENV ? EXO_SELF_SPACE : EXO_SELF_ENV, EXO_ETYPE);
    wrong(weak[type], EXO_ERIGHTS);
    if (gone[type])
        wrong(gone[type], EXO_EDEAD);
}

static void wrong_each(const uint64_t *values, unsigned n, int64_t error)
{
    for (unsigned i = 0; i < n; i++)
        wrong(values[i], error);
}
#define WRONG(error, ...)                                                                                    \
    wrong_each((const uint64_t[]){__VA_ARGS__}, sizeof((const uint64_t[]){__VA_ARGS__}) / 8, error)

static void wrong_memory(char kind)
{
    uint64_t top = system_info->table_va, used = vcpu_frame(root.vcpu),
             end = system_info->first_frame + system_info->nframes;

    if (kind == '@') /* an address */
        WRONG(EXO_ERANGE, 1, VA + 8, VA + PAGE_SIZE - 1, top, system_info->user_top, 1ull << 63,
              UINT64_MAX - PAGE_MASK, UINT64_MAX);
    else if (kind == 'n') /* a number of pages */
        WRONG(EXO_ERANGE, (top >> PAGE_SHIFT) + 1, 1ull << 52, UINT64_MAX >> PAGE_SHIFT, UINT64_MAX);
    else if (kind == 'w') /* a frame */
        WRONG(EXO_EINVAL, 0, system_info->first_frame - 1, end, 1ull << 32, UINT64_MAX - 1),
            wrong(used, EXO_EBUSY);
    else if (kind == 'a') /* how to allocate */
        WRONG(EXO_EINVAL, 6, 7, 1 << 6, 1 << 16, EXO_ALLOC_MORE | RW, EXO_ALLOC_CONTIG | EXO_ALLOC_LARGE | RW,
              RW | 12 << EXO_ALLOC_LIMIT_SHIFT, RW | 49 << EXO_ALLOC_LIMIT_SHIFT, UINT64_MAX),
            wrong(RW | EXO_ALLOC_CONTIG | EXO_ALLOC_MORE, EXO_ESTATE),
            wrong(RW | EXO_ALLOC_LARGE | EXO_ALLOC_MORE, EXO_ESTATE), wrong(RW | EXO_ALLOC_LARGE, EXO_ERANGE);
    else if (kind == 'q') /* a protection, perhaps lazily */
        WRONG(EXO_EINVAL, 6, 7, 8, 1 << 4, 1 << 9, 1ull << 32, UINT64_MAX);
    else if (kind == 'x') /* a protection with a maximum */
        WRONG(EXO_EINVAL, 6, 7, 8, EXO_PROT_MAX(8), EXO_PROT_MAX(1) | RW, 1ull << 32 | RW, UINT64_MAX);
    else if (kind == 'y') /* a device's */
        WRONG(EXO_EINVAL, EXO_PROT_EXEC, EXO_PROT_EXEC | EXO_PROT_READ, 8, EXO_LAZY, UINT64_MAX);
    else if (kind == 'z') /* how to unmap */
        WRONG(EXO_EINVAL, 1, 2, 1 << 7, 1 << 9, EXO_LAZY | 1, UINT64_MAX);
    else if (kind == '#') /* a physical address of a device */
        WRONG(EXO_ERANGE, 0x9000001, 0x9000800, RAM_BASE, RAM_BASE + PAGE_SIZE, 1ull << 48,
              UINT64_MAX - PAGE_MASK, UINT64_MAX);
    else
        ck_abort_msg("there is no kind '%c'", kind);
}

static void wrong_places(char kind)
{
    const uint64_t end = 1ull << ARCH_USER_BITS;

    if (kind == '~') /* nothing there */
        wrong(FREE_VA, EXO_EUNBOUND);
    else if (kind == ',') /* no ordinary page */
        wrong(MMIO_VA, EXO_EINVAL);
    else if (kind == '^') /* not to be written */
        wrong(READ_VA, EXO_ERIGHTS);
    else if (kind == '3') /* more pages than are bound */
        wrong(5, EXO_EUNBOUND);
    else if (kind == '5') /* than one call does */
        wrong(EXO_RANGE_MAX + 1, EXO_ERANGE);
    else if (kind == '%') /* a device's address */
        WRONG(EXO_ERANGE, 1, IOVA + 8, end, 1ull << 63, UINT64_MAX - PAGE_MASK, UINT64_MAX);
    else if (kind == '=') /* one where nothing is */
        WRONG(EXO_EBOUND, IOVA, MACHINE_DOORBELL & ~(uint64_t)PAGE_MASK);
    else if (kind == '-') /* one within a page where something is */
        WRONG(EXO_ERANGE, end, 1ull << 63, UINT64_MAX), wrong(FREE_VA, EXO_EUNBOUND);
    else if (kind == '?') /* a number of a device's pages */
        WRONG(EXO_ERANGE, end >> PAGE_SHIFT, 1ull << 52, UINT64_MAX >> PAGE_SHIFT, UINT64_MAX);
    else
        wrong_memory(kind);
}

static void wrong_devices(char kind)
{
    if (kind == '8') /* a line that messages raise */
        wrong(40, EXO_EINVAL), wrong(LPI, EXO_EBUSY);
    else if (kind == '7') /* a device that sends some */
        WRONG(EXO_ERANGE, MACHINE_MSI_DEVICES, EXO_DMA_STREAMS, 1ull << 63, UINT64_MAX);
    else if (kind == '9') /* an event of it */
        WRONG(EXO_EINVAL, EXO_MSI_EVENTS, 1ull << 32, UINT64_MAX), wrong(7, EXO_EBUSY);
    else if (kind == ':') /* a stream */
        WRONG(EXO_ERANGE, MACHINE_STREAMS, EXO_DMA_STREAMS, 1ull << 63, UINT64_MAX), wrong(3, EXO_EBUSY);
    else if (kind == 'W') /* what its device may do */
        WRONG(EXO_EINVAL, 0, EXO_PROT_WRITE, EXO_PROT_EXEC, EXO_PROT_READ | EXO_PROT_EXEC, EXO_PROT_ALL, 8,
              1ull << 32 | RW, UINT64_MAX);
    else if (kind == 'Y') /* a domain's field */
        WRONG(EXO_EINVAL, EXO_DMA_FAULT_ACCESS + 1, 1ull << 32, UINT64_MAX);
    else if (kind == 'H') /* how to trace; there is no ring */
        WRONG(EXO_EINVAL, EXO_TRACE_RELEASE + 1, 1ull << 32, UINT64_MAX), wrong(EXO_TRACE_ON, EXO_ESTATE);
    else if (kind == '!') /* no child */
        wrong(EXO_SELF_ENV, EXO_ESTATE);
    else if (kind == '+') /* another's space */
        wrong(a.space_cap, EXO_ESTATE);
    else if (kind == '&') /* a child's limit */
        WRONG(EXO_EQUOTA, exo_free_frames() + 201, 1ull << 63, UINT64_MAX);
    else
        wrong_places(kind);
}

/* Long: a list of kinds. */
static void wrong_values(char kind, uint64_t good)
{
    if (strchr(HANDLES, kind) || strchr(HANDLES_OR_NONE, kind))
        wrong_caps(kind, good);
    else if (kind == 'c') /* of any type, its object alive or not */
        wrong_handles(good, false);
    else if (kind == '>') /* one to give away */
        wrong_handles(good, false), wrong(weak[EXO_CAP_SPACE], EXO_ERIGHTS),
            wrong(gone[EXO_CAP_SPACE], EXO_EDEAD);
    else if (kind == '|') /* bits above a gate's handle */
        WRONG(EXO_EINVAL, 1ull << 35 | good, 1ull << 63 | good);
    else if (kind == 'd') /* a field */
        WRONG(EXO_EINVAL, EXO_NENV_FIELDS, 1ull << 32, UINT64_MAX);
    else if (kind == 'k') /* a limit */
        WRONG(EXO_EQUOTA, 0, 2, exo_free_frames() + 1, 1ull << 63, UINT64_MAX);
    else if (kind == 'b') /* bits of an event of 0xff */
        WRONG(EXO_ERIGHTS, 0x100, 0x1ff, 1ull << 63, UINT64_MAX);
    else if (kind == 'u') /* a CPU */
        WRONG(EXO_EUNSUPPORTED, system_info->ncpus, 1ull << 32, UINT64_MAX);
    else if (kind == 'o') /* a slot */
        WRONG(EXO_ERANGE, system_info->slots, 1ull << 32, UINT64_MAX);
    else if (kind == '0') /* a mask */
        wrong(0, EXO_EINVAL);
    else if (kind == 'r') /* rights */
        WRONG(EXO_ERIGHTS, EXO_RIGHTS_ALL + 1, 1ull << 32, UINT64_MAX);
    else if (kind == '1') /* narrows a type that has nothing to narrow */
        WRONG(EXO_EINVAL, 1, UINT64_MAX);
    else if (kind == 'h') /* a line */
        WRONG(EXO_ERANGE, 1ull << 32 | good, 1ull << 63, UINT64_MAX);
    else if (kind == 'j') /* one that can be given away; one that is had */
        wrong(3, EXO_EINVAL);
    else if (kind == 'J')
        wrong(42, EXO_ESTATE);
    else if (kind == '6') /* an event bit */
        WRONG(EXO_EINVAL, 63, 64, UINT64_MAX);
    else if (kind == 'N') /* a table of the kernel's */
        WRONG(EXO_EINVAL, EXO_NINFO_TABLES, 1ull << 32, UINT64_MAX);
    else if (kind == '/') /* a page of it */
        WRONG(EXO_ERANGE, 1ull << 20, 1ull << 52, UINT64_MAX);
    else if (kind == '4') /* bytes of a line in the log */
        WRONG(EXO_ERANGE, 49, 1ull << 32, UINT64_MAX);
    else if (kind == '2') /* how to stop */
        WRONG(EXO_EINVAL, 2, 1ull << 32, UINT64_MAX);
    else if (kind == 'K') /* a reply token */
        WRONG(EXO_ETOKEN, 1, vcpu_frame(a.vcpu), 1ull << 32 | vcpu_frame(a.vcpu), 1ull << 62, UINT64_MAX);
    else
        wrong_devices(kind);
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

#define KINDS(...) .kinds = {__VA_ARGS__}, .there = true
#define ROW(name, ...)                                                                                       \
    rows[EXO_CALL_##name] = (struct row)                                                                     \
    {                                                                                                        \
        __VA_ARGS__                                                                                          \
    }

static void describe_memory(uint64_t space, uint64_t pinned)
{
    ROW(page_alloc, KINDS("s", "@", "n", "w", "a"), .good = {EXO_SELF_SPACE, FREE_VA, 2, EXO_WANT_ANY, RW});
    ROW(page_map, KINDS("s", "@", "s", "@", "n", "x"),
        .good = {EXO_SELF_SPACE, FREE_VA, EXO_SELF_SPACE, VA, 2, RW});
    ROW(page_protect, KINDS("s", "@", "n", "q"), .good = {EXO_SELF_SPACE, VA, 2, EXO_PROT_READ});
    ROW(page_unmap, KINDS("s", "@", "n", "z"), .good = {EXO_SELF_SPACE, VA, 2, 0});
    ROW(tlb_sync, KINDS("s", "@", "n"), .good = {EXO_SELF_SPACE, VA, 2});
    ROW(mmio_map, KINDS("m", "s", "@", "#", "n", "y"),
        .good = {EXO_FIRST_MMIO, EXO_SELF_SPACE, FREE_VA, 0x9000000, 1, RW});
    ROW(info_map, KINDS("f", "N", "/", "s", "@"),
        .good = {EXO_FIRST_INFO, EXO_INFO_LOG, 0, EXO_SELF_SPACE, FREE_VA});
    ROW(space_create, KINDS(NULL));
    ROW(space_destroy, KINDS("s"), .good = {space});
    ROW(space_switch, KINDS("s"), .good = {EXO_SELF_SPACE});
    ROW(asid_pin, KINDS("s"), .good = {space});
    ROW(asid_unpin, KINDS("s"), .good = {pinned});
}

static void describe_devices(uint64_t domain)
{
    ROW(msi_bind, KINDS("i", "h8", "D", "7", "9", "v", "6"),
        .good = {EXO_FIRST_IRQ, LPI + 1, EXO_FIRST_DMA, 5, 3, EXO_FIRST_VCPU, 6});
    ROW(dma_open, KINDS("D", ":"), .good = {EXO_FIRST_DMA, 4});
    ROW(dma_bind, KINDS("X", "%=", "s", "@~,^", "n3", "W"),
        .good = {domain, IOVA + 0x4000, EXO_SELF_SPACE, VA, 2, RW});
    ROW(dma_unbind, KINDS("X", "%", "?"), .good = {domain, IOVA, 1});
    ROW(dma_address, KINDS("X", "-"), .good = {domain, IOVA});
    ROW(dma_status, KINDS("X", "Y"), .good = {domain, EXO_DMA_PAGES});
    ROW(dma_close, KINDS("X"), .good = {domain});
    ROW(trace_bind, KINDS("R", "u", "s", "@~,^", "n3"), .good = {EXO_FIRST_TRACE, 0, EXO_SELF_SPACE, VA, 2});
    ROW(trace_control, KINDS("R", "u", "H"), .good = {EXO_FIRST_TRACE, 0, EXO_TRACE_OFF});
}

static void describe(uint64_t gate, uint64_t event, uint64_t space, uint64_t pinned)
{
    describe_memory(space, pinned);
    ROW(env_create, KINDS("k", "T", "b"), .good = {20, event, 0xff});
    ROW(env_limit, KINDS("e!", "&", ""), .good = {a.env_cap, 150, 0});
    ROW(page_reclaim, KINDS("s+", "@~,", "n35", ""), .good = {EXO_SELF_SPACE, VA, 2, 0});
    ROW(env_status, KINDS("e", "d"), .good = {a.env_cap, EXO_ENV_STATE});
    ROW(env_exit, KINDS(""), .final = true);
    ROW(env_stop, KINDS("e"), .good = {a.env_cap});
    ROW(env_destroy, KINDS("e"), .good = {a.env_cap});
    ROW(vcpu_create, KINDS("e", "u", "s", "@"), .good = {a.env_cap, 0, EXO_SELF_SPACE, VA});
    ROW(vcpu_start, KINDS("v", ""), .good = {fresh.vcpu_cap, 1});
    ROW(wait, KINDS("", ""), .good = {1, 0});
    ROW(yield, KINDS("V"), .good = {a.vcpu_cap});
    ROW(resume, KINDS(NULL));
    ROW(slice_bind, KINDS("l", "o", "v"), .good = {EXO_FIRST_SLICE, 5, EXO_FIRST_VCPU});
    ROW(slice_release, KINDS("l", "o"), .good = {EXO_FIRST_SLICE, 5});
    ROW(gate_create, KINDS("v", ""), .good = {EXO_FIRST_VCPU, 7});
    ROW(call, KINDS("g|", "", "", "", "", "", "", ""), .good = {gate}, .error = EXO_ETIMEDOUT);
    ROW(reply_wait, KINDS("K", "", "", "", "", "", "", ""), .error = EXO_ETIMEDOUT);
    ROW(event_create, KINDS("v", "0"), .good = {EXO_FIRST_VCPU, 3});
    ROW(signal, KINDS("t", "b"), .good = {event, 1});
    ROW(cap_grant, KINDS("e", ">", "r", "1", "1"), .good = {a.env_cap, EXO_SELF_SPACE, EXO_RIGHT_USE, 0, 0});
    ROW(cap_drop, KINDS("c"), .good = {event});
    ROW(cap_revoke, KINDS("c"), .good = {event});
    ROW(irq_bind, KINDS("i", "hj", "V", "6"), .good = {EXO_FIRST_IRQ, 40, EXO_FIRST_VCPU, 3});
    ROW(irq_ack, KINDS("i", "hJ"), .good = {EXO_FIRST_IRQ, 41});
    ROW(log_write, KINDS("4", "", "", "", "", "", ""), .good = {48});
    ROW(machine_stop, KINDS("p", "2"), .good = {EXO_FIRST_MACHINE, EXO_STOP_OFF}, .final = true);
    ROW(null, KINDS(NULL));
}

static void setup_gone(void)
{
    dead = actor_make(40);
    gone[EXO_CAP_ENV] = dead.env_cap;
    gone[EXO_CAP_SPACE] = dead.space_cap;
    gone[EXO_CAP_VCPU] = dead.vcpu_cap;
    gone[EXO_CAP_GATE] = (uint64_t)CALL_OK(gate_create, dead.vcpu_cap, 1);
    gone[EXO_CAP_EVENT] = (uint64_t)CALL_OK(event_create, dead.vcpu_cap, 0xff);
    while (CALL_OK(env_destroy, dead.env_cap))
        ;
}

/* A domain with one page, another that is gone; a device with one event. */
static uint64_t setup_devices(void)
{
    uint64_t domain = (uint64_t)CALL_OK(dma_open, EXO_FIRST_DMA, 3);

    CALL_OK(dma_bind, domain, IOVA, EXO_SELF_SPACE, VA, 1, EXO_PROT_READ);
    gone[EXO_CAP_DOMAIN] = (uint64_t)CALL_OK(dma_open, EXO_FIRST_DMA, 9);
    while (CALL_OK(dma_close, gone[EXO_CAP_DOMAIN]))
        ;
    CALL_OK(msi_bind, EXO_FIRST_IRQ, LPI, EXO_FIRST_DMA, 5, 7, EXO_FIRST_VCPU, 5);
    CALL_OK(page_map, EXO_SELF_SPACE, READ_VA, EXO_SELF_SPACE, VA, 2, EXO_PROT_READ);
    CALL_OK(mmio_map, EXO_FIRST_MMIO, EXO_SELF_SPACE, MMIO_VA, 0x9000000, 2, RW);
    return domain;
}

static void setup(void)
{
    uint64_t gate, event, space, pinned, domain,
        of_type[EXO_NCAP_TYPES] = {[EXO_CAP_ENV] = EXO_SELF_ENV,    [EXO_CAP_SPACE] = EXO_SELF_SPACE,
                                   [EXO_CAP_VCPU] = EXO_FIRST_VCPU, [EXO_CAP_SLICE] = EXO_FIRST_SLICE,
                                   [EXO_CAP_IRQ] = EXO_FIRST_IRQ,   [EXO_CAP_MMIO] = EXO_FIRST_MMIO,
                                   [EXO_CAP_INFO] = EXO_FIRST_INFO, [EXO_CAP_MACHINE] = EXO_FIRST_MACHINE,
                                   [EXO_CAP_DMA] = EXO_FIRST_DMA,   [EXO_CAP_TRACE] = EXO_FIRST_TRACE};

    machine.iommu = true;
    exo_boot();
    a = actor_make(200);
    fresh = actor_new(50);
    exo_alloc_run(EXO_SELF_SPACE, VA, 4, EXO_WANT_ANY, RW);
    domain = setup_devices();
    gate = (uint64_t)CALL_OK(gate_create, a.vcpu_cap, 1);
    event = (uint64_t)CALL_OK(event_create, a.vcpu_cap, 0xff);
    space = (uint64_t)CALL_OK(space_create, 0);
    pinned = (uint64_t)CALL_OK(space_create, 0);
    CALL_OK(asid_pin, pinned);
    CALL_OK(irq_bind, EXO_FIRST_IRQ, 41, EXO_FIRST_VCPU, 4);
    stale = (uint64_t)CALL_OK(event_create, EXO_FIRST_VCPU, 1);
    CALL_OK(cap_drop, stale);
    of_type[EXO_CAP_GATE] = gate;
    of_type[EXO_CAP_EVENT] = event;
    of_type[EXO_CAP_DOMAIN] = domain;
    setup_gone();
    for (unsigned type = EXO_CAP_ENV; type < EXO_NCAP_TYPES; type++)
        if (of_type[type])
            weak[type] = (uint64_t)CALL_OK(cap_grant, EXO_SELF_ENV, of_type[type], 0, 0, 0);
    stale +=
        (1ull << EXO_HANDLE_INDEX_BITS) * 8; /* should the slot be in use again: not of this generation */
    describe(gate, event, space, pinned);
    describe_devices(domain);
}

/* ---- the test ---------------------------------------------------------------------------------------------------- */

#define CALL_NAME(name, nargs, args, what) #name,
static const char *const name_of[] = {EXO_CALLS(CALL_NAME)};
#define CALL_NARGS(name, nargs, args, what) nargs,
static const unsigned char nargs_of[] = {EXO_CALLS(CALL_NARGS)};

static void try_wrong(uint64_t number, const struct row *row, unsigned arg)
{
    for (unsigned i = 0; i < nbads; i++) {
        uint64_t args[8], state;
        int64_t rc;

        memcpy(args, row->good, sizeof(args));
        args[arg] = bads[i].value;
        as(&root);
        CALL0(null);
        state = exo_state();
        rc = machine_call(number, args);
        ck_assert_msg(rc == -bads[i].error, "%s: argument %u = 0x%lx: answers %ld, not %ld", name_of[number],
                      arg, (unsigned long)bads[i].value, (long)rc, -(long)bads[i].error);
        ck_assert_msg(exo_state() == state, "%s: argument %u = 0x%lx: changed something", name_of[number],
                      arg, (unsigned long)bads[i].value);
        exo_check();
    }
}

START_TEST(each_argument_wrong)
{
    uint64_t number = (uint64_t)_i;
    const struct row *row = &rows[number];
    int64_t rc;

    ck_assert_msg(row->there, "%s has no row: say what its arguments are", name_of[number]);
    for (unsigned arg = 0; arg < nargs_of[number]; arg++) {
        ck_assert_msg(row->kinds[arg], "%s: argument %u has no kind", name_of[number], arg);
        for (const char *kind = row->kinds[arg]; *kind; kind++) {
            nbads = 0;
            wrong_values(*kind, row->good[arg]);
            try_wrong(number, row, arg);
        }
    }
    if (row->final)
        return;
    rc = machine_call(number, row->good);
    ck_assert_msg(row->error || rc >= 0 || rc == MACHINE_AWAY, "%s: all arguments right: %ld",
                  name_of[number], (long)rc);
    if (rc == MACHINE_AWAY && row->error) {
        machine_advance(1);
        as(&root);
        rc = result(root.vcpu);
    }
    ck_assert(!row->error || rc == -row->error);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("wrong arguments");
    TCase *tc = tcase_create("each call");

    tcase_add_checked_fixture(tc, setup, exo_check);
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, each_argument_wrong, 0, EXO_NCALLS);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    return exo_suite_run(suite());
}
