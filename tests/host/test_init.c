/* init's own judgement: manifests, devices out of device trees, the process table. */
/* sources: apps/init/manifest.c apps/init/devtree.c apps/init/table.c */
#include <check.h>
#include <errno.h>
#include <libfdt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "apps/init/devtree.h"
#include "apps/init/manifest.h"
#include "apps/init/table.h"

/* ---- blobs ---------------------------------------------------------------------------------------------- */

static unsigned char blob[1 << 16] __attribute__((aligned(8)));
static size_t blob_bytes;

/* Compiles device tree source into `blob`. */
static void compile(const char *body)
{
    char file[] = "/tmp/corbel-dts-XXXXXX", command[100];
    int fd = mkstemp(file);
    FILE *f = fdopen(fd, "w"), *out;

    ck_assert_ptr_nonnull(f);
    fprintf(f, "/dts-v1/;\n/ {\n%s\n};\n", body);
    fclose(f);
    snprintf(command, sizeof(command), "dtc -q -I dts -O dtb -o - %s 2>&1", file);
    out = popen(command, "r");
    ck_assert_ptr_nonnull(out);
    blob_bytes = fread(blob, 1, sizeof(blob), out);
    ck_assert_int_eq(pclose(out), 0);
    unlink(file);
}

/* ---- manifests -------------------------------------------------------------------------------------------- */

#define TEMPLATE "corbel-manifest = <1>; template { memory = <4096>; reaches = \"fs\"; };\n"
#define FS "fs { path = \"/bin/fsd\"; start = <2>; memory = <8192>; provides = \"fs\"; };\n"

static struct manifest manifest;
static char why[MANIFEST_WHY_BYTES];

static int parse(const char *body)
{
    compile(body);
    why[0] = 0;
    return manifest_parse(blob, blob_bytes, &manifest, why);
}

static void put_word(size_t at, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++)
        blob[at + i] = (unsigned char)(value >> (24 - 8 * i));
}

static void refused(const char *sentence)
{
    why[0] = 0;
    ck_assert_int_eq(manifest_parse(blob, blob_bytes, &manifest, why), -1);
    ck_assert_msg(strstr(why, sentence), "says \"%s\", not \"%s\"", why, sentence);
}

/* What libfdt would walk without end, or follow off the end: found by `make fuzz`.  K24, K20 */
START_TEST(unsound_manifests)
{
    compile(TEMPLATE);
    put_word(20, 15); /* names there are paths */
    refused("FDT_ERR_BADVERSION");
    compile(TEMPLATE);
    put_word(fdt_off_dt_struct(blob) + 8, 3); /* a property that ends before it begins */
    put_word(fdt_off_dt_struct(blob) + 12, 0xfffffff0);
    refused("FDT_ERR_BADSTRUCTURE");
    compile(TEMPLATE);
    blob_bytes--;
    refused("FDT_ERR_TRUNCATED");
    blob_bytes = 20;
    refused("FDT_ERR_TRUNCATED");
    compile(TEMPLATE);
    blob[0] ^= 1;
    refused("FDT_ERR_BADMAGIC");
}
END_TEST

START_TEST(a_whole_manifest)
{
    const struct manifest_app *shell;

    ck_assert_msg(
        parse(TEMPLATE FS
              "shell { path = \"/bin/sh\"; start = <3>; memory = <2048>; processes = <9>; vcpus = <2>; "
              "command-line;\n"
              "args = \"-x\", \"a b\"; environment = \"PATH=/bin\"; reaches = \"fs\"; stdio = \"fs\";\n"
              "slices = <0 4 2>; devices = \"stdout\"; on-exit = \"power-off\"; };\n"
              "tool { path = \"/bin/tool\"; memory = <64>; info; trace; bundle; tree; terminal; dma-trusted; "
              "};") == 0,
        "%s", why);
    ck_assert_uint_eq(manifest.napps, 3);
    ck_assert_uint_eq(manifest.nservices, 1);
    ck_assert_uint_eq(manifest.template.memory_pages, 1024);
    shell = manifest.apps[0].start == 3 ? &manifest.apps[0] : &manifest.apps[1];
    ck_assert_str_eq(shell->path, "/bin/sh");
    ck_assert_uint_eq(shell->vcpus, 2);
    ck_assert_uint_eq(shell->args.count, 2);
    ck_assert_str_eq(manifest_string(&shell->args, 1), "a b");
    ck_assert(!shell->dma_trusted && !manifest.template.dma_trusted);
    ck_assert(manifest_for_path(&manifest, "/bin/tool")->dma_trusted);
    ck_assert_uint_eq(shell->nslices, 1);
    ck_assert_uint_eq(shell->slices[0].first, 4);
    ck_assert_int_eq(shell->on_exit, MANIFEST_POWER_OFF);
    ck_assert_uint_eq(shell->reaches, 1ull << manifest_service(&manifest, "fs"));
    ck_assert_str_eq(manifest_provider(&manifest, manifest_service(&manifest, "fs"))->path, "/bin/fsd");
}
END_TEST

