/* Lines that messages raise, on both kinds of controller, and all lines' invariant 9: bound to one vcpu at most, masked
 * from delivery to acknowledgement.  K18 */
#include <string.h>

#include "exo_machine.h"
#include "irq.h"
#include "msi.h"

#define LPI MACHINE_LPI_MIN

static struct actor a, b;

static void setup(void)
{
    exo_boot();
    a = actor_make(100);
    b = actor_make(100);
}

static void setup_frame(void)
{
    machine.msi = MACHINE_MSI_FRAME;
    setup();
}

static void setup_none(void)
{
    machine.msi = MACHINE_MSI_NONE;
    setup();
}

static int64_t bind(uint64_t line, uint64_t device, uint64_t event, const struct actor *to, uint64_t bit)
{
    return CALL(msi_bind, EXO_FIRST_IRQ, line, EXO_FIRST_DMA, device, event, to->vcpu_cap, bit);
}

static bool open_line(uint32_t lpi)
{
    return machine.lpi_enabled >> (lpi - LPI) & 1;
}

/* ---- an ITS ----------------------------------------------------------------------------------------------------- */

START_TEST(message_life)
{
    machine.lpi_cpu[3] = 7;
    ck_assert_int_eq(bind(LPI + 3, 8, 5, &a, 3), 5); /* the word is the event */
    ck_assert_uint_eq(machine.lpi_cpu[3], 0);        /* it goes where the vcpu is */
    ck_assert(open_line(LPI + 3));
    as(&a);
    CALL(wait, 8, EXO_FOREVER);
    as(&b);
    ck_assert(machine_msi(8, 5));
    ck_assert_ptr_eq(machine.cpu->current, a.vcpu); /* whoever waits for a device runs at once */
    ck_assert_int_eq(result(a.vcpu), 8);
    ck_assert(!open_line(LPI + 3)); /* masked until it is acknowledged: invariant 9 */
    exo_check();
    a.vcpu->page->events = 0;
    ck_assert(machine_msi(8, 5));
    ck_assert(machine_msi(8, 5));
    ck_assert_uint_eq(a.vcpu->page->events, 0); /* they wait, as one */
    as(&root);
    CALL_FAILS(EXO_ESTATE, irq_ack, EXO_FIRST_IRQ, LPI + 3); /* not init's to acknowledge */
    exo_check();
}
END_TEST

START_TEST(message_ack_takes_what_waits)
{
    uint64_t lines = (uint64_t)CALL_OK(cap_grant, a.env_cap, EXO_FIRST_IRQ, EXO_RIGHT_USE, LPI + 3, 2);

    bind(LPI + 3, 8, 5, &a, 3);
    machine_msi(8, 5);
    machine_msi(8, 5);
    a.vcpu->page->events = 0;
    as(&a);
    CALL_OK(irq_ack, lines, LPI + 3);
    ck_assert_uint_eq(a.vcpu->page->events, 8);
    ck_assert(!open_line(LPI + 3));
    a.vcpu->page->events = 0;
    CALL_OK(irq_ack, lines, LPI + 3);
    ck_assert_uint_eq(a.vcpu->page->events, 0); /* no third */
    ck_assert(open_line(LPI + 3));
    CALL_FAILS(EXO_ESTATE, irq_ack, lines, LPI + 4);
    CALL_FAILS(EXO_ERANGE, irq_ack, lines, LPI + 5);
}
END_TEST

START_TEST(unbound_raises_nothing)
{
    uint64_t free = exo_free_frames();

    bind(LPI, 8, 0, &root, 3);
    ck_assert_uint_eq(exo_free_frames(), free - 1); /* the device's table, paid by init */
    CALL_OK(irq_bind, EXO_FIRST_IRQ, LPI, 0, 0);
    ck_assert(!machine_msi(8, 0));
    ck_assert_uint_eq(exo_free_frames(), free);
    ck_assert_uint_eq(root.vcpu->page->events, 0);
    bind(LPI, 8, 0, &root, 4); /* and bound again */
    ck_assert(machine_msi(8, 0));
    ck_assert_uint_eq(root.vcpu->page->events, 16);
    machine_msi(8, 0);                           /* this one waits, */
    CALL_OK(irq_bind, EXO_FIRST_IRQ, LPI, 0, 0); /* and goes with the binding */
    bind(LPI, 8, 0, &root, 5);
    ck_assert_uint_eq(root.vcpu->page->events, 16);
}
END_TEST

