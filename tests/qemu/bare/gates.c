/* Calls through gates between environments: messages, queues, replies, what goes along. */
#include "bare.h"

#define WORD(value) ((struct exo_words){.w = {(value)}})

static exo_handle_t gate_into(const struct peer *peer, uint64_t badge)
{
    return (exo_handle_t)exo_gate_create(peer->vcpu, badge);
}

/* Answers each call with its words plus one, and the badge as the last. */
static void adder(uint64_t arg)
{
    struct exo_words words = {0};
    int64_t token = 0;

    (void)arg;
    for (;;) {
        token = exo_reply_wait((uint64_t)token, &words, EXO_FOREVER);
        for (unsigned i = 0; i < EXO_MSG_WORDS; i++)
            words.w[i]++;
        words.w[5] = words.badge;
    }
}

static void check_words(void)
{
    struct peer peer = peer_run(0, adder, 0);
    exo_handle_t gate = gate_into(&peer, 77), other = gate_into(&peer, 78);
    struct exo_words words = {.w = {1, 2, 3, 4, ~0ull, 6}};
    uint64_t x[RAW_REGISTERS] = {gate, 1, 2, 3, 4, 5, 6, EXO_FOREVER};
    uint64_t rest = 0;

    check_is("I1 a call is answered", exo_call(gate, &words, EXO_FOREVER), 0);
    check("I1 its words go there and back", words.w[0] == 2 && words.w[3] == 5 && words.w[4] == 0);
    check_is("I1 the callee learns the gate's badge", (int64_t)words.w[5], 77);
    exo_call(other, &words, EXO_FOREVER);
    check_is("I1 and tells gates apart", (int64_t)words.w[5], 78);
    raw_call(EXO_CALL_call, x);
    for (unsigned i = 7; i < RAW_REGISTERS; i++)
        rest |= x[i];
    check("a call returns x7 to x18 as zero", rest == 0 && x[1] == 2);
    check_is("flags that do not exist are refused", exo_call(1ull << 40 | gate, &words, EXO_FOREVER),
             -EXO_EINVAL);
    check_is("a badge, once set, stays", exo_cap_grant(EXO_SELF_ENV, gate, EXO_RIGHT_USE, 5, 0),
             -EXO_ERIGHTS);
    check_is("a gate into oneself cannot be called",
             call1((exo_handle_t)exo_gate_create(EXO_FIRST_VCPU, 0), 1, NULL, EXO_FOREVER), -EXO_EINVAL);
    exo_cap_drop(gate);
    check_is("a dropped gate is none", exo_call(gate, &words, EXO_FOREVER), -EXO_EHANDLE);
    peer_end(&peer);
    check_is("K29 a gate into an environment that is gone", exo_call(other, &words, EXO_FOREVER), -EXO_EDEAD);
    exo_cap_drop(other);
}

/* ---- several callers at one callee ----------------------------------------------------------------------------- */

static volatile int64_t result_of[4];
static volatile uint64_t answer_of[4];

/* arg: place << 32 | gate. */
static void caller(uint64_t arg)
{
    uint64_t place = arg >> 32, answer = 0;
    int64_t rc = call1((exo_handle_t)arg, place, &answer, EXO_FOREVER);

    answer_of[place] = answer;
    result_of[place] = rc;
}

static exo_handle_t mine; /* a gate into this environment */

static struct peer caller_run(unsigned place)
{
    struct peer peer = peer_make(place);

    result_of[place] = 1;
    peer_start(&peer, caller, (uint64_t)place << 32 | peer_give(&peer, mine, EXO_RIGHT_USE));
    peer_let(&peer);
    return peer;
}

static int64_t receive(uint64_t *word)
{
    struct exo_words words = {0};
    int64_t token = exo_reply_wait(0, &words, after_ms(1000));

    *word = words.w[0];
    return token;
}

static int64_t answer(int64_t token, uint64_t word)
{
    struct exo_words words = WORD(word);

    return exo_reply_wait((uint64_t)token, &words,
                          0); /* -EXO_ETIMEDOUT: answered, and nobody else is there */
}

