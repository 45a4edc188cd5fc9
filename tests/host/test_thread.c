/* sources: libos/rt (all of it)
 * User threads, their locks, time and events, signals as far as they need no interruption: on ucontext and a kernel that
 * only knows `wait`.  Time passes only while nothing can run.  C2, K10, K28, P2, P9. */
#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "mock.h"
#include "os/rt.h"
#include "os/thread.h"
#include "os/time.h"
#include "rt/thread_impl.h"

/* ---- the kernel ------------------------------------------------------------------------------------------ */

static unsigned waits, exits;
static uint64_t exit_status, events_at_wait; /* events that the next wait finds */
static long stacks;

static void kernel(enum exo_call number, uint64_t x[8])
{
    if (number == EXO_CALL_env_exit) {
        exits++;
        exit_status = x[0];
        exit(x[0] == 256 + SIGTERM ? 77 : 78); /* the test says which it expects */
    }
    ck_assert_int_eq(number, EXO_CALL_wait);
    waits++;
    host_vcpu->events |= events_at_wait;
    events_at_wait = 0;
    if (!(host_vcpu->events & x[0])) {
        ck_assert_msg(x[1] != EXO_FOREVER, "nothing can ever run again");
        host_ticks = max_u64(host_ticks, x[1]);
    }
    x[0] &= host_vcpu->events;
    if (host_vcpu->events & host_vcpu->upcall_events) /* as the kernel would on its way back */
        os_upcall(EXO_UPCALL_EVENT, 0, 0, host_vcpu);
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
    munmap((void *)va, npages * PAGE_SIZE);
    stacks--;
}

static bool no_fault(uint64_t address, uint64_t access, int *error)
{
    (void)address;
    (void)access;
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
    host_ticks = 1000;
    rt_start(0);
    rt_set_memory(&memory);
}

/* ---- threads --------------------------------------------------------------------------------------------- */

static char trace[256];

static void *letters(void *arg)
{
    for (int i = 0; i < 3; i++) {
        strncat(trace, arg, 1);
        os_thread_yield();
    }
    return arg;
}

START_TEST(threads_take_turns)
{
    struct os_thread *a, *b;
    char name_a[] = "a", name_b[] = "b";
    void *result;

    ck_assert_int_eq(os_thread_create(&a, NULL, letters, name_a), 0);
    ck_assert_int_eq(os_thread_create(&b, NULL, letters, name_b), 0);
    ck_assert_uint_eq(os_thread_count(), 3);
    ck_assert_int_eq(os_thread_join(a, &result), 0);
    ck_assert_ptr_eq(result, name_a);
    ck_assert_int_eq(os_thread_join(b, NULL), 0);
    ck_assert_str_eq(trace, "ababab");
    ck_assert_uint_eq(os_thread_count(), 1);
    ck_assert_uint_eq(waits, 0);
}
END_TEST

static void *count_up(void *arg)
{
    ++*(int *)arg;
    return NULL;
}

START_TEST(stacks_do_not_pile_up)
{
    const struct os_thread_attr detached = {.detached = true}, large = {.stack_pages = 100};
    struct os_thread *t;
    int count = 0;

    for (int i = 0; i < 1000; i++) {
        ck_assert_int_eq(os_thread_create(&t, i % 3 ? NULL : &large, count_up, &count), 0);
        ck_assert_int_eq(os_thread_join(t, NULL), 0);
        ck_assert_int_eq(os_thread_create(NULL, &detached, count_up, &count), 0);
        if (i % 5 == 0)
            os_thread_yield();
    }
    while (os_thread_count() > 1)
        os_thread_yield();
    os_thread_yield();
    ck_assert_int_eq(count, 2000);
    ck_assert_int_le(stacks, 9);
}
END_TEST

