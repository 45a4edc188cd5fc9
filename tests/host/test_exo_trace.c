/* Tracing: what stands in the ring for a scripted run, record by record; rings that wrap, and whose owners misbehave.
 * T4 K25 K5 K14 */
#include <string.h>

#include "cpu.h"
#include "exo_machine.h"
#include "irq.h"
#include "ring.h"

#define RING_VA 0x20000000ull
#define VA 0x10000000ull

static struct actor a, b;

static void setup(void)
{
    exo_boot();
    a = actor_make(100);
    b = actor_make(100);
}

/* n contiguous pages of the current one's own, bound at RING_VA. */
static void pages(uint64_t n)
{
    ck_assert_int_eq(exo_alloc_run(EXO_SELF_SPACE, RING_VA, n, EXO_WANT_ANY, RW), (int64_t)n);
}

static void bind(uint64_t handle, uint64_t cpu, uint64_t n)
{
    for (uint64_t done = 0; done < n;)
        done +=
            (uint64_t)CALL_OK(trace_bind, handle, cpu, EXO_SELF_SPACE, RING_VA + done * PAGE_SIZE, n - done);
}

static void trace_on(uint64_t n)
{
    pages(n);
    bind(EXO_FIRST_TRACE, 0, n);
    CALL_OK(trace_control, EXO_FIRST_TRACE, 0, EXO_TRACE_ON);
}

static const struct exo_trace *ring(void)
{
    return frame_address(machine.cpu->trace.first);
}

/* ---- a scripted run ----------------------------------------------------------------------------------------------- */

static uint64_t seen;

/* The next record, exactly. */
static void is(enum exo_trace_event event, uint64_t what, const struct vcpu *vcpu, uint64_t wa, uint64_t wb)
{
    const struct exo_trace_record *r = &ring()->record[seen];

    ck_assert_msg(seen < ring()->written, "record %lu is missing", (unsigned long)seen);
    ck_assert_msg(r->event == event && r->what == what && r->vcpu == (vcpu ? vcpu_frame(vcpu) : 0) &&
                      r->a == wa && r->b == wb && r->cpu == 0,
                  "record %lu: event %u what %u vcpu %u a %lx b %lx; wanted %u %lu %u %lx %lx",
                  (unsigned long)seen, r->event, r->what, r->vcpu, (unsigned long)r->a, (unsigned long)r->b,
                  event, (unsigned long)what, vcpu ? vcpu_frame(vcpu) : 0, (unsigned long)wa,
                  (unsigned long)wb);
    ck_assert(seen == 0 || r->time >= r[-1].time);
    ck_assert_uint_le(r->time, machine.time);
    seen++;
}

#define IS_SWITCH(who) is(EXO_TRACE_SWITCH, 0, (who), env_frame((who)->env), 0)
#define IS_CALL(who, name, x0, x1) is(EXO_TRACE_CALL, EXO_CALL_##name, (who), (uint64_t)(x0), (uint64_t)(x1))
#define IS_RETURN(who, result) is(EXO_TRACE_RETURN, 0, (who), (uint64_t)(result), 0)

static void no_more(void)
{
    ck_assert_uint_eq(ring()->written, seen);
}

START_TEST(plain_calls)
{
    trace_on(2);
    IS_SWITCH(root.vcpu); /* the call that turned it on began untraced */
    CALL0(null);
    IS_CALL(root.vcpu, null, 0, 0);
    IS_RETURN(root.vcpu, 0);
    CALL_FAILS(EXO_EHANDLE, irq_ack, 12345, 7);
    IS_CALL(root.vcpu, irq_ack, 12345, 7);
    IS_RETURN(root.vcpu, -EXO_EHANDLE);
    machine_call(1000, (const uint64_t[8]){1, 2});
    is(EXO_TRACE_CALL, 1000, root.vcpu, 1, 2);
    IS_RETURN(root.vcpu, -EXO_ENOCALL);
    machine_call(1ull << 40, (const uint64_t[8]){1, 2});
    is(EXO_TRACE_CALL, UINT16_MAX, root.vcpu, 1, 2);
    IS_RETURN(root.vcpu, -EXO_ENOCALL);
    machine_advance(3);
    CALL_OK(trace_control, EXO_FIRST_TRACE, 0, EXO_TRACE_OFF);
    IS_CALL(root.vcpu, trace_control, EXO_FIRST_TRACE, 0);
    no_more();
    CALL0(null);
    no_more();
    ck_assert(!machine.on->traced);
}
END_TEST

/* A call has its seven arguments, and no eighth, while it is traced. */
START_TEST(all_arguments_arrive)
{
    trace_on(1);
    CALL_OK(msi_bind, EXO_FIRST_IRQ, MACHINE_LPI_MIN, EXO_FIRST_DMA, 8, 0, a.vcpu_cap, 9, 99);
    ck_assert_uint_eq(irq_bits(MACHINE_LPI_MIN), 1 << 9);
}
END_TEST

START_TEST(signals)
{
    uint64_t event = (uint64_t)CALL_OK(event_create, a.vcpu_cap, 0xff);

    as(&a);
    CALL(wait, 4, EXO_FOREVER);
    as(&root);
    trace_on(2);
    IS_SWITCH(root.vcpu);
    CALL_OK(signal, event, 2);
    IS_CALL(root.vcpu, signal, event, 2);
    is(EXO_TRACE_SIGNAL, EXO_TRACE_BY_SIGNAL, a.vcpu, env_frame(a.env), 2);
    IS_RETURN(root.vcpu, 0);
    CALL_OK(signal, event, 4);
    IS_CALL(root.vcpu, signal, event, 4);
    is(EXO_TRACE_WAKE, EXO_TRACE_BY_SIGNAL, a.vcpu, env_frame(a.env), 4);
    IS_RETURN(root.vcpu, 0);
    CALL_FAILS(EXO_ERIGHTS, signal, event, 0x100);
    IS_CALL(root.vcpu, signal, event, 0x100);
    IS_RETURN(root.vcpu, -EXO_ERIGHTS); /* nobody was signalled */
    as(&a);
    IS_SWITCH(a.vcpu); /* its wait began untraced */
    CALL0(null);
    IS_CALL(a.vcpu, null, 0, 0);
    IS_RETURN(a.vcpu, 0);
    no_more();
}
END_TEST

