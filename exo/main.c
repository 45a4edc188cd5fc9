/* Boot: takes stock of memory, sets up the kernel's tables, loads the first program from the bundle.
 *
 * Nothing here assumes where anything lies: RAM, what firmware keeps, the bundle and the tree come from the device
 * tree, the kernel's own place from its linker symbols.  What is wrong ends in boot_fail with a sentence. */
#include "main.h"

#include "base/elf64.h"
#include "base/newc.h"
#include "base/range.h"
#include "block.h"
#include "dma.h"
#include "info.h"
#include "irq.h"
#include "log.h"
#include "panic.h"
#include "probe.h"
#include "slice.h"
#include "syscall.h"

#define PIECE_BYTES 0x200000ull
#define BANKS_MAX 32u
#define TAKEN_MAX 128u

static struct tree_range banks[BANKS_MAX];
static unsigned nbanks;

/* What of RAM is not free, in ascending order, page aligned. */
static struct taken {
    struct tree_range range;
    enum exo_frame_kind kind;
} taken[TAKEN_MAX];
static unsigned ntaken;

/* ---- what is where --------------------------------------------------------------------------------------- */

static void add_bank(struct tree_range r)
{
    uint64_t start = align_up(r.base, PIECE_BYTES);
    uint64_t end = align_down(r.base + r.len, PIECE_BYTES);
    unsigned i = nbanks;

    if (r.base > UINT64_MAX - PIECE_BYTES || end <= start)
        return;
    if (end > ARCH_RAM_MAX) /* beyond what the linear map reaches */
        end = max_u64(start, ARCH_RAM_MAX);
    if (end == start)
        return;
    if (nbanks == BANKS_MAX)
        boot_fail("device tree: more than %u ranges of memory", BANKS_MAX);
    for (unsigned k = 0; k < nbanks; k++)
        if (range_overlaps(start, end - start, banks[k].base, banks[k].len))
            boot_fail("device tree: two ranges of memory overlap at 0x%lx", max_u64(start, banks[k].base));
    for (; i > 0 && banks[i - 1].base > start; i--)
        banks[i] = banks[i - 1];
    banks[i] = (struct tree_range){start, end - start};
    nbanks++;
}

static void take(struct tree_range r, enum exo_frame_kind kind)
{
    uint64_t start = align_down(r.base, PAGE_SIZE);
    uint64_t end = align_up(r.base + r.len, PAGE_SIZE);
    unsigned i = ntaken;

    if (!range_fits(r.base, r.len, UINT64_MAX - PAGE_SIZE))
        boot_fail("device tree: reserved memory at 0x%lx reaches past the last address", r.base);
    if (ntaken == TAKEN_MAX)
        boot_fail("device tree: more than %u reserved ranges of memory", TAKEN_MAX);
    for (; i > 0 && taken[i - 1].range.base > start; i--)
        taken[i] = taken[i - 1];
    taken[i] = (struct taken){{start, end - start}, kind};
    ntaken++;
}

static void take_reserved(struct tree_range r)
{
    take(r, EXO_FRAME_RESERVED);
}

/* The first range that overlaps [base, base + len), or NULL. */
static const struct taken *taken_in(uint64_t base, uint64_t len)
{
    for (unsigned i = 0; i < ntaken; i++)
        if (range_overlaps(base, len, taken[i].range.base, taken[i].range.len))
            return &taken[i];
    return NULL;
}

static bool in_ram(struct tree_range r)
{
    for (unsigned i = 0; i < nbanks; i++)
        if (range_inside(r.base, r.len, banks[i].base, banks[i].len))
            return true;
    return false;
}

/* As it is; len: whole pages. */
static void *take_room(uint64_t len, uint64_t align, enum exo_frame_kind kind)
{
    for (unsigned i = 0; i < nbanks; i++) {
        uint64_t at = align_up(max_u64(banks[i].base, PAGE_SIZE), align);
        const struct taken *in_way;

        while ((in_way = taken_in(at, len)))
            at = align_up(in_way->range.base + in_way->range.len, align);
        if (range_inside(at, len, banks[i].base, banks[i].len)) {
            take((struct tree_range){at, len}, kind);
            return phys_to_virt((paddr_t){at});
        }
    }
    boot_fail("memory: no room for %lu bytes of kernel tables", len);
}

