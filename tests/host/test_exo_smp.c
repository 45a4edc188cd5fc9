/* Several CPUs, played one after the other, their interrupts as late as it gets: every order of kernel entries in which
 * waits, signals, deadlines, calls, replies and ends can meet.  K1, K6, K8, K13, K28, K29 */
#include <string.h>

#include "cpu.h"
#include "exo_machine.h"
#include "frame.h"
#include "lock.h"
#include "slice.h"

#define NCPUS 4u
#define CREW_MAX 10u
#define VCPU_VA(i) (ACTOR_VCPU_VA + (i)*PAGE_SIZE)
#define LONG 1000000u /* ticks: passes only where a step says so */
#define DATA_VA 0x10000000ull
#define SEND_VA 0x20000000ull
#define RECV_VA 0x30000000ull

/* An environment with vcpus on several CPUs, made by init, which lives on CPU 0. */
struct crew {
    struct env *env;
    exo_handle_t env_cap, space_cap;
    unsigned n;
    struct vcpu *vcpu[CREW_MAX];
    exo_handle_t vcpu_cap[CREW_MAX];
};

static void boot(void)
{
    machine.ncpus = NCPUS;
    exo_boot();
    machine.stay = true;
}

/* All interrupts that are on their way arrive. */
static void settle(void)
{
    machine.held = 0;
    for (unsigned i = 0; i < 3 * ncpus; i++) {
        machine.time += 20; /* a CPU comes back to an ending that had to wait for another */
        machine_on(i % ncpus);
    }
    machine_on(0);
    ck_assert_msg(machine.end != MACHINE_STOPPED, "%s", machine.console);
}

static void take(unsigned cpu)
{
    uint64_t held = machine.held;

    machine.held &= ~(1ull << cpu);
    machine_on(cpu);
    machine.held = held;
}

/* Plays its CPU, if it is the one that runs there. */
static bool playing(const struct vcpu *vcpu)
{
    machine_on(vcpu->cpu->id);
    return machine.cpu->current == vcpu;
}

static void on(struct vcpu *vcpu)
{
    machine_on(vcpu->cpu->id);
    machine_run(vcpu);
    ck_assert_ptr_eq(machine.cpu->current, vcpu);
}

static void crew_add(struct crew *c, unsigned cpu)
{
    unsigned i = c->n++;

    on(root.vcpu);
    CALL_OK(page_alloc, c->space_cap, VCPU_VA(i), 1, EXO_WANT_ANY, RW);
    c->vcpu_cap[i] = (exo_handle_t)CALL_OK(vcpu_create, c->env_cap, cpu, c->space_cap, VCPU_VA(i));
    c->vcpu[i] = vcpu_of(cap_at(root.env, c->vcpu_cap[i]));
    c->vcpu[i]->page->upcall_entry = UPCALL_ENTRY;
    CALL_OK(vcpu_start, c->vcpu_cap[i], 0);
    on(c->vcpu[i]);
    upcall_done();
    on(root.vcpu);
}

/* where: their CPUs, as a string. */
static struct crew crew_make(const char *where)
{
    uint64_t both;
    struct crew c = {0};

    on(root.vcpu);
    both = (uint64_t)CALL_OK(env_create, 60, 0, 0);
    c.env_cap = (exo_handle_t)both;
    c.space_cap = (exo_handle_t)(both >> 32);
    c.env = env_of(cap_at(root.env, c.env_cap));
    for (; *where; where++)
        crew_add(&c, (unsigned)(*where - '0'));
    return c;
}

static void drop(exo_handle_t handle)
{
    CALL_OK(cap_drop, handle);
}

static void crew_end(struct crew *c)
{
    int64_t rc;

    settle();
    on(root.vcpu);
    while ((rc = CALL(env_destroy, c->env_cap)) > 0) {
        settle();
        on(root.vcpu);
    }
    ck_assert_int_eq(rc, 0);
    drop(c->env_cap);
    drop(c->space_cap);
    for (unsigned i = 0; i < c->n; i++)
        drop(c->vcpu_cap[i]);
    *c = (struct crew){0};
}

/* Signals and gates, by handles in the other's table. */
static uint64_t event_for(const struct crew *to, const struct crew *of)
{
    uint64_t own = (uint64_t)CALL_OK(event_create, of->vcpu_cap[0], 0xff);
    uint64_t handle = (uint64_t)CALL_OK(cap_grant, to->env_cap, own, EXO_RIGHTS_ALL);

    drop((exo_handle_t)own);
    return handle;
}

static uint64_t gate_for(const struct crew *to, const struct crew *of)
{
    uint64_t own = (uint64_t)CALL_OK(gate_create, of->vcpu_cap[0], 9);
    uint64_t handle = (uint64_t)CALL_OK(cap_grant, to->env_cap, own, EXO_RIGHTS_ALL);

    drop((exo_handle_t)own);
    return handle;
}

/* ---- orders -------------------------------------------------------------------------------------------------- */

#define STRANDS 8u
#define STEPS_MAX 12u

/* Entries that come one after the other, and between them those of other strands. */
struct strand {
    void (*step)(void);
    unsigned times;
};

static char order_text[STEPS_MAX + 1];

/* The next order of strand numbers, in lexical order; false after the last. */
static bool next_order(unsigned char *order, unsigned n)
{
    unsigned i = n - 1, j = n - 1;

    while (i > 0 && order[i - 1] >= order[i])
        i--;
    if (i == 0)
        return false;
    while (order[j] <= order[i - 1])
        j--;
    for (unsigned char swap = order[i - 1]; swap != 255; swap = 255)
        order[i - 1] = order[j], order[j] = swap;
    for (j = n - 1; i < j; i++, j--) {
        unsigned char swap = order[i];

        order[i] = order[j];
        order[j] = swap;
    }
    return true;
}

