/* The audit itself: every planted violation is found.  (All other suites show that it is silent without one.) */
#include <stdlib.h>
#include <string.h>

#include "audit.h"
#include "cpu.h"
#include "exo_machine.h"

#define VA 0x10000000ull

static struct actor a, b;
static struct audit_note *notes;
static struct binding page;

static void setup(void)
{
    uint64_t gate;

    exo_boot();
    notes = calloc(system_info->nframes, sizeof(*notes));
    a = actor_make(100);
    b = actor_make(100);
    CALL_OK(page_alloc, EXO_SELF_SPACE, VA, 4, EXO_WANT_ANY, RW);
    space_lookup(root.env->home, VA, &page);
    machine_touch(VA, EXO_PROT_READ);
    CALL_OK(cap_grant, a.env_cap, EXO_FIRST_INFO, EXO_RIGHT_READ);
    CALL_OK(slice_bind, EXO_FIRST_SLICE, 5, a.vcpu_cap);
    CALL_OK(irq_bind, EXO_FIRST_IRQ, 40, a.vcpu_cap, 5);
    gate = (uint64_t)CALL_OK(gate_create, b.vcpu_cap, 0);
    gate = (uint64_t)CALL_OK(cap_grant, a.env_cap, gate, EXO_RIGHT_USE);
    as(&a);
    CALL(call, gate, 0, 0, 0, 0, 0, 0, machine.time + 100000);
    as(&root);
    exo_check();
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
        system_info->frames[EXO_FRAME_FREE]--;
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
    default:
        ((pte_t *)frame_address(root.env->home->root))[ARCH_TABLE_SLOT] |= PTE_WRITE;
    }
}

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
    tcase_add_loop_test(tc, finds_what_is_wrong, 0, 41);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    return exo_suite_run(suite());
}