/* What others start: entries that init does not start itself, by exact path; the template otherwise. */
START_TEST(entries_by_path)
{
    ck_assert_int_eq(parse(TEMPLATE FS "tool { path = \"/bin/tool\"; memory = <64>; info; };"), 0);
    ck_assert_str_eq(manifest_for_path(&manifest, "/bin/tool")->name, "tool");
    ck_assert_ptr_eq(manifest_for_path(&manifest, "/bin/fsd"), &manifest.template);
    ck_assert_ptr_eq(manifest_for_path(&manifest, "/bin/../bin/tool"), &manifest.template);
}
END_TEST

static const struct {
    const char *body, *sentence;
} bad_manifests[] = {
    {"template { memory = <4096>; };", "manifest: /: property 'corbel-manifest' is missing"},
    {"corbel-manifest = <2>; template { memory = <4096>; };", "is not <1>"},
    {"corbel-manifest = \"1234567\";", "is not <1>"},
    {"corbel-manifest = <1>;", "/template: is missing"},
    {"model = \"x\";", "other than 'corbel-manifest'"},
    {TEMPLATE "a { path = \"/bin/a\"; memory = <4096>; memry = <1>; };", "/a: property 'memry' is unknown"},
    {TEMPLATE "a { memory = <4096>; };", "/a: property 'path' is missing"},
    {TEMPLATE "a { path = \"/bin/a\"; };", "/a: property 'memory' is missing"},
    {TEMPLATE "a { path = \"bin/a\"; memory = <4096>; };", "not an absolute path"},
    {TEMPLATE "a { path = \"/\"; memory = <4096>; };", "not an absolute path"},
    {TEMPLATE "a { path = \"/a\", \"/b\"; memory = <4096>; };", "list where one string"},
    {TEMPLATE "a { path = <0>; memory = <4096>; };", "empty string"},
    {TEMPLATE "a { path = [41 42]; memory = <4096>; };", "not a list of strings"},
    {TEMPLATE "a { path; memory = <4096>; };", "not a list of strings"},
    {TEMPLATE "a { path = \"/a\"; memory = <4096 1>; };", "not one number"},
    {TEMPLATE "a { path = \"/a\"; memory = \"abc\"; };", "out of range"},
    {TEMPLATE "a { path = \"/a\"; memory = <4097>; };", "multiple of 4 KiB"},
    {TEMPLATE "a { path = \"/a\"; memory = <4>; };", "out of range"},
    {TEMPLATE "a { path = \"/a\"; memory = <4096>; processes = <5000>; };", "out of range"},
    {TEMPLATE "a { path = \"/a\"; memory = <4096>; vcpus = <0>; };", "out of range"},
    {TEMPLATE "a { path = \"/a\"; memory = <4096>; vcpus = <17>; };", "out of range"},
    {TEMPLATE "a { path = \"/a\"; memory = <4096>; start = <0>; };", "out of range"},
    {TEMPLATE "a { path = \"/a\"; memory = <4096>; info = <1>; };", "takes no value"},
    {TEMPLATE "a { path = \"/a\"; memory = <4096>; dma-trusted = <1>; };", "takes no value"},
    {"corbel-manifest = <1>; template { memory = <64>; dma-trusted; };", "no place in the template"},
    {TEMPLATE "a { path = \"/a\"; memory = <4096>; on-exit = \"dance\"; };", "\"dance\" is none of"},
    {TEMPLATE "a { path = \"/a\"; memory = <4096>; reaches = \"FS\"; };", "\"FS\" is not a service name"},
    {TEMPLATE "a { path = \"/a\"; memory = <4096>; reaches = \"abcdefghijklmnopqrstuvwxyz\"; };",
     "not a service name"},
    {TEMPLATE "a { path = \"/a\"; memory = <4096>; environment = \"A\"; };", "\"A\" is not NAME=VALUE"},
    {TEMPLATE "a { path = \"/a\"; memory = <4096>; slices = <1 2>; };", "<cpu first count>"},
    {TEMPLATE "a { path = \"/a\"; memory = <4096>; slices = <0 1 0>; };", "out of range"},
    {TEMPLATE "a { path = \"/a\"; memory = <4096>; b { }; };", "nodes of its own"},
    {TEMPLATE, "service \"fs\" is offered by no application"},
    {TEMPLATE FS "g { path = \"/g\"; memory = <64>; provides = \"fs\"; };", "more than one application"},
    {TEMPLATE FS "a { path = \"/a\"; memory = <64>; }; b { path = \"/a\"; memory = <64>; };",
     "that of another node"},
    {TEMPLATE FS "a { path = \"/a\"; memory = <64>; slices = <0 0 4>; }; b { path = \"/b\"; memory = <64>; "
                 "slices = <0 3 1>; };",
     "overlaps"},
    {TEMPLATE FS "a { path = \"/a\"; memory = <64>; slices = <0 0 4>, <0 2 1>; };", "overlaps"},
    {"corbel-manifest = <1>; template { memory = <64>; provides = \"x\"; };", "no place in the template"},
};

