/* Events, waiting, upcalls, FP, slices, interrupts, on the model's clock.  K28 K30 C1 C5, invariants 7 and 9 */
#include <inttypes.h>
#include <string.h>

#include "cpu.h"
#include "exo_machine.h"
#include "fp.h"
#include "irq.h"

static struct actor a, b;
static uint64_t event; /* init's, for bits 0 to 15 of a */

static void setup(void)
{
    exo_boot();
    a = actor_make(100);
    b = actor_make(100);
    event = (uint64_t)CALL_OK(event_create, a.vcpu_cap, 0xffff);
}

/* ---- waiting: K28, in every order that one CPU can have ------------------------------------------------------- */

START_TEST(signal_then_wait)
{
    CALL_OK(signal, event, 4);
    as(&a);
    ck_assert_int_eq(CALL(wait, 6, EXO_FOREVER), 4); /* at once */
    ck_assert_int_eq(CALL(wait, 2, 0), 0);           /* not for other bits */
    ck_assert_uint_eq(a.vcpu->page->events, 4);      /* the user clears them */
}
END_TEST

START_TEST(wait_then_signal)
{
    as(&a);
    ck_assert_int_eq(CALL(wait, 6, EXO_FOREVER), MACHINE_AWAY);
    as(&root);
    CALL_OK(signal, event, 1);
    ck_assert_int_eq(a.vcpu->state, VCPU_WAITING);
    CALL_OK(signal, event, 4);
    ck_assert_int_eq(a.vcpu->state, VCPU_READY);
    CALL_OK(signal, event, 2); /* after it was woken: it stays in the word */
    as(&a);
    ck_assert_int_eq(result(a.vcpu), 4);
    ck_assert_uint_eq(a.vcpu->page->events, 7);
}
END_TEST

START_TEST(wait_times_out)
{
    as(&a);
    CALL(wait, 1, machine.time + 50);
    machine_advance(49);
    ck_assert_int_eq(a.vcpu->state, VCPU_WAITING);
    machine_advance(1);
    ck_assert_int_eq(a.vcpu->state, VCPU_READY);
    ck_assert_int_eq(result(a.vcpu), 0);
    as(&root);
    CALL_OK(signal, event, 1); /* too late for that wait, not lost for the next */
    as(&a);
    ck_assert_int_eq(CALL(wait, 1, EXO_FOREVER), 1);
}
END_TEST

START_TEST(signal_and_timeout_together)
{
    bool signal_first = _i;

    as(&a);
    CALL(wait, 1, machine.time + 50);
    as(&root);
    if (signal_first)
        CALL_OK(signal, event, 1);
    machine_advance(50);
    if (!signal_first)
        CALL_OK(signal, event, 1);
    as(&a);
    ck_assert_int_eq(result(a.vcpu), signal_first);
    ck_assert_uint_eq(a.vcpu->page->events, 1);
}
END_TEST

START_TEST(waiter_killed)
{
    as(&a);
    CALL(wait, 1, machine.time + 50);
    as(&root);
    CALL_OK(env_stop, a.env_cap);
    CALL_OK(signal, event, 1); /* to a dead one: nothing happens */
    machine_advance(100);
    exo_check();
    actor_destroy(&a);
    CALL_FAILS(EXO_EDEAD, signal, event, 1);
}
END_TEST

/* Random orders of waits, signals, timeouts, against what must come of them. */
START_TEST(any_order)
{
    struct dice d = {(uint64_t)_i};
    uint64_t pending = 0, mask = 0, deadline = EXO_FOREVER;
    bool waits = false;

    for (unsigned step = 0; step < 2000; step++) {
        uint64_t bit = 1ull << dice_below(&d, 4);

        if (!waits && dice_below(&d, 2)) {
            mask = dice_below(&d, 16);
            deadline = dice_below(&d, 3) ? machine.time + dice_below(&d, 30) : EXO_FOREVER;
            as(&a);
            int64_t rc = CALL(wait, mask, deadline);

            if (pending & mask || deadline <= machine.time) {
                ck_assert_int_eq(rc, (int64_t)(pending & mask));
                a.vcpu->page->events &= ~(pending & mask);
                pending &= ~mask;
            } else {
                ck_assert_int_eq(rc, MACHINE_AWAY);
                waits = true;
            }
            as(&root);
        } else if (dice_below(&d, 2)) {
            CALL_OK(signal, event, bit);
            pending |= bit;
        } else {
            machine_advance(dice_below(&d, 20));
            as(&root);
        }
        if (waits && (pending & mask || machine.time >= deadline)) {
            ck_assert_int_eq(a.vcpu->state, VCPU_READY);
            ck_assert_int_eq(result(a.vcpu), (int64_t)(pending & mask));
            a.vcpu->page->events &= ~(pending & mask);
            pending &= ~mask;
            waits = false;
        }
        ck_assert_int_eq(a.vcpu->state, waits ? VCPU_WAITING : VCPU_READY);
        if (step % 100 == 0)
            exo_check();
    }
}
END_TEST

