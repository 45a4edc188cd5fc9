#include "tree.h"

#include <libfdt.h>

#include "base/fdtwalk.h"
#include "base/range.h"
#include "panic.h"

#define KNOWN_MAX 512u
#define DEPTH_MAX 16
#define VERSION_SIZES 17u /* from this one on, the header says how long strings and structure are */

static const void *fdt;

/* The first nodes of the tree, in its order, as one walk finds them. */
static struct known {
    int node, parent;
    uint32_t behind;     /* its name: where its properties begin */
    uint32_t compatible; /* where the value of its "compatible" is; 0: it has none */
    uint32_t compatible_bytes;
    bool several; /* names in there */
} known[KNOWN_MAX];
static unsigned nknown;

/* ---- the walk -------------------------------------------------------------------------------------------- */

/* Where the structure lies, and the names of properties. */
static const uint8_t *block, *property_names;
static uint32_t block_room, names_bytes;

struct walk {
    struct fdtwalk_tag tag;
    int path[DEPTH_MAX];
    int depth;  /* of the node that the walk is in; -1: in none */
    bool sound; /* so far nothing that fdt_check_full might refuse */
    bool learns;
};

static void blob_set(const void *blob)
{
    fdt = blob;
    block = (const uint8_t *)blob + fdt_off_dt_struct(blob);
    property_names = (const uint8_t *)blob + fdt_off_dt_strings(blob);
    block_room = fdt_totalsize(blob) - fdt_off_dt_struct(blob);
    names_bytes = fdt_totalsize(blob) - fdt_off_dt_strings(blob);
    if (fdt_version(blob) >= VERSION_SIZES)
        names_bytes = (uint32_t)min_u64(names_bytes, fdt_size_dt_strings(blob));
}

/* Is it the property of this name? */
static inline bool is_named(const struct fdtwalk_tag *property, const char *name)
{
    for (uint32_t at = property->name_at; at < names_bytes && property_names[at] == (uint8_t)*name;
         at++, name++)
        if (!*name)
            return true;
    return false;
}

static void learn_node(struct walk *walk)
{
    int depth = ++walk->depth;

    walk->sound &=
        depth > 0 || (nknown == 0 && walk->tag.behind < block_room && block[walk->tag.behind] == 0);
    walk->learns &= depth < DEPTH_MAX && nknown < KNOWN_MAX;
    if (!walk->learns)
        return;
    walk->path[depth] = (int)walk->tag.at;
    known[nknown++] = (struct known){.node = (int)walk->tag.at,
                                     .parent = depth ? walk->path[depth - 1] : -FDT_ERR_NOTFOUND,
                                     .behind = (uint32_t)walk->tag.next};
}

static void learn_property(struct walk *walk)
{
    const struct fdtwalk_tag *tag = &walk->tag;
    struct known *last;

    walk->sound &= walk->depth >= 0 && tag->name_at < names_bytes;
    if (!walk->learns || walk->depth < 0)
        return;
    last = &known[nknown - 1]; /* properties behind a child of theirs are nobody's */
    if (last->compatible || last->node != walk->path[walk->depth] || !is_named(tag, "compatible"))
        return;
    last->compatible = (uint32_t)tag->behind;
    last->compatible_bytes = tag->len;
    for (uint32_t i = 0; i + 1 < tag->len; i++)
        last->several |= block[tag->behind + i] == 0;
}

/* Goes through all tags once.  *sound: fdt_check_full would say yes; else it may. */
static enum fdtwalk learn(bool *sound)
{
    struct walk walk = {.depth = -1, .learns = true};
    enum fdtwalk rc;

    walk.sound = fdt_version(fdt) >= VERSION_SIZES && names_bytes && property_names[names_bytes - 1] == 0;
    nknown = 0;
    while ((rc = fdtwalk_step(block, block_room, &walk.tag)) == FDTWALK_ON) {
        if (walk.tag.kind == FDTWALK_BEGIN) {
            learn_node(&walk);
        } else if (walk.tag.kind == FDTWALK_PROPERTY) {
            learn_property(&walk);
        } else if (walk.tag.kind == FDTWALK_END) {
            walk.sound &= walk.depth >= 0;
            walk.depth -= walk.depth >= 0;
        }
    }
    *sound = walk.sound && rc == FDTWALK_WHOLE && walk.depth < 0 && nknown &&
             walk.tag.at + 4 <= fdt_size_dt_struct(fdt);
    return rc;
}

