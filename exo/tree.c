#include "tree.h"

#include <libfdt.h>

#include "base/fdtwalk.h"
#include "base/range.h"
#include "panic.h"

#define KNOWN_MAX 512u
#define DEPTH_MAX 16

static const void *fdt;

/* The first nodes of the tree, in its order: what libfdt would walk the whole tree for again and again. */
static struct {
    int node, parent;
} known[KNOWN_MAX];
static unsigned nknown;

/* Nodes behind those, or deeper down, are walked to. */
static void learn(void)
{
    int path[DEPTH_MAX], depth = -1, node = fdt_next_node(fdt, -1, &depth);

    for (nknown = 0; node >= 0 && depth >= 0 && depth < DEPTH_MAX && nknown < KNOWN_MAX; nknown++) {
        path[depth] = node;
        known[nknown].node = node;
        known[nknown].parent = depth ? path[depth - 1] : -FDT_ERR_NOTFOUND;
        node = fdt_next_node(fdt, node, &depth);
    }
}

/* Which of them it is; nknown: none. */
static unsigned place_of(int node)
{
    unsigned low = 0, high = nknown;

    while (low < high) {
        unsigned middle = (low + high) / 2;

        if (known[middle].node < node)
            low = middle + 1;
        else
            high = middle;
    }
    return low < nknown && known[low].node == node ? low : nknown;
}

static int next_node(int node)
{
    unsigned place = node < 0 ? UINT32_MAX : place_of(node);

    return place + 1 < nknown ? known[place + 1].node : fdt_next_node(fdt, node, NULL);
}

static int parent_of(int node)
{
    unsigned place = place_of(node);

    return place < nknown ? known[place].parent : fdt_parent_offset(fdt, node);
}

/* The header; and *walk becomes whether libfdt comes to an end. */
static int check_header(const void *blob, uint64_t room, enum fdtwalk *walk)
{
    int rc = fdt_check_header(blob);

    if (rc)
        return rc;
    if (fdt_version(blob) < FDTWALK_VERSION_MIN)
        return -FDT_ERR_BADVERSION;
    if (fdt_totalsize(blob) > room)
        return -FDT_ERR_TRUNCATED;
    *walk = fdtwalk((const uint8_t *)blob + fdt_off_dt_struct(blob),
                    fdt_totalsize(blob) - fdt_off_dt_struct(blob));
    return 0;
}

bool tree_peek(const void *blob, uint64_t room)
{
    enum fdtwalk walk;

    if (check_header(blob, room, &walk) || walk == FDTWALK_ASTRAY)
        return false;
    fdt = blob;
    learn();
    return true;
}

void tree_open(const void *blob, uint64_t room)
{
    enum fdtwalk walk;
    int rc = check_header(blob, room, &walk);

    if (rc)
        boot_fail("device tree: %s", fdt_strerror(rc));
    rc = walk == FDTWALK_WHOLE ? fdt_check_full(blob, room) : -FDT_ERR_BADSTRUCTURE;
    if (rc)
        boot_fail("device tree: %s", fdt_strerror(rc));
    fdt = blob;
    learn();
}

void tree_move(void *to)
{
    uint32_t used = tree_used();

    __builtin_memcpy(to, fdt, used);
    fdt_set_totalsize(to, used);
    fdt = to;
}

const void *tree_blob(uint32_t *len_bytes)
{
    *len_bytes = fdt_totalsize(fdt);
    return fdt;
}

/* Up to the end of what its header names: firmware leaves room behind, QEMU a mebibyte. */
uint32_t tree_used(void)
{
    uint32_t structure = fdt_off_dt_struct(fdt) + fdt_size_dt_struct(fdt);
    uint32_t strings = fdt_off_dt_strings(fdt) + fdt_size_dt_strings(fdt);
    uint32_t reserved = fdt_off_mem_rsvmap(fdt) +
                        ((uint32_t)fdt_num_mem_rsv(fdt) + 1) * (uint32_t)sizeof(struct fdt_reserve_entry);

    return (uint32_t)max_u64(max_u64(structure, strings), reserved);
}

static bool enabled(int node)
{
    const char *status = fdt_getprop(fdt, node, "status", NULL);

    return !status || status[0] == 'o'; /* "okay", "ok" */
}

