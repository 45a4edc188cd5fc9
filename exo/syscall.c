#include "syscall.h"

#include "base/range.h"
#include "event.h"
#include "gate.h"
#include "info.h"
#include "irq.h"
#include "log.h"
#include "slice.h"

#define ENDING_PIECE 16u /* vcpus and peers of an ended environment that are dealt with at one go */
#define RANGE_HURRIED 8u /* pages that a range call does when an interrupt waits already */

static struct env *self(void)
{
    return cpu_this()->current->env;
}

static int find(uint64_t handle, enum exo_cap_type type, unsigned rights, struct cap **out)
{
    return cap_find(&self()->owner, handle, type, rights, out);
}

/* A space by handle, and a range in it, of which *n is what this call will do. */
static int find_range(uint64_t handle, unsigned rights, uint64_t va, uint64_t *n, struct space **out)
{
    struct cap *cap;
    int rc = find(handle, EXO_CAP_SPACE, rights, &cap);

    if (rc)
        return rc;
    if (!space_range_ok(va, *n))
        return -EXO_ERANGE;
    *n = min_u64(*n, arch_irq_pending() ? RANGE_HURRIED : EXO_RANGE_MAX);
    *out = frame_address(cap->object);
    return 0;
}

/* A plain call with its arguments; the other argument registers hold nothing of interest. */
#define REST6 uint64_t r6 __attribute__((unused))
#define REST5 uint64_t r5 __attribute__((unused)), REST6
#define REST4 uint64_t r4 __attribute__((unused)), REST5
#define REST3 uint64_t r3 __attribute__((unused)), REST4
#define REST2 uint64_t r2 __attribute__((unused)), REST3
#define REST1 uint64_t r1 __attribute__((unused)), REST2
#define REST0 uint64_t r0 __attribute__((unused)), REST1
#define CALL(name, ...) static int64_t call_##name(__VA_ARGS__)
#define ARG(a) uint64_t a
#define CALL0(name) CALL(name, REST0)
#define CALL1(name, a) CALL(name, ARG(a), REST1)
#define CALL2(name, a, b) CALL(name, ARG(a), ARG(b), REST2)
#define CALL3(name, a, b, c) CALL(name, ARG(a), ARG(b), ARG(c), REST3)
#define CALL4(name, a, b, c, d) CALL(name, ARG(a), ARG(b), ARG(c), ARG(d), REST4)
#define CALL5(name, a, b, c, d, e) CALL(name, ARG(a), ARG(b), ARG(c), ARG(d), ARG(e), REST5)
#define CALL6(name, a, b, c, d, e, f) CALL(name, ARG(a), ARG(b), ARG(c), ARG(d), ARG(e), ARG(f), REST6)
#define CALL7(name, a, b, c, d, e, f, g) CALL(name, ARG(a), ARG(b), ARG(c), ARG(d), ARG(e), ARG(f), ARG(g))

/* ---- pages ---------------------------------------------------------------------------------------------- */

static int decode_want(uint64_t want, uint64_t flags, struct frame_want *out)
{
    uint64_t limit = (flags & EXO_ALLOC_LIMIT_MASK) >> EXO_ALLOC_LIMIT_SHIFT;

    if (flags & ~(uint64_t)(EXO_PROT_ALL | EXO_ALLOC_CONTIG | EXO_ALLOC_MORE | EXO_ALLOC_LIMIT_MASK) ||
        (flags & EXO_ALLOC_MORE && !(flags & EXO_ALLOC_CONTIG)) || !space_prot_ok(flags & EXO_PROT_ALL) ||
        (limit && (limit <= PAGE_SHIFT || limit > 48)))
        return -EXO_EINVAL;
    if (want != EXO_WANT_ANY && want > UINT32_MAX)
        return -EXO_EINVAL;
    *out = (struct frame_want){.pfn = want, .below = limit ? 1ull << (limit - PAGE_SHIFT) : 0};
    return 0;
}

/* n pages that one call begins and, where an interrupt comes, others go on with. */
static int64_t alloc_run(struct space *space, uint64_t va, uint64_t n, uint64_t flags,
                         const struct frame_want *want)
{
    int rc = 0;

    if (flags & EXO_ALLOC_MORE) {
        if (space->run.left == 0 || (n && (space->run.left != n || space->run.va != va)))
            return -EXO_ESTATE;
        if (n == 0) {
            space_run_drop(space);
            return 0;
        }
    } else {
        rc = n == 0 || n > EXO_CONTIG_MAX ? -EXO_ERANGE : space_run_take(space, va, n, want);
    }
    return rc ? rc : space_run_bind(space, flags & EXO_PROT_ALL);
}

