/* As test_exo_exact.c, on several CPUs, and on machines that are not as usual. */
#include <string.h>

#include "base/elf64.h"
#include "cap.h"
#include "cpu.h"
#include "event.h"
#include "exo_pair.h"
#include "tlb.h"

#define OTHER_VA 0x200000ull

static exo_handle_t other_cap;

static void setup_cpus(void)
{
    machine.ncpus = 3;
    pair_boot();
    machine.stay = true;
}

/* A vcpu of this actor's on another CPU, out of its START upcall there; CPU 0 is played again, and the actor current. */
static struct vcpu *other_of(const struct actor *a, unsigned cpu)
{
    static unsigned n;
    const uint64_t va = OTHER_VA + n++ * PAGE_SIZE;
    struct vcpu *vcpu;

    as(a);
    CALL_OK(page_alloc, EXO_SELF_SPACE, va, 1, EXO_WANT_ANY, RW);
    other_cap = (exo_handle_t)CALL_OK(vcpu_create, EXO_SELF_ENV, cpu, EXO_SELF_SPACE, va);
    vcpu = vcpu_of(cap_at(a->env, other_cap));
    vcpu->page->upcall_entry = UPCALL_ENTRY;
    CALL_OK(vcpu_start, other_cap, 0);
    machine_on(cpu);
    machine_run(vcpu);
    upcall_done();
    machine_on(0);
    as(a);
    return vcpu;
}

START_TEST(vcpu_is_told_its_cpu)
{
    for (unsigned cpu = 1; cpu < 3; cpu++)
        ck_assert_uint_eq(other_of(&client, cpu)->page->cpu, cpu);
}
END_TEST

static void look_at_notes(void *none)
{
    (void)none;
    local_enter();
    event_notes();
    local_leave();
}

/* A vcpu that goes before its CPU has looked at a signal for it takes the note along. */
START_TEST(K29_no_note_stays_behind)
{
    struct vcpu *vcpu = other_of(&client, 1);
    uint64_t event = (uint64_t)CALL_OK(event_create, other_cap, 1);

    machine_on(1);
    CALL(wait, 1, EXO_FOREVER);
    ck_assert_int_eq(vcpu->state, VCPU_WAITING);
    machine_on(0);
    machine.held = 1 << 1;
    CALL_OK(signal, event, 1);
    ck_assert(!list_empty(&cpus[1].inbox));
    as(&root);
    actor_destroy(&client);
    ck_assert(list_empty(&cpus[1].inbox));
    machine.held = 0;
    machine_on(1);
    ck_assert_ptr_null(machine.cpu->current);
    machine_on(0);
}
END_TEST

/* A CPU looks at 32 notes before others have their turn. */
START_TEST(K28_notes_go_in_pieces)
{
    uint64_t left = 0;

    for (uint64_t i = 0; i < 33; i++) {
        const uint64_t va = OTHER_VA + i * PAGE_SIZE;
        uint64_t handle, event;

        CALL_OK(page_alloc, EXO_SELF_SPACE, va, 1, EXO_WANT_ANY, RW);
        handle = (uint64_t)CALL_OK(vcpu_create, EXO_SELF_ENV, 1, EXO_SELF_SPACE, va);
        machine.held = 1 << 1;
        event = (uint64_t)CALL_OK(event_create, handle, 1);
        CALL_OK(signal, event, 1);
    }
    machine_on(1);
    ck_assert_int_eq(machine_try(look_at_notes, NULL), MACHINE_RUNS);
    for (const struct list *at = cpus[1].inbox.next; at != &cpus[1].inbox; at = at->next)
        left++;
    ck_assert_uint_eq(left, 1);
    machine.held = 0;
    machine_on(0);
    machine_on(1);
    ck_assert(list_empty(&cpus[1].inbox));
    machine_on(0);
}
END_TEST

/* A space that has run on another CPU only is known there only. */
START_TEST(K13_spaces_are_where_they_ran)
{
    struct actor child = actor_new(30);
    const struct space *home = child.env->home;
    struct vcpu *vcpu;
    uint64_t handle;

    CALL_OK(page_alloc, child.space_cap, OTHER_VA, 1, EXO_WANT_ANY, RW);
    handle = (uint64_t)CALL_OK(vcpu_create, child.env_cap, 1, child.space_cap, OTHER_VA);
    vcpu = vcpu_of(cap_at(root.env, handle));
    vcpu->page->upcall_entry = UPCALL_ENTRY;
    CALL_OK(vcpu_start, handle, 0);
    machine_on(1);
    machine_run(vcpu);
    upcall_done();
    ck_assert_uint_eq(home->cpus, 1 << 1);
    ck_assert_uint_eq(frame_entry(paddr_to_pfn(virt_to_phys(home)))->cpus, 1 << 1);
    machine_on(0);
}
END_TEST

