#include "irq.h"

#include "event.h"

#define LINES_MAX 1020u

static struct {
    struct vcpu *vcpu; /* NULL: nobody */
    uint8_t bit;
} lines[LINES_MAX];

int irq_bind(uint32_t line, struct vcpu *vcpu, unsigned bit)
{
    if (line >= LINES_MAX || !arch_irq_usable(line))
        return -EXO_EINVAL;
    if (lines[line].vcpu)
        return -EXO_EBUSY;
    lines[line].vcpu = vcpu;
    lines[line].bit = (uint8_t)bit;
    vcpu->nirqs++;
    arch_irq_enable(line);
    return 0;
}

static bool bound_to(uint32_t line, const struct env *env)
{
    return line < LINES_MAX && lines[line].vcpu && lines[line].vcpu->env == env;
}

static void release(uint32_t line)
{
    arch_irq_disable(line);
    lines[line].vcpu->nirqs--;
    lines[line].vcpu = NULL;
}

int irq_unbind(uint32_t line, const struct env *env)
{
    if (!bound_to(line, env))
        return -EXO_ESTATE;
    release(line);
    return 0;
}

int irq_ack(uint32_t line, const struct env *env)
{
    if (!bound_to(line, env))
        return -EXO_ESTATE;
    arch_irq_enable(line);
    return 0;
}

void irq_vcpu_end(struct vcpu *vcpu)
{
    for (uint32_t line = 0; vcpu->nirqs && line < LINES_MAX; line++)
        if (lines[line].vcpu == vcpu)
            release(line);
}

void irq_arrived(uint32_t line)
{
    cpu_this()->info->interrupts++;
    if (line >= LINES_MAX)
        return;
    arch_irq_disable(line);
    if (lines[line].vcpu)
        event_post_urgent(lines[line].vcpu, 1ull << lines[line].bit);
}

struct vcpu *irq_holder(uint32_t line)
{
    return line < LINES_MAX ? lines[line].vcpu : NULL;
}
