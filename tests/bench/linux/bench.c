/* /init of the Linux baseline: costs of operating-system primitives, in guest
 * instructions per operation (QEMU -icount shift=0), one line each.
 *
 *   name  median min mean max  idle  switches
 *
 * over REPS repetitions of n operations after one warm-up repetition.  idle:
 * times the CPU went idle while the repetitions ran; it must be 0, because
 * idle time moves the counter without executing anything. */
#include "sys.h"

#define REPS 21
#define PAGE 4096
#define MIB (1 << 20)

#define LOOP(n, op)                                                                                          \
    ({                                                                                                       \
        u64 t0_ = now();                                                                                     \
        for (long i = 0; i < (n); i++) {                                                                     \
            op;                                                                                              \
        }                                                                                                    \
        now() - t0_;                                                                                         \
    })

static char *buf;               /* 64 KiB, touched */
static volatile struct shared { /* one page, shared with children */
    u64 t;                      /* result of a child */
    u64 yields, turns;
    u32 word, last;
} * sh;
static u64 switches; /* per 1000 operations, where counted */
static int p1[2], p2[2], ep1, ep2;

static char *map(u64 len, long flags)
{
    char *p = (char *)sys(mmap, 0, len, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | flags, -1, 0);
    must((u64)p < -4095UL, "mmap");
    sys(madvise, p, len, MADV_NOHUGEPAGE);
    return p;
}
static void touch(char *p, long pages)
{
    for (long i = 0; i < pages; i++)
        *(volatile char *)(p + i * PAGE) = 1;
}

/* --- method check: 2 instructions, exactly, per iteration --- */
static u64 b_loop2(long n)
{
    u64 t0 = now();
    asm volatile("1: subs %0, %0, #1\n b.ne 1b" : "+r"(n) : : "cc");
    return now() - t0;
}

/* --- system call, memory --- */
static u64 b_null(long n)
{
    return LOOP(n, sys(getppid));
}

