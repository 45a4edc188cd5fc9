/* The contract of an architecture: everything that generic kernel code asks of the machine, and nothing else.
 *
 * arch/<name>/arch_inline.h gives the inline half: cpu_this(), the page-table entry format and the few operations
 * that are one instruction.  Unless a comment says otherwise a function may be called on any CPU, with interrupts
 * off (the kernel always runs so), and does not fail. */
#ifndef EXO_ARCH_H
#define EXO_ARCH_H

#include "base/types.h"
#include "exo/abi.h"

struct cpu;
struct vcpu;
struct arch_fp;

enum memory_type { MEMORY_NORMAL, MEMORY_DEVICE };

#include "arch_inline.h"

/* From arch_inline.h:
 *   struct cpu *cpu_this(void);
 *   void *phys_to_virt(paddr_t);  paddr_t virt_to_phys(const void *);     RAM only
 *   uint64_t arch_time(void);                                            the counter that user mode reads too
 *   bool arch_irq_pending(void);                                         would an interrupt be taken now?
 *   uint64_t arch_atomic_or(uint64_t *, uint64_t);                       returns the old value
 *   ARCH_PT_LEVELS, ARCH_USER_BITS, ARCH_TABLE_SLOT                      shape of a user space
 *   pte_t pte_table(paddr_t), pte_leaf(paddr_t, prot, max, memory_type); bool pte_is_table(pte_t);
 *   paddr_t pte_paddr(pte_t); unsigned pte_prot(pte_t), pte_max(pte_t); enum memory_type pte_memory(pte_t);
 *   struct arch_fp;                                                      saved FP/SIMD state
 */

/* Tells cpu_this() where this CPU's structure is. */
void arch_cpu_init(struct cpu *cpu);
uint64_t arch_time_hz(void);
/* Interrupt at the absolute counter value; EXO_FOREVER: never. */
void arch_timer_set(uint64_t deadline);
/* Sleeps until an interrupt is pending, without taking it. */
void arch_wait_for_irq(void);
/* Takes every pending interrupt: irq_arrived() for device lines, slice_timer() for the timer. */
void arch_irq_dispatch(void);

/* Interrupt lines by controller number (AArch64: INTID).  Lines that cannot be given away: arch_irq_usable false. */
bool arch_irq_usable(uint32_t line);
uint32_t arch_irq_count(void);
void arch_irq_enable(uint32_t line);
void arch_irq_disable(uint32_t line);

void arch_page_zero(void *page);
/* After code was written through the linear map. */
void arch_code_written(void *from, uint64_t len_bytes);

/* Address spaces.  The user half changes; the kernel's stays. */
unsigned arch_asid_bits(void);
void arch_space_load(paddr_t root, uint32_t asid);
void arch_tlb_flush_page(uint32_t asid, uva_t va); /* needs arch_tlb_sync to be complete */
void arch_tlb_flush_asid(uint32_t asid);           /* likewise */
void arch_tlb_flush_all(void);
void arch_tlb_sync(void);
/* Makes page-table writes visible to the table walker. */
void arch_table_sync(void);

/* User registers. */
void arch_regs_upcall(struct exo_regs *regs, uint64_t entry, uint64_t sp, uint64_t reason, uint64_t info,
                      uint64_t detail);
/* Forces a user-supplied context into user mode with interrupts on. */
void arch_regs_sanitize(struct exo_regs *regs);
/* The vcpu page's address, for user mode to read. */
void arch_set_vcpu_pointer(uint64_t va);

/* FP/SIMD moves lazily: user access traps while it is off. */
void arch_fp_enable(bool on);
void arch_fp_save(struct arch_fp *fp);
void arch_fp_load(const struct arch_fp *fp);
void arch_fp_init(struct arch_fp *fp);

/* The kernel's console: panics and boot failures only. */
void arch_console_write(const char *text, size_t len);
_Noreturn void arch_stop(enum exo_stop_how how);
/* Is this physical range one that the kernel drives itself (interrupt controller)? */
bool arch_owns_device(uint64_t pa, uint64_t len);

#endif