CALL5(page_alloc, space_handle, va, n, want, flags)
{
    struct frame_want decoded;
    uint64_t piece = n;
    struct space *space;
    int rc = find_range(space_handle, EXO_RIGHT_USE, va, &piece, &space);

    if (!rc)
        rc = decode_want(want, flags, &decoded);
    if (rc)
        return rc;
    if (flags & EXO_ALLOC_CONTIG)
        return alloc_run(space, va, n, flags, &decoded);
    return space_bind_new(space, va, piece, flags & EXO_PROT_ALL, &decoded);
}

CALL6(page_map, dst_handle, va, src_handle, sva, n, prot)
{
    uint64_t max = prot >> EXO_PROT_MAX_SHIFT;
    struct space *dst, *src;
    int rc = find_range(dst_handle, EXO_RIGHT_USE, va, &n, &dst);

    prot &= (1u << EXO_PROT_MAX_SHIFT) - 1;
    if (!rc)
        rc = find_range(src_handle, EXO_RIGHT_READ, sva, &n, &src);
    if (rc)
        return rc;
    if (!space_prot_ok(prot) || max > EXO_PROT_ALL || (max && (prot & ~max)))
        return -EXO_EINVAL;
    rc = space_copy(dst, va, src, sva, n, (unsigned)prot, (unsigned)(max ? max : prot));
    return rc ? rc : (int64_t)n;
}

CALL4(page_protect, space_handle, va, n, prot)
{
    struct space *space;
    int rc = find_range(space_handle, EXO_RIGHT_USE, va, &n, &space);
    bool lazy = prot & EXO_LAZY;

    prot &= ~(uint64_t)EXO_LAZY;
    if (!rc && !space_prot_ok(prot))
        rc = -EXO_EINVAL;
    if (!rc)
        rc = space_protect(space, va, n, (unsigned)prot, lazy);
    return rc ? rc : (int64_t)n;
}

CALL4(page_unmap, space_handle, va, n, flags)
{
    struct space *space;
    int rc = find_range(space_handle, EXO_RIGHT_USE, va, &n, &space);

    if (!rc && flags & ~(uint64_t)EXO_LAZY)
        rc = -EXO_EINVAL;
    if (rc)
        return rc;
    space_unbind(space, va, n, flags & EXO_LAZY);
    return (int64_t)n;
}

CALL3(tlb_sync, space_handle, va, n)
{
    uint64_t checked = n;
    struct space *space;
    int rc = find_range(space_handle, EXO_RIGHT_USE, va, &checked, &space);

    if (!rc)
        space_sync(space, va, n);
    return rc;
}

/* ---- spaces and environments ----------------------------------------------------------------------------- */

static struct cap object_cap(enum exo_cap_type type, const void *object)
{
    pfn_t pfn = paddr_to_pfn(virt_to_phys(object));

    return (struct cap){
        .type = (uint8_t)type, .rights = EXO_RIGHTS_ALL, .object = pfn, .serial = frame_entry(pfn)->serial};
}

CALL0(space_create)
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

CALL1(space_destroy, handle)
{
    struct space *space;
    struct cap *cap;
    int rc = find(handle, EXO_CAP_SPACE, EXO_RIGHT_MANAGE, &cap);

    if (rc)
        return rc;
    space = frame_address(cap->object);
    if (((struct env *)space->account)->home == space || space->nvcpus)
        return -EXO_EBUSY; /* a home lives as long as its environment */
    return space_end_step(space) ? 0 : 1;
}

static int64_t pin(uint64_t handle, int (*change)(struct space *))
{
    struct space *space;
    struct cap *cap;
    int rc = find(handle, EXO_CAP_SPACE, EXO_RIGHT_MANAGE, &cap);

    if (rc)
        return rc;
    space = frame_address(cap->object);
    return space->ending ? -EXO_EDEAD : change(space);
}

CALL1(asid_pin, handle)
{
    return pin(handle, space_pin);
}

CALL1(asid_unpin, handle)
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
    return 0;
}

static void call_space_switch(struct vcpu *current)
{
    vcpu_result(current, space_switch(current, current->regs.x[0]));
}

CALL3(env_create, limit, event, bits)
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

