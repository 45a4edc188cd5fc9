/* Where `make coverage` found that no other suite comes: who has ended begins nothing, tables that are full at the last step,
 * lines that nobody has, last words, machines with odd memory and processors.  K1, K3, K9, K18, K20, K21, K24, K27, K29, C1, C4 */
#include <libfdt.h>
#include <string.h>

#include "cpu.h"
#include "deadline.h"
#include "exo_machine.h"
#include "irq.h"
#include "log.h"
#include "notice.h"
#include "panic.h"

#define VA 0x10000000ull
#define MIB (1ull << 20)

/* ---- who has ended begins nothing ---------------------------------------------------------------------------------- */

static struct env *far_env;
static struct vcpu *far_vcpu;
static exo_handle_t far_env_cap;
static uint64_t far_ram = 4 * MIB;

/* An environment whose one vcpu runs on CPU 1, with pages, and capabilities of most types at known handles. */
static void setup_far(void)
{
    uint64_t both;
    exo_handle_t vcpu, space;

    machine.ncpus = 2;
    machine.iommu = true;
    exo_boot_ram(far_ram);
    machine.stay = true;
    both = (uint64_t)CALL_OK(env_create, 60, 0, 0);
    far_env_cap = (exo_handle_t)both;
    space = (exo_handle_t)(both >> 32);
    far_env = env_of(cap_at(root.env, far_env_cap));
    CALL_OK(page_alloc, space, ACTOR_VCPU_VA, 1, EXO_WANT_ANY, RW);
    vcpu = (exo_handle_t)CALL_OK(vcpu_create, far_env_cap, 1, space, ACTOR_VCPU_VA);
    far_vcpu = vcpu_of(cap_at(root.env, vcpu));
    far_vcpu->page->upcall_entry = UPCALL_ENTRY;
    CALL_OK(vcpu_start, vcpu, 0);
    machine_on(1);
    ck_assert_ptr_eq(machine.cpu->current, far_vcpu);
    upcall_done();
    CALL_OK(page_alloc, EXO_SELF_SPACE, VA, 2, EXO_WANT_ANY, RW);
}

/* Its CPU has been told, and the interrupt is still on its way, when it makes one more call: of each kind.  K1, K29 */
START_TEST(who_has_ended_begins_nothing)
{
    uint64_t args[8] = {EXO_SELF_SPACE, VA + 2 * PAGE_SIZE, 1, EXO_WANT_ANY, RW};
    uint64_t free_before, call = (uint64_t)_i;

    if (call == EXO_CALL_page_map)
        memcpy(args, (const uint64_t[]){EXO_SELF_SPACE, VA + 2 * PAGE_SIZE, EXO_SELF_SPACE, VA, 1, RW}, 48);
    else if (call == EXO_CALL_page_unmap)
        args[3] = 0;

    machine.held = 2;
    machine_on(0);
    CALL_OK(env_stop, far_env_cap);
    ck_assert(cpus[1].evict);
    machine_on(1);
    ck_assert_ptr_eq(machine.cpu->current, far_vcpu); /* it has not noticed */
    free_before = exo_free_frames();
    machine_call(call, args);
    if (call == EXO_CALL_null || call == EXO_CALL_log_write) /* touch nothing that others have */
        machine_call(EXO_CALL_yield, args);
    ck_assert_ptr_ne(machine.cpu->current, far_vcpu);
    ck_assert_int_eq(far_vcpu->state, VCPU_STOPPED); /* until its end has come to it */
    ck_assert_int_ne(machine.end, MACHINE_STOPPED);
    ck_assert_uint_eq(exo_free_frames(), free_before);
    if (call >= EXO_NSWITCH && call != EXO_CALL_null && call != EXO_CALL_log_write)
        ck_assert_int_eq((int64_t)far_vcpu->regs.x[0], -EXO_EDEAD);
    exo_check();
    machine.held = 0;
    for (unsigned i = 0; i < 6; i++) {
        machine.time += 20; /* the ending comes back */
        machine_on(1 - i % 2);
    }
    ck_assert_int_eq(far_vcpu->state, VCPU_DEAD);
    exo_check();
}
END_TEST

/* Or takes a trap: no upcall is made for it, which it would never see.  K1, K30 */
START_TEST(who_has_ended_hears_nothing)
{
    uint64_t upcalls = cpus[1].info->upcalls;

    machine.held = 2;
    machine_on(0);
    CALL_OK(env_stop, far_env_cap);
    machine_on(1);
    ck_assert_ptr_eq(machine.cpu->current, far_vcpu);
    if (_i)
        machine_exception(EXO_EXC_BREAKPOINT, 0);
    else
        machine_touch(VA + 8 * PAGE_SIZE, EXO_PROT_READ);
    ck_assert_ptr_ne(machine.cpu->current, far_vcpu);
    ck_assert_uint_eq(cpus[1].info->upcalls, upcalls);
    ck_assert_int_eq(far_vcpu->env->reason, EXO_END_STOP);
    machine.held = 0;
}
END_TEST

/* The interrupt that tells its CPU comes together with one for somebody else there: that one runs, and who has ended goes into no
 * list.  K1, K28 */
START_TEST(interrupts_find_one_that_has_ended)
{
    struct vcpu *driver;
    uint64_t both, handle;

    machine_on(0);
    both = (uint64_t)CALL_OK(env_create, 20, 0, 0);
    CALL_OK(page_alloc, both >> 32, ACTOR_VCPU_VA, 1, EXO_WANT_ANY, RW);
    handle = (uint64_t)CALL_OK(vcpu_create, both & UINT32_MAX, 1, both >> 32, ACTOR_VCPU_VA);
    driver = vcpu_of(cap_at(root.env, handle));
    driver->page->upcall_entry = UPCALL_ENTRY;
    CALL_OK(vcpu_start, handle, 0);
    CALL_OK(irq_bind, EXO_FIRST_IRQ, 40, handle, 5);
    machine_on(1);
    machine_run(driver);
    upcall_done();
    CALL(wait, 1 << 5, EXO_FOREVER);
    ck_assert_ptr_eq(machine.cpu->current, far_vcpu);
    machine.held = 2;
    machine_on(0);
    CALL_OK(env_stop, far_env_cap);
    ck_assert(cpus[1].evict && machine.cpus[1].kicked);
    machine.irq_raised |= 1ull << 40;
    machine.held = 0;
    machine_on(1);
    ck_assert_ptr_eq(machine.cpu->current, driver);
    ck_assert_int_eq(result(driver), 1 << 5);
    ck_assert(!cpus[1].evict);
    ck_assert_int_eq(far_vcpu->state, VCPU_STOPPED);
    ck_assert(list_empty(&cpus[1].ready));
    machine_on(0);
    exo_check();
}
END_TEST

/* ---- the last frames lie in another CPU's cache --------------------------------------------------------------------------- */

#define FRESH 0x500000000ull /* no table leads there yet */

static struct actor a, b;

