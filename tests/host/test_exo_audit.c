/* The audit itself: every planted violation is found.  (All other suites show that it is silent without one.) */
#include <stdlib.h>
#include <string.h>

#include "audit.h"
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

/* The table of the lowest level over IOVA, and its entry for it. */
static pte_t *io_leaf(void)
{
    pte_t *table = frame_address(domain->root);

    for (unsigned level = ARCH_PT_LEVELS - 1; level > 0; level--)
        table = phys_to_virt(pte_paddr(table[IOVA >> (PAGE_SHIFT + 9 * level) & 511]));
    return &table[IOVA >> PAGE_SHIFT & 511];
}

static struct arch_stream *stream(unsigned n)
{
    return &((struct arch_stream *)frame_address(dma_stream_table(0)))[n];
}

static struct exo_frame *frame(void)
{
    return frame_entry(page.pfn);
}

static pte_t *leaf(void)
{
    pte_t *table = frame_address(root.env->home->root);

    for (unsigned level = ARCH_PT_LEVELS - 1; level > 0; level--)
        table = phys_to_virt(pte_paddr(table[VA >> (PAGE_SHIFT + 9 * level) & 511]));
    return &table[VA >> PAGE_SHIFT & 511];
}

static struct cap *granted(void)
{
    return cap_at(root.env, EXO_FIRST_INFO)->child;
}

static pfn_t free_block(void)
{
    for (unsigned i = 0; i < FRAME_ZONES * FRAME_ORDERS; i++) {
        pfn_t head = frame_free_head(i / FRAME_ORDERS, i % FRAME_ORDERS);

        if (head)
            return head;
    }
    ck_abort_msg("nothing is free");
}

