/* Every TLB instruction of the kernel.  None of these functions touches memory: start.S calls one before there is a
 * stack. */
#include "arch/arch.h"
#include "mmu.h"

void tlb_flush_local(void)
{
    __asm__ volatile("dsb nshst\n\ttlbi vmalle1\n\tdsb nsh\n\tisb" : : : "memory");
}

static inline uint64_t operand_of(uint32_t asid, uva_t va)
{
    return (uint64_t)asid << 48 | (va.v >> PAGE_SHIFT & 0xfffffffffffull);
}

void arch_tlb_flush_page(uint32_t asid, uva_t va, bool only_here)
{
    uint64_t operand = operand_of(asid, va);

    if (only_here)
        __asm__ volatile("dsb nshst\n\ttlbi vae1, %0" : : "r"(operand) : "memory");
    else
        __asm__ volatile("dsb ishst\n\ttlbi vae1is, %0" : : "r"(operand) : "memory");
}

/* A user's addresses: none of them carries into the ASID. */
void arch_tlb_flush_pages(uint32_t asid, uva_t va, uint64_t n, bool only_here)
{
    uint64_t operand = operand_of(asid, va), end = operand + n;

    if (only_here) {
        __asm__ volatile("dsb nshst" : : : "memory");
#pragma GCC unroll 8
        for (; operand < end; operand++)
            __asm__ volatile("tlbi vae1, %0" : : "r"(operand) : "memory");
    } else {
        __asm__ volatile("dsb ishst" : : : "memory");
#pragma GCC unroll 8
        for (; operand < end; operand++)
            __asm__ volatile("tlbi vae1is, %0" : : "r"(operand) : "memory");
    }
}

void arch_tlb_flush_asid(uint32_t asid, bool only_here)
{
    if (only_here)
        __asm__ volatile("dsb nshst\n\ttlbi aside1, %0" : : "r"((uint64_t)asid << 48) : "memory");
    else
        __asm__ volatile("dsb ishst\n\ttlbi aside1is, %0" : : "r"((uint64_t)asid << 48) : "memory");
}

void arch_tlb_flush_all(void)
{
    __asm__ volatile("dsb ishst\n\ttlbi vmalle1is\n\tdsb ish\n\tisb" : : : "memory");
}

void arch_tlb_sync(bool only_here)
{
    if (only_here)
        __asm__ volatile("dsb nsh\n\tisb" : : : "memory");
    else
        __asm__ volatile("dsb ish\n\tisb" : : : "memory");
}
