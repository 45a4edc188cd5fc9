/* Host: threads by ucontext; upcalls are function calls that tests make, so nothing is ever interrupted. */
#include <sanitizer/common_interface_defs.h>
#include <stdlib.h>
#include <string.h>

#include "rt/arch.h"

#define STACK_BYTES 0x8000u

static struct arch_context *left; /* by the switch under way */

static void arrived(void *fake_stack)
{
    __sanitizer_finish_switch_fiber(fake_stack, &left->bottom, &left->bytes);
}

void arch_switch(struct arch_context *from, const struct arch_context *to)
{
    void *fake_stack;

    left = from;
    __sanitizer_start_switch_fiber(&fake_stack, to->bottom, to->bytes);
    swapcontext(&from->context, &to->context);
    arrived(fake_stack);
}

static void start(unsigned high, unsigned low)
{
    arrived(NULL);
    ((void (*)(void))((uint64_t)high << 32 | low))();
    abort();
}

void arch_context_init(struct arch_context *context, uint64_t top, void (*entry)(void), uint64_t tls)
{
    (void)tls;
    getcontext(&context->context);
    context->bottom = (void *)(top - STACK_BYTES);
    context->bytes = STACK_BYTES;
    context->context.uc_stack.ss_sp = (void *)(top - STACK_BYTES);
    context->context.uc_stack.ss_size = STACK_BYTES;
    context->context.uc_link = NULL;
    makecontext(&context->context, (void (*)(void))start, 2, (unsigned)((uint64_t)entry >> 32),
                (unsigned)(uint64_t)entry);
}

/* The host's own thread pointer stays: __thread variables are common to all threads here. */
uint64_t arch_tls_bytes(void)
{
    return 64;
}

uint64_t arch_tls_init(uint64_t top, uint64_t *bottom)
{
    *bottom = align_down(top - arch_tls_bytes(), 64);
    return *bottom;
}

void arch_regs_enter(struct exo_regs *regs, uint64_t enter, uint64_t arg, uint64_t top, uint64_t tls)
{
    *regs = (struct exo_regs){.x = {arg}, .sp = top, .pc = enter, .tls = tls};
}

void arch_regs_divert(struct exo_regs *regs)
{
    regs->pc = 0;
}

void arch_regs_restart(struct exo_regs *regs)
{
    (void)regs;
}

void arch_resume_regs(const struct exo_regs *regs)
{
    (void)regs;
    abort();
}

int64_t arch_wait_intr(uint64_t mask, uint64_t deadline, const uint64_t *pending)
{
    return *pending ? -EXO_EINTR : exo_wait(mask, deadline);
}

int64_t arch_call_intr(uint64_t gate, struct exo_words *words, uint64_t deadline, const uint64_t *pending)
{
    return *pending ? -EXO_EINTR : exo_call(gate | EXO_MSG_INTR, words, deadline);
}

void arch_upcall_entry(void)
{
    abort();
}

uint64_t arch_next_bound(uint64_t va, uint64_t end)
{
    return host_next_bound ? host_next_bound(va, end) : end;
}

bool arch_page_allows(uint64_t va, uint64_t access)
{
    return host_page_allows && host_page_allows(va, access);
}

bool arch_is_large(uint64_t va)
{
    return host_is_large && host_is_large(va);
}

uint64_t arch_read_only(uint64_t va, uint64_t n)
{
    uint64_t i = 0;

    while (i < n && arch_page_allows(va + i * PAGE_SIZE, EXO_PROT_READ) &&
           !arch_page_allows(va + i * PAGE_SIZE, EXO_PROT_WRITE))
        i++;
    return i;
}

void arch_copy_pages(uint64_t to, uint64_t from, uint64_t n)
{
    memcpy((void *)to, (const void *)from, n * PAGE_SIZE);
}
