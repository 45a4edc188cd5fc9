/* The machine's parts: RAM, CPU, timer, interrupt lines, console. */
#define _GNU_SOURCE /* memfd_create */
#include "machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "arch/arch.h"
#include "audit.h"
#include "cpu.h"
#include "host.h"
#include "irq.h"
#include "main.h"
#include "slice.h"
#include "space.h"

#define TREE_MAX_BYTES 0x200000u

struct machine machine = {.memory = -1, .timer = EXO_FOREVER, .asid_bits = 8, .end = MACHINE_STOPPED};

static struct cpu boot_cpu;
static jmp_buf *way_out;

/* ---- leaving the kernel without its doing ---------------------------------------------------------------------- */

enum machine_end machine_try(void (*fn)(void *arg), void *arg)
{
    jmp_buf *const outer = way_out;
    jmp_buf here;

    machine.end = MACHINE_RUNS;
    way_out = &here;
    if (setjmp(here) == 0)
        fn(arg);
    way_out = outer;
    return machine.end;
}

_Noreturn void host_leave(enum machine_end end)
{
    machine.end = end;
    if (!way_out) {
        fprintf(stderr, "the machine %s outside of the test's calls: %s\n",
                end == MACHINE_IDLE ? "idles" : "stops", machine.console);
        abort();
    }
    longjmp(*way_out, 1);
}

void arch_stop(enum exo_stop_how how)
{
    machine.stopped = how;
    host_leave(MACHINE_STOPPED);
}

void arch_console_write(const char *text, size_t len)
{
    size_t room = sizeof(machine.console) - 1 - machine.console_len;

    len = len < room ? len : room;
    memcpy(machine.console + machine.console_len, text, len);
    machine.console_len += len;
}

/* ---- memory ---------------------------------------------------------------------------------------------------- */

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    perror(what);
    abort();
}

void machine_make(void)
{
    machine.memory = memfd_create("ram", 0);
    must(machine.memory >= 0 && ftruncate(machine.memory, MACHINE_LINEAR_BYTES) == 0, "the machine's memory");
    machine.linear =
        mmap(NULL, MACHINE_LINEAR_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    must(machine.linear != MAP_FAILED, "the machine's address space");
}

void machine_ram(uint64_t base, uint64_t len)
{
    void *at = mmap(machine.linear + base, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
                    machine.memory, (off_t)base);

    must(at != MAP_FAILED, "RAM");
}

void arch_map_ram(struct tree_range ram)
{
    (void)ram; /* it is all there from the beginning */
}

void arch_page_zero(void *page)
{
    memset(page, 0, PAGE_SIZE);
}

void arch_code_written(void *from, uint64_t len_bytes)
{
    (void)from;
    (void)len_bytes;
}

/* ---- boot ------------------------------------------------------------------------------------------------------ */

static void boot(void *arg)
{
    const struct tree_range *ranges = arg; /* image, tree */
    uint32_t tree_bytes;

    arch_cpu_init(&boot_cpu);
    audit_translations = tlb_show;
    spaces_init((paddr_t){ranges[0].base});
    tree_open(phys_to_virt((paddr_t){ranges[1].base}), TREE_MAX_BYTES);
    tree_blob(&tree_bytes);
    kernel_main(ranges[0], (struct tree_range){ranges[1].base, tree_bytes});
    arch_space_load((paddr_t){ranges[0].base}, 0);
    arch_tlb_flush_all();
    host_enter_user();
}

void machine_boot(uint64_t image_base, uint64_t image_len, uint64_t tree_base)
{
    struct tree_range ranges[2] = {{image_base, image_len}, {tree_base, 0}};

    machine_try(boot, ranges);
}

/* ---- time and interrupts ----------------------------------------------------------------------------------------- */

uint64_t arch_time_hz(void)
{
    return MACHINE_HZ;
}

void arch_timer_set(uint64_t deadline)
{
    machine.timer = deadline;
}

static bool timer_due(void)
{
    return machine.timer != EXO_FOREVER && machine.time >= machine.timer;
}

bool machine_irq_due(void)
{
    return timer_due() || machine.irq_raised & machine.irq_enabled;
}

void arch_wait_for_irq(void)
{
    if (machine_irq_due())
        return;
    if (machine.timer == EXO_FOREVER || machine.stay)
        host_leave(MACHINE_IDLE);
    machine.time = machine.timer;
}

void arch_irq_dispatch(void)
{
    for (uint32_t line = 0; line < MACHINE_LINES; line++) {
        uint64_t bit = 1ull << line;

        if (machine.irq_raised & machine.irq_enabled & bit) {
            machine.irq_raised &= ~bit;
            irq_arrived(line);
        }
    }
    if (timer_due())
        slice_timer();
}

bool arch_irq_usable(uint32_t line)
{
    return line >= MACHINE_LINE_MIN && line < MACHINE_LINES;
}

uint32_t arch_irq_count(void)
{
    return MACHINE_LINES;
}

void arch_irq_enable(uint32_t line)
{
    machine.irq_enabled |= 1ull << line;
}

void arch_irq_disable(uint32_t line)
{
    machine.irq_enabled &= ~(1ull << line);
}

bool arch_owns_device(uint64_t pa, uint64_t len)
{
    return pa < MACHINE_DEVICE_BASE + MACHINE_DEVICE_BYTES && pa + len > MACHINE_DEVICE_BASE;
}

/* ---- the processor ----------------------------------------------------------------------------------------------- */

void arch_cpu_init(struct cpu *cpu)
{
    machine.cpu = cpu;
}

void arch_table_sync(void)
{
}

void arch_regs_upcall(struct exo_regs *regs, uint64_t entry, uint64_t sp, uint64_t reason, uint64_t info,
                      uint64_t detail)
{
    memset(regs->x, 0, sizeof(regs->x));
    regs->x[0] = reason;
    regs->x[1] = info;
    regs->x[2] = detail;
    regs->sp = sp;
    regs->pc = entry;
    regs->pstate = HOST_IN_UPCALL;
    machine.upcalled = regs;
}

void arch_regs_sanitize(struct exo_regs *regs)
{
    regs->pstate &= 0xf0000000;
}

void arch_set_vcpu_pointer(uint64_t va)
{
    machine.vcpu_pointer = va;
}

void arch_fp_enable(bool on)
{
    machine.fp_on = on;
}

void arch_fp_init(struct arch_fp *fp)
{
    *fp = (struct arch_fp){0};
}

void arch_fp_save(struct arch_fp *fp)
{
    memcpy(fp->q, machine.fp, sizeof(fp->q));
    machine.fp_moves++;
}

void arch_fp_load(const struct arch_fp *fp)
{
    memcpy(machine.fp, fp->q, sizeof(fp->q));
    machine.fp_moves++;
}
