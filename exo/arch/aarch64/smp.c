/* Starting the other CPUs.
 *
 * The boot CPU writes down what it knows of each in `secondaries`, then asks firmware for one after the other.  A CPU
 * that arrives finds itself there by its affinity, takes its stack, and may go on only while it is asked for:
 *
 *     IDLE --boot CPU--> ASKED --the CPU--> COMING --the CPU--> ARRIVED, or one of the refusals
 *                          \---boot CPU, after a second--> GIVEN_UP, and the CPU parks when it comes
 *
 * A CPU that comes while it is IDLE waits: several may watch one release address. */
#include "smp.h"

#include "asm.h"
#include "base/range.h"
#include "cpu.h"
#include "gic.h"
#include "log.h"
#include "main.h"
#include "mmu.h"
#include "psci.h"
#include "space.h"
#include "tree.h"

#define AFFINITY_MASK 0xff00ffffffull
#define TCR_PA_SIZE (7ull << 32)
#define TCR_ASID_16 (1ull << 36)

enum progress { IDLE, ASKED, COMING, ARRIVED, FEW_ASIDS, FEW_ADDRESSES, NO_INTERFACE, GIVEN_UP };

struct secondary {
    uint64_t affinity; /* start.S compares it, and takes */
    void *stack;       /* this; NULL: this CPU is not to be started */
    struct cpu *cpu;   /* set before progress is ASKED */
    uint64_t progress;
    struct tree_cpu described;
} __attribute__((aligned(SECONDARY_BYTES)));

struct secondary secondaries[SECONDARIES]; /* start.S looks there */

_Static_assert(SECONDARIES == EXO_CPUS_MAX - 1, "start.S knows the number");
_Static_assert(sizeof(struct secondary) == SECONDARY_BYTES, "start.S knows the size");
_Static_assert(offsetof(struct secondary, affinity) == 0 && offsetof(struct secondary, stack) == 8,
               "start.S knows these offsets");

static unsigned nfound; /* of secondaries */
static unsigned nboot;  /* nodes that are this CPU's */
static uint64_t tcr;    /* the boot CPU's; the others take it over */
extern char secondary_start[];

uint64_t cpu_affinity(void)
{
    uint64_t mpidr;

    __asm__ volatile("mrs %0, mpidr_el1" : "=r"(mpidr));
    return mpidr & AFFINITY_MASK;
}

static uint64_t read_tcr(void)
{
    uint64_t value;

    __asm__ volatile("mrs %0, tcr_el1" : "=r"(value));
    return value;
}

/* ---- what the tree says ---------------------------------------------------------------------------------------- */

BOOT static void found(const struct tree_cpu *described)
{
    if (described->affinity == cpu_affinity() && nboot++ == 0)
        return;
    if (nfound < SECONDARIES)
        secondaries[nfound].described = *described;
    nfound++;
}

/* An affinity that no other node has, the boot CPU's neither. */
BOOT static bool is_alone(unsigned index)
{
    uint64_t affinity = secondaries[index].described.affinity;

    for (unsigned i = 0; i < index; i++)
        if (secondaries[i].described.affinity == affinity)
            return false;
    return affinity != cpu_affinity();
}

BOOT unsigned arch_cpus_find(void)
{
    unsigned n;
    char *memory;

    tcr = read_tcr();
    tree_each_cpu(found);
    n = nfound < SECONDARIES ? nfound : SECONDARIES;
    memory = n ? boot_take((uint64_t)n * MMU_STACK_BYTES, EXO_FRAME_KERNEL) : NULL;
    for (unsigned i = 0; i < n; i++) {
        struct secondary *s = &secondaries[i];

        if (s->described.affinity & ~AFFINITY_MASK || !is_alone(i))
            continue;
        s->affinity = s->described.affinity;
        s->stack = mmu_map_stack(i, virt_to_phys(memory + (uint64_t)i * MMU_STACK_BYTES));
    }
    return 1 + nfound;
}

/* ---- the boot CPU asks ----------------------------------------------------------------------------------------- */

static bool move(struct secondary *s, enum progress from, enum progress to)
{
    uint64_t expected = from;

    return __atomic_compare_exchange_n(&s->progress, &expected, to, false, __ATOMIC_ACQ_REL,
                                       __ATOMIC_ACQUIRE);
}

static enum progress progress_of(struct secondary *s)
{
    return (enum progress)__atomic_load_n(&s->progress, __ATOMIC_ACQUIRE);
}

BOOT static bool stays_off(const struct secondary *s, const char *why, const char *detail)
{
    klog("processor 0x%lx stays off: %s%s", (unsigned long)s->described.affinity, why, detail);
    return false;
}

static struct tree_range release_word;
static bool release_is_reserved;

