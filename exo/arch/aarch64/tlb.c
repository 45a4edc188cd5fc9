/* Every TLB instruction of the kernel.  None of these functions touches memory: start.S calls one before there is a
 * stack. */
#include "arch/arch.h"

void arch_tlb_flush_page(uint32_t asid, uva_t va)
{
    uint64_t operand = (uint64_t)asid << 48 | (va.v >> PAGE_SHIFT & 0xfffffffffffull);

    __asm__ volatile("dsb ishst\n\ttlbi vae1is, %0" : : "r"(operand) : "memory");
}

void arch_tlb_flush_asid(uint32_t asid)
{
    __asm__ volatile("dsb ishst\n\ttlbi aside1is, %0" : : "r"((uint64_t)asid << 48) : "memory");
}

void arch_tlb_flush_all(void)
{
    __asm__ volatile("dsb ishst\n\ttlbi vmalle1is\n\tdsb ish\n\tisb" : : : "memory");
}

void arch_tlb_sync(void)
{
    __asm__ volatile("dsb ish\n\tisb" : : : "memory");
}
