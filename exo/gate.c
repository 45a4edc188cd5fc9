#include "gate.h"

#include "event.h"
#include "slice.h"

#define SERIAL_BITS 28u
#define SERIAL_MASK ((1u << SERIAL_BITS) - 1)
#define SENDERS_AT_ONCE 2u

/* ---- what goes along with a message --------------------------------------------------------------------- */

static int send_cap(struct vcpu *from, struct vcpu *to, const struct exo_send *send, struct cap **out)
{
    struct cap *source, model;
    int64_t handle;
    int rc = cap_find_any(&from->env->owner, send->cap, &source);

    if (rc)
        return rc;
    if (!(source->rights & EXO_RIGHT_COPY))
        return -EXO_ERIGHTS;
    model = *source;
    model.rights &= (uint8_t)send->rights;
    handle = cap_insert(&to->env->owner, &model, source);
    if (handle < 0)
        return (int)handle;
    to->page->recv.cap = (exo_handle_t)handle;
    return cap_find_any(&to->env->owner, (uint64_t)handle, out);
}

static int send_pages(struct vcpu *from, struct vcpu *to, const struct exo_send *send,
                      const struct exo_recv *recv)
{
    int rc;

    if (send->npages == 0 || send->npages > EXO_RANGE_MAX || !space_prot_ok(send->prot))
        return -EXO_EINVAL;
    if (send->npages > recv->max_pages)
        return -EXO_ERANGE;
    if (!space_range_ok(send->va, send->npages) || !space_range_ok(recv->va, send->npages))
        return -EXO_ERANGE;
    rc = space_copy(to->env->home, recv->va, from->env->home, send->va, send->npages, send->prot, send->prot);
    if (rc)
        return rc;
    to->page->recv.npages = send->npages;
    to->page->recv.prot = send->prot;
    return 0;
}

/* Nothing came along. */
static void no_transfer(struct vcpu *to)
{
    struct exo_vcpu_page *page = to->page;

    page->recv.npages = 0;
    page->recv.cap = 0;
}

/* Copies what both pages say once, then does all or nothing. */
static int transfer(struct vcpu *from, struct vcpu *to, uint64_t flags)
{
    struct exo_send send;
    struct exo_recv recv;
    struct cap *given = NULL;
    int rc = 0;

    send = *(const volatile struct exo_send *)&from->page->send;
    recv = *(const volatile struct exo_recv *)&to->page->recv;
    no_transfer(to);
    if (flags & EXO_MSG_CAP)
        rc = recv.take_cap ? send_cap(from, to, &send, &given) : -EXO_EINVAL;
    if (!rc && flags & EXO_MSG_PAGES)
        rc = send_pages(from, to, &send, &recv);
    if (rc) {
        if (given)
            cap_remove(given); /* nothing was derived from it yet */
        to->page->recv.cap = 0;
    }
    return rc;
}

static void copy_words(const struct vcpu *from, struct vcpu *to)
{
    const word_pair *f = (const word_pair *)&from->regs.x[1];
    word_pair *t = (word_pair *)&to->regs.x[1];

    _Static_assert(EXO_MSG_WORDS == 6, "three pairs");
    t[0] = f[0], t[1] = f[1], t[2] = f[2];
}

/* The whole message, if nothing comes along. */
static void move_words(const struct vcpu *from, struct vcpu *to)
{
    no_transfer(to);
    copy_words(from, to);
}

static inline __attribute__((always_inline)) int message(struct vcpu *from, struct vcpu *to, uint64_t flags)
{
    int rc;

    if (!flags) {
        move_words(from, to);
        return 0;
    }
    rc = transfer(from, to, flags);
    if (!rc)
        copy_words(from, to);
    return rc;
}

/* ---- calls ---------------------------------------------------------------------------------------------- */

static uint64_t token_make(const struct vcpu *caller, uint32_t serial)
{
    return (uint64_t)(serial & SERIAL_MASK) << 32 | vcpu_frame(caller);
}