/* ---- nodes and properties ------------------------------------------------------------------------------- */

static unsigned recent; /* the place that was asked for last */

/* Which of the known nodes it is; nknown: none. */
static unsigned place_of(int node)
{
    unsigned low = 0, high = nknown;

    for (unsigned place = recent; place < recent + 2 && place < nknown; place++)
        if (known[place].node == node)
            return recent = place;
    while (low < high) {
        unsigned middle = (low + high) / 2;

        if (known[middle].node < node)
            low = middle + 1;
        else
            high = middle;
    }
    return low < nknown && known[low].node == node ? recent = low : nknown;
}

/* Nodes behind those, or deeper down, are left to libfdt. */
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

static const void *value_behind(uint32_t at, const char *name, int *len)
{
    struct fdtwalk_tag tag = {.next = at};

    while (fdtwalk_step(block, block_room, &tag) == FDTWALK_ON &&
           (tag.kind == FDTWALK_PROPERTY || tag.kind == FDTWALK_NOP))
        if (tag.kind == FDTWALK_PROPERTY && is_named(&tag, name)) {
            *len = (int)tag.len;
            return block + tag.behind;
        }
    return NULL;
}

/* Its value, *len bytes; NULL: the node has no such property. */
static const void *value_of(int node, const char *name, int *len)
{
    unsigned place = place_of(node);

    return place < nknown ? value_behind(known[place].behind, name, len) : fdt_getprop(fdt, node, name, len);
}

/* One cell that says how many: `missing` where it is not there, -1 where it cannot be. */
static int cells_of(int node, const char *name, int missing)
{
    int len;
    const fdt32_t *cell = value_of(node, name, &len);

    if (!cell)
        return missing;
    return len == 4 && fdt32_to_cpu(*cell) <= FDT_MAX_NCELLS ? (int)fdt32_to_cpu(*cell) : -1;
}

static int address_cells(int node)
{
    return cells_of(node, "#address-cells", 2);
}

static int size_cells(int node)
{
    return cells_of(node, "#size-cells", 1);
}

static bool list_has(const char *list, uint32_t bytes, const char *name)
{
    for (uint32_t at = 0; at < bytes; at++) {
        uint32_t i = 0;

        while (at + i < bytes && list[at + i] == name[i] && name[i])
            i++;
        if (at + i < bytes && list[at + i] == name[i])
            return true;
        while (at < bytes && list[at])
            at++;
    }
    return false;
}

/* ---- opening -------------------------------------------------------------------------------------------- */

static int check_header(const void *blob, uint64_t room)
{
    int rc = fdt_check_header(blob);

    if (rc)
        return rc;
    if (fdt_version(blob) < FDTWALK_VERSION_MIN)
        return -FDT_ERR_BADVERSION;
    return fdt_totalsize(blob) > room ? -FDT_ERR_TRUNCATED : 0;
}

/* What tree_peek saw. */
static struct {
    uint64_t room;
    int header; /* an error of libfdt's */
    enum fdtwalk walk;
    bool sound;
} peeked;

bool tree_peek(const void *blob, uint64_t room)
{
    peeked.room = room;
    peeked.header = check_header(blob, room);
    if (peeked.header)
        return false;
    blob_set(blob);
    peeked.walk = learn(&peeked.sound);
    return peeked.walk != FDTWALK_ASTRAY;
}

/* What fdt_check_full says, which is asked only where the walk is in doubt. */
static int check_whole(void)
{
    int rc;

    if (peeked.header)
        return peeked.header;
    if (peeked.walk != FDTWALK_WHOLE)
        return -FDT_ERR_BADSTRUCTURE;
    if (!peeked.sound)
        return fdt_check_full(fdt, peeked.room);
    rc = fdt_num_mem_rsv(fdt);
    rc = rc < 0 ? rc : 0;
#ifdef EXO_CHECKED
    ASSERT(fdt_check_full(fdt, peeked.room) == rc);
#endif
    return rc;
}

void tree_accept(void)
{
    int rc = check_whole();

    if (rc)
        boot_fail("device tree: %s", fdt_strerror(rc));
}

