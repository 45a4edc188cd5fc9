/* PCI for test programs: the host bridge that the device tree tells of, configuration space by ECAM, BARs, capabilities.
 * PCI Express Base 4.0, 7.2.2 and 7.5; the tree: "Host Generic PCI" binding, pci-host-ecam-generic.  Bus 0 alone.
 *
 * Freestanding but for libfdt, so that programs without the libOS can use it too.  Who uses it maps the ECAM window's
 * first PCI_ECAM_BYTES and BARs by its MMIO capability: that is what gives access to configuration space. */
#ifndef TESTS_COMMON_PCI_H
#define TESTS_COMMON_PCI_H

#include <libfdt.h>

#include "base/mmio.h"

#define PCI_ECAM_BYTES 0x100000ull /* of bus 0 */
#define PCI_FUNCTION_BYTES 4096u
#define PCI_FUNCTIONS 256u /* of a bus; a function's number on bus 0 is also its requester id */
#define PCI_BARS 6u

enum pci_register { /* type 0 header */
                    PCI_VENDOR = 0x00,
                    PCI_DEVICE = 0x02,
                    PCI_COMMAND = 0x04,
                    PCI_STATUS = 0x06,
                    PCI_HEADER_TYPE = 0x0e,
                    PCI_BAR0 = 0x10,
                    PCI_CAPABILITIES = 0x34,
};
#define PCI_COMMAND_MEMORY 2u
#define PCI_COMMAND_MASTER 4u
#define PCI_STATUS_CAPABILITIES 16u
#define PCI_CAP_MSI 0x05u
#define PCI_CAP_VENDOR 0x09u
#define PCI_CAP_MSIX 0x11u

struct pci {
    uint64_t ecam;                 /* physical */
    uint64_t window, window_bytes; /* of 32-bit memory BARs: physical, */
    uint64_t window_bus;           /* and as devices see it */
    uint64_t used;                 /* bytes of the window that BARs have */
    mmio_t config;                 /* the first PCI_ECAM_BYTES of ecam, once mapped */
};

struct pci_bar {
    uint64_t base, bytes; /* physical; 0, 0: there is none */
};

static inline uint64_t pci_cells(const fdt32_t *at, int n)
{
    uint64_t value = 0;

    while (n-- > 0)
        value = value << 32 | fdt32_ld(at++);
    return value;
}

/* Reads the tree's first host bridge; false: there is none, or not as expected (two address cells above it). */
static inline bool pci_find_host(const void *tree, struct pci *out)
{
    int node = fdt_node_offset_by_compatible(tree, -1, "pci-host-ecam-generic"), len;
    const fdt32_t *reg = node < 0 ? NULL : fdt_getprop(tree, node, "reg", &len);
    const fdt32_t *row;

    if (!reg || len < 16)
        return false;
    *out = (struct pci){.ecam = pci_cells(reg, 2)};
    row = fdt_getprop(tree, node, "ranges", &len);
    for (int n = row ? len / 28 : 0; n > 0; n--, row += 7)
        if ((fdt32_ld(row) >> 24 & 3) == 2) { /* 32-bit memory */
            out->window_bus = pci_cells(row + 1, 2);
            out->window = pci_cells(row + 3, 2);
            out->window_bytes = pci_cells(row + 5, 2);
        }
    return out->window_bytes != 0;
}

/* Offsets are checked: inside the function's own page, and aligned to the access. */
static inline bool pci_offset_ok(unsigned fn, unsigned offset, unsigned bytes)
{
    return fn < PCI_FUNCTIONS && offset < PCI_FUNCTION_BYTES && offset % bytes == 0;
}

