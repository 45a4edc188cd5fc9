/* Address spaces: page tables, the bindings in them, and the ASID under which a TLB may hold them.
 *
 * A binding is a page-table entry.  The page table is the capability table for memory: a page is named by
 * (space, va), copied from there with no more rights than it has, and freed with its last binding.  Entries keep,
 * in bits that the hardware ignores, the rights that they may ever have.
 *
 * Tables are TABLE frames charged to the space's environment; a table's count of entries in use stands in the frame
 * table, and an empty table is freed at once.  Slot ARCH_TABLE_SLOT of the root points to the root itself,
 * readable by the user, so that a space sees its own tables (system.table_va) and no more.
 *
 * A large page is one binding in a table of level 1 (space_large.c).  The calls below stop in front of one, and do one
 * that is at va only as a whole; but copies of parts of it are ordinary pages.
 *
 * All ranges are page aligned and inside user space when they get here: space_range_ok() is the check. */
#ifndef EXO_SPACE_H
#define EXO_SPACE_H

#include "base/list.h"
#include "cpu.h"
#include "frame.h"
#include "info.h"
#include "tlb.h"

/* What is left of a contiguous run that is bound in pieces: frames charged to the space's account, neither zeroed nor
 * bound, the next at pfn to be bound at va.  All 0: there is none. */
struct space_run {
    pfn_t pfn;
    uint64_t left;
    uint64_t va;
    bool large; /* the frames before pfn, down to the large page's head, are its too: zeroed, not bound */
};

/* (s): under its lock.  (w): changes in world mode only. */
struct space {
    struct exo_lock lock;
    struct account *account; /* the environment that owns it */
    struct list in_env;      /* (w) */
    pfn_t root;
    uint32_t asid;            /* (s) */
    uint64_t asid_generation; /* (s) asid is valid in this generation; 0: never ran */
    uint64_t cpus;            /* (s) a bit for each CPU whose TLB may hold something of it under this ASID */
    bool pinned;              /* (w) asid, once assigned, stays valid in all generations */
    bool ending;              /* (w) nothing may be bound any more */
    uint64_t cursor;          /* (w) while it ends: everything below is unbound */
    uint64_t nbound;          /* (s) bindings in it, the kernel's own not counted */
    struct tlb_lazy lazy;     /* (s) what a TLB may hold that the tables no longer say */
    uint32_t nvcpus;      /* atomic: virtual processors that run in it, ended ones too until they are freed */
    struct space_run run; /* (s) */
};

/* Is [va, va + n pages) page aligned, inside user space, and clear of the tables' window? */
bool space_range_ok(uint64_t va, uint64_t n);
/* And one page? */
static inline bool space_page_ok(uint64_t va)
{
    return !(va & PAGE_MASK) && va < system_info->table_va;
}

/* A combination of enum exo_prot that a page may have: never both writable and executable. */
static inline bool space_prot_ok(uint64_t prot)
{
    return prot <= EXO_PROT_ALL &&
           (prot & (EXO_PROT_WRITE | EXO_PROT_EXEC)) != (EXO_PROT_WRITE | EXO_PROT_EXEC);
}

/* A space in a SPACE frame: 0, -EXO_EQUOTA, -EXO_ENOMEM. */
int space_new(struct account *account, struct space **out);
/* In world mode.  Unbinds a bounded piece; true when all is gone, and the frame freed.  A CPU that has it in its MMU still
 * (and is not in user mode there) is asked to take it out first. */
bool space_end_step(struct space *space);

/* What is bound at va. */
struct binding {
    pfn_t pfn;
    uint8_t prot, max; /* enum exo_prot */
    enum memory_type memory;
};
bool space_lookup(struct space *space, uint64_t va, struct binding *out);
/* The frame at va, for the kernel to pin and write for an environment of this account: 0, -EXO_EUNBOUND, -EXO_ERIGHTS,
 * -EXO_EINVAL (not a user's memory), -EXO_EFULL, -EXO_EBUSY (it is being reclaimed). */
int space_pinnable(struct space *space, uint64_t va, const struct account *account, pfn_t *out);

/* How many pages of n one call is to do: EXO_RANGE_MAX at most, fewer while an interrupt waits. */
uint64_t space_piece(uint64_t n);

