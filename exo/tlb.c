#include "tlb.h"

#include "base/range.h"
#include "lock.h"

static uint64_t epoch = 1; /* written under the lock, after the flush that ends the one before */
static uint32_t nlazy;     /* spaces with stale translations of this epoch */

static uint64_t now(void)
{
    return __atomic_load_n(&epoch, __ATOMIC_ACQUIRE);
}

uint32_t tlb_epoch(void)
{
    return (uint32_t)now();
}

static void epoch_end(void)
{
    __atomic_store_n(&epoch, epoch + 1, __ATOMIC_RELEASE);
    nlazy = 0;
}

void tlb_flush_all(void)
{
    lock_take(lock_shared(EXO_LOCK_TLB));
    arch_tlb_flush_all();
    epoch_end();
    lock_drop(lock_shared(EXO_LOCK_TLB));
}

bool tlb_lazy_any(const struct tlb_lazy *lazy)
{
    return lazy->epoch == now();
}

void tlb_lazy_add(struct tlb_lazy *lazy, uint64_t va, uint64_t n)
{
    uint64_t end = va + n * PAGE_SIZE;

    lock_take(lock_shared(EXO_LOCK_TLB));
    if (!tlb_lazy_any(lazy)) {
        *lazy = (struct tlb_lazy){.epoch = epoch, .from = va, .to = end};
        nlazy++;
    } else {
        lazy->from = min_u64(lazy->from, va);
        lazy->to = max_u64(lazy->to, end);
    }
    lock_drop(lock_shared(EXO_LOCK_TLB));
}

void tlb_lazy_end(struct tlb_lazy *lazy)
{
    if (!tlb_lazy_any(lazy))
        return;
    lock_take(lock_shared(EXO_LOCK_TLB));
    if (tlb_lazy_any(lazy) && --nlazy == 0)
        epoch_end();
    lazy->epoch = 0;
    lock_drop(lock_shared(EXO_LOCK_TLB));
}

bool tlb_lazy_overlaps(const struct tlb_lazy *lazy, uint64_t va, uint64_t n)
{
    return tlb_lazy_any(lazy) && range_overlaps(va, n * PAGE_SIZE, lazy->from, lazy->to - lazy->from);
}

bool tlb_lazy_inside(const struct tlb_lazy *lazy, uint64_t va, uint64_t n)
{
    return tlb_lazy_any(lazy) && va <= lazy->from && lazy->to <= va + n * PAGE_SIZE;
}
