#include "gic.h"

#include "base/range.h"
#include "cpu.h"
#include "irq.h"
#include "its.h"
#include "log.h"
#include "mmu.h"
#include "panic.h"
#include "probe.h"
#include "slice.h"
#include "smp.h"
#include "smmu.h"
#include "tree.h"

#define LINES_MAX 1020u
#define SPURIOUS 1020u /* and above: nothing pending */
#define FIRST_SHARED 32u
#define PRIORITY 0xa0u
#define KICK 0u /* the software-generated line that one CPU interrupts another by */
#define REGIONS_MAX 16u

/* Distributor, byte offsets. */
enum gicd {
    GICD_CTLR = 0x000,       /* RW */
    GICD_TYPER = 0x004,      /* RO: lines / 32 - 1 in bits 4:0 */
    GICD_IGROUPR = 0x080,    /* RW, a bit a line */
    GICD_ISENABLER = 0x100,  /* RW, a bit a line */
    GICD_ICENABLER = 0x180,  /* RW, a bit a line */
    GICD_ICPENDR = 0x280,    /* RW, a bit a line */
    GICD_IPRIORITYR = 0x400, /* RW, a byte a line */
    GICD_ITARGETSR = 0x800,  /* RW, a byte a line; of private lines RO, this CPU's own; version 2 */
    GICD_ICFGR = 0xc00,      /* RW, two bits a line: 2 is edge triggered */
    GICD_SGIR = 0xf00,       /* WO: targets in bits 23:16, line; version 2 */
    GICD_IROUTER = 0x6000,   /* RW, 8 bytes a line from line 32 on; version 3 */
};
#define GICD_TYPER_LPIS (1u << 17)
#define GICD_CTLR_ENABLE_GROUP0 1u
#define GICD_CTLR_ENABLE_GROUP1 2u
#define GICD_CTLR_ARE 16u
#define GICD_CTLR_RWP (1u << 31)

enum gicc { /* CPU interface, version 2 */
            GICC_CTLR = 0x00,
            GICC_PMR = 0x04,
            GICC_IAR = 0x0c,
            GICC_EOIR = 0x10,
};

enum gicr { /* redistributor, version 3 */
            GICR_CTLR = 0x0000,
            GICR_TYPER = 0x0008,
            GICR_WAKER = 0x0014,
            GICR_SGI_FRAME = 0x10000,
            GICR_STRIDE = 0x20000,
};
#define GICR_CTLR_RWP (1u << 3)
#define GICR_TYPER_VLPIS (1u << 1) /* version 4: two more frames */
#define GICR_TYPER_LAST (1u << 4)
#define GICR_WAKER_SLEEP 2u
#define GICR_WAKER_ASLEEP 4u

static volatile char *dist, *cpu_interface;
#define OWNED_MAX (REGIONS_MAX + 16u)
static struct tree_range owned[OWNED_MAX];
static unsigned nowned;
static struct tree_range *regions; /* of redistributors, among those; version 3 */
static unsigned nregions;
static uint64_t stride; /* from one redistributor to the next; 0: as each says */

/* What belongs to a CPU, by its number. */
static struct gic_cpu {
    uint64_t affinity;                    /* version 3 */
    volatile char *redist, *redist_lines; /* control, and the private lines; version 3 */
    uint8_t target;                       /* version 2: its bit in target fields */
} gic_cpus[EXO_CPUS_MAX];

static struct gic_cpu *own(void)
{
    return &gic_cpus[cpu_this()->id];
}

static unsigned version;
static uint32_t nlines;
static uint32_t timer_line;
/* Lines up to it may be more than a driver's event: the kernel's own, and all while any CPU may be traced. */
static uint32_t watched_max = FIRST_SHARED - 1;
static uint32_t kernel_max = FIRST_SHARED - 1;

static uint32_t read32(volatile char *base, unsigned offset)
{
    return *(volatile uint32_t *)(volatile void *)(base + offset);
}

static void write32(volatile char *base, unsigned offset, uint32_t value)
{
    *(volatile uint32_t *)(volatile void *)(base + offset) = value;
}

BOOT void gic_own(uint64_t pa, uint64_t len)
{
    if (nowned == OWNED_MAX)
        boot_fail("device tree: more than %u ranges of interrupt controllers' registers", OWNED_MAX);
    owned[nowned++] = (struct tree_range){pa, len};
}

BOOT static struct tree_range own_reg(int node, unsigned index, uint64_t at_least, const char *what)
{
    struct tree_range reg;

    if (!tree_reg(node, index, &reg) || reg.len < at_least)
        boot_fail("device tree: the interrupt controller's %s has no usable reg entry", what);
    gic_own(reg.base, reg.len);
    return reg;
}

