#include "syscall.h"

#include "base/range.h"
#include "event.h"
#include "gate.h"
#include "info.h"
#include "irq.h"
#include "log.h"
#include "msi.h"
#include "revoke.h"
#include "ring.h"
#include "slice.h"

#define ENDING_PIECE 16u /* vcpus and peers of an ended environment that are dealt with at one go */

static struct env *self(void)
{
    return cpu_this()->current->env;
}

static int find(uint64_t handle, enum exo_cap_type type, unsigned rights, struct cap **out)
{
    return cap_find(&self()->owner, handle, type, rights, out);
}

/* A space by handle, and a range in it. */
static inline __attribute__((always_inline)) int find_range_inline(uint64_t handle, unsigned rights,
                                                                   uint64_t va, uint64_t n,
                                                                   struct space **out)
{
    struct cap *cap;
    int rc = cap_find_inline(&self()->owner, handle, EXO_CAP_SPACE, rights, &cap);

    if (rc)
        return rc;
    if (!space_range_ok(va, n))
        return -EXO_ERANGE;
    *out = frame_address(cap->object);
    return 0;
}

__attribute__((noinline)) static int find_range(uint64_t handle, unsigned rights, uint64_t va, uint64_t n,
                                                struct space **out)
{
    return find_range_inline(handle, rights, va, n, out);
}

/* ---- modes ------------------------------------------------------------------------------------------------ */

/* Every call says in which mode (cpu.h) it begins.  One that begins in local mode is begun again in world mode where it
 * answers NEEDS_WORLD.  A vcpu whose environment has ended meanwhile begins nothing any more. */
static inline __attribute__((always_inline)) bool may_begin(void)
{
    struct cpu *cpu = cpu_this();

    if (__builtin_expect(!cpu->evict, 1))
        return true;
    cpu->resched = 1;
    return false;
}

static inline __attribute__((always_inline)) bool begin_local(void)
{
    local_enter();
    return may_begin();
}

static bool begin_world(void)
{
    world_enter();
    return may_begin();
}

__attribute__((noinline, cold)) static bool begin_over(void)
{
    world_upgrade();
    return may_begin();
}

static inline __attribute__((always_inline)) bool begin_again(int64_t result)
{
    return __builtin_expect(result == NEEDS_WORLD, 0) && begin_over();
}

static inline __attribute__((always_inline)) void end_world(void)
{
    if (__builtin_expect(cpu_this()->world, 0))
        world_leave();
}

static inline __attribute__((always_inline)) void end_plain(void)
{
    end_world();
    local_leave();
}

