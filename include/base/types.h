/* Types and small helpers that every layer shares.  Depends on nothing. */
#ifndef BASE_TYPES_H
#define BASE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE_SHIFT 12u
#define PAGE_SIZE 4096u
#define PAGE_MASK (PAGE_SIZE - 1u)

/* Physical and user virtual addresses are different types, so that neither can
 * stand where the other is meant.  A kernel virtual address is a C pointer. */
typedef struct {
    uint64_t v;
} paddr_t;
typedef struct {
    uint64_t v;
} uva_t;

/* A physical page frame's number: physical address / PAGE_SIZE. */
typedef uint32_t pfn_t;
#define PFN_NONE UINT32_MAX

/* Two words that the compiler moves by one load and one store. */
typedef unsigned __int128 word_pair __attribute__((may_alias, aligned(8)));

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

static inline paddr_t pfn_to_paddr(pfn_t pfn)
{
    return (paddr_t){(uint64_t)pfn << PAGE_SHIFT};
}

static inline pfn_t paddr_to_pfn(paddr_t pa)
{
    return (pfn_t)(pa.v >> PAGE_SHIFT);
}

/* Round up to a power of two; the result may wrap, so check the input first. */
static inline uint64_t align_up(uint64_t n, uint64_t to)
{
    return (n + to - 1) & ~(to - 1);
}

static inline uint64_t align_down(uint64_t n, uint64_t to)
{
    return n & ~(to - 1);
}

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

#endif
