#include "devtree.h"

#include <libfdt.h>
#include <stdio.h>
#include <string.h>

#include "base/range.h"

#define DEPTH_MAX 16

struct search {
    const void *tree;
    char *why;
    const char *name; /* of the node at hand */
};

static int bad(const struct search *s, const char *what)
{
    snprintf(s->why, DEVTREE_WHY_BYTES, "device tree: %s: %s", s->name, what);
    return -1;
}

static bool enabled(const void *tree, int node)
{
    const char *status = fdt_getprop(tree, node, "status", NULL);

    return !status || !strcmp(status, "okay") || !strcmp(status, "ok");
}

/* ---- addresses ------------------------------------------------------------------------------------------ */

static bool cells_ok(int address, int size)
{
    return address >= 1 && address <= 2 && size >= 0 && size <= 2;
}

static uint64_t take_cells(const fdt32_t **at, int n)
{
    uint64_t value = 0;

    while (n-- > 0)
        value = value << 32 | fdt32_ld((*at)++);
    return value;
}

/* One bus up: finds [*base, *base + bytes) in the bus's `ranges`.  PCI's three-cell addresses are not taken. */
static int translate_once(const struct search *s, int bus, int parent, uint64_t *base, uint64_t bytes)
{
    int child_cells = fdt_address_cells(s->tree, bus), size_cells = fdt_size_cells(s->tree, bus);
    int parent_cells = fdt_address_cells(s->tree, parent), len;
    const fdt32_t *at = fdt_getprop(s->tree, bus, "ranges", &len);
    const fdt32_t *end = at ? at + len / 4 : NULL;
    int step = child_cells + parent_cells + size_cells;

    if (!at)
        return bad(s, "its bus does not say where its registers are");
    if (len == 0)
        return 0;
    if (!cells_ok(child_cells, size_cells) || !cells_ok(parent_cells, 0) || len % (4 * step))
        return bad(s, "its bus's 'ranges' is malformed");
    while (at < end) {
        uint64_t child = take_cells(&at, child_cells);
        uint64_t up = take_cells(&at, parent_cells);
        uint64_t size = take_cells(&at, size_cells);

        if (child + size >= child && range_inside(*base, bytes, child, size)) {
            *base = up + (*base - child);
            return 0;
        }
    }
    return bad(s, "no 'ranges' of its bus holds its registers");
}

static int translate(const struct search *s, int node, uint64_t *base, uint64_t bytes)
{
    int bus = fdt_parent_offset(s->tree, node);

    for (int depth = 0; bus > 0; depth++) {
        int parent = fdt_parent_offset(s->tree, bus);

        if (parent < 0 || depth == DEPTH_MAX)
            return bad(s, "the tree is too deep or damaged");
        if (translate_once(s, bus, parent, base, bytes))
            return -1;
        bus = parent;
    }
    return bus < 0 ? bad(s, "has no parent") : 0;
}

static int read_windows(const struct search *s, int node, struct device *d)
{
    int len, parent = fdt_parent_offset(s->tree, node);
    int address_cells = fdt_address_cells(s->tree, parent), size_cells = fdt_size_cells(s->tree, parent);
    const fdt32_t *at = fdt_getprop(s->tree, node, "reg", &len);
    const fdt32_t *end = at ? at + len / 4 : NULL;

    if (!at)
        return 0;
    if (!cells_ok(address_cells, size_cells) || size_cells == 0)
        return 0; /* no memory-mapped registers: a device behind another one */
    if (len == 0 || len % (4 * (address_cells + size_cells)))
        return bad(s, "'reg' is malformed");
    while (at < end) {
        uint64_t base = take_cells(&at, address_cells), bytes = take_cells(&at, size_cells);

        if (d->nwindows == DEVICE_WINDOWS_MAX)
            return bad(s, "'reg' has more windows than are supported");
        if (bytes == 0 || !range_fits(base, bytes, UINT64_MAX))
            return bad(s, "'reg' has an empty window, or one that wraps");
        if (translate(s, node, &base, bytes))
            return -1;
        if (!range_fits(base, bytes, 1ull << 48))
            return bad(s, "'reg' lies outside the physical addresses");
        d->windows[d->nwindows].base = base;
        d->windows[d->nwindows++].bytes = bytes;
    }
    return 0;
}

