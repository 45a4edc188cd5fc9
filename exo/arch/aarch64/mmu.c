#include "mmu.h"

#include "arch/arch.h"
#include "block.h"
#include "cpu.h"
#include "main.h"
#include "panic.h"

#define ENTRIES 512u
#define GIGABYTE (1ull << 30)
#define BLOCK_2M (1ull << 21)
#define RAM_TABLES 16u /* for gigabytes that are not all RAM */
#define PTE_BLOCK_OK (PTE_VALID | PTE_SHARED | PTE_ACCESSED | MAIR_NORMAL << PTE_ATTR_SHIFT)

#define PEEK_PAGE (ENTRIES - 1) /* of device_pages */
#define STACKS_BASE (DEVICE_BASE + BLOCK_2M)
#define STACK_PAGES 4u
#define STACK_STRIDE 8u /* pages from one CPU's to the next's; mmu.h says what is in them */
#define STACK_PANIC 6u
_Static_assert(EXO_CPUS_MAX *STACK_STRIDE <= ENTRIES, "all stacks are in one leaf table");

#define PAGE_ALIGNED __attribute__((aligned(PAGE_SIZE)))

/* Filled by start.S before the MMU is on. */
PAGE_ALIGNED pte_t kernel_root[ENTRIES], boot_image_table[ENTRIES], boot_image_pages[ENTRIES],
    boot_identity[ENTRIES];

static PAGE_ALIGNED pte_t ram_tables[RAM_TABLES][ENTRIES];
static unsigned ram_tables_used;
static PAGE_ALIGNED pte_t device_table[ENTRIES], device_pages[ENTRIES], stack_pages[ENTRIES];
static unsigned device_pages_used;
static PAGE_ALIGNED pte_t empty_root[ENTRIES];

extern char text_start[], boot_start[], boot_end[], text_end[], rodata_end[], stack_guard[], image_end[];

/* The image's pages are contiguous in memory. */
paddr_t mmu_image_paddr(const void *at)
{
    return (paddr_t){(boot_image_pages[0] & PTE_ADDRESS) + (uint64_t)at - IMAGE_BASE};
}

BOOT void mmu_protect_image(paddr_t image)
{
    for (uint64_t va = IMAGE_BASE; va < (uint64_t)image_end; va += PAGE_SIZE) {
        pte_t pte = (image.v + va - IMAGE_BASE) | PTE_BLOCK_OK | PTE_TABLE | PTE_USER_NO_EXEC;

        if (va >= (uint64_t)text_end)
            pte |= PTE_KERNEL_NO_EXEC;
        if (va < (uint64_t)rodata_end)
            pte |= PTE_READ_ONLY;
        boot_image_pages[(va - IMAGE_BASE) / PAGE_SIZE] = va == (uint64_t)stack_guard ? 0 : pte;
    }
    kernel_root[510] = mmu_image_paddr(device_table).v | PTE_TABLE | PTE_VALID;
    device_table[0] = mmu_image_paddr(device_pages).v | PTE_TABLE | PTE_VALID;
    device_table[1] = mmu_image_paddr(stack_pages).v | PTE_TABLE | PTE_VALID;
    arch_table_sync();
    arch_tlb_flush_all();
    mmu_protect_cpu();
}

void mmu_protect_cpu(void)
{
    uint64_t sctlr;

    __asm__ volatile("mrs %0, sctlr_el1\n\torr %0, %0, %1\n\tmsr sctlr_el1, %0\n\tisb"
                     : "=&r"(sctlr)
                     : "i"(1ull << 19)); /* WXN: what is writable is never executed */
    tlb_flush_local();                   /* which may hold it */
}

BOOT static pte_t *ram_table(unsigned gigabyte)
{
    if (!kernel_root[gigabyte]) {
        if (ram_tables_used == RAM_TABLES)
            boot_fail("memory: more than %u gigabytes are only partly RAM", RAM_TABLES);
        kernel_root[gigabyte] = mmu_image_paddr(ram_tables[ram_tables_used++]).v | PTE_TABLE | PTE_VALID;
    }
    return ram_tables[((kernel_root[gigabyte] & PTE_ADDRESS) - mmu_image_paddr(ram_tables).v) / PAGE_SIZE];
}

BOOT void arch_map_ram(struct tree_range ram)
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

BOOT bool mmu_maps_ram(uint64_t pa)
{
    pte_t pte = pa < ARCH_RAM_MAX ? kernel_root[pa / GIGABYTE] : 0;

    if (pte & PTE_TABLE)
        pte = ram_table((unsigned)(pa / GIGABYTE))[pa % GIGABYTE / BLOCK_2M];
    return pte & PTE_VALID;
}