START_TEST(waits_and_idleness)
{
    uint64_t deadline;

    as(&b);
    CALL(wait, 1, EXO_FOREVER);
    as(&a);
    CALL(wait, 1, EXO_FOREVER);
    as(&root);
    trace_on(2);
    deadline = machine.time + 700;
    IS_SWITCH(root.vcpu);
    CALL(wait, 1, deadline); /* the machine sleeps until then */
    IS_CALL(root.vcpu, wait, 1, deadline);
    is(EXO_TRACE_IDLE, 0, NULL, 0, 0);
    is(EXO_TRACE_IRQ, MACHINE_TIMER_LINE, NULL, 1, 0);
    is(EXO_TRACE_WAKE, EXO_TRACE_BY_DEADLINE, root.vcpu, env_frame(root.env), 0);
    is(EXO_TRACE_IRQ_END, MACHINE_TIMER_LINE, NULL, 0, 0);
    IS_SWITCH(root.vcpu);
    IS_RETURN(root.vcpu, 0);
    no_more();
    ck_assert_uint_eq(ring()->record[2].time + 700, ring()->record[6].time);
}
END_TEST

START_TEST(interrupts)
{
    uint64_t line = (uint64_t)CALL_OK(cap_grant, a.env_cap, EXO_FIRST_IRQ, EXO_RIGHT_USE);

    CALL_OK(irq_bind, EXO_FIRST_IRQ, 40, a.vcpu_cap, 5);
    as(&a);
    CALL(wait, 1 << 5, EXO_FOREVER);
    as(&root);
    trace_on(2);
    IS_SWITCH(root.vcpu);
    machine_irq(40); /* its vcpu runs at once */
    is(EXO_TRACE_IRQ, 40, NULL, 0, 0);
    is(EXO_TRACE_WAKE, EXO_TRACE_BY_IRQ, a.vcpu, env_frame(a.env), 1 << 5);
    is(EXO_TRACE_IRQ_END, 40, NULL, 0, 0);
    IS_SWITCH(a.vcpu);
    CALL_OK(irq_ack, line, 40);
    as(&root);
    seen += 3;
    machine_irq(40); /* now it does not wait */
    is(EXO_TRACE_IRQ, 40, NULL, 0, 0);
    is(EXO_TRACE_SIGNAL, EXO_TRACE_BY_IRQ, a.vcpu, env_frame(a.env), 1 << 5);
    is(EXO_TRACE_IRQ_END, 40, NULL, 0, 0);
    no_more();
}
END_TEST

START_TEST(gates)
{
    uint64_t gate = (uint64_t)CALL_OK(gate_create, b.vcpu_cap, 9), token;

    gate = (uint64_t)CALL_OK(cap_grant, a.env_cap, gate, EXO_RIGHT_USE);
    as(&b);
    CALL(reply_wait, 0, 0, 0, 0, 0, 0, 0, EXO_FOREVER);
    as(&root);
    trace_on(2);
    IS_SWITCH(root.vcpu);
    as(&a);
    IS_SWITCH(a.vcpu);
    CALL(call, gate, 11, 12, 13, 14, 15, 16, EXO_FOREVER);
    IS_CALL(a.vcpu, call, gate, 11);
    is(EXO_TRACE_WAKE, EXO_TRACE_BY_CALL, b.vcpu, env_frame(b.env), 0);
    IS_SWITCH(b.vcpu); /* its reply_wait began untraced */
    token = b.vcpu->regs.x[0];
    CALL(reply_wait, token, 21, 22, 23, 24, 25, 26, EXO_FOREVER);
    IS_CALL(b.vcpu, reply_wait, token, 21);
    is(EXO_TRACE_WAKE, EXO_TRACE_BY_REPLY, a.vcpu, env_frame(a.env), 0);
    IS_SWITCH(a.vcpu);
    IS_RETURN(a.vcpu, 0);
    CALL(call, gate, 1, 2, 3, 4, 5, 6, EXO_FOREVER);
    IS_CALL(a.vcpu, call, gate, 1);
    is(EXO_TRACE_WAKE, EXO_TRACE_BY_CALL, b.vcpu, env_frame(b.env), 0);
    IS_SWITCH(b.vcpu);
    IS_RETURN(b.vcpu, b.vcpu->regs.x[0]);
    no_more();
}
END_TEST

START_TEST(faults_and_exceptions)
{
    trace_on(2);
    IS_SWITCH(root.vcpu);
    machine_touch(VA, EXO_PROT_WRITE);
    is(EXO_TRACE_TRAP, 0, root.vcpu, USER_PC, 0);
    is(EXO_TRACE_FAULT, EXO_PROT_WRITE, root.vcpu, VA, 0);
    is(EXO_TRACE_UPCALL, EXO_UPCALL_FAULT, root.vcpu, VA, EXO_PROT_WRITE);
    IS_RETURN(root.vcpu, EXO_UPCALL_FAULT); /* of a trap, the value means nothing */
    CALL0(resume);
    IS_CALL(root.vcpu, resume, 0, 0);
    IS_RETURN(root.vcpu, root.vcpu->regs.x[0]);
    machine_exception(EXO_EXC_BREAKPOINT, 0xf2000001);
    is(EXO_TRACE_TRAP, 0, root.vcpu, USER_PC, 0);
    is(EXO_TRACE_EXCEPTION, EXO_EXC_BREAKPOINT, root.vcpu, 0xf2000001, 0);
    is(EXO_TRACE_UPCALL, EXO_UPCALL_EXCEPTION, root.vcpu, EXO_EXC_BREAKPOINT, 0xf2000001);
    IS_RETURN(root.vcpu, EXO_UPCALL_EXCEPTION);
    CALL0(resume);
    seen += 2;
    machine_fp();
    is(EXO_TRACE_TRAP, 0, root.vcpu, USER_PC, 0);
    is(EXO_TRACE_FP, 0, root.vcpu, 0, 0);
    IS_RETURN(root.vcpu, root.vcpu->regs.x[0]);
    no_more();
}
END_TEST

