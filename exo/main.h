/* From the architecture's start to the first program. */
#ifndef EXO_MAIN_H
#define EXO_MAIN_H

#include "tree.h"

/* The tree is open, cpu_this() works, the console too.  image: where the kernel itself lies in RAM; tree: where the
 * blob does.  Returns with the first vcpu ready to run; the caller enters user mode through trap_leave(). */
void kernel_main(struct tree_range image, struct tree_range tree);

/* The architecture adds RAM to the linear map: called before any of it is touched, whole 2 MiB pieces. */
void arch_map_ram(struct tree_range ram);

#endif
