/* The machine's own part of boot, and the devices that the kernel drives itself: console and timer. */
#include "arch/arch.h"
#include "cpu.h"
#include "gic.h"
#include "main.h"
#include "mmu.h"
#include "panic.h"
#include "psci.h"
#include "space.h"
#include "tree.h"

#define TREE_MAX_BYTES 0x200000u

extern char text_start[], image_end[], panic_stack_top[];

/* ---- console: PL011 (ARM DDI 0183), polled, for last words --------------------------------------------------- */

enum pl011 {
    UARTDR = 0x00, /* RW: data */
    UARTFR = 0x18, /* RO: flags */
};
#define UARTFR_TXFF (1u << 5)

static volatile char *uart;

static void uart_put(char c)
{
    while (*(volatile uint32_t *)(volatile void *)(uart + UARTFR) & UARTFR_TXFF)
        ;
    *(volatile uint32_t *)(volatile void *)(uart + UARTDR) = (unsigned char)c;
}

void arch_console_write(const char *text, size_t len)
{
    for (size_t i = 0; uart && i < len; i++) {
        if (text[i] == '\n')
            uart_put('\r');
        uart_put(text[i]);
    }
}

BOOT static void console_init(void)
{
    static const char *const compatible[] = {"arm,pl011", NULL};
    struct tree_range reg;
    int node = tree_stdout();

    if (node < 0)
        node = tree_find(compatible);
    if (node >= 0 && tree_reg(node, 0, &reg) && reg.len >= PAGE_SIZE)
        uart = mmu_map_device(reg.base, PAGE_SIZE);
}

/* ---- timer --------------------------------------------------------------------------------------------------- */

/* The virtual timer's line: third of the node's interrupts, a private line (first cell 1, 16 and up). */
BOOT static void timer_init(void)
{
    static const char *const compatible[] = {"arm,armv8-timer", NULL};
    int node = tree_find(compatible);
    uint32_t type, line;

    if (node < 0)
        boot_fail("device tree: no arm,armv8-timer node, so there is no clock to run by");
    if (!tree_cell(node, "interrupts", 6, &type) || !tree_cell(node, "interrupts", 7, &line) || type != 1 ||
        line > 15)
        boot_fail("device tree: the timer's interrupts do not name a private line for the virtual timer");
    if (arch_time_hz() < 1000000)
        boot_fail("timer: its frequency register says %lu Hz, which is too slow",
                  (unsigned long)arch_time_hz());
    gic_timer_line(16 + line);
}

/* ---- */

void arch_boot(uint64_t tree_pa, uint64_t image_pa);

BOOT void arch_boot(uint64_t tree_pa, uint64_t image_pa)
{
    struct tree_range image = {image_pa, (uint64_t)(image_end - text_start)};
    uint32_t tree_bytes;

    arch_cpu_init(cpu_next());
    cpu_this()->panic_stack = panic_stack_top;
    if (tree_pa == 0)
        boot_fail("no device tree was handed over");
    if (tree_peek((const void *)tree_pa, TREE_MAX_BYTES)) { /* one to one, for now */
        psci_init();
        console_init();
    }
    tree_accept();
    tree_blob(&tree_bytes);
    mmu_protect_image((paddr_t){image_pa});
    spaces_init(mmu_empty_root());
    gic_init();
    timer_init();
    kernel_main(image, (struct tree_range){tree_pa, tree_bytes});
    arch_space_load(mmu_empty_root(), 0);
    arch_tlb_flush_all();
}
