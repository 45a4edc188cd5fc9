/* What the kernel reads in a device tree, good and bad: processors (C4), nodes, registers, memory, the console (B6). */
#include <check.h>
#include <libfdt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fdtwalk.h"
#include "exo_machine.h"
#include "tree.h"

static uint8_t blob[65536];
static struct tree_cpu seen[8];
static unsigned nseen;

static void see(const struct tree_cpu *cpu)
{
    ck_assert_uint_lt(nseen, ARRAY_LEN(seen));
    seen[nseen++] = *cpu;
}

static void begin(uint32_t ncells)
{
    fdt_create(blob, sizeof(blob));
    fdt_finish_reservemap(blob);
    fdt_begin_node(blob, "");
    fdt_begin_node(blob, "cpus");
    fdt_property_u32(blob, "#address-cells", ncells);
    fdt_property_u32(blob, "#size-cells", 0);
}

static void cpu(const char *name, const char *type)
{
    fdt_begin_node(blob, name);
    if (type)
        fdt_property_string(blob, "device_type", type);
}

static void walk(void)
{
    fdt_end_node(blob);
    fdt_end_node(blob);
    ck_assert_int_eq(fdt_finish(blob), 0);
    tree_open(blob, sizeof(blob));
    nseen = 0;
    tree_each_cpu(see);
}

START_TEST(one_cell)
{
    begin(1);
    cpu("cpu@0", "cpu");
    fdt_property_u32(blob, "reg", 0);
    fdt_end_node(blob);
    cpu("cpu@101", "cpu");
    fdt_property_u32(blob, "reg", 0x101);
    fdt_property_string(blob, "enable-method", "psci");
    fdt_end_node(blob);
    cpu("cache", "cache");
    fdt_end_node(blob);
    cpu("cpu-map", NULL);
    fdt_end_node(blob);
    cpu("cpu@2", "cpu");
    fdt_property_u32(blob, "reg", 2);
    fdt_property_string(blob, "status", "disabled");
    fdt_end_node(blob);
    walk();
    ck_assert_uint_eq(nseen, 2);
    ck_assert_uint_eq(seen[0].affinity, 0);
    ck_assert_int_eq(seen[0].method, TREE_CPU_NO_METHOD);
    ck_assert_uint_eq(seen[1].affinity, 0x101);
    ck_assert_int_eq(seen[1].method, TREE_CPU_PSCI);
    ck_assert_uint_eq(seen[1].release, 0);
}
END_TEST

START_TEST(two_cells_and_a_spin_table)
{
    begin(2);
    cpu("cpu@100000001", "cpu");
    fdt_property_u64(blob, "reg", 0x100000001);
    fdt_property_string(blob, "enable-method", "spin-table");
    fdt_property_u64(blob, "cpu-release-addr", 0x1200000d8);
    fdt_end_node(blob);
    cpu("cpu@2", "cpu");
    fdt_property_u64(blob, "reg", 2);
    fdt_property(blob, "enable-method", "vendor,own\0spin-table", 22);
    fdt_property_u32(blob, "cpu-release-addr", 0xe0);
    fdt_end_node(blob);
    walk();
    ck_assert_uint_eq(nseen, 2);
    ck_assert_uint_eq(seen[0].affinity, 0x100000001);
    ck_assert_int_eq(seen[0].method, TREE_CPU_SPIN_TABLE);
    ck_assert_uint_eq(seen[0].release, 0x1200000d8);
    ck_assert_int_eq(seen[1].method, TREE_CPU_SPIN_TABLE);
    ck_assert_uint_eq(seen[1].release, 0xe0);
}
END_TEST

/* What all have in common may stand above them, and what one says itself goes first. */
START_TEST(common_properties)
{
    begin(1);
    fdt_property_string(blob, "device_type", "cpu");
    fdt_property_string(blob, "enable-method", "psci");
    cpu("cpu@0", NULL);
    fdt_property_u32(blob, "reg", 0);
    fdt_end_node(blob);
    cpu("cpu@1", NULL);
    fdt_property_u32(blob, "reg", 1);
    fdt_property_string(blob, "enable-method", "smoke-signal");
    fdt_end_node(blob);
    walk();
    ck_assert_uint_eq(nseen, 2);
    ck_assert_int_eq(seen[0].method, TREE_CPU_PSCI);
    ck_assert_int_eq(seen[1].method, TREE_CPU_OTHER);
}
END_TEST