/* Ended, and its vcpus gone, but its space is still in the MMU of a CPU that is on its way out of the kernel.  Loop: the CPU. */
START_TEST(K1_a_loaded_space_stays)
{
    struct space *home = client.env->home, *other = cpus[_i].loaded;
    const pfn_t pfn = paddr_to_pfn(virt_to_phys(home));
    int64_t rc;

    for (unsigned i = 0; i < 100; i++) {
        cpus[_i].loaded = home;
        ck_assert_int_eq(CALL(env_destroy, client.env_cap), 1);
        cpus[_i].loaded = other;
    }
    ck_assert(list_empty(&client.env->vcpus));
    ck_assert_int_eq(frame_entry(pfn)->kind, EXO_FRAME_SPACE);
    while ((rc = CALL(env_destroy, client.env_cap)) == 1)
        ;
    ck_assert_int_eq(rc, 0);
    ck_assert_int_ne(frame_entry(pfn)->kind, EXO_FRAME_SPACE);
}
END_TEST

static uint32_t worlds(void)
{
    return lock_shared(EXO_LOCK_WORLD)->served;
}

/* Answers the client's call from the server, and tells in which mode: with the world or without. */
static bool answer_takes_world(uint64_t token)
{
    uint32_t before = worlds();

    CALL(reply_wait, token, 1, 2, 3, 4, 5, 6, 0);
    return worlds() != before;
}

/* Of two calls, and answers, the one to another CPU's caller changes what is that CPU's, and the one at home does not. */
START_TEST(K8_answers_take_the_world_if_they_must)
{
    struct vcpu *far = other_of(&client, 1);
    uint32_t before;

    for (unsigned cpu = 0; cpu < 2; cpu++) {
        machine_on(0);
        as(&server);
        CALL(reply_wait, 0, 0, 0, 0, 0, 0, 0, EXO_FOREVER);
        machine_on(cpu);
        if (cpu == 0)
            as(&client);
        before = worlds();
        CALL(call, gate, 1, 2, 3, 4, 5, 6, EXO_FOREVER);
        ck_assert_int_eq(worlds() != before, cpu);
        machine_on(0);
        as(&server);
        ck_assert_int_eq(answer_takes_world(server.vcpu->regs.x[0]), cpu);
        ck_assert_int_eq(result(cpu ? far : client.vcpu), 0);
        ck_assert_uint_eq(x(cpu ? far : client.vcpu, 1), 1);
    }
}
END_TEST

/* A call to another CPU's vcpu ends early: by a signal from elsewhere, by one from its own CPU, by its deadline.  All that is
 * known on both CPUs, so the world is taken, once.  Loop: which; and with fast paths or without. */
START_TEST(K28_calls_abroad_end_with_the_world)
{
    struct vcpu *far = other_of(&client, 1), *beside;
    uint64_t event = (uint64_t)CALL_OK(event_create, other_cap, 1);
    uint32_t before, how = (uint32_t)_i % 3;

    machine.no_fast_paths |= _i >= 3;
    beside = other_of(&client, 1);
    far->page->upcall_events = 1;
    machine_on(1);
    machine_run(far);
    CALL(call, gate | EXO_MSG_INTR, 1, 2, 3, 4, 5, 6, how == 2 ? machine.time + 50 : EXO_FOREVER);
    ck_assert_int_eq(far->state, VCPU_SENDING);
    ck_assert_uint_eq(server.vcpu->nfar, 1);
    before = worlds();
    if (how == 0) {
        machine_on(0);
        as(&client);
        CALL_OK(signal, event, 1);
        ck_assert_uint_eq(worlds(), before);
        machine_on(1);
    } else if (how == 1) {
        machine_run(beside);
        CALL_OK(signal, event, 1);
    } else {
        machine_advance(100);
    }
    ck_assert_uint_eq(worlds(), before + 1);
    ck_assert_int_eq(result(far), how == 2 ? -EXO_ETIMEDOUT : -EXO_EINTR);
    ck_assert(list_empty(&server.vcpu->senders));
    ck_assert_uint_eq(server.vcpu->nfar, 0);
    machine_on(0);
}
END_TEST

/* Nor does the short way of a call lead there.  K28 */
START_TEST(K28_calls_abroad_go_the_long_way)
{
    struct vcpu *far = other_of(&client, 1);
    uint64_t into = (uint64_t)CALL_OK(gate_create, other_cap, 0);

    machine_on(1);
    machine_run(far);
    ck_assert_int_eq(CALL(reply_wait, 0, 0, 0, 0, 0, 0, 0, EXO_FOREVER), MACHINE_AWAY);
    ck_assert_int_eq(far->state, VCPU_RECEIVING);
    machine_on(0);
    as(&client);
    ck_assert_int_eq(CALL(call, into, 1, 2, 3, 4, 5, 6, EXO_FOREVER), MACHINE_AWAY);
    ck_assert_ptr_ne(machine.cpu->current, far);
    ck_assert_int_ne(far->state, VCPU_RUNNING);
    machine_on(1);
    ck_assert_ptr_eq(machine.cpu->current, far);
    ck_assert_uint_eq(far->regs.x[1], 1);
    ck_assert_uint_eq(far->regs.x[6], 6);
    machine_on(0);
}
END_TEST

