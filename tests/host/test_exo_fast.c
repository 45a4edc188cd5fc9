/* Fast paths: what they do, the long way does; and what they look at before they go.  docs/kernel.md lists them. */
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cap.h"
#include "cpu.h"
#include "exo_pair.h"

static uint64_t seen[2][256];
static unsigned nseen[2];
static struct actor waiter;
static uint64_t waiters_event; /* root's */
#define LANDING_VA (VA + (1ull << 30))

static void see(unsigned way, uint64_t value)
{
    ck_assert_uint_lt(nseen[way], ARRAY_LEN(seen[way]));
    seen[way][nseen[way]++] = value;
}

/* Who runs, with which words; the name in a token, without its number. */
static void see_words(unsigned way)
{
    const struct vcpu *vcpu = machine.cpu->current;

    see(way, vcpu_frame(vcpu));
    see(way, result(vcpu) < 0 ? x(vcpu, 0) : x(vcpu, 0) & UINT32_MAX);
    for (unsigned i = 1; i < 8; i++)
        see(way, x(vcpu, i));
    see(way, client.vcpu->state);
    see(way, server.vcpu->state);
    see(way, machine.on->asid);
}

static void see_page(unsigned way, uint64_t va)
{
    struct binding b = {0};

    see(way, space_lookup(client.env->home, va, &b));
    see(way, (uint64_t)b.prot << 8 | b.max);
    see(way, b.pfn ? frame_entry(b.pfn)->refs : 0);
    see(way, machine_touch(va, EXO_PROT_WRITE) != NULL);
    if (machine_in_upcall(client.vcpu))
        upcall_done();
    see(way, exo_free_frames());
}

/* What came along, and what is bound where it was to land. */
static void see_pages(unsigned way, const struct actor *to)
{
    const struct exo_recv *recv = &to->vcpu->page->recv;
    struct binding b = {0};

    see(way, recv->npages);
    see(way, recv->prot);
    see(way, recv->cap);
    see(way, space_lookup(to->env->home, recv->va, &b));
    see(way, (uint64_t)b.prot << 8 | b.max);
    see(way, b.pfn ? frame_entry(b.pfn)->refs : 0);
}

/* A call that an event may end; and once an event is there, it ends at once. */
static void go_interruptible(unsigned way)
{
    CALL(call, gate | EXO_MSG_INTR, 1, 2, 3, 4, 5, 6, EXO_FOREVER);
    see_words(way);
    see(way, client.vcpu->interruptible);
    CALL(reply_wait, server.vcpu->regs.x[0], 7, 8, 9, 10, 11, 12, EXO_FOREVER);
    see_words(way);
    client.vcpu->page->upcall_masked = 1;
    client.vcpu->page->upcall_events = client.vcpu->page->events = 1;
    see(way, (uint64_t)CALL(call, gate | EXO_MSG_INTR, 1, 2, 3, 4, 5, 6, EXO_FOREVER));
    see_words(way);
    client.vcpu->page->events = 0;
    client.vcpu->page->upcall_masked = 0;
}

/* A page there, and a page back. */
static void go_with_pages(unsigned way)
{
    client.vcpu->page->send = (struct exo_send){.va = VA, .npages = 1, .prot = EXO_PROT_READ};
    server.vcpu->page->recv = (struct exo_recv){.va = LANDING_VA, .max_pages = 1, .cap = 77};
    CALL(call, gate | EXO_MSG_PAGES | EXO_MSG_INTR, 1, 2, 3, 4, 5, 6, EXO_FOREVER);
    see_words(way);
    see_pages(way, &server);
    server.vcpu->page->send = (struct exo_send){.va = LANDING_VA, .npages = 1, .prot = EXO_PROT_READ};
    client.vcpu->page->recv = (struct exo_recv){.va = LANDING_VA, .max_pages = 1, .cap = 77};
    CALL(reply_wait, server.vcpu->regs.x[0] | EXO_REPLY_PAGES, 7, 8, 9, 10, 11, 12, EXO_FOREVER);
    see_words(way);
    see_pages(way, &client);
    client.vcpu->page->send = (struct exo_send){.va = VA, .npages = 1, .prot = RW};
    server.vcpu->page->recv = (struct exo_recv){.va = LANDING_VA + PAGE_SIZE, .max_pages = 1};
    CALL(call, gate | EXO_MSG_PAGES, 1, 2, 3, 4, 5, 6, EXO_FOREVER); /* now there is a table */
    see_words(way);
    see_pages(way, &server);
    CALL(reply_wait, server.vcpu->regs.x[0], 7, 8, 9, 10, 11, 12, EXO_FOREVER);
    see_words(way);
    see(way, (uint64_t)CALL(page_unmap, EXO_SELF_SPACE, LANDING_VA, 1, 0));
    as(&root);
    see(way, (uint64_t)CALL(page_unmap, server.space_cap, LANDING_VA, 2, 0));
    as(&client);
}

/* What an upcall of the client's tells. */
static void see_upcall(unsigned way)
{
    const struct exo_vcpu_page *page = client.vcpu->page;

    ck_assert_ptr_eq(machine.cpu->current, client.vcpu);
    ck_assert(machine_in_upcall(client.vcpu));
    see(way, page->reason);
    see(way, page->info);
    see(way, page->detail);
    see(way, page->regs.pc);
    see(way, client.vcpu->regs.pc);
    see(way, client.vcpu->regs.sp);
    upcall_done();
}

static void go_up(unsigned way)
{
    machine_exception(EXO_EXC_BREAKPOINT, 1234);
    see_upcall(way);
    machine_touch(VA + PAGE_SIZE, EXO_PROT_READ); /* nothing */
    see_upcall(way);
    machine_touch(VA, EXO_PROT_EXEC); /* a page that may not */
    see_upcall(way);
    machine_touch(LANDING_VA + (1ull << 30), EXO_PROT_READ); /* not even a table */
    see_upcall(way);
}

