/* Lines that messages of real devices raise: edu, which writes one MSI for each register write, and e1000e, which does
 * so for each of its MSI-X vectors.  K18 B5, invariant 9: one vcpu at most, masked from delivery to acknowledgement. */
#include "bare.h"
#include "pci.h"

#define LINES_VA 0x3300000000ull
enum e1000e { E_CTRL_EXT = 0x18, E_ICR = 0xc0, E_ICS = 0xc8, E_IMS = 0xd0, E_EIAC = 0xdc, E_IVAR = 0xe4 };

static int64_t bind(uint32_t line, uint32_t device, uint32_t event, exo_handle_t vcpu, unsigned bit)
{
    return exo_msi_bind(EXO_FIRST_IRQ, line, EXO_FIRST_DMA, device, event, vcpu, bit);
}

static int64_t unbind(uint32_t line)
{
    return exo_irq_bind(EXO_FIRST_IRQ, line, 0, 0);
}

static bool comes(uint64_t bits, uint64_t ms)
{
    if (exo_wait(bits, after_ms(ms)) != (int64_t)bits)
        return false;
    events_take(bits);
    return true;
}

static bool by_device(void)
{
    return machine->msi_first >= 8192;
}

static uint64_t count_of(uint32_t line)
{
    const volatile struct exo_line *rows = (const volatile struct exo_line *)LINES_VA;

    for (uint64_t page = 0; page * PAGE_SIZE < machine->nlines * sizeof(*rows); page++)
        exo_info_map(EXO_FIRST_INFO, EXO_INFO_LINES, page, EXO_SELF_SPACE, LINES_VA + page * PAGE_SIZE);
    for (uint32_t row = 0; row < machine->nlines; row++)
        if (rows[row].line == line)
            return rows[row].count;
    return UINT64_MAX;
}

/* ---- edu: MSI ---------------------------------------------------------------------------------------------------- */

static struct device edu;

static void edu_message(void)
{
    put32(edu.regs, EDU_RAISE, 1);
    put32(edu.regs, EDU_LOWER, 1);
}

static void check_masking(uint32_t line)
{
    int64_t word = bind(line, edu.requester, 5, EXO_FIRST_VCPU, 7);

    check_is("a message line is bound, and the device's word told", word, by_device() ? 5 : line);
    pci_msi(&edu, (uint32_t)word);
    edu_message();
    check("B5 a message arrives as an event", comes(1 << 7, 1000));
    edu_message();
    edu_message();
    check("the line is masked until its acknowledgement (invariant 9)", !comes(1 << 7, 20));
    check_is("acknowledged", exo_irq_ack(EXO_FIRST_IRQ, line), 0);
    check("what came meanwhile arrives then, as one", comes(1 << 7, 1000) && !comes(1 << 7, 20));
    exo_irq_ack(EXO_FIRST_IRQ, line);
    check("and no more", !comes(1 << 7, 20));
}

static void check_count(uint32_t line)
{
    uint64_t before = count_of(line);
    unsigned arrived = 0;

    while (arrived < 1000) {
        edu_message();
        if (!comes(1 << 7, 1000))
            break;
        arrived++;
        exo_irq_ack(EXO_FIRST_IRQ, line);
    }
    check_is("B5 a thousand messages, a thousand events", arrived, 1000);
    check_is("and so the line is counted", (int64_t)(count_of(line) - before), 1000);
}

static void check_unbound(uint32_t line)
{
    check_is("a message line is unbound", unbind(line), 0);
    edu_message();
    check("then nothing arrives", !comes(1 << 7, 20));
    check_is("nor can it be acknowledged", exo_irq_ack(EXO_FIRST_IRQ, line), -EXO_ESTATE);
    check("it is bound again", bind(line, edu.requester, 5, EXO_FIRST_VCPU, 8) >= 0);
    check("what came while it was nobody's does not arrive", !comes(1 << 8, 20));
    edu_message();
    check("what comes now does", comes(1 << 8, 1000));
    edu_message(); /* waits for an acknowledgement that does not come */
    unbind(line);
}

/* Not what the device's capability says, but who the device is: K18. */
static void check_other_device(uint32_t line)
{
    if (!by_device())
        return;
    bind(line, edu.requester ^ 8, 5, EXO_FIRST_VCPU, 7);
    edu_message();
    check("K18 a device raises no line that was bound to another", !comes(1 << 7, 20));
    unbind(line);
}

static void sleeper(uint64_t arg)
{
    (void)arg;
    exo_wait(1 << 9, EXO_FOREVER);
}

static bool peer_gets(const struct peer *peer, uint64_t bit)
{
    uint64_t deadline = after_ms(1000);

    while (now() < deadline)
        if (__atomic_load_n(&peer_page(peer)->events, __ATOMIC_ACQUIRE) & bit)
            return true;
    return false;
}

