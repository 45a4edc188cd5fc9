/* Threads on several vcpus: each test lets many threads at one thing and counts.  `threads VCPUS [ROUNDS]` prints a line for
 * each test, "ok - what" or "not ok - what", and exits with 1 if any failed.  `threads VCPUS fault` lets one thread end
 * the program in the midst of the others, `threads VCPUS forever` goes on until it is killed. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "os/exo.h"
#include "os/mem.h"
#include "os/rt.h"
#include "os/start.h"
#include "os/thread.h"
#include "os/time.h"

#define NTHREADS 12
#define PAGE ((size_t)PAGE_SIZE)
#define RW (PROT_READ | PROT_WRITE)
#define MS 1000000ull

static int failures, rounds = 300;

static void report(bool good, const char *what)
{
    printf("%s - %s\n", good ? "ok" : "not ok", what);
    failures += !good;
}

static uint64_t used(void)
{
    uint64_t limit, frames;

    os_mem_use(&limit, &frames);
    return frames;
}

/* Long enough for the kernel to take the CPU away somewhere in here, now and then. */
static void spend(unsigned n)
{
    for (volatile unsigned i = 0; i < n; i++) {
    }
}

/* n threads of fn, which get their numbers; how many returned a value other than NULL. */
static int all(int n, void *(*fn)(void *))
{
    struct os_thread *t[64];
    int good = 0;

    for (int i = 0; i < n; i++)
        if (os_thread_create(&t[i], NULL, fn, (void *)(intptr_t)(i + 1)))
            t[i] = NULL;
    for (int i = 0; i < n; i++) {
        void *result = NULL;

        if (t[i] && os_thread_join(t[i], &result) == 0)
            good += result != NULL;
    }
    return good;
}

/* ---- exclusion -------------------------------------------------------------------------------------------- */

static struct os_mutex mutex = OS_MUTEX_INIT(mutex);
static struct os_cond filled = OS_COND_INIT(filled), drained = OS_COND_INIT(drained);
static long plain; /* not atomic: the mutex must do */

static void *count_locked(void *arg)
{
    for (int i = 0; i < rounds; i++) {
        long seen;

        os_mutex_lock(&mutex);
        seen = plain;
        spend((unsigned)(i % 7) * 50);
        plain = seen + 1;
        os_mutex_unlock(&mutex);
        if (i % 16 == 0)
            os_thread_yield();
    }
    return arg;
}

static void test_mutex(void)
{
    plain = 0;
    report(all(NTHREADS, count_locked) == NTHREADS && plain == (long)NTHREADS * rounds,
           "P5 a mutex excludes on several vcpus");
    report(mutex.owner == 0, "P5 and is free afterwards");
}

#define SLOTS 4
static int ring[SLOTS], in_ring, put_at, get_at;
static long got_sum;

static void *produce(void *arg)
{
    for (int i = 1; i <= rounds; i++) {
        os_mutex_lock(&mutex);
        while (in_ring == SLOTS)
            os_cond_wait(&drained, &mutex, EXO_FOREVER);
        ring[put_at++ % SLOTS] = i;
        in_ring++;
        os_cond_signal(&filled);
        os_mutex_unlock(&mutex);
    }
    return arg;
}

static void *consume(void *arg)
{
    for (int i = 0; i < rounds; i++) {
        os_mutex_lock(&mutex);
        while (in_ring == 0)
            os_cond_wait(&filled, &mutex, EXO_FOREVER);
        got_sum += ring[get_at++ % SLOTS];
        in_ring--;
        os_cond_signal(&drained);
        os_mutex_unlock(&mutex);
    }
    return arg;
}

static void *either(void *arg)
{
    return (intptr_t)arg % 2 ? produce(arg) : consume(arg);
}

static void test_conditions(void)
{
    in_ring = put_at = get_at = 0;
    got_sum = 0;
    report(all(NTHREADS, either) == NTHREADS && in_ring == 0 &&
               got_sum == NTHREADS / 2 * ((long)rounds * (rounds + 1) / 2),
           "K28 conditions lose no wakeup between vcpus");
}

