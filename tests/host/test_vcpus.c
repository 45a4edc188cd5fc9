/* sources: libos/rt (all of it)
 * Threads on several vcpus, interleaved at every lock and every kernel call by a seeded choice: each vcpu is a context
 * of its own, and a model of the kernel lets one go on at a time.  When no vcpu could ever go on again, a wakeup was
 * lost, and the test fails.  C3, K10, K27, K28, K29, P5. */
#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "mock.h"
#include "os/layout.h"
#include "os/rt.h"
#include "os/thread.h"
#include "os/time.h"
#include "rt/thread_impl.h"

/* ---- the machine ------------------------------------------------------------------------------------------ */

#define MAX 8u
#define VCPU_HANDLE 50u
#define EVENT_HANDLE 100u

static struct hw {
    struct exo_vcpu_page *page; /* NULL: there is none */
    struct arch_context context;
    bool started, waiting;
    uint64_t mask, deadline;
    uint64_t notices; /* pages that it is to hear were taken */
} hw[MAX];
static unsigned running, cpus = 1;
static uint64_t seed;
static long stacks, refuse_vcpus, kicks, yields;
static bool interleaving;

static uint32_t chance(uint32_t n)
{
    seed = seed * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(seed >> 33) % n;
}

static bool can_run(unsigned i)
{
    const struct hw *v = &hw[i];

    if (!v->started)
        return false;
    return !v->waiting || v->notices || v->page->events & v->mask || v->deadline <= host_ticks;
}

static void switch_to(unsigned i)
{
    unsigned from = running;

    if (i == from)
        return;
    running = i;
    host_vcpu = hw[i].page;
    arch_switch(&hw[from].context, &hw[i].context);
}

/* Any vcpu that can go on; time passes when none can. */
static unsigned pick(void)
{
    for (;;) {
        unsigned n = 0, chosen = 0;
        uint64_t next = EXO_FOREVER;

        for (unsigned i = 0; i < MAX; i++) {
            if (can_run(i) && chance(++n) == 0)
                chosen = i;
            if (hw[i].started && hw[i].waiting)
                next = min_u64(next, hw[i].deadline);
        }
        if (n)
            return chosen;
        ck_assert_msg(next != EXO_FOREVER, "K28: a wakeup was lost: no vcpu can ever go on");
        host_ticks = max_u64(host_ticks, next);
    }
}

/* A thread is one vcpu's at a time. */
static void check_owners(void)
{
    for (unsigned i = 0; i < rt.nvcpus; i++)
        for (unsigned j = 0; j < i; j++)
            ck_assert_ptr_ne(rt.vcpu[i]->current, rt.vcpu[j]->current);
}

static void interleave(void)
{
    if (!interleaving)
        return;
    check_owners();
    host_ticks++;
    if (chance(3) == 0)
        switch_to(pick());
}

static void tell_notices(void)
{
    uint64_t n = hw[running].notices;

    if (n == 0)
        return;
    hw[running].notices = 0;
    os_signals_hold();
    os_upcall(EXO_UPCALL_REVOKE, EXO_REVOKE_TAKEN, n, hw[running].page);
    os_signals_release();
}

static void wait(uint64_t mask, uint64_t deadline)
{
    struct hw *v = &hw[running];

    v->mask = mask;
    v->deadline = deadline;
    v->waiting = true;
    switch_to(pick());
    while (!can_run(running))
        switch_to(pick());
    v->waiting = false;
    if (v->page->events & v->page->upcall_events)
        os_upcall(EXO_UPCALL_EVENT, 0, 0, v->page);
    tell_notices();
}

static int64_t vcpu_create(uint64_t cpu, uint64_t va)
{
    unsigned i = (unsigned)((va - OS_VCPU_VA) / OS_VCPU_STRIDE);

    if (cpu >= cpus)
        return -EXO_EUNSUPPORTED;
    if (refuse_vcpus > 0 && refuse_vcpus-- == 1)
        return -EXO_EQUOTA;
    hw[i].page = (struct exo_vcpu_page *)va;
    hw[i].page->self = va;
    hw[i].page->cpu = (uint32_t)cpu;
    return VCPU_HANDLE + i;
}

