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
 *   uint64_t arch_time_about(void);                                      as of some instruction nearby: for accounts
 *   bool arch_irq_pending(void);                                         would an interrupt be taken now?
 *   bool arch_irqs_off(void);                                            are they held off, as always in the kernel?
 *   BOOT                                                                 of functions that only boot calls
 *   ARCH_READ(word)                                                      relaxed atomic load of a word at this address
 *   void arch_relax(void);                                               in a loop that waits for another CPU
 *   uint64_t arch_atomic_or(uint64_t *, uint64_t);                       returns the old value
 *   ARCH_PT_LEVELS, ARCH_USER_BITS, ARCH_TABLE_SLOT                      shape of a user space
 *   ARCH_FAST_PATHS                                                      false: calls go the long way only
 *   pte_t pte_table(paddr_t), pte_leaf(paddr_t, prot, max, memory_type), pte_block(likewise);
 *   bool pte_is_table(pte_t);                                            of an entry above the lowest level: no block,
 *                                                                        which are there one level above the pages only
 *   paddr_t pte_paddr(pte_t); unsigned pte_prot(pte_t), pte_max(pte_t); enum memory_type pte_memory(pte_t);
 *   struct arch_fp;                                                      saved FP/SIMD state; zeroed: of a new vcpu
 *   void arch_fp_enable(bool on);                                        off: user mode's access traps
 *   void arch_fp_switch(struct arch_fp *from, const struct arch_fp *to); saves what the registers hold (from NULL: it is
 *                                                                        nobody's), and loads others
 *   struct arch_stream;   what the IOMMU reads of a stream: 64 of them are a page, and all zeros block
 *   struct arch_domain;   what it reads of a domain besides its tables
 *   struct arch_domain *arch_stream_domain(const struct arch_stream *);  NULL: blocked
 */

/* Tells cpu_this() where this CPU's structure is. */
void arch_cpu_init(struct cpu *cpu);
/* This CPU does nothing any more. */
_Noreturn void arch_cpu_stop(void);
/* Ticks of the counter in a second; a million at least. */
uint64_t arch_time_hz(void);
/* Interrupt at the absolute counter value; EXO_FOREVER: never. */
void arch_timer_set(uint64_t deadline);
/* Sleeps until an interrupt is pending, without taking it. */
void arch_wait_for_irq(void);
/* Takes every pending interrupt: irq_arrived() for device lines, slice_timer() for the timer, cpu_kicked() for kicks. */
void arch_irq_dispatch(void);
/* From its next entry on, this CPU's entry code is the one that calls probe.h, or the usual one. */
void arch_trace_enable(bool on);
/* In world mode: CPUs may be traced from now on, or none is any more. */
void arch_trace_possible(bool possible);

/* Interrupts another CPU, which then goes through trap_leave(). */
void arch_cpu_kick(const struct cpu *cpu);
/* A shared line's interrupts go to this CPU from now on. */
void arch_irq_route(uint32_t line, const struct cpu *cpu);

/* Interrupt lines by controller number (AArch64: INTID).  Lines that cannot be given away: arch_irq_usable false. */
bool arch_irq_usable(uint32_t line);
uint32_t arch_irq_count(void);
void arch_irq_enable(uint32_t line);
void arch_irq_disable(uint32_t line);
bool arch_irq_enabled(uint32_t line); /* for the audit */
/* From now on the line, one that arch_irq_usable allows, goes to this CPU. */
void arch_irq_route(uint32_t line, const struct cpu *cpu);

/* Other CPUs.  All of this on the boot CPU, at boot, but for the kick. */
/* How many the machine has, this one among them; only the first EXO_CPUS_MAX can be started.  Once, while memory can
 * still be taken (main.h). */
unsigned arch_cpus_find(void);
/* Starts number `which` of them, from 1 on, as `cpu`, whose id is set: no id is used twice, but for one that did not
 * start.  True: it is in cpu_wait_to_go(), or about to be.  False: the log says why, and it will never be. */
bool arch_cpu_start(struct cpu *cpu, unsigned which);
/* cpu_kicked() is called on that CPU, which is online, soon; several kicks may come as one.  What was written before is
 * seen there. */
void arch_cpu_kick(const struct cpu *cpu);

/* Message-signalled interrupts: lines that devices raise by writing a word to the doorbell. */
struct arch_msi {
    uint32_t first, nlines; /* the lines; nlines 0: the machine has none */
    uint32_t ndevices;      /* numbers of devices are below this */
    bool by_device; /* the word is an event of the device that wrote it; else it is the line's number */
    paddr_t doorbell;
};
/* Boot, once memory can be taken (boot_take_aligned in main.h), before any line is used and another CPU starts: those
 * below n may take lines. */
void arch_msi_init(unsigned n);
const struct arch_msi *arch_msi(void);
/* Where devices write: 0 where the machine has no messages.  Its page holds nothing but what devices may write. */
static inline paddr_t arch_msi_doorbell(void)
{
    return arch_msi()->doorbell;
}
/* by_device: from now on the controller keeps the device's events, EXO_MSI_EVENTS at most, in a zeroed page; or (not
 * there) leaves that page alone, no event of it being mapped. */
void arch_msi_device(uint32_t device, paddr_t table, bool there);
/* An event of the device, or whoever writes the line's number, raises the line on that CPU, once it is enabled.  What
 * came earlier is forgotten. */
void arch_msi_map(uint32_t line, uint32_t device, uint32_t event, const struct cpu *cpu);
void arch_msi_unmap(uint32_t line); /* by_device, disabled: nothing raises it any more */

void arch_page_zero(void *page);
/* After code was written through the linear map. */
void arch_code_written(void *from, uint64_t len_bytes);

/* Address spaces.  The user half changes; the kernel's stays. */
unsigned arch_asid_bits(void);
void arch_space_load(paddr_t root, uint32_t asid);
/* The first three are complete after arch_tlb_sync.  only_here: no other CPU's TLB can hold any of it. */
void arch_tlb_flush_page(uint32_t asid, uva_t va, bool only_here);
void arch_tlb_flush_pages(uint32_t asid, uva_t va, uint64_t n, bool only_here);
void arch_tlb_flush_asid(uint32_t asid, bool only_here);
void arch_tlb_sync(bool only_here);
void arch_tlb_flush_all(void);
/* Makes page-table writes visible to the table walker. */
void arch_table_sync(void);

/* IOMMU.  Translates what devices address, by stream (a device's number on its bus), through tables of the same format and
 * shape as a user space's, whose entries it keeps under a tag.  What is not set up is blocked. */
/* Takes it into use: how many streams it may have; 0: there is none, or none of use.  *what: that in words. */
uint64_t arch_iommu_init(const char **what);
uint32_t arch_iommu_tags(void); /* how many; a power of two, at least 64 */
/* The page with the entry of this stream; 0: none. */
void arch_stream_table(uint32_t stream, paddr_t table);
void arch_stream_set(struct arch_stream *stream, struct arch_domain *domain, paddr_t root, uint32_t tag);
void arch_stream_clear(struct arch_stream *stream);
/* These three are complete when arch_iommu_sync has returned true: no access that used what was there is under way.
 * False: it does not answer within a bounded time, and what it still holds is unknown. */
void arch_stream_flush(uint32_t stream);
void arch_iotlb_flush_page(uint32_t tag, uint64_t iova); /* not the tables above it */
void arch_iotlb_flush(uint32_t tag);
bool arch_iommu_sync(void);
/* Tells dma_faulted() of accesses that were blocked, as far as that has not been done. */
void arch_iommu_poll(void);

/* User registers.  An upcall's others stay as they are: they are its own vcpu's. */
void arch_regs_upcall(struct exo_regs *regs, uint64_t entry, uint64_t sp, uint64_t reason, uint64_t info,
                      uint64_t detail);
/* Forces a user-supplied context into user mode with interrupts on. */
void arch_regs_sanitize(struct exo_regs *regs);
/* The vcpu page's address, for user mode to read. */
void arch_set_vcpu_pointer(uint64_t va);

/* Return addresses, of the caller first, as far as the kernel's stacks tell: how many. */
unsigned arch_callers(uint64_t *pcs, unsigned most);
/* The kernel's console: panics and boot failures only. */
void arch_console_write(const char *text, size_t len);
_Noreturn void arch_stop(enum exo_stop_how how);
/* Is this physical range one that the kernel drives itself (interrupt controller)? */
bool arch_owns_device(uint64_t pa, uint64_t len);

#endif
