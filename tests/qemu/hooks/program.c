/* The first program of the kernel with hooks: gives one order, and ends with what its word is then. */
#include "hooks.h"
#include "os/exo.h"

_Noreturn void _start(void);

_Noreturn void _start(void)
{
    volatile uint64_t word = ~(uint64_t)0x600d;

    exo_log_write(sizeof(struct hook), HOOK_MAGIC, HOOK_ORDER, (uint64_t)&word, 0, 0, 0);
    exo_env_exit(word);
    for (;;)
        ;
}