/* Somebody waits, and is woken by an event, and by a line. */
static void go_waiting(unsigned way)
{
    as(&waiter);
    CALL(wait, 12, EXO_FOREVER);
    as(&root);
    CALL(signal, waiters_event, 5);
    see(way, waiter.vcpu->state);
    see(way, x(waiter.vcpu, 0));
    as(&waiter);
    waiter.vcpu->page->events = 0;
    CALL(wait, 8, EXO_FOREVER);
    as(&root);
    machine_irq(40 + way);
    see_words(way);
    see(way, machine.cpu->borrows);
    see(way, root.vcpu->state);
    see(way, machine.cpu->ready.next == &root.vcpu->queue);
    waiter.vcpu->page->events = 0;
    as(&client);
}

/* What has a fast path, once each: from the client, which is current, while the server receives. */
static void go(unsigned way, uint64_t own, uint64_t beside)
{
    CALL(call, gate, 1, 2, 3, 4, 5, 6, EXO_FOREVER);
    see_words(way);
    CALL(reply_wait, server.vcpu->regs.x[0], 7, 8, 9, 10, 11, 12, EXO_FOREVER);
    see_words(way);
    CALL(yield, beside); /* in the same space */
    see_words(way);
    CALL(yield, own);
    see_words(way);
    see(way, (uint64_t)CALL(page_map, EXO_SELF_SPACE, VA + PAGE_SIZE, EXO_SELF_SPACE, VA, 1, RW));
    see_page(way, VA + PAGE_SIZE);
    see(way, (uint64_t)CALL(page_protect, EXO_SELF_SPACE, VA + PAGE_SIZE, 1, EXO_PROT_READ));
    see_page(way, VA + PAGE_SIZE);
    see(way, (uint64_t)CALL(page_unmap, EXO_SELF_SPACE, VA + PAGE_SIZE, 1, 0));
    see_page(way, VA + PAGE_SIZE);
    ck_assert_ptr_eq(machine.cpu->current, client.vcpu);
    go_interruptible(way);
    go_with_pages(way);
    go_up(way);
    go_waiting(way);
}

/* What a fast path does, the long way does.  I1, K13, K15 */
START_TEST(both_ways_do_the_same)
{
    uint64_t own = (uint64_t)CALL_OK(cap_grant, client.env_cap, client.vcpu_cap, EXO_RIGHT_USE);
    exo_handle_t beside;
    struct vcpu *other;

    waiter = actor_make(50);
    waiters_event = (uint64_t)CALL_OK(event_create, waiter.vcpu_cap, 5);
    for (unsigned way = 0; way < 2; way++)
        CALL_OK(irq_bind, EXO_FIRST_IRQ, 40 + way, waiter.vcpu_cap, 3);
    as(&server);
    CALL(reply_wait, 0, 0, 0, 0, 0, 0, 0, EXO_FOREVER);
    as(&client);
    CALL_OK(page_alloc, EXO_SELF_SPACE, VA, 1, EXO_WANT_ANY, RW);
    other = actor_vcpu(VA + 2 * PAGE_SIZE, &beside);
    for (unsigned way = 0; way < 2; way++) {
        machine.no_fast_paths = way;
        go(way, own, beside);
        exo_check();
    }
    ck_assert_int_eq(other->state, VCPU_READY);
    ck_assert_uint_eq(seen[0][0], vcpu_frame(server.vcpu));
    ck_assert_uint_gt(nseen[0], 180);
    ck_assert_uint_eq(nseen[0], nseen[1]);
    for (unsigned i = 0; i < nseen[0]; i++)
        ck_assert_msg(seen[0][i] == seen[1][i], "%u: %lx, %lx", i, (unsigned long)seen[0][i],
                      (unsigned long)seen[1][i]);
}
END_TEST

/* What a call about one page, or two, meets, of a client that has from VA on: a page, a hole, a copy that may be read and no more,
 * a copy with all rights, one that is unbound lazily where the situation is STALE; then a pair, another page and a copy of this
 * one; and room for two.  Around EDGE_VA two in two tables, the second one to be read alone; at LARGE_VA a large page, at LONE_VA a
 * page alone in its table and bound once, at FAR_VA one alone that is bound elsewhere too, at DEVICE_VA (root's) registers. */
#define HOLE_VA (VA + PAGE_SIZE)
#define READ_VA (VA + 2 * PAGE_SIZE)
#define COPY_VA (VA + 3 * PAGE_SIZE)
#define STALE_VA (VA + 4 * PAGE_SIZE)
#define LARGE_VA (VA + EXO_LARGE_BYTES)
#define LONE_VA (VA + 2 * EXO_LARGE_BYTES)
#define FAR_VA (VA + 3 * EXO_LARGE_BYTES)
#define NOWHERE_VA (VA + 4 * EXO_LARGE_BYTES)
#define DEVICE_VA (VA + 5 * EXO_LARGE_BYTES)
#define PAIR_VA (VA + 8 * PAGE_SIZE)
#define ROOM_VA (VA + 16 * PAGE_SIZE)
#define EDGE_VA (VA + 7 * EXO_LARGE_BYTES)

enum situation { USUAL, STALE, DEVICE, CLAIMED, FULL, ENDING, NEVER_RAN };