START_TEST(wrong_properties)
{
    begin(2);
    cpu("short-reg", "cpu");
    fdt_property_u32(blob, "reg", 3);
    fdt_property(blob, "enable-method", "psci", 4); /* no end */
    fdt_property(blob, "cpu-release-addr", "abc", 3);
    fdt_end_node(blob);
    cpu("no-reg", "cpu");
    fdt_property(blob, "enable-method", "", 0);
    fdt_end_node(blob);
    fdt_begin_node(blob, "no-cpu");
    fdt_property(blob, "device_type", "cpu", 3);
    fdt_end_node(blob);
    cpu("nameless-method", "cpu");
    fdt_property_string(blob, "enable-method", "");
    fdt_end_node(blob);
    walk();
    ck_assert_uint_eq(nseen, 3);
    ck_assert_uint_eq(seen[0].affinity, TREE_CPU_NO_REG);
    ck_assert_int_eq(seen[0].method, TREE_CPU_OTHER);
    ck_assert_uint_eq(seen[0].release, 0);
    ck_assert_uint_eq(seen[1].affinity, TREE_CPU_NO_REG);
    ck_assert_int_eq(seen[1].method, TREE_CPU_NO_METHOD);
    ck_assert_int_eq(seen[2].method, TREE_CPU_OTHER);
}
END_TEST

START_TEST(impossible_cells)
{
    begin((uint32_t)_i);
    cpu("cpu@0", "cpu");
    fdt_property_u64(blob, "reg", 0);
    fdt_end_node(blob);
    walk();
    ck_assert_uint_eq(nseen, 1);
    ck_assert_uint_eq(seen[0].affinity, TREE_CPU_NO_REG);
}
END_TEST

START_TEST(no_processors_at_all)
{
    fdt_create(blob, sizeof(blob));
    fdt_finish_reservemap(blob);
    fdt_begin_node(blob, "");
    fdt_property_string(blob, "device_type", "cpu"); /* the root is none, whatever it says */
    fdt_end_node(blob);
    ck_assert_int_eq(fdt_finish(blob), 0);
    tree_open(blob, sizeof(blob));
    nseen = 0;
    tree_each_cpu(see);
    ck_assert_uint_eq(nseen, 0);
}
END_TEST

/* ---- nodes, registers, texts ------------------------------------------------------------------------------------------- */

static void words(const char *name, unsigned n, const uint32_t *values)
{
    fdt32_t raw[24];

    for (unsigned i = 0; i < n; i++)
        raw[i] = cpu_to_fdt32(values[i]);
    fdt_property(blob, name, raw, (int)(n * 4));
}
#define WORDS(name, ...) words(name, sizeof((uint32_t[]){__VA_ARGS__}) / 4, (const uint32_t[]){__VA_ARGS__})

static void node(const char *name, uint32_t address_cells, uint32_t size_cells)
{
    fdt_begin_node(blob, name);
    fdt_property_u32(blob, "#address-cells", address_cells);
    fdt_property_u32(blob, "#size-cells", size_cells);
}

static void root_node(void)
{
    fdt_create(blob, sizeof(blob));
    fdt_finish_reservemap(blob);
    node("", 2, 2);
}

static void device(const char *name, const char *compatible)
{
    fdt_begin_node(blob, name);
    fdt_property_string(blob, "compatible", compatible);
}

/* A device at these cells. */
#define DEVICE_AT(name, ...)                                                                                 \
    do {                                                                                                     \
        device(name, "x");                                                                                   \
        WORDS("reg", __VA_ARGS__);                                                                           \
        fdt_end_node(blob);                                                                                  \
    } while (0)

static void close_tree(void)
{
    fdt_end_node(blob);
    ck_assert_int_eq(fdt_finish(blob), 0);
    tree_open(blob, sizeof(blob));
}

START_TEST(nodes_by_what_they_are_compatible_with)
{
    static const char *const uarts[] = {"arm,sbsa-uart", "arm,pl011", NULL}, *const none[] = {"x,y", NULL};
    uint32_t cell;
    int first, second, third;

    root_node();
    device("off@1", "arm,pl011");
    fdt_property_string(blob, "status", "disabled");
    fdt_end_node(blob);
    device("like@1", "arm,pl011x"); /* longer, or only its end */
    fdt_end_node(blob);
    device("like@2", "an-arm,pl011");
    fdt_end_node(blob);
    fdt_begin_node(blob, "none@1");
    fdt_end_node(blob);
    device("a@2", "arm,pl011");
    fdt_property_string(blob, "status", "okay");
    WORDS("interrupts", 0, 33, 4);
    fdt_end_node(blob);
    device("b@3", "arm,sbsa-uart");
    fdt_end_node(blob);
    fdt_begin_node(blob, "c@4"); /* the first of its names is empty */
    fdt_property(blob, "compatible", "\0arm,pl011", 11);
    fdt_end_node(blob);
    fdt_begin_node(blob, "like@5"); /* but for its first letter */
    fdt_property(blob, "compatible", "arm,else\0Arm,pl011", 19);
    fdt_end_node(blob);
    device("twice@6", "arm,else"); /* the first one counts */
    fdt_property_string(blob, "compatible", "arm,pl011");
    fdt_end_node(blob);
    device("parent@7", "arm,else"); /* and what stands behind a child does not */
    fdt_begin_node(blob, "child");
    fdt_end_node(blob);
    fdt_property_string(blob, "compatible", "arm,pl011");
    fdt_end_node(blob);
    close_tree();
    first = tree_find(uarts);
    second = tree_find_next(first, uarts);
    ck_assert_str_eq(fdt_get_name(blob, first, NULL), "a@2");
    ck_assert_str_eq(fdt_get_name(blob, second, NULL), "b@3");
    third = tree_find_next(second, uarts);
    ck_assert_str_eq(fdt_get_name(blob, third, NULL), "c@4");
    ck_assert_int_eq(tree_find_next(third, uarts), -1);
    ck_assert_int_eq(tree_find(none), -1);
    ck_assert(tree_cell(first, "interrupts", 1, &cell));
    ck_assert_uint_eq(cell, 33);
    ck_assert(!tree_cell(first, "interrupts", 3, &cell));
    ck_assert(!tree_cell(second, "interrupts", 0, &cell));
}
END_TEST