START_TEST(idle_until_the_deadline)
{
    as(&a);
    CALL(wait, 1, machine.time + 5000);
    as(&b);
    CALL(wait, 1, machine.time + 7000);
    as(&root);
    CALL(wait, 1, machine.time + 20000);
    ck_assert_ptr_eq(machine.cpu->current, a.vcpu); /* the machine slept, and time went by */
    ck_assert_uint_eq(machine.time, 5000);
    CALL(wait, 1, EXO_FOREVER);
    ck_assert_ptr_eq(machine.cpu->current, b.vcpu);
    CALL(wait, 1, EXO_FOREVER);
    ck_assert_uint_eq(machine.time, 20000);
    CALL(wait, 1, EXO_FOREVER);
    ck_assert_int_eq(machine.end, MACHINE_IDLE);
    ck_assert_uint_eq(machine.on->timer, EXO_FOREVER); /* C5: an idle CPU takes no ticks */
    ck_assert_uint_ge(machine.cpu->info->idle_ticks, 20000);
}
END_TEST

static uint64_t ran(const struct actor *who)
{
    return *who->vcpu->ticks;
}

/* T4: every tick is some vcpu's or idle, once; what somebody does just now, since when. */
START_TEST(every_tick_is_counted)
{
    const struct exo_cpu_info *info = machine.cpu->info;
    uint64_t before, of_a, of_b, idle;

    as(&a);
    before = machine.time;
    of_a = ran(&a);
    of_b = ran(&b);
    idle = info->idle_ticks;
    ck_assert_uint_eq(info->running.vcpu, vcpu_frame(a.vcpu));
    ck_assert_uint_eq(info->since, before); /* no ticks are lost between two vcpus */
    machine.time += 300;
    ck_assert_uint_eq(ran(&a), of_a);
    as(&b);
    ck_assert_uint_eq(ran(&a), of_a + 300);
    ck_assert_uint_eq(info->running.vcpu, vcpu_frame(b.vcpu));
    ck_assert_uint_eq(info->since, before + 300);
    machine.time += 500;
    CALL(wait, 1, machine.time + 5000);
    as(&a);
    CALL(wait, 1, EXO_FOREVER);
    as(&root);
    CALL(wait, 1, EXO_FOREVER);
    ck_assert_ptr_eq(machine.cpu->current, b.vcpu); /* the machine slept */
    ck_assert_uint_eq(ran(&b), of_b + 500);
    ck_assert_uint_eq(info->idle_ticks, idle + 5000);
    ck_assert_uint_eq(info->since, before + 5800);
    ck_assert_uint_eq(ran(&a), of_a + 300);
}
END_TEST

START_TEST(forty_at_one_tick)
{
    exo_handle_t handle;
    struct vcpu *many[40];

    for (unsigned i = 0; i < 40; i++) {
        many[i] = actor_vcpu(0x4000000 + i * PAGE_SIZE, &handle);
        machine_run(many[i]);
        CALL(wait, 1, 1000);
        machine_run(root.vcpu);
    }
    machine_advance(1000);
    for (unsigned i = 0; i < 40; i++) {
        ck_assert_int_ne(many[i]->state, VCPU_WAITING);
        ck_assert_int_eq(result(many[i]), 0);
    }
}
END_TEST

/* ---- upcalls -------------------------------------------------------------------------------------------------------- */

