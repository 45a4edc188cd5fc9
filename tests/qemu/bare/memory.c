/* Pages, rights, accounts, and what of memory a program may see. */
#include "bare.h"

#define RW (EXO_PROT_READ | EXO_PROT_WRITE)
#define RX (EXO_PROT_READ | EXO_PROT_EXEC)

static volatile uint64_t *word(uint64_t va)
{
    return (volatile uint64_t *)va;
}

static int64_t alloc(uint64_t va, uint64_t n, uint64_t flags)
{
    return exo_page_alloc(EXO_SELF_SPACE, va, n, EXO_WANT_ANY, flags);
}

static bool all_zero(uint64_t va)
{
    uint64_t any = 0;

    for (unsigned i = 0; i < PAGE_SIZE / 8; i++)
        any |= word(va)[i];
    return any == 0;
}

static void check_alloc(void)
{
    uint64_t before = free_frames();

    check_is("K8 pages are allocated", alloc(SPARE, 4, RW), 4);
    check("K8 the free count is exact: four pages and their tables",
          before - free_frames() >= 4 && before - free_frames() <= 7);
    check("pages come zeroed", all_zero(SPARE) && all_zero(SPARE + 3 * PAGE_SIZE));
    *word(SPARE) = 42;
    check("and can be written", *word(SPARE) == 42);
    check_is("bound addresses are not bound again", alloc(SPARE + PAGE_SIZE, 1, RW), -EXO_EBOUND);
    check_is("nor a range of which a part is", alloc(SPARE - PAGE_SIZE, 2, RW), -EXO_EBOUND);
    check("a refused range binds nothing", probe(do_read, SPARE - PAGE_SIZE).reason == EXO_UPCALL_FAULT);
    check_is("unmapping counts pages", exo_page_unmap(EXO_SELF_SPACE, SPARE, 4), 4);
    check("K13 an unmapped page is gone at once", probe(do_read, SPARE).reason == EXO_UPCALL_FAULT);
    check_is("K8 every frame is back, tables too", (int64_t)free_frames(), (int64_t)before);
    check_is("0 pages are no error", alloc(SPARE, 0, RW), 0);
}

static void check_ranges(void)
{
    static const struct {
        const char *what;
        uint64_t va, n;
    } bad[] = {{"K20 an unaligned address", SPARE + 1, 1},
               {"K20 the kernel's half", 0xffffff8000000000, 1},
               {"K20 the last page of the address space", 0ull - PAGE_SIZE, 1},
               {"K20 a range that wraps", 0ull - PAGE_SIZE, 2},
               {"K20 a count that wraps", SPARE, 1ull << 52},
               {"K20 the largest count", SPARE, UINT64_MAX},
               {"K20 a range that leaves user space", 0x7fbfffffff000, 2},
               {"K20 the window on the page tables", 0x7fc0000000, 1},
               {"K20 into the window on the page tables", 0x7fbffff000, 2}};
    bool alloc_ok = true, others_ok = true;

    for (unsigned i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        uint64_t va = bad[i].va, n = bad[i].n;

        check_is(bad[i].what, alloc(va, n, RW), -EXO_ERANGE);
        others_ok &= exo_page_unmap(EXO_SELF_SPACE, va, n) == -EXO_ERANGE;
        others_ok &= exo_page_protect(EXO_SELF_SPACE, va, n, EXO_PROT_READ) == -EXO_ERANGE;
        others_ok &= exo_page_map(EXO_SELF_SPACE, va, EXO_SELF_SPACE, SPARE, n, EXO_PROT_READ) == -EXO_ERANGE;
        others_ok &= exo_page_map(EXO_SELF_SPACE, SPARE, EXO_SELF_SPACE, va, n, EXO_PROT_READ) == -EXO_ERANGE;
        others_ok &= exo_mmio_map(EXO_FIRST_MMIO, EXO_SELF_SPACE, va, uart_at, n, RW) == -EXO_ERANGE;
        alloc_ok &= exo_page_alloc(EXO_SELF_SPACE, va, n, EXO_WANT_ANY, RW | EXO_ALLOC_CONTIG) == -EXO_ERANGE;
    }
    check("K20 contiguous allocation refuses the same", alloc_ok);
    check("K20 unmap, protect, map and mmio_map refuse the same", others_ok);
}

