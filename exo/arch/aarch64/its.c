#include "its.h"

#include "base/mmio.h"
#include "base/range.h"
#include "cpu.h"
#include "gic.h"
#include "lock.h"
#include "log.h"
#include "main.h"
#include "mmu.h"
#include "panic.h"
#include "tree.h"

#define LPIS 1024u
#define LPI_ID_BITS 14u             /* the least that the tables may cover: twice LPI_FIRST */
#define DEVICE_TABLE_BYTES 0x10000u /* 8192 devices, 32 buses of PCI, where an entry is 8 bytes */
#define COMMAND_BYTES PAGE_SIZE
#define EVENT_ID_BITS 8u
#define LPI_PRIORITY 0xa0u
#define LPI_ENABLED 1u
#define LPI_RES1 2u

_Static_assert(EXO_MSI_EVENTS == 1u << EVENT_ID_BITS, "as many events as a device is told to have");

/* Byte offsets; chapter 12.19. */
enum gits {
    GITS_CTLR = 0x0000,       /* RW 32 */
    GITS_TYPER = 0x0008,      /* RO 64 */
    GITS_CBASER = 0x0080,     /* RW 64: the command queue */
    GITS_CWRITER = 0x0088,    /* RW 64 */
    GITS_CREADR = 0x0090,     /* RO 64 */
    GITS_BASER = 0x0100,      /* RW 64, eight of them */
    GITS_TRANSLATER = 0x10040 /* WO 32, on a page of its own */
};
#define GITS_CTLR_ENABLED 1u
#define GITS_CTLR_QUIESCENT (1u << 31)
#define GITS_TYPER_PHYSICAL 1u
#define GITS_TYPER_ITT_ENTRY(typer) (((typer) >> 4 & 15) + 1)
#define GITS_TYPER_ID_BITS(typer) (((typer) >> 8 & 31) + 1)
#define GITS_TYPER_DEVICE_BITS(typer) (((typer) >> 13 & 31) + 1)
#define GITS_TYPER_PTA (1ull << 19) /* redistributors are named by address */
#define GITS_TYPER_HCC(typer) ((typer) >> 24 & 255)
#define GITS_CREADR_STALLED 1ull
#define GITS_BASER_TYPE(baser) ((baser) >> 56 & 7)
#define GITS_BASER_ENTRY(baser) (((baser) >> 48 & 31) + 1)
#define GITS_BASER_PAGE_SHIFT 8
#define GITS_BASER_PAGES_MAX 256u
enum baser_type { BASER_DEVICES = 1, BASER_COLLECTIONS = 4 };

/* Of a redistributor; chapter 12.11. */
enum gicr {
    GICR_CTLR = 0x0000,      /* RW 32 */
    GICR_TYPER = 0x0008,     /* RO 64 */
    GICR_PROPBASER = 0x0070, /* RW 64: which LPIs are enabled */
    GICR_PENDBASER = 0x0078  /* RW 64: which are pending */
};
#define GICR_CTLR_ENABLE_LPIS 1u
#define GICR_TYPER_PLPIS 1u
#define GICR_TYPER_NUMBER(typer) ((typer) >> 8 & 0xffff)
#define GICR_PENDBASER_ZERO (1ull << 62)

/* What all table registers have in common, but for where the inner cacheability stands. */
#define TABLE_VALID (1ull << 63)
#define TABLE_CACHED_AT(shift) (7ull << (shift)) /* read-allocate, write-allocate, write-back */
#define TABLE_SHARED (1ull << 10)
#define TABLE_SHARED_MASK (3ull << 10)

enum its_command {
    ITS_SYNC = 0x05,
    ITS_MAPD = 0x08,
    ITS_MAPC = 0x09,
    ITS_MAPTI = 0x0a,
    ITS_INV = 0x0c,
    ITS_DISCARD = 0x0f,
};
#define COMMAND_VALID (1ull << 63)

struct command {
    uint64_t word[4];
};

static struct {
    mmio_t regs;
    struct command *queue;
    uint32_t next; /* entry of the queue, under EXO_LOCK_ITS */
    uint64_t typer;
    uint32_t ndevices;
    uint8_t *enabled; /* a byte each LPI */
    void *pending[EXO_CPUS_MAX];
    uint64_t target[EXO_CPUS_MAX]; /* how commands name a CPU's redistributor; bits as in a command */
} its;

static struct event {
    uint32_t device;
    uint16_t event;
    uint8_t cpu;
    bool mapped;
} events[LPIS];

static struct event *event_of(uint32_t lpi)
{
    return &events[lpi - LPI_FIRST];
}

/* ---- commands ----------------------------------------------------------------------------------------------------- */

/* What was written before is there when the ITS or a redistributor looks. */
static void table_written(void)
{
    __asm__ volatile("dsb sy" : : : "memory");
}

static void put(struct command command)
{
    its.queue[its.next] = command;
    its.next = (its.next + 1) % (COMMAND_BYTES / sizeof(command));
}

