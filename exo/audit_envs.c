#include "audit_impl.h"

#include "vcpu.h"

/* ---- environments and accounts -------------------------------------------------------------------------- */

static bool is_ending(const struct env *env)
{
    for (unsigned i = 0; i < ncpus; i++)
        if (on_list(&cpus[i].endings, &env->in_endings))
            return true;
    return false;
}

void audit_check_env(pfn_t pfn)
{
    const struct env *env = frame_address(pfn);
    const struct account *account = &env->owner.account;

    if (!env->parent) {
        expect(!account->parent && payer(pfn) == env, "env %u: the first, or not", pfn);
    } else {
        if (!expect(is_object(env->parent, EXO_FRAME_ENV) && account->parent == &env->parent->owner.account &&
                        payer(pfn) == env->parent,
                    "env %u: its parent", pfn))
            return;
        note(frame_of(env->parent))->limits += account->limit;
        expect(env->depth == env->parent->depth + 1, "env %u: depth", pfn);
    }
    expect(account->ended == env->torn_down, "env %u: torn down, and its account not, or the other way round",
           pfn);
    if (!env->torn_down) {
        expect(!env->parent || on_list(&env->parent->children, &env->in_parent), "env %u is not its parent's",
               pfn);
        if (env->parent)
            note(frame_of(env->parent))->objects++;
    } else {
        expect(list_empty(&env->vcpus) && list_empty(&env->spaces) && list_empty(&env->domains) &&
                   list_empty(&env->children) && env->owner.caps.nframes == 0,
               "env %u is torn down and holds something", pfn);
    }
    expect(list_empty(&env->in_endings) || (env->state == EXO_ENV_ENDED && is_ending(env)),
           "env %u: on a list of those that end", pfn);
    audit_check_cap_table(pfn, env);
}

/* After everything was counted. */
void audit_check_account(pfn_t pfn)
{
    const struct env *env = frame_address(pfn);
    const struct account *a = &env->owner.account;
    uint32_t lists = list_length(&env->spaces) + list_length(&env->vcpus) + list_length(&env->children);

    expect(a->used == note(pfn)->frames, "account %u: %u frames are charged to it, counted as %lu", pfn,
           note(pfn)->frames, (unsigned long)a->used);
    expect(a->reserved == note(pfn)->limits, "account %u: its children's limits are %lu, counted as %lu", pfn,
           (unsigned long)note(pfn)->limits, (unsigned long)a->reserved);
    expect(a->used <= a->limit && a->reserved <= a->limit - a->used, "account %u exceeds its limit", pfn);
    expect(a->wanted == ACCOUNT_STEADY || (a->wanted < a->limit && env->state == EXO_ENV_ALIVE),
           "account %u is being lowered from %lu to %lu", pfn, (unsigned long)a->limit,
           (unsigned long)a->wanted);
    expect(!a->reclaim || (env->state == EXO_ENV_ALIVE && a->reclaim == env->nreclaims &&
                           env->reclaim.n > 0 && note(pfn)->marked <= env->reclaim.n),
           "account %u reclaims %u frames, %lu of which were named", pfn, note(pfn)->marked,
           (unsigned long)env->reclaim.n);
    if (a->ended)
        expect(a->limit == a->used + a->reserved && a->limit > 0, "account %u has ended and keeps a share",
               pfn);
    expect(lists == note(pfn)->objects, "env %u: lists hold %u, but %u objects are its", pfn, lists,
           note(pfn)->objects);
}

/* ---- virtual processors --------------------------------------------------------------------------------- */

static const struct list *queue_of(const struct vcpu *vcpu)
{
    switch (vcpu->state) {
    case VCPU_READY:
        return &vcpu->cpu->ready;
    case VCPU_SENDING:
        return &vcpu->peer->senders;
    case VCPU_CALLING:
        return &vcpu->peer->callers;
    default:
        return NULL;
    }
}

static bool may_wait(const struct vcpu *vcpu)
{
    return vcpu->state == VCPU_WAITING || vcpu->state == VCPU_RECEIVING || vcpu->state == VCPU_SENDING ||
           vcpu->state == VCPU_CALLING;
}

