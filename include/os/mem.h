/* Memory of this process: regions of address space, each with a kind that says who owns its pages.
 *
 * Every mapping goes through os_map_region.  Anonymous pages are bound when they are first touched; what the
 * program may not touch ends it with a report (SIGSEGV), and so does memory that the account cannot pay for.
 *
 * Units: pages where a name says npages, bytes otherwise; addresses are page aligned.  Results: 0 or a
 * negative errno value: -EINVAL (not aligned, wraps, unknown kind or protection, or nothing mapped there),
 * -ENOMEM (no room in address space, account or machine), -EEXIST (a fixed range is taken), -EACCES (the
 * capability does not allow it).  None of these functions blocks.  None may be called from upcall handlers. */
#ifndef OS_MEM_H
#define OS_MEM_H

#include "exo/abi.h"

enum os_region_kind {
    OS_REGION_ANON,  /* zeroed pages of our own, bound on first touch */
    OS_REGION_STACK, /* likewise, touched from the top down */
    OS_REGION_DMA,   /* our own, bound at once; contiguous and below a limit where asked */
    OS_REGION_SHARED, /* copies of bindings in another place or space; unmapping frees nothing held elsewhere */
    /* The same to be read; what is written becomes, page by page, a copy of our own, which others do not see.  What others write
     * is seen until then.  It may be protected to be written later, but not to be executed if it was not mapped so. */
    OS_REGION_PRIVATE,
    OS_REGION_DEVICE, /* device registers */
    OS_REGION_IMAGE,  /* the program itself, bound by its loader */
    OS_REGION_WINDOW, /* address space only: the owner binds pages there by itself (message windows, tables) */
    OS_NREGION_KINDS
};

enum os_map_flags {
    OS_MAP_FIXED = 1 << 0,    /* exactly at va; fails if anything is there */
    OS_MAP_REPLACE = 1 << 1,  /* with FIXED: unmap what is there first */
    OS_MAP_POPULATE = 1 << 2, /* ANON, STACK: bind all pages now */
    OS_MAP_CONTIG = 1 << 3,   /* DMA: physically contiguous */
    OS_MAP_GUARD =
        1 << 4, /* ANON, STACK: the lowest page stays unbound, whoever touches it; it counts in npages */
    /* ANON: the first touch of 2 MiB, aligned and wholly inside, binds a large page if the account and memory have one,
     * and an ordinary page if not.  What is bound by a large page is unmapped, protected and discarded whole, or else that
     * is -EINVAL. */
    OS_MAP_LARGE = 1 << 5,
};

/* What to map.  Fields that a kind does not name are ignored. */
struct os_map {
    enum os_region_kind kind;
    unsigned prot;  /* enum exo_prot */
    unsigned flags; /* enum os_map_flags */
    uint64_t va;    /* FIXED: where */
    uint64_t npages;
    exo_handle_t from; /* SHARED, PRIVATE: the space (0: our own); DEVICE: the MMIO capability */
    uint64_t source;   /* SHARED, PRIVATE: address in that space; DEVICE: physical address */
    unsigned limit;    /* DMA: below 2^limit bytes; 0: anywhere */
};

/* Map a region; *va receives its address.  Whole or not at all. */
int os_map_region(const struct os_map *what, uint64_t *va);

/* Unmap whatever is mapped in the range, in part of regions too; holes are fine. */
int os_unmap(uint64_t va, uint64_t npages);

/* Change what the range, all of which must be mapped, allows. */
int os_protect(uint64_t va, uint64_t npages, unsigned prot);

/* Give the pages of an anonymous range back; the next touch finds zeroes. */
int os_discard(uint64_t va, uint64_t npages);

/* Bind the pages of [va, va + bytes) that are not bound yet, as touching each would.  Needed before the kernel
 * or another environment is shown them: page_map and messages take bound pages only. */
int os_touch(uint64_t va, uint64_t bytes);

/* The region around an address. */
struct os_region_info {
    uint64_t va;
    uint64_t npages;
    enum os_region_kind kind;
    unsigned prot;
};
int os_region_at(uint64_t va, struct os_region_info *out);
/* The first region that ends above va, for walks over all of them; -ENOENT after the last. */
int os_region_next(uint64_t va, struct os_region_info *out);

/* Unbind what is bound in a part of a WINDOW region. */
int os_window_clear(uint64_t va, uint64_t npages);

/* Is a page bound at the address?  One look at our own page tables; touches nothing. */
bool os_page_bound(uint64_t va);

/* Frames that this process's account allows, and uses. */
void os_mem_use(uint64_t *limit, uint64_t *used);

#endif