static uint64_t token_of(const struct vcpu *caller)
{
    return token_make(caller, caller->call_serial);
}

/* The caller that waits for this callee's answer under the token, or NULL. */
static struct vcpu *caller_of(uint64_t token, const struct vcpu *callee)
{
    pfn_t pfn = (pfn_t)token;
    struct vcpu *caller;

    if (!frame_is(pfn, EXO_FRAME_VCPU))
        return NULL;
    caller = frame_address(pfn);
    if (caller->state != VCPU_CALLING || caller->peer != callee || token_of(caller) != token ||
        vcpu_ended(caller))
        return NULL;
    return caller;
}

/* The callee has the message, and owes the answer. */
static void called(struct cpu *cpu, struct vcpu *caller, struct vcpu *callee, uint64_t badge)
{
    uint32_t serial = ++cpu->call_serial;

    caller->call_serial = serial;
    caller->state = VCPU_CALLING;
    callee->regs.x[0] = token_make(caller, serial);
    callee->regs.x[7] = badge;
    list_add_tail(&callee->callers, &caller->queue);
}

/* Hands the caller's message over: 0, and the callee's registers are those of a returned reply_wait. */
static int deliver(struct vcpu *caller, struct vcpu *callee)
{
    int rc = message(caller, callee, caller->send_flags);

    if (rc)
        return rc;
    vcpu_near(caller);
    list_remove(&caller->queue);
    called(caller->cpu, caller, callee, caller->gate_badge);
    return 0;
}

static int call_decode(struct vcpu *caller, struct vcpu **callee)
{
    uint64_t arg = caller->regs.x[0];
    uint64_t flags = arg & (EXO_MSG_PAGES | EXO_MSG_CAP | EXO_MSG_INTR);
    struct cap *gate;
    int rc;

    if (arg >> 35)
        return -EXO_EINVAL;
    rc = cap_find(&caller->env->owner, arg & UINT32_MAX, EXO_CAP_GATE, EXO_RIGHT_USE, &gate);
    if (rc)
        return rc;
    *callee = vcpu_of(gate);
    if (*callee == caller || vcpu_ended(*callee))
        return *callee == caller ? -EXO_EINVAL : -EXO_EDEAD;
    caller->interruptible = flags & EXO_MSG_INTR;
    if (caller->interruptible && event_interrupts(caller))
        return -EXO_EINTR;
    caller->gate_badge = gate->a;
    caller->send_flags = flags & ~EXO_MSG_INTR;
    return 0;
}

/* It has been called, or answered, by the current vcpu, which has left the CPU: it goes on in its place, or on its own
 * CPU as soon as it can. */
static void take_over(struct vcpu *vcpu)
{
    if (vcpu_is_remote(vcpu) || cpu_this()->current)
        slice_ready(vcpu);
    else
        slice_run(vcpu);
}

int gate_call(struct vcpu *caller)
{
    uint64_t deadline = caller->regs.x[7];
    struct vcpu *callee;
    int rc = call_decode(caller, &callee);

    if (!rc && (vcpu_is_remote(callee) || caller->send_flags & EXO_MSG_CAP) && !cpu_this()->world)
        return NEEDS_WORLD;
    if (!rc && callee->state == VCPU_RECEIVING)
        rc = deliver(caller, callee);
    else if (!rc)
        caller->state = VCPU_SENDING;
    if (rc == NEEDS_WORLD)
        return rc;
    if (rc) {
        vcpu_result(caller, rc);
        return 0;
    }
    caller->peer = callee;
    event_block(caller, caller->state, deadline);
    if (caller->state == VCPU_CALLING) {
        vcpu_unqueue(callee); /* its deadline */
        take_over(callee);
        return 0;
    }
    list_add_tail(&callee->senders, &caller->queue);
    if (vcpu_is_remote(callee) || caller->send_flags & EXO_MSG_CAP)
        vcpu_far(caller);
    event_post(callee, EXO_EVENT_CALL);
    return 0;
}

