/* The audit itself: every planted violation is found.  (All other suites show that it is silent without one.) */
#include <stdlib.h>
#include <string.h>

#include "audit.h"
#include "block.h"
#include "cpu.h"
#include "dma.h"
#include "exo_machine.h"
#include "irq.h"
#include "msi.h"

#define VA 0x10000000ull
#define LPI MACHINE_LPI_MIN
#define IOVA 0x40000000ull
#define STREAM 8u

static struct actor a, b;
static struct audit_note *notes;
static struct binding page;
static struct domain *domain, *lost;

/* ---- what a violation is --------------------------------------------------------------------------------------- */

/* What is planted, and words of the sentence that the audit must tell then. */
struct plant {
    void (*plant)(void);
    const char *words;
    int line;
};

/* PLANT("words", a statement or a block); is an entry, PLANT_FAR() one for several CPUs.
 * Pointers to them lie in a section of their own, which the linker shows as an array. */
#define PLANT(words, ...) PLANT_IN(plants, words, __VA_ARGS__)
#define PLANT_FAR(words, ...) PLANT_IN(far_plants, words, __VA_ARGS__)
#define PLANT_IN(list, words, ...)                                                                           \
    static void AT_LINE(plant_, __LINE__)(void)                                                              \
    {                                                                                                        \
        __VA_ARGS__;                                                                                         \
    }                                                                                                        \
    static const struct plant AT_LINE(planted_, __LINE__) = {AT_LINE(plant_, __LINE__), words, __LINE__};    \
    static const struct plant *const AT_LINE(entry_, __LINE__) __attribute__((section(#list), used)) =       \
        &AT_LINE(planted_, __LINE__)
#define AT_LINE(name, line) JOIN(name, line)
#define JOIN(a, b) a##b

extern const struct plant *const __start_plants[], *const __stop_plants[];
extern const struct plant *const __start_far_plants[], *const __stop_far_plants[];

static void is_told(const struct plant *p)
{
    const char *sentence;

    p->plant();
    sentence = exo_audit(notes);
    ck_assert_msg(sentence && strstr(sentence, p->words), "planted in line %d: \"%s\", not \"%s\"", p->line,
                  sentence ? sentence : "nothing", p->words);
}

/* ---- where they are planted ------------------------------------------------------------------------------------ */

static void setup(void)
{
    uint64_t gate, handle;

    machine.iommu = true;
    exo_boot();
    notes = calloc(system_info->nframes, sizeof(*notes));
    a = actor_make(100);
    b = actor_make(100);
    CALL_OK(page_alloc, EXO_SELF_SPACE, VA, 4, EXO_WANT_ANY, RW);
    space_lookup(root.env->home, VA, &page);
    machine_touch(VA, EXO_PROT_READ);
    CALL_OK(cap_grant, a.env_cap, EXO_FIRST_INFO, EXO_RIGHT_READ);
    CALL_OK(cap_grant, a.env_cap, EXO_FIRST_DMA, EXO_RIGHT_USE, STREAM, 2);
    CALL_OK(slice_bind, EXO_FIRST_SLICE, 5, a.vcpu_cap);
    CALL_OK(irq_bind, EXO_FIRST_IRQ, 40, a.vcpu_cap, 5);
    CALL_OK(msi_bind, EXO_FIRST_IRQ, LPI, EXO_FIRST_DMA, 8, 0, a.vcpu_cap, 6);
    gate = (uint64_t)CALL_OK(gate_create, b.vcpu_cap, 0);
    gate = (uint64_t)CALL_OK(cap_grant, a.env_cap, gate, EXO_RIGHT_USE);
    as(&a);
    CALL(call, gate, 0, 0, 0, 0, 0, 0, machine.time + 100000);
    as(&root);
    handle = (uint64_t)CALL_OK(dma_open, EXO_FIRST_DMA, STREAM);
    CALL_OK(dma_bind, handle, IOVA, EXO_SELF_SPACE, VA + PAGE_SIZE, 1, EXO_PROT_READ);
    ck_assert_ptr_nonnull(machine_dma(STREAM, IOVA, EXO_PROT_READ));
    handle = (uint64_t)CALL_OK(dma_open, EXO_FIRST_DMA, STREAM + 1);
    domain = dma_stream_domain(STREAM);
    lost = dma_stream_domain(STREAM + 1);
    exo_check();
}

/* The entry of this level that VA, or IOVA, goes through. */
static pte_t *entry_in(pfn_t table, uint64_t va, unsigned level)
{
    pte_t *entries = frame_address(table);

    for (unsigned at = ARCH_PT_LEVELS - 1; at > level; at--)
        entries = phys_to_virt(pte_paddr(entries[va >> (PAGE_SHIFT + 9 * at) & 511]));
    return &entries[va >> (PAGE_SHIFT + 9 * level) & 511];
}

static pte_t *entry_at(unsigned level)
{
    return entry_in(root.env->home->root, VA, level);
}

static pte_t *leaf(void)
{
    return entry_at(0);
}

static pte_t *io_entry(unsigned level)
{
    return entry_in(domain->root, IOVA, level);
}

static pte_t *io_leaf(void)
{
    return io_entry(0);
}

static struct exo_frame *frame(void)
{
    return frame_entry(page.pfn);
}

/* What the device reaches at IOVA. */
static struct exo_frame *io_frame(void)
{
    return frame_entry(paddr_to_pfn(pte_paddr(*io_leaf())));
}

/* What this lies in. */
static struct exo_frame *frame_under(const void *object)
{
    return frame_entry(paddr_to_pfn(virt_to_phys(object)));
}

static pfn_t free_block(void)
{
    for (unsigned i = 0; i < FRAME_ZONES * FRAME_ORDERS; i++) {
        pfn_t head = block_first(i / FRAME_ORDERS, i % FRAME_ORDERS);

        if (head)
            return head;
    }
    ck_abort_msg("nothing is free");
}

static struct exo_frame *free_frame(void)
{
    return frame_entry(free_block());
}

static struct exo_frame *cached_frame(void)
{
    return frame_entry(pool_cached_first(&cpus[0]));
}

static pfn_t last(void)
{
    return system_info->first_frame + system_info->nframes - 1;
}

/* An address that is no object's: not at a page's start, behind all memory, before it. */
static void *beside(const void *object)
{
    return (uint8_t *)object + 8;
}

static void *outside(void)
{
    return phys_to_virt(pfn_to_paddr(last() + 1));
}

static void *below(void)
{
    return phys_to_virt((paddr_t){PAGE_SIZE});
}

/* A node of no object's list. */
static struct list *stray(void)
{
    return (struct list *)((uint8_t *)root.vcpu->page + PAGE_SIZE - 64);
}

/* ---- frames ---------------------------------------------------------------------------------------------------- */

PLANT("1 bindings, counted as 2", frame()->refs++);
PLANT("1 bindings, counted as 0", frame()->refs--);
PLANT("is free and in no free list", frame()->kind = EXO_FRAME_FREE);
PLANT("frames of kind 2, the system page says", frame()->kind = EXO_FRAME_CAPS);
PLANT("frames of kind 0, the system page says", system_info->frames[0].of[EXO_FRAME_FREE]--);
PLANT(": kind", frame()->kind = EXO_NFRAME_KINDS);
PLANT("frames are charged to it, counted as", frame()->account = env_frame(a.env));
PLANT("no account", frame()->account = last() + 1);
PLANT("no account", frame()->account = vcpu_frame(a.vcpu));
PLANT("is a part of no large page", frame()->entries = EXO_LARGE_PART);
PLANT("is a part of no large page", frame()->entries = EXO_LARGE_HEAD);

PLANT("is in a free block and not free", free_frame()->kind = EXO_FRAME_KERNEL);
PLANT(": order", free_frame()->order1++);
PLANT(": links", free_frame()->prev = 1);
PLANT("leads outside memory", free_frame()->next = last() + 1);
PLANT("has 1 references", free_frame()->refs = 1);
PLANT("0 references", free_frame()->account = 5);
PLANT("are not joined", {
    struct exo_frame *buddy = frame_entry(free_block() ^ 1u << (free_frame()->order1 - 1));

    buddy->kind = EXO_FRAME_FREE;
    buddy->order1 = free_frame()->order1;
});
PLANT("cache and not free", cached_frame()->order1 = 1);
PLANT("cache and not free", cached_frame()->next = last() + 1);
PLANT("is free twice", cached_frame()->next = pool_cached_first(&cpus[0]));

/* ---- bindings -------------------------------------------------------------------------------------------------- */

static void protect_without_flush(void)
{
    *leaf() = pte_leaf(pfn_to_paddr(page.pfn), EXO_PROT_READ, EXO_PROT_ALL, MEMORY_NORMAL);
}

PLANT("writable and executable", *leaf() |= PTE_WRITE | PTE_EXEC);
PLANT("exceeds its maximum", *leaf() &= ~((pte_t)EXO_PROT_WRITE << PTE_MAX_SHIFT));
PLANT("is bound with maximum", *leaf() = pte_leaf(pfn_to_paddr(vcpu_frame(a.vcpu)), 1, 1, MEMORY_NORMAL));
PLANT("is bound with maximum", *leaf() = pte_leaf(virt_to_phys(system_info), 1, 3, MEMORY_NORMAL));
PLANT("memory is bound as a device", *leaf() = pte_leaf(pfn_to_paddr(page.pfn), 1, 1, MEMORY_DEVICE));
PLANT("does not exist", *leaf() = pte_leaf(pfn_to_paddr(last() + 1), 1, 1, MEMORY_NORMAL));
PLANT("is bound as a large page", *entry_at(1) = pte_leaf(pfn_to_paddr(page.pfn), 1, 1, MEMORY_NORMAL));
PLANT("is bound as a large page", *entry_at(1) = pte_leaf(pfn_to_paddr(last() + 1), 1, 1, MEMORY_NORMAL));
PLANT("is bound as a large page",
      *entry_at(1) = pte_leaf(pfn_to_paddr(vcpu_frame(a.vcpu)), 1, 1, MEMORY_NORMAL));

PLANT("names no table", *entry_at(2) = pte_leaf(pfn_to_paddr(page.pfn), 1, 1, MEMORY_NORMAL));
PLANT("names no table", *entry_at(2) = pte_table(pfn_to_paddr(last() + 1)));
PLANT("names no table", *entry_at(2) = pte_table(pfn_to_paddr(page.pfn)));
PLANT("3 entries in use, counted as 4", *leaf() = 0);
PLANT("4 entries in use, counted as 5", frame_under(leaf())->entries++);
PLANT("is empty and there", {
    for (unsigned i = 0; i < 4; i++)
        leaf()[i] = 0;
    frame_under(leaf())->entries = 0;
});

/* The page is not bound any more, and said to be of this kind. */
static void pretend(enum exo_frame_kind kind)
{
    system_info->frames[0].of[EXO_FRAME_USER]--;
    system_info->frames[0].of[kind]++;
    frame()->kind = kind;
    frame()->refs = 0;
    *leaf() = 0;
    frame_under(leaf())->entries--;
    root.env->home->nbound--;
}

PLANT("is in no space", {
    CALL_OK(page_unmap, EXO_SELF_SPACE, VA, 4, 0);
    CALL_OK(page_alloc, EXO_SELF_SPACE, VA, 2, EXO_WANT_ANY, RW);
    space_lookup(root.env->home, VA, &page);
    pretend(EXO_FRAME_TABLE);
});

/* ---- spaces ---------------------------------------------------------------------------------------------------- */

PLANT("the tables' window", ((pte_t *)frame_address(root.env->home->root))[ARCH_TABLE_SLOT] |= PTE_WRITE);
PLANT("count of bindings", root.env->home->nbound++);
PLANT("waits to be bound, and", root.env->home->run = (struct space_run){.pfn = last() + 1, .left = 1});
PLANT("waits to be bound, and",
      root.env->home->run = (struct space_run){.pfn = vcpu_frame(a.vcpu), .left = 1});
PLANT("waits to be bound, and", root.env->home->run = (struct space_run){.pfn = page.pfn, .left = 1});
PLANT("a large page waits",
      root.env->home->run = (struct space_run){.pfn = page.pfn, .left = 1, .large = true});
PLANT("its environment", a.env->home->account = &b.env->owner.account);
PLANT("its environment", a.env->home->account = beside(a.env));
PLANT("is not on its environment's list", list_remove(&a.env->home->in_env));
PLANT(": root", a.env->home->root = last() + 1);
PLANT(": root", a.env->home->root = vcpu_frame(a.vcpu));
PLANT("is another's too", root.env->home->asid = 0);

/* ---- TLBs ------------------------------------------------------------------------------------------------------ */

/* They hold what they cannot. */
static void see_no_asid(audit_see *see)
{
    see(0, 0, 0, VA, *leaf());
}

static void see_other_cpu(audit_see *see)
{
    see(3, root.env->home->asid, 0, VA, *leaf());
}

static void see_no_table(audit_see *see)
{
    see(0, root.env->home->asid, 0, 0x700000000000, 1);
}

PLANT("a TLB holds 0x10000000 (level 0,", protect_without_flush());
PLANT("a TLB holds 0x10000000 (level 0,", {
    CALL_OK(page_unmap, EXO_SELF_SPACE, VA, 1, EXO_LAZY);
    frame()->epoch--; /* as if it could be handed out */
});
PLANT("which nobody has", {
    root.env->home->asid = 77;
    frame_under(root.env->home)->entries = 77;
});
PLANT("which nobody has", audit_translations = see_no_asid);
PLANT("never was there", audit_translations = see_other_cpu);
PLANT("whose table is gone", audit_translations = see_no_table);

/* ---- devices and their domains --------------------------------------------------------------------------------- */

static struct arch_stream *stream(unsigned n)
{
    return &((struct arch_stream *)frame_address(dma_stream_table(0)))[n];
}

static pte_t doorbell(void)
{
    return pte_leaf((paddr_t){MACHINE_DOORBELL & ~(uint64_t)PAGE_MASK}, 1, 1, MEMORY_DEVICE);
}

PLANT("of kind 6", {
    frame_entry(vcpu_frame(a.vcpu))->refs++;
    io_frame()->refs--;
    *io_leaf() = pte_leaf(pfn_to_paddr(vcpu_frame(a.vcpu)), 1, 1, MEMORY_NORMAL);
});
PLANT("2 bindings, counted as 1", io_frame()->refs--);
PLANT("does not exist", *io_leaf() = pte_leaf(pfn_to_paddr(last() + 1), 1, 1, MEMORY_NORMAL));
PLANT(": protection 5", *io_leaf() |= PTE_EXEC);
PLANT(": protection", *io_leaf() = pte_leaf(pte_paddr(*io_leaf()), EXO_PROT_READ, RW, MEMORY_NORMAL));
PLANT("leads to a device's registers", *io_leaf() = pte_leaf((paddr_t){0x9000000}, 1, 1, MEMORY_DEVICE));
PLANT("leads to a device's registers", *io_leaf() = doorbell());
PLANT("leads to a device's registers", {
    domain->translated = domain->attached = false;
    *io_leaf() = doorbell();
});
PLANT("leads to a device's registers", domain->translated = false);

PLANT("names no table", *io_entry(1) = pte_leaf(pfn_to_paddr(page.pfn), 1, 1, MEMORY_NORMAL));
PLANT("names no table", *io_entry(1) = pte_table(pfn_to_paddr(last() + 1)));
PLANT("names no table", *io_entry(1) = pte_table(pfn_to_paddr(page.pfn)));
PLANT("0 entries in use, counted as 1", *io_leaf() = 0);
PLANT("1 entries in use, counted as 2", frame_under(io_leaf())->entries++);
PLANT("is a part of no large page", frame_entry(domain->root)->kind = EXO_FRAME_USER);
PLANT("is reached twice", lost->root = domain->root);

PLANT("count of entries", domain->nbound++);
PLANT("its environment", domain->account = &a.env->owner.account);
PLANT("its environment", domain->account = beside(root.env));
PLANT(": root", domain->root = vcpu_frame(a.vcpu));
PLANT(": root", domain->root = last() + 1);
PLANT("a list of domains", {
    domain->in_env.next->prev =
        &domain->in_env == domain->in_env.next->prev ? domain->in_env.next : &domain->in_env;
});
PLANT("a list of domains", domain->in_env.prev = &domain->in_env);
PLANT("1 domains have tags, counted as 2", list_remove(&lost->in_env)); /* it is nobody's */
PLANT("1 domains have tags, counted as 2", domain->tag = 0);

PLANT("is another's", stream(STREAM + 1)->domain = stream(STREAM)->domain);
PLANT("is another's", stream(STREAM)->domain = 0);
PLANT("is another's", stream(STREAM)->domain += sizeof(struct cap));
PLANT("is another's", domain->stream++);
PLANT("is another's", domain->stream = STREAM + 1);
PLANT("leads to a domain that is not its own", domain->attached = false);
PLANT("2 bindings, counted as 3", frame_entry(dma_stream_table(0))->refs++);
PLANT("is no table", {
    frame_entry(dma_stream_table(0))->kind = EXO_FRAME_USER;
    system_info->frames[0].of[EXO_FRAME_USER]++;
    system_info->frames[0].of[EXO_FRAME_IOTABLE]--;
});

/* The IOMMU holds what it cannot. */
static void see_no_device_table(audit_see_device *see)
{
    see(domain->tag, 0, IOVA << 8, 1);
}

PLANT("an IOMMU holds 0x40000000 (level 0)",
      *io_leaf() = pte_leaf(pte_paddr(*io_leaf()), RW, RW, MEMORY_NORMAL)); /* without a flush */
PLANT("which nobody has", domain->tag += 50);
PLANT("whose table is gone", audit_device_translations = see_no_device_table);

/* ---- capabilities ---------------------------------------------------------------------------------------------- */

#define first(name) cap_at(root.env, EXO_FIRST_##name)

static struct cap *slot_of(const struct env *env, uint64_t index)
{
    return (struct cap *)frame_address(env->owner.caps.frames[0]) + index;
}

static struct cap *slot_zero(void)
{
    return slot_of(root.env, 0);
}

/* The first that is derived from INFO; and another one. */
static struct cap *granted(void)
{
    return first(INFO)->child;
}

static void give_sibling(void)
{
    CALL_OK(cap_grant, b.env_cap, EXO_FIRST_INFO, EXO_RIGHT_READ);
}

static struct cap *b_vcpu(void)
{
    return cap_at(root.env, b.vcpu_cap);
}

PLANT(": type", granted()->type = EXO_NCAP_TYPES);
PLANT(": type", granted()->rights = 0xff);
PLANT("exceeds the one", {
    granted()->rights = EXO_RIGHTS_ALL;
    first(INFO)->rights = 1;
});
PLANT("exceeds the one", granted()->parent = first(MACHINE));
PLANT("exceeds the one", granted()->object++);
PLANT("exceeds the one", granted()->serial++);
PLANT("exceeds the one", granted()->type = EXO_CAP_GATE);
PLANT("exceeds the one", first(DMA)->b = 1);
PLANT("exceeds the one", b_vcpu()->child->object++);
PLANT("exceeds the one", {
    b_vcpu()->child->a = 5;
    b_vcpu()->child->child->a = 6;
});

PLANT("derived from a free slot", granted()->parent = slot_zero());
PLANT("derived from a free slot", granted()->parent = (struct cap *)system_info);
PLANT("derived from a free slot", granted()->parent = outside());
PLANT("derived from a free slot", granted()->parent = beside(granted()->parent));
PLANT("on no list of siblings", granted()->prev_next = NULL);
PLANT("on no list of siblings", granted()->prev_next = &slot_zero()->child);
PLANT("came of nothing", first(INFO)->prev_next = &slot_zero()->child);
PLANT("came of nothing", first(INFO)->next = first(IRQ));
PLANT("siblings", first(INFO)->child = slot_zero());
PLANT("siblings", first(INFO)->child = first(IRQ));
PLANT("siblings", {
    give_sibling();
    granted()->next = slot_zero();
});
PLANT("siblings", {
    give_sibling();
    granted()->next = outside();
});
PLANT("siblings of", {
    give_sibling();
    granted()->next->parent = first(MACHINE);
    first(MACHINE)->child = granted()->next;
    first(MACHINE)->type = EXO_CAP_INFO;
    granted()->next->prev_next = &first(MACHINE)->child;
});
PLANT("siblings of a capability in frame", {
    give_sibling();
    slot_zero()->child = granted()->next;
    granted()->next->prev_next = &slot_zero()->child;
});
PLANT("what came of", {
    give_sibling();
    granted()->prev_next = &granted()->next;
});
PLANT("what came of", first(MACHINE)->child = granted());
PLANT("what came of", first(MACHINE)->child = outside());
PLANT("what came of", {
    slot_zero()->child = granted();
    granted()->prev_next = &slot_zero()->child;
});
PLANT("came of itself", {
    struct cap *cap = first(MACHINE);

    cap->parent = cap->next = cap;
    cap->prev_next = &cap->next;
});

PLANT("capabilities, counted as", granted()->type = EXO_CAP_NONE);
PLANT("capabilities, counted as", a.env->owner.caps.nused++);
PLANT("free slots", a.env->owner.caps.first_free = 1);
PLANT("free slots", a.env->owner.caps.first_free = 100000);
PLANT("slots,", slot_of(a.env, a.env->owner.caps.first_free)->a = a.env->owner.caps.first_free);
PLANT("slot 0 is in use", slot_zero()->type = EXO_CAP_INFO);
PLANT("of its capability table", frame_entry(root.env->owner.caps.frames[0])->entries = 5);
PLANT("of its capability table", frame_entry(a.env->owner.caps.frames[0])->entries = 1);
PLANT("of its capability table", a.env->owner.caps.frames[0] = last() + 1);
PLANT("of its capability table", a.env->owner.caps.frames[0] = page.pfn);
PLANT("of its capability table", a.env->owner.caps.frames[0] = root.env->owner.caps.frames[0]);
PLANT("behind the end of its capability table",
      a.env->owner.caps.frames[CAPS_FRAMES - 1] = a.env->owner.caps.frames[0]);
PLANT("is in no table", {
    pretend(EXO_FRAME_CAPS);
    frame()->entries = 0;
});
PLANT("is in no table", {
    pretend(EXO_FRAME_CAPS);
    frame()->entries = 7;
});

/* ---- environments ---------------------------------------------------------------------------------------------- */

static void tear_down(void)
{
    a.env->torn_down = a.env->owner.account.ended = true;
}

PLANT("is not its parent's", list_remove(&a.env->in_parent));
PLANT("is not its parent's", list_init(root.env->children.next));
PLANT("a list's links disagree", {
    root.env->children.next->prev =
        &root.env->children == root.env->children.next->prev ? root.env->children.next : &root.env->children;
    root.env->children.next->next->prev = root.env->children.next->next;
});
PLANT("a list's links disagree", root.env->children.prev->prev = root.env->children.prev);
PLANT("the first, or not", root.env->owner.account.parent = &a.env->owner.account);
PLANT("the first, or not", frame_entry(env_frame(root.env))->account = env_frame(a.env));
PLANT("its parent", a.env->parent = beside(root.env));
PLANT("its parent", a.env->owner.account.parent = &b.env->owner.account);
PLANT("its parent", frame_entry(env_frame(a.env))->account = env_frame(b.env));
PLANT(": depth", a.env->depth++);
PLANT("of those that end", {
    a.env->in_endings = (struct list){&a.env->in_endings, &b.env->in_endings};
    a.env->in_endings.next = &b.env->in_endings;
});
PLANT("of those that end", {
    a.env->state = EXO_ENV_ENDED;
    a.env->in_endings.next = &b.env->in_endings;
});
PLANT("that is not ending", list_add_tail(&machine.cpu->endings, stray()));
PLANT("torn down, and", a.env->torn_down = true);
PLANT("holds something", tear_down());
PLANT("holds something", {
    tear_down();
    list_init(&a.env->vcpus);
});
PLANT("holds something", {
    tear_down();
    list_init(&a.env->vcpus);
    list_init(&a.env->spaces);
});
PLANT("holds something", {
    tear_down();
    list_init(&a.env->vcpus);
    list_init(&a.env->spaces);
    list_init(&a.env->children);
    a.env->children.next = &b.env->in_parent;
});

/* ---- accounts -------------------------------------------------------------------------------------------------- */

static void reclaims(uint32_t number, uint64_t n)
{
    root.env->owner.account.reclaim = number;
    root.env->nreclaims = 1;
    root.env->reclaim.n = n;
}

PLANT("frames are charged to it, counted as", a.env->owner.account.used++);
PLANT("its children's limits are", root.env->owner.account.reserved--);
PLANT("its children's limits are", a.env->owner.account.limit = 3);
PLANT("exceeds its limit", {
    root.env->owner.account.limit = root.env->owner.account.used + root.env->owner.account.reserved - 1;
});
PLANT("exceeds its limit", {
    root.env->owner.account.reserved -= a.env->owner.account.limit - 3;
    a.env->owner.account.limit = 3;
});
PLANT("is being lowered", a.env->owner.account.wanted = a.env->owner.account.limit);
PLANT("is being lowered", {
    CALL_OK(env_stop, a.env_cap);
    a.env->owner.account.wanted = 3;
});
PLANT("reclaims 0 frames, 0 of which", a.env->owner.account.reclaim = 1); /* and no call began that */
PLANT("reclaims 2 frames, 1 of which", {
    CALL_OK(page_map, a.space_cap, VA, EXO_SELF_SPACE, VA, 1, RW);
    CALL_OK(page_reclaim, EXO_SELF_SPACE, VA, 1, EXO_FOREVER);
    frame_reclaim(page.pfn + 1, root.env->owner.account.reclaim);
});
PLANT("reclaims", reclaims(1, 0));
PLANT("reclaims", reclaims(2, 1));
PLANT("reclaims", {
    CALL_OK(env_stop, a.env_cap);
    a.env->owner.account.reclaim = a.env->nreclaims = 1;
    a.env->reclaim.n = 1;
});
/* b is gone, but for a page that init has of it. */
PLANT("keeps a share", {
    CALL_OK(page_alloc, b.space_cap, VA, 1, EXO_WANT_ANY, RW);
    CALL_OK(page_map, EXO_SELF_SPACE, VA + 0x100000, b.space_cap, VA, 1, RW);
    while (CALL_OK(env_destroy, b.env_cap) > 0)
        ;
    ck_assert(b.env->owner.account.ended);
    b.env->owner.account.limit++;
    root.env->owner.account.reserved++;
});

/* ---- vcpus ----------------------------------------------------------------------------------------------------- */

PLANT("its queue", a.vcpu->state = VCPU_READY); /* and in no ready list */
PLANT("its queue", list_remove(&a.vcpu->queue));
PLANT("its queue", a.vcpu->peer = root.vcpu);
PLANT("its queue", list_add_tail(&b.vcpu->senders, &root.vcpu->queue));
PLANT("running, or not", b.vcpu->state = VCPU_RUNNING);
PLANT("running, or not", machine.cpu->current = NULL);
PLANT("its environment's 1", a.env->state = EXO_ENV_ENDED);
PLANT("its environment", a.vcpu->env = beside(a.env));
PLANT("its environment", a.vcpu->env = b.env);
PLANT("its environment", list_remove(&a.vcpu->in_env));
PLANT("its shared page", a.vcpu->page_pfn = page.pfn);
PLANT("its shared page", a.vcpu->page_pfn = last() + 1);
PLANT("its shared page", a.vcpu->page_pfn = vcpu_frame(b.vcpu));
PLANT("no shared page", a.vcpu->page_pfn = 0);
PLANT("no shared page", {
    a.vcpu->page_pfn = 0; /* and it has not ended */
    a.vcpu->page = NULL;
});
PLANT("no shared page", {
    CALL_OK(env_stop, a.env_cap);
    a.vcpu->page_pfn = 0;
});
PLANT("the space that it runs in", a.vcpu->space = b.env->home);
PLANT("the space that it runs in", a.vcpu->space = beside(a.env->home));
PLANT("the space that it runs in", a.vcpu->space = outside());
PLANT("the space that it runs in", a.vcpu->space = below());
PLANT("the space that it runs in", a.vcpu->space = (struct space *)a.env); /* an object, but no space */

PLANT("calls nobody", a.vcpu->peer = a.vcpu);
PLANT("calls nobody", a.vcpu->peer = beside(b.vcpu));
PLANT("not its caller", list_add_tail(&b.vcpu->senders, stray()));
PLANT("will not hear", {
    CALL_OK(env_stop, b.env_cap);
    list_add_tail(&b.vcpu->callers, stray());
});
PLANT("will not hear", {
    CALL_OK(env_stop, b.env_cap);
    list_add_tail(&b.vcpu->senders, stray());
});
/* It is said to be ready to go on, and has ended, or is in a space that no TLB knows. */
PLANT("could not go on at once", {
    CALL_OK(env_stop, a.env_cap);
    a.vcpu->sound = machine.cpu->epoch;
});
PLANT("could not go on at once", {
    struct vcpu *vcpu = actor_new(20).vcpu;

    vcpu->sound = machine.cpu->epoch;
});

/* ---- deadlines ------------------------------------------------------------------------------------------------- */

/* The heap of them: a's, which calls, is first, and b's, which waits, below. */
static struct deadline *two_deadlines(void)
{
    as(&b);
    CALL(wait, 1, machine.time + 200000);
    as(&root);
    ck_assert_ptr_nonnull(machine.cpu->deadlines.first->left);
    return machine.cpu->deadlines.first;
}

PLANT("not all that are set are in the heap", {
    deadline_remove(&machine.cpu->deadlines, &a.vcpu->deadline);
    a.vcpu->deadline.rank = 1; /* says that it is set */
});
PLANT("of state 1 has a deadline", deadline_insert(&machine.cpu->deadlines, &b.vcpu->deadline, 5));
PLANT("deadlines: of nobody", machine.cpu->deadlines.first = (struct deadline *)root.vcpu->page);
PLANT("deadlines: order", a.vcpu->deadline.parent = &b.vcpu->deadline);
PLANT("deadlines: order", two_deadlines()->left->at = 0);
PLANT("deadlines: ranks", a.vcpu->deadline.rank = 5);
PLANT("deadlines: ranks", two_deadlines()->rank = 2);
PLANT("deadlines: ranks", {
    struct deadline *top = two_deadlines();

    top->right = top->left;
    top->left = NULL;
    top->rank = 2;
});

/* ---- slots and lines ------------------------------------------------------------------------------------------- */

static struct msi_device *device(void)
{
    return (struct msi_device *)msi_device(0);
}

PLANT("lines and slots", a.vcpu->nslots++);
PLANT("lines and slots", a.vcpu->nirqs--);
PLANT("keeps lines", {
    CALL_OK(env_stop, a.env_cap);
    a.vcpu->nirqs = 1;
});
PLANT("keeps lines", {
    CALL_OK(env_stop, a.env_cap);
    a.vcpu->nslots = 1;
});
PLANT("owned by nobody", machine.cpu->slots[5].owner = beside(a.vcpu));
PLANT("told as another's", machine.cpu->info->slot_env[5] = 0);
PLANT("told as another's", machine.cpu->info->slot_env[5] = env_frame(b.env));
PLANT("told as owned", machine.cpu->info->slot_env[6] = env_frame(b.env));

/* It is open between delivery and acknowledgement; or masked behind that. */
PLANT("line 40: open before its acknowledgement", {
    machine_irq(40);
    arch_irq_enable(40);
});
PLANT("line 8192: open before its acknowledgement", arch_irq_disable(LPI));
PLANT("line 41: open and nobody's", arch_irq_enable(41));
PLANT("bound to nobody", irq_of(40)->vcpu = beside(a.vcpu));
PLANT("its vcpu does not know it", {
    irq_of(LPI)->vcpu = b.vcpu;
    b.vcpu->nirqs++;
    a.vcpu->nirqs--;
});
PLANT("its vcpu does not know it", list_remove(&irq_of(LPI)->in_vcpu));
PLANT("not its lines", irq_of(LPI)->event++);
PLANT("not its lines", device()->nlines++);
PLANT("is no device's", device()->nlines = 0);
PLANT("frame of another kind", device()->table = page.pfn);
PLANT("frame of another kind", device()->table = last() + 1);

/* ---- processors ------------------------------------------------------------------------------------------------ */

/* b is on a CPU that is not there. */
PLANT("not marked", {
    list_init(&cpus[ncpus].ready);
    b.vcpu->cpu = cpus + ncpus;
    list_remove(&b.vcpu->queue);
    list_add_tail(&cpus[ncpus].ready, &b.vcpu->queue);
});
PLANT("its CPU", frame_entry(vcpu_frame(a.vcpu))->entries = 3);
PLANT("locks are held", machine.cpu->inbox_lock.next++);
PLANT("holds a note about no", list_add_tail(&machine.cpu->inbox, stray()));
PLANT("is gone, or does not", machine.cpu->loaded = beside(root.env->home));
PLANT("is gone, or another", machine.cpu->fp_owner = beside(root.vcpu));

/* A trace ring of a page; and one that is written to. */
static void have_ring(void)
{
    machine.cpu->trace.owner = root.env;
    machine.cpu->trace.npages = 1;
    machine.cpu->trace.first = page.pfn;
    machine.cpu->trace.nrecords = 4;
}

static void trace(void)
{
    have_ring();
    machine.cpu->traced = true;
    machine.cpu->trace.ring = frame_address(page.pfn);
}

PLANT("a trace ring without an owner", {
    machine.cpu->trace.npages = 1;
    machine.cpu->trace.first = page.pfn;
    frame()->refs++;
});
PLANT("2 bindings, counted as 1", {
    machine.cpu->trace.npages = 1;
    machine.cpu->trace.first = page.pfn;
    machine.cpu->trace.owner = a.env; /* and not pinned */
});
PLANT("owner of its trace ring", {
    have_ring();
    machine.cpu->trace.owner = beside(root.env);
});
PLANT("beyond its ring", machine.cpu->traced = true);
PLANT("beyond its ring", {
    have_ring();
    machine.cpu->traced = true;
});
PLANT("beyond its ring", {
    trace();
    machine.cpu->trace.next = machine.cpu->trace.nrecords;
});
PLANT("beyond its ring", {
    trace();
    machine.cpu->trace.nrecords = PAGE_SIZE;
});
PLANT("is not a user's", {
    have_ring();
    machine.cpu->trace.first = last() + 1;
});
PLANT("is not a user's", {
    have_ring();
    machine.cpu->trace.first = vcpu_frame(a.vcpu);
});

START_TEST(says_what_is_wrong)
{
    is_told(__start_plants[_i]);
}
END_TEST

/* A machine that shows no TLBs is audited all the same. */
START_TEST(without_translations)
{
    protect_without_flush();
    ck_assert_ptr_nonnull(exo_audit(notes));
    audit_translations = NULL;
    audit_device_translations = NULL;
    ck_assert_ptr_null(exo_audit(notes));
}
END_TEST

/* ---- on several CPUs ------------------------------------------------------------------------------------------- */

static struct vcpu *far_vcpu;
static exo_handle_t far_handle;

/* init has one more vcpu, on CPU 1, where it runs. */
static void setup_far(void)
{
    machine.ncpus = 3;
    setup();
    machine.stay = true;
    CALL_OK(page_alloc, EXO_SELF_SPACE, 0x200000, 1, EXO_WANT_ANY, RW);
    far_handle = (exo_handle_t)CALL_OK(vcpu_create, EXO_SELF_ENV, 1, EXO_SELF_SPACE, 0x200000);
    far_vcpu = vcpu_of(cap_at(root.env, far_handle));
    far_vcpu->page->upcall_entry = UPCALL_ENTRY;
    CALL_OK(vcpu_start, far_handle, 0);
    machine_on(1);
    ck_assert_ptr_eq(machine.cpu->current, far_vcpu);
    machine_touch(VA, EXO_PROT_READ);
    exo_check();
}

PLANT_FAR("CPU 1 is to let go, and does not know", cpus[1].evict = true);
PLANT_FAR("CPU 1 has 1 notes, and does not know", list_add_tail(&cpus[1].inbox, &far_vcpu->in_inbox));
PLANT_FAR("its note", {
    list_add_tail(&cpus[2].inbox, &far_vcpu->in_inbox);
    cpus[2].attention = 1;
});
PLANT_FAR("its message is far", far_vcpu->far = true);
PLANT_FAR("0 messages from afar, counted as 1", b.vcpu->nfar++);
PLANT_FAR("to be on other CPUs", root.env->home->cpus = 1); /* CPU 1 has it in its MMU */
PLANT_FAR("was on CPUs that are not there", root.env->home->cpus |= 1ull << 40);
PLANT_FAR("told to have another ASID", a.env->home->asid = root.env->home->asid);
PLANT_FAR("to be on other CPUs", frame_under(root.env->home)->cpus = 0);
PLANT_FAR("the space in CPU 1's MMU is gone, or does not know", cpus[1].loaded = a.env->home);
PLANT_FAR("the owner of CPU 1's FP registers", cpus[1].fp_owner = a.vcpu);
PLANT_FAR("CPU 1's locks are held", lock_take(&cpus[1].lock));
PLANT_FAR("CPU 2's locks are held", cpus[2].world = true);
PLANT_FAR("CPU 1 has left deadlines, and does not know", cpus[1].overdue = true);
PLANT_FAR("on a list of those that end", list_add_tail(&cpus[1].endings, &a.env->in_endings));
PLANT_FAR("running, or not", far_vcpu->cpu = &cpus[2]);
PLANT_FAR("CPU 2's cache holds 0 frames, counted as 1", cpus[2].frames.n++);
PLANT_FAR("in CPU 0's cache and not free", cached_frame()->kind = EXO_FRAME_USER);

START_TEST(says_what_is_wrong_between_cpus)
{
    is_told(__start_far_plants[_i]);
}
END_TEST

/* What a CPU has been told of, and not yet done, is no violation; without the word it is. */
START_TEST(told_is_told)
{
    cpus[1].attention = cpus[2].attention = 1;
    cpus[1].overdue = true;
    cpus[2].info->running.vcpu = 5;
    cpus[1].evict = _i & 1;
    ck_assert_ptr_null(exo_audit(notes));
    cpus[2].attention = 0;
    cpus[2].evict = _i & 1; /* that has to be told in any case */
    ck_assert_ptr_nonnull(exo_audit(notes));
}
END_TEST

/* Audited in world mode, other CPUs may stand anywhere where they take a lock: only what they have yet to say is let pass. */
START_TEST(in_world_mode)
{
    world_enter();
    cpus[1].lock.next++; /* it waits on its way in */
    cpus[1].overdue = true;
    cpus[2].info->running.vcpu = 5;
    list_add_tail(&cpus[far_vcpu->cpu->id].inbox, &far_vcpu->in_inbox);
    ck_assert_ptr_null(exo_audit(notes));
    if (_i == 0)
        cpus[2].world = true;
    else if (_i == 1)
        cpus[1].inbox_lock.next++;
    else if (_i == 2)
        list_add_tail(&cpus[1].endings, &a.env->in_endings);
    else
        frame_entry(a.vcpu->page_pfn)->refs++;
    ck_assert_ptr_nonnull(exo_audit(notes));
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("audit");
    TCase *tc = tcase_create("audit");

    tcase_add_checked_fixture(tc, setup, NULL);
    tcase_add_loop_test(tc, says_what_is_wrong, 0, (int)(__stop_plants - __start_plants));
    tcase_add_test(tc, without_translations);
    suite_add_tcase(s, tc);

    tc = tcase_create("several CPUs");
    tcase_add_checked_fixture(tc, setup_far, NULL);
    tcase_add_loop_test(tc, says_what_is_wrong_between_cpus, 0,
                        (int)(__stop_far_plants - __start_far_plants));
    tcase_add_loop_test(tc, told_is_told, 0, 2);
    tcase_add_loop_test(tc, in_world_mode, 0, 4);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    return exo_suite_run(suite());
}
