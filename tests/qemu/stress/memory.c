/* Memory that comes when it is touched, more spaces than one, large pages, pages asked back from a child. */
#include "stress.h"

#define DEMAND_VA 0x2200000000ull
#define DEMAND_PAGES 16u
#define LARGE_VA 0x2300000000ull
#define PART_VA 0x2400000000ull
#define LENT_VA 0x2500000000ull
#define NOTHING_VA 0x2600000000ull
#define LAZY_VA 0x2800000000ull
#define LAZY_PAGES 4u

bool memory_fault(uint64_t va, struct exo_regs *regs)
{
    int64_t rc;

    (void)regs;
    if (va - DEMAND_VA >= CREW_MAX * DEMAND_PAGES * PAGE_SIZE)
        return false;
    rc = exo_page_alloc(EXO_SELF_SPACE, va & ~(uint64_t)PAGE_MASK, 1, EXO_WANT_ANY, RW);
    return rc == 1 || rc == -EXO_EBOUND;
}

static void clear(uint64_t va, uint64_t n, uint64_t flags)
{
    while (n) {
        int64_t did = exo_page_unmap(EXO_SELF_SPACE, va, n, flags);

        if (did <= 0)
            wrong("a range is not unbound", (uint64_t)-did, va);
        va += (uint64_t)did * PAGE_SIZE;
        n -= (uint64_t)did;
    }
}

static void on_demand(const struct me *me)
{
    uint64_t from = DEMAND_VA + me->place * DEMAND_PAGES * PAGE_SIZE, value = 0;
    bool lazy = roll(me->dice, 2);

    doing(me, FAULTING);
    for (unsigned i = 0; i < DEMAND_PAGES; i++) {
        volatile uint64_t *at = (volatile uint64_t *)(from + i * PAGE_SIZE) + roll(me->dice, PAGE_SIZE / 8);

        if (try_read(at, &value) && value)
            wrong("K13 a page that came on demand is not zero", value, me->crew->mark);
        try_write(at, me->crew->mark);
    }
    clear(from, DEMAND_PAGES, lazy ? EXO_LAZY : 0);
    if (lazy && exo_tlb_sync(EXO_SELF_SPACE, from, DEMAND_PAGES))
        wrong("no tlb_sync", 0, 0);
    for (unsigned i = 0; i < DEMAND_PAGES; i++)
        if (try_read((volatile uint64_t *)(from + i * PAGE_SIZE), &value) && value)
            wrong("K13 a page that was unmapped is there", value, i);
    clear(from, DEMAND_PAGES, 0);
}

/* Frames that a TLB may still lead to are not allocated again: what is written to new pages does not show up where old ones
 * were, though nobody asked for a flush. */
static void lazily(const struct me *me)
{
    uint64_t old = LAZY_VA + me->place * 16 * PAGE_SIZE, new = old + 8 * PAGE_SIZE, value = 0;
    int64_t n;

    doing(me, MAPPING);
    n = exo_page_alloc(EXO_SELF_SPACE, old, LAZY_PAGES, EXO_WANT_ANY, RW);
    for (int64_t i = 0; i < n; i++)
        try_write((volatile uint64_t *)(old + (uint64_t)i * PAGE_SIZE), me->crew->mark);
    clear(old, LAZY_PAGES, EXO_LAZY);
    n = exo_page_alloc(EXO_SELF_SPACE, new, LAZY_PAGES, EXO_WANT_ANY, RW);
    for (int64_t i = 0; i < n; i++)
        try_write((volatile uint64_t *)(new + (uint64_t)i *PAGE_SIZE), ~me->crew->mark);
    for (unsigned i = 0; i < LAZY_PAGES; i++)
        if (try_read((volatile uint64_t *)(old + i * PAGE_SIZE), &value) && value != me->crew->mark)
            wrong("K13 a page that was unmapped lazily is another's", value, me->crew->mark);
    clear(new, LAZY_PAGES, 0);
}

/* ---- spaces ----------------------------------------------------------------------------------------------------------- */

static void destroy_space(exo_handle_t space)
{
    int64_t rc;

    do
        rc = exo_space_destroy(space);
    while (rc > 0);
    if (rc)
        wrong("a space is not destroyed", (uint64_t)-rc, space);
    exo_cap_drop(space);
}

static bool move_in(exo_handle_t space)
{
    uint64_t page = (uint64_t)my_page(), stack = page + 16 * PAGE_SIZE;

    return program_bind(space) >= 0 && exo_page_map(space, page, EXO_SELF_SPACE, page, 1, RW) == 1 &&
           exo_page_map(space, stack, EXO_SELF_SPACE, stack, STACK_PAGES, RW) == STACK_PAGES;
}