/* Of one device's events none stands for another. */
START_TEST(each_event_is_its_own)
{
    static const uint32_t events[] = {0, 1, 63, 64, 65, 127, 128, 192, EXO_MSI_EVENTS - 1};

    for (uint32_t i = 0; i < ARRAY_LEN(events); i++)
        ck_assert_int_eq(bind(LPI + i, 8, events[i], &root, i), events[i]);
    for (uint32_t i = 0; i < ARRAY_LEN(events); i++) {
        ck_assert_int_eq(bind(LPI + 20, 8, events[i], &root, 1), -EXO_EBUSY);
        ck_assert(machine_msi(8, events[i]));
        ck_assert_uint_eq(root.vcpu->page->events, (2ull << i) - 1);
    }
    for (uint32_t i = 0; i < ARRAY_LEN(events); i++) {
        CALL_OK(irq_bind, EXO_FIRST_IRQ, LPI + i, 0, 0);
        ck_assert_int_eq(bind(LPI + 20, 8, events[i], &root, 1), events[i]);
        CALL_OK(irq_bind, EXO_FIRST_IRQ, LPI + 20, 0, 0);
    }
}
END_TEST

START_TEST(end_frees_lines_and_tables)
{
    uint64_t free = exo_free_frames();
    struct actor c = actor_make(100);

    for (uint32_t i = 0; i < MACHINE_LPIS; i++)
        ck_assert_int_eq(bind(LPI + i, i / 8, i, &c, 1), i);
    exo_check();
    CALL_OK(env_stop, c.env_cap);
    exo_check(); /* some lines are left, in pieces */
    actor_destroy(&c);
    for (uint32_t i = 0; i < MACHINE_LPIS; i++) {
        ck_assert_ptr_null(irq_holder(LPI + i));
        ck_assert(!open_line(LPI + i));
        ck_assert(!machine_msi(i / 8, i));
    }
    ck_assert_uint_eq(exo_free_frames(), free);
    ck_assert_int_eq(bind(LPI, 1, 1, &a, 1), 1);
}
END_TEST

/* The table stays with the account of who made it, though that one has ended. */
START_TEST(table_outlives_its_payer)
{
    uint64_t free = exo_free_frames();
    struct actor c = actor_make(100);

    bind(LPI, 8, 0, &c, 1);
    bind(LPI + 1, 8, 1, &a, 1);
    actor_destroy(&c);
    exo_check();
    ck_assert(!machine_msi(8, 0));
    ck_assert(machine_msi(8, 1));
    ck_assert_uint_eq(a.vcpu->page->events, 2);
    CALL_OK(env_stop, a.env_cap); /* the last of the device's lines */
    exo_check();
    ck_assert_uint_eq(exo_free_frames(), free);
}
END_TEST

START_TEST(message_errors)
{
    uint64_t line = (uint64_t)CALL_OK(cap_grant, EXO_SELF_ENV, EXO_FIRST_IRQ, EXO_RIGHT_USE, LPI + 3, 2);
    uint64_t device = (uint64_t)CALL_OK(cap_grant, EXO_SELF_ENV, EXO_FIRST_DMA, EXO_RIGHT_USE, 8, 2);
    uint64_t weak = (uint64_t)CALL_OK(cap_grant, EXO_SELF_ENV, EXO_FIRST_DMA, EXO_RIGHT_COPY, 8, 2);
    uint64_t vcpu = EXO_FIRST_VCPU, before = exo_state();

    CALL_FAILS(EXO_ERANGE, msi_bind, line, LPI + 2, device, 8, 0, vcpu, 1); /* K18: lines, */
    CALL_FAILS(EXO_ERANGE, msi_bind, line, LPI + 5, device, 8, 0, vcpu, 1);
    CALL_FAILS(EXO_ERANGE, msi_bind, line, 1ull << 32 | (LPI + 3), device, 8, 0, vcpu, 1);
    CALL_FAILS(EXO_ERANGE, msi_bind, line, LPI + 3, device, 7, 0, vcpu, 1); /* devices, */
    CALL_FAILS(EXO_ERANGE, msi_bind, line, LPI + 3, device, 10, 0, vcpu, 1);
    CALL_FAILS(EXO_ERANGE, msi_bind, line, LPI + 3, device, 1ull << 32 | 8, 0, vcpu, 1);
    CALL_FAILS(EXO_ERIGHTS, msi_bind, line, LPI + 3, weak, 8, 0, vcpu, 1);
    CALL_FAILS(EXO_EHANDLE, msi_bind, line, LPI + 3, 0, 8, 0, vcpu, 1);
    CALL_FAILS(EXO_ETYPE, msi_bind, line, LPI + 3, line, 8, 0, vcpu, 1);
    CALL_FAILS(EXO_ETYPE, msi_bind, device, LPI + 3, device, 8, 0, vcpu, 1);
    CALL_FAILS(EXO_EHANDLE, msi_bind, line, LPI + 3, device, 8, 0, 0, 1); /* and vcpus need a capability */
    CALL_FAILS(EXO_ETYPE, msi_bind, line, LPI + 3, device, 8, 0, EXO_SELF_ENV, 1);
    CALL_FAILS(EXO_EINVAL, msi_bind, line, LPI + 3, device, 8, 0, vcpu, 63); /* the kernel's bit */
    CALL_FAILS(EXO_EINVAL, msi_bind, line, LPI + 3, device, 8, 0, vcpu, 1ull << 32);
    CALL_FAILS(EXO_EINVAL, msi_bind, line, LPI + 3, device, 8, EXO_MSI_EVENTS, vcpu, 1);
    CALL_FAILS(EXO_EINVAL, msi_bind, line, LPI + 3, device, 8, 1ull << 32, vcpu, 1);
    CALL_FAILS(EXO_ERANGE, msi_bind, line, LPI + 3, EXO_FIRST_DMA, MACHINE_MSI_DEVICES, 0, vcpu, 1);
    CALL_FAILS(EXO_EINVAL, msi_bind, EXO_FIRST_IRQ, 40, device, 8, 0, vcpu, 1); /* a wired line, */
    CALL_FAILS(EXO_EINVAL, msi_bind, EXO_FIRST_IRQ, LPI - 1, device, 8, 0, vcpu, 1);
    CALL_FAILS(EXO_EINVAL, irq_bind, line, LPI + 3, vcpu, 1); /* and one that messages raise */
    CALL_FAILS(EXO_EINVAL, irq_bind, EXO_FIRST_IRQ, LPI - 1, vcpu, 1);
    CALL_FAILS(EXO_ERANGE, irq_bind, EXO_FIRST_IRQ, LPI + MACHINE_LPIS, vcpu, 1);
    CALL_FAILS(EXO_ESTATE, irq_bind, line, LPI + 3, 0, 0);
    ck_assert_uint_eq(exo_state(), before);
    CALL_OK(msi_bind, line, LPI + 3, device, 8, 0, vcpu, 62);
    before = exo_state();
    CALL_FAILS(EXO_EBUSY, msi_bind, line, LPI + 3, device, 8, 1, vcpu, 1); /* the line, */
    CALL_FAILS(EXO_EBUSY, msi_bind, line, LPI + 4, device, 8, 0, vcpu, 1); /* and the event, are bound */
    ck_assert_uint_eq(exo_state(), before);
    CALL_OK(env_stop, a.env_cap);
    CALL_FAILS(EXO_ESTATE, msi_bind, line, LPI + 4, device, 8, 1, a.vcpu_cap, 1);
}
END_TEST

