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
#include "panic.h"
#include "probe.h"
#include "slice.h"
#include "space.h"
#include "trap.h"

#define TREE_MAX_BYTES 0x200000u
#define GARBAGE_MAX (16ull << 20) /* more takes long */

struct machine machine = {.memory = -1, .ncpus = 1, .asid_bits = 8, .end = MACHINE_STOPPED};

void (*machine_zeroing)(const void *page);
void (*machine_waits)(void);

/* ---- leaving the kernel without its doing ---------------------------------------------------------------------- */

enum machine_end machine_try(void (*fn)(void *arg), void *arg)
{
    void *const outer = machine.way_out;
    jmp_buf here;

    machine.end = MACHINE_RUNS;
    machine.way_out = &here;
    if (setjmp(here) == 0)
        fn(arg);
    machine.way_out = outer;
    return machine.end;
}

_Noreturn void host_leave(enum machine_end end)
{
    machine.end = end;
    if (!machine.way_out) {
        fprintf(stderr, "the machine %s outside of the test's calls: %s\n",
                end == MACHINE_IDLE ? "idles" : "stops", machine.console);
        abort();
    }
    longjmp(*(jmp_buf *)machine.way_out, 1);
}

void arch_stop(enum exo_stop_how how)
{
    machine.stopped = how;
    host_leave(MACHINE_STOPPED);
}

struct tree_range arch_boot_code(void)
{
    return (struct tree_range){0, 0};
}

