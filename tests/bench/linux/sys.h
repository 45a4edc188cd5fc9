/* Freestanding AArch64 Linux user side: raw system calls, start-up, clock,
 * printing.  No libc, so a measured operation is the kernel plus a few
 * instructions of loop. */
#ifndef SYS_H
#define SYS_H
#include <asm/fcntl.h>
#include <asm/ioctls.h>
#include <asm/signal.h>
#include <asm/siginfo.h>
#include <asm/sigcontext.h>
#include <asm/ucontext.h>
#include <asm/unistd.h>
#include <linux/eventpoll.h>
#include <linux/fcntl.h>
#include <linux/futex.h>
#include <linux/mman.h>
#include <linux/reboot.h>
#include <linux/sched.h>
#include <linux/time.h>

typedef unsigned long u64;
typedef unsigned int u32;

/* One inline function per number of arguments, always inlined. */
#define SVC(nr, ...)                                                                                         \
    register long x8 asm("x8") = nr;                                                                         \
    asm volatile("svc #0" : "+r"(x0) : "r"(x8), ##__VA_ARGS__ : "memory", "cc");                             \
    return x0
#define R_(i, v) register long x##i asm("x" #i) = v
#define FN_ static inline __attribute__((always_inline)) long
FN_ sc0(long n)
{
    R_(0, 0);
    SVC(n);
}
FN_ sc1(long n, long a)
{
    R_(0, a);
    SVC(n);
}
FN_ sc2(long n, long a, long b)
{
    R_(0, a);
    R_(1, b);
    SVC(n, "r"(x1));
}
FN_ sc3(long n, long a, long b, long c)
{
    R_(0, a);
    R_(1, b);
    R_(2, c);
    SVC(n, "r"(x1), "r"(x2));
}
FN_ sc4(long n, long a, long b, long c, long d)
{
    R_(0, a);
    R_(1, b);
    R_(2, c);
    R_(3, d);
    SVC(n, "r"(x1), "r"(x2), "r"(x3));
}
FN_ sc5(long n, long a, long b, long c, long d, long e)
{
    R_(0, a);
    R_(1, b);
    R_(2, c);
    R_(3, d);
    R_(4, e);
    SVC(n, "r"(x1), "r"(x2), "r"(x3), "r"(x4));
}
FN_ sc6(long n, long a, long b, long c, long d, long e, long f)
{
    R_(0, a);
    R_(1, b);
    R_(2, c);
    R_(3, d);
    R_(4, e);
    R_(5, f);
    SVC(n, "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5));
}
#define L_(v) ((long)(v))
#define SC0(n) sc0(n)
#define SC1(n, a) sc1(n, L_(a))
#define SC2(n, a, b) sc2(n, L_(a), L_(b))
#define SC3(n, a, b, c) sc3(n, L_(a), L_(b), L_(c))
#define SC4(n, a, b, c, d) sc4(n, L_(a), L_(b), L_(c), L_(d))
#define SC5(n, a, b, c, d, e) sc5(n, L_(a), L_(b), L_(c), L_(d), L_(e))
#define SC6(n, a, b, c, d, e, f) sc6(n, L_(a), L_(b), L_(c), L_(d), L_(e), L_(f))
#define SCX(_1, _2, _3, _4, _5, _6, _7, name, ...) name
/* sys(getppid), sys(read, fd, buf, n), ... : negative errno on failure. */
#define sys(name, ...) SCX(0, ##__VA_ARGS__, SC6, SC5, SC4, SC3, SC2, SC1, SC0)(__NR_##name, ##__VA_ARGS__)

/* Generic timer.  Under QEMU -icount shift=0 one instruction is one virtual
 * nanosecond and the counter runs at 62.5 MHz: one tick is 16 instructions. */
static inline u64 now(void)
{
    u64 t;
    asm volatile("isb; mrs %0, cntvct_el0" : "=r"(t) : : "memory");
    return t;
}

static inline u64 tick_ns(void)
{
    u64 f;
    asm volatile("mrs %0, cntfrq_el0" : "=r"(f));
    return 1000000000 / f;
}

/* clone(2) whose child runs fn on its own stack, then exits. */
long clone_fn(u64 flags, void *stack, void *ptid, u64 tls, void *ctid, void (*fn)(void));
asm(".globl _start\n_start: mov x0, sp\n b start_c\n"
    "clone_fn: mov x8, #220\n svc #0\n cbz x0, 1f\n ret\n"
    "1: blr x5\n mov x0, #0\n mov x8, #93\n svc #0\n");

static inline long fork(void)
{
    return sys(clone, SIGCHLD, 0, 0, 0, 0);
}

static inline u64 slen(const char *s)
{
    u64 n = 0;
    while (s[n])
        n++;
    return n;
}
static inline void put(const char *s)
{
    sys(write, 1, s, slen(s));
}
static inline void putn(u64 v)
{
    char b[24], *p = b + 23;
    *p = 0;
    do
        *--p = '0' + v % 10;
    while (v /= 10);
    put(p);
}
static void __attribute__((noreturn)) power_off(void)
{
    for (;;)
        sys(reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_POWER_OFF, 0);
}
static inline void must(long ok, const char *what)
{
    if (ok)
        return;
    put("FAILED "), put(what), put("\n");
    power_off();
}
static inline void reap(long pid) /* a child that did well, or that we killed */
{
    int status = -1;
    sys(wait4, pid, &status, 0, 0);
    must(status == 0 || status == SIGKILL, "child");
}
#endif