CALL2(env_status, handle, field)
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
        return (int64_t)env->owner.account.limit;
    case EXO_ENV_USED:
        return (int64_t)(env->owner.account.used + env->owner.account.reserved);
    case EXO_ENV_ID:
        return env_frame(env);
    default:
        return -EXO_EINVAL;
    }
}

static void call_env_exit(struct vcpu *current)
{
    env_end(current->env, EXO_END_EXIT, current->regs.x[0], current->regs.pc, 0);
}

/* Decodes the handle in x0 of a switching call on an environment; NULL and the error as result otherwise. */
static struct env *env_argument(struct vcpu *current)
{
    struct cap *cap;
    int rc = cap_find(&current->env->owner, current->regs.x[0], EXO_CAP_ENV, EXO_RIGHT_MANAGE, &cap);

    vcpu_result(current, rc);
    return rc ? NULL : env_of(cap);
}

static void call_env_stop(struct vcpu *current)
{
    struct env *env = env_argument(current);

    if (env)
        env_end(env, EXO_END_STOP, 0, 0, 0);
}

static bool is_ancestor(const struct env *env, const struct env *of)
{
    while (of && of != env)
        of = of->parent;
    return of != NULL;
}

static void call_env_destroy(struct vcpu *current)
{
    struct env *env = env_argument(current);

    if (!env)
        return;
    if (env == current->env)
        env_end(env, EXO_END_STOP, 0, 0, 0); /* whoever made it takes it down */
    else if (is_ancestor(env, current->env))
        vcpu_result(current, -EXO_EBUSY);
    else
        vcpu_result(current, env_destroy_step(env) ? 0 : 1);
}

/* ---- vcpus, time ----------------------------------------------------------------------------------------- */

CALL4(vcpu_create, env_handle, cpu, space_handle, va)
{
    struct cap *env_cap, *space_cap, model;
    struct vcpu *vcpu;
    int64_t handle;
    int rc = find(env_handle, EXO_CAP_ENV, EXO_RIGHT_MANAGE, &env_cap);

    if (!rc)
        rc = find(space_handle, EXO_CAP_SPACE, EXO_RIGHT_USE | EXO_RIGHT_READ, &space_cap);
    if (rc)
        return rc;
    if (cpu != cpu_this()->id)
        return -EXO_EUNSUPPORTED;
    if (env_of(env_cap)->state == EXO_ENV_ENDED)
        return -EXO_ESTATE;
    rc = vcpu_new(env_of(env_cap), cpu_this(), frame_address(space_cap->object), va, &vcpu);
    if (rc)
        return rc;
    model = object_cap(EXO_CAP_VCPU, vcpu);
    handle = cap_insert(&self()->owner, &model, NULL);
    if (handle < 0) {
        vcpu->state = VCPU_DEAD;
        vcpu_free(vcpu);
    }
    return handle;
}

CALL2(vcpu_start, handle, arg)
{
    struct vcpu *vcpu;
    struct cap *cap;
    int rc = find(handle, EXO_CAP_VCPU, EXO_RIGHT_MANAGE, &cap);

    if (rc)
        return rc;
    vcpu = vcpu_of(cap);
    if (vcpu->state != VCPU_STOPPED || vcpu_ended(vcpu))
        return -EXO_ESTATE;
    if (vcpu->page->upcall_entry == 0)
        return -EXO_EINVAL;
    vcpu_upcall(vcpu, EXO_UPCALL_START, arg, 0);
    if (vcpu->state == VCPU_STOPPED) /* still: its environment may have ended for want of an entry */
        slice_ready(vcpu);
    return 0;
}

static int64_t call_slice(uint64_t handle, uint64_t slot, struct vcpu *vcpu)
{
    struct cap *cap;
    int rc = find(handle, EXO_CAP_SLICE, EXO_RIGHT_USE, &cap);

    if (rc)
        return rc;
    if (slot >= CPU_SLOTS || !range_inside(slot, 1, cap->a, cap->b))
        return -EXO_ERANGE;
    return slice_own(cpu_this(), (uint32_t)slot, vcpu);
}

CALL3(slice_bind, handle, slot, vcpu_handle)
{
    struct cap *cap;
    int rc = find(vcpu_handle, EXO_CAP_VCPU, EXO_RIGHT_MANAGE, &cap);

    if (!rc && vcpu_ended(vcpu_of(cap)))
        rc = -EXO_ESTATE;
    return rc ? rc : call_slice(handle, slot, vcpu_of(cap));
}

