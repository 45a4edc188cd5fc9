/* The SMMUv3 as the interrupt controller sees it; what it does for the kernel stands in arch/arch.h. */
#ifndef EXO_ARCH_SMMU_H
#define EXO_ARCH_SMMU_H

#include "base/types.h"

/* Takes an interrupt, if this line is the SMMU's. */
bool smmu_irq(uint32_t line);
/* Is this line, or this range of registers, the SMMU's? */
bool smmu_owns_line(uint32_t line);
bool smmu_owns(uint64_t pa, uint64_t len);

#endif
