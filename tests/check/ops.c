#include "ops.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cpu.h"
#include "exo_small.h"
#include "gate.h"

#define VALUES_MAX 12u
#define BEYOND 0x7f8000000000ull /* the tables' window */

struct values {
    uint64_t v[VALUES_MAX];
    unsigned n;
};

/* One argument: what is tried in all combinations, and what one at a time. */
struct choice {
    struct values good, other;
};

static struct op *list;
static unsigned nlist, groups_on;
static uint8_t on_cpu;
static struct vcpu *me;
static enum op_kind good_kind;

static void add(struct values *values, uint64_t v)
{
    if (values->n < VALUES_MAX)
        values->v[values->n++] = v;
}

static void other(struct choice *choice, uint64_t v)
{
    if (groups_on & GROUP_WRONG)
        add(&choice->other, v);
}

static struct choice these(unsigned ngood, unsigned nother, ...)
{
    struct choice choice = {0};
    va_list args;

    va_start(args, nother);
    for (unsigned i = 0; i < ngood; i++)
        add(&choice.good, va_arg(args, uint64_t));
    for (unsigned i = 0; i < nother; i++)
        other(&choice, va_arg(args, uint64_t));
    va_end(args);
    return choice;
}

/* ---- handles ------------------------------------------------------------------------------------------------------ */

static uint64_t handle_of(const struct cap *cap, uint32_t index)
{
    return (uint64_t)cap->generation << EXO_HANDLE_INDEX_BITS | index;
}

/* Of my table: live ones of a type with a right; wrong ones: none, stale, dead, of another type, without the right. */
static struct choice handles(enum exo_cap_type type, unsigned right)
{
    const struct cap_table *table = &me->env->owner.caps;
    uint64_t stale = 0, dead = 0, weak = 0, foreign = 0;
    struct choice choice = {0};

    for (uint32_t i = 1; i < table->nframes * CAPS_PER_FRAME; i++) {
        const struct cap *cap =
            &((const struct cap *)frame_address(table->frames[i / CAPS_PER_FRAME]))[i % CAPS_PER_FRAME];
        uint64_t handle = handle_of(cap, i);

        if (cap->type == EXO_CAP_NONE)
            continue;
        if (cap->type != type)
            foreign = foreign ? foreign : handle;
        else if (cap_live(cap))
            dead = handle;
        else if (!(cap->rights & right))
            weak = handle;
        else
            add(&choice.good, handle);
        if (cap->type == type)
            stale = handle ^ 1u << EXO_HANDLE_INDEX_BITS;
    }
    other(&choice, 0);
    other(&choice, stale ? stale : foreign ^ 1u << EXO_HANDLE_INDEX_BITS);
    other(&choice, foreign);
    if (dead)
        other(&choice, dead);
    if (weak)
        other(&choice, weak);
    return choice;
}

/* Of each type that is worth giving on or dropping; boot's own capabilities stay. */
static struct choice any_handle(bool mine)
{
    const struct cap_table *table = &me->env->owner.caps;
    unsigned first = me->env == root.env ? EXO_FIRST_SLICE + ncpus : mine ? EXO_SELF_SPACE + 1 : 1;
    struct choice choice = these(0, 2, 0ull, 0x7fffffffull);

    for (uint32_t i = first; i < table->nframes * CAPS_PER_FRAME; i++) {
        const struct cap *cap =
            &((const struct cap *)frame_address(table->frames[i / CAPS_PER_FRAME]))[i % CAPS_PER_FRAME];

        if (cap->type != EXO_CAP_NONE)
            add(&choice.good, handle_of(cap, i));
    }
    return choice;
}

/* ---- other arguments ---------------------------------------------------------------------------------------------- */

static struct choice one(uint64_t v)
{
    return these(1, 0, v);
}

static struct choice address(void)
{
    return these(2, 2, SMALL_VA1, SMALL_VA3, SMALL_VA1 + 16, BEYOND);
}

static struct choice how_many(void)
{
    return these(1, 3, 1ull, 0ull, 2ull, 70ull);
}

static struct choice until(void)
{
    return these(2, 1, EXO_FOREVER, machine.time + SMALL_LONG, 0ull);
}

/* Any vcpu's call as it stands: the right one where it has called me, or a stale or invented one. */
static uint64_t token_of(const struct vcpu *vcpu)
{
    return (uint64_t)(vcpu->call_serial & ((1u << 28) - 1)) << 32 | vcpu_frame(vcpu);
}