static void check_killed(uint32_t line)
{
    uint64_t before = free_frames();
    struct peer peer = peer_run(0, sleeper, 0);
    int64_t word = bind(line, edu.requester, 5, peer.vcpu, 10);

    pci_msi(&edu, (uint32_t)word);
    check_is("nobody else can bind it", bind(line, edu.requester, 6, EXO_FIRST_VCPU, 7), -EXO_EBUSY);
    check_is("or acknowledge it", exo_irq_ack(EXO_FIRST_IRQ, line), -EXO_ESTATE);
    check_is("or unbind it", unbind(line), -EXO_ESTATE);
    edu_message();
    check("its holder gets the event", peer_gets(&peer, 1 << 10));
    edu_message(); /* masked: waits */
    peer_end(&peer);
    check("K29 a line is free when its holder is killed",
          bind(line, edu.requester, 5, EXO_FIRST_VCPU, 7) >= 0);
    check("and brings nothing along", !comes(1 << 7, 20));
    edu_message();
    check("it works for the next", comes(1 << 7, 1000));
    unbind(line);
    check_is("and every frame is back", (int64_t)free_frames(), (int64_t)before);
}

/* ---- e1000e: MSI-X ------------------------------------------------------------------------------------------------ */

#define VECTORS 4u /* receive queues 0 and 1, transmit queues 0 and 1: causes 20 to 23 */

static void vector_message(const struct device *nic, unsigned vector)
{
    put32(nic->regs, E_IMS, 1u << (20 + vector));
    put32(nic->regs, E_ICS, 1u << (20 + vector));
}

static bool msix_program(const struct device *nic, const uint32_t word[VECTORS])
{
    unsigned at = pci_capability(nic, PCI_CAP_MSIX);
    unsigned bar = at ? get32(nic->config, at + 4) & 7 : 0,
             offset = at ? get32(nic->config, at + 4) & ~7u : 0;
    uint32_t place = PCI_WINDOW + (nic->number << 20) + 0x80000;
    volatile char *table = device_map(PCI_REGS_VA + (nic->number << 20) + 0x80000, place, 4);

    if (!at || !table)
        return false;
    put32(nic->config, PCI_BAR + 4 * bar, place);
    for (unsigned i = 0; i < VECTORS; i++) {
        put32(table, offset + 16 * i, (uint32_t)machine->msi_doorbell);
        put32(table, offset + 16 * i + 4, (uint32_t)(machine->msi_doorbell >> 32));
        put32(table, offset + 16 * i + 8, word[i]);
        put32(table, offset + 16 * i + 12, 0);
    }
    put32(nic->config, at, (get32(nic->config, at) & ~(1u << 30)) | 1u << 31);
    put32(nic->regs, E_IVAR, 0xba98); /* cause 20 + n raises vector n */
    put32(nic->regs, E_EIAC, 15u << 20);
    return true;
}

static void check_msix(uint32_t line)
{
    struct device nic;
    uint32_t word[VECTORS];
    bool good = true;

    if (!check("there is an e1000e", pci_find(&nic, PCI_E1000E)))
        return;
    for (unsigned i = 0; i < VECTORS; i++)
        word[i] = (uint32_t)bind(line + i, nic.requester, 20 + i, EXO_FIRST_VCPU, 10 + i);
    check("its vectors can be programmed", msix_program(&nic, word));
    for (unsigned i = 0; i < VECTORS; i++) {
        vector_message(&nic, i);
        good &= comes(1ull << (10 + i), 1000) && (events_take(15 << 10) & 15 << 10) == 0;
    }
    check("B5 each vector raises its own line", good);
    for (unsigned i = 1; i < VECTORS; i++)
        exo_irq_ack(EXO_FIRST_IRQ, line + i);
    vector_message(&nic, 0);
    vector_message(&nic, 2);
    check("one line is masked, another is not", comes(1 << 12, 1000) && !comes(1 << 10, 20));
    exo_irq_ack(EXO_FIRST_IRQ, line);
    check("until that is acknowledged, too", comes(1 << 10, 1000));
    for (unsigned i = 0; i < VECTORS; i++)
        unbind(line + i);
}

/* ---- bad arguments -------------------------------------------------------------------------------------------------- */

static void msi_thief(uint64_t arg)
{
    (void)arg;
    exo_env_exit((uint64_t)(bind(machine->msi_first, 8, 0, 3, 1) == -EXO_EHANDLE));
}