/* The root is a node as others are, and comes once. */
START_TEST(the_root_is_compatible)
{
    static const char *const boards[] = {"x,board", NULL};
    int second;

    root_node();
    fdt_property_string(blob, "compatible", "x,board");
    device("a@1", "x,board");
    fdt_end_node(blob);
    close_tree();
    ck_assert_int_eq(tree_find(boards), 0);
    second = tree_find_next(0, boards);
    ck_assert_str_eq(fdt_get_name(blob, second, NULL), "a@1");
    ck_assert_int_eq(tree_find_next(second, boards), -1);
}
END_TEST

/* Lists of names, and words, that do not end, or are none.  K20, B6 */
START_TEST(texts_that_are_cut)
{
    static const char *const wanted[] = {"arm,pl011", NULL};
    static const struct {
        const char *compatible;
        int compatible_len;
        const char *status;
        int status_len; /* -1: there is none */
        bool found;
    } cases[] = {
        {"arm,pl011", 10, "okay", 5, true},  {"arm,pl011", 9, "okay", 5, false},
        {"arm,pl011", 7, "okay", 5, false},  {"arm,pl011", 0, "okay", 5, false},
        {"arm,pl011", 10, "okay", 0, false}, {"x\0arm,pl011", 11, "okay", 5, false},
        {"x\0arm,pl011", 12, "", -1, true},
    };

    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        root_node();
        fdt_begin_node(blob, "uart@1");
        fdt_property(blob, "compatible", cases[i].compatible, cases[i].compatible_len);
        if (cases[i].status_len >= 0)
            fdt_property(blob, "status", cases[i].status, cases[i].status_len);
        fdt_end_node(blob);
        close_tree();
        ck_assert_msg((tree_find(wanted) > 0) == cases[i].found, "case %u", i);
    }
}
END_TEST

static bool reg_of(const char *path, unsigned index, struct tree_range *out)
{
    int at = fdt_path_offset(blob, path);

    ck_assert_int_ge(at, 0);
    return tree_reg(at, index, out);
}

/* What lies behind more nodes, or deeper, than are kept in mind is found all the same.  B6 */
START_TEST(large_trees)
{
    static const char *const wanted[] = {"arm,pl011", NULL};
    const unsigned depth = _i == 0 ? 0 : 20;
    struct tree_range range;
    char name[16];
    int found;

    root_node();
    for (unsigned i = 0; _i == 0 && i < 700; i++) {
        snprintf(name, sizeof(name), "n%u", i);
        node(name, 2, 2);
        fdt_end_node(blob);
    }
    for (unsigned i = 0; i < depth; i++) {
        node("deep", 2, 2);
        fdt_property(blob, "ranges", NULL, 0);
    }
    fdt_begin_node(blob, "nothing");
    fdt_end_node(blob);
    device("other", "x,y");
    fdt_end_node(blob);
    device("off", "arm,pl011");
    fdt_property_string(blob, "status", "disabled");
    fdt_end_node(blob);
    device("uart@9000000", "arm,pl011");
    WORDS("reg", 0, 0x9000000, 0, 0x1000);
    fdt_end_node(blob);
    for (unsigned i = 0; i < depth; i++)
        fdt_end_node(blob);
    node("chosen", 2, 2);
    fdt_property_string(blob, "bootargs", "found");
    fdt_end_node(blob);
    close_tree();
    found = tree_find(wanted);
    ck_assert_str_eq(fdt_get_name(blob, found, NULL), "uart@9000000");
    ck_assert_int_eq(tree_find_next(found, wanted), -1);
    ck_assert(tree_reg(found, 0, &range));
    ck_assert_uint_eq(range.base, 0x9000000);
    ck_assert_str_eq(tree_text("/chosen", "bootargs"), "found");
    ck_assert_ptr_null(tree_text("/chose", "bootargs"));
    ck_assert_ptr_null(tree_text("/chosen", "nothing"));
}
END_TEST

