/* A kernel that does wrong on purpose: log.c, with a log_append that obeys what only a test writes.  It is linked into a
 * kernel of its own (boards/mk/tests.mk), and never into the one that ships. */
#include "log.h"

#include "hooks.h"

static void log_append_plain(struct cpu *cpu, const char *text, size_t len);

#define log_append log_append_plain
#include "log.c"
#undef log_append

/* Deeper until the stack is used up. */
__attribute__((noinline)) static unsigned dig(unsigned depth)
{
    volatile unsigned room[64];

    room[0] = depth;
    return depth == UINT32_MAX ? 0 : dig(depth + 1) + room[0];
}

static void touch(uint64_t address)
{
    volatile uint64_t *word = (volatile uint64_t *)address;

    *word = ~*word;
}

static void obey(uint64_t order, uint64_t address)
{
    if (order == HOOK_DIG)
        dig(0);
    if (order == HOOK_TOUCH_UNPROTECTED)
        __asm__ volatile(".inst 0xd500409f" : : : "memory"); /* MSR PAN, #0 */
    touch(address);
}

void log_append(struct cpu *cpu, const char *text, size_t len)
{
    struct hook hook;

    if (len != sizeof(hook)) {
        log_append_plain(cpu, text, len);
        return;
    }
    __builtin_memcpy(&hook, text, sizeof(hook));
    if (hook.magic == HOOK_MAGIC)
        obey(hook.order, hook.address);
}