BOOT static pte_t device_pte(uint64_t page)
{
    return page | PTE_VALID | PTE_TABLE | PTE_ACCESSED | PTE_KERNEL_NO_EXEC | PTE_USER_NO_EXEC |
           MAIR_DEVICE << PTE_ATTR_SHIFT;
}

BOOT volatile void *mmu_map_device(uint64_t pa, uint64_t len)
{
    uint64_t first = align_down(pa, PAGE_SIZE);
    uint64_t npages = (align_up(pa + len, PAGE_SIZE) - first) / PAGE_SIZE;
    unsigned at = device_pages_used;

    if (npages > PEEK_PAGE - at)
        return NULL;
    kernel_root[510] = mmu_image_paddr(device_table).v | PTE_TABLE | PTE_VALID;
    device_table[0] = mmu_image_paddr(device_pages).v | PTE_TABLE | PTE_VALID;
    for (uint64_t i = 0; i < npages; i++)
        device_pages[at + i] = device_pte(first + i * PAGE_SIZE);
    device_pages_used += (unsigned)npages;
    arch_table_sync();
    return (volatile char *)(DEVICE_BASE + (uint64_t)at * PAGE_SIZE + (pa - first));
}

uint64_t mmu_device_paddr(uint64_t va)
{
    uint64_t page = (va - DEVICE_BASE) / PAGE_SIZE;

    return page < ENTRIES && device_pages[page] ? (device_pages[page] & PTE_ADDRESS) + (va & PAGE_MASK) : 0;
}

BOOT volatile void *mmu_peek(uint64_t pa)
{
    const uint64_t va = DEVICE_BASE + PEEK_PAGE * PAGE_SIZE;

    device_pages[PEEK_PAGE] = 0;
    arch_tlb_flush_page(0, (uva_t){va}, true);
    arch_tlb_sync(true);
    device_pages[PEEK_PAGE] = device_pte(align_down(pa, PAGE_SIZE));
    arch_table_sync();
    return (volatile char *)(va + (pa & PAGE_MASK));
}

/* ---- when boot is over ---------------------------------------------------------------------------------------- */

struct tree_range arch_boot_code(void)
{
    return (struct tree_range){mmu_image_paddr(boot_start).v, (uint64_t)(boot_end - boot_start)};
}

void boot_over(void);

/* From start.S.  The code goes, first from where the kernel runs it, then to whoever asks for memory; the other CPUs come. */
void boot_over(void)
{
    struct tree_range code = arch_boot_code();

    for (uint64_t va = (uint64_t)boot_start; va < (uint64_t)boot_end; va += PAGE_SIZE)
        boot_image_pages[(va - IMAGE_BASE) / PAGE_SIZE] = 0;
    arch_table_sync();
    arch_tlb_flush_all();
    frames_give(paddr_to_pfn((paddr_t){code.base}), code.len / PAGE_SIZE);
    cpus_go();
}

/* ---- stacks -------------------------------------------------------------------------------------------------- */

BOOT static pte_t stack_pte(paddr_t memory, unsigned page)
{
    return (memory.v + page * PAGE_SIZE) | PTE_BLOCK_OK | PTE_TABLE | PTE_KERNEL_NO_EXEC | PTE_USER_NO_EXEC;
}

BOOT void *mmu_map_stack(unsigned index, paddr_t memory)
{
    pte_t *pages = &stack_pages[index * STACK_STRIDE];

    for (unsigned i = 0; i < STACK_PAGES; i++)
        pages[1 + i] = stack_pte(memory, i);
    pages[STACK_PANIC] = stack_pte(memory, STACK_PAGES);
    arch_table_sync();
    return (char *)(STACKS_BASE + (index * STACK_STRIDE + 1 + STACK_PAGES) * PAGE_SIZE);
}

BOOT void *mmu_panic_stack(unsigned index)
{
    return (char *)(STACKS_BASE + (index * STACK_STRIDE + STACK_PANIC + 1) * PAGE_SIZE);
}

bool mmu_is_stack_guard(uint64_t va)
{
    uint64_t page = (va - STACKS_BASE) / PAGE_SIZE;

    return va - (uint64_t)stack_guard < PAGE_SIZE || (page < ENTRIES && page % STACK_STRIDE == 0);
}

bool mmu_is_stack(uint64_t va)
{
    uint64_t page = (va - STACKS_BASE) / PAGE_SIZE;

    return (va > (uint64_t)stack_guard + PAGE_SIZE && va < (uint64_t)image_end) ||
           (page < ENTRIES && stack_pages[page]);
}

paddr_t mmu_empty_root(void)
{
    return mmu_image_paddr(empty_root);
}