static void check_peers(const struct vcpu *callee, const struct list *peers, enum vcpu_state state)
{
    uint32_t nfar = 0;

    for (const struct list *at = peers->next; at != peers && ok(); at = at->next) {
        const struct vcpu *caller = list_entry(at, struct vcpu, queue);

        nfar += caller->far;

        expect(is_object(caller, EXO_FRAME_VCPU) && caller->state == state && caller->peer == callee,
               "vcpu %u: somebody in its queue is not its caller", frame_of(callee));
        expect(state != VCPU_SENDING || caller->far || caller->cpu == callee->cpu,
               "vcpu %u: a message from another CPU is not marked", frame_of(callee));
    }
    expect(state != VCPU_SENDING || nfar == callee->nfar, "vcpu %u: %u messages from afar, counted as %u",
           frame_of(callee), nfar, callee->nfar);
}

void audit_check_vcpu(pfn_t pfn)
{
    const struct vcpu *vcpu = frame_address(pfn);
    const struct env *env = vcpu->env;
    const struct list *queue;

    if (!expect(is_object(env, EXO_FRAME_ENV) && payer(pfn) == env && on_list(&env->vcpus, &vcpu->in_env),
                "vcpu %u: its environment", pfn))
        return;
    note(frame_of(env))->objects++;
    if (expect(is_object(vcpu->space, EXO_FRAME_SPACE) && vcpu->space->account == &env->owner.account,
               "vcpu %u: the space that it runs in", pfn))
        note(frame_of(vcpu->space))->objects++;
    if (!vcpu->page_pfn)
        expect(env->state == EXO_ENV_ENDED && !vcpu->page, "vcpu %u has no shared page", pfn);
    else if (expect(frame_is(vcpu->page_pfn, EXO_FRAME_USER) && vcpu->page == frame_address(vcpu->page_pfn),
                    "vcpu %u: its shared page", pfn))
        note(frame_head(vcpu->page_pfn))->refs++;
    expect(env->state == EXO_ENV_ENDED ? vcpu->state == VCPU_DEAD || !list_empty(&env->in_endings)
                                       : vcpu->state != VCPU_DEAD,
           "vcpu %u: state %u, its environment's %u", pfn, vcpu->state, env->state);
    expect(vcpu->state != VCPU_RUNNING || !vcpu_ended(vcpu) || vcpu->cpu->evict, "vcpu %u has ended and runs",
           pfn);
    expect(vcpu->state != VCPU_RUNNING || !vcpu_ended(vcpu) || !list_empty(&env->in_endings),
           "vcpu %u has ended and runs, and nobody waits for it", pfn);
    if (vcpu->state == VCPU_DEAD && list_empty(&env->in_endings))
        expect(list_empty(&vcpu->senders) && list_empty(&vcpu->callers),
               "vcpu %u is dead, and who waits for it will not hear of it", pfn);
    expect((vcpu->cpu->current == vcpu) == (vcpu->state == VCPU_RUNNING), "vcpu %u: running, or not", pfn);
    if (vcpu->state == VCPU_SENDING || vcpu->state == VCPU_CALLING)
        if (!expect(is_object(vcpu->peer, EXO_FRAME_VCPU) && vcpu->peer != vcpu, "vcpu %u: calls nobody",
                    pfn))
            return;
    queue = queue_of(vcpu);
    expect(queue ? on_list(queue, &vcpu->queue) : list_empty(&vcpu->queue), "vcpu %u of state %u: its queue",
           pfn, vcpu->state);
    expect(may_wait(vcpu) || !deadline_is_set(&vcpu->deadline), "vcpu %u of state %u has a deadline", pfn,
           vcpu->state);
    check_peers(vcpu, &vcpu->senders, VCPU_SENDING);
    check_peers(vcpu, &vcpu->callers, VCPU_CALLING);
    expect(vcpu->state != VCPU_DEAD || (vcpu->nirqs == 0 && vcpu->nslots == 0),
           "vcpu %u is dead and keeps lines", pfn);
    expect(!vcpu->far || vcpu->state == VCPU_SENDING, "vcpu %u of state %u: its message is far", pfn,
           vcpu->state);
    expect(vcpu->cpu >= cpus && vcpu->cpu < cpus + ncpus && frame_look(pfn)->entries == vcpu->cpu->id,
           "vcpu %u: its CPU", pfn);
    expect(list_empty(&vcpu->in_inbox) || on_list(&vcpu->cpu->inbox, &vcpu->in_inbox), "vcpu %u: its note",
           pfn);
}