int tree_find(const char *const *compatible)
{
    return tree_find_next(-1, compatible);
}

static bool is_compatible(int node, const char *const *names)
{
    int len;
    const char *list = fdt_getprop(fdt, node, "compatible", &len);

    for (; list && *names; names++)
        if (fdt_stringlist_contains(list, len, *names))
            return true;
    return false;
}

int tree_find_next(int node, const char *const *compatible)
{
    while ((node = next_node(node)) >= 0)
        if (is_compatible(node, compatible) && enabled(node))
            return node;
    return -1;
}

/* "/name", whatever unit address that has. */
static int top_node(const char *path)
{
    int len = (int)__builtin_strlen(path + 1);

    for (int node = next_node(0); node >= 0; node = next_node(node)) {
        int n;
        const char *name = parent_of(node) == 0 ? fdt_get_name(fdt, node, &n) : NULL;

        if (name && n >= len && __builtin_memcmp(name, path + 1, (size_t)len) == 0 &&
            (n == len || name[len] == '@'))
            return node;
    }
    return -1;
}

static uint64_t read_cells(const fdt32_t *at, int ncells)
{
    uint64_t value = 0;

    for (int i = 0; i < ncells; i++)
        value = value << 32 | fdt32_to_cpu(at[i]);
    return value;
}

/* Translates an address of `node`'s bus one step up; false where the bus does not map it. */
static bool translate_step(int bus, uint64_t *addr)
{
    int len, parent = parent_of(bus);
    const fdt32_t *ranges = fdt_getprop(fdt, bus, "ranges", &len);
    int na = fdt_address_cells(fdt, bus), ns = fdt_size_cells(fdt, bus);
    int pa = parent < 0 ? 0 : fdt_address_cells(fdt, parent);

    if (!ranges || na < 1 || ns < 0 || pa < 1)
        return false;
    if (len == 0)
        return true;
    for (int row = na + pa + ns; len >= row * 4; len -= row * 4, ranges += row) {
        uint64_t base = read_cells(ranges, na);
        uint64_t size = read_cells(ranges + na + pa, ns);

        if (range_inside(*addr, 1, base, size)) {
            *addr = *addr - base + read_cells(ranges + na, pa);
            return true;
        }
    }
    return false;
}

bool tree_reg(int node, unsigned index, struct tree_range *out)
{
    int len, parent = parent_of(node);
    const fdt32_t *reg = fdt_getprop(fdt, node, "reg", &len);
    int na, ns;

    if (parent < 0 || !reg)
        return false;
    na = fdt_address_cells(fdt, parent);
    ns = fdt_size_cells(fdt, parent);
    if (na < 1 || ns < 0 || (uint64_t)len < 4ull * (unsigned)(na + ns) * (index + 1ull))
        return false;
    reg += (unsigned)(na + ns) * index;
    out->base = read_cells(reg, na);
    out->len = read_cells(reg + na, ns);
    for (; parent_of(parent) >= 0; parent = parent_of(parent))
        if (!translate_step(parent, &out->base))
            return false;
    return out->len - 1 <= UINT64_MAX - out->base;
}

bool tree_cell(int node, const char *property, unsigned index, uint32_t *out)
{
    int len;
    const fdt32_t *cells = fdt_getprop(fdt, node, property, &len);

    if (!cells || (uint64_t)len < 4ull * (index + 1ull))
        return false;
    *out = fdt32_to_cpu(cells[index]);
    return true;
}

const char *tree_text(const char *path, const char *property)
{
    int len, node = top_node(path);
    const char *text = node < 0 ? NULL : fdt_getprop(fdt, node, property, &len);

    return text && len > 0 && text[len - 1] == 0 ? text : NULL;
}

static void each_reg(int node, void (*each)(struct tree_range))
{
    struct tree_range range;

    for (unsigned i = 0; tree_reg(node, i, &range); i++)
        if (range.len)
            each(range);
}

void tree_each_memory(void (*each)(struct tree_range))
{
    for (int node = next_node(-1); node >= 0; node = next_node(node)) {
        const char *type = fdt_getprop(fdt, node, "device_type", NULL);

        if (type && __builtin_strcmp(type, "memory") == 0 && enabled(node))
            each_reg(node, each);
    }
}

