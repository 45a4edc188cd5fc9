/* SMMUv3 (Arm IHI 0070): one unit, stage 1 alone, non-secure streams.
 *
 *   stream --> L1 descriptor --> L2: stream table entry --> context descriptor --> tables
 *              l1[] below        a page of 64, by dma.c      in the domain's head   as a CPU's
 *
 * Everything that is not set up aborts: a stream without L1 descriptor or valid entry, and, while the unit is not on,
 * all (GBPA).  The tables have the CPU's format and attributes (arch_inline.h); a domain's tag is its ASID.
 *
 * Whoever changes a table then issues the commands that make the unit forget, and waits for CMD_SYNC, for a bounded
 * time.  A unit that once did not answer is not asked again. */
#include "smmu.h"

#include "arch/arch.h"
#include "base/range.h"
#include "dma.h"
#include "gic.h"
#include "log.h"
#include "mmu.h"
#include "tree.h"

#define SPLIT 6u         /* streams in a page of stream table entries: 2^6 */
#define STREAM_BITS 16u  /* PCI's requester ids */
#define CMDQ_BITS_MAX 8u /* more commands than one call issues */
#define EVTQ_BITS_MAX 5u /* few enough to take at one go */
#define ANSWER_MS 10u
#define INTERRUPTS_MAX 16u /* in WINDOW_MS; more, and the line is left alone until somebody asks */
#define WINDOW_MS 100u

enum smmu { /* 6.1, 6.3: page 0, and the event queue's indices in page 1 */
            IDR0 = 0x0,
            IDR1 = 0x4,
            IDR5 = 0x14,
            CR0 = 0x20,
            CR0ACK = 0x24,
            CR1 = 0x28,
            CR2 = 0x2c,
            GBPA = 0x44,
            IRQ_CTRL = 0x50,
            IRQ_CTRLACK = 0x54,
            STRTAB_BASE = 0x80,
            STRTAB_BASE_CFG = 0x88,
            CMDQ_BASE = 0x90,
            CMDQ_PROD = 0x98,
            CMDQ_CONS = 0x9c,
            EVENTQ_BASE = 0xa0,
            EVENTQ_PROD = 0x100a8,
            EVENTQ_CONS = 0x100ac,
};
#define IDR0_S1P (1u << 1)
#define IDR0_TTF_AARCH64 (1u << 3)
#define IDR0_COHACC (1u << 4)
#define IDR0_ASID16 (1u << 12)
#define IDR0_STALL_FORCED (1u << 25)
#define IDR0_TWO_LEVELS (1u << 27)
#define IDR1_PRESET (3u << 29) /* queues or tables at fixed addresses */
#define IDR5_GRAN4K (1u << 4)
#define CR0_SMMUEN 1u
#define CR0_EVENTQEN 4u
#define CR0_CMDQEN 8u
#define CR1_CACHED 0xd75u /* tables and queues: inner shareable, write-back */
#define CR2_RECINVSID 2u  /* tell of streams beyond the table */
#define CR2_PTM 4u        /* the CPUs' TLB maintenance is not for us */
#define GBPA_ABORT (1u << 20)
#define GBPA_UPDATE (1u << 31)
#define IRQ_CTRL_EVENTQ 4u
#define BASE_ALLOCATE (1ull << 62)
#define STRTAB_TWO_LEVELS (1u << 16)
#define EVENTQ_OVERFLOW (1u << 31)

enum command { /* 4.1 */
               CMD_CFGI_STE = 0x03,
               CMD_CFGI_ALL = 0x04,
               CMD_CFGI_CD = 0x05,
               CMD_TLBI_NH_ASID = 0x11,
               CMD_TLBI_NH_VA = 0x12,
               CMD_TLBI_NSNH_ALL = 0x30,
               CMD_SYNC = 0x46,
};

/* Stream table entry, 5.2. */
#define STE0_S1_TRANSLATE (5ull << 1)
#define STE1_S1_CACHED                                                                                       \
    (0x35ull << 2) /* context descriptors: write-back, inner shareable (S1CIR, S1COR, S1CSH) */
