/* The kernel benches: the first program of a bundle of its own, going under the libOS.
 *
 * Prints `key instructions` lines on the UART.  Meant for QEMU with -icount shift=0, where one instruction takes one
 * nanosecond; elsewhere the lines are nanoseconds.  Peers run as environments of their own, in their own spaces, that
 * share this program's pages. */
#include "raw.h"

#define ROUNDS 1000
#define PAGES 64
#define WINDOW 0x2030000000ull
#define LARGE 0x2040000000ull /* likewise, large pages */

void (*raw_handler)(void);
volatile uint64_t raw_spare, raw_other; /* handlers read them */
void raw_skip(void), raw_bind(void), raw_swap(void), raw_unprotect(void);

static volatile uint64_t shared_time, shared_count;

/* ---- calls ---------------------------------------------------------------------------------------------- */

static void touch_fp(void)
{
    __asm__ volatile("fadd d0, d0, d1" : : : "v0");
}

static void echo_fp_main(uint64_t arg)
{
    uint64_t token = 0;

    (void)arg;
    for (;;) {
        token = reply_token(token);
        touch_fp();
    }
}

/* ---- messages of a page ----------------------------------------------------------------------------------- */

/* Page va is lent with messages; what comes is bound at WINDOW. */
static void message_pages(uint64_t va)
{
    struct exo_vcpu_page *page = raw_page();

    must(RAW_CALL8(EXO_CALL_page_alloc, EXO_SELF_SPACE, va, 1, EXO_WANT_ANY, 3, 0, 0, 0), "a page");
    write_to(va);
    page->send = (struct exo_send){.va = va, .npages = 1, .prot = EXO_PROT_READ};
    page->recv = (struct exo_recv){.va = WINDOW, .max_pages = 1};
}

static int64_t window_clear(void)
{
    return RAW_CALL4(EXO_CALL_page_unmap, EXO_SELF_SPACE, WINDOW, 1, 0);
}

static void lender_main(uint64_t arg)
{
    uint64_t token = 0;

    (void)arg;
    message_pages(WINDOW + PAGE_SIZE);
    for (;;) {
        token = reply_token(token ? token | EXO_REPLY_PAGES : 0);
        window_clear();
    }
}

/* A page there, another back, each unbound by who got it. */
static void message_round(exo_handle_t gate)
{
    RAW_CALL8(EXO_CALL_call, gate | EXO_MSG_PAGES, 1, 2, 3, 4, 5, 6, EXO_FOREVER);
    window_clear();
}

static void bench_message(void)
{
    struct peer peer = peer_make(lender_main, 0, true);
    exo_handle_t gate = make(RAW_CALL2(EXO_CALL_gate_create, peer.vcpu, 0));

    message_pages(WINDOW + PAGE_SIZE);
    must(RAW_CALL8(EXO_CALL_call, gate | EXO_MSG_PAGES, 1, 2, 3, 4, 5, 6, EXO_FOREVER), "a message");
    must(raw_page()->recv.npages == 1 && *(volatile uint64_t *)WINDOW == 1 ? 0 : -1, "its page");
    must(window_clear(), "unbinding it");
    row("msg4k", LOOP(ROUNDS, message_round(gate)), ROUNDS);
    must(RAW_CALL4(EXO_CALL_page_unmap, EXO_SELF_SPACE, WINDOW + PAGE_SIZE, 1, 0), "taking the page back");
    peer_end(peer);
}

static void bench_call(void)
{
    struct peer peer = peer_make(echo_main, 0, true);
    exo_handle_t gate = make(RAW_CALL2(EXO_CALL_gate_create, peer.vcpu, 0));

    RAW_CALL8(EXO_CALL_call, gate, 1, 2, 3, 4, 5, 6, EXO_FOREVER);
    row("call", LOOP(ROUNDS, RAW_CALL8(EXO_CALL_call, gate, 1, 2, 3, 4, 5, 6, EXO_FOREVER)), ROUNDS);
    peer_end(peer);
}