/* A plain call with its arguments; the other argument registers hold nothing of interest. */
#define REST6 uint64_t r6 __attribute__((unused))
#define REST5 uint64_t r5 __attribute__((unused)), REST6
#define REST4 uint64_t r4 __attribute__((unused)), REST5
#define REST3 uint64_t r3 __attribute__((unused)), REST4
#define REST2 uint64_t r2 __attribute__((unused)), REST3
#define REST1 uint64_t r1 __attribute__((unused)), REST2
#define REST0 uint64_t r0 __attribute__((unused)), REST1
#define CALL(mode, name, ...)                                                                                \
    static int64_t do_##name(__VA_ARGS__);                                                                   \
    static int64_t call_##name(uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5, \
                               uint64_t a6)                                                                  \
    {                                                                                                        \
        int64_t result = -EXO_EDEAD;                                                                         \
                                                                                                             \
        if (begin_##mode())                                                                                  \
            do                                                                                               \
                result = do_##name(a0, a1, a2, a3, a4, a5, a6);                                              \
            while (begin_again(result));                                                                     \
        end_plain();                                                                                         \
        return result;                                                                                       \
    }                                                                                                        \
    static int64_t do_##name(__VA_ARGS__)
#define ARG(a) uint64_t a
#define CALL0(mode, name) CALL(mode, name, REST0)
#define CALL1(mode, name, a) CALL(mode, name, ARG(a), REST1)
#define CALL2(mode, name, a, b) CALL(mode, name, ARG(a), ARG(b), REST2)
#define CALL3(mode, name, a, b, c) CALL(mode, name, ARG(a), ARG(b), ARG(c), REST3)
#define CALL4(mode, name, a, b, c, d) CALL(mode, name, ARG(a), ARG(b), ARG(c), ARG(d), REST4)
#define CALL5(mode, name, a, b, c, d, e) CALL(mode, name, ARG(a), ARG(b), ARG(c), ARG(d), ARG(e), REST5)
#define CALL6(mode, name, a, b, c, d, e, f)                                                                  \
    CALL(mode, name, ARG(a), ARG(b), ARG(c), ARG(d), ARG(e), ARG(f), REST6)

#define CALL7(mode, name, a, b, c, d, e, f, g)                                                               \
    CALL(mode, name, ARG(a), ARG(b), ARG(c), ARG(d), ARG(e), ARG(f), ARG(g))

/* A switching call of the current vcpu: 0 with the result in its registers, or NEEDS_WORLD.  The CPU's lock stays taken
 * for trap_leave(); but a `fast` function may say that all is done. */
#define SWITCH_FROM(begun, name)                                                                             \
    {                                                                                                        \
        if (begun)                                                                                           \
            while (begin_again(do_##name(current)))                                                          \
                ;                                                                                            \
        end_world();                                                                                         \
        return NULL;                                                                                         \
    }
#define SWITCH_CALL(mode, name)                                                                              \
    static int do_##name(struct vcpu *current);                                                              \
    static struct vcpu *call_##name(struct vcpu *current)                                                    \
        SWITCH_FROM(begin_##mode(), name) static int do_##name(struct vcpu *current)

/* The same, but first `fast` is tried.  All that it calls it jumps to, so that it needs no stack. */
#define FAST_CALL(name, fast)                                                                                \
    static int do_##name(struct vcpu *current);                                                              \
    static __attribute__((noinline)) struct vcpu *name##_slowly(struct vcpu *current)                        \
        SWITCH_FROM(may_begin(), name) static                                                                \
        __attribute__((noinline, cold)) struct vcpu *name##_waits(struct vcpu *current, uint32_t ticket)     \
    {                                                                                                        \
        lock_wait(&cpu_this()->lock, ticket);                                                                \
        return name##_slowly(current);                                                                       \
    }                                                                                                        \
    static struct vcpu *call_##name(struct vcpu *current);                                                   \
    static __attribute__((noinline)) struct vcpu *name##_again(struct vcpu *current)                         \
    {                                                                                                        \
        local_leave();                                                                                       \
        return call_##name(current);                                                                         \
    }                                                                                                        \
    static struct vcpu *call_##name(struct vcpu *current)                                                    \
    {                                                                                                        \
        uint32_t ticket;                                                                                     \
                                                                                                             \
        if (!lock_take_or_queue(&cpu_this()->lock, &ticket))                                                 \
            return name##_waits(current, ticket);                                                            \
        return fast(current, name##_again, name##_slowly);                                                   \
    }                                                                                                        \
    static int do_##name(struct vcpu *current)

/* ---- pages ---------------------------------------------------------------------------------------------- */

static int decode_want(uint64_t want, uint64_t flags, struct frame_want *out)
{
    uint64_t limit = (flags & EXO_ALLOC_LIMIT_MASK) >> EXO_ALLOC_LIMIT_SHIFT;

    unsigned kind = flags & (EXO_ALLOC_CONTIG | EXO_ALLOC_LARGE);

    if (flags & ~(uint64_t)(EXO_PROT_ALL | EXO_ALLOC_CONTIG | EXO_ALLOC_LARGE | EXO_ALLOC_MORE |
                            EXO_ALLOC_LIMIT_MASK) ||
        kind == (EXO_ALLOC_CONTIG | EXO_ALLOC_LARGE) || (flags & EXO_ALLOC_MORE && !kind) ||
        !space_prot_ok(flags & EXO_PROT_ALL) || (limit && (limit <= PAGE_SHIFT || limit > 48)))
        return -EXO_EINVAL;
    if (want != EXO_WANT_ANY && want > UINT32_MAX)
        return -EXO_EINVAL;
    *out = (struct frame_want){.pfn = want, .below = limit ? 1ull << (limit - PAGE_SHIFT) : 0};
    return 0;
}

/* Of a run that begins, as opposed to one that goes on. */
static bool run_fits(uint64_t va, uint64_t n, uint64_t flags)
{
    if (flags & EXO_ALLOC_MORE)
        return true;
    return flags & EXO_ALLOC_LARGE ? n == EXO_LARGE_PAGES && !(va & (EXO_LARGE_BYTES - 1))
                                   : n && n <= EXO_CONTIG_MAX;
}

CALL5(local, page_alloc, space_handle, va, n, want, flags)
{
    struct frame_want decoded;
    struct space *space;
    int rc = find_range_inline(space_handle, EXO_RIGHT_USE, va, n, &space);

    if (!rc)
        rc = decode_want(want, flags, &decoded);
    if (rc)
        return rc;
    if (flags & (EXO_ALLOC_CONTIG | EXO_ALLOC_LARGE))
        return run_fits(va, n, flags) ? space_alloc_run(space, va, n, flags, &decoded) : -EXO_ERANGE;
    return space_bind_new(space, va, space_piece(n), flags & EXO_PROT_ALL, &decoded);
}

CALL6(local, page_map, dst_handle, va, src_handle, sva, n, prot)
{
    uint64_t max = prot >> EXO_PROT_MAX_SHIFT;
    bool same = src_handle == dst_handle; /* found once is enough */
    struct space *dst, *src;
    int rc = find_range_inline(dst_handle, EXO_RIGHT_USE | (same ? EXO_RIGHT_READ : 0), va, n, &dst);

    prot &= (1u << EXO_PROT_MAX_SHIFT) - 1;
    src = dst;
    if (!rc && !same)
        rc = find_range_inline(src_handle, EXO_RIGHT_READ, sva, n, &src);
    else if (!rc && !space_range_ok(sva, n))
        rc = -EXO_ERANGE;
    if (rc)
        return rc;
    if (!space_prot_ok(prot) || max > EXO_PROT_ALL || (max && (prot & ~max)))
        return -EXO_EINVAL;
    return space_map(dst, va, src, sva, n, (unsigned)prot, (unsigned)(max ? max : prot));
}

CALL4(local, page_protect, space_handle, va, n, prot)
{
    struct space *space;
    int rc = find_range_inline(space_handle, EXO_RIGHT_USE, va, n, &space);
    bool lazy = prot & EXO_LAZY;

    prot &= ~(uint64_t)EXO_LAZY;
    if (!rc && !space_prot_ok(prot))
        rc = -EXO_EINVAL;
    return rc ? rc : space_protect(space, va, n, (unsigned)prot, lazy);
}

CALL4(local, page_unmap, space_handle, va, n, flags)
{
    struct space *space;
    int rc = find_range_inline(space_handle, EXO_RIGHT_USE, va, n, &space);

    if (!rc && flags & ~(uint64_t)EXO_LAZY)
        rc = -EXO_EINVAL;
    return rc ? rc : space_unbind(space, va, n, flags & EXO_LAZY);
}

CALL3(local, tlb_sync, space_handle, va, n)
{
    struct space *space;
    int rc = find_range(space_handle, EXO_RIGHT_USE, va, n, &space);

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

CALL1(world, space_destroy, handle)
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

/* ---- revocation ------------------------------------------------------------------------------------------ */

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

CALL4(world, page_reclaim, space_handle, va, n, deadline)
{
    struct space *space;
    int rc = find_range(space_handle, EXO_RIGHT_USE | EXO_RIGHT_READ, va, n, &space);

    if (rc)
        return rc;
    if (n > EXO_RANGE_MAX)
        return -EXO_ERANGE;
    if (space->account != &self()->owner.account)
        return -EXO_ESTATE;
    return revoke_pages(self(), space, va, n, deadline);
}

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
    if (!vcpu_upcall(vcpu, EXO_UPCALL_START, arg, 0))
        return -EXO_EINVAL;
    vcpu->cpu->trace.upcalls++; /* it is not its CPU's current one */
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
    return rc ? rc : call_slice(handle, slot, vcpu_of(cap));
}

CALL2(world, slice_release, handle, slot)
{
    return call_slice(handle, slot, NULL);
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

static int64_t call_null(uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5,
                         uint64_t a6)
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

CALL2(local, signal, handle, bits)
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

/* ---- devices, tables, the machine -------------------------------------------------------------------------- */

static int find_line(uint64_t handle, uint64_t line)
{
    struct cap *cap;
    int rc = cap_find_inline(&self()->owner, handle, EXO_CAP_IRQ, EXO_RIGHT_USE, &cap);

    if (rc)
        return rc;
    return range_inside(line, 1, cap->a, cap->b) && line <= UINT32_MAX ? 0 : -EXO_ERANGE;
}

CALL4(world, irq_bind, handle, line, vcpu_handle, bit)
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

CALL2(local, irq_ack, handle, line)
{
    int rc = find_line(handle, line);

    return rc ? rc : irq_ack((uint32_t)line, self());
}

static int find_device(uint64_t handle, uint64_t device)
{
    struct cap *cap;
    int rc = find(handle, EXO_CAP_DMA, EXO_RIGHT_USE, &cap);

    if (rc)
        return rc;
    return range_inside(device, 1, cap->a, cap->b) ? 0 : -EXO_ERANGE;
}

CALL7(world, msi_bind, handle, line, dma, device, event, vcpu_handle, bit)
{
    struct cap *cap;
    int rc = find_line(handle, line);

    if (!rc)
        rc = find_device(dma, device);
    if (!rc)
        rc = find(vcpu_handle, EXO_CAP_VCPU, EXO_RIGHT_MANAGE, &cap);
    if (rc)
        return rc;
    if (bit > 62)
        return -EXO_EINVAL;
    if (vcpu_ended(vcpu_of(cap)))
        return -EXO_ESTATE;
    return msi_bind((uint32_t)line, (uint32_t)device, event, vcpu_of(cap), (unsigned)bit);
}

/* Neither RAM, nor what the kernel drives itself. */
static bool device_range_ok(uint64_t pa, uint64_t len)
{
    uint64_t ram = (uint64_t)system_info->first_frame << PAGE_SHIFT;
    uint64_t ram_len = (uint64_t)system_info->nframes << PAGE_SHIFT;

    return !range_overlaps(pa, len, ram, ram_len) && !arch_owns_device(pa, len);
}

CALL6(local, mmio_map, handle, space_handle, va, pa, n, prot)
{
    struct space *space;
    struct cap *cap;
    int rc = find(handle, EXO_CAP_MMIO, EXO_RIGHT_USE, &cap);

    if (!rc)
        rc = find_range(space_handle, EXO_RIGHT_USE, va, n, &space);
    if (rc)
        return rc;
    n = space_piece(n);
    if (prot & ~(uint64_t)(EXO_PROT_READ | EXO_PROT_WRITE))
        return -EXO_EINVAL;
    if (pa & PAGE_MASK || !range_inside(pa, n * PAGE_SIZE, cap->a, cap->b) ||
        !device_range_ok(pa, n * PAGE_SIZE))
        return -EXO_ERANGE;
    rc = space_bind_fixed(space, va, (paddr_t){pa}, n, (unsigned)prot, MEMORY_DEVICE);
    return rc ? rc : (int64_t)n;
}

static int find_domain(uint64_t handle, unsigned rights, struct domain **out)
{
    struct cap *cap;
    int rc = find(handle, EXO_CAP_DOMAIN, rights, &cap);

    if (!rc)
        *out = frame_address(cap->object);
    return rc;
}

CALL2(world, dma_open, handle, stream)
{
    struct cap *cap, model;
    struct domain *domain;
    int64_t made;
    int rc = find(handle, EXO_CAP_DMA, EXO_RIGHT_USE, &cap);

    if (rc)
        return rc;
    if (!range_inside(stream, 1, cap->a, cap->b) || !dma_stream_ok(stream))
        return -EXO_ERANGE;
    if (!dma_is_translated(stream) && !(cap->rights & EXO_RIGHT_MANAGE))
        return -EXO_EUNTRUSTED;
    rc = domain_new(&self()->owner.account, stream, &domain);
    if (rc)
        return rc;
    list_add_tail(&self()->domains, &domain->in_env);
    model = object_cap(EXO_CAP_DOMAIN, domain);
    made = cap_insert(&self()->owner, &model, NULL);
    if (made < 0)
        while (!domain_end_step(domain)) /* as many entries as there are doorbells */
            ;
    return made;
}

CALL6(world, dma_bind, handle, iova, space_handle, va, n, prot)
{
    struct domain *domain;
    struct space *space;
    int rc = find_domain(handle, EXO_RIGHT_USE, &domain);

    if (!rc && !domain_range_ok(iova, n))
        rc = -EXO_ERANGE;
    if (!rc)
        rc = find_range(space_handle, EXO_RIGHT_READ, va, n, &space);
    if (rc)
        return rc;
    if (prot != EXO_PROT_READ && prot != (EXO_PROT_READ | EXO_PROT_WRITE))
        return -EXO_EINVAL;
    n = min_u64(space_piece(n), DMA_RANGE_MAX);
    rc = domain_bind(domain, iova, space, va, n, (unsigned)prot);
    return rc ? rc : (int64_t)n;
}

CALL3(world, dma_unbind, handle, iova, n)
{
    struct domain *domain;
    int rc = find_domain(handle, EXO_RIGHT_USE, &domain);

    if (!rc && !domain_range_ok(iova, n))
        rc = -EXO_ERANGE;
    return rc ? rc : domain_unbind(domain, iova, min_u64(space_piece(n), DMA_RANGE_MAX));
}

CALL2(world, dma_address, handle, iova)
{
    struct domain *domain;
    uint64_t address;
    int rc = find_domain(handle, EXO_RIGHT_USE, &domain);

    if (!rc && iova >> ARCH_USER_BITS)
        rc = -EXO_ERANGE;
    if (rc)
        return rc;
    return domain_address(domain, iova, &address) ? (int64_t)address : -EXO_EUNBOUND;
}

CALL2(world, dma_status, handle, field)
{
    struct domain *domain;
    int rc = find_domain(handle, EXO_RIGHT_READ, &domain);

    if (rc)
        return rc;
    arch_iommu_poll();
    switch (field) {
    case EXO_DMA_STREAM:
        return (int64_t)domain->stream;
    case EXO_DMA_TRANSLATED:
        return domain->translated;
    case EXO_DMA_PAGES:
        return (int64_t)domain->nbound;
    case EXO_DMA_FAULTS:
        return (int64_t)(domain->fault.count & INT64_MAX);
    case EXO_DMA_FAULT_ADDRESS:
        return (int64_t)(domain->fault.address & INT64_MAX);
    case EXO_DMA_FAULT_ACCESS:
        return domain->fault.access;
    default:
        return -EXO_EINVAL;
    }
}

CALL1(world, dma_close, handle)
{
    struct domain *domain;
    int rc = find_domain(handle, EXO_RIGHT_MANAGE, &domain);

    return rc ? rc : !domain_end_step(domain);
}

CALL5(local, info_map, handle, table, first, space_handle, va)
{
    struct space *space;
    struct cap *cap;
    paddr_t pa;
    int rc = find(handle, EXO_CAP_INFO, EXO_RIGHT_READ, &cap);

    if (!rc)
        rc = find_range(space_handle, EXO_RIGHT_USE, va, 1, &space);
    if (!rc)
        rc = info_page(table, first, &pa);
    if (rc)
        return rc;
    frame_need(paddr_to_pfn(pa));
    if (table == EXO_INFO_FRAMES)
        frame_need(frame_ram.first + (pfn_t)(first * FRAME_LEAF));
    return space_bind_fixed(space, va, pa, 1, EXO_PROT_READ, MEMORY_NORMAL);
}

/* The CPU's own ring: it takes no lock. */
static int64_t call_log_write(uint64_t len, uint64_t w0, uint64_t w1, uint64_t w2, uint64_t w3, uint64_t w4,
                              uint64_t w5)
{
    const uint64_t words[6] = {w0, w1, w2, w3, w4, w5};

    if (len > sizeof(words))
        return -EXO_ERANGE;
    log_append(cpu_this(), (const char *)words, len);
    return (int64_t)len;
}

/* A CPU that may be traced. */
static int find_traced(uint64_t handle, uint64_t id, struct cap **cap, struct cpu **out)
{
    int rc = find(handle, EXO_CAP_TRACE, EXO_RIGHT_READ, cap);

    *out = ring_cpu(id);
    return rc || *out ? rc : -EXO_EUNSUPPORTED;
}

CALL5(world, trace_bind, handle, cpu_id, space_handle, va, n)
{
    struct space *space;
    struct cap *cap;
    struct cpu *cpu;
    int rc = find_traced(handle, cpu_id, &cap, &cpu);

    if (!rc)
        rc = find_range(space_handle, EXO_RIGHT_USE | EXO_RIGHT_READ, va, n, &space);
    n = space_piece(n);
    if (!rc)
        rc = ring_bind(cpu, self(), space, va, n = min_u64(n, RING_RANGE_MAX));
    return rc ? rc : (int64_t)n;
}

CALL3(world, trace_control, handle, cpu_id, how)
{
    struct cap *cap;
    struct cpu *cpu;
    int rc = find_traced(handle, cpu_id, &cap, &cpu);

    if (!rc && how > EXO_TRACE_RELEASE)
        rc = -EXO_EINVAL;
    if (rc)
        return rc;
    if (how == EXO_TRACE_ON)
        return ring_start(cpu, self());
    if (cpu->trace.owner && cpu->trace.owner != self() && !(cap->rights & EXO_RIGHT_MANAGE))
        return -EXO_EBUSY;
    if (how == EXO_TRACE_RELEASE)
        return ring_release_step(cpu) ? 0 : 1;
    return ring_stop(cpu) ? 0 : 1;
}

SWITCH_CALL(local, machine_stop)
{
    struct cap *cap;
    uint64_t how = current->regs.x[1];
    int rc = cap_find(&current->env->owner, current->regs.x[0], EXO_CAP_MACHINE, EXO_RIGHT_USE, &cap);

    if (!rc && how > EXO_STOP_RESET)
        rc = -EXO_EINVAL;
    if (!rc)
        arch_stop((enum exo_stop_how)how);
    vcpu_result(current, rc);
    return 0;
}

/* ---- the tables ------------------------------------------------------------------------------------------ */

/* Whether it had slots, which are looked for among all. */
static bool vcpu_end(struct vcpu *vcpu)
{
    bool searched = vcpu->nslots;

    vcpu_unqueue(vcpu);
    slice_disown_all(vcpu);
    vcpu->state = VCPU_DEAD;
    return searched;
}

static bool runs_on(const struct env *env, const struct cpu *cpu)
{
    return cpu->current && cpu->current->env == env;
}

/* A search is enough for a piece, and so are some lines. */
static enum env_ending vcpus_end(struct env *env)
{
    unsigned left = ENDING_PIECE;

    if (env_runs_on(env, cpu_this()))
        slice_leave()->state = VCPU_STOPPED;
    while (env->ending_at != &env->vcpus) {
        struct vcpu *vcpu = list_entry(env->ending_at, struct vcpu, in_env);
        bool had_lines = vcpu->nirqs;

        if (vcpu->state == VCPU_RUNNING)
            return ENDING_WAITS;
        if (left == 0 || !irq_vcpu_end(vcpu))
            return ENDING_MORE;
        if (vcpu->state != VCPU_DEAD && (vcpu_end(vcpu) || had_lines))
            left = 1;
        for (left--; gate_disappoint(vcpu); left--)
            if (left == 0)
                return ENDING_MORE;
        env->ending_at = env->ending_at->next;
    }
    return ENDING_DONE;
}

static void vcpu_free_first(struct env *env)
{
    vcpu_free(list_entry(env->vcpus.next, struct vcpu, in_env));
}

void syscall_init(void)
{
    event_init();
    env_runs_on = runs_on;
    env_vcpus_end = vcpus_end;
    env_vcpu_free = vcpu_free_first;
}

#define ENTRY(name, nargs, args, what) call_##name,
switch_call *const syscall_switch_table[EXO_NSWITCH] = {EXO_SWITCH_CALLS(ENTRY)};
plain_call *const syscall_plain_table[EXO_NCALLS - EXO_NSWITCH] = {EXO_PLAIN_CALLS(ENTRY)};
#undef ENTRY