static void vcpu_start(unsigned i)
{
    struct exo_regs *regs = &hw[i].page->regs;

    ck_assert_uint_ne(hw[i].page->upcall_entry, 0);
    os_upcall(EXO_UPCALL_START, i, 0, hw[i].page);
    arch_context_init(&hw[i].context, regs->sp, (void (*)(void))regs->pc, regs->tls);
    hw[i].started = true;
}

static int64_t page_alloc(uint64_t va, uint64_t n)
{
    void *p = mmap((void *)va, n * PAGE_SIZE, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

    return p == (void *)va ? (int64_t)n : -EXO_EBOUND;
}

static void kernel(enum exo_call number, uint64_t x[8])
{
    int64_t rc = 0;

    switch (number) {
    case EXO_CALL_wait:
        wait(x[0], x[1]);
        rc = (int64_t)(hw[running].page->events & hw[running].mask);
        break;
    case EXO_CALL_yield:
        yields++;
        switch_to(pick());
        tell_notices();
        break;
    case EXO_CALL_signal:
        ck_assert_uint_ge(x[0], EVENT_HANDLE);
        ck_assert_ptr_nonnull(hw[x[0] - EVENT_HANDLE].page);
        kicks += x[1] == OS_EVENT_KICK;
        __atomic_fetch_or(&hw[x[0] - EVENT_HANDLE].page->events, x[1], __ATOMIC_SEQ_CST);
        interleave();
        break;
    case EXO_CALL_page_alloc:
        rc = page_alloc(x[1], x[2]);
        break;
    case EXO_CALL_page_unmap:
        munmap((void *)x[1], x[2] * PAGE_SIZE);
        rc = (int64_t)x[2];
        break;
    case EXO_CALL_vcpu_create:
        rc = vcpu_create(x[1], x[3]);
        break;
    case EXO_CALL_event_create:
        rc = (int64_t)(EVENT_HANDLE + (x[0] == 3 ? 0 : x[0] - VCPU_HANDLE));
        break;
    case EXO_CALL_vcpu_start:
        vcpu_start((unsigned)x[0] - VCPU_HANDLE);
        break;
    default:
        ck_abort_msg("call %d", number);
    }
    x[0] = (uint64_t)rc;
}

static int stack_new(uint64_t npages, uint64_t bound_bytes, uint64_t *va)
{
    void *p = mmap(NULL, npages * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    ck_assert(p != MAP_FAILED && bound_bytes <= npages * PAGE_SIZE);
    *va = (uint64_t)p;
    stacks++;
    return 0;
}

static void stack_free(uint64_t va, uint64_t npages)
{
    munmap((void *)va, npages * PAGE_SIZE); /* whoever still stands on it dies here */
    stacks--;
}

static bool no_fault(uint64_t address, uint64_t access, int *error)
{
    (void)address, (void)access;
    *error = 0;
    return false;
}

static void nothing(uint64_t address)
{
    (void)address;
}

static void setup(void)
{
    static const struct rt_memory memory = {no_fault, nothing, stack_new, stack_free};

    host_exo_call = kernel;
    host_interleave = interleave;
    host_ticks = 1000;
    rt_start(0);
    rt_set_memory(&memory);
    hw[0] = (struct hw){.page = host_vcpu, .started = true};
}

/* 2 to 5 vcpus, and a seed of its own, for each turn of a test. */
static void begin(int turn)
{
    seed = (uint64_t)turn * 7919 + 1;
    ck_assert_int_eq(os_vcpus_start(2 + (unsigned)turn % 4), 0);
    interleaving = true;
}

/* Everything is at rest. */
static void end(void)
{
    while (os_thread_count() > 1)
        os_thread_yield();
    interleaving = false;
    ck_assert_uint_eq(sched.lock.holder, 0);
    ck_assert(list_empty(&sched.timed) && list_empty(&sched.interruptible) &&
              list_empty(&sched.eventful.waiters));
    for (unsigned i = 0; i < rt.nvcpus; i++)
        ck_assert(rt.vcpu[i]->nready == 0 && list_empty(&rt.vcpu[i]->ready) && !rt.vcpu[i]->queue.holder);
    ck_assert_uint_eq(rt_self()->hold, 0);
}

static void run_all(unsigned n, void *(*fn)(void *))
{
    struct os_thread *t[16];

    for (unsigned i = 0; i < n; i++)
        ck_assert_int_eq(os_thread_create(&t[i], NULL, fn, (void *)(uintptr_t)(i + 1)), 0);
    for (unsigned i = 0; i < n; i++) {
        void *result;

        ck_assert_int_eq(os_thread_join(t[i], &result), 0);
        ck_assert_ptr_eq(result, (void *)(uintptr_t)(i + 1));
    }
}

/* ---- exclusion and wakeups --------------------------------------------------------------------------------- */

#define NTHREADS 6u
#define ROUNDS 20

static struct os_mutex mutex = OS_MUTEX_INIT(mutex);
static struct os_cond cond = OS_COND_INIT(cond);
static int inside, turns, box, sum;

static void *critical(void *arg)
{
    for (int i = 0; i < ROUNDS; i++) {
        int rc = i % 4 ? os_mutex_lock(&mutex) : os_mutex_lock_until(&mutex, host_ticks + chance(40));

        if (rc == -ETIMEDOUT) {
            turns++;
            continue;
        }
        ck_assert_int_eq(rc, 0);
        ck_assert_int_eq(++inside, 1);
        interleave();
        ck_assert_int_eq(inside--, 1);
        turns++;
        ck_assert_int_eq(os_mutex_unlock(&mutex), 0);
    }
    return arg;
}

START_TEST(mutex_excludes)
{
    begin(_i);
    run_all(NTHREADS, critical);
    end();
    ck_assert_int_eq(turns, NTHREADS * ROUNDS);
    ck_assert_uint_eq(mutex.owner, 0);
}
END_TEST

static void *fill_or_drain(void *arg)
{
    bool fills = (uintptr_t)arg % 2;

    for (int i = 1; i <= ROUNDS; i++) {
        os_mutex_lock(&mutex);
        while (fills ? box != 0 : box == 0)
            ck_assert_int_eq(os_cond_wait(&cond, &mutex, EXO_FOREVER), 0);
        if (!fills)
            sum += box;
        box = fills ? i : 0;
        os_cond_broadcast(&cond);
        os_mutex_unlock(&mutex);
    }
    return arg;
}

START_TEST(condition_loses_nothing)
{
    begin(_i);
    run_all(NTHREADS, fill_or_drain);
    end();
    ck_assert_int_eq(sum, NTHREADS / 2 * ROUNDS * (ROUNDS + 1) / 2);
}
END_TEST

static struct os_sem sem;
static int flying, flown;

static void *through(void *arg)
{
    for (int i = 0; i < ROUNDS; i++) {
        ck_assert_int_eq(os_sem_wait(&sem, EXO_FOREVER), 0);
        ck_assert_int_le(++flying, 2);
        interleave();
        flying--;
        flown++;
        ck_assert_int_eq(os_sem_post(&sem), 0);
    }
    return arg;
}

START_TEST(semaphore_counts)
{
    os_sem_init(&sem, 2);
    begin(_i);
    run_all(NTHREADS, through);
    end();
    ck_assert_int_eq(flown, NTHREADS * ROUNDS);
    ck_assert_uint_eq(sem.count, 2);
}
END_TEST

/* ---- time, events ------------------------------------------------------------------------------------------ */

static void *sleeps(void *arg)
{
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t until = host_ticks + chance(200);

        ck_assert_int_eq(os_sleep_until(until), 0);
        ck_assert_uint_ge(host_ticks, until);
    }
    return arg;
}

START_TEST(sleepers_wake)
{
    begin(_i);
    run_all(NTHREADS, sleeps);
    end();
}
END_TEST

static void *pass_on(void *arg)
{
    unsigned me = (unsigned)(uintptr_t)arg - 1;

    for (int i = 0; i < ROUNDS; i++) {
        uint64_t got;

        ck_assert_int_eq(os_event_wait(1ull << (40 + me), EXO_FOREVER, false, &got), 0);
        ck_assert_uint_eq(got, 1ull << (40 + me));
        exo_signal(EVENT_HANDLE, 1ull << (40 + (me + 1) % NTHREADS));
    }
    return arg;
}

START_TEST(events_reach_any_vcpu)
{
    begin(_i);
    exo_signal(EVENT_HANDLE, 1ull << 40);
    run_all(NTHREADS, pass_on);
    end();
    ck_assert_uint_eq(hw[0].page->events & ~OS_EVENT_OWN, 1ull << 40); /* the last one's */
}
END_TEST

static uint32_t word;
static struct os_queue queue = OS_QUEUE_INIT(queue);

/* Each waits until the word passes its number, and then lets it pass the next one's. */
static void *in_turn(void *arg)
{
    uint32_t me = (uint32_t)(uintptr_t)arg, seen;

    while ((seen = __atomic_load_n(&word, __ATOMIC_SEQ_CST)) < me)
        os_queue_wait_while(&queue, &word, seen, EXO_FOREVER, false);
    __atomic_store_n(&word, me + 1, __ATOMIC_SEQ_CST);
    os_queue_wake(&queue, UINT32_MAX);
    return arg;
}

START_TEST(nothing_slips_between_look_and_sleep)
{
    begin(_i);
    word = 1;
    run_all(NTHREADS, in_turn);
    end();
    ck_assert_uint_eq(word, NTHREADS + 1);
}
END_TEST

/* ---- life ---------------------------------------------------------------------------------------------------- */

static int lived;

static void *live(void *arg)
{
    lived++;
    return arg;
}

static void *breed(void *arg)
{
    static const struct os_thread_attr detached = {.detached = true};

    for (int i = 0; i < ROUNDS; i++) {
        struct os_thread *t;
        void *result;

        ck_assert_int_eq(os_thread_create(&t, i % 3 ? NULL : &detached, live, arg), 0);
        if (i % 3 == 1)
            ck_assert_int_eq(os_thread_detach(t), 0);
        if (i % 3 != 2)
            continue;
        ck_assert_int_eq(os_thread_join(t, &result), 0);
        ck_assert_ptr_eq(result, arg);
    }
    return arg;
}

START_TEST(threads_come_and_go)
{
    begin(_i);
    run_all(4, breed);
    end();
    ck_assert_int_eq(lived, 4 * ROUNDS);
    /* The vcpus' own, the cache's eight, and on each vcpu one whose thread has ended and that it still stands on. */
    ck_assert_int_le(stacks, 2 * (long)rt.nvcpus + 8);
}
END_TEST

static void *pins(void *arg)
{
    for (int i = 0; i < ROUNDS; i++) {
        os_thread_pin(true);
        ck_assert_uint_eq(running, 0);
        os_thread_yield();
        ck_assert_uint_eq(running, 0);
        os_thread_pin(false);
        os_thread_yield();
    }
    return arg;
}

START_TEST(pinned_threads_stay)
{
    begin(_i);
    run_all(NTHREADS, pins);
    end();
}
END_TEST

static uint32_t seen_on;

static void *wander(void *arg)
{
    for (int i = 0; i < 5 * ROUNDS; i++) {
        seen_on |= 1u << running;
        os_thread_yield();
    }
    return arg;
}

START_TEST(idle_vcpus_steal)
{
    begin(_i);
    run_all(2 * NTHREADS, wander);
    end();
    ck_assert_uint_eq(seen_on, (1u << rt.nvcpus) - 1);
    ck_assert_uint_gt(os_vcpus_stolen(), 0);
}
END_TEST

#define FAIR_TURNS 3000u

static unsigned turns_of[2 * NTHREADS + 1];
static bool turns_over;

static void *takes_turns(void *arg)
{
    while (!turns_over) {
        if (++turns_of[(uintptr_t)arg] == FAIR_TURNS)
            turns_over = true;
        interleave();
        os_thread_yield();
    }
    return arg;
}

/* C3: on vcpus that run equally often, nobody stays in a longer queue than others, though none is ever idle. */
START_TEST(turns_are_even)
{
    begin(_i);
    run_all(2 * NTHREADS, takes_turns);
    end();
    for (unsigned i = 1; i <= 2 * NTHREADS; i++)
        ck_assert_uint_ge(turns_of[i], FAIR_TURNS / 2);
}
END_TEST

/* ---- signals ------------------------------------------------------------------------------------------------- */

static int caught;

static void note(int sig)
{
    (void)sig;
    caught++;
}

static void *blocks_it(void *arg)
{
    os_signal_mask(1ull << SIGUSR1);
    for (int i = 0; i < ROUNDS; i++)
        os_sleep_until(host_ticks + chance(50));
    os_signal_mask(0);
    return arg;
}

/* Whoever may, handles it: once, though most block it most of the time. */
START_TEST(signals_find_a_thread)
{
    struct os_thread *t[NTHREADS];

    os_signal_set(SIGUSR1, note, NULL);
    begin(_i);
    for (unsigned i = 0; i < NTHREADS; i++)
        ck_assert_int_eq(os_thread_create(&t[i], NULL, blocks_it, NULL), 0);
    for (int i = 1; i <= 5; i++) {
        exo_signal(EVENT_HANDLE, 1ull << SIGUSR1);
        while (caught < i) {
            os_sleep_until(host_ticks + 20);
            if (hw[0].page->events & hw[0].page->upcall_events &&
                running == 0) { /* the kernel's next chance */
                os_signals_hold();
                os_upcall(EXO_UPCALL_EVENT, 0, 0, hw[0].page);
                os_signals_release();
            }
        }
        ck_assert_int_eq(caught, i);
    }
    for (unsigned i = 0; i < NTHREADS; i++)
        ck_assert_int_eq(os_thread_join(t[i], NULL), 0);
    end();
    ck_assert_int_eq(caught, 5);
}
END_TEST

/* ---- revocation ----------------------------------------------------------------------------------------------- */

static struct os_mutex told_lock = OS_MUTEX_INIT(told_lock);
static uint64_t told;

/* May block, as it runs in a thread. */
static void hear(const struct os_revoke *what)
{
    ck_assert_uint_eq(rt_self()->hold, 0);
    ck_assert_int_eq(what->kind, EXO_REVOKE_TAKEN);
    os_signals_hold();
    ck_assert_int_eq(os_mutex_lock(&told_lock), 0);
    told += what->number;
    interleave();
    ck_assert_int_eq(os_mutex_unlock(&told_lock), 0);
    os_signals_release();
}

/* Puts off what comes, and goes on to other vcpus meanwhile. */
static void *puts_off(void *arg)
{
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t delivered = os_signals_delivered();

        os_signals_hold();
        if (chance(2))
            os_sleep_until(host_ticks + chance(50));
        else
            os_thread_yield();
        ck_assert(!os_signal_came(delivered));
        os_thread_yield();
        os_signals_release();
        ck_assert_int_eq(os_sleep_until(host_ticks + chance(30)), 0); /* no notice ends it */
    }
    return arg;
}