/* Every order of the strands' steps, on crews made afresh: interrupts come only where a step lets them. */
static unsigned each_order(const struct strand *strands, unsigned nstrands, void (*begin)(void),
                           void (*end)(void))
{
    unsigned char order[STEPS_MAX];
    unsigned n = 0, count = 0;
    uint64_t frames = 0;

    for (unsigned i = 0; i < nstrands; i++)
        for (unsigned k = 0; k < strands[i].times; k++)
            order[n++] = (unsigned char)i;
    do {
        begin();
        machine.held = ~0ull;
        for (unsigned i = 0; i < n; i++) {
            order_text[i] = (char)('0' + order[i]);
            strands[order[i]].step();
            ck_assert_msg(machine.end != MACHINE_STOPPED, "order %s: %s", order_text, machine.console);
            if (count % 64 == 0)
                exo_check();
        }
        settle();
        if (count % 8 == 0)
            exo_check();
        end();
        if (count == 0)
            frames = exo_free_frames(); /* init's tables have grown */
        ck_assert_msg(exo_free_frames() == frames, "order %s: frames", order_text);
        count++;
    } while (next_order(order, n));
    return count;
}

/* ---- K28: wait, signal, time, end ----------------------------------------------------------------------------- */

static struct crew waiter, sender, busy;
static uint64_t send_event, wait_gate, base;
static unsigned kind;
static bool ticked, killed, signalled, waited;

static void wait_begin(void)
{
    sender = crew_make("2");
    busy = crew_make("3");
    waiter = crew_make("1");
    send_event = event_for(&sender, &waiter);
    wait_gate = gate_for(&waiter, &busy);
    waiter.vcpu[0]->page->upcall_events = kind ? 1 : 0;
    if (kind == 4) {
        on(busy.vcpu[0]);
        CALL(reply_wait, 0, 0, 0, 0, 0, 0, 0, EXO_FOREVER);
    }
    settle();
    on(root.vcpu);
    base = machine.time;
    ticked = killed = signalled = waited = false;
}

/* Not in the upcall that a signal before it led to. */
static bool begins(const struct crew *c)
{
    waited |= playing(c->vcpu[0]) && !machine_in_upcall(c->vcpu[0]);
    return waited;
}

static void step_wait(void)
{
    if (!begins(&waiter))
        return;
    switch (kind) {
    case 0:
        CALL(wait, 1, base + LONG);
        break;
    case 1:
        CALL(reply_wait, 0, 0, 0, 0, 0, 0, 0, base + LONG);
        break;
    case 2:
        CALL(wait, 0, base + LONG);
        break;
    default: /* who is called does not receive, or keeps the message */
        CALL(call, wait_gate | EXO_MSG_INTR, 0, 0, 0, 0, 0, 0, base + LONG);
    }
}

static void step_signal(void)
{
    ck_assert(playing(sender.vcpu[0]));
    signalled = CALL(signal, send_event, 1) == 0;
    ck_assert(signalled || killed);
}

static void step_take(void)
{
    take(1);
}

static void step_tick(void)
{
    machine.time += 2 * LONG;
    ticked = true;
    take(1);
}

static void step_kill(void)
{
    on(root.vcpu);
    CALL_OK(env_stop, waiter.env_cap);
    killed = true;
}

static void wait_end(void)
{
    const struct vcpu *vcpu = waiter.vcpu[0];
    int64_t rc = result(vcpu);

    if (killed) {
        ck_assert_msg(vcpu->state == VCPU_DEAD, "order %s", order_text);
    } else {
        ck_assert_msg(vcpu->state == VCPU_RUNNING, "order %s: state %u", order_text, vcpu->state);
        ck_assert_msg(vcpu->page->events & 1, "order %s", order_text);
        if (!waited)
            ck_assert_msg(kind && machine_in_upcall(vcpu), "order %s", order_text);
        else if (kind == 0)
            ck_assert_msg(rc == 1 || (ticked && rc == 0), "order %s: %ld", order_text, (long)rc);
        else if (kind == 1)
            ck_assert_msg(rc == 0 || (ticked && rc == -EXO_ETIMEDOUT), "order %s: %ld", order_text, (long)rc);
        else if (kind == 2)
            ck_assert_msg(rc == 0 && machine_in_upcall(vcpu), "order %s: %ld", order_text, (long)rc);
        else
            ck_assert_msg(rc == -EXO_EINTR || (ticked && rc == -EXO_ETIMEDOUT), "order %s: %ld", order_text,
                          (long)rc);
    }
    crew_end(&waiter);
    crew_end(&sender);
    crew_end(&busy);
}

/* Loop: how it waits (5), with time, with an end. */
START_TEST(no_wakeup_is_lost)
{
    struct strand strands[STRANDS] = {{step_wait, 1}, {step_signal, 1}, {step_take, 2}};
    unsigned n = 3;

    kind = (unsigned)_i / 4;
    if (_i & 1)
        strands[n++] = (struct strand){step_tick, 1};
    if (_i & 2)
        strands[n++] = (struct strand){step_kill, 1};
    ck_assert_uint_ge(each_order(strands, n, wait_begin, wait_end), 12);
}
END_TEST

/* ---- K29: call, reply, time, event, ends ------------------------------------------------------------------------ */