/* CPU 0's vcpus find no frame but those that CPU 1 has in its cache. */
static void leave_another_cache(void)
{
    uint64_t va = 0x40000000;

    machine_on(1);
    CALL_OK(page_alloc, EXO_SELF_SPACE, VA + 2 * PAGE_SIZE, 12, EXO_WANT_ANY, RW);
    machine_on(0);
    a = actor_make(60);
    b = actor_make(60);
    for (unsigned i = 0; i < 2; i++) {
        as(i ? &b : &a);
        CALL_OK(page_alloc, EXO_SELF_SPACE, VA, 1, EXO_WANT_ANY, RW);
    }
    as(&root);
    CALL_OK(page_alloc, EXO_SELF_SPACE, VA, 1, EXO_WANT_ANY, RW);
    root.env->owner.account.limit += 1000; /* it may have what the others' limits reserve, too */
    while (CALL(page_alloc, EXO_SELF_SPACE, va, 1, EXO_WANT_ANY, RW) == 1)
        va += PAGE_SIZE;
    ck_assert_uint_eq(exo_free_frames(), 0);
    machine_on(1);
    exo_unmap(EXO_SELF_SPACE, VA + 2 * PAGE_SIZE, 12);
    ck_assert_uint_ge(machine.cpu->frames.n, 12);
    machine_on(0);
    ck_assert_uint_eq(machine.cpu->frames.n, 0);
}

static void setup_scarce(void)
{
    setup_far();
    leave_another_cache();
}

static uint64_t worlds(void)
{
    return system_info->locks[EXO_LOCK_WORLD].next;
}

/* A binding that needs tables begins as the CPU's own affair, and is begun again as everybody's.  K8, K22 */
START_TEST(tables_from_another_cache)
{
    uint64_t before = worlds();

    switch (_i) {
    case 0:
        CALL_OK(page_map, EXO_SELF_SPACE, FRESH, EXO_SELF_SPACE, VA, 1, RW);
        break;
    case 1:
        CALL_OK(mmio_map, EXO_FIRST_MMIO, EXO_SELF_SPACE, FRESH, 0x9000000, 1, RW);
        break;
    case 2:
        CALL_OK(info_map, EXO_FIRST_INFO, EXO_INFO_SYSTEM, 0, EXO_SELF_SPACE, FRESH);
        break;
    default:
        CALL_OK(page_alloc, EXO_SELF_SPACE, FRESH, 1, EXO_WANT_ANY, RW);
    }
    ck_assert_uint_gt(worlds(), before);
    ck_assert_ptr_nonnull(machine_touch(FRESH, EXO_PROT_READ));
}
END_TEST

#define RUN_VA (FRESH + EXO_LARGE_BYTES - 16 * PAGE_SIZE) /* 16 pages, and more that need another table */
#define RUN_PAGES 20u

static uint64_t run_done;

static int64_t run_piece(void)
{
    return CALL_OK(page_alloc, EXO_SELF_SPACE, RUN_VA + run_done * PAGE_SIZE, RUN_PAGES - run_done,
                   EXO_WANT_ANY, RW | EXO_ALLOC_CONTIG | (run_done ? (uint64_t)EXO_ALLOC_MORE : 0));
}

static void setup_scarce_run(void)
{
    setup_far();
    machine_on(0);
    CALL_OK(irq_bind, EXO_FIRST_IRQ, 40, EXO_FIRST_VCPU, 5);
    while (run_done < 16) {
        root.vcpu->page->events = 0;
        CALL_OK(irq_ack, EXO_FIRST_IRQ, 40);
        machine.irq_raised |= 1ull << 40; /* one page a call */
        run_done += (uint64_t)run_piece();
    }
    leave_another_cache();
}

/* What a run holds already is not given up as the next tables are found in the world only.  K8, K22 */
START_TEST(run_with_tables_from_another_cache)
{
    uint64_t before = worlds(), nfree = exo_free_frames();
    struct binding first, last;

    ck_assert_int_eq(run_piece(), (int64_t)(RUN_PAGES - run_done));
    ck_assert_uint_gt(worlds(), before);
    ck_assert_uint_eq(exo_free_frames(), nfree - 1);
    ck_assert(space_lookup(root.env->home, RUN_VA, &first));
    ck_assert(space_lookup(root.env->home, RUN_VA + (RUN_PAGES - 1) * PAGE_SIZE, &last));
    ck_assert_uint_eq(last.pfn, first.pfn + RUN_PAGES - 1);
}
END_TEST

static uint64_t large_left; /* pages of init's large one, which is begun at FRESH */

static int64_t large_piece(void)
{
    const uint64_t done = EXO_LARGE_PAGES - large_left;

    return CALL_OK(page_alloc, EXO_SELF_SPACE, FRESH + done * PAGE_SIZE, large_left, EXO_WANT_ANY,
                   RW | EXO_ALLOC_LARGE | (done ? (uint64_t)EXO_ALLOC_MORE : 0));
}

static void setup_scarce_large(void)
{
    far_ram = 8 * MIB;
    setup_far();
    machine_on(0);
    for (large_left = EXO_LARGE_PAGES; large_left > 8;)
        large_left -= (uint64_t)large_piece();
    leave_another_cache();
}

/* Nor is a large page given up because the tables over it are found in the world only.  K8, K22 */
START_TEST(large_page_with_tables_from_another_cache)
{
    uint64_t before = worlds(), nfree = exo_free_frames();

    ck_assert_uint_gt(large_left, 0);
    ck_assert_int_eq(large_piece(), (int64_t)large_left);
    ck_assert_uint_gt(worlds(), before);
    ck_assert_uint_eq(exo_free_frames(), nfree - 1);
    ck_assert_ptr_nonnull(machine_touch(FRESH + EXO_LARGE_BYTES - 8, EXO_PROT_WRITE));
    CALL_OK(page_unmap, EXO_SELF_SPACE, FRESH, EXO_LARGE_PAGES, 0);
    ck_assert_uint_eq(exo_free_frames(), nfree + EXO_LARGE_PAGES);
}
END_TEST

static uint64_t gate_to(const struct actor *to, const struct actor *of)
{
    uint64_t gate = (uint64_t)CALL_OK(gate_create, to->vcpu_cap, 0);

    return (uint64_t)CALL_OK(cap_grant, of->env_cap, gate, EXO_RIGHT_USE);
}

static void takes_pages(const struct actor *who)
{
    who->vcpu->page->recv = (struct exo_recv){.va = FRESH, .max_pages = 1};
}

static void sends_page(const struct actor *who)
{
    who->vcpu->page->send = (struct exo_send){.va = VA, .npages = 1, .prot = EXO_PROT_READ};
}

/* Pages that go along with a call, with one that waits in the queue, and with an answer: likewise.  K4, K8 */
START_TEST(messages_need_tables_from_another_cache)
{
    uint64_t gate = gate_to(&b, &a), before, token;

    takes_pages(&b);
    sends_page(&a);
    if (_i == 0) {
        as(&b);
        CALL(reply_wait, 0, 0, 0, 0, 0, 0, 0, EXO_FOREVER);
    }
    as(&a);
    before = worlds();
    CALL(call, gate | (_i < 2 ? EXO_MSG_PAGES : 0), 1, 2, 3, 4, 5, 6, EXO_FOREVER);
    if (_i > 0) {
        as(&b);
        CALL(reply_wait, 0, 0, 0, 0, 0, 0, 0, EXO_FOREVER);
        if (_i == 1) { /* told that there is one, which takes the world */
            ck_assert_int_eq(result(b.vcpu), 0);
            ck_assert_uint_eq(b.vcpu->nfar, 1);
            CALL(reply_wait, 0, 0, 0, 0, 0, 0, 0, EXO_FOREVER);
        }
    }
    ck_assert_int_eq(b.vcpu->state, VCPU_RUNNING);
    token = b.vcpu->regs.x[0];
    if (_i == 2) {
        takes_pages(&a);
        sends_page(&b);
        before = worlds();
        CALL(reply_wait, token | EXO_REPLY_PAGES, 0, 0, 0, 0, 0, 0, EXO_FOREVER);
        as(&a);
    }
    ck_assert_uint_gt(worlds(), before);
    ck_assert_ptr_nonnull(machine_touch(FRESH, EXO_PROT_READ));
    as(&root);
}
END_TEST