/* What a PCI host shows of its bus: rows of three cells (the kind of space in the first one's bits 24 and 25, 0 that
 * of configuration), the address here, the size. */
static int read_bus_windows(const struct search *s, int node, struct device *d)
{
    int up = fdt_address_cells(s->tree, fdt_parent_offset(s->tree, node)), len;
    const fdt32_t *at = fdt_getprop(s->tree, node, "ranges", &len), *end = at ? at + len / 4 : NULL;

    if (!at)
        return 0;
    if (fdt_address_cells(s->tree, node) != 3 || fdt_size_cells(s->tree, node) != 2 || !cells_ok(up, 0) ||
        len % (4 * (5 + up)))
        return bad(s, "'ranges' is not a PCI host's");
    while (at < end) {
        uint32_t kind = fdt32_ld(at) >> 24 & 3;
        uint64_t base, bytes;

        at += 3;
        base = take_cells(&at, up);
        bytes = take_cells(&at, 2);
        if (kind == 0 || bytes == 0)
            continue;
        if (d->nwindows == DEVICE_WINDOWS_MAX)
            return bad(s, "'ranges' has more windows than are supported");
        if (!range_fits(base, bytes, 1ull << 48))
            return bad(s, "'ranges' lies outside the physical addresses");
        d->windows[d->nwindows].base = base;
        d->windows[d->nwindows++].bytes = bytes;
    }
    return 0;
}

/* ---- streams ---------------------------------------------------------------------------------------------- */

#define PCI_REQUESTERS 0x10000u

/* The kernel takes the first IOMMU that it knows. */
static bool is_iommu(const struct search *s, uint32_t phandle)
{
    int node = fdt_node_offset_by_compatible(s->tree, -1, "arm,smmu-v3");

    while (node >= 0 && !enabled(s->tree, node))
        node = fdt_node_offset_by_compatible(s->tree, node, "arm,smmu-v3");
    return node >= 0 && fdt_node_offset_by_phandle(s->tree, phandle) == node;
}

static int add_stream(const struct search *s, struct device *d, uint32_t phandle, uint64_t first,
                      uint64_t count)
{
    if (d->nstreams == DEVICE_STREAMS_MAX)
        return bad(s, "has more streams than are supported");
    if (count == 0 || !range_fits(first, count, 1ull << 32))
        return bad(s, "its streams are none, or beyond what there can be");
    d->streams[d->nstreams].first = first;
    d->streams[d->nstreams].count = count;
    d->streams[d->nstreams++].translated = is_iommu(s, phandle);
    return 0;
}

static int read_rows(const struct search *s, struct device *d, const fdt32_t *at, int len, int row)
{
    if (len == 0 || len % (4 * row))
        return bad(s, row == 2 ? "'iommus' is malformed" : "'iommu-map' is malformed");
    for (int i = 0; i < len / (4 * row); i++, at += row)
        if (row == 2 ? add_stream(s, d, fdt32_ld(at), fdt32_ld(at + 1), 1)
                     : add_stream(s, d, fdt32_ld(at + 1), fdt32_ld(at + 2), fdt32_ld(at + 3)))
            return -1;
    return 0;
}

static int read_streams(const struct search *s, int node, struct device *d)
{
    int len, map_len;
    const fdt32_t *at = fdt_getprop(s->tree, node, "iommus", &len);
    const fdt32_t *map = fdt_getprop(s->tree, node, "iommu-map", &map_len);

    if (at)
        return read_rows(s, d, at, len, 2);
    if (map)
        return read_rows(s, d, map, map_len, 4);
    return add_stream(s, d, 0, 0, d->pci ? PCI_REQUESTERS : 1);
}

/* ---- interrupts ------------------------------------------------------------------------------------------- */

/* The node that gives `interrupts` its meaning: the nearest interrupt-parent upwards. */
static int interrupt_parent(const struct search *s, int node)
{
    for (int depth = 0; node >= 0 && depth < DEPTH_MAX; depth++, node = fdt_parent_offset(s->tree, node)) {
        int len;
        const fdt32_t *phandle = fdt_getprop(s->tree, node, "interrupt-parent", &len);

        if (phandle && len == 4)
            return fdt_node_offset_by_phandle(s->tree, fdt32_ld(phandle));
    }
    return -1;
}