START_TEST(event_upcall)
{
    struct exo_vcpu_page *page = a.vcpu->page;

    page->upcall_events = 6;
    CALL_OK(signal, event, 1);
    as(&a);
    ck_assert(!machine_in_upcall(a.vcpu));
    as(&root);
    for (unsigned i = 0; i < EXO_NREGS; i++)
        a.vcpu->regs.x[i] = 100 + i;
    CALL_OK(signal, event, 2);
    as(&a);
    ck_assert(machine_in_upcall(a.vcpu));
    ck_assert_uint_eq(a.vcpu->regs.x[0], EXO_UPCALL_EVENT);
    ck_assert_uint_eq(a.vcpu->regs.x[1], 2);
    ck_assert_uint_eq(a.vcpu->regs.pc, UPCALL_ENTRY);
    ck_assert_uint_eq(page->upcall_masked, 1);
    for (unsigned i = 0; i < EXO_NREGS; i++)
        ck_assert_uint_eq(page->regs.x[i], 100 + i);
    as(&root);
    CALL_OK(signal, event, 4); /* masked: it waits */
    as(&a);
    ck_assert_uint_eq(a.vcpu->regs.x[1], 2);
    page->events = 4;
    CALL0(resume);
    ck_assert_uint_eq(a.vcpu->regs.x[1], 4);
    page->events = 0;
    page->regs.pstate = UINT64_MAX; /* whatever the user writes there */
    CALL0(resume);
    ck_assert_uint_eq(a.vcpu->regs.pstate, 0xf0000000);
    ck_assert_uint_eq(a.vcpu->regs.x[5], 105);
}
END_TEST

/* K10: nothing to return to, and nothing of anybody else's, in the registers that a new vcpu begins with. */
START_TEST(begins_with_nothing)
{
    struct actor c = actor_new(20);

    for (unsigned i = 0; i < EXO_NREGS; i++)
        c.vcpu->regs.x[i] = 1000 + i;
    c.vcpu->page->upcall_sp = 0x5000;
    CALL_OK(vcpu_start, c.vcpu_cap, 77);
    as(&c);
    ck_assert_uint_eq(c.vcpu->regs.x[0], EXO_UPCALL_START);
    ck_assert_uint_eq(c.vcpu->regs.x[1], 77);
    for (unsigned i = 2; i < EXO_NREGS; i++)
        ck_assert_uint_eq(c.vcpu->regs.x[i], 0);
    ck_assert_uint_eq(c.vcpu->regs.pc, UPCALL_ENTRY);
    ck_assert_uint_eq(c.vcpu->regs.sp, 0x5000);
    as(&root);
}
END_TEST

START_TEST(upcall_of_oneself)
{
    uint64_t mine = (uint64_t)CALL_OK(event_create, EXO_FIRST_VCPU, UINT64_MAX);

    root.vcpu->page->upcall_events = 1;
    ck_assert_int_eq(CALL(signal, mine, 3), 0); /* the call's result is kept in the interrupted context */
    ck_assert(machine_in_upcall(root.vcpu));
    ck_assert_uint_eq(root.vcpu->regs.x[1], 1);
    root.vcpu->page->events = 0;
    upcall_done();
}
END_TEST

START_TEST(wait_ends_in_an_upcall)
{
    as(&a);
    a.vcpu->page->upcall_events = 8;
    CALL(wait, 1, EXO_FOREVER);
    as(&root);
    CALL_OK(signal, event, 8);
    as(&a);
    ck_assert(machine_in_upcall(a.vcpu));
    ck_assert_uint_eq(a.vcpu->page->regs.x[0], 0); /* wait came back with none of its bits */
    as(&root);
    a.vcpu->page->events = 8;
    a.vcpu->page->upcall_masked = 1;
    as(&a);
    CALL(wait, 1, EXO_FOREVER); /* masked: what it would be interrupted by does not wake it */
    ck_assert_int_eq(a.vcpu->state, VCPU_WAITING);
}
END_TEST

START_TEST(faults)
{
    as(&a);
    ck_assert_ptr_null(machine_touch(0x123456, EXO_PROT_WRITE));
    ck_assert_uint_eq(a.vcpu->regs.x[0], EXO_UPCALL_FAULT);
    ck_assert_uint_eq(a.vcpu->regs.x[1], 0x123456);
    ck_assert_uint_eq(a.vcpu->regs.x[2], EXO_PROT_WRITE);
    upcall_done();
    machine_touch(ACTOR_VCPU_VA + 8, EXO_PROT_EXEC);
    ck_assert_uint_eq(a.vcpu->regs.x[2], EXO_PROT_EXEC | EXO_ACCESS_BOUND);
    upcall_done();
    machine_touch(UINT64_MAX - 7, EXO_PROT_READ); /* the kernel's half, as far as anybody can tell */
    ck_assert_uint_eq(a.vcpu->regs.x[1], UINT64_MAX - 7);
    upcall_done();
    machine_exception(EXO_EXC_UNDEFINED, 0x1234);
    ck_assert_uint_eq(a.vcpu->regs.x[0], EXO_UPCALL_EXCEPTION);
    ck_assert_uint_eq(a.vcpu->regs.x[1], EXO_EXC_UNDEFINED);
    ck_assert_uint_eq(a.vcpu->regs.x[2], 0x1234);
    machine_exception(EXO_EXC_BREAKPOINT, 0); /* inside the upcall: the end.  K30 */
    ck_assert_int_eq(a.vcpu->state, VCPU_DEAD);
}
END_TEST

