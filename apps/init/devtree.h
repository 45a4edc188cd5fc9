/* The machine's devices as grants: MMIO windows, interrupt lines and streams (by which an IOMMU tells who reaches for
 * memory) of the nodes that a manifest names.
 *
 * Addresses are translated through every bus's `ranges` (Devicetree Specification 0.4, 2.3.8), interrupts are those of
 * an Arm GIC (three cells: 0 n = SPI, line 32 + n; 1 n = PPI, line 16 + n).  Streams: `iommus` of one cell, or a PCI host's
 * `iommu-map`.  A PCI host's windows are those of `ranges`, too. */
#ifndef INIT_DEVTREE_H
#define INIT_DEVTREE_H

#include "base/types.h"

#define DEVICE_WINDOWS_MAX 8u
#define DEVICE_LINES_MAX 8u
#define DEVICE_STREAMS_MAX 8u
#define DEVTREE_WHY_BYTES 200u

struct device {
    const char *name; /* the node's, with its unit address */
    unsigned nwindows;
    struct {
        uint64_t base, bytes; /* physical */
    } windows[DEVICE_WINDOWS_MAX];
    unsigned nlines;
    struct {
        uint32_t line, flags;
    } lines[DEVICE_LINES_MAX];
    bool pci; /* a host bridge: its windows are its registers', then those of its bus */
    unsigned nstreams;
    struct {
        uint64_t first, count; /* as the IOMMU counts; no IOMMU: requester ids */
        bool translated;       /* behind the IOMMU that the kernel takes */
    } streams[DEVICE_STREAMS_MAX];
};

/* 0, or an error of its own, which ends the search. */
typedef int device_fn(void *ctx, const struct device *device);

/* Calls fn for each device that `what` names: "stdout" (what /chosen stdout-path points to), a path ("/pl011@9000000"), or a
 * value of `compatible`, then every node that is not disabled.  0, fn's result, or -1 and a sentence in why: there
 * is none, or its description is wrong. */
int devtree_each(const void *tree, const char *what, device_fn *fn, void *ctx, char why[DEVTREE_WHY_BYTES]);

/* /chosen bootargs; "" when there are none. */
const char *devtree_bootargs(const void *tree);

/* What follows `corbel.cmd=` in the boot arguments, to their end; NULL: it is not there. */
const char *devtree_command(const char *bootargs);

#endif