/* The copy is as long as what there is, and reads the same. */
START_TEST(moving)
{
    static uint8_t copy[4096];
    static const char *const wanted[] = {"arm,pl011", NULL};
    uint32_t len;

    root_node();
    device("uart@1", "arm,pl011");
    fdt_end_node(blob);
    close_tree();
    fdt_set_totalsize(blob, sizeof(blob));
    tree_open(blob, sizeof(blob));
    ck_assert_uint_lt(tree_used(), 512);
    tree_move(copy);
    ck_assert_ptr_eq(tree_blob(&len), copy);
    ck_assert_uint_eq(len, tree_used());
    ck_assert_int_eq(fdt_check_full(copy, len), 0);
    memset(blob, 0, sizeof(blob));
    ck_assert_str_eq(fdt_get_name(copy, tree_find(wanted), NULL), "uart@1");
}
END_TEST

static void bus_with_device(const char *name, uint32_t address_cells, uint32_t size_cells, bool ranges)
{
    node(name, address_cells, size_cells);
    if (ranges)
        fdt_property(blob, "ranges", NULL, 0);
    DEVICE_AT("device", 0x10, 0x10);
    fdt_end_node(blob);
}

/* One tree with everything in it.  K20 */
START_TEST(registers_through_buses)
{
    struct tree_range r;

    root_node();
    fdt_begin_node(blob, "plain");
    WORDS("reg", 1, 0x1000, 0, 0x100, 2, 0, 0, 8);
    fdt_end_node(blob);
    fdt_begin_node(blob, "past-the-end");
    WORDS("reg", 0xffffffff, 0xfffff000, 0, 0x1001);
    fdt_end_node(blob);
    fdt_begin_node(blob, "to-the-end");
    WORDS("reg", 0xffffffff, 0xfffff000, 0, 0x1000);
    fdt_end_node(blob);
    fdt_begin_node(blob, "no-reg");
    fdt_end_node(blob);
    node("bus", 1, 1);
    WORDS("ranges", 0x0, 0, 0x9000000, 0x1000, 0x8000, 0, 0xa000000, 0x1000);
    DEVICE_AT("first", 0x10, 0x10);
    DEVICE_AT("second", 0x8010, 0x10);
    DEVICE_AT("nowhere", 0x4000, 0x10);
    fdt_end_node(blob);
    node("same", 2, 1);
    fdt_property(blob, "ranges", NULL, 0);
    DEVICE_AT("device", 3, 0, 0x20);
    fdt_end_node(blob);
    bus_with_device("own", 1, 1, false); /* what is on it has no physical address */
    bus_with_device("no-address", 0, 1, true);
    bus_with_device("impossible", 9, 1, true);
    bus_with_device("sizes", 1, 9, false);
    close_tree();
    ck_assert(reg_of("/plain", 0, &r) && r.base == 0x100001000 && r.len == 0x100);
    ck_assert(reg_of("/plain", 1, &r) && r.base == 0x200000000 && r.len == 8);
    ck_assert(!reg_of("/plain", 2, &r));
    ck_assert(!reg_of("/past-the-end", 0, &r));
    ck_assert(reg_of("/to-the-end", 0, &r) && r.base + r.len == 0);
    ck_assert(!reg_of("/no-reg", 0, &r));
    ck_assert(!tree_reg(0, 0, &r)); /* the root has no parent whose cells count */
    ck_assert(reg_of("/bus/first", 0, &r) && r.base == 0x9000010);
    ck_assert(reg_of("/bus/second", 0, &r) && r.base == 0xa000010);
    ck_assert(!reg_of("/bus/nowhere", 0, &r));
    ck_assert(reg_of("/same/device", 0, &r) && r.base == 0x300000000 && r.len == 0x20);
    ck_assert(!reg_of("/own/device", 0, &r));
    ck_assert(!reg_of("/no-address/device", 0, &r));
    ck_assert(!reg_of("/impossible/device", 0, &r));
    ck_assert(!reg_of("/sizes/device", 0, &r));
}
END_TEST

/* How many cells there are is itself one cell.  K20 */
/* A parent that says nothing about cells means two for an address, and one for a size. */
START_TEST(cells_that_nobody_tells)
{
    struct tree_range reg;

    fdt_create(blob, sizeof(blob));
    fdt_finish_reservemap(blob);
    fdt_begin_node(blob, "");
    DEVICE_AT("a@1", 1, 0x1000, 0x20, 2, 0x3000, 0x40);
    close_tree();
    ck_assert(tree_reg(fdt_path_offset(blob, "/a@1"), 1, &reg));
    ck_assert_uint_eq(reg.base, 0x200003000);
    ck_assert_uint_eq(reg.len, 0x40);
}
END_TEST

