/* What the files of calls share: how a call begins and ends, the macros that make functions of the dispatch tables, and how
 * arguments are found.  A call's function is call_NAME. */
#ifndef EXO_SYSCALL_IMPL_H
#define EXO_SYSCALL_IMPL_H

#include "space.h"
#include "syscall.h"

#define DECLARE(name, nargs, args, what) switch_call call_##name;
EXO_SWITCH_CALLS(DECLARE)
#undef DECLARE
#define DECLARE(name, nargs, args, what) plain_call call_##name;
EXO_PLAIN_CALLS(DECLARE)
#undef DECLARE

static inline struct env *self(void)
{
    return cpu_this()->current->env;
}

/* In the caller's table: as cap_find(). */
int find(uint64_t handle, enum exo_cap_type type, unsigned rights, struct cap **out);
/* A space by handle, and a range in it. */
static inline __attribute__((always_inline)) int find_range_inline(uint64_t handle, unsigned rights,
                                                                   uint64_t va, uint64_t n,
                                                                   struct space **out)
{
    struct cap *cap;
    int rc = cap_find_inline(&self()->owner, handle, EXO_CAP_SPACE, rights, &cap);

    if (rc)
        return rc;
    if (!space_range_ok(va, n))
        return -EXO_ERANGE;
    *out = frame_address(cap->object);
    return 0;
}

int find_range(uint64_t handle, unsigned rights, uint64_t va, uint64_t n, struct space **out);

/* A new capability to an object, with all rights. */
static inline struct cap object_cap(enum exo_cap_type type, const void *object)
{
    pfn_t pfn = paddr_to_pfn(virt_to_phys(object));

    return (struct cap){
        .type = (uint8_t)type, .rights = EXO_RIGHTS_ALL, .object = pfn, .serial = frame_entry(pfn)->serial};
}

/* Every call says in which mode (cpu.h) it begins.  One that begins in local mode is begun again in world mode where it
 * answers NEEDS_WORLD.  A vcpu whose environment has ended meanwhile begins nothing any more. */
static inline __attribute__((always_inline)) bool may_begin(void)
{
    struct cpu *cpu = cpu_this();

    if (__builtin_expect(!cpu->evict, 1))
        return true;
    cpu->resched = 1;
    return false;
}

static inline __attribute__((always_inline)) bool begin_local(void)
{
    local_enter();
    return may_begin();
}

bool begin_world(void);
bool begin_over(void);

static inline __attribute__((always_inline)) bool begin_again(int64_t result)
{
    return __builtin_expect(result == NEEDS_WORLD, 0) && begin_over();
}

static inline __attribute__((always_inline)) void end_world(void)
{
    if (__builtin_expect(cpu_this()->world, 0))
        world_leave();
}

static inline __attribute__((always_inline)) void end_plain(void)
{
    end_world();
    local_leave();
}

