/* Benches of what an application feels, over the libOS: `key instructions` lines, as tests/bench/run collects them.
 * Under QEMU's -icount shift=0 a nanosecond of the guest's time is one instruction. */
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "os/mem.h"
#include "os/thread.h"
#include "tests/bench/mark.h"

#define PAGE 4096
#define FILE_PATH "/tmp/bench.dat"

extern char **environ;

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void must(int ok, const char *what)
{
    if (ok)
        return;
    perror(what);
    exit(1);
}

#define ROW(key, n, operation) ROW_PER(key, n, 1, operation)
/* A row of n rounds, each of which counts as `per` operations. */
#define ROW_PER(key, n, per, operation)                                                                      \
    do {                                                                                                     \
        uint64_t start_;                                                                                     \
        BENCH_BEGIN();                                                                                       \
        start_ = now_ns();                                                                                   \
        for (int i = 0; i < (n); i++) {                                                                      \
            operation;                                                                                       \
        }                                                                                                    \
        start_ = now_ns() - start_;                                                                          \
        BENCH_END();                                                                                         \
        print_row(key, start_, (n) * (per));                                                                 \
    } while (0)

static void print_row(const char *key, uint64_t ns, unsigned n)
{
    printf("%s %llu %u\n", key, (unsigned long long)((ns + n / 2) / n), n);
    fflush(stdout);
    BENCH_ROW();
}

