/* From the architecture's start to the first program. */
#ifndef EXO_MAIN_H
#define EXO_MAIN_H

#include "exo/abi.h"
#include "tree.h"

struct cpu;

/* The tree is open, cpu_this() works, the console too.  image: where the kernel itself lies in RAM; tree: where the
 * blob does.  Returns with the first vcpu ready to run; the caller gives back what only boot needed, lets the other CPUs go
 * (cpus_go) and enters user mode through trap_leave(). */
void kernel_main(struct tree_range image, struct tree_range tree);

/* Zeroed RAM for tables, before memory is handed to the allocator; boot_fail where there is none. */
void *boot_take(uint64_t len, enum exo_frame_kind kind);

/* The architecture adds RAM to the linear map: called before any of it is touched, whole 2 MiB pieces. */
void arch_map_ram(struct tree_range ram);

/* The architecture tells which part of the image, in whole pages, it will give back (frames_give) when boot is over; len 0: none. */
struct tree_range arch_boot_code(void);

/* Boot: zeroed RAM for the kernel's own tables, in whole pages, aligned to `align` bytes. */
void *boot_take_aligned(uint64_t len, uint64_t align, enum exo_frame_kind kind);

#endif
