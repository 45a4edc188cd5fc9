#include "slice.h"

#include "panic.h"

#define EXPIRIES_AT_ONCE 32u
#define SKIPS_AT_ONCE 32u     /* ended ones in the ready list, passed over with interrupts off */
#define ENDINGS_IN_A_SLOT 16u /* how often peers of ended ones are told meanwhile */

bool (*slice_expired)(struct vcpu *vcpu);

void slice_init(struct cpu *cpu)
{
    cpu->timer_at = EXO_FOREVER;
    cpu->resched = 1; /* nobody has been chosen yet */
    cpu->slot_ticks = arch_time_hz() * SLOT_US / 1000000;
    cpu->info->since = arch_time();
}

static void timer_at(struct cpu *cpu, uint64_t deadline)
{
    if (cpu->timer_at == deadline)
        return;
    cpu->timer_at = deadline;
    arch_timer_set(deadline);
}

/* True: the slot was over, and another has begun. */
static bool slot_update(struct cpu *cpu, uint64_t now)
{
    uint64_t number;

    if (now < cpu->slot_end)
        return false;
    cpu->lent = false;
    number = now / cpu->slot_ticks;
    cpu->slot_end = (number + 1) * cpu->slot_ticks;
    cpu->info->slot = number % CPU_SLOTS;
    return true;
}

static struct vcpu *slot_owner(const struct cpu *cpu)
{
    return cpu->nowned ? cpu->slots[cpu->info->slot].owner : NULL;
}

/* Besides this one in the ready list. */
static bool others_wait(const struct vcpu *vcpu)
{
    return vcpu->queue.next != vcpu->queue.prev;
}

/* Besides the current vcpu, which was alone before or was not, another is ready: the timer tells the slot's end. */
static inline __attribute__((always_inline)) void tick(struct cpu *cpu, bool alone)
{
    if (alone) /* else the timer is set to the slot's end, and if that is past, is about to say so */
        slot_update(cpu, arch_time());
    if (cpu->timer_at > cpu->slot_end)
        timer_at(cpu, cpu->slot_end);
}