unsigned arch_callers(uint64_t *pcs, unsigned most)
{
    (void)pcs, (void)most;
    return 0; /* a debugger tells better */
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

void machine_unmake(void)
{
    munmap(machine.linear, MACHINE_LINEAR_BYTES);
    close(machine.memory);
}

void machine_ram(uint64_t base, uint64_t len)
{
    void *at = mmap(machine.linear + base, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
                    machine.memory, (off_t)base);

    must(at != MAP_FAILED, "RAM");
}

void machine_garbage(uint64_t base, uint64_t len)
{
    machine_ram(base, len);
    memset(machine.linear + base, 0xa6, min_u64(len, GARBAGE_MAX));
}

void arch_map_ram(struct tree_range ram)
{
    (void)ram; /* it is all there from the beginning */
}

void arch_page_zero(void *page)
{
    if (machine_zeroing)
        machine_zeroing(page);
    memset(page, 0, PAGE_SIZE);
}

void arch_code_written(void *from, uint64_t len_bytes)
{
    (void)from;
    (void)len_bytes;
}

/* ---- boot ------------------------------------------------------------------------------------------------------ */

static void play(unsigned cpu)
{
    machine.on = &machine.cpus[cpu];
    machine.cpu = machine.on->cpu;
    window_forget(MACHINE_WINDOW_BASE, MACHINE_WINDOW_BYTES);
}

static void boot(void *arg)
{
    const struct tree_range *ranges = arg; /* image, tree */
    uint32_t tree_bytes;

    for (unsigned i = 0; i < EXO_CPUS_MAX; i++)
        machine.cpus[i] = (struct machine_cpu){.timer = EXO_FOREVER, .root = ranges[0].base};
    play(0);
    arch_cpu_init(cpu_next());
    audit_translations = tlb_show;
    audit_device_translations = iommu_show;
    spaces_init((paddr_t){ranges[0].base});
    tree_open(phys_to_virt((paddr_t){ranges[1].base}), TREE_MAX_BYTES);
    tree_blob(&tree_bytes);
    kernel_main(ranges[0], (struct tree_range){ranges[1].base, tree_bytes});
    cpus_go();
    arch_space_load((paddr_t){ranges[0].base}, 0);
    arch_tlb_flush_all();
    trap_leave();
    host_enter_user();
}

void machine_boot(uint64_t image_base, uint64_t image_len, uint64_t tree_base)
{
    struct tree_range ranges[2] = {{image_base, image_len}, {tree_base, 0}};

    machine_try(boot, ranges);
}

unsigned arch_cpus_find(void)
{
    return machine.ncpus;
}

/* It is ready to be played. */
bool arch_cpu_start(struct cpu *cpu, unsigned which)
{
    if (machine.cpus_broken >> which & 1)
        return false;
    machine.cpus[which].cpu = cpu;
    return true;
}

void arch_cpu_stop(void)
{
    host_leave(MACHINE_STOPPED);
}

void machine_wait(void)
{
    if (machine_waits)
        machine_waits();
    else
        panic("CPU %u waits for a lock that is never dropped", machine.cpu->id);
}

static void enter_on(void *arg)
{
    (void)arg;
    host_take_irq();
    host_enter_user();
}

void machine_on(unsigned cpu)
{
    play(cpu);
    machine.end = machine.cpu->current ? MACHINE_RUNS : MACHINE_IDLE;
    if (machine_irq_due())
        machine_try(enter_on, NULL);
}

void arch_cpu_kick(const struct cpu *cpu)
{
    machine.cpus[cpu->id].kicked = true;
}

void arch_irq_route(uint32_t line, const struct cpu *cpu)
{
    machine.irq_cpu[line] = (uint8_t)cpu->id;
}

/* ---- time and interrupts ----------------------------------------------------------------------------------------- */

uint64_t arch_time_hz(void)
{
    return MACHINE_HZ;
}

void arch_timer_set(uint64_t deadline)
{
    machine.on->timer = deadline;
}

static bool timer_due(void)
{
    return machine.on->timer != EXO_FOREVER && machine.time >= machine.on->timer;
}

static bool line_due(uint32_t line)
{
    return machine.irq_raised & machine.irq_enabled & 1ull << line &&
           machine.irq_cpu[line] == machine.cpu->id;
}

static bool lpi_due(uint32_t i)
{
    return machine.lpi_raised & machine.lpi_enabled & 1ull << i && machine.lpi_cpu[i] == machine.cpu->id;
}

static bool held(void)
{
    return machine.held >> machine.cpu->id & 1;
}

bool machine_irq_due(void)
{
    if (held())
        return false;
    if (timer_due() || machine.on->kicked)
        return true;
    for (uint32_t line = 0; line < MACHINE_LINES; line++)
        if (line_due(line))
            return true;
    for (uint32_t i = 0; i < MACHINE_LPIS; i++)
        if (lpi_due(i))
            return true;
    return false;
}

/* Time does not pass before they had their turn. */
static bool others_kicked(void)
{
    for (unsigned i = 0; i < machine.ncpus; i++)
        if (&machine.cpus[i] != machine.on && machine.cpus[i].kicked)
            return true;
    return false;
}

void arch_wait_for_irq(void)
{
    if (machine_irq_due())
        return;
    if (machine.on->timer == EXO_FOREVER || machine.stay || held() || others_kicked())
        host_leave(MACHINE_IDLE);
    machine.time = machine.on->timer;
}

static void taken(uint32_t line, bool timer)
{
    if (machine.on->traced)
        probe_irq(line, timer);
}

void arch_irq_dispatch(void)
{
    if (held())
        return;
    if (machine.on->kicked) {
        machine.on->kicked = false;
        taken(MACHINE_KICK_LINE, false);
        cpu_kicked();
    }
    for (uint32_t line = 0; line < MACHINE_LINES; line++)
        if (line_due(line)) {
            machine.irq_raised &= ~(1ull << line);
            taken(line, false);
            irq_arrived(line);
        }
    for (uint32_t i = 0; i < MACHINE_LPIS; i++)
        if (lpi_due(i)) {
            machine.lpi_raised &= ~(1ull << i);
            taken(MACHINE_LPI_MIN + i, false);
            irq_arrived(MACHINE_LPI_MIN + i);
        }
    if (timer_due()) {
        taken(MACHINE_TIMER_LINE, true);
        slice_timer();
    }
}

void arch_trace_enable(bool on)
{
    machine.on->traced = on;
}

void arch_trace_possible(bool possible)
{
    (void)possible; /* each interrupt asks */
}

bool arch_irq_usable(uint32_t line)
{
    return line >= MACHINE_LINE_MIN && line < MACHINE_LINES;
}

uint32_t arch_irq_count(void)
{
    return MACHINE_LINES;
}

static uint64_t *enabled_of(uint32_t line)
{
    return line < MACHINE_LPI_MIN ? &machine.irq_enabled : &machine.lpi_enabled;
}

static uint64_t bit_of(uint32_t line)
{
    _Static_assert(MACHINE_LPI_MIN % 64 == 0, "the first LPI is bit 0");
    return 1ull << line % 64;
}

void arch_irq_enable(uint32_t line)
{
    *enabled_of(line) |= bit_of(line);
}

void arch_irq_disable(uint32_t line)
{
    *enabled_of(line) &= ~bit_of(line);
}

bool arch_irq_enabled(uint32_t line)
{
    return *enabled_of(line) & bit_of(line);
}

bool arch_owns_device(uint64_t pa, uint64_t len)
{
    return pa < MACHINE_DEVICE_BASE + MACHINE_DEVICE_BYTES && pa + len > MACHINE_DEVICE_BASE;
}

/* ---- the processor ----------------------------------------------------------------------------------------------- */

void arch_cpu_init(struct cpu *cpu)
{
    machine.on->cpu = machine.cpu = cpu;
}

void arch_table_sync(void)
{
}

void arch_regs_upcall(struct exo_regs *regs, uint64_t entry, uint64_t sp, uint64_t reason, uint64_t info,
                      uint64_t detail)
{
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
    machine.on->vcpu_pointer = va;
}

void arch_fp_enable(bool on)
{
    machine.on->fp_on = on;
}

void arch_fp_switch(struct arch_fp *from, const struct arch_fp *to)
{
    if (from) {
        memcpy(from->q, machine.on->fp, sizeof(from->q));
        machine.fp_moves++;
    }
    memcpy(machine.on->fp, to->q, sizeof(to->q));
    machine.fp_moves++;
}
