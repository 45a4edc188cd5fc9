/* Pages, rights, accounts, and what of memory a program may see. */
#include "bare.h"

#define RX (EXO_PROT_READ | EXO_PROT_EXEC)

static volatile uint64_t *word(uint64_t va)
{
    return (volatile uint64_t *)va;
}

static int64_t unmap_lazily(uint64_t va, uint64_t n)
{
    uint64_t done = 0;

    while (done < n) {
        int64_t rc = exo_page_unmap(EXO_SELF_SPACE, va + done * PAGE_SIZE, n - done, EXO_LAZY);

        if (rc < 0)
            return rc;
        done += (uint64_t)rc;
    }
    return (int64_t)done;
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

    check_is("K8 pages are allocated", pages_alloc(EXO_SELF_SPACE, SPARE, 4, RW), 4);
    check("K8 the free count is exact: four pages and their tables",
          before - free_frames() >= 4 && before - free_frames() <= 7);
    check("pages come zeroed", all_zero(SPARE) && all_zero(SPARE + 3 * PAGE_SIZE));
    *word(SPARE) = 42;
    check("and can be written", *word(SPARE) == 42);
    check_is("bound addresses are not bound again", pages_alloc(EXO_SELF_SPACE, SPARE + PAGE_SIZE, 1, RW),
             -EXO_EBOUND);
    check_is("nor a range of which a part is", pages_alloc(EXO_SELF_SPACE, SPARE - PAGE_SIZE, 2, RW),
             -EXO_EBOUND);
    check("a refused range binds nothing", probe(do_read, SPARE - PAGE_SIZE).reason == EXO_UPCALL_FAULT);
    check_is("unmapping counts pages", exo_page_unmap(EXO_SELF_SPACE, SPARE, 4, 0), 4);
    check("K13 an unmapped page is gone at once", probe(do_read, SPARE).reason == EXO_UPCALL_FAULT);
    check_is("K8 every frame is back, tables too", (int64_t)free_frames(), (int64_t)before);
    check_is("0 pages are no error", pages_alloc(EXO_SELF_SPACE, SPARE, 0, RW), 0);
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

        check_is(bad[i].what, pages_alloc(EXO_SELF_SPACE, va, n, RW), -EXO_ERANGE);
        others_ok &= exo_page_unmap(EXO_SELF_SPACE, va, n, 0) == -EXO_ERANGE;
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
    pages_alloc(EXO_SELF_SPACE, SPARE, 1, RW);
    *word(SPARE) = 7;
    check_is("W^X: no page is writable and executable",
             pages_alloc(EXO_SELF_SPACE, SPARE + PAGE_SIZE, 1, RW | EXO_PROT_EXEC), -EXO_EINVAL);
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
    exo_page_unmap(EXO_SELF_SPACE, SPARE, 1, 0);
}

static void check_sharing(void)
{
    uint64_t before = free_frames(), other = SPARE + PAGE_SIZE;

    pages_alloc(EXO_SELF_SPACE, SPARE, 1, RW);
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
    exo_page_unmap(EXO_SELF_SPACE, SPARE, 1, 0);
    check("K3 a page lives while something binds it", *word(other) == 99);
    exo_page_unmap(EXO_SELF_SPACE, other, 1, 0);
    check_is("K3 and is freed with the last binding", (int64_t)free_frames(), (int64_t)before);
}

/* The frame table, in the pages that info_map shows. */
static uint32_t any_free_frame(void)
{
    const struct exo_frame *table = (const struct exo_frame *)(SPARE + 0x10000000);
    uint32_t per_page = PAGE_SIZE / sizeof(*table), page = machine->nframes / per_page / 5 * 4, found = 0;

    if (exo_info_map(EXO_FIRST_INFO, EXO_INFO_FRAMES, page, EXO_SELF_SPACE, (uint64_t)table))
        return 0;
    for (uint32_t i = 0; i < per_page && !found; i++)
        if (table[i].kind == EXO_FRAME_FREE)
            found = machine->first_frame + page * per_page + i;
    check("K5 the frame table is not writable", probe(do_write, (uint64_t)table).reason == EXO_UPCALL_FAULT);
    check_is("K5 and cannot be made so", exo_page_protect(EXO_SELF_SPACE, (uint64_t)table, 1, RW),
             -EXO_ERIGHTS);
    exo_page_unmap(EXO_SELF_SPACE, (uint64_t)table, 1, 0);
    return found;
}

