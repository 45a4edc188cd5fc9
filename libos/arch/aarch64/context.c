/* AArch64: contexts, interrupted registers, thread-local storage. */
#include "rt/general_regs.h"

#include "rt/arch.h"
#include "os/exo.h"

/* As arch_switch lays it down. */
struct saved {
    uint64_t x19_to_x28[10];
    uint64_t x29, x30;
    uint64_t d8_to_d15[8];
    uint64_t tls, fpcr;
};
_Static_assert(sizeof(struct saved) == 176, "context.S");

extern void arch_context_trampoline(void);
extern void arch_divert_entry(void);
extern const char arch_wait_begin[], arch_wait_svc[], arch_wait_abort[];
extern const char arch_call_begin[], arch_call_svc[], arch_call_abort[];

/* The program's initial thread-local storage (app.ld). */
extern const char os_tls_start[], os_tls_data_end[], os_tls_end[];
extern const char os_tls_align[]; /* its address is the value */

#define TCB_BYTES 16u /* between the thread pointer and the first variable: the ABI's */

void arch_context_init(struct arch_context *context, uint64_t top, void (*entry)(void), uint64_t tls)
{
    struct saved *s = (struct saved *)(align_down(top, 16) - sizeof(struct saved));

    for (unsigned i = 0; i < 10; i++)
        s->x19_to_x28[i] = 0;
    for (unsigned i = 0; i < 8; i++)
        s->d8_to_d15[i] = 0;
    s->x19_to_x28[0] = (uint64_t)entry;
    s->x29 = 0;
    s->x30 = (uint64_t)arch_context_trampoline;
    s->tls = tls;
    s->fpcr = 0;
    context->sp = (uint64_t)s;
}

static uint64_t tls_align(void)
{
    return max_u64((uint64_t)os_tls_align, 16);
}

/* Where the first variable lies behind the thread pointer. */
static uint64_t tls_offset(void)
{
    return align_up(TCB_BYTES, tls_align());
}

uint64_t arch_tls_bytes(void)
{
    return tls_offset() + (uint64_t)(os_tls_end - os_tls_start) + tls_align();
}

uint64_t arch_tls_init(uint64_t top, uint64_t *bottom)
{
    uint64_t pointer = align_down(top - arch_tls_bytes() + tls_align(), tls_align());
    char *to = (char *)(pointer + tls_offset());
    uint64_t data = (uint64_t)(os_tls_data_end - os_tls_start), all = (uint64_t)(os_tls_end - os_tls_start);

    for (uint64_t i = 0; i < data; i++)
        to[i] = os_tls_start[i];
    while (data < all && data % 8)
        to[data++] = 0;
    for (; data + 8 <= all; data += 8)
        *(uint64_t *)(to + data) = 0;
    while (data < all)
        to[data++] = 0;
    *bottom = pointer;
    return pointer;
}

void arch_regs_enter(struct exo_regs *regs, uint64_t enter, uint64_t arg, uint64_t top, uint64_t tls)
{
    for (unsigned i = 0; i < EXO_NREGS; i++)
        regs->x[i] = 0;
    regs->x[0] = arg;
    regs->sp = align_down(top, 16);
    regs->pc = enter;
    regs->pstate = 0;
    regs->tls = tls;
}

void arch_regs_divert(struct exo_regs *regs)
{
    regs->sp = align_down(regs->sp, 16);
    regs->pc = (uint64_t)arch_divert_entry;
}

static void restart(struct exo_regs *regs, const char *begin, const char *svc, const char *abort)
{
    if (regs->pc >= (uint64_t)begin && regs->pc <= (uint64_t)svc)
        regs->pc = (uint64_t)abort;
}

void arch_regs_restart(struct exo_regs *regs)
{
    restart(regs, arch_wait_begin, arch_wait_svc, arch_wait_abort);
    restart(regs, arch_call_begin, arch_call_svc, arch_call_abort);
}