START_TEST(cells_that_are_no_number)
{
    struct tree_range r;

    root_node();
    fdt_begin_node(blob, "bus");
    if (_i == 1)
        fdt_property_u64(blob, "#address-cells", 1ull << 32 | 1);
    else
        fdt_property_u32(blob, "#address-cells", 1);
    fdt_property(blob, "#size-cells", "\0\0\0\1", _i == 2 ? 0 : 4);
    fdt_property(blob, "ranges", NULL, 0);
    DEVICE_AT("device", 0x10, 0x10, 0x10, 0x10);
    fdt_end_node(blob);
    close_tree();
    ck_assert_int_eq(reg_of("/bus/device", 0, &r), _i == 0);
}
END_TEST

/* What has an address and no size is no range. */
START_TEST(registers_without_a_size)
{
    struct tree_range r;

    root_node();
    node("bus", 1, 0);
    fdt_property(blob, "ranges", NULL, 0);
    DEVICE_AT("device", 0);
    fdt_end_node(blob);
    close_tree();
    ck_assert(!reg_of("/bus/device", 0, &r));
}
END_TEST

/* A bus in a bus whose own cells, or whose parent's, cannot be. */
START_TEST(registers_through_impossible_buses) /* K20 */
{
    static const uint32_t cells[][4] = {{9, 1, 1, 1}, {1, 9, 1, 1}, {1, 1, 0, 1}, {1, 1, 9, 1}};
    struct tree_range r;

    root_node();
    node("outer", cells[_i][0], cells[_i][1]);
    fdt_property(blob, "ranges", NULL, 0);
    node("inner", cells[_i][2], cells[_i][3]);
    fdt_property(blob, "ranges", NULL, 0);
    DEVICE_AT("device", 0x10, 0x10);
    fdt_end_node(blob);
    fdt_end_node(blob);
    close_tree();
    ck_assert(!reg_of("/outer/inner/device", 0, &r));
}
END_TEST

static struct tree_range ranges[4];
static unsigned nranges;

static void see_range(struct tree_range r)
{
    ck_assert_uint_lt(nranges, ARRAY_LEN(ranges));
    ranges[nranges++] = r;
}

/* B6, K9 */
START_TEST(memory_and_what_is_reserved)
{
    fdt_create(blob, sizeof(blob));
    fdt_add_reservemap_entry(blob, 0x1000, 0x2000);
    fdt_add_reservemap_entry(blob, 0x9000, 0);
    fdt_finish_reservemap(blob);
    node("", 2, 2);
    fdt_begin_node(blob, "memory@0");
    fdt_property_string(blob, "device_type", "memory");
    WORDS("reg", 0, 0, 0, 0, 0, 0, 0, 0x800000, 0, 0x900000, 0, 0);
    fdt_end_node(blob);
    fdt_begin_node(blob, "memory@1");
    fdt_property_string(blob, "device_type", "memory");
    fdt_property_string(blob, "status", "disabled");
    WORDS("reg", 0, 0x1000000, 0, 0x800000);
    fdt_end_node(blob);
    fdt_begin_node(blob, "memory@2");
    fdt_property_string(blob, "device_type", "flash");
    WORDS("reg", 0, 0x2000000, 0, 0x800000);
    fdt_end_node(blob);
    node("reserved-memory", 2, 2);
    fdt_property(blob, "ranges", NULL, 0);
    fdt_begin_node(blob, "a");
    WORDS("reg", 0, 0x5000, 0, 0x1000);
    fdt_end_node(blob);
    fdt_begin_node(blob, "b");
    fdt_property_string(blob, "status", "disabled");
    WORDS("reg", 0, 0x7000, 0, 0x1000);
    fdt_end_node(blob);
    fdt_end_node(blob);
    close_tree();
    tree_each_memory(see_range);
    ck_assert_uint_eq(nranges, 1);
    ck_assert_uint_eq(ranges[0].len, 0x800000);
    nranges = 0;
    tree_each_reserved(see_range);
    ck_assert_uint_eq(nranges, 2);
    ck_assert_uint_eq(ranges[0].base, 0x1000);
    ck_assert_uint_eq(ranges[1].base, 0x5000);
}
END_TEST

static void console_tree(const char *path, size_t bytes, const char *alias)
{
    root_node();
    if (alias) {
        fdt_begin_node(blob, "aliases");
        fdt_property_string(blob, "serial0", alias);
        fdt_property(blob, "cut", "/uart@1", 7);
        fdt_property(blob, "nothing", "", 0);
        fdt_end_node(blob);
    }
    fdt_begin_node(blob, "chosen");
    if (path)
        fdt_property(blob, "stdout-path", path, (int)bytes);
    fdt_end_node(blob);
    fdt_begin_node(blob, "uart@1");
    fdt_end_node(blob);
    close_tree();
}