static const struct pages_call {
    uint64_t call, args[6];
    enum situation situation;
    int64_t result; /* as abi.md says */
} pages[] = {
#define ONE(name, result, situation, ...)                                                                    \
    {                                                                                                        \
        EXO_CALL_##name, {__VA_ARGS__}, situation, result                                                    \
    }
#define MAP(result, to, from, prot)                                                                          \
    ONE(page_map, result, USUAL, EXO_SELF_SPACE, to, EXO_SELF_SPACE, from, 1, prot)
#define PROTECT(result, va, prot) ONE(page_protect, result, USUAL, EXO_SELF_SPACE, va, 1, prot)
#define UNMAP(result, va, flags) ONE(page_unmap, result, USUAL, EXO_SELF_SPACE, va, 1, flags)
#define MAX(rights) ((uint64_t)(rights) << EXO_PROT_MAX_SHIFT)
    MAP(1, HOLE_VA, VA, RW),
    MAP(1, HOLE_VA, VA, EXO_PROT_READ | EXO_PROT_EXEC),
    MAP(1, HOLE_VA, VA, EXO_PROT_NONE),
    MAP(1, HOLE_VA, VA, EXO_PROT_READ | MAX(EXO_PROT_ALL)),
    MAP(1, HOLE_VA, READ_VA, EXO_PROT_READ),
    MAP(1, NOWHERE_VA, VA, RW),
    ONE(page_map, 1, STALE, EXO_SELF_SPACE, STALE_VA, EXO_SELF_SPACE, VA, 1, RW),
    ONE(page_map, 1, STALE, EXO_SELF_SPACE, HOLE_VA, EXO_SELF_SPACE, VA, 1, RW),
    MAP(1, HOLE_VA, LARGE_VA + PAGE_SIZE, RW),
    ONE(page_map, -EXO_EUNBOUND, STALE, EXO_SELF_SPACE, HOLE_VA, EXO_SELF_SPACE, STALE_VA, 1, RW),
    MAP(-EXO_EUNBOUND, HOLE_VA, ROOM_VA, RW),
    MAP(-EXO_EUNBOUND, HOLE_VA, NOWHERE_VA, RW),
    MAP(-EXO_EBOUND, COPY_VA, VA, RW),
    MAP(-EXO_EBOUND, LARGE_VA, VA, RW),
    MAP(-EXO_ERIGHTS, HOLE_VA, READ_VA, RW),
    MAP(-EXO_ERIGHTS, HOLE_VA, READ_VA, EXO_PROT_READ | MAX(RW)),
    MAP(-EXO_EINVAL, HOLE_VA, VA, EXO_PROT_WRITE | EXO_PROT_EXEC),
    MAP(-EXO_EINVAL, HOLE_VA, VA, EXO_PROT_ALL + 1),
    MAP(-EXO_EINVAL, HOLE_VA, VA, RW | MAX(EXO_PROT_READ)),
    MAP(-EXO_EINVAL, HOLE_VA, VA, RW | MAX(EXO_PROT_ALL + 1)),
    MAP(-EXO_ERANGE, HOLE_VA + 1, VA, RW),
    MAP(-EXO_ERANGE, HOLE_VA, VA + 8, RW),
    MAP(-EXO_ERANGE, 1ull << 60, VA, RW),
    MAP(-EXO_ERANGE, HOLE_VA, 1ull << 60, RW),
    ONE(page_map, -EXO_EHANDLE, USUAL, 0, HOLE_VA, 0, VA, 1, RW),
    ONE(page_map, -EXO_ETYPE, USUAL, EXO_SELF_ENV, HOLE_VA, EXO_SELF_ENV, VA, 1, RW),
    ONE(page_map, 1, DEVICE, EXO_SELF_SPACE, HOLE_VA, EXO_SELF_SPACE, DEVICE_VA, 1, RW),
    ONE(page_map, 1, CLAIMED, EXO_SELF_SPACE, HOLE_VA, EXO_SELF_SPACE, VA, 1, RW),
    ONE(page_map, -EXO_EFULL, FULL, EXO_SELF_SPACE, HOLE_VA, EXO_SELF_SPACE, VA, 1, RW),
    ONE(page_map, -EXO_EDEAD, ENDING, 0, HOLE_VA, 0, VA + 99 * PAGE_SIZE, 1, RW),
    ONE(page_map, 1, NEVER_RAN, 0, HOLE_VA, 0, VA, 1, RW),
    PROTECT(1, VA, EXO_PROT_READ),
    PROTECT(1, VA, EXO_PROT_NONE),
    PROTECT(1, VA, EXO_PROT_READ | EXO_PROT_EXEC),
    PROTECT(1, VA, EXO_PROT_READ | EXO_LAZY),
    PROTECT(-EXO_EUNBOUND, HOLE_VA, EXO_PROT_READ),
    PROTECT(-EXO_EUNBOUND, NOWHERE_VA, EXO_PROT_READ),
    PROTECT(-EXO_ERIGHTS, READ_VA, RW),
    PROTECT(-EXO_EINVAL, VA, EXO_PROT_WRITE | EXO_PROT_EXEC),
    PROTECT(-EXO_EINVAL, LARGE_VA, EXO_PROT_READ),
    PROTECT(-EXO_ERANGE, VA + 2, EXO_PROT_READ),
    PROTECT(-EXO_ERANGE, 1ull << 60, EXO_PROT_READ),
    ONE(page_protect, -EXO_EHANDLE, USUAL, 12345, VA, 1, RW),
    ONE(page_protect, -EXO_ETYPE, USUAL, EXO_SELF_ENV, VA, 1, RW),
    ONE(page_protect, 1, NEVER_RAN, 0, VA, 1, EXO_PROT_READ),
    UNMAP(1, COPY_VA, 0),
    UNMAP(1, COPY_VA, EXO_LAZY),
    UNMAP(1, HOLE_VA, 0),
    UNMAP(1, NOWHERE_VA, 0),
    UNMAP(1, LONE_VA, 0),
    UNMAP(1, FAR_VA, 0),
    UNMAP(-EXO_EINVAL, LARGE_VA + PAGE_SIZE, 0),
    UNMAP(-EXO_EINVAL, VA, 2),
    UNMAP(-EXO_ERANGE, VA + 4, 0),
    UNMAP(-EXO_ERANGE, 1ull << 60, 0),
    ONE(page_unmap, -EXO_EHANDLE, USUAL, 0, VA, 1, 0),
    ONE(page_unmap, -EXO_ETYPE, USUAL, EXO_SELF_ENV, VA, 1, 0),
    ONE(page_unmap, 1, DEVICE, EXO_SELF_SPACE, DEVICE_VA, 1, 0),
    ONE(page_unmap, 1, NEVER_RAN, 0, VA, 1, 0),
/* none; and two, of which the second one decides */
#define MAP2(result, situation, to, from, prot)                                                              \
    ONE(page_map, result, situation, EXO_SELF_SPACE, to, EXO_SELF_SPACE, from, 2, prot)
    ONE(page_map, 0, USUAL, EXO_SELF_SPACE, HOLE_VA, EXO_SELF_SPACE, VA, 0, RW),
    MAP2(2, USUAL, ROOM_VA, PAIR_VA, RW),
    MAP2(2, USUAL, ROOM_VA, COPY_VA - PAGE_SIZE, EXO_PROT_READ),
    MAP2(2, USUAL, NOWHERE_VA - PAGE_SIZE, PAIR_VA, RW),
    MAP2(2, CLAIMED, ROOM_VA, PAIR_VA, RW),
    MAP2(-EXO_EFULL, FULL, ROOM_VA, PAIR_VA, RW),
    MAP2(-EXO_EBOUND, USUAL, PAIR_VA - PAGE_SIZE, PAIR_VA, RW),
    MAP2(-EXO_EUNBOUND, USUAL, ROOM_VA, VA, RW),
    MAP2(-EXO_EUNBOUND, USUAL, ROOM_VA, NOWHERE_VA - PAGE_SIZE, RW),
    MAP2(-EXO_ERIGHTS, USUAL, ROOM_VA, READ_VA, RW),
    MAP2(2, USUAL, ROOM_VA, LARGE_VA, RW),
    MAP2(2, USUAL, ROOM_VA, EDGE_VA - PAGE_SIZE, EXO_PROT_READ),
    MAP2(-EXO_ERIGHTS, USUAL, ROOM_VA, EDGE_VA - PAGE_SIZE, RW),
    MAP2(-EXO_EBOUND, USUAL, FAR_VA - PAGE_SIZE, PAIR_VA, RW),
    ONE(page_protect, 2, USUAL, EXO_SELF_SPACE, PAIR_VA, 2, EXO_PROT_READ),
    ONE(page_protect, 2, USUAL, EXO_SELF_SPACE, PAIR_VA, 2, EXO_PROT_READ | EXO_LAZY),
    ONE(page_protect, 1, USUAL, EXO_SELF_SPACE, LARGE_VA - PAGE_SIZE, 2, EXO_PROT_READ),
    ONE(page_protect, -EXO_EUNBOUND, USUAL, EXO_SELF_SPACE, VA, 2, EXO_PROT_READ),
    ONE(page_protect, -EXO_ERIGHTS, USUAL, EXO_SELF_SPACE, READ_VA, 2, RW),
    ONE(page_unmap, 2, USUAL, EXO_SELF_SPACE, PAIR_VA, 2, 0),
    ONE(page_unmap, 2, USUAL, EXO_SELF_SPACE, VA, 2, 0),
    ONE(page_unmap, 2, USUAL, EXO_SELF_SPACE, HOLE_VA, 2, EXO_LAZY),
    ONE(page_unmap, 64, USUAL, EXO_SELF_SPACE, FAR_VA - 32 * PAGE_SIZE, 64, 0),
    ONE(page_unmap, 64, USUAL, EXO_SELF_SPACE, NOWHERE_VA - 32 * PAGE_SIZE, 64, 0),
};