void tree_open(const void *blob, uint64_t room)
{
    tree_peek(blob, room);
    tree_accept();
}

void tree_move(void *to)
{
    uint32_t used = tree_used();

    __builtin_memcpy(to, fdt, used);
    fdt_set_totalsize(to, used);
    blob_set(to);
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
    int len;
    const char *status = value_of(node, "status", &len);

    return !status || (len && status[0] == 'o'); /* "okay", "ok" */
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
        if (list_has(list, (uint32_t)len, *names))
            return true;
    return false;
}

static bool is_known_compatible(const struct known *k, const char *const *names)
{
    const char *list = (const char *)block + k->compatible;

    for (; k->compatible && k->compatible_bytes && *names; names++)
        if ((k->several || list[0] == **names) && list_has(list, k->compatible_bytes, *names))
            return true;
    return false;
}

int tree_find_next(int node, const char *const *compatible)
{
    unsigned place = node < 0 ? 0 : place_of(node) + 1;

    for (; place < nknown; place++) {
        node = known[place].node;
        if (is_known_compatible(&known[place], compatible) && enabled(node))
            return node;
    }
    while ((node = next_node(node)) >= 0)
        if (is_compatible(node, compatible) && enabled(node))
            return node;
    return -1;
}

/* By its name, or without its unit address. */
static bool is_called(int node, const char *name, int len)
{
    int n;
    const char *is;

    if ((uint32_t)node + 4 >= block_room || block[node + 4] != (uint8_t)name[0])
        return false;
    is = fdt_get_name(fdt, node, &n);
    if (!is || n < len || __builtin_memcmp(is, name, (size_t)len) != 0)
        return false;
    return n == len || (is[len] == '@' && !__builtin_memchr(name, '@', (size_t)len));
}

static int child_of(int parent, const char *name, int len)
{
    int node = -1;

    for (unsigned place = 0; place < nknown; place++) {
        node = known[place].node;
        if (known[place].parent == parent && is_called(node, name, len))
            return node;
    }
    for (node = next_node(node); node >= 0; node = next_node(node))
        if (parent_of(node) == parent && is_called(node, name, len))
            return node;
    return -1;
}

static int node_at(const char *path, int len)
{
    int node = 0;

    for (int end, at = 0; node >= 0 && at < len; at = end + 1) {
        for (end = at; end < len && path[end] != '/';)
            end++;
        if (end > at)
            node = child_of(node, path + at, end - at);
    }
    return node;
}

static int top_node(const char *path)
{
    return child_of(0, path + 1, (int)__builtin_strlen(path + 1));
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
    const fdt32_t *ranges = value_of(bus, "ranges", &len);
    int na = address_cells(bus), ns = size_cells(bus);
    int pa = parent < 0 ? 0 : address_cells(parent);

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
    const fdt32_t *reg = value_of(node, "reg", &len);
    int na, ns;

    if (parent < 0 || !reg)
        return false;
    na = address_cells(parent);
    ns = size_cells(parent);
    if (na < 1 || ns < 1 || (uint64_t)len < 4ull * (unsigned)(na + ns) * (index + 1ull))
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
    const fdt32_t *cells = value_of(node, property, &len);

    if (!cells || (uint64_t)len < 4ull * (index + 1ull))
        return false;
    *out = fdt32_to_cpu(cells[index]);
    return true;
}

const char *tree_text(const char *path, const char *property)
{
    int len, node = top_node(path);
    const char *text = node < 0 ? NULL : value_of(node, property, &len);

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
        int len;
        const char *type = value_of(node, "device_type", &len);

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

        if (fdt_get_mem_rsv(fdt, i, &range.base, &range.len) == 0)
            each(range);
    }
    if (parent < 0)
        return;
    fdt_for_each_subnode(node, fdt, parent) if (enabled(node)) each_reg(node, each);
}

/* What a processor's node does not say, its parent does. */
static const void *cpu_property(int node, int cpus, const char *name, int *len)
{
    const void *value = value_of(node, name, len);

    return value ? value : value_of(cpus, name, len);
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
    const fdt32_t *cells = value_of(node, "reg", &len);

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
    int ncells = cpus < 0 ? 0 : address_cells(cpus);

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
    const fdt32_t *cells = node < 0 ? NULL : value_of(node, property, &len);

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
    return len ? node_at(path, len) : -1;
}