BOOT static volatile char *map_reg(int node, unsigned index, uint64_t at_least, const char *what)
{
    struct tree_range reg = own_reg(node, index, at_least, what);
    volatile char *at = mmu_map_device(reg.base, min_u64(reg.len, 0x100000));

    if (!at)
        boot_fail("device tree: the interrupt controller's %s is too large", what);
    return at;
}

/* Where a line's enable and group bits are: private lines of version 3 sit in the redistributor. */
static volatile char *bank_of(uint32_t line)
{
    return version == 3 && line < FIRST_SHARED ? own()->redist_lines : dist;
}

static inline void set_bit(unsigned reg, uint32_t line)
{
    write32(bank_of(line), reg + line / 32 * 4, 1u << line % 32);
}

void arch_irq_enable(uint32_t line)
{
    if (line >= LPI_FIRST) {
        its_enable(line, true);
        return;
    }
    __asm__ volatile("dsb sy" : : : "memory"); /* whoever takes it sees what was written before */
    set_bit(GICD_ISENABLER, line);
}

void arch_irq_disable(uint32_t line)
{
    if (line >= LPI_FIRST)
        its_enable(line, false);
    else
        set_bit(GICD_ICENABLER, line);
    __asm__ volatile("dsb sy" : : : "memory");
}

bool arch_irq_enabled(uint32_t line)
{
    if (line >= LPI_FIRST)
        return its_enabled(line);
    return read32(bank_of(line), GICD_ISENABLER + line / 32 * 4) >> line % 32 & 1;
}

BOOT void gic_line_trigger(uint32_t line, bool edge)
{
    unsigned reg = GICD_ICFGR + line / 16 * 4;
    uint32_t bit = 2u << line % 16 * 2, now = read32(dist, reg);

    write32(dist, reg, edge ? now | bit : now & ~bit);
}

void gic_line_clear(uint32_t line)
{
    set_bit(GICD_ICPENDR, line);
}

volatile void *gic_redistributor(void)
{
    return own()->redist;
}

BOOT uint32_t gic_lpis(void)
{
    uint32_t typer = read32(dist, GICD_TYPER), few = typer >> 11 & 31, bits = (typer >> 19 & 31) + 1;
    uint64_t all = 1ull << bits;

    if (version != 3 || !(typer & GICD_TYPER_LPIS) || all <= LPI_FIRST)
        return 0;
    return (uint32_t)min_u64(all - LPI_FIRST, few ? 2ull << few : UINT32_MAX);
}

bool arch_irq_usable(uint32_t line)
{
    return line >= FIRST_SHARED && line < nlines && !smmu_owns_line(line);
}

uint32_t arch_irq_count(void)
{
    return nlines;
}

bool arch_owns_device(uint64_t pa, uint64_t len)
{
    for (unsigned i = 0; i < nowned; i++)
        if (range_overlaps(pa, len, owned[i].base, owned[i].len))
            return true;
    return smmu_owns(pa, len);
}

static uint32_t acknowledge(void)
{
    uint64_t iar;

    if (version == 2)
        return read32(cpu_interface, GICC_IAR);
    __asm__ volatile("mrs %0, s3_0_c12_c12_0\n\tdsb sy" : "=r"(iar) : : "memory"); /* ICC_IAR1_EL1 */
    return (uint32_t)iar;
}

static void end_of_interrupt(uint32_t iar)
{
    if (version == 2)
        write32(cpu_interface, GICC_EOIR, iar);
    else
        __asm__ volatile("msr s3_0_c12_c12_1, %0\n\tisb"
                         :
                         : "r"((uint64_t)iar)
                         : "memory"); /* ICC_EOIR1_EL1 */
}

BOOT void gic_watch(uint32_t line)
{
    if (line > kernel_max)
        kernel_max = line;
    watched_max = kernel_max;
}

void arch_trace_possible(bool possible)
{
    watched_max = possible ? UINT32_MAX : kernel_max;
}

/* False: it is a driver's. */
static __attribute__((noinline)) bool watched(uint32_t line)
{
    if (cpu_this()->traced)
        probe_irq(line, line == timer_line);
    if (line == KICK) {
        cpu_kicked();
        return true;
    }
    if (line != timer_line)
        return smmu_irq(line);
    arch_timer_set(EXO_FOREVER); /* the line is level triggered */
    slice_timer();
    return true;
}

void arch_irq_dispatch(void)
{
    do {
        uint32_t iar = acknowledge();
        uint32_t line = iar & (version == 3 ? 0xffffff : 0x3ff); /* version 2: above it, who sent it */

        if (line >= SPURIOUS && line < LPI_FIRST)
            return;
        if (line > watched_max || !watched(line))
            irq_arrived(line);
        end_of_interrupt(iar);
    } while (arch_irq_pending());
}

BOOT static void wait_for_distributor(void)
{
    while (read32(dist, GICD_CTLR) & GICD_CTLR_RWP)
        ;
}

