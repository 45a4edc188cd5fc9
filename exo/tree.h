/* The device tree, as far as the kernel reads it (Devicetree Specification 0.4, chapters 2 and 3).
 * All of it is checked by libfdt or here; what is missing or wrong ends in boot_fail with a sentence. */
#ifndef EXO_TREE_H
#define EXO_TREE_H

#include "base/types.h"

struct tree_range {
    uint64_t base, len;
};

/* Walks through a blob of at most `room` bytes.  True: its header is sound, and questions stay inside the blob whatever it
 * holds, so that a complaint finds a console.  False: not even that. */
bool tree_peek(const void *blob, uint64_t room);
/* Takes what was peeked at last for the tree of this machine; boot_fail where it is none, or damaged. */
void tree_accept(void);
/* Both. */
void tree_open(const void *blob, uint64_t room);
const void *tree_blob(uint32_t *len_bytes);
/* How many bytes of it say something; to where there is room for those. */
uint32_t tree_used(void);
void tree_move(void *to);

/* The first enabled node that is compatible with one of the names (the list ends with NULL); -1: none. */
int tree_find(const char *const *compatible);
int tree_find_next(int node, const char *const *compatible); /* behind that one */
/* Entry `index` of a node's reg, translated to physical addresses: false where there is none. */
bool tree_reg(int node, unsigned index, struct tree_range *out);
/* Cell `index` of a property of 32-bit cells. */
bool tree_cell(int node, const char *property, unsigned index, uint32_t *out);
/* Of a node below the root, "/chosen" for example. */
const char *tree_text(const char *path, const char *property);

/* A processor, as /cpus describes it. */
enum tree_cpu_method { TREE_CPU_NO_METHOD, TREE_CPU_PSCI, TREE_CPU_SPIN_TABLE, TREE_CPU_OTHER };
struct tree_cpu {
    uint64_t affinity; /* reg; TREE_CPU_NO_REG where there is none */
    uint64_t release;  /* cpu-release-addr, a physical address; 0: none */
    enum tree_cpu_method method;
};
#define TREE_CPU_NO_REG UINT64_MAX
/* Calls back for each that is enabled, in the tree's order. */
void tree_each_cpu(void (*each)(const struct tree_cpu *));

/* Calls back for each range of RAM, and of RAM that is not to be used. */
void tree_each_memory(void (*each)(struct tree_range));
void tree_each_reserved(void (*each)(struct tree_range));
/* /chosen: the initial RAM disk; false where none is named. */
bool tree_initrd(struct tree_range *out);
/* The console that /chosen names by stdout-path; else -1. */
int tree_stdout(void);

#endif