/* After all rows where nobody uses FP registers: from here on this vcpu does, and is looked at for that. */
static void bench_fp(void)
{
    struct peer peer = peer_make(echo_fp_main, 0, true);
    exo_handle_t gate = make(RAW_CALL2(EXO_CALL_gate_create, peer.vcpu, 0));

    RAW_CALL8(EXO_CALL_call, gate, 1, 2, 3, 4, 5, 6, EXO_FOREVER);
    row("call.fp", LOOP(ROUNDS, RAW_CALL8(EXO_CALL_call, gate, 1, 2, 3, 4, 5, 6, EXO_FOREVER); touch_fp()),
        ROUNDS);
    peer_end(peer);
}

/* arg: the event capability by which it answers. */
static void pong_main(uint64_t arg)
{
    for (;;) {
        RAW_CALL2(EXO_CALL_wait, 1, EXO_FOREVER);
        clear_event(1);
        RAW_CALL2(EXO_CALL_signal, arg, 1);
    }
}

static void bench_event(void)
{
    struct peer idle = peer_make(pong_main, 0, false);
    exo_handle_t event = make(RAW_CALL2(EXO_CALL_event_create, idle.vcpu, 1));
    exo_handle_t mine = make(RAW_CALL2(EXO_CALL_event_create, EXO_FIRST_VCPU, 1));
    struct peer pong;

    row("signal", LOOP(ROUNDS, RAW_CALL2(EXO_CALL_signal, event, 1)), ROUNDS);
    peer_end(idle);
    pong = peer_make(pong_main, 0, false);
    must(RAW_CALL2(EXO_CALL_vcpu_start, pong.vcpu, give(pong, mine)), "starting it");
    RAW_CALL2(EXO_CALL_yield, pong.vcpu, 0);
    event = make(RAW_CALL2(EXO_CALL_event_create, pong.vcpu, 1));
    row("event",
        LOOP(ROUNDS, RAW_CALL2(EXO_CALL_signal, event, 1); RAW_CALL2(EXO_CALL_wait, 1, EXO_FOREVER);
             clear_event(1)),
        ROUNDS);
    peer_end(pong);
}

static void yield_main(uint64_t arg)
{
    for (;;)
        RAW_CALL2(EXO_CALL_yield, arg, 0);
}

static void bench_yield(void)
{
    struct peer peer = peer_make(yield_main, 0, false);

    must(RAW_CALL2(EXO_CALL_vcpu_start, peer.vcpu, give(peer, EXO_FIRST_VCPU)), "starting it");
    RAW_CALL2(EXO_CALL_yield, peer.vcpu, 0);
    row("yield", LOOP(ROUNDS, RAW_CALL2(EXO_CALL_yield, peer.vcpu, 0)), 2 * ROUNDS);
    peer_end(peer);
}

/* ---- memory --------------------------------------------------------------------------------------------- */

static void bench_map(void)
{
    row("map",
        LOOP(PAGES, RAW_CALL8(EXO_CALL_page_map, EXO_SELF_SPACE, SPARE + (i + 1) * PAGE_SIZE, EXO_SELF_SPACE,
                              SPARE, 1, 3, 0, 0)),
        PAGES);
    row("protect",
        LOOP(PAGES, RAW_CALL4(EXO_CALL_page_protect, EXO_SELF_SPACE, SPARE + (i + 1) * PAGE_SIZE, 1, 1)),
        PAGES);
    row("unmap",
        LOOP(PAGES, RAW_CALL4(EXO_CALL_page_unmap, EXO_SELF_SPACE, SPARE + (i + 1) * PAGE_SIZE, 1, 0)),
        PAGES);
}