void *boot_take_aligned(uint64_t len, uint64_t align, enum exo_frame_kind kind)
{
    uint8_t *room;

    len = align_up(len, PAGE_SIZE);
    room = take_room(len, align, kind);
    for (uint64_t page = 0; page < len; page += PAGE_SIZE)
        arch_page_zero(room + page);
    return room;
}

void *boot_take(uint64_t len, enum exo_frame_kind kind)
{
    return boot_take_aligned(len, PAGE_SIZE, kind);
}

static uint64_t ram_end(void)
{
    return banks[nbanks - 1].base + banks[nbanks - 1].len;
}

/* ---- the frame table -------------------------------------------------------------------------------------- */

static pfn_t page_number(uint64_t byte)
{
    return (pfn_t)(byte >> PAGE_SHIFT);
}

static void hand_over_bank(struct tree_range bank)
{
    uint64_t at = bank.base, end = bank.base + bank.len;

    for (unsigned i = 0; i < ntaken && at < end; i++) {
        uint64_t from = max_u64(taken[i].range.base, at);
        uint64_t to = min_u64(taken[i].range.base + taken[i].range.len, end);

        if (taken[i].kind == EXO_FRAME_FREE || to <= at || from >= end)
            continue; /* what is free once boot is over, is so unless something else lies there */
        frames_add(page_number(at), page_number(from) - page_number(at));
        frames_reserve(page_number(from), page_number(to) - page_number(from), taken[i].kind);
        at = to;
    }
    frames_add(page_number(at), page_number(end) - page_number(at));
}

static void memory_init(void)
{
    uint64_t start = banks[0].base;
    uint64_t nframes = (ram_end() - start) >> PAGE_SHIFT;
    struct exo_frame *table = take_room(nframes * sizeof(*table), PAGE_SIZE, EXO_FRAME_INFO);
    uint8_t *leaves = boot_take(nframes / FRAME_LEAF, EXO_FRAME_KERNEL);
    uint64_t at = start;

    system_info = boot_take(PAGE_SIZE, EXO_FRAME_INFO);
    for (unsigned rank = EXO_LOCK_WORLD; rank < EXO_NLOCK_RANKS; rank++)
        system_info->locks[rank].rank = (uint8_t)rank;
    frames_init(table, leaves, page_number(start), (uint32_t)nframes);
    info_set(EXO_INFO_FRAMES, virt_to_phys(table), nframes / FRAME_LEAF);
    info_set(EXO_INFO_SYSTEM, virt_to_phys(system_info), 1);
    for (unsigned i = 0; i < nbanks; i++) {
        if (banks[i].base > at)
            frames_reserve(page_number(at), page_number(banks[i].base) - page_number(at), EXO_FRAME_RESERVED);
        at = banks[i].base + banks[i].len;
    }
}

static void hand_over_memory(void)
{
    for (unsigned i = 0; i < nbanks; i++)
        hand_over_bank(banks[i]);
}

/* ---- kernel tables ---------------------------------------------------------------------------------------- */

/* Room for n; those that do not start leave theirs unused at the end. */
static void cpu_tables_init(unsigned n)
{
    uint8_t *info = boot_take(n * PAGE_SIZE, EXO_FRAME_INFO);
    uint8_t *logs = boot_take(n * LOG_PAGES * PAGE_SIZE, EXO_FRAME_INFO);

    for (unsigned i = 0; i < n; i++) {
        cpus[i].info = (void *)(info + i * PAGE_SIZE);
        cpus[i].log = (void *)(logs + i * LOG_PAGES * PAGE_SIZE);
        slice_init(&cpus[i]);
    }
}

/* A CPU that does not start leaves its number to the next. */
static void cpus_start(unsigned found)
{
    for (unsigned which = 1; which < found && which < EXO_CPUS_MAX; which++)
        if (arch_cpu_start(cpu_next(), which))
            cpu_online();
    if (found > EXO_CPUS_MAX)
        klog("the device tree has %u processors; no more than %u are used", found, EXO_CPUS_MAX);
    klog("%u processor%s", ncpus, ncpus == 1 ? "" : "s");
    system_info->ncpus = ncpus;
    info_set(EXO_INFO_CPU, virt_to_phys(cpus[0].info), ncpus);
    info_set(EXO_INFO_LOG, virt_to_phys(cpus[0].log), ncpus * LOG_PAGES);
}