/* However many calls it takes. */
static int64_t alloc_run(uint64_t va, uint64_t n)
{
    uint64_t flags = RW | EXO_ALLOC_CONTIG, done = 0;

    while (done < n) {
        int64_t rc = exo_page_alloc(EXO_SELF_SPACE, va + done * PAGE_SIZE, n - done, EXO_WANT_ANY, flags);

        if (rc <= 0)
            return rc;
        done += (uint64_t)rc;
        flags |= EXO_ALLOC_MORE;
    }
    return (int64_t)done;
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
    exo_page_unmap(EXO_SELF_SPACE, SPARE, 1, 0);
    exo_page_alloc(EXO_SELF_SPACE, SPARE, 1, frame, RW);
    check("a freed page comes back zeroed", all_zero(SPARE));
    exo_page_unmap(EXO_SELF_SPACE, SPARE, 1, 0);
    check_is("512 pages in one run", alloc_run(SPARE, 512), 512);
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
        exo_page_unmap(EXO_SELF_SPACE, SPARE + pa, 1, 0);
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

/* ---- lazily ------------------------------------------------------------------------------------------------- */

/* A processor may forget at any time: what can be seen is that nothing stale is left once it has been asked for. */
static void check_lazy(void)
{
    uint64_t before = free_frames();
    unsigned clean = 0, gone = 0;

    check_is("flags that do not exist are refused", exo_page_unmap(EXO_SELF_SPACE, SPARE, 1, 1), -EXO_EINVAL);
    pages_alloc(EXO_SELF_SPACE, SPARE, 64, RW);
    for (unsigned i = 0; i < 64; i++)
        word(SPARE + i * PAGE_SIZE)[0] = i;
    for (unsigned i = 0; i < 32; i++)
        exo_page_protect(EXO_SELF_SPACE, SPARE + i * PAGE_SIZE, 1, EXO_PROT_READ | EXO_LAZY);
    check_is("K13 lazy changes are synced", exo_tlb_sync(EXO_SELF_SPACE, SPARE, 32), 0);
    for (unsigned i = 0; i < 32; i++)
        gone += probe(do_write, SPARE + i * PAGE_SIZE).detail == (EXO_PROT_WRITE | EXO_ACCESS_BOUND);
    check_is("K13 and show then: no page is writable", gone, 32);
    check_is("K13 pages are unmapped lazily", unmap_lazily(SPARE, 62), 62);
    exo_tlb_sync(EXO_SELF_SPACE, SPARE, 1 << 20);
    gone = 0;
    for (unsigned i = 0; i < 62; i++)
        gone += probe(do_read, SPARE + i * PAGE_SIZE).reason == EXO_UPCALL_FAULT;
    check_is("K13 and after a sync of much more they are gone", gone, 62);
    pages_alloc(EXO_SELF_SPACE, SPARE, 62, RW);
    for (unsigned i = 0; i < 62; i++)
        word(SPARE + i * PAGE_SIZE)[0] = i;
    unmap_lazily(SPARE, 62); /* never synced */
    pages_alloc(EXO_SELF_SPACE, SPARE + 512 * PAGE_SIZE, 62, RW);
    gone = 0;
    for (unsigned i = 0; i < 62; i++) {
        gone += probe(do_write, SPARE + i * PAGE_SIZE).reason == EXO_UPCALL_FAULT;
        clean += all_zero(SPARE + (512 + i) * PAGE_SIZE);
    }
    check_is("K13 frames that were given up lazily come back without any way to them", gone, 62);
    check_is("K13 and zeroed", clean, 62);
    unmap_lazily(SPARE + 512 * PAGE_SIZE, 62);
    exo_page_unmap(EXO_SELF_SPACE, SPARE + 62 * PAGE_SIZE, 2, EXO_LAZY);
    check_is("K8 every frame is back", (int64_t)free_frames(), (int64_t)before);
}

/* ---- several spaces, one vcpu ------------------------------------------------------------------------------ */

static bool furnish(exo_handle_t space)
{
    uint64_t stack = EXO_FIRST_STACK_TOP - EXO_FIRST_STACK_PAGES * PAGE_SIZE;

    return program_bind(space) == 0 &&
           exo_page_map(space, EXO_FIRST_VCPU_VA, EXO_SELF_SPACE, EXO_FIRST_VCPU_VA, 1, RW) == 1 &&
           exo_page_map(space, stack, EXO_SELF_SPACE, stack, EXO_FIRST_STACK_PAGES, RW) ==
               (int64_t)EXO_FIRST_STACK_PAGES &&
           exo_page_alloc(space, SPARE, 1, EXO_WANT_ANY, RW) == 1;
}

static void check_switch(void)
{
    uint64_t before = free_frames(), seen = 0;
    exo_handle_t other = (exo_handle_t)exo_space_create();
    int64_t left;

    pages_alloc(EXO_SELF_SPACE, SPARE, 1, RW);
    *word(SPARE) = 1;
    check("a second space can be furnished", furnish(other));
    check_is("K11 a vcpu goes to another space", exo_space_switch(other), 0);
    check("K11 and sees its memory", all_zero(SPARE));
    *word(SPARE) = 2;
    check("K11 faults are those of the space that it runs in",
          probe(do_jump, SPARE).detail == (EXO_PROT_EXEC | EXO_ACCESS_BOUND));
    check_is("K11 a space in use is not destroyed", exo_space_destroy(other), -EXO_EBUSY);
    for (unsigned i = 0; i < 1000; i++) {
        exo_space_switch(i & 1 ? other : EXO_SELF_SPACE);
        seen += *word(SPARE) == (i & 1 ? 2 : 1);
    }
    check_is("K11 a thousand switches, each to the right memory", (int64_t)seen, 1000);
    check_is("K11 its ASID can be pinned", exo_asid_pin(other), 0);
    check_is("K11 once", exo_asid_pin(other), -EXO_ESTATE);
    check("K11 pinned, it still shows its memory", *word(SPARE) == 2);
    check_is("K11 it can be unpinned while it is in use", exo_asid_unpin(other), 0);
    check("K11 and shows its memory under a new one", *word(SPARE) == 2);
    check_is("K11 once", exo_asid_unpin(other), -EXO_ESTATE);
    check_is("K11 and back home", exo_space_switch(EXO_SELF_SPACE), 0);
    check("K11 home is as it was", *word(SPARE) == 1);
    do
        left = exo_space_destroy(other);
    while (left > 0);
    check_is("K11 a space that nobody runs in is destroyed", left, 0);
    exo_cap_drop(other);
    exo_page_unmap(EXO_SELF_SPACE, SPARE, 1, 0);
    check_is("K11 every frame is back", (int64_t)free_frames(), (int64_t)before);
}

/* More spaces than an eight-bit ASID tells apart: each switch is to the right one, the pinned one too. */
static void check_many(void)
{
    static exo_handle_t spaces[300];
    unsigned n = sizeof(spaces) / sizeof(*spaces), right = 0, made = 0;

    for (unsigned i = 0; i < n; i++) {
        int64_t rc = exo_space_create();

        spaces[i] = rc < 0 ? 0 : (exo_handle_t)rc;
        made += rc >= 0 && furnish(spaces[i]);
    }
    check_is("K11 300 spaces can be made", made, n);
    exo_asid_pin(spaces[7]);
    for (unsigned round = 0; made == n && round < 3; round++) {
        for (unsigned i = 0; i < n; i++) {
            exo_space_switch(spaces[i]);
            right += *word(SPARE) == (round ? i : 0);
            *word(SPARE) = i;
            exo_space_switch(spaces[7]);
            right += *word(SPARE) == (round || i >= 7 ? 7 : 0);
        }
    }
    exo_space_switch(EXO_SELF_SPACE);
    check_is("K11 each shows its own memory, three times round", right, made == n ? 6 * n : 1);
    for (unsigned i = 0; i < n; i++) {
        while (exo_space_destroy(spaces[i]) > 0)
            ;
        exo_cap_drop(spaces[i]);
    }
}

void check_memory(void)
{
    check_lazy();
    check_switch();
    check_many();
    check_alloc();
    check_ranges();
    check_protection();
    check_sharing();
    check_by_number();
    check_devices();
    check_windows();
}