/* K27: whichever vcpu a notice comes to, also while its threads put it off, move on, or are none: each is told once. */
START_TEST(no_notice_is_lost)
{
    struct os_thread *t[NTHREADS];
    uint64_t sent = 0;

    os_on_revoke(hear);
    begin(_i);
    for (unsigned i = 0; i < NTHREADS; i++)
        ck_assert_int_eq(os_thread_create(&t[i], NULL, puts_off, NULL), 0);
    for (unsigned i = 0; i < 10 * ROUNDS; i++) {
        hw[chance(rt.nvcpus)].notices += i + 1;
        sent += i + 1;
        ck_assert_int_eq(os_sleep_until(host_ticks + chance(20)), 0);
    }
    for (unsigned i = 0; i < NTHREADS; i++)
        ck_assert_int_eq(os_thread_join(t[i], NULL), 0);
    for (int i = 0; told != sent && i < 1000; i++)
        os_sleep_until(host_ticks + 20);
    ck_assert_uint_eq(told, sent);
    end();
    for (unsigned i = 0; i < rt.nvcpus; i++)
        ck_assert_uint_eq(rt.vcpu[i]->revoked, 0);
}
END_TEST

/* Who serves is on the main vcpu, and is woken to see what was heard elsewhere. */
static void hear_pages(const struct os_revoke *what)
{
    told += what->number;
}