CALL2(slice_release, handle, slot)
{
    return call_slice(handle, slot, NULL);
}

static void call_yield(struct vcpu *current)
{
    struct vcpu *to = NULL;
    uint64_t handle = current->regs.x[0];

    if (handle) {
        struct cap *cap;
        int rc = cap_find(&current->env->owner, handle, EXO_CAP_VCPU, EXO_RIGHT_USE, &cap);

        if (!rc && (vcpu_of(cap)->state != VCPU_READY || vcpu_ended(vcpu_of(cap))))
            rc = -EXO_ESTATE;
        vcpu_result(current, rc);
        if (rc)
            return;
        to = vcpu_of(cap);
        vcpu_unqueue(to);
    }
    vcpu_result(current, 0);
    slice_ready(slice_leave());
    if (to)
        slice_run(to);
}

static void call_wait(struct vcpu *current)
{
    event_wait(current, current->regs.x[0], current->regs.x[1]);
}

static void call_resume(struct vcpu *current)
{
    regs_copy(&current->regs, &current->page->regs);
    arch_regs_sanitize(&current->regs);
    current->page->upcall_masked = 0;
}

CALL0(null)
{
    return 0;
}

/* ---- gates, events, capabilities -------------------------------------------------------------------------- */

static void call_call(struct vcpu *current)
{
    gate_call(current);
}

static void call_reply_wait(struct vcpu *current)
{
    gate_reply_wait(current);
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

CALL2(gate_create, vcpu, badge)
{
    return from_vcpu(vcpu, EXO_CAP_GATE, badge);
}

CALL2(event_create, vcpu, mask)
{
    return mask ? from_vcpu(vcpu, EXO_CAP_EVENT, mask) : -EXO_EINVAL;
}

CALL2(signal, handle, bits)
{
    struct cap *cap;
    int rc = find(handle, EXO_CAP_EVENT, EXO_RIGHT_USE, &cap);

    if (rc)
        return rc;
    if (bits & ~cap->a)
        return -EXO_ERIGHTS;
    event_post(vcpu_of(cap), bits);
    return 0;
}

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
        if (a & ~model->a || b || !a)
            return -EXO_ERIGHTS;
        model->a = a;
        return 0;
    case EXO_CAP_MMIO:
        if ((a | b) & PAGE_MASK)
            return -EXO_ERANGE;
        /* fall through */
    case EXO_CAP_SLICE:
    case EXO_CAP_IRQ:
        if (!b || !range_inside(a, b, model->a, model->b))
            return -EXO_ERANGE;
        model->a = a;
        model->b = b;
        return 0;
    default:
        return -EXO_EINVAL;
    }
}

CALL5(cap_grant, env_handle, handle, rights, a, b)
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

CALL1(cap_drop, handle)
{
    struct cap *cap;
    int rc = cap_find_any(&self()->owner, handle, &cap);

    if (rc)
        return rc;
    return cap_remove(cap) ? 0 : 1;
}

CALL1(cap_revoke, handle)
{
    struct cap *cap;
    int rc = cap_find_any(&self()->owner, handle, &cap);

    if (rc)
        return rc;
    return cap_revoke(cap) ? 0 : 1;
}

/* ---- devices, tables, the machine -------------------------------------------------------------------------- */

static int find_line(uint64_t handle, uint64_t line)
{
    struct cap *cap;
    int rc = find(handle, EXO_CAP_IRQ, EXO_RIGHT_USE, &cap);

    if (rc)
        return rc;
    return range_inside(line, 1, cap->a, cap->b) && line <= UINT32_MAX ? 0 : -EXO_ERANGE;
}

CALL4(irq_bind, handle, line, vcpu_handle, bit)
{
    struct cap *cap;
    int rc = find_line(handle, line);

    if (rc)
        return rc;
    if (vcpu_handle == 0)
        return irq_unbind((uint32_t)line, self());
    rc = find(vcpu_handle, EXO_CAP_VCPU, EXO_RIGHT_MANAGE, &cap);
    if (rc)
        return rc;
    if (bit > 62)
        return -EXO_EINVAL;
    if (vcpu_ended(vcpu_of(cap)))
        return -EXO_ESTATE;
    return irq_bind((uint32_t)line, vcpu_of(cap), (unsigned)bit);
}

CALL2(irq_ack, handle, line)
{
    int rc = find_line(handle, line);

    return rc ? rc : irq_ack((uint32_t)line, self());
}