/* Lets the ITS do what was put, and waits: microseconds.  False: it does not. */
static bool run(void)
{
    uint64_t end = its.next * sizeof(struct command), at, give_up = arch_time() + arch_time_hz();

    table_written();
    mmio_write64(its.regs, GITS_CWRITER, end);
    do {
        at = mmio_read64(its.regs, GITS_CREADR);
        if (at & GITS_CREADR_STALLED || arch_time() > give_up)
            return false;
    } while (at != end);
    return true;
}

/* The command, and its effect on a CPU's redistributor, are done.  No command that is given here can be refused. */
static void command(struct command command, uint32_t cpu)
{
    bool done;

    lock_take(lock_shared(EXO_LOCK_ITS));
    put(command);
    put((struct command){{ITS_SYNC, 0, its.target[cpu]}});
    done = run();
    lock_drop(lock_shared(EXO_LOCK_ITS));
    if (!done)
        panic("interrupt translation: command %lx was not done", (unsigned long)command.word[0]);
}

void its_device(uint32_t device, paddr_t table, bool there)
{
    command((struct command){{ITS_MAPD | (uint64_t)device << 32, EVENT_ID_BITS - 1,
                              there ? table.v | COMMAND_VALID : 0}},
            cpu_this()->id);
}

void its_map(uint32_t lpi, uint32_t device, uint32_t event, uint32_t cpu)
{
    *event_of(lpi) = (struct event){device, (uint16_t)event, (uint8_t)cpu, true};
    command((struct command){{ITS_MAPTI | (uint64_t)device << 32, event | (uint64_t)lpi << 32, cpu}}, cpu);
}

/* Also forgets that it is pending. */
void its_unmap(uint32_t lpi)
{
    struct event *e = event_of(lpi);

    command((struct command){{ITS_DISCARD | (uint64_t)e->device << 32, e->event}}, e->cpu);
    e->mapped = false;
}

void its_enable(uint32_t lpi, bool on)
{
    const struct event *e = event_of(lpi);

    its.enabled[lpi - LPI_FIRST] = LPI_PRIORITY | LPI_RES1 | (on ? LPI_ENABLED : 0);
    if (e->mapped)
        command((struct command){{ITS_INV | (uint64_t)e->device << 32, e->event}}, e->cpu);
}

bool its_enabled(uint32_t lpi)
{
    return its.enabled[lpi - LPI_FIRST] & LPI_ENABLED;
}

/* ---- boot --------------------------------------------------------------------------------------------------------- */

BOOT static bool refuse(const char *why)
{
    klog("interrupt translation: %s: no messages from devices", why);
    return false;
}

/* Which of 4, 16, 64 KiB the ITS takes as page size for a table. */
BOOT static uint64_t baser_page_bits(uint32_t reg)
{
    uint64_t kept, bits = 0;

    do {
        mmio_write64(its.regs, reg, bits << GITS_BASER_PAGE_SHIFT);
        kept = mmio_read64(its.regs, reg) >> GITS_BASER_PAGE_SHIFT & 3;
    } while (kept != bits && ++bits < 3);
    return bits;
}

/* Gives the ITS memory for a table of at most so many entries; how many there are then, 0: it cannot be. */
BOOT static uint64_t baser_fill(uint32_t reg, uint64_t entries, uint64_t most_bytes)
{
    uint64_t entry = GITS_BASER_ENTRY(mmio_read64(its.regs, reg));
    uint64_t page_bits = baser_page_bits(reg), page = 4096ull << 2 * page_bits;
    uint64_t bytes = align_up(min_u64(entries * entry, most_bytes), page), value;
    void *table;

    if (page_bits > 2)
        return 0;
    table = boot_take_aligned(bytes, page, EXO_FRAME_KERNEL);
    value = TABLE_VALID | TABLE_CACHED_AT(59) | virt_to_phys(table).v | TABLE_SHARED |
            page_bits << GITS_BASER_PAGE_SHIFT | (bytes / page - 1);
    mmio_write64(its.regs, reg, value);
    value ^= mmio_read64(its.regs, reg);
    return value & (TABLE_VALID | TABLE_SHARED_MASK) ? 0 : min_u64(entries, bytes / entry);
}

BOOT static bool tables_fill(void)
{
    uint64_t collections = GITS_TYPER_HCC(its.typer);

    for (uint32_t reg = GITS_BASER; reg < GITS_BASER + 64; reg += 8) {
        uint64_t type = GITS_BASER_TYPE(mmio_read64(its.regs, reg));

        if (type == BASER_DEVICES)
            its.ndevices =
                (uint32_t)baser_fill(reg, 1ull << GITS_TYPER_DEVICE_BITS(its.typer), DEVICE_TABLE_BYTES);
        else if (type == BASER_COLLECTIONS)
            collections = baser_fill(reg, EXO_CPUS_MAX, GITS_BASER_PAGES_MAX * PAGE_SIZE);
    }
    return its.ndevices && collections >= EXO_CPUS_MAX;
}

