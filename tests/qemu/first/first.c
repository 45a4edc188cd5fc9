#include "first.h"

#include <libfdt.h>

const struct exo_system *machine;
uint64_t uart_at;
volatile uint32_t *uart = (volatile uint32_t *)UART_VA;

/* ---- output --------------------------------------------------------------------------------------------- */

void put(char c)
{
    while (uart[6] & 0x20) /* UARTFR.TXFF */
        ;
    uart[0] = (unsigned char)c;
}

void print(const char *text)
{
    while (*text)
        put(*text++);
}

void print_hex(uint64_t n)
{
    int shift = 60;

    print("0x");
    while (shift && !(n >> shift))
        shift -= 4;
    for (; shift >= 0; shift -= 4)
        put("0123456789abcdef"[n >> shift & 15]);
}

void print_number(uint64_t n)
{
    char text[24];
    unsigned at = sizeof(text);

    text[--at] = 0;
    do
        text[--at] = (char)('0' + n % 10);
    while (n /= 10);
    print(text + at);
}

/* ---- odds and ends ---------------------------------------------------------------------------------------- */

struct exo_vcpu_page *my_page(void)
{
    struct exo_vcpu_page *page;

    __asm__ volatile("mrs %0, tpidrro_el0" : "=r"(page));
    return page;
}

uint64_t now(void)
{
    uint64_t ticks;

    __asm__ volatile("isb\n\tmrs %0, cntvct_el0" : "=r"(ticks) : : "memory");
    return ticks;
}

uint64_t after_ms(uint64_t ms)
{
    return now() + machine->counter_hz / 1000 * ms;
}

/* libfdt is compiled with stack protection. */
uint64_t __stack_chk_guard = 0x5afe;
_Noreturn void __stack_chk_fail(void);

_Noreturn void __stack_chk_fail(void)
{
    print("not ok - libfdt overran its stack\n");
    exo_machine_stop(EXO_FIRST_MACHINE, EXO_STOP_OFF);
    for (;;)
        exo_env_exit(99);
}

/* ---- the device tree -------------------------------------------------------------------------------------- */

static const void *property(const char *compatible, const char *name, int bytes)
{
    const void *tree = (const void *)machine->tree_va;
    int len = 0, node = fdt_node_offset_by_compatible(tree, -1, compatible);
    const void *found = node < 0 ? NULL : fdt_getprop(tree, node, name, &len);

    return found && len >= bytes ? found : NULL;
}

uint64_t tree_reg(const char *compatible)
{
    const fdt64_t *reg = property(compatible, "reg", 8);

    return reg ? fdt64_to_cpu(*reg) : 0;
}

uint32_t tree_line(const char *compatible)
{
    const fdt32_t *line = property(compatible, "interrupts", 12);

    return line && fdt32_to_cpu(line[0]) == 0 ? 32 + fdt32_to_cpu(line[1]) : 0;
}

const char *tree_words(void)
{
    const void *tree = (const void *)machine->tree_va;
    int chosen = fdt_path_offset(tree, "/chosen");
    const char *words = chosen < 0 ? NULL : fdt_getprop(tree, chosen, "bootargs", NULL);

    return words ? words : "";
}

void first_begin(void)
{
    machine = (const struct exo_system *)EXO_FIRST_SYSTEM_VA;
    uart_at = tree_reg("arm,pl011");
    if (exo_mmio_map(EXO_FIRST_MMIO, EXO_SELF_SPACE, UART_VA, uart_at, 1, RW) != 1)
        exo_machine_stop(EXO_FIRST_MACHINE, EXO_STOP_OFF);
}