START_TEST(joins_are_checked)
{
    struct os_thread *t;
    int count = 0;

    ck_assert_int_eq(os_thread_join(os_thread_self(), NULL), -EDEADLK);
    ck_assert_int_eq(os_thread_create(&t, NULL, count_up, &count), 0);
    ck_assert_int_eq(os_thread_detach(t), 0);
    ck_assert_int_eq(os_thread_detach(t), -EINVAL);
    ck_assert_int_eq(os_thread_join(t, NULL), -EINVAL);
    ck_assert_int_eq(
        os_thread_create(&t, &(struct os_thread_attr){.stack_pages = 1u << 19}, count_up, &count), -EINVAL);
    ck_assert_int_eq(os_thread_create(&t, &(struct os_thread_attr){.stack_pages = 1}, count_up, &count),
                     -EINVAL);
}
END_TEST

/* ---- locks ----------------------------------------------------------------------------------------------- */

static struct os_mutex mutex = OS_MUTEX_INIT(mutex);
static struct os_cond cond = OS_COND_INIT(cond);
static int inside, turns;

static void *critical(void *arg)
{
    for (int i = 0; i < 50; i++) {
        ck_assert_int_eq(os_mutex_lock(&mutex), 0);
        ck_assert_int_eq(++inside, 1);
        os_thread_yield();
        inside--;
        turns++;
        ck_assert_int_eq(os_mutex_unlock(&mutex), 0);
    }
    return arg;
}

START_TEST(mutex_excludes)
{
    struct os_thread *t[5];

    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(os_thread_create(&t[i], NULL, critical, NULL), 0);
    for (int i = 0; i < 5; i++)
        os_thread_join(t[i], NULL);
    ck_assert_int_eq(turns, 250);
    ck_assert_uint_eq(mutex.owner, 0);
}
END_TEST

START_TEST(mutex_rules)
{
    struct os_mutex plain = OS_MUTEX_INIT(plain), recursive = OS_MUTEX_INIT_RECURSIVE(recursive);

    ck_assert_int_eq(os_mutex_unlock(&plain), -EPERM);
    ck_assert_int_eq(os_mutex_lock(&plain), 0);
    ck_assert_int_eq(os_mutex_lock(&plain), -EDEADLK);
    ck_assert_int_eq(os_mutex_trylock(&plain), -EBUSY);
    ck_assert_int_eq(os_mutex_unlock(&plain), 0);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(os_mutex_lock(&recursive), 0);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(os_mutex_unlock(&recursive), 0);
    ck_assert_int_eq(os_mutex_unlock(&recursive), -EPERM);
    ck_assert_int_eq(os_cond_wait(&cond, &plain, EXO_FOREVER), -EPERM);
}
END_TEST

static void *hold_long(void *arg)
{
    os_mutex_lock(arg);
    os_sleep_until(os_ticks() + 500);
    os_mutex_unlock(arg);
    return NULL;
}

START_TEST(lock_with_deadline)
{
    struct os_thread *t;

    ck_assert_int_eq(os_thread_create(&t, NULL, hold_long, &mutex), 0);
    os_thread_yield();
    ck_assert_int_eq(os_mutex_lock_until(&mutex, host_ticks + 100), -ETIMEDOUT);
    ck_assert_uint_eq(host_ticks, 1100);
    ck_assert_int_eq(os_mutex_lock_until(&mutex, host_ticks + 1000), 0);
    ck_assert_uint_eq(host_ticks, 1500);
    os_mutex_unlock(&mutex);
    os_thread_join(t, NULL);
}
END_TEST

static int box;

static void *producer(void *arg)
{
    for (int i = 1; i <= 100; i++) {
        os_mutex_lock(&mutex);
        while (box)
            os_cond_wait(&cond, &mutex, EXO_FOREVER);
        box = i;
        os_cond_broadcast(&cond);
        os_mutex_unlock(&mutex);
    }
    return arg;
}

