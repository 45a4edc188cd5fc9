/* The kernel benches: the first program of a bundle of its own, going under the libOS.
 *
 * Prints `key instructions` lines on the UART.  Meant for QEMU with -icount shift=0, where one instruction takes one
 * nanosecond; elsewhere the lines are nanoseconds.  Peers run as environments of their own, in their own spaces, that
 * share this program's pages. */
#include <libfdt.h>

#include "raw.h"

#define ROUNDS 1000
#define PAGES 64
#define SPARE 0x2000000000ull /* where the benches bind and unbind */
#define LARGE 0x2040000000ull /* likewise, large pages */
#define PEER_VCPU 0x7e00500000ull
#define PEER_STACK 0x7e00600000ull

void (*raw_main_of)(uint64_t);
void (*raw_handler)(void);
volatile uint64_t raw_spare, raw_other; /* handlers read them */
void raw_skip(void), raw_bind(void), raw_swap(void), raw_unprotect(void);

static volatile uint32_t *uart;
static uint64_t hz;
static volatile uint64_t shared_time, shared_count;

/* ---- output --------------------------------------------------------------------------------------------- */

static void put(char c)
{
    while (uart[6] & 0x20) /* UARTFR.TXFF */
        ;
    uart[0] = (unsigned char)c;
}

static void put_text(const char *s)
{
    for (; *s; s++)
        put(*s);
}

static void put_number(uint64_t n)
{
    char digits[20];
    int len = 0;

    do {
        digits[len++] = (char)('0' + n % 10);
    } while (n /= 10);
    while (len)
        put(digits[--len]);
}

static _Noreturn void off(void)
{
    RAW_CALL2(EXO_CALL_machine_stop, EXO_FIRST_MACHINE, EXO_STOP_OFF);
    for (;;)
        ;
}

_Noreturn void panic(const char *format, ...); /* for the kernel's C library, which is linked in */

void panic(const char *format, ...)
{
    put_text(format);
    off();
}

static void must(int64_t result, const char *what)
{
    if (result >= 0)
        return;
    put_text("bench: ");
    put_text(what);
    put_text(": error ");
    put_number((uint64_t)-result);
    put_text("\n");
    off();
}

static const char *prefix = "";

/* One row: the ticks that n operations took. */
static void row(const char *key, uint64_t ticks, uint64_t n)
{
    put_text(prefix);
    put_text(key);
    put(' ');
    put_number((ticks * (1000000000 / 1000) / (hz / 1000) + n / 2) / n);
    put('\n');
}

#define LOOP(n, op)                                                                                          \
    ({                                                                                                       \
        uint64_t t0_ = raw_time();                                                                           \
        for (uint64_t i = 0; i < (n); i++) {                                                                 \
            op;                                                                                              \
        }                                                                                                    \
        raw_time() - t0_;                                                                                    \
    })

/* ---- peers ---------------------------------------------------------------------------------------------- */

struct peer {
    exo_handle_t env, space, vcpu;
};

static struct exo_vcpu_page *const peer_page = (void *)PEER_VCPU;

extern char program_start[], program_data[], program_end[];

static void share(exo_handle_t space, char *from, char *to, unsigned prot)
{
    for (; from < to; from += PAGE_SIZE)
        must(RAW_CALL8(EXO_CALL_page_map, space, from, EXO_SELF_SPACE, from, 1, prot, 0, 0),
             "sharing the program");
}

/* An environment whose START upcall runs fn(arg). */
static struct peer peer_make(void (*fn)(uint64_t), uint64_t arg, bool start)
{
    int64_t both = RAW_CALL4(EXO_CALL_env_create, 64, 0, 0, 0);
    struct peer peer = {.env = (exo_handle_t)both, .space = (exo_handle_t)(both >> 32)};

