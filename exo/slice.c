#include "slice.h"

#include "panic.h"

#define EXPIRIES_AT_ONCE 32u
#define SKIPS_AT_ONCE 32u     /* ended ones in the ready list, passed over with interrupts off */
#define ENDINGS_IN_A_SLOT 16u /* how often peers of ended ones are told meanwhile */

void (*slice_expired)(struct vcpu *vcpu);

void slice_init(struct cpu *cpu)
{
    list_init(&cpu->ready);
    list_init(&cpu->endings);
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

/* Not one that ended: that one stands still until it is DEAD. */
static bool may_run(struct vcpu *vcpu)
{
    bool may = !vcpu_ended(vcpu);

    vcpu->state = may ? VCPU_READY : VCPU_STOPPED;
    return may;
}

void slice_ready(struct vcpu *vcpu)
{
    if (!may_run(vcpu))
        return;
    list_add_tail(&vcpu->cpu->ready, &vcpu->queue);
    woken(vcpu);
}

void slice_ready_first(struct vcpu *vcpu)
{
    if (!may_run(vcpu))
        return;
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

    if (!owner || owner == cpu->current || owner->state != VCPU_READY || vcpu_ended(owner))
        return;
    if (cpu->current)
        slice_ready(slice_leave());
    vcpu_unqueue(owner);
    slice_run(owner);
}

/* The first of the ready list that may run, or NULL.  Those that ended since they came there leave it. */
static struct vcpu *first_ready(struct cpu *cpu)
{
    for (unsigned skipped = 1; !list_empty(&cpu->ready); skipped++) {
        struct vcpu *first = list_entry(cpu->ready.next, struct vcpu, queue);

        if (!vcpu_ended(first))
            return first;
        vcpu_unqueue(first);
        first->state = VCPU_STOPPED;
        if (skipped % SKIPS_AT_ONCE == 0)
            arch_irq_dispatch();
    }
    return NULL;
}

static struct vcpu *idle(struct cpu *cpu)
{
    uint64_t since = arch_time();
    struct vcpu *next;

    cpu->info->running_env = 0;
    while (!(next = first_ready(cpu))) {
        if (!list_empty(&cpu->endings)) {
            env_endings_step();
        } else {
            slice_arm();
            arch_wait_for_irq();
        }
        arch_irq_dispatch();
    }
    cpu->info->idle_ticks += arch_time() - since;
    return next;
}

void slice_pick(void)
{
    struct cpu *cpu = cpu_this();
    struct vcpu *next = cpu->current ? NULL : first_ready(cpu);

    if (!cpu->current && !next)
        next = idle(cpu);
    if (cpu->nowned) {
        slot_update(cpu, arch_time());
        enforce_slot(cpu);
    }
    if (!cpu->current) {
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
    if (!list_empty(&cpu->endings)) /* whoever runs, peers hear of it */
        at = min_u64(at, arch_time() + cpu->slot_ticks / ENDINGS_IN_A_SLOT);
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