START_TEST(a_server_hears_of_pages)
{
    os_on_pages(hear_pages);
    ck_assert_int_eq(os_vcpus_start(2), 0);
    for (unsigned i = 0; i < 2; i++) {
        struct rt_vcpu *main = rt.vcpu[0];

        os_thread_pin(true);
        os_signals_hold();
        __atomic_store_n(&rt_page_of(main)->events, 0, __ATOMIC_RELAXED);
        hw[1].notices = 0;
        interleaving = false;
        running = i; /* the same thread, as if it stood there */
        host_vcpu = hw[i].page;
        rt.vcpu[i]->current = main->current;
        os_upcall(EXO_UPCALL_REVOKE, EXO_REVOKE_PAGES, 1, hw[i].page);
        rt_revoked();
        rt.vcpu[1]->current = rt.vcpu[1]->idle;
        running = 0;
        host_vcpu = hw[0].page;
        ck_assert_uint_eq(rt_page_of(main)->events, i ? OS_EVENT_POKE : 0);
        os_signals_release();
        os_thread_pin(false);
    }
    ck_assert_uint_eq(told, 2);
}
END_TEST

/* ---- how many -------------------------------------------------------------------------------------------------- */

START_TEST(vcpus_come_with_threads)
{
    host_system.ncpus = cpus = 3;
    ck_assert_uint_eq(os_vcpus_limit(), 3);
    ck_assert_uint_eq(os_vcpus(), 1);
    interleaving = true;
    run_all(NTHREADS, critical);
    end();
    ck_assert_uint_eq(os_vcpus(), 3);
    ck_assert_uint_eq(hw[1].page->cpu, 1);
    ck_assert_uint_eq(hw[2].page->cpu, 2);
}
END_TEST