/* Before other CPUs start, which take their part of it. */
static void lines_init(unsigned n)
{
    uint64_t shown_bytes;
    struct exo_line *shown;

    arch_msi_init(n);
    shown_bytes = irq_rows() * sizeof(*shown);
    shown = boot_take(shown_bytes, EXO_FRAME_INFO);
    irq_init(boot_take(irq_rows() * sizeof(struct irq), EXO_FRAME_KERNEL), shown);
    info_set(EXO_INFO_LINES, virt_to_phys(shown), align_up(shown_bytes, PAGE_SIZE) >> PAGE_SHIFT);
    system_info->nlines = irq_rows();
    system_info->msi_first = arch_msi()->first;
    system_info->msi_lines = arch_msi()->nlines;
    system_info->msi_doorbell = arch_msi_doorbell().v;
}

static void system_init(void)
{
    system_info->abi_version = EXO_ABI_VERSION;
    system_info->counter_hz = arch_time_hz();
    system_info->log_bytes = LOG_PAGES * PAGE_SIZE;
    system_info->slots = CPU_SLOTS;
    system_info->slot_us = SLOT_US;
    system_info->boot_ticks = arch_time();
    system_info->user_top = 1ull << ARCH_USER_BITS;
    system_info->table_va = (uint64_t)ARCH_TABLE_SLOT << (ARCH_USER_BITS - 9);
}

/* The tree moves into pages of its own, which programs may read; where it was is free again. */
static void tree_keep(void)
{
    uint32_t len = tree_used();
    void *copy = boot_take(len, EXO_FRAME_INFO);

    tree_move(copy);
    system_info->tree_bytes = len;
    info_set(EXO_INFO_TREE, virt_to_phys(copy), align_up(len, PAGE_SIZE) >> PAGE_SHIFT);
}

/* ---- the first program ------------------------------------------------------------------------------------ */

static struct tree_range bundle_find(struct tree_range image)
{
    struct tree_range bundle;

    if (!tree_initrd(&bundle))
        boot_fail("no bundle: /chosen in the device tree names no initial RAM disk");
    if (bundle.base & PAGE_MASK)
        boot_fail("bundle: starts at 0x%lx, which is not page aligned", bundle.base);
    if (!in_ram(bundle))
        boot_fail("bundle: 0x%lx bytes at 0x%lx are not all in memory", bundle.len, bundle.base);
    if (range_overlaps(bundle.base, bundle.len, image.base, image.len))
        boot_fail("bundle: 0x%lx bytes at 0x%lx overlap the kernel", bundle.len, bundle.base);
    return bundle;
}

static struct newc_entry program_find(struct tree_range bundle)
{
    struct newc_reader reader = newc_open(phys_to_virt((paddr_t){bundle.base}), bundle.len);
    struct newc_entry entry;
    int rc;

    while ((rc = newc_next(&reader, &entry)) > 0)
        if (__builtin_strcmp(entry.name, EXO_FIRST_PROGRAM) == 0)
            return entry;
    if (rc < 0)
        boot_fail("bundle: at byte 0x%lx: %s", reader.at, newc_strerror(rc));
    boot_fail("bundle: holds no %s", EXO_FIRST_PROGRAM);
}

static void must(int rc, const char *what)
{
    if (rc < 0)
        boot_fail("%s: error %d while %s", EXO_FIRST_PROGRAM, -rc, what);
}

static void bind_pages(struct space *space, uint64_t va, uint64_t npages, unsigned prot)
{
    const struct frame_want want = {.pfn = EXO_WANT_ANY};

    while (npages) {
        int64_t n = space_bind_new(space, va, min_u64(npages, EXO_RANGE_MAX), prot, &want);

        must((int)n, "binding its memory");
        va += (uint64_t)n * PAGE_SIZE;
        npages -= (uint64_t)n;
    }
}

