#include "fp.h"

void fp_trap(void)
{
    struct cpu *cpu = cpu_this();
    struct vcpu *vcpu = cpu->current;

    /* With turns left, this is the one without: it still uses them. */
    vcpu->fp_grant = vcpu->fp_turns ? (uint8_t)min_u64(2 * vcpu->fp_grant, FP_TURNS_MAX) : FP_TURNS_FIRST;
    vcpu->fp_turns = vcpu->fp_grant;
    fp_enable(cpu, true);
    if (cpu->fp_owner != vcpu)
        fp_take(cpu, vcpu);
}