START_TEST(the_console)
{
    static const struct {
        const char *path, *alias;
        bool found;
    } cases[] = {
        {"/uart@1", NULL, true},       {"/uart@1:115200n8", NULL, true},
        {"/uart@2", NULL, false},      {"serial0:115200", "/uart@1", true},
        {"serial0", "uart@1", false}, /* an alias of an alias */
        {"serial1", "/uart@1", false}, {"cut", "/uart@1", false},
        {"nothing", "/uart@1", false}, {"serial0", NULL, false},
        {"", "/uart@1", false},        {":9600", "/uart@1", false},
    };

    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        console_tree(cases[i].path, strlen(cases[i].path) + 1, cases[i].alias);
        ck_assert_msg((tree_stdout() >= 0) == cases[i].found, "case %u", i);
    }
    console_tree("/uart@1", 7, NULL); /* no end */
    ck_assert_int_eq(tree_stdout(), -1);
    console_tree("", 0, NULL);
    ck_assert_int_eq(tree_stdout(), -1);
    console_tree(NULL, 0, NULL);
    ck_assert_int_eq(tree_stdout(), -1);
    ck_assert_ptr_null(tree_text("/nowhere", "x"));
}
END_TEST

/* A look before the kernel can complain: at a header that is sound, and at no more than there is. */
START_TEST(peeking)
{
    fdt32_t word;

    console_tree("/uart@1", 8, NULL);
    ck_assert(tree_peek(blob, sizeof(blob)));
    ck_assert_int_ge(tree_stdout(), 0);
    ck_assert(!tree_peek(blob, fdt_totalsize(blob) - 1));
    word = cpu_to_fdt32(
        15); /* names without paths there are taken for paths: libfdt would follow a null pointer */
    memcpy(blob + 20, &word, 4);
    ck_assert(!tree_peek(blob, sizeof(blob)));
    blob[0] ^= 1;
    ck_assert(!tree_peek(blob, sizeof(blob)));
}
END_TEST

/* The same tree, with the structure behind the names, cut to its first n bytes: nothing stands behind those. */
static uint8_t *cut_tree(const uint8_t *whole, uint32_t n)
{
    const uint32_t head = 64, names = fdt_size_dt_strings(whole), structure = head + align_up(names, 4);
    uint8_t *cut = calloc(1, structure + n);

    memcpy(cut, whole, sizeof(struct fdt_header));
    memcpy(cut + head, whole + fdt_off_dt_strings(whole), names);
    memcpy(cut + structure, whole + fdt_off_dt_struct(whole), n);
    fdt_set_totalsize(cut, structure + n);
    fdt_set_off_mem_rsvmap(cut, 40);
    fdt_set_off_dt_strings(cut, head);
    fdt_set_off_dt_struct(cut, structure);
    fdt_set_size_dt_struct(cut, n);
    return cut;
}

/* Where the property's value ends, in the structure. */
static uint32_t end_of(int node, const char *name)
{
    int len;
    const uint8_t *value = fdt_getprop(blob, node, name, &len);

    ck_assert_ptr_nonnull(value);
    return (uint32_t)(value + len - (blob + fdt_off_dt_struct(blob)));
}

/* A kernel that is to say that its tree is cut looks there for a console: wherever that was, it finds what is left, and
 * nothing else.  K20 B6 */
START_TEST(cut_anywhere)
{
    static const char *const wanted[] = {"arm,pl011", NULL};
    uint32_t compatible, status, path, named, whole;
    unsigned asked = 0;
    int uart;

    root_node();
    fdt_begin_node(blob, "chosen");
    fdt_property_string(blob, "stdout-path", "/uart@1");
    fdt_end_node(blob);
    fdt_begin_node(blob, "uart@1");
    fdt_property_string(blob, "compatible", "arm,pl011");
    fdt_property(blob, "status", NULL, 0);
    fdt_end_node(blob);
    fdt_begin_node(blob, "short");
    fdt_property(blob, "compatible", "arm,pl0", 7);
    fdt_end_node(blob);
    fdt_begin_node(blob, "empty");
    fdt_property(blob, "compatible", NULL, 0);
    fdt_end_node(blob);
    close_tree();
    whole = fdt_size_dt_struct(blob);
    uart = fdt_path_offset(blob, "/uart@1");
    compatible = end_of(uart, "compatible");
    status = end_of(uart, "status");
    path = end_of(fdt_path_offset(blob, "/chosen"), "stdout-path");
    named = (uint32_t)uart + 4 + sizeof("uart@1");
    for (uint32_t n = 0; n <= whole; n++) {
        uint8_t *cut = cut_tree(blob, n);

        if (tree_peek(cut, fdt_totalsize(cut))) {
            asked++;
            ck_assert_int_eq(tree_find(wanted), n >= compatible && n < status ? uart : -1);
            ck_assert_int_eq(tree_stdout(), n >= named ? uart : -1);
            ck_assert_int_eq(tree_text("/chosen", "stdout-path") != NULL, n >= path);
            ck_assert_ptr_null(tree_text("/chosen", "bootargs"));
            ck_assert_ptr_null(tree_text("/uart", "status"));
        }
        free(cut);
    }
    ck_assert_uint_gt(asked, 40);
}
END_TEST

