#include "event.h"

#include "slice.h"

#define NOTES_AT_ONCE 32u

uint64_t event_pending(const struct vcpu *vcpu)
{
    const volatile struct exo_vcpu_page *page = vcpu->page;

    return page->events & page->upcall_events;
}

bool event_interrupts(const struct vcpu *vcpu)
{
    const volatile struct exo_vcpu_page *page = vcpu->page;

    return event_pending(vcpu) || (vcpu->notices.due && !page->upcall_masked);
}

bool event_ends_receive(const struct vcpu *vcpu)
{
    return event_pending(vcpu) & ~EXO_EVENT_CALL || vcpu->notices.due;
}

/* Whether events wake a vcpu from its state, and with which result. */
static bool wakes(const struct vcpu *vcpu, int64_t *result)
{
    const volatile struct exo_vcpu_page *page = vcpu->page;

    switch (vcpu->state) {
    case VCPU_WAITING:
        *result = (int64_t)(page->events & vcpu->wait_mask);
        return *result || (event_interrupts(vcpu) && !page->upcall_masked);
    case VCPU_RECEIVING:
        *result = 0;
        return event_ends_receive(vcpu);
    case VCPU_SENDING:
    case VCPU_CALLING:
        *result = -EXO_EINTR;
        return vcpu->interruptible && event_interrupts(vcpu);
    default:
        return false;
    }
}

/* Does what follows from a change of its state concern another CPU's vcpus? */
static bool peer_is_remote(const struct vcpu *vcpu)
{
    return (vcpu->state == VCPU_SENDING || vcpu->state == VCPU_CALLING) && vcpu->peer->cpu != vcpu->cpu;
}

/* Its CPU shall look at its event word. */
static void leave_note(struct vcpu *vcpu)
{
    struct cpu *cpu = vcpu->cpu;
    bool first;

    lock_take(&cpu->inbox_lock);
    first = list_empty(&cpu->inbox);
    if (list_empty(&vcpu->in_inbox))
        list_add_tail(&cpu->inbox, &vcpu->in_inbox);
    lock_drop(&cpu->inbox_lock);
    cpu_attend(cpu);
    if (cpu == cpu_this())
        cpu->resched = 1;
    else if (first)
        arch_cpu_kick(cpu);
}

/* Its event word has changed: on its own CPU, or in world mode.  False: it takes the world. */
static bool look(struct vcpu *vcpu, void (*wake)(struct vcpu *))
{
    int64_t result = 0;

    if (event_ends_wait(vcpu, wake))
        return true;
    if (vcpu->state == VCPU_RUNNING) {
        vcpu->cpu->resched = 1;
        if (vcpu_is_remote(vcpu))
            arch_cpu_kick(vcpu->cpu);
    } else if (wakes(vcpu, &result)) {
        if (peer_is_remote(vcpu) && !cpu_this()->world)
            return false;
        vcpu_unqueue(vcpu);
        vcpu_result(vcpu, result);
        wake(vcpu);
    }
    return true;
}

static void post(struct vcpu *vcpu, uint64_t bits, void (*wake)(struct vcpu *))
{
    if (vcpu_ended(vcpu))
        return;
    arch_atomic_or(&vcpu->page->events, bits);
    if ((vcpu_is_remote(vcpu) && !cpu_this()->world) || !look(vcpu, wake))
        leave_note(vcpu);
}

static struct vcpu *inbox_take(struct cpu *cpu)
{
    struct vcpu *vcpu = NULL;

    lock_take(&cpu->inbox_lock);
    if (!list_empty(&cpu->inbox)) {
        vcpu = list_entry(cpu->inbox.next, struct vcpu, in_inbox);
        list_remove(&vcpu->in_inbox);
    }
    lock_drop(&cpu->inbox_lock);
    return vcpu;
}