START_TEST(condition_loses_nothing)
{
    struct os_thread *t;
    int sum = 0;

    ck_assert_int_eq(os_thread_create(&t, NULL, producer, NULL), 0);
    for (int i = 0; i < 100; i++) {
        os_mutex_lock(&mutex);
        while (!box)
            os_cond_wait(&cond, &mutex, EXO_FOREVER);
        sum += box;
        box = 0;
        os_cond_broadcast(&cond);
        os_mutex_unlock(&mutex);
    }
    ck_assert_int_eq(sum, 5050);
    os_mutex_lock(&mutex);
    ck_assert_int_eq(os_cond_wait(&cond, &mutex, host_ticks + 7), -ETIMEDOUT);
    ck_assert_uint_eq(mutex.owner, (uint64_t)os_thread_self());
    os_mutex_unlock(&mutex);
    os_thread_join(t, NULL);
}
END_TEST

/* ---- time and events -------------------------------------------------------------------------------------- */

static void *sleep_for(void *arg)
{
    os_sleep_until(1000 + (uint64_t)arg);
    trace[strlen(trace)] = (char)('0' + (uint64_t)arg / 10);
    return NULL;
}

START_TEST(sleepers_wake_in_order)
{
    static const uint64_t times[] = {50, 10, 30, 20, 40};
    struct os_thread *t[5];

    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(os_thread_create(&t[i], NULL, sleep_for, (void *)times[i]), 0);
    for (int i = 0; i < 5; i++)
        os_thread_join(t[i], NULL);
    ck_assert_str_eq(trace, "12345");
    ck_assert_uint_eq(host_ticks, 1050);
    ck_assert_uint_eq(waits, 5);
}
END_TEST

START_TEST(events_reach_who_waits)
{
    uint64_t got;

    host_vcpu->events = 3ull << 40;
    ck_assert_int_eq(os_event_wait(1ull << 40, EXO_FOREVER, false, &got), 0); /* came before */
    ck_assert_uint_eq(got, 1ull << 40);
    ck_assert_uint_eq(host_vcpu->events, 2ull << 40);
    events_at_wait = 1ull << 50;
    ck_assert_int_eq(os_event_wait(7ull << 50, EXO_FOREVER, false, &got), 0); /* comes meanwhile */
    ck_assert_uint_eq(got, 1ull << 50);
    ck_assert_int_eq(os_event_wait(1ull << 50, host_ticks + 5, false, &got), -ETIMEDOUT);
    ck_assert_uint_eq(got, 0);
    ck_assert_uint_eq(os_event_take(2ull << 40), 2ull << 40);
    ck_assert_uint_eq(host_vcpu->events, 0);
}
END_TEST

static unsigned handled_bit;

static void handle_bit(unsigned bit, void *arg)
{
    handled_bit = bit;
    ++*(int *)arg;
}

START_TEST(bits_are_handed_out_once)
{
    uint64_t seen = 0;
    int bit, count = 0, last = -1;

    while ((bit = os_event_alloc()) >= 0) {
        ck_assert(bit >= (int)OS_EVENT_FIRST && bit <= (int)OS_EVENT_LAST && !(seen >> bit & 1));
        seen |= 1ull << bit;
        last = bit;
    }
    ck_assert_int_eq(bit, -EAGAIN);
    ck_assert_int_eq(os_event_handler((unsigned)last, handle_bit, &count), 0);
    host_vcpu->events = 1ull << last;
    os_upcall(EXO_UPCALL_EVENT, host_vcpu->events, 0, host_vcpu);
    ck_assert_int_eq(count, 1);
    ck_assert_uint_eq(handled_bit, (unsigned)last);
    ck_assert_uint_eq(host_vcpu->events, 0);
    os_event_free(last);
    ck_assert_int_eq(os_event_alloc(), last);
    ck_assert_int_eq(os_event_handler(SIGTERM, handle_bit, &count), -EINVAL);
    ck_assert_int_eq(os_event_handler(64, handle_bit, &count), -EINVAL);
}
END_TEST

/* ---- signals ---------------------------------------------------------------------------------------------- */

static int caught[32];

static void catch (int sig)
{
    caught[sig]++;
}