/* An exception of one that takes no upcalls: what kind it was stands where the upcall's would. */
START_TEST(ends_for_want_of_an_upcall)
{
    trace_on(2);
    ck_assert(!machine.on->kicked); /* this CPU was told at once */
    as(&a);
    a.vcpu->page->upcall_entry = 0;
    seen = ring()->written;
    machine_exception(EXO_EXC_BREAKPOINT, 0xf2000001);
    ck_assert_int_eq(a.env->reason, EXO_END_UPCALL);
    is(EXO_TRACE_TRAP, 0, a.vcpu, USER_PC, 0);
    is(EXO_TRACE_ENV_END, EXO_END_UPCALL, NULL, env_frame(a.env), EXO_UPCALL_EXCEPTION);
    is(EXO_TRACE_EXCEPTION, 0, a.vcpu, a.env->address, 0);
}
END_TEST

/* An upcall right behind a call: the call's result is told, not the upcall's reason. */
START_TEST(upcalls_behind_calls)
{
    uint64_t event = (uint64_t)CALL_OK(event_create, EXO_FIRST_VCPU, 8);

    trace_on(2);
    IS_SWITCH(root.vcpu);
    root.vcpu->page->upcall_events = 8;
    CALL_OK(signal, event, 8);
    IS_CALL(root.vcpu, signal, event, 8);
    is(EXO_TRACE_SIGNAL, EXO_TRACE_BY_SIGNAL, root.vcpu, env_frame(root.env), 8);
    IS_RETURN(root.vcpu, 0);
    is(EXO_TRACE_UPCALL, EXO_UPCALL_EVENT, root.vcpu, 8, 0);
    root.vcpu->page->events = 0;
    CALL0(resume);
    seen += 2;
    root.vcpu->page->events = 8;
    machine.cpu->resched = 1; /* so that somebody looks */
    CALL_OK(page_alloc, EXO_SELF_SPACE, VA, 3, EXO_WANT_ANY, RW);
    IS_CALL(root.vcpu, page_alloc, EXO_SELF_SPACE, VA);
    IS_RETURN(root.vcpu, 3);
    is(EXO_TRACE_UPCALL, EXO_UPCALL_EVENT, root.vcpu, 8, 0);
    no_more();
    root.vcpu->page->events = 0;
}
END_TEST

START_TEST(lives_and_ends)
{
    struct actor c;
    int64_t handles;

    trace_on(2);
    IS_SWITCH(root.vcpu);
    handles = CALL_OK(env_create, 50, 0, 0);
    c.env = env_of(cap_at(root.env, (uint64_t)handles & UINT32_MAX));
    IS_CALL(root.vcpu, env_create, 50, 0);
    is(EXO_TRACE_ENV_NEW, 0, NULL, env_frame(c.env), env_frame(root.env));
    IS_RETURN(root.vcpu, handles);
    CALL_FAILS(EXO_EQUOTA, env_create, 1ull << 40, 0, 0); /* nothing is made */
    IS_CALL(root.vcpu, env_create, 1ull << 40, 0);
    IS_RETURN(root.vcpu, -EXO_EQUOTA);
    CALL_OK(env_stop, handles & UINT32_MAX);
    IS_CALL(root.vcpu, env_stop, handles & UINT32_MAX, 0);
    is(EXO_TRACE_ENV_END, EXO_END_STOP, NULL, env_frame(c.env), 0);
    IS_RETURN(root.vcpu, 0);
    as(&a);
    IS_SWITCH(a.vcpu);
    CALL(env_exit, 42);
    IS_CALL(a.vcpu, env_exit, 42, 0);
    is(EXO_TRACE_ENV_END, EXO_END_EXIT, NULL, env_frame(a.env), 42);
    as(&b);
    seen = ring()->written;
    b.vcpu->page->upcall_masked = 1;
    machine_touch(VA, EXO_PROT_READ); /* cannot be delivered */
    is(EXO_TRACE_TRAP, 0, b.vcpu, USER_PC, 0);
    is(EXO_TRACE_ENV_END, EXO_END_FAULT, NULL, env_frame(b.env), EXO_PROT_READ);
    is(EXO_TRACE_FAULT, EXO_PROT_READ, b.vcpu, VA, 0);
    IS_SWITCH(root.vcpu);
    no_more();
}
END_TEST

START_TEST(starts)
{
    struct actor c = actor_new(50);

    trace_on(2);
    IS_SWITCH(root.vcpu);
    CALL_OK(vcpu_start, c.vcpu_cap, 7);
    IS_CALL(root.vcpu, vcpu_start, c.vcpu_cap, 7);
    is(EXO_TRACE_WAKE, EXO_TRACE_BY_START, c.vcpu, env_frame(c.env), 0);
    IS_RETURN(root.vcpu, 0);
    no_more();
}
END_TEST

/* ---- the ring ------------------------------------------------------------------------------------------------------ */

START_TEST(wraps)
{
    const uint64_t n = (PAGE_SIZE - sizeof(struct exo_trace)) / sizeof(struct exo_trace_record);
    const struct exo_trace_record *last;

    trace_on(1);
    ck_assert_uint_eq(ring()->nrecords, n);
    for (uint64_t i = 0; i < 1000; i++)
        CALL(irq_ack, i, 1); /* fails; two records */
    ck_assert_uint_eq(ring()->written, 2001);
    for (uint64_t i = 2001 - n; i < 2001; i++) {
        const struct exo_trace_record *r = &ring()->record[i % n];

        ck_assert_uint_eq(r->event, i % 2 ? EXO_TRACE_CALL : EXO_TRACE_RETURN);
        ck_assert(i % 2 == 0 || r->a == (i - 1) / 2);
    }
    last = &ring()->record[2000 % n];
    ck_assert_uint_eq(last->vcpu, vcpu_frame(root.vcpu));
    /* Again, from the beginning. */
    CALL_OK(trace_control, EXO_FIRST_TRACE, 0, EXO_TRACE_OFF);
    CALL_OK(trace_control, EXO_FIRST_TRACE, 0, EXO_TRACE_ON);
    ck_assert_uint_eq(ring()->written, 1);
}
END_TEST

