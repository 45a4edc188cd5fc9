/* What workers do until somebody ends them, and what they look for meanwhile. */
#include "stress.h"

_Static_assert(EXO_CALL_resume == 0, "start.S knows it");

#define PAGE_VA 0x2000000000ull
#define OTHER_VA 0x2000200000ull
#define GONE_VA 0x2100000000ull

void doing(const struct me *me, enum phase phase)
{
    __atomic_store_n(&me->worker->doing, phase, __ATOMIC_RELAXED);
}

void did(const struct me *me)
{
    me->worker->done++;
    __atomic_fetch_add(&worker_work, 1, __ATOMIC_RELAXED);
}

void forget(uint64_t bits)
{
    __atomic_fetch_and(&my_page()->events, ~bits, __ATOMIC_ACQ_REL);
}

/* ---- signals go round: none may be lost (K28) ---------------------------------------------------------------------- */

static void ring(const struct me *me)
{
    exo_handle_t next = me->crew->event + (me->place + 1) % me->crew->count;
    bool begin = me->place == 0;

    for (;;) {
        if (!begin) {
            doing(me, WAITING);
            int64_t got = exo_wait(TURN, after_ms(PATIENCE_MS));

            if (got != TURN)
                wrong("K28 a signal did not come", (uint64_t)got, my_page()->events);
            forget(TURN);
        }
        begin = false;
        did(me);
        doing(me, SIGNALLING);
        if (exo_signal(next, TURN))
            wrong("K28 a signal was refused", next, 0);
    }
}

/* ---- calls: each is answered, with its own answer (I1) ---------------------------------------------------------------- */

static void answer(const struct me *me, bool forgetful)
{
    struct exo_words words = {0};
    int64_t token = 0;

    for (;;) {
        uint64_t deadline = roll(me->dice, 2) ? EXO_FOREVER : after_ms(roll(me->dice, 3));

        doing(me, ANSWERING);
        token = exo_reply_wait((uint64_t)token, &words, deadline);
        did(me);
        forget(EXO_EVENT_CALL | POKE);
        words.w[0]++;
        words.w[1] = ~words.w[1];
        if (token < 0 || (forgetful && roll(me->dice, 20) == 0))
            token = 0;
    }
}

static int64_t ask(const struct me *me, uint64_t gate, uint64_t deadline)
{
    uint64_t a = roll(me->dice, UINT64_MAX), b = roll(me->dice, UINT64_MAX);
    struct exo_words words = {.w = {a, b}};
    int64_t rc;

    doing(me, CALLING);
    rc = exo_call(gate, &words, deadline);
    if (rc == 0 && (words.w[0] != a + 1 || words.w[1] != ~b))
        wrong("I1 the answer is another's", a, words.w[0]);
    return rc;
}

static void office(const struct me *me)
{
    if (me->place == 0)
        answer(me, false);
    for (;;) {
        int64_t rc = ask(me, me->crew->gate, after_ms(PATIENCE_MS));

        did(me);
        while (rc == -EXO_EHANDLE) /* a driver has revoked it */
            exo_wait(0, EXO_FOREVER);
        if (rc)
            wrong("I1 a call is not answered", (uint64_t)-rc, 0);
        if (roll(me->dice, 4) == 0)
            exo_wait(POKE, after_ms(roll(me->dice, 2)));
    }
}

/* ---- a page that comes and goes (K13) ---------------------------------------------------------------------------------- */

/* seq counts the states of the page, and its low bits say what that state allows for certain. */
enum page_state {
    ANY,       /* it is being changed: it may be there, or not */
    UNBOUND,   /* it was taken away, and that call has returned: no access succeeds */
    READ_ONLY, /* it was made so: no write succeeds */
    NPAGE_STATES
};

static void say(const struct me *me, enum page_state state)
{
    __atomic_store_n(&me->crew->seq, (me->crew->seq / NPAGE_STATES + 1) * NPAGE_STATES + state,
                     __ATOMIC_SEQ_CST);
}

static void must(int64_t rc, const char *what)
{
    if (rc != 1)
        wrong(what, (uint64_t)-rc, 0);
}

void pause_a_little(const struct me *me)
{
    if (roll(me->dice, 3) == 0)
        exo_wait(POKE, after_ms(roll(me->dice, 3)));
    else
        for (uint64_t i = roll(me->dice, 2000); i; i--)
            __asm__ volatile("");
}

/* Zero as it came, or what one of us wrote. */
void must_be_ours(const struct me *me, uint64_t value)
{
    if (value && value != me->crew->mark)
        wrong("K13 another's data in a page", value, me->crew->mark);
}

static void bind_page(const struct me *me)
{
    must(exo_page_alloc(EXO_SELF_SPACE, PAGE_VA, 1, EXO_WANT_ANY, RW), "a page is not bound");
    for (unsigned i = 0; i < PAGE_SIZE / 8; i++)
        must_be_ours(me, ((volatile uint64_t *)PAGE_VA)[i]);
    for (unsigned i = 0; i < PAGE_SIZE / 8; i++)
        ((volatile uint64_t *)PAGE_VA)[i] = me->crew->mark;
}

