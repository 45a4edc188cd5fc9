/* Power State Coordination Interface (Arm DEN 0022): power off, and the start of other CPUs. */
#ifndef EXO_ARCH_PSCI_H
#define EXO_ARCH_PSCI_H

#include "base/types.h"

/* What the device tree says of it.  Without such a node nothing can be asked. */
void psci_init(void);
bool psci_there(void);
/* Starts the CPU with this affinity at a physical address: 0, or a negative error of PSCI's. */
int64_t psci_cpu_on(uint64_t affinity, uint64_t entry);
const char *psci_error(int64_t error);

#endif
