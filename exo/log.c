#include "log.h"

#include "cpu.h"
#include "exo/abi.h"
#include "panic.h"

#define CALLERS_MAX 16u

void log_append(struct cpu *cpu, const char *text, size_t len)
{
    struct exo_log *log = cpu->log;
    uint64_t size = (uint64_t)LOG_PAGES * PAGE_SIZE - sizeof(*log);
    uint64_t at;

    if (!log)
        return;
    at = log->written % size;
    for (size_t i = 0; i < len; i++) {
        log->text[at] = text[i];
        at = at + 1 == size ? 0 : at + 1;
    }
    log->written += len;
}

struct text {
    char *at, *end;
};

static void put(struct text *t, char c)
{
    if (t->at < t->end)
        *t->at++ = c;
}

static void put_text(struct text *t, const char *s)
{
    while (*s)
        put(t, *s++);
}

static void put_number(struct text *t, uint64_t n, unsigned base)
{
    char digits[20];
    unsigned len = 0;

    do {
        digits[len++] = "0123456789abcdef"[n % base];
        n /= base;
    } while (n);
    while (len)
        put(t, digits[--len]);
}

static void put_signed(struct text *t, int64_t n)
{
    uint64_t magnitude = (uint64_t)n;

    if (n < 0) {
        put(t, '-');
        magnitude = -magnitude;
    }
    put_number(t, magnitude, 10);
}

size_t format_text(char *out, size_t size, const char *format, va_list args)
{
    struct text t = {out, out + size - 1};

    for (const char *f = format; *f; f++) {
        bool wide = false;

        if (*f != '%') {
            put(&t, *f);
            continue;
        }
        if (*++f == 'l') {
            wide = true;
            f++;
        }
        if (*f == 's')
            put_text(&t, va_arg(args, const char *));
        else if (*f == 'c')
            put(&t, (char)va_arg(args, int));
        else if (*f == 'd')
            put_signed(&t, wide ? va_arg(args, long) : va_arg(args, int));
        else if (*f == 'u' || *f == 'x')
            put_number(&t, wide ? va_arg(args, unsigned long) : va_arg(args, unsigned), *f == 'x' ? 16 : 10);
        else
            put(&t, *f);
    }
    *t.at = 0;
    return (size_t)(t.at - out);
}

void klog(const char *format, ...)
{
    char line[160];
    va_list args;
    size_t len;

    va_start(args, format);
    len = format_text(line, sizeof(line) - 1, format, args);
    va_end(args);
    line[len++] = '\n';
    log_append(cpu_this(), line, len);
}

static void say(const char *text)
{
    size_t len = 0;

    while (text[len])
        len++;
    arch_console_write(text, len);
}

static void say_number(const char *format, ...)
{
    char line[32];
    va_list args;

    va_start(args, format);
    format_text(line, sizeof(line), format, args);
    va_end(args);
    say(line);
}

static void say_callers(void)
{
    uint64_t pcs[CALLERS_MAX];
    unsigned n = arch_callers(pcs, CALLERS_MAX);

    if (n)
        say("corbel: called from");
    for (unsigned i = 0; i < n; i++)
        say_number(" 0x%lx", (unsigned long)pcs[i]);
    if (n)
        say("\n");
}

/* A console that faults when it is written to, or a stack that is no more, brings us here again: then there is nothing left to
 * say. */
static _Noreturn void last_words(const char *prefix, const char *format, va_list args, bool callers)
{
    static struct cpu *speaker;
    struct cpu *nobody = NULL;
    char line[256];

    if (!__atomic_compare_exchange_n(&speaker, &nobody, cpu_this(), false, __ATOMIC_ACQ_REL,
                                     __ATOMIC_ACQUIRE)) {
        if (nobody == cpu_this())
            arch_stop(EXO_STOP_OFF);
        arch_cpu_stop(); /* another CPU was first, and stops the machine when it has spoken */
    }
    format_text(line, sizeof(line), format, args);
    say(prefix);
    say(line);
    say("\n");
    if (callers)
        say_callers();
    arch_stop(EXO_STOP_OFF);
}

void panic(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    last_words("\ncorbel: kernel panic: ", format, args, true);
}

void boot_fail(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    last_words("\ncorbel: ", format, args, false);
}