/* The user may write anything to its page at any time; only its owner is hurt. */
START_TEST(garbage_in_the_page)
{
    struct dice d = {(uint64_t)_i + 1};
    uint64_t *words = (uint64_t *)(void *)a.vcpu->page;

    for (unsigned round = 0; round < 300 && a.env->state == EXO_ENV_ALIVE; round++) {
        for (unsigned i = 0; i < sizeof(struct exo_vcpu_page) / 8; i++)
            if (dice_below(&d, 3) == 0)
                words[i] = dice_below(&d, 2) ? dice(&d) : dice_below(&d, 4);
        if (a.vcpu->state != VCPU_READY && a.vcpu->state != VCPU_RUNNING)
            break;
        machine_run(a.vcpu);
        if (machine.cpu->current == a.vcpu)
            switch (dice_below(&d, 5)) {
            case 0:
                CALL0(resume);
                break;
            case 1:
                machine_touch(dice(&d), EXO_PROT_READ);
                break;
            case 2:
                CALL(wait, dice(&d), machine.time);
                break;
            case 3:
                CALL(reply_wait, 0, 0, 0, 0, 0, 0, 0, 0);
                break;
            default:
                CALL(yield, 0);
            }
        exo_check();
    }
}
END_TEST

/* ---- FP registers --------------------------------------------------------------------------------------------------- */

START_TEST(fp_moves_lazily)
{
    uint64_t moves;

    as(&a);
    machine_fp()[0] = 111;
    as(&b);
    ck_assert_uint_eq(machine_fp()[0], 0); /* nothing of anybody else's */
    machine_fp()[0] = 222;
    moves = machine.fp_moves;
    as(&root);
    as(&b);
    ck_assert_uint_eq(machine_fp()[0], 222);
    ck_assert_uint_eq(machine.fp_moves, moves); /* init did not touch it: nothing moved */
    as(&a);
    ck_assert_uint_eq(machine_fp()[0], 111);
    as(&root);
    actor_destroy(&a); /* the owner goes */
    as(&b);
    ck_assert_uint_eq(machine_fp()[0], 222);
    as(&root);
    ck_assert_uint_eq(machine_fp()[0], 0);
}
END_TEST

/* What a's turn begins with: its registers, or those of whoever had them, off. */
static bool fp_comes(struct actor *who)
{
    as(who);
    return machine.on->fp_on;
}

/* Asked for in each turn, they come by themselves in two of three turns, then in ever more: 6 of 7, 14 of 15; and nobody's value
 * is another's. */
START_TEST(fp_comes_unasked)
{
    uint64_t grant = FP_TURNS_FIRST / 2, asks_at = 1;
    unsigned came[2] = {0, 0};

    for (uint64_t turn = 1; turn <= 200; turn++) {
        bool comes = fp_comes(&a);

        ck_assert_msg(comes == (turn != asks_at), "turn %" PRIu64, turn);
        if (!comes) {
            grant = min_u64(2 * grant, FP_TURNS_MAX);
            asks_at = turn + grant - 1;
        }
        came[turn > 100] += comes;
        ck_assert_uint_eq(machine_fp()[0], turn == 1 ? 0 : turn - 1);
        machine_fp()[0] = turn;
        as(&b);
        ck_assert_uint_eq(machine_fp()[0], turn == 1 ? 0 : 1000 + turn - 1);
        machine_fp()[0] = 1000 + turn;
    }
    ck_assert_uint_ge(came[0], 80);
    ck_assert_uint_ge(came[1], 98);
}
END_TEST

/* Not asked for any more, they soon stay away; asked for again, they are who asks's. */
START_TEST(fp_stays_away)
{
    uint64_t moves;

    as(&a);
    machine_fp()[0] = 7;
    as(&b);
    machine_fp()[0] = 8;
    for (unsigned turn = 0; turn < 4; turn++) {
        as(&a);
        as(&b);
    }
    moves = machine.fp_moves;
    ck_assert(!fp_comes(&a) || !fp_comes(&b)); /* one of them had them last */
    ck_assert_uint_eq(machine.fp_moves, moves);
    as(&a);
    ck_assert_uint_eq(machine_fp()[0], 7);
    as(&b);
    ck_assert_uint_eq(machine_fp()[0], 8);
}
END_TEST

/* ---- slices ----------------------------------------------------------------------------------------------------- */

