#include "lock.h"

#include "cpu.h"
#include "panic.h"

__attribute__((noinline, cold)) void lock_wait(struct exo_lock *lock, uint32_t ticket)
{
    struct exo_cpu_info *info = cpu_this()->info;

    info->contended[lock->rank]++;
    while (__atomic_load_n(&lock->served, __ATOMIC_ACQUIRE) != ticket)
        arch_relax();
    lock->contended++;
#ifdef EXO_CHECKED
    lock_note_taken(lock);
#endif
}

#ifdef EXO_CHECKED

/* Of one rank only CPUs' locks (all of them, upwards) and two spaces' may be held together. */
static bool may_follow(const struct exo_lock *lock, const struct exo_lock *last)
{
    if (lock->rank != last->rank)
        return lock->rank > last->rank;
    return (lock->rank == EXO_LOCK_CPU || lock->rank == EXO_LOCK_SPACE) && lock > last;
}

bool lock_is_mine(const struct exo_lock *lock)
{
    return lock->holder == cpu_this()->id + 1;
}

void lock_check_take(const struct exo_lock *lock)
{
    struct cpu *cpu = cpu_this();

    if (lock->rank == EXO_LOCK_NONE)
        return;
    if (lock_is_mine(lock))
        panic("lock of rank %u taken twice by CPU %u", lock->rank, cpu->id);
    if (cpu->nheld && !may_follow(lock, cpu->held[cpu->nheld - 1]))
        panic("lock of rank %u taken after one of rank %u by CPU %u", lock->rank,
              cpu->held[cpu->nheld - 1]->rank, cpu->id);
    if (cpu->nheld == CPU_HELD_MAX)
        panic("CPU %u holds %u locks", cpu->id, cpu->nheld);
    if (!arch_irqs_off())
        panic("lock of rank %u taken with interrupts on", lock->rank);
}

void lock_note_taken(struct exo_lock *lock)
{
    struct cpu *cpu = cpu_this();

    if (lock->rank == EXO_LOCK_NONE)
        return;
    lock->holder = (uint8_t)(cpu->id + 1);
    cpu->held[cpu->nheld++] = lock;
}

void lock_note_dropped(struct exo_lock *lock)
{
    struct cpu *cpu = cpu_this();
    unsigned i = cpu->nheld;

    if (lock->rank == EXO_LOCK_NONE)
        return;
    if (!lock_is_mine(lock))
        panic("lock of rank %u dropped by CPU %u, held by %d", lock->rank, cpu->id, lock->holder - 1);
    lock->holder = 0;
    while (cpu->held[--i] != lock)
        ;
    for (cpu->nheld--; i < cpu->nheld; i++)
        cpu->held[i] = cpu->held[i + 1];
}

#endif