static void elsewhere(const struct me *me)
{
    int64_t space;
    uint64_t value;

    doing(me, SWITCHING);
    space = exo_space_create();
    if (space < 0)
        return;
    if (move_in((exo_handle_t)space)) {
        for (uint64_t i = 1 + roll(me->dice, 8); i; i--) {
            if (exo_space_switch((uint64_t)space))
                wrong("a space is not switched to", (uint64_t)space, i);
            if (try_read((volatile uint64_t *)NOTHING_VA, &value))
                wrong("K13 what is bound in another space is read", value, i);
            pause_a_little(me);
            if (exo_space_switch(EXO_SELF_SPACE))
                wrong("no way home", i, 0);
        }
        if (exo_page_alloc(EXO_SELF_SPACE, NOTHING_VA + (1 + me->place) * PAGE_SIZE, 1, EXO_WANT_ANY, RW) ==
            1)
            clear(NOTHING_VA + (1 + me->place) * PAGE_SIZE, 1, EXO_LAZY);
    }
    destroy_space((exo_handle_t)space);
}

/* ---- large pages -------------------------------------------------------------------------------------------------------- */

static bool take_large(uint64_t va)
{
    uint64_t done = 0, flags = RW | EXO_ALLOC_LARGE;

    while (done < EXO_LARGE_PAGES) {
        int64_t n = exo_page_alloc(EXO_SELF_SPACE, va + done * PAGE_SIZE, EXO_LARGE_PAGES - done,
                                   EXO_WANT_ANY, flags);

        if (n <= 0)
            return false;
        done += (uint64_t)n;
        flags |= EXO_ALLOC_MORE;
    }
    return true;
}

static void large(const struct me *me)
{
    uint64_t va = LARGE_VA + me->place * EXO_LARGE_BYTES, part = PART_VA + me->place * PAGE_SIZE, value = 0;

    doing(me, LARGE);
    if (!take_large(va))
        return;
    for (unsigned i = 0; i < 64; i++) {
        volatile uint64_t *at = (volatile uint64_t *)va + roll(me->dice, EXO_LARGE_BYTES / 8);

        must_be_ours(me, *at);
        *at = me->crew->mark;
    }
    if (roll(me->dice, 2))
        exo_page_map(EXO_SELF_SPACE, part, EXO_SELF_SPACE, va + roll(me->dice, EXO_LARGE_PAGES) * PAGE_SIZE,
                     1, RW);
    if (exo_page_protect(EXO_SELF_SPACE, va, EXO_LARGE_PAGES, EXO_PROT_READ) != EXO_LARGE_PAGES)
        wrong("a large page is not protected", va, 0);
    if (try_write((volatile uint64_t *)va + roll(me->dice, EXO_LARGE_BYTES / 8), 1))
        wrong("K13 a large page that was protected is written", va, 0);
    clear(va, EXO_LARGE_PAGES, 0);
    if (try_read((volatile uint64_t *)va + roll(me->dice, EXO_LARGE_BYTES / 8), &value))
        wrong("K13 a large page that was unmapped is there", va, value);
    clear(part, 1, 0);
}

/* ---- asking back ---------------------------------------------------------------------------------------------------------- */

/* A child has the page, and never hears of it: it has to let go all the same. */
static void ask_back(const struct me *me, exo_handle_t child_space, uint64_t va)
{
    int64_t rc = exo_page_reclaim(EXO_SELF_SPACE, va, 1, 0);
    uint64_t end = after_ms(PATIENCE_MS);

    if (rc > 0 &&
        exo_page_map(child_space, va + CREW_MAX * PAGE_SIZE, EXO_SELF_SPACE, va, 1, RW) != -EXO_EBUSY)
        wrong("K27 a page is bound while it is reclaimed", va, 0);
    while (rc > 0 && now() < end) {
        if (rc == EXO_RECLAIM_ASKED)
            exo_wait(POKE, after_ms(5));
        rc = exo_page_reclaim(EXO_SELF_SPACE, va, 1, 0);
    }
    if (rc > 0)
        wrong("K27 a page is not reclaimed", (uint64_t)rc, va);
    if (rc == 0 && exo_page_map(EXO_SELF_SPACE, PART_VA + (64 + me->place) * PAGE_SIZE, child_space, va, 1,
                                EXO_PROT_READ) != -EXO_EUNBOUND)
        wrong("K27 a page that was reclaimed is held", va, 0);
}

static void reclaim(const struct me *me)
{
    uint64_t va = LENT_VA + me->place * PAGE_SIZE;
    int64_t both;

    doing(me, RECLAIMING);
    both = exo_env_create(16, 0, 0);
    if (both < 0)
        return;
    if (exo_page_alloc(EXO_SELF_SPACE, va, 1, EXO_WANT_ANY, RW) == 1 &&
        exo_page_map((uint64_t)both >> 32, va, EXO_SELF_SPACE, va, 1, RW) == 1)
        ask_back(me, (exo_handle_t)(both >> 32), va);
    exo_page_unmap(EXO_SELF_SPACE, va, 1, 0);
    while (exo_env_destroy((uint32_t)both) > 0)
        ;
    exo_cap_drop((uint32_t)both);
    exo_cap_drop((uint64_t)both >> 32);
}

void memory(const struct me *me)
{
    for (;;) {
        switch (roll(me->dice, 8)) {
        case 0:
        case 1:
            elsewhere(me);
            break;
        case 2:
            reclaim(me);
            break;
        case 3:
            lazily(me);
            break;
        case 4:
        case 5:
            if (me->crew->large) {
                large(me);
                break;
            }
            __attribute__((fallthrough));
        default:
            on_demand(me);
        }
        did(me);
    }
}
