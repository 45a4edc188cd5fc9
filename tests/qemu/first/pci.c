#include "pci.h"

#define CONFIG_VA 0x3100000000ull /* a page a device */

uint32_t get32(volatile char *base, unsigned at)
{
    return *(volatile uint32_t *)(base + at);
}

void put32(volatile char *base, unsigned at, uint32_t value)
{
    *(volatile uint32_t *)(base + at) = value;
}

volatile char *device_map(uint64_t va, uint64_t pa, uint64_t npages)
{
    if (exo_mmio_map(EXO_FIRST_MMIO, EXO_SELF_SPACE, va, pa, npages, RW) != (int64_t)npages)
        return NULL;
    return (volatile char *)va;
}

bool pci_find(struct device *d, uint32_t id)
{
    uint64_t ecam = tree_reg("pci-host-ecam-generic");

    for (d->number = 1; ecam && d->number < 32; d->number++) {
        d->requester = d->number << 3;
        d->config_at = ecam + (d->number << 15);
        d->config = device_map(CONFIG_VA + d->number * PAGE_SIZE, d->config_at, 1);
        if (!d->config || get32(d->config, PCI_ID) != id) {
            exo_page_unmap(EXO_SELF_SPACE, CONFIG_VA + d->number * PAGE_SIZE, 1, 0);
            continue;
        }
        d->regs_at = PCI_WINDOW + (d->number << 20);
        put32(d->config, PCI_BAR, (uint32_t)d->regs_at);
        put32(d->config, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
        d->regs = device_map(PCI_REGS_VA + (d->number << 20), d->regs_at, 32);
        return d->regs != NULL;
    }
    return false;
}

unsigned pci_capability(const struct device *d, unsigned id)
{
    unsigned at = get32(d->config, PCI_CAPABILITIES) & 0xfc;

    while (at && (get32(d->config, at) & 0xff) != id)
        at = get32(d->config, at) >> 8 & 0xfc;
    return at;
}

void pci_msi(const struct device *d, uint32_t word)
{
    unsigned at = pci_capability(d, PCI_CAP_MSI);

    put32(d->config, at + 4, (uint32_t)machine->msi_doorbell);
    put32(d->config, at + 8, (uint32_t)(machine->msi_doorbell >> 32));
    put32(d->config, at + 12, word);
    put32(d->config, at, get32(d->config, at) | 1u << 16);
}
