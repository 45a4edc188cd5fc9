#include "revoke.h"

#include "dma.h"
#include "event.h"
#include "ring.h"
#include "table.h"

#define SEEK_LOOKS 128u /* entries of tables that one piece of taking victims passes, */
#define TAKE_PAGES 16u  /* and pages that it unbinds */
#define WALK_LOOKS                                                                                           \
    128u /* frames and entries that one piece of a walk looks at; what it finds there counts as */
#define ASK_LOOKS 8u
#define TAKE_LOOKS 16u
#define END_LOOKS WALK_LOOKS /* nothing besides */

/* ---- frames of a child: env_limit ------------------------------------------------------------------------- */

/* Steps that taking all victims of a sound list needs at most: each unbinds a page or passes a piece of a table, both of
 * which are charged.  A list that changes meanwhile gets no more. */
static uint64_t steps_for(const struct account *account, unsigned pieces_in_table)
{
    return (pieces_in_table + 1) * account_in_use(account) + (uint64_t)EXO_VICTIMS * 16;
}

static void ask(struct env *env, uint64_t deadline)
{
    struct vcpu *vcpu = notice_vcpu(env);

    env->revocation = (struct env_revocation){.deadline = deadline,
                                              .steps = steps_for(&env->owner.account, 512 / SEEK_LOOKS)};
    if (!vcpu)
        return;
    notice_frames(vcpu);
    event_notice(vcpu);
}

static void tell_taken(struct env *env)
{
    struct vcpu *vcpu = env->revocation.taken ? notice_vcpu(env) : NULL;

    if (vcpu) {
        notice_taken(vcpu, env->revocation.taken);
        event_notice(vcpu);
    }
    env->revocation.taken = 0;
}

static struct exo_vcpu_page *victims_page(const struct env *env)
{
    return list_empty(&env->vcpus) ? NULL : list_entry(env->vcpus.next, struct vcpu, in_env)->page;
}

/* Goes on with one entry of the list; true: it is over. */
static bool take_victim(struct env *env, struct exo_victim *shared, uint64_t excess, unsigned *looks)
{
    struct exo_victim victim = *(const volatile struct exo_victim *)shared;
    struct env_revocation *r = &env->revocation;
    uint64_t npages = victim.npages, end = victim.va + npages * PAGE_SIZE, va, found;

    if (r->done >= npages || !space_range_ok(victim.va, npages))
        return true;
    va = victim.va + r->done * PAGE_SIZE;
    found = table_seek(env->home->root, &va, end, NULL, looks);
    if (found) {
        uint64_t n = min_u64(min_u64(excess, TAKE_PAGES), (end - va) >> PAGE_SHIFT);
        uint64_t before = env->home->nbound;

        va += (uint64_t)space_unbind(env->home, va, max_u64(n, found), false) * PAGE_SIZE;
        r->taken += found > 1 ? found : before - env->home->nbound;
        *looks = 0;
    }
    r->done = (va - victim.va) >> PAGE_SHIFT;
    shared->taken = (uint32_t)r->done;
    return va == end;
}

/* A bounded piece; false: there is nothing to take any more. */
static bool take_some(struct env *env, uint64_t excess)
{
    struct env_revocation *r = &env->revocation;
    struct exo_vcpu_page *page = victims_page(env);
    unsigned looks = SEEK_LOOKS;

    if (!page || r->steps == 0)
        return false;
    r->steps--;
    while (looks && r->victim < EXO_VICTIMS) {
        if (!take_victim(env, &page->victims[r->victim], excess, &looks))
            continue;
        r->victim++;
        r->done = 0;
    }
    return r->victim < EXO_VICTIMS;
}

