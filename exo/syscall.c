#include "syscall_impl.h"

#include "event.h"
#include "gate.h"
#include "irq.h"
#include "slice.h"

#define ENDING_PIECE 16u /* vcpus and peers of an ended environment that are dealt with at one go */

__attribute__((noinline)) int find(uint64_t handle, enum exo_cap_type type, unsigned rights, struct cap **out)
{
    return cap_find(&self()->owner, handle, type, rights, out);
}

__attribute__((noinline)) int find_range(uint64_t handle, unsigned rights, uint64_t va, uint64_t n,
                                         struct space **out)
{
    return find_range_inline(handle, rights, va, n, out);
}

__attribute__((noinline)) bool begin_world(void)
{
    world_enter();
    return may_begin();
}

__attribute__((noinline, cold)) bool begin_over(void)
{
    world_upgrade();
    return may_begin();
}

__attribute__((noinline, cold)) int64_t begin_slowly(uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3,
                                                     short_call *slowly, struct exo_lock *busy,
                                                     uint32_t ticket)
{
    if (busy) {
        lock_wait(busy, ticket);
        lock_drop(busy);
    }
    if (busy != &cpu_this()->lock)
        local_leave();
    return slowly(a0, a1, a2, a3);
}

/* Whether it had slots, which are looked for among all. */
static bool vcpu_end(struct vcpu *vcpu)
{
    bool searched = vcpu->nslots;

    vcpu_unqueue(vcpu);
    slice_disown_all(vcpu);
    vcpu->state = VCPU_DEAD;
    return searched;
}

static bool runs_on(const struct env *env, const struct cpu *cpu)
{
    return cpu->current && cpu->current->env == env;
}

/* A search is enough for a piece, and so are some lines. */
static enum env_ending vcpus_end(struct env *env)
{
    unsigned left = ENDING_PIECE;

    if (env_runs_on(env, cpu_this()))
        slice_leave()->state = VCPU_STOPPED;
    while (env->ending_at != &env->vcpus) {
        struct vcpu *vcpu = list_entry(env->ending_at, struct vcpu, in_env);
        bool had_lines = vcpu->nirqs;

        if (vcpu->state == VCPU_RUNNING)
            return ENDING_WAITS;
        if (left == 0 || !irq_vcpu_end(vcpu))
            return ENDING_MORE;
        if (vcpu->state != VCPU_DEAD && (vcpu_end(vcpu) || had_lines))
            left = 1;
        for (left--; gate_disappoint(vcpu); left--)
            if (left == 0)
                return ENDING_MORE;
        env->ending_at = env->ending_at->next;
    }
    return ENDING_DONE;
}

static void vcpu_free_first(struct env *env)
{
    vcpu_free(list_entry(env->vcpus.next, struct vcpu, in_env));
}

void syscall_init(void)
{
    event_init();
    env_runs_on = runs_on;
    env_vcpus_end = vcpus_end;
    env_vcpu_free = vcpu_free_first;
}

#define ENTRY(name, nargs, args, what) call_##name,
switch_call *const syscall_switch_table[EXO_NSWITCH] = {EXO_SWITCH_CALLS(ENTRY)};
plain_call *const syscall_plain_table[EXO_NCALLS - EXO_NSWITCH] = {EXO_PLAIN_CALLS(ENTRY)};
#undef ENTRY