/* ---- the last step fails ------------------------------------------------------------------------------------------------ */

/* The current environment's table holds all but `left` capabilities of what its frames can. */
static void fill_caps(const struct env *env, uint32_t left)
{
    const struct cap_table *table = &env->owner.caps;

    while (table->nused < table->nframes * CAPS_PER_FRAME - 1 - left)
        CALL_OK(event_create, EXO_FIRST_VCPU, 1);
}

static void limit_to(struct env *env, uint64_t more)
{
    struct account *account = &env->owner.account;
    uint64_t limit = account->used + account->reserved + more;

    account->parent->reserved -= account->limit - limit;
    account->limit = limit;
}

static void setup(void)
{
    machine.iommu = true;
    exo_boot();
    a = actor_make(100);
    b = actor_make(300);
    for (unsigned i = 0; i < 2; i++) { /* its vcpu at the handle that fill_caps knows */
        CALL_OK(cap_grant, a.env_cap, a.vcpu_cap, EXO_RIGHTS_ALL);
        CALL_OK(cap_grant, b.env_cap, b.vcpu_cap, EXO_RIGHTS_ALL);
    }
}

/* One capability finds a place, the other one does not: all is undone.  K3, K24 */
START_TEST(environment_without_room_for_its_handles)
{
    as(&a);
    fill_caps(a.env, (uint32_t)_i);
    limit_to(a.env, 20 + 1); /* its own frame */
    uint64_t state = exo_state(), nfree = exo_free_frames();

    CALL_FAILS(EXO_EQUOTA, env_create, 20, 0, 0);
    ck_assert_uint_eq(exo_state(), state);
    ck_assert_uint_eq(exo_free_frames(), nfree);
    as(&root);
}
END_TEST

START_TEST(vcpu_without_room_for_its_handle) /* K3, K24 */
{
    as(&a);
    CALL_OK(page_alloc, EXO_SELF_SPACE, VA, 1, EXO_WANT_ANY, RW);
    fill_caps(a.env, 0);
    limit_to(a.env, 1);
    uint64_t state = exo_state();

    CALL_FAILS(EXO_EQUOTA, vcpu_create, EXO_SELF_ENV, 0, EXO_SELF_SPACE, VA);
    ck_assert_uint_eq(exo_state(), state);
    as(&root);
}
END_TEST

START_TEST(vcpu_without_a_frame) /* K24 */
{
    as(&a);
    CALL_OK(page_alloc, EXO_SELF_SPACE, VA, 1, EXO_WANT_ANY, RW);
    limit_to(a.env, 0);
    uint64_t state = exo_state();

    CALL_FAILS(EXO_EQUOTA, vcpu_create, EXO_SELF_ENV, 0, EXO_SELF_SPACE, VA);
    ck_assert_uint_eq(exo_state(), state);
    as(&root);
}
END_TEST

/* What a message brings finds no place in the receiver's table: the sender hears so, and nothing has moved.  K4, K24 */
START_TEST(message_without_room_for_its_capability)
{
    uint64_t gate = (uint64_t)CALL_OK(gate_create, b.vcpu_cap, 0);
    uint32_t before;

    gate = (uint64_t)CALL_OK(cap_grant, a.env_cap, gate, EXO_RIGHT_USE);
    as(&b);
    fill_caps(b.env, 0);
    limit_to(b.env, 0);
    before = b.env->owner.caps.nused;
    b.vcpu->page->recv = (struct exo_recv){.take_cap = 1};
    CALL(reply_wait, 0, 0, 0, 0, 0, 0, 0, EXO_FOREVER);
    as(&a);
    a.vcpu->page->send = (struct exo_send){.cap = EXO_FIRST_VCPU, .rights = EXO_RIGHTS_ALL};
    ck_assert_int_eq(CALL(call, gate | EXO_MSG_CAP, 0, 0, 0, 0, 0, 0, EXO_FOREVER), -EXO_EQUOTA);
    ck_assert_uint_eq(b.env->owner.caps.nused, before);
    ck_assert_int_eq(b.vcpu->state, VCPU_RECEIVING);
    limit_to(b.env, 1); /* for one more frame of capabilities */
    CALL(call, gate | EXO_MSG_CAP, 0, 0, 0, 0, 0, 0, EXO_FOREVER);
    ck_assert_int_eq(b.vcpu->state, VCPU_RUNNING);
    ck_assert_uint_eq(b.env->owner.caps.nused, before + 1);
    as(&root);
}
END_TEST

/* Messages that cannot be received are refused, and an interrupt that waits goes before the next of them.  I1 */
START_TEST(refusals_let_interrupts_in)
{
    struct actor c = actor_make(60);
    uint64_t to_a = (uint64_t)CALL_OK(gate_create, b.vcpu_cap, 0), to_c;

    to_c = (uint64_t)CALL_OK(cap_grant, c.env_cap, to_a, EXO_RIGHT_USE);
    to_a = (uint64_t)CALL_OK(cap_grant, a.env_cap, to_a, EXO_RIGHT_USE);
    CALL_OK(irq_bind, EXO_FIRST_IRQ, 40, EXO_FIRST_VCPU, 5);
    for (unsigned i = 0; i < 2; i++) {
        const struct actor *from = i ? &c : &a;

        as(from);
        CALL_OK(page_alloc, EXO_SELF_SPACE, VA, 1, EXO_WANT_ANY, RW);
        from->vcpu->page->send = (struct exo_send){.va = VA, .npages = 1, .prot = 1};
        CALL(call, (i ? to_c : to_a) | EXO_MSG_PAGES, 0, 0, 0, 0, 0, 0, EXO_FOREVER);
        ck_assert_int_eq(from->vcpu->state, VCPU_SENDING);
    }
    as(&b); /* takes no pages */
    machine.irq_raised |= 1ull << 40;
    CALL(reply_wait, 0, 0, 0, 0, 0, 0, 0, EXO_FOREVER);
    ck_assert_int_lt(result(a.vcpu), 0);
    ck_assert_int_eq(c.vcpu->state, VCPU_SENDING);
    as(&b);
    ck_assert_int_eq(result(b.vcpu), 0); /* there are more */
    CALL(reply_wait, 0, 0, 0, 0, 0, 0, 0, EXO_FOREVER);
    ck_assert_int_lt(result(c.vcpu), 0);
    ck_assert_int_eq(b.vcpu->state, VCPU_RECEIVING);
    as(&root);
    actor_destroy(&c);
}
END_TEST

/* A capability of which very many were derived goes in pieces with its environment; those are then derived from what it came
 * from.  K21, K27 */