START_TEST(the_own_cpu_does_instead)
{
    host_system.ncpus = 4; /* of which the kernel has one for us */
    ck_assert_int_eq(os_vcpus_start(3), 0);
    ck_assert_uint_eq(hw[2].page->cpu, 0);
    interleaving = true;
    run_all(NTHREADS, critical);
    end();
    ck_assert_int_eq(turns, NTHREADS * ROUNDS);
}
END_TEST

START_TEST(without_memory_one_is_enough)
{
    host_system.ncpus = cpus = 4;
    refuse_vcpus = 1;
    run_all(NTHREADS, critical);
    ck_assert_uint_eq(os_vcpus(), 1);
    ck_assert_int_eq(turns, NTHREADS * ROUNDS);
    refuse_vcpus = 1;
    ck_assert_int_eq(os_vcpus_start(2), -ENOMEM);
    ck_assert_int_eq(os_vcpus_start(OS_VCPUS_MAX + 1), -EINVAL);
    ck_assert_int_eq(os_vcpus_start(2), 0);
    end();
}
END_TEST

#define TURNS 12

int main(void)
{
    Suite *suite = suite_create("vcpus");
    TCase *tc = tcase_create("vcpus");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tc, setup, NULL);
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, mutex_excludes, 0, TURNS);
    tcase_add_loop_test(tc, condition_loses_nothing, 0, TURNS);
    tcase_add_loop_test(tc, semaphore_counts, 0, TURNS);
    tcase_add_loop_test(tc, sleepers_wake, 0, TURNS);
    tcase_add_loop_test(tc, events_reach_any_vcpu, 0, TURNS);
    tcase_add_loop_test(tc, nothing_slips_between_look_and_sleep, 0, TURNS);
    tcase_add_loop_test(tc, threads_come_and_go, 0, TURNS);
    tcase_add_loop_test(tc, pinned_threads_stay, 0, TURNS);
    tcase_add_loop_test(tc, idle_vcpus_steal, 0, TURNS);
    tcase_add_loop_test(tc, turns_are_even, 0, TURNS);
    tcase_add_loop_test(tc, signals_find_a_thread, 0, TURNS);
    tcase_add_loop_test(tc, no_notice_is_lost, 0, TURNS);
    tcase_add_test(tc, a_server_hears_of_pages);
    tcase_add_test(tc, vcpus_come_with_threads);
    tcase_add_test(tc, the_own_cpu_does_instead);
    tcase_add_test(tc, without_memory_one_is_enough);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