/* A slot's owner has it from its beginning, though a note is to be looked at besides.  C1, K28 */
START_TEST(C1_owners_come_with_notes)
{
    uint64_t event = (uint64_t)CALL_OK(event_create, EXO_FIRST_VCPU, 1);

    other_of(&root, 1);
    for (uint64_t slot = 0; slot < CPU_SLOTS; slot++)
        CALL_OK(slice_bind, EXO_FIRST_SLICE, slot, server.vcpu_cap);
    as(&server);
    CALL(wait, 1 << 5, machine.time + 10);
    as(&client);
    machine_on(1);
    CALL_OK(signal, event, 1);
    machine.time += 20;
    machine_on(0);
    ck_assert_uint_eq(root.vcpu->page->events & 1, 1);
    ck_assert_ptr_eq(machine.cpu->current, server.vcpu);
}
END_TEST

/* ASIDs begin anew while a CPU has no space loaded.  K13 */
START_TEST(K13_idle_cpus_keep_no_asid)
{
    uint32_t before = tlb_epoch();

    ck_assert_ptr_null(cpus[2].loaded);
    asids_run_out();
    ck_assert_uint_eq(tlb_epoch(), before + 1); /* nothing is stale any more */
    as(&client);
    as(&root);
}
END_TEST

/* Whether another CPU's vcpu is ready is to be seen in world mode only.  K8 */
START_TEST(K8_yields_abroad_take_the_world)
{
    uint32_t before;

    other_of(&client, 1);
    before = worlds();
    CALL(yield, other_cap);
    ck_assert_uint_eq(worlds(), before + 1);
}
END_TEST

/* What is no caller's token is refused in local mode, unless it names another CPU's vcpu. */
START_TEST(I1_invented_tokens_disturb_nobody)
{
    struct vcpu *far = other_of(&client, 1);
    const pfn_t wrong[] = {0, system_info->first_frame + (pfn_t)system_info->nframes, env_frame(client.env),
                           vcpu_frame(client.vcpu)};

    as(&server);
    for (unsigned i = 0; i < ARRAY_LEN(wrong); i++) {
        ck_assert_msg(!answer_takes_world(1ull << 32 | wrong[i]), "%u", i);
        ck_assert_int_eq(result(server.vcpu), -EXO_ETOKEN);
        ck_assert_msg(!answer_takes_world(EXO_REPLY_CAP | 1ull << 32 | wrong[i]), "%u", i);
        ck_assert_int_eq(result(server.vcpu), -EXO_ETOKEN);
    }
    ck_assert(answer_takes_world(1ull << 32 | vcpu_frame(far)));
    ck_assert_int_eq(result(server.vcpu), -EXO_ETOKEN);
    ck_assert(!answer_takes_world(0));
    ck_assert(!answer_takes_world(EXO_REPLY_CAP));
}
END_TEST

/* Capability tables change with the world only: so an answer that brings one takes it, though the caller is at home. */
START_TEST(K8_answers_with_capabilities_take_the_world)
{
    as(&server);
    CALL(reply_wait, 0, 0, 0, 0, 0, 0, 0, EXO_FOREVER);
    as(&client);
    client.vcpu->page->recv.take_cap = 1;
    CALL(call, gate, 1, 2, 3, 4, 5, 6, EXO_FOREVER);
    as(&server);
    server.vcpu->page->send = (struct exo_send){.cap = EXO_SELF_ENV, .rights = EXO_RIGHT_READ};
    ck_assert(answer_takes_world(EXO_REPLY_CAP | server.vcpu->regs.x[0]));
    ck_assert_int_eq(result(client.vcpu), 0);
    ck_assert_ptr_eq(env_of(cap_at(client.env, client.vcpu->page->recv.cap)), server.env);
}
END_TEST

/* One of more pages than a call binds has them all, and its vcpu page is one. */
START_TEST(B1_large_programs)
{
    const uint64_t bss = 200 * PAGE_SIZE;
    uint8_t elf[1024];
    size_t len = exo_elf_make(elf);
    struct binding b;

    exo_image_make(&exo_image, 4 << 20);
    memcpy(elf + 64 + 56 + offsetof(struct elf64_phdr, memsz), &bss, sizeof(bss));
    exo_bundle_make(&exo_image, EXO_FIRST_PROGRAM, elf, len);
    exo_boot_image();
    for (uint64_t at = 0x402200; at < 0x402200 + bss; at += PAGE_SIZE)
        ck_assert(space_lookup(root.env->home, at, &b));
    ck_assert(!space_lookup(root.env->home, 0x403000 + bss, &b));
    ck_assert(!space_lookup(root.env->home, EXO_FIRST_VCPU_VA + PAGE_SIZE, &b));
}
END_TEST