static struct vcpu *call_with_flags(struct vcpu *caller, switch_call *again, switch_call *long_way);

/* The short way of a call with these flags, EXO_MSG_PAGES and EXO_MSG_INTR among them, or none: then those are tried next. */
static inline __attribute__((always_inline)) struct vcpu *call_fast(struct vcpu *caller, switch_call *again,
                                                                    switch_call *long_way, uint64_t flags)
{
    struct cpu *cpu = cpu_this();
    struct vcpu *callee;
    struct cap *gate;

    if (!slice_is_quiet(cpu) || caller->regs.x[7] != EXO_FOREVER ||
        cap_find_inline(&caller->env->owner, caller->regs.x[0] ^ flags, EXO_CAP_GATE, EXO_RIGHT_USE, &gate))
        return flags ? long_way(caller) : call_with_flags(caller, again, long_way);
    callee = vcpu_of(gate);
    if (!slice_is_sound(cpu, callee))
        return slice_unsound(caller, callee, again, long_way);
    if (!slice_can_follow(callee) || callee->state != VCPU_RECEIVING ||
        (flags & EXO_MSG_INTR && event_interrupts(caller)) || message(caller, callee, flags & EXO_MSG_PAGES))
        return long_way(caller);
    caller->interruptible = flags & EXO_MSG_INTR;
    caller->peer = callee;
    called(cpu, caller, callee, gate->a);
    return slice_hand_over(cpu, caller, callee);
}

static __attribute__((noinline)) struct vcpu *call_with_flags(struct vcpu *caller, switch_call *again,
                                                              switch_call *long_way)
{
    uint64_t flags = caller->regs.x[0] & (EXO_MSG_PAGES | EXO_MSG_INTR);

    return flags ? call_fast(caller, again, long_way, flags) : long_way(caller);
}

struct vcpu *gate_call_fast(struct vcpu *caller, switch_call *again, switch_call *long_way)
{
    return call_fast(caller, again, long_way, 0);
}

/* ---- replies -------------------------------------------------------------------------------------------- */

/* Its registers are those of a returned call, and nobody owes it anything. */
static void answer(struct vcpu *caller)
{
    caller->regs.x[0] = 0;
    caller->regs.x[7] = 0;
    caller->peer = NULL;
}

/* Answers; the caller is then in no queue, its registers those of a returned call. */
static int reply(struct vcpu *callee, uint64_t token, uint64_t flags, struct vcpu **answered)
{
    struct vcpu *caller = caller_of(token, callee);
    int rc;

    if (!caller)
        return -EXO_ETOKEN;
    rc = message(callee, caller, flags);
    if (rc)
        return rc;
    vcpu_unqueue(caller);
    answer(caller);
    *answered = caller;
    return 0;
}

/* The next message that can be delivered, of the first few; callers whose message cannot, hear why.  True when there
 * was one. */
static bool receive_queued(struct vcpu *callee)
{
    for (unsigned i = 0; i < SENDERS_AT_ONCE && !list_empty(&callee->senders); i++) {
        struct vcpu *caller = list_entry(callee->senders.next, struct vcpu, queue);
        int rc = vcpu_ended(caller) ? -EXO_EDEAD : deliver(caller, callee);

        if (!rc)
            return true;
        if (rc == NEEDS_WORLD) {
            vcpu_far(caller);
            break;
        }
        vcpu_unqueue(caller);
        vcpu_result(caller, rc);
        slice_ready(caller);
        if (arch_irq_pending())
            break;
    }
    return false;
}

/* Does the token name a vcpu of another CPU?  Whether that one waits for an answer is not to be seen in local mode. */
static bool names_remote(uint64_t token)
{
    pfn_t pfn = (pfn_t)token;

    return frame_is(pfn, EXO_FRAME_VCPU) && vcpu_is_remote(frame_address(pfn));
}

