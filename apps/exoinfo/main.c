/* exoinfo: what the kernel knows and tells, from its own tables, mapped read-only.  No call is made but those that map.
 *
 * The manifest entry has `info`, which gives the capability that the start block calls "info". */
#include <inttypes.h>

#include "../common/tables.h"
#include "../common/tool.h"
#include "exoinfo.h"
#include "os/time.h"

static const char help[] =
    "Usage: exoinfo [-msla] [-n FRAMES]\n"
    "Prints, from the kernel's tables: the machine, frames by kind, what each environment\n"
    "pays for, the CPUs' counters, and who owns which slices.  With options, of these only:\n"
    "  -m  a map of the memory, a letter for a few frames     -n  for so many frames\n"
    "  -s  the slices by owner      -l  the kernel's log      -a  everything\n"
    "Frames are counted one by one; status 1 if that is not what the kernel has counted, or if\n"
    "other programs changed the counts all the while.\n";

enum view { OVERVIEW = 1, SLICES = 2, MAP = 4, LOG = 8 };

static void print_machine(const struct exo_system *system)
{
    printf("interface version %" PRIu32 ", %" PRIu32 " CPU%s, counter at %" PRIu64 " Hz, up %" PRIu64 " s\n",
           system->abi_version, system->ncpus, system->ncpus == 1 ? "" : "s", system->counter_hz,
           os_uptime_ns() / 1000000000);
    printf("frames %" PRIu32 " to %" PRIu64 "; %" PRIu32 " slots of %" PRIu32 " us on each CPU\n\n",
           system->first_frame, (uint64_t)system->first_frame + system->nframes - 1, system->slots,
           system->slot_us);
}

static int report_frames(unsigned views, uint64_t per_letter)
{
    static struct census census;
    const struct exo_system *system = os_system();
    uint64_t pages = ((uint64_t)system->nframes * sizeof(struct exo_frame) + PAGE_SIZE - 1) / PAGE_SIZE;
    const struct exo_frame *frames = tool_map_table("exoinfo", EXO_INFO_FRAMES, pages);
    bool agrees;

    if (!frames)
        return TOOL_FAILED;
    agrees = census_take(&census, frames, views & MAP ? per_letter : 0);
    if (views & OVERVIEW) {
        print_machine(system);
        census_print_kinds(&census);
        census_print_payers(&census);
    }
    if (census.map)
        census_print_map(&census);
    return agrees ? TOOL_OK : TOOL_FAILED;
}

static int report_cpus(unsigned views)
{
    uint32_t ncpus = os_system()->ncpus;
    const uint8_t *cpus = tool_map_table("exoinfo", EXO_INFO_CPU, ncpus);

    if (!cpus)
        return TOOL_FAILED;
    for (unsigned i = 0; i < ncpus; i++) {
        const struct exo_cpu_info *cpu = (const void *)(cpus + (size_t)i * PAGE_SIZE);

        if (views & OVERVIEW)
            cpu_print_counters(cpu, i);
        if (views & SLICES)
            cpu_print_slices(cpu, i);
    }
    return TOOL_OK;
}

static int report_logs(void)
{
    const struct exo_system *system = os_system();
    const uint8_t *logs =
        tool_map_table("exoinfo", EXO_INFO_LOG, (uint64_t)system->ncpus * system->log_bytes / PAGE_SIZE);

    if (!logs)
        return TOOL_FAILED;
    for (unsigned i = 0; i < system->ncpus; i++)
        cpu_print_log((const void *)(logs + (size_t)i * system->log_bytes), i);
    return TOOL_OK;
}

static int report(unsigned views, uint64_t per_letter)
{
    int status = TOOL_OK;

    if (views & (OVERVIEW | MAP))
        status |= report_frames(views, per_letter);
    if (views & (OVERVIEW | SLICES))
        status |= report_cpus(views);
    if (views & LOG)
        status |= report_logs();
    return tool_finish("exoinfo", status);
}

static unsigned view_of(int option)
{
    switch (option) {
    case 'm':
    case 'n':
        return MAP;
    case 's':
        return SLICES;
    case 'l':
        return LOG;
    default:
        return OVERVIEW | SLICES | MAP | LOG;
    }
}

int main(int argc, char **argv)
{
    uint64_t per_letter = census_map_scale();
    unsigned views = 0;
    int option;

    if (tool_help(argc, argv, help))
        return tool_finish("exoinfo", TOOL_OK);
    while ((option = tool_option(argc, argv, "mslan:")) != -1) {
        if (option == '?')
            return tool_bad_option("exoinfo", help);
        views |= view_of(option);
        if (option == 'n' && (!tool_number(optarg, &per_letter) || !per_letter || per_letter > UINT32_MAX))
            return tool_usage("exoinfo", "-n takes a number of frames", help);
    }
    if (optind < argc)
        return tool_usage("exoinfo", "takes no operands", help);
    return report(views ? views : OVERVIEW | SLICES, per_letter);
}
