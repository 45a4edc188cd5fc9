/*
 * top: what the machine does, and its processes, again and again.
 *
 * All numbers are the kernel's counters and init's table, mapped read-only. What is not there is processor time by
 * process: the kernel counts it for nobody, and looking again and again who runs (exo_cpu_info.running_env) cannot
 * tell, since on the processor that looks it is always the one who looks. So processes are sorted by what is known:
 * memory, and how it changes.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "../common/processes.h"
#include "../common/tables.h"
#include "../common/tool.h"
#include "screen.h"

static const char help[] =
    "Usage: top [-b] [-d SECONDS] [-n COUNT]\n"
    "Shows, every 2 seconds: time since the start; frames; the processors' idle share, calls,\n"
    "interrupts and switches a second (first since the start, then since the page before, top's own\n"
    "included); and the processes by memory in use, most first, with its change.  The kernel does not\n"
    "count processor time by process, so it is not shown.  q quits, another key shows a new page at once.\n"
    "  -b  pages one after the other, without escape codes or keys; so too where there is no terminal\n"
    "  -d  so many seconds, with fractions, between pages      -n  so many pages, not on and on\n";

enum { HEAD_LINES = 4 };

/* All CPUs' counters, added. */
struct counters {
    uint64_t ticks; /* of time that passed */
    uint64_t idle;  /* ticks */
    uint64_t calls, interrupts, switches;
};

struct row {
    struct os_proc_entry entry;
    uint64_t kib;
    int64_t change; /* KiB */
};

struct top {
    bool batch;
    uint64_t delay_ns;
    uint64_t pages; /* UINT64_MAX: on and on */
    const uint8_t *cpus;
    struct counters last;
    struct row rows[OS_NPROC];
    size_t nrows;
    struct {
        uint32_t pid;
        uint64_t kib;
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
    const struct exo_system *system = os_system();
    struct counters c = {.ticks = os_ticks() - system->boot_ticks};

    for (uint32_t i = 0; i < system->ncpus; i++) {
        const struct exo_cpu_info *cpu = (const void *)(top->cpus + (size_t)i * PAGE_SIZE);

        c.idle += cpu->idle_ticks;
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
        used += system->frames[kind];
    printf("up %" PRIu64 ":%02" PRIu64 ":%02" PRIu64 ", %zu processes; frames: %" PRIu64 " free, %" PRIu64
           " used, %" PRIu64 " the kernel's",
           seconds / 3600, seconds / 60 % 60, seconds % 60, top->nrows, system->frames[EXO_FRAME_FREE], used,
           system->frames[EXO_FRAME_KERNEL] + system->frames[EXO_FRAME_INFO]);
    newline(top);
}

static void print_rates(const struct top *top, const struct counters *now)
{
    const struct counters *last = &top->last;
    double ticks = (double)(now->ticks - last->ticks);
    double seconds = ticks / (double)os_system()->counter_hz;
    double idle = 100.0 * (double)(now->idle - last->idle) / (ticks * os_system()->ncpus);

    printf("idle %.1f %%; a second: %.0f calls, %.0f interrupts, %.0f switches; over %.1f s", idle,
           (double)(now->calls - last->calls) / seconds,
           (double)(now->interrupts - last->interrupts) / seconds,
           (double)(now->switches - last->switches) / seconds, seconds);
    newline(top);
}

/* ---- processes ------------------------------------------------------------------------------------------ */

static int by_memory(const void *a, const void *b)
{
    const struct row *ra = a, *rb = b;

    if (ra->kib != rb->kib)
        return ra->kib < rb->kib ? 1 : -1;
    return (ra->entry.pid > rb->entry.pid) - (ra->entry.pid < rb->entry.pid);
}

static void take_rows(struct top *top)
{
    static struct os_proc_entry entries[OS_NPROC];

    top->nrows = tool_processes(entries);
    for (size_t i = 0; i < top->nrows; i++) {
        uint32_t pid = entries[i].pid, slot = pid % OS_NPROC;
        uint64_t kib = tool_process_kib(&entries[i]);
        bool known = top->seen[slot].pid == pid;

        top->rows[i] = (struct row){entries[i], kib, known ? (int64_t)(kib - top->seen[slot].kib) : 0};
        top->seen[slot].pid = pid;
        top->seen[slot].kib = kib;
    }
    qsort(top->rows, top->nrows, sizeof(top->rows[0]), by_memory);
}

static void print_row(const struct top *top, const struct row *row)
{
    const struct os_proc_entry *e = &row->entry;

    printf("%5" PRIu32 " %5" PRIu32 " %c %8" PRIu64 " %+8" PRId64 " %8" PRIu32 " %8" PRIu64 " %s", e->pid,
           e->ppid, tool_process_state(e), row->kib, row->change, e->limit_pages * (PAGE_SIZE / 1024),
           tool_process_age(e), e->name);
    newline(top);
}

static void print_page(struct top *top)
{
    struct counters now = count(top);
    size_t room = OS_NPROC;

    take_rows(top);
    if (!top->batch) {
        unsigned rows = screen_rows();

        room = rows > HEAD_LINES + 1 ? rows - HEAD_LINES - 1 : 1;
        screen_page();
    }
    print_memory(top);
    print_rates(top, &now);
    newline(top);
    printf("  PID  PPID S USED/KiB  +/- KiB  MAX/KiB    AGE/s NAME");
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
    top.cpus = tool_map_table("top", EXO_INFO_CPU, os_system()->ncpus);
    if (!top.cpus)
        return TOOL_FAILED;
    top.batch = top.batch || !isatty(STDOUT_FILENO) || !screen_start();
    return top.batch ? run(&top) : run_on_screen(&top);
}