/* Who set the bits stands in another CPU's trace ring; that they woke it, in this one's. */
static void noted_ready(struct vcpu *vcpu)
{
    if (vcpu->cpu->traced)
        trace_put(vcpu->cpu, EXO_TRACE_WAKE,
                  (struct trace_words){.what = EXO_TRACE_BY_SIGNAL,
                                       .vcpu = vcpu_frame(vcpu),
                                       .a = env_frame(vcpu->env),
                                       .b = vcpu->page->events});
    slice_ready(vcpu);
}

void event_notes(void)
{
    struct cpu *cpu = cpu_this();

    for (unsigned i = 0; i < NOTES_AT_ONCE; i++) {
        struct vcpu *vcpu = inbox_take(cpu);

        if (!vcpu)
            return;
        if (!vcpu_ended(vcpu) && !look(vcpu, noted_ready)) {
            leave_note(vcpu); /* it may be gone by the time that the world is ours: then so is the note */
            world_upgrade();
            vcpu = inbox_take(cpu);
            if (vcpu && !vcpu_ended(vcpu))
                look(vcpu, noted_ready);
            world_leave();
        }
    }
    cpu_attend(cpu); /* there may be more */
    arch_cpu_kick(cpu);
}

void event_post(struct vcpu *vcpu, uint64_t bits)
{
    post(vcpu, bits, slice_ready);
}

void event_look(struct vcpu *vcpu)
{
    if (!look(vcpu, slice_ready))
        leave_note(vcpu);
}

void event_notice(struct vcpu *vcpu)
{
    post(vcpu, 0, slice_ready);
}

void event_post_urgent(struct vcpu *vcpu, uint64_t bits)
{
    post(vcpu, bits, vcpu_is_remote(vcpu) ? slice_ready : slice_urgent);
}

void event_block(struct vcpu *vcpu, enum vcpu_state state, uint64_t deadline)
{
    slice_leave();
    vcpu->state = state;
    if (deadline != EXO_FOREVER)
        deadline_insert(&vcpu->cpu->deadlines, &vcpu->deadline, deadline);
}

void event_wait(struct vcpu *vcpu, uint64_t mask, uint64_t deadline)
{
    int64_t result = 0;

    vcpu->wait_mask = mask;
    vcpu->state = VCPU_WAITING;
    if (wakes(vcpu, &result) || deadline <= arch_time()) {
        vcpu->state = VCPU_RUNNING;
        vcpu_result(vcpu, result);
        return;
    }
    event_block(vcpu, VCPU_WAITING, deadline);
}

struct vcpu *event_wait_fast(struct vcpu *current, switch_call *again, switch_call *long_way)
{
    const volatile struct exo_vcpu_page *page = current->page;
    struct cpu *cpu = cpu_this();
    struct vcpu *to = list_entry(cpu->ready.next, struct vcpu, queue);
    uint64_t mask = current->regs.x[0];

    if (!slice_is_quiet(cpu) || current->regs.x[1] != EXO_FOREVER || list_empty(&cpu->ready) ||
        page->events & (mask | page->upcall_events) || current->notices.due)
        return long_way(current);
    if (!slice_is_sound(cpu, to))
        return slice_unsound(current, to, again, long_way);
    if (!slice_can_follow(to))
        return long_way(current);
    list_remove(&to->queue);
    current->wait_mask = mask;
    current->state = VCPU_WAITING;
    cpu->borrows = false;
    return slice_hand_over(cpu, current, to);
}

static bool expired(struct vcpu *vcpu)
{
    int64_t result = vcpu->state == VCPU_WAITING ? 0 : -EXO_ETIMEDOUT;

    if (peer_is_remote(vcpu) && !cpu_this()->world)
        return false;
    vcpu_unqueue(vcpu);
    vcpu_result(vcpu, result);
    slice_ready(vcpu);
    return true;
}

static void tell(pfn_t pfn, uint32_t serial, uint64_t bits)
{
    if (frame_is_object(pfn, EXO_FRAME_VCPU, serial))
        event_post(frame_address(pfn), bits);
}

void event_init(void)
{
    slice_expired = expired;
    env_tell = tell;
}
