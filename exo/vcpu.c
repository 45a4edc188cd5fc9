#include "vcpu.h"

#include "panic.h"

pfn_t vcpu_frame(const struct vcpu *vcpu)
{
    return paddr_to_pfn(virt_to_phys(vcpu));
}

struct vcpu *vcpu_of(const struct cap *cap)
{
    return frame_address(cap->object);
}

static int shared_page(struct space *space, uint64_t va, pfn_t *out)
{
    struct binding binding;

    if (!space_range_ok(va, 1))
        return -EXO_ERANGE;
    if (!space_lookup(space, va, &binding))
        return -EXO_EUNBOUND;
    if (!(binding.max & EXO_PROT_WRITE))
        return -EXO_ERIGHTS;
    if (binding.memory != MEMORY_NORMAL || frame_entry(binding.pfn)->kind != EXO_FRAME_USER)
        return -EXO_EINVAL;
    if (!frame_ref_possible(binding.pfn))
        return -EXO_EFULL;
    *out = binding.pfn;
    return 0;
}

int vcpu_new(struct env *env, struct cpu *cpu, struct space *space, uint64_t va, struct vcpu **out)
{
    struct vcpu *vcpu;
    pfn_t page, pfn;
    int rc = shared_page(space, va, &page);

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
    list_add_tail(&env->vcpus, &vcpu->in_env);
    arch_fp_init(&vcpu->fp);
    vcpu->page->self = va;
    vcpu->page->cpu = cpu->id;
    *out = vcpu;
    return 0;
}

void vcpu_free(struct vcpu *vcpu)
{
    ASSERT(vcpu->state == VCPU_DEAD && list_empty(&vcpu->queue));
    if (vcpu->cpu->fp_owner == vcpu)
        vcpu->cpu->fp_owner = NULL;
    list_remove(&vcpu->in_env);
    vcpu->space->nvcpus--;
    frame_unref(vcpu->page_pfn);
    frame_free(vcpu_frame(vcpu));
}

void vcpu_enter(struct vcpu *vcpu, struct space *space)
{
    vcpu->space->nvcpus--;
    vcpu->space = space;
    space->nvcpus++;
}

void vcpu_unqueue(struct vcpu *vcpu)
{
    list_remove(&vcpu->queue);
    deadline_remove(&vcpu->cpu->deadlines, &vcpu->deadline);
}

void vcpu_result(struct vcpu *vcpu, int64_t result)
{
    vcpu->regs.x[0] = (uint64_t)result;
    for (unsigned i = 1; i <= 7; i++)
        vcpu->regs.x[i] = 0;
}

void vcpu_upcall(struct vcpu *vcpu, enum exo_reason reason, uint64_t info, uint64_t detail)
{
    struct exo_vcpu_page *page = vcpu->page;
    uint64_t entry = page->upcall_entry;

    if (entry == 0) {
        env_end(vcpu->env, EXO_END_UPCALL, reason, vcpu->regs.pc, info);
        return;
    }
    regs_copy(&page->regs, &vcpu->regs);
    page->reason = reason;
    page->info = info;
    page->detail = detail;
    page->upcall_masked = 1;
    vcpu->cpu->info->upcalls++;
    arch_regs_upcall(&vcpu->regs, entry, page->upcall_sp, reason, info, detail);
}

void vcpu_upcall_pending(struct vcpu *vcpu)
{
    const volatile struct exo_vcpu_page *page = vcpu->page;
    uint64_t due = page->events & page->upcall_events;

    if (due && !page->upcall_masked)
        vcpu_upcall(vcpu, EXO_UPCALL_EVENT, due, 0);
}