START_TEST(many_derived_outlive_the_table)
{
    uint64_t own, to, event = (uint64_t)CALL_OK(event_create, root.vcpu ? EXO_FIRST_VCPU : 0, 0xff);
    unsigned steps = 0, children = 0;
    int64_t rc;

    own = (uint64_t)CALL_OK(cap_grant, a.env_cap, event, EXO_RIGHTS_ALL);
    to = (uint64_t)CALL_OK(cap_grant, a.env_cap, b.env_cap, EXO_RIGHTS_ALL);
    as(&a);
    for (unsigned i = 0; i < 150; i++)
        CALL_OK(cap_grant, to, own, EXO_RIGHT_USE);
    as(&root);
    while ((rc = CALL(env_destroy, a.env_cap)) > 0)
        steps++;
    ck_assert_int_eq(rc, 0);
    ck_assert_uint_ge(steps, 3);
    for (const struct cap *at = cap_at(root.env, event)->child; at; at = at->next)
        children++;
    ck_assert_uint_eq(children, 150);
}
END_TEST

/* A domain that finds no room for one of its frames, or for its handle, leaves nothing behind.  K3, K24 */
START_TEST(domain_without_room)
{
    uint64_t handle = (uint64_t)CALL_OK(cap_grant, a.env_cap, EXO_FIRST_DMA, EXO_RIGHT_USE);
    uint64_t failures = 0;
    int64_t rc;

    as(&a);
    fill_caps(a.env, 0);
    for (uint64_t more = 0;; more++) {
        limit_to(a.env, more);
        uint64_t state = exo_state();

        rc = CALL(dma_open, handle, 8);
        if (rc >= 0)
            break;
        ck_assert_int_eq(rc, -EXO_EQUOTA);
        ck_assert_uint_eq(exo_state(), state);
        exo_check();
        failures++;
    }
    ck_assert_uint_ge(failures,
                      6); /* head, root, tables for the doorbell, stream entries, a place for the handle */
    ck_assert_int_gt(CALL_OK(dma_close, (uint64_t)rc), 0);
    CALL_FAILS(EXO_EDEAD, dma_bind, (uint64_t)rc, 0x40000000, EXO_SELF_SPACE, ACTOR_VCPU_VA, 1, 1);
    CALL_FAILS(EXO_EDEAD, dma_bind, (uint64_t)rc, 0x40000000, EXO_SELF_SPACE, ACTOR_VCPU_VA, 0, 1);
    while (CALL_OK(dma_close, (uint64_t)rc) > 0)
        ;
    as(&root);
}
END_TEST

/* Who has to give back gets nothing more.  K27 */
START_TEST(nothing_more_while_the_limit_sinks)
{
    uint64_t child;

    as(&a);
    CALL_OK(page_alloc, EXO_SELF_SPACE, VA, 8, EXO_WANT_ANY, RW);
    child = (uint64_t)CALL_OK(env_create, 5, 0, 0) & UINT32_MAX;
    as(&root);
    CALL_OK(env_limit, a.env_cap, 5, EXO_FOREVER);
    as(&a);
    CALL_FAILS(EXO_EQUOTA, env_limit, child, 6, 0); /* nor to hand on */
    CALL_OK(env_limit, child, 5, 0);
    CALL_FAILS(EXO_EQUOTA, page_alloc, EXO_SELF_SPACE, VA + 8 * PAGE_SIZE, 1, EXO_WANT_ANY, RW);
    CALL_OK(page_map, EXO_SELF_SPACE, VA + 8 * PAGE_SIZE, EXO_SELF_SPACE, VA, 1, RW); /* costs nothing */
    as(&root);
}
END_TEST

/* Who was to hear of an end is gone, too.  K29 */
START_TEST(watcher_that_is_gone)
{
    uint64_t event = (uint64_t)CALL_OK(event_create, b.vcpu_cap, 0xff);
    uint64_t watched = (uint64_t)CALL_OK(env_create, 10, event, 1) & UINT32_MAX;

    actor_destroy(&b);
    CALL_OK(env_stop, watched);
    ck_assert_int_eq(CALL(env_status, watched, EXO_ENV_STATE), EXO_ENV_ENDED);
}
END_TEST

/* Of an environment nothing is left but a child's page that somebody else binds: both accounts wait for that.  K3 */
START_TEST(childs_page_outlives_both)
{
    uint64_t before, both;

    actor_destroy(&b);
    as(&a);
    both = (uint64_t)CALL_OK(env_create, 20, 0, 0);
    CALL_OK(page_alloc, both >> 32, VA, 1, EXO_WANT_ANY, RW);
    CALL_OK(page_map, EXO_SELF_SPACE, VA, both >> 32, VA, 1, RW);
    as(&root);
    CALL_OK(page_map, EXO_SELF_SPACE, VA, a.space_cap, VA, 1, RW);
    actor_destroy(&a);
    ck_assert(a.env->owner.account.ended);
    ck_assert_uint_eq(a.env->owner.account.used, 1); /* the child's ENV frame */
    ck_assert_uint_gt(a.env->owner.account.reserved, 0);
    exo_check();
    before = exo_free_frames();
    CALL_OK(page_unmap, EXO_SELF_SPACE, VA, 1, 0);
    ck_assert_uint_gt(exo_free_frames(), before + 2); /* the page, both ENV frames, and perhaps tables */
}
END_TEST

/* Nothing is put into a space that is being destroyed.  K29 */
START_TEST(space_that_ends)
{
    uint64_t space = (uint64_t)CALL_OK(space_create);

    for (uint64_t i = 0; i < 12; i++)
        CALL_OK(page_alloc, space, VA + (i << 32), 1, EXO_WANT_ANY, RW);
    ck_assert_int_gt(CALL_OK(space_destroy, space), 0);
    CALL_FAILS(EXO_EDEAD, page_alloc, space, VA + PAGE_SIZE, 1, EXO_WANT_ANY, RW);
    CALL_FAILS(EXO_EDEAD, page_alloc, space, VA + PAGE_SIZE, 2, EXO_WANT_ANY, RW | EXO_ALLOC_CONTIG);
    CALL_FAILS(EXO_EDEAD, page_alloc, space, VA & ~(EXO_LARGE_BYTES - 1), EXO_LARGE_PAGES, EXO_WANT_ANY,
               RW | EXO_ALLOC_LARGE);
    for (uint64_t i = 0; i < 12; i++) /* beside what is left, too */
        CALL_FAILS(EXO_EDEAD, page_map, space, VA + (i << 32) + PAGE_SIZE, EXO_SELF_SPACE, EXO_FIRST_VCPU_VA,
                   1, 1);
    CALL_FAILS(EXO_EDEAD, asid_pin, space);
    while (CALL_OK(space_destroy, space) > 0)
        ;
    CALL_OK(cap_drop, space);
}
END_TEST

/* ---- what a trace says of those that end by a fault ----------------------------------------------------------------------- */

/* The last record of this kind on CPU 0. */
static const struct exo_trace_record *traced(enum exo_trace_event event)
{
    const struct exo_trace *ring = frame_address(machine.cpu->trace.first);

    for (uint64_t i = ring->written; i-- > 0;)
        if (ring->record[i].event == event)
            return &ring->record[i];
    ck_abort_msg("no record of kind %u", event);
}

/* A fault, or an exception, while upcalls are masked, or where the upcall has no place: both end the environment, and the trace
 * has what the end says.  K30 */
