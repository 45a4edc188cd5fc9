/* The machine's own part of boot, and the devices that the kernel drives itself: console, timer, power. */
#include "arch/arch.h"
#include "cpu.h"
#include "gic.h"
#include "main.h"
#include "mmu.h"
#include "panic.h"
#include "space.h"
#include "tree.h"

#define TREE_MAX_BYTES 0x200000u

extern char text_start[], image_end[];

static struct cpu boot_cpu;

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

static void console_init(void)
{
    static const char *const compatible[] = {"arm,pl011", NULL};
    struct tree_range reg;
    int node = tree_stdout();

    if (node < 0)
        node = tree_find(compatible);
    if (node >= 0 && tree_reg(node, 0, &reg) && reg.len >= PAGE_SIZE)
        uart = mmu_map_device(reg.base, PAGE_SIZE);
}

/* ---- power: PSCI (DEN 0022) --------------------------------------------------------------------------------- */

enum psci { PSCI_SYSTEM_OFF = 0x84000008u, PSCI_SYSTEM_RESET = 0x84000009u };
static enum { CONDUIT_NONE, CONDUIT_HVC, CONDUIT_SMC } conduit;

static void psci_init(void)
{
    static const char *const compatible[] = {"arm,psci-1.0", "arm,psci-0.2", NULL};
    const char *method = tree_find(compatible) < 0 ? NULL : tree_text("/psci", "method");

    if (method)
        conduit = method[0] == 'h' ? CONDUIT_HVC : CONDUIT_SMC;
}

void arch_stop(enum exo_stop_how how)
{
    register uint64_t x0 __asm__("x0") = how == EXO_STOP_RESET ? PSCI_SYSTEM_RESET : PSCI_SYSTEM_OFF;

    if (conduit == CONDUIT_HVC)
        __asm__ volatile("hvc #0" : "+r"(x0) : : "x1", "x2", "x3", "memory");
    else if (conduit == CONDUIT_SMC)
        __asm__ volatile("smc #0" : "+r"(x0) : : "x1", "x2", "x3", "memory");
    for (;;)
        __asm__ volatile("wfi");
}

/* ---- timer --------------------------------------------------------------------------------------------------- */

/* The virtual timer's line: third of the node's interrupts, a private line (first cell 1, 16 and up). */
static void timer_init(void)
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

void arch_boot(uint64_t tree_pa, uint64_t image_pa)
{
    struct tree_range image = {image_pa, (uint64_t)(image_end - text_start)};
    uint32_t tree_bytes;

    arch_cpu_init(&boot_cpu);
    if (tree_pa == 0)
        boot_fail("no device tree was handed over");
    if (tree_peek((const void *)tree_pa, TREE_MAX_BYTES)) { /* one to one, for now */
        psci_init();
        console_init();
    }
    tree_open((const void *)tree_pa, TREE_MAX_BYTES);
    tree_blob(&tree_bytes);
    mmu_protect_image((paddr_t){image_pa});
    spaces_init(mmu_empty_root());
    gic_init();
    timer_init();
    kernel_main(image, (struct tree_range){tree_pa, tree_bytes});
    arch_space_load(mmu_empty_root(), 0);
    arch_tlb_flush_all();
}