static void check_protection(void)
{
    alloc(SPARE, 1, RW);
    *word(SPARE) = 7;
    check_is("W^X: no page is writable and executable", alloc(SPARE + PAGE_SIZE, 1, RW | EXO_PROT_EXEC),
             -EXO_EINVAL);
    check_is("W^X: nor made so", exo_page_protect(EXO_SELF_SPACE, SPARE, 1, RW | EXO_PROT_EXEC), -EXO_EINVAL);
    check_is("W^X: nor mapped so",
             exo_page_map(EXO_SELF_SPACE, SPARE + PAGE_SIZE, EXO_SELF_SPACE, SPARE, 1, RW | EXO_PROT_EXEC),
             -EXO_EINVAL);
    check_is("protections that do not exist are refused", exo_page_protect(EXO_SELF_SPACE, SPARE, 1, 8),
             -EXO_EINVAL);
    check("a data page does not execute", probe(do_jump, SPARE).detail == (EXO_PROT_EXEC | EXO_ACCESS_BOUND));
    exo_page_protect(EXO_SELF_SPACE, SPARE, 1, EXO_PROT_READ);
    check("K13 a page made read-only is so at once",
          probe(do_write, SPARE).detail == (EXO_PROT_WRITE | EXO_ACCESS_BOUND));
    check("and still reads", *word(SPARE) == 7);
    exo_page_protect(EXO_SELF_SPACE, SPARE, 1, EXO_PROT_NONE);
    check("a page without access does not read",
          probe(do_read, SPARE).detail == (EXO_PROT_READ | EXO_ACCESS_BOUND));
    exo_page_protect(EXO_SELF_SPACE, SPARE, 1, RW);
    check("and keeps its content", *word(SPARE) == 7);
    check_is("what is not bound cannot be protected",
             exo_page_protect(EXO_SELF_SPACE, SPARE + PAGE_SIZE, 1, EXO_PROT_READ), -EXO_EUNBOUND);
    exo_page_unmap(EXO_SELF_SPACE, SPARE, 1);
}

static void check_sharing(void)
{
    uint64_t before = free_frames(), other = SPARE + PAGE_SIZE;

    alloc(SPARE, 1, RW);
    check_is("a binding is copied",
             exo_page_map(EXO_SELF_SPACE, other, EXO_SELF_SPACE, SPARE, 1, EXO_PROT_READ), 1);
    *word(SPARE) = 99;
    check("both show the same page", *word(other) == 99);
    check("a read-only copy is not writable", probe(do_write, other).reason == EXO_UPCALL_FAULT);
    check_is("K5 and cannot be made so", exo_page_protect(EXO_SELF_SPACE, other, 1, RW), -EXO_ERIGHTS);
    check_is("K5 nor copied so",
             exo_page_map(EXO_SELF_SPACE, SPARE + 2 * PAGE_SIZE, EXO_SELF_SPACE, other, 1, RW), -EXO_ERIGHTS);
    check_is("what is not bound is not copied",
             exo_page_map(EXO_SELF_SPACE, SPARE + 2 * PAGE_SIZE, EXO_SELF_SPACE, SPARE + 3 * PAGE_SIZE, 1,
                          EXO_PROT_READ),
             -EXO_EUNBOUND);
    exo_page_unmap(EXO_SELF_SPACE, SPARE, 1);
    check("K3 a page lives while something binds it", *word(other) == 99);
    exo_page_unmap(EXO_SELF_SPACE, other, 1);
    check_is("K3 and is freed with the last binding", (int64_t)free_frames(), (int64_t)before);
}

/* The frame table, in the pages that info_map shows. */
static uint32_t any_free_frame(void)
{
    const struct exo_frame *table = (const struct exo_frame *)(SPARE + 0x10000000);
    uint32_t per_page = PAGE_SIZE / sizeof(*table), page = machine->nframes / per_page * 3 / 4, found = 0;

    if (exo_info_map(EXO_FIRST_INFO, EXO_INFO_FRAMES, page, EXO_SELF_SPACE, (uint64_t)table))
        return 0;
    for (uint32_t i = 0; i < per_page && !found; i++)
        if (table[i].kind == EXO_FRAME_FREE)
            found = machine->first_frame + page * per_page + i;
    check("K5 the frame table is not writable", probe(do_write, (uint64_t)table).reason == EXO_UPCALL_FAULT);
    check_is("K5 and cannot be made so", exo_page_protect(EXO_SELF_SPACE, (uint64_t)table, 1, RW),
             -EXO_ERIGHTS);
    exo_page_unmap(EXO_SELF_SPACE, (uint64_t)table, 1);
    return found;
}