START_TEST(ends_are_traced)
{
    const bool masked = _i & 1, fault = _i & 2;
    const struct exo_trace_record *r;

    ck_assert_int_eq(exo_alloc_run(EXO_SELF_SPACE, 0x20000000, 2, EXO_WANT_ANY, RW), 2);
    CALL_OK(trace_bind, EXO_FIRST_TRACE, 0, EXO_SELF_SPACE, 0x20000000, 2);
    CALL_OK(trace_control, EXO_FIRST_TRACE, 0, EXO_TRACE_ON);
    as(&a);
    if (masked)
        a.vcpu->page->upcall_masked = 1;
    else
        a.vcpu->page->upcall_entry = 0;
    if (fault)
        machine_touch(VA, EXO_PROT_WRITE);
    else
        machine_exception(EXO_EXC_BREAKPOINT, 0x77);
    ck_assert_int_eq(a.env->state, EXO_ENV_ENDED);
    r = traced(fault ? EXO_TRACE_FAULT : EXO_TRACE_EXCEPTION);
    ck_assert_uint_eq(r->vcpu, vcpu_frame(a.vcpu));
    ck_assert_uint_eq(r->a, a.env->address);
    if (fault)
        ck_assert_uint_eq(r->a, VA);
    as(&root);
    CALL_OK(trace_control, EXO_FIRST_TRACE, 0, EXO_TRACE_OFF);
}
END_TEST

/* However often a CPU looks in vain whether there is something to do, its trace says once that it idles. */
START_TEST(idles_once)
{
    const struct exo_trace *ring;
    unsigned idle = 0;

    ck_assert_int_eq(exo_alloc_run(EXO_SELF_SPACE, 0x20000000, 2, EXO_WANT_ANY, RW), 2);
    CALL_OK(trace_bind, EXO_FIRST_TRACE, 0, EXO_SELF_SPACE, 0x20000000, 2);
    CALL_OK(trace_control, EXO_FIRST_TRACE, 0, EXO_TRACE_ON);
    machine.stay = true;
    actor_destroy(&a);
    actor_destroy(&b);
    CALL(wait, 0, machine.time + 1000);
    ck_assert_int_eq(machine.end, MACHINE_IDLE);
    for (unsigned i = 0; i < 3; i++) {
        arch_irq_enable(41);
        machine_irq(41); /* nobody's */
        ck_assert_int_eq(machine.end, MACHINE_IDLE);
    }
    ring = frame_address(machine.cpu->trace.first);
    for (uint64_t i = 0; i < ring->written; i++)
        idle += ring->record[i].event == EXO_TRACE_IDLE;
    ck_assert_uint_eq(idle, 1);
}
END_TEST

/* An interrupt's vcpu runs at once, but not in a slot that is somebody else's.  C1 */
START_TEST(interrupts_respect_slots)
{
    uint64_t lines = (uint64_t)CALL_OK(cap_grant, a.env_cap, EXO_FIRST_IRQ, EXO_RIGHT_USE);

    CALL_OK(irq_bind, EXO_FIRST_IRQ, 40, a.vcpu_cap, 5);
    as(&a);
    CALL(wait, 1 << 5, EXO_FOREVER);
    as(&root);
    for (uint64_t slot = 0; slot < CPU_SLOTS; slot++)
        CALL_OK(slice_bind, EXO_FIRST_SLICE, slot, EXO_FIRST_VCPU);
    machine_irq(40);
    ck_assert_ptr_eq(machine.cpu->current, root.vcpu);
    ck_assert_int_eq(a.vcpu->state, VCPU_READY);
    for (uint64_t slot = 0; slot < CPU_SLOTS; slot++)
        CALL_OK(slice_release, EXO_FIRST_SLICE, slot);
    as(&a);
    for (unsigned i = 0; i < 2; i++) { /* while another runs, and while nobody does */
        a.vcpu->page->events = 0;
        CALL_OK(irq_ack, lines, 40);
        CALL(wait, 1 << 5, EXO_FOREVER);
        as(&root);
        if (i) {
            as(&b);
            CALL(wait, 0, EXO_FOREVER);
            machine.stay = true;
            CALL(wait, 0, machine.time + 1000);
            ck_assert_int_eq(machine.end, MACHINE_IDLE);
        }
        machine_irq(40);
        ck_assert_ptr_eq(machine.cpu->current, a.vcpu);
    }
    machine_advance(2000);
    as(&root);
}
END_TEST

/* From who has no vcpu that could hear, a page is taken when the time has come, and frames are not, as nobody named any.  K27 */
START_TEST(revocation_without_ears)
{
    uint64_t both = (uint64_t)CALL_OK(env_create, 50, 0, 0), env = both & UINT32_MAX, space = both >> 32;
    struct env *deaf = env_of(cap_at(root.env, env));
    struct binding binding;
    int64_t rc;

    CALL_OK(page_alloc, EXO_SELF_SPACE, VA, 1, EXO_WANT_ANY, RW);
    CALL_OK(page_map, space, VA, EXO_SELF_SPACE, VA, 1, RW);
    while ((rc = CALL(page_reclaim, EXO_SELF_SPACE, VA, 1, 0)) > 0)
        machine.time += 1000, machine.cpu->slot_end = machine.time + 1000;
    ck_assert_int_eq(rc, 0);
    ck_assert(!space_lookup(deaf->home, VA, &binding));
    CALL_OK(page_alloc, space, VA, 10, EXO_WANT_ANY, RW);
    for (unsigned i = 0; i < 20; i++) {
        rc = CALL(env_limit, env, 5, 0);
        exo_later(machine.time + 10000);
    }
    ck_assert_int_ne(rc, 0);
    ck_assert(space_lookup(deaf->home, VA, &binding));
    ck_assert_uint_gt(deaf->owner.account.limit, 5);
}
END_TEST

static bool reclaim_goes_on(void)
{
    int64_t rc = CALL(page_reclaim, EXO_SELF_SPACE, VA, 1, 0);

    ck_assert_int_ge(rc, 0);
    machine.time += 1000;
    machine.cpu->slot_end = machine.time + 1000;
    return rc > 0;
}

/* One reclaim at a time; and what was named may be gone, or another thing, when it is through.  K27 */
START_TEST(reclaim_of_what_changes)
{
    uint64_t space = (uint64_t)CALL_OK(space_create);

    CALL_OK(page_alloc, EXO_SELF_SPACE, VA, 1, EXO_WANT_ANY, RW);
    CALL_OK(page_alloc, space, VA, 1, EXO_WANT_ANY, RW);
    CALL_OK(page_map, a.space_cap, VA, EXO_SELF_SPACE, VA, 1, RW);
    ck_assert(reclaim_goes_on());
    CALL_FAILS(EXO_EBUSY, page_reclaim, space, VA, 1, 0);
    CALL_OK(page_unmap, EXO_SELF_SPACE, VA, 1, 0);
    if (_i)
        CALL_OK(mmio_map, EXO_FIRST_MMIO, EXO_SELF_SPACE, VA, 0x9000000, 1, RW);
    while (reclaim_goes_on())
        ;
    exo_check();
    CALL_OK(page_unmap, EXO_SELF_SPACE, VA, 1, 0);
    while (CALL_OK(space_destroy, space) > 0)
        ;
}
END_TEST

/* Who waits, and until when, is a heap that the audit goes through on both sides.  K28 */
START_TEST(many_deadlines)
{
    struct vcpu *vcpus[5];
    exo_handle_t handle;

    as(&a);
    for (unsigned i = 0; i < ARRAY_LEN(vcpus); i++)
        vcpus[i] = actor_vcpu(0x200000 + i * PAGE_SIZE, &handle);
    for (unsigned i = 0; i < ARRAY_LEN(vcpus); i++) {
        machine_run(vcpus[i]);
        CALL(wait, 1, machine.time + 100000 + i * 7 % 5);
    }
    ck_assert_ptr_nonnull(machine.cpu->deadlines.first->left);
    exo_check();
    as(&root);
}
END_TEST