/* Lowers the limit as far as it goes, and takes where the time has come. */
static uint64_t lower(struct env *env, uint64_t limit)
{
    struct account *account = &env->owner.account;
    uint64_t excess = account_lower(account, limit);

    if (excess && arch_time() >= env->revocation.deadline) {
        bool more = take_some(env, excess);

        excess = account_lower(account, limit);
        if (excess && !more)
            env_end(env, EXO_END_REVOKED, excess, 0, 0);
    }
    if (!excess)
        tell_taken(env);
    return excess;
}

int64_t revoke_limit(struct env *env, uint64_t limit, uint64_t deadline)
{
    struct account *account = &env->owner.account;
    bool under_way = account->wanted != ACCOUNT_STEADY;

    if (limit >= account->limit) {
        int rc = account_raise(account, limit);

        if (!rc && under_way)
            tell_taken(env);
        return rc;
    }
    if (under_way && limit < account->wanted)
        return -EXO_EBUSY;
    if (under_way) {
        env->revocation.deadline = max_u64(env->revocation.deadline, deadline);
        return (int64_t)lower(env, limit);
    }
    if (account_lower(account, limit) == 0)
        return 0;
    ask(env, deadline);
    return (int64_t)(account->limit - limit);
}

/* ---- pages that others hold too: page_reclaim ---------------------------------------------------------------- */

static void spend(unsigned *looks, unsigned n)
{
    *looks -= *looks < n ? *looks : n;
}

static bool is_holder(const struct env *env, const struct env *of)
{
    return !account_covers(&env->owner.account, &of->owner.account);
}

/* What a holder binds: n pages at va of a space or a domain of its. */
struct held {
    const struct env *by;
    uint64_t space; /* as in struct exo_revoke */
    uint64_t va, n;
};

/* True: it lives, and the time to let go has not passed.  It was asked, or as good as. */
static bool ask_for(struct env_reclaim *r, const struct held *held, unsigned *looks)
{
    struct vcpu *vcpu;

    if (r->taking || held->by->state != EXO_ENV_ALIVE)
        return false;
    r->left = true;
    vcpu = notice_vcpu(held->by);
    if (vcpu && notice_pages(vcpu, held->space, held->va, held->n, r->deadline))
        event_notice(vcpu);
    spend(looks, ASK_LOOKS);
    return true;
}

static void tell_gone(const struct held *held)
{
    struct vcpu *vcpu = notice_vcpu(held->by);

    if (!vcpu)
        return;
    notice_gone(vcpu, held->space, held->va, held->n);
    event_notice(vcpu);
}

/* What unbinding what stands there counts as: giving back the frames of a large page is work enough. */
static unsigned take_looks(pfn_t root, uint64_t va, uint64_t n)
{
    const pte_t *entry = table_walk(root, va, n > 1);
    const struct exo_frame *f = frame_holder(paddr_to_pfn(pte_paddr(*entry)));

    return frame_unref_cost(f) > FRAME_COST ? END_LOOKS : TAKE_LOOKS;
}

/* A holder's binding, of a page or (n pages) a large one. */
static void visit_binding(struct env_reclaim *r, struct space *space, uint64_t n, unsigned *looks)
{
    const struct env *by = (const struct env *)space->account;
    struct held held = {by, space == by->home ? 0 : paddr_to_pfn(virt_to_phys(space)), r->va_at, n};

    if (ask_for(r, &held, looks))
        return;
    spend(looks, take_looks(space->root, held.va, n));
    space_unbind(space, held.va, n, false);
    tell_gone(&held);
}

/* A piece of a holder's space; true: it has been seen whole. */
static bool visit_space(struct env *env, struct space *space, unsigned *looks)
{
    struct env_reclaim *r = &env->reclaim;
    uint64_t n;

    while ((n = table_seek(space->root, &r->va_at, system_info->table_va, &env->owner.account, looks)) != 0) {
        visit_binding(r, space, n, looks);
        r->va_at += n * PAGE_SIZE;
    }
    return r->va_at >= system_info->table_va;
}