static struct choice token(void)
{
    struct choice choice = these(1, 1, 0ull, 0x123ull);

    for (pfn_t pfn = system_info->first_frame; pfn < system_info->first_frame + system_info->nframes; pfn++) {
        const struct vcpu *vcpu = frame_address(pfn);

        if (frame_kind(pfn) != EXO_FRAME_VCPU)
            continue;
        if (vcpu->state == VCPU_CALLING && vcpu->peer == me)
            add(&choice.good, token_of(vcpu));
        else if (vcpu->call_serial)
            other(&choice, token_of(vcpu));
    }
    return choice;
}

/* ---- combinations ------------------------------------------------------------------------------------------------- */

static void put_op(enum op_kind kind, uint8_t number, const uint64_t *args, unsigned nargs, bool wrong)
{
    struct op *op = &list[nlist];

    if (nlist + 1 >= OPS_MAX)
        abort();
    *op = (struct op){.kind = (uint8_t)kind, .cpu = on_cpu, .number = number, .wrong = wrong};
    for (unsigned i = 0; i < nargs; i++)
        op->args[i] = args[i];
    nlist++;
}

static void each_good(uint8_t number, const struct choice *choices, unsigned n, unsigned at, uint64_t *args)
{
    if (at == n) {
        put_op(good_kind, number, args, n, false);
        return;
    }
    for (unsigned i = 0; i < choices[at].good.n; i++) {
        args[at] = choices[at].good.v[i];
        each_good(number, choices, n, at + 1, args);
    }
}

/* Good arguments only, as another kind of step than a plain call. */
static void kind_of(enum op_kind kind, uint8_t number, const struct choice *choices, unsigned n)
{
    uint64_t args[8] = {0};

    good_kind = kind;
    each_good(number, choices, n, 0, args);
    good_kind = OP_CALL;
}

static void calls_of(uint8_t number, const struct choice *choices, unsigned n)
{
    uint64_t args[8] = {0};

    each_good(number, choices, n, 0, args);
    for (unsigned k = 0; k < n; k++)
        for (unsigned i = 0; i < choices[k].other.n; i++) {
            for (unsigned other_arg = 0; other_arg < n; other_arg++)
                args[other_arg] = choices[other_arg].good.n ? choices[other_arg].good.v[0] : 0;
            args[k] = choices[k].other.v[i];
            put_op(OP_CALL, number, args, n, true);
        }
}