/* One of 2 MiB: per page of it, the longest of the calls that make it, and giving it back. */
static void bench_large(void)
{
    uint64_t flags = 3 | EXO_ALLOC_LARGE, done = 0, worst = 0, t0;

    BENCH_BEGIN();
    t0 = raw_time();
    for (; done < EXO_LARGE_PAGES; flags |= EXO_ALLOC_MORE) {
        uint64_t before = raw_time();
        int64_t rc = RAW_CALL8(EXO_CALL_page_alloc, EXO_SELF_SPACE, LARGE + done * PAGE_SIZE,
                               EXO_LARGE_PAGES - done, EXO_WANT_ANY, flags, 0, 0, 0);
        uint64_t ticks = raw_time() - before;

        must(rc, "a large page");
        done += (uint64_t)rc;
        worst = ticks > worst ? ticks : worst;
    }
    t0 = raw_time() - t0;
    BENCH_END();
    row("large", t0, EXO_LARGE_PAGES);
    row("large.call", worst, 1);
    row("large.unmap",
        LOOP(1, must(RAW_CALL4(EXO_CALL_page_unmap, EXO_SELF_SPACE, LARGE, EXO_LARGE_PAGES, 0),
                     "its unmapping")),
        1);
}

static void protect100(uint64_t va, unsigned prot)
{
    for (uint64_t done = 0; done < 100;) {
        int64_t n = RAW_CALL4(EXO_CALL_page_protect, EXO_SELF_SPACE, va + done * PAGE_SIZE, 100 - done, prot);

        must(n, "protecting 100 pages");
        done += (uint64_t)n;
    }
}

static void protect_and_touch(uint64_t va)
{
    protect100(va, 1);
    for (uint64_t i = 0; i < 100; i++)
        write_to(va + i * 37 % 100 * PAGE_SIZE);
}

static void bench_appel(void)
{
    uint64_t va = SPARE + 0x10000000;

    for (uint64_t i = 0; i < 100; i++)
        must(RAW_CALL8(EXO_CALL_page_alloc, EXO_SELF_SPACE, va + i * PAGE_SIZE, 1, EXO_WANT_ANY, 3, 0, 0, 0),
             "a page");
    row("protect100", LOOP(10, protect100(va, i & 1 ? 3 : 1)), 10);
    raw_handler = raw_swap;
    protect100(va, 3);
    must(RAW_CALL4(EXO_CALL_page_protect, EXO_SELF_SPACE, va, 1, 1), "protecting");
    row("appel1",
        LOOP(ROUNDS, raw_other = va + (i + 1) * 37 % 100 * PAGE_SIZE;
             write_to(va + i * 37 % 100 * PAGE_SIZE)),
        ROUNDS);
    raw_handler = raw_unprotect;
    row("appel2", LOOP(10, protect_and_touch(va)), 1000);
}

static void bench_fault(void)
{
    raw_handler = raw_skip;
    row("exception", LOOP(ROUNDS, __asm__ volatile("brk #0" : : : "memory")), ROUNDS);
    raw_handler = raw_bind;
    raw_spare = SPARE;
    row("fault", LOOP(PAGES, write_to(SPARE + (i + 1) * PAGE_SIZE)), PAGES);
    for (uint64_t i = 0; i < PAGES; i++)
        RAW_CALL4(EXO_CALL_page_unmap, EXO_SELF_SPACE, SPARE + (i + 1) * PAGE_SIZE, 1, 0);
}

static void bench_space(void)
{
    row("space",
        LOOP(100, int64_t space = RAW_CALL0(EXO_CALL_space_create);
             RAW_CALL2(EXO_CALL_space_destroy, space, 0); RAW_CALL2(EXO_CALL_cap_drop, space, 0)),
        100);
}

/* ---- interrupts: the PL011's own transmit interrupt ---------------------------------------------------------- */

enum { UARTDR = 0, UARTIMSC = 0x38 / 4, UARTICR = 0x44 / 4, TX = 1 << 5, LINE = 33 };

static exo_handle_t driver_irq;