/* Long: a list. */
static void plant(int which)
{
    switch (which) {
    case 0:
        frame()->refs++;
        break;
    case 1:
        frame()->refs--;
        break;
    case 2:
        frame()->kind = EXO_FRAME_FREE;
        break;
    case 3:
        frame()->kind = EXO_FRAME_CAPS;
        break;
    case 4:
        frame()->account = env_frame(a.env);
        break;
    case 5:
        system_info->frames[0].of[EXO_FRAME_FREE]--;
        break;
    case 6:
        frame_entry(free_block())->kind = EXO_FRAME_KERNEL;
        break;
    case 7:
        frame_entry(free_block())->order1++;
        break;
    case 8:
        frame_entry(free_block())->prev = 1;
        break;
    case 9:
        *leaf() |= PTE_WRITE | PTE_EXEC;
        break;
    case 10:
        *leaf() &= ~((pte_t)EXO_PROT_WRITE << PTE_MAX_SHIFT); /* prot exceeds max */
        break;
    case 11:
        *leaf() = pte_leaf(pfn_to_paddr(vcpu_frame(a.vcpu)), 1, 1, MEMORY_NORMAL); /* the kernel's own */
        break;
    case 12:
        *leaf() = pte_leaf(pfn_to_paddr(page.pfn), 1, 1, MEMORY_DEVICE); /* memory as a device */
        break;
    case 13:
        *leaf() = 0;
        break;
    case 14:
        root.env->home->nbound++;
        break;
    case 15:
        frame_entry(paddr_to_pfn(virt_to_phys(leaf())))->entries++;
        break;
    case 16:
        a.env->owner.account.used++;
        break;
    case 17:
        root.env->owner.account.reserved--;
        break;
    case 18:
        a.env->owner.account.limit = 3;
        break;
    case 19:
        granted()->rights = EXO_RIGHTS_ALL;
        cap_at(root.env, EXO_FIRST_INFO)->rights = 1;
        break;
    case 20:
        granted()->parent = cap_at(root.env, EXO_FIRST_MACHINE);
        break;
    case 21:
        granted()->type = EXO_CAP_NONE;
        break;
    case 22:
        a.env->owner.caps.nused++;
        break;
    case 23:
        a.env->owner.caps.first_free = 1;
        break;
    case 24:
        a.vcpu->state = VCPU_READY; /* and in no ready list */
        break;
    case 25:
        b.vcpu->state = VCPU_RUNNING;
        break;
    case 26:
        list_remove(&a.vcpu->queue);
        break;
    case 27:
        a.vcpu->peer = root.vcpu;
        break;
    case 28:
        deadline_remove(&machine.cpu->deadlines, &a.vcpu->deadline);
        a.vcpu->deadline.rank = 1; /* says that it is set */
        break;
    case 29:
        deadline_insert(&machine.cpu->deadlines, &b.vcpu->deadline, 5); /* of one that is ready */
        break;
    case 30:
        a.vcpu->nslots++;
        break;
    case 31:
        a.vcpu->nirqs--;
        break;
    case 32:
        machine.cpu->info->slot_env[5] = 0;
        break;
    case 33:
        a.env->state = EXO_ENV_ENDED;
        break;
    case 34:
        list_remove(&a.env->in_parent);
        break;
    case 35:
        a.vcpu->page_pfn = page.pfn;
        break;
    case 36:
        *leaf() = pte_leaf(pfn_to_paddr(page.pfn), EXO_PROT_READ, EXO_PROT_ALL,
                           MEMORY_NORMAL); /* without a flush */
        break;
    case 37:
        machine.cpu->current = NULL;
        break;
    case 38:
        CALL_OK(page_unmap, EXO_SELF_SPACE, VA, 1, EXO_LAZY);
        frame()->epoch--; /* as if it could be handed out */
        break;
    case 39:
        a.vcpu->space = b.env->home;
        break;
    case 40: /* invariant 9: open between delivery and acknowledgement, */
        machine_irq(40);
        arch_irq_enable(40);
        break;
    case 41: /* masked though acknowledged, */
        arch_irq_disable(LPI);
        break;
    case 42: /* open and nobody's, */
        arch_irq_enable(41);
        break;
    case 43: /* of a vcpu that does not know, */
        irq_of(LPI)->vcpu = b.vcpu;
        b.vcpu->nirqs++;
        a.vcpu->nirqs--;
        break;
    case 44:
        list_remove(&irq_of(LPI)->in_vcpu);
        break;
    case 45: /* of another event than the device's */
        irq_of(LPI)->event++;
        break;
    case 46:
        ((struct msi_device *)msi_device(0))->nlines = 0;
        break;
    case 47:
        ((struct msi_device *)msi_device(0))->table = page.pfn;
        break;
    case 48:
        a.env->owner.account.wanted = a.env->owner.account.limit;
        break;
    case 49:
        a.env->owner.account.reclaim = 1; /* and no call began that */
        break;
    case 50: /* more frames are marked than were named */
        CALL_OK(page_map, a.space_cap, VA, EXO_SELF_SPACE, VA, 1, RW);
        CALL_OK(page_reclaim, EXO_SELF_SPACE, VA, 1, EXO_FOREVER);
        frame_reclaim(page.pfn + 1, root.env->owner.account.reclaim);
        break;
    case 51:
        a.vcpu->page_pfn = 0; /* and it has not ended */
        a.vcpu->page = NULL;
        break;
    case 52: /* the kernel's own */
        frame_entry(vcpu_frame(a.vcpu))->refs++;
        frame_entry(paddr_to_pfn(pte_paddr(*io_leaf())))->refs--;
        *io_leaf() = pte_leaf(pfn_to_paddr(vcpu_frame(a.vcpu)), 1, 1, MEMORY_NORMAL);
        break;
    case 53:
        frame_entry(paddr_to_pfn(pte_paddr(*io_leaf())))->refs--;
        break;
    case 54:
        *io_leaf() = 0;
        break;
    case 55:
        *io_leaf() |= PTE_EXEC;
        break;
    case 56: /* registers, by way of a device */
        *io_leaf() = pte_leaf((paddr_t){0x9000000}, 1, 1, MEMORY_DEVICE);
        break;
    case 57:
        domain->nbound++;
        break;
    case 58:
        frame_entry(paddr_to_pfn(virt_to_phys(io_leaf())))->entries++;
        break;
    case 59:
        frame_entry(domain->root)->kind = EXO_FRAME_USER;
        break;
    case 60: /* one stream in two domains */
        stream(STREAM + 1)->domain = stream(STREAM)->domain;
        break;
    case 61:
        stream(STREAM)->domain = 0;
        break;
    case 62:
        domain->attached = false;
        break;
    case 63:
        list_remove(&lost->in_env); /* a domain of nobody */
        break;
    case 64:
        frame_entry(dma_stream_table(0))->refs++;
        break;
    case 65: /* two domains with one table */
        lost->root = domain->root;
        break;
    case 66:
        domain->tag = 0;
        break;
    case 67: /* without a flush */
        *io_leaf() = pte_leaf(pte_paddr(*io_leaf()), EXO_PROT_READ | EXO_PROT_WRITE,
                              EXO_PROT_READ | EXO_PROT_WRITE, MEMORY_NORMAL);
        break;
    case 68:
        domain->account = &a.env->owner.account;
        break;
    case 69:
        cap_at(root.env, EXO_FIRST_DMA)->b = 1;
        break;
    case 70:
        machine.cpu->trace.npages = 1;
        machine.cpu->trace.first = page.pfn;
        frame()->refs++;
        break;
    case 71:
        machine.cpu->trace.npages = 1;
        machine.cpu->trace.first = page.pfn;
        machine.cpu->trace.owner = a.env; /* and not pinned */
        break;
    case 72:
        machine.cpu->traced = true;
        break;
    default:
        ((pte_t *)frame_address(root.env->home->root))[ARCH_TABLE_SLOT] |= PTE_WRITE;
    }
}