static uint64_t ticks_of(const struct actor *who, uint64_t total)
{
    uint64_t got = 0;

    for (uint64_t t = 0; t < total; t++) {
        got += machine.cpu->current == who->vcpu;
        machine_advance(1);
    }
    return got;
}

START_TEST(round_robin)
{
    uint64_t slot = machine.cpu->slot_ticks;
    uint64_t got = ticks_of(&a, 30 * slot);

    ck_assert_uint_ge(got, 9 * slot);
    ck_assert_uint_le(got, 11 * slot);
}
END_TEST

/* C1: who calls all the time has his slot and no more. */
START_TEST(busy_callers_are_preempted)
{
    uint64_t slot = machine.cpu->slot_ticks;

    as(&root); /* a is ready, and waits for its turn */
    ck_assert_int_eq(a.vcpu->state, VCPU_READY);
    machine_advance(slot - machine.time % slot);
    as(&root);
    root.vcpu->page->events = 1;
    for (unsigned i = 0; i < 9; i++) {
        machine.time += slot / 10;
        CALL(wait, 1, EXO_FOREVER); /* returns at once, by the long way */
        ck_assert_ptr_eq(machine.cpu->current, root.vcpu);
    }
    machine.time += slot / 5; /* the slot ends while it is in the kernel */
    CALL(wait, 1, EXO_FOREVER);
    ck_assert_ptr_ne(machine.cpu->current, root.vcpu);
    root.vcpu->page->events = 0;
}
END_TEST

/* C1: nor does who wakes another just when his slot ends get a further one. */
START_TEST(wakers_are_preempted)
{
    uint64_t slot = machine.cpu->slot_ticks;

    as(&a);
    CALL(wait, 0xffff, EXO_FOREVER);
    as(&root); /* b is ready */
    machine_advance(slot - machine.time % slot);
    as(&root);
    machine.time += slot + 1;
    CALL(signal, event, 1); /* the slot ends while it is in the kernel */
    ck_assert_ptr_ne(machine.cpu->current, root.vcpu);
    ck_assert_int_eq(root.vcpu->state, VCPU_READY);
}
END_TEST

/* C1: an owned slot is its owner's from the first tick to the last; the rest is everybody's. */
START_TEST(owned_slots)
{
    uint64_t slot = machine.cpu->slot_ticks, got;

    for (uint64_t i = 0; i < CPU_SLOTS; i += 4)
        CALL_OK(slice_bind, EXO_FIRST_SLICE, i, a.vcpu_cap);
    machine_advance(slot * CPU_SLOTS - machine.time % (slot * CPU_SLOTS));
    for (uint64_t i = 0; i < CPU_SLOTS; i += 4) {
        ck_assert_ptr_eq(machine.cpu->current, a.vcpu);
        got = ticks_of(&a, slot);
        ck_assert_uint_eq(got, slot);
        machine_advance(3 * slot);
    }
    /* The owner waits: its slots go to whoever is ready, and come back with it. */
    machine_advance(slot / 2);
    as(&a);
    CALL(wait, 1, EXO_FOREVER);
    ck_assert_ptr_ne(machine.cpu->current, a.vcpu);
    as(&root);
    CALL(signal, event, 1);
    ck_assert_ptr_eq(machine.cpu->current, a.vcpu); /* still within its slot */
    a.vcpu->page->events = 0;
    CALL(wait, 1, EXO_FOREVER);
    for (uint64_t i = 0; i < CPU_SLOTS; i += 4) {
        as(&root);
        ck_assert_int_eq(CALL(slice_release, EXO_FIRST_SLICE, i), 0);
    }
    ck_assert_uint_eq(machine.cpu->nowned, 0);
}
END_TEST

/* C1: a slot's end counts though its interrupt is still on its way: the next one is its owner's, or goes round. */
START_TEST(slots_end_without_the_interrupt)
{
    const uint64_t slot = machine.cpu->slot_ticks, round = slot * CPU_SLOTS;
    struct vcpu *next;

    CALL_OK(slice_bind, EXO_FIRST_SLICE, 8, b.vcpu_cap);
    machine_advance(round - machine.time % round + 6 * slot);
    as(&root);
    if (_i == 0)
        machine_advance(slot + 1);
    as(&root);
    next = list_entry(machine.cpu->ready.next, struct vcpu, queue);
    machine.held = 1;
    machine.time += slot;
    CALL0(null);
    ck_assert_ptr_eq(machine.cpu->current, root.vcpu);
    CALL(space_switch, EXO_SELF_SPACE); /* it comes by the scheduler, and no more */
    ck_assert_ptr_eq(machine.cpu->current, _i == 0 ? b.vcpu : next);
    ck_assert_uint_eq(machine.cpu->info->slot, _i == 0 ? 8 : 7);
    ck_assert_int_eq(root.vcpu->state, VCPU_READY);
    ck_assert_ptr_eq(machine.cpu->ready.prev, &root.vcpu->queue);
    machine.held = 0;
}
END_TEST