/* A page that a holder's device reaches. */
static void visit_pin(struct env_reclaim *r, struct domain *domain, unsigned *looks)
{
    struct held held = {(const struct env *)domain->account, EXO_REVOKE_STREAM | domain->stream, r->va_at, 1};
    int64_t done;

    if (ask_for(r, &held, looks))
        return;
    spend(looks, take_looks(domain->root, held.va, 1));
    done = domain_unbind(domain, held.va, 1);
    if (done < 0)
        r->failed = (int)done;
    else
        tell_gone(&held);
}

/* A piece of what a holder's device reaches; true: it has been seen whole. */
static bool visit_domain(struct env *env, struct domain *domain, unsigned *looks)
{
    struct env_reclaim *r = &env->reclaim;

    while (table_seek(domain->root, &r->va_at, DMA_ADDRESS_END, &env->owner.account, looks)) {
        visit_pin(r, domain, looks);
        r->va_at += PAGE_SIZE;
    }
    return r->va_at >= DMA_ADDRESS_END;
}

/* A holder's vcpu that has its page there: that cannot be unbound as long as it runs. */
static void visit_vcpu(struct env_reclaim *r, struct vcpu *vcpu, unsigned *looks)
{
    if (!vcpu_ended(vcpu) && ask_for(r, &(struct held){vcpu->env, 0, vcpu->page_va, 1}, looks))
        return;
    env_end(vcpu->env, EXO_END_REVOKED, 0, 0, vcpu->page_va);
    vcpu_unpin(vcpu);
    spend(looks, END_LOOKS);
}

/* A frame that is being reclaimed, and may be one of a holder's trace ring: that goes as a whole.  True: it is none. */
static bool visit_page(struct env *env, unsigned *looks)
{
    struct env_reclaim *r = &env->reclaim;
    struct cpu *cpu = ring_of(r->at);

    if (!cpu || !is_holder(cpu->trace.owner, env))
        return true;
    if (!r->taking && cpu->trace.owner->state == EXO_ENV_ALIVE) {
        r->left = true;
        return true;
    }
    *looks = 0; /* a piece of it is enough */
    return ring_release_step(cpu);
}

/* The frame that the walk stands at; true: it may go on to the next. */
static bool visit(struct env *env, unsigned *looks)
{
    struct env_reclaim *r = &env->reclaim;
    void *object = frame_address(r->at);

    switch (frame_entry(r->at)->kind) {
    case EXO_FRAME_SPACE: {
        struct space *space = object;

        return !is_holder((const struct env *)space->account, env) || visit_space(env, space, looks);
    }
    case EXO_FRAME_IOTABLE: {
        struct domain *domain = dma_domain(r->at);

        return !domain || !is_holder((const struct env *)domain->account, env) ||
               visit_domain(env, domain, looks);
    }
    case EXO_FRAME_VCPU: {
        struct vcpu *vcpu = object;

        if (vcpu->page_pfn && is_holder(vcpu->env, env) &&
            frame_reclaimer(vcpu->page_pfn) == &env->owner.account)
            visit_vcpu(r, vcpu, looks);
        return true;
    }
    case EXO_FRAME_USER:
        return frame_reclaimer(r->at) != &env->owner.account || visit_page(env, looks);
    default:
        return true;
    }
}

static void walk_begin(struct env_reclaim *r)
{
    r->at = system_info->first_frame;
    r->left = false;
    r->taking = arch_time() >= r->deadline;
}

/* True: it has come to its end.  Frames without entries are nobody's. */
static bool walk_piece(struct env *env)
{
    struct env_reclaim *r = &env->reclaim;
    unsigned looks = WALK_LOOKS;

    while (looks && r->at - system_info->first_frame < system_info->nframes) {
        looks--;
        if ((r->at - system_info->first_frame) % FRAME_LEAF == 0 && frame_leaf(r->at) != FRAME_WRITTEN) {
            r->at += FRAME_LEAF;
        } else if (visit(env, &looks)) {
            r->at++;
            r->va_at = 0;
        }
    }
    return r->at - system_info->first_frame == system_info->nframes;
}