static void come(int sig)
{
    host_vcpu->events |= 1ull << sig;
    if (host_vcpu->events & host_vcpu->upcall_events)
        os_upcall(EXO_UPCALL_EVENT, 0, 0, host_vcpu);
}

START_TEST(held_signals_come_on_release)
{
    os_signal_fn *old;

    ck_assert_int_eq(os_signal_set(SIGUSR1, catch, &old), 0);
    ck_assert(old == OS_SIG_DEFAULT);
    os_signals_hold();
    os_signals_hold();
    come(SIGUSR1);
    os_signals_release();
    ck_assert_int_eq(caught[SIGUSR1], 0);
    os_signals_release();
    ck_assert_int_eq(caught[SIGUSR1], 1);
    ck_assert_int_eq(os_signal_raise(SIGUSR1), 0);
    ck_assert_int_eq(caught[SIGUSR1], 2);
    ck_assert_uint_eq(rt_self()->hold, 0);
}
END_TEST

START_TEST(signals_interrupt_waits)
{
    uint64_t got;

    os_signal_set(SIGUSR1, catch, NULL);
    events_at_wait = 1ull << SIGUSR1;
    ck_assert_int_eq(os_event_wait(1ull << 50, EXO_FOREVER, true, &got), -EINTR);
    ck_assert_int_eq(caught[SIGUSR1], 1);
    events_at_wait = 1ull << SIGUSR1;
    ck_assert_int_eq(os_sleep_until(host_ticks + 100), -EINTR);
    events_at_wait = 1ull << SIGUSR1;
    ck_assert_int_eq(os_event_wait(1ull << 50, host_ticks + 10, false, &got),
                     -ETIMEDOUT); /* runs, but goes on */
    ck_assert_int_eq(caught[SIGUSR1], 3);
}
END_TEST

START_TEST(blocked_signals_wait)
{
    os_signal_set(SIGUSR1, catch, NULL);
    ck_assert_uint_eq(os_signal_mask(1ull << SIGUSR1 | 1ull << SIGKILL), 0);
    ck_assert_uint_eq(os_signal_blocked(), 1ull << SIGUSR1);
    come(SIGUSR1);
    os_signal_raise(SIGUSR1);
    ck_assert_int_eq(caught[SIGUSR1], 0);
    ck_assert_uint_eq(os_signal_pending(), 1ull << SIGUSR1);
    os_signal_mask(0);
    if (host_vcpu->events & host_vcpu->upcall_events) { /* the kernel's next chance */
        os_signals_hold();
        os_upcall(EXO_UPCALL_EVENT, 0, 0, host_vcpu);
        os_signals_release();
    }
    ck_assert_int_eq(caught[SIGUSR1], 1);
}
END_TEST

START_TEST(ignored_signals_do_nothing)
{
    os_signal_fn *old;
    uint64_t got;

    events_at_wait = 1ull << SIGCHLD; /* the default is to ignore it */
    ck_assert_int_eq(os_event_wait(1ull << 50, host_ticks + 10, true, &got), -ETIMEDOUT);
    ck_assert_int_eq(os_signal_set(SIGCHLD, catch, NULL), 0);
    ck_assert_uint_eq(host_vcpu->events, 0); /* what came before does not come late */
    ck_assert_int_eq(os_signal_set(SIGTERM, OS_SIG_IGNORE, NULL), 0);
    os_signal_raise(SIGTERM);
    ck_assert_int_eq(os_signal_set(SIGTERM, catch, &old), 0);
    ck_assert(old == OS_SIG_IGNORE);
    ck_assert_int_eq(os_signal_set(SIGKILL, catch, NULL), -EINVAL);
    ck_assert_int_eq(os_signal_set(0, catch, NULL), -EINVAL);
    ck_assert_int_eq(os_signal_set(32, catch, NULL), -EINVAL);
}
END_TEST

START_TEST(default_action_ends_with_the_signal)
{
    os_signal_raise(SIGTERM);
}
END_TEST