static void check_queue(void)
{
    struct peer peers[3];
    int64_t token[3];
    uint64_t word[3];

    for (unsigned i = 0; i < 3; i++)
        peers[i] = caller_run(i);
    check("callers make themselves known by an event", events_take(EXO_EVENT_CALL) == EXO_EVENT_CALL);
    for (unsigned i = 0; i < 3; i++)
        token[i] = receive(&word[i]);
    check("I1 callers are served in the order of their calls", word[0] == 0 && word[1] == 1 && word[2] == 2);
    check("tokens are greater than 0 and differ",
          token[0] > 0 && token[1] > 0 && token[0] != token[1] && token[1] != token[2]);
    check_is("replies may be deferred, in any order", answer(token[2], 102), -EXO_ETIMEDOUT);
    check_is("a token is good once", answer(token[2], 103), -EXO_ETOKEN);
    answer(token[0], 100);
    answer(token[1], 101);
    for (unsigned i = 0; i < 3; i++) {
        peer_ended(&peers[i], 1000);
        peer_end(&peers[i]);
    }
    check("I1 each gets its own answer", answer_of[0] == 100 && answer_of[1] == 101 && answer_of[2] == 102);
    check_is("the token of one who is gone", answer(token[0], 1), -EXO_ETOKEN);
}

static void forger(uint64_t token)
{
    struct exo_words words = WORD(666);

    result_of[1] = exo_reply_wait(token, &words, 0);
}

static void check_forged(void)
{
    static const uint64_t forged[] = {1,
                                      2,
                                      0xffff,
                                      1ull << 31,
                                      1ull << 32,
                                      1ull << 59,
                                      0x0fffffffffffffff,
                                      0x8000000000000001,
                                      0xcfffffffffffffff};
    struct peer peer = caller_run(0), thief;
    uint64_t word;
    int64_t token = receive(&word);
    bool refused = true;

    for (unsigned i = 0; i < sizeof(forged) / sizeof(*forged); i++)
        refused &= answer((int64_t)forged[i], 0) == -EXO_ETOKEN;
    refused &= answer(token + 1, 0) == -EXO_ETOKEN && answer(token - 1, 0) == -EXO_ETOKEN;
    refused &= answer(token + (1ll << 32), 0) == -EXO_ETOKEN && answer(token ^ (1ll << 62), 0) == -EXO_ETOKEN;
    check("I1 forged tokens are refused", refused);
    for (uint32_t frame = machine->first_frame; frame < machine->first_frame + machine->nframes; frame += 61)
        refused &= answer((int64_t)(1ull << 32 | frame), 0) == -EXO_ETOKEN;
    check("K5 tokens that name frames of any kind are refused", refused);
    thief = peer_run(1, forger, (uint64_t)token);
    peer_ended(&thief, 1000);
    check_is("I1 nobody else can answer", result_of[1], -EXO_ETOKEN);
    check_is("and the caller still waits", result_of[0], 1);
    peer_end(&thief);
    answer(token, 5);
    peer_ended(&peer, 1000);
    check("the true answer arrives", result_of[0] == 0 && answer_of[0] == 5);
    peer_end(&peer);
}

/* ---- pages and capabilities with a message --------------------------------------------------------------------------- */

#define WINDOW 0x6000000000ull

/* Opens a window of two pages, takes what comes, and answers with what it finds there; then sends its own. */
static void taker(uint64_t pages)
{
    struct exo_vcpu_page *page = my_page();
    struct exo_words words = {0};
    int64_t token;

    page->recv = (struct exo_recv){.va = WINDOW, .max_pages = (uint32_t)pages, .take_cap = pages != 0};
    for (token = 0;;) {
        token = exo_reply_wait((uint64_t)token, &words, EXO_FOREVER);
        if (token <= 0)
            exo_env_exit(1);
        words.w[0] = page->recv.npages;
        words.w[1] = page->recv.prot;
        words.w[2] = page->recv.cap;
        words.w[3] = page->recv.npages ? *(volatile uint64_t *)WINDOW : 0;
        words.w[4] = page->recv.cap ? (uint64_t)exo_page_unmap(page->recv.cap, SPARE, 1, 0) : 0;
        if (page->recv.npages)
            exo_page_unmap(EXO_SELF_SPACE, WINDOW, page->recv.npages, 0);
    }
}

static void send_is(uint32_t npages, unsigned prot, exo_handle_t cap, unsigned rights)
{
    my_page()->send =
        (struct exo_send){.va = SPARE, .npages = npages, .prot = prot, .cap = cap, .rights = rights};
}