static void check_by_number(void)
{
    uint32_t frame = any_free_frame();

    check_is("a frame can be asked for by number", exo_page_alloc(EXO_SELF_SPACE, SPARE, 1, frame, RW), 1);
    *word(SPARE) = 0x5ec2e7;
    check("K5 one that is in use cannot",
          exo_page_alloc(EXO_SELF_SPACE, SPARE + PAGE_SIZE, 1, frame, RW) < 0);
    check("K5 nor the kernel's",
          exo_page_alloc(EXO_SELF_SPACE, SPARE + PAGE_SIZE, 1, machine->first_frame, RW) < 0);
    check("K5 nor one that is no memory", exo_page_alloc(EXO_SELF_SPACE, SPARE + PAGE_SIZE, 1, 1, RW) < 0);
    check("K20 nor one beyond the end", exo_page_alloc(EXO_SELF_SPACE, SPARE + PAGE_SIZE, 1,
                                                       machine->first_frame + machine->nframes, RW) < 0);
    check_is("K20 nor one whose number wraps",
             exo_page_alloc(EXO_SELF_SPACE, SPARE + PAGE_SIZE, 1, 1ull << 32, RW), -EXO_EINVAL);
    exo_page_unmap(EXO_SELF_SPACE, SPARE, 1);
    exo_page_alloc(EXO_SELF_SPACE, SPARE, 1, frame, RW);
    check("a freed page comes back zeroed", all_zero(SPARE));
    exo_page_unmap(EXO_SELF_SPACE, SPARE, 1);
    check_is("512 pages in one run",
             exo_page_alloc(EXO_SELF_SPACE, SPARE, 512, EXO_WANT_ANY, RW | EXO_ALLOC_CONTIG), 512);
    clear_range(EXO_SELF_SPACE, SPARE, 512);
}

static void check_devices(void)
{
    uint64_t ram = (uint64_t)machine->first_frame << PAGE_SHIFT;
    unsigned refused = 0;

    check_is("K5 memory is no device", exo_mmio_map(EXO_FIRST_MMIO, EXO_SELF_SPACE, SPARE, ram, 1, RW),
             -EXO_ERANGE);
    check_is("K5 nor its last page",
             exo_mmio_map(EXO_FIRST_MMIO, EXO_SELF_SPACE, SPARE,
                          ram + ((uint64_t)machine->nframes - 1) * PAGE_SIZE, 1, RW),
             -EXO_ERANGE);
    check_is("K5 nor a range that begins before it",
             exo_mmio_map(EXO_FIRST_MMIO, EXO_SELF_SPACE, SPARE, ram - PAGE_SIZE, 2, RW), -EXO_ERANGE);
    for (uint64_t pa = 0x08000000; pa < 0x08100000; pa += PAGE_SIZE)
        refused += exo_mmio_map(EXO_FIRST_MMIO, EXO_SELF_SPACE, SPARE + pa, pa, 1, RW) == -EXO_ERANGE;
    check("K5 the kernel's interrupt controller is not handed out", refused >= 2);
    for (uint64_t pa = 0x08000000; pa < 0x08100000; pa += PAGE_SIZE)
        exo_page_unmap(EXO_SELF_SPACE, SPARE + pa, 1);
    check_is("K20 an address that wraps",
             exo_mmio_map(EXO_FIRST_MMIO, EXO_SELF_SPACE, SPARE, 0ull - PAGE_SIZE, 2, RW), -EXO_ERANGE);
    check_is("K5 code from devices: refused",
             exo_mmio_map(EXO_FIRST_MMIO, EXO_SELF_SPACE, SPARE, uart_at, 1, RX), -EXO_EINVAL);
}

static void check_windows(void)
{
    uint64_t root =
        machine->table_va | (machine->table_va >> 9 & 0x3fe00000) | (machine->table_va >> 18 & 0x1ff000);

    check("one's own page tables can be read",
          probe(do_read, root).reason == 0 && *word(root + 8 * (SPARE >> 30)) == 0);
    check("K5 and not written", probe(do_write, root).detail == (EXO_PROT_WRITE | EXO_ACCESS_BOUND));
    check("K5 nor executed", probe(do_jump, root).reason == EXO_UPCALL_FAULT);
    check("the system page is not writable", probe(do_write, (uint64_t)machine).reason == EXO_UPCALL_FAULT);
    check("the device tree is not writable", probe(do_write, machine->tree_va).reason == EXO_UPCALL_FAULT);
    check("the bundle is not writable", probe(do_write, machine->bundle_va).reason == EXO_UPCALL_FAULT);
    check_is("K5 and cannot be made so", exo_page_protect(EXO_SELF_SPACE, machine->bundle_va, 1, RW),
             -EXO_ERIGHTS);
}

void check_memory(void)
{
    check_alloc();
    check_ranges();
    check_protection();
    check_sharing();
    check_by_number();
    check_devices();
    check_windows();
}
