/* Virtual processors and spaces, as the kernel's frame table has them, and how long each ran.
 *
 * Other CPUs change these tables while they are read, so what is read is checked, and counts are of some moment. */
#ifndef APPS_COMMON_VCPUS_H
#define APPS_COMMON_VCPUS_H

#include "os/exo.h"
#include "os/time.h"

/* cpus: EXO_INFO_CPU, mapped. */
static inline const struct exo_cpu_info *tool_cpu(const void *cpus, unsigned number)
{
    return (const void *)((const uint8_t *)cpus + (size_t)number * PAGE_SIZE);
}

/* A count of ticks up to now: of a vcpu that belongs to this CPU (counted: exo_frame.ticks; vcpu: its frame's number) or
 * of the CPU's idle time (counted: idle_ticks; vcpu: 0).  What it does just now, it has begun at `since`, which is 0
 * while the kernel adds that up; if that takes too long, it is left out. */
static inline uint64_t tool_ticks(const struct exo_cpu_info *cpu, const uint64_t *counted, uint32_t vcpu,
                                  bool *running)
{
    enum { TRIES = 100000 };
    uint64_t since, ticks, now;

    for (int i = 0; i < TRIES; i++) {
        since = __atomic_load_n(&cpu->since, __ATOMIC_ACQUIRE);
        *running = __atomic_load_n(&cpu->running.vcpu, __ATOMIC_ACQUIRE) == vcpu;
        ticks = __atomic_load_n(counted, __ATOMIC_ACQUIRE);
        if (since && since == __atomic_load_n(&cpu->since, __ATOMIC_RELAXED))
            break;
    }
    now = os_ticks();
    return ticks + (*running && since && now > since ? now - since : 0);
}

static inline uint64_t tool_idle_ticks(const struct exo_cpu_info *cpu)
{
    bool idle;

    return tool_ticks(cpu, &cpu->idle_ticks, 0, &idle);
}

/* The index of the first frame of this kind from `at` on; nframes: there is none. */
static inline uint32_t tool_frame_of_kind(const struct exo_frame *frames, enum exo_frame_kind kind,
                                          uint32_t at)
{
    uint32_t n = os_system()->nframes;

    while (at < n && __atomic_load_n(&frames[at].kind, __ATOMIC_RELAXED) != kind) {
        bool is_free = __atomic_load_n(&frames[at].kind, __ATOMIC_RELAXED) == EXO_FRAME_FREE;
        unsigned order1 = __atomic_load_n(&frames[at].order1, __ATOMIC_RELAXED);
        uint32_t step = is_free && order1 && order1 < 32 ? 1u << (order1 - 1) : 1;

        at = step < n - at ? at + step : n;
    }
    return at;
}

struct tool_vcpu {
    uint32_t number; /* of its frame */
    uint32_t env;    /* that pays for it: os_proc_entry.env_id */
    uint32_t cpu;
    bool running;
    uint64_t ticks;
};

/* The first vcpu from *at on, and where to go on.  False: there is no more. */
static inline bool tool_next_vcpu(const struct exo_frame *frames, const void *cpus, uint32_t *at,
                                  struct tool_vcpu *vcpu)
{
    const struct exo_system *system = os_system();

    for (;;) {
        uint32_t i = tool_frame_of_kind(frames, EXO_FRAME_VCPU, *at), serial;
        const struct exo_frame *f = &frames[i];

        if (i == system->nframes)
            return false;
        *at = i + 1;
        serial = __atomic_load_n(&f->serial, __ATOMIC_ACQUIRE);
        *vcpu = (struct tool_vcpu){.number = system->first_frame + i, .env = f->account, .cpu = f->entries};
        if (vcpu->cpu >= system->ncpus)
            continue;
        vcpu->ticks = tool_ticks(tool_cpu(cpus, vcpu->cpu), &f->ticks, vcpu->number, &vcpu->running);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (__atomic_load_n(&f->kind, __ATOMIC_RELAXED) == EXO_FRAME_VCPU &&
            __atomic_load_n(&f->serial, __ATOMIC_RELAXED) == serial)
            return true;
    }
}

#endif
