#include "syscall_impl.h"

#include "revoke.h"
#include "slice.h"

CALL0(world, space_create)
{
    struct env *env = self();
    struct space *space;
    struct cap model;
    int64_t handle;
    int rc = space_new(&env->owner.account, &space);

    if (rc)
        return rc;
    list_add_tail(&env->spaces, &space->in_env);
    model = object_cap(EXO_CAP_SPACE, space);
    handle = cap_insert(&env->owner, &model, NULL);
    if (handle < 0)
        while (!space_end_step(space)) /* it is empty: one step */
            ;
    return handle;
}

/* One that the caller may end or pin. */
static int find_managed(uint64_t handle, struct space **out)
{
    struct cap *cap;
    int rc = find(handle, EXO_CAP_SPACE, EXO_RIGHT_MANAGE, &cap);

    if (!rc)
        *out = frame_address(cap->object);
    return rc;
}

CALL1(world, space_destroy, handle)
{
    struct space *space;
    int rc = find_managed(handle, &space);

    if (rc)
        return rc;
    if (((struct env *)space->account)->home == space || space->nvcpus)
        return -EXO_EBUSY; /* a home lives as long as its environment */
    return space_end_step(space) ? 0 : 1;
}

static int64_t pin(uint64_t handle, int (*change)(struct space *))
{
    struct space *space;
    int rc = find_managed(handle, &space);

    if (rc)
        return rc;
    return space->ending ? -EXO_EDEAD : change(space);
}

CALL1(world, asid_pin, handle)
{
    return pin(handle, space_pin);
}

CALL1(world, asid_unpin, handle)
{
    return pin(handle, space_unpin);
}

/* Who runs in a space reads it: USE alone is not enough. */
static int space_switch(struct vcpu *vcpu, uint64_t handle)
{
    struct space *space;
    struct cap *cap;
    int rc = cap_find(&vcpu->env->owner, handle, EXO_CAP_SPACE, EXO_RIGHT_USE | EXO_RIGHT_READ, &cap);

    if (rc)
        return rc;
    space = frame_address(cap->object);
    if (space->account != &vcpu->env->owner.account)
        return -EXO_ESTATE;
    if (space->ending)
        return -EXO_EDEAD;
    vcpu_enter(vcpu, space);
    cpu_this()->resched = 1; /* it is to be loaded */
    return 0;
}

SWITCH_CALL(local, space_switch)
{
    vcpu_result(current, space_switch(current, current->regs.x[0]));
    return 0;
}

CALL3(world, env_create, limit, event, bits)
{
    struct env *env, *parent = self();
    struct cap *watch = NULL, model;
    int64_t handle, space_handle;
    int rc = event ? find(event, EXO_CAP_EVENT, EXO_RIGHT_USE, &watch) : 0;

    if (rc)
        return rc;
    if (watch && bits & ~watch->a)
        return -EXO_ERIGHTS;
    rc = env_new(parent, limit, &env);
    if (rc)
        return rc;
    model = object_cap(EXO_CAP_SPACE, env->home);
    space_handle = cap_insert(&parent->owner, &model, NULL);
    model = object_cap(EXO_CAP_ENV, env);
    handle = space_handle < 0 ? space_handle : cap_insert(&parent->owner, &model, NULL);
    if (handle < 0) {
        struct cap *cap;

        if (space_handle >= 0 && !cap_find_any(&parent->owner, (uint64_t)space_handle, &cap))
            cap_remove(cap);
        while (!env_destroy_step(env)) /* three objects: as many steps */
            ;
        return handle;
    }
    if (watch) {
        env->watcher.vcpu = watch->object;
        env->watcher.serial = watch->serial;
        env->watcher.bits = bits;
    }
    return handle | space_handle << 32;
}

CALL2(local, env_status, handle, field)
{
    const struct env *env;
    struct cap *cap;
    int rc = find(handle, EXO_CAP_ENV, EXO_RIGHT_READ, &cap);

    if (rc)
        return rc;
    env = env_of(cap);
    switch (field) {
    case EXO_ENV_STATE:
        return env->state;
    case EXO_ENV_REASON:
        return env->reason;
    case EXO_ENV_CODE:
        return (int64_t)(env->code & INT64_MAX);
    case EXO_ENV_PC:
        return (int64_t)(env->pc & INT64_MAX);
    case EXO_ENV_ADDRESS:
        return (int64_t)(env->address & INT64_MAX);
    case EXO_ENV_LIMIT:
        return (int64_t)account_allows(&env->owner.account);
    case EXO_ENV_USED:
        return (int64_t)account_in_use(&env->owner.account);
    case EXO_ENV_ID:
        return env_frame(env);
    default:
        return -EXO_EINVAL;
    }
}

SWITCH_CALL(world, env_exit)
{
    env_end(current->env, EXO_END_EXIT, current->regs.x[0], current->regs.pc, 0);
    return 0;
}

/* Decodes the handle in x0 of a switching call on an environment; NULL and the error as result otherwise. */
static struct env *env_argument(struct vcpu *current)
{
    struct cap *cap;
    int rc = cap_find(&current->env->owner, current->regs.x[0], EXO_CAP_ENV, EXO_RIGHT_MANAGE, &cap);

    vcpu_result(current, rc);
    return rc ? NULL : env_of(cap);
}

SWITCH_CALL(world, env_stop)
{
    struct env *env = env_argument(current);

    if (env)
        env_end(env, EXO_END_STOP, 0, 0, 0);
    return 0;
}

SWITCH_CALL(world, env_destroy)
{
    struct env *env = env_argument(current);

    if (!env)
        return 0;
    if (env == current->env)
        env_end(env, EXO_END_STOP, 0, 0, 0); /* whoever made it takes it down */
    else if (account_covers(&env->owner.account, &current->env->owner.account))
        vcpu_result(current, -EXO_EBUSY);
    else
        vcpu_result(current, env_destroy_step(env) ? 0 : 1);
    return 0;
}

CALL3(world, env_limit, handle, frames, deadline)
{
    struct cap *cap;
    int rc = find(handle, EXO_CAP_ENV, EXO_RIGHT_MANAGE, &cap);

    if (rc)
        return rc;
    if (env_of(cap)->parent != self() || env_of(cap)->state == EXO_ENV_ENDED)
        return -EXO_ESTATE;
    return revoke_limit(env_of(cap), frames, deadline);
}
