#include "frame_pool.h"

#include "block.h"
#include "cpu.h"

#define CACHE_MAX 32u /* frames in a CPU's cache, and then some go back: */
#define CACHE_SPILL 4u
#define CACHE_REFILL_ORDER 4u /* what an empty one gets at once */

static void cache_push(struct frame_cache *cache, pfn_t pfn)
{
    struct exo_frame *f = frame_entry(pfn);

    __atomic_store_n(&f->order1, 0, __ATOMIC_RELAXED);
    f->next = cache->first;
    cache->first = pfn;
    cache->n++;
}

static pfn_t cache_pop(struct frame_cache *cache)
{
    pfn_t pfn = cache->first;

    cache->first = frame_entry(pfn)->next;
    cache->n--;
    return pfn;
}

static int cache_refill(struct frame_cache *cache)
{
    unsigned order = CACHE_REFILL_ORDER;
    pfn_t block;
    int rc;

    lock_take(lock_shared(EXO_LOCK_FRAMES));
    while ((rc = block_take(order, 0, &block)) && order)
        order--;
    lock_drop(lock_shared(EXO_LOCK_FRAMES));
    for (pfn_t i = 0; !rc && i < 1u << order; i++)
        cache_push(cache, block + (1u << order) - 1 - i);
    return rc;
}

static void cache_spill(struct frame_cache *cache, uint32_t left)
{
    lock_take(lock_shared(EXO_LOCK_FRAMES));
    while (cache->n > left)
        block_put(cache_pop(cache), 0);
    lock_drop(lock_shared(EXO_LOCK_FRAMES));
}

/* In world mode: all free frames are in the free lists. */
static void caches_empty(void)
{
    for (unsigned i = 0; i < ncpus; i++)
        cache_spill(&cpus[i].frames, 0);
}

pfn_t pool_cached_first(const struct cpu *cpu)
{
    return cpu->frames.first;
}

static int want_check(unsigned order, const struct frame_want *want)
{
    uint64_t n = 1ull << order;

    if (want->pfn == EXO_WANT_ANY)
        return 0;
    if (want->pfn < frame_ram.first || want->pfn - frame_ram.first >= frame_ram.n || (want->pfn & (n - 1)) ||
        (want->below && want->pfn + n > want->below))
        return -EXO_EINVAL;
    return 0;
}

static int take_from_lists(unsigned order, const struct frame_want *want, pfn_t *out)
{
    int rc;

    lock_take(lock_shared(EXO_LOCK_FRAMES));
    if (want->pfn == EXO_WANT_ANY) {
        rc = block_take(order, want->below, out);
    } else {
        *out = (pfn_t)want->pfn;
        rc = block_take_at((pfn_t)want->pfn, order);
    }
    lock_drop(lock_shared(EXO_LOCK_FRAMES));
    return rc;
}

int pool_take(unsigned order, const struct frame_want *want, pfn_t *out)
{
    struct cpu *cpu = cpu_this();
    int rc = want_check(order, want);

    if (rc)
        return rc;
    if (order == 0 && want->pfn == EXO_WANT_ANY && want->below == 0) {
        if (cpu->frames.n || !cache_refill(&cpu->frames)) {
            *out = cache_pop(&cpu->frames);
            return 0;
        }
    } else if (!take_from_lists(order, want, out)) {
        return 0;
    }
    if (!cpu->world)
        return NEEDS_WORLD;
    caches_empty();
    return take_from_lists(order, want, out);
}

void pool_put(pfn_t pfn)
{
    struct frame_cache *cache = &cpu_this()->frames;
    struct exo_frame *f = frame_entry(pfn);

    ASSERT(f->kind != EXO_FRAME_FREE && f->refs == 0);
    if (f->kind != EXO_FRAME_USER)
        f->serial++; /* who names what was here names nothing from now on */
    frame_set_kind(f, EXO_FRAME_FREE);
    f->account = 0;
    cache_push(cache, pfn);
    if (cache->n > CACHE_MAX)
        cache_spill(cache, CACHE_MAX - CACHE_SPILL);
}
