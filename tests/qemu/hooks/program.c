/* The first program of the kernel with hooks: gives one order on one CPU, and ends with what its word is then. */
#include "hooks.h"
#include "os/exo.h"

#ifndef HOOK_ADDRESS
#define HOOK_ADDRESS ((uint64_t)&word)
#endif

_Noreturn void _start(void);

_Noreturn static void give(void)
{
    volatile uint64_t word = ~(uint64_t)0x600d;

    exo_log_write(sizeof(struct hook), HOOK_MAGIC, HOOK_ORDER, HOOK_ADDRESS, 0, 0, 0);
    exo_env_exit(word);
    for (;;)
        ;
}

_Noreturn void _start(void)
{
    static union {
        struct exo_vcpu_page vcpu;
        uint8_t bytes[PAGE_SIZE];
    } page __attribute__((aligned(PAGE_SIZE)));
    static uint8_t stack[PAGE_SIZE] __attribute__((aligned(16)));
    int64_t vcpu;

    if (HOOK_CPU == 0)
        give();
    page.vcpu.upcall_entry = (uint64_t)give;
    page.vcpu.upcall_sp = (uint64_t)(stack + sizeof(stack));
    vcpu = exo_vcpu_create(EXO_SELF_ENV, HOOK_CPU, EXO_SELF_SPACE, (uint64_t)&page);
    if (vcpu < 0 || exo_vcpu_start((exo_handle_t)vcpu, 0))
        exo_env_exit(1);
    for (;;)
        exo_wait(0, EXO_FOREVER);
}
