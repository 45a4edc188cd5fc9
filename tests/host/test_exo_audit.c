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
        machine.cpu->trace.on = true;
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

/* A list, too. */
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

static Suite *suite(void)
{
    Suite *s = suite_create("audit");
    TCase *tc = tcase_create("audit");

    tcase_add_checked_fixture(tc, setup, NULL);
    tcase_add_loop_test(tc, finds_what_is_wrong, 0, 74);
    suite_add_tcase(s, tc);

    tc = tcase_create("several CPUs");
    tcase_add_checked_fixture(tc, setup_far, NULL);
    tcase_add_loop_test(tc, finds_what_is_wrong_between_cpus, 0, 18);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    return exo_suite_run(suite());
}
