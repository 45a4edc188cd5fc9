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
    struct choice choice = these(2, 2, SMALL_VA1, SMALL_VA3, SMALL_VA1 + 16, BEYOND);

    return choice;
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

        if (frame_entry(pfn)->kind != EXO_FRAME_VCPU)
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
        put_op(OP_CALL, number, args, n, false);
        return;
    }
    for (unsigned i = 0; i < choices[at].good.n; i++) {
        args[at] = choices[at].good.v[i];
        each_good(number, choices, n, at + 1, args);
    }
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
}

static void lines(void)
{
    struct choice irq = handles(EXO_CAP_IRQ, EXO_RIGHT_USE), vcpu = handles(EXO_CAP_VCPU, EXO_RIGHT_MANAGE);

    add(&vcpu.good, 0);
    CALLS(irq_bind, irq, these(1, 1, (uint64_t)SMALL_LINE, 5000ull), vcpu, these(1, 1, 0ull, 63ull));
    CALLS(irq_ack, irq, these(1, 1, (uint64_t)SMALL_LINE, 5000ull));
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
}

static const struct {
    const char *name;
    unsigned groups;
    void (*list)(void); /* what a current vcpu can do */
} all[] = {
    {"pages", GROUP_PAGES, pages},
    {"lazy", GROUP_LAZY, lazily},
    {"spaces", GROUP_SPACES, spaces},
    {"envs", GROUP_ENVS, envs},
    {"vcpus", GROUP_VCPUS, vcpus},
    {"gates", GROUP_GATES, gates},
    {"events", GROUP_EVENTS, events},
    {"caps", GROUP_CAPS, caps},
    {"revoke", GROUP_REVOKE, revocation},
    {"lines", GROUP_LINES, lines},
    {"slices", GROUP_SLICES, slices},
    {"runs", GROUP_RUNS, runs},
    {"wrong", GROUP_WRONG, NULL},
    {"touch", GROUP_TOUCH, touches},
    {"all", GROUP_ALL & ~GROUPS_EXACT, NULL},
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
    return nlist;
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
    case OP_LINE:
        machine.irq_raised |= 1ull << SMALL_LINE;
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
    static const char *const names[] = {"",           "touches memory",    "clears its events",
                                        "listens",    "interrupts arrive", "time passes",
                                        "line raised"};

    return op->kind == OP_CALL ? call_names[op->number] : names[op->kind];
}

static void print_word(FILE *out, uint64_t word)
{
    if (word == UINT64_MAX)
        fprintf(out, "UINT64_MAX");
    else
        fprintf(out, word < 1000 ? "%lu" : "0x%lx", (unsigned long)word);
}

static void print_call(FILE *out, const struct op *op, const char *result)
{
    if (result)
        fprintf(out, "%s = ", result);
    if (op->number == EXO_CALL_vcpu_create)
        fprintf(out, "small_entry(");
    fprintf(out, call_nargs[op->number] ? "CALL(%s" : "CALL0(%s", call_names[op->number]);
    for (unsigned i = 0; i < call_nargs[op->number]; i++) {
        fprintf(out, ", ");
        print_word(out, op->args[i]);
    }
    fprintf(out, op->number == EXO_CALL_vcpu_create ? "));\n" : ");\n");
}

void op_print(FILE *out, const struct op *op, const char *result)
{
    fprintf(out, "    ");
    if (op->kind < OP_TAKE)
        fprintf(out, "small_on(%u);\n    ", op->cpu);
    switch ((enum op_kind)op->kind) {
    case OP_CALL:
        print_call(out, op, op->number == EXO_CALL_vcpu_create ? NULL : result);
        break;
    case OP_TOUCH:
        fprintf(out, "small_touch(0x%lx, %lu);\n", (unsigned long)op->args[0], (unsigned long)op->args[1]);
        break;
    case OP_CLEAR:
        fprintf(out, "small_clear();\n");
        break;
    case OP_LISTEN:
        fprintf(out, "small_listen(%lu);\n", (unsigned long)op->args[0]);
        break;
    case OP_TAKE:
        fprintf(out, "small_take(%u);\n", op->cpu);
        break;
    case OP_TIME:
        fprintf(out, "small_time();\n");
        break;
    case OP_LINE:
        fprintf(out, "machine.irq_raised |= 1ull << SMALL_LINE;\n");
        break;
    }
}
