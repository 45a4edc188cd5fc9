/* The console server: a PL011 by interrupts, a line discipline, and whoever reads and writes.  Service "console". */
#include <errno.h>
#include <string.h>

#include "libos/dev/pl011.h"
#include "libos/tty/console.h"
#include "os/exo.h"
#include "os/mem.h"
#include "os/rt.h"
#include "os/start.h"

static struct console console;
static struct pl011 uart;
static const struct os_start_grant *irq;
static int irq_bit; /* of the event word */
static bool may_have =
    true; /* the device may hold bytes: it interrupted, or there was no room for all of them */

/* ---- the device, as the console sees it ------------------------------------------------------------------------ */

static size_t uart_transmit(void *ctx, const uint8_t *bytes, size_t len)
{
    return pl011_transmit(ctx, bytes, len);
}

static bool uart_idle(void *ctx)
{
    return pl011_idle(ctx);
}

static void uart_discard(void *ctx)
{
    uint8_t byte;
    while (pl011_receive(ctx, &byte) != PL011_RX_NONE)
        ;
}

/* Fetch what there is while there is room for it; the rest stays in the device, which is quiet until then. */
static bool uart_fetch(void *ctx)
{
    enum pl011_rx got = PL011_RX_BYTE;
    bool some = false;
    uint8_t byte;
    if (!may_have)
        return false;
    while (got != PL011_RX_NONE && console_can_receive(&console)) {
        got = pl011_receive(ctx, &byte);
        some = some || got != PL011_RX_NONE;
        if (got == PL011_RX_BYTE)
            console_receive(&console, byte);
        else if (got == PL011_RX_BREAK)
            console_break(&console);
    }
    may_have = got != PL011_RX_NONE;
    if (may_have)
        pl011_receive_pause(ctx);
    else
        pl011_receive_resume(ctx);
    return some;
}

static const struct console_dev uart_dev = {uart_transmit, uart_fetch, uart_idle, uart_discard};

static void event(struct os_server *os, uint64_t bits)
{
    bool interrupt = (bits & OS_EVENT_MASK(irq_bit)) != 0;
    (void)os;
    if (interrupt) {
        pl011_irq(&uart);
        may_have = true;
    }
    console_pump(&console);
    if (interrupt)
        (void)exo_irq_ack(irq->handle, irq->base);
    if (bits & OS_EVENT_MASK(OS_EVENT_FLUSH))
        console_stop(&console);
}

/* ---- start ------------------------------------------------------------------------------------------------------ */

static int map_uart(mmio_t *regs)
{
    const struct os_start_grant *mmio = os_start_grant_nth(os_start_block(), OS_GRANT_MMIO, 0);
    if (mmio == NULL)
        return -ENODEV;
    uint64_t within = mmio->base & PAGE_MASK, va;
    const struct os_map map = {
        .kind = OS_REGION_DEVICE,
        .prot = EXO_PROT_READ | EXO_PROT_WRITE,
        .npages = (within + mmio->bytes + PAGE_MASK) >> PAGE_SHIFT,
        .from = mmio->handle,
        .source = mmio->base - within,
    };
    int err = os_map_region(&map, &va);
    regs->base = (uintptr_t)(va + within);
    return err;
}

static int bind_irq(void)
{
    irq = os_start_grant_nth(os_start_block(), OS_GRANT_IRQ, 0);
    if (irq == NULL)
        return -ENODEV;
    irq_bit = os_event_alloc();
    if (irq_bit < 0)
        return irq_bit;
    return (int)os_from_exo(exo_irq_bind(irq->handle, irq->base, OS_HANDLE_VCPU, (uint64_t)irq_bit));
}

static const struct os_log_ring *log_ring(void)
{
    const struct os_start_grant *log = os_start_grant_find(os_start_block(), "log", OS_GRANT_MEMORY);
    return log == NULL ? NULL : (const struct os_log_ring *)(uintptr_t)log->base;
}

static int start(const char **what)
{
    mmio_t regs;
    *what = "registers";
    int err = map_uart(&regs);
    if (err != 0)
        return err;
    *what = "interrupt";
    err = bind_irq();
    if (err != 0)
        return err;
    pl011_init(&uart, regs);
    console_init(&console, &uart_dev, &uart, log_ring());
    console.os.event = event;
    console.os.events = OS_EVENT_MASK(irq_bit) | OS_EVENT_MASK(OS_EVENT_LOG) | OS_EVENT_MASK(OS_EVENT_FLUSH);
    *what = "service";
    return os_server_start(&console.os);
}

int main(void)
{
    const char *what;
    int err = start(&what);
    if (err != 0) {
        os_log("consoled: %s: %s\n", what, strerror(-err));
        return 1;
    }
    console_pump(&console);
    return os_serve(&console.os) != 0;
}
