#include "say.h"

#include <libfdt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "devtree.h"
#include "init.h"
#include "os/mem.h"

#define LINE_MAX_BYTES 400u

/* PL011 (Arm PrimeCell UART, DDI 0183): data, and flags. */
enum pl011 { PL011_DR = 0x00, PL011_FR = 0x18, PL011_FR_TXFF = 1 << 5 };

static _Alignas(PAGE_SIZE) struct os_log_ring log_ring;

static int uart_found(void *ctx, const struct device *device)
{
    struct say *say = ctx;
    struct os_map what = {.kind = OS_REGION_DEVICE,
                          .prot = EXO_PROT_READ | EXO_PROT_WRITE,
                          .npages = 1,
                          .from = EXO_FIRST_MMIO};
    uint64_t va;

    if (device->nwindows == 0)
        return 0;
    what.source = align_down(device->windows[0].base, PAGE_SIZE);
    if (os_map_region(&what, &va) == 0)
        say->uart = (volatile uint32_t *)(uintptr_t)(va + (device->windows[0].base & PAGE_MASK));
    return 0;
}

static bool stdout_is_pl011(const void *tree)
{
    int len, chosen = fdt_path_offset(tree, "/chosen");
    const char *path = chosen < 0 ? NULL : fdt_getprop(tree, chosen, "stdout-path", &len);
    int node = path && len > 0 ? fdt_path_offset_namelen(tree, path, (int)strcspn(path, ":")) : -1;

    return node >= 0 && fdt_node_check_compatible(tree, node, "arm,pl011") == 0;
}

void say_init(struct say *say, const void *tree)
{
    char why[DEVTREE_WHY_BYTES];

    *say = (struct say){.ring = &log_ring};
    if (stdout_is_pl011(tree))
        (void)devtree_each(tree, "stdout", uart_found, say, why);
}

static void uart_put(volatile uint32_t *uart, char c)
{
    for (unsigned tries = 0; uart[PL011_FR / 4] & PL011_FR_TXFF && tries < 1000000; tries++) {
    }
    uart[PL011_DR / 4] = (uint8_t)c;
}

static void print(const struct say *say, const char *text, size_t bytes)
{
    for (size_t i = 0; say->uart && i < bytes; i++) {
        if (text[i] == '\n')
            uart_put(say->uart, '\r');
        uart_put(say->uart, text[i]);
    }
    say->ring->printed = say->ring->written;
}

static void append(struct os_log_ring *ring, const char *text, size_t bytes)
{
    uint64_t at = ring->written;

    for (size_t i = 0; i < bytes; i++)
        ring->text[(at + i) % sizeof(ring->text)] = text[i];
    __atomic_store_n(&ring->written, at + bytes, __ATOMIC_RELEASE);
}

void say(struct say *say, const char *format, ...)
{
    char line[LINE_MAX_BYTES];
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(line, sizeof(line) - 1, format, args);
    va_end(args);
    if (n < 0)
        return;
    n = n < (int)sizeof(line) - 1 ? n : (int)sizeof(line) - 2;
    line[n++] = '\n';
    append(say->ring, line, (size_t)n);
    if (say->console)
        child_signal(say->console, OS_EVENT_MASK(OS_EVENT_LOG));
    else
        print(say, line, (size_t)n);
}

void say_to(struct say *say, const struct proc *console)
{
    say->console = console;
}