static void copy(uint64_t to, uint64_t prot)
{
    CALL_OK(page_map, EXO_SELF_SPACE, to, EXO_SELF_SPACE, VA, 1, prot);
}

static void furnish(void)
{
    CALL_OK(page_alloc, EXO_SELF_SPACE, VA, 1, EXO_WANT_ANY, RW);
    copy(READ_VA, EXO_PROT_READ);
    copy(COPY_VA, RW);
    copy(STALE_VA, RW);
    copy(FAR_VA, RW);
    CALL_OK(page_alloc, EXO_SELF_SPACE, PAIR_VA, 1, EXO_WANT_ANY, RW);
    copy(PAIR_VA + PAGE_SIZE, RW);
    CALL_OK(page_alloc, EXO_SELF_SPACE, LARGE_VA - PAGE_SIZE, 1, EXO_WANT_ANY, RW);
    CALL_OK(page_alloc, EXO_SELF_SPACE, EDGE_VA - PAGE_SIZE, 1, EXO_WANT_ANY, RW);
    copy(EDGE_VA, EXO_PROT_READ);
    CALL_OK(page_alloc, EXO_SELF_SPACE, LONE_VA, 1, EXO_WANT_ANY, RW);
    for (uint64_t done = 0; done < EXO_LARGE_PAGES;)
        done +=
            (uint64_t)CALL_OK(page_alloc, EXO_SELF_SPACE, LARGE_VA + done * PAGE_SIZE, EXO_LARGE_PAGES - done,
                              EXO_WANT_ANY, RW | EXO_ALLOC_LARGE | (done ? (uint64_t)EXO_ALLOC_MORE : 0));
}

/* A space in which nobody ever ran, with pages from VA on. */
static uint64_t other_space(uint64_t n)
{
    uint64_t handle = (uint64_t)CALL_OK(space_create, 0);

    for (uint64_t done = 0; done < n;)
        done += (uint64_t)CALL_OK(page_alloc, handle, VA + done * PAGE_SIZE, n - done, EXO_WANT_ANY, RW);
    return handle;
}

static struct space *arrange(const struct pages_call *one, uint64_t args[8])
{
    struct space *space = client.env->home;
    struct exo_frame *f;
    struct binding b;