/* ---- conversions ------------------------------------------------------------------------------------------- */

START_TEST(time_does_not_overflow)
{
    static const uint64_t rates[] = {1, 1000000, 19200000, 54000000, 62500000, 1000000000};

    for (unsigned i = 0; i < ARRAY_LEN(rates); i++) {
        host_system.counter_hz = rates[i];
        ck_assert_uint_eq(os_ticks_to_ns(rates[i]), 1000000000);
        ck_assert_uint_eq(os_ns_to_ticks(1000000000), rates[i]);
        ck_assert_uint_eq(os_ns_to_ticks(3600ull * 1000000000), 3600 * rates[i]);
        ck_assert_uint_ge(os_ticks_to_ns(os_ns_to_ticks(12345)), 12345); /* never early */
        ck_assert_uint_eq(os_deadline_ns(0), host_ticks);
    }
    ck_assert_uint_eq(os_deadline_ns(UINT64_MAX), EXO_FOREVER);
}
END_TEST

START_TEST(errors_have_words)
{
    for (int i = -25; i <= 25; i++) {
        ck_assert_uint_gt(strlen(exo_strerror(i)), 0);
        ck_assert_uint_gt(strlen(exo_errname(i)), 0);
        ck_assert_int_eq(exo_errno(i) == 0, i == 0);
        ck_assert_int_eq(exo_errno(i), exo_errno(-i));
    }
    ck_assert_str_eq(exo_errname(-EXO_EQUOTA), "EXO_EQUOTA");
    ck_assert_int_eq(exo_errno(-EXO_ETIMEDOUT), ETIMEDOUT);
    ck_assert_int_eq(exo_errno(INT32_MIN), EIO);
}
END_TEST

/* ---- revocation: handled as signals are, and a sleeper sleeps on.  K27 ----------------------------------------- */

static struct os_revoke heard;
static unsigned nheard, spares, others;

static void hears(const struct os_revoke *what)
{
    ck_assert_uint_eq(rt_self()->hold, 0);
    heard = *what;
    nheard++;
}

static void spare(void)
{
    spares++;
}

static void hears_pages(const struct os_revoke *what)
{
    others += what->kind == EXO_REVOKE_PAGES;
}

static void notice(uint64_t kind, uint64_t number)
{
    host_vcpu->revoke = (struct exo_revoke){.deadline = 77, .va = 0x5000, .space = 3};
    os_upcall(EXO_UPCALL_REVOKE, kind, number, host_vcpu);
}

START_TEST(revocation_is_told)
{
    os_on_revoke(hears);
    os_on_pages(hears_pages);
    os_signals_hold();
    notice(EXO_REVOKE_FRAMES, 5);
    notice(EXO_REVOKE_FRAMES, 6); /* the later one counts */
    ck_assert_uint_eq(nheard, 0);
    os_signals_release();
    ck_assert_uint_eq(nheard, 1);
    ck_assert_int_eq(heard.kind, EXO_REVOKE_FRAMES);
    ck_assert_uint_eq(heard.number, 6);
    ck_assert_uint_eq(heard.deadline, 77);
    ck_assert_uint_eq(heard.va, 0x5000);
    ck_assert_uint_eq(heard.space, 3);
    os_signals_hold();
    notice(EXO_REVOKE_TAKEN, 5);
    notice(EXO_REVOKE_TAKEN, 6); /* what was taken adds up */
    notice(99, 1);               /* of a later kernel */
    notice(0, 1);
    os_signals_release();
    ck_assert_uint_eq(nheard, 2);
    ck_assert_uint_eq(heard.number, 11);
    os_signals_hold();
    notice(EXO_REVOKE_PAGES, 1);
    os_signals_release();
    ck_assert_uint_eq(others, 1);
    ck_assert_int_eq(heard.kind, EXO_REVOKE_PAGES);
    os_on_revoke(NULL);
    os_set_spare(spare);
    os_signals_hold();
    notice(EXO_REVOKE_FRAMES, 5);
    notice(EXO_REVOKE_PAGES, 5);
    os_signals_release();
    ck_assert_uint_eq(nheard, 3);
    ck_assert_uint_eq(spares, 1);
}
END_TEST