#define CALLS(name, ...)                                                                                     \
    do {                                                                                                     \
        const struct choice choices_[] = {__VA_ARGS__};                                                      \
        calls_of(EXO_CALL_##name, choices_, ARRAY_LEN(choices_));                                            \
    } while (0)

#define KIND(kind, name, ...)                                                                                \
    do {                                                                                                     \
        const struct choice choices_[] = {__VA_ARGS__};                                                      \
        kind_of(kind, EXO_CALL_##name, choices_, ARRAY_LEN(choices_));                                       \
    } while (0)

/* ---- groups ------------------------------------------------------------------------------------------------------- */

#define WX ((uint64_t)EXO_PROT_WRITE | EXO_PROT_EXEC)
#define READ ((uint64_t)EXO_PROT_READ)

static void pages(void)
{
    struct choice space = handles(EXO_CAP_SPACE, EXO_RIGHT_USE);

    CALLS(page_alloc, space, address(), how_many(), these(1, 1, EXO_WANT_ANY, 1ull << 40),
          these(1, 3, RW, READ, WX, 1ull << 40));
    CALLS(page_map, space, address(), handles(EXO_CAP_SPACE, EXO_RIGHT_READ),
          these(2, 3, SMALL_VA1, SMALL_VA3, ACTOR_VCPU_VA, SMALL_VA1 + 16, BEYOND), how_many(),
          these(2, 4, READ, RW, EXO_PROT_MAX(RW) | READ, EXO_PROT_MAX(READ) | RW, 0ull, WX));
    CALLS(page_protect, space, address(), how_many(), these(2, 2, READ, RW, 0ull, WX));
    CALLS(page_unmap, space, address(), how_many(), these(1, 1, 0ull, 1ull));
}

static void lazily(void)
{
    struct choice space = handles(EXO_CAP_SPACE, EXO_RIGHT_USE);

    CALLS(page_protect, space, address(), one(1), one(READ | EXO_LAZY));
    CALLS(page_unmap, space, address(), how_many(), one(EXO_LAZY));
    CALLS(tlb_sync, space, address(), how_many());
}

static void runs(void)
{
    struct choice space = handles(EXO_CAP_SPACE, EXO_RIGHT_USE);

    CALLS(page_alloc, space, address(), these(1, 3, 2ull, 0ull, 3ull, 2000ull), one(EXO_WANT_ANY),
          these(2, 1, RW | EXO_ALLOC_CONTIG, RW | EXO_ALLOC_CONTIG | EXO_ALLOC_MORE, RW | EXO_ALLOC_LARGE));
    CALLS(page_alloc, space, address(), one(1),
          these(1, 2, (uint64_t)system_info->first_frame + 340, (uint64_t)system_info->first_frame,
                (uint64_t)UINT32_MAX),
          one(RW));
}

/* What my spaces wait for, both kinds; and a count that is not what is left. */
static void resume(void)
{
    struct choice mine = handles(EXO_CAP_SPACE, EXO_RIGHT_USE);

    for (unsigned i = 0; i < mine.good.n; i++) {
        const struct cap *cap = cap_at(me->env, mine.good.v[i]);
        const struct space_run *run = &((const struct space *)frame_address(cap->object))->run;
        uint64_t kind = run->large ? EXO_ALLOC_LARGE : EXO_ALLOC_CONTIG;
        struct choice flags = these(1, 1, RW | EXO_ALLOC_MORE | kind,
                                    RW | EXO_ALLOC_MORE | (kind ^ EXO_ALLOC_LARGE ^ EXO_ALLOC_CONTIG));

        if (!run->left)
            continue;
        CALLS(page_alloc, one(mine.good.v[i]), these(1, 1, run->va, run->va + PAGE_SIZE),
              these(2, 1, run->left, 0ull, run->left + 1), one(EXO_WANT_ANY), flags);
        KIND(OP_PRESSED, page_alloc, one(mine.good.v[i]), one(run->va), one(run->left), one(EXO_WANT_ANY),
             flags);
        if (run->large)
            put_op(OP_MORE, EXO_CALL_page_alloc, (uint64_t[]){mine.good.v[i], RW | EXO_ALLOC_LARGE}, 2,
                   false);
    }
}

static void large(void)
{
    struct choice space = handles(EXO_CAP_SPACE, EXO_RIGHT_USE),
                  at = these(2, 1, SMALL_VA3, SMALL_VA4, SMALL_VA1);
    struct choice whole = these(1, 2, (uint64_t)EXO_LARGE_PAGES, 1ull, EXO_LARGE_PAGES - 1ull);
    struct choice contig = one(RW | EXO_ALLOC_CONTIG);
    uint64_t half = 1u << 8; /* pages: a part's place */

    CALLS(
        page_alloc, space, at, whole,
        these(1, 2, EXO_WANT_ANY, (uint64_t)frame_ram.first + EXO_LARGE_PAGES, (uint64_t)frame_ram.first + 1),
        these(1, 2, RW | EXO_ALLOC_LARGE, WX | EXO_ALLOC_LARGE, RW | EXO_ALLOC_LARGE | EXO_ALLOC_CONTIG));
    KIND(OP_PRESSED, page_alloc, space, one(SMALL_VA1), these(1, 0, 3ull), one(EXO_WANT_ANY), contig);
    resume();
    CALLS(page_map, space, at, handles(EXO_CAP_SPACE, EXO_RIGHT_READ), at, whole, these(2, 0, READ, RW));
    CALLS(page_map, space, one(SMALL_VA1), handles(EXO_CAP_SPACE, EXO_RIGHT_READ),
          one(SMALL_VA3 + half * PAGE_SIZE), one(1), these(2, 0, READ, RW));
    CALLS(page_protect, space, at, whole, these(2, 1, READ, READ | EXO_LAZY, WX));
    CALLS(page_unmap, space, at, whole, these(2, 0, 0ull, (uint64_t)EXO_LAZY));
    CALLS(page_unmap, space, one(SMALL_VA1), one(1), one(0));
    CALLS(page_alloc, space, one(SMALL_VA3), one(1), one(EXO_WANT_ANY), one(RW)); /* in its way */
    CALLS(tlb_sync, space, one(SMALL_VA3), one(EXO_LARGE_PAGES));
}

static void spaces(void)
{
    struct choice space = handles(EXO_CAP_SPACE, EXO_RIGHT_MANAGE);

    put_op(OP_CALL, EXO_CALL_space_create, NULL, 0, false);
    CALLS(space_destroy, space);
    CALLS(asid_pin, space);
    CALLS(asid_unpin, space);
    CALLS(space_switch, handles(EXO_CAP_SPACE, EXO_RIGHT_USE));
}

/* init does not end: there would be nothing left to look at. */
static struct choice mortal(void)
{
    struct choice choice = handles(EXO_CAP_ENV, EXO_RIGHT_MANAGE);
    struct values all = choice.good;

    choice.good.n = 0;
    for (unsigned i = 0; i < all.n; i++)
        if (env_of(cap_at(me->env, all.v[i])) != root.env)
            add(&choice.good, all.v[i]);
    return choice;
}

static void envs(void)
{
    struct choice event = handles(EXO_CAP_EVENT, EXO_RIGHT_USE);

    event.good.n = event.good.n ? 1 : 0;
    add(&event.good, 0);
    CALLS(env_create, these(1, 3, 3ull, 0ull, 2ull, 1000ull), event, these(1, 1, 1ull, 1ull << 20));
    CALLS(env_stop, mortal());
    CALLS(env_destroy, mortal());
    CALLS(env_status, handles(EXO_CAP_ENV, EXO_RIGHT_READ),
          these(1, 1, (uint64_t)EXO_ENV_USED, (uint64_t)EXO_NENV_FIELDS));
    if (me->env != root.env)
        CALLS(env_exit, one(5));
}

static void vcpus(void)
{
    CALLS(vcpu_create, handles(EXO_CAP_ENV, EXO_RIGHT_MANAGE), these(1, 2, ncpus - 1ull, 0ull, 99ull),
          handles(EXO_CAP_SPACE, EXO_RIGHT_READ), these(1, 2, SMALL_VA1, SMALL_VA1 + 16, BEYOND));
    CALLS(vcpu_start, handles(EXO_CAP_VCPU, EXO_RIGHT_MANAGE), one(0));
}

static void gates(void)
{
    struct choice gate = handles(EXO_CAP_GATE, EXO_RIGHT_USE), with = gate;

    CALLS(call, gate, one(1), one(2), one(3), one(4), one(5), one(6), until());
    with.other.n = with.good.n = 0;
    for (unsigned i = 0; i < gate.good.n && i < 2; i++)
        for (uint64_t flag = EXO_MSG_PAGES; flag <= EXO_MSG_INTR; flag <<= 1)
            add(&with.good, gate.good.v[i] | flag);
    CALLS(call, with, one(1), one(2), one(3), one(4), one(5), one(6), one(EXO_FOREVER));
    CALLS(reply_wait, token(), one(1), one(2), one(3), one(4), one(5), one(6), until());
    with = token();
    with.other.n = 0;
    for (unsigned i = 0; i < with.good.n; i++)
        with.good.v[i] |= with.good.v[i] ? EXO_REPLY_PAGES | EXO_REPLY_CAP : 0;
    if (with.good.n > 1)
        CALLS(reply_wait, with, one(1), one(2), one(3), one(4), one(5), one(6), one(EXO_FOREVER));
    CALLS(yield, one(0));
    CALLS(yield, handles(EXO_CAP_VCPU, EXO_RIGHT_USE));
}

static void events(void)
{
    CALLS(wait, these(1, 1, 1ull, 0ull), until());
    CALLS(signal, handles(EXO_CAP_EVENT, EXO_RIGHT_USE), these(1, 3, 1ull, 0ull, 2ull, 1ull << 20));
    if (machine_in_upcall(me))
        put_op(OP_CALL, EXO_CALL_resume, NULL, 0, false);
    if (me->page->events)
        put_op(OP_CLEAR, 0, NULL, 0, false);
    else
        put_op(OP_LISTEN, 0, &(uint64_t){!me->page->upcall_events}, 1, false);
}

static void caps(void)
{
    CALLS(cap_grant, handles(EXO_CAP_ENV, EXO_RIGHT_GIVE), any_handle(false),
          these(1, 2, (uint64_t)EXO_RIGHTS_ALL, 0ull, (uint64_t)EXO_RIGHT_USE | EXO_RIGHT_COPY),
          these(1, 1, 0ull, 1ull), one(0));
    CALLS(cap_drop, any_handle(true));
    CALLS(cap_revoke, any_handle(true));
    CALLS(gate_create, handles(EXO_CAP_VCPU, EXO_RIGHT_MANAGE), one(5));
    CALLS(event_create, handles(EXO_CAP_VCPU, EXO_RIGHT_MANAGE), these(1, 1, 1ull, 0ull));
}

static void revocation(void)
{
    CALLS(env_limit, handles(EXO_CAP_ENV, EXO_RIGHT_MANAGE), these(2, 2, 10ull, 14ull, 16ull, 1000ull),
          these(2, 0, 0ull, machine.time + SMALL_LONG));
    CALLS(page_reclaim, handles(EXO_CAP_SPACE, EXO_RIGHT_USE), address(), how_many(), one(0));
    if (small.with & (SMALL_DMA | SMALL_TRACE)) {
        CALLS(page_reclaim, handles(EXO_CAP_SPACE, EXO_RIGHT_USE), one(SMALL_BUF), one(1), one(0));
        KIND(OP_AGAIN, page_reclaim, handles(EXO_CAP_SPACE, EXO_RIGHT_USE), one(SMALL_BUF), one(1), one(0));
    }
}

static void lines(void)
{
    struct choice irq = handles(EXO_CAP_IRQ, EXO_RIGHT_USE), vcpu = handles(EXO_CAP_VCPU, EXO_RIGHT_MANAGE);

    add(&vcpu.good, 0);
    CALLS(irq_bind, irq, these(1, 1, (uint64_t)SMALL_LINE, 5000ull), vcpu, these(1, 1, 0ull, 63ull));
    CALLS(irq_ack, irq, these(1, 1, (uint64_t)SMALL_LINE, 5000ull));
}

static struct choice iova(void)
{
    return these(2, 3, SMALL_IOVA1, SMALL_IOVA2, SMALL_IOVA1 + 16, SMALL_IOVA1 - PAGE_SIZE, 1ull << 48);
}

static void domains(void)
{
    struct choice domain = handles(EXO_CAP_DOMAIN, EXO_RIGHT_USE);
    struct choice mine = handles(EXO_CAP_DOMAIN, EXO_RIGHT_MANAGE);

    CALLS(dma_open, handles(EXO_CAP_DMA, EXO_RIGHT_USE),
          these(2, 4, SMALL_STREAM + 0ull, SMALL_STREAM + 1ull, SMALL_STREAM + 2ull,
                (uint64_t)MACHINE_STREAMS, (uint64_t)EXO_DMA_DIRECT, UINT64_MAX));
    CALLS(dma_bind, domain, iova(), handles(EXO_CAP_SPACE, EXO_RIGHT_READ),
          these(2, 4, SMALL_BUF, SMALL_VA1, SMALL_VA3, ACTOR_VCPU_VA, SMALL_VA1 + 16, BEYOND), how_many(),
          these(2, 3, READ, RW, 0ull, (uint64_t)EXO_PROT_WRITE, READ | EXO_PROT_EXEC));
    CALLS(dma_unbind, domain, iova(), these(1, 4, 1ull, 0ull, 2ull, 70ull, 1ull << 52));
    CALLS(dma_address, domain,
          these(1, 3, SMALL_IOVA1, SMALL_IOVA2 + 16, SMALL_IOVA1 - PAGE_SIZE, 1ull << 48));
    CALLS(dma_status, handles(EXO_CAP_DOMAIN, EXO_RIGHT_READ),
          these(1, 2, (uint64_t)EXO_DMA_FAULTS, (uint64_t)EXO_DMA_PAGES, 99ull));
    CALLS(dma_close, mine);
    KIND(OP_AGAIN, dma_close, mine);
    CALLS(page_unmap, handles(EXO_CAP_SPACE, EXO_RIGHT_USE), one(SMALL_BUF), one(1), one(0));
}

static void message_lines(void)
{
    struct choice irq = handles(EXO_CAP_IRQ, EXO_RIGHT_USE);
    struct choice line = these(2, 4, SMALL_LPI + 0ull, SMALL_LPI + 1ull, SMALL_LPI + 2ull,
                               (uint64_t)SMALL_LPI + MACHINE_LPIS, (uint64_t)SMALL_LINE, 1ull << 32);

    CALLS(msi_bind, irq, line, handles(EXO_CAP_DMA, EXO_RIGHT_USE),
          these(2, 3, SMALL_STREAM + 0ull, SMALL_STREAM + 1ull, SMALL_STREAM + 2ull,
                (uint64_t)MACHINE_MSI_DEVICES, UINT64_MAX),
          these(2, 2, 0ull, 1ull, (uint64_t)EXO_MSI_EVENTS, UINT64_MAX),
          handles(EXO_CAP_VCPU, EXO_RIGHT_MANAGE), these(1, 1, 0ull, 63ull));
    CALLS(irq_bind, irq, line, one(0), one(0));
    CALLS(irq_bind, irq, these(0, 1, SMALL_LPI + 0ull), handles(EXO_CAP_VCPU, EXO_RIGHT_MANAGE), one(0));
    CALLS(irq_ack, irq, line);
}

static void traces(void)
{
    struct choice trace = handles(EXO_CAP_TRACE, EXO_RIGHT_READ),
                  cpu = these(1, 2, 0ull, (uint64_t)ncpus, UINT64_MAX);
    struct choice control;

    for (uint64_t i = 1; i < ncpus; i++)
        add(&cpu.good, i);
    control = these(3, 1, (uint64_t)EXO_TRACE_OFF, (uint64_t)EXO_TRACE_ON, (uint64_t)EXO_TRACE_RELEASE, 3ull);
    CALLS(trace_bind, trace, cpu, handles(EXO_CAP_SPACE, EXO_RIGHT_USE),
          these(2, 4, SMALL_BUF, SMALL_VA1, SMALL_VA3, ACTOR_VCPU_VA, SMALL_VA1 + 16, BEYOND), how_many());
    CALLS(trace_control, trace, cpu, control);
    CALLS(page_unmap, handles(EXO_CAP_SPACE, EXO_RIGHT_USE), one(SMALL_BUF), one(1), one(0));
}

static void slices(void)
{
    struct choice slice = handles(EXO_CAP_SLICE, EXO_RIGHT_USE);
    uint64_t now = machine.time / machine.cpu->slot_ticks % CPU_SLOTS;

    CALLS(slice_bind, slice, these(1, 2, now, (now + 1) % CPU_SLOTS, 64ull),
          handles(EXO_CAP_VCPU, EXO_RIGHT_MANAGE));
    CALLS(slice_release, slice, these(1, 1, now, 64ull));
}

static void touches(void)
{
    static const uint64_t at[] = {SMALL_VA1, SMALL_VA3};

    for (unsigned i = 0; i < ARRAY_LEN(at); i++)
        for (uint64_t want = EXO_PROT_READ; want <= EXO_PROT_WRITE; want++)
            put_op(OP_TOUCH, 0, (uint64_t[]){at[i], want}, 2, false);
    if (small.with & SMALL_LARGE) /* the part that is copied alone */
        put_op(OP_TOUCH, 0, (uint64_t[]){SMALL_VA3 + (EXO_LARGE_BYTES >> 1), EXO_PROT_WRITE}, 2, false);
}

/* Whose it is is for the IOMMU to say: whatever CPU is played. */
static void devices(void)
{
    static const uint64_t accesses[][3] = {{SMALL_STREAM, SMALL_IOVA1, EXO_PROT_READ},
                                           {SMALL_STREAM, SMALL_IOVA1, EXO_PROT_WRITE},
                                           {SMALL_STREAM, SMALL_IOVA2, EXO_PROT_WRITE},
                                           {SMALL_STREAM + 1, SMALL_IOVA1, EXO_PROT_WRITE}};

    for (unsigned i = 0; i < ARRAY_LEN(accesses); i++)
        put_op(OP_DMA, 0, accesses[i], 3, false);
}

static void messages(void)
{
    for (uint64_t i = 0; i < 3; i++)
        put_op(OP_MSG, 0, (uint64_t[]){SMALL_STREAM + i / 2, i % 2}, 2, false);
}

static const struct {
    const char *name;
    unsigned groups;
    void (*list)(void); /* what a current vcpu can do */
} all[] = {
    {"pages", GROUP_PAGES, pages},     {"lazy", GROUP_LAZY, lazily},     {"spaces", GROUP_SPACES, spaces},
    {"envs", GROUP_ENVS, envs},        {"vcpus", GROUP_VCPUS, vcpus},    {"gates", GROUP_GATES, gates},
    {"events", GROUP_EVENTS, events},  {"caps", GROUP_CAPS, caps},       {"revoke", GROUP_REVOKE, revocation},
    {"lines", GROUP_LINES, lines},     {"slices", GROUP_SLICES, slices}, {"runs", GROUP_RUNS, runs},
    {"wrong", GROUP_WRONG, NULL},      {"touch", GROUP_TOUCH, touches},  {"dma", GROUP_DMA, domains},
    {"msi", GROUP_MSI, message_lines}, {"trace", GROUP_TRACE, traces},   {"large", GROUP_LARGE, large},
    {"all", GROUPS_USUAL, NULL},       {"every", GROUP_ALL, NULL},
};

static bool timer_to_come(void)
{
    for (unsigned i = 0; i < ncpus; i++)
        if (machine.cpus[i].timer != EXO_FOREVER && machine.cpus[i].timer > machine.time)
            return true;
    return false;
}

static bool due_on(unsigned cpu)
{
    uint64_t held = machine.held;
    bool due;

    small_on(cpu);
    machine.held = ~(1ull << cpu);
    due = machine_irq_due();
    machine.held = held;
    return due;
}

static void of_cpu(unsigned cpu)
{
    on_cpu = (uint8_t)cpu;
    if (due_on(cpu))
        put_op(OP_TAKE, 0, NULL, 0, false);
    me = machine.cpu->current;
    if (!me)
        return;
    for (unsigned i = 0; i < ARRAY_LEN(all); i++)
        if (all[i].list && groups_on & all[i].groups)
            all[i].list();
}

unsigned ops_list(struct op *ops, unsigned groups)
{
    list = ops;
    nlist = 0;
    groups_on = groups;
    for (unsigned cpu = 0; cpu < ncpus; cpu++)
        of_cpu(cpu);
    on_cpu = 0;
    if (timer_to_come())
        put_op(OP_TIME, 0, NULL, 0, false);
    if (groups & GROUP_LINES && !(machine.irq_raised >> SMALL_LINE & 1))
        put_op(OP_LINE, 0, NULL, 0, false);
    if (groups & GROUP_REVOKE)
        put_op(OP_LATER, 0, NULL, 0, false);
    if (groups & GROUP_DMA)
        devices();
    if (groups & GROUP_MSI)
        messages();
    return nlist;
}

unsigned ops_with(unsigned groups)
{
    return (groups & GROUP_DMA ? SMALL_DMA : 0u) | (groups & GROUP_MSI ? SMALL_MSI : 0u) |
           (groups & GROUP_TRACE ? SMALL_TRACE : 0u) | (groups & GROUP_LARGE ? SMALL_LARGE : 0u);
}

unsigned ops_groups(const char *words)
{
    unsigned groups = 0;

    while (*words) {
        size_t len = strcspn(words, ",");
        unsigned found = 0;

        for (unsigned i = 0; i < ARRAY_LEN(all); i++)
            if (strlen(all[i].name) == len && strncmp(words, all[i].name, len) == 0)
                found = all[i].groups;
        if (!found)
            return 0;
        groups |= found;
        words += len + (words[len] == ',');
    }
    return groups;
}

const char *ops_words(unsigned groups)
{
    static char words[160];

    words[0] = 0;
    for (unsigned i = ARRAY_LEN(all); i-- > 0;) {
        if (groups == 0 || (groups & all[i].groups) != all[i].groups)
            continue;
        snprintf(words + strlen(words), sizeof(words) - strlen(words), "%s%s", words[0] ? "," : "",
                 all[i].name);
        groups &= ~all[i].groups;
    }
    return words;
}

/* ---- doing and printing ------------------------------------------------------------------------------------------- */

int64_t op_do(const struct op *op)
{
    int64_t rc = 0;

    small_on(op->cpu);
    switch ((enum op_kind)op->kind) {
    case OP_CALL:
        rc = machine_call(op->number, op->args);
        if (op->number == EXO_CALL_vcpu_create)
            small_entry(rc);
        break;
    case OP_PRESSED:
        small_press(op->cpu);
        rc = machine_call(op->number, op->args);
        machine.held = ~0ull;
        break;
    case OP_AGAIN:
        rc = small_again(op->number, op->args);
        break;
    case OP_MORE:
        rc = small_more(op->args[0], op->args[1]);
        break;
    case OP_TOUCH:
        small_touch(op->args[0], (unsigned)op->args[1]);
        break;
    case OP_CLEAR:
        small_clear();
        break;
    case OP_LISTEN:
        small_listen(op->args[0]);
        break;
    case OP_TAKE:
        small_take(op->cpu);
        break;
    case OP_TIME:
        small_time();
        break;
    case OP_LATER:
        machine.time += SMALL_LONG;
        break;
    case OP_LINE:
        machine.irq_raised |= 1ull << SMALL_LINE;
        break;
    case OP_DMA:
        small_dma(op->args[0], op->args[1], (unsigned)op->args[2]);
        break;
    case OP_MSG:
        machine_msi((uint32_t)op->args[0], (uint32_t)op->args[1]);
        break;
    }
    return rc;
}

#define NAME(name, nargs, args, what) #name,
#define COUNT(name, nargs, args, what) nargs,
static const char *const call_names[] = {EXO_CALLS(NAME)};
static const uint8_t call_nargs[] = {EXO_CALLS(COUNT)};

const char *op_name(const struct op *op)
{
    static const char *const names[] = {
        [OP_MORE] = "goes on with a large page", [OP_TOUCH] = "touches memory",
        [OP_CLEAR] = "clears its events",        [OP_LISTEN] = "listens",
        [OP_TAKE] = "interrupts arrive",         [OP_TIME] = "time passes",
        [OP_LATER] = "much time passes",         [OP_LINE] = "line raised",
        [OP_DMA] = "device reaches for memory",  [OP_MSG] = "device sends a message"};

    return op_is_call(op) ? call_names[op->number] : names[op->kind];
}

static void print_word(FILE *out, uint64_t word)
{
    if (word == UINT64_MAX)
        fprintf(out, "UINT64_MAX");
    else
        fprintf(out, word < 1000 ? "%lu" : "0x%lx", (unsigned long)word);
}

static void print_args(FILE *out, const struct op *op)
{
    for (unsigned i = 0; i < call_nargs[op->number]; i++) {
        fprintf(out, ", ");
        print_word(out, op->args[i]);
    }
}

static void print_call(FILE *out, const struct op *op, const char *result)
{
    if (result)
        fprintf(out, "%s = ", result);
    if (op->number == EXO_CALL_vcpu_create)
        fprintf(out, "small_entry(");
    fprintf(out, call_nargs[op->number] ? "CALL(%s" : "CALL0(%s", call_names[op->number]);
    print_args(out, op);
    fprintf(out, op->number == EXO_CALL_vcpu_create ? "));\n" : ");\n");
}

static void print_again(FILE *out, const struct op *op, const char *result)
{
    if (result)
        fprintf(out, "%s = ", result);
    fprintf(out, "small_again(EXO_CALL_%s, (const uint64_t[8]){", call_names[op->number]);
    for (unsigned i = 0; i < call_nargs[op->number]; i++) {
        fprintf(out, i ? ", " : "");
        print_word(out, op->args[i]);
    }
    fprintf(out, "});\n");
}

void op_print(FILE *out, const struct op *op, const char *result)
{
    unsigned long a[3] = {op->args[0], op->args[1], op->args[2]};

    fprintf(out, "    ");
    if (op->kind < OP_TAKE)
        fprintf(out, "small_%s(%u);\n    ", op->kind == OP_PRESSED ? "press" : "on", op->cpu);
    switch ((enum op_kind)op->kind) {
    case OP_CALL:
    case OP_PRESSED:
        print_call(out, op, op->number == EXO_CALL_vcpu_create ? NULL : result);
        break;
    case OP_AGAIN:
        print_again(out, op, result);
        break;
    case OP_MORE:
        fprintf(out, "small_more(%lu, 0x%lx);\n", a[0], a[1]);
        break;
    case OP_TOUCH:
        fprintf(out, "small_touch(0x%lx, %lu);\n", a[0], a[1]);
        break;
    case OP_CLEAR:
        fprintf(out, "small_clear();\n");
        break;
    case OP_LISTEN:
        fprintf(out, "small_listen(%lu);\n", a[0]);
        break;
    case OP_TAKE:
        fprintf(out, "small_take(%u);\n", op->cpu);
        break;
    case OP_TIME:
        fprintf(out, "small_time();\n");
        break;
    case OP_LATER:
        fprintf(out, "machine.time += SMALL_LONG;\n");
        break;
    case OP_LINE:
        fprintf(out, "machine.irq_raised |= 1ull << SMALL_LINE;\n");
        break;
    case OP_DMA:
        fprintf(out, "small_dma(%lu, 0x%lx, %lu);\n", a[0], a[1], a[2]);
        break;
    case OP_MSG:
        fprintf(out, "machine_msi(%lu, %lu);\n", a[0], a[1]);
        break;
    }
}