    ck_assert(space_lookup(space, VA, &b));
    f = frame_entry(b.pfn);
    switch (one->situation) {
    case USUAL:
        return space;
    case STALE:
        ck_assert_ptr_nonnull(machine_touch(STALE_VA, EXO_PROT_READ));
        CALL_OK(page_unmap, EXO_SELF_SPACE, STALE_VA, 1, EXO_LAZY);
        return space;
    case DEVICE:
        as(&root);
        CALL_OK(mmio_map, EXO_FIRST_MMIO, EXO_SELF_SPACE, DEVICE_VA, 0x9000000, 1, RW);
        CALL_OK(page_alloc, EXO_SELF_SPACE, VA, 1, EXO_WANT_ANY, RW);
        return root.env->home;
    case CLAIMED:
        f->reclaim = 77; /* by a call that has ended */
        return space;
    case FULL:
        f->refs += FRAME_REFS_MAX;
        return space;
    case ENDING:
    case NEVER_RAN:
        args[0] = other_space(one->situation == ENDING ? 100 : 1);
        if (one->call == EXO_CALL_page_map)
            args[2] = args[0];
        space = frame_address(cap_at(client.env, args[0])->object);
        if (one->situation == ENDING)
            ck_assert_int_eq(CALL_OK(space_destroy, args[0]), 1);
        return space;
    }
    return space;
}

static void see_space(unsigned way, struct space *space)
{
    static const uint64_t places[] = {VA,
                                      HOLE_VA,
                                      READ_VA,
                                      COPY_VA,
                                      STALE_VA,
                                      PAIR_VA,
                                      PAIR_VA + PAGE_SIZE,
                                      ROOM_VA,
                                      ROOM_VA + PAGE_SIZE,
                                      LARGE_VA - PAGE_SIZE,
                                      LARGE_VA,
                                      LONE_VA,
                                      FAR_VA - PAGE_SIZE,
                                      FAR_VA,
                                      NOWHERE_VA - PAGE_SIZE,
                                      NOWHERE_VA,
                                      EDGE_VA - PAGE_SIZE,
                                      EDGE_VA,
                                      DEVICE_VA};
    struct binding b;

    for (unsigned i = 0; i < ARRAY_LEN(places); i++) {
        b = (struct binding){0};
        see(way, space_lookup(space, places[i], &b));
        see(way, (uint64_t)b.pfn << 16 | (uint64_t)b.prot << 8 | b.max);
        see(way, b.memory == MEMORY_NORMAL && b.pfn ? frame_holder(b.pfn)->refs : 0);
    }
    see(way, space->nbound);
    see(way, exo_free_frames());
}

static unsigned one_way(const struct pages_call *one, bool long_way)
{
    uint64_t args[8] = {0};
    struct space *space;
    struct binding b;

    exo_boot_ram(16 << 20);
    client = actor_make(1000);
    as(&client);
    furnish();
    memcpy(args, one->args, sizeof(one->args));
    space = arrange(one, args);
    machine.no_fast_paths = long_way;
    see(0, (uint64_t)machine_call(one->call, args));
    see_space(0, space);
    if (one->situation == FULL) {
        ck_assert(space_lookup(space, VA, &b));
        frame_entry(b.pfn)->refs -= FRAME_REFS_MAX;
    }
    exo_check();
    return nseen[0];
}