BOOT static void compare_with_release(struct tree_range reserved)
{
    release_is_reserved |= range_inside(release_word.base, release_word.len, reserved.base, reserved.len);
}

/* In memory the word must be one that nobody is given: it is written behind everybody's back. */
BOOT static bool release(const struct secondary *s)
{
    uint64_t at = s->described.release;
    bool ram = mmu_maps_ram(at);

    release_word = (struct tree_range){at, sizeof(uint64_t)};
    release_is_reserved = false;
    tree_each_reserved(compare_with_release);
    if (at == 0 || at % sizeof(uint64_t))
        return stays_off(s, "its node has no cpu-release-addr that is a multiple of 8", "");
    if (ram && !release_is_reserved)
        return stays_off(s, "its cpu-release-addr lies in memory that the tree does not reserve", "");
    if (ram)
        *(volatile uint64_t *)phys_to_virt((paddr_t){at}) = mmu_image_paddr(secondary_start).v;
    else
        *(volatile uint64_t *)mmu_peek(at) = mmu_image_paddr(secondary_start).v;
    if (ram)
        __asm__ volatile("dc civac, %0" : : "r"(phys_to_virt((paddr_t){at})) : "memory");
    __asm__ volatile("dsb sy\n\tsev" : : : "memory");
    return true;
}

BOOT static bool ask(const struct secondary *s)
{
    int64_t error;

    switch (s->described.method) {
    case TREE_CPU_SPIN_TABLE:
        return release(s);
    case TREE_CPU_PSCI:
        if (!psci_there())
            return stays_off(
                s, "its enable-method is psci, and the tree has no PSCI node that the kernel knows", "");
        error = psci_cpu_on(s->affinity, mmu_image_paddr(secondary_start).v);
        return error == 0 || stays_off(s, "PSCI CPU_ON answers ", psci_error(error));
    case TREE_CPU_NO_METHOD:
        return stays_off(s, "the tree has no enable-method for it", "");
    default:
        return stays_off(s, "its enable-method is neither psci nor spin-table", "");
    }
}

/* What comes of it.  From COMING on the CPU runs only code that ends, so there is no limit. */
BOOT static enum progress outcome(struct secondary *s)
{
    uint64_t end = arch_time() + arch_time_hz();

    while (progress_of(s) == ASKED)
        if (arch_time() >= end && move(s, ASKED, GIVEN_UP))
            return GIVEN_UP;
    while (progress_of(s) == COMING)
        __asm__ volatile("yield");
    return progress_of(s);
}

BOOT bool arch_cpu_start(struct cpu *cpu, unsigned which)
{
    struct secondary *s = &secondaries[which - 1];

    if (!s->stack)
        return stays_off(s, "its reg is no affinity, or another processor's", "");
    if (!gic_cpu_find(cpu->id, s->affinity))
        return stays_off(s, "no redistributor of the interrupt controller belongs to it", "");
    cpu->panic_stack = mmu_panic_stack(which - 1);
    s->cpu = cpu;
    move(s, IDLE, ASKED);
    if (!ask(s)) {
        move(s, ASKED, GIVEN_UP);
        return false;
    }
    switch (outcome(s)) {
    case ARRIVED:
        return true;
    case FEW_ASIDS:
        return stays_off(s, "it has fewer ASIDs than the boot processor", "");
    case FEW_ADDRESSES:
        return stays_off(s, "it reaches less memory than the boot processor", "");
    case NO_INTERFACE:
        return stays_off(s, "the interrupt controller has no interface for it", "");
    default:
        return stays_off(s, "it was started, and did not arrive within a second", "");
    }
}

/* ---- the CPU itself --------------------------------------------------------------------------------------------- */

/* start.S made the translation control from what this CPU has. */
static enum progress fit(void)
{
    uint64_t own = read_tcr();

    if ((own & TCR_ASID_16) < (tcr & TCR_ASID_16))
        return FEW_ASIDS;
    if ((own & TCR_PA_SIZE) < (tcr & TCR_PA_SIZE))
        return FEW_ADDRESSES;
    __asm__ volatile("msr tcr_el1, %0\n\tisb" : : "r"(tcr) : "memory");
    return gic_cpu_init() ? ARRIVED : NO_INTERFACE;
}

void secondary_main(struct secondary *s);

void secondary_main(struct secondary *s)
{
    enum progress end;

    while (progress_of(s) == IDLE)
        __asm__ volatile("wfe");
    if (!move(s, ASKED, COMING))
        arch_cpu_stop();
    arch_cpu_init(s->cpu);
    arch_space_load(mmu_empty_root(), 0);
    end = fit();
    mmu_protect_cpu();
    __atomic_store_n(&s->progress, end, __ATOMIC_RELEASE);
    if (end != ARRIVED)
        arch_cpu_stop();
    cpu_wait_to_go();
}