/* A token that names no vcpu's frame.  I1 */
START_TEST(traced_tokens)
{
    ck_assert_int_eq(exo_alloc_run(EXO_SELF_SPACE, 0x20000000, 2, EXO_WANT_ANY, RW), 2);
    CALL_OK(trace_bind, EXO_FIRST_TRACE, 0, EXO_SELF_SPACE, 0x20000000, 2);
    CALL_OK(trace_control, EXO_FIRST_TRACE, 0, EXO_TRACE_ON);
    ck_assert_int_lt(CALL(reply_wait, env_frame(root.env), 0, 0, 0, 0, 0, 0, 0), 0);
    ck_assert_uint_eq(traced(EXO_TRACE_CALL)->a, env_frame(root.env));
}
END_TEST

/* A gate's badge, once set, stays; and it is one number.  K18 */
START_TEST(badges_are_one_number)
{
    uint64_t gate = (uint64_t)CALL_OK(gate_create, b.vcpu_cap, 0);

    CALL_FAILS(EXO_ERIGHTS, cap_grant, a.env_cap, gate, EXO_RIGHT_USE, 0, 5);
    CALL_FAILS(EXO_ERIGHTS, cap_grant, a.env_cap, gate, EXO_RIGHT_USE, 5, 5);
    CALL_OK(cap_grant, a.env_cap, gate, EXO_RIGHT_USE, 5, 0);
}
END_TEST

/* ---- lines ------------------------------------------------------------------------------------------------------------- */

static void arrive(void *line)
{
    irq_arrived(*(uint32_t *)line);
}

/* One that no row is for, and one that nobody has and that came although it is masked: counted, and shut.  K18 */
START_TEST(lines_that_nobody_has)
{
    uint64_t before = machine.cpu->info->interrupts;
    uint32_t line = MACHINE_LPI_MIN + 5000;

    machine_try(arrive, &line);
    ck_assert_uint_eq(machine.cpu->info->interrupts, before + 1);
    ck_assert_ptr_null(irq_holder(line));
    ck_assert_uint_eq(irq_bits(line), 0);
    arch_irq_enable(41);
    machine_irq(41);
    ck_assert_uint_eq(machine.cpu->info->interrupts, before + 2);
    ck_assert(!arch_irq_enabled(41));
    ck_assert_ptr_null(irq_holder(41));
    ck_assert_uint_eq(irq_bits(41), 0);
    ck_assert_ptr_null(irq_of(MACHINE_LPI_MIN - 1));
}
END_TEST

/* ---- words --------------------------------------------------------------------------------------------------------------- */

START_TEST(wide_and_negative)
{
    char out[40];

    ck_assert_uint_eq(exo_format(out, sizeof(out), "%ld %d %d", INT64_MIN, -7, 0), 25);
    ck_assert_str_eq(out, "-9223372036854775808 -7 0");
}
END_TEST

static void say_at_length(void *text)
{
    klog("%s", (const char *)text);
}

/* A line of the kernel's has 159 characters at most, the last of which ends it. */
START_TEST(long_lines_are_cut)
{
    const struct exo_log *log = machine.cpu->log;
    uint64_t written = log->written;
    char text[300];

    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = 0;
    machine_try(say_at_length, text);
    ck_assert_uint_eq(log->written, written + 159);
    ck_assert_int_eq(log->text[written + 157], 'x');
    ck_assert_int_eq(log->text[written + 158], '\n');
}
END_TEST

/* Before its ring is there, a CPU's words are lost, and nothing else is. */
START_TEST(a_cpu_without_a_log)
{
    ck_assert_ptr_null(cpus[EXO_CPUS_MAX - 1].log);
    log_append(&cpus[EXO_CPUS_MAX - 1], "nobody", 6);
}
END_TEST

static void panics(void *which)
{
    panic("number %d", *(int *)which);
}

/* The first one speaks.  One that comes while it does, on that CPU (the console itself is broken) or on another, only stops. */
START_TEST(the_first_panic_speaks)
{
    int number = 1;

    ck_assert_int_eq(machine_try(panics, &number), MACHINE_STOPPED);
    ck_assert_ptr_nonnull(strstr(machine.console, "kernel panic: number 1"));
    number = 2;
    ck_assert_int_eq(machine_try(panics, &number), MACHINE_STOPPED);
    machine.cpu = &cpus[1];
    ck_assert_int_eq(machine_try(panics, &number), MACHINE_STOPPED);
    ck_assert_ptr_null(strstr(machine.console, "number 2"));
}
END_TEST

/* ---- locks --------------------------------------------------------------------------------------------------------------- */

/* One without a rank (a table's own, say) is nobody's business; one too many is told. */
START_TEST(locks_without_a_rank)
{
    struct exo_lock lock = {0};
    unsigned held = machine.cpu->nheld;

    lock_take(&lock);
    ck_assert_uint_eq(machine.cpu->nheld, held);
    ck_assert_uint_ne(lock.next, lock.served);
    lock_drop(&lock);
    ck_assert_uint_eq(lock.next, lock.served);
}
END_TEST

static void take_with_another(void *arg)
{
    struct exo_lock *lock = arg;

    local_enter();
    lock_take(lock);
    lock_drop(lock);
    local_leave();
}

START_TEST(locks_without_a_rank_have_no_order)
{
    struct exo_lock lock = {0};

    ck_assert_int_eq(machine_try(take_with_another, &lock), MACHINE_RUNS);
    ck_assert_uint_eq(lock.served, 1);
}
END_TEST

static void take_many(void *arg)
{
    static struct exo_lock spaces[CPU_HELD_MAX + 1];

    (void)arg;
    for (unsigned i = 0; i < ARRAY_LEN(spaces); i++) {
        spaces[i].rank = EXO_LOCK_SPACE;
        lock_take(&spaces[i]);
    }
}

static void take_taken(void *arg)
{
    static struct exo_lock lock = {.next = 1, .served = 0};

    (void)arg;
    lock_take(&lock);
}

START_TEST(locks_that_cannot_be_taken) /* K6 */
{
    if (_i == 0)
        machine_try(take_many, NULL);
    else
        machine_try(take_taken, NULL); /* another CPU has it: on this machine that is for good */
    ck_assert_int_eq(machine.end, MACHINE_STOPPED);
    ck_assert_ptr_nonnull(strstr(machine.console, _i == 0 ? "holds" : "never dropped"));
}
END_TEST

/* ---- a ring of all the pages that one may have ---------------------------------------------------------------------------- */

START_TEST(ring_of_all_pages)
{
    const uint64_t va = 0x20000000;

    exo_boot_ram(16 << 20);
    ck_assert_int_eq(exo_alloc_run(EXO_SELF_SPACE, va, EXO_TRACE_PAGES_MAX, EXO_WANT_ANY, RW),
                     EXO_TRACE_PAGES_MAX);
    for (uint64_t done = 0; done < EXO_TRACE_PAGES_MAX;)
        done += (uint64_t)CALL_OK(trace_bind, EXO_FIRST_TRACE, 0, EXO_SELF_SPACE, va + done * PAGE_SIZE,
                                  EXO_TRACE_PAGES_MAX - done);
    CALL_FAILS(EXO_EFULL, trace_bind, EXO_FIRST_TRACE, 0, EXO_SELF_SPACE, va, 1);
    exo_check();
}
END_TEST

