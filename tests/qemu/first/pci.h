/* Devices on PCI bus 0, and how they are told to send messages. */
#ifndef PCI_H
#define PCI_H

#include "first.h"

#define PCI_EDU 0x11e81234u
#define PCI_E1000E 0x10d38086u
#define PCI_WINDOW 0x10000000u /* bus addresses that the tree gives to devices' registers */
#define PCI_REGS_VA 0x3200000000ull

enum pci_config { PCI_ID = 0x00, PCI_COMMAND = 0x04, PCI_BAR = 0x10, PCI_CAPABILITIES = 0x34 };
enum { PCI_COMMAND_MEMORY = 2, PCI_COMMAND_MASTER = 4, PCI_CAP_MSI = 5, PCI_CAP_MSIX = 17 };
enum edu {
    EDU_RAISE = 0x60,
    EDU_LOWER = 0x64,
    EDU_FROM = 0x80,
    EDU_TO = 0x88,
    EDU_BYTES = 0x90,
    EDU_ORDER = 0x98
};

struct device {
    unsigned number; /* of 8 functions each, on bus 0 */
    uint32_t requester;
    uint64_t config_at, regs_at; /* physical */
    volatile char *config, *regs;
};

uint32_t get32(volatile char *base, unsigned at);
void put32(volatile char *base, unsigned at, uint32_t value);
/* Binds registers, NULL where that fails. */
volatile char *device_map(uint64_t va, uint64_t pa, uint64_t npages);

/* Looks for a device, gives its first register range a place, and binds 32 pages of it. */
bool pci_find(struct device *d, uint32_t id);
/* Where this capability begins in its configuration; 0: it has none. */
unsigned pci_capability(const struct device *d, unsigned id);
/* Lets it send this word to the doorbell by MSI. */
void pci_msi(const struct device *d, uint32_t word);

#endif