/* What boot takes is zeroed, and nothing behind it: that may be somebody's. */
START_TEST(B1_boot_zeroes_what_is_its_own)
{
    pfn_t at;
    const uint64_t *word;

    exo_boot();
    at = system_info->first_frame + IMAGE_LEN / PAGE_SIZE;
    while (frame_kind(at) != EXO_FRAME_FREE)
        at++;
    word = frame_address(at);
    for (unsigned i = 0; i < PAGE_SIZE / sizeof(*word); i++)
        ck_assert_uint_ne(word[i], 0);
}
END_TEST

/* As many processors as can be used: nothing is told of others. */
START_TEST(C4_all_processors_count)
{
    char text[2 * PAGE_SIZE];

    machine.ncpus = EXO_CPUS_MAX;
    exo_boot();
    ck_assert_uint_eq(ncpus, EXO_CPUS_MAX);
    ck_assert_uint_lt(cpus[0].log->written, sizeof(text));
    memcpy(text, cpus[0].log->text, cpus[0].log->written);
    text[cpus[0].log->written] = 0;
    ck_assert_ptr_nonnull(strstr(text, "16 processors"));
    ck_assert_ptr_null(strstr(text, "no more than"));
}
END_TEST

/* All others are woken once there is something to do. */
START_TEST(B1_others_are_told_to_go)
{
    machine.ncpus = 3;
    exo_boot();
    ck_assert(machine.cpus[1].kicked);
    ck_assert(machine.cpus[2].kicked);
}
END_TEST

/* What the page about CPUs says of calls is right whenever somebody else goes on. */
START_TEST(calls_are_counted)
{
    uint64_t before;

    exo_boot();
    before = machine.cpu->calls;
    for (unsigned i = 0; i < 5; i++)
        CALL0(null);
    machine.cpu->resched = 1;
    CALL0(null);
    ck_assert_uint_eq(machine.cpu->info->calls, before + 6);
}
END_TEST

/* A bundle that is whole, and holds others' programs only, is no broken one. */
START_TEST(B6_no_first_program)
{
    char console[1024];

    exo_image_make(&exo_image, 4 << 20);
    exo_bundle_make(&exo_image, "bin/inis", "", 0);
    exo_tree_make(&exo_image, &(struct exo_tree){.memory = {{RAM_BASE, 4 << 20}},
                                                 .nmemory = 1,
                                                 .initrd = {BUNDLE_BASE, exo_image.bundle_len}});
    ck_assert_int_eq(exo_try_boot(&exo_image, console), MACHINE_STOPPED);
    ck_assert_str_eq(console, "\ncorbel: bundle: holds no bin/init\n");
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("cpus");
    TCase *tc = tcase_create("cpus");
    tcase_add_checked_fixture(tc, setup_cpus, exo_check);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, vcpu_is_told_its_cpu);
    tcase_add_test(tc, K29_no_note_stays_behind);
    tcase_add_test(tc, K28_notes_go_in_pieces);
    tcase_add_test(tc, K13_spaces_are_where_they_ran);
    tcase_add_loop_test(tc, K1_a_loaded_space_stays, 0, 3);
    tcase_add_test(tc, K8_answers_take_the_world_if_they_must);
    tcase_add_loop_test(tc, K28_calls_abroad_end_with_the_world, 0, 6);
    tcase_add_test(tc, K28_calls_abroad_go_the_long_way);
    tcase_add_test(tc, C1_owners_come_with_notes);
    tcase_add_test(tc, K13_idle_cpus_keep_no_asid);
    tcase_add_test(tc, I1_invented_tokens_disturb_nobody);
    tcase_add_test(tc, K8_yields_abroad_take_the_world);
    tcase_add_test(tc, K8_answers_with_capabilities_take_the_world);
    suite_add_tcase(s, tc);

    tc = tcase_create("processors");
    tcase_add_checked_fixture(tc, NULL, exo_check);
    tcase_add_test(tc, C4_all_processors_count);
    tcase_add_test(tc, B1_others_are_told_to_go);
    tcase_add_test(tc, B1_large_programs);
    tcase_add_test(tc, B1_boot_zeroes_what_is_its_own);
    tcase_add_test(tc, calls_are_counted);
    suite_add_tcase(s, tc);

    tc = tcase_create("refused");
    tcase_add_test(tc, B6_no_first_program);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    return exo_suite_run(suite());
}
