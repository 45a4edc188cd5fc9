#include "libos/dev/pl011.h"

#define INT_RECEIVE (PL011_INT_RX | PL011_INT_RT | PL011_INT_OE)
#define BUSY_LOOKS 10000000u

static uint32_t flags(const struct pl011 *uart)
{
    return mmio_read32(uart->regs, PL011_FR);
}

static void enable(struct pl011 *uart, uint32_t set, uint32_t clear)
{
    uint32_t now = (uart->enabled & ~clear) | set;
    if (now == uart->enabled)
        return;
    uart->enabled = now;
    mmio_write32(uart->regs, PL011_IMSC, now);
}

/* 3.3.8: LCR_H may only change while the UART is off, and it goes off only when it is not busy. */
void pl011_init(struct pl011 *uart, mmio_t regs)
{
    *uart = (struct pl011){.regs = regs};
    mmio_write32(regs, PL011_IMSC, 0);
    for (uint32_t i = 0; i < BUSY_LOOKS && flags(uart) & PL011_FR_BUSY; i++)
        ;
    mmio_write32(regs, PL011_CR, 0);
    mmio_write32(regs, PL011_LCR_H, PL011_LCR_FEN | PL011_LCR_WLEN8);
    mmio_write32(regs, PL011_IFLS, PL011_IFLS_TX_1_8 | PL011_IFLS_RX_1_2);
    mmio_write32(regs, PL011_DMACR, 0);
    mmio_write32(regs, PL011_ICR, PL011_INT_ALL);
    mmio_write32(regs, PL011_CR, PL011_CR_UARTEN | PL011_CR_TXE | PL011_CR_RXE);
    enable(uart, INT_RECEIVE, 0);
}

/* Cleared before the FIFO is read, so that a byte that comes meanwhile interrupts again. */
void pl011_irq(struct pl011 *uart)
{
    uint32_t pending = mmio_read32(uart->regs, PL011_MIS);
    if (pending & PL011_INT_OE)
        uart->overruns++;
    mmio_write32(uart->regs, PL011_ICR, pending);
}

enum pl011_rx pl011_receive(struct pl011 *uart, uint8_t *byte)
{
    if (flags(uart) & PL011_FR_RXFE)
        return PL011_RX_NONE;
    uint32_t data = mmio_read32(uart->regs, PL011_DR);
    *byte = (uint8_t)data;
    if (data & PL011_DR_BE)
        return PL011_RX_BREAK;
    return data & (PL011_DR_FE | PL011_DR_PE) ? PL011_RX_BAD : PL011_RX_BYTE;
}

void pl011_receive_pause(struct pl011 *uart)
{
    enable(uart, 0, PL011_INT_RX | PL011_INT_RT);
}

void pl011_receive_resume(struct pl011 *uart)
{
    enable(uart, PL011_INT_RX | PL011_INT_RT, 0);
}

/* 2.8.2: the transmit interrupt comes when the FIFO falls through its level, so it is filled first. */
size_t pl011_transmit(struct pl011 *uart, const uint8_t *bytes, size_t len)
{
    size_t done = 0;
    while (done < len && !(flags(uart) & PL011_FR_TXFF))
        mmio_write32(uart->regs, PL011_DR, bytes[done++]);
    if (done < len)
        enable(uart, PL011_INT_TX, 0);
    else
        enable(uart, 0, PL011_INT_TX);
    return done;
}

bool pl011_idle(const struct pl011 *uart)
{
    return (flags(uart) & (PL011_FR_BUSY | PL011_FR_TXFE)) == PL011_FR_TXFE;
}
