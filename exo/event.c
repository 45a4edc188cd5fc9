#include "event.h"

#include "slice.h"

uint64_t event_pending(const struct vcpu *vcpu)
{
    const volatile struct exo_vcpu_page *page = vcpu->page;

    return page->events & page->upcall_events;
}

/* Whether events wake a vcpu from its state, and with which result. */
static bool wakes(const struct vcpu *vcpu, int64_t *result)
{
    const volatile struct exo_vcpu_page *page = vcpu->page;

    switch (vcpu->state) {
    case VCPU_WAITING:
        *result = (int64_t)(page->events & vcpu->wait_mask);
        return *result || (event_pending(vcpu) && !page->upcall_masked);
    case VCPU_RECEIVING:
        *result = 0;
        return event_pending(vcpu) & ~EXO_EVENT_CALL;
    case VCPU_SENDING:
    case VCPU_CALLING:
        *result = -EXO_EINTR;
        return vcpu->interruptible && event_pending(vcpu);
    default:
        return false;
    }
}

static void post(struct vcpu *vcpu, uint64_t bits, void (*wake)(struct vcpu *))
{
    int64_t result = 0;

    if (vcpu_ended(vcpu))
        return;
    arch_atomic_or(&vcpu->page->events, bits);
    if (vcpu->state == VCPU_RUNNING) {
        vcpu->cpu->resched = 1;
    } else if (wakes(vcpu, &result)) {
        vcpu_unqueue(vcpu);
        vcpu_result(vcpu, result);
        wake(vcpu);
    }
}

void event_post(struct vcpu *vcpu, uint64_t bits)
{
    post(vcpu, bits, slice_ready);
}

void event_post_urgent(struct vcpu *vcpu, uint64_t bits)
{
    post(vcpu, bits, slice_urgent);
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

static void expired(struct vcpu *vcpu)
{
    int64_t result = vcpu->state == VCPU_WAITING ? 0 : -EXO_ETIMEDOUT;

    vcpu_unqueue(vcpu);
    vcpu_result(vcpu, result);
    slice_ready(vcpu);
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
