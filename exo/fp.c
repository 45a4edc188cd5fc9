#include "fp.h"

/* On while they are the current vcpu's. */
static inline void enable(struct cpu *cpu, bool on)
{
    if (cpu->fp_on == on)
        return;
    cpu->fp_on = on;
    arch_fp_enable(on);
}

/* They become another's. */
static inline __attribute__((always_inline)) void take(struct cpu *cpu, struct vcpu *vcpu)
{
    struct vcpu *from = cpu->fp_owner;

    cpu->fp_owner = vcpu;
    vcpu->fp_owner = true;
    if (from)
        from->fp_owner = false;
    arch_fp_switch(from ? &from->fp : NULL, &vcpu->fp);
}

static inline __attribute__((always_inline)) void follow(struct cpu *cpu, struct vcpu *to)
{
    unsigned turns = to->fp_turns;

    if (to->fp_owner || !turns) {
        enable(cpu, to->fp_owner);
        return;
    }
    to->fp_turns = (uint8_t)(turns - 1);
    if (turns <= 2) { /* the turn without; and if it did not ask in that, none */
        enable(cpu, false);
        return;
    }
    enable(cpu, true);
    take(cpu, to);
}

__attribute__((noinline)) void fp_follow(struct cpu *cpu, struct vcpu *to)
{
    follow(cpu, to);
}

__attribute__((noinline)) struct vcpu *fp_hand_over(struct vcpu *to, struct cpu *cpu)
{
    follow(cpu, to);
    lock_drop(&cpu->lock);
    return to;
}

__attribute__((noinline)) struct vcpu *fp_trap(void)
{
    struct cpu *cpu = cpu_this();
    struct vcpu *vcpu;

    local_enter();
    vcpu = cpu->current;
    /* With turns left, this is the one without: it still uses them. */
    vcpu->fp_grant = vcpu->fp_turns ? (uint8_t)min_u64(2 * vcpu->fp_grant, FP_TURNS_MAX) : FP_TURNS_FIRST;
    vcpu->fp_turns = vcpu->fp_grant;
    enable(cpu, true);
    if (!vcpu->fp_owner)
        take(cpu, vcpu);
    return NULL;
}