/* K25: nothing is allocated, whatever is written, and nobody waits. */
START_TEST(takes_no_memory)
{
    uint64_t free_frames, used;

    trace_on(4);
    while (CALL(page_alloc, EXO_SELF_SPACE, VA + exo_free_frames() * PAGE_SIZE, 1, EXO_WANT_ANY, RW) == 1)
        ; /* the machine is full */
    free_frames = exo_free_frames();
    used = root.env->owner.account.used;
    for (unsigned i = 0; i < 2000; i++)
        CALL0(null);
    as(&a);
    as(&root);
    ck_assert_uint_eq(exo_free_frames(), free_frames);
    ck_assert_uint_eq(root.env->owner.account.used, used);
    ck_assert_uint_gt(ring()->written, 4000);
}
END_TEST

/* The owner writes whatever it likes into its ring: the kernel goes on where it was. */
START_TEST(believes_nothing)
{
    struct exo_trace *own;
    struct dice d = {_i + 1};

    trace_on(1);
    own = machine_touch(RING_VA, EXO_PROT_WRITE);
    ck_assert_ptr_eq(own, ring());
    for (unsigned i = 0; i < 500; i++) {
        uint64_t written = machine.cpu->trace.written;

        for (unsigned k = 0; k < PAGE_SIZE / 8; k++)
            ((uint64_t *)own)[k] = dice(&d);
        CALL(irq_ack, i, 3);
        ck_assert_uint_eq(own->written, written + 2);
        ck_assert_uint_eq(own->record[written % 126].a, i);
        ck_assert_uint_eq(own->record[(written + 1) % 126].event, EXO_TRACE_RETURN);
        exo_check();
    }
}
END_TEST

/* Its pages are unbound, and the capability dropped, while the CPU is traced: the ring stays where it is. */
START_TEST(owner_lets_go)
{
    uint64_t before = exo_free_frames();
    pfn_t first;

    trace_on(8);
    first = machine.cpu->trace.first;
    CALL_OK(page_unmap, EXO_SELF_SPACE, RING_VA, 8, 0);
    exo_check();
    for (pfn_t i = 0; i < 8; i++) {
        ck_assert_uint_eq(frame_entry(first + i)->kind, EXO_FRAME_USER);
        CALL_FAILS(EXO_EBUSY, page_alloc, EXO_SELF_SPACE, VA, 1, first + i, RW);
    }
    CALL_OK(page_alloc, EXO_SELF_SPACE, RING_VA, 8, EXO_WANT_ANY, RW); /* others, there */
    memset(machine_touch(RING_VA, EXO_PROT_WRITE), 0x5a, PAGE_SIZE);
    for (unsigned i = 0; i < 2000; i++)
        CALL0(null);
    ck_assert_int_eq(*(uint8_t *)machine_touch(RING_VA, EXO_PROT_READ), 0x5a);
    ck_assert_uint_gt(ring()->written, 4000);
    CALL_OK(page_unmap, EXO_SELF_SPACE, RING_VA, 8, 0);
    ck_assert_int_eq(CALL(trace_control, EXO_FIRST_TRACE, 0, EXO_TRACE_RELEASE), 0);
    ck_assert(!machine.on->traced);
    ck_assert_uint_eq(exo_free_frames(), before);
}
END_TEST

/* a traces, with this right alone and a ring of n pages. */
static void a_traces(unsigned rights, uint64_t n)
{
    uint64_t handle = (uint64_t)CALL_OK(cap_grant, a.env_cap, EXO_FIRST_TRACE, rights);

    as(&a);
    pages(n);
    bind(handle, 0, n);
    CALL_OK(trace_control, handle, 0, EXO_TRACE_ON);
    as(&root);
}

static void end_stop(void)
{
    CALL_OK(env_stop, a.env_cap);
}

static void end_exit(void)
{
    as(&a);
    CALL(env_exit, 1);
}

static void end_fault(void)
{
    as(&a);
    a.vcpu->page->upcall_masked = 1;
    machine_touch(VA, EXO_PROT_READ);
}

static void end_no_entry(void)
{
    as(&a);
    a.vcpu->page->upcall_entry = 0;
    machine_exception(EXO_EXC_UNDEFINED, 1);
}

static void end_idle(void) /* while nobody runs */
{
    as(&a);
    CALL(wait, 1, machine.time + 100);
    as(&root);
    a.vcpu->page->upcall_events = 1;
    a.vcpu->page->upcall_entry = 0;
    a.vcpu->page->events = 1;
    as(&b);
    CALL(wait, 1, EXO_FOREVER);
    as(&root);
    CALL(wait, 1, machine.time + 5000);
    as(&root);
}

static void (*const ends[])(void) = {end_stop, end_exit, end_fault, end_no_entry, end_idle};

/* Whose ring it is ends, in every way, while the CPU is traced: tracing stops at once, and every page comes back. */
START_TEST(owner_ends)
{
    uint64_t before;

    actor_destroy(&a);
    before = exo_free_frames();
    a = actor_make(100);
    a_traces(EXO_RIGHT_READ, 60);
    CALL0(null);
    ck_assert(machine.on->traced);
    ends[_i]();
    ck_assert(!machine.on->traced && !machine.cpu->traced);
    exo_check();
    as(&root);
    actor_destroy(&a);
    ck_assert_ptr_null(machine.cpu->trace.owner);
    ck_assert_uint_eq(exo_free_frames(), before);
    trace_on(2); /* it is anybody's again */
    CALL0(null);
    ck_assert_uint_eq(ring()->written, 3);
}
END_TEST

START_TEST(one_ring_one_owner)
{
    uint64_t handle;

    a_traces(EXO_RIGHT_READ, 2);
    pages(2);
    CALL_FAILS(EXO_EBUSY, trace_bind, EXO_FIRST_TRACE, 0, EXO_SELF_SPACE, RING_VA, 1);
    CALL_FAILS(EXO_EBUSY, trace_control, EXO_FIRST_TRACE, 0, EXO_TRACE_ON);
    handle = (uint64_t)CALL_OK(cap_grant, b.env_cap, EXO_FIRST_TRACE, EXO_RIGHT_READ);
    as(&b);
    CALL_FAILS(EXO_EBUSY, trace_control, handle, 0, EXO_TRACE_OFF);
    CALL_FAILS(EXO_EBUSY, trace_control, handle, 0, EXO_TRACE_RELEASE);
    ck_assert(machine.on->traced);
    as(&root);
    CALL_OK(trace_control, EXO_FIRST_TRACE, 0, EXO_TRACE_OFF); /* MANAGE may */
    ck_assert(!machine.on->traced);
    ck_assert_int_eq(CALL(trace_control, EXO_FIRST_TRACE, 0, EXO_TRACE_RELEASE), 0);
    CALL_OK(trace_bind, EXO_FIRST_TRACE, 0, EXO_SELF_SPACE, RING_VA, 2);
    CALL_OK(trace_control, EXO_FIRST_TRACE, 0, EXO_TRACE_ON);
    CALL0(null);
    ck_assert_uint_eq(ring()->written, 3);
}
END_TEST