#define STE1_SHARE_INCOMING (1ull << 44)

/* Context descriptor, 5.4. */
#define CD0_WALKS_CACHED (0x35ull << 8) /* IR0, OR0, SH0 */
#define CD0_NO_TTB1 (1ull << 30)
#define CD0_VALID (1ull << 31)
#define CD0_IPS_SHIFT 32
#define CD0_AARCH64 (1ull << 41)
#define CD0_RECORD (3ull << 45) /* R, A: a fault aborts, and is recorded */
#define CD0_ASET (1ull << 47)   /* the ASID is the SMMU's own */
#define CD0_ASID_SHIFT 48

#define EVENT_READ (1ull << 35)

static volatile char *regs;
static struct tree_range owned;
static uint32_t stream_bits, asid_bits, cmdq_bits, evtq_bits, line;
static uint64_t address_size; /* of physical addresses, as the registers encode it */
static uint32_t cmdq_prod;
static bool dead, silenced;
static uint64_t window;
static unsigned ninterrupts;

#define TABLE(bytes) __attribute__((aligned(bytes)))
static TABLE(8192) uint64_t l1[1u << (STREAM_BITS - SPLIT)];
static TABLE(4096) uint64_t cmdq[1u << CMDQ_BITS_MAX][2];
static TABLE(1024) uint64_t evtq[1u << EVTQ_BITS_MAX][4];

static uint32_t read32(unsigned offset)
{
    return *(volatile uint32_t *)(volatile void *)(regs + offset);
}

static void write32(unsigned offset, uint32_t value)
{
    *(volatile uint32_t *)(volatile void *)(regs + offset) = value;
}

static void write64(unsigned offset, uint64_t value)
{
    *(volatile uint64_t *)(volatile void *)(regs + offset) = value;
}

/* What was written to memory before is seen by the unit before what follows. */
static void barrier(void)
{
    __asm__ volatile("dsb sy" : : : "memory");
}

static bool wait_for(unsigned offset, uint32_t mask, uint32_t value)
{
    uint64_t end = arch_time() + arch_time_hz() / 1000 * ANSWER_MS;

    while ((read32(offset) & mask) != value)
        if (arch_time() > end)
            return false;
    return true;
}

/* ---- commands ------------------------------------------------------------------------------------------------- */

static uint32_t queue_mask(uint32_t bits)
{
    return (2u << bits) - 1; /* index and wrap bit */
}

static bool drain(void)
{
    if (!dead)
        dead = !wait_for(CMDQ_CONS, queue_mask(cmdq_bits), cmdq_prod);
    return !dead;
}

static void command(uint64_t word0, uint64_t word1)
{
    uint64_t *slot = cmdq[cmdq_prod & ((1u << cmdq_bits) - 1)];

    if ((read32(CMDQ_CONS) ^ cmdq_prod) == 1u << cmdq_bits)
        drain();
    if (dead)
        return;
    slot[0] = word0;
    slot[1] = word1;
    cmdq_prod = (cmdq_prod + 1) & queue_mask(cmdq_bits);
    barrier();
    write32(CMDQ_PROD, cmdq_prod);
}

bool arch_iommu_sync(void)
{
    command(CMD_SYNC, 0);
    return drain();
}

void arch_iotlb_flush_page(uint32_t tag, uint64_t iova)
{
    command(CMD_TLBI_NH_VA | (uint64_t)tag << 48, iova | 1); /* its last level only */
}

void arch_iotlb_flush(uint32_t tag)
{
    command(CMD_TLBI_NH_ASID | (uint64_t)tag << 48, 0);
}

void arch_stream_flush(uint32_t stream)
{
    command(CMD_CFGI_STE | (uint64_t)stream << 32, 0); /* and the L1 descriptor */
    command(CMD_CFGI_CD | (uint64_t)stream << 32, 1);
}

/* ---- streams --------------------------------------------------------------------------------------------------- */

