/* Device trees: what the kernel asks of one that nobody has checked yet, then a boot with it.  B6, K9: whatever the tree says,
 * the kernel runs, or stops with a sentence. */
#include <libfdt.h>
#include <string.h>

#include "audit.h"
#include "exo_machine.h"
#include "fuzz.h"
#include "tree.h"

#define RAM_MAX (64ull << 20) /* what the frame table and the audit go through in a moment */
#define TREE_MAX (64u << 10)

static uint64_t lowest, highest;

static void ask(int node)
{
    struct tree_range range;
    uint32_t cell;

    for (unsigned i = 0; node >= 0 && i < 3; i++) {
        tree_reg(node, i, &range);
        tree_cell(node, "interrupts", i, &cell);
    }
}

static void see_cpu(const struct tree_cpu *cpu)
{
    FUZZ_ASSERT(cpu->method <= TREE_CPU_OTHER);
}

static void see_memory(struct tree_range r)
{
    FUZZ_ASSERT(r.len - 1 <= UINT64_MAX - r.base);
    lowest = r.base < lowest ? r.base : lowest;
    highest = r.base + (r.len - 1) > highest ? r.base + (r.len - 1) : highest;
}

static void see_reserved(struct tree_range r)
{
    (void)r;
}

/* All that a boot on a real machine asks. */
static void ask_all(void)
{
    static const char *const names[] = {"arm,gic-v3", "arm,cortex-a15-gic", "arm,pl011", "arm,psci-1.0",
                                        NULL};
    for (int node = tree_find(names); node >= 0; node = tree_find_next(node, names))
        ask(node);
    ask(tree_stdout());
    tree_text("/psci", "method");
    tree_each_cpu(see_cpu);
    tree_each_reserved(see_reserved);
}

/* Memory there, that is here not, would be a machine that no tree describes. */
static bool memory_fits(void)
{
    tree_each_memory(see_memory);
    return lowest > highest || (highest < MACHINE_LINEAR_BYTES && highest - lowest < RAM_MAX);
}

static void boot(const uint8_t *data, size_t size)
{
    exo_image_make(&exo_image, 4 << 20);
    exo_image_load(&exo_image); /* the bundle, and room for the tree */
    if (lowest <= highest)
        machine_ram(align_down(lowest, PAGE_SIZE),
                    align_up(highest + 1, PAGE_SIZE) - align_down(lowest, PAGE_SIZE));
    machine_ram(RAM_BASE, 4 << 20);
    memcpy(machine.linear + TREE_BASE, data, size);
    memcpy(machine.linear + BUNDLE_BASE, exo_image.bundle, exo_image.bundle_len);
    machine_boot(RAM_BASE, IMAGE_LEN, TREE_BASE);
    if (strstr(machine.console, "panic") || getenv("FUZZ_SHOW"))
        fprintf(stderr, "%s", machine.console);
    FUZZ_ASSERT(!strstr(machine.console, "panic"));
    if (machine.end == MACHINE_STOPPED) {
        FUZZ_ASSERT(strstr(machine.console, "corbel: "));
        return;
    }
    FUZZ_ASSERT(machine.end == MACHINE_RUNS);
    struct audit_note *notes = calloc(system_info->nframes, sizeof(*notes));
    const char *violation = exo_audit(notes);

    if (violation)
        fprintf(stderr, "audit: %s\n", violation);
    FUZZ_ASSERT(!violation);
    free(notes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = fuzz_copy(data, size);
    bool fits = false;

    fuzz_reset();
    lowest = UINT64_MAX;
    highest = 0;
    if (size >= FDT_V1_SIZE && size <= TREE_MAX && tree_peek(copy, size)) {
        ask(tree_stdout());
        fits = true;
        if (fdt_check_full(copy, size) == 0) {
            ask_all();
            fits = memory_fits();
        }
    }
    free(copy);
    if (fits)
        boot(data, size);
    return 0;
}