static void woken(struct vcpu *vcpu)
{
    struct cpu *cpu = vcpu->cpu;

    if (cpu != cpu_this()) {
        arch_cpu_kick(cpu);
        return;
    }
    if (!cpu->current)
        return; /* whoever picks will see it */
    tick(cpu, !others_wait(vcpu));
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

static inline bool put_first(struct vcpu *vcpu)
{
    bool may = may_run(vcpu);

    if (may)
        list_add_head(&vcpu->cpu->ready, &vcpu->queue);
    return may;
}

void slice_ready_first(struct vcpu *vcpu)
{
    if (put_first(vcpu))
        woken(vcpu);
}

/* The current vcpu's time is another's, as by a fast path, but that upcalls are looked at on the way out; it goes on right after. */
static void borrow(struct cpu *cpu, struct vcpu *to)
{
    struct vcpu *from = cpu->current;
    bool alone = list_empty(&cpu->ready);

    from->state = VCPU_READY;
    list_add_head(&cpu->ready, &from->queue);
    tick(cpu, alone);
    cpu->lent = false;
    cpu->borrows = true;
    slice_switch(cpu, from, to);
    if (fp_matters(cpu, to))
        fp_follow(cpu, to);
}

void slice_urgent(struct vcpu *vcpu)
{
    struct cpu *cpu = vcpu->cpu;

    if (slice_is_quiet(cpu) && cpu->current && !cpu->resched && slice_is_sound(cpu, vcpu)) {
        borrow(cpu, vcpu);
        return;
    }
    if (!cpu->current || slot_owner(cpu) == cpu->current) {
        put_first(vcpu);
        cpu->resched = 1;
        return;
    }
    put_first(slice_leave()); /* it goes on right after */
    slice_run(vcpu);
    cpu->borrows = true;
}

struct vcpu *slice_leave(void)
{
    struct cpu *cpu = cpu_this();
    struct vcpu *vcpu = cpu->current;

    cpu->current = NULL;
    cpu->lent = false;
    cpu->borrows = false;
    cpu->resched = 1;
    slice_account(cpu, vcpu->ticks);
    return vcpu;
}

void slice_run(struct vcpu *vcpu)
{
    struct cpu *cpu = vcpu->cpu;

    ASSERT(cpu->current == NULL && cpu == cpu_this());
    slice_enter(cpu, vcpu);
    if (fp_matters(cpu, vcpu))
        fp_follow(cpu, vcpu);
}

__attribute__((noinline)) struct vcpu *slice_unsound(struct vcpu *current, struct vcpu *to,
                                                     switch_call *again, switch_call *long_way)
{
    struct cpu *cpu = cpu_this();

    if (vcpu_is_remote(to) || vcpu_ended(to) || !space_has_asid(cpu, to->space))
        return long_way(current);
    __atomic_store_n(&to->sound, cpu->epoch, __ATOMIC_RELAXED);
    return again(current);
}

void slice_lend(struct vcpu *to)
{
    slice_run(to);
    to->cpu->lent = true;
}

/* A slot's owner takes it over from whoever else runs. */
static void enforce_slot(struct cpu *cpu)
{
    struct vcpu *owner = slot_owner(cpu);

    if (!owner || owner == cpu->current || cpu->lent || owner->state != VCPU_READY || vcpu_ended(owner))
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

/* A slot has ended: whose it was waits for his next turn.  Who came for an interrupt goes on, once. */
static void turn(struct cpu *cpu)
{
    if (!cpu->current || list_empty(&cpu->ready))
        return;
    if (cpu->borrows) {
        struct list *first = cpu->ready.next;

        list_remove(first);
        list_add_tail(&cpu->ready, first);
        cpu->borrows = false;
    } else {
        slice_ready(slice_leave());
    }
}

bool slice_pick(void)
{
    struct cpu *cpu = cpu_this();
    struct vcpu *next;

    if (cpu->nowned) {
        if (slot_update(cpu, arch_time()))
            turn(cpu);
        enforce_slot(cpu);
    }
    if (cpu->current)
        return true;
    slot_update(cpu, cpu->info->since);
    next = first_ready(cpu);
    if (!next)
        return false;
    vcpu_unqueue(next);
    slice_run(next);
    return true;
}

void slice_sleep(void)
{
    struct cpu *cpu = cpu_this();

    cpu->info->running.env = 0;
    cpu->info->running.vcpu = 0;
    if (cpu->loaded)
        space_unload();
    slice_arm();
    if (cpu->trace.wanted || cpu->traced)
        trace_idle(cpu);
    local_leave();
    arch_wait_for_irq();
    local_enter();
    slice_account(cpu, &cpu->info->idle_ticks);
}

void slice_evict(void)
{
    struct cpu *cpu = cpu_this();

    cpu->evict = false;
    if (cpu->current && vcpu_ended(cpu->current))
        slice_leave()->state = VCPU_STOPPED;
}

void slice_arm(void)
{
    struct cpu *cpu = cpu_this();
    uint64_t at = cpu->deadlines.first ? cpu->deadlines.first->at : EXO_FOREVER;

    if (!list_empty(&cpu->ready) && cpu->current)
        at = min_u64(at, cpu->slot_end); /* it may be over, however much is called meanwhile: then at once */
    if (!list_empty(&cpu->endings))      /* whoever runs, peers hear of it */
        at = min_u64(at, arch_time() + cpu->slot_ticks / ENDINGS_IN_A_SLOT);
    timer_at(cpu, at);
}

static void expire(struct cpu *cpu, uint64_t now)
{
    for (unsigned i = 0; i < EXPIRIES_AT_ONCE; i++) {
        struct deadline *first = cpu->deadlines.first;

        if (!first || first->at > now)
            break;
        if (!slice_expired(container_of(first, struct vcpu, deadline))) {
            cpu->overdue = true;
            cpu_attend(cpu);
            break;
        }
    }
}

void slice_timer(void)
{
    struct cpu *cpu = cpu_this();
    uint64_t now = arch_time();
    bool slot_over = now >= cpu->slot_end;

    expire(cpu, now);
    slot_update(cpu, now);
    if (slot_over)
        turn(cpu);
    cpu->timer_at = 0; /* it fired: whatever it is set to next is news, */
    cpu->resched = 1;  /* and that is on the way out */
    if (!list_empty(&cpu->endings))
        cpu_attend(cpu);
}

void slice_overdue(void)
{
    struct cpu *cpu = cpu_this();

    cpu->overdue = false;
    expire(cpu, arch_time());
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
    if (cpu != cpu_this())
        arch_cpu_kick(cpu);
    return 0;
}

void slice_disown_all(struct vcpu *vcpu)
{
    for (uint32_t i = 0; vcpu->nslots && i < CPU_SLOTS; i++)
        if (vcpu->cpu->slots[i].owner == vcpu)
            slice_own(vcpu->cpu, i, NULL);
}