    must(both, "making a peer");
    share(peer.space, program_start, program_data, EXO_PROT_READ | EXO_PROT_EXEC);
    share(peer.space, program_data, program_end, EXO_PROT_READ | EXO_PROT_WRITE);
    must(RAW_CALL8(EXO_CALL_page_alloc, peer.space, PEER_STACK - 4 * PAGE_SIZE, 4, EXO_WANT_ANY, 3, 0, 0, 0),
         "a stack");
    must(RAW_CALL8(EXO_CALL_page_alloc, peer.space, PEER_VCPU, 1, EXO_WANT_ANY, 3, 0, 0, 0), "a vcpu page");
    must(RAW_CALL8(EXO_CALL_page_map, EXO_SELF_SPACE, PEER_VCPU, peer.space, PEER_VCPU, 1, 3, 0, 0),
         "its mapping");
    peer_page->upcall_entry = (uint64_t)program_start;
    peer_page->upcall_sp = PEER_STACK;
    must(RAW_CALL4(EXO_CALL_page_unmap, EXO_SELF_SPACE, PEER_VCPU, 1, 0), "its unmapping");
    both = RAW_CALL4(EXO_CALL_vcpu_create, peer.env, 0, peer.space, PEER_VCPU);
    must(both, "a vcpu");
    peer.vcpu = (exo_handle_t)both;
    raw_main_of = fn;
    if (start) {
        must(RAW_CALL2(EXO_CALL_vcpu_start, peer.vcpu, arg), "starting it");
        RAW_CALL2(EXO_CALL_yield, peer.vcpu, 0); /* until it waits for us */
    }
    return peer;
}

static void peer_end(struct peer peer)
{
    int64_t left;

    do {
        left = RAW_CALL2(EXO_CALL_env_destroy, peer.env, 0);
    } while (left > 0);
    must(left, "taking a peer down");
    RAW_CALL2(EXO_CALL_cap_drop, peer.env, 0);
    RAW_CALL2(EXO_CALL_cap_drop, peer.space, 0);
    RAW_CALL2(EXO_CALL_cap_drop, peer.vcpu, 0);
}

static exo_handle_t give(struct peer peer, exo_handle_t cap)
{
    int64_t handle = RAW_CALL8(EXO_CALL_cap_grant, peer.env, cap, EXO_RIGHTS_ALL, 0, 0, 0, 0, 0);

    must(handle, "granting");
    return (exo_handle_t)handle;
}

static exo_handle_t make(int64_t handle)
{
    must(handle, "making a capability");
    return (exo_handle_t)handle;
}

/* ---- calls ---------------------------------------------------------------------------------------------- */

static uint64_t reply_token(uint64_t token)
{
    return (uint64_t)RAW_CALL8(EXO_CALL_reply_wait, token, 0, 0, 0, 0, 0, 0, EXO_FOREVER);
}

static void echo_main(uint64_t arg)
{
    uint64_t token = 0;

    (void)arg;
    for (;;)
        token = reply_token(token);
}

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

static void bench_call(void)
{
    struct peer peer = peer_make(echo_main, 0, true);
    exo_handle_t gate = make(RAW_CALL2(EXO_CALL_gate_create, peer.vcpu, 0));

    RAW_CALL8(EXO_CALL_call, gate, 1, 2, 3, 4, 5, 6, EXO_FOREVER);
    row("call", LOOP(ROUNDS, RAW_CALL8(EXO_CALL_call, gate, 1, 2, 3, 4, 5, 6, EXO_FOREVER)), ROUNDS);
    peer_end(peer);
    peer = peer_make(echo_fp_main, 0, true);
    gate = make(RAW_CALL2(EXO_CALL_gate_create, peer.vcpu, 0));
    RAW_CALL8(EXO_CALL_call, gate, 1, 2, 3, 4, 5, 6, EXO_FOREVER);
    row("call.fp", LOOP(ROUNDS, RAW_CALL8(EXO_CALL_call, gate, 1, 2, 3, 4, 5, 6, EXO_FOREVER); touch_fp()),
        ROUNDS);
    peer_end(peer);
}

static void clear_event(uint64_t bits)
{
    uint64_t *word = &raw_page()->events;

    __atomic_fetch_and(word, ~bits, __ATOMIC_ACQ_REL);
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
    uint64_t flags = 3 | EXO_ALLOC_LARGE, done = 0, worst = 0, t0 = raw_time();

    for (; done < EXO_LARGE_PAGES; flags |= EXO_ALLOC_MORE) {
        uint64_t before = raw_time();
        int64_t rc = RAW_CALL8(EXO_CALL_page_alloc, EXO_SELF_SPACE, LARGE + done * PAGE_SIZE,
                               EXO_LARGE_PAGES - done, EXO_WANT_ANY, flags, 0, 0, 0);
        uint64_t ticks = raw_time() - before;

        must(rc, "a large page");
        done += (uint64_t)rc;
        worst = ticks > worst ? ticks : worst;
    }
    row("large", raw_time() - t0, EXO_LARGE_PAGES);
    row("large.call", worst, 1);
    row("large.unmap",
        LOOP(1, must(RAW_CALL4(EXO_CALL_page_unmap, EXO_SELF_SPACE, LARGE, EXO_LARGE_PAGES, 0),
                     "its unmapping")),
        1);
}

