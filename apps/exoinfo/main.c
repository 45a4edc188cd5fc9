/* exoinfo: what the kernel knows and tells, from its own tables, mapped read-only.  No call is made but those that map.
 *
 * The manifest entry has `info`, which gives the capability that the start block calls "info". */
#include <inttypes.h>

#include "../common/tables.h"
#include "../common/tool.h"
#include "exoinfo.h"
#include "os/time.h"

static const char help[] =
    "Usage: exoinfo [-cspvkmila] [-n FRAMES]\n"
    "Prints, from the kernel's tables: the machine, frames by kind, what each environment\n"
    "pays for, the CPUs' counters, and who owns which slices.  With options, of these only:\n"
    "  -c  the CPUs' counters       -s  the slices by owner\n"
    "  -p  spaces: their ASIDs, and the CPUs whose TLBs may hold something of them\n"
    "  -v  virtual processors: their CPUs, how long they ran, whether they run now\n"
    "  -k  the kernel's locks: how often they were taken, and how often that took waiting\n"
    "  -m  a map of the memory, a letter for a few frames     -n  for so many frames\n"
    "  -i  interrupt lines          -l  the kernel's log\n"
    "  -a  everything\n"
    "Frames are counted one by one; status 1 if that is not what the kernel has counted, or if\n"
    "other programs changed the counts all the while.\n";

enum view {
    FRAMES = 1,
    SLICES = 2,
    MAP = 4,
    LOG = 8,
    LINES = 16,
    CPUS = 32,
    SPACES = 64,
    VCPUS = 128,
    LOCKS = 256
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

/* Of the views that are asked for; NULL after a word about it. */
static const struct exo_frame *frames;
static const void *cpus;

static bool map_tables(unsigned views)
{
    const struct exo_system *system = os_system();
    uint64_t pages = ((uint64_t)system->nframes * sizeof(*frames) + PAGE_SIZE - 1) / PAGE_SIZE;
    bool want_frames = views & (FRAMES | MAP | SPACES | VCPUS),
         want_cpus = views & (CPUS | SLICES | VCPUS | LOCKS);

    if (want_frames)
        frames = tool_map_table("exoinfo", EXO_INFO_FRAMES, pages);
    if (want_cpus && (frames || !want_frames))
        cpus = tool_map_table("exoinfo", EXO_INFO_CPU, system->ncpus);
    return (frames || !want_frames) && (cpus || !want_cpus);
}

static int report_frames(unsigned views, uint64_t per_letter)
{
    static struct census census;
    bool agrees = census_take(&census, frames, views & MAP ? per_letter : 0);

    if (views & FRAMES) {
        print_machine(os_system());
        census_print_kinds(&census);
        census_print_payers(&census);
    }
    if (census.map)
        census_print_map(&census);
    return agrees ? TOOL_OK : TOOL_FAILED;
}

static int report_lines(void)
{
    uint64_t bytes = os_system()->nlines * sizeof(struct exo_line);
    const struct exo_line *lines =
        tool_map_table("exoinfo", EXO_INFO_LINES, (bytes + PAGE_SIZE - 1) / PAGE_SIZE);

    if (!lines)
        return TOOL_FAILED;
    lines_print(lines);
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

static int report_objects(unsigned views)
{
    int status = TOOL_OK;

    if (views & SPACES)
        status |= spaces_print(frames);
    if (views & VCPUS)
        status |= vcpus_print(frames, cpus);
    if (views & CPUS)
        cpus_print_counters(cpus);
    if (views & LOCKS)
        locks_print(cpus);
    if (views & SLICES)
        cpus_print_slices(cpus);
    return status;
}

static int report(unsigned views, uint64_t per_letter)
{
    int status = TOOL_OK;

    if (!map_tables(views))
        return tool_finish("exoinfo", TOOL_FAILED);
    if (views & (FRAMES | MAP))
        status |= report_frames(views, per_letter);
    status |= report_objects(views);
    if (views & LINES)
        status |= report_lines();
    if (views & LOG)
        status |= report_logs();
    return tool_finish("exoinfo", status);
}

/* What an option asks for; -n besides says how. */
static unsigned view_of(int option)
{
    static const struct {
        char option;
        unsigned view;
    } views[] = {{'c', CPUS}, {'s', SLICES}, {'p', SPACES}, {'v', VCPUS}, {'k', LOCKS},
                 {'m', MAP},  {'n', MAP},    {'i', LINES},  {'l', LOG}};

    for (size_t i = 0; i < ARRAY_LEN(views); i++)
        if (views[i].option == option)
            return views[i].view;
    return FRAMES | SLICES | MAP | LOG | LINES | CPUS | SPACES | VCPUS | LOCKS;
}

int main(int argc, char **argv)
{
    uint64_t per_letter = census_map_scale();
    unsigned views = 0;
    int option;

    if (tool_help(argc, argv, help))
        return tool_finish("exoinfo", TOOL_OK);
    while ((option = tool_option(argc, argv, "cspvkmilan:")) != -1) {
        if (option == '?')
            return tool_bad_option("exoinfo", help);
        views |= view_of(option);
        if (option == 'n' && (!tool_number(optarg, &per_letter) || !per_letter || per_letter > UINT32_MAX))
            return tool_usage("exoinfo", "-n takes a number of frames", help);
    }
    if (optind < argc)
        return tool_usage("exoinfo", "takes no operands", help);
    return report(views ? views : FRAMES | CPUS | SLICES, per_letter);
}