uint32_t arch_iommu_tags(void)
{
    return 1u << asid_bits;
}

void arch_stream_table(uint32_t stream, paddr_t table)
{
    l1[stream >> SPLIT] = table.v ? table.v | (SPLIT + 1) : 0;
}

void arch_stream_set(struct arch_stream *stream, struct arch_domain *domain, paddr_t root, uint32_t tag)
{
    domain->word[1] = root.v;
    domain->word[2] = 0;
    domain->word[3] = MAIR_VALUE;
    domain->word[0] = (64 - ARCH_USER_BITS) | CD0_WALKS_CACHED | CD0_NO_TTB1 | CD0_VALID | CD0_AARCH64 |
                      CD0_RECORD | CD0_ASET | address_size << CD0_IPS_SHIFT | (uint64_t)tag << CD0_ASID_SHIFT;
    stream->word[1] = STE1_S1_CACHED | STE1_SHARE_INCOMING;
    barrier(); /* valid comes last */
    stream->word[0] = ARCH_STREAM_VALID | STE0_S1_TRANSLATE | virt_to_phys(domain).v;
    barrier();
}

void arch_stream_clear(struct arch_stream *stream)
{
    stream->word[0] = 0;
    barrier();
}

/* ---- events ---------------------------------------------------------------------------------------------------- */

void arch_iommu_poll(void)
{
    uint32_t prod, cons, index_mask = (1u << evtq_bits) - 1;

    if (!regs)
        return;
    prod = read32(EVENTQ_PROD);
    cons = read32(EVENTQ_CONS);
    barrier();
    for (unsigned n = 0; n <= index_mask && ((prod ^ cons) & queue_mask(evtq_bits)); n++) {
        const uint64_t *event = evtq[cons & index_mask];

        dma_faulted(event[0] >> 32, event[2], event[1] & EVENT_READ ? EXO_PROT_READ : EXO_PROT_WRITE);
        cons = (cons + 1) & queue_mask(evtq_bits);
    }
    write32(EVENTQ_CONS, cons | (prod & EVENTQ_OVERFLOW)); /* what was lost is only fewer counts */
    if (silenced)
        arch_irq_enable(line);
    silenced = false;
}

bool smmu_owns_line(uint32_t at)
{
    return line && at == line;
}

bool smmu_irq(uint32_t at)
{
    uint64_t now = arch_time();

    if (!smmu_owns_line(at))
        return false;
    if (now - window > arch_time_hz() / 1000 * WINDOW_MS) {
        window = now;
        ninterrupts = 0;
    }
    arch_iommu_poll();
    if (++ninterrupts > INTERRUPTS_MAX) {
        arch_irq_disable(line);
        silenced = true;
    }
    return true;
}

bool smmu_owns(uint64_t pa, uint64_t len)
{
    return range_overlaps(pa, len, owned.base, owned.len);
}

/* ---- boot ------------------------------------------------------------------------------------------------------ */

/* What keeps us from using it; NULL: nothing does. */
BOOT static const char *unsuitable(void)
{
    uint32_t idr0 = read32(IDR0), idr1 = read32(IDR1), idr5 = read32(IDR5);
    static const uint8_t bits[] = {32, 36, 40, 42, 44, 48};

    if (!(idr0 & IDR0_S1P) || !(idr0 & IDR0_TTF_AARCH64) || !(idr5 & IDR5_GRAN4K))
        return "an SMMUv3 without stage 1 of 4 KiB pages, not used: devices reach all memory";
    if (!(idr0 & IDR0_COHACC))
        return "an SMMUv3 that does not see the CPUs' caches, not used: devices reach all memory";
    if (!(idr0 & IDR0_TWO_LEVELS) || idr0 & IDR0_STALL_FORCED || idr1 & IDR1_PRESET)
        return "an SMMUv3 of an unusual kind, not used: devices reach all memory";
    address_size = min_u64(idr5 & 7, ARRAY_LEN(bits) - 1);
    if (((uint64_t)system_info->first_frame + system_info->nframes) >> (bits[address_size] - PAGE_SHIFT))
        return "an SMMUv3 that does not reach all memory, not used: devices reach it all";
    stream_bits = (uint32_t)min_u64(idr1 & 63, STREAM_BITS);
    asid_bits = idr0 & IDR0_ASID16 ? 16 : 8;
    evtq_bits = (uint32_t)min_u64(idr1 >> 16 & 31, EVTQ_BITS_MAX);
    cmdq_bits = (uint32_t)min_u64(idr1 >> 21 & 31, CMDQ_BITS_MAX);
    return NULL;
}

