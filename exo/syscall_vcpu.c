#include "syscall_impl.h"

#include "base/range.h"
#include "event.h"
#include "gate.h"
#include "slice.h"

/* ---- vcpus, time ----------------------------------------------------------------------------------------- */

CALL4(world, vcpu_create, env_handle, cpu, space_handle, va)
{
    struct cap *env_cap, *space_cap, model;
    struct vcpu *vcpu;
    int64_t handle;
    int rc = find(env_handle, EXO_CAP_ENV, EXO_RIGHT_MANAGE, &env_cap);

    if (!rc)
        rc = find(space_handle, EXO_CAP_SPACE, EXO_RIGHT_USE | EXO_RIGHT_READ, &space_cap);
    if (rc)
        return rc;
    if (cpu >= ncpus)
        return -EXO_EUNSUPPORTED;
    if (env_of(env_cap)->state == EXO_ENV_ENDED)
        return -EXO_ESTATE;
    rc = vcpu_new(env_of(env_cap), &cpus[cpu], frame_address(space_cap->object), va, &vcpu);
    if (rc)
        return rc;
    model = object_cap(EXO_CAP_VCPU, vcpu);
    handle = cap_insert(&self()->owner, &model, NULL);
    if (handle < 0) {
        vcpu->state = VCPU_DEAD;
        vcpu_free(vcpu);
        return handle;
    }
    vcpu_announce(vcpu);
    return handle;
}

CALL2(world, vcpu_start, handle, arg)
{
    struct vcpu *vcpu;
    struct cap *cap;
    int rc = find(handle, EXO_CAP_VCPU, EXO_RIGHT_MANAGE, &cap);

    if (rc)
        return rc;
    vcpu = vcpu_of(cap);
    if (vcpu->state != VCPU_STOPPED || vcpu_ended(vcpu))
        return -EXO_ESTATE;
    vcpu->regs = (struct exo_regs){0}; /* an upcall keeps what is there */
    if (!vcpu_upcall(vcpu, EXO_UPCALL_START, arg, 0))
        return -EXO_EINVAL;
    vcpu->cpu->trace.upcalls++; /* it is not its CPU's current one */
    slice_ready(vcpu);
    return 0;
}

static int64_t slice_change(uint64_t handle, uint64_t slot, struct vcpu *vcpu)
{
    struct cap *cap;
    int rc = find(handle, EXO_CAP_SLICE, EXO_RIGHT_USE, &cap);

    if (rc)
        return rc;
    if (!range_inside(slot, 1, cap->a, cap->b))
        return -EXO_ERANGE;
    if (vcpu && vcpu->cpu != &cpus[cap->object])
        return -EXO_EINVAL;
    return slice_own(&cpus[cap->object], (uint32_t)slot, vcpu);
}

CALL3(world, slice_bind, handle, slot, vcpu_handle)
{
    struct cap *cap;
    int rc = find(vcpu_handle, EXO_CAP_VCPU, EXO_RIGHT_MANAGE, &cap);

    if (!rc && vcpu_ended(vcpu_of(cap)))
        rc = -EXO_ESTATE;
    return rc ? rc : slice_change(handle, slot, vcpu_of(cap));
}

CALL2(world, slice_release, handle, slot)
{
    return slice_change(handle, slot, NULL);
}

/* Whom yield is to: NULL: whoever is next. */
static int yield_to(struct vcpu *current, uint64_t handle, struct vcpu **to)
{
    struct cap *cap;
    int rc;

    *to = NULL;
    if (!handle)
        return 0;
    rc = cap_find(&current->env->owner, handle, EXO_CAP_VCPU, EXO_RIGHT_USE, &cap);
    if (rc)
        return rc;
    *to = vcpu_of(cap);
    if (vcpu_is_remote(*to) && !cpu_this()->world)
        return NEEDS_WORLD;
    return (*to)->state == VCPU_READY && !vcpu_ended(*to) ? 0 : -EXO_ESTATE;
}

/* To somebody who only waits for his turn here. */
static struct vcpu *yield_fast(struct vcpu *current, switch_call *again, switch_call *long_way)
{
    struct cpu *cpu = cpu_this();
    struct vcpu *to;
    struct cap *cap;