START_TEST(slot_errors)
{
    uint64_t some = (uint64_t)CALL_OK(cap_grant, EXO_SELF_ENV, EXO_FIRST_SLICE, EXO_RIGHT_USE, 8, 4);

    CALL_FAILS(EXO_ERANGE, slice_bind, some, 7, a.vcpu_cap);
    CALL_FAILS(EXO_ERANGE, slice_bind, some, 12, a.vcpu_cap);
    CALL_FAILS(EXO_ERANGE, slice_bind, EXO_FIRST_SLICE, CPU_SLOTS, a.vcpu_cap);
    CALL_FAILS(EXO_ERANGE, slice_bind, EXO_FIRST_SLICE, UINT64_MAX, a.vcpu_cap);
    CALL_FAILS(EXO_ERANGE, slice_release, EXO_FIRST_SLICE, 1ull << 32);
    CALL_OK(slice_bind, some, 8, a.vcpu_cap);
    CALL_FAILS(EXO_EBUSY, slice_bind, some, 8, b.vcpu_cap);
    CALL_FAILS(EXO_EBUSY, slice_bind, some, 8, a.vcpu_cap);
    CALL_OK(env_stop, a.env_cap); /* gives it back */
    CALL_OK(slice_bind, some, 8, b.vcpu_cap);
}
END_TEST

START_TEST(tickless)
{
    as(&b);
    CALL(wait, 1, EXO_FOREVER);
    as(&a);
    CALL(wait, 1, EXO_FOREVER);
    ck_assert_ptr_eq(machine.cpu->current, root.vcpu);
    CALL0(null);
    machine_advance(5000); /* whatever was set is over */
    ck_assert_uint_eq(machine.on->timer, EXO_FOREVER);
}
END_TEST

/* C5: who waits and leaves another alone may leave him the tick that was set for both, and no further one. */
START_TEST(one_tick_for_who_is_left)
{
    uint64_t ended;

    as(&b);
    CALL(wait, 1, EXO_FOREVER);
    as(&a);
    CALL(wait, 1, EXO_FOREVER);
    ck_assert_ptr_eq(machine.cpu->current, root.vcpu);
    ended = machine.cpu->slot_end;
    ck_assert_uint_ge(machine.on->timer, ended);
    machine_advance(ended - machine.time);
    ck_assert_ptr_eq(machine.cpu->current, root.vcpu);
    ck_assert_uint_eq(machine.on->timer, EXO_FOREVER);
}
END_TEST

/* K28: who waits looks first, and then hands over to who was woken. */
START_TEST(waits_hand_over)
{
    exo_handle_t back = (exo_handle_t)CALL(event_create, EXO_FIRST_VCPU, 8);

    CALL_OK(signal, back, 8);
    ck_assert_int_eq(CALL(wait, 8, EXO_FOREVER), 8); /* at once, whoever else is ready */
    root.vcpu->page->events = 0;
    as(&a);
    ck_assert_int_eq(CALL(wait, 6, EXO_FOREVER), MACHINE_AWAY);
    as(&b);
    ck_assert_int_eq(CALL(wait, 1, EXO_FOREVER), MACHINE_AWAY);
    as(&root);
    CALL_OK(signal, event, 4);
    ck_assert_int_eq(CALL(wait, 8, EXO_FOREVER), MACHINE_AWAY);
    ck_assert_ptr_eq(machine.cpu->current, a.vcpu);
    ck_assert_int_eq(result(a.vcpu), 4);
    ck_assert_int_eq(root.vcpu->state, VCPU_WAITING);
    ck_assert_uint_eq(root.vcpu->wait_mask, 8);
}
END_TEST

/* K28: what the next one is to be told, he is told, whoever hands over; and a notice that must wait keeps nobody from waiting. */
START_TEST(waits_and_the_next_is_told)
{
    as(&b);
    ck_assert_int_eq(CALL(wait, 1, EXO_FOREVER), MACHINE_AWAY);
    as(&a);
    upcall_done();
    a.vcpu->page->upcall_events = 4;
    as(&root);
    CALL_OK(signal, event, 4);
    if (_i) {
        root.vcpu->page->upcall_masked = 1;
        notice_taken(root.vcpu, 1);
    }
    ck_assert_int_eq(CALL(wait, 8, EXO_FOREVER), MACHINE_AWAY);
    ck_assert_int_eq(root.vcpu->state, VCPU_WAITING);
    ck_assert_ptr_eq(machine.cpu->current, a.vcpu);
    ck_assert_uint_eq(a.vcpu->page->reason, EXO_UPCALL_EVENT);
    exo_check();
}
END_TEST

