/* The PrimeCell UART (PL011), driven by interrupts.  Source: ARM DDI 0183G, chapters 2 and 3.
 *
 * The caller maps the registers and owns the interrupt line; this file owns the device.  The baud rate
 * stays what firmware set, because the clock is not the device's to know. */
#ifndef LIBOS_DEV_PL011_H
#define LIBOS_DEV_PL011_H

#include "base/mmio.h"

enum pl011_reg {                      /* DDI 0183G 3.2 */
                 PL011_DR = 0x000,    /* RW data, and receive errors above it */
                 PL011_RSR = 0x004,   /* RW receive status / error clear */
                 PL011_FR = 0x018,    /* RO flags */
                 PL011_ILPR = 0x020,  /* RW IrDA low-power counter */
                 PL011_IBRD = 0x024,  /* RW integer baud rate */
                 PL011_FBRD = 0x028,  /* RW fractional baud rate */
                 PL011_LCR_H = 0x02c, /* RW line control */
                 PL011_CR = 0x030,    /* RW control */
                 PL011_IFLS = 0x034,  /* RW interrupt FIFO level select */
                 PL011_IMSC = 0x038,  /* RW interrupt mask set/clear */
                 PL011_RIS = 0x03c,   /* RO raw interrupt status */
                 PL011_MIS = 0x040,   /* RO masked interrupt status */
                 PL011_ICR = 0x044,   /* WO interrupt clear */
                 PL011_DMACR = 0x048, /* RW DMA control */
};

enum pl011_dr { PL011_DR_FE = 1 << 8, PL011_DR_PE = 1 << 9, PL011_DR_BE = 1 << 10, PL011_DR_OE = 1 << 11 };
enum pl011_fr {
    PL011_FR_BUSY = 1 << 3,
    PL011_FR_RXFE = 1 << 4,
    PL011_FR_TXFF = 1 << 5,
    PL011_FR_TXFE = 1 << 7
};
enum pl011_lcr_h { PL011_LCR_FEN = 1 << 4, PL011_LCR_WLEN8 = 3 << 5 };
enum pl011_cr { PL011_CR_UARTEN = 1 << 0, PL011_CR_TXE = 1 << 8, PL011_CR_RXE = 1 << 9 };
enum pl011_ifls { PL011_IFLS_TX_1_8 = 0 << 0, PL011_IFLS_RX_1_2 = 2 << 3 };
enum pl011_int { /* IMSC, RIS, MIS, ICR */
                 PL011_INT_RX = 1 << 4,
                 PL011_INT_TX = 1 << 5,
                 PL011_INT_RT =
                     1 << 6, /* receive timeout: bytes below the FIFO's level have waited for 32 bit times */
                 PL011_INT_FE = 1 << 7,
                 PL011_INT_PE = 1 << 8,
                 PL011_INT_BE = 1 << 9,
                 PL011_INT_OE = 1 << 10,
                 PL011_INT_ALL = 0x7ff,
};

struct pl011 {
    mmio_t regs;
    uint32_t enabled;  /* what IMSC holds */
    uint64_t overruns; /* times that the device dropped bytes because nobody fetched them */
};

/* Take the device over: FIFOs on, eight bits, receive interrupts on.  Output under way is waited for, but
 * no longer than a FIFO takes at 300 baud. */
void pl011_init(struct pl011 *uart, mmio_t regs);

/* Clear the causes of an interrupt.  Then fetch until there is nothing, and transmit what there is. */
void pl011_irq(struct pl011 *uart);

enum pl011_rx { PL011_RX_NONE, PL011_RX_BYTE, PL011_RX_BREAK, PL011_RX_BAD };
/* The next received byte.  BAD: a framing or parity error, with the byte as it came. */
enum pl011_rx pl011_receive(struct pl011 *uart, uint8_t *byte);

/* Leave bytes in the device, which stops its sender where there is flow control; and go on, which needs a
 * pl011_receive until NONE, since old bytes interrupt no more. */
void pl011_receive_pause(struct pl011 *uart);
void pl011_receive_resume(struct pl011 *uart);

/* Fill the transmit FIFO; returns how many bytes it took.  An interrupt follows if that was not all. */
size_t pl011_transmit(struct pl011 *uart, const uint8_t *bytes, size_t len);

/* Has the last bit left? */
bool pl011_idle(const struct pl011 *uart);

#endif