/* ---- what is taken for a tree ------------------------------------------------------------------------------------------ */

static void judged_tree(void)
{
    root_node();
    fdt_property_string(blob, "model", "many names");
    device("bus@1", "simple-bus");
    fdt_property(blob, "ranges", NULL, 0);
    device("uart@2", "arm,pl011");
    WORDS("reg", 0, 0x9000000, 0, 0x1000);
    fdt_end_node(blob);
    fdt_end_node(blob);
    fdt_end_node(blob);
    ck_assert_int_eq(fdt_finish(blob), 0);
}

/* In libfdt's words; NULL: nothing is wrong with it. */
static const char *wrong_with(void)
{
    int rc = fdt_check_header(blob);

    if (!rc && fdt_version(blob) < FDTWALK_VERSION_MIN)
        rc = -FDT_ERR_BADVERSION;
    else if (!rc && fdt_totalsize(blob) > sizeof(blob))
        rc = -FDT_ERR_TRUNCATED;
    else if (!rc &&
             !fdtwalk_ok(blob + fdt_off_dt_struct(blob), fdt_totalsize(blob) - fdt_off_dt_struct(blob)))
        rc = -FDT_ERR_BADSTRUCTURE;
    else if (!rc)
        rc = fdt_check_full(blob, sizeof(blob));
    return rc ? fdt_strerror(rc) : NULL;
}

static void open_blob(void *arg)
{
    (void)arg;
    tree_open(blob, sizeof(blob));
}

static bool judged_like_libfdt(void)
{
    const char *wrong = wrong_with();

    machine.console_len = 0;
    memset(machine.console, 0, sizeof(machine.console));
    machine_try(open_blob, NULL);
    ck_assert_int_eq(machine.end, wrong ? MACHINE_STOPPED : MACHINE_RUNS);
    ck_assert_msg(!wrong || strstr(machine.console, wrong), "%s, not %s", machine.console, wrong);
    return !wrong;
}

/* The kernel's own walk says yes for libfdt, and only where libfdt would.  B6 K20 */
START_TEST(judged_as_by_libfdt)
{
    struct dice d = {(uint64_t)_i};
    unsigned good = 0, bad = 0;
    uint32_t len;

    for (unsigned round = 0; round < 4000; round++) {
        judged_tree();
        len = fdt_totalsize(blob);
        for (uint64_t n = 1 + dice_below(&d, 2); n > 0; n--) {
            uint64_t at = dice_below(&d, dice_below(&d, 4) ? len : sizeof(struct fdt_header));

            if (dice_below(&d, 2))
                blob[at] ^= (uint8_t)(1u << dice_below(&d, 8));
            else
                blob[at | 3] = (uint8_t)dice_below(&d, 10); /* another tag, a short length, an old version */
        }
        if (judged_like_libfdt())
            good++;
        else
            bad++;
    }
    ck_assert_uint_gt(good, 100);
    ck_assert_uint_gt(bad, 100);
}
END_TEST

/* What the walk alone cannot say yes to. */
START_TEST(trees_in_doubt)
{
    uint32_t strings;

    judged_tree();
    ck_assert(judged_like_libfdt());
    fdt_set_version(blob, 16);
    ck_assert(judged_like_libfdt()); /* the header does not say how long the structure is */
    judged_tree();
    strings = fdt_off_dt_strings(blob) + fdt_size_dt_strings(blob);
    blob[strings - 1] = 'x'; /* the last name has no end */
    judged_like_libfdt();
    judged_tree();
    fdt_set_size_dt_struct(blob, fdt_size_dt_struct(blob) - 4); /* the last tag lies behind it */
    ck_assert(!judged_like_libfdt());
    judged_tree();
    blob[fdt_off_dt_struct(blob) + 19] = (uint8_t)fdt_size_dt_strings(blob); /* a name behind all names */
    ck_assert(!judged_like_libfdt());
    judged_tree();
    blob[fdt_off_dt_struct(blob) + 4] = 'x'; /* a root with a name */
    judged_like_libfdt();
    judged_tree();
    blob[fdt_off_dt_struct(blob) + fdt_size_dt_struct(blob) - 5] = 4; /* a root without an end */
    ck_assert(!judged_like_libfdt());
    judged_tree();
    blob[fdt_off_dt_struct(blob) + 11] = 2; /* a root that ends at once, and more behind it */
    judged_like_libfdt();
}
END_TEST

