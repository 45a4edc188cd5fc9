/* The kernel's calls, as calls of the test's kernel. */
#include "mock.h"

host_exo_fn *host_exo_call;
host_bound_fn *host_next_bound;
host_allows_fn *host_page_allows;
bool (*host_is_large)(uint64_t va);
uint64_t host_ticks;

static union {
    struct exo_vcpu_page kernel;
    char bytes[PAGE_SIZE];
} page;
struct exo_vcpu_page *host_vcpu = &page.kernel;
void (*host_interleave)(void);
struct exo_system host_system = {.abi_version = EXO_ABI_VERSION, .ncpus = 1, .counter_hz = 1000000000};

static int64_t enter(enum exo_call number, uint64_t results[8])
{
    if (!host_exo_call)
        return -EXO_ENOCALL;
    host_exo_call(number, results);
    return (int64_t)results[0];
}

#define ARGS_0
#define ARGS_1 a0
#define ARGS_2 ARGS_1, a1
#define ARGS_3 ARGS_2, a2
#define ARGS_4 ARGS_3, a3
#define ARGS_5 ARGS_4, a4
#define ARGS_6 ARGS_5, a5
#define ARGS_7 ARGS_6, a6
#define BODY(number, nargs)                                                                                  \
    {                                                                                                        \
        uint64_t r[8] = {ARGS_##nargs};                                                                      \
        return enter(number, r);                                                                             \
    }
#define BODY_0(number) BODY(number, 0)
#define BODY_1(number) BODY(number, 1)
#define BODY_2(number) BODY(number, 2)
#define BODY_3(number) BODY(number, 3)
#define BODY_4(number) BODY(number, 4)
#define BODY_5(number) BODY(number, 5)
#define BODY_6(number) BODY(number, 6)
#define BODY_7(number) BODY(number, 7)
#define BODY_8(number)                                                                                       \
    {                                                                                                        \
        return message(number, to, words, deadline);                                                         \
    }

static int64_t message(enum exo_call number, uint64_t to, struct exo_words *words, uint64_t deadline)
{
    uint64_t r[8] = {to};
    int64_t result;

    for (unsigned i = 0; i < EXO_MSG_WORDS; i++)
        r[1 + i] = words->w[i];
    r[7] = deadline;
    result = enter(number, r);
    for (unsigned i = 0; i < EXO_MSG_WORDS; i++)
        words->w[i] = r[1 + i];
    words->badge = r[7];
    return result;
}

#define STUB(name, nargs, args, what) int64_t exo_##name(EXO_PARAMS_##nargs) BODY_##nargs(EXO_CALL_##name)
EXO_CALLS(STUB)
