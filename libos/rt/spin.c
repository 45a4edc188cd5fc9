/* Waiting for a spinlock.  Also called in upcalls. */
#include "rt/general_regs.h"

#include "rt/spin.h"

#include "os/exo.h"
#include "rt/rt.h"

#define LOOKS 64u /* at a holder on another CPU, before we give way on ours */

static bool shares_cpu(unsigned index)
{
    return rt_page_of(rt.vcpu[index])->cpu == arch_vcpu()->cpu;
}

void spin_give_way(unsigned index)
{
    if (!shares_cpu(index) || exo_yield(rt.vcpu[index]->handle) != 0)
        (void)exo_yield(0);
}

void spin_give_back(struct rt_spin *lock)
{
    uint32_t lender = __atomic_exchange_n(&lock->lender, 0, __ATOMIC_RELAXED);

    if (lender && shares_cpu(lender - 1))
        (void)exo_yield(rt.vcpu[lender - 1]->handle);
}

/* A holder on our own CPU cannot go on before we let it. */
void spin_wait(struct rt_spin *lock, const struct rt_vcpu *me)
{
    for (unsigned looks = 1;; looks++) {
        uint32_t holder = __atomic_load_n(&lock->holder, __ATOMIC_RELAXED);

        if (holder == 0 && spin_try(lock, me))
            return;
        if (holder == me->index + 1)
            __builtin_trap(); /* a fault in the midst of the run time: it would wait for itself */
        if (holder && shares_cpu(holder - 1)) {
            __atomic_store_n(&lock->lender, me->index + 1, __ATOMIC_RELAXED);
            spin_give_way(holder - 1);
        } else if (holder && looks % LOOKS == 0) {
            spin_give_way(holder - 1);
        } else
            arch_spin_pause();
    }
}
