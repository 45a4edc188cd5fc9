/* The other CPUs, on their way from where firmware left them to cpu_wait_to_go(). */
#ifndef EXO_ARCH_SMP_H
#define EXO_ARCH_SMP_H

#include "base/types.h"

/* This CPU's MPIDR_EL1, affinity fields only. */
uint64_t cpu_affinity(void);

#endif