static void bench_touch(void)
{
    const int pages = 512;
    volatile char *p =
        mmap(NULL, (size_t)pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    must(p != MAP_FAILED, "mmap");
    ROW("touch", pages, p[i * PAGE] = 1);
    munmap((void *)(uintptr_t)p, (size_t)pages * PAGE);
}

/* Pages that somebody else has as well, written one after the other. */
static void bench_cow(void)
{
    const struct os_map own = {.kind = OS_REGION_ANON,
                               .prot = EXO_PROT_READ | EXO_PROT_WRITE,
                               .flags = OS_MAP_POPULATE,
                               .npages = 512};
    struct os_map copy = {.kind = OS_REGION_PRIVATE, .prot = EXO_PROT_READ | EXO_PROT_WRITE, .npages = 512};
    volatile char *p;
    uint64_t va = 0;

    must(os_map_region(&own, &copy.source) == 0 && os_map_region(&copy, &va) == 0, "sharing");
    p = (volatile char *)(uintptr_t)va;
    ROW("cow", 512, p[i * PAGE] = 1);
    must(os_unmap(va, 512) == 0 && os_unmap(copy.source, 512) == 0, "unmapping");
}

static void on_signal(int signal_number)
{
    (void)signal_number;
}

static void bench_signal(void)
{
    signal(SIGUSR1, on_signal);
    ROW("sigself", 200, must(raise(SIGUSR1) == 0, "raise"));
}

static void *nothing(void *argument)
{
    return argument;
}

static void bench_thread(void)
{
    ROW("thread", 200, struct os_thread * thread;
        must(os_thread_create(&thread, NULL, nothing, NULL) == 0, "thread");
        must(os_thread_join(thread, NULL) == 0, "join"));
}

static pid_t start(const char *const argv[])
{
    pid_t pid;

    must(posix_spawn(&pid, argv[0], NULL, NULL, (char *const *)(uintptr_t)argv, environ) == 0, argv[0]);
    return pid;
}

static void finish(pid_t pid)
{
    int status;

    must(waitpid(pid, &status, 0) == pid, "waitpid");
}

static void bench_spawn(void)
{
    static const char *const argv[] = {"/bin/true", NULL};

    finish(start(argv));
    ROW("spawn", 20, finish(start(argv)));
}

/* The other end of the pipes: descriptors 3 and 4 until the first end closes. */
static int echo_main(int chunk)
{
    char *buffer = malloc((size_t)chunk);
    ssize_t n;

    while ((n = read(3, buffer, (size_t)chunk)) > 0)
        if (write(4, buffer, 1) != 1)
            return 1;
    return 0;
}

/* Reads BANDWIDTH bytes, answers with one, and so on. */
#define BANDWIDTH (1 << 20)
#define CHUNK (64 << 10)

static int sink_main(void)
{
    char *buffer = malloc(CHUNK);
    ssize_t n, sum = 0;

    while ((n = read(3, buffer, CHUNK)) > 0) {
        for (sum += n; sum >= BANDWIDTH; sum -= BANDWIDTH)
            if (write(4, buffer, 1) != 1)
                return 1;
    }
    return 0;
}

/* A process `bench role` that reads descriptor 3 and writes 4; 42 and 43 are the other ends. */
static pid_t start_behind_pipes(const char *role)
{
    const char *const argv[] = {"/bin/bench", role, NULL};
    int to[2], from[2];
    pid_t pid;

    must(pipe(to) == 0 && pipe(from) == 0, "pipe");
    must(dup2(to[0], 40) == 40 && dup2(from[1], 41) == 41 && dup2(to[1], 42) == 42 && dup2(from[0], 43) == 43,
         "dup2");
    for (int fd = 3; fd < 40; fd++)
        close(fd);
    must(dup2(40, 3) == 3 && dup2(41, 4) == 4, "dup2");
    close(40);
    close(41);
    fcntl(42, F_SETFD, FD_CLOEXEC);
    fcntl(43, F_SETFD, FD_CLOEXEC);
    pid = start(argv);
    close(3);
    close(4);
    return pid;
}

static void pipes_end(pid_t pid)
{
    close(42);
    close(43);
    finish(pid);
}

static void bench_pipe(void)
{
    pid_t pid = start_behind_pipes("echo");
    char byte = 0;

    ROW("pipe", 100, must(write(42, &byte, 1) == 1 && read(43, &byte, 1) == 1, "ping"));
    pipes_end(pid);
}

static void send_all(const char *buffer)
{
    char byte;

    for (int sent = 0; sent < BANDWIDTH; sent += CHUNK)
        for (ssize_t n = 0, more; n < CHUNK; n += more) {
            more = write(42, buffer + n, (size_t)(CHUNK - n));
            must(more > 0, "write");
        }
    must(read(43, &byte, 1) == 1, "read");
}

static void bench_bandwidth(void)
{
    pid_t pid = start_behind_pipes("sink");
    char *buffer = calloc(1, CHUNK);

    send_all(buffer);
    ROW_PER("pipe.kib", 4, BANDWIDTH / 1024, send_all(buffer));
    free(buffer);
    pipes_end(pid);
}

/* A page that can be lent to others: made, mapped a second time, touched there, unmapped, given back. */
static void shm_cycle(void)
{
    struct os_map page = {.kind = OS_REGION_ANON,
                          .prot = EXO_PROT_READ | EXO_PROT_WRITE,
                          .npages = 1,
                          .flags = OS_MAP_POPULATE};
    struct os_map again = {.kind = OS_REGION_SHARED, .prot = EXO_PROT_READ | EXO_PROT_WRITE, .npages = 1};
    uint64_t va = 0;

    must(os_map_region(&page, &again.source) == 0 && os_map_region(&again, &va) == 0, "sharing");
    *(volatile char *)(uintptr_t)va = 1;
    must(os_unmap(va, 1) == 0 && os_unmap(again.source, 1) == 0, "unmapping");
}

static void bench_shm(void)
{
    shm_cycle();
    ROW("shm", 100, shm_cycle());
}

static void bench_files(void)
{
    static char page[PAGE];
    struct stat st;
    int fd = open(FILE_PATH, O_CREAT | O_TRUNC | O_RDWR, 0600);

    must(fd >= 0 && write(fd, page, PAGE) == PAGE, FILE_PATH);
    close(fd);
    ROW("open", 100, fd = open(FILE_PATH, O_RDONLY); must(read(fd, page, PAGE) == PAGE, FILE_PATH);
        close(fd));
    fd = open(FILE_PATH, O_RDONLY);
    ROW("pread", 100, must(pread(fd, page, PAGE, 0) == PAGE, FILE_PATH));
    close(fd);
    ROW("stat", 100, must(stat(FILE_PATH, &st) == 0, FILE_PATH));
    unlink(FILE_PATH);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "echo") == 0)
        return echo_main(PAGE);
    if (argc > 1 && strcmp(argv[1], "sink") == 0)
        return sink_main();
    BENCH_END(); /* what came before is no row */
    BENCH_ROW();
    bench_touch();
    bench_cow();
    bench_signal();
    bench_thread();
    bench_pipe();
    bench_bandwidth();
    bench_shm();
    bench_files();
    bench_spawn();
    puts("bench: done");
    return 0;
}
