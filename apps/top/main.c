/*
 * top: what the machine does, and its processes, again and again.
 *
 * All numbers are the kernel's counters and init's table, mapped read-only; init alone is asked, for memory in use.  A
 * process's time is that of its virtual processors, on whatever CPUs they are, the time that they run just now included.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "../common/processes.h"
#include "../common/tables.h"
#include "../common/tool.h"
#include "../common/vcpus.h"
#include "screen.h"

static const char help[] =
    "Usage: top [-b] [-d SECONDS] [-n COUNT]\n"
    "Shows, every 2 seconds: time since the start; frames; the CPUs' idle share, calls, interrupts and\n"
    "switches a second, top's own included; how busy each CPU was; and the processes: the share of one\n"
    "CPU's time that they had since the page before (on the first page, since they began), all their\n"
    "time, memory in use and its change.  Who computes most is first, then who has most memory.\n"
    "q quits, another key shows a new page at once.\n"
    "  -b  pages one after the other, without escape codes or keys; so too where there is no terminal\n"
    "  -d  so many seconds, with fractions, between pages      -n  so many pages, not on and on\n";

enum { HEAD_LINES = 5 };

/* All CPUs' counters, added; their idle time each. */
struct counters {
    uint64_t at; /* ticks */
    uint64_t idle[EXO_CPUS_MAX];
    uint64_t calls, interrupts, switches;
};

struct row {
    struct os_proc_entry entry;
    uint64_t kib;
    int64_t change; /* KiB */
    uint64_t ticks; /* that it ran */
    double share;   /* of one CPU, in percent */
};

struct top {
    bool batch;
    uint64_t delay_ns;
    uint64_t pages; /* UINT64_MAX: on and on */
    const void *cpus;
    const struct exo_frame *frames;
    struct counters last;
    struct row rows[OS_NPROC];
    size_t nrows;
    struct {
        uint32_t pid;
        uint64_t kib, ticks;
    } seen[OS_NPROC]; /* by pid % OS_NPROC: on the page before */
};

static void newline(const struct top *top)
{
    if (top->batch)
        putchar('\n');
    else
        screen_newline();
}

/* ---- the machine ---------------------------------------------------------------------------------------- */

static struct counters count(const struct top *top)
{
    struct counters c = {.at = os_ticks()};

    for (uint32_t i = 0; i < os_system()->ncpus; i++) {
        const struct exo_cpu_info *cpu = tool_cpu(top->cpus, i);

        c.idle[i] = tool_idle_ticks(cpu);
        c.calls += cpu->calls;
        c.interrupts += cpu->interrupts;
        c.switches += cpu->switches;
    }
    return c;
}

static void print_memory(const struct top *top)
{
    const struct exo_system *system = os_system();
    uint64_t used = 0, seconds = os_uptime_ns() / 1000000000;

    for (unsigned kind = EXO_FRAME_USER; kind <= EXO_FRAME_IOTABLE; kind++)
        used += exo_frames(system, kind);
    printf("up %" PRIu64 ":%02" PRIu64 ":%02" PRIu64 ", %zu processes; frames: %" PRIu64 " free, %" PRIu64
           " used, %" PRIu64 " the kernel's",
           seconds / 3600, seconds / 60 % 60, seconds % 60, top->nrows, exo_frames(system, EXO_FRAME_FREE),
           used, exo_frames(system, EXO_FRAME_KERNEL) + exo_frames(system, EXO_FRAME_INFO));
    newline(top);
}

/* A share in percent. */
static double percent(uint64_t part, uint64_t all)
{
    return all && part < all ? 100.0 * (double)part / (double)all : all ? 100.0 : 0.0;
}

static double idle_of(const struct top *top, const struct counters *now, uint32_t cpu)
{
    uint64_t before = min_u64(top->last.idle[cpu], now->idle[cpu]);

    return percent(now->idle[cpu] - before, now->at - top->last.at);
}

static void print_rates(const struct top *top, const struct counters *now)
{
    const struct counters *last = &top->last;
    uint32_t ncpus = os_system()->ncpus;
    double seconds = (double)(now->at - last->at) / (double)os_system()->counter_hz, idle = 0;

    for (uint32_t i = 0; i < ncpus; i++)
        idle += idle_of(top, now, i) / ncpus;
    printf("idle %.1f %%; a second: %.0f calls, %.0f interrupts, %.0f switches; over %.1f s", idle,
           (double)(now->calls - last->calls) / seconds,
           (double)(now->interrupts - last->interrupts) / seconds,
           (double)(now->switches - last->switches) / seconds, seconds);
    newline(top);
    printf("busy/%%, by CPU:");
    for (uint32_t i = 0; i < ncpus; i++)
        printf(" %3.0f", 100 - idle_of(top, now, i));
    newline(top);
}

/* ---- processes ------------------------------------------------------------------------------------------ */

static int compare_rows(const void *a, const void *b)
{
    const struct row *ra = a, *rb = b;

    if (ra->share != rb->share)
        return ra->share < rb->share ? 1 : -1;
    if (ra->kib != rb->kib)
        return ra->kib < rb->kib ? 1 : -1;
    return (ra->entry.pid > rb->entry.pid) - (ra->entry.pid < rb->entry.pid);
}

/* A process that has ended pays for nothing any more: its number may be another's by now. */
static struct row *row_of(struct top *top, uint32_t env)
{
    for (size_t i = 0; i < top->nrows; i++)
        if (top->rows[i].entry.env_id == env && top->rows[i].entry.state != OS_PROC_ZOMBIE)
            return &top->rows[i];
    return NULL;
}

static void take_ticks(struct top *top)
{
    struct tool_vcpu vcpu;

    for (uint32_t at = 0; tool_next_vcpu(top->frames, top->cpus, &at, &vcpu);) {
        struct row *row = row_of(top, vcpu.env);

        if (row)
            row->ticks += vcpu.ticks;
    }
}