static void *page_behind(struct space *space, uint64_t va)
{
    struct binding binding;

    ASSERT(space_lookup(space, va, &binding));
    return frame_address(binding.pfn);
}

static void load_segment(struct space *space, const uint8_t *file, const struct elf64_segment *s)
{
    uint64_t first = align_down(s->va, PAGE_SIZE);
    uint64_t done = 0;

    bind_pages(space, first, (align_up(s->va + s->mem_bytes, PAGE_SIZE) - first) >> PAGE_SHIFT, s->prot);
    while (done < s->file_bytes) {
        uint64_t va = s->va + done;
        uint64_t n = min_u64(s->file_bytes - done, PAGE_SIZE - (va & PAGE_MASK));
        uint8_t *to = (uint8_t *)page_behind(space, va) + (va & PAGE_MASK);

        __builtin_memcpy(to, file + s->file_at + done, n);
        arch_code_written(to, n);
        done += n;
    }
}

static uint64_t program_load(struct space *space, const struct newc_entry *program)
{
    struct elf64_plan plan;
    int rc = elf64_plan(program->data, program->size, EXO_PROGRAM_MIN, EXO_PROGRAM_MAX, &plan);

    if (rc)
        boot_fail("bundle: %s: %s", EXO_FIRST_PROGRAM, elf64_strerror(rc));
    for (uint32_t i = 0; i < plan.nsegments; i++)
        load_segment(space, program->data, &plan.segments[i]);
    return plan.entry;
}

/* The bundle's pages become the first environment's, read-only. */
static void bundle_bind(struct env *env, struct tree_range bundle)
{
    uint64_t npages = align_up(bundle.len, PAGE_SIZE) >> PAGE_SHIFT;
    uint8_t *end = phys_to_virt((paddr_t){bundle.base + bundle.len});

    __builtin_memset(end, 0, npages * PAGE_SIZE - bundle.len); /* what else the last page held */
    for (uint64_t i = 0; i < npages; i++) {
        paddr_t pa = {bundle.base + i * PAGE_SIZE};

        frame_adopt(paddr_to_pfn(pa), EXO_FRAME_USER, &env->owner.account);
        must(space_bind_fixed(env->home, EXO_FIRST_BUNDLE_VA + i * PAGE_SIZE, pa, 1, EXO_PROT_READ,
                              MEMORY_NORMAL),
             "binding the bundle");
    }
    system_info->bundle_va = EXO_FIRST_BUNDLE_VA;
    system_info->bundle_bytes = bundle.len;
}

static void info_bind(struct env *env, enum exo_info_table table, uint64_t npages, uint64_t va)
{
    for (uint64_t i = 0; i < npages; i++) {
        paddr_t pa;

        must(info_page(table, i, &pa), "finding a table");
        must(space_bind_fixed(env->home, va + i * PAGE_SIZE, pa, 1, EXO_PROT_READ, MEMORY_NORMAL),
             "binding a table");
    }
}

static void insert_first(struct env *env, unsigned handle, struct cap model)
{
    model.rights = EXO_RIGHTS_ALL;
    ASSERT(cap_insert(&env->owner, &model, NULL) == handle);
}

static void insert_first_caps(struct env *env, struct vcpu *vcpu)
{
    insert_first(env, EXO_FIRST_VCPU,
                 (struct cap){.type = EXO_CAP_VCPU,
                              .object = vcpu_frame(vcpu),
                              .serial = frame_entry(vcpu_frame(vcpu))->serial});
    insert_first(env, EXO_FIRST_MMIO, (struct cap){.type = EXO_CAP_MMIO, .a = 0, .b = 1ull << 48});
    insert_first(env, EXO_FIRST_IRQ, (struct cap){.type = EXO_CAP_IRQ, .a = 0, .b = irq_limit()});
    insert_first(env, EXO_FIRST_INFO, (struct cap){.type = EXO_CAP_INFO});
    insert_first(env, EXO_FIRST_MACHINE, (struct cap){.type = EXO_CAP_MACHINE});
    insert_first(env, EXO_FIRST_DMA, (struct cap){.type = EXO_CAP_DMA, .a = 0, .b = EXO_DMA_STREAMS});
    insert_first(env, EXO_FIRST_TRACE, (struct cap){.type = EXO_CAP_TRACE});
    for (unsigned cpu = 0; cpu < ncpus; cpu++)
        insert_first(env, EXO_FIRST_SLICE + cpu,
                     (struct cap){.type = EXO_CAP_SLICE, .object = cpu, .a = 0, .b = CPU_SLOTS});
}