static struct crew caller, callee;
static uint64_t call_gate, call_event;
static bool with_things, receiving, replied, killed_callee;

static void call_begin(void)
{
    sender = crew_make("3");
    callee = crew_make("2");
    caller = crew_make("1");
    call_gate = gate_for(&caller, &callee);
    call_event = event_for(&sender, &caller);
    on(root.vcpu);
    CALL_OK(page_alloc, caller.space_cap, SEND_VA, 1, EXO_WANT_ANY, RW);
    caller.vcpu[0]->page->upcall_events = 1;
    caller.vcpu[0]->page->send = (struct exo_send){
        .va = SEND_VA, .npages = 1, .prot = EXO_PROT_READ, .cap = EXO_SELF_SPACE, .rights = EXO_RIGHT_READ};
    callee.vcpu[0]->page->recv = (struct exo_recv){.va = RECV_VA, .max_pages = 1, .take_cap = 1};
    settle();
    base = machine.time;
    ticked = killed = killed_callee = signalled = waited = receiving = replied = false;
}

static void step_call(void)
{
    if (begins(&caller))
        CALL(call, call_gate | EXO_MSG_INTR | (with_things ? EXO_MSG_CAP | EXO_MSG_PAGES : 0), 5, 6, 0, 0, 0,
             0, base + LONG);
}

/* Receives, or answers what it has received. */
static void step_callee(void)
{
    struct vcpu *vcpu = callee.vcpu[0];
    int64_t token;

    if (!playing(vcpu))
        return;
    token = result(vcpu);
    if (receiving && token > 0 && killed_callee) {
        CALL0(yield); /* it has ended, and does not know yet */
    } else if (receiving && token > 0) {
        struct binding binding;

        ck_assert_uint_eq(x(vcpu, 1), 5);
        ck_assert_uint_eq(x(vcpu, 7), 9);
        ck_assert_int_eq(vcpu->page->recv.npages, with_things);
        ck_assert_int_eq(vcpu->page->recv.cap != 0, with_things);
        if (with_things) {
            ck_assert(space_lookup(callee.env->home, RECV_VA, &binding));
            ck_assert_int_eq(binding.max, EXO_PROT_READ);
            CALL_OK(cap_drop, vcpu->page->recv.cap);
        }
        receiving = false;
        CALL(reply_wait, (uint64_t)token, 77, 0, 0, 0, 0, 0, 0);
        replied = result(vcpu) == -EXO_ETIMEDOUT;
    } else {
        receiving = true;
        CALL(reply_wait, 0, 0, 0, 0, 0, 0, 0, EXO_FOREVER);
    }
}

static void step_take_2(void)
{
    take(2);
}

static void step_kill_caller(void)
{
    on(root.vcpu);
    CALL_OK(env_stop, caller.env_cap);
    killed = true;
}

static void step_kill_callee(void)
{
    on(root.vcpu);
    CALL_OK(env_stop, callee.env_cap);
    killed_callee = true;
}

static void step_interrupt(void)
{
    if (playing(sender.vcpu[0]) && CALL(signal, call_event, 1) == 0)
        signalled = true;
}

static void call_end(void)
{
    const struct vcpu *c = caller.vcpu[0];
    int64_t rc;

    for (unsigned i = 0; i < 3; i++) { /* the callee gets to the end of what it does */
        if (!killed_callee && !replied)
            step_callee();
        settle();
    }
    rc = result(c);
    if (killed) {
        ck_assert_msg(c->state == VCPU_DEAD, "order %s", order_text);
    } else {
        ck_assert_msg(c->state == VCPU_RUNNING, "order %s: the caller is stuck in state %u", order_text,
                      c->state);
        ck_assert_msg(!waited || (rc == 0 && x(c, 1) == 77) || (rc == -EXO_ETIMEDOUT && ticked) ||
                          (rc == -EXO_EINTR && signalled) || (rc == -EXO_EDEAD && killed_callee),
                      "order %s: the caller has %ld", order_text, (long)rc);
    }
    if (killed_callee)
        ck_assert_msg(callee.vcpu[0]->state == VCPU_DEAD, "order %s", order_text);
    else
        ck_assert_msg(list_empty(&callee.vcpu[0]->senders) && list_empty(&callee.vcpu[0]->callers) &&
                          callee.vcpu[0]->nfar == 0,
                      "order %s: somebody waits for the callee", order_text);
    crew_end(&caller);
    crew_end(&callee);
    crew_end(&sender);
}

/* Loop: what else happens, at most two of four things; those with one again, with pages and a capability. */
START_TEST(every_call_ends)
{
    static const unsigned char what[] = {0, 1, 2, 4, 8, 3, 5, 6, 9, 10, 12, 0, 1, 2, 4, 8};
    struct strand strands[STRANDS] = {{step_call, 1}, {step_callee, 2}, {step_take, 1}, {step_take_2, 1}};
    static void (*const more[])(void) = {step_tick, step_interrupt, step_kill_caller, step_kill_callee};
    unsigned n = 4;

    with_things = _i > 10;
    for (unsigned i = 0; i < ARRAY_LEN(more); i++)
        if (what[_i] >> i & 1)
            strands[n++] = (struct strand){more[i], 1};
    ck_assert_uint_ge(each_order(strands, n, call_begin, call_end), 60);
}
END_TEST

/* ---- K1: an environment ends while three CPUs run it --------------------------------------------------------------- */

