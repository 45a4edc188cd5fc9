#include "slice.h"

#include "panic.h"

#define EXPIRIES_AT_ONCE 32u

void (*slice_expired)(struct vcpu *vcpu);

void slice_init(struct cpu *cpu)
{
    list_init(&cpu->ready);
    cpu->timer_at = EXO_FOREVER;
    cpu->slot_ticks = arch_time_hz() / 1000000 * SLOT_US;
    if (cpu->slot_ticks == 0)
        cpu->slot_ticks = 1;
}

static void timer_at(struct cpu *cpu, uint64_t deadline)
{
    if (cpu->timer_at == deadline)
        return;
    cpu->timer_at = deadline;
    arch_timer_set(deadline);
}

static void slot_update(struct cpu *cpu, uint64_t now)
{
    uint64_t number;

    if (now < cpu->slot_end)
        return;
    number = now / cpu->slot_ticks;
    cpu->slot_end = (number + 1) * cpu->slot_ticks;
    cpu->info->slot = number % CPU_SLOTS;
}

static struct vcpu *slot_owner(const struct cpu *cpu)
{
    return cpu->nowned ? cpu->slots[cpu->info->slot].owner : NULL;
}

static void woken(struct vcpu *vcpu)
{
    struct cpu *cpu = vcpu->cpu;

    if (!cpu->current)
        return; /* whoever picks will see it */
    slot_update(cpu, arch_time());
    if (cpu->timer_at > cpu->slot_end)
        timer_at(cpu, cpu->slot_end);
    if (slot_owner(cpu) == vcpu)
        cpu->resched = 1;
}

void slice_ready(struct vcpu *vcpu)
{
    vcpu->state = VCPU_READY;
    list_add_tail(&vcpu->cpu->ready, &vcpu->queue);
    woken(vcpu);
}

void slice_ready_first(struct vcpu *vcpu)
{
    vcpu->state = VCPU_READY;
    list_add_head(&vcpu->cpu->ready, &vcpu->queue);
    woken(vcpu);
}

void slice_urgent(struct vcpu *vcpu)
{
    struct cpu *cpu = vcpu->cpu;

    if (cpu->current && slot_owner(cpu) != cpu->current)
        slice_ready_first(slice_leave()); /* it goes on right after */
    slice_ready_first(vcpu);
    cpu->resched = 1;
}

struct vcpu *slice_leave(void)
{
    struct cpu *cpu = cpu_this();
    struct vcpu *vcpu = cpu->current;

    cpu->current = NULL;
    cpu->resched = 1;
    return vcpu;
}

void slice_run(struct vcpu *vcpu)
{
    struct cpu *cpu = vcpu->cpu;

    ASSERT(cpu->current == NULL);
    vcpu->state = VCPU_RUNNING;
    cpu->current = vcpu;
    cpu->info->switches++;
    cpu->info->running_env = env_frame(vcpu->env);
}

/* A slot's owner takes it over from whoever else runs. */
static void enforce_slot(struct cpu *cpu)
{
    struct vcpu *owner = slot_owner(cpu);

    if (!owner || owner == cpu->current || owner->state != VCPU_READY)
        return;
    if (cpu->current)
        slice_ready(slice_leave());
    vcpu_unqueue(owner);
    slice_run(owner);
}

static void idle(struct cpu *cpu)
{
    uint64_t since = arch_time();

    cpu->info->running_env = 0;
    while (list_empty(&cpu->ready)) {
        slice_arm();
        arch_wait_for_irq();
        arch_irq_dispatch();
    }
    cpu->info->idle_ticks += arch_time() - since;
}

void slice_pick(void)
{
    struct cpu *cpu = cpu_this();

    if (!cpu->current && list_empty(&cpu->ready))
        idle(cpu);
    if (cpu->nowned) {
        slot_update(cpu, arch_time());
        enforce_slot(cpu);
    }
    if (!cpu->current) {
        struct vcpu *next = list_entry(cpu->ready.next, struct vcpu, queue);

        vcpu_unqueue(next);
        slice_run(next);
    }
}

void slice_arm(void)
{
    struct cpu *cpu = cpu_this();
    uint64_t at = cpu->deadlines.first ? cpu->deadlines.first->at : EXO_FOREVER;

    if (!list_empty(&cpu->ready) && cpu->current) {
        slot_update(cpu, arch_time());
        at = min_u64(at, cpu->slot_end);
    }
    timer_at(cpu, at);
}

void slice_timer(void)
{
    struct cpu *cpu = cpu_this();
    uint64_t now = arch_time();
    bool slot_over = now >= cpu->slot_end;

    for (unsigned i = 0; i < EXPIRIES_AT_ONCE; i++) {
        struct deadline *first = cpu->deadlines.first;

        if (!first || first->at > now)
            break;
        deadline_remove(&cpu->deadlines, first);
        slice_expired(container_of(first, struct vcpu, deadline));
    }
    slot_update(cpu, now);
    if (slot_over && cpu->current && !list_empty(&cpu->ready))
        slice_ready(slice_leave());
    cpu->timer_at = 0; /* it fired: whatever it is set to next is news */
}

int slice_own(struct cpu *cpu, uint32_t slot, struct vcpu *vcpu)
{
    struct vcpu *owner = cpu->slots[slot].owner;

    if (owner && vcpu)
        return -EXO_EBUSY;
    if (owner) {
        owner->nslots--;
        cpu->nowned--;
    }
    cpu->slots[slot].owner = vcpu;
    cpu->info->slot_env[slot] = vcpu ? env_frame(vcpu->env) : 0;
    if (vcpu) {
        vcpu->nslots++;
        cpu->nowned++;
    }
    return 0;
}

void slice_disown_all(struct vcpu *vcpu)
{
    for (uint32_t i = 0; vcpu->nslots && i < CPU_SLOTS; i++)
        if (vcpu->cpu->slots[i].owner == vcpu)
            slice_own(vcpu->cpu, i, NULL);
}
