#include "trap.h"

#include "slice.h"

static bool masked(const struct vcpu *vcpu)
{
    return ((const volatile struct exo_vcpu_page *)vcpu->page)->upcall_masked;
}

void trap_page_fault(uint64_t va, unsigned wanted)
{
    struct vcpu *vcpu = cpu_this()->current;
    struct binding binding;

    if (va < system_info->user_top && space_lookup(vcpu->space, va, &binding))
        wanted |= EXO_ACCESS_BOUND;
    if (masked(vcpu))
        env_end(vcpu->env, EXO_END_FAULT, wanted, vcpu->regs.pc, va);
    else
        vcpu_upcall(vcpu, EXO_UPCALL_FAULT, va, wanted);
}

void trap_exception(enum exo_exception kind, uint64_t syndrome)
{
    struct vcpu *vcpu = cpu_this()->current;

    if (masked(vcpu))
        env_end(vcpu->env, EXO_END_EXCEPTION, kind, vcpu->regs.pc, syndrome);
    else
        vcpu_upcall(vcpu, EXO_UPCALL_EXCEPTION, kind, syndrome);
}

static void fp_switch(struct cpu *cpu, bool on)
{
    if (cpu->fp_on == on)
        return;
    cpu->fp_on = on;
    arch_fp_enable(on);
}

void trap_fp(void)
{
    struct cpu *cpu = cpu_this();
    struct vcpu *vcpu = cpu->current;

    fp_switch(cpu, true);
    if (cpu->fp_owner == vcpu)
        return;
    if (cpu->fp_owner)
        arch_fp_save(&cpu->fp_owner->fp);
    arch_fp_load(&vcpu->fp);
    cpu->fp_owner = vcpu;
}

struct vcpu *trap_leave(void)
{
    struct cpu *cpu = cpu_this();

    for (;;) {
        if (!list_empty(&cpu->endings))
            env_endings_step();
        if (!cpu->current || cpu->nowned)
            slice_pick();
        vcpu_upcall_pending(cpu->current);
        if (cpu->current)
            break;
        arch_irq_dispatch(); /* it could not take its upcall: the next, and interrupts in between */
    }
    space_load(cpu->current->space);
    fp_switch(cpu, cpu->fp_owner == cpu->current);
    arch_set_vcpu_pointer(cpu->current->page_va);
    slice_arm();
    cpu->info->calls = cpu->calls;
    cpu->resched = 0;
    return cpu->current;
}
