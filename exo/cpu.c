#include "cpu.h"

#include "panic.h"

struct cpu cpus[EXO_CPUS_MAX];
unsigned ncpus;

struct cpu *cpu_next(void)
{
    struct cpu *cpu = &cpus[ncpus];

    ASSERT(ncpus < EXO_CPUS_MAX);
    cpu->id = ncpus;
    cpu->epoch = (uint64_t)ncpus << 48 | 1;
    cpu->lock.rank = EXO_LOCK_CPU;
    cpu->inbox_lock.rank = EXO_LOCK_INBOX;
    list_init(&cpu->ready);
    list_init(&cpu->endings);
    list_init(&cpu->inbox);
    return cpu;
}

void cpu_online(void)
{
    ncpus++;
}

__attribute__((noinline, cold)) void world_enter(void)
{
    lock_take(lock_shared(EXO_LOCK_WORLD));
    for (unsigned i = 0; i < ncpus; i++) {
        lock_take(&cpus[i].lock);
        cpus[i].epoch++;
    }
    cpu_this()->world = true;
}

__attribute__((noinline, cold)) void world_leave(void)
{
    struct cpu *cpu = cpu_this();

    cpu->world = false;
    for (unsigned i = ncpus; i-- > 0;)
        if (&cpus[i] != cpu)
            lock_drop(&cpus[i].lock);
    lock_drop(lock_shared(EXO_LOCK_WORLD));
}

__attribute__((noinline, cold)) void world_upgrade(void)
{
    local_leave();
    world_enter();
}

/* ---- from boot to the first program ----------------------------------------------------------------------------- */

static bool going; /* atomic */

void cpus_go(void)
{
    __atomic_store_n(&going, true, __ATOMIC_RELEASE);
    for (unsigned i = 1; i < ncpus; i++)
        arch_cpu_kick(&cpus[i]);
}

void cpu_wait_to_go(void)
{
    while (!__atomic_load_n(&going, __ATOMIC_ACQUIRE)) {
        arch_wait_for_irq();
        arch_irq_dispatch();
    }
    local_enter();
}

void cpu_kicked(void)
{
    struct cpu *cpu = cpu_this();

    cpu->info->interrupts++;
    cpu->info->kicks++;
    cpu->resched = 1; /* what there is to do is seen in trap_leave() */
}