BOOT static bool control(uint32_t bits)
{
    write32(CR0, bits);
    return wait_for(CR0ACK, UINT32_MAX, bits);
}

/* Whatever firmware left, nothing gets through from here on. */
BOOT static bool stop_all(void)
{
    if (!wait_for(GBPA, GBPA_UPDATE, 0))
        return false;
    write32(GBPA, GBPA_UPDATE | GBPA_ABORT);
    return wait_for(GBPA, GBPA_UPDATE, 0) && control(0);
}

BOOT static bool start(void)
{
    if (!stop_all())
        return false;
    write32(CR1, CR1_CACHED);
    write32(CR2, CR2_PTM | CR2_RECINVSID);
    write64(STRTAB_BASE, mmu_image_paddr(l1).v | BASE_ALLOCATE);
    write32(STRTAB_BASE_CFG, STRTAB_TWO_LEVELS | SPLIT << 6 | stream_bits);
    write64(CMDQ_BASE, mmu_image_paddr(cmdq).v | cmdq_bits | BASE_ALLOCATE);
    write32(CMDQ_PROD, 0);
    write32(CMDQ_CONS, 0);
    if (!control(CR0_CMDQEN))
        return false;
    command(CMD_CFGI_ALL, 31);
    command(CMD_TLBI_NSNH_ALL, 0);
    if (!arch_iommu_sync())
        return false;
    write64(EVENTQ_BASE, mmu_image_paddr(evtq).v | evtq_bits | BASE_ALLOCATE);
    write32(EVENTQ_PROD, 0);
    write32(EVENTQ_CONS, 0);
    return control(CR0_CMDQEN | CR0_EVENTQEN) && control(CR0_CMDQEN | CR0_EVENTQEN | CR0_SMMUEN);
}

/* The event queue's line is the first (Linux's binding of arm,smmu-v3). */
BOOT static void events_on(int node)
{
    uint32_t type, number, trigger;

    if (!tree_cell(node, "interrupts", 0, &type) || !tree_cell(node, "interrupts", 1, &number) ||
        !tree_cell(node, "interrupts", 2, &trigger) || type != 0 || number >= 988 ||
        !arch_irq_usable(32 + number))
        return; /* then somebody asks */
    line = 32 + number;
    gic_watch(line);
    gic_line_trigger(line, (trigger & 3) != 0);
    write32(IRQ_CTRL, IRQ_CTRL_EVENTQ);
    if (wait_for(IRQ_CTRLACK, IRQ_CTRL_EVENTQ, IRQ_CTRL_EVENTQ))
        arch_irq_enable(line);
}

BOOT uint64_t arch_iommu_init(const char **what)
{
    static const char *const compatible[] = {"arm,smmu-v3", NULL};
    int node = tree_find(compatible);
    const char *why;

    if (node < 0)
        return 0;
    *what = "an SMMUv3 whose registers the device tree does not give, not used: devices reach all memory";
    if (!tree_reg(node, 0, &owned) || owned.len < 0x20000)
        return 0;
    regs = mmu_map_device(owned.base, 0x20000);
    if (!regs)
        return 0;
    why = unsuitable();
    if (!why && !start())
        why = "an SMMUv3 that does not answer: devices behind it may not work";
    if (why) {
        regs = NULL;
        *what = why;
        return 0;
    }
    events_on(node);
    *what = "SMMUv3: devices behind it reach what is bound for them";
    return 1ull << stream_bits;
}
