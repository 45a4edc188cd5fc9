/* CPUs: counters, slices, log rings; interrupt lines. */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>

#include "../common/vcpus.h"
#include "exoinfo.h"

const char *set_name(uint64_t set, char buf[SET_BYTES])
{
    size_t len = 0;

    snprintf(buf, SET_BYTES, "-");
    for (unsigned from = 0, to; from < 64; from = to + 1) {
        for (to = from; to < 64 && set >> to & 1;)
            to++;
        if (to == from)
            continue;
        len += (size_t)snprintf(buf + len, SET_BYTES - len, to - from == 1 ? "%s%u" : "%s%u to %u",
                                len ? ", " : "", from, to - 1);
    }
    return buf;
}

static void print_counters(const struct exo_cpu_info *cpu, unsigned number)
{
    double up = (double)(os_ticks() - os_system()->boot_ticks), idle = (double)tool_idle_ticks(cpu);
    char name[48];

    printf("%3u %10" PRIu64 " %10" PRIu64 " %10" PRIu64 " %10" PRIu64 " %10" PRIu64 " %6.1f  %s\n", number,
           cpu->calls, cpu->interrupts, cpu->kicks, cpu->switches, cpu->upcalls,
           idle < up ? 100 * idle / up : 100.0, cpu->running.env ? env_name(cpu->running.env, name) : "-");
}

void cpus_print_counters(const void *cpus)
{
    printf("%3s %10s %10s %10s %10s %10s %6s  %s\n", "CPU", "calls", "interrupts", "of kicks", "switches",
           "upcalls", "idle/%", "runs");
    for (unsigned i = 0; i < os_system()->ncpus; i++)
        print_counters(tool_cpu(cpus, i), i);
    putchar('\n');
}

/* ---- slices --------------------------------------------------------------------------------------------- */

static uint32_t nslots(const struct exo_cpu_info *cpu)
{
    return (uint32_t)min_u64(os_system()->slots, ARRAY_LEN(cpu->slot_env));
}

static uint64_t slots_of(const struct exo_cpu_info *cpu, uint32_t env)
{
    uint64_t set = 0;

    for (uint32_t slot = 0; slot < nslots(cpu); slot++)
        if (cpu->slot_env[slot] == env)
            set |= 1ull << slot;
    return set;
}

static void print_slices(const struct exo_cpu_info *cpu, unsigned number)
{
    char name[48], set[SET_BYTES];

    printf("CPU %u, slots by owner:\n", number);
    for (uint32_t slot = 0; slot < nslots(cpu); slot++) {
        uint32_t env = cpu->slot_env[slot];
        uint64_t slots = slots_of(cpu, env);

        if (env && !(slots & ((1ull << slot) - 1))) /* the first that it has */
            printf("  %-24s %s\n", env_name(env, name), set_name(slots, set));
    }
    printf("  %d of %" PRIu32 " slots go to whoever is ready\n", __builtin_popcountll(slots_of(cpu, 0)),
           nslots(cpu));
}

void cpus_print_slices(const void *cpus)
{
    uint64_t alike = 0;
    uint32_t n = nslots(tool_cpu(cpus, 0));
    char set[SET_BYTES];

    for (unsigned i = 0; i < os_system()->ncpus; i++)
        if (__builtin_popcountll(slots_of(tool_cpu(cpus, i), 0)) == (int)n)
            alike |= 1ull << i;
        else
            print_slices(tool_cpu(cpus, i), i);
    if (alike)
        printf("CPU%s %s: %" PRIu32 " of %" PRIu32 " slots go to whoever is ready\n",
               alike & (alike - 1) ? "s" : "", set_name(alike, set), n, n);
    putchar('\n');
}

/* ---- interrupt lines, logs ------------------------------------------------------------------------------ */

void lines_print(const struct exo_line *lines)
{
    const struct exo_system *system = os_system();
    char name[48];

    printf("interrupt lines:  taken  by\n");
    for (uint32_t i = 0; i < system->nlines; i++)
        if (lines[i].count || lines[i].env)
            printf("%14" PRIu32 "%s %7" PRIu64 "  %s\n", lines[i].line,
                   lines[i].line - system->msi_first < system->msi_lines ? "m" : " ", lines[i].count,
                   lines[i].env ? env_name(lines[i].env, name) : "-");
    if (system->msi_lines)
        printf("messages to 0x%" PRIx64 " raise lines %" PRIu32 " to %" PRIu32 "\n\n", system->msi_doorbell,
               system->msi_first, system->msi_first + system->msi_lines - 1);
    else
        printf("no messages raise lines\n\n");
}

/* Every program may write there, so only what prints is printed. */
void cpu_print_log(const struct exo_log *log, unsigned number)
{
    uint64_t size = os_system()->log_bytes - sizeof(*log), written = log->written;
    uint64_t lost = written > size ? written - size : 0;
    char c = '\n';

    if (written == 0)
        return;
    printf("CPU %u, log: %" PRIu64 " bytes, the first %" PRIu64 " of them overwritten\n", number, written,
           lost);
    for (uint64_t i = lost; i < written; i++) {
        c = log->text[i % size];
        putchar(isprint((unsigned char)c) || c == '\n' ? c : '?');
    }
    printf(c == '\n' ? "\n" : "\n\n");
}