/* Neither RAM, nor what the kernel drives itself. */
static bool device_range_ok(uint64_t pa, uint64_t len)
{
    uint64_t ram = (uint64_t)system_info->first_frame << PAGE_SHIFT;
    uint64_t ram_len = (uint64_t)system_info->nframes << PAGE_SHIFT;

    return !range_overlaps(pa, len, ram, ram_len) && !arch_owns_device(pa, len);
}

CALL6(mmio_map, handle, space_handle, va, pa, n, prot)
{
    struct space *space;
    struct cap *cap;
    int rc = find(handle, EXO_CAP_MMIO, EXO_RIGHT_USE, &cap);

    if (!rc)
        rc = find_range(space_handle, EXO_RIGHT_USE, va, &n, &space);
    if (rc)
        return rc;
    if (prot & ~(uint64_t)(EXO_PROT_READ | EXO_PROT_WRITE))
        return -EXO_EINVAL;
    if (pa & PAGE_MASK || !range_inside(pa, n * PAGE_SIZE, cap->a, cap->b) ||
        !device_range_ok(pa, n * PAGE_SIZE))
        return -EXO_ERANGE;
    rc = space_bind_fixed(space, va, (paddr_t){pa}, n, (unsigned)prot, MEMORY_DEVICE);
    return rc ? rc : (int64_t)n;
}

CALL5(info_map, handle, table, first, space_handle, va)
{
    struct space *space;
    struct cap *cap;
    uint64_t n = 1;
    paddr_t pa;
    int rc = find(handle, EXO_CAP_INFO, EXO_RIGHT_READ, &cap);

    if (!rc)
        rc = find_range(space_handle, EXO_RIGHT_USE, va, &n, &space);
    if (!rc)
        rc = info_page(table, first, &pa);
    return rc ? rc : space_bind_fixed(space, va, pa, 1, EXO_PROT_READ, MEMORY_NORMAL);
}

CALL7(log_write, len, w0, w1, w2, w3, w4, w5)
{
    const uint64_t words[6] = {w0, w1, w2, w3, w4, w5};

    if (len > sizeof(words))
        return -EXO_ERANGE;
    log_append(cpu_this(), (const char *)words, len);
    return (int64_t)len;
}

static void call_machine_stop(struct vcpu *current)
{
    struct cap *cap;
    uint64_t how = current->regs.x[1];
    int rc = cap_find(&current->env->owner, current->regs.x[0], EXO_CAP_MACHINE, EXO_RIGHT_USE, &cap);

    if (!rc && how > EXO_STOP_RESET)
        rc = -EXO_EINVAL;
    if (!rc)
        arch_stop((enum exo_stop_how)how);
    vcpu_result(current, rc);
}

/* ---- the tables ------------------------------------------------------------------------------------------ */

/* Whether it had lines or slots, which are looked for among all. */
static bool vcpu_end(struct vcpu *vcpu)
{
    bool searched = vcpu->nslots || vcpu->nirqs;

    vcpu_unqueue(vcpu);
    slice_disown_all(vcpu);
    irq_vcpu_end(vcpu);
    vcpu->state = VCPU_DEAD;
    return searched;
}

/* A search is enough for a piece. */
static bool vcpus_end(struct env *env)
{
    unsigned left = ENDING_PIECE;

    if (cpu_this()->current && cpu_this()->current->env == env)
        slice_leave()->state = VCPU_STOPPED;
    while (env->ending_at != &env->vcpus) {
        struct vcpu *vcpu = list_entry(env->ending_at, struct vcpu, in_env);

        if (left == 0)
            return false;
        if (vcpu->state != VCPU_DEAD && vcpu_end(vcpu))
            left = 1;
        for (left--; gate_disappoint(vcpu); left--)
            if (left == 0)
                return false;
        env->ending_at = env->ending_at->next;
    }
    return true;
}

static void vcpu_free_first(struct env *env)
{
    vcpu_free(list_entry(env->vcpus.next, struct vcpu, in_env));
}

void syscall_init(void)
{
    event_init();
    env_vcpus_end = vcpus_end;
    env_vcpu_free = vcpu_free_first;
}

#define ENTRY(name, nargs, args, what) call_##name,
switch_call *const syscall_switch_table[EXO_NSWITCH] = {EXO_SWITCH_CALLS(ENTRY)};
plain_call *const syscall_plain_table[EXO_NCALLS - EXO_NSWITCH] = {EXO_PLAIN_CALLS(ENTRY)};
#undef ENTRY
