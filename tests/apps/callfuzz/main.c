/* callfuzz SEED ROUNDS: every call number from 0 to 200, with arguments that are near to something.
 *
 * It may wreck itself in any way, and end in any way; the kernel and everybody else must not care (K5, K14, K20).
 * Only calls that would end it at once, or put it to sleep for ever, come rarely or with short deadlines. */
#include <stdio.h>
#include <stdlib.h>

#include "os/exo.h"
#include "os/start.h"
#include "os/time.h"

#define SPARE 0x5000000000ull

int64_t raw_call(uint64_t number, const uint64_t args[8]);

static uint64_t state;

static uint64_t next(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static uint64_t argument(void)
{
    static const uint64_t odd[] = {0,
                                   1,
                                   2,
                                   UINT64_MAX,
                                   INT64_MAX,
                                   1ull << 63,
                                   0x7fffffff,
                                   1ull << 32,
                                   PAGE_SIZE,
                                   0x09000000,
                                   0x08000000,
                                   0x40200000,
                                   0xffffff8040000000,
                                   0xffffffff80000000,
                                   0x7fc0000000,
                                   0x7fbffff000,
                                   SPARE,
                                   SPARE + 0x200000,
                                   SPARE + 0x40000000};
    uint64_t r = next();

    switch (r >> 60) {
    case 0:
        return next();
    case 1:
        return next() >> (next() & 63);
    case 2:
    case 3:
        return odd[(r & 0xffff) % (sizeof(odd) / sizeof(*odd))];
    case 4:
    case 5:
        return SPARE + (r & 63) * PAGE_SIZE;
    case 6:
        return os_system()->first_frame + (uint32_t)r % os_system()->nframes;
    default:
        return r & 31;
    }
}

static uint64_t number(void)
{
    uint64_t n = next() & 15 ? next() % EXO_NCALLS : next() % 201;

    if (n == EXO_CALL_env_exit || n == EXO_CALL_env_stop || n == EXO_CALL_env_destroy || n == EXO_CALL_resume)
        return next() & 255 ? EXO_CALL_page_alloc : n;
    return n;
}

static void random_message(void)
{
    struct exo_vcpu_page *page = os_vcpu();

    page->send = (struct exo_send){argument(), (uint32_t)argument(), (uint32_t)argument(),
                                   (exo_handle_t)argument(), (uint32_t)next()};
    page->recv.va = argument();
    page->recv.max_pages = (uint32_t)argument();
    page->recv.take_cap = (uint32_t)next() & 1;
}

static void one(void)
{
    uint64_t n = number(), x[8];

    for (unsigned i = 0; i < 8; i++)
        x[i] = argument();
    if (n == EXO_CALL_call || n == EXO_CALL_reply_wait)
        x[7] = next() & 1 ? 0 : os_deadline_ns(20000);
    if (n == EXO_CALL_call && next() & 1)
        x[0] = OS_HANDLE_INIT | (next() & 7) << 32;
    if (n == EXO_CALL_wait)
        x[1] = os_deadline_ns(20000);
    random_message();
    raw_call(n, x);
}

int main(int argc, char **argv)
{
    unsigned long rounds = argc > 2 ? strtoul(argv[2], NULL, 0) : 1000;

    state = (argc > 1 ? strtoul(argv[1], NULL, 0) : 1) * 0x9e3779b97f4a7c15 + 1;
    for (unsigned long i = 0; i < rounds; i++)
        one();
    printf("callfuzz: all %lu calls made\n", rounds);
    return 0;
}