START_TEST(bad_manifest) /* B6, K24 */
{
    ck_assert_int_eq(parse(bad_manifests[_i].body), -1);
    ck_assert_msg(strstr(why, bad_manifests[_i].sentence) != NULL, "\"%s\" lacks \"%s\"", why,
                  bad_manifests[_i].sentence);
}
END_TEST

/* Cut short anywhere, and with any byte changed: an answer, and no access outside (the sanitizers look). */
START_TEST(damaged_manifest) /* B6 */
{
    unsigned char *copy;
    unsigned seed = 12345;

    ck_assert_int_eq(
        parse(TEMPLATE FS "a { path = \"/a\"; memory = <64>; slices = <0 0 4>; environment = \"A=b\"; };"),
        0);
    for (size_t n = 0; n < blob_bytes; n += 3) {
        copy = malloc(n + 8);
        memcpy(copy, blob, n);
        ck_assert_int_eq(manifest_parse(copy, n, &manifest, why), -1);
        free(copy);
    }
    for (unsigned round = 0; round < 5000; round++) {
        copy = malloc(blob_bytes);
        memcpy(copy, blob, blob_bytes);
        for (unsigned k = 0; k <= round % 3; k++) {
            seed = seed * 1103515245 + 12345;
            copy[seed / 7 % blob_bytes] = (unsigned char)(seed >> 16);
        }
        (void)manifest_parse(copy, blob_bytes, &manifest, why);
        free(copy);
    }
}
END_TEST

/* ---- devices ---------------------------------------------------------------------------------------------- */

