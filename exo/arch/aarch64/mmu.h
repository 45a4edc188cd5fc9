/* The kernel's half of the address space. */
#ifndef EXO_ARCH_MMU_H
#define EXO_ARCH_MMU_H

#include "base/types.h"

/* Gives text, read-only data and data their rights, and takes the stack's guard page away. */
void mmu_protect_image(paddr_t image);
/* Registers that the kernel drives: at most 2 MiB in all, each time whole pages.  NULL: no room. */
volatile void *mmu_map_device(uint64_t pa, uint64_t len);
/* The physical address behind a mapped register's; 0: not one. */
uint64_t mmu_device_paddr(uint64_t va);
/* Forgets the one-to-one map of boot. */
paddr_t mmu_empty_root(void);

#endif