static struct os_sem slots, items;
static int in_flight, most; /* atomic */

static void *through_gate(void *arg)
{
    for (int i = 0; i < rounds; i++) {
        int now, seen;

        os_sem_wait(&slots, EXO_FOREVER);
        now = __atomic_add_fetch(&in_flight, 1, __ATOMIC_SEQ_CST);
        seen = __atomic_load_n(&most, __ATOMIC_RELAXED);
        while (now > seen &&
               !__atomic_compare_exchange_n(&most, &seen, now, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
        }
        spend(20);
        if (i % 8 == 0)
            os_thread_yield();
        __atomic_sub_fetch(&in_flight, 1, __ATOMIC_SEQ_CST);
        os_sem_post(&slots);
        os_sem_post(&items);
    }
    return arg;
}

static void test_semaphores(void)
{
    most = in_flight = 0;
    os_sem_init(&slots, 3);
    os_sem_init(&items, 0);
    report(all(NTHREADS, through_gate) == NTHREADS && slots.count == 3 &&
               items.count == (uint32_t)(NTHREADS * rounds) && most <= 3 && most > 0,
           "P5 semaphores count on several vcpus");
    report(os_sem_wait(&slots, EXO_FOREVER) == 0 && slots.count == 2, "P5 a semaphore's count is taken");
    os_sem_init(&slots, 0);
    report(os_sem_wait(&slots, os_deadline_ns(MS)) == -ETIMEDOUT, "P9 a semaphore's deadline");
}

/* ---- time ------------------------------------------------------------------------------------------------- */

static void *sleep_often(void *arg)
{
    unsigned seed = (unsigned)(intptr_t)arg;

    for (int i = 0; i < 10; i++) {
        uint64_t wanted, until;

        seed = seed * 1103515245 + 12345;
        wanted = (seed >> 16) % 4 * MS;
        until = os_deadline_ns(wanted);
        if (os_sleep_until(until) != 0 || os_ticks() < until)
            return NULL;
    }
    return arg;
}

static void *lock_in_time(void *arg)
{
    int late = 0;

    for (int i = 0; i < 20; i++) {
        int rc = os_mutex_lock_until(&mutex, os_deadline_ns(MS / 2));

        if (rc == 0) {
            os_sleep_until(os_deadline_ns(MS / 4));
            os_mutex_unlock(&mutex);
        } else if (rc != -ETIMEDOUT) {
            return NULL;
        } else {
            late++;
        }
    }
    return late <= 20 ? arg : NULL;
}

static void test_time(void)
{
    uint64_t start = os_uptime_ns();

    report(all(NTHREADS, sleep_often) == NTHREADS, "P9 nobody wakes early, and everybody wakes");
    report(os_uptime_ns() - start < 2000 * MS, "P9 sleeps overlap");
    report(all(NTHREADS, lock_in_time) == NTHREADS && mutex.owner == 0,
           "K28 time and hand-over race for a mutex's waiters");
}

/* ---- memory ----------------------------------------------------------------------------------------------- */

#define NPAGES 64
static volatile unsigned char *shared_pages;
static unsigned arrived, generation; /* atomic */

/* All threads go on together, and hit the same page at once. */
static void meet(unsigned n)
{
    unsigned mine = __atomic_load_n(&generation, __ATOMIC_ACQUIRE);

    if (__atomic_add_fetch(&arrived, 1, __ATOMIC_ACQ_REL) == n) {
        __atomic_store_n(&arrived, 0, __ATOMIC_RELAXED);
        __atomic_add_fetch(&generation, 1, __ATOMIC_RELEASE);
    }
    while (__atomic_load_n(&generation, __ATOMIC_ACQUIRE) == mine)
        os_thread_yield();
}

static void *touch_same(void *arg)
{
    unsigned me = (unsigned)(intptr_t)arg;

    for (unsigned page = 0; page < NPAGES; page++) {
        meet(NTHREADS);
        shared_pages[page * PAGE + me] = (unsigned char)me; /* all fault here, one binds */
    }
    return arg;
}

static bool all_touched(void)
{
    for (unsigned page = 0; page < NPAGES; page++)
        for (unsigned me = 1; me <= NTHREADS; me++)
            if (shared_pages[page * PAGE + me] != me)
                return false;
    return true;
}

static void *map_own(void *arg)
{
    for (int i = 0; i < rounds / 4; i++) {
        size_t bytes = (size_t)(1 + i % 9) * PAGE;
        unsigned char *p = mmap(NULL, bytes, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (p == MAP_FAILED || p[bytes - 1] != 0)
            return NULL;
        memset(p, (int)(intptr_t)arg, bytes);
        if (i % 3 == 0 && mprotect(p, PAGE, PROT_READ))
            return NULL;
        if (p[0] != (intptr_t)arg || munmap(p, bytes))
            return NULL;
    }
    return arg;
}

static void *allocate(void *arg)
{
    unsigned char *held[16] = {NULL};
    size_t bytes[16] = {0};
    unsigned seed = (unsigned)(intptr_t)arg;

    for (int i = 0; i < rounds * 4; i++) {
        unsigned k;

        seed = seed * 1103515245 + 12345;
        k = seed >> 20 & 15;
        for (size_t j = 0; j < bytes[k]; j++)
            if (held[k][j] != (unsigned char)(k + (uintptr_t)arg))
                return NULL; /* somebody else wrote there */
        free(held[k]);
        bytes[k] = (seed >> 8) % 700;
        held[k] = malloc(bytes[k]);
        if (!held[k])
            return NULL;
        memset(held[k], (int)(k + (uintptr_t)arg), bytes[k]);
    }
    for (int k = 0; k < 16; k++)
        free(held[k]);
    return arg;
}

/* The same on pages that are private, and shown at `source`: nobody's write goes where others look, or into a copy that is not
 * the one. */
static void test_private(uint64_t source)
{
    struct os_map what = {.kind = OS_REGION_PRIVATE, .prot = RW, .npages = NPAGES, .source = source};
    volatile unsigned char *shown = shared_pages;
    bool apart = true;
    uint64_t va;

    for (unsigned page = 0; page < NPAGES; page++)
        memset((void *)(uintptr_t)(shown + page * PAGE), 0, NTHREADS + 1);
    report(os_map_region(&what, &va) == 0, "private pages");
    shared_pages = (volatile unsigned char *)va;
    report(all(NTHREADS, touch_same) == NTHREADS && all_touched(),
           "P3 private pages written by several vcpus");
    for (unsigned page = 0; page < NPAGES; page++)
        for (unsigned me = 1; me <= NTHREADS; me++)
            apart &= shown[page * PAGE + me] == 0;
    report(apart, "P3 and by nobody else");
    os_unmap(va, NPAGES);
    shared_pages = shown;
}

static void test_memory(void)
{
    uint64_t before;

    shared_pages = mmap(NULL, NPAGES * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    report(all(NTHREADS, touch_same) == NTHREADS && all_touched(), "P3 faults of several vcpus on one page");
    test_private((uint64_t)shared_pages);
    munmap((void *)(uintptr_t)shared_pages, NPAGES * PAGE);
    before = used();
    report(all(NTHREADS, map_own) == NTHREADS, "P3 mapping and unmapping side by side");
    report(used() <= before + 16, "P3 and all is given back");
    report(all(NTHREADS, allocate) == NTHREADS, "P6 malloc and free from several vcpus");
}

/* ---- signals of faults, each thread's own ------------------------------------------------------------------ */

static _Thread_local volatile unsigned char *barrier_page;
static int barriers; /* atomic */

static void lift(int sig)
{
    (void)sig;
    __atomic_add_fetch(&barriers, 1, __ATOMIC_RELAXED);
    mprotect((void *)(uintptr_t)barrier_page, PAGE, RW);
}

static void *write_barrier(void *arg)
{
    volatile unsigned char *p = mmap(NULL, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED)
        return NULL;
    barrier_page = p;
    for (int i = 0; i < rounds / 4; i++) {
        p[0] = (unsigned char)i;
        mprotect((void *)(uintptr_t)p, PAGE, PROT_READ);
        p[1] = (unsigned char)i; /* faults, and the handler lets it */
        if (p[0] != p[1])
            return NULL;
    }
    munmap((void *)(uintptr_t)p, PAGE);
    return arg;
}

static int raised; /* atomic */

static void note(int sig)
{
    (void)sig;
    __atomic_add_fetch(&raised, 1, __ATOMIC_RELAXED);
}

static void *raise_often(void *arg)
{
    for (int i = 0; i < rounds; i++)
        raise(SIGUSR1);
    return arg;
}

/* Signals that come from outside, while threads run, sleep and block the signal by turns. */
static int64_t to_us;
static int kicks_left; /* atomic */

static void *block_and_sleep(void *arg)
{
    sigset_t usr2, none;

    sigemptyset(&none);
    sigemptyset(&usr2);
    sigaddset(&usr2, SIGUSR2);
    while (__atomic_load_n(&kicks_left, __ATOMIC_ACQUIRE) > 0) {
        sigprocmask(SIG_BLOCK, &usr2, NULL);
        os_sleep_until(os_deadline_ns(MS / 10));
        sigprocmask(SIG_SETMASK, &none, NULL);
        if ((intptr_t)arg % 3 == 0)
            os_sleep_until(os_deadline_ns(MS / 10));
        os_thread_yield();
    }
    return arg;
}

static void *send_signals(void *arg)
{
    while (__atomic_load_n(&kicks_left, __ATOMIC_ACQUIRE) > 0) {
        int before = __atomic_load_n(&raised, __ATOMIC_ACQUIRE);
        uint64_t until = os_deadline_ns(2000 * MS);

        exo_signal((uint64_t)to_us, 1ull << SIGUSR2);
        while (__atomic_load_n(&raised, __ATOMIC_ACQUIRE) == before && os_ticks() < until)
            os_thread_yield();
        __atomic_sub_fetch(&kicks_left, 1, __ATOMIC_RELEASE);
    }
    return arg;
}

static void *signals_thread(void *arg)
{
    return (intptr_t)arg == 1 ? send_signals(arg) : block_and_sleep(arg);
}

static void test_signals(void)
{
    signal(SIGSEGV, lift);
    barriers = 0;
    report(all(NTHREADS, write_barrier) == NTHREADS && barriers == NTHREADS * (rounds / 4),
           "P2 each thread handles its own faults, several at a time");
    signal(SIGSEGV, SIG_DFL);
    signal(SIGUSR1, note);
    raised = 0;
    report(all(NTHREADS, raise_often) == NTHREADS && raised == NTHREADS * rounds,
           "P2 a raised signal is handled by its thread before raise returns");
    signal(SIGUSR2, note);
    raised = 0;
    kicks_left = 50;
    to_us = exo_event_create(OS_HANDLE_VCPU, 1ull << SIGUSR2);
    report(to_us > 0 && all(NTHREADS, signals_thread) == NTHREADS && raised == 50,
           "K28 every signal is handled once, whoever blocks it");
    raised = 0;
    signal(SIGUSR2, SIG_DFL);
}

/* ---- events ----------------------------------------------------------------------------------------------- */

static uint64_t event_bits[4];
static int event_rounds;

/* Threads 1 to 4 wait for bits 0 to 3; each sets the next one's. */
static void *pass_on(void *arg)
{
    unsigned me = (unsigned)(intptr_t)arg - 1;

    for (int i = 0; i < event_rounds; i++) {
        uint64_t got;

        if (os_event_wait(event_bits[me], os_deadline_ns(5000 * MS), false, &got) || got != event_bits[me])
            return NULL;
        if (me == 3 && i == event_rounds - 1)
            return arg;
        exo_signal((uint64_t)to_us, event_bits[(me + 1) % 4]);
    }
    return arg;
}

static void test_events(void)
{
    uint64_t mask = 0;

    for (int i = 0; i < 4; i++)
        mask |= event_bits[i] = 1ull << os_event_alloc();
    to_us = exo_event_create(OS_HANDLE_VCPU, mask);
    event_rounds = rounds;
    exo_signal((uint64_t)to_us, event_bits[0]);
    report(all(4, pass_on) == 4, "K28 event bits reach threads on any vcpu");
    for (int i = 0; i < 4; i++)
        os_event_free(__builtin_ctzll(event_bits[i]));
}

/* ---- life ------------------------------------------------------------------------------------------------- */

static int lived; /* atomic */

static void *live_briefly(void *arg)
{
    __atomic_add_fetch(&lived, 1, __ATOMIC_RELAXED);
    return arg;
}

static void *make_many(void *arg)
{
    const struct os_thread_attr detached = {.detached = true};

    for (int i = 0; i < rounds / 3; i++) {
        struct os_thread *t;
        void *result = NULL;

        if (os_thread_create(i % 3 ? &t : NULL, i % 3 ? NULL : &detached, live_briefly, arg))
            return NULL;
        if (i % 3 == 1 && (os_thread_join(t, &result) || result != arg))
            return NULL;
        if (i % 3 == 2 && os_thread_detach(t))
            return NULL;
    }
    return arg;
}

static void test_life(void)
{
    uint64_t before = used();

    lived = 0;
    report(all(NTHREADS, make_many) == NTHREADS, "P5 threads make threads, join and detach them");
    while (os_thread_count() > 1)
        os_thread_yield();
    report(lived == NTHREADS * (rounds / 3), "P5 each ran once");
    report(used() <= before + 80, "P5 their stacks are given back");
}

/* ---- files ------------------------------------------------------------------------------------------------ */

static FILE *stream;

static void *print_lines(void *arg)
{
    for (int i = 0; i < 50; i++)
        if (fprintf(stream, "thread %02d line %03d\n", (int)(intptr_t)arg, i) < 0)
            return NULL;
    return arg;
}

static void *use_descriptors(void *arg)
{
    char name[32], text[32], back[32];

    snprintf(name, sizeof name, "/tmp/t%d", (int)(intptr_t)arg);
    for (int i = 0; i < 15; i++) {
        int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600), other;
        int n = snprintf(text, sizeof text, "%d of %d", i, (int)(intptr_t)arg);

        if (fd < 0 || write(fd, text, (size_t)n) != n || (other = dup(fd)) < 0)
            return NULL;
        close(fd);
        if (pread(other, back, sizeof back, 0) != n || memcmp(text, back, (size_t)n))
            return NULL;
        close(other);
    }
    return unlink(name) == 0 ? arg : NULL;
}

static bool lines_whole(const char *path)
{
    int counts[NTHREADS + 1] = {0}, who, line;
    char text[64];
    FILE *f = fopen(path, "r");

    while (f && fgets(text, sizeof text, f)) {
        if (sscanf(text, "thread %2d line %3d\n", &who, &line) != 2 || strlen(text) != 19 || who < 1 ||
            who > NTHREADS || line != counts[who]++)
            return false;
    }
    if (f)
        fclose(f);
    for (int i = 1; i <= NTHREADS; i++)
        if (counts[i] != 50)
            return false;
    return f != NULL;
}

static void test_files(void)
{
    stream = fopen("/tmp/threads.txt", "w");
    report(stream && all(NTHREADS, print_lines) == NTHREADS && fclose(stream) == 0,
           "P6 one stream, many writers");
    report(lines_whole("/tmp/threads.txt"), "P6 no line is torn or lost");
    unlink("/tmp/threads.txt");
    report(all(NTHREADS, use_descriptors) == NTHREADS, "P6 descriptors from several vcpus");
}

/* ---- stealing --------------------------------------------------------------------------------------------- */

static uint32_t seen_on[OS_VCPUS_MAX]; /* atomic: rounds that ran on each vcpu */
static uint32_t own_rounds[NTHREADS + 1];
static uint64_t enough; /* ticks: not before */
static int done;        /* atomic */

static unsigned here(void)
{
    return (unsigned)(((uintptr_t)os_vcpu() - 0x7e00400000) / 0x10000);
}

/* Until the fastest has had its rounds, and time enough has passed: then all tell what they got. */
static void *work(void *arg)
{
    unsigned me = (unsigned)(intptr_t)arg;

    meet(NTHREADS);
    while (!__atomic_load_n(&done, __ATOMIC_ACQUIRE)) {
        spend(2000);
        __atomic_add_fetch(&seen_on[here()], 1, __ATOMIC_RELAXED);
        if (++own_rounds[me] >= 1000 && os_ticks() >= enough)
            __atomic_store_n(&done, 1, __ATOMIC_RELEASE);
        os_thread_yield();
    }
    return arg;
}

static void *check_pinned(void *arg)
{
    for (int i = 0; i < 100; i++) {
        os_thread_pin(true);
        if (here() != 0)
            return NULL;
        os_thread_yield();
        if (here() != 0)
            return NULL;
        os_thread_pin(false);
        os_thread_yield();
    }
    return arg;
}

/* Emulated processors get the host's in turns of some milliseconds; and on one, each vcpu shall have had many slots. */
static void test_stealing(void)
{
    uint64_t before = os_vcpus_stolen();
    uint32_t busy = 0, least = UINT32_MAX, top = 0, vcpus;

    memset(own_rounds, 0, sizeof own_rounds);
    memset(seen_on, 0, sizeof seen_on);
    done = 0;
    enough = os_deadline_ns(os_cpus() > 1 ? 3000 * MS : 500 * MS);
    report(all(NTHREADS, work) == NTHREADS, "C3 work spreads");
    vcpus = os_vcpus();
    for (unsigned i = 0; i < vcpus; i++)
        busy += seen_on[i] > 0;
    for (int i = 1; i <= NTHREADS; i++) {
        least = own_rounds[i] < least ? own_rounds[i] : least;
        top = own_rounds[i] > top ? own_rounds[i] : top;
    }
    report(2 * busy >= vcpus, "C3 at least half of the vcpus ran threads");
    report(vcpus == 1 ? os_vcpus_stolen() == 0 : os_vcpus_stolen() > before, "C3 by stealing");
    report(least > 0, "C3 everybody runs");
    printf("# stolen %lu, least %u, top %u rounds\n", (unsigned long)os_vcpus_stolen(), (unsigned)least,
           (unsigned)top);
    report(all(NTHREADS, check_pinned) == NTHREADS, "C3 a pinned thread stays on the main vcpu");
}

/* ---- ends ------------------------------------------------------------------------------------------------- */

static void *endless(void *arg)
{
    for (;;) {
        char *p = malloc(100);

        os_mutex_lock(&mutex);
        plain++;
        os_mutex_unlock(&mutex);
        free(p);
        if (plain % 64 == 0)
            os_sleep_until(os_deadline_ns(MS / 10));
        else
            os_thread_yield();
    }
    return arg;
}

static void *nowhere = (void *)8;

static int end(const char *how)
{
    for (int i = 0; i < NTHREADS; i++)
        os_thread_create(NULL, NULL, endless, NULL);
    os_sleep_until(os_deadline_ns(50 * MS));
    if (strcmp(how, "exit") == 0)
        exit(7);
    if (strcmp(how, "fault") == 0)
        *(volatile int *)*(void *volatile *)&nowhere = 1;
    puts("going on");
    fflush(stdout);
    endless(NULL);
    return 2;
}

int main(int argc, char **argv)
{
    unsigned vcpus = argc > 1 ? (unsigned)atoi(argv[1]) : 1;
    int rc = os_vcpus_start(vcpus);

    if (rc || os_vcpus() < vcpus) {
        printf("not ok - %u vcpus: %d\n", vcpus, rc);
        return 1;
    }
    if (argc > 2 && atoi(argv[2]) == 0)
        return end(argv[2]);
    if (argc > 2)
        rounds = atoi(argv[2]);
    report(os_vcpus_start(17) == -EINVAL, "P5 no more vcpus than there may be");
    test_mutex();
    test_conditions();
    test_semaphores();
    test_time();
    test_memory();
    test_signals();
    test_events();
    test_life();
    test_files();
    test_stealing();
    printf("threads: %u vcpus, %d failed\n", os_vcpus(), failures);
    return failures != 0;
}