/* What changed since the page before; in tenths, so that the order is that of what is shown. */
static void compare_to_last(struct top *top, struct row *row, uint64_t now)
{
    const struct os_proc_entry *e = &row->entry;
    uint32_t slot = e->pid % OS_NPROC;
    bool known = top->seen[slot].pid == e->pid;
    uint64_t before = known ? top->seen[slot].ticks : 0, from = known ? top->last.at : e->start_ticks;

    if (e->state == OS_PROC_ZOMBIE)
        row->ticks = before;
    if (row->ticks > before && now > from)
        row->share =
            (double)(uint64_t)(1000.0 * (double)(row->ticks - before) / (double)(now - from) + 0.5) / 10;
    row->change = known ? (int64_t)(row->kib - top->seen[slot].kib) : 0;
    top->seen[slot].pid = e->pid;
    top->seen[slot].kib = row->kib;
    top->seen[slot].ticks = row->ticks;
}

static void take_rows(struct top *top)
{
    static struct os_proc_entry entries[OS_NPROC];
    uint64_t now;

    top->nrows = tool_processes(entries);
    for (size_t i = 0; i < top->nrows; i++)
        top->rows[i] = (struct row){.entry = entries[i], .kib = tool_process_kib(&entries[i])};
    now = os_ticks();
    take_ticks(top);
    for (size_t i = 0; i < top->nrows; i++)
        compare_to_last(top, &top->rows[i], now);
    qsort(top->rows, top->nrows, sizeof(top->rows[0]), compare_rows);
}

static void print_row(const struct top *top, const struct row *row)
{
    const struct os_proc_entry *e = &row->entry;

    printf("%5" PRIu32 " %5" PRIu32 " %c %6.1f %8.2f %8" PRIu64 " %+8" PRId64 " %8" PRIu32 " %7" PRIu64 " %s",
           e->pid, e->ppid, tool_process_state(e), row->share, (double)os_ticks_to_ns(row->ticks) / 1e9,
           row->kib, row->change, e->limit_pages * (PAGE_SIZE / 1024), tool_process_age(e), e->name);
    newline(top);
}

static void print_page(struct top *top)
{
    struct counters now;
    size_t room = OS_NPROC;

    take_rows(top);
    now = count(top);
    if (!top->batch) {
        unsigned rows = screen_rows();

        room = rows > HEAD_LINES + 1 ? rows - HEAD_LINES - 1 : 1;
        screen_page();
    }
    print_memory(top);
    print_rates(top, &now);
    newline(top);
    printf("  PID  PPID S  CPU/%%   TIME/s USED/KiB  +/- KiB  MAX/KiB   AGE/s NAME");
    newline(top);
    for (size_t i = 0; i < top->nrows && i < room; i++)
        print_row(top, &top->rows[i]);
    if (!top->batch)
        screen_page_end();
    top->last = now;
}

/* ---- again and again ------------------------------------------------------------------------------------ */

/* Until the next page. False: there shall be none. */
static bool wait_for_page(const struct top *top)
{
    uint64_t deadline = os_deadline_ns(top->delay_ns);

    if (!top->batch)
        return screen_wait(deadline) != SCREEN_QUIT;
    putchar('\n');
    while (os_sleep_until(deadline))
        ;
    return true;
}

static int run(struct top *top)
{
    bool more = true;

    for (uint64_t page = 0; more && page < top->pages; page++) {
        print_page(top);
        if (fflush(stdout))
            break;
        more = page + 1 < top->pages && wait_for_page(top);
    }
    return tool_finish("top", TOOL_OK);
}

static int run_on_screen(struct top *top)
{
    int status;

    fputs("\033[2J", stdout);
    status = run(top);
    screen_end();
    return screen_signal() ? 128 + screen_signal() : status;
}

/* From a tenth of a second to a day. */
static bool take_delay(const char *text, uint64_t *ns)
{
    char *end;
    double seconds = strtod(text, &end);

    if (end == text || *end || !(seconds >= 0.1 && seconds <= 86400))
        return false;
    *ns = (uint64_t)(seconds * 1e9);
    return true;
}

static bool map_tables(struct top *top)
{
    const struct exo_system *system = os_system();
    uint64_t bytes = (uint64_t)system->nframes * sizeof(*top->frames);

    top->cpus = tool_map_table("top", EXO_INFO_CPU, system->ncpus);
    if (top->cpus)
        top->frames = tool_map_table("top", EXO_INFO_FRAMES, (bytes + PAGE_SIZE - 1) / PAGE_SIZE);
    return top->cpus && top->frames;
}

int main(int argc, char **argv)
{
    static struct top top = {.delay_ns = 2000000000, .pages = UINT64_MAX};
    int option;

    if (tool_help(argc, argv, help))
        return tool_finish("top", TOOL_OK);
    while ((option = tool_option(argc, argv, "bd:n:")) != -1) {
        if (option == '?')
            return tool_bad_option("top", help);
        top.batch |= option == 'b';
        if (option == 'd' && !take_delay(optarg, &top.delay_ns))
            return tool_usage("top", "-d takes 0.1 to 86400 seconds", help);
        if (option == 'n' && (!tool_number(optarg, &top.pages) || !top.pages))
            return tool_usage("top", "-n takes a number from 1", help);
    }
    if (optind < argc)
        return tool_usage("top", "takes no operands", help);
    if (!map_tables(&top))
        return TOOL_FAILED;
    top.last.at = os_system()->boot_ticks;
    top.batch = top.batch || !isatty(STDOUT_FILENO) || !screen_start();
    return top.batch ? run(&top) : run_on_screen(&top);
}