/* The kernel that only knows `wait` tells of a revocation in the first one. */
static void asking_kernel(enum exo_call number, uint64_t x[8])
{
    ck_assert_int_eq(number, EXO_CALL_wait);
    if (waits++ == 0)
        notice(EXO_REVOKE_FRAMES, 9);
    else
        host_ticks = max_u64(host_ticks, x[1]);
    x[0] = 0;
}

START_TEST(revocation_interrupts_nobody)
{
    uint64_t delivered = os_signals_delivered();

    host_exo_call = asking_kernel;
    os_on_revoke(hears);
    ck_assert_int_eq(os_sleep_until(5000), 0);
    ck_assert_uint_eq(host_ticks, 5000);
    ck_assert_uint_eq(nheard, 1);
    ck_assert(!os_signal_came(delivered));
    /* One that ends a call that is made with signals held waits for their release; the call is made again. */
    os_signals_hold();
    notice(EXO_REVOKE_FRAMES, 1);
    ck_assert(!os_signal_came(delivered));
    ck_assert_uint_eq(rt_self()->noted, 0);
    ck_assert_uint_eq(nheard, 1);
    os_signals_release();
    ck_assert_uint_eq(nheard, 2);
    os_signals_hold();
    rt_self()->noted |= 1ull << SIGUSR1;
    ck_assert(os_signal_came(delivered));
    rt_self()->noted = 0;
    os_signals_release();
}
END_TEST

START_TEST(victims)
{
    struct exo_victim *v = host_vcpu->victims;

    ck_assert_int_eq(os_victims_add(0x1001, 1), -EINVAL);
    ck_assert_int_eq(os_victims_add(0x1000, 0), -EINVAL);
    for (int i = 0; i < (int)EXO_VICTIMS; i++)
        ck_assert_int_eq(os_victims_add(0x1000, 5), i);
    ck_assert_int_eq(os_victims_add(0x1000, 5), -EAGAIN);
    v[3].taken = 4;
    ck_assert_uint_eq(os_victims_taken(3), 4);
    ck_assert_uint_eq(os_victims_taken(16), 0);
    ck_assert_uint_eq(os_victims_taken(-1), 0);
    os_victims_remove(3);
    os_victims_remove(-1);
    os_victims_remove(16);
    ck_assert_uint_eq(v[3].npages, 0);
    ck_assert_int_eq(os_victims_add(0x2000, 6), 3);
    ck_assert_uint_eq(v[3].va, 0x2000);
    ck_assert_uint_eq(v[3].taken, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("thread");
    TCase *tc = tcase_create("thread");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tc, setup, NULL);
    tcase_add_test(tc, threads_take_turns);
    tcase_add_test(tc, stacks_do_not_pile_up);
    tcase_add_test(tc, joins_are_checked);
    tcase_add_test(tc, mutex_excludes);
    tcase_add_test(tc, mutex_rules);
    tcase_add_test(tc, lock_with_deadline);
    tcase_add_test(tc, condition_loses_nothing);
    tcase_add_test(tc, sleepers_wake_in_order);
    tcase_add_test(tc, events_reach_who_waits);
    tcase_add_test(tc, bits_are_handed_out_once);
    tcase_add_test(tc, held_signals_come_on_release);
    tcase_add_test(tc, signals_interrupt_waits);
    tcase_add_test(tc, blocked_signals_wait);
    tcase_add_test(tc, ignored_signals_do_nothing);
    tcase_add_exit_test(tc, default_action_ends_with_the_signal, 77);
    tcase_add_test(tc, time_does_not_overflow);
    tcase_add_test(tc, errors_have_words);
    tcase_add_test(tc, revocation_is_told);
    tcase_add_test(tc, revocation_interrupts_nobody);
    tcase_add_test(tc, victims);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