/* ---- notices, as the vcpu will find them -------------------------------------------------------------------------------- */

START_TEST(notices_add_up) /* K27 */
{
    struct vcpu *vcpu = a.vcpu;
    const uint64_t home = 0, other = 77; /* spaces, as struct exo_revoke names them */

    notice_taken(vcpu, 3);
    notice_taken(vcpu, 4);
    ck_assert_uint_eq(vcpu->notices.taken, 7);
    ck_assert(notice_pages(vcpu, home, VA, 2, 100));
    ck_assert(notice_pages(vcpu, home, VA + 2 * PAGE_SIZE, 1, 50)); /* right behind */
    ck_assert_uint_eq(vcpu->notices.pages.npages, 3);
    ck_assert_uint_eq(vcpu->notices.pages.deadline, 50);
    ck_assert(!notice_pages(vcpu, other, VA, 1, 50));
    ck_assert(!notice_pages(vcpu, home, VA - PAGE_SIZE, 1, 50));
    ck_assert(!notice_pages(vcpu, home, VA + 4 * PAGE_SIZE, 1, 50));
    ck_assert_uint_eq(vcpu->notices.pages.npages, 3);
    notice_gone(vcpu, home, VA, 1);
    notice_gone(vcpu, home, VA + 4 * PAGE_SIZE, 1);
    ck_assert_uint_eq(vcpu->notices.gone.npages, 5);
    ck_assert_uint_eq(vcpu->notices.gone.space, 0);
    notice_gone(vcpu, other, VA, 1);
    ck_assert_uint_eq(vcpu->notices.gone.space, EXO_REVOKE_ANYWHERE);
}
END_TEST

/* The first of those that could hear it, where none hears it now. */
START_TEST(who_is_told) /* K27 */
{
    exo_handle_t handle;
    struct vcpu *second;

    as(&a);
    second = actor_vcpu(0x200000, &handle);
    ck_assert_ptr_eq(notice_vcpu(a.env), list_entry(a.env->vcpus.next, struct vcpu, in_env));
    a.vcpu->page->upcall_masked = 1;
    ck_assert_ptr_eq(notice_vcpu(a.env), second);
    second->page->upcall_masked = 1;
    ck_assert_ptr_eq(notice_vcpu(a.env), list_entry(a.env->vcpus.next, struct vcpu, in_env));
    for (uint64_t i = 0; i < 16; i++) { /* as far as one looks, and no further */
        CALL_OK(page_alloc, EXO_SELF_SPACE, 0x100000 + i * PAGE_SIZE, 1, EXO_WANT_ANY, RW);
        CALL_OK(vcpu_create, EXO_SELF_ENV, 0, EXO_SELF_SPACE, 0x100000 + i * PAGE_SIZE);
    }
    ck_assert_ptr_eq(notice_vcpu(a.env), list_entry(a.env->vcpus.next, struct vcpu, in_env));
    a.vcpu->page->upcall_masked = second->page->upcall_masked = 0;
    as(&root);
}
END_TEST

/* ---- ASIDs that were pinned ------------------------------------------------------------------------------------------------ */

/* An unpinned one is kept for its space until the next generation; there is room for so many.  K11 */
START_TEST(many_were_pinned)
{
    for (unsigned i = 0; i < 300; i++) {
        uint64_t space = (uint64_t)CALL_OK(space_create);

        CALL_OK(asid_pin, space);
        CALL_OK(space_switch, space);
        CALL_OK(space_switch, EXO_SELF_SPACE);
        CALL_OK(asid_unpin, space);
        CALL_FAILS(EXO_ESTATE, asid_unpin, space);
        CALL_OK(space_destroy, space);
        CALL_OK(cap_drop, space);
        if (i % 16 == 0)
            exo_check();
    }
}
END_TEST

static struct space *space_by(uint64_t handle)
{
    return frame_address(cap_at(root.env, handle)->object);
}

static uint64_t loaded_space(void)
{
    uint64_t space = (uint64_t)CALL_OK(space_create);

    CALL_OK(space_switch, space);
    CALL_OK(space_switch, EXO_SELF_SPACE);
    return space;
}

static void space_drop(uint64_t space)
{
    CALL_OK(space_destroy, space);
    CALL_OK(cap_drop, space);
}

/* A pinned one is nobody else's, whatever its number.  K11 */
START_TEST(high_one_is_pinned)
{
    uint64_t pinned = loaded_space();

    while (space_by(pinned)->asid != 128) { /* the first of a word of marks */
        space_drop(pinned);
        pinned = loaded_space();
    }
    CALL_OK(asid_pin, pinned);
    for (unsigned i = 0; i < 300; i++) {
        uint64_t space = loaded_space();

        ck_assert_uint_ne(space_by(space)->asid, space_by(pinned)->asid);
        space_drop(space);
    }
    exo_check();
}
END_TEST

/* ---- machines ---------------------------------------------------------------------------------------------------------------- */

static struct exo_image image;
static char console[1024];
static uint64_t reserved_from = RAM_BASE + 0x200000;

static void ranges(void *fdt, const char *name, unsigned n, const struct exo_range *r)
{
    fdt64_t raw[300];

    for (unsigned i = 0; i < n; i++) {
        raw[2 * i] = cpu_to_fdt64(r[i].base);
        raw[2 * i + 1] = cpu_to_fdt64(r[i].len);
    }
    fdt_property(fdt, name, raw, (int)(n * 16));
}

/* A tree with so much memory in one node, and reserved pieces of it in the header's list. */
static void tree_of(unsigned nmemory, const struct exo_range *memory, unsigned nreserved)
{
    void *fdt = image.tree;

    memset(image.tree, 0, sizeof(image.tree));
    fdt_create(fdt, sizeof(image.tree));
    for (unsigned i = 0; i < nreserved; i++)
        fdt_add_reservemap_entry(fdt, reserved_from + i * 2 * PAGE_SIZE, PAGE_SIZE);
    fdt_finish_reservemap(fdt);
    fdt_begin_node(fdt, "");
    fdt_property_u32(fdt, "#address-cells", 2);
    fdt_property_u32(fdt, "#size-cells", 2);
    fdt_begin_node(fdt, "memory");
    fdt_property_string(fdt, "device_type", "memory");
    ranges(fdt, "reg", nmemory, memory);
    fdt_end_node(fdt);
    fdt_begin_node(fdt, "chosen");
    fdt_property_u64(fdt, "linux,initrd-start", image.bundle_base);
    fdt_property_u64(fdt, "linux,initrd-end", image.bundle_base + image.bundle_len);
    fdt_end_node(fdt);
    fdt_end_node(fdt);
    ck_assert_int_eq(fdt_finish(fdt), 0);
    image.tree_len = fdt_totalsize(fdt);
}

static void stops_with(const char *sentence)
{
    ck_assert_int_eq(exo_try_boot(&image, console), MACHINE_STOPPED);
    ck_assert_msg(strstr(console, sentence) && !strstr(console, "panic"), "says \"%s\", not \"%s\"", console,
                  sentence);
}

