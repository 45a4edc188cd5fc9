#include "gic.h"

#include "base/range.h"
#include "irq.h"
#include "log.h"
#include "mmu.h"
#include "panic.h"
#include "slice.h"
#include "tree.h"

#define LINES_MAX 1020u
#define SPURIOUS 1020u /* and above: nothing pending */
#define FIRST_SHARED 32u
#define PRIORITY 0xa0u

/* Distributor, byte offsets. */
enum gicd {
    GICD_CTLR = 0x000,       /* RW */
    GICD_TYPER = 0x004,      /* RO: lines / 32 - 1 in bits 4:0 */
    GICD_IGROUPR = 0x080,    /* RW, a bit a line */
    GICD_ISENABLER = 0x100,  /* RW, a bit a line */
    GICD_ICENABLER = 0x180,  /* RW, a bit a line */
    GICD_IPRIORITYR = 0x400, /* RW, a byte a line */
    GICD_ITARGETSR = 0x800,  /* RW, a byte a line; version 2 */
    GICD_IROUTER = 0x6000,   /* RW, 8 bytes a line from line 32 on; version 3 */
};
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
#define GICR_TYPER_LAST (1u << 4)
#define GICR_WAKER_SLEEP 2u
#define GICR_WAKER_ASLEEP 4u

static volatile char *dist, *cpu_interface, *redist;
static struct tree_range owned[3];
static unsigned nowned;
static unsigned version;
static uint32_t nlines;
static uint32_t timer_line;

static uint32_t read32(volatile char *base, unsigned offset)
{
    return *(volatile uint32_t *)(volatile void *)(base + offset);
}

static void write32(volatile char *base, unsigned offset, uint32_t value)
{
    *(volatile uint32_t *)(volatile void *)(base + offset) = value;
}

static volatile char *map_reg(int node, unsigned index, uint64_t at_least, const char *what)
{
    struct tree_range reg;
    volatile char *at;

    if (!tree_reg(node, index, &reg) || reg.len < at_least)
        boot_fail("device tree: the interrupt controller's %s has no usable reg entry", what);
    owned[nowned++] = reg;
    at = mmu_map_device(reg.base, min_u64(reg.len, 0x100000));
    if (!at)
        boot_fail("device tree: the interrupt controller's %s is too large", what);
    return at;
}

/* Where a line's enable and group bits are: private lines of version 3 sit in the redistributor. */
static volatile char *bank_of(uint32_t line)
{
    return version == 3 && line < FIRST_SHARED ? redist + GICR_SGI_FRAME : dist;
}

static void set_bit(unsigned reg, uint32_t line)
{
    write32(bank_of(line), reg + line / 32 * 4, 1u << line % 32);
}

void arch_irq_enable(uint32_t line)
{
    set_bit(GICD_ISENABLER, line);
}

void arch_irq_disable(uint32_t line)
{
    set_bit(GICD_ICENABLER, line);
    __asm__ volatile("dsb sy" : : : "memory");
}

bool arch_irq_usable(uint32_t line)
{
    return line >= FIRST_SHARED && line < nlines;
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
    return false;
}

