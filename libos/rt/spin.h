/* Spinlocks between the vcpus of one program, for what takes a few instructions.
 *
 * Who takes one holds signals (os_signals_hold) or is in an upcall, so that nothing but upcalls comes in between on
 * its own vcpu; what an upcall takes (mem.lock) it takes only after a look whether its own vcpu has it.  A holder may
 * be preempted by the kernel: who waits on the same CPU gives it the CPU at once, who waits on another looks a few
 * times and then gives way.
 *
 * Order: sched.lock, then a vcpu's queue lock; all others are taken alone.  mem.lock comes last, since a page fault
 * may come under any of them. */
#ifndef RT_SPIN_H
#define RT_SPIN_H

#include "rt/arch.h"
#include "rt/vcpu.h"

/* spin.c: until the lock is ours. */
void spin_wait(struct rt_spin *lock, const struct rt_vcpu *me);

/* To whoever lent us the rest of its slot so that we come to let go of the lock: otherwise one that finds it held time and
 * again would never run itself. */
void spin_give_back(struct rt_spin *lock);

/* Give the CPU to that vcpu, or to whoever wants it. */
void spin_give_way(unsigned index);

static inline bool spin_try(struct rt_spin *lock, const struct rt_vcpu *me)
{
    uint32_t free = 0;

    return __atomic_compare_exchange_n(&lock->holder, &free, me->index + 1, false, __ATOMIC_ACQUIRE,
                                       __ATOMIC_RELAXED);
}

static inline void spin_lock(struct rt_spin *lock, const struct rt_vcpu *me)
{
    arch_interleave();
    if (!spin_try(lock, me))
        spin_wait(lock, me);
}

static inline void spin_unlock(struct rt_spin *lock)
{
    __atomic_store_n(&lock->holder, 0, __ATOMIC_RELEASE);
    if (__builtin_expect(__atomic_load_n(&lock->lender, __ATOMIC_RELAXED), 0))
        spin_give_back(lock);
    arch_interleave();
}

/* Does this vcpu have it? */
static inline bool spin_mine(const struct rt_spin *lock, const struct rt_vcpu *me)
{
    return __atomic_load_n(&lock->holder, __ATOMIC_RELAXED) == me->index + 1;
}

#endif