/* Pieces of 32. */
START_TEST(large_rings)
{
    uint64_t before = exo_free_frames();
    unsigned steps = 1;

    trace_on(200);
    ck_assert_uint_eq(ring()->nrecords, (200 * PAGE_SIZE - 64) / 32);
    for (unsigned i = 0; i < 13000; i++)
        CALL0(null);
    ck_assert_uint_eq(ring()->written, 26001);
    ck_assert_uint_eq(ring()->record[26001 - 25598 - 1].event, EXO_TRACE_RETURN); /* written over */
    exo_unmap(EXO_SELF_SPACE, RING_VA, 64);
    for (; CALL(trace_control, EXO_FIRST_TRACE, 0, EXO_TRACE_RELEASE) == 1; steps++)
        exo_check();
    ck_assert_uint_eq(steps, 7);
    for (unsigned i = 64; i < 200; i += 8)
        exo_unmap(EXO_SELF_SPACE, RING_VA + i * PAGE_SIZE, 8);
    ck_assert_uint_eq(exo_free_frames(), before);
}
END_TEST

/* K5 K24: each wrong argument, and nothing changes. */
START_TEST(wrong_arguments)
{
    uint64_t state, none = (uint64_t)CALL_OK(cap_grant, EXO_SELF_ENV, EXO_FIRST_TRACE, EXO_RIGHT_USE);

    pages(4);
    CALL_OK(page_map, EXO_SELF_SPACE, VA, EXO_SELF_SPACE, RING_VA, 1, EXO_PROT_READ);
    CALL_OK(page_map, EXO_SELF_SPACE, VA + PAGE_SIZE, EXO_SELF_SPACE, RING_VA, 1, RW);
    CALL_OK(mmio_map, EXO_FIRST_MMIO, EXO_SELF_SPACE, VA + 0x10000, 0x9000000, 1, RW);
    state = exo_state();
    CALL_FAILS(EXO_EHANDLE, trace_bind, 0, 0, EXO_SELF_SPACE, RING_VA, 1);
    CALL_FAILS(EXO_ETYPE, trace_bind, EXO_FIRST_INFO, 0, EXO_SELF_SPACE, RING_VA, 1);
    CALL_FAILS(EXO_ERIGHTS, trace_bind, none, 0, EXO_SELF_SPACE, RING_VA, 1);
    CALL_FAILS(EXO_EUNSUPPORTED, trace_bind, EXO_FIRST_TRACE, 1, EXO_SELF_SPACE, RING_VA, 1);
    CALL_FAILS(EXO_EUNSUPPORTED, trace_bind, EXO_FIRST_TRACE, UINT64_MAX, EXO_SELF_SPACE, RING_VA, 1);
    CALL_FAILS(EXO_ETYPE, trace_bind, EXO_FIRST_TRACE, 0, EXO_SELF_ENV, RING_VA, 1);
    CALL_FAILS(EXO_ERANGE, trace_bind, EXO_FIRST_TRACE, 0, EXO_SELF_SPACE, RING_VA + 1, 1);
    CALL_FAILS(EXO_ERANGE, trace_bind, EXO_FIRST_TRACE, 0, EXO_SELF_SPACE, RING_VA, UINT64_MAX);
    CALL_FAILS(EXO_EUNBOUND, trace_bind, EXO_FIRST_TRACE, 0, EXO_SELF_SPACE, RING_VA, 5);
    CALL_FAILS(EXO_ERIGHTS, trace_bind, EXO_FIRST_TRACE, 0, EXO_SELF_SPACE, VA, 1);
    CALL_FAILS(EXO_EINVAL, trace_bind, EXO_FIRST_TRACE, 0, EXO_SELF_SPACE, VA + 0x10000, 1);
    CALL_FAILS(EXO_ERIGHTS, trace_bind, EXO_FIRST_TRACE, 0, EXO_SELF_SPACE, EXO_FIRST_SYSTEM_VA, 1);
    CALL_FAILS(EXO_ESTATE, trace_control, EXO_FIRST_TRACE, 0, EXO_TRACE_ON);
    CALL_FAILS(EXO_EINVAL, trace_control, EXO_FIRST_TRACE, 0, 3);
    CALL_FAILS(EXO_ERIGHTS, trace_control, none, 0, EXO_TRACE_OFF);
    CALL_FAILS(EXO_EUNSUPPORTED, trace_control, EXO_FIRST_TRACE, 1, EXO_TRACE_OFF);
    ck_assert_int_eq(CALL(trace_bind, EXO_FIRST_TRACE, 0, EXO_SELF_SPACE, RING_VA, 0), 0);
    ck_assert_int_eq(CALL(trace_control, EXO_FIRST_TRACE, 0, EXO_TRACE_OFF), 0);
    ck_assert_int_eq(CALL(trace_control, EXO_FIRST_TRACE, 0, EXO_TRACE_RELEASE), 0);
    ck_assert_uint_eq(exo_state(), state);
    ck_assert_ptr_null(machine.cpu->trace.owner);
    CALL_OK(trace_bind, EXO_FIRST_TRACE, 0, EXO_SELF_SPACE, RING_VA, 1);
    CALL_FAILS(EXO_EINVAL, trace_bind, EXO_FIRST_TRACE, 0, EXO_SELF_SPACE, RING_VA, 1); /* not the next */
    CALL_FAILS(EXO_EINVAL, trace_bind, EXO_FIRST_TRACE, 0, EXO_SELF_SPACE, RING_VA + 2 * PAGE_SIZE, 1);
    CALL_OK(trace_bind, EXO_FIRST_TRACE, 0, EXO_SELF_SPACE, RING_VA + PAGE_SIZE, 1);
    CALL_OK(trace_control, EXO_FIRST_TRACE, 0, EXO_TRACE_ON);
    CALL_FAILS(EXO_ESTATE, trace_bind, EXO_FIRST_TRACE, 0, EXO_SELF_SPACE, RING_VA + 2 * PAGE_SIZE, 1);
    CALL_FAILS(EXO_ESTATE, trace_control, EXO_FIRST_TRACE, 0, EXO_TRACE_ON);
}
END_TEST