static void first_start(struct env *env, uint64_t entry)
{
    struct vcpu *vcpu;

    bind_pages(env->home, EXO_FIRST_VCPU_VA, 1, EXO_PROT_READ | EXO_PROT_WRITE);
    bind_pages(env->home, EXO_FIRST_STACK_TOP - EXO_FIRST_STACK_PAGES * PAGE_SIZE, EXO_FIRST_STACK_PAGES,
               EXO_PROT_READ | EXO_PROT_WRITE);
    must(vcpu_new(env, cpu_this(), env->home, EXO_FIRST_VCPU_VA, &vcpu), "making its virtual processor");
    vcpu_announce(vcpu);
    insert_first_caps(env, vcpu);
    vcpu->page->upcall_entry = entry;
    vcpu->page->upcall_sp = EXO_FIRST_STACK_TOP;
    ASSERT(vcpu_upcall(vcpu, EXO_UPCALL_START, EXO_FIRST_SYSTEM_VA, 0));
    slice_ready(vcpu);
}

/* Pages of the image that are nobody's when boot is over. */
static uint64_t boot_pages(void)
{
    struct tree_range code = arch_boot_code();

    return frames_count(page_number(code.base), code.len >> PAGE_SHIFT, EXO_FRAME_KERNEL);
}

static void first_program(struct tree_range bundle)
{
    struct newc_entry program = program_find(bundle);
    pfn_t pfn = paddr_to_pfn(virt_to_phys(boot_take(PAGE_SIZE, EXO_FRAME_RESERVED)));
    uint64_t tree_pages = align_up(system_info->tree_bytes, PAGE_SIZE) >> PAGE_SHIFT;
    struct env *env;

    hand_over_memory();
    must(env_new_first(pfn,
                       exo_frames(system_info, EXO_FRAME_FREE) + boot_pages() + 1 +
                           (align_up(bundle.len, PAGE_SIZE) >> PAGE_SHIFT),
                       &env),
         "making its environment");
    info_bind(env, EXO_INFO_SYSTEM, 1, EXO_FIRST_SYSTEM_VA);
    info_bind(env, EXO_INFO_TREE, tree_pages, EXO_FIRST_TREE_VA);
    system_info->tree_va = EXO_FIRST_TREE_VA;
    bundle_bind(env, bundle);
    first_start(env, program_load(env->home, &program));
}

void kernel_main(struct tree_range image, struct tree_range tree)
{
    struct tree_range bundle;
    unsigned found;

    cpu_this()->world = true; /* there is nobody else yet */
    cpu_online();
    tree_each_memory(add_bank);
    if (nbanks == 0)
        boot_fail("device tree: no memory node describes 2 MiB of memory or more");
    for (unsigned i = 0; i < nbanks; i++)
        arch_map_ram(banks[i]);
    take(image, EXO_FRAME_KERNEL);
    take(tree, EXO_FRAME_FREE);
    tree_each_reserved(take_reserved);
    bundle = bundle_find(image);
    take(bundle, EXO_FRAME_RESERVED);
    memory_init();
    found = arch_cpus_find();
    cpu_tables_init(found < EXO_CPUS_MAX ? found : EXO_CPUS_MAX);
    system_init();
    tree_keep();
    syscall_init();
    probe_init();
    klog("corbel: ABI %u, %lu MiB of memory, counter at %lu Hz", EXO_ABI_VERSION,
         (unsigned long)(system_info->nframes >> 8), (unsigned long)system_info->counter_hz);
    dma_init();
    lines_init(found < EXO_CPUS_MAX ? found : EXO_CPUS_MAX);
    if (arch_msi_doorbell().v)
        dma_doorbell(arch_msi_doorbell());
    cpus_start(found);
    first_program(bundle);
    cpu_this()->world = false;
    local_enter();
}