/* ---- on several CPUs ------------------------------------------------------------------------------------------ */

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

/* A list, too.  Long: one case each. */
static void plant_far(int which)
{
    switch (which) {
    case 0:
        cpus[1].evict = true; /* and not told so */
        break;
    case 1:
        list_add_tail(&cpus[1].inbox, &far_vcpu->in_inbox);
        break;
    case 2:
        list_add_tail(&cpus[2].inbox, &far_vcpu->in_inbox);
        cpus[2].attention = 1;
        break;
    case 3:
        far_vcpu->far = true;
        break;
    case 4:
        b.vcpu->nfar++;
        break;
    case 5:
        root.env->home->cpus = 1; /* CPU 1 has it in its MMU */
        break;
    case 6:
        root.env->home->cpus |= 1ull << 40;
        break;
    case 7:
        a.env->home->asid = root.env->home->asid;
        break;
    case 8:
        cpus[1].loaded = a.env->home;
        break;
    case 9:
        cpus[1].fp_owner = a.vcpu;
        break;
    case 10:
        lock_take(&cpus[1].lock);
        break;
    case 11:
        cpus[2].world = true;
        break;
    case 12:
        cpus[1].overdue = true;
        break;
    case 13:
        list_add_tail(&cpus[1].endings, &a.env->in_endings);
        break;
    case 14:
        far_vcpu->cpu = &cpus[2];
        break;
    case 15:
        cpus[2].frames.n++;
        break;
    case 16:
        frame_entry(frame_cached_first(&cpus[0]))->kind = EXO_FRAME_USER;
        break;
    default:
        frame_entry(paddr_to_pfn(virt_to_phys(root.env->home)))->cpus = 0;
    }
}

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

START_TEST(finds_what_is_wrong_between_cpus)
{
    plant_far(_i);
    ck_assert_msg(exo_audit(notes) != NULL, "violation %d was not found", _i);
}
END_TEST

START_TEST(finds_what_is_wrong)
{
    plant(_i);
    ck_assert_msg(exo_audit(notes) != NULL, "violation %d was not found", _i);
}
END_TEST

/* ---- what the sentence says ----------------------------------------------------------------------------------------- */

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

static struct list *first_child_node(void)
{
    return root.env->children.next;
}