#define PCI_ACCESSORS(bits)                                                                                  \
    static inline uint##bits##_t pci_read##bits(const struct pci *pci, unsigned fn, unsigned offset)         \
    {                                                                                                        \
        if (!pci_offset_ok(fn, offset, bits / 8))                                                            \
            return (uint##bits##_t) - 1;                                                                     \
        return mmio_read##bits(pci->config, fn * PCI_FUNCTION_BYTES + offset);                               \
    }                                                                                                        \
    static inline void pci_write##bits(const struct pci *pci, unsigned fn, unsigned offset,                  \
                                       uint##bits##_t value)                                                 \
    {                                                                                                        \
        if (pci_offset_ok(fn, offset, bits / 8))                                                             \
            mmio_write##bits(pci->config, fn *PCI_FUNCTION_BYTES + offset, value);                           \
    }
PCI_ACCESSORS(8)
PCI_ACCESSORS(16)
PCI_ACCESSORS(32)
#undef PCI_ACCESSORS

/* The function of this vendor and device, from function `from` on; -1: none. */
static inline int pci_find(const struct pci *pci, unsigned from, unsigned vendor, unsigned device)
{
    for (unsigned fn = from; fn < PCI_FUNCTIONS; fn++)
        if (pci_read16(pci, fn, PCI_VENDOR) == vendor && pci_read16(pci, fn, PCI_DEVICE) == device)
            return (int)fn;
    return -1;
}

/* The next capability with this id behind offset `after` (0: from the beginning); 0: there is none. */
static inline unsigned pci_capability(const struct pci *pci, unsigned fn, unsigned id, unsigned after)
{
    unsigned at = after ? pci_read8(pci, fn, after + 1) : pci_read8(pci, fn, PCI_CAPABILITIES);

    if (!(pci_read16(pci, fn, PCI_STATUS) & PCI_STATUS_CAPABILITIES))
        return 0;
    for (unsigned n = 0; at >= 0x40 && n < 48; n++, at = pci_read8(pci, fn, at + 1)) {
        at &= 0xfcu;
        if (pci_read8(pci, fn, at) == id)
            return at;
    }
    return 0;
}

/* Gives each memory BAR of the function a place in the window, and tells where.  False: the window is full. */
static inline bool pci_assign_bars(struct pci *pci, unsigned fn, struct pci_bar bars[PCI_BARS])
{
    pci_write16(pci, fn, PCI_COMMAND, pci_read16(pci, fn, PCI_COMMAND) & (uint16_t)~PCI_COMMAND_MEMORY);
    for (unsigned i = 0; i < PCI_BARS; i++) {
        unsigned at = PCI_BAR0 + 4 * i;
        uint64_t bytes, base;
        uint32_t mask;
        bool wide;

        bars[i] = (struct pci_bar){0};
        pci_write32(pci, fn, at, UINT32_MAX);
        mask = pci_read32(pci, fn, at);
        if (mask == 0 || mask & 1) /* none, or ports */
            continue;
        wide = (mask & 6) == 4;
        bytes = (uint32_t) ~(mask & ~15u) + 1u;
        base = align_up(pci->used, bytes < PAGE_SIZE ? PAGE_SIZE : bytes); /* a page is nobody else's */
        if (base + bytes > pci->window_bytes)
            return false;
        pci->used = align_up(base + bytes, PAGE_SIZE);
        pci_write32(pci, fn, at, (uint32_t)(pci->window_bus + base));
        if (wide)
            pci_write32(pci, fn, at + 4, 0);
        bars[i] = (struct pci_bar){pci->window + base, bytes};
        i += wide;
        if (wide && i < PCI_BARS)
            bars[i] = (struct pci_bar){0};
    }
    return true;
}

/* The function answers at its BARs, and may reach memory and send messages by itself. */
static inline void pci_enable(const struct pci *pci, unsigned fn)
{
    pci_write16(pci, fn, PCI_COMMAND,
                pci_read16(pci, fn, PCI_COMMAND) | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

static inline void pci_disable(const struct pci *pci, unsigned fn)
{
    pci_write16(pci, fn, PCI_COMMAND, pci_read16(pci, fn, PCI_COMMAND) & (uint16_t)~PCI_COMMAND_MASTER);
}

#endif
