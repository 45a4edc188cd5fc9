/* Kernel objects one by one: spaces, virtual processors, locks. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "../common/tool.h"
#include "../common/vcpus.h"
#include "exoinfo.h"

/* As many as the kernel counts now, and some that may come meanwhile; NULL and a word about it when there is no memory. */
static void *room_for(enum exo_frame_kind kind, size_t bytes, size_t *n)
{
    void *room;

    *n = (size_t)exo_frames(os_system(), kind) + 16;
    room = malloc(*n * bytes);
    if (!room)
        tool_error("exoinfo", "the list");
    return room;
}

/* ---- spaces --------------------------------------------------------------------------------------------- */

struct space {
    uint32_t env, number, asid;
    uint64_t cpus;
};

static int by_env(uint32_t a_env, uint32_t a, uint32_t b_env, uint32_t b)
{
    if (a_env != b_env)
        return a_env < b_env ? -1 : 1;
    return (a > b) - (a < b);
}

static int compare_spaces(const void *a, const void *b)
{
    const struct space *sa = a, *sb = b;

    return by_env(sa->env, sa->number, sb->env, sb->number);
}

static size_t take_spaces(const struct exo_frame *frames, struct space *spaces, size_t max)
{
    const struct exo_system *system = os_system();
    size_t n = 0;

    for (uint32_t i = 0; n < max; i++) {
        i = tool_frame_of_kind(frames, EXO_FRAME_SPACE, i);
        if (i == system->nframes)
            break;
        spaces[n++] = (struct space){.env = frames[i].account,
                                     .number = system->first_frame + i,
                                     .asid = frames[i].entries,
                                     .cpus = frames[i].cpus};
    }
    qsort(spaces, n, sizeof(*spaces), compare_spaces);
    return n;
}

int spaces_print(const struct exo_frame *frames)
{
    size_t max, n;
    struct space *spaces = room_for(EXO_FRAME_SPACE, sizeof(*spaces), &max);
    char set[SET_BYTES], name[48];

    if (!spaces)
        return TOOL_FAILED;
    n = take_spaces(frames, spaces, max);
    printf("%10s %6s  %-20s %s\n", "space", "ASID", "TLBs of CPUs", "owner");
    for (size_t i = 0; i < n; i++)
        printf("%10" PRIu32 " %6" PRIu32 "  %-20s %s\n", spaces[i].number, spaces[i].asid,
               set_name(spaces[i].cpus, set), env_name(spaces[i].env, name));
    putchar('\n');
    free(spaces);
    return TOOL_OK;
}

/* ---- virtual processors --------------------------------------------------------------------------------- */

static int compare_vcpus(const void *a, const void *b)
{
    const struct tool_vcpu *va = a, *vb = b;

    return by_env(va->env, va->number, vb->env, vb->number);
}

int vcpus_print(const struct exo_frame *frames, const void *cpus)
{
    size_t max, n = 0;
    struct tool_vcpu *vcpus = room_for(EXO_FRAME_VCPU, sizeof(*vcpus), &max);
    char name[48];

    if (!vcpus)
        return TOOL_FAILED;
    for (uint32_t at = 0; n < max && tool_next_vcpu(frames, cpus, &at, &vcpus[n]);)
        n++;
    qsort(vcpus, n, sizeof(*vcpus), compare_vcpus);
    printf("%10s %4s %12s  %-8s %s\n", "vcpu", "CPU", "ran/ms", "now", "owner");
    for (size_t i = 0; i < n; i++)
        printf("%10" PRIu32 " %4" PRIu32 " %12" PRIu64 "  %-8s %s\n", vcpus[i].number, vcpus[i].cpu,
               os_ticks_to_ns(vcpus[i].ticks) / 1000000, vcpus[i].running ? "runs" : "-",
               env_name(vcpus[i].env, name));
    putchar('\n');
    free(vcpus);
    return TOOL_OK;
}

/* ---- locks ---------------------------------------------------------------------------------------------- */

static void print_cpu_locks(const void *cpus)
{
    for (unsigned i = 0; i < os_system()->ncpus; i++) {
        const struct exo_cpu_info *cpu = tool_cpu(cpus, i);
        char name[16];

        snprintf(name, sizeof(name), "cpu %u", i);
        printf("%-12s %10" PRIu32 " %10" PRIu32 "\n", name, cpu->lock_taken, cpu->lock_contended);
    }
}

/* Those that lie in objects: how often any of them was waited for. */
static void print_object_locks(const char *name, enum exo_lock_rank rank, const void *cpus)
{
    uint64_t contended = 0;

    for (unsigned i = 0; i < os_system()->ncpus; i++)
        contended += tool_cpu(cpus, i)->contended[rank];
    printf("%-12s %10s %10" PRIu64 "  all of them\n", name, "-", contended);
}

void locks_print(const void *cpus)
{
    static const char *const names[] = EXO_LOCK_RANK_NAMES;
    const struct exo_lock *locks = os_system()->locks;

    printf("%-12s %10s %10s\n", "lock", "taken", "contended");
    for (unsigned rank = EXO_LOCK_NONE + 1; rank < EXO_NLOCK_RANKS; rank++)
        if (rank == EXO_LOCK_CPU)
            print_cpu_locks(cpus);
        else if (rank == EXO_LOCK_SPACE || rank == EXO_LOCK_INBOX)
            print_object_locks(names[rank], rank, cpus);
        else
            printf("%-12s %10" PRIu32 " %10" PRIu32 "\n", names[rank], locks[rank].served,
                   locks[rank].contended);
    putchar('\n');
}
