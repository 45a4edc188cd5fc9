#include "syscall_impl.h"

#include "base/range.h"

/* Narrows *model to what the granter asks for; what a and b mean depends on the type, and 0, 0 keeps all. */
static int narrow(struct cap *model, uint64_t a, uint64_t b)
{
    if (a == 0 && b == 0)
        return 0;
    switch (model->type) {
    case EXO_CAP_GATE:
        if (model->a || b)
            return -EXO_ERIGHTS; /* a badge, once set, stays */
        model->a = a;
        return 0;
    case EXO_CAP_EVENT:
        if (a & ~model->a || b) /* so a is not 0 */
            return -EXO_ERIGHTS;
        model->a = a;
        return 0;
    case EXO_CAP_MMIO:
        if ((a | b) & PAGE_MASK)
            return -EXO_ERANGE;
        /* fall through */
    case EXO_CAP_SLICE:
    case EXO_CAP_IRQ:
    case EXO_CAP_DMA:
        if (!b || !range_inside(a, b, model->a, model->b))
            return -EXO_ERANGE;
        model->a = a;
        model->b = b;
        return 0;
    default:
        return -EXO_EINVAL;
    }
}

CALL5(world, cap_grant, env_handle, handle, rights, a, b)
{
    struct cap *to, *cap, model;
    int rc = find(env_handle, EXO_CAP_ENV, EXO_RIGHT_GIVE, &to);

    if (!rc)
        rc = cap_find_any(&self()->owner, handle, &cap);
    if (!rc)
        rc = cap_live(cap);
    if (rc)
        return rc;
    if (!(cap->rights & EXO_RIGHT_COPY) || rights & ~(uint64_t)cap->rights)
        return -EXO_ERIGHTS;
    if (env_of(to)->state == EXO_ENV_ENDED)
        return -EXO_ESTATE;
    model = *cap;
    model.rights = (uint8_t)rights;
    rc = narrow(&model, a, b);
    return rc ? rc : cap_insert(&env_of(to)->owner, &model, cap);
}

CALL1(world, cap_drop, handle)
{
    struct cap *cap;
    int rc = cap_find_any(&self()->owner, handle, &cap);

    if (rc)
        return rc;
    return cap_remove(cap) ? 0 : 1;
}

CALL1(world, cap_revoke, handle)
{
    struct cap *cap;
    int rc = cap_find_any(&self()->owner, handle, &cap);

    if (rc)
        return rc;
    return cap_revoke(cap) ? 0 : 1;
}