static void change_page(const struct me *me)
{
    bool lazy = roll(me->dice, 3) == 0;
    bool aliased = roll(me->dice, 3) == 0; /* the frame lives on: what is read would still be there */

    bind_page(me);
    if (aliased)
        must(exo_page_map(EXO_SELF_SPACE, OTHER_VA, EXO_SELF_SPACE, PAGE_VA, 1, RW),
             "a page is not bound again");
    pause_a_little(me);
    if (roll(me->dice, 2)) {
        must(exo_page_protect(EXO_SELF_SPACE, PAGE_VA, 1, EXO_PROT_READ | (lazy ? EXO_LAZY : 0)),
             "not protected");
        if (lazy && exo_tlb_sync(EXO_SELF_SPACE, PAGE_VA, roll(me->dice, 2) ? 1 : 100))
            wrong("no tlb_sync", 0, 0);
        say(me, READ_ONLY);
        pause_a_little(me);
        say(me, ANY);
        must(exo_page_protect(EXO_SELF_SPACE, PAGE_VA, 1, RW), "not protected");
    }
    must(exo_page_unmap(EXO_SELF_SPACE, PAGE_VA, 1, lazy ? EXO_LAZY : 0), "a page is not unbound");
    if (lazy)
        pause_a_little(me);
    if (lazy && exo_tlb_sync(EXO_SELF_SPACE, PAGE_VA, roll(me->dice, 2) ? 1 : 100))
        wrong("no tlb_sync", 0, 0);
    say(me, UNBOUND);
    pause_a_little(me);
    say(me, ANY);
    if (aliased)
        must(exo_page_unmap(EXO_SELF_SPACE, OTHER_VA, 1, 0), "an alias is not unbound");
}

static void look_at_page(const struct me *me)
{
    volatile uint64_t *at = (volatile uint64_t *)PAGE_VA + roll(me->dice, PAGE_SIZE / 8);
    bool write = roll(me->dice, 3) == 0;
    uint64_t before = __atomic_load_n(&me->crew->seq, __ATOMIC_SEQ_CST), value = 0, after;
    bool could = write ? try_write(at, me->crew->mark) : try_read(at, &value);

    after = __atomic_load_n(&me->crew->seq, __ATOMIC_SEQ_CST);
    if (could && before == after && before % NPAGE_STATES == UNBOUND)
        wrong("K13 a page that was unmapped is there", write, value);
    if (could && before == after && before % NPAGE_STATES == READ_ONLY && write)
        wrong("K13 a page that was protected is written", before, after);
    if (could && !write)
        must_be_ours(me, value);
}

static void pages(const struct me *me)
{
    for (;;) {
        doing(me, me->place ? LOOKING : MAPPING);
        if (me->place == 0)
            change_page(me);
        else
            for (unsigned i = 0; i < 50; i++)
                look_at_page(me);
        did(me);
        if (roll(me->dice, 8) == 0)
            exo_yield(0);
    }
}

/* ---- anything ------------------------------------------------------------------------------------------------------- */

static void child(const struct me *me)
{
    int64_t both;

    doing(me, PARENTING);
    both = exo_env_create(12 + roll(me->dice, 10), 0, 0);
    if (both < 0)
        return;
    exo_page_map((uint64_t)both >> 32, PAGE_VA, EXO_SELF_SPACE, (uint64_t)my_page(), 1, RW);
    exo_vcpu_create((uint32_t)both, roll(me->dice, machine->ncpus), (uint64_t)both >> 32, PAGE_VA);
    if (roll(me->dice, 2))
        return; /* whoever destroys this one finds it */
    while (exo_env_destroy((uint32_t)both) > 0)
        ;
    exo_cap_drop((uint32_t)both);
    exo_cap_drop((uint64_t)both >> 32);
}

static void call_with(const struct me *me, uint64_t gate)
{
    struct exo_vcpu_page *page = my_page();
    uint64_t flags = roll(me->dice, 8) << 32;

    page->send = (struct exo_send){.va = (uint64_t)page,
                                   .npages = 1,
                                   .prot = EXO_PROT_READ,
                                   .cap = me->crew->event,
                                   .rights = EXO_RIGHT_USE};
    page->upcall_events = flags & EXO_MSG_INTR ? POKE : 0;
    ask(me, gate | flags, after_ms(roll(me->dice, 5)));
    page->upcall_events = 0;
}

