/* Kernel entries, step by step as an architecture's assembly makes them. */
#include <string.h>

#include "host.h"
#include "panic.h"
#include "slice.h"
#include "syscall.h"
#include "trap.h"

#define CLOBBERED 19u /* x0 to x18 */

void host_enter_user(void)
{
    struct vcpu *vcpu = trap_leave();

    while (machine_irq_due()) { /* an interrupt comes the moment that it is no longer held off */
        arch_irq_dispatch();
        vcpu = trap_leave();
    }
    ASSERT(vcpu == machine.cpu->current);
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

static void call_switching(struct vcpu *vcpu, const struct call *call)
{
    for (unsigned i = 0; i < CLOBBERED; i++)
        vcpu->regs.x[i] = i < 8 ? call->args[i] : 0;
    syscall_switch_table[call->number](vcpu);
    host_enter_user();
}

static void call_plain(struct vcpu *vcpu, const struct call *call)
{
    const uint64_t *a = call->args;
    int64_t result = -EXO_ENOCALL;

    if (call->number < EXO_NCALLS)
        result = syscall_plain_table[call->number - EXO_NSWITCH](a[0], a[1], a[2], a[3], a[4], a[5], a[6]);
    for (unsigned i = 0; i < CLOBBERED; i++)
        vcpu->regs.x[i] = 0;
    vcpu->regs.x[0] = (uint64_t)result;
    if (machine.cpu->resched || machine_irq_due())
        host_enter_user();
}

static void enter_call(void *arg)
{
    const struct call *call = arg;

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

static void enter_fault(void *arg)
{
    const struct access *access = arg;

    trap_page_fault(access->va, access->want);
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

static void enter_exception(void *arg)
{
    const struct exception *e = arg;

    trap_exception(e->kind, e->syndrome);
    host_enter_user();
}

void machine_exception(enum exo_exception kind, uint64_t syndrome)
{
    struct exception e = {kind, syndrome};

    machine_try(enter_exception, &e);
}

static void enter_fp(void *arg)
{
    (void)arg;
    trap_fp();
    host_enter_user();
}

uint64_t *machine_fp(void)
{
    if (!machine.fp_on)
        machine_try(enter_fp, NULL);
    return machine.fp;
}

/* ---- interrupts ------------------------------------------------------------------------------------------------- */

static void enter_irq(void *arg)
{
    (void)arg;
    if (machine_irq_due())
        arch_irq_dispatch();
    host_enter_user();
}

void machine_irq(uint32_t line)
{
    machine.irq_raised |= 1ull << line;
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

    if (machine.cpu->current != vcpu) {
        ASSERT(vcpu->state == VCPU_READY);
        if (machine.cpu->current)
            slice_ready(slice_leave());
        vcpu_unqueue(vcpu);
        slice_run(vcpu);
    }
    host_enter_user();
}

void machine_run(struct vcpu *vcpu)
{
    machine_try(enter_run, vcpu);
}
