/* Exceptions other than calls, decoded: Arm ARM, D19.2.40 ESR_EL1. */
#include "fp.h"
#include "mmu.h"
#include "panic.h"
#include "probe.h"
#include "trap.h"

enum exception_class {
    EC_UNKNOWN = 0x00,
    EC_WFX = 0x01,
    EC_FP = 0x07,
    EC_BTI = 0x0d,
    EC_ILLEGAL = 0x0e,
    EC_SYSTEM = 0x18,
    EC_FETCH_ABORT = 0x20,
    EC_PC_ALIGN = 0x22,
    EC_DATA_ABORT = 0x24,
    EC_SP_ALIGN = 0x26,
    EC_FP_TRAP = 0x2c,
    EC_BREAK_LOWER = 0x30,
    EC_STEP_LOWER = 0x32,
    EC_WATCH_LOWER = 0x34,
    EC_BRK = 0x3c,
};

#define ESR_WRITE (1u << 6)
#define ESR_CACHE (1u << 8) /* cache maintenance: counts as a read */
#define FAULT_TYPE 0x3cu

static bool is_page_fault(uint64_t esr)
{
    unsigned type = esr & FAULT_TYPE;

    return type == 0x04 || type == 0x08 || type == 0x0c; /* translation, access flag, permission */
}

static struct vcpu *data_abort(uint64_t esr, uint64_t far)
{
    if (is_page_fault(esr))
        return trap_page_fault(far, esr & ESR_WRITE && !(esr & ESR_CACHE) ? EXO_PROT_WRITE : EXO_PROT_READ);
    return trap_exception((esr & 0x3f) == 0x21 ? EXO_EXC_ALIGNMENT : EXO_EXC_OTHER, esr);
}

/* What they return is as trap_exception() has it. */
struct vcpu *trap_user(uint64_t esr, uint64_t far);
struct vcpu *trap_serror(uint64_t esr);
void trap_user_traced(uint64_t esr, uint64_t far);
void trap_serror_traced(uint64_t esr);
_Noreturn void trap_kernel(uint64_t esr, uint64_t elr, uint64_t far, uint64_t sp);

struct vcpu *trap_user(uint64_t esr, uint64_t far)
{
    static const uint8_t kinds[64] = {
        [EC_UNKNOWN] = EXO_EXC_UNDEFINED,      [EC_WFX] = EXO_EXC_UNDEFINED,
        [EC_BTI] = EXO_EXC_UNDEFINED,          [EC_ILLEGAL] = EXO_EXC_UNDEFINED,
        [EC_SYSTEM] = EXO_EXC_UNDEFINED,       [EC_PC_ALIGN] = EXO_EXC_ALIGNMENT,
        [EC_SP_ALIGN] = EXO_EXC_ALIGNMENT,     [EC_FP_TRAP] = EXO_EXC_FP,
        [EC_BREAK_LOWER] = EXO_EXC_BREAKPOINT, [EC_STEP_LOWER] = EXO_EXC_BREAKPOINT,
        [EC_WATCH_LOWER] = EXO_EXC_BREAKPOINT, [EC_BRK] = EXO_EXC_BREAKPOINT,
    };
    unsigned class = esr >> 26 & 0x3f;

    if (class == EC_DATA_ABORT)
        return data_abort(esr, far);
    if (kinds[class])
        return trap_exception(kinds[class], esr);
    if (class == EC_FETCH_ABORT && is_page_fault(esr))
        return trap_page_fault(far, EXO_PROT_EXEC);
    return class == EC_FP ? fp_trap() : trap_exception(EXO_EXC_OTHER, esr);
}

struct vcpu *trap_serror(uint64_t esr)
{
    return trap_exception(EXO_EXC_OTHER, esr); /* a device access that the bus refused */
}

void trap_user_traced(uint64_t esr, uint64_t far)
{
    probe_trap(trap_user, esr, far);
}

static struct vcpu *serror(uint64_t esr, uint64_t far)
{
    (void)far;
    return trap_serror(esr);
}

void trap_serror_traced(uint64_t esr)
{
    probe_trap(serror, esr, 0);
}

#define EXTERNAL_ABORT 0x10u /* of ESR's fault status: nothing answered on the bus */

unsigned arch_callers(uint64_t *pcs, unsigned most)
{
    const uint64_t *frame = __builtin_frame_address(0); /* the last one's, and where it returns to */
    unsigned n = 0;

    for (; n < most && mmu_is_stack((uint64_t)frame) && !((uint64_t)frame & 15); n++) {
        pcs[n] = frame[1];
        frame = (const uint64_t *)frame[0];
    }
    return n;
}

/* Registers that the device tree told us of, before anything has run. */
static bool is_wrong_tree(uint64_t esr, uint64_t far)
{
    const struct cpu *cpu = cpu_this();

    return (esr & 0x3f) == EXTERNAL_ABORT && mmu_device_paddr(far) &&
           (!cpu->info || cpu->info->switches == 0);
}

void trap_kernel(uint64_t esr, uint64_t elr, uint64_t far, uint64_t sp)
{
    if (is_wrong_tree(esr, far))
        boot_fail("device tree: no device answers at 0x%lx, where it says that one is",
                  (unsigned long)mmu_device_paddr(far));
    if (mmu_is_stack_guard(far))
        panic("kernel stack overflow on CPU %u: sp 0x%lx, pc 0x%lx", cpu_this()->id, (unsigned long)sp,
              (unsigned long)elr);
    panic("exception in the kernel on CPU %u: esr 0x%lx, pc 0x%lx, address 0x%lx, sp 0x%lx", cpu_this()->id,
          (unsigned long)esr, (unsigned long)elr, (unsigned long)far, (unsigned long)sp);
}