static bool is_under_way(const struct env_reclaim *r, const struct space *space, uint64_t va, uint64_t n)
{
    pfn_t pfn = paddr_to_pfn(virt_to_phys(space));

    return r->space == pfn && r->serial == frame_entry(pfn)->serial && r->va == va && r->n == n;
}

/* Ordinary memory that env pays for? */
static int check_page(const struct env *env, struct space *space, uint64_t va, struct binding *binding)
{
    if (!space_lookup(space, va, binding))
        return -EXO_EUNBOUND;
    if (binding->memory != MEMORY_NORMAL || frame_entry(binding->pfn)->kind != EXO_FRAME_USER)
        return -EXO_EINVAL;
    return frame_entry(binding->pfn)->account == env_frame(env) ? 0 : -EXO_ERIGHTS;
}

/* All or none. */
static int mark(struct env *env, struct space *space, uint64_t va, uint64_t n, uint32_t number)
{
    struct binding binding;

    for (uint64_t i = 0; i < n; i++) {
        int rc = check_page(env, space, va + i * PAGE_SIZE, &binding);

        if (!rc) {
            frame_reclaim(binding.pfn, number);
            continue;
        }
        while (i-- > 0 && space_lookup(space, va + i * PAGE_SIZE, &binding))
            frame_reclaim(binding.pfn, 0);
        return rc;
    }
    return 0;
}

static int begin(struct env *env, struct space *space, uint64_t va, uint64_t n, uint64_t deadline)
{
    uint64_t notice = arch_time() + arch_time_hz() / 1000000 * EXO_RECLAIM_NOTICE_US;
    uint32_t number = env->nreclaims == UINT32_MAX ? 1 : env->nreclaims + 1;
    pfn_t pfn = paddr_to_pfn(virt_to_phys(space));
    int rc = mark(env, space, va, n, number);

    if (rc)
        return rc;
    env->nreclaims = number;
    env->owner.account.reclaim = number;
    env->reclaim = (struct env_reclaim){.space = pfn,
                                        .serial = frame_entry(pfn)->serial,
                                        .va = va,
                                        .n = n,
                                        .deadline = max_u64(deadline, notice)};
    walk_begin(&env->reclaim);
    return EXO_RECLAIM_MORE; /* looking at so many pages is enough for one call */
}

/* Who unbound one of them lazily may still reach it. */
static void finish(struct env *env, struct space *space)
{
    struct binding binding;

    for (uint64_t i = 0; i < env->reclaim.n; i++) {
        if (space_lookup(space, env->reclaim.va + i * PAGE_SIZE, &binding) &&
            binding.memory == MEMORY_NORMAL && frame_is_stale(binding.pfn)) {
            tlb_flush_all();
            break;
        }
    }
    env->owner.account.reclaim = 0;
}

int64_t revoke_pages(struct env *env, struct space *space, uint64_t va, uint64_t n, uint64_t deadline)
{
    struct env_reclaim *r = &env->reclaim;

    if (n == 0) {
        env->owner.account.reclaim = 0;
        return EXO_RECLAIM_DONE;
    }
    if (!env->owner.account.reclaim)
        return begin(env, space, va, n, deadline);
    if (!is_under_way(r, space, va, n))
        return -EXO_EBUSY;
    r->deadline = max_u64(r->deadline, deadline);
    if (!walk_piece(env))
        return EXO_RECLAIM_MORE;
    if (r->failed) {
        env->owner.account.reclaim = 0;
        return r->failed;
    }
    if (!r->left) {
        finish(env, space);
        return EXO_RECLAIM_DONE;
    }
    walk_begin(r);
    return r->taking ? EXO_RECLAIM_MORE : EXO_RECLAIM_ASKED;
}