/* The same work with and without tracing leaves the same behind. */
START_TEST(changes_nothing_else)
{
    uint64_t event = (uint64_t)CALL_OK(event_create, a.vcpu_cap, 0xff), state[3];

    pages(4);
    CALL_OK(trace_bind, EXO_FIRST_TRACE, 0, EXO_SELF_SPACE, RING_VA, 4);
    for (unsigned round = 0; round < 3; round++) { /* the first leaves what all leave */
        if (round == 2)
            CALL_OK(trace_control, EXO_FIRST_TRACE, 0, EXO_TRACE_ON);
        as(&a);
        CALL(wait, 1, EXO_FOREVER);
        as(&root);
        CALL_OK(signal, event, 1);
        as(&a);
        ck_assert_int_eq(result(a.vcpu), 1);
        a.vcpu->page->events = 0;
        CALL(yield, 0);
        as(&root);
        CALL_OK(page_alloc, EXO_SELF_SPACE, VA, 3, EXO_WANT_ANY, RW);
        CALL_OK(page_unmap, EXO_SELF_SPACE, VA, 3, 0);
        if (round == 2)
            CALL_OK(trace_control, EXO_FIRST_TRACE, 0, EXO_TRACE_OFF);
        memset(machine_touch(RING_VA, EXO_PROT_WRITE), 0, PAGE_SIZE);
        CALL0(null);
        a.vcpu->traced = false; /* its yield was */
        state[round] = exo_state();
    }
    ck_assert_uint_eq(state[1], state[2]);
}
END_TEST

/* ---- several CPUs ------------------------------------------------------------------------------------------------ */

static struct vcpu *far;
static uint64_t far_event;

/* b has a second vcpu, which runs on CPU 1; root runs on CPU 0, and CPU 2 idles. */
static void setup_smp(void)
{
    uint64_t handle;

    machine.ncpus = 3;
    setup();
    machine.stay = true;
    as(&b);
    CALL_OK(page_alloc, EXO_SELF_SPACE, VA, 1, EXO_WANT_ANY, RW);
    handle = (uint64_t)CALL_OK(vcpu_create, EXO_SELF_ENV, 1, EXO_SELF_SPACE, VA);
    far = vcpu_of(cap_at(b.env, handle));
    far->page->upcall_entry = USER_PC;
    far->page->upcall_sp = VA;
    CALL_OK(vcpu_start, handle, 7);
    far_event = (uint64_t)CALL_OK(event_create, handle, 0xff);
    machine_on(1);
    ck_assert_ptr_eq(machine.cpu->current, far);
    far->page->upcall_masked = 0;
    machine_on(2);
    machine_on(0);
    as(&root);
}

static const struct exo_trace *ring_on(unsigned cpu)
{
    return frame_address(cpus[cpu].trace.first);
}

static bool has(unsigned cpu, enum exo_trace_event event, const struct vcpu *vcpu)
{
    const struct exo_trace *r = ring_on(cpu);

    for (uint64_t i = 0; i < r->written; i++) {
        ck_assert_uint_eq(r->record[i].cpu, cpu);
        if (r->record[i].event == event && r->record[i].vcpu == (vcpu ? vcpu_frame(vcpu) : 0))
            return true;
    }
    return false;
}

/* A CPU begins when it was told, not before, with who runs there; and ends so. */
START_TEST(another_cpu)
{
    pages(2);
    bind(EXO_FIRST_TRACE, 1, 2);
    machine.held = 1 << 1;
    CALL_OK(trace_control, EXO_FIRST_TRACE, 1, EXO_TRACE_ON);
    ck_assert(!cpus[1].traced && cpus[1].trace.wanted && !machine.cpus[1].traced);
    CALL_FAILS(EXO_ESTATE, trace_control, EXO_FIRST_TRACE, 1, EXO_TRACE_ON);
    CALL_FAILS(EXO_ESTATE, trace_bind, EXO_FIRST_TRACE, 1, EXO_SELF_SPACE, RING_VA, 1);
    machine.held = 0;
    machine_on(1);
    ck_assert(cpus[1].traced && machine.cpus[1].traced && !machine.cpus[0].traced);
    ck_assert_uint_eq(ring_on(1)->written, 1);
    ck_assert_uint_eq(ring_on(1)->record[0].event, EXO_TRACE_SWITCH);
    ck_assert_uint_eq(ring_on(1)->record[0].vcpu, vcpu_frame(far));
    CALL0(null);
    ck_assert_uint_eq(ring_on(1)->written, 3);
    machine_on(0);
    CALL0(null);
    ck_assert_uint_eq(ring_on(1)->written, 3); /* its own doings only */
    machine.held = 1 << 1;
    ck_assert_int_eq(CALL(trace_control, EXO_FIRST_TRACE, 1, EXO_TRACE_OFF), 1);
    ck_assert_int_eq(CALL(trace_control, EXO_FIRST_TRACE, 1, EXO_TRACE_RELEASE), 1);
    ck_assert(cpus[1].traced && cpus[1].trace.npages == 2); /* it may write yet */
    exo_check();
    machine.held = 0;
    machine_on(1);
    ck_assert(!cpus[1].traced && !machine.cpus[1].traced);
    machine_on(0);
    ck_assert_int_eq(CALL(trace_control, EXO_FIRST_TRACE, 1, EXO_TRACE_RELEASE), 0);
    ck_assert_ptr_null(cpus[1].trace.owner);
}
END_TEST

