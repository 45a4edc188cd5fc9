/* Memory's insides: the process's one set of regions, shared by its three parts.
 *   map.c    what programs ask for          heap.c   malloc's arena          fault.c  what upcalls ask for
 * Changes to the set run with signals held; an upcall that finds one under way (busy) resolves no fault. */
#ifndef MEM_MEM_H
#define MEM_MEM_H

#include "mem/region.h"
#include "os/mem.h"

struct mem {
    struct region_set set;
    struct region_pool pool;
    uint64_t pool_end; /* the pool's memory is bound up to here */
    bool busy;
};
extern struct mem mem;

/* Once, early, masked: the program's image, and what rt needs.  0 or a negative errno. */
int mem_start(void);

void mem_lock(void);
void mem_unlock(void);

/* What rt gets from here. */
struct rt_memory;
extern const struct rt_memory mem_for_rt;

/* At least n nodes in the pool: 0 or -ENOMEM. */
int mem_reserve_nodes(uint64_t n);

/* Bind what is not bound yet of [va, end), inside one region.  0 or a negative enum exo_error. */
int mem_populate(const struct region *r, uint64_t va, uint64_t end);
/* Unbind what is bound of [va, end). */
void mem_unbind(uint64_t va, uint64_t end);

/* The heap, for _sbrk: its end moves by delta bytes; the old end, or 0 where that is impossible. */
uint64_t mem_heap_move(int64_t delta);

bool mem_fault(uint64_t address, uint64_t access, int *error);

#endif
