/* Memory's insides: the process's one set of regions, shared by its three parts.
 *   map.c    what programs ask for          heap.c   malloc's arena          fault.c  what upcalls ask for
 * Whoever looks at the set or changes it, or the bindings that it tells of, has mem.lock, faults in upcalls too.  A fault
 * of the very vcpu that has it cannot be resolved. */
#ifndef MEM_MEM_H
#define MEM_MEM_H

#include "mem/region.h"
#include "os/mem.h"
#include "rt/spin.h"

struct mem {
    struct rt_spin lock;
    struct region_set set;
    struct region_pool pool;
    uint64_t pool_end; /* the pool's memory is bound up to here */
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
/* Binds the large page around va, if r wants it, has room for it, and there is one. */
bool mem_bind_large(const struct region *r, uint64_t va);
/* Unbind what is bound of [va, end). */
void mem_unbind(uint64_t va, uint64_t end);

/* The heap, for _sbrk: its end moves by delta bytes; the old end, or 0 where that is impossible. */
uint64_t mem_heap_move(int64_t delta);

bool mem_fault(uint64_t address, uint64_t access, int *error);

#endif