BOOT static void lines_init(void)
{
    nlines = min_u64(32 * ((read32(dist, GICD_TYPER) & 31) + 1), LINES_MAX);
    for (uint32_t line = version == 3 ? FIRST_SHARED : 0; line < nlines; line += 32) {
        write32(dist, GICD_ICENABLER + line / 8, UINT32_MAX);
        write32(dist, GICD_IGROUPR + line / 8, version == 3 ? UINT32_MAX : 0);
    }
    for (uint32_t line = version == 3 ? FIRST_SHARED : 0; line < nlines; line += 4)
        write32(dist, GICD_IPRIORITYR + line, PRIORITY * 0x01010101u);
}

/* ---- kicks and routes ------------------------------------------------------------------------------------ */

static uint64_t affinity_level(uint64_t affinity, unsigned level)
{
    return affinity >> (level < 3 ? 8 * level : 32) & 0xff;
}

/* The value for ICC_SGI1R_EL1: one CPU among 16 that share the higher levels. */
static uint64_t kick_value(uint64_t affinity)
{
    uint64_t aff0 = affinity_level(affinity, 0);

    return 1ull << aff0 % 16 | affinity_level(affinity, 1) << 16 | (uint64_t)KICK << 24 |
           affinity_level(affinity, 2) << 32 | aff0 / 16 << 44 | affinity_level(affinity, 3) << 48;
}

void arch_cpu_kick(const struct cpu *cpu)
{
    const struct gic_cpu *to = &gic_cpus[cpu->id];

    __asm__ volatile("dsb ishst" : : : "memory"); /* it sees what was written before */
    if (version == 2)
        write32(dist, GICD_SGIR, (uint32_t)to->target << 16 | KICK);
    else
        __asm__ volatile("msr s3_0_c12_c11_5, %0\n\tisb" : : "r"(kick_value(to->affinity)) : "memory");
}

static void route_v3(uint32_t line, uint64_t affinity)
{
    write32(dist, GICD_IROUTER + line * 8, (uint32_t)affinity);
    write32(dist, GICD_IROUTER + line * 8 + 4, (uint32_t)(affinity >> 32));
}

void arch_irq_route(uint32_t line, const struct cpu *cpu)
{
    const struct gic_cpu *to = &gic_cpus[cpu->id];

    if (version == 2)
        *(dist + GICD_ITARGETSR + line) = (char)to->target;
    else
        route_v3(line, to->affinity);
}

/* ---- version 2 ---------------------------------------------------------------------------------------------- */

static bool v2_cpu_init(void)
{
    uint32_t targets = 0;

    for (uint32_t line = 0; line < FIRST_SHARED; line += 4) /* any of them; not each need be there */
        targets |= read32(dist, GICD_ITARGETSR + line);
    own()->target = (uint8_t)(targets | targets >> 8 | targets >> 16 | targets >> 24);
    write32(dist, GICD_ICENABLER, UINT32_MAX);
    write32(dist, GICD_IGROUPR, 0);
    for (uint32_t line = 0; line < FIRST_SHARED; line += 4)
        write32(dist, GICD_IPRIORITYR + line, PRIORITY * 0x01010101u);
    write32(cpu_interface, GICC_PMR, 0xf0);
    write32(cpu_interface, GICC_CTLR, 1);
    return own()->target || cpu_this()->id == 0; /* where there is one CPU, the field may be zero */
}

BOOT static void v2_init(int node)
{
    version = 2;
    dist = map_reg(node, 0, 0x1000, "distributor");
    cpu_interface = map_reg(node, 1, 0x100, "CPU interface");
    write32(dist, GICD_CTLR, 0);
    lines_init();
    v2_cpu_init();
    for (uint32_t line = FIRST_SHARED; line < nlines; line += 4)
        write32(dist, GICD_ITARGETSR + line, 0x01010101u * own()->target);
    write32(dist, GICD_CTLR, GICD_CTLR_ENABLE_GROUP0 | GICD_CTLR_ENABLE_GROUP1);
}

/* ---- version 3 ---------------------------------------------------------------------------------------------- */

/* The redistributor's physical address in one region; 0: not in this one. */
BOOT static uint64_t redistributor_in(struct tree_range region, uint32_t wanted)
{
    uint64_t step;

    for (uint64_t at = 0; range_inside(at, GICR_STRIDE, 0, region.len); at += step) {
        volatile char *redist = mmu_peek(region.base + at);
        uint32_t type = read32(redist, GICR_TYPER);

        if (read32(redist, GICR_TYPER + 4) == wanted)
            return region.base + at;
        if (type & GICR_TYPER_LAST)
            break;
        step = stride ? stride : type & GICR_TYPER_VLPIS ? 2 * GICR_STRIDE : GICR_STRIDE;
    }
    return 0;
}