/* A plain call with its arguments; the other argument registers hold nothing of interest. */
#define REST6 uint64_t r6 __attribute__((unused))
#define REST5 uint64_t r5 __attribute__((unused)), REST6
#define REST4 uint64_t r4 __attribute__((unused)), REST5
#define REST3 uint64_t r3 __attribute__((unused)), REST4
#define REST2 uint64_t r2 __attribute__((unused)), REST3
#define REST1 uint64_t r1 __attribute__((unused)), REST2
#define REST0 uint64_t r0 __attribute__((unused)), REST1
#define PLAIN_CALL(mode, function, name, ...)                                                                \
    static int64_t do_##name(__VA_ARGS__);                                                                   \
    function(uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5, uint64_t a6)      \
    {                                                                                                        \
        int64_t result = -EXO_EDEAD;                                                                         \
                                                                                                             \
        if (begin_##mode())                                                                                  \
            do                                                                                               \
                result = do_##name(a0, a1, a2, a3, a4, a5, a6);                                              \
            while (begin_again(result));                                                                     \
        end_plain();                                                                                         \
        return result;                                                                                       \
    }                                                                                                        \
    static int64_t do_##name(__VA_ARGS__)
#define CALL(mode, name, ...) PLAIN_CALL(mode, int64_t call_##name, name, __VA_ARGS__)
/* What a call of this name, which is somewhere else, goes on with where it cannot do it all. */
#define SLOW_CALL(mode, name, ...)                                                                           \
    PLAIN_CALL(mode, static __attribute__((noinline)) int64_t name##_slowly, name, __VA_ARGS__)
/* Where such a function of at most four arguments could not even begin, having taken no lock but the CPU's, with nothing
 * changed: waits for the lock that is busy, with this ticket (NULL: nothing is in the way that waiting helps), and goes on so. */
typedef int64_t short_call(uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3);
int64_t begin_slowly(uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3, short_call *slowly,
                     struct exo_lock *busy, uint32_t ticket);
#define ARG(a) uint64_t a
#define CALL0(mode, name) CALL(mode, name, REST0)
#define CALL1(mode, name, a) CALL(mode, name, ARG(a), REST1)
#define CALL2(mode, name, a, b) CALL(mode, name, ARG(a), ARG(b), REST2)
#define CALL3(mode, name, a, b, c) CALL(mode, name, ARG(a), ARG(b), ARG(c), REST3)
#define CALL4(mode, name, a, b, c, d) CALL(mode, name, ARG(a), ARG(b), ARG(c), ARG(d), REST4)
#define CALL5(mode, name, a, b, c, d, e) CALL(mode, name, ARG(a), ARG(b), ARG(c), ARG(d), ARG(e), REST5)
#define CALL6(mode, name, a, b, c, d, e, f)                                                                  \
    CALL(mode, name, ARG(a), ARG(b), ARG(c), ARG(d), ARG(e), ARG(f), REST6)

#define CALL7(mode, name, a, b, c, d, e, f, g)                                                               \
    CALL(mode, name, ARG(a), ARG(b), ARG(c), ARG(d), ARG(e), ARG(f), ARG(g))

/* A switching call of the current vcpu: 0 with the result in its registers, or NEEDS_WORLD.  The CPU's lock stays taken
 * for trap_leave(); but a `fast` function may say that all is done. */
#define SWITCH_FROM(begun, name)                                                                             \
    {                                                                                                        \
        if (begun)                                                                                           \
            while (begin_again(do_##name(current)))                                                          \
                ;                                                                                            \
        end_world();                                                                                         \
        return NULL;                                                                                         \
    }
#define SWITCH_CALL(mode, name)                                                                              \
    static int do_##name(struct vcpu *current);                                                              \
    struct vcpu *call_##name(struct vcpu *current)                                                           \
        SWITCH_FROM(begin_##mode(), name) static int do_##name(struct vcpu *current)

/* The same, but first `fast` is tried.  All that it calls it jumps to, so that it needs no stack. */
#define FAST_CALL(name, fast)                                                                                \
    static int do_##name(struct vcpu *current);                                                              \
    static __attribute__((noinline)) struct vcpu *name##_slowly(struct vcpu *current)                        \
        SWITCH_FROM(may_begin(), name) static                                                                \
        __attribute__((noinline, cold)) struct vcpu *name##_waits(struct vcpu *current, uint32_t ticket)     \
    {                                                                                                        \
        lock_wait(&cpu_this()->lock, ticket);                                                                \
        return name##_slowly(current);                                                                       \
    }                                                                                                        \
    static __attribute__((noinline)) struct vcpu *name##_again(struct vcpu *current)                         \
    {                                                                                                        \
        local_leave();                                                                                       \
        return call_##name(current);                                                                         \
    }                                                                                                        \
    struct vcpu *call_##name(struct vcpu *current)                                                           \
    {                                                                                                        \
        uint32_t ticket;                                                                                     \
                                                                                                             \
        if (!lock_take_or_queue(&cpu_this()->lock, &ticket))                                                 \
            return name##_waits(current, ticket);                                                            \
        return fast(current, name##_again, name##_slowly);                                                   \
    }                                                                                                        \
    static int do_##name(struct vcpu *current)

#endif