/* One that sleeps: it is told, says so, and who wakes there is switched to. */
START_TEST(a_sleeping_cpu)
{
    pages(2);
    machine_on(1);
    CALL(wait, 4, EXO_FOREVER);
    ck_assert_ptr_null(machine.cpu->current);
    machine_on(0);
    bind(EXO_FIRST_TRACE, 1, 2);
    CALL_OK(trace_control, EXO_FIRST_TRACE, 1, EXO_TRACE_ON);
    machine_on(1);
    ck_assert(cpus[1].traced);
    ck_assert_uint_eq(ring_on(1)->record[0].event, EXO_TRACE_IDLE);
    machine_on(0);
    as(&b);
    CALL_OK(signal, far_event, 4);
    machine_on(1);
    ck_assert_ptr_eq(machine.cpu->current, far);
    ck_assert(has(1, EXO_TRACE_IRQ, NULL)); /* the kick */
    ck_assert(has(1, EXO_TRACE_WAKE, far) && has(1, EXO_TRACE_SWITCH, far));
}
END_TEST

/* K25: whose rings they are ends, while others write them: no page is free before they have stopped. */
START_TEST(owner_ends_elsewhere)
{
    uint64_t handle = (uint64_t)CALL_OK(cap_grant, a.env_cap, EXO_FIRST_TRACE, EXO_RIGHT_READ);
    pfn_t first;

    as(&a);
    pages(6);
    for (unsigned cpu = 0; cpu < 3; cpu++) {
        CALL_OK(trace_bind, handle, cpu, EXO_SELF_SPACE, RING_VA + 2 * cpu * PAGE_SIZE, 2);
        CALL_OK(trace_control, handle, cpu, EXO_TRACE_ON);
    }
    machine_on(1);
    machine_on(2);
    machine_on(0);
    as(&root);
    first = cpus[1].trace.first;
    machine.held = 1 << 1;
    CALL_OK(env_stop, a.env_cap);
    for (unsigned i = 0; i < 50; i++)
        ck_assert_int_eq(CALL(env_destroy, a.env_cap), 1);
    ck_assert(cpus[1].traced && !cpus[0].traced);
    ck_assert_uint_eq(frame_entry(first)->kind, EXO_FRAME_USER);
    exo_check();
    machine.held = 0;
    machine_on(1);
    CALL0(null);
    machine_on(2);
    machine_on(0);
    while (CALL(env_destroy, a.env_cap) == 1)
        exo_check();
    for (unsigned cpu = 0; cpu < 3; cpu++)
        ck_assert(!cpus[cpu].trace.owner && !cpus[cpu].traced && !machine.cpus[cpu].traced);
    ck_assert_uint_eq(frame_entry(first)->kind, EXO_FRAME_FREE);
}
END_TEST

/* CPU 1 is traced into n of init's pages, by a, who has them as a ring alone. */
static void lend_ring(uint64_t n)
{
    uint64_t handle = (uint64_t)CALL_OK(cap_grant, a.env_cap, EXO_FIRST_TRACE, EXO_RIGHT_READ);

    pages(n);
    CALL_OK(page_map, a.space_cap, RING_VA, EXO_SELF_SPACE, RING_VA, n, RW);
    as(&a);
    for (uint64_t done = 0; done < n;)
        done +=
            (uint64_t)CALL_OK(trace_bind, handle, 1, EXO_SELF_SPACE, RING_VA + done * PAGE_SIZE, n - done);
    CALL_OK(trace_control, handle, 1, EXO_TRACE_ON);
    exo_unmap(EXO_SELF_SPACE, RING_VA, n);
    machine_on(1);
    machine_on(0);
    as(&root);
}

/* K18: who reclaims a page of another's ring gets it; the ring goes as a whole, after its CPU has stopped. */
START_TEST(ring_is_reclaimed)
{
    uint32_t before;
    int64_t rc;

    lend_ring(60);
    while ((rc = CALL(page_reclaim, EXO_SELF_SPACE, RING_VA, 1, 0)) == EXO_RECLAIM_MORE)
        ;
    ck_assert_int_eq(rc, EXO_RECLAIM_ASKED);
    ck_assert(cpus[1].traced);
    exo_later(machine.time + EXO_RECLAIM_NOTICE_US + 1);
    for (unsigned i = 0; i < 200; i++) /* it cannot end before CPU 1 has stopped */
        ck_assert_int_ne(CALL(page_reclaim, EXO_SELF_SPACE, RING_VA, 1, 0), EXO_RECLAIM_DONE);
    machine_on(1);
    exo_later(machine.time);
    ck_assert(!cpus[1].traced);
    machine_on(0);
    do {
        before = cpus[1].trace.npages;
        rc = CALL(page_reclaim, EXO_SELF_SPACE, RING_VA, 1, 0);
        ck_assert_uint_le(before - cpus[1].trace.npages, 32); /* a piece of it */
    } while (rc == EXO_RECLAIM_MORE || rc == EXO_RECLAIM_ASKED);
    ck_assert_int_eq(rc, EXO_RECLAIM_DONE);
    ck_assert_ptr_null(cpus[1].trace.owner);
    ck_assert_uint_eq(a.env->state, EXO_ENV_ALIVE);
}
END_TEST

/* K18: whose ring it is has ended, and his CPU still writes it: nobody is asked, and the page comes once that CPU has stopped. */
START_TEST(ring_is_reclaimed_from_the_dead)
{
    uint64_t time;
    int64_t rc;

    lend_ring(2);
    time = machine.time;
    CALL_OK(env_stop, a.env_cap);
    ck_assert(cpus[1].traced && cpus[1].trace.owner == a.env);
    for (unsigned i = 0; i < 200; i++) {
        rc = CALL(page_reclaim, EXO_SELF_SPACE, RING_VA, 1, EXO_FOREVER);
        ck_assert_int_eq(rc, EXO_RECLAIM_MORE);
    }
    machine_on(1);
    ck_assert(!cpus[1].traced);
    machine_on(0);
    while ((rc = CALL(page_reclaim, EXO_SELF_SPACE, RING_VA, 1, EXO_FOREVER)) == EXO_RECLAIM_MORE)
        ;
    ck_assert_int_eq(rc, EXO_RECLAIM_DONE);
    ck_assert_ptr_null(cpus[1].trace.owner);
    ck_assert_uint_lt(machine.time - time, EXO_RECLAIM_NOTICE_US);
}
END_TEST