START_TEST(directed_yield)
{
    uint64_t to_b = b.vcpu_cap;

    CALL(yield, to_b);
    ck_assert_ptr_eq(machine.cpu->current, b.vcpu);
    ck_assert_int_eq(result(root.vcpu), 0);
    CALL(wait, 1, EXO_FOREVER);
    as(&root);
    CALL_FAILS(EXO_ESTATE, yield, to_b); /* it is not ready */
    CALL_FAILS(EXO_ESTATE, yield, EXO_FIRST_VCPU);
}
END_TEST

/* ---- interrupts: invariant 9 ------------------------------------------------------------------------------------ */

START_TEST(irq_life)
{
    machine.irq_cpu[40] = 7;
    CALL_OK(irq_bind, EXO_FIRST_IRQ, 40, a.vcpu_cap, 3);
    ck_assert_uint_eq(machine.irq_cpu[40], 0); /* it goes where the vcpu is */
    as(&a);
    CALL(wait, 8, EXO_FOREVER);
    as(&b);
    machine_irq(40);
    ck_assert_ptr_eq(machine.cpu->current, a.vcpu); /* whoever waits for a device runs at once */
    ck_assert_int_eq(result(a.vcpu), 8);
    ck_assert(!(machine.irq_enabled & 1ull << 40)); /* masked until it is acknowledged */
    a.vcpu->page->events = 0;
    CALL(wait, 8, EXO_FOREVER);
    machine_irq(40);
    ck_assert_int_eq(a.vcpu->state, VCPU_WAITING); /* held back */
    exo_check();
}
END_TEST

START_TEST(irq_ack_takes_what_waits)
{
    uint64_t lines = (uint64_t)CALL_OK(cap_grant, a.env_cap, EXO_FIRST_IRQ, EXO_RIGHT_USE, 40, 2);

    CALL_OK(irq_bind, EXO_FIRST_IRQ, 40, a.vcpu_cap, 3);
    machine_irq(40);
    machine_irq(40);
    a.vcpu->page->events = 0;
    as(&a);
    ck_assert_int_eq(CALL(irq_ack, lines, 40), 0);
    ck_assert_uint_eq(a.vcpu->page->events, 8); /* the one that was raised meanwhile */
    CALL_FAILS(EXO_ESTATE, irq_ack, lines, 41);
    CALL_FAILS(EXO_ERANGE, irq_ack, lines, 42);
    ck_assert_int_eq(CALL(irq_bind, lines, 40, 0, 0), 0); /* unbind */
    ck_assert(!(machine.irq_enabled & 1ull << 40));
    CALL_FAILS(EXO_ESTATE, irq_bind, lines, 40, 0, 0);
    as(&root);
    CALL_FAILS(EXO_ESTATE, irq_ack, EXO_FIRST_IRQ, 40);
}
END_TEST

START_TEST(irq_errors)
{
    CALL_FAILS(EXO_EINVAL, irq_bind, EXO_FIRST_IRQ, MACHINE_LINE_MIN - 1, a.vcpu_cap,
               3);                                                                 /* the kernel's own */
    CALL_FAILS(EXO_EINVAL, irq_bind, EXO_FIRST_IRQ, MACHINE_LINES, a.vcpu_cap, 3); /* not there */
    CALL_FAILS(EXO_ERANGE, irq_bind, EXO_FIRST_IRQ, MACHINE_LPI_MIN + MACHINE_LPIS, a.vcpu_cap, 3);
    CALL_FAILS(EXO_ERANGE, irq_bind, EXO_FIRST_IRQ, (1ull << 32) + 40, a.vcpu_cap, 3);
    CALL_FAILS(EXO_EINVAL, irq_bind, EXO_FIRST_IRQ, 40, a.vcpu_cap, 63); /* the kernel's bit */
    CALL_FAILS(EXO_EINVAL, irq_bind, EXO_FIRST_IRQ, 40, a.vcpu_cap, 1ull << 32);
    CALL_OK(irq_bind, EXO_FIRST_IRQ, 40, a.vcpu_cap, 62);
    CALL_FAILS(EXO_EBUSY, irq_bind, EXO_FIRST_IRQ, 40, b.vcpu_cap, 1);
    ck_assert_ptr_eq(irq_holder(40), a.vcpu);
    CALL_OK(env_stop, a.env_cap);
    ck_assert_ptr_null(irq_holder(40));
    ck_assert(!(machine.irq_enabled & 1ull << 40));
    machine_irq(40); /* nobody's: stays masked */
    CALL_OK(irq_bind, EXO_FIRST_IRQ, 40, b.vcpu_cap, 1);
    ck_assert_uint_eq(b.vcpu->page->events, 2); /* what was raised is news to the next holder */
}
END_TEST

