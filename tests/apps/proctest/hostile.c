/* A client that sends rubbish: random operations, numbers near everything that means something, pages of its own with
 * changing content.  The servers must answer or refuse; they must not end, hang, or keep anything. */
#include <stdio.h>
#include <string.h>

#include "os/exo.h"
#include "os/ipc.h"
#include "os/mem.h"
#include "os/proc.h"
#include "os/procproto.h"
#include "os/start.h"
#include "os/time.h"
#include "proctest.h"

#define BUFFER_PAGES 64u
#define PATIENCE_NS 1000000u

static uint64_t state;

static uint64_t next(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

static uint64_t some_number(void)
{
    switch (next() % 8) {
    case 0:
        return 0;
    case 1:
        return next() % 64;
    case 2:
        return -(next() % 8);
    case 3:
        return next();
    case 4:
        return os_pid() + next() % 4;
    case 5:
        return 1ull << next() % 64;
    default:
        return next() % 70000;
    }
}

/* Who shares its job with us may die of a signal that is meant well, or of a limit: none is sent. */
static bool harmful(exo_handle_t gate, const struct exo_words *x)
{
    struct os_proc_entry self, other;

    if (gate != OS_HANDLE_INIT)
        return false;
    if (x->w[0] == OS_PROC_KILL)
        return x->w[2] != 0;
    return x->w[0] == OS_PROC_LIMIT && x->w[1] <= UINT32_MAX && os_proc_find(os_pid(), &self) &&
           os_proc_find((uint32_t)x->w[1], &other) && other.job == self.job;
}

static void take_pages_along(uint64_t va)
{
    uint32_t *words = (uint32_t *)(uintptr_t)va;

    for (unsigned i = 0; i < 16; i++)
        words[next() % (BUFFER_PAGES * PAGE_SIZE / 4)] = (uint32_t)some_number();
    if (next() % 3 == 0)
        strcpy((char *)(uintptr_t)(va + PAGE_SIZE * (next() % 32)), "/bin/true");
    os_vcpu()->send = (struct exo_send){.va = va + PAGE_SIZE * (next() % 34),
                                        .npages = (uint32_t)(next() % 34),
                                        .prot = (uint32_t)(next() % 8),
                                        .cap = (exo_handle_t)(next() % 8),
                                        .rights = (uint32_t)some_number()};
}

static void send(exo_handle_t gate, uint64_t va)
{
    struct exo_words x = {.badge = 0};
    uint64_t flags = 0;

    for (unsigned i = 0; i < EXO_MSG_WORDS; i++)
        x.w[i] = some_number();
    if (next() % 8)
        x.w[0] = next() % 40;
    if (harmful(gate, &x))
        return;
    if (next() % 3 == 0) {
        take_pages_along(va);
        flags = next() % 8 ? EXO_MSG_PAGES : EXO_MSG_CAP;
    }
    (void)exo_call(gate | flags, &x, os_deadline_ns(PATIENCE_NS));
}

int hostile(unsigned long n, unsigned long seed)
{
    static const char *const services[] = {"fs", "console"};
    const struct os_map what = {.kind = OS_REGION_ANON,
                                .prot = EXO_PROT_READ | EXO_PROT_WRITE,
                                .flags = OS_MAP_POPULATE,
                                .npages = BUFFER_PAGES};
    exo_handle_t gates[3] = {OS_HANDLE_INIT};
    unsigned ngates = 1;
    struct os_session s;
    uint64_t va;

    state = seed * 2654435761u + 88172645463325252ull;
    for (unsigned i = 0; i < ARRAY_LEN(services); i++)
        if (os_connect(services[i], OS_SESSION_BYTES, &s) == 0)
            gates[ngates++] = s.gate;
    if (os_map_region(&what, &va))
        return 2;
    for (unsigned long i = 0; i < n; i++)
        send(gates[next() % ngates], va);
    return 0;
}