static int read_line(const struct search *s, const fdt32_t *cells, struct device *d)
{
    uint32_t type = fdt32_ld(&cells[0]), number = fdt32_ld(&cells[1]);

    if (d->nlines == DEVICE_LINES_MAX)
        return bad(s, "'interrupts' has more lines than are supported");
    if (type > 1 || number >= (type == 0 ? 988u : 16u))
        return bad(s, "'interrupts' names a line that a GIC does not have");
    d->lines[d->nlines].line = number + (type == 0 ? 32 : 16);
    d->lines[d->nlines++].flags = fdt32_ld(&cells[2]);
    return 0;
}

static int read_lines(const struct search *s, int node, struct device *d)
{
    int len, cells_len, controller;
    const fdt32_t *at = fdt_getprop(s->tree, node, "interrupts", &len), *cells;

    if (!at)
        return 0;
    controller = interrupt_parent(s, node);
    if (controller < 0)
        return bad(s, "'interrupts' has no interrupt parent");
    cells = fdt_getprop(s->tree, controller, "#interrupt-cells", &cells_len);
    if (!cells || cells_len != 4 || fdt32_ld(cells) != 3)
        return bad(s, "its interrupts are not those of a GIC");
    if (len == 0 || len % 12)
        return bad(s, "'interrupts' is malformed");
    for (int i = 0; i < len / 12; i++)
        if (read_line(s, at + 3 * i, d))
            return -1;
    return 0;
}

/* ---- finding ---------------------------------------------------------------------------------------------- */

static bool is_pci(const struct search *s, int node)
{
    int len;
    const char *type = fdt_getprop(s->tree, node, "device_type", &len);

    return type && len == 4 && memcmp(type, "pci", 4) == 0;
}

static int visit(struct search *s, int node, device_fn *fn, void *ctx)
{
    struct device d = {.name = fdt_get_name(s->tree, node, NULL)};

    if (!d.name)
        return bad(s, "a node is damaged");
    s->name = d.name;
    d.pci = is_pci(s, node);
    if (read_windows(s, node, &d) || (d.pci && read_bus_windows(s, node, &d)) || read_lines(s, node, &d) ||
        read_streams(s, node, &d))
        return -1;
    return fn(ctx, &d);
}

static int stdout_node(const void *tree)
{
    int len, chosen = fdt_path_offset(tree, "/chosen");
    const char *path = chosen < 0 ? NULL : fdt_getprop(tree, chosen, "stdout-path", &len);
    const char *colon;

    if (!path || len < 2 || path[len - 1] != 0)
        return -1;
    colon = strchr(path, ':'); /* options follow, for instance a baud rate */
    return fdt_path_offset_namelen(tree, path, colon ? (int)(colon - path) : (int)strlen(path));
}

static int each_compatible(struct search *s, device_fn *fn, void *ctx)
{
    const char *what = s->name;
    int node = fdt_node_offset_by_compatible(s->tree, -1, what), found = 0, rc = 0;

    for (; node >= 0 && !rc; node = fdt_node_offset_by_compatible(s->tree, node, what)) {
        if (!enabled(s->tree, node))
            continue;
        found++;
        rc = visit(s, node, fn, ctx);
    }
    s->name = rc ? s->name : what;
    return rc || found ? rc : bad(s, "the machine has no such device");
}

int devtree_each(const void *tree, const char *what, device_fn *fn, void *ctx, char why[DEVTREE_WHY_BYTES])
{
    struct search s = {.tree = tree, .why = why, .name = what};
    int node;

    if (strcmp(what, "stdout") && what[0] != '/')
        return each_compatible(&s, fn, ctx);
    node = what[0] == '/' ? fdt_path_offset(tree, what) : stdout_node(tree);
    return node < 0 ? bad(&s, "the machine has no such device") : visit(&s, node, fn, ctx);
}

const char *devtree_bootargs(const void *tree)
{
    int len, chosen = fdt_path_offset(tree, "/chosen");
    const char *args = chosen < 0 ? NULL : fdt_getprop(tree, chosen, "bootargs", &len);

    return args && len > 0 && args[len - 1] == 0 ? args : "";
}

const char *devtree_command(const char *bootargs)
{
    static const char key[] = "corbel.cmd=";

    for (const char *at = bootargs; (at = strstr(at, key)) != NULL; at++)
        if (at == bootargs || at[-1] == ' ')
            return at + sizeof(key) - 1;
    return NULL;
}