/* What its vcpus try while the interrupt is on its way: nothing of it happens. */
static void late_entry(int which, uint64_t event)
{
    switch (which) {
    case 0:
        CALL0(null);
        break;
    case 1:
        CALL(page_alloc, EXO_SELF_SPACE, DATA_VA, 4, EXO_WANT_ANY, RW);
        break;
    case 2:
        CALL(env_create, 10, 0, 0);
        break;
    case 3:
        CALL(signal, event, 1);
        break;
    case 4:
        CALL(wait, 1, EXO_FOREVER);
        break;
    case 5:
        CALL(yield, 0);
        break;
    case 6:
        CALL(reply_wait, 0, 0, 0, 0, 0, 0, 0, EXO_FOREVER);
        break;
    case 7:
        machine_touch(0x77000000, EXO_PROT_READ);
        break;
    case 8:
        machine_exception(EXO_EXC_UNDEFINED, 0);
        break;
    case 9:
        CALL(env_exit, 3);
        break;
    case 10:
        CALL0(resume);
        break;
    case 11:
        machine_fp();
        break;
    case 12:
        CALL(env_destroy, EXO_SELF_ENV);
        break;
    default:
        machine.held = 0; /* the interrupt itself */
        machine_on(machine.cpu->id);
        machine.held = ~0ull;
    }
}

/* Loop: the entry. */
START_TEST(ends_while_three_run_it)
{
    struct crew peer = crew_make("0"), victim = crew_make("123");
    uint64_t event = event_for(&victim, &peer), gate = gate_for(&peer, &victim), frames;
    pfn_t home = victim.env->home->root;

    on(peer.vcpu[0]);
    CALL(call, gate, 0, 0, 0, 0, 0, 0, EXO_FOREVER); /* it waits for one of them */
    on(root.vcpu);
    machine.held = ~0ull;
    frames = exo_free_frames();
    for (unsigned left = 3; left > 0; left--) {
        for (unsigned i = 0; i < 5; i++) {
            on(root.vcpu);
            ck_assert_int_eq(CALL(env_destroy, victim.env_cap), 1);
            exo_check();
        }
        ck_assert_uint_eq(exo_free_frames(), frames);
        ck_assert_int_eq(frame_entry(home)->kind, EXO_FRAME_TABLE);
        for (unsigned i = 0; i < 3; i++)
            ck_assert_int_eq(frame_entry(vcpu_frame(victim.vcpu[i]))->kind, EXO_FRAME_VCPU);
        machine_on(left); /* from the last to the first */
        ck_assert_ptr_eq(machine.cpu->current, victim.vcpu[left - 1]);
        late_entry(_i, event);
        if (machine.cpu->current) { /* a plain call goes back, to take the interrupt */
            ck_assert_int_le(_i, 3);
            take(left);
        }
        ck_assert_ptr_null(machine.cpu->current);
        exo_check();
    }
    ck_assert_uint_eq(exo_free_frames(), frames);
    ck_assert_uint_eq(peer.vcpu[0]->page->events & 1, 0);
    settle();
    crew_end(&victim);
    on(peer.vcpu[0]);
    ck_assert_int_eq(result(peer.vcpu[0]), -EXO_EDEAD);
    crew_end(&peer);
    exo_check();
}
END_TEST

/* K1: the one that ends it is one of them, and its CPU sleeps until the others let go. */
START_TEST(exits_while_others_run_it)
{
    struct crew victim = crew_make("123");

    machine.held = ~0ull;
    ck_assert(playing(victim.vcpu[1]));
    CALL(env_exit, 4);
    ck_assert_int_eq(machine.end, MACHINE_IDLE);
    ck_assert_int_eq(victim.vcpu[0]->state, VCPU_RUNNING);
    ck_assert_int_eq(victim.vcpu[2]->state, VCPU_RUNNING);
    exo_check();
    take(1);
    take(3);
    machine.time += 100;
    take(2);
    for (unsigned i = 0; i < 3; i++)
        ck_assert_int_eq(victim.vcpu[i]->state, VCPU_DEAD);
    crew_end(&victim);
}
END_TEST

/* K29: many environments end on one CPU; the peers of each are told, though nobody destroys them. */
START_TEST(many_endings)
{
    struct crew callees[3], callers[3];

    for (unsigned i = 0; i < 3; i++) {
        callees[i] = crew_make("1");
        callers[i] = crew_make("2222222222");
        for (unsigned k = 0; k < CREW_MAX; k++)
            crew_add(&callees[i], 1), k = k + 3;
    }
    for (unsigned i = 0; i < 3; i++) {
        uint64_t gate = gate_for(&callers[i], &callees[i]);

        for (unsigned k = 0; k < callers[i].n; k++) {
            on(callers[i].vcpu[k]);
            CALL(call, gate, 0, 0, 0, 0, 0, 0, EXO_FOREVER);
        }
        on(root.vcpu);
    }
    settle();
    for (unsigned i = 0; i < 3; i++)
        CALL_OK(env_stop, callees[i].env_cap);
    for (unsigned i = 0; i < 20; i++) {
        settle();
        machine_advance(100);
    }
    exo_check();
    for (unsigned i = 0; i < 3; i++) {
        ck_assert(list_empty(&callees[i].env->in_endings));
        for (unsigned k = 0; k < callers[i].n; k++)
            ck_assert_msg(callers[i].vcpu[k]->state == VCPU_READY ||
                              callers[i].vcpu[k]->state == VCPU_RUNNING,
                          "crew %u caller %u: state %u", i, k, callers[i].vcpu[k]->state);
    }
}
END_TEST

