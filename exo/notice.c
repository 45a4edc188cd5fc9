#include "notice.h"

#include "vcpu.h"

#define VCPUS_LOOKED_AT 16u
#define BIT(kind) (1u << (kind))

struct vcpu *notice_vcpu(const struct env *env)
{
    const struct list *at = env->vcpus.next;
    struct vcpu *first = NULL;

    for (unsigned i = 0; i < VCPUS_LOOKED_AT && at != &env->vcpus; i++, at = at->next) {
        struct vcpu *vcpu = list_entry(at, struct vcpu, in_env);

        if (vcpu->state == VCPU_STOPPED || vcpu_ended(vcpu))
            continue;
        if (!((const volatile struct exo_vcpu_page *)vcpu->page)->upcall_masked)
            return vcpu;
        first = first ? first : vcpu;
    }
    return first;
}

void notice_frames(struct vcpu *vcpu)
{
    vcpu->notices.due |= BIT(EXO_REVOKE_FRAMES);
}

void notice_taken(struct vcpu *vcpu, uint64_t npages)
{
    struct notices *n = &vcpu->notices;

    n->taken = npages + (n->due & BIT(EXO_REVOKE_TAKEN) ? n->taken : 0);
    n->due |= BIT(EXO_REVOKE_TAKEN);
}

bool notice_pages(struct vcpu *vcpu, uint64_t space, uint64_t va, uint64_t n, uint64_t deadline)
{
    struct notice_range *r = &vcpu->notices.pages;

    if (!(vcpu->notices.due & BIT(EXO_REVOKE_PAGES)))
        *r = (struct notice_range){.space = space, .va = va, .npages = n, .deadline = deadline};
    vcpu->notices.due |= BIT(EXO_REVOKE_PAGES);
    if (r->space != space || va < r->va || va > r->va + r->npages * PAGE_SIZE)
        return false;
    r->npages = max_u64(r->npages, ((va - r->va) >> PAGE_SHIFT) + n);
    r->deadline = min_u64(r->deadline, deadline);
    return true;
}

void notice_gone(struct vcpu *vcpu, uint64_t space, uint64_t va, uint64_t n)
{
    struct notice_range *r = &vcpu->notices.gone;
    uint64_t end = va + n * PAGE_SIZE;

    if (vcpu->notices.due & BIT(EXO_REVOKE_GONE)) {
        end = max_u64(end, r->va + r->npages * PAGE_SIZE);
        va = min_u64(va, r->va);
        space = space == r->space ? space : EXO_REVOKE_ANYWHERE;
    }
    *r = (struct notice_range){.space = space, .va = va, .npages = (end - va) >> PAGE_SHIFT};
    vcpu->notices.due |= BIT(EXO_REVOKE_GONE);
}

static void tell(struct vcpu *vcpu, const struct notice_range *r)
{
    vcpu->page->revoke = (struct exo_revoke){.deadline = r->deadline, .va = r->va, .space = r->space};
}

/* 0: what was asked for is there by now. */
static uint64_t frames_wanted(const struct account *account)
{
    uint64_t allows = account_allows(account), in_use = account_in_use(account);

    return in_use > allows ? in_use - allows : 0;
}

bool notice_take(struct vcpu *vcpu, uint64_t *kind, uint64_t *number)
{
    struct notices *n = &vcpu->notices;

    while (n->due) {
        *kind = (unsigned)__builtin_ctz(n->due);
        n->due &= n->due - 1;
        switch (*kind) {
        case EXO_REVOKE_FRAMES:
            *number = frames_wanted(&vcpu->env->owner.account);
            if (*number == 0)
                continue;
            tell(vcpu, &(struct notice_range){.deadline = vcpu->env->revocation.deadline});
            return true;
        case EXO_REVOKE_TAKEN:
            *number = n->taken;
            tell(vcpu, &(struct notice_range){0});
            return true;
        default:
            *number = (*kind == EXO_REVOKE_PAGES ? &n->pages : &n->gone)->npages;
            tell(vcpu, *kind == EXO_REVOKE_PAGES ? &n->pages : &n->gone);
            return true;
        }
    }
    return false;
}
