/* User memory at the host's own addresses.
 *
 * The host's page tables play the TLB: a touch of an address that is not there raises SIGSEGV, the handler asks the
 * TLB model, and maps the page of the RAM file where a binding allows it.  The kernel's TLB flushes take it away. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "arch/arch.h"
#include "host.h"

#define STACK_BYTES (1u << 16)
#define MAPPED_MAX 4096u

static bool open_now;
static bool (*ask)(uint64_t va, unsigned access);
static struct sigaction before;

/* The pages that are mapped, with their protection: a second fault on one is a write. */
static struct {
    uint64_t va;
    unsigned prot;
} mapped[MAPPED_MAX];
static unsigned nmapped;

static bool inside(uint64_t va)
{
    return va - MACHINE_WINDOW_BASE < MACHINE_WINDOW_BYTES;
}

void window_forget(uint64_t va, uint64_t bytes)
{
    if (!open_now)
        return;
    for (unsigned i = 0; i < nmapped;) {
        if (mapped[i].va - va >= bytes) {
            i++;
            continue;
        }
        mmap((void *)mapped[i].va, PAGE_SIZE, PROT_NONE,
             MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        mapped[i] = mapped[--nmapped];
    }
}

static unsigned prot_of(uint64_t va)
{
    for (unsigned i = 0; i < nmapped; i++)
        if (mapped[i].va == va)
            return mapped[i].prot;
    return 0;
}

static void map(uint64_t va, pte_t pte, unsigned prot)
{
    unsigned i = 0;

    while (i < nmapped && mapped[i].va != va)
        i++;
    if (i == MAPPED_MAX)
        window_forget(MACHINE_WINDOW_BASE, MACHINE_WINDOW_BYTES);
    i = i == MAPPED_MAX ? 0 : i;
    if (mmap((void *)va, PAGE_SIZE, prot & EXO_PROT_WRITE ? PROT_READ | PROT_WRITE : PROT_READ,
             MAP_FIXED | MAP_SHARED, machine.memory, (off_t)pte_paddr(pte).v) == MAP_FAILED)
        abort();
    mapped[i].va = va;
    mapped[i].prot = prot;
    if (i == nmapped)
        nmapped++;
}

/* Reading is tried first: a write comes back, and then the page is there. */
static bool resolve(uint64_t va)
{
    uint64_t page = align_down(va, PAGE_SIZE);
    unsigned want = prot_of(page) ? EXO_PROT_WRITE : EXO_PROT_READ;
    pte_t pte = machine.on->root ? tlb_lookup(va) : 0;

    if (want & ~pte_prot(pte))
        return ask && ask(va, want | (pte ? (unsigned)EXO_ACCESS_BOUND : 0u));
    map(page, pte, want);
    return true;
}

static void handler(int number, siginfo_t *info, void *context)
{
    uint64_t va = (uint64_t)info->si_addr;

    (void)context;
    if (inside(va) && resolve(va))
        return;
    sigaction(number, &before, NULL); /* comes again, and then to whoever was here before */
}

void window_open(bool (*fault)(uint64_t va, unsigned access))
{
    static char stack[STACK_BYTES];
    const stack_t alternate = {.ss_sp = stack, .ss_size = sizeof(stack)};
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    void *at = mmap((void *)MACHINE_WINDOW_BASE, MACHINE_WINDOW_BYTES, PROT_NONE,
                    MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (at == MAP_FAILED || sigaltstack(&alternate, NULL) || sigaction(SIGSEGV, &action, &before))
        abort();
    ask = fault;
    open_now = true;
}
