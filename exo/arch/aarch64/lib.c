/* The few functions of the C library that the compiler and libfdt call. */
#include "base/types.h"

void *memcpy(void *restrict to, const void *restrict from, size_t n);
void *memmove(void *to, const void *from, size_t n);
void *memset(void *to, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
void *memchr(const void *s, int c, size_t n);
size_t strlen(const char *s);
size_t strnlen(const char *s, size_t n);
int strcmp(const char *a, const char *b);
char *strchr(const char *s, int c);
char *strrchr(const char *s, int c);
unsigned long strtoul(const char *s, char **end, int base);
_Noreturn void __stack_chk_fail(void);

#include "panic.h"

uint64_t __stack_chk_guard = 0x595e9fbd94fda766; /* libfdt may have been built to look at it */

void __stack_chk_fail(void)
{
    panic("a stack frame was overwritten");
}

void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
    char *t = to;
    const char *f = from;

    if ((((uint64_t)t | (uint64_t)f) & 7) == 0)
        for (; n >= 8; n -= 8, t += 8, f += 8)
            *(uint64_t *)(void *)t = *(const uint64_t *)(const void *)f;
    while (n--)
        *t++ = *f++;
    return to;
}

void *memmove(void *to, const void *from, size_t n)
{
    char *t = to;
    const char *f = from;

    if (t < f)
        while (n--)
            *t++ = *f++;
    else
        while (n--)
            t[n] = f[n];
    return to;
}

void *memset(void *to, int c, size_t n)
{
    const uint64_t word = (unsigned char)c * 0x0101010101010101ull;
    char *t = to;

    if (((uint64_t)t & 7) == 0)
        for (; n >= 8; n -= 8, t += 8)
            *(uint64_t *)(void *)t = word;
    while (n--)
        *t++ = (char)c;
    return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
    const unsigned char *x = a, *y = b;

    for (; n; n--, x++, y++)
        if (*x != *y)
            return *x - *y;
    return 0;
}

void *memchr(const void *s, int c, size_t n)
{
    const unsigned char *at = s;

    for (; n; n--, at++)
        if (*at == (unsigned char)c)
            return (void *)(uintptr_t)at;
    return NULL;
}

size_t strnlen(const char *s, size_t n)
{
    size_t len = 0;

    while (len < n && s[len])
        len++;
    return len;
}

size_t strlen(const char *s)
{
    return strnlen(s, SIZE_MAX);
}

int strcmp(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return (unsigned char)*a - (unsigned char)*b;
}

char *strchr(const char *s, int c)
{
    for (; *s != (char)c; s++)
        if (!*s)
            return NULL;
    return (char *)(uintptr_t)s;
}

char *strrchr(const char *s, int c)
{
    const char *last = NULL;

    do {
        if (*s == (char)c)
            last = s;
    } while (*s++);
    return (char *)(uintptr_t)last;
}

/* As far as libfdt needs it: decimal, for the unit in an alias. */
unsigned long strtoul(const char *s, char **end, int base)
{
    unsigned long n = 0;

    for (; *s >= '0' && *s <= '9'; s++)
        n = n * (unsigned long)base + (unsigned long)(*s - '0');
    if (end)
        *end = (char *)(uintptr_t)s;
    return n;
}
