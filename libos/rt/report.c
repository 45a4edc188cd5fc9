/* Saying what went wrong, and ending of it. */
#include "rt/thread_impl.h"

#include <signal.h>
#include <stdarg.h>

#include "os/exo.h"
#include "os/layout.h"
#include "os/proc.h"
#include "os/start.h"
#include "rt/format.h"

#define TEXT_MAX 256u
#define LOG_MAX 48u /* log_write */

static os_reporter *reporter; /* atomic */

void os_set_reporter(os_reporter *r)
{
    __atomic_store_n(&reporter, r, __ATOMIC_RELEASE);
}

static void log_text(const char *text, size_t len)
{
    while (len > 0) {
        size_t n = len < LOG_MAX ? len : LOG_MAX;
        union {
            char text[LOG_MAX];
            uint64_t w[LOG_MAX / 8];
        } u = {{0}};

        for (size_t i = 0; i < n; i++)
            u.text[i] = text[i];
        exo_log_write(n, u.w[0], u.w[1], u.w[2], u.w[3], u.w[4], u.w[5]);
        text += n;
        len -= n;
    }
}

void os_log(const char *fmt, ...)
{
    char text[TEXT_MAX];
    va_list args;

    va_start(args, fmt);
    log_text(text, rt_format(text, sizeof text, fmt, args));
    va_end(args);
}

/* Whether it was said where the user sees it. */
static bool say(const char *fmt, va_list args)
{
    os_reporter *r = __atomic_load_n(&reporter, __ATOMIC_ACQUIRE);
    char text[TEXT_MAX];
    size_t len = rt_format(text, sizeof text, fmt, args);
    bool said = r && r(text, len);

    if (!said)
        log_text(text, len);
    return said;
}

void os_report(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    (void)say(fmt, args);
    va_end(args);
}

/* ---- ends ----------------------------------------------------------------------------------------------- */

void rt_die_of_signal(int sig)
{
    for (;;)
        exo_env_exit(OS_EXIT_SIGNAL(sig));
}

/* init then says at least that much. */
static _Noreturn void die_unsaid(int sig)
{
    for (;;)
        exo_env_exit(OS_EXIT_SIGNAL(sig) + OS_EXIT_UNSAID);
}

static unsigned own_pid(void)
{
    const struct os_start *start = os_start_block();

    return start ? (unsigned)start->pid : 1;
}

static const char *own_name(void)
{
    const struct os_start *start = os_start_block();
    const char *path, *name;

    if (!start)
        return "init";
    path = name = (const char *)start + start->path;
    for (; *path; path++) {
        if (*path == '/')
            name = path + 1;
    }
    return name;
}

static const char *access_name(uint64_t access)
{
    if (access & EXO_PROT_EXEC)
        return "execution";
    return access & EXO_PROT_WRITE ? "write" : "read";
}

static const char *exception_name(uint64_t exception)
{
    static const char *const names[] = {
        [EXO_EXC_UNDEFINED] = "undefined instruction",
        [EXO_EXC_BREAKPOINT] = "breakpoint",
        [EXO_EXC_ALIGNMENT] = "misaligned access",
        [EXO_EXC_FP] = "floating point exception",
        [EXO_EXC_OTHER] = "exception",
    };

    return exception < ARRAY_LEN(names) && names[exception] ? names[exception] : "exception";
}

static bool __attribute__((format(printf, 1, 2))) last_words(const char *fmt, ...)
{
    va_list args;
    bool said;

    va_start(args, fmt);
    said = say(fmt, args);
    va_end(args);
    return said;
}

static bool report_fault(uint64_t reason, uint64_t info, uint64_t detail, const struct exo_regs *regs,
                         int error)
{
    if (reason == EXO_UPCALL_EXCEPTION)
        return last_words("pid %u (%s): %s at pc 0x%lx (syndrome 0x%lx)\n", own_pid(), own_name(),
                          exception_name(info), (unsigned long)regs->pc, (unsigned long)detail);
    if (error)
        return last_words("pid %u (%s): out of memory: %s of 0x%lx at pc 0x%lx: %s\n", own_pid(), own_name(),
                          access_name(detail), (unsigned long)info, (unsigned long)regs->pc,
                          exo_strerror(error));
    return last_words("pid %u (%s): page fault: %s of 0x%lx at pc 0x%lx, sp 0x%lx\n", own_pid(), own_name(),
                      access_name(detail), (unsigned long)info, (unsigned long)regs->pc,
                      (unsigned long)regs->sp);
}

/* One vcpu reports; if it fails again, for instance for lack of memory, that is all.  Another that fails meanwhile waits
 * for the end, upcalls masked. */
static void claim_report(const struct rt_vcpu *me, int sig)
{
    uint32_t nobody = 0;

    if (__atomic_compare_exchange_n(&rt.dying, &nobody, me->index + 1, false, __ATOMIC_ACQ_REL,
                                    __ATOMIC_ACQUIRE))
        return;
    if (nobody == me->index + 1)
        die_unsaid(sig);
    for (;;)
        (void)exo_wait(0, EXO_FOREVER);
}

/* Called in the upcall, and stays on its stack; upcalls from now on (the reporter may touch new pages) get the
 * lower half of it. */
void rt_report_fault(int sig, uint64_t reason, uint64_t info, uint64_t detail, const struct exo_regs *regs)
{
    struct exo_vcpu_page *page = os_vcpu();
    struct rt_vcpu *me = rt_vcpu_of(page);
    struct exo_regs copy = *regs;
    int error = me->fault_error;

    claim_report(me, sig);
    me->current->hold++;
    page->upcall_sp -= OS_UPCALL_STACK_PAGES * PAGE_SIZE / 2;
    __atomic_store_n(&page->upcall_masked, 0, __ATOMIC_RELEASE);
    if (error && reason == EXO_UPCALL_FAULT)
        rt_memory->give_up(info);
    if (!report_fault(reason, info, detail, &copy, error))
        die_unsaid(sig);
    rt_die_of_signal(sig);
}