    if (!slice_is_quiet(cpu) ||
        cap_find_inline(&current->env->owner, current->regs.x[0], EXO_CAP_VCPU, EXO_RIGHT_USE, &cap))
        return long_way(current); /* 0 is no handle */
    to = vcpu_of(cap);
    if (!slice_is_sound(cpu, to))
        return slice_unsound(current, to, again, long_way);
    if (!slice_can_follow(to) || to->state != VCPU_READY)
        return long_way(current);
    list_remove(&to->queue);
    vcpu_result(current, 0);
    current->state = VCPU_READY;
    list_add_tail(&cpu->ready, &current->queue);
    return slice_hand_over(cpu, current, to);
}

FAST_CALL(yield, yield_fast)
{
    struct vcpu *to;
    int rc = yield_to(current, current->regs.x[0], &to);

    if (rc == NEEDS_WORLD)
        return rc;
    vcpu_result(current, rc);
    if (rc)
        return 0;
    if (to)
        vcpu_unqueue(to);
    slice_ready(slice_leave());
    if (to && vcpu_is_remote(to))
        slice_ready_first(to); /* there it is next; no slice goes from one CPU to another */
    else if (to)
        slice_lend(to);
    return 0;
}

FAST_CALL(wait, event_wait_fast)
{
    event_wait(current, current->regs.x[0], current->regs.x[1]);
    return 0;
}

SWITCH_CALL(local, resume)
{
    regs_copy(&current->regs, &current->page->regs);
    arch_regs_sanitize(&current->regs);
    current->page->upcall_masked = 0;
    return 0;
}

int64_t call_null(uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5, uint64_t a6)
{
    (void)a0, (void)a1, (void)a2, (void)a3, (void)a4, (void)a5, (void)a6;
    return 0;
}

/* ---- gates, events, capabilities -------------------------------------------------------------------------- */

FAST_CALL(call, gate_call_fast)
{
    return gate_call(current);
}

FAST_CALL(reply_wait, gate_reply_wait_fast)
{
    return gate_reply_wait(current);
}

/* A capability to enter or signal a vcpu, derived from one to manage it. */
static int64_t from_vcpu(uint64_t handle, enum exo_cap_type type, uint64_t a)
{
    struct cap *cap, model;
    int rc = find(handle, EXO_CAP_VCPU, EXO_RIGHT_MANAGE, &cap);

    if (rc)
        return rc;
    model = object_cap(type, vcpu_of(cap));
    model.a = a;
    return cap_insert(&self()->owner, &model, cap);
}

CALL2(world, gate_create, vcpu, badge)
{
    return from_vcpu(vcpu, EXO_CAP_GATE, badge);
}

CALL2(world, event_create, vcpu, mask)
{
    return mask ? from_vcpu(vcpu, EXO_CAP_EVENT, mask) : -EXO_EINVAL;
}

SLOW_CALL(local, signal, ARG(handle), ARG(bits), REST2)
{
    struct cap *cap;
    int rc = cap_find_inline(&self()->owner, handle, EXO_CAP_EVENT, EXO_RIGHT_USE, &cap);

    if (rc)
        return rc;
    if (bits & ~cap->a)
        return -EXO_ERIGHTS;
    event_post(vcpu_of(cap), bits);
    return 0;
}

static int64_t slow_signal(uint64_t handle, uint64_t bits, uint64_t a2, uint64_t a3)
{
    return signal_slowly(handle, bits, a2, a3, 0, 0, 0);
}

/* The bits are set; somebody is woken or interrupted by it. */
static __attribute__((noinline)) int64_t signal_end(struct vcpu *vcpu)
{
    if (!event_ends_wait(vcpu, slice_ready))
        event_look(vcpu);
    local_leave();
    return 0;
}

/* Calls nothing, as those of one page. */
int64_t call_signal(uint64_t handle, uint64_t bits, REST2)
{
    struct cpu *cpu = cpu_this();
    struct vcpu *vcpu;
    struct cap *cap;
    uint32_t ticket;

    if (!lock_take_or_queue(&cpu->lock, &ticket))
        return begin_slowly(handle, bits, 0, 0, slow_signal, &cpu->lock, ticket);
    if (!ARCH_FAST_PATHS || cpu->evict ||
        cap_find_inline(&self()->owner, handle, EXO_CAP_EVENT, EXO_RIGHT_USE, &cap) || bits & ~cap->a)
        return begin_slowly(handle, bits, 0, 0, slow_signal, NULL, 0);
    vcpu = vcpu_of(cap);
    if (vcpu->cpu != cpu || vcpu_ended(vcpu))
        return begin_slowly(handle, bits, 0, 0, slow_signal, NULL, 0);
    if (!event_set(vcpu, bits))
        return signal_end(vcpu);
    lock_drop(&cpu->lock);
    return 0;
}