static void driver_main(uint64_t arg)
{
    for (;;) {
        RAW_CALL2(EXO_CALL_wait, 2, EXO_FOREVER);
        clear_event(2);
        uart[UARTICR] = TX;
        RAW_CALL2(EXO_CALL_irq_ack, arg, LINE);
        shared_time = raw_time();
        BENCH_END();
        shared_count++;
    }
}

static void bench_irq(void)
{
    struct peer peer = peer_make(driver_main, 0, false);
    uint64_t ticks = 0;

    must(RAW_CALL8(EXO_CALL_mmio_map, EXO_FIRST_MMIO, peer.space, uart, uart_pa, 1, 3, 0, 0),
         "the UART for the driver");
    must(RAW_CALL4(EXO_CALL_irq_bind, EXO_FIRST_IRQ, LINE, peer.vcpu, 1), "its line");
    driver_irq = give(peer, EXO_FIRST_IRQ);
    /* Acknowledging is for the environment that the line is bound to. */
    must(RAW_CALL2(EXO_CALL_vcpu_start, peer.vcpu, driver_irq), "the driver");
    RAW_CALL2(EXO_CALL_yield, peer.vcpu, 0);
    uart[UARTICR] = TX;
    uart[UARTIMSC] = TX;
    put_text("# irq ");
    for (unsigned i = 0; i < 32; i++) {
        uint64_t before = shared_count, t0;

        BENCH_BEGIN();
        t0 = raw_time();

        uart[UARTDR] = '.';
        while (shared_count == before)
            ;
        ticks += shared_time - t0;
    }
    uart[UARTIMSC] = 0;
    put_text("\n");
    row("irq", ticks, 32);
    peer_end(peer);
}

/* ---- */

static void bench_plain(void)
{
    row("null", LOOP(ROUNDS, RAW_CALL0(EXO_CALL_null)), ROUNDS);
    bench_call();
    bench_event();
    bench_yield();
    bench_fault();
    bench_map();
}

/* What the same costs while the CPU is traced. */
static void bench_traced(void)
{
    uint64_t ring = SPARE + 0x30000000, n = 16, flags = EXO_PROT_READ | EXO_PROT_WRITE | EXO_ALLOC_CONTIG;

    for (uint64_t done = 0; done < n; flags |= EXO_ALLOC_MORE) {
        int64_t rc = RAW_CALL8(EXO_CALL_page_alloc, EXO_SELF_SPACE, ring + done * PAGE_SIZE, n - done,
                               EXO_WANT_ANY, flags, 0, 0, 0);

        must(rc, "a trace ring");
        done += (uint64_t)rc;
    }
    must(RAW_CALL8(EXO_CALL_trace_bind, EXO_FIRST_TRACE, 0, EXO_SELF_SPACE, ring, n, 0, 0, 0), "binding it");
    must(RAW_CALL4(EXO_CALL_trace_control, EXO_FIRST_TRACE, 0, EXO_TRACE_ON, 0), "tracing");
    row_prefix = "traced.";
    bench_plain();
    bench_fp();
    must(RAW_CALL4(EXO_CALL_trace_control, EXO_FIRST_TRACE, 0, EXO_TRACE_OFF, 0), "tracing no more");
    row_prefix = "untraced.";
    row("null", LOOP(ROUNDS, RAW_CALL0(EXO_CALL_null)), ROUNDS);
}

static void first_main(uint64_t arg)
{
    raw_begin(arg);
    row("loop2",
        TICKS(uint64_t n = 100000; __asm__ volatile("1: subs %0, %0, #1\n\tb.ne 1b"
                                                    : "+r"(n)
                                                    :
                                                    : "cc")),
        100000);
    bench_plain();
    bench_message();
    bench_large();
    bench_appel();
    bench_irq();
    bench_space();
    bench_fp();
    bench_traced();
    put_text("bench: done\n");
    off();
}

void (*raw_main_of)(uint64_t) = first_main;