/* K28: more signals at once than are looked at in one go. */
START_TEST(many_notes)
{
    struct crew crews[5];
    uint64_t events[5][CREW_MAX];

    for (unsigned i = 0; i < 5; i++)
        crews[i] = crew_make("1111111111");
    for (unsigned i = 0; i < 5; i++)
        for (unsigned k = 0; k < CREW_MAX; k++) {
            events[i][k] = (uint64_t)CALL_OK(event_create, crews[i].vcpu_cap[k], 1);
            on(crews[i].vcpu[k]);
            CALL(wait, 1, EXO_FOREVER);
            on(root.vcpu);
        }
    machine.held = ~0ull;
    for (unsigned i = 0; i < 5; i++)
        for (unsigned k = 0; k < CREW_MAX; k++)
            CALL_OK(signal, events[i][k], 1);
    exo_check();
    settle();
    for (unsigned i = 0; i < 5; i++)
        for (unsigned k = 0; k < CREW_MAX; k++)
            ck_assert_msg(crews[i].vcpu[k]->state == VCPU_READY || crews[i].vcpu[k]->state == VCPU_RUNNING,
                          "%u %u: %u", i, k, crews[i].vcpu[k]->state);
}
END_TEST

/* ---- K13: TLBs ------------------------------------------------------------------------------------------------------- */

static bool readable(struct vcpu *vcpu, uint64_t va)
{
    on(vcpu);
    return pte_prot(tlb_lookup(va)) & EXO_PROT_READ;
}

START_TEST(unmapped_everywhere)
{
    struct crew c = crew_make("0123");
    uint64_t flushes;

    on(root.vcpu);
    CALL_OK(page_alloc, c.space_cap, DATA_VA, 8, EXO_WANT_ANY, RW);
    machine.held = ~0ull; /* TLBs are not emptied by interrupts */
    for (unsigned i = 0; i < 4; i++)
        ck_assert(readable(c.vcpu[i], DATA_VA) && readable(c.vcpu[i], DATA_VA + PAGE_SIZE));
    on(c.vcpu[2]);
    CALL_OK(page_unmap, EXO_SELF_SPACE, DATA_VA, 1, 0);
    exo_check();
    for (unsigned i = 0; i < 4; i++)
        ck_assert(!readable(c.vcpu[i], DATA_VA) && readable(c.vcpu[i], DATA_VA + PAGE_SIZE));
    on(c.vcpu[1]);
    CALL_OK(page_protect, EXO_SELF_SPACE, DATA_VA + PAGE_SIZE, 1, EXO_PROT_READ);
    for (unsigned i = 0; i < 4; i++) {
        on(c.vcpu[i]);
        ck_assert_int_eq(pte_prot(tlb_lookup(DATA_VA + PAGE_SIZE)), EXO_PROT_READ);
    }
    on(c.vcpu[3]);
    CALL_OK(page_unmap, EXO_SELF_SPACE, DATA_VA + PAGE_SIZE, 1, EXO_LAZY);
    exo_check();
    flushes = tlb_flushes();
    ck_assert(readable(c.vcpu[0], DATA_VA + PAGE_SIZE)); /* as long as nobody minds */
    ck_assert_uint_eq(tlb_flushes(), flushes);
    on(c.vcpu[3]);
    CALL_OK(tlb_sync, EXO_SELF_SPACE, DATA_VA + PAGE_SIZE, 1);
    for (unsigned i = 0; i < 4; i++)
        ck_assert(!readable(c.vcpu[i], DATA_VA + PAGE_SIZE));
    on(root.vcpu); /* by somebody who is not in that space */
    ck_assert(readable(c.vcpu[2], DATA_VA + 2 * PAGE_SIZE));
    on(root.vcpu);
    CALL_OK(page_unmap, c.space_cap, DATA_VA + 2 * PAGE_SIZE, 1, 0);
    for (unsigned i = 0; i < 4; i++)
        ck_assert(!readable(c.vcpu[i], DATA_VA + 2 * PAGE_SIZE));
    machine.held = 0;
    crew_end(&c);
}
END_TEST

/* A frame that was unmapped lazily on one CPU is another's only when no TLB leads to it. */
START_TEST(lazy_frames_change_hands)
{
    struct crew a = crew_make("12"), b = crew_make("3");
    struct binding binding;
    pfn_t pfn;

    on(root.vcpu);
    CALL_OK(page_alloc, a.space_cap, DATA_VA, 2, EXO_WANT_ANY, RW); /* the second keeps the table */
    ck_assert(space_lookup(a.env->home, DATA_VA, &binding));
    pfn = binding.pfn;
    ck_assert(readable(a.vcpu[0], DATA_VA) && readable(a.vcpu[1], DATA_VA));
    on(a.vcpu[0]);
    CALL_OK(page_unmap, EXO_SELF_SPACE, DATA_VA, 1, EXO_LAZY);
    ck_assert(readable(a.vcpu[1], DATA_VA));
    on(b.vcpu[0]);
    CALL_OK(page_alloc, EXO_SELF_SPACE, DATA_VA, 1, pfn, RW); /* it lies in CPU 1's cache */
    exo_check();
    ck_assert(!readable(a.vcpu[0], DATA_VA) && !readable(a.vcpu[1], DATA_VA));
    crew_end(&a);
    crew_end(&b);
}
END_TEST

/* Spaces of many environments come and go on all CPUs, with so few ASIDs that they run out all the time.
 * Loop: their number. */