BOOT static bool v3_cpu_find(struct gic_cpu *cpu, uint64_t affinity)
{
    uint32_t wanted = (uint32_t)(affinity_level(affinity, 3) << 24 | (affinity & 0xffffff));
    uint64_t at = 0;

    for (unsigned i = 0; !at && i < nregions; i++)
        at = redistributor_in(regions[i], wanted);
    if (!at)
        return false;
    cpu->affinity = affinity;
    cpu->redist = mmu_map_device(at, PAGE_SIZE);
    cpu->redist_lines = mmu_map_device(at + GICR_SGI_FRAME, PAGE_SIZE);
    return cpu->redist && cpu->redist_lines;
}

static bool wakes(volatile char *redist)
{
    uint64_t end = arch_time() + arch_time_hz() / 10;

    write32(redist, GICR_WAKER, read32(redist, GICR_WAKER) & ~GICR_WAKER_SLEEP);
    while (read32(redist, GICR_WAKER) & GICR_WAKER_ASLEEP)
        if (arch_time() >= end)
            return false;
    return true;
}

static bool v3_cpu_init(void)
{
    struct gic_cpu *cpu = own();

    if (!wakes(cpu->redist))
        return false;
    write32(cpu->redist_lines, GICD_ICENABLER, UINT32_MAX);
    while (read32(cpu->redist, GICR_CTLR) & GICR_CTLR_RWP)
        ;
    write32(cpu->redist_lines, GICD_IGROUPR, UINT32_MAX);
    for (uint32_t line = 0; line < FIRST_SHARED; line += 4)
        write32(cpu->redist_lines, GICD_IPRIORITYR + line, PRIORITY * 0x01010101u);
    __asm__ volatile("msr s3_0_c12_c12_5, %0\n\tisb" : : "r"(7ull)); /* ICC_SRE_EL1 */
    __asm__ volatile("msr s3_0_c4_c6_0, %0" : : "r"(0xf0ull));       /* ICC_PMR_EL1 */
    __asm__ volatile("msr s3_0_c12_c12_7, %0\n\tisb" : : "r"(1ull)); /* ICC_IGRPEN1_EL1 */
    return true;
}

/* They are not mapped as a whole: there may be many more than CPUs that are used. */
BOOT static void v3_regions(int node)
{
    uint32_t n, high, low;

    if (!tree_cell(node, "#redistributor-regions", 0, &n))
        n = 1;
    if (n > REGIONS_MAX)
        boot_fail("device tree: the interrupt controller has more than %u regions of redistributors",
                  REGIONS_MAX);
    regions = &owned[nowned];
    for (nregions = 0; nregions < n; nregions++)
        own_reg(node, 1 + nregions, GICR_STRIDE, "redistributors");
    if (tree_cell(node, "redistributor-stride", 0, &high) && tree_cell(node, "redistributor-stride", 1, &low))
        stride = (uint64_t)high << 32 | low;
}

BOOT static void v3_init(int node)
{
    version = 3;
    dist = map_reg(node, 0, 0x10000, "distributor");
    v3_regions(node);
    if (!v3_cpu_find(own(), cpu_affinity()))
        boot_fail("interrupt controller: no redistributor belongs to the boot CPU");
    write32(dist, GICD_CTLR, GICD_CTLR_ARE | GICD_CTLR_ENABLE_GROUP1);
    wait_for_distributor();
    lines_init();
    for (uint32_t line = FIRST_SHARED; line < nlines; line++)
        route_v3(line, own()->affinity);
    if (!v3_cpu_init())
        boot_fail("interrupt controller: the boot CPU's redistributor does not wake up");
}

/* ---- either -------------------------------------------------------------------------------------------------- */

BOOT bool gic_cpu_find(unsigned id, uint64_t affinity)
{
    return version == 2 || v3_cpu_find(&gic_cpus[id], affinity);
}

bool gic_cpu_init(void)
{
    if (!(version == 2 ? v2_cpu_init() : v3_cpu_init()))
        return false;
    if (!its_cpu_init(own()->redist))
        return false;
    arch_irq_enable(KICK);
    arch_irq_enable(timer_line);
    return true;
}

BOOT void gic_timer_line(uint32_t line)
{
    timer_line = line;
    arch_irq_enable(line);
    arch_irq_enable(KICK);
}

BOOT void gic_init(void)
{
    static const char *const v2[] = {"arm,cortex-a15-gic", "arm,gic-400", "arm,cortex-a9-gic", NULL};
    static const char *const v3[] = {"arm,gic-v3", NULL};
    int node = tree_find(v3);

    if (node >= 0) {
        v3_init(node);
    } else {
        node = tree_find(v2);
        if (node < 0)
            boot_fail("device tree: no interrupt controller that the kernel knows (GICv2, GICv3)");
        v2_init(node);
    }
}