/* The calls below do all or nothing, for at most EXO_RANGE_MAX pages, and return 0 or an error, unless they say that they
 * return how many they did: then n may be more, and what they do of it, they do whole. */

/* Binds newly allocated frames: -EXO_EBOUND, -EXO_EQUOTA, -EXO_ENOMEM, -EXO_EINVAL, -EXO_EBUSY; or how many it did: n,
 * or fewer: a few at a time, and fewer still as an interrupt is pending. */
int64_t space_bind_new(struct space *space, uint64_t va, uint64_t n, unsigned prot,
                       const struct frame_want *want);
/* page_alloc with EXO_ALLOC_CONTIG, n up to EXO_CONTIG_MAX, or EXO_ALLOC_LARGE, n EXO_LARGE_PAGES and va aligned to that: takes
 * a run of n frames, giving back what is left of another, and binds, or of a large page zeroes, some of it; the last piece of a
 * large page binds all of it.  With EXO_ALLOC_MORE: goes on with the n pages for va that are left, or (n 0) gives them back;
 * -EXO_ESTATE where that is not what is left.  How many pages it did; -EXO_EQUOTA, -EXO_ENOMEM, -EXO_EINVAL, -EXO_EBUSY;
 * -EXO_EBOUND where something was in the way: then the rest is given back. */
int64_t space_alloc_run(struct space *space, uint64_t va, uint64_t n, uint64_t flags,
                        const struct frame_want *want);
/* Copies bindings: how many it did; -EXO_EUNBOUND, -EXO_EBOUND, -EXO_ERIGHTS, -EXO_EQUOTA, -EXO_ENOMEM, -EXO_EFULL,
 * -EXO_EBUSY (a frame is being reclaimed). */
int64_t space_map(struct space *dst, uint64_t va, struct space *src, uint64_t sva, uint64_t n, unsigned prot,
                  unsigned max);
/* The same, all n of them; those of large pages as ordinary ones. */
int space_copy(struct space *dst, uint64_t va, struct space *src, uint64_t sva, uint64_t n, unsigned prot,
               unsigned max);
/* Binds frames that are not the user's to free: device registers, kernel tables. */
int space_bind_fixed(struct space *space, uint64_t va, paddr_t pa, uint64_t n, unsigned prot,
                     enum memory_type memory);
/* How many it did; -EXO_EUNBOUND, -EXO_ERIGHTS, -EXO_EINVAL (a part of a large page). */
int64_t space_protect(struct space *space, uint64_t va, uint64_t n, unsigned prot, bool lazy);
/* Pages of the range that are not bound are passed over.  How many it looked at, as only so many frames are freed at once;
 * -EXO_EINVAL (a part of a large page). */
int64_t space_unbind(struct space *space, uint64_t va, uint64_t n, bool lazy);
/* No TLB holds anything stale of these pages, however many. */
void space_sync(struct space *space, uint64_t va, uint64_t n);

/* Of ASIDs; changes in world mode only. */
extern uint64_t space_generation;
/* May a TLB hold translations of it? */
static inline bool space_in_tlb(const struct space *space)
{
    uint64_t generation = __atomic_load_n(&space->asid_generation, __ATOMIC_ACQUIRE);

    return generation == space_generation || (space->pinned && generation);
}
/* Has it an ASID on this CPU? */
bool space_has_asid(const struct cpu *cpu, const struct space *space);
/* Puts one that has, and is not there yet, into this CPU's MMU. */
static inline void space_set(struct cpu *cpu, struct space *space)
{
    cpu->loaded = space;
    arch_space_load(pfn_to_paddr(space->root), space->asid);
}
/* Gives it one that no other live space has, and puts it there.  False: they ran out; it takes spaces_rollover(). */
bool space_load_other(struct space *space);
/* (One that is loaded keeps its ASID, whatever happens to others'.) */
static inline bool space_load(struct space *space)
{
    return cpu_this()->loaded == space || space_load_other(space);
}
/* In world mode: all ASIDs are free again but for those pinned, and those that CPUs have in their MMUs. */
void spaces_rollover(void);
/* In world mode.  A pinned space keeps its ASID when all others lose theirs.  0, -EXO_ESTATE (it is, or is not), -EXO_EFULL. */
int space_pin(struct space *space);
int space_unpin(struct space *space);
/* No user space in the MMU. */
void space_unload(void);
void spaces_init(paddr_t empty_root);

#endif
