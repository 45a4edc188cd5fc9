/* Kernel entries, step by step as an architecture's assembly makes them. */
#include <string.h>

#include "fp.h"
#include "host.h"
#include "panic.h"
#include "probe.h"
#include "slice.h"
#include "syscall.h"
#include "trap.h"

#define CLOBBERED 19u /* x0 to x18 */

/* What the CPU was entered by decides how it is left, as there are two sets of vectors. */
static void leave(bool traced)
{
    struct vcpu *vcpu = trap_leave();

    if (traced)
        probe_leave(vcpu);
}

static void take_trap(struct vcpu *(*handle)(uint64_t a, uint64_t b), uint64_t a, uint64_t b)
{
    const bool traced = machine.on->traced;

    if (traced)
        probe_trap(handle, a, b);
    if (traced || !handle(a, b))
        leave(traced);
}

void host_take_irq(void)
{
    if (!machine.on->traced) {
        trap_irq();
        return;
    }
    probe_interrupt();
    leave(true);
}

void host_enter_user(void)
{
    while (machine_irq_due()) /* an interrupt comes the moment that it is no longer held off */
        host_take_irq();
}

bool machine_in_upcall(const struct vcpu *vcpu)
{
    return vcpu->regs.pstate & HOST_IN_UPCALL;
}

/* ---- calls ------------------------------------------------------------------------------------------------------ */

struct call {
    uint64_t number;
    const uint64_t *args;
};

/* At once; false: like any other call. */
static bool resumes(struct vcpu *vcpu)
{
    const struct exo_regs *regs = trap_resume();

    if (!regs)
        return false;
    regs_copy(&vcpu->regs, regs);
    arch_regs_sanitize(&vcpu->regs);
    return true;
}

static void call_switching(struct vcpu *vcpu, const struct call *call)
{
    const bool traced = machine.on->traced;

    for (unsigned i = 0; i < CLOBBERED; i++)
        vcpu->regs.x[i] = i < 8 ? call->args[i] : 0;
    if (traced)
        probe_switch(vcpu, call->number);
    if (traced || !syscall_switch_table[call->number](vcpu))
        leave(traced);
    host_enter_user();
}

static void call_plain(struct vcpu *vcpu, const struct call *call)
{
    const bool traced = machine.on->traced;
    const uint64_t *a = call->args;
    int64_t result = -EXO_ENOCALL;

    if (traced)
        result = probe_plain(a, call->number);
    else if (call->number < EXO_NCALLS)
        result = syscall_plain_table[call->number - EXO_NSWITCH](a[0], a[1], a[2], a[3], a[4], a[5], a[6]);
    for (unsigned i = 0; i < CLOBBERED; i++)
        vcpu->regs.x[i] = 0;
    vcpu->regs.x[0] = (uint64_t)result;
    if (machine.cpu->resched || machine_irq_due()) {
        vcpu = trap_leave_plain();
        if (traced)
            probe_leave(vcpu);
    }
    host_enter_user();
}

static void enter_call(void *arg)
{
    const struct call *call = arg;

    if (call->number == EXO_CALL_resume && !machine.on->traced && resumes(machine.cpu->current)) {
        host_enter_user();
        return;
    }
    machine.cpu->calls++;
    if (call->number < EXO_NSWITCH)
        call_switching(machine.cpu->current, call);
    else
        call_plain(machine.cpu->current, call);
}

int64_t machine_call(uint64_t number, const uint64_t args[8])
{
    struct call call = {number, args};
    struct vcpu *vcpu = machine.cpu->current;

    machine.upcalled = NULL;
    machine_try(enter_call, &call);
    if (machine.end != MACHINE_RUNS || machine.cpu->current != vcpu)
        return MACHINE_AWAY;
    return (int64_t)(machine.upcalled == &vcpu->regs ? vcpu->page->regs.x[0] : vcpu->regs.x[0]);
}

/* ---- memory ----------------------------------------------------------------------------------------------------- */

struct access {
    uint64_t va;
    unsigned want;
};

static struct vcpu *page_fault(uint64_t va, uint64_t want)
{
    return trap_page_fault(va, (unsigned)want);
}

static void enter_fault(void *arg)
{
    const struct access *access = arg;

    take_trap(page_fault, access->va, access->want);
    host_enter_user();
}

void *machine_touch(uint64_t va, unsigned want)
{
    pte_t pte = tlb_lookup(va);

    if (want & ~pte_prot(pte) || !(pte & PTE_PRESENT)) {
        struct access access = {va, want};

        machine_try(enter_fault, &access);
        return NULL;
    }
    return (uint8_t *)phys_to_virt(pte_paddr(pte)) + (va & PAGE_MASK);
}

/* ---- exceptions ------------------------------------------------------------------------------------------------- */

struct exception {
    enum exo_exception kind;
    uint64_t syndrome;
};

static struct vcpu *exception(uint64_t kind, uint64_t syndrome)
{
    return trap_exception((enum exo_exception)kind, syndrome);
}

static void enter_exception(void *arg)
{
    const struct exception *e = arg;

    take_trap(exception, e->kind, e->syndrome);
    host_enter_user();
}

void machine_exception(enum exo_exception kind, uint64_t syndrome)
{
    struct exception e = {kind, syndrome};

    machine_try(enter_exception, &e);
}

static struct vcpu *fp(uint64_t a, uint64_t b)
{
    (void)a;
    (void)b;
    return fp_trap();
}

static void enter_fp(void *arg)
{
    (void)arg;
    take_trap(fp, 0, 0);
    host_enter_user();
}

uint64_t *machine_fp(void)
{
    if (!machine.on->fp_on)
        machine_try(enter_fp, NULL);
    return machine.on->fp;
}

/* ---- interrupts ------------------------------------------------------------------------------------------------- */

static void enter_irq(void *arg)
{
    (void)arg;
    host_enter_user();
}

void machine_irq(uint32_t line)
{
    machine.irq_raised |= 1ull << line;
    machine_interrupt();
}

void machine_interrupt(void)
{
    if (machine_irq_due())
        machine_try(enter_irq, NULL);
}

void machine_advance(uint64_t ticks)
{
    machine.time += ticks;
    if (machine_irq_due())
        machine_try(enter_irq, NULL);
}

static void enter_run(void *arg)
{
    struct vcpu *vcpu = arg;

    local_enter();
    if (machine.cpu->current != vcpu) {
        ASSERT(vcpu->state == VCPU_READY);
        if (machine.cpu->current)
            slice_ready(slice_leave());
        vcpu_unqueue(vcpu);
        slice_run(vcpu);
    }
    leave(machine.on->traced);
    host_enter_user();
}

void machine_run(struct vcpu *vcpu)
{
    machine_try(enter_run, vcpu);
}