/* Does the answer, or a message that waits, concern more than this CPU's vcpus and their pages? */
static bool reaches_far(const struct vcpu *callee, uint64_t token, uint64_t flags)
{
    if (callee->nfar || (token && names_remote(token)))
        return true;
    return token && flags & EXO_MSG_CAP && caller_of(token, callee);
}

int gate_reply_wait(struct vcpu *callee)
{
    uint64_t token = callee->regs.x[0] & ~EXO_REPLY_FLAGS;
    uint64_t flags = (callee->regs.x[0] & EXO_REPLY_PAGES ? EXO_MSG_PAGES : 0) |
                     (callee->regs.x[0] & EXO_REPLY_CAP ? EXO_MSG_CAP : 0);
    uint64_t deadline = callee->regs.x[7];
    struct vcpu *answered = NULL;
    int rc;

    if (!cpu_this()->world && reaches_far(callee, token, flags))
        return NEEDS_WORLD;
    rc = token ? reply(callee, token, flags, &answered) : 0;
    if (rc == NEEDS_WORLD)
        return rc;
    if (rc) {
        vcpu_result(callee, rc);
        return 0;
    }
    if (event_ends_receive(callee)) {
        vcpu_result(callee, 0);
    } else if (receive_queued(callee)) {
        /* its registers hold the message */
    } else if (!list_empty(&callee->senders)) {
        vcpu_result(callee, 0); /* more of them wait: as if an event had come */
    } else if (deadline <= arch_time()) {
        vcpu_result(callee, -EXO_ETIMEDOUT);
    } else {
        event_block(callee, VCPU_RECEIVING, deadline);
    }
    if (answered)
        take_over(answered);
    return 0;
}

static struct vcpu *answer_with_pages(struct vcpu *callee, switch_call *again, switch_call *long_way);

/* The short way of an answer, likewise. */
static inline __attribute__((always_inline)) struct vcpu *reply_wait_fast(struct vcpu *callee,
                                                                          switch_call *again,
                                                                          switch_call *long_way,
                                                                          uint64_t flags)
{
    const uint64_t in_token = flags ? EXO_REPLY_PAGES : 0;
    struct cpu *cpu = cpu_this();
    struct vcpu *caller = list_entry(callee->callers.prev, struct vcpu, queue); /* the last to call, mostly */

    if (!slice_is_quiet(cpu) || callee->regs.x[7] != EXO_FOREVER || !list_empty(&callee->senders) ||
        list_empty(&callee->callers) || callee->regs.x[0] != (token_of(caller) | in_token) ||
        event_ends_receive(callee))
        return !flags && callee->regs.x[0] & EXO_REPLY_PAGES ? answer_with_pages(callee, again, long_way)
                                                             : long_way(callee);
    if (!slice_is_sound(cpu, caller))
        return slice_unsound(callee, caller, again, long_way);
    if (!slice_can_follow(caller) || message(callee, caller, flags))
        return long_way(callee);
    list_remove(&caller->queue);
    answer(caller);
    callee->state = VCPU_RECEIVING;
    return slice_hand_over(cpu, callee, caller);
}

static __attribute__((noinline)) struct vcpu *answer_with_pages(struct vcpu *callee, switch_call *again,
                                                                switch_call *long_way)
{
    return reply_wait_fast(callee, again, long_way, EXO_MSG_PAGES);
}

struct vcpu *gate_reply_wait_fast(struct vcpu *callee, switch_call *again, switch_call *long_way)
{
    return reply_wait_fast(callee, again, long_way, 0);
}

/* ---- ends ----------------------------------------------------------------------------------------------- */

bool gate_disappoint(struct vcpu *vcpu)
{
    struct list *peers = list_empty(&vcpu->senders) ? &vcpu->callers : &vcpu->senders;
    struct vcpu *peer;

    if (list_empty(peers))
        return false;
    peer = list_entry(peers->next, struct vcpu, queue);
    vcpu_unqueue(peer);
    peer->peer = NULL;
    vcpu_result(peer, -EXO_EDEAD);
    slice_ready(peer);
    return true;
}