#define MACHINE                                                                                              \
    "#address-cells = <2>; #size-cells = <2>; interrupt-parent = <&gic>;\n"                                  \
    "chosen { stdout-path = \"/soc/uart@1000:115200\"; bootargs = \"quiet corbel.cmd=ls -l /bin; ps\"; };\n" \
    "gic: gic { interrupt-controller; #interrupt-cells = <3>; };\n"                                          \
    "odd: odd { interrupt-controller; #interrupt-cells = <1>; };\n"                                          \
    "soc { #address-cells = <1>; #size-cells = <1>; ranges = <0x0 0x1 0xfe000000 0x10000>;\n"                \
    "  uart@1000 { compatible = \"arm,pl011\"; reg = <0x1000 0x200>; interrupts = <0 33 4>, <1 5 8>; };\n"   \
    "  off@2000 { compatible = \"arm,pl011\"; status = \"disabled\"; reg = <0x2000 0x1000>; };\n"            \
    "  wide@f000 { reg = <0xf000 0x2000>; };\n"                                                              \
    "  strange@3000 { reg = <0x3000 0x10>; interrupt-parent = <&odd>; interrupts = <3>; };\n"                \
    "  badline@4000 { reg = <0x4000 0x10>; interrupts = <0 2000 4>; };\n"                                    \
    "  shortreg@5000 { reg = <0x5000>; };\n"                                                                 \
    "  empty@6000 { reg = <0x6000 0>; };\n"                                                                  \
    "  inner { #address-cells = <1>; #size-cells = <1>; ranges; deep@7000 { reg = <0x7000 0x1000>; }; };\n"  \
    "  closed { #address-cells = <1>; #size-cells = <1>; far@8000 { reg = <0x8000 0x1000>; }; };\n"          \
    "  i2c { #address-cells = <1>; #size-cells = <0>; chip@50 { reg = <0x50>; }; };\n"                       \
    "};\n"                                                                                                   \
    "smmu: smmu@9050000 { compatible = \"arm,smmu-v3\"; reg = <0 0x9050000 0 0x20000>; #iommu-cells = <1>; " \
    "};\n"                                                                                                   \
    "other: smmu@9080000 { compatible = \"arm,smmu-v3\"; reg = <0 0x9080000 0 0x20000>; #iommu-cells = "     \
    "<1>; };\n"                                                                                              \
    "dma@a000000 { reg = <0 0xa000000 0 0x1000>; iommus = <&smmu 7>, <&smmu 9>, <&other 3>; };\n"            \
    "oddiommus@a001000 { reg = <0 0xa001000 0 0x1000>; iommus = <&smmu>; };\n"                               \
    "manyiommus@a002000 { reg = <0 0xa002000 0 0x1000>; iommus = <&smmu 1>, <&smmu 2>, <&smmu 3>, <&smmu "   \
    "4>,\n"                                                                                                  \
    "  <&smmu 5>, <&smmu 6>, <&smmu 7>, <&smmu 8>, <&smmu 9>; };\n"                                          \
    "pcie@10000000 { device_type = \"pci\"; #address-cells = <3>; #size-cells = <2>;\n"                      \
    "  reg = <0 0x10000000 0 0x1000000>; iommu-map = <0 &smmu 0x100 0x80>, <0x80 &other 0 0x80>;\n"          \
    "  ranges = <0x1000000 0 0 0 0x3eff0000 0 0x10000>, <0 0 0 0 0 0 0>,\n"                                  \
    "           <0x2000000 0 0x40000000 0 0x20000000 0 0x1000000>; };\n"                                     \
    "plainpcie@20000000 { device_type = \"pci\"; reg = <0 0x20000000 0 0x1000000>; };\n"                     \
    "shortmap@30000000 { device_type = \"pci\"; #address-cells = <3>; #size-cells = <2>;\n"                  \
    "  reg = <0 0x30000000 0 0x1000>; iommu-map = <0 &smmu 0>; };\n"                                         \
    "emptymap@31000000 { device_type = \"pci\"; #address-cells = <3>; #size-cells = <2>;\n"                  \
    "  reg = <0 0x31000000 0 0x1000>; iommu-map = <0 &smmu 0 0>; };\n"                                       \
    "widemap@32000000 { device_type = \"pci\"; #address-cells = <3>; #size-cells = <2>;\n"                   \
    "  reg = <0 0x32000000 0 0x1000>; iommu-map = <0 &smmu 0xffffff00 0x200>; };\n"                          \
    "oddranges@33000000 { device_type = \"pci\"; #address-cells = <3>; #size-cells = <2>;\n"                 \
    "  reg = <0 0x33000000 0 0x1000>; ranges = <0x2000000 0 0 0 0>; };\n"                                    \
    "notpci@34000000 { device_type = \"pci\"; reg = <0 0x34000000 0 0x1000>; ranges = <0x2000000 0 0 0 0 0 " \
    "1>; };\n"                                                                                               \
    "farranges@35000000 { device_type = \"pci\"; #address-cells = <3>; #size-cells = <2>;\n"                 \
    "  reg = <0 0x35000000 0 0x1000>; ranges = <0x2000000 0 0 0xffff0000 0 0 0x1000>; };\n"                  \
    "top@9000000 { compatible = \"x,top\"; reg = <0 0x9000000 0 0x1000>, <0xffffffff 0xfffff000 0 0x2000>; " \
    "};\n"

static struct device seen;
static unsigned nseen;

static int note(void *ctx, const struct device *d)
{
    (void)ctx;
    seen = *d;
    nseen++;
    return 0;
}

