#include "vcpu.h"

#include "panic.h"

pfn_t vcpu_frame(const struct vcpu *vcpu)
{
    return vcpu->names.vcpu;
}

struct vcpu *vcpu_of(const struct cap *cap)
{
    return frame_address(cap->object);
}

int vcpu_new(struct env *env, struct cpu *cpu, struct space *space, uint64_t va, struct vcpu **out)
{
    struct vcpu *vcpu;
    pfn_t page, pfn;
    int rc = space_range_ok(va, 1) ? space_pinnable(space, va, &env->owner.account, &page) : -EXO_ERANGE;

    if (rc)
        return rc;
    rc = frame_alloc(&env->owner.account, EXO_FRAME_VCPU, NULL, &pfn);
    if (rc)
        return rc;
    frame_ref(page);
    vcpu = frame_address(pfn);
    vcpu->page_va = va;
    vcpu->page_pfn = page;
    vcpu->page = frame_address(page);
    vcpu->cpu = cpu;
    vcpu->env = env;
    vcpu->space = env->home;
    env->home->nvcpus++;
    vcpu->state = VCPU_STOPPED;
    list_init(&vcpu->queue);
    list_init(&vcpu->senders);
    list_init(&vcpu->callers);
    list_init(&vcpu->in_inbox);
    list_init(&vcpu->lines);
    list_add_tail(&env->vcpus, &vcpu->in_env);
    frame_entry(pfn)->entries = (uint16_t)cpu->id;
    vcpu->ticks = &frame_entry(pfn)->ticks;
    vcpu->names.env = env_frame(env);
    vcpu->names.vcpu = pfn;
    *out = vcpu;
    return 0;
}

void vcpu_announce(struct vcpu *vcpu)
{
    vcpu->page->self = vcpu->page_va;
    vcpu->page->cpu = vcpu->cpu->id;
}

void vcpu_free(struct vcpu *vcpu)
{
    ASSERT(vcpu->state == VCPU_DEAD && list_empty(&vcpu->queue));
    if (vcpu->cpu->fp_owner == vcpu)
        vcpu->cpu->fp_owner = NULL;
    list_remove(&vcpu->in_env);
    list_remove(&vcpu->in_inbox);
    vcpu->space->nvcpus--;
    vcpu_unpin(vcpu);
    frame_free(vcpu_frame(vcpu));
}

void vcpu_unpin(struct vcpu *vcpu)
{
    pfn_t page = vcpu->page_pfn;

    vcpu->page_pfn = 0;
    vcpu->page = NULL;
    if (page)
        frame_unref(page);
}

void vcpu_enter(struct vcpu *vcpu, struct space *space)
{
    __atomic_fetch_sub(&vcpu->space->nvcpus, 1, __ATOMIC_RELAXED);
    vcpu->space = space;
    __atomic_fetch_add(&space->nvcpus, 1, __ATOMIC_RELAXED);
}

void vcpu_far(struct vcpu *vcpu)
{
    ASSERT(!vcpu->far); /* a queue where one is far is looked at in world mode only */
    vcpu->far = true;
    vcpu->peer->nfar++;
}

void vcpu_near(struct vcpu *vcpu)
{
    if (!vcpu->far)
        return;
    vcpu->far = false;
    vcpu->peer->nfar--;
}

void vcpu_unqueue(struct vcpu *vcpu)
{
    vcpu_near(vcpu);
    list_remove(&vcpu->queue);
    deadline_remove(&vcpu->cpu->deadlines, &vcpu->deadline);
}

void vcpu_result(struct vcpu *vcpu, int64_t result)
{
    vcpu->regs.x[0] = (uint64_t)result;
    for (unsigned i = 1; i <= 7; i++)
        vcpu->regs.x[i] = 0;
}

bool vcpu_upcall(struct vcpu *vcpu, enum exo_reason reason, uint64_t info, uint64_t detail)
{
    return vcpu_upcall_inline(vcpu, reason, info, detail);
}

bool vcpu_upcall_pending(struct vcpu *vcpu, uint64_t *due)
{
    const volatile struct exo_vcpu_page *page = vcpu->page;
    uint64_t kind, number;

    *due = page->events & page->upcall_events;
    if (page->upcall_masked)
        return true;
    if (vcpu->notices.due && notice_take(vcpu, &kind, &number))
        return vcpu_upcall(vcpu, EXO_UPCALL_REVOKE, kind, number);
    return !*due || vcpu_upcall(vcpu, EXO_UPCALL_EVENT, *due, 0);
}
