/* Device trees, bundles and ELF files, good and bad, for booting. */
#include <libfdt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "audit.h"
#include "base/elf64.h"
#include "exo_machine.h"

/* ---- device trees ------------------------------------------------------------------------------------------------ */

static void cells(void *fdt, const char *name, const uint64_t *values, unsigned n, unsigned per_value)
{
    fdt32_t raw[16];
    unsigned at = 0;

    for (unsigned i = 0; i < n; i++) {
        if (per_value == 2)
            raw[at++] = cpu_to_fdt32((uint32_t)(values[i] >> 32));
        raw[at++] = cpu_to_fdt32((uint32_t)values[i]);
    }
    fdt_property(fdt, name, raw, (int)(at * 4));
}

static void node_range(void *fdt, const char *name, const struct exo_range *r)
{
    char full[40];

    snprintf(full, sizeof(full), "%s@%lx", name, (unsigned long)r->base);
    fdt_begin_node(fdt, full);
    cells(fdt, "reg", (const uint64_t[]){r->base, r->len}, 2, 2);
}

static void root_properties(void *fdt)
{
    fdt_property_u32(fdt, "#address-cells", 2);
    fdt_property_u32(fdt, "#size-cells", 2);
    fdt_property_string(fdt, "compatible", "corbel,host");
}

void exo_tree_make(struct exo_image *image, const struct exo_tree *tree)
{
    void *fdt = image->tree;
    unsigned per_value = tree->initrd_cells ? tree->initrd_cells : 2;

    memset(image->tree, 0, sizeof(image->tree));
    fdt_create(fdt, sizeof(image->tree));
    for (unsigned i = 0; i < tree->nmemreserve; i++)
        fdt_add_reservemap_entry(fdt, tree->memreserve[i].base, tree->memreserve[i].len);
    fdt_finish_reservemap(fdt);
    fdt_begin_node(fdt, "");
    root_properties(fdt);
    for (unsigned i = 0; i < tree->nmemory; i++) {
        node_range(fdt, "memory", &tree->memory[i]);
        fdt_property_string(fdt, "device_type", "memory");
        fdt_end_node(fdt);
    }
    if (tree->nreserved) {
        fdt_begin_node(fdt, "reserved-memory");
        root_properties(fdt);
        fdt_property(fdt, "ranges", NULL, 0);
        for (unsigned i = 0; i < tree->nreserved; i++) {
            node_range(fdt, "firmware", &tree->reserved[i]);
            fdt_end_node(fdt);
        }
        fdt_end_node(fdt);
    }
    fdt_begin_node(fdt, "cpus");
    fdt_end_node(fdt);
    fdt_begin_node(fdt, "chosen");
    if (!tree->no_initrd) {
        cells(fdt, "linux,initrd-start", &tree->initrd.base, 1, per_value);
        cells(fdt, "linux,initrd-end", (const uint64_t[]){tree->initrd.base + tree->initrd.len}, 1,
              per_value);
    }
    fdt_end_node(fdt);
    fdt_end_node(fdt);
    ck_assert_int_eq(fdt_finish(fdt), 0);
    image->tree_len = fdt_totalsize(fdt);
}

/* ---- bundles ------------------------------------------------------------------------------------------------------- */

static size_t put_record(uint8_t *out, const char *name, unsigned mode, const void *data, size_t len)
{
    char header[111];
    size_t at = 110, name_len = strlen(name) + 1;

    snprintf(header, sizeof(header), "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", 1, mode, 0,
             0, 1, 0, (unsigned)len, 0, 0, 0, 0, (unsigned)name_len, 0);
    memcpy(out, header, at);
    memcpy(out + at, name, name_len);
    at = align_up(at + name_len, 4);
    if (len)
        memcpy(out + at, data, len);
    return align_up(at + len, 4);
}

void exo_bundle_make(struct exo_image *image, const char *name, const void *file, size_t file_len)
{
    size_t at;

    memset(image->bundle, 0, sizeof(image->bundle));
    at = put_record(image->bundle, "bin", 0040755, NULL, 0);
    at += put_record(image->bundle + at, name, 0100755, file, file_len);
    image->bundle_len = at + put_record(image->bundle + at, "TRAILER!!!", 0, NULL, 0);
}

