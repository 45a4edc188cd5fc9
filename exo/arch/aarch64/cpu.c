/* The processor: spaces, registers, FP, time, caches. */
#include "cpu.h"

#include "arch/arch.h"
#include "asm.h"
#include "gic.h"
#include "panic.h"

_Static_assert(offsetof(struct cpu, current) == CPU_CURRENT, "entry.S knows this offset");
_Static_assert(offsetof(struct cpu, resched) == CPU_RESCHED, "entry.S knows this offset");
_Static_assert(offsetof(struct cpu, calls) == CPU_CALLS, "entry.S knows this offset");
_Static_assert(EXO_CALL_resume == 0, "entry.S knows this number");
_Static_assert(offsetof(struct exo_regs, sp) == REGS_SP, "entry.S knows this offset");
_Static_assert(offsetof(struct exo_regs, pstate) == REGS_STATE, "entry.S knows this offset");
_Static_assert(offsetof(struct cpu, panic_stack) == CPU_PANIC_STACK, "entry.S knows this offset");

#define READ(reg)                                                                                            \
    ({                                                                                                       \
        uint64_t v_;                                                                                         \
        __asm__ volatile("mrs %0, " #reg : "=r"(v_));                                                        \
        v_;                                                                                                  \
    })
#define WRITE(reg, value) __asm__ volatile("msr " #reg ", %0" : : "r"((uint64_t)(value)) : "memory")

void arch_cpu_init(struct cpu *cpu)
{
    WRITE(tpidr_el1, cpu);
    WRITE(cntkctl_el1, 2); /* user mode reads the virtual counter */
    WRITE(cpacr_el1, CPACR_FP_KERNEL);
    WRITE(mdscr_el1, 0);
    arch_timer_set(EXO_FOREVER);
    __asm__ volatile("isb");
}

void arch_cpu_stop(void)
{
    for (;;)
        __asm__ volatile("wfi");
}

extern char vectors[], vectors_traced[];

void arch_trace_enable(bool on)
{
    WRITE(vbar_el1, on ? vectors_traced : vectors);
    __asm__ volatile("isb");
}

uint64_t arch_time_hz(void)
{
    return READ(cntfrq_el0);
}

void arch_timer_set(uint64_t deadline)
{
    if (deadline == EXO_FOREVER) {
        WRITE(cntv_ctl_el0, 2); /* off, masked */
        return;
    }
    WRITE(cntv_cval_el0, deadline);
    WRITE(cntv_ctl_el0, 1);
}

void arch_wait_for_irq(void)
{
    __asm__ volatile("dsb sy\n\twfi" : : : "memory");
}

static inline char *line_zero(char *at, uint64_t line)
{
    __asm__ volatile("dc zva, %0" : : "r"(at) : "memory");
    return at + line;
}

void arch_page_zero(void *page)
{
    uint64_t info = READ(dczid_el0);
    uint64_t line = 4ull << (info & 15);

    if (info & 16 || line > PAGE_SIZE / 16) {
        uint64_t *word = page;

        for (unsigned i = 0; i < PAGE_SIZE / 8; i++)
            ((volatile uint64_t *)word)[i] = 0;
        return;
    }
    for (char *at = page, *end = at + PAGE_SIZE; at < end;) {
#define FOUR at = line_zero(line_zero(line_zero(line_zero(at, line), line), line), line)
        FOUR;
        FOUR;
        FOUR;
        FOUR;
#undef FOUR
    }
}

void arch_code_written(void *from, uint64_t len)
{
    uint64_t ctr = READ(ctr_el0);
    uint64_t dline = 4ull << (ctr >> 16 & 15);

    for (uint64_t at = align_down((uint64_t)from, dline); at < (uint64_t)from + len; at += dline)
        __asm__ volatile("dc cvau, %0" : : "r"(at) : "memory");
    /* The code runs at another address than it was written to: all of the instruction cache. */
    __asm__ volatile("dsb ish\n\tic ialluis\n\tdsb ish\n\tisb" : : : "memory");
}

unsigned arch_asid_bits(void)
{
    return READ(tcr_el1) >> 36 & 1 ? 16 : 8;
}

void arch_space_load(paddr_t root, uint32_t asid)
{
    WRITE(ttbr0_el1, root.v | (uint64_t)asid << 48);
    __asm__ volatile("isb");
}

void arch_table_sync(void)
{
    __asm__ volatile("dsb ishst\n\tisb" : : : "memory");
}

void arch_regs_upcall(struct exo_regs *regs, uint64_t entry, uint64_t sp, uint64_t reason, uint64_t info,
                      uint64_t detail)
{
    regs->x[0] = reason;
    regs->x[1] = info;
    regs->x[2] = detail;
    regs->sp = sp;
    regs->pc = entry;
    regs->pstate = 0;
}

void arch_regs_sanitize(struct exo_regs *regs)
{
    regs->pstate &= 0xf0000000; /* N, Z, C, V; all else is EL0, AArch64, interrupts on */
}

void arch_set_vcpu_pointer(uint64_t va)
{
    WRITE(tpidrro_el0, va);
}
