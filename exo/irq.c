#include "irq.h"

#include "event.h"
#include "msi.h"

#define RELEASED_AT_ONCE 8u /* of an ended vcpu's lines: a message line costs the controller some commands */

static struct irq *lines;
static struct exo_line *shown;

static uint32_t wired(void)
{
    return arch_irq_count();
}

/* Message lines that lie among the wired ones have no rows of their own. */
static uint32_t beyond(void)
{
    const struct arch_msi *msi = arch_msi();

    return msi->first >= wired() ? msi->nlines : 0;
}

uint32_t irq_rows(void)
{
    return wired() + beyond();
}

uint32_t irq_limit(void)
{
    return beyond() ? arch_msi()->first + beyond() : wired();
}

void irq_init(struct irq *table, struct exo_line *rows)
{
    lines = table;
    shown = rows;
    for (uint32_t row = 0; row < irq_rows(); row++) {
        lines[row].line = row < wired() ? row : arch_msi()->first + (row - wired());
        shown[row].line = lines[row].line;
    }
}

struct irq *irq_of(uint32_t line)
{
    uint32_t first = arch_msi()->first;

    if (line < wired())
        return &lines[line];
    return line >= first && line - first < beyond() ? &lines[wired() + (line - first)] : NULL;
}

static struct exo_line *shown_of(const struct irq *irq)
{
    return &shown[irq - lines];
}

void irq_attach(struct irq *irq, struct vcpu *vcpu, unsigned bit)
{
    irq->vcpu = vcpu;
    irq->bit = (uint8_t)bit;
    irq->masked = false;
    list_add_tail(&vcpu->lines, &irq->in_vcpu);
    vcpu->nirqs++;
    shown_of(irq)->env = env_frame(vcpu->env);
    arch_irq_enable(irq->line);
}

int irq_bind(uint32_t line, struct vcpu *vcpu, unsigned bit)
{
    struct irq *irq = irq_of(line);

    if (!irq || msi_raises(line) || !arch_irq_usable(line))
        return -EXO_EINVAL;
    if (irq->vcpu)
        return -EXO_EBUSY;
    arch_irq_route(line, vcpu->cpu);
    irq_attach(irq, vcpu, bit);
    return 0;
}

static struct irq *bound_to(uint32_t line, const struct env *env)
{
    struct irq *irq = irq_of(line);

    return irq && irq->vcpu && irq->vcpu->env == env ? irq : NULL;
}

static void release(struct irq *irq)
{
    arch_irq_disable(irq->line);
    msi_released(irq);
    list_remove(&irq->in_vcpu);
    irq->vcpu->nirqs--;
    irq->vcpu = NULL;
    shown_of(irq)->env = 0;
}

int irq_unbind(uint32_t line, const struct env *env)
{
    struct irq *irq = bound_to(line, env);

    if (!irq)
        return -EXO_ESTATE;
    release(irq);
    return 0;
}

int irq_ack(uint32_t line, const struct env *env)
{
    struct irq *irq = bound_to(line, env);

    if (!irq)
        return -EXO_ESTATE;
    irq->masked = false;
    arch_irq_enable(line);
    return 0;
}

bool irq_vcpu_end(struct vcpu *vcpu)
{
    for (unsigned i = 0; vcpu->nirqs && i < RELEASED_AT_ONCE; i++)
        release(list_entry(vcpu->lines.next, struct irq, in_vcpu));
    return vcpu->nirqs == 0;
}

void irq_arrived(uint32_t line)
{
    struct irq *irq = irq_of(line);

    cpu_this()->info->interrupts++;
    if (!irq)
        return;
    arch_irq_disable(line);
    shown_of(irq)->count++;
    if (irq->vcpu) {
        irq->masked = true;
        event_post_urgent(irq->vcpu, 1ull << irq->bit);
    }
}

struct vcpu *irq_holder(uint32_t line)
{
    const struct irq *irq = irq_of(line);

    return irq ? irq->vcpu : NULL;
}

const struct irq *irq_row(uint32_t row)
{
    return &lines[row];
}

uint64_t irq_bits(uint32_t line)
{
    const struct irq *irq = irq_of(line);

    return irq && irq->vcpu ? 1ull << irq->bit : 0;
}
