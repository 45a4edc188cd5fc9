#include "ring.h"

#include "slice.h"

#define RELEASE_STEP 32u

/* What is called in place of these while there is a ring; without one, nobody looks. */
static enum env_ending (*untraced_vcpus_end)(struct env *env);
static bool (*untraced_expired)(struct vcpu *vcpu);
static unsigned nrings;

struct cpu *ring_cpu(uint64_t id)
{
    return id < ncpus ? &cpus[id] : NULL;
}

struct cpu *ring_of(pfn_t pfn)
{
    for (unsigned i = 0; nrings && i < ncpus; i++)
        if (pfn - cpus[i].trace.first < cpus[i].trace.npages)
            return &cpus[i];
    return NULL;
}

/* ---- what happens beside the entries (probe.h) ------------------------------------------------------------ */

static void trace_env_end(struct cpu *cpu, struct env *env)
{
    if (env->end_traced)
        return;
    env->end_traced = true;
    if (cpu->traced)
        trace_put(cpu, EXO_TRACE_ENV_END,
                  (struct trace_words){.what = (uint16_t)env->reason, .a = env_frame(env), .b = env->code});
}

static enum env_ending traced_vcpus_end(struct env *env)
{
    enum env_ending left;

    trace_env_end(cpu_this(), env);
    for (unsigned i = 0; i < ncpus; i++) /* all at the same time */
        if (cpus[i].trace.owner == env)
            ring_stop(&cpus[i]);
    left = untraced_vcpus_end(env);
    for (unsigned i = 0; left == ENDING_DONE && i < ncpus; i++)
        if (cpus[i].trace.owner == env && !ring_release_step(&cpus[i]))
            left = cpus[i].traced ? ENDING_WAITS : ENDING_MORE;
    return left;
}

static bool traced_expired(struct vcpu *vcpu)
{
    struct cpu *cpu = cpu_this();
    bool expired = untraced_expired(vcpu);

    if (expired && cpu->traced)
        trace_put(cpu, EXO_TRACE_WAKE,
                  (struct trace_words){
                      .what = EXO_TRACE_BY_DEADLINE, .vcpu = vcpu_frame(vcpu), .a = env_frame(vcpu->env)});
    return expired;
}

static void hooks_set(void)
{
    untraced_vcpus_end = env_vcpus_end;
    untraced_expired = slice_expired;
    env_vcpus_end = traced_vcpus_end;
    slice_expired = traced_expired;
    arch_trace_possible(true);
}

static void hooks_drop(void)
{
    env_vcpus_end = untraced_vcpus_end;
    slice_expired = untraced_expired;
    arch_trace_possible(false);
}

/* ---- the ring's pages -------------------------------------------------------------------------------------- */

/* Is the page at va one that the kernel may write for its holder, and the one that comes next? */
static int page_check(const struct cpu_trace *trace, const struct env *env, struct space *space, uint64_t va,
                      pfn_t *next)
{
    pfn_t pfn;
    int rc = space_pinnable(space, va, &env->owner.account, &pfn);

    if (rc)
        return rc;
    if (*next ? pfn != *next : trace->npages && pfn != trace->first + trace->npages)
        return -EXO_EINVAL;
    *next = pfn + 1;
    return 0;
}

static int range_check(const struct cpu_trace *trace, const struct env *env, struct space *space, uint64_t va,
                       uint64_t n, pfn_t *first)
{
    pfn_t next = 0;

    for (uint64_t i = 0; i < n; i++) {
        int rc = page_check(trace, env, space, va + i * PAGE_SIZE, &next);

        if (rc)
            return rc;
    }
    *first = next - (pfn_t)n;
    return 0;
}

int ring_bind(struct cpu *cpu, struct env *env, struct space *space, uint64_t va, uint64_t n)
{
    struct cpu_trace *trace = &cpu->trace;
    pfn_t first;
    int rc;

    if (trace->owner && trace->owner != env)
        return -EXO_EBUSY;
    if (cpu->traced || trace->wanted)
        return -EXO_ESTATE;
    if (n > EXO_TRACE_PAGES_MAX - trace->npages)
        return -EXO_EFULL;
    rc = range_check(trace, env, space, va, n, &first);
    if (rc || n == 0)
        return rc;
    if (!trace->owner) {
        trace->owner = env;
        trace->first = first;
        if (nrings++ == 0)
            hooks_set();
    }
    for (uint64_t i = 0; i < n; i++)
        frame_ref(first + (pfn_t)i);
    trace->npages += (uint32_t)n;
    return 0;
}

/* The CPU shall do what is wanted: at once, or as soon as it can. */
static void follow(struct cpu *cpu)
{
    if (cpu->traced == cpu->trace.wanted)
        return;
    if (cpu == cpu_this()) {
        trace_follow(cpu);
        return;
    }
    cpu_attend(cpu);
    arch_cpu_kick(cpu);
}

int ring_start(struct cpu *cpu, struct env *env)
{
    struct cpu_trace *trace = &cpu->trace;

    if (trace->owner && trace->owner != env)
        return -EXO_EBUSY;
    if (!trace->owner || cpu->traced || trace->wanted)
        return -EXO_ESTATE;
    trace->ring = frame_address(trace->first);
    trace->nrecords =
        (uint32_t)((trace->npages * PAGE_SIZE - sizeof(*trace->ring)) / sizeof(struct exo_trace_record));
    trace->next = 0;
    trace->written = 0;
    trace->last = NULL;
    trace->line_open = trace->idle = false;
    trace->session = trace->session == UINT32_MAX ? 1 : trace->session + 1;
    *trace->ring = (struct exo_trace){.nrecords = trace->nrecords, .cpu = cpu->id};
    trace->wanted = true;
    follow(cpu);
    if (cpu->traced)
        trace_settled(cpu);
    cpu_attend(cpu); /* the way out of this call does not trace by itself */
    return 0;
}

bool ring_stop(struct cpu *cpu)
{
    cpu->trace.wanted = false;
    follow(cpu);
    return !cpu->traced;
}

bool ring_release_step(struct cpu *cpu)
{
    struct cpu_trace *trace = &cpu->trace;

    if (!ring_stop(cpu))
        return false;
    for (unsigned i = 0; trace->npages && i < RELEASE_STEP; i++)
        frame_unref(trace->first + --trace->npages);
    if (trace->npages)
        return false;
    if (trace->owner && --nrings == 0)
        hooks_drop();
    trace->owner = NULL;
    return true;
}
