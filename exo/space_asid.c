/* ASIDs: which spaces a TLB may hold something of, and under which number. */
#include "space_impl.h"

#include "cpu.h"

#define ASIDS_MAX (1u << 16)
/* And never more than a quarter of the ASIDs: a bound on what a new one has to pass over. */
#define PINNED_MAX 64u

uint64_t space_generation = 1;
static paddr_t empty_root_table;
static uint32_t asid_next = 1;               /* under its lock; 0 is the empty space's */
static uint64_t asid_pinned[ASIDS_MAX / 64]; /* under its lock */
/* Taken in this generation before it began to count; world mode. */
static uint32_t asid_kept[EXO_CPUS_MAX + PINNED_MAX];
static unsigned nkept, npinned;

void spaces_init(paddr_t empty_root)
{
    empty_root_table = empty_root;
}

void asid_unpin(struct space *space)
{
    if (!space->pinned)
        return;
    if (space->asid_generation)
        asid_pinned[space->asid / 64] &= ~(1ull << space->asid % 64);
    space->asid_generation = 0;
    space->pinned = false;
    npinned--;
}

void space_unload(void)
{
    cpu_this()->loaded = NULL;
    arch_space_load(empty_root_table, 0);
}

static bool taken(uint32_t asid)
{
    if (asid_pinned[asid / 64] & 1ull << asid % 64)
        return true;
    for (unsigned i = 0; i < nkept; i++)
        if (asid_kept[i] == asid)
            return true;
    return false;
}

/* The next that is free in this generation, 0: none. */
static uint32_t asid_draw(void)
{
    uint32_t asid;

    lock_take(lock_shared(EXO_LOCK_ASID));
    while (asid_next < ASIDS_MAX && taken(asid_next))
        asid_next++;
    asid = asid_next >> arch_asid_bits() ? 0 : asid_next++;
    lock_drop(lock_shared(EXO_LOCK_ASID));
    return asid;
}

static void pin_mark(uint32_t asid)
{
    lock_take(lock_shared(EXO_LOCK_ASID));
    asid_pinned[asid / 64] |= 1ull << asid % 64;
    lock_drop(lock_shared(EXO_LOCK_ASID));
}

/* What the frame table shows of it. */
static void space_show(const struct space *space)
{
    struct exo_frame *f = frame_entry(paddr_to_pfn(virt_to_phys(space)));

    f->entries = (uint16_t)space->asid;
    f->cpus = space->cpus;
}

/* Under its lock: it has an ASID, and this CPU is among those that may know it. */
static bool space_enter(struct space *space)
{
    if (!space_in_tlb(space)) {
        uint32_t asid = asid_draw();

        if (!asid)
            return false;
        /* In this order: space_load looks without the lock, and believes the others once it sees the generation. */
        __atomic_store_n(&space->cpus, 0, __ATOMIC_RELAXED);
        space->asid = asid;
        __atomic_store_n(&space->asid_generation, space_generation, __ATOMIC_RELEASE);
        if (space->pinned)
            pin_mark(asid);
    }
    __atomic_store_n(&space->cpus, space->cpus | 1ull << cpu_this()->id, __ATOMIC_RELAXED);
    space_show(space);
    return true;
}

bool space_has_asid(const struct cpu *cpu, const struct space *space)
{
    return space_in_tlb(space) && __atomic_load_n(&space->cpus, __ATOMIC_RELAXED) & 1ull << cpu->id;
}

bool space_load_other(struct space *space)
{
    struct cpu *cpu = cpu_this();

    if (!space_has_asid(cpu, space)) {
        bool entered;

        lock_take(&space->lock);
        entered = space_enter(space);
        lock_drop(&space->lock);
        if (!entered)
            return false;
    }
    space_set(cpu, space);
    return true;
}

static void keep(struct space *space)
{
    if (space->pinned || space->asid_generation == space_generation)
        return;
    space->asid_generation = space_generation;
    asid_kept[nkept++] = space->asid;
}

void spaces_rollover(void)
{
    nkept = 0;
    space_generation++;
    for (unsigned i = 0; i < ncpus; i++)
        if (cpus[i].loaded && cpus[i].loaded->asid_generation == space_generation - 1)
            keep(cpus[i].loaded);
    asid_next = 1;
    tlb_flush_all();
}

int space_pin(struct space *space)
{
    if (space->pinned)
        return -EXO_ESTATE;
    if (npinned >= min_u64(PINNED_MAX, (1ull << arch_asid_bits()) / 4))
        return -EXO_EFULL;
    if (space_in_tlb(space))
        pin_mark(space->asid);
    else
        space->asid_generation =
            0; /* the one that it had is another's; it gets a new one when it is loaded */
    space->pinned = true;
    npinned++;
    return 0;
}

/* It keeps its ASID like any other, until the next generation. */
int space_unpin(struct space *space)
{
    uint32_t asid = space->asid;
    bool has = space->asid_generation != 0;

    if (!space->pinned)
        return -EXO_ESTATE;
    if (has && nkept == sizeof(asid_kept) / sizeof(asid_kept[0])) {
        spaces_rollover(); /* forgets those kept so far */
    }
    asid_unpin(space);
    if (has) {
        space->asid_generation = space_generation;
        asid_kept[nkept++] = asid;
    }
    return 0;
}