static void check_transfer(void)
{
    struct peer peer = peer_run(0, taker, 2);
    exo_handle_t gate = gate_into(&peer, 0);
    struct exo_words w = {0};
    uint64_t free;

    pages_alloc(EXO_SELF_SPACE, SPARE, 4, EXO_PROT_READ | EXO_PROT_WRITE);
    *(volatile uint64_t *)SPARE = 4711;
    exo_call(gate, &w, EXO_FOREVER); /* let it make its tables */
    send_is(2, EXO_PROT_READ, EXO_SELF_SPACE, EXO_RIGHT_USE);
    free = free_frames();
    check_is("I2 pages go along", exo_call(gate | EXO_MSG_PAGES, &w, EXO_FOREVER), 0);
    check("I2 and are seen at the window",
          w.w[0] == 2 && w.w[1] == EXO_PROT_READ && w.w[3] == 4711 && w.w[2] == 0);
    check_is("a capability goes along", exo_call(gate | EXO_MSG_CAP, &w, EXO_FOREVER), 0);
    check("and can be used with the rights given", w.w[2] != 0 && w.w[4] == 1 && w.w[0] == 0);
    exo_page_alloc(EXO_SELF_SPACE, SPARE, 1, EXO_WANT_ANY,
                   EXO_PROT_READ); /* the peer has unmapped it by the capability */
    check_is("both go along", exo_call(gate | EXO_MSG_CAP | EXO_MSG_PAGES, &w, EXO_FOREVER), 0);
    check("both arrive", w.w[0] == 2 && w.w[2] != 0);
    exo_page_alloc(EXO_SELF_SPACE, SPARE, 1, EXO_WANT_ANY,
                   EXO_PROT_READ); /* the peer has unmapped it by the capability */
    send_is(3, EXO_PROT_READ, 0, 0);
    check_is("I3 more than the window holds: EXO_ERANGE", exo_call(gate | EXO_MSG_PAGES, &w, EXO_FOREVER),
             -EXO_ERANGE);
    send_is(65, EXO_PROT_READ, 0, 0);
    check_is("more than a message may carry", exo_call(gate | EXO_MSG_PAGES, &w, EXO_FOREVER), -EXO_EINVAL);
    send_is(0, EXO_PROT_READ, 0, 0);
    check_is("no page at all", exo_call(gate | EXO_MSG_PAGES, &w, EXO_FOREVER), -EXO_EINVAL);
    send_is(1, 6, 0, 0);
    check_is("W^X holds for messages too", exo_call(gate | EXO_MSG_PAGES, &w, EXO_FOREVER), -EXO_EINVAL);
    send_is(1, EXO_PROT_READ, 12345, 0);
    check_is("a capability that is none", exo_call(gate | EXO_MSG_PAGES | EXO_MSG_CAP, &w, EXO_FOREVER),
             -EXO_EHANDLE);
    my_page()->send.va = 0xffffff8000000000;
    check_is("K5 pages of the kernel", exo_call(gate | EXO_MSG_PAGES, &w, EXO_FOREVER), -EXO_ERANGE);
    my_page()->send.va = machine->table_va;
    check_is("K5 page tables", exo_call(gate | EXO_MSG_PAGES, &w, EXO_FOREVER), -EXO_ERANGE);
    my_page()->send.va = SPARE + 0x40000000;
    check_is("pages that are not there", exo_call(gate | EXO_MSG_PAGES, &w, EXO_FOREVER), -EXO_EUNBOUND);
    send_is(1, EXO_PROT_READ | EXO_PROT_WRITE, 0, 0);
    my_page()->send.va = (uint64_t)machine;
    check_is("K5 more rights than one has", exo_call(gate | EXO_MSG_PAGES, &w, EXO_FOREVER), -EXO_ERIGHTS);
    send_is(1, EXO_PROT_READ, 0, 0);
    exo_call(gate, &w, EXO_FOREVER);
    check("after each refusal nothing has come", w.w[0] == 0 && w.w[2] == 0);
    check_is("nothing was left half done", (int64_t)free_frames(), (int64_t)free);
    exo_cap_drop(gate);
    peer_end(&peer);
    peer = peer_run(0, taker, 0);
    gate = gate_into(&peer, 0);
    check_is("who opens no window gets no page", exo_call(gate | EXO_MSG_PAGES, &w, EXO_FOREVER),
             -EXO_ERANGE);
    send_is(1, EXO_PROT_READ, EXO_SELF_SPACE, 0);
    check_is("who takes no capability gets none", exo_call(gate | EXO_MSG_CAP, &w, EXO_FOREVER), -EXO_EINVAL);
    exo_cap_drop(gate);
    peer_end(&peer);
    clear_range(EXO_SELF_SPACE, SPARE, 4);
}

void check_gates(void)
{
    uint64_t before;

    mine = (exo_handle_t)exo_gate_create(EXO_FIRST_VCPU, 9);
    check_words();
    before = free_frames();
    check_queue();
    check_forged();
    check_transfer();
    check_is("K8 no frame was lost over it", (int64_t)free_frames(), (int64_t)before);
}

/* ---- ends --------------------------------------------------------------------------------------------------------- */

static void exits_when_called(uint64_t arg)
{
    struct exo_words words = {0};

    (void)arg;
    exo_reply_wait(0, &words, EXO_FOREVER);
    exo_env_exit(3);
}

static void receives_late(uint64_t arg)
{
    (void)arg;
    exo_wait(1, EXO_FOREVER);
}

