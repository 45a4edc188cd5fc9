/* Arm Generic Interrupt Controllers, versions 2 (IHI 0048B) and 3 (IHI 0069G). */
#ifndef EXO_ARCH_GIC_H
#define EXO_ARCH_GIC_H

#include "base/types.h"

/* Finds the controller in the device tree and takes it into use; boot_fail where there is none. */
void gic_init(void);
/* This CPU's own timer line: enabled, and told apart from devices'. */
void gic_timer_line(uint32_t line);

#endif