void gic_timer_line(uint32_t line)
{
    timer_line = line;
    arch_irq_enable(line);
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

void arch_irq_dispatch(void)
{
    for (;;) {
        uint32_t iar = acknowledge();
        uint32_t line = iar & 0x3ff;

        if (line >= SPURIOUS)
            return;
        if (line == timer_line) {
            arch_timer_set(EXO_FOREVER); /* the line is level triggered */
            slice_timer();
        } else {
            irq_arrived(line);
        }
        end_of_interrupt(iar);
    }
}

static void wait_for_distributor(void)
{
    while (read32(dist, GICD_CTLR) & GICD_CTLR_RWP)
        ;
}

static void lines_init(void)
{
    nlines = min_u64(32 * ((read32(dist, GICD_TYPER) & 31) + 1), LINES_MAX);
    for (uint32_t line = version == 3 ? FIRST_SHARED : 0; line < nlines; line += 32) {
        write32(dist, GICD_ICENABLER + line / 8, UINT32_MAX);
        write32(dist, GICD_IGROUPR + line / 8, version == 3 ? UINT32_MAX : 0);
    }
    for (uint32_t line = version == 3 ? FIRST_SHARED : 0; line < nlines; line += 4)
        write32(dist, GICD_IPRIORITYR + line, PRIORITY * 0x01010101u);
}

static void v2_init(int node)
{
    version = 2;
    dist = map_reg(node, 0, 0x1000, "distributor");
    cpu_interface = map_reg(node, 1, 0x100, "CPU interface");
    write32(dist, GICD_CTLR, 0);
    lines_init();
    for (uint32_t line = FIRST_SHARED; line < nlines; line += 4)
        write32(dist, GICD_ITARGETSR + line, 0x01010101u * (read32(dist, GICD_ITARGETSR) & 0xff));
    write32(dist, GICD_CTLR, GICD_CTLR_ENABLE_GROUP0 | GICD_CTLR_ENABLE_GROUP1);
    write32(cpu_interface, GICC_PMR, 0xf0);
    write32(cpu_interface, GICC_CTLR, 1);
}

static uint64_t affinity(void)
{
    uint64_t mpidr;

    __asm__("mrs %0, mpidr_el1" : "=r"(mpidr));
    return mpidr & 0xff00ffffffull;
}

/* The redistributor of this CPU: the one whose affinity is ours. */
static void v3_redistributor(volatile char *region, uint64_t len)
{
    uint64_t mine = affinity();
    uint32_t own = (uint32_t)((mine >> 32 & 0xff) << 24 | (mine & 0xffffff));

    for (uint64_t at = 0; at + GICR_STRIDE <= len; at += GICR_STRIDE) {
        redist = region + at;
        if (read32(redist, GICR_TYPER + 4) == own)
            return;
        if (read32(redist, GICR_TYPER) & GICR_TYPER_LAST)
            break;
    }
    boot_fail("interrupt controller: no redistributor belongs to the boot CPU");
}

static void v3_cpu_init(void)
{
    write32(redist, GICR_WAKER, read32(redist, GICR_WAKER) & ~GICR_WAKER_SLEEP);
    while (read32(redist, GICR_WAKER) & GICR_WAKER_ASLEEP)
        ;
    write32(redist + GICR_SGI_FRAME, GICD_ICENABLER, UINT32_MAX);
    write32(redist + GICR_SGI_FRAME, GICD_IGROUPR, UINT32_MAX);
    for (uint32_t line = 0; line < FIRST_SHARED; line += 4)
        write32(redist + GICR_SGI_FRAME, GICD_IPRIORITYR + line, PRIORITY * 0x01010101u);
    __asm__ volatile("msr s3_0_c12_c12_5, %0\n\tisb" : : "r"(7ull)); /* ICC_SRE_EL1 */
    __asm__ volatile("msr s3_0_c4_c6_0, %0" : : "r"(0xf0ull));       /* ICC_PMR_EL1 */
    __asm__ volatile("msr s3_0_c12_c12_7, %0\n\tisb" : : "r"(1ull)); /* ICC_IGRPEN1_EL1 */
}

static void v3_init(int node)
{
    struct tree_range reg;

    version = 3;
    dist = map_reg(node, 0, 0x10000, "distributor");
    redist = map_reg(node, 1, GICR_STRIDE, "redistributors");
    tree_reg(node, 1, &reg);
    v3_redistributor(redist, min_u64(reg.len, 0x100000));
    write32(dist, GICD_CTLR, GICD_CTLR_ARE | GICD_CTLR_ENABLE_GROUP1);
    wait_for_distributor();
    lines_init();
    for (uint32_t line = FIRST_SHARED; line < nlines; line++) {
        write32(dist, GICD_IROUTER + line * 8, (uint32_t)affinity());
        write32(dist, GICD_IROUTER + line * 8 + 4, (uint32_t)(affinity() >> 32));
    }
    v3_cpu_init();
}

void gic_init(void)
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
