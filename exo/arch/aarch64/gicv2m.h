/* A GICv2m frame (Arm Server Base System Architecture, appendix E): whoever writes a shared line's number to it raises
 * that line. */
#ifndef EXO_ARCH_GICV2M_H
#define EXO_ARCH_GICV2M_H

#include "arch/arch.h"

/* Takes the frame at a device-tree node into use, and tells in the log where it cannot: false. */
bool gicv2m_init(int node, struct arch_msi *out);

#endif