static int each(const char *what)
{
    nseen = 0;
    why[0] = 0;
    return devtree_each(blob, what, note, NULL, why);
}

START_TEST(devices_are_translated)
{
    compile(MACHINE);
    ck_assert_int_eq(each("stdout"), 0);
    ck_assert_str_eq(seen.name, "uart@1000");
    ck_assert_uint_eq(seen.nwindows, 1);
    ck_assert_uint_eq(seen.windows[0].base, 0x1fe001000);
    ck_assert_uint_eq(seen.windows[0].bytes, 0x200);
    ck_assert_uint_eq(seen.nlines, 2);
    ck_assert_uint_eq(seen.lines[0].line, 65);
    ck_assert_uint_eq(seen.lines[0].flags, 4);
    ck_assert_uint_eq(seen.lines[1].line, 21);
    ck_assert_int_eq(each("/soc/inner/deep@7000"), 0);
    ck_assert_uint_eq(seen.windows[0].base, 0x1fe007000);
    ck_assert_int_eq(each("/soc/i2c/chip@50"), 0);
    ck_assert_uint_eq(seen.nwindows, 0);
}
END_TEST

START_TEST(devices_by_compatible)
{
    compile(MACHINE);
    ck_assert_int_eq(each("arm,pl011"), 0);
    ck_assert_uint_eq(nseen, 1); /* the disabled one is left out */
    ck_assert_int_eq(each("arm,sbsa-uart"), -1);
    ck_assert_str_eq(why, "device tree: arm,sbsa-uart: the machine has no such device");
}
END_TEST

/* By which streams a device reaches memory, and what stands before it. */
START_TEST(devices_streams) /* K18 */
{
    compile(MACHINE);
    ck_assert_int_eq(each("/dma@a000000"), 0);
    ck_assert_uint_eq(seen.nstreams, 3);
    ck_assert(seen.streams[1].first == 9 && seen.streams[1].count == 1 && seen.streams[1].translated);
    ck_assert(seen.streams[2].first == 3 && !seen.streams[2].translated); /* behind one that is not used */
    ck_assert_int_eq(each("/soc/uart@1000"), 0);
    ck_assert_uint_eq(seen.nstreams, 1);
    ck_assert(seen.streams[0].count == 1 && !seen.streams[0].translated && !seen.pci);
}
END_TEST

START_TEST(pci_hosts) /* K18 */
{
    compile(MACHINE);
    ck_assert_int_eq(each("/pcie@10000000"), 0);
    ck_assert(seen.pci);
    ck_assert_uint_eq(seen.nwindows, 3); /* configuration, then ports and memory */
    ck_assert_uint_eq(seen.windows[1].base, 0x3eff0000);
    ck_assert_uint_eq(seen.windows[2].base, 0x20000000);
    ck_assert_uint_eq(seen.windows[2].bytes, 0x1000000);
    ck_assert_uint_eq(seen.nstreams, 2);
    ck_assert(seen.streams[0].first == 0x100 && seen.streams[0].count == 0x80 && seen.streams[0].translated);
    ck_assert(!seen.streams[1].translated);
    ck_assert_int_eq(each("/plainpcie@20000000"), 0);
    ck_assert_uint_eq(seen.nwindows, 1);
    ck_assert(seen.nstreams == 1 && seen.streams[0].count == 0x10000 && !seen.streams[0].translated);
}
END_TEST

static const char *const bad_devices[] = {"/oddiommus@a001000",
                                          "/manyiommus@a002000",
                                          "/shortmap@30000000",
                                          "/emptymap@31000000",
                                          "/widemap@32000000",
                                          "/oddranges@33000000",
                                          "/notpci@34000000",
                                          "/farranges@35000000",
                                          "/nosuch",
                                          "/soc/wide@f000",
                                          "/soc/strange@3000",
                                          "/soc/badline@4000",
                                          "/soc/empty@6000",
                                          "/soc/shortreg@5000",
                                          "/soc/closed/far@8000",
                                          "x,top"};

START_TEST(bad_device) /* B6 */
{
    compile(MACHINE);
    ck_assert_int_eq(each(bad_devices[_i]), -1);
    ck_assert_ptr_nonnull(strstr(why, "device tree: "));
    ck_assert_uint_eq(nseen, 0);
}
END_TEST