static void be_called(const struct me *me)
{
    struct exo_words words = {0};
    int64_t token;

    doing(me, ANSWERING);
    my_page()->recv = (struct exo_recv){.va = OTHER_VA, .max_pages = 1, .take_cap = 1};
    token = exo_reply_wait(0, &words, after_ms(roll(me->dice, 5)));
    if (my_page()->recv.npages)
        exo_page_unmap(EXO_SELF_SPACE, OTHER_VA, 1, 0);
    if (my_page()->recv.cap)
        exo_cap_drop(my_page()->recv.cap);
    forget(EXO_EVENT_CALL);
    my_page()->recv.max_pages = 0;
    my_page()->recv.take_cap = 0;
    words.w[0]++;
    words.w[1] = ~words.w[1];
    if (token > 0 && roll(me->dice, 10))
        exo_reply_wait((uint64_t)token, &words, 0);
}

static void other_space(const struct me *me)
{
    int64_t space;

    doing(me, MAPPING);
    space = exo_space_create();
    if (space < 0)
        return;
    exo_page_alloc((uint64_t)space, PAGE_VA, 2, EXO_WANT_ANY,
                   RW | (roll(me->dice, 2) ? EXO_ALLOC_CONTIG : 0));
    if (roll(me->dice, 4) == 0)
        exo_asid_pin((uint64_t)space);
    while (exo_space_destroy((uint64_t)space) > 0)
        ;
    exo_cap_drop((uint64_t)space);
}

static void chaos_step(const struct me *me)
{
    uint64_t event = me->crew->friend_event[roll(me->dice, FRIENDS)];
    uint64_t gate = me->crew->friend_gate[roll(me->dice, FRIENDS)];

    switch (roll(me->dice, 16)) {
    case 0:
    case 1:
        doing(me, SIGNALLING);
        exo_signal(event, 1 + roll(me->dice, 15));
        break;
    case 2:
        doing(me, WAITING);
        exo_wait(1 + roll(me->dice, 15), after_ms(roll(me->dice, 4)));
        forget(15);
        break;
    case 3:
    case 4:
    case 5:
        call_with(me, gate);
        break;
    case 6:
    case 7:
        be_called(me);
        break;
    case 8:
        exo_yield(roll(me->dice, 2) ? 0 : me->crew->vcpu + roll(me->dice, me->crew->count));
        break;
    case 9:
        child(me);
        break;
    case 10:
        other_space(me);
        break;
    case 11:
        doing(me, MAPPING);
        exo_page_alloc(EXO_SELF_SPACE, GONE_VA + me->place * PAGE_SIZE, 1,
                       machine->first_frame + roll(me->dice, machine->nframes), RW);
        if (roll(me->dice, 4))
            exo_page_unmap(EXO_SELF_SPACE, GONE_VA + me->place * PAGE_SIZE, 1, roll(me->dice, 2) * EXO_LAZY);
        break;
    case 12:
        doing(me, FAULTING);
        try_write((volatile uint64_t *)(GONE_VA + 64 * PAGE_SIZE), 1);
        break;
    case 13:
        if (roll(me->dice, 30) == 0)
            exo_env_exit(7);
        break;
    case 14:
        if (roll(me->dice, 60) == 0) { /* a fault with upcalls masked */
            my_page()->upcall_masked = 1;
            *(volatile uint64_t *)(GONE_VA + 65 * PAGE_SIZE) = 1;
        }
        break;
    default:
        if (roll(me->dice, 200) == 0)
            exo_env_stop(EXO_SELF_ENV);
    }
}

static void chaos(const struct me *me)
{
    for (;;) {
        chaos_step(me);
        did(me);
    }
}

/* ---- the beginning ----------------------------------------------------------------------------------------------------- */

void work(unsigned env, unsigned place)
{
    static void (*const trades[NTRADES])(const struct me *me) = {
        [TRADE_RING] = ring,   [TRADE_OFFICE] = office, [TRADE_PAGES] = pages,
        [TRADE_CHAOS] = chaos, [TRADE_MEMORY] = memory, [TRADE_DEVICE] = device};
    struct worker *worker = &workers[env * CREW_MAX + place];
    struct me me = {&crews[env], place, worker, &worker->dice};

    did(&me);
    if (me.place == 0) /* what chaos leaves bound: enough to take, or not */
        my_page()->victims[0] = (struct exo_victim){.va = GONE_VA, .npages = CREW_MAX};
    if (me.crew->trade == TRADE_HOUSE)
        answer(&me, true);
    else
        trades[me.crew->trade](&me);
}

void work_upcall(uint64_t reason, uint64_t info, uint64_t detail)
{
    struct exo_regs *regs = &my_page()->regs;

    if (reason == EXO_UPCALL_EVENT)
        forget(info);
    else if (reason == EXO_UPCALL_FAULT &&
             (regs->pc == (uint64_t)try_read_at || regs->pc == (uint64_t)try_write_at))
        regs->pc = memory_fault(info, regs) ? regs->pc : (uint64_t)try_failed;
    else if (reason == EXO_UPCALL_REVOKE)
        return;
    else if (!(reason == EXO_UPCALL_FAULT && detail & EXO_ACCESS_BOUND))
        wrong("an upcall that nobody waits for", info, regs->pc);
    /* else: it was being bound when it was touched; again */
}