/* As many devices as there can be; this machine has no lines for so many, so the others are made up. */
START_TEST(no_room_for_another_device)
{
    struct msi_device *devices = (struct msi_device *)msi_device(0);
    uint64_t before;

    bind(LPI, 8, 0, &root, 1);
    for (unsigned i = 1; i < MSI_DEVICES; i++)
        devices[i] = (struct msi_device){.id = 100 + i, .nlines = 1};
    before = exo_state();
    ck_assert_int_eq(bind(LPI + 1, 9, 0, &root, 1), -EXO_EFULL);
    ck_assert_uint_eq(exo_state(), before);
    ck_assert_int_eq(bind(LPI + 1, 8, 1, &root, 1), 1); /* one that has events already */
    devices[MSI_DEVICES - 1].nlines = 0;
    ck_assert_int_eq(bind(LPI + 2, 9, 0, &root, 1), 0);
    ck_assert_uint_eq(devices[MSI_DEVICES - 1].id, 9);
    for (unsigned i = 1; i < MSI_DEVICES - 1; i++)
        devices[i] = (struct msi_device){0};
}
END_TEST

START_TEST(message_quota)
{
    struct actor c = actor_make(20);
    uint64_t before;

    while (CALL(page_alloc, c.space_cap, 0x200000 + c.env->owner.account.used * PAGE_SIZE, 1, EXO_WANT_ANY,
                RW) == 1)
        ;
    before = exo_state();
    ck_assert_int_eq(bind(LPI, 8, 0, &c, 1), -EXO_EQUOTA); /* the vcpu's environment pays */
    ck_assert_uint_eq(exo_state(), before);
    bind(LPI + 1, 8, 1, &a, 1);
    ck_assert_int_eq(bind(LPI, 8, 0, &c, 1), 0); /* the table is there */
}
END_TEST

