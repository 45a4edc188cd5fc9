/* The run time tests itself in a real process: `core` prints a line for each test, "ok - what" or "not ok - what", and
 * exits with 1 if any failed.  `core HOW` ends in one of the ways of fatal.c. */
#include "core.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "os/exo.h"
#include "os/ipc.h"
#include "os/layout.h"
#include "os/mem.h"
#include "os/revoke.h"
#include "os/rt.h"
#include "os/start.h"
#include "os/thread.h"
#include "os/time.h"

#define PAGE ((size_t)PAGE_SIZE)
#define RW (PROT_READ | PROT_WRITE)

static int failures;

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

static void *anonymous(size_t npages)
{
    return mmap(NULL, npages * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

/* ---- revocation ------------------------------------------------------------------------------------------- */

static unsigned use_stack(unsigned n)
{
    volatile char page[PAGE_SIZE];

    page[0] = (char)n;
    return n ? use_stack(n - 1) + (unsigned char)page[0] : 0;
}

/* What was used and is not any more goes back without harm. */
static void test_spare(void)
{
    uint64_t before, after;

    use_stack(200);
    before = used();
    os_revoke_default(&(struct os_revoke){.kind = EXO_REVOKE_FRAMES, .number = 10});
    after = used();
    report(after + 150 <= before, "K27 the stack's unused pages are given back");
    report(use_stack(20) > 0, "and bound again when they are used");
}

/* The file server's half of a session's buffer: it lets go long before it is made to, and lives on. */
static void test_reclaim(void)
{
    uint64_t began = os_ticks(), deadline = began + os_ns_to_ticks(60000000000ull), va;
    struct os_session s;
    int rc;

    if (os_connect("fs", 4 * PAGE_SIZE, &s)) {
        report(false, "a session of its own");
        return;
    }
    va = (uint64_t)(uintptr_t)s.buf;
    rc = os_reclaim(va, 4, deadline);
    report(rc == 0 && os_ticks() < deadline, "K27 a server lets go of what is wanted back");
    os_disconnect(&s);
    report(access("/etc/motd", F_OK) == 0, "and goes on serving");
}

/* An environment that never listens binds our page: it keeps it for the least notice that there is, and no longer. */
static void test_unwilling(void)
{
    uint64_t began = os_ticks(), least = os_ns_to_ticks(EXO_RECLAIM_NOTICE_US * 1000ull), there = 0x10000000;
    char *page = anonymous(1);
    int64_t made = exo_env_create(20, 0, 0);
    exo_handle_t env = (exo_handle_t)made, space = (exo_handle_t)(made >> 32);
    bool shown;
    int rc;

    page[0] = 'x';
    shown = made > 0 &&
            exo_page_map(space, there, EXO_SELF_SPACE, (uint64_t)(uintptr_t)page, 1, EXO_PROT_READ) == 1;
    rc = os_reclaim((uint64_t)(uintptr_t)page, 1, 0);
    report(shown && rc == 0 && os_ticks() - began >= least, "K27 the unwilling keeps a page for its notice");
    report(exo_page_protect(space, there, 1, EXO_PROT_READ) == -EXO_EUNBOUND && page[0] == 'x',
           "and no longer");
    report(os_reclaim(there, 1, 0) == -EFAULT && os_reclaim(1, 1, 0) == -EINVAL &&
               os_reclaim(OS_SYSTEM_VA, 1, 0) == -EINVAL,
           "K24 what cannot be reclaimed");
    while (exo_env_destroy(env) > 0) {
    }
    (void)exo_cap_drop(env);
    (void)exo_cap_drop(space);
    munmap(page, PAGE);
}

/* ---- start ------------------------------------------------------------------------------------------------ */

static _Thread_local int tls_set = 42;
static _Thread_local long tls_zero[40];
static int constructed;

__attribute__((constructor)) static void construct(void)
{
    constructed = 1;
}

static void test_start(int argc, char **argv)
{
    report(constructed == 1, "constructors ran");
    report(argc == 1 && strcmp(argv[0], "core") == 0 && argv[1] == NULL, "arguments");
    report(getenv("PATH") != NULL && getenv("NOT_THERE") == NULL, "environment");
    report(tls_set == 42 && tls_zero[39] == 0, "P5 thread-local storage");
}

/* ---- memory ----------------------------------------------------------------------------------------------- */

static sigjmp_buf back;
static volatile sig_atomic_t last_signal;

static void jump_back(int sig)
{
    last_signal = sig;
    siglongjmp(back, 1);
}

/* Does a touch of p end in SIGSEGV? */
static bool faults(volatile char *p, bool write)
{
    last_signal = 0;
    signal(SIGSEGV, jump_back);
    if (sigsetjmp(back, 1) == 0) {
        if (write)
            *p = 1;
        else
            (void)*p;
    }
    signal(SIGSEGV, SIG_DFL);
    return last_signal == SIGSEGV;
}

static void test_map(void)
{
    uint64_t before = used();
    char *p = anonymous(256);
    bool zero = true;

    report(p != MAP_FAILED && used() <= before + 1, "P3 nothing is bound before it is touched");
    for (size_t i = 0; i < 256; i++) {
        zero &= p[i * PAGE] == 0;
        p[i * PAGE] = (char)i;
    }
    report(zero && used() >= before + 256, "P3 pages come zeroed when touched");
    munmap(p + 10 * PAGE, 10 * PAGE);
    report(p[9 * PAGE] == 9 && p[20 * PAGE] == 20 && faults(p + 10 * PAGE, false), "P3 unmapped in part");
    mprotect(p, 2 * PAGE, PROT_READ);
    report(faults(p, true) && !faults(p, false), "P3 write protection");
    mprotect(p, 2 * PAGE, PROT_NONE);
    report(faults(p, false), "P3 no access at all");
    mprotect(p, 2 * PAGE, RW);
    report(p[PAGE] == 1, "P3 content survives protection");
    report(faults(NULL, true) && faults((char *)UINT64_MAX, false), "P2 null and kernel addresses");
    munmap(p, 256 * PAGE);
    report(used() <= before + 3, "P3 unmapping gives all back");
    report(mmap(NULL, PAGE, PROT_WRITE | PROT_EXEC, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0) == MAP_FAILED,
           "P4 never writable and executable");
}

static void test_private(void)
{
    struct os_map own = {.kind = OS_REGION_ANON, .prot = RW, .flags = OS_MAP_POPULATE, .npages = 40};
    struct os_map what = {.kind = OS_REGION_PRIVATE, .prot = RW, .npages = 40};
    uint64_t before = used(), shared, va = 0;
    bool same = true, apart = true;
    char *p, *q;

    report(os_map_region(&own, &what.source) == 0, "pages to be shown");
    p = (char *)what.source;
    for (size_t i = 0; i < 40; i++)
        p[i * PAGE + i] = (char)(i + 1);
    shared = used();
    report(os_map_region(&what, &va) == 0 && used() <= shared + 2,
           "P3 private pages cost nothing before they are written");
    q = (char *)va;
    for (size_t i = 0; i < 40; i++)
        same &= q[i * PAGE + i] == (char)(i + 1);
    report(same && used() <= shared + 2, "P3 and show what is there");
    for (size_t i = 0; i < 40; i++) {
        q[i * PAGE] = 100;
        apart &= q[i * PAGE + i + 1] == 0 && p[i * PAGE] == (i == 0) &&
                 (i == 0 || q[i * PAGE + i] == (char)(i + 1));
    }
    report(apart && used() >= shared + 40, "P3 what is written is a copy, whole, and nobody else sees it");
    mprotect(q, 40 * PAGE, PROT_READ);
    report(faults(q, true) && q[PAGE] == 100, "P3 they are protected as others are");
    mprotect(q, 40 * PAGE, RW);
    q[PAGE] = 101;
    report(q[PAGE] == 101 && p[PAGE] == 0 && used() <= shared + 42, "P3 and are not copied again");
    report(mprotect(q, PAGE, PROT_READ | PROT_EXEC) == 0, "P4 a copy may become code");
    munmap(q, 40 * PAGE);
    munmap(p, 40 * PAGE);
    report(used() <= before + 3, "P3 unmapping gives all back");
}

static void test_large(void)
{
    struct os_map what = {
        .kind = OS_REGION_ANON, .prot = RW, .flags = OS_MAP_LARGE, .npages = 2 * EXO_LARGE_PAGES};
    uint64_t before = used(), va = 0;
    volatile char *p;
    char sum = 0;

    report(os_map_region(&what, &va) == 0 && va % EXO_LARGE_BYTES == 0 && used() <= before + 1,
           "a region of large pages is aligned, and nothing is bound");
    p = (volatile char *)va;
    p[7 * PAGE] = 1;
    report(used() >= before + EXO_LARGE_PAGES && os_page_bound(va) && !os_page_bound(va + EXO_LARGE_BYTES),
           "P3 a touch binds a large page");
    for (size_t i = 0; i < EXO_LARGE_BYTES; i++)
        sum = (char)(sum | (i == 7 * PAGE ? 0 : p[i]));
    report(sum == 0 && p[7 * PAGE] == 1, "P3 it comes zeroed");
    report(os_unmap(va, 5) == -EINVAL && os_protect(va + PAGE, 1, PROT_READ) == -EINVAL && p[7 * PAGE] == 1,
           "K20 parts of it are refused");
    report(os_protect(va, EXO_LARGE_PAGES, PROT_READ) == 0 && faults(p + 9 * PAGE, true) && p[7 * PAGE] == 1,
           "P3 it is protected whole");
    strcpy((char *)va + EXO_LARGE_BYTES, "# from a large page\n");
    report(write(1, (char *)va + EXO_LARGE_BYTES, 20) == 20, "it is memory to write from");
    report(os_unmap(va, 2 * EXO_LARGE_PAGES) == 0 && used() <= before + 2, "P3 unmapping gives all back");
}

static void test_heap(void)
{
    uint64_t before = used();
    char *p = malloc(2 << 20);

    report(p != NULL, "P6 malloc of 2 MiB");
    for (size_t i = 0; i < 2 << 20; i += PAGE)
        ((volatile char *)p)[i] = 1;
    report(used() > before + 500, "P6 which takes frames");
    free(p);
    report(used() < before + 64, "P6 and gives them back");
    report(malloc((size_t)1 << 33) == NULL && errno == ENOMEM,
           "P6 malloc of more than there is answers NULL");
    report(malloc((size_t)64 << 20) == NULL, "P6 malloc of more than the account has answers NULL");
}

static int deep(int n)
{
    volatile char frame[1024];

    frame[0] = (char)n;
    return n > 0 ? deep(n - 1) + frame[0] * 0 : 0;
}

/* ---- threads ---------------------------------------------------------------------------------------------- */

static void *private_state(void *arg)
{
    int n = (int)(intptr_t)arg;
    bool fresh = tls_set == 42 && tls_zero[0] == 0;

    tls_set = errno = n;
    os_thread_yield();
    return (void *)(intptr_t)(fresh && tls_set == n && errno == n);
}

static void *printer(void *arg)
{
    for (int i = 0; i < 20; i++) {
        snprintf(arg, 32, "%d %f", i, i * 0.5);
        os_thread_yield();
    }
    return arg;
}

static void test_threads(void)
{
    struct os_thread *t[16];
    static char text[16][32];
    bool good = true;
    uint64_t before;

    for (intptr_t i = 0; i < 16; i++)
        good &= os_thread_create(&t[i], NULL, private_state, (void *)(i + 100)) == 0;
    for (int i = 0; i < 16; i++) {
        void *result = NULL;

        os_thread_join(t[i], &result);
        good &= result != NULL;
    }
    report(good && tls_set == 42, "P5 each thread has its own storage and errno");
    for (int i = 0; i < 16; i++)
        os_thread_create(&t[i], NULL, printer, text[i]);
    for (int i = 0; i < 16; i++)
        os_thread_join(t[i], NULL);
    for (int i = 0; i < 16; i++)
        good &= strcmp(text[i], "19 9.500000") == 0;
    report(good, "P6 newlib from several threads");
    before = used();
    for (int i = 0; i < 1000; i++) {
        os_thread_create(&t[0], NULL, private_state, NULL);
        os_thread_join(t[0], NULL);
    }
    report(used() <= before + 1, "P5 a thousand threads leave nothing behind");
}

static void *sleeper(void *arg)
{
    os_sleep_until(os_deadline_ns(20000000));
    return arg;
}

static void test_time(void)
{
    const struct timespec ten_ms = {.tv_nsec = 10000000};
    struct timespec a, b;
    struct os_thread *t[8];
    uint64_t start;

    clock_gettime(CLOCK_MONOTONIC, &a);
    nanosleep(&ten_ms, NULL);
    clock_gettime(CLOCK_MONOTONIC, &b);
    report((b.tv_sec - a.tv_sec) * 1000000000 + b.tv_nsec - a.tv_nsec >= 10000000,
           "P9 nanosleep is not early");
    start = os_uptime_ns();
    for (int i = 0; i < 8; i++)
        os_thread_create(&t[i], NULL, sleeper, NULL);
    for (int i = 0; i < 8; i++)
        os_thread_join(t[i], NULL);
    report(os_uptime_ns() - start >= 20000000 && os_uptime_ns() - start < 160000000,
           "P9 threads sleep side by side");
}

/* ---- signals ---------------------------------------------------------------------------------------------- */

static void note(int sig)
{
    volatile double spoil = 3.0;

    spoil = spoil * 7.0 + sig;
    last_signal = sig;
}

static void test_signals(exo_handle_t event)
{
    double x = 1.0;
    bool good = true;
    uint64_t got;

    os_thread_pin(true); /* signals come to the main vcpu: there they interrupt us */
    signal(SIGUSR1, note);
    for (int i = 0; i < 100; i++) { /* each comes as an upcall, with x in an FP register */
        last_signal = 0;
        x += 0.5;
        exo_signal(event, 1ull << SIGUSR1);
        good &= last_signal == SIGUSR1;
    }
    report(good && x == 51.0, "P2 handlers disturb no registers");
    os_signals_hold();
    last_signal = 0;
    exo_signal(event, 1ull << SIGUSR1);
    good = last_signal == 0 && os_event_wait(1ull << OS_EVENT_LAST, EXO_FOREVER, true, &got) == -EINTR;
    os_signals_release();
    report(good && last_signal == SIGUSR1, "K28 a held signal ends the wait that follows");
    exo_signal(event, 1ull << OS_EVENT_LAST);
    report(os_event_wait(1ull << OS_EVENT_LAST, EXO_FOREVER, false, &got) == 0 && got == 1ull
                                                                                             << OS_EVENT_LAST,
           "an event that came before the wait");
}

int main(int argc, char **argv)
{
    int64_t event = exo_event_create(OS_HANDLE_VCPU, OS_EVENT_SIGNALS | 1ull << OS_EVENT_LAST);

    if (argc == 2)
        return fatal(argv[1]);
    test_start(argc, argv);
    test_map();
    test_private();
    test_large();
    test_heap();
    report(deep(3000) == 0, "P3 the stack grows");
    test_threads();
    test_spare();
    test_reclaim();
    test_unwilling();
    test_time();
    report(event > 0, "an event capability for ourselves");
    if (event > 0)
        test_signals((exo_handle_t)event);
    printf("core: %d failed\n", failures);
    return failures != 0;
}