START_TEST(few_asids)
{
    struct crew crews[10];
    struct dice d = {(uint64_t)_i};

    machine.asid_bits = 3 + (unsigned)_i;
    for (unsigned i = 0; i < 10; i++) {
        crews[i] = crew_make(i % 3 == 0 ? "0123" : i % 3 == 1 ? "12" : "30");
        CALL_OK(page_alloc, crews[i].space_cap, DATA_VA, 4, EXO_WANT_ANY, RW);
        for (unsigned k = 0; k < 4; k++) {
            struct binding binding;

            ck_assert(space_lookup(crews[i].env->home, DATA_VA + k * PAGE_SIZE, &binding));
            *(uint64_t *)frame_address(binding.pfn) = i;
        }
    }
    for (unsigned step = 0; step < 1500; step++) {
        unsigned i = (unsigned)dice_below(&d, 10);
        struct vcpu *vcpu = crews[i].vcpu[dice_below(&d, crews[i].n)];
        uint64_t va = DATA_VA + dice_below(&d, 4) * PAGE_SIZE;
        pte_t pte;

        on(vcpu);
        switch (dice_below(&d, 8)) {
        case 0:
            CALL(page_unmap, EXO_SELF_SPACE, va, 1, dice_below(&d, 2) * EXO_LAZY);
            break;
        case 1:
            if (CALL(page_alloc, EXO_SELF_SPACE, va, 1, EXO_WANT_ANY, RW) == 1) {
                struct binding binding;

                ck_assert(space_lookup(crews[i].env->home, va, &binding));
                *(uint64_t *)frame_address(binding.pfn) = i;
            }
            break;
        case 2:
            on(root.vcpu);
            if (dice_below(&d, 2))
                CALL(asid_pin, crews[i].space_cap);
            else
                CALL(asid_unpin, crews[i].space_cap);
            break;
        case 3:
            CALL(page_protect, EXO_SELF_SPACE, va, 1, EXO_PROT_READ | dice_below(&d, 2) * EXO_LAZY);
            break;
        case 4:
            CALL(tlb_sync, EXO_SELF_SPACE, va, 1 + dice_below(&d, 100));
            break;
        default:
            pte = tlb_lookup(va);
            if (pte)
                ck_assert_uint_eq(*(uint64_t *)phys_to_virt(pte_paddr(pte)), i);
        }
        exo_check();
    }
    for (unsigned i = 0; i < 10; i++)
        crew_end(&crews[i]);
}
END_TEST

/* ---- K8: frames in other CPUs' caches ------------------------------------------------------------------------------------ */

/* Leaves frames in the cache of each CPU but the first. */
static void fill_caches(void)
{
    struct crew c = crew_make("123");

    for (unsigned i = 0; i < 3; i++) {
        on(c.vcpu[i]);
        CALL_OK(page_alloc, EXO_SELF_SPACE, DATA_VA, 16, EXO_WANT_ANY, RW);
        CALL_OK(page_unmap, EXO_SELF_SPACE, DATA_VA, 16, 0);
        ck_assert_uint_gt(machine.cpu->frames.n, 0);
    }
    crew_end(&c);
}

START_TEST(every_frame_is_found)
{
    uint64_t va = DATA_VA;

    fill_caches();
    CALL_OK(page_alloc, EXO_SELF_SPACE, va, 64, EXO_WANT_ANY, RW);
    CALL_OK(page_unmap, EXO_SELF_SPACE, va, 63, 0); /* its tables are there */
    for (unsigned i = 1; i < ncpus; i++) {
        pfn_t pfn = pool_cached_first(&cpus[i]);

        if (!pfn)
            continue;
        CALL_OK(page_alloc, EXO_SELF_SPACE, va, 1, pfn, RW);
        CALL_FAILS(EXO_EBUSY, page_alloc, EXO_SELF_SPACE, va + PAGE_SIZE, 1, pfn, RW);
        CALL_OK(page_unmap, EXO_SELF_SPACE, va, 1, 0);
        exo_check();
    }
}
END_TEST

START_TEST(the_last_frame_is_found)
{
    uint64_t va = DATA_VA, before, got = 0;
    int64_t rc;

    fill_caches();
    before = exo_free_frames();
    do {
        rc = CALL(page_alloc, EXO_SELF_SPACE, va, 1, EXO_WANT_ANY, RW);
        got += rc == 1;
        va += PAGE_SIZE;
    } while (rc == 1);
    ck_assert(rc == -EXO_ENOMEM || rc == -EXO_EQUOTA);
    ck_assert_uint_eq(exo_free_frames(), 0);
    ck_assert_uint_gt(got, before - 16);
    for (unsigned i = 0; i < ncpus; i++)
        ck_assert_uint_eq(cpus[i].frames.n, 0);
    exo_check();
}
END_TEST

START_TEST(a_run_is_found)
{
    struct crew c = crew_make("1");
    struct binding binding;
    uint64_t va = DATA_VA;

    on(root.vcpu);
    ck_assert_int_eq(exo_alloc_run(c.space_cap, va, 16, EXO_WANT_ANY, RW), 16);
    ck_assert(space_lookup(c.env->home, va, &binding));
    for (uint64_t at = 0x40000000; CALL(page_alloc, EXO_SELF_SPACE, at, 1, EXO_WANT_ANY, RW) == 1;
         at += PAGE_SIZE)
        ;
    on(c.vcpu[0]);
    for (uint64_t at = 0x40000000; CALL(page_alloc, EXO_SELF_SPACE, at, 1, EXO_WANT_ANY, RW) == 1;
         at += PAGE_SIZE)
        ;
    ck_assert_uint_lt(exo_free_frames(), 16);
    exo_unmap(EXO_SELF_SPACE, va, 16);
    ck_assert_uint_ge(machine.cpu->frames.n, 16);
    ck_assert_int_eq(exo_alloc_run(EXO_SELF_SPACE, va, 16, EXO_WANT_ANY, RW), 16);
    ck_assert_uint_lt(machine.cpu->frames.n, 16);
    exo_check();
}
END_TEST

