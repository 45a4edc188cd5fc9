/* Processors as a device tree describes them, well and badly (C4, B6). */
#include <check.h>
#include <libfdt.h>
#include <string.h>

#include "exo_machine.h"
#include "tree.h"

static uint8_t blob[4096];
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
    walk();
    ck_assert_uint_eq(nseen, 2);
    ck_assert_uint_eq(seen[0].affinity, TREE_CPU_NO_REG);
    ck_assert_int_eq(seen[0].method, TREE_CPU_OTHER);
    ck_assert_uint_eq(seen[0].release, 0);
    ck_assert_uint_eq(seen[1].affinity, TREE_CPU_NO_REG);
    ck_assert_int_eq(seen[1].method, TREE_CPU_NO_METHOD);
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

int main(void)
{
    Suite *suite = suite_create("exo_tree");
    TCase *tc = tcase_create("processors");

    tcase_add_test(tc, one_cell);
    tcase_add_test(tc, two_cells_and_a_spin_table);
    tcase_add_test(tc, common_properties);
    tcase_add_test(tc, wrong_properties);
    tcase_add_loop_test(tc, impossible_cells, 3, 7);
    suite_add_tcase(suite, tc);
    return exo_suite_run(suite);
}