static void crashes_when_called(uint64_t arg)
{
    struct exo_words words = {0};

    (void)arg;
    exo_reply_wait(0, &words, EXO_FOREVER);
    my_page()->upcall_masked = 1;
    do_read(0);
}

static void check_callee_ends(void)
{
    struct peer peer = peer_run(0, exits_when_called, 0), second;
    exo_handle_t gate = gate_into(&peer, 0);

    check_is("K29 the callee exits while called", call1(gate, 1, NULL, EXO_FOREVER), -EXO_EDEAD);
    check_is("K29 and its gate stays dead", call1(gate, 1, NULL, EXO_FOREVER), -EXO_EDEAD);
    peer_end(&peer);
    exo_cap_drop(gate);
    peer = peer_run(0, crashes_when_called, 0);
    gate = gate_into(&peer, 0);
    check_is("K29 the callee crashes while called", call1(gate, 1, NULL, EXO_FOREVER), -EXO_EDEAD);
    peer_end(&peer);
    exo_cap_drop(gate);

    peer = peer_run(0, receives_late, 0);
    second = peer_make(1);
    gate = gate_into(&peer, 0);
    result_of[1] = 1;
    peer_start(&second, caller, 1ull << 32 | peer_give(&second, gate, EXO_RIGHT_USE));
    peer_let(&second);
    check_is("a caller queues at a callee that does not listen", result_of[1], 1);
    exo_env_stop(peer.env);
    peer_ended(&second, 1000);
    check_is("K29 the callee is stopped before it listens", result_of[1], -EXO_EDEAD);
    peer_end(&second);
    peer_end(&peer);
    exo_cap_drop(gate);
}

static void check_caller_ends(void)
{
    struct peer peer = caller_run(0), queued;
    uint64_t word, before;
    int64_t token = receive(&word);

    check("a caller waits for its answer", token > 0 && result_of[0] == 1);
    peer_end(&peer);
    check_is("K29 the caller is killed while it waits: its token is dead", answer(token, 1), -EXO_ETOKEN);
    before = free_frames();
    queued = caller_run(0);
    peer_end(&queued);
    check_is("K29 a caller is killed in the queue: nobody is there", receive(&word), -EXO_ETIMEDOUT);
    check_is("K29 and nothing of it is left", (int64_t)free_frames(), (int64_t)before);
    events_take(EXO_EVENT_CALL);
}

static void check_deadlines(void)
{
    struct peer peer = peer_run(0, receives_late, 0);
    exo_handle_t gate = gate_into(&peer, 0);
    uint64_t due = after_ms(5);

    check_is("I1 a call ends at its deadline", call1(gate, 1, NULL, due), -EXO_ETIMEDOUT);
    check("P9 and not before", now() >= due);
    check_is("a deadline that has passed", call1(gate, 1, NULL, 1), -EXO_ETIMEDOUT);
    check_is("reply_wait has a deadline too", receive(&due), -EXO_ETIMEDOUT);
    my_page()->upcall_masked = 1;
    my_page()->upcall_events = 2;
    __atomic_fetch_or(&my_page()->events, 2, __ATOMIC_ACQ_REL);
    check_is("an event that is listened for ends an interruptible call",
             exo_call(gate | EXO_MSG_INTR, &WORD(1), after_ms(2000)), -EXO_EINTR);
    check_is("and reply_wait", exo_reply_wait(0, &WORD(0), after_ms(2000)), 0);
    events_take(2);
    my_page()->upcall_events = 0;
    my_page()->upcall_masked = 0;
    peer_end(&peer);
    exo_cap_drop(gate);
}

/* Two peers that call each other: neither will ever be answered, and both can be killed. */
static void check_circle(void)
{
    uint64_t before = free_frames();
    struct peer a = peer_make(0), b = peer_make(1);
    exo_handle_t into_a = gate_into(&a, 0), into_b = gate_into(&b, 0);

    peer_start(&a, caller, 0ull << 32 | peer_give(&a, into_b, EXO_RIGHT_USE));
    peer_start(&b, caller, 1ull << 32 | peer_give(&b, into_a, EXO_RIGHT_USE));
    exo_wait(0, after_ms(20));
    peer_end(&a);
    exo_wait(0, after_ms(20));
    check("K29 of two that call each other, one is killed: the other hears of it", peer_ended(&b, 1000));
    peer_end(&b);
    exo_cap_drop(into_a);
    exo_cap_drop(into_b);
    check_is("K29 and nothing is left", (int64_t)free_frames(), (int64_t)before);
}

void check_gate_ends(void)
{
    check_callee_ends();
    check_caller_ends();
    check_deadlines();
    check_circle();
}
