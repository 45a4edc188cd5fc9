/* What the libOS asks of an architecture: everything else above libos/arch is portable.
 * libos/arch/<name>/arch_rt.h gives the inline half. */
#ifndef RT_ARCH_H
#define RT_ARCH_H

#include "exo/abi.h"

/* From arch_rt.h:
 *   struct arch_context                      where a thread that does not run can be found again
 *   struct exo_vcpu_page *arch_vcpu(void);   the running vcpu's page
 *   struct os_thread *arch_self(void);       the running thread: the same before and after a switch, on whatever vcpu
 *   void arch_tls_set_self(tls, thread);     makes it that, for the thread pointer that arch_tls_init gave
 *   void arch_tls_enter(tls);                for the start, when there is no thread yet
 *   void arch_spin_pause(void);              between two looks at a lock
 *   void arch_interleave(void);              at each lock: nothing, but the host's tests come in between here
 *   const struct exo_system *arch_system(void);
 *   uint64_t arch_counter(void);             the counter, not read ahead of time
 */
#include "arch_rt.h"

/* Save the running thread in *from and run *to.  Returns when somebody switches back. */
void arch_switch(struct arch_context *from, const struct arch_context *to);

/* A context that runs entry() on the stack that ends at `top`.  entry never returns: it stands in no link register
 * but in a trampoline, which stops the environment if it did. */
void arch_context_init(struct arch_context *context, uint64_t top, void (*entry)(void), uint64_t tls);

/* The thread-local storage of one thread, laid out from `top` downward: copies the program's image and returns
 * the thread pointer; *bottom receives the lowest address used.  arch_tls_bytes: how much that is at most. */
uint64_t arch_tls_init(uint64_t top, uint64_t *bottom);
uint64_t arch_tls_bytes(void);

/* Registers for `resume`: enter(arg) on the stack that ends at `top`. */
void arch_regs_enter(struct exo_regs *regs, uint64_t enter, uint64_t arg, uint64_t top, uint64_t tls);

/* Change interrupted registers so that `resume` goes through os_signal_frame() and then to where they were.
 * In upcalls only. */
void arch_regs_divert(struct exo_regs *regs);

/* If the registers were interrupted between an interruptible call's look for signals and its entry into the kernel,
 * let it end with -EXO_EINTR.  In upcalls only. */
void arch_regs_restart(struct exo_regs *regs);

/* exo_wait, but -EXO_EINTR at once if *pending is not 0 when the kernel is about to be entered. */
int64_t arch_wait_intr(uint64_t mask, uint64_t deadline, const uint64_t *pending);
/* exo_call, likewise. */
int64_t arch_call_intr(uint64_t gate, struct exo_words *words, uint64_t deadline, const uint64_t *pending);

/* Where upcalls enter; calls os_upcall(reason, info, detail, page) on the upcall stack, then resumes. */
void arch_upcall_entry(void);

/* Go on at these registers, upcalls unmasked; whatever runs now is left. */
_Noreturn void arch_resume_regs(const struct exo_regs *regs);

/* Address of the first page at or above va and below end that is bound; end: none.  Reads our own page tables. */
uint64_t arch_next_bound(uint64_t va, uint64_t end);
/* Does a large page bind va? */
bool arch_is_large(uint64_t va);

/* Do our page tables allow the access (bits of enum exo_prot) now? */
bool arch_page_allows(uint64_t va, uint64_t access);

/* How many pages, of n from va on and of one table at most, may be read and not written; it stops at the first that is different. */
uint64_t arch_read_only(uint64_t va, uint64_t n);

/* Copies n pages.  In upcalls too: no FP/SIMD register is changed. */
void arch_copy_pages(uint64_t to, uint64_t from, uint64_t n);

/* The caller's stack pointer, roughly. */
static inline uint64_t arch_stack_here(void)
{
    return (uint64_t)__builtin_frame_address(0);
}

#endif