/* ---- time ---------------------------------------------------------------------------------------------------------------- */

START_TEST(slots_of_another_cpu)
{
    struct crew c = crew_make("112");

    on(root.vcpu);
    CALL_FAILS(EXO_EINVAL, slice_bind, EXO_FIRST_SLICE + 1, 7, c.vcpu_cap[2]);
    CALL_FAILS(EXO_EINVAL, slice_bind, EXO_FIRST_SLICE, 7, c.vcpu_cap[0]);
    for (unsigned slot = 0; slot < CPU_SLOTS; slot += 2)
        CALL_OK(slice_bind, EXO_FIRST_SLICE + 1, slot, c.vcpu_cap[0]);
    CALL_FAILS(EXO_EBUSY, slice_bind, EXO_FIRST_SLICE + 1, 0, c.vcpu_cap[1]);
    ck_assert_uint_eq(cpus[1].info->slot_env[0], env_frame(c.env));
    ck_assert_uint_eq(cpus[2].info->slot_env[0], 0);
    settle();
    for (unsigned i = 0; i < 16; i++) {
        machine_on(1);
        machine_advance(SLOT_US);
        if (machine.cpu->info->slot % 2 == 0)
            ck_assert_ptr_eq(machine.cpu->current, c.vcpu[0]);
    }
    crew_end(&c);
    ck_assert_uint_eq(cpus[1].nowned, 0);
}
END_TEST

/* C1: from its first tick to its last, whatever the other CPUs do meanwhile. */
START_TEST(owned_slots_under_load)
{
    struct crew c = crew_make("112");
    uint64_t owned = 0, others = 0;

    on(root.vcpu);
    for (unsigned slot = 0; slot < CPU_SLOTS; slot += 2)
        CALL_OK(slice_bind, EXO_FIRST_SLICE + 1, slot, c.vcpu_cap[0]);
    settle();
    machine_on(1);
    machine_advance(2 * SLOT_US - machine.time % (2 * SLOT_US));
    for (unsigned tick = 0; tick < 6 * SLOT_US; tick++) {
        machine_on(1);
        if (tick / SLOT_US % 2 == 0) {
            ck_assert_ptr_eq(machine.cpu->current, c.vcpu[0]);
            owned++;
        } else {
            others += machine.cpu->current == c.vcpu[1];
        }
        if (tick % 16 == 0) {
            on(root.vcpu);
            CALL_OK(page_alloc, EXO_SELF_SPACE, 0x40000000, 1, EXO_WANT_ANY, RW);
            CALL_OK(page_unmap, EXO_SELF_SPACE, 0x40000000, 1, 0);
        }
        machine_on(1);
        machine_advance(1);
    }
    ck_assert_uint_eq(owned, 3 * SLOT_US);
    ck_assert_uint_ge(others, SLOT_US); /* who owns none has time between */
    crew_end(&c);
}
END_TEST

/* C5: a CPU without anything to do hears of nothing, whatever the others do. */
START_TEST(idle_cpus_take_no_interrupt)
{
    uint64_t before[4];

    settle();
    for (unsigned i = 1; i < 4; i++) {
        before[i] = cpus[i].info->interrupts;
        ck_assert_ptr_null(cpus[i].current);
        ck_assert_uint_eq(machine.cpus[i].timer, EXO_FOREVER);
    }
    for (unsigned i = 0; i < 50; i++) {
        on(root.vcpu);
        CALL_OK(page_alloc, EXO_SELF_SPACE, 0x40000000, 2, EXO_WANT_ANY, RW);
        CALL_OK(page_protect, EXO_SELF_SPACE, 0x40000000, 1, EXO_PROT_READ);
        CALL_OK(page_unmap, EXO_SELF_SPACE, 0x40000000, 2, 0);
        CALL(wait, 0, machine.time + SLOT_US);
        machine_advance(SLOT_US);
    }
    settle();
    for (unsigned i = 1; i < 4; i++)
        ck_assert_uint_eq(cpus[i].info->interrupts, before[i]);
}
END_TEST

START_TEST(yield_to_another_cpu)
{
    struct crew c = crew_make("111");
    uint64_t handle = (uint64_t)CALL_OK(cap_grant, EXO_SELF_ENV, c.vcpu_cap[1], EXO_RIGHTS_ALL);

    on(c.vcpu[0]);
    on(root.vcpu);
    ck_assert_int_eq(c.vcpu[1]->state, VCPU_READY);
    CALL_OK(yield, handle);
    ck_assert_ptr_eq(machine.cpu->current, root.vcpu); /* no slice went along */
    ck_assert_ptr_eq(list_entry(cpus[1].ready.next, struct vcpu, queue), c.vcpu[1]);
    machine_on(1);
    CALL(wait, 1, EXO_FOREVER);
    ck_assert_ptr_eq(machine.cpu->current, c.vcpu[1]);
    on(root.vcpu);
    CALL_FAILS(EXO_ESTATE, yield, c.vcpu_cap[1]); /* it runs */
    drop((exo_handle_t)handle);
    crew_end(&c);
}
END_TEST

