#include "rt/format.h"

#include <stdbool.h>
#include <stdint.h>

struct out {
    char *at, *end; /* end: where the final 0 must fit */
};

static void put(struct out *o, char c)
{
    if (o->at < o->end)
        *o->at++ = c;
}

static void put_string(struct out *o, const char *s)
{
    for (s = s ? s : "(null)"; *s; s++)
        put(o, *s);
}

static void put_number(struct out *o, uint64_t n, unsigned base)
{
    char digits[20];
    unsigned count = 0;

    do
        digits[count++] = "0123456789abcdef"[n % base];
    while (n /= base);
    while (count > 0)
        put(o, digits[--count]);
}

static void put_signed(struct out *o, int64_t n)
{
    if (n < 0)
        put(o, '-');
    put_number(o, n < 0 ? 0 - (uint64_t)n : (uint64_t)n, 10);
}

/* One conversion, without its '%' and length; false: not known. */
static bool convert(struct out *o, char kind, bool wide, va_list *args)
{
    switch (kind) {
    case 's':
        put_string(o, va_arg(*args, const char *));
        return true;
    case 'c':
        put(o, (char)va_arg(*args, int));
        return true;
    case 'd':
        put_signed(o, wide ? va_arg(*args, long) : va_arg(*args, int));
        return true;
    case 'p':
        put_string(o, "0x");
        put_number(o, (uintptr_t)va_arg(*args, void *), 16);
        return true;
    case 'u':
    case 'x':
        put_number(o, wide ? va_arg(*args, unsigned long) : va_arg(*args, unsigned), kind == 'x' ? 16 : 10);
        return true;
    case '%':
        put(o, '%');
        return true;
    default:
        return false;
    }
}

size_t rt_format(char *buf, size_t size, const char *fmt, va_list args)
{
    struct out o = {buf, buf + size - 1};
    va_list ap;

    va_copy(ap, args);
    for (; *fmt; fmt++) {
        const char *at = fmt;
        bool wide = false;

        if (*fmt != '%') {
            put(&o, *fmt);
            continue;
        }
        for (at++; *at == 'l' || *at == 'z'; at++)
            wide = true;
        if (*at && convert(&o, *at, wide, &ap))
            fmt = at;
        else
            put(&o, '%');
    }
    va_end(ap);
    *o.at = 0;
    return (size_t)(o.at - buf);
}