/* Each message is counted where it is taken. */
START_TEST(lines_are_shown)
{
    struct binding binding;
    const struct exo_line *lines;

    CALL_OK(info_map, EXO_FIRST_INFO, EXO_INFO_LINES, 0, EXO_SELF_SPACE, 0x10000000);
    ck_assert(space_lookup(root.env->home, 0x10000000, &binding));
    lines = frame_address(binding.pfn);
    ck_assert_uint_eq(system_info->nlines, MACHINE_LINES + MACHINE_LPIS);
    ck_assert_uint_eq(system_info->msi_first, LPI);
    ck_assert_uint_eq(system_info->msi_lines, MACHINE_LPIS);
    ck_assert_uint_eq(system_info->msi_doorbell, MACHINE_DOORBELL);
    bind(LPI + 3, 8, 0, &root, 1);
    for (int i = 0; i < 5; i++) {
        machine_msi(8, 0);
        CALL_OK(irq_ack, EXO_FIRST_IRQ, LPI + 3);
    }
    ck_assert_uint_eq(lines[MACHINE_LINES + 3].line, LPI + 3);
    ck_assert_uint_eq(lines[MACHINE_LINES + 3].count, 5);
    ck_assert_uint_eq(lines[MACHINE_LINES + 3].env, env_frame(root.env));
    CALL_OK(irq_bind, EXO_FIRST_IRQ, LPI + 3, 0, 0);
    ck_assert_uint_eq(lines[MACHINE_LINES + 3].env, 0);
    ck_assert_uint_eq(lines[40].line, 40);
}
END_TEST

/* ---- a GICv2m frame ------------------------------------------------------------------------------------------------ */

START_TEST(frame_life)
{
    uint64_t free = exo_free_frames();

    machine.irq_cpu[MACHINE_FRAME_MIN] = 7;
    ck_assert_int_eq(bind(MACHINE_FRAME_MIN, 8, 0, &a, 3), MACHINE_FRAME_MIN); /* the word is the line */
    ck_assert_uint_eq(machine.irq_cpu[MACHINE_FRAME_MIN], 0);
    ck_assert_uint_eq(exo_free_frames(), free);
    machine_msi(99, MACHINE_FRAME_MIN); /* whoever writes it */
    ck_assert_uint_eq(a.vcpu->page->events, 8);
    ck_assert(!(machine.irq_enabled & 1ull << MACHINE_FRAME_MIN));
    ck_assert_int_eq(bind(MACHINE_FRAME_MIN, 8, 1, &b, 3), -EXO_EBUSY);
    ck_assert_int_eq(bind(MACHINE_FRAME_MIN + 1, 8, 0, &b, 3),
                     MACHINE_FRAME_MIN + 1); /* events do not count */
    ck_assert_int_eq(bind(MACHINE_FRAME_MIN - 1, 8, 2, &b, 3), -EXO_EINVAL);
    ck_assert_int_eq(bind(MACHINE_FRAME_MIN + 2, 8, EXO_MSI_EVENTS, &b, 3), -EXO_EINVAL);
    CALL_FAILS(EXO_EINVAL, irq_bind, EXO_FIRST_IRQ, MACHINE_FRAME_MIN + 2, b.vcpu_cap, 3);
    machine_msi(8, MACHINE_FRAME_MIN);
    CALL_OK(env_stop, a.env_cap);
    ck_assert_ptr_null(irq_holder(MACHINE_FRAME_MIN));
    bind(MACHINE_FRAME_MIN, 8, 0, &b, 4); /* what was raised for another is not this one's */
    ck_assert_uint_eq(b.vcpu->page->events, 0);
    machine_msi(8, MACHINE_FRAME_MIN);
    ck_assert_uint_eq(b.vcpu->page->events, 16);
}
END_TEST

START_TEST(no_messages)
{
    ck_assert_int_eq(bind(LPI, 8, 0, &a, 3), -EXO_ERANGE); /* no capability reaches so far */
    ck_assert_int_eq(bind(40, 8, 0, &a, 3), -EXO_EUNSUPPORTED);
    ck_assert_uint_eq(system_info->msi_doorbell, 0);
    ck_assert_uint_eq(system_info->msi_lines, 0);
    CALL_OK(irq_bind, EXO_FIRST_IRQ, 40, a.vcpu_cap, 3);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("messages");
    TCase *its = tcase_create("its"), *frame = tcase_create("frame"), *none = tcase_create("none");

    tcase_add_checked_fixture(its, setup, exo_check);
    tcase_add_test(its, message_life);
    tcase_add_test(its, message_ack_takes_what_waits);
    tcase_add_test(its, unbound_raises_nothing);
    tcase_add_test(its, each_event_is_its_own);
    tcase_add_test(its, end_frees_lines_and_tables);
    tcase_add_test(its, table_outlives_its_payer);
    tcase_add_test(its, message_errors);
    tcase_add_test(its, no_room_for_another_device);
    tcase_add_test(its, message_quota);
    tcase_add_test(its, lines_are_shown);
    suite_add_tcase(s, its);
    tcase_add_checked_fixture(frame, setup_frame, exo_check);
    tcase_add_test(frame, frame_life);
    suite_add_tcase(s, frame);
    tcase_add_checked_fixture(none, setup_none, exo_check);
    tcase_add_test(none, no_messages);
    suite_add_tcase(s, none);
    return s;
}

int main(void)
{
    return exo_suite_run(suite());
}
