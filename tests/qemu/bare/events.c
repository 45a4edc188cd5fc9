/* Events, waiting, time, slices, FP state. */
#include "bare.h"

static volatile uint64_t seen;

static void note(uint64_t due)
{
    seen |= due;
}

static void check_signal(void)
{
    exo_handle_t event = (exo_handle_t)exo_event_create(EXO_FIRST_VCPU, 6);

    check_is("an event capability sets its bits", exo_signal(event, 2), 0);
    check_is("and no others", exo_signal(event, 8), -EXO_ERIGHTS);
    check_is("it can be narrowed", exo_cap_grant(EXO_SELF_ENV, event, EXO_RIGHT_USE, 8, 0), -EXO_ERIGHTS);
    check_is("K28 a bit that is set does not wait", exo_wait(2, EXO_FOREVER), 2);
    check_is("waiting clears nothing", (int64_t)events_take(6), 2);
    check_is("an event capability without bits", exo_event_create(EXO_FIRST_VCPU, 0), -EXO_EINVAL);
    on_event = note;
    seen = 0;
    my_page()->upcall_events = 4;
    exo_signal(event, 4);
    exo_null();
    check("an event that is listened for comes as an upcall", seen == 4);
    seen = 0;
    my_page()->upcall_masked = 1;
    exo_signal(event, 4);
    exo_null();
    check("not while upcalls are masked", seen == 0);
    my_page()->upcall_masked = 0;
    exo_yield(0);
    check("K28 but when they are unmasked again", seen == 4);
    seen = 0;
    my_page()->upcall_events = 0;
    exo_signal(event, 4);
    exo_yield(0);
    check("and not what nobody listens for", seen == 0);
    events_take(6);
    on_event = NULL;
    exo_cap_drop(event);
}

/* ---- waiting ------------------------------------------------------------------------------------------------ */

static volatile uint64_t woken;

static void waits(uint64_t mask)
{
    woken = (uint64_t)exo_wait(mask, EXO_FOREVER);
}

static void signals(uint64_t event)
{
    exo_signal((exo_handle_t)event, 1);
    exo_wait(0, EXO_FOREVER);
}

static void check_wake(void)
{
    struct peer peer = peer_run(0, waits, 5);
    exo_handle_t event = (exo_handle_t)exo_event_create(peer.vcpu, 7), mine;
    struct peer other;

    woken = 0;
    peer_let(&peer);
    exo_signal(event, 2);
    exo_wait(0, after_ms(5));
    check("a bit that is not waited for does not wake", woken == 0);
    exo_signal(event, 4);
    check("K28 a bit that is waited for does", peer_ended(&peer, 1000) && woken == 4);
    check_is("an event of one that has ended", exo_signal(event, 1) <= 0, 1);
    peer_end(&peer);
    check_is("K29 an event of one that is gone", exo_signal(event, 1), -EXO_EDEAD);
    exo_cap_drop(event);
    mine = (exo_handle_t)exo_event_create(EXO_FIRST_VCPU, 1);
    other = peer_make(0);
    peer_start(&other, signals, peer_give(&other, mine, EXO_RIGHT_USE));
    check_is("K28 a peer wakes its maker", exo_wait(1, after_ms(1000)), 1);
    events_take(1);
    peer_end(&other);
    exo_cap_drop(mine);
}

void check_events(void)
{
    check_signal();
    check_wake();
}

/* ---- time --------------------------------------------------------------------------------------------------- */

static volatile uint64_t spins[3];

static void spin(uint64_t place)
{
    for (;;)
        spins[place]++;
}

static void spin_masked(uint64_t place)
{
    my_page()->upcall_masked = 1;
    my_page()->upcall_events = ~0ull;
    spin(place);
}

static void check_sleep(void)
{
    uint64_t due = after_ms(10), late;

    check_is("P9 a wait without bits ends at its deadline", exo_wait(0, due), 0);
    late = now() - due;
    check("P9 not before, and not long after", now() >= due && late < 2 * machine->counter_hz);
    check_is("a deadline that has passed does not wait", exo_wait(0, 0), 0);
    due = exo_frames(machine, EXO_FRAME_FREE);
    for (unsigned i = 0; i < 100; i++)
        exo_wait(0, now() + i * 100);
    check_is("100 short sleeps cost no frame", (int64_t)free_frames(), (int64_t)due);
}