static void check_refused(uint32_t line)
{
    int64_t lines = exo_cap_grant(EXO_SELF_ENV, EXO_FIRST_IRQ, EXO_RIGHT_USE, line, 2);
    int64_t devices = exo_cap_grant(EXO_SELF_ENV, EXO_FIRST_DMA, EXO_RIGHT_USE, 8, 2);
    exo_handle_t irq = (exo_handle_t)lines, dma = (exo_handle_t)devices;
    struct peer peer = peer_run(0, msi_thief, 0);

    peer_ended(&peer, 1000);
    check_is("K18 without a capability no message", peer_status(&peer, EXO_ENV_CODE), 1);
    peer_end(&peer);
    check_is("K18 no line outside the capability", exo_msi_bind(irq, line + 2, dma, 8, 0, EXO_FIRST_VCPU, 1),
             -EXO_ERANGE);
    check_is("K18 no device outside the capability", exo_msi_bind(irq, line, dma, 10, 0, EXO_FIRST_VCPU, 1),
             -EXO_ERANGE);
    check_is("K20 no device that wraps", exo_msi_bind(irq, line, dma, 1ull << 32 | 8, 0, EXO_FIRST_VCPU, 1),
             -EXO_ERANGE);
    check_is("no event that the device's table does not have",
             exo_msi_bind(irq, line, dma, 8, EXO_MSI_EVENTS, EXO_FIRST_VCPU, 1), -EXO_EINVAL);
    check_is("not the kernel's own bit", exo_msi_bind(irq, line, dma, 8, 0, EXO_FIRST_VCPU, 63), -EXO_EINVAL);
    check_is("no wired line", exo_msi_bind(EXO_FIRST_IRQ, 33, dma, 8, 0, EXO_FIRST_VCPU, 1), -EXO_EINVAL);
    check_is("and no message line as a wired one", exo_irq_bind(irq, line, EXO_FIRST_VCPU, 1), -EXO_EINVAL);
    check("a line is bound", exo_msi_bind(irq, line, dma, 8, 0, EXO_FIRST_VCPU, 1) >= 0);
    check_is("and not twice", exo_msi_bind(irq, line, dma, 8, 1, EXO_FIRST_VCPU, 1), -EXO_EBUSY);
    if (by_device()) {
        check_is("nor a device's event", exo_msi_bind(irq, line + 1, dma, 8, 0, EXO_FIRST_VCPU, 1),
                 -EXO_EBUSY);
        check_is("no device beyond the controller's tables", bind(line + 1, 0xffffffff, 0, EXO_FIRST_VCPU, 1),
                 -EXO_ERANGE);
    }
    check_is("unbound", unbind(line), 0);
    check_is("K18 the controller's registers are the kernel's",
             exo_mmio_map(EXO_FIRST_MMIO, EXO_SELF_SPACE, SPARE, machine->msi_doorbell & ~(uint64_t)PAGE_MASK,
                          1, EXO_PROT_READ),
             -EXO_ERANGE);
    exo_cap_drop(irq);
    exo_cap_drop(dma);
}

/* As many lines and devices as there can be, in one environment that is killed then. */
static void check_many(void)
{
    uint64_t before = free_frames();
    struct peer peer = peer_make(1);
    uint32_t n = 0, freed = 0;
    int64_t rc = 0;

    peer_start(&peer, sleeper, 0);
    for (; n < machine->msi_lines; n++) {
        rc = bind(machine->msi_first + n, n % 32, n / 32, peer.vcpu, n % 60);
        if (rc < 0)
            break;
    }
    check_is("every message line is bound", n, machine->msi_lines);
    peer_end(&peer);
    for (uint32_t i = 0; i < n; i++)
        freed +=
            bind(machine->msi_first + i, 8, 0, EXO_FIRST_VCPU, 1) >= 0 && unbind(machine->msi_first + i) == 0;
    check_is("K29 and free when their holder is killed", freed, n);
    check_is("with every frame", (int64_t)free_frames(), (int64_t)before);
    if (!by_device())
        return;
    for (n = 0; bind(machine->msi_first + n, 0x100 + n, 0, EXO_FIRST_VCPU, 1) >= 0; n++)
        ;
    check_is("devices that have events are limited",
             bind(machine->msi_first + n, 0x100 + n, 0, EXO_FIRST_VCPU, 1), -EXO_EFULL);
    for (uint32_t i = 0; i < n; i++)
        unbind(machine->msi_first + i);
    check_is("with every frame", (int64_t)free_frames(), (int64_t)before);
}

/* What the kernel said at boot. */
static void print_log(void)
{
    const struct exo_log *log = (const struct exo_log *)LINES_VA;
    char letter[2] = {0};

    if (exo_info_map(EXO_FIRST_INFO, EXO_INFO_LOG, 0, EXO_SELF_SPACE, LINES_VA))
        return;
    print("# log: ");
    for (uint64_t i = 0; i < log->written && i < PAGE_SIZE - sizeof(*log); i++) {
        letter[0] = log->text[i];
        print(letter);
        if (letter[0] == '\n' && i + 1 < log->written)
            print("# log: ");
    }
}

void check_no_msi(void)
{
    check_is("a machine without messages says so", bind(40, 8, 0, EXO_FIRST_VCPU, 1), -EXO_EUNSUPPORTED);
    check_is("and has no doorbell", (int64_t)machine->msi_doorbell, 0);
    print_log();
}

void check_msi(void)
{
    uint32_t line = machine->msi_first + 3;

    check_refused(line);
    if (check("there is an edu", pci_find(&edu, PCI_EDU))) {
        check_masking(line);
        check_count(line);
        check_unbound(line);
        check_other_device(line);
        check_killed(line);
    }
    check_msix(line + 4);
    check_many();
}