/* Each way in a process of its own, with a machine of its own. */
START_TEST(pages_both_ways)
{
    uint64_t *shared = mmap(NULL, sizeof(seen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    const struct pages_call *one = &pages[_i];

    ck_assert_ptr_ne(shared, MAP_FAILED);
    for (unsigned way = 0; way < 2; way++) {
        pid_t pid = fork();
        int status;

        if (pid == 0) {
            unsigned n = one_way(one, way);

            memcpy(&shared[way * 128], seen[0], n * sizeof(seen[0][0]));
            _exit(0);
        }
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert_msg(status == 0, "%u: %x", way, (unsigned)status);
    }
    ck_assert_int_eq((int64_t)shared[0], one->result);
    for (unsigned i = 0; i < 128; i++)
        ck_assert_msg(shared[i] == shared[128 + i], "%u: %lx, %lx", i, (unsigned long)shared[i],
                      (unsigned long)shared[128 + i]);
}
END_TEST

static struct exo_lock *others; /* somebody else has it, until it is waited for */

static void others_drop(void)
{
    others->served++;
    machine_waits = NULL;
}

/* The CPU's lock, or the space's.  K6 */
START_TEST(waits_its_turn)
{
    static const uint64_t args[][8] = {{EXO_SELF_SPACE, HOLE_VA, EXO_SELF_SPACE, VA, 1, RW},
                                       {EXO_SELF_SPACE, HOLE_VA, 1, EXO_PROT_READ},
                                       {EXO_SELF_SPACE, HOLE_VA, 1, 0}};
    static const uint64_t calls[] = {EXO_CALL_page_map, EXO_CALL_page_protect, EXO_CALL_page_unmap};
    uint64_t event;
    struct binding b;

    as(&client);
    CALL_OK(page_alloc, EXO_SELF_SPACE, VA, 1, EXO_WANT_ANY, RW);
    others = _i ? &client.env->home->lock : &machine.cpu->lock;
    for (unsigned i = 0; i < ARRAY_LEN(calls); i++) {
        others->next++;
        machine_waits = others_drop;
        ck_assert_int_eq(machine_call(calls[i], args[i]), 1);
        ck_assert_uint_eq(others->contended, i + 1);
        ck_assert_uint_eq(others->next, others->served);
        b = (struct binding){0};
        ck_assert_int_eq(space_lookup(client.env->home, HOLE_VA, &b), i < 2);
        ck_assert_uint_eq(b.prot, i == 0 ? RW : i == 1 ? EXO_PROT_READ : 0);
    }
    if (_i)
        return;
    as(&root);
    event = (uint64_t)CALL_OK(event_create, client.vcpu_cap, 4);
    others->next++;
    machine_waits = others_drop;
    CALL_OK(signal, event, 4);
    ck_assert_uint_eq(others->contended, 4);
    ck_assert_uint_eq(client.vcpu->page->events, 4);
}
END_TEST

/* Likewise what a trap and `resume` take. */
START_TEST(traps_wait_their_turn)
{
    const struct exo_vcpu_page *page = client.vcpu->page;

    as(&client);
    CALL_OK(page_alloc, EXO_SELF_SPACE, VA, 1, EXO_WANT_ANY, EXO_PROT_READ);
    others = _i == 1 ? &client.env->home->lock : &machine.cpu->lock;
    others->next++;
    machine_waits = others_drop;
    if (_i < 2)
        machine_touch(VA, EXO_PROT_WRITE);
    else
        machine_exception(EXO_EXC_ALIGNMENT, 77);
    ck_assert_uint_eq(others->contended, 1);
    ck_assert_uint_eq(others->next, others->served);
    ck_assert_uint_eq(page->reason, _i < 2 ? EXO_UPCALL_FAULT : EXO_UPCALL_EXCEPTION);
    ck_assert_uint_eq(page->info, _i < 2 ? VA : EXO_EXC_ALIGNMENT);
    ck_assert_uint_eq(page->detail, _i < 2 ? EXO_PROT_WRITE | EXO_ACCESS_BOUND : 77);
    others = &machine.cpu->lock;
    others->next++;
    machine_waits = others_drop;
    upcall_done();
    ck_assert_uint_eq(others->contended, _i == 1 ? 1 : 2);
    ck_assert_uint_eq(others->next, others->served);
    ck_assert_uint_eq(page->upcall_masked, 0);
    ck_assert_uint_eq(client.vcpu->regs.pc, USER_PC);
}
END_TEST

/* An upcall changes what it says it does, and nothing else.  K30 */
START_TEST(K30_upcalls_keep_registers)
{
    const struct exo_vcpu_page *page = client.vcpu->page;
    struct exo_regs *regs = &client.vcpu->regs;

    as(&client);
    for (unsigned i = 0; i < EXO_NREGS; i++)
        regs->x[i] = 1000 + i;
    regs->sp = 2000;
    regs->tls = 3000;
    if (_i)
        machine_touch(VA, EXO_PROT_READ);
    else
        machine_exception(EXO_EXC_UNDEFINED, 77);
    for (unsigned i = 0; i < EXO_NREGS; i++) {
        ck_assert_uint_eq(page->regs.x[i], 1000 + i);
        ck_assert(i < 3 || regs->x[i] == 1000 + i);
    }
    ck_assert_uint_eq(regs->x[0], _i ? EXO_UPCALL_FAULT : EXO_UPCALL_EXCEPTION);
    ck_assert_uint_eq(regs->x[1], _i ? VA : EXO_EXC_UNDEFINED);
    ck_assert_uint_eq(regs->x[2], _i ? EXO_PROT_READ : 77);
    ck_assert_uint_eq(regs->pc, UPCALL_ENTRY);
    ck_assert_uint_eq(regs->sp, page->upcall_sp);
    ck_assert_uint_eq(regs->tls, 3000);
    ck_assert_uint_eq(page->regs.sp, 2000);
    ck_assert_uint_eq(page->regs.tls, 3000);
    ck_assert_uint_eq(page->regs.pc, USER_PC);
    upcall_done();
    ck_assert_mem_eq(regs->x, page->regs.x, sizeof(regs->x));
    ck_assert_uint_eq(regs->sp, 2000);
}
END_TEST

/* An exception that nobody is told of ends who had it.  K30 */
START_TEST(K30_no_entry_no_upcall)
{
    as(&client);
    client.vcpu->page->upcall_entry = 0;
    machine_exception(EXO_EXC_UNDEFINED, 77);
    ck_assert_ptr_ne(machine.cpu->current, client.vcpu);
    ck_assert_int_eq(client.env->state, EXO_ENV_ENDED);
    ck_assert_int_eq(client.env->reason, EXO_END_UPCALL);
    ck_assert_uint_eq(client.env->code, EXO_UPCALL_EXCEPTION);
    ck_assert_uint_eq(client.env->address, EXO_EXC_UNDEFINED);
}
END_TEST

/* A driver that is in the same space as who is interrupted, and uses FP registers, as the other one does.  K5 */
START_TEST(C1_drivers_get_what_is_theirs)
{
    struct vcpu *driver;
    exo_handle_t handle;

    driver = actor_vcpu(VA, &handle);
    CALL_OK(irq_bind, EXO_FIRST_IRQ, 40, handle, 3);
    machine_run(driver);
    machine_fp()[0] = 1234;
    ck_assert_int_eq(CALL(wait, 8, EXO_FOREVER), MACHINE_AWAY);
    as(&root);
    machine_fp()[0] = 5678;
    machine_irq(40);
    ck_assert_ptr_eq(machine.cpu->current, driver);
    ck_assert_uint_eq(x(driver, 0), 8);
    ck_assert_uint_eq(machine_fp()[0], 1234);
    driver->page->events = 0;
    ck_assert_int_eq(CALL(wait, 8, EXO_FOREVER), MACHINE_AWAY);
    ck_assert_ptr_eq(machine.cpu->current, root.vcpu); /* it goes on */
    ck_assert_uint_eq(machine_fp()[0], 5678);
}
END_TEST

/* A driver that takes its line as an upcall too; a CPU that somebody else is to be chosen for; a world that has changed since it went
 * to wait; and a CPU that sleeps.  The long way sees to all of these.  C1 */
START_TEST(C1_drivers_with_more_to_do)
{
    CALL_OK(irq_bind, EXO_FIRST_IRQ, 40, server.vcpu_cap, 3);
    as(&server);
    if (_i == 0)
        server.vcpu->page->upcall_events = 8;
    ck_assert_int_eq(CALL(wait, 8, EXO_FOREVER), MACHINE_AWAY);
    as(&root);
    if (_i == 1)
        machine.cpu->resched = 1;
    if (_i == 2)
        actor_new(10);
    if (_i == 3) {
        as(&client);
        CALL(wait, 1, EXO_FOREVER);
        CALL(wait, 1, EXO_FOREVER);
        ck_assert_ptr_null(machine.cpu->current);
    }
    machine_irq(40);
    ck_assert_ptr_eq(machine.cpu->current, server.vcpu);
    ck_assert_uint_eq(machine.cpu->resched, 0);
    ck_assert_int_eq(machine_in_upcall(server.vcpu), _i == 0);
    ck_assert_uint_eq(x(server.vcpu, 0), 8);
    ck_assert_int_eq(machine.cpu->borrows, _i < 3);
    ck_assert(_i == 3 || machine.cpu->ready.next == &root.vcpu->queue);
    ck_assert(_i == 3 || machine.cpu->timer_at <= machine.cpu->slot_end);
}
END_TEST

/* Who is called for goes the long way, and leaves it with nothing undone.  K28 */
START_TEST(K28_traps_look_who_calls)
{
    as(&client);
    if (_i)
        machine.cpu->resched = 1;
    else
        cpu_attend(machine.cpu);
    machine_exception(EXO_EXC_UNDEFINED, 77);
    ck_assert_ptr_eq(machine.cpu->current, client.vcpu);
    ck_assert(machine_in_upcall(client.vcpu));
    ck_assert(!cpu_is_called(machine.cpu));
    ck_assert_uint_eq(machine.cpu->resched, 0);
}
END_TEST

/* Who stands first in the list may not be run as he is, once all ASIDs are free again: he gets one.  K13 */
START_TEST(K13_who_follows_has_an_asid)
{
    const struct space *space;

    as(&server);
    as(&client);
    asids_run_out();
    ck_assert_int_eq(CALL(wait, 1, EXO_FOREVER), MACHINE_AWAY);
    ck_assert_ptr_ne(machine.cpu->current, client.vcpu);
    space = machine.cpu->current->space;
    ck_assert_uint_eq(space->asid_generation, space_generation);
    ck_assert(space_has_asid(machine.cpu, space));
    ck_assert_uint_eq(machine.on->asid, space->asid);
}
END_TEST

/* Nor a driver, where his line interrupts somebody.  K13 */
START_TEST(K13_who_is_urgent_has_an_asid)
{
    CALL_OK(irq_bind, EXO_FIRST_IRQ, 40, server.vcpu_cap, 3);
    as(&server);
    ck_assert_int_eq(CALL(wait, 8, EXO_FOREVER), MACHINE_AWAY);
    as(&root);
    asids_run_out();
    as(&root);
    machine_irq(40);
    ck_assert_ptr_eq(machine.cpu->current, server.vcpu);
    ck_assert_uint_eq(server.env->home->asid_generation, space_generation);
    ck_assert(space_has_asid(machine.cpu, server.env->home));
    ck_assert_uint_eq(machine.on->asid, server.env->home->asid);
}
END_TEST

/* Of two that are ready the one that is named, whatever stands in the other registers.  C1 */
START_TEST(C1_yields_to_whom_it_names)
{
    exo_handle_t handles[2];
    struct vcpu *beside[2];

    as(&client);
    for (unsigned i = 0; i < 2; i++)
        beside[i] = actor_vcpu(VA + i * PAGE_SIZE, &handles[i]);
    ck_assert_int_eq(CALL(yield, handles[_i], handles[!_i], handles[!_i]), MACHINE_AWAY);
    ck_assert_ptr_eq(machine.cpu->current, beside[_i]);
}
END_TEST

/* Whoever is yielded to has first what he is to be told.  C1 */
START_TEST(C1_yields_to_an_upcall)
{
    uint64_t event = (uint64_t)CALL_OK(event_create, server.vcpu_cap, 4);

    as(&root);
    server.vcpu->page->upcall_events = 4;
    ck_assert_int_eq(CALL(signal, event, 4), 0);
    ck_assert_int_eq(server.vcpu->state, VCPU_READY);
    ck_assert_int_eq(CALL(yield, server.vcpu_cap), MACHINE_AWAY);
    ck_assert_ptr_eq(machine.cpu->current, server.vcpu);
    ck_assert(machine_in_upcall(server.vcpu));
    ck_assert_uint_eq(server.vcpu->page->info, 4);
}
END_TEST

/* Whatever stands in the vcpu page, and whichever way it is loaded from there.  K5 */
START_TEST(K5_resume_stays_in_user_mode)
{
    as(&client);
    client.vcpu->page->regs = (struct exo_regs){.pc = USER_PC, .pstate = UINT64_MAX};
    machine.cpu->resched = (uint64_t)_i;
    CALL0(resume);
    ck_assert_ptr_eq(machine.cpu->current, client.vcpu);
    ck_assert_uint_eq(client.vcpu->regs.pstate, 0xf0000000);
    ck_assert_uint_eq(client.vcpu->regs.pc, USER_PC);
}
END_TEST

/* An address that no space has is bound nowhere, though what its low bits say is.  K30 */
START_TEST(K30_no_address_of_any_space)
{
    as(&client);
    CALL_OK(page_alloc, EXO_SELF_SPACE, VA, 1, EXO_WANT_ANY, RW);
    machine_touch(1ull << ARCH_USER_BITS | VA, EXO_PROT_EXEC);
    ck_assert_uint_eq(client.vcpu->page->detail, EXO_PROT_EXEC);
    upcall_done();
    machine_touch(VA, EXO_PROT_EXEC);
    ck_assert_uint_eq(client.vcpu->page->detail, EXO_PROT_EXEC | EXO_ACCESS_BOUND);
}
END_TEST

/* What is asked back is told at once where upcalls were masked until now, though others are ready.  K27 */
START_TEST(K27_nobody_waits_over_a_notice)
{
    as(&client);
    CALL_OK(page_alloc, EXO_SELF_SPACE, VA, 5, EXO_WANT_ANY, RW);
    client.vcpu->page->upcall_masked = 1;
    as(&root);
    ck_assert_int_gt(CALL(env_limit, client.env_cap, 1, machine.time + 1000), 0);
    as(&client);
    ck_assert(client.vcpu->notices.due);
    client.vcpu->page->upcall_masked = 0;
    ck_assert_int_eq(CALL(wait, 1, EXO_FOREVER), 0);
    ck_assert_ptr_eq(machine.cpu->current, client.vcpu);
    ck_assert(machine_in_upcall(client.vcpu));
    ck_assert_uint_eq(client.vcpu->page->reason, EXO_UPCALL_REVOKE);
}
END_TEST

/* Whoever is woken beside the current one gets his turn, and a deadline that comes before it stays.  C1 */
START_TEST(C1_the_timer_knows_who_was_woken)
{
    const uint64_t slot = machine.cpu->slot_ticks, deadline = machine.time + slot / 4;
    uint64_t event = (uint64_t)CALL_OK(event_create, server.vcpu_cap, 1);

    as(&server);
    CALL(wait, 1, EXO_FOREVER);
    as(&client);
    CALL(wait, 1, _i ? deadline : EXO_FOREVER);
    ck_assert_ptr_eq(machine.cpu->current, root.vcpu);
    CALL0(yield); /* alone, with a timer for that */
    ck_assert_uint_eq(machine.cpu->timer_at, _i ? deadline : EXO_FOREVER);
    CALL_OK(signal, event, 1);
    ck_assert_ptr_eq(machine.cpu->current, root.vcpu);
    ck_assert_uint_eq(machine.cpu->timer_at, _i ? deadline : machine.cpu->slot_end);
    ck_assert_uint_le(machine.cpu->slot_end, machine.time + slot);
}
END_TEST

/* Messages with pages and no more go the short way: nobody brings the page about CPUs up to date.  I1 */
START_TEST(I1_pages_go_the_short_way)
{
    uint64_t calls;

    (void)called();
    CALL(reply_wait, server.vcpu->regs.x[0], 0, 0, 0, 0, 0, 0, EXO_FOREVER);
    CALL_OK(page_alloc, EXO_SELF_SPACE, VA, 3, EXO_WANT_ANY, RW);
    client.vcpu->page->send = (struct exo_send){.va = VA, .npages = 3, .prot = EXO_PROT_READ};
    server.vcpu->page->recv = (struct exo_recv){.va = LANDING_VA, .max_pages = 3};
    calls = machine.cpu->info->calls;
    CALL(call, gate | EXO_MSG_PAGES, 1, 2, 3, 4, 5, 6, EXO_FOREVER);
    ck_assert_ptr_eq(machine.cpu->current, server.vcpu);
    ck_assert_uint_eq(server.vcpu->page->recv.npages, 3);
    server.vcpu->page->send = (struct exo_send){.va = LANDING_VA, .npages = 1, .prot = EXO_PROT_READ};
    client.vcpu->page->recv = (struct exo_recv){.va = LANDING_VA, .max_pages = 1};
    CALL(reply_wait, server.vcpu->regs.x[0] | EXO_REPLY_PAGES, 7, 8, 9, 10, 11, 12, EXO_FOREVER);
    ck_assert_ptr_eq(machine.cpu->current, client.vcpu);
    ck_assert_uint_eq(client.vcpu->page->recv.npages, 1);
    ck_assert_uint_eq(machine.cpu->info->calls, calls);
    ck_assert_int_eq(CALL(call, gate | EXO_MSG_PAGES | EXO_MSG_INTR, 0, 0, 0, 0, 0, 0, EXO_FOREVER),
                     -EXO_EBOUND);
}
END_TEST

/* The same for ranges, where the space's lock is taken in passing. */
START_TEST(ranges_wait_their_turn)
{
    as(&client);
    CALL_OK(page_alloc, EXO_SELF_SPACE, VA, 2, EXO_WANT_ANY, RW);
    others = &client.env->home->lock;
    others->next++;
    machine_waits = others_drop;
    ck_assert_int_eq(CALL(page_protect, EXO_SELF_SPACE, VA, 2, EXO_PROT_READ), 2);
    ck_assert_uint_eq(others->contended, 1);
    ck_assert_uint_eq(others->next, others->served);
}
END_TEST

static void pages_part(Suite *s, TCase *tc, size_t part)
{
    tcase_add_loop_test(tc, pages_both_ways, (int)(part * ARRAY_LEN(pages) / 3),
                        (int)((part + 1) * ARRAY_LEN(pages) / 3));
    suite_add_tcase(s, tc);
}

/* So that each is quick enough to be asked about every mutant (docs/mutants.md). */
static void pages_in_parts(Suite *s)
{
    pages_part(s, tcase_create("pages_0"), 0);
    pages_part(s, tcase_create("pages_1"), 1);
    pages_part(s, tcase_create("pages_2"), 2);
}

static Suite *suite(void)
{
    Suite *s = suite_create("fast");
    TCase *tc = tcase_create("fast");

    tcase_add_checked_fixture(tc, pair_boot, exo_check);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, ranges_wait_their_turn);
    tcase_add_test(tc, both_ways_do_the_same);
    tcase_add_loop_test(tc, waits_its_turn, 0, 2);
    tcase_add_loop_test(tc, traps_wait_their_turn, 0, 3);
    tcase_add_loop_test(tc, K30_upcalls_keep_registers, 0, 2);
    tcase_add_loop_test(tc, K28_traps_look_who_calls, 0, 2);
    tcase_add_test(tc, K30_no_entry_no_upcall);
    tcase_add_test(tc, C1_drivers_get_what_is_theirs);
    tcase_add_loop_test(tc, C1_drivers_with_more_to_do, 0, 4);
    tcase_add_test(tc, I1_pages_go_the_short_way);
    tcase_add_test(tc, K13_who_follows_has_an_asid);
    tcase_add_test(tc, K13_who_is_urgent_has_an_asid);
    tcase_add_test(tc, K27_nobody_waits_over_a_notice);
    tcase_add_test(tc, C1_yields_to_an_upcall);
    tcase_add_loop_test(tc, K5_resume_stays_in_user_mode, 0, 2);
    tcase_add_test(tc, K30_no_address_of_any_space);
    tcase_add_loop_test(tc, C1_yields_to_whom_it_names, 0, 2);
    tcase_add_loop_test(tc, C1_the_timer_knows_who_was_woken, 0, 2);
    suite_add_tcase(s, tc);

    pages_in_parts(s);
    return s;
}

int main(void)
{
    return exo_suite_run(suite());
}