static u64 b_fault(long n) /* n pages, first write to each */
{
    char *p = map(n * PAGE, MAP_PRIVATE);
    u64 t0 = now();
    touch(p, n);
    t0 = now() - t0;
    sys(munmap, p, n * PAGE);
    return t0;
}
static u64 b_cow(long n) /* n pages, written by the child of a fork */
{
    char *p = map(n * PAGE, MAP_PRIVATE);
    touch(p, n);
    long pid = fork();
    if (!pid) {
        u64 t0 = now();
        touch(p, n);
        sh->t = now() - t0;
        sys(exit_group, 0);
    }
    reap(pid);
    sys(munmap, p, n * PAGE);
    return sh->t;
}
static u64 map_cycle(long n, long pages, long touched)
{
    return LOOP(n, char *p = (char *)sys(mmap, 0, pages * PAGE, PROT_READ | PROT_WRITE,
                                         MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
                touch(p, touched); sys(munmap, p, pages * PAGE));
}
static u64 b_map1(long n)
{
    return map_cycle(n, 1, 0);
}
static u64 b_map64(long n)
{
    return map_cycle(n, 64, 64);
}

/* --- user-level virtual memory (Appel and Li, 1991) --- */
#define VM 100 /* pages */
static char *vm;
static int next; /* appel1: page that is protected */
static int perm(int i)
{
    return i * 37 % VM;
} /* a fixed shuffle: 37 is prime to 100 */
static void prot(int first, int pages, int how)
{
    sys(mprotect, vm + first * PAGE, pages * PAGE, how);
}
#define RO PROT_READ
#define RW (PROT_READ | PROT_WRITE)
static int fault_page(siginfo_t *si)
{
    return ((char *)si->si_addr - vm) / PAGE;
}

static void on_skip(int s, siginfo_t *si, struct ucontext *uc)
{
    (void)s, (void)si;
    uc->uc_mcontext.pc += 4;
}
static void on_unprot(int s, siginfo_t *si, struct ucontext *uc)
{
    (void)s, (void)uc;
    prot(fault_page(si), 1, RW);
}
static void on_swap(int s, siginfo_t *si, struct ucontext *uc)
{
    (void)s, (void)uc;
    prot(perm(++next % VM), 1, RO);
    prot(fault_page(si), 1, RW);
}
static void on_nothing(int s, siginfo_t *si, struct ucontext *uc)
{
    (void)s, (void)si, (void)uc;
}

static void handle(int sig, void (*fn)(int, siginfo_t *, struct ucontext *))
{
    struct sigaction sa = {.sa_handler = (void *)fn, .sa_flags = SA_SIGINFO};
    must(sys(rt_sigaction, sig, &sa, 0, 8) == 0, "sigaction");
}
static void vm_begin(void (*fn)(int, siginfo_t *, struct ucontext *))
{
    vm = map(VM * PAGE, MAP_PRIVATE);
    touch(vm, VM);
    handle(SIGSEGV, fn);
}
static u64 vm_end(u64 t)
{
    sys(munmap, vm, VM * PAGE);
    return t;
}

static u64 prot_cycle(long n, int pages, int timed)
{
    u64 t = 0;
    vm_begin(on_skip);
    for (long i = 0; i < n; i++) { /* a different page each time */
        int first = pages == 1 ? perm(i % VM) : 0;
        u64 a = now();
        prot(first, pages, RO);
        u64 b = now();
        prot(first, pages, RW);
        t += timed == RO ? b - a : now() - b;
        touch(vm + first * PAGE, pages);
    }
    return vm_end(t);
}
static u64 b_prot1(long n)
{
    return prot_cycle(n, 1, RO);
}
static u64 b_unprot1(long n)
{
    return prot_cycle(n, 1, RW);
}
static u64 b_prot100(long n)
{
    return prot_cycle(n, VM, RO);
}
static u64 b_unprot100(long n)
{
    return prot_cycle(n, VM, RW);
}

static u64 b_trap(long n)
{
    vm_begin(on_skip);
    prot(0, VM, RO);
    return vm_end(LOOP(n, *(volatile char *)vm = 1));
}
static u64 b_appel1(long n) /* per trap: protect one page, unprotect another */
{
    vm_begin(on_swap);
    next = 0;
    prot(perm(0), 1, RO);
    u64 t = LOOP(n, *(volatile char *)(vm + perm(i % VM) * PAGE) = 1);
    must(next == n, "one fault per access");
    return vm_end(t);
}
static u64 b_appel2(long n) /* per page: protect 100, trap, unprotect it */
{
    vm_begin(on_unprot);
    return vm_end(
        LOOP(n, prot(0, VM, RO); for (int k = 0; k < VM; k++) * (volatile char *)(vm + perm(k) * PAGE) = 1));
}
static u64 b_signal(long n)
{
    long pid = sys(getpid);
    handle(SIGUSR1, on_nothing);
    return LOOP(n, sys(kill, pid, SIGUSR1));
}

/* --- two processes on one CPU --- */
static u64 pingpong(long n, void (*us)(void), void (*them)(void))
{
    long pid = fork();
    if (!pid)
        for (;;)
            them();
    for (int i = 0; i < 10; i++)
        us();
    sh->yields = sh->turns = 0;
    u64 t = LOOP(n, us());
    sys(kill, pid, SIGKILL);
    reap(pid);
    return t;
}
static void close4(void)
{
    sys(close, p1[0]), sys(close, p1[1]), sys(close, p2[0]), sys(close, p2[1]);
}

static void pipe_us(void)
{
    sys(write, p1[1], buf, 1);
    sys(read, p2[0], buf, 1);
}
static void pipe_them(void)
{
    sys(read, p1[0], buf, 1);
    sys(write, p2[1], buf, 1);
}
static u64 b_pipe(long n)
{
    sys(pipe2, p1, 0), sys(pipe2, p2, 0);
    u64 t = pingpong(n, pipe_us, pipe_them);
    close4();
    return t;
}
static long msg;
static void sock_us(void)
{
    sys(write, p1[0], buf, msg);
    sys(read, p1[0], buf, msg);
}
static void sock_them(void)
{
    sys(read, p1[1], buf, msg);
    sys(write, p1[1], buf, msg);
}
static u64 sock(long n, long size)
{
    msg = size;
    sys(socketpair, 1 /* AF_UNIX */, 1 /* SOCK_STREAM */, 0, p1);
    u64 t = pingpong(n, sock_us, sock_them);
    sys(close, p1[0]), sys(close, p1[1]);
    return t;
}
static u64 b_sock8(long n)
{
    return sock(n, 8);
}
static u64 b_sock4k(long n)
{
    return sock(n, 4096);
}

static void turn(u32 mine, u32 yours)
{
    while (sh->word != mine)
        sys(futex, &sh->word, FUTEX_WAIT, yours, 0, 0, 0);
    sh->word = yours;
    sys(futex, &sh->word, FUTEX_WAKE, 1, 0, 0, 0);
}
static void futex_us(void)
{
    turn(0, 1);
    while (sh->word)
        sys(futex, &sh->word, FUTEX_WAIT, 1, 0, 0, 0);
}
static void futex_them(void)
{
    turn(1, 0);
}
static u64 b_futex(long n)
{
    sh->word = 0;
    return pingpong(n, futex_us, futex_them);
}

static void yield_as(u32 who)
{
    if (sh->last != who)
        sh->last = who, sh->turns++; /* the other one ran since */
    sh->yields++;
    sys(sched_yield);
}
static void yield_us(void)
{
    yield_as(1);
}
static void yield_them(void)
{
    yield_as(2);
}
static u64 yields(long n, int policy) /* per yield, whoever made it */
{
    int prio = policy == SCHED_FIFO;
    must(sys(sched_setscheduler, 0, policy, &prio) == 0, "setscheduler");
    u64 t = pingpong(n, yield_us, yield_them);
    prio = 0;
    sys(sched_setscheduler, 0, SCHED_NORMAL, &prio);
    switches = 1000 * sh->turns / sh->yields;
    return t * n / sh->yields;
}
static u64 b_yield(long n)
{
    return yields(n, SCHED_NORMAL);
}
static u64 b_yield_fifo(long n)
{
    return yields(n, SCHED_FIFO);
}

static struct epoll_event ev;
static void ev_wait(int ep, int fd)
{
    sys(epoll_pwait, ep, &ev, 1, -1, 0, 8);
    sys(read, fd, buf, 8);
}
static void ev_us(void)
{
    sys(write, p1[0], buf, 8);
    ev_wait(ep2, p2[0]);
}
static void ev_them(void)
{
    ev_wait(ep1, p1[0]);
    sys(write, p2[0], buf, 8);
}
static void ev_self(void)
{
    sys(write, p1[0], buf, 8);
    ev_wait(ep1, p1[0]);
}
static int ev_open(int *fd)
{
    struct epoll_event e = {.events = EPOLLIN};
    int ep = sys(epoll_create1, 0);
    *fd = sys(eventfd2, 0, 0);
    must(sys(epoll_ctl, ep, EPOLL_CTL_ADD, *fd, &e) == 0, "epoll");
    return ep;
}
static u64 ev_run(long n, int self)
{
    *(u64 *)buf = 1;
    ep1 = ev_open(&p1[0]), ep2 = ev_open(&p2[0]);
    u64 t = self ? LOOP(n, ev_self()) : pingpong(n, ev_us, ev_them);
    sys(close, ep1), sys(close, ep2), sys(close, p1[0]), sys(close, p2[0]);
    return t;
}
static u64 b_epoll(long n)
{
    return ev_run(n, 0);
}
static u64 b_epoll_self(long n)
{
    return ev_run(n, 1);
}

static void bw_us(void) /* take 4 MiB */
{
    sys(write, p1[1], buf, 1);
    for (long left = 4 * MIB; left > 0;)
        left -= sys(read, p2[0], buf, 65536);
}
static void bw_them(void)
{
    sys(read, p1[0], buf, 1);
    for (int i = 0; i < 64; i++)
        sys(write, p2[1], buf, 65536);
}
static u64 b_pipebw(long n)
{
    sys(pipe2, p1, 0), sys(pipe2, p2, 0);
    u64 t = pingpong(n, bw_us, bw_them);
    close4();
    return t;
}
static u64 b_pipe_self(long n)
{
    sys(pipe2, p1, 0);
    u64 t = LOOP(n, sys(write, p1[1], buf, PAGE); sys(read, p1[0], buf, PAGE));
    sys(close, p1[0]), sys(close, p1[1]);
    return t;
}

/* --- processes and threads --- */
static void run_tiny(void)
{
    sys(execve, "/tiny", 0, 0);
}
static u64 b_fork(long n)
{
    return LOOP(n, long pid = fork(); if (!pid) sys(exit_group, 0); reap(pid));
}
static u64 b_forkexec(long n)
{
    return LOOP(
        n, long pid = fork(); if (!pid) {
            run_tiny();
            sys(exit_group, 1);
        } reap(pid));
}
static u64 b_vforkexec(long n)
{
    return LOOP(n, reap(clone_fn(CLONE_VM | CLONE_VFORK | SIGCHLD, buf + 65536, 0, 0, 0, run_tiny)));
}
static void nothing(void)
{
}
static u64 b_thread(long n)
{
    static volatile u32 tid;
    const u64 flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |
                      CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;
    return LOOP(n, clone_fn(flags, buf + 65536, (void *)&tid, 0, (void *)&tid, nothing);
                for (u32 v; (v = tid) != 0;) sys(futex, &tid, FUTEX_WAIT, v, 0, 0, 0));
}

/* --- files on tmpfs --- */
static u64 b_open(long n)
{
    return LOOP(n, long fd = sys(openat, AT_FDCWD, "/t/f", O_RDONLY, 0); sys(read, fd, buf, PAGE);
                sys(close, fd));
}
static int file(void)
{
    int fd = sys(openat, AT_FDCWD, "/t/f", O_RDWR | O_CREAT, 0600);
    must(fd >= 0 && sys(pwrite64, fd, buf, PAGE, 0) == PAGE, "/t/f");
    return fd;
}
static u64 b_pread(long n)
{
    int fd = file();
    u64 t = LOOP(n, sys(pread64, fd, buf, PAGE, 0));
    sys(close, fd);
    return t;
}
static u64 b_pwrite(long n)
{
    int fd = file();
    u64 t = LOOP(n, sys(pwrite64, fd, buf, PAGE, 0));
    sys(close, fd);
    return t;
}
static u64 b_stat(long n)
{
    return LOOP(n, sys(newfstatat, AT_FDCWD, "/t/f", buf, 0));
}
static u64 b_shm(long n)
{
    return LOOP(n, long fd = sys(openat, AT_FDCWD, "/dev/shm/x", O_RDWR | O_CREAT | O_EXCL, 0600);
                sys(ftruncate, fd, PAGE); char *p = (char *)sys(mmap, 0, PAGE, RW, MAP_SHARED, fd, 0);
                *(volatile char *)p = 1; sys(munmap, p, PAGE); sys(close, fd);
                sys(unlinkat, AT_FDCWD, "/dev/shm/x", 0));
}

static const struct bench {
    const char *name;
    u64 (*fn)(long n);
    long n, per; /* calls in a repetition, operations in a call */
} benches[] = {
    {"check.loop2", b_loop2, 500000, 1},
    {"syscall.null", b_null, 2000, 1},
    {"fault.anon", b_fault, 1024, 1},
    {"fault.cow", b_cow, 1024, 1},
    {"mmap1+munmap", b_map1, 1500, 1},
    {"mmap64+touch+munmap", b_map64, 20, 1},
    {"vm.trap", b_trap, 500, 1},
    {"vm.prot1", b_prot1, 1500, 1},
    {"vm.unprot1", b_unprot1, 1500, 1},
    {"vm.prot100", b_prot100, 50, 1},
    {"vm.unprot100", b_unprot100, 50, 1},
    {"vm.prot1+trap+unprot", b_appel1, 500, 1},
    {"vm.prot100+trap+unprot", b_appel2, 5, VM},
    {"signal.self", b_signal, 500, 1},
    {"pingpong.pipe", b_pipe, 200, 1},
    {"pingpong.sock8", b_sock8, 200, 1},
    {"pingpong.sock4k", b_sock4k, 200, 1},
    {"pingpong.futex", b_futex, 200, 1},
    {"pingpong.epoll", b_epoll, 200, 1},
    {"epoll.self", b_epoll_self, 500, 1},
    {"yield.other", b_yield, 500, 1},
    {"yield.fifo", b_yield_fifo, 500, 1},
    {"pipe.bw_per_KiB", b_pipebw, 1, 4096},
    {"pipe.self4k", b_pipe_self, 500, 1},
    {"fork+exit+wait", b_fork, 100, 1},
    {"fork+exec+wait", b_forkexec, 50, 1},
    {"vfork+exec+wait", b_vforkexec, 50, 1},
    {"thread+join", b_thread, 200, 1},
    {"tmpfs.open+read4k+close", b_open, 500, 1},
    {"tmpfs.pread4k", b_pread, 500, 1},
    {"tmpfs.pwrite4k", b_pwrite, 500, 1},
    {"tmpfs.stat", b_stat, 500, 1},
    {"shm.cycle", b_shm, 100, 1},
};

static int starts(const char *s, const char *with)
{
    while (*with && *s == *with)
        s++, with++;
    return !*with;
}

/* ".idle_calls     : 123" in /proc/timer_list */
static u64 timer_stat(const char *key)
{
    static char text[16384];
    u64 n = 0, v = 0;
    int fd = sys(openat, AT_FDCWD, "/proc/timer_list", O_RDONLY, 0);
    for (long got; (got = sys(read, fd, text + n, sizeof text - 1 - n)) > 0;)
        n += got;
    sys(close, fd);
    text[n] = 0;
    char *p = text;
    while (*p && !starts(p, key))
        p++;
    must(*p, key);
    while (*p < '0' || *p > '9')
        p++;
    for (; *p >= '0' && *p <= '9'; p++)
        v = v * 10 + *p - '0';
    return v;
}

static void put_per(u64 ns, u64 ops) /* one decimal */
{
    u64 v = (ns * 10 + ops / 2) / ops;
    put(" "), putn(v / 10), put("."), putn(v % 10);
}

static void measure(const struct bench *b)
{
    u64 t[REPS], sum = 0, ops = b->n * b->per;
    switches = 0;
    b->fn(b->n);
    u64 idle = timer_stat(".idle_calls");
    for (int r = 0; r < REPS; r++)
        t[r] = b->fn(b->n) * tick_ns();
    idle = timer_stat(".idle_calls") - idle;
    for (int r = 1; r < REPS; r++) /* sort */
        for (int k = r; k && t[k - 1] > t[k]; k--) {
            u64 x = t[k];
            t[k] = t[k - 1], t[k - 1] = x;
        }
    for (int r = 0; r < REPS; r++)
        sum += t[r];
    put(b->name);
    put_per(t[REPS / 2], ops), put_per(t[0], ops);
    put_per(sum, ops * REPS), put_per(t[REPS - 1], ops);
    put(" "), putn(idle), put(" "), putn(switches), put("\n");
    sys(ioctl, 1, TCSBRK, 1); /* let the console drain */
}

static void cat(const char *path)
{
    int fd = sys(openat, AT_FDCWD, path, O_RDONLY, 0);
    long n = sys(read, fd, buf, 4096);
    put("# "), put(path), put(": ");
    sys(write, 1, n > 0 ? buf : "-\n", n > 0 ? n : 2);
    sys(close, fd);
}

void __attribute__((noreturn)) start_c(u64 *sp);
void start_c(u64 *sp)
{
    u64 boot = now() * tick_ns(); /* the counter started with the machine */
    put("boot "), putn(boot), put("\n");
    const char *only = ""; /* kernel argument only=vm. : run only vm.* */
    for (char **env = (char **)(sp + 2 + sp[0]); *env; env++)
        if (starts(*env, "only="))
            only = *env + 5;

    buf = map(65536, MAP_PRIVATE);
    touch(buf, 16);
    sh = (void *)map(PAGE, MAP_SHARED);
    sh->t = 0;
    static const char *const mounts[][2] = {
        {"proc", "/proc"},
        {"sysfs", "/sys"},
        {"tmpfs", "/t"},
        {"tmpfs", "/dev/shm"},
    };
    sys(mkdirat, AT_FDCWD, "/dev", 0755);
    for (int i = 0; i < 4; i++) {
        sys(mkdirat, AT_FDCWD, mounts[i][1], 0755);
        must(sys(mount, mounts[i][0], mounts[i][1], mounts[i][0], 0, 0) == 0, mounts[i][1]);
    }
    put("# idle before first line, ns: "), putn(timer_stat(".idle_sleeptime")), put("\n");
    cat("/proc/version"), cat("/proc/cmdline");
    cat("/sys/devices/system/cpu/vulnerabilities/meltdown");
    cat("/sys/devices/system/cpu/vulnerabilities/spectre_v1");
    cat("/sys/devices/system/cpu/vulnerabilities/spectre_v2");
    cat("/sys/devices/system/cpu/vulnerabilities/spec_store_bypass");
    sys(close, file());
    /* Unseeded, the kernel stirs its whole generator at every system call. */
    must(sys(getrandom, buf, 8, 1 /* GRND_NONBLOCK */) == 8, "random generator not seeded");

    struct __kernel_timespec settle = {.tv_sec = 3};
    sys(nanosleep, &settle, 0); /* let kernel start-up work finish */
    put("# idle calls and ns after a sleep of 3 s: "), putn(timer_stat(".idle_calls"));
    put(" "), putn(timer_stat(".idle_sleeptime")), put("\n");
    for (u64 i = 0; i < sizeof benches / sizeof *benches; i++)
        if (starts(benches[i].name, only))
            measure(&benches[i]);
    put("done\n");
    sys(ioctl, 1, TCSBRK, 1);
    power_off();
}
