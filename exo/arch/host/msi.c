/* The controller of devices' messages.  As an ITS it keeps what the kernel maps in the tables that the kernel gives it:
 * a 64-bit word each event, 0 or 1 + the number of the LPI, so that a page that comes back too early is seen. */
#include <assert.h>

#include "arch/arch.h"
#include "cpu.h"
#include "host.h"
#include "machine.h"

#define DEVICES 128u

static struct {
    bool there;
    uint32_t id;
    uint64_t *events; /* in RAM */
} devices[DEVICES];
static uint64_t *mapped[MACHINE_LPIS]; /* where each LPI's event is */

static struct arch_msi msi;

const struct arch_msi *arch_msi(void)
{
    return &msi;
}

void arch_msi_init(unsigned n)
{
    (void)n;
    if (machine.msi == MACHINE_MSI_ITS)
        msi = (struct arch_msi){.first = MACHINE_LPI_MIN,
                                .nlines = MACHINE_LPIS,
                                .ndevices = MACHINE_MSI_DEVICES,
                                .by_device = true,
                                .doorbell = {MACHINE_DOORBELL}};
    if (machine.msi == MACHINE_MSI_FRAME)
        msi = (struct arch_msi){.first = MACHINE_FRAME_MIN,
                                .nlines = MACHINE_LINES - MACHINE_FRAME_MIN,
                                .ndevices = UINT32_MAX,
                                .doorbell = {MACHINE_DOORBELL}};
}

static uint64_t *events_of(uint32_t device)
{
    for (unsigned i = 0; i < DEVICES; i++)
        if (devices[i].there && devices[i].id == device)
            return devices[i].events;
    return NULL;
}

void arch_msi_device(uint32_t device, paddr_t table, bool there)
{
    uint64_t *events = phys_to_virt(table);
    unsigned i = 0;

    assert((events_of(device) == NULL) == there);
    for (unsigned event = 0; event < EXO_MSI_EVENTS; event++)
        assert(events[event] == 0); /* fresh, or nothing is mapped any more and nobody else wrote */
    while (there ? devices[i].there : !devices[i].there || devices[i].id != device)
        i++;
    assert(i < DEVICES);
    devices[i].there = there;
    devices[i].id = device;
    devices[i].events = events;
}

void arch_msi_map(uint32_t line, uint32_t device, uint32_t event, const struct cpu *cpu)
{
    uint64_t *events = events_of(device);

    if (!msi.by_device) {
        arch_irq_route(line, cpu);
        machine.irq_raised &= ~(1ull << line);
        return;
    }
    assert(events && events[event] == 0 && !mapped[line - MACHINE_LPI_MIN]);
    events[event] = 1 + line;
    mapped[line - MACHINE_LPI_MIN] = &events[event];
    machine.lpi_cpu[line - MACHINE_LPI_MIN] = (uint8_t)cpu->id;
}

void arch_msi_unmap(uint32_t line)
{
    uint64_t **at = &mapped[line - MACHINE_LPI_MIN];

    assert(*at && **at == 1 + line && !arch_irq_enabled(line));
    **at = 0;
    *at = NULL;
    machine.lpi_raised &= ~(1ull << (line - MACHINE_LPI_MIN));
}

uint32_t machine_msi_line(uint32_t device, uint32_t word)
{
    const uint64_t *events = events_of(device);

    return events && word < EXO_MSI_EVENTS && events[word] ? (uint32_t)events[word] - 1 : 0;
}

bool machine_msi(uint32_t device, uint32_t word)
{
    uint32_t line;

    if (machine.msi == MACHINE_MSI_FRAME) {
        if (word - msi.first >= msi.nlines)
            return false;
        machine_irq(word);
        return true;
    }
    line = machine_msi_line(device, word);
    if (!line)
        return false;
    machine.lpi_raised |= 1ull << (line - MACHINE_LPI_MIN);
    machine_interrupt();
    return true;
}