START_TEST(paths)
{
    static const struct {
        const char *path, *name;
    } cases[] = {
        {"/bus@1/uart@2", "uart@2"},
        {"/bus/uart", "uart@2"},
        {"//bus@1//uart@2/", "uart@2"},
        {"/bus@1", "bus@1"},
        {"/uart@2", NULL},
        {"/bus@2/uart", NULL},
        {"/bu/uart", NULL},
        {"/bus@1/uart@", NULL},
        {"/bus@1/disk@3", NULL}, /* a unit address is all of one */
        {"/bus@1/disk@3@4", "disk@3@4"},
        {"/bus@1/uart@2/x", NULL},
        {"/", ""},
    };

    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        int at;

        root_node();
        device("bus@1", "simple-bus");
        device("uart@2", "arm,pl011");
        fdt_end_node(blob);
        device("disk@3@4", "x");
        fdt_end_node(blob);
        fdt_end_node(blob);
        fdt_begin_node(blob, "chosen");
        fdt_property_string(blob, "stdout-path", cases[i].path);
        fdt_end_node(blob);
        close_tree();
        at = tree_stdout();
        ck_assert_msg((at >= 0) == (cases[i].name != NULL), "case %u", i);
        ck_assert_msg(at < 0 || at == fdt_path_offset(blob, cases[i].path), "case %u", i);
        if (at >= 0)
            ck_assert_str_eq(fdt_get_name(blob, at, NULL), cases[i].name);
    }
}
END_TEST

/* Structures that end, and such that do not: K20. */
START_TEST(walking)
{
    static const struct {
        bool ok;
        unsigned bytes;
        uint32_t words[8];
    } cases[] = {
        {true, 4, {9}},
        {true, 16, {1, 0, 2, 9}},
        {true, 20, {1, 0x61626300, 2, 4, 9}},
        {true, 28, {1, 0, 3, 4, 0, 7, 9}},
        {true, 28, {1, 0, 3, 1, 0, 7, 9}}, /* a value of one byte, padded */
        {false, 0, {9}},
        {false, 3, {9}},
        {false, 12, {1, 0, 2}},                /* no end */
        {false, 12, {1, 0, 5}},                /* no such tag */
        {false, 8, {1, 0x61626364}},           /* a name without an end */
        {false, 12, {1, 0, 3}},                /* a property's head is missing, */
        {false, 16, {1, 0, 3, 0}},             /* half of it, */
        {false, 24, {1, 0, 3, 5, 0, 7}},       /* its end, */
        {false, 23, {1, 0, 3, 3, 0, 7}},       /* the padding behind it */
        {false, 24, {1, 0, 3, 0xfffffff8, 0}}, /* as if it ended before it began */
    };

    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        uint8_t *block = malloc(cases[i].bytes + 1); /* nothing behind it */

        for (unsigned byte = 0; byte < cases[i].bytes; byte++)
            block[byte] = (uint8_t)(cases[i].words[byte / 4] >> (24 - byte % 4 * 8));
        ck_assert_msg(fdtwalk_ok(block, cases[i].bytes) == cases[i].ok, "case %u", i);
        free(block);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("exo_tree");
    TCase *tc = tcase_create("processors");

    tcase_add_test(tc, one_cell);
    tcase_add_test(tc, two_cells_and_a_spin_table);
    tcase_add_test(tc, common_properties);
    tcase_add_test(tc, wrong_properties);
    tcase_add_loop_test(tc, impossible_cells, 3, 7);
    tcase_add_test(tc, no_processors_at_all);
    suite_add_tcase(suite, tc);

    tc = tcase_create("nodes");
    tcase_add_test(tc, nodes_by_what_they_are_compatible_with);
    tcase_add_test(tc, the_root_is_compatible);
    tcase_add_test(tc, texts_that_are_cut);
    tcase_add_loop_test(tc, large_trees, 0, 2);
    tcase_add_test(tc, moving);
    tcase_add_test(tc, registers_through_buses);
    tcase_add_test(tc, cells_that_nobody_tells);
    tcase_add_test(tc, registers_without_a_size);
    tcase_add_loop_test(tc, cells_that_are_no_number, 0, 3);
    tcase_add_loop_test(tc, registers_through_impossible_buses, 0, 4);
    tcase_add_test(tc, memory_and_what_is_reserved);
    tcase_add_test(tc, the_console);
    tcase_add_test(tc, peeking);
    tcase_add_test(tc, cut_anywhere);
    tcase_add_test(tc, walking);
    tcase_add_test(tc, paths);
    tcase_add_loop_test(tc, judged_as_by_libfdt, 0, 4);
    tcase_add_test(tc, trees_in_doubt);
    suite_add_tcase(suite, tc);
    return exo_suite_run(suite);
}