START_TEST(urgent_respects_slots)
{
    CALL_OK(irq_bind, EXO_FIRST_IRQ, 40, a.vcpu_cap, 3);
    for (uint64_t i = 0; i < CPU_SLOTS; i++)
        CALL_OK(slice_bind, EXO_FIRST_SLICE, i, b.vcpu_cap);
    machine_run(a.vcpu);
    if (machine.cpu->current == a.vcpu)
        CALL(wait, 8, EXO_FOREVER);
    ck_assert_ptr_eq(machine.cpu->current, b.vcpu);
    CALL0(null);
    machine_irq(40);
    ck_assert_ptr_eq(machine.cpu->current, b.vcpu); /* the slot's owner runs on */
}
END_TEST

/* Who came for an interrupt does not wait a whole slot because that of the interrupted one ends: but no longer than to the next. */
START_TEST(urgent_outlasts_the_slot)
{
    uint64_t slot = machine.cpu->slot_ticks;

    CALL_OK(irq_bind, EXO_FIRST_IRQ, 40, a.vcpu_cap, 3);
    as(&b);
    CALL(wait, 1, EXO_FOREVER);
    as(&a);
    CALL(wait, 8, EXO_FOREVER);
    ck_assert_ptr_eq(machine.cpu->current, root.vcpu);
    machine_advance(slot - machine.time % slot - 1);
    machine_irq(40);
    ck_assert_ptr_eq(machine.cpu->current, a.vcpu);
    machine_advance(2);
    ck_assert_ptr_eq(machine.cpu->current, a.vcpu);
    ck_assert_int_eq(root.vcpu->state, VCPU_READY);
    machine_advance(slot - 2);
    ck_assert_ptr_eq(machine.cpu->current, a.vcpu);
    machine_advance(2);
    ck_assert_ptr_eq(machine.cpu->current, root.vcpu);
    ck_assert_int_eq(a.vcpu->state, VCPU_READY);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("events");
    TCase *tc = tcase_create("events");

    tcase_add_checked_fixture(tc, setup, exo_check);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, busy_callers_are_preempted);
    tcase_add_test(tc, wakers_are_preempted);
    tcase_add_test(tc, signal_then_wait);
    tcase_add_test(tc, wait_then_signal);
    tcase_add_test(tc, wait_times_out);
    tcase_add_loop_test(tc, signal_and_timeout_together, 0, 2);
    tcase_add_test(tc, waiter_killed);
    tcase_add_loop_test(tc, any_order, 0, 6);
    tcase_add_test(tc, idle_until_the_deadline);
    tcase_add_test(tc, every_tick_is_counted);
    tcase_add_test(tc, forty_at_one_tick);
    tcase_add_test(tc, event_upcall);
    tcase_add_test(tc, begins_with_nothing);
    tcase_add_test(tc, upcall_of_oneself);
    tcase_add_test(tc, wait_ends_in_an_upcall);
    tcase_add_test(tc, faults);
    tcase_add_loop_test(tc, garbage_in_the_page, 0, 12);
    tcase_add_test(tc, fp_moves_lazily);
    tcase_add_test(tc, fp_comes_unasked);
    tcase_add_test(tc, fp_stays_away);
    tcase_add_test(tc, round_robin);
    tcase_add_test(tc, owned_slots);
    tcase_add_loop_test(tc, slots_end_without_the_interrupt, 0, 2);
    tcase_add_test(tc, slot_errors);
    tcase_add_test(tc, tickless);
    tcase_add_test(tc, one_tick_for_who_is_left);
    tcase_add_test(tc, waits_hand_over);
    tcase_add_loop_test(tc, waits_and_the_next_is_told, 0, 2);
    tcase_add_test(tc, directed_yield);
    tcase_add_test(tc, irq_life);
    tcase_add_test(tc, irq_ack_takes_what_waits);
    tcase_add_test(tc, irq_errors);
    tcase_add_test(tc, urgent_respects_slots);
    tcase_add_test(tc, urgent_outlasts_the_slot);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    return exo_suite_run(suite());
}
