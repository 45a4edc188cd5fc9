/* An Interrupt Translation Service (Arm IHI 0069G, chapter 5): messages of PCI devices as LPIs, interrupts 8192 and
 * up, which know no active state and are enabled in a table in memory. */
#ifndef EXO_ARCH_ITS_H
#define EXO_ARCH_ITS_H

#include "arch/arch.h"

#define LPI_FIRST 8192u

/* Takes the ITS at a device-tree node into use for CPUs below n, and tells in the log where it cannot: false. */
bool its_init(int node, unsigned n, struct arch_msi *out);
/* This CPU, whose redistributor that is, takes LPIs; by each CPU, once.  False: it cannot.  True where no ITS is used. */
bool its_cpu_init(volatile void *redistributor);

void its_device(uint32_t device, paddr_t table, bool there);
void its_map(uint32_t lpi, uint32_t device, uint32_t event, uint32_t cpu);
void its_unmap(uint32_t lpi);
void its_enable(uint32_t lpi, bool on);
bool its_enabled(uint32_t lpi);

#endif
