#include "mmu.h"

#include "arch/arch.h"
#include "main.h"
#include "panic.h"

#define ENTRIES 512u
#define GIGABYTE (1ull << 30)
#define BLOCK_2M (1ull << 21)
#define RAM_TABLES 16u /* for gigabytes that are not all RAM */
#define PTE_BLOCK_OK (PTE_VALID | PTE_SHARED | PTE_ACCESSED | MAIR_NORMAL << PTE_ATTR_SHIFT)

#define PAGE_ALIGNED __attribute__((aligned(PAGE_SIZE)))

/* Filled by start.S before the MMU is on. */
PAGE_ALIGNED pte_t kernel_root[ENTRIES], boot_image_table[ENTRIES], boot_image_pages[ENTRIES],
    boot_identity[ENTRIES];

static PAGE_ALIGNED pte_t ram_tables[RAM_TABLES][ENTRIES];
static unsigned ram_tables_used;
static PAGE_ALIGNED pte_t device_table[ENTRIES], device_pages[ENTRIES];
static unsigned device_pages_used;
static PAGE_ALIGNED pte_t empty_root[ENTRIES];

extern char text_start[], text_end[], rodata_end[], stack_guard[], image_end[];

/* Where a static table lies in memory: the image's pages are contiguous there. */
static paddr_t image_paddr(const void *at)
{
    return (paddr_t){(boot_image_pages[0] & PTE_ADDRESS) + (uint64_t)at - IMAGE_BASE};
}

void mmu_protect_image(paddr_t image)
{
    uint64_t sctlr;

    for (uint64_t va = IMAGE_BASE; va < (uint64_t)image_end; va += PAGE_SIZE) {
        pte_t pte = (image.v + va - IMAGE_BASE) | PTE_BLOCK_OK | PTE_TABLE | PTE_USER_NO_EXEC;

        if (va >= (uint64_t)text_end)
            pte |= PTE_KERNEL_NO_EXEC;
        if (va < (uint64_t)rodata_end)
            pte |= PTE_READ_ONLY;
        boot_image_pages[(va - IMAGE_BASE) / PAGE_SIZE] = va == (uint64_t)stack_guard ? 0 : pte;
    }
    arch_table_sync();
    arch_tlb_flush_all();
    __asm__ volatile("mrs %0, sctlr_el1\n\torr %0, %0, %1\n\tmsr sctlr_el1, %0\n\tisb"
                     : "=&r"(sctlr)
                     : "i"(1ull << 19)); /* WXN: what is writable is never executed */
}

static pte_t *ram_table(unsigned gigabyte)
{
    if (!kernel_root[gigabyte]) {
        if (ram_tables_used == RAM_TABLES)
            boot_fail("memory: more than %u gigabytes are only partly RAM", RAM_TABLES);
        kernel_root[gigabyte] = image_paddr(ram_tables[ram_tables_used++]).v | PTE_TABLE | PTE_VALID;
    }
    return ram_tables[((kernel_root[gigabyte] & PTE_ADDRESS) - image_paddr(ram_tables).v) / PAGE_SIZE];
}

void arch_map_ram(struct tree_range ram)
{
    const pte_t block = PTE_BLOCK_OK | PTE_KERNEL_NO_EXEC | PTE_USER_NO_EXEC;
    uint64_t end = ram.base + ram.len;

    for (uint64_t at = ram.base; at < end;) {
        if (at % GIGABYTE == 0 && end - at >= GIGABYTE && !kernel_root[at / GIGABYTE]) {
            kernel_root[at / GIGABYTE] = at | block;
            at += GIGABYTE;
        } else {
            ram_table((unsigned)(at / GIGABYTE))[at % GIGABYTE / BLOCK_2M] = at | block;
            at += BLOCK_2M;
        }
    }
    arch_table_sync();
}

volatile void *mmu_map_device(uint64_t pa, uint64_t len)
{
    uint64_t first = align_down(pa, PAGE_SIZE);
    uint64_t npages = (align_up(pa + len, PAGE_SIZE) - first) / PAGE_SIZE;
    unsigned at = device_pages_used;

    if (npages > ENTRIES - at)
        return NULL;
    kernel_root[510] = image_paddr(device_table).v | PTE_TABLE | PTE_VALID;
    device_table[0] = image_paddr(device_pages).v | PTE_TABLE | PTE_VALID;
    for (uint64_t i = 0; i < npages; i++)
        device_pages[at + i] = (first + i * PAGE_SIZE) | PTE_VALID | PTE_TABLE | PTE_ACCESSED |
                               PTE_KERNEL_NO_EXEC | PTE_USER_NO_EXEC | MAIR_DEVICE << PTE_ATTR_SHIFT;
    device_pages_used += (unsigned)npages;
    arch_table_sync();
    return (volatile char *)(DEVICE_BASE + (uint64_t)at * PAGE_SIZE + (pa - first));
}

uint64_t mmu_device_paddr(uint64_t va)
{
    uint64_t page = (va - DEVICE_BASE) / PAGE_SIZE;

    return page < device_pages_used ? (device_pages[page] & PTE_ADDRESS) + (va & PAGE_MASK) : 0;
}

paddr_t mmu_empty_root(void)
{
    return image_paddr(empty_root);
}