START_TEST(memory_in_too_many_pieces) /* B6 */
{
    struct exo_range memory[40];

    exo_image_make(&image, 4 * MIB);
    for (unsigned i = 0; i < ARRAY_LEN(memory); i++)
        memory[i] = (struct exo_range){RAM_BASE + i * 4 * MIB, 2 * MIB};
    tree_of(ARRAY_LEN(memory), memory, 0);
    stops_with("more than 32 ranges of memory");
    tree_of(1, (const struct exo_range[]){{RAM_BASE, 4 * MIB}}, 140);
    stops_with("more than 128 reserved ranges of memory");
    tree_of(1, (const struct exo_range[]){{RAM_BASE, 4 * MIB}}, 100);
    ck_assert_int_eq(exo_try_boot(&image, console), MACHINE_RUNS);
}
END_TEST

/* Pieces that are too small, too high, or up to the last address, are left out. */
START_TEST(memory_that_is_left_out) /* B6, K20 */
{
    const struct exo_range memory[] = {
        {UINT64_MAX - MIB + 1, MIB},
        {RAM_BASE + 8 * MIB, MIB},
        {RAM_BASE, 4 * MIB},
        {1ull << 60, 16 * MIB},
        {RAM_BASE + 13 * MIB, MIB / 2}}; /* the next whole piece begins behind its end */

    exo_image_make(&image, 4 * MIB);
    tree_of(ARRAY_LEN(memory), memory, 0);
    ck_assert_int_eq(exo_try_boot(&image, console), MACHINE_RUNS);
}
END_TEST

/* Memory from address 0 on: the first page stays nobody's, as its number means none.  K9 */
START_TEST(memory_from_zero)
{
    exo_image_make(&image, 4 * MIB);
    image.ram[0] = (struct exo_range){0, 4 * MIB};
    image.ram[1] =
        (struct exo_range){RAM_BASE, 2 * MIB}; /* where the kernel lies, which the tree does not tell */
    image.nram = 2;
    image.tree_base = 0x100000;
    image.bundle_base = 0x140000;
    tree_of(1, (const struct exo_range[]){{0, 4 * MIB}}, 0);
    ck_assert_msg(exo_try_boot(&image, console) == MACHINE_RUNS, "%s", console);
    reserved_from = 0; /* by the tree */
    tree_of(1, (const struct exo_range[]){{0, 4 * MIB}}, 1);
    ck_assert_msg(exo_try_boot(&image, console) == MACHINE_RUNS, "%s", console);
}
END_TEST

/* Those that do not start leave their numbers to others, and those beyond the last are told of.  C4 */
START_TEST(processors_that_do_not_count)
{
    char text[LOG_PAGES * PAGE_SIZE + 1];
    const struct exo_log *log;

    machine.ncpus = EXO_CPUS_MAX + 4;
    machine.cpus_broken = 1ull << 3 | 1ull << 7;
    exo_boot();
    machine.ncpus = EXO_CPUS_MAX;
    ck_assert_uint_eq(ncpus, EXO_CPUS_MAX - 2);
    ck_assert_uint_eq(system_info->ncpus, EXO_CPUS_MAX - 2);
    ck_assert_ptr_eq(machine.cpus[4].cpu, &cpus[3]);
    log = cpus[0].log;
    memcpy(text, log->text, log->written);
    text[log->written] = 0;
    ck_assert_ptr_nonnull(strstr(text, "20 processors; no more than 16"));
}
END_TEST

/* What is said, and what is locked. */
static TCase *words_and_locks(void)
{
    TCase *tc = tcase_create("words");

    tcase_add_checked_fixture(tc, setup, exo_check);
    tcase_add_test(tc, wide_and_negative);
    tcase_add_test(tc, long_lines_are_cut);
    tcase_add_test(tc, a_cpu_without_a_log);
    tcase_add_test(tc, locks_without_a_rank);
    tcase_add_test(tc, locks_without_a_rank_have_no_order);
    return tc;
}

static void scarce(Suite *s)
{
    TCase *tc = tcase_create("scarce");

    tcase_add_checked_fixture(tc, setup_scarce, exo_check);
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, tables_from_another_cache, 0, 4);
    tcase_add_loop_test(tc, messages_need_tables_from_another_cache, 0, 3);
    suite_add_tcase(s, tc);

    tc = tcase_create("scarce run");
    tcase_add_checked_fixture(tc, setup_scarce_run, exo_check);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, run_with_tables_from_another_cache);
    suite_add_tcase(s, tc);

    tc = tcase_create("scarce large");
    tcase_add_checked_fixture(tc, setup_scarce_large, exo_check);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, large_page_with_tables_from_another_cache);
    suite_add_tcase(s, tc);
}

static Suite *suite(void)
{
    Suite *s = suite_create("edges");
    TCase *tc = tcase_create("ended");

    tcase_add_checked_fixture(tc, setup_far, NULL);
    tcase_add_loop_test(tc, who_has_ended_begins_nothing, 0, EXO_NCALLS);
    tcase_add_loop_test(tc, who_has_ended_hears_nothing, 0, 2);
    tcase_add_test(tc, interrupts_find_one_that_has_ended);
    suite_add_tcase(s, tc);
    scarce(s);
    tc = tcase_create("edges");
    tcase_add_checked_fixture(tc, setup, exo_check);
    tcase_add_loop_test(tc, environment_without_room_for_its_handles, 0, 2);
    tcase_add_test(tc, vcpu_without_room_for_its_handle);
    tcase_add_test(tc, vcpu_without_a_frame);
    tcase_add_test(tc, message_without_room_for_its_capability);
    tcase_add_test(tc, refusals_let_interrupts_in);
    tcase_add_test(tc, watcher_that_is_gone);
    tcase_add_test(tc, childs_page_outlives_both);
    tcase_add_test(tc, many_derived_outlive_the_table);
    tcase_add_test(tc, domain_without_room);
    tcase_add_test(tc, nothing_more_while_the_limit_sinks);
    tcase_add_test(tc, space_that_ends);
    tcase_add_loop_test(tc, ends_are_traced, 0, 4);
    tcase_add_test(tc, idles_once);
    tcase_add_test(tc, interrupts_respect_slots);
    tcase_add_test(tc, revocation_without_ears);
    tcase_add_loop_test(tc, reclaim_of_what_changes, 0, 2);
    tcase_add_test(tc, many_deadlines);
    tcase_add_test(tc, traced_tokens);
    tcase_add_test(tc, badges_are_one_number);
    tcase_add_test(tc, lines_that_nobody_has);
    tcase_add_test(tc, notices_add_up);
    tcase_add_test(tc, who_is_told);
    tcase_add_test(tc, many_were_pinned);
    tcase_add_test(tc, high_one_is_pinned);
    suite_add_tcase(s, tc);
    suite_add_tcase(s, words_and_locks());

    tc = tcase_create("panics");
    tcase_add_checked_fixture(tc, setup, NULL);
    tcase_add_test(tc, the_first_panic_speaks);
    tcase_add_loop_test(tc, locks_that_cannot_be_taken, 0, 2);
    suite_add_tcase(s, tc);

    tc = tcase_create("machines");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, ring_of_all_pages);
    tcase_add_test(tc, memory_in_too_many_pieces);
    tcase_add_test(tc, memory_that_is_left_out);
    tcase_add_test(tc, memory_from_zero);
    tcase_add_test(tc, processors_that_do_not_count);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    return exo_suite_run(suite());
}
