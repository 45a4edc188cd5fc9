/* exoinfo: what the kernel knows and tells, from its own tables, mapped read-only.  No call is made but those that map.
 *
 * The manifest entry has `info`, which gives the capability that the start block calls "info". */
#include <inttypes.h>
#include <stdlib.h>

#include "../common/tool.h"
#include "os/exo.h"
#include "os/mem.h"
#include "os/proc.h"
#include "os/rt.h"
#include "os/start.h"
#include "os/time.h"

static const char help[] =
    "Usage: exoinfo\n"
    "Prints, from the kernel's tables: the machine, frames by kind, what each environment\n"
    "pays for, the CPUs' counters, and who owns which slices.\n";

/* npages of a table, mapped; NULL and a word about it when that fails. */
static const void *map_table(exo_handle_t info, enum exo_info_table table, uint64_t npages)
{
    const struct os_map what = {.kind = OS_REGION_WINDOW, .prot = EXO_PROT_READ, .npages = npages};
    uint64_t va;
    int rc = os_map_region(&what, &va);

    if (rc) {
        tool_complain("exoinfo", "a table", strerror(-rc));
        return NULL;
    }
    for (uint64_t i = 0; i < npages; i++) {
        int64_t error = exo_info_map(info, table, i, EXO_SELF_SPACE, va + i * PAGE_SIZE);

        if (error < 0) {
            tool_complain("exoinfo", "a table", exo_strerror((int)error));
            return NULL;
        }
    }
    return (const void *)(uintptr_t)va;
}

/* ---- frames --------------------------------------------------------------------------------------------- */

struct payer {
    uint32_t env;
    uint32_t frames[EXO_NFRAME_KINDS];
};

static void print_machine(const struct exo_system *system)
{
    printf("interface version %" PRIu32 ", %" PRIu32 " CPU%s, counter at %" PRIu64 " Hz, up %" PRIu64 " s\n",
           system->abi_version, system->ncpus, system->ncpus == 1 ? "" : "s", system->counter_hz,
           os_uptime_ns() / 1000000000);
    printf("frames %" PRIu32 " to %" PRIu64 "; %" PRIu32 " slots of %" PRIu32 " us on each CPU\n\n",
           system->first_frame, (uint64_t)system->first_frame + system->nframes - 1, system->slots,
           system->slot_us);
}

static void print_kinds(const struct exo_system *system)
{
    static const char *const names[] = EXO_FRAME_KIND_NAMES;

    printf("%-10s %10s %12s\n", "kind", "frames", "KiB");
    for (unsigned kind = 0; kind < EXO_NFRAME_KINDS; kind++)
        printf("%-10s %10" PRIu64 " %12" PRIu64 "\n", names[kind], system->frames[kind],
               system->frames[kind] * (PAGE_SIZE / 1024));
    putchar('\n');
}

static struct payer *payer_of(struct payer *payers, size_t *n, uint32_t env)
{
    for (size_t i = 0; i < *n; i++)
        if (payers[i].env == env)
            return &payers[i];
    if (*n == OS_NPROC)
        return NULL;
    payers[*n].env = env;
    return &payers[(*n)++];
}

static const char *payer_name(uint32_t env, char buf[48])
{
    struct os_proc_entry e;

    for (uint32_t slot = 0; os_proc_next(&slot, &e);)
        if (e.env_id == env) {
            snprintf(buf, 48, "%" PRIu32 " %s", e.pid, e.name);
            return buf;
        }
    snprintf(buf, 48, env ? "1 init, or ended (%" PRIu32 ")" : "kernel", env);
    return buf;
}

static void print_payers(const struct exo_system *system, const struct exo_frame *frames)
{
    static struct payer payers[OS_NPROC];
    size_t n = 0;

    for (uint32_t i = 0; i < system->nframes; i++) {
        struct payer *p;

        if (frames[i].kind < EXO_FRAME_USER || frames[i].kind > EXO_FRAME_IOTABLE)
            continue;
        p = payer_of(payers, &n, frames[i].account);
        if (p)
            p->frames[frames[i].kind]++;
    }
    printf("%-24s %8s %6s %6s %5s %5s\n", "paid for by", "user", "table", "space", "vcpu", "caps");
    for (size_t i = 0; i < n; i++) {
        char name[48];
        const uint32_t *f = payers[i].frames;

        printf("%-24s %8" PRIu32 " %6" PRIu32 " %6" PRIu32 " %5" PRIu32 " %5" PRIu32 "\n",
               payer_name(payers[i].env, name), f[EXO_FRAME_USER], f[EXO_FRAME_TABLE], f[EXO_FRAME_SPACE],
               f[EXO_FRAME_VCPU], f[EXO_FRAME_CAPS]);
    }
    putchar('\n');
}

/* ---- CPUs ----------------------------------------------------------------------------------------------- */

static void print_cpu(const struct exo_system *system, const struct exo_cpu_info *cpu, unsigned number)
{
    uint32_t shown =
        system->slots < ARRAY_LEN(cpu->slot_env) ? system->slots : (uint32_t)ARRAY_LEN(cpu->slot_env);
    unsigned owned = 0;

    printf("cpu %u: calls %" PRIu64 ", interrupts %" PRIu64 ", switches %" PRIu64 ", upcalls %" PRIu64
           ", idle %" PRIu64 " ms\n",
           number, cpu->calls, cpu->interrupts, cpu->switches, cpu->upcalls,
           os_ticks_to_ns(cpu->idle_ticks) / 1000000);
    for (uint32_t slot = 0; slot < shown; slot++) {
        char name[48];

        if (!cpu->slot_env[slot])
            continue;
        printf("  slot %" PRIu32 ": %s\n", slot, payer_name(cpu->slot_env[slot], name));
        owned++;
    }
    printf("  %" PRIu32 " of %" PRIu32 " slots go to whoever is ready\n", shown - owned, shown);
}

static int report(exo_handle_t info)
{
    const struct exo_system *system = os_system();
    uint64_t table_pages = ((uint64_t)system->nframes * sizeof(struct exo_frame) + PAGE_SIZE - 1) / PAGE_SIZE;
    const struct exo_frame *frames = map_table(info, EXO_INFO_FRAMES, table_pages);
    const uint8_t *cpus = map_table(info, EXO_INFO_CPU, system->ncpus);

    if (!frames || !cpus)
        return TOOL_FAILED;
    print_machine(system);
    print_kinds(system);
    print_payers(system, frames);
    for (unsigned i = 0; i < system->ncpus; i++)
        print_cpu(system, (const struct exo_cpu_info *)(const void *)(cpus + (size_t)i * PAGE_SIZE), i);
    return TOOL_OK;
}

int main(int argc, char **argv)
{
    const struct os_start_grant *info = os_start_grant_find(os_start_block(), "info", OS_GRANT_INFO);

    if (tool_help(argc, argv, help))
        return tool_finish("exoinfo", TOOL_OK);
    if (argc > 1)
        return tool_usage("exoinfo", "takes no operands", help);
    if (!info) {
        tool_complain("exoinfo", "the kernel's tables", "the manifest entry does not grant `info`");
        return TOOL_FAILED;
    }
    return tool_finish("exoinfo", report(info->handle));
}
