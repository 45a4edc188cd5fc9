/* Arm Generic Interrupt Controllers, versions 2 (IHI 0048B) and 3 (IHI 0069G). */
#ifndef EXO_ARCH_GIC_H
#define EXO_ARCH_GIC_H

#include "base/types.h"

/* Finds the controller in the device tree and takes it into use; boot_fail where there is none. */
void gic_init(void);
/* The timer's line, which is private to each CPU: enabled on the boot CPU, later on others, and told apart from
 * devices'. */
void gic_timer_line(uint32_t line);
/* Boot: the kernel takes this shared line itself. */
void gic_watch(uint32_t line);

/* On the boot CPU, before the CPU with this number and affinity starts: finds what belongs to it; false: nothing. */
bool gic_cpu_find(unsigned id, uint64_t affinity);
/* On that CPU: takes its part into use.  False: it has none, or it does not wake up. */
bool gic_cpu_init(void);

/* For what raises lines by messages (msi.c). */
void gic_own(uint64_t pa, uint64_t len); /* mmio_map refuses these registers from now on */
volatile void *gic_redistributor(void);  /* of this CPU; NULL: version 2 */
uint32_t gic_lpis(void);                 /* how many interrupts from LPI_FIRST on there can be */
/* A shared line, while it is masked: taken at its edge, or as long as it is raised. */
void gic_line_trigger(uint32_t line, bool edge);
void gic_line_clear(uint32_t line); /* it is not pending any more */

#endif