/* Pages of one's own ring one may ask back: nobody else has them, and it goes on. */
START_TEST(own_ring_stays)
{
    const struct cpu_trace *trace = &machine.cpu->trace;
    uint64_t written;
    int64_t rc;

    trace_on(2);
    while ((rc = CALL(page_reclaim, EXO_SELF_SPACE, RING_VA, 1, 0)) == EXO_RECLAIM_MORE)
        ;
    ck_assert_int_eq(rc, EXO_RECLAIM_DONE);
    ck_assert(machine.cpu->traced && trace->owner == root.env && trace->npages == 2);
    written = ring()->written;
    CALL0(null);
    ck_assert_uint_gt(ring()->written, written);
}
END_TEST

/* However often tracing was turned on: an entry of an earlier time has no return in this one, and this one's have. */
START_TEST(sessions_without_number)
{
    machine.cpu->trace.session = UINT32_MAX;
    trace_on(2);
    ck_assert_uint_eq(machine.cpu->trace.session, 1);
    CALL0(null);
    IS_SWITCH(root.vcpu);
    IS_CALL(root.vcpu, null, 0, 0);
    IS_RETURN(root.vcpu, 0);
    no_more();
}
END_TEST

/* Of two interrupts in one entry the first has ended when the second comes. */
START_TEST(two_interrupts_at_once)
{
    CALL_OK(irq_bind, EXO_FIRST_IRQ, 40, root.vcpu_cap, 3);
    CALL_OK(irq_bind, EXO_FIRST_IRQ, 41, root.vcpu_cap, 4);
    trace_on(2);
    IS_SWITCH(root.vcpu);
    machine.held = 1;
    machine_irq(40);
    machine_irq(41);
    machine.held = 0;
    machine_on(0);
    for (unsigned line = 40; line < 42; line++) {
        is(EXO_TRACE_IRQ, line, NULL, 0, 0);
        is(EXO_TRACE_SIGNAL, EXO_TRACE_BY_IRQ, root.vcpu, env_frame(root.env), line == 40 ? 8 : 16);
        is(EXO_TRACE_IRQ_END, line, NULL, 0, 0);
    }
    no_more();
}
END_TEST

/* An interrupt that wakes nobody has ended when the CPU sleeps again. */
START_TEST(interrupts_while_idle)
{
    machine.stay = true;
    as(&a);
    CALL(wait, 1, EXO_FOREVER);
    as(&b);
    CALL(wait, 1, EXO_FOREVER);
    as(&root);
    CALL_OK(irq_bind, EXO_FIRST_IRQ, 40, root.vcpu_cap, 3);
    trace_on(2);
    CALL(wait, 1, EXO_FOREVER);
    ck_assert_int_eq(machine.end, MACHINE_IDLE);
    seen = ring()->written;
    machine_irq(40);
    is(EXO_TRACE_IRQ, 40, NULL, 0, 0);
    is(EXO_TRACE_SIGNAL, EXO_TRACE_BY_IRQ, root.vcpu, env_frame(root.env), 8);
    is(EXO_TRACE_IRQ_END, 40, NULL, 0, 0);
    no_more();
}
END_TEST

/* What stands in for the ends of environments and for deadlines while there is a ring goes with the last one, each time. */
START_TEST(rings_come_and_go)
{
    for (unsigned round = 0; round < 3; round++) {
        trace_on(2);
        ck_assert_ptr_null(ring_of(machine.cpu->trace.first - 1));
        ck_assert_ptr_eq(ring_of(machine.cpu->trace.first + 1), machine.cpu);
        ck_assert_ptr_null(ring_of(machine.cpu->trace.first + 2));
        CALL_OK(trace_control, EXO_FIRST_TRACE, 0, EXO_TRACE_OFF);
        ck_assert_int_eq(CALL(trace_control, EXO_FIRST_TRACE, 0, EXO_TRACE_RELEASE), 0);
        exo_unmap(EXO_SELF_SPACE, RING_VA, 2);
    }
    as(&a);
    CALL(wait, 1, machine.time + 10);
    as(&root);
    machine_advance(20);
    ck_assert_int_eq(a.vcpu->state, VCPU_READY);
    actor_destroy(&b);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("tracing");
    TCase *tc = tcase_create("tracing");

    tcase_add_checked_fixture(tc, setup, exo_check);
    tcase_add_test(tc, plain_calls);
    tcase_add_test(tc, all_arguments_arrive);
    tcase_add_test(tc, two_interrupts_at_once);
    tcase_add_test(tc, rings_come_and_go);
    tcase_add_test(tc, interrupts_while_idle);
    tcase_add_test(tc, signals);
    tcase_add_test(tc, waits_and_idleness);
    tcase_add_test(tc, interrupts);
    tcase_add_test(tc, gates);
    tcase_add_test(tc, faults_and_exceptions);
    tcase_add_test(tc, ends_for_want_of_an_upcall);
    tcase_add_test(tc, upcalls_behind_calls);
    tcase_add_test(tc, lives_and_ends);
    tcase_add_test(tc, starts);
    tcase_add_test(tc, wraps);
    tcase_add_test(tc, takes_no_memory);
    tcase_add_loop_test(tc, believes_nothing, 0, 2);
    tcase_add_test(tc, owner_lets_go);
    tcase_add_loop_test(tc, owner_ends, 0, ARRAY_LEN(ends));
    tcase_add_test(tc, one_ring_one_owner);
    tcase_add_test(tc, large_rings);
    tcase_add_test(tc, wrong_arguments);
    tcase_add_test(tc, changes_nothing_else);
    suite_add_tcase(s, tc);

    tc = tcase_create("several CPUs");
    tcase_add_checked_fixture(tc, setup_smp, exo_check);
    tcase_add_test(tc, another_cpu);
    tcase_add_test(tc, a_sleeping_cpu);
    tcase_add_test(tc, owner_ends_elsewhere);
    tcase_add_test(tc, ring_is_reclaimed);
    tcase_add_test(tc, ring_is_reclaimed_from_the_dead);
    tcase_add_test(tc, own_ring_stays);
    tcase_add_test(tc, sessions_without_number);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    return exo_suite_run(suite());
}