void tree_each_reserved(void (*each)(struct tree_range))
{
    int parent = top_node("/reserved-memory");
    int node;

    for (int i = 0; i < fdt_num_mem_rsv(fdt); i++) {
        struct tree_range range;

        if (fdt_get_mem_rsv(fdt, i, &range.base, &range.len) == 0 && range.len)
            each(range);
    }
    if (parent < 0)
        return;
    fdt_for_each_subnode(node, fdt, parent) if (enabled(node)) each_reg(node, each);
}

/* What a processor's node does not say, its parent does. */
static const void *cpu_property(int node, int cpus, const char *name, int *len)
{
    const void *value = fdt_getprop(fdt, node, name, len);

    return value ? value : fdt_getprop(fdt, cpus, name, len);
}

static enum tree_cpu_method cpu_method(int node, int cpus)
{
    int len;
    const char *method = cpu_property(node, cpus, "enable-method", &len);

    if (!method || len < 1)
        return TREE_CPU_NO_METHOD;
    if (method[len - 1])
        return TREE_CPU_OTHER; /* no text */
    if (fdt_stringlist_contains(method, len, "psci"))
        return TREE_CPU_PSCI;
    return fdt_stringlist_contains(method, len, "spin-table") ? TREE_CPU_SPIN_TABLE : TREE_CPU_OTHER;
}

static struct tree_cpu cpu_describe(int node, int cpus, int ncells)
{
    struct tree_cpu cpu = {.affinity = TREE_CPU_NO_REG, .method = cpu_method(node, cpus)};
    int len;
    const fdt32_t *cells = fdt_getprop(fdt, node, "reg", &len);

    if (cells && ncells > 0 && ncells <= 2 && len >= 4 * ncells)
        cpu.affinity = read_cells(cells, ncells);
    cells = cpu_property(node, cpus, "cpu-release-addr", &len);
    if (cells && (len == 4 || len == 8))
        cpu.release = read_cells(cells, len / 4);
    return cpu;
}

void tree_each_cpu(void (*each)(const struct tree_cpu *))
{
    int node, cpus = top_node("/cpus");
    int ncells = cpus < 0 ? 0 : fdt_address_cells(fdt, cpus);

    if (cpus < 0)
        return;
    fdt_for_each_subnode(node, fdt, cpus)
    {
        int len;
        const char *type = cpu_property(node, cpus, "device_type", &len);

        if (type && len == sizeof("cpu") && __builtin_memcmp(type, "cpu", sizeof("cpu")) == 0 &&
            enabled(node)) {
            struct tree_cpu cpu = cpu_describe(node, cpus, ncells);

            each(&cpu);
        }
    }
}

static bool chosen_number(const char *property, uint64_t *out)
{
    int len, node = top_node("/chosen");
    const fdt32_t *cells = node < 0 ? NULL : fdt_getprop(fdt, node, property, &len);

    if (!cells || (len != 4 && len != 8))
        return false;
    *out = read_cells(cells, len / 4);
    return true;
}

bool tree_initrd(struct tree_range *out)
{
    uint64_t end;

    if (!chosen_number("linux,initrd-start", &out->base) || !chosen_number("linux,initrd-end", &end))
        return false;
    if (end <= out->base)
        boot_fail("device tree: /chosen: the initial RAM disk ends before it starts");
    out->len = end - out->base;
    return true;
}

/* An alias is not left to fdt_path_offset, which before libfdt 1.7.1 follows one that names itself without end. */
static const char *alias(const char *name, int len)
{
    int bytes, node = top_node("/aliases");
    const char *path = node < 0 ? NULL : fdt_getprop_namelen(fdt, node, name, len, &bytes);

    return path && bytes > 0 && path[bytes - 1] == 0 && path[0] == '/' ? path : NULL;
}

int tree_stdout(void)
{
    const char *path = tree_text("/chosen", "stdout-path");
    int len = 0;

    while (path && path[len] && path[len] != ':')
        len++;
    if (len && path[0] != '/') {
        path = alias(path, len);
        len = path ? (int)__builtin_strlen(path) : 0;
    }
    return len ? fdt_path_offset_namelen(fdt, path, len) : -1;
}