static struct list *last_child_node(void)
{
    return root.env->children.prev;
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

static pte_t *io_entry(unsigned level)
{
    return entry_in(domain->root, IOVA, level);
}

static struct cap *slot_of(const struct env *env, uint64_t index)
{
    return (struct cap *)frame_address(env->owner.caps.frames[0]) + index;
}

static struct cap *slot_zero(void)
{
    return slot_of(root.env, 0);
}

#define first(name) cap_at(root.env, EXO_FIRST_##name)

/* Two are derived from one. */
static void give_sibling(void)
{
    CALL_OK(cap_grant, b.env_cap, EXO_FIRST_INFO, EXO_RIGHT_READ);
}

static struct cap *older(void)
{
    return granted();
}

static void plant_cycle(void)
{
    struct cap *cap = first(MACHINE);

    cap->parent = cap->next = cap;
    cap->prev_next = &cap->next;
}

static void plant_buddy(void)
{
    pfn_t block = free_block();
    struct exo_frame *buddy = frame_entry(block ^ 1u << (frame_entry(block)->order1 - 1));

    buddy->kind = EXO_FRAME_FREE;
    buddy->order1 = frame_entry(block)->order1;
}

static void plant_empty_table(void)
{
    pte_t *entries = entry_at(0);

    for (unsigned i = 0; i < 4; i++)
        entries[i] = 0;
    frame_entry(paddr_to_pfn(virt_to_phys(entries)))->entries = 0;
}

static void plant_stray_table(void)
{
    CALL_OK(page_unmap, EXO_SELF_SPACE, VA, 4, 0);
    CALL_OK(page_alloc, EXO_SELF_SPACE, VA, 2, EXO_WANT_ANY, RW);
    space_lookup(root.env->home, VA, &page);
    system_info->frames[0].of[EXO_FRAME_USER]--;
    system_info->frames[0].of[EXO_FRAME_TABLE]++;
    frame()->kind = EXO_FRAME_TABLE;
    frame()->refs = 0;
    *leaf() = 0;
    root.env->home->nbound--;
    frame_entry(paddr_to_pfn(virt_to_phys(leaf())))->entries--;
}

/* A user's page that says to be a part of a capability table. */
static void plant_caps_frame(uint16_t part)
{
    system_info->frames[0].of[EXO_FRAME_USER]--;
    system_info->frames[0].of[EXO_FRAME_CAPS]++;
    frame()->kind = EXO_FRAME_CAPS;
    frame()->entries = part;
    frame_entry(paddr_to_pfn(virt_to_phys(leaf())))->entries--;
    frame()->refs = 0;
    *leaf() = 0;
    root.env->home->nbound--;
}

static void tear_down(void)
{
    a.env->torn_down = a.env->owner.account.ended = true;
}

/* b is gone, but for a page that init has of it. */
static void plant_ended_share(void)
{
    CALL_OK(page_alloc, b.space_cap, VA, 1, EXO_WANT_ANY, RW);
    CALL_OK(page_map, EXO_SELF_SPACE, VA + 0x100000, b.space_cap, VA, 1, RW);
    while (CALL_OK(env_destroy, b.env_cap) > 0)
        ;
    ck_assert(b.env->owner.account.ended);
    b.env->owner.account.limit++;
    root.env->owner.account.reserved++;
}

/* TLBs that hold what they cannot. */
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

static void see_no_device_table(audit_see_device *see)
{
    see(domain->tag, 0, IOVA << 8, 1);
}

/* The heap of them: a's, which calls, is first, and b's, which waits, below. */
static struct deadline *two_deadlines(void)
{
    as(&b);
    CALL(wait, 1, machine.time + 200000);
    as(&root);
    ck_assert_ptr_nonnull(machine.cpu->deadlines.first->left);
    return machine.cpu->deadlines.first;
}

static void plant_right_heavy(void)
{
    struct deadline *first = two_deadlines();

    first->right = first->left;
    first->left = NULL;
    first->rank = 2;
}

static void plant_reclaim(uint32_t number, uint64_t n)
{
    root.env->owner.account.reclaim = number;
    root.env->nreclaims = 1;
    root.env->reclaim.n = n;
}

static void plant_ring(void)
{
    machine.cpu->trace.owner = root.env;
    machine.cpu->trace.npages = 1;
    machine.cpu->trace.first = page.pfn;
    machine.cpu->trace.nrecords = 4;
}

/* Long: a list. */
static const char *plant_told(int which)
{
    switch (which) {
    case 0:
        a.vcpu->space = beside(a.env->home);
        return "the space that it runs in";
    case 1:
        a.vcpu->space = outside();
        return "the space that it runs in";
    case 2:
        a.vcpu->space = below();
        return "the space that it runs in";
    case 3:
        list_init(first_child_node());
        return "is not its parent's";
    case 4:
        root.env->children.next->prev = &root.env->children == root.env->children.next->prev
                                            ? root.env->children.next
                                            : &root.env->children;
        root.env->children.next->next->prev = root.env->children.next->next;
        return "a list's links disagree";
    case 5:
        last_child_node()->prev = last_child_node();
        return "a list's links disagree";
    case 6:
        plant_buddy();
        return "are not joined";
    case 7:
        frame_entry(frame_cached_first(&cpus[0]))->order1 = 1;
        return "cache and not free";
    case 8:
        frame()->kind = EXO_NFRAME_KINDS;
        return ": kind";
    case 9:
        frame_entry(free_block())->refs = 1;
        return "has 1 references";
    case 10:
        frame()->account = last() + 1;
        return "no account";
    case 11:
        frame()->account = vcpu_frame(a.vcpu);
        return "no account";
    case 12:
        *leaf() = pte_leaf(pfn_to_paddr(last() + 1), 1, 1, MEMORY_NORMAL);
        return "does not exist";
    case 13:
        *leaf() = pte_leaf(virt_to_phys(system_info), 1, 3, MEMORY_NORMAL);
        return "is bound with maximum";
    case 14:
        *entry_at(1) = pte_leaf(pfn_to_paddr(page.pfn), 1, 1, MEMORY_NORMAL);
        return "is bound as a large page";
    case 15:
        *entry_at(1) = pte_leaf(pfn_to_paddr(last() + 1), 1, 1, MEMORY_NORMAL);
        return "is bound as a large page";
    case 16:
        *entry_at(1) = pte_leaf(pfn_to_paddr(vcpu_frame(a.vcpu)), 1, 1, MEMORY_NORMAL);
        return "is bound as a large page";
    case 17:
        *entry_at(2) = pte_leaf(pfn_to_paddr(page.pfn), 1, 1, MEMORY_NORMAL);
        return "names no table";
    case 18:
        *entry_at(2) = pte_table(pfn_to_paddr(last() + 1));
        return "names no table";
    case 19:
        *entry_at(2) = pte_table(pfn_to_paddr(page.pfn));
        return "names no table";
    case 20:
        plant_empty_table();
        return "is empty and there";
    case 21:
        root.env->home->run = (struct space_run){.pfn = last() + 1, .left = 1};
        return "waits to be bound, and";
    case 22:
        root.env->home->run = (struct space_run){.pfn = vcpu_frame(a.vcpu), .left = 1};
        return "waits to be bound, and";
    case 23:
        root.env->home->run = (struct space_run){.pfn = page.pfn, .left = 1};
        return "waits to be bound, and";
    case 24:
        root.env->home->run = (struct space_run){.pfn = page.pfn, .left = 1, .large = true};
        return "a large page waits";
    case 25:
        a.env->home->account = &b.env->owner.account;
        return "its environment";
    case 26:
        a.env->home->account = beside(a.env);
        return "its environment";
    case 27:
        list_remove(&a.env->home->in_env);
        return "is not on its environment's list";
    case 28:
        a.env->home->root = last() + 1;
        return ": root";
    case 29:
        a.env->home->root = vcpu_frame(a.vcpu);
        return ": root";
    case 30:
        *io_leaf() =
            pte_leaf(pte_paddr(*io_leaf()), EXO_PROT_READ, EXO_PROT_READ | EXO_PROT_WRITE, MEMORY_NORMAL);
        return ": protection";
    case 31:
        *io_leaf() = pte_leaf((paddr_t){MACHINE_DOORBELL & ~(uint64_t)PAGE_MASK}, 1, 1, MEMORY_DEVICE);
        return "leads to a device's registers";
    case 32:
        domain->translated = domain->attached = false;
        *io_leaf() = pte_leaf((paddr_t){MACHINE_DOORBELL & ~(uint64_t)PAGE_MASK}, 1, 1, MEMORY_DEVICE);
        return "leads to a device's registers";
    case 33:
        *io_leaf() = pte_leaf(pfn_to_paddr(last() + 1), 1, 1, MEMORY_NORMAL);
        return "does not exist";
    case 34:
        *io_entry(1) = pte_leaf(pfn_to_paddr(page.pfn), 1, 1, MEMORY_NORMAL);
        return "names no table";
    case 35:
        *io_entry(1) = pte_table(pfn_to_paddr(last() + 1));
        return "names no table";
    case 36:
        *io_entry(1) = pte_table(pfn_to_paddr(page.pfn));
        return "names no table";
    case 37:
        domain->account = beside(root.env);
        return "its environment";
    case 38:
        domain->root = vcpu_frame(a.vcpu);
        return ": root";
    case 39:
        domain->root = last() + 1;
        return ": root";
    case 40:
        domain->translated = false;
        return "leads to a device's registers";
    case 41:
        domain->in_env.next->prev =
            &domain->in_env == domain->in_env.next->prev ? domain->in_env.next : &domain->in_env;
        return "a list of domains";
    case 42:
        domain->in_env.prev = &domain->in_env;
        return "a list of domains";
    case 43:
        frame_entry(dma_stream_table(0))->kind = EXO_FRAME_USER;
        system_info->frames[0].of[EXO_FRAME_USER]++;
        system_info->frames[0].of[EXO_FRAME_IOTABLE]--;
        return "is no table";
    case 44:
        stream(STREAM)->domain += sizeof(struct cap);
        return "is another's";
    case 45:
        domain->stream++;
        return "is another's";
    case 46:
        domain->stream = STREAM + 1;
        return "is another's";
    case 47:
        granted()->type = EXO_NCAP_TYPES;
        return ": type";
    case 48:
        granted()->rights = 0xff;
        return ": type";
    case 49:
        granted()->parent = slot_zero();
        return "derived from a free slot";
    case 50:
        granted()->parent = (struct cap *)system_info;
        return "derived from a free slot";
    case 51:
        granted()->parent = outside();
        return "derived from a free slot";
    case 52:
        granted()->parent = (struct cap *)((uint8_t *)granted()->parent + 8);
        return "derived from a free slot";
    case 53:
        granted()->prev_next = NULL;
        return "on no list of siblings";
    case 54:
        granted()->prev_next = &slot_zero()->child;
        return "on no list of siblings";
    case 55:
        first(INFO)->prev_next = &slot_zero()->child;
        return "came of nothing";
    case 56:
        first(INFO)->next = first(IRQ);
        return "came of nothing";
    case 57:
        give_sibling();
        older()->next = slot_zero();
        return "siblings";
    case 58:
        give_sibling();
        older()->next->parent = first(MACHINE);
        first(MACHINE)->child = older()->next;
        first(MACHINE)->type = EXO_CAP_INFO;
        older()->next->prev_next = &first(MACHINE)->child;
        return "siblings of";
    case 59:
        give_sibling();
        older()->prev_next = &older()->next;
        return "what came of";
    case 60:
        first(INFO)->child = slot_zero();
        return "siblings";
    case 61:
        first(INFO)->child = first(IRQ);
        return "siblings";
    case 62:
        first(MACHINE)->child = granted();
        return "what came of";
    case 63:
        plant_cycle();
        return "came of itself";
    case 64:
        frame_entry(root.env->owner.caps.frames[0])->entries = 5;
        return "of its capability table";
    case 65:
        slot_zero()->type = EXO_CAP_INFO;
        return "slot 0 is in use";
    case 66:
        a.env->owner.caps.frames[0] = last() + 1;
        return "of its capability table";
    case 67:
        a.env->owner.caps.frames[0] = page.pfn;
        return "of its capability table";
    case 68:
        a.env->owner.caps.frames[0] = root.env->owner.caps.frames[0];
        return "of its capability table";
    case 69:
        frame_entry(a.env->owner.caps.frames[0])->entries = 1;
        return "of its capability table";
    case 70:
        a.env->owner.caps.first_free = 100000;
        return "free slots";
    case 71:
        slot_of(a.env, a.env->owner.caps.first_free)->a = a.env->owner.caps.first_free;
        return "slots,";
    case 72:
        a.env->in_endings = (struct list){&a.env->in_endings, &b.env->in_endings};
        a.env->in_endings.next = &b.env->in_endings;
        return "of those that end";
    case 73:
        a.env->state = EXO_ENV_ENDED;
        a.env->in_endings.next = &b.env->in_endings;
        return "of those that end";
    case 74:
        root.env->owner.account.parent = &a.env->owner.account;
        return "the first, or not";
    case 75:
        frame_entry(env_frame(root.env))->account = env_frame(a.env);
        return "the first, or not";
    case 76:
        a.env->parent = beside(root.env);
        return "its parent";
    case 77:
        a.env->owner.account.parent = &b.env->owner.account;
        return "its parent";
    case 78:
        frame_entry(env_frame(a.env))->account = env_frame(b.env);
        return "its parent";
    case 79:
        a.env->depth++;
        return ": depth";
    case 80:
        a.env->torn_down = true;
        return "torn down, and";
    case 81:
        a.env->torn_down = a.env->owner.account.ended = true;
        return "holds something";
    case 82:
        root.env->owner.account.limit = root.env->owner.account.used + root.env->owner.account.reserved - 1;
        return "exceeds its limit";
    case 83:
        plant_reclaim(1, 0);
        return "reclaims";
    case 84:
        plant_reclaim(2, 1);
        return "reclaims";
    case 85:
        a.vcpu->env = beside(a.env);
        return "its environment";
    case 86:
        a.vcpu->env = b.env;
        return "its environment";
    case 87:
        list_remove(&a.vcpu->in_env);
        return "its environment";
    case 88:
        a.vcpu->page_pfn = last() + 1;
        return "its shared page";
    case 89:
        a.vcpu->page_pfn = vcpu_frame(b.vcpu);
        return "its shared page";
    case 90:
        a.vcpu->page_pfn = 0;
        return "no shared page";
    case 91:
        a.vcpu->peer = a.vcpu;
        return "calls nobody";
    case 92:
        a.vcpu->peer = beside(b.vcpu);
        return "calls nobody";
    case 93:
        list_init(&cpus[ncpus].ready);
        b.vcpu->cpu = cpus + ncpus;
        list_remove(&b.vcpu->queue);
        list_add_tail(&cpus[ncpus].ready, &b.vcpu->queue);
        return "not marked";
    case 94:
        frame_entry(vcpu_frame(a.vcpu))->entries = 3;
        return "its CPU";
    case 95:
        a.vcpu->deadline.parent = &b.vcpu->deadline;
        return "deadlines: order";
    case 96:
        machine.cpu->deadlines.first = (struct deadline *)root.vcpu->page;
        return "deadlines: of nobody";
    case 97:
        a.vcpu->deadline.rank = 5;
        return "deadlines: ranks";
    case 98:
        machine.cpu->slots[5].owner = beside(a.vcpu);
        return "owned by nobody";
    case 99:
        machine.cpu->info->slot_env[5] = env_frame(b.env);
        return "told as another's";
    case 100:
        machine.cpu->info->slot_env[6] = env_frame(b.env);
        return "told as owned";
    case 101:
        irq_of(40)->vcpu = beside(a.vcpu);
        return "bound to nobody";
    case 102:
        machine.cpu->inbox_lock.next++;
        return "locks are held";
    case 103:
        machine.cpu->loaded = beside(root.env->home);
        return "is gone, or does not";
    case 104:
        machine.cpu->fp_owner = beside(root.vcpu);
        return "is gone, or another";
    case 105:
        plant_ring();
        machine.cpu->trace.owner = beside(root.env);
        return "owner of its trace ring";
    case 106:
        plant_ring();
        machine.cpu->traced = true;
        return "beyond its ring";
    case 107:
        plant_ring();
        machine.cpu->traced = true;
        machine.cpu->trace.ring = frame_address(page.pfn);
        machine.cpu->trace.next = machine.cpu->trace.nrecords;
        return "beyond its ring";
    case 108:
        plant_ring();
        machine.cpu->traced = true;
        machine.cpu->trace.ring = frame_address(page.pfn);
        machine.cpu->trace.nrecords = PAGE_SIZE;
        return "beyond its ring";
    case 109:
        plant_ring();
        machine.cpu->trace.first = last() + 1;
        return "is not a user's";
    case 110:
        plant_ring();
        machine.cpu->trace.first = vcpu_frame(a.vcpu);
        return "is not a user's";
    case 111:
        root.env->home->asid = 0;
        return "is another's too";
    case 112:
        root.env->home->asid = 77;
        frame_entry(paddr_to_pfn(virt_to_phys(root.env->home)))->entries = 77;
        return "which nobody has";
    case 113:
        domain->tag += 50;
        return "which nobody has";
    case 114:
        ((struct msi_device *)msi_device(0))->nlines++;
        return "not its lines";
    case 115:
        ((struct msi_device *)msi_device(0))->table = last() + 1;
        return "frame of another kind";
    case 116:
        frame_entry(free_block())->next = last() + 1;
        return "leads outside memory";
    case 117:
        frame_entry(frame_cached_first(&cpus[0]))->next = last() + 1;
        return "cache and not free";
    case 118:
        frame_entry(frame_cached_first(&cpus[0]))->next = frame_cached_first(&cpus[0]);
        return "is free twice";
    case 119:
        frame()->entries = EXO_LARGE_PART;
        return "is a part of no large page";
    case 120:
        frame()->entries = EXO_LARGE_HEAD;
        return "is a part of no large page";
    case 121:
        frame_entry(free_block())->account = 5;
        return "0 references";
    case 122:
        granted()->object++;
        return "exceeds the one";
    case 123:
        granted()->serial++;
        return "exceeds the one";
    case 124:
        cap_at(root.env, b.vcpu_cap)->child->object++;
        return "exceeds the one";
    case 125:
        cap_at(root.env, b.vcpu_cap)->child->a = 5;
        cap_at(root.env, b.vcpu_cap)->child->child->a = 6;
        return "exceeds the one";
    case 126:
        slot_zero()->child = granted();
        granted()->prev_next = &slot_zero()->child;
        return "what came of";
    case 127:
        give_sibling();
        slot_zero()->child = older()->next;
        older()->next->prev_next = &slot_zero()->child;
        return "a capability in frame";
    case 128:
        plant_caps_frame(0);
        return "is in no table";
    case 129:
        plant_caps_frame(7);
        return "is in no table";
    case 130:
        tear_down();
        list_init(&a.env->vcpus);
        return "holds something";
    case 131:
        tear_down();
        list_init(&a.env->vcpus);
        list_init(&a.env->spaces);
        return "holds something";
    case 132:
        tear_down();
        list_init(&a.env->vcpus);
        list_init(&a.env->spaces);
        list_init(&a.env->children);
        a.env->children.next = &b.env->in_parent;
        return "holds something";
    case 133:
        root.env->owner.account.reserved -= a.env->owner.account.limit - 3;
        a.env->owner.account.limit = 3;
        return "exceeds its limit";
    case 134:
        plant_ended_share();
        return "keeps a share";
    case 135:
        list_add_tail(&b.vcpu->senders, stray());
        return "not its caller";
    case 136:
        list_add_tail(&b.vcpu->senders, &root.vcpu->queue);
        return "its queue";
    case 137:
        list_add_tail(&machine.cpu->inbox, stray());
        return "holds a note about no";
    case 138:
        list_add_tail(&machine.cpu->endings, stray());
        return "that is not ending";
    case 139:
        audit_translations = see_no_asid;
        return "which nobody has";
    case 140:
        audit_translations = see_other_cpu;
        return "never was there";
    case 141:
        audit_translations = see_no_table;
        return "whose table is gone";
    case 142:
        audit_device_translations = see_no_device_table;
        return "whose table is gone";
    case 143:
        granted()->type = EXO_CAP_GATE;
        return "exceeds the one";
    case 144:
        first(MACHINE)->child = outside();
        return "what came of";
    case 145:
        give_sibling();
        older()->next = outside();
        return "siblings";
    case 146:
        CALL_OK(env_stop, a.env_cap);
        a.env->owner.account.wanted = 3;
        return "is being lowered";
    case 147:
        CALL_OK(env_stop, a.env_cap);
        a.env->owner.account.reclaim = a.env->nreclaims = 1;
        a.env->reclaim.n = 1;
        return "reclaims";
    case 148:
        CALL_OK(env_stop, a.env_cap);
        a.vcpu->page_pfn = 0;
        return "no shared page";
    case 149:
        CALL_OK(env_stop, b.env_cap);
        list_add_tail(&b.vcpu->callers, stray());
        return "will not hear";
    case 150:
        CALL_OK(env_stop, b.env_cap);
        list_add_tail(&b.vcpu->senders, stray());
        return "will not hear";
    case 151:
        CALL_OK(env_stop, a.env_cap);
        a.vcpu->nirqs = 1;
        return "keeps lines";
    case 152:
        CALL_OK(env_stop, a.env_cap);
        a.vcpu->nslots = 1;
        return "keeps lines";
    case 153:
        two_deadlines()->left->at = 0;
        return "deadlines: order";
    case 154:
        plant_right_heavy();
        return "deadlines: ranks";
    case 155:
        two_deadlines()->rank = 2;
        return "deadlines: ranks";
    case 156:
        plant_stray_table();
        return "is in no space";
    case 157:
        a.vcpu->space = (struct space *)a.env; /* an object, but no space */
        return "the space that it runs in";
    case 158: /* ended, and said to be ready to go on, */
        CALL_OK(env_stop, a.env_cap);
        a.vcpu->sound = machine.cpu->epoch;
        return "could not go on at once";
    case 159: /* or in a space that no TLB knows */
        actor_new(20).vcpu->sound = machine.cpu->epoch;
        return "could not go on at once";
    case 160:
        a.env->owner.caps.frames[CAPS_FRAMES - 1] = a.env->owner.caps.frames[0];
        return "behind the end of its capability table";
    default:
        ck_abort_msg("there is no violation %d", which);
    }
}

START_TEST(says_what_is_wrong)
{
    const char *words = plant_told(_i), *sentence = exo_audit(notes);

    ck_assert_msg(sentence && strstr(sentence, words), "violation %d: \"%s\", not \"%s\"", _i,
                  sentence ? sentence : "nothing", words);
}
END_TEST

/* A machine that shows no TLBs is audited all the same. */
START_TEST(without_translations)
{
    *leaf() =
        pte_leaf(pfn_to_paddr(page.pfn), EXO_PROT_READ, EXO_PROT_ALL, MEMORY_NORMAL); /* without a flush */
    ck_assert_ptr_nonnull(exo_audit(notes));
    audit_translations = NULL;
    audit_device_translations = NULL;
    ck_assert_ptr_null(exo_audit(notes));
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("audit");
    TCase *tc = tcase_create("audit");

    tcase_add_checked_fixture(tc, setup, NULL);
    tcase_add_loop_test(tc, finds_what_is_wrong, 0, 74);
    tcase_add_test(tc, without_translations);
    tcase_add_loop_test(tc, says_what_is_wrong, 0, 161);
    suite_add_tcase(s, tc);

    tc = tcase_create("several CPUs");
    tcase_add_checked_fixture(tc, setup_far, NULL);
    tcase_add_loop_test(tc, finds_what_is_wrong_between_cpus, 0, 18);
    tcase_add_loop_test(tc, told_is_told, 0, 2);
    tcase_add_loop_test(tc, in_world_mode, 0, 4);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    return exo_suite_run(suite());
}