START_TEST(boot_arguments)
{
    compile(MACHINE);
    ck_assert_str_eq(devtree_command(devtree_bootargs(blob)), "ls -l /bin; ps");
    ck_assert_str_eq(devtree_command("corbel.cmd=x corbel.cmd=y"), "x corbel.cmd=y");
    ck_assert_str_eq(devtree_command("corbel.cmd="), "");
    ck_assert_ptr_null(devtree_command("notcorbel.cmd=x"));
    ck_assert_ptr_null(devtree_command(""));
    compile("");
    ck_assert_str_eq(devtree_bootargs(blob), "");
}
END_TEST

/* ---- the process table ------------------------------------------------------------------------------------- */

static struct table table;
static struct os_ptable page;
static struct proc *one;
static const struct manifest_app no_more;

static struct proc *add(struct proc *parent)
{
    struct proc *p = NULL;

    ck_assert_int_eq(table_add(&table, parent, "x", false, &p), 0);
    p->app = &no_more;
    table_set_state(&table, p, OS_PROC_ALIVE);
    return p;
}

static void table_setup(void)
{
    table_init(&table, &page);
    one = add(NULL);
}

static void table_teardown(void)
{
    uint32_t slot = 0;

    for (struct proc *p; (p = table_next(&table, &slot)) != NULL;)
        if (p != one)
            table_remove(&table, p, one);
    table_remove(&table, one, one);
    ck_assert_uint_eq(page.head.count, 0);
    ck_assert_uint_eq(page.head.generation % 2, 0);
}

START_TEST(pids_come_back_late) /* K21, K23 */
{
    uint32_t last = one->entry->pid;

    ck_assert_uint_eq(last, 1);
    for (unsigned i = 0; i < 3000; i++) {
        struct proc *p = add(one);

        ck_assert_uint_gt(p->entry->pid, last);
        ck_assert_uint_ne(p->entry->pid % OS_NPROC, 0);
        last = p->entry->pid;
        ck_assert_ptr_eq(table_find(&table, last), p);
        ck_assert_ptr_null(table_find(&table, last + OS_NPROC));
        table_remove(&table, p, one);
        ck_assert_ptr_null(table_find(&table, last));
    }
    table.last_pid = 0x3fffffff;
    ck_assert_uint_eq(add(one)->entry->pid, 2); /* 1 is taken */
}
END_TEST

START_TEST(a_full_table) /* K24 */
{
    struct proc *p = NULL;

    for (unsigned i = 0; i < OS_NPROC - 2; i++)
        add(one);
    ck_assert_int_eq(table_add(&table, one, "x", false, &p), -EAGAIN);
    ck_assert_ptr_null(p);
    ck_assert_uint_eq(page.head.count, OS_NPROC - 1);
}
END_TEST

START_TEST(who_may_signal_whom) /* K2 */
{
    struct proc *service = add(one), *shell = add(one), *job = add(shell), *grandchild = add(job),
                *other = add(shell);

    ck_assert(!table_may_signal(shell, one));
    ck_assert(!table_may_signal(one, one));
    ck_assert(table_may_signal(shell, job));
    ck_assert(table_may_signal(shell, grandchild));
    ck_assert(table_may_signal(other, job)); /* /bin/kill, started by the shell */
    ck_assert(!table_may_signal(grandchild, service));
    ck_assert(!table_may_signal(service, shell));
    ck_assert(table_may_signal(one, service));
}
END_TEST

START_TEST(groups) /* P1 */
{
    struct proc *shell = add(one), *a = add(shell), *b = add(shell), *service = add(one);

    ck_assert_uint_eq(a->entry->pgid, shell->entry->pid);
    ck_assert_int_eq(table_set_group(&table, a, a->entry->pid), 0);
    ck_assert_int_eq(table_set_group(&table, b, a->entry->pid), 0);
    ck_assert_int_eq(table_set_group(&table, b, service->entry->pid), -EPERM);
    ck_assert_int_eq(table_set_group(&table, b, 4711), -EPERM);
    ck_assert_uint_eq(b->entry->pgid, a->entry->pid);
}
END_TEST

