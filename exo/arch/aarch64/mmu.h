/* The kernel's half of the address space.
 *
 * Above DEVICE_BASE, 2 MiB of device registers, then 2 MiB of stacks: for each CPU but the boot CPU, whose stack lies
 * in the image, eight pages of which those marked # are never mapped:
 *
 *     #  stack  stack  stack  stack  #  panic  #
 */
#ifndef EXO_ARCH_MMU_H
#define EXO_ARCH_MMU_H

#include "base/types.h"

/* Gives text, read-only data and data their rights, and takes the stack's guard page away. */
void mmu_protect_image(paddr_t image);
/* This CPU's part of that. */
void mmu_protect_cpu(void);
/* Where something in the image lies in memory. */
paddr_t mmu_image_paddr(const void *at);

#define MMU_STACK_BYTES (5 * PAGE_SIZE) /* memory for the stacks of one CPU */
/* Maps the stacks of CPU 1 + index; the stack's top. */
void *mmu_map_stack(unsigned index, paddr_t memory);
void *mmu_panic_stack(unsigned index);
/* Is this address in the page below the stack of any CPU? */
bool mmu_is_stack_guard(uint64_t va);

/* Is it in a stack, a panic stack or what lies around them in the image? */
bool mmu_is_stack(uint64_t va);

/* Is this word in the linear map? */
bool mmu_maps_ram(uint64_t pa);
/* Registers, or a word that is no RAM of ours, to look at once: the next call takes the page away again. */
volatile void *mmu_peek(uint64_t pa);

/* Registers that the kernel drives: at most 2 MiB in all, each time whole pages.  NULL: no room. */
volatile void *mmu_map_device(uint64_t pa, uint64_t len);
/* The physical address behind a mapped register's; 0: not one. */
uint64_t mmu_device_paddr(uint64_t va);
/* Forgets the one-to-one map of boot. */
paddr_t mmu_empty_root(void);

/* In tlb.c: this CPU's TLB alone; needs neither stack nor memory. */
void tlb_flush_local(void);

#endif