static void check_preemption(void)
{
    struct peer a, b;

    spins[0] = spins[1] = 0;
    a = peer_make(0);
    b = peer_make(1);
    exo_vcpu_start(a.vcpu, 0);
    peer_end(&a);
    check("a peer that never ran is taken down", true);
    a = peer_run(0, spin, 0);
    peer_start(&b, spin_masked, 1);
    exo_wait(0, after_ms(100));
    check("C1 programs that never wait share the processor", spins[0] > 1000 && spins[1] > 1000);
    check("C1 about equally", spins[0] < 4 * spins[1] && spins[1] < 4 * spins[0]);
    check_is("K29 one that spins is stopped", exo_env_stop(a.env), 0);
    check_is("K29 also with upcalls masked", exo_env_stop(b.env), 0);
    spins[0] = spins[1] = 0;
    exo_wait(0, after_ms(20));
    check("and does not run again", spins[0] == 0 && spins[1] == 0);
    peer_end(&a);
    peer_end(&b);
}

static void check_slices(void)
{
    struct peer a = peer_run(0, spin, 0), b = peer_run(1, spin, 1);
    unsigned owned = machine->slots * 3 / 4;

    for (unsigned i = 0; i < owned; i++)
        if (exo_slice_bind(EXO_FIRST_SLICE, i, a.vcpu))
            check("C1 a slot can be bound", false);
    check_is("C1 a slot has one owner", exo_slice_bind(EXO_FIRST_SLICE, 0, b.vcpu), -EXO_EBUSY);
    check_is("K20 there is no slot beyond the last", exo_slice_bind(EXO_FIRST_SLICE, machine->slots, b.vcpu),
             -EXO_ERANGE);
    check_is("K20 nor at huge numbers", exo_slice_bind(EXO_FIRST_SLICE, 1ull << 32, b.vcpu), -EXO_ERANGE);
    spins[0] = spins[1] = 0;
    exo_wait(0, after_ms(400));
    check("C1 who owns three slots of four gets most of the time",
          spins[0] > 2 * spins[1] && spins[1] > 1000);
    check_is("a slot is given back", exo_slice_release(EXO_FIRST_SLICE, 0), 0);
    check_is("and bound to another", exo_slice_bind(EXO_FIRST_SLICE, 0, b.vcpu), 0);
    peer_end(&a);
    peer_end(&b);
    check_is("C1 the slots of one that is gone are free", exo_slice_bind(EXO_FIRST_SLICE, 1, EXO_FIRST_VCPU),
             0);
    exo_slice_release(EXO_FIRST_SLICE, 1);
}

void check_time(void)
{
    check_sleep();
    check_preemption();
    check_slices();
}

/* ---- FP state ----------------------------------------------------------------------------------------------- */

static volatile uint64_t fp_bad, fp_rounds, fp_first;

/* Holds its values over many switches, among yields and preemptions. */
static void fp_peer(uint64_t base)
{
    fp_first += fp_dirty();
    fp_set(base);
    for (;;) {
        fp_bad += fp_wrong(base);
        fp_rounds++;
        exo_yield(0);
        for (unsigned i = 0; i < 200; i++)
            fp_bad += fp_wrong(base);
    }
}

static void note_fp(uint64_t due)
{
    (void)due;
}

void check_fp(void)
{
    struct peer peers[4];
    exo_handle_t event = (exo_handle_t)exo_event_create(EXO_FIRST_VCPU, 1);

    fp_set(0x1111);
    for (unsigned i = 0; i < 4; i++)
        peers[i] = peer_run(i, fp_peer, 0x1000 * (i + 1) + i);
    fp_set(0x7777);
    fp_bad = fp_wrong(0x7777);
    for (unsigned i = 0; i < 100; i++) {
        exo_wait(0, now() + machine->counter_hz / 1000);
        fp_bad += fp_wrong(0x7777);
    }
    check("FP registers survive switches", fp_bad == 0 && fp_rounds > 50);
    check_is("K5 FP registers of a new environment are zero", (int64_t)fp_first, 0);
    for (unsigned i = 0; i < 4; i++)
        peer_end(&peers[i]);
    check("FP registers survive the end of others", fp_wrong(0x7777) == 0);
    on_event = note_fp;
    my_page()->upcall_events = 1;
    exo_signal(event, 1);
    exo_null();
    check("FP registers survive an upcall that uses none", fp_wrong(0x7777) == 0);
    my_page()->upcall_events = 0;
    on_event = NULL;
    exo_cap_drop(event);
    peers[0] = peer_run(0, fp_peer, 1);
    check_is("K5 and again zero in one made later", (int64_t)fp_first, 0);
    peer_end(&peers[0]);
}
