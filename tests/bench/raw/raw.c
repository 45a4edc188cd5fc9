/* What the benches' programs share: output, peers. */
#include "raw.h"

#include <libfdt.h>

#define PEER_VCPU 0x7e00500000ull
#define PEER_STACK 0x7e00600000ull

volatile uint32_t *uart;
const struct exo_system *raw_system;
uint64_t uart_pa;

/* ---- output --------------------------------------------------------------------------------------------- */

static void put(char c)
{
    while (uart[6] & 0x20) /* UARTFR.TXFF */
        ;
    uart[0] = (unsigned char)c;
}

void put_text(const char *s)
{
    for (; *s; s++)
        put(*s);
}

void put_number(uint64_t n)
{
    char digits[20];
    int len = 0;

    do {
        digits[len++] = (char)('0' + n % 10);
    } while (n /= 10);
    while (len)
        put(digits[--len]);
}

_Noreturn void off(void)
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

void must(int64_t result, const char *what)
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

const char *row_prefix = "";

/* One row: the ticks that n operations took. */
void row(const char *key, uint64_t ticks, uint64_t n)
{
    put_text(row_prefix);
    put_text(key);
    put(' ');
    put_number((ticks * (1000000000 / 1000) / (raw_system->counter_hz / 1000) + n / 2) / n);
    put(' ');
    put_number(n);
    put('\n');
    BENCH_ROW();
}

/* ---- peers ---------------------------------------------------------------------------------------------- */

static struct exo_vcpu_page *const peer_page = (void *)PEER_VCPU;

extern char program_start[], program_data[], program_end[];

static void share(exo_handle_t space, char *from, char *to, unsigned prot)
{
    for (; from < to; from += PAGE_SIZE)
        must(RAW_CALL8(EXO_CALL_page_map, space, from, EXO_SELF_SPACE, from, 1, prot, 0, 0),
             "sharing the program");
}

struct peer peer_make_on(unsigned cpu, unsigned frames, void (*fn)(uint64_t), uint64_t arg, bool start)
{
    int64_t both = RAW_CALL4(EXO_CALL_env_create, frames, 0, 0, 0);
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
    both = RAW_CALL4(EXO_CALL_vcpu_create, peer.env, cpu, peer.space, PEER_VCPU);
    must(both, "a vcpu");
    peer.vcpu = (exo_handle_t)both;
    raw_main_of = fn;
    if (start) {
        must(RAW_CALL2(EXO_CALL_vcpu_start, peer.vcpu, arg), "starting it");
        RAW_CALL2(EXO_CALL_yield, peer.vcpu, 0); /* until it waits for us */
    }
    return peer;
}

struct peer peer_make(void (*fn)(uint64_t), uint64_t arg, bool start)
{
    return peer_make_on(0, 64, fn, arg, start);
}

void peer_end(struct peer peer)
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

exo_handle_t give(struct peer peer, exo_handle_t cap)
{
    int64_t handle = RAW_CALL8(EXO_CALL_cap_grant, peer.env, cap, EXO_RIGHTS_ALL, 0, 0, 0, 0, 0);

    must(handle, "granting");
    return (exo_handle_t)handle;
}

exo_handle_t make(int64_t handle)
{
    must(handle, "making a capability");
    return (exo_handle_t)handle;
}

void echo_main(uint64_t arg)
{
    uint64_t token = 0;

    (void)arg;
    for (;;)
        token = reply_token(token);
}

/* ---- the beginning -------------------------------------------------------------------------------------------- */

static uint64_t uart_find(void)
{
    const void *tree = (const void *)raw_system->tree_va;
    int node = fdt_node_offset_by_compatible(tree, -1, "arm,pl011");
    const fdt32_t *reg = fdt_getprop(tree, node, "reg", NULL);

    return (uint64_t)fdt32_to_cpu(reg[0]) << 32 | fdt32_to_cpu(reg[1]);
}

void raw_begin(uint64_t arg)
{
    uint64_t boot = raw_time();

    BENCH_END();
    raw_system = (const void *)arg;
    uart_pa = uart_find();
    uart = (void *)(SPARE + 0x20000000);
    RAW_CALL8(EXO_CALL_mmio_map, EXO_FIRST_MMIO, EXO_SELF_SPACE, uart, uart_pa, 1, 3, 0, 0);
    row("boot", boot, 1);
    raw_page()->upcall_masked = 0;
    must(RAW_CALL8(EXO_CALL_page_alloc, EXO_SELF_SPACE, SPARE, 1, EXO_WANT_ANY, 3, 0, 0, 0), "a page");
}