static void write_to(uint64_t va)
{
    *(volatile uint64_t *)va = 1;
}

static void protect100(uint64_t va, unsigned prot)
{
    for (uint64_t done = 0; done < 100;) {
        int64_t n = RAW_CALL4(EXO_CALL_page_protect, EXO_SELF_SPACE, va + done * PAGE_SIZE, 100 - done, prot);

        must(n, "protecting 100 pages");
        done += (uint64_t)n;
    }
}

static void bench_appel(void)
{
    uint64_t va = SPARE + 0x10000000;
    uint64_t ticks = 0;

    for (uint64_t i = 0; i < 100; i++)
        must(RAW_CALL8(EXO_CALL_page_alloc, EXO_SELF_SPACE, va + i * PAGE_SIZE, 1, EXO_WANT_ANY, 3, 0, 0, 0),
             "a page");
    row("protect100", LOOP(10, protect100(va, i & 1 ? 3 : 1)), 10);
    raw_handler = raw_swap;
    protect100(va, 3);
    must(RAW_CALL4(EXO_CALL_page_protect, EXO_SELF_SPACE, va, 1, 1), "protecting");
    for (uint64_t i = 0; i < ROUNDS; i++) {
        raw_other = va + (i + 1) * 37 % 100 * PAGE_SIZE;
        ticks += ({
            uint64_t t0 = raw_time();
            write_to(va + i * 37 % 100 * PAGE_SIZE);
            raw_time() - t0;
        });
    }
    row("appel1",
        LOOP(ROUNDS, raw_other = va + (i + ROUNDS + 1) * 37 % 100 * PAGE_SIZE;
             write_to(va + (i + ROUNDS) * 37 % 100 * PAGE_SIZE)),
        ROUNDS);
    raw_handler = raw_unprotect;
    ticks = 0;
    for (unsigned round = 0; round < 10; round++)
        ticks += ({
            uint64_t t0 = raw_time();
            protect100(va, 1);
            for (uint64_t i = 0; i < 100; i++)
                write_to(va + i * 37 % 100 * PAGE_SIZE);
            raw_time() - t0;
        });
    row("appel2", ticks, 1000);
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
        shared_count++;
    }
}

static void bench_irq(uint64_t uart_pa)
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
        uint64_t before = shared_count, t0 = raw_time();

        uart[UARTDR] = '.';
        while (shared_count == before)
            ;
        ticks += shared_time - t0;
    }
    uart[UARTIMSC] = 0;
    put('\n');
    row("irq", ticks, 32);
    peer_end(peer);
}

/* ---- */

static uint64_t uart_find(const struct exo_system *system)
{
    const void *tree = (const void *)system->tree_va;
    int node = fdt_node_offset_by_compatible(tree, -1, "arm,pl011");
    const fdt32_t *reg = fdt_getprop(tree, node, "reg", NULL);

    return (uint64_t)fdt32_to_cpu(reg[0]) << 32 | fdt32_to_cpu(reg[1]);
}

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
    prefix = "traced.";
    bench_plain();
    must(RAW_CALL4(EXO_CALL_trace_control, EXO_FIRST_TRACE, 0, EXO_TRACE_OFF, 0), "tracing no more");
    prefix = "untraced.";
    row("null", LOOP(ROUNDS, RAW_CALL0(EXO_CALL_null)), ROUNDS);
}

static void first_main(uint64_t arg)
{
    uint64_t boot = raw_time();
    const struct exo_system *system = (const void *)arg;
    uint64_t uart_pa = uart_find(system);

    hz = system->counter_hz;
    uart = (void *)(SPARE + 0x20000000);
    RAW_CALL8(EXO_CALL_mmio_map, EXO_FIRST_MMIO, EXO_SELF_SPACE, uart, uart_pa, 1, 3, 0, 0);
    row("boot", boot, 1);
    raw_page()->upcall_masked = 0;
    must(RAW_CALL8(EXO_CALL_page_alloc, EXO_SELF_SPACE, SPARE, 1, EXO_WANT_ANY, 3, 0, 0, 0), "a page");
    row("loop2", ({
            uint64_t n = 100000, t0 = raw_time();
            __asm__ volatile("1: subs %0, %0, #1\n\tb.ne 1b" : "+r"(n) : : "cc");
            raw_time() - t0;
        }),
        100000);
    bench_plain();
    bench_large();
    bench_appel();
    bench_irq(uart_pa);
    bench_space();
    bench_traced();
    put_text("bench: done\n");
    off();
}

void (*raw_main_of)(uint64_t) = first_main;