START_TEST(waiting) /* P1 */
{
    struct proc *shell = add(one), *a = add(shell), *b = add(shell);
    int32_t pa = (int32_t)a->entry->pid, pb = (int32_t)b->entry->pid;
    bool any;

    ck_assert_int_eq(table_set_group(&table, b, b->entry->pid), 0);
    ck_assert_ptr_null(table_waitable(shell, -1, &any));
    ck_assert(any);
    b->destroyed = true;
    ck_assert_ptr_eq(table_waitable(shell, -1, &any), b);
    ck_assert_ptr_eq(table_waitable(shell, pb, &any), b);
    ck_assert_ptr_eq(table_waitable(shell, -pb, &any), b);
    ck_assert_ptr_null(table_waitable(shell, pa, &any));
    ck_assert(any);
    ck_assert_ptr_null(table_waitable(shell, 0, &any));
    ck_assert(any); /* a, of the shell's own group */
    ck_assert_ptr_null(table_waitable(shell, INT32_MIN, &any));
    ck_assert(!any);
    ck_assert_ptr_null(table_waitable(one, pa, &any));
    ck_assert(!any);
    b->told_of = true;
    ck_assert_ptr_null(table_waitable(shell, -1, &any));
}
END_TEST

START_TEST(orphans_and_jobs) /* P1 */
{
    struct proc *shell = add(one), *a = add(shell), *b = add(a);

    ck_assert_uint_eq(shell->members, 2);
    ck_assert_uint_eq(b->entry->job, shell->entry->pid);
    table_remove(&table, a, one);
    ck_assert_uint_eq(shell->members, 1);
    ck_assert_ptr_eq(b->parent, one);
    ck_assert_uint_eq(b->entry->ppid, 1);
    ck_assert_ptr_eq(b->job, shell);
    table_remove(&table, shell, one);
    ck_assert_ptr_eq(b->job, b);
    table_remove(&table, b, one);
}
END_TEST

/* A limit holds for children and their children, also when those in between have gone, or have limits of their own. */
START_TEST(limits)
{
    const struct manifest_app ten = {.processes = 10}, two = {.processes = 2};
    struct proc *shell = add(one), *tool, *a, *b;

    shell->app = &ten;
    ck_assert_int_eq(table_add(&table, shell, "tool", true, &tool), 0);
    tool->app = &two;
    a = add(tool);
    ck_assert_ptr_null(table_limited(a));
    b = add(a);
    ck_assert_ptr_eq(table_limited(tool), tool);
    ck_assert_ptr_eq(table_limited(b), tool);
    ck_assert_uint_eq(shell->members, 3);
    table_remove(&table, a, one);
    ck_assert_ptr_null(table_limited(b));
    ck_assert_ptr_eq(add(b)->owner, tool);
    ck_assert_ptr_eq(table_limited(b), tool);
    table_remove(&table, tool, one);
    ck_assert_ptr_eq(b->owner, shell);
    ck_assert_ptr_null(table_limited(b));
    table_remove(&table, shell, one);
    ck_assert_ptr_eq(table_limited(b), b);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("init");
    TCase *t = tcase_create("manifest");

    tcase_set_timeout(t, 60);
    tcase_add_test(t, a_whole_manifest);
    tcase_add_test(t, unsound_manifests);
    tcase_add_test(t, entries_by_path);
    tcase_add_loop_test(t, bad_manifest, 0, (int)ARRAY_LEN(bad_manifests));
    tcase_add_test(t, damaged_manifest);
    suite_add_tcase(s, t);
    t = tcase_create("devices");
    tcase_add_test(t, devices_are_translated);
    tcase_add_test(t, devices_by_compatible);
    tcase_add_test(t, devices_streams);
    tcase_add_test(t, pci_hosts);
    tcase_add_loop_test(t, bad_device, 0, (int)ARRAY_LEN(bad_devices));
    tcase_add_test(t, boot_arguments);
    suite_add_tcase(s, t);
    t = tcase_create("table");
    tcase_add_checked_fixture(t, table_setup, table_teardown);
    tcase_add_test(t, pids_come_back_late);
    tcase_add_test(t, a_full_table);
    tcase_add_test(t, who_may_signal_whom);
    tcase_add_test(t, groups);
    tcase_add_test(t, waiting);
    tcase_add_test(t, orphans_and_jobs);
    tcase_add_test(t, limits);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    SRunner *runner = srunner_create(suite());
    int failed;

    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
