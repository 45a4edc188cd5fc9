#include "tlb.h"

#include "base/range.h"

static uint64_t epoch = 1;
static uint32_t nlazy; /* spaces with stale translations of this epoch */

uint32_t tlb_epoch(void)
{
    return (uint32_t)epoch;
}

static void epoch_end(void)
{
    epoch++;
    nlazy = 0;
}

void tlb_flush_all(void)
{
    arch_tlb_flush_all();
    epoch_end();
}

bool tlb_lazy_any(const struct tlb_lazy *lazy)
{
    return lazy->epoch == epoch;
}

void tlb_lazy_add(struct tlb_lazy *lazy, uint64_t va, uint64_t n)
{
    uint64_t end = va + n * PAGE_SIZE;

    if (!tlb_lazy_any(lazy)) {
        *lazy = (struct tlb_lazy){.epoch = epoch, .from = va, .to = end};
        nlazy++;
        return;
    }
    lazy->from = min_u64(lazy->from, va);
    if (end > lazy->to)
        lazy->to = end;
}

void tlb_lazy_end(struct tlb_lazy *lazy)
{
    if (!tlb_lazy_any(lazy))
        return;
    lazy->epoch = 0;
    if (--nlazy == 0)
        epoch_end();
}

bool tlb_lazy_overlaps(const struct tlb_lazy *lazy, uint64_t va, uint64_t n)
{
    return tlb_lazy_any(lazy) && range_overlaps(va, n * PAGE_SIZE, lazy->from, lazy->to - lazy->from);
}

bool tlb_lazy_inside(const struct tlb_lazy *lazy, uint64_t va, uint64_t n)
{
    return tlb_lazy_any(lazy) && va <= lazy->from && lazy->to <= va + n * PAGE_SIZE;
}