/* Two segments: code at 0x400000, data with bss at 0x402000. */
size_t exo_elf_make(uint8_t *out)
{
    const struct elf64_header header = {.ident = {0x7f, 'E', 'L', 'F', 2, 1, 1},
                                        .type = 2,
                                        .machine = ELF64_MACHINE_AARCH64,
                                        .version = 1,
                                        .entry = 0x400100,
                                        .phoff = 64,
                                        .ehsize = 64,
                                        .phentsize = 56,
                                        .phnum = 2};
    const struct elf64_phdr segments[2] = {
        {.type = 1,
         .flags = 5,
         .offset = 0,
         .vaddr = 0x400000,
         .filesz = 0x200,
         .memsz = 0x200,
         .align = 4096},
        {.type = 1,
         .flags = 6,
         .offset = 0x200,
         .vaddr = 0x402200,
         .filesz = 0x100,
         .memsz = 0x1400,
         .align = 4096},
    };

    memset(out, 0x5a, 0x300);
    memcpy(out, &header, sizeof(header));
    memcpy(out + 64, segments, sizeof(segments));
    return 0x300;
}

/* ---- booting ------------------------------------------------------------------------------------------------------- */

void exo_image_make(struct exo_image *image, uint64_t ram_len)
{
    struct exo_tree tree = {.memory = {{RAM_BASE, ram_len}}, .nmemory = 1};
    uint8_t elf[1024];

    memset(image, 0, sizeof(*image));
    image->ram[0] = tree.memory[0];
    image->nram = 1;
    image->tree_base = TREE_BASE;
    image->bundle_base = BUNDLE_BASE;
    exo_bundle_make(image, EXO_FIRST_PROGRAM, elf, exo_elf_make(elf));
    tree.initrd = (struct exo_range){BUNDLE_BASE, image->bundle_len};
    exo_tree_make(image, &tree);
}

void exo_image_load(const struct exo_image *image)
{
    machine_make();
    for (unsigned i = 0; i < image->nram; i++)
        machine_garbage(image->ram[i].base, image->ram[i].len);
    memcpy(machine.linear + image->tree_base, image->tree, image->tree_len);
    memcpy(machine.linear + image->bundle_base, image->bundle, image->bundle_len);
}

struct outcome {
    enum machine_end end;
    char console[1024];
};

static void boot_in_child(const struct exo_image *image, int to)
{
    struct outcome outcome = {0};
    const char *violation = NULL;

    exo_image_load(image);
    machine_boot(RAM_BASE, IMAGE_LEN, image->tree_base);
    if (machine.end == MACHINE_RUNS) {
        struct audit_note *notes = calloc(system_info->nframes, sizeof(*notes));

        violation = exo_audit(notes);
        free(notes);
    }
    outcome.end = machine.end;
    if (violation)
        snprintf(outcome.console, sizeof(outcome.console), "audit: %s", violation);
    else
        memcpy(outcome.console, machine.console, sizeof(outcome.console));
    if (write(to, &outcome, sizeof(outcome)) != sizeof(outcome))
        _exit(2);
    _exit(0);
}

enum machine_end exo_try_boot(const struct exo_image *image, char console[1024])
{
    struct outcome outcome = {0};
    int status, ends[2];
    struct pollfd poll_end;
    pid_t pid;

    ck_assert_int_eq(pipe(ends), 0);
    pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0)
        boot_in_child(image, ends[1]);
    close(ends[1]);
    poll_end = (struct pollfd){.fd = ends[0], .events = POLLIN};
    if (poll(&poll_end, 1, 10000) <= 0 || read(ends[0], &outcome, sizeof(outcome)) != sizeof(outcome)) {
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        ck_abort_msg("a boot crashed or hangs");
    }
    close(ends[0]);
    waitpid(pid, &status, 0);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "a boot crashed: status 0x%x", status);
    memcpy(console, outcome.console, sizeof(outcome.console));
    ck_assert_msg(strncmp(console, "audit: ", 7) != 0, "%s", console);
    return outcome.end;
}