/* A token of another CPU's vcpu that is not, or no longer, a caller. */
START_TEST(tokens_from_afar)
{
    struct crew c = crew_make("1"), callee_crew = crew_make("2"), stranger = crew_make("3");
    uint64_t gate = gate_for(&c, &callee_crew), token;

    on(callee_crew.vcpu[0]);
    CALL(reply_wait, 0, 0, 0, 0, 0, 0, 0, EXO_FOREVER);
    on(c.vcpu[0]);
    CALL(call, gate, 1, 2, 3, 4, 5, 6, machine.time + 100);
    on(callee_crew.vcpu[0]);
    token = x(callee_crew.vcpu[0], 0);
    on(stranger.vcpu[0]);
    CALL_FAILS(EXO_ETOKEN, reply_wait, token, 0, 0, 0, 0, 0, 0, 0);
    ck_assert_int_eq(c.vcpu[0]->state, VCPU_CALLING);
    machine_on(1);
    machine_advance(200);
    ck_assert_int_eq(result(c.vcpu[0]), -EXO_ETIMEDOUT);
    on(callee_crew.vcpu[0]);
    CALL_FAILS(EXO_ETOKEN, reply_wait, token, 0, 0, 0, 0, 0, 0, 0);
    crew_end(&c);
    on(callee_crew.vcpu[0]);
    CALL_FAILS(EXO_ETOKEN, reply_wait, token, 0, 0, 0, 0, 0, 0, 0);
}
END_TEST

/* ---- K6: locks --------------------------------------------------------------------------------------------------------------- */

static void misuse(void *arg)
{
    struct exo_lock *frames = lock_shared(EXO_LOCK_FRAMES), *tlb = lock_shared(EXO_LOCK_TLB);

    local_enter();
    switch (*(const int *)arg) {
    case 0:
        lock_take(frames);
        lock_take(frames);
        break;
    case 1:
        lock_take(tlb);
        lock_take(frames);
        break;
    case 2:
        lock_take(frames);
        machine.cpu = &cpus[1];
        lock_drop(frames);
        break;
    case 3:
        local_enter();
        break;
    case 4:
        lock_take(&cpus[1].lock);
        lock_take(lock_shared(EXO_LOCK_WORLD));
        break;
    case 5:
        local_leave();
        lock_take(&cpus[2].lock);
        lock_take(&cpus[1].lock);
        break;
    case 6:
        lock_take(&cpus[1].inbox_lock);
        lock_take(&cpus[2].inbox_lock);
        break;
    case 7:
        lock_drop(frames);
        break;
    default:
        machine.cpu = &cpus[1];
        lock_take(&cpus[0].lock); /* another holds it: on this machine nobody ever drops it */
    }
}

/* Loop: twice, out of order, another's, none at all. */
START_TEST(misused_locks_are_told)
{
    static const char *const says[] = {"taken twice", "taken after", "dropped by CPU 1",
                                       "taken twice", "taken after", "taken after",
                                       "taken after", "dropped by",  "waits for a lock"};
    int which = _i;

    ck_assert_int_eq(machine_try(misuse, &which), MACHINE_STOPPED);
    ck_assert_msg(strstr(machine.console, says[_i]), "%d: %s", _i, machine.console);
}
END_TEST

static void use(void *arg)
{
    (void)arg;
    world_enter();
    for (unsigned i = 0; i < ncpus; i++)
        ck_assert(lock_is_mine(&cpus[i].lock));
    lock_take(lock_shared(EXO_LOCK_FRAMES));
    lock_take(lock_shared(EXO_LOCK_TLB));
    lock_drop(lock_shared(EXO_LOCK_FRAMES)); /* in any order */
    lock_drop(lock_shared(EXO_LOCK_TLB));
    world_leave();
    ck_assert(lock_is_mine(&machine.cpu->lock) && !lock_is_mine(&cpus[1].lock));
    world_upgrade();
    world_leave();
    local_leave();
    ck_assert_uint_eq(machine.cpu->nheld, 0);
}

START_TEST(used_locks_are_free_again)
{
    ck_assert_int_eq(machine_try(use, NULL), MACHINE_RUNS);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("smp");
    TCase *tc = tcase_create("orders");

    tcase_set_timeout(tc, 200);
    tcase_add_checked_fixture(tc, boot, NULL);
    tcase_add_loop_test(tc, no_wakeup_is_lost, 0, 20);
    tcase_add_loop_test(tc, every_call_ends, 0, 16);
    suite_add_tcase(s, tc);

    tc = tcase_create("cpus");
    tcase_set_timeout(tc, 100);
    tcase_add_checked_fixture(tc, boot, exo_check);
    tcase_add_loop_test(tc, ends_while_three_run_it, 0, 14);
    tcase_add_test(tc, exits_while_others_run_it);
    tcase_add_test(tc, many_endings);
    tcase_add_test(tc, many_notes);
    tcase_add_test(tc, unmapped_everywhere);
    tcase_add_test(tc, lazy_frames_change_hands);
    tcase_add_loop_test(tc, few_asids, 0, 3);
    tcase_add_test(tc, every_frame_is_found);
    tcase_add_test(tc, the_last_frame_is_found);
    tcase_add_test(tc, a_run_is_found);
    tcase_add_test(tc, slots_of_another_cpu);
    tcase_add_test(tc, owned_slots_under_load);
    tcase_add_test(tc, idle_cpus_take_no_interrupt);
    tcase_add_test(tc, yield_to_another_cpu);
    tcase_add_test(tc, tokens_from_afar);
    suite_add_tcase(s, tc);

    tc = tcase_create("locks");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, boot, NULL);
    tcase_add_loop_test(tc, misused_locks_are_told, 0, 9);
    tcase_add_test(tc, used_locks_are_free_again);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    return exo_suite_run(suite());
}