BOOT static bool queue_fill(void)
{
    uint64_t value;

    its.queue = boot_take_aligned(COMMAND_BYTES, 0x10000, EXO_FRAME_KERNEL);
    value = TABLE_VALID | TABLE_CACHED_AT(59) | virt_to_phys(its.queue).v | TABLE_SHARED |
            (COMMAND_BYTES / PAGE_SIZE - 1);
    mmio_write64(its.regs, GITS_CBASER, value);
    value ^= mmio_read64(its.regs, GITS_CBASER);
    mmio_write64(its.regs, GITS_CWRITER, 0);
    return !(value & (TABLE_VALID | TABLE_SHARED_MASK));
}

BOOT static bool stop(void)
{
    uint64_t give_up = arch_time() + arch_time_hz();

    mmio_write32(its.regs, GITS_CTLR, mmio_read32(its.regs, GITS_CTLR) & ~GITS_CTLR_ENABLED);
    while (!(mmio_read32(its.regs, GITS_CTLR) & GITS_CTLR_QUIESCENT))
        if (arch_time() > give_up)
            return false;
    return true;
}

BOOT static const char *start(mmio_t redistributor, unsigned n)
{
    if (!(its.typer & GITS_TYPER_PHYSICAL) || !(mmio_read64(redistributor, GICR_TYPER) & GICR_TYPER_PLPIS))
        return "the controller has no LPIs";
    if (GITS_TYPER_ID_BITS(its.typer) < EVENT_ID_BITS || gic_lpis() < LPIS)
        return "the controller knows too few interrupts";
    if (mmio_read32(redistributor, GICR_CTLR) & GICR_CTLR_ENABLE_LPIS)
        return "firmware uses it already";
    if (!stop())
        return "it does not come to rest";
    if (!tables_fill() || !queue_fill())
        return "it cannot use this memory for its tables";
    its.enabled = boot_take_aligned((1u << LPI_ID_BITS) - LPI_FIRST, PAGE_SIZE, EXO_FRAME_KERNEL);
    for (unsigned i = 0; i < n; i++)
        its.pending[i] = boot_take_aligned((1u << LPI_ID_BITS) / 8, 0x10000, EXO_FRAME_KERNEL);
    mmio_write32(its.regs, GITS_CTLR, mmio_read32(its.regs, GITS_CTLR) | GITS_CTLR_ENABLED);
    return NULL;
}

/* The bits of a command that name the redistributor. */
static uint64_t target_of(mmio_t redistributor)
{
    if (its.typer & GITS_TYPER_PTA)
        return mmu_device_paddr(redistributor.base);
    return GICR_TYPER_NUMBER(mmio_read64(redistributor, GICR_TYPER)) << 16;
}

/* A redistributor's table; false: it cannot share the memory with the CPUs. */
static bool redistributor_fill(mmio_t redistributor, uint32_t reg, const void *table, uint64_t more)
{
    uint64_t value = virt_to_phys(table).v | TABLE_SHARED | TABLE_CACHED_AT(7) | more;

    mmio_write64(redistributor, reg, value);
    return !((value ^ mmio_read64(redistributor, reg)) & TABLE_SHARED_MASK);
}

bool its_cpu_init(volatile void *registers)
{
    mmio_t redistributor = {(uintptr_t)registers};
    uint32_t cpu = cpu_this()->id;

    if (!its.enabled)
        return true;
    if (!redistributor_fill(redistributor, GICR_PROPBASER, its.enabled, LPI_ID_BITS - 1) ||
        !redistributor_fill(redistributor, GICR_PENDBASER, its.pending[cpu], GICR_PENDBASER_ZERO))
        return false;
    table_written();
    mmio_write32(redistributor, GICR_CTLR, mmio_read32(redistributor, GICR_CTLR) | GICR_CTLR_ENABLE_LPIS);
    its.target[cpu] = target_of(redistributor);
    command((struct command){{ITS_MAPC, 0, cpu | its.target[cpu] | COMMAND_VALID}}, cpu);
    return true;
}

BOOT bool its_init(int node, unsigned n, struct arch_msi *out)
{
    struct tree_range reg;
    const char *why;

    if (!tree_reg(node, 0, &reg) || reg.len < 2 * 0x10000)
        return refuse("its device tree node has no usable reg entry");
    its.regs.base = (uintptr_t)mmu_map_device(reg.base, 0x10000);
    if (!its.regs.base)
        return refuse("its registers do not fit in");
    its.typer = mmio_read64(its.regs, GITS_TYPER);
    why = start((mmio_t){(uintptr_t)gic_redistributor()}, n);
    if (!why && !its_cpu_init(gic_redistributor()))
        why = "it cannot use this memory for its tables";
    if (why) {
        its.enabled = NULL; /* other CPUs need not try */
        return refuse(why);
    }
    *out = (struct arch_msi){.first = LPI_FIRST,
                             .nlines = LPIS,
                             .ndevices = its.ndevices,
                             .by_device = true,
                             .doorbell = {reg.base + GITS_TRANSLATER}};
    return true;
}
