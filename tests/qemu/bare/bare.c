/* What the checks share: results, traps, peers. */
#include "bare.h"

#include <setjmp.h>
#include <string.h>

_Static_assert(EXO_CALL_resume == 0 && EXO_CALL_wait == 3 && EXO_CALL_yield == 4, "start.S knows them");

#define UPCALL_STACK_BYTES 8192u

void (*on_event)(uint64_t due);

static unsigned failed;
/* Each environment's own, by its vcpu page, since data are shared. */
static struct context {
    jmp_buf back;
    struct trap trap;
    bool probing;
} contexts[PEERS_MAX + 1];
bool losses_expected;
static uint8_t upcall_stack[UPCALL_STACK_BYTES] __attribute__((aligned(16)));

/* ---- output --------------------------------------------------------------------------------------------- */

bool check(const char *what, bool good)
{
    failed += !good;
    print(good ? "ok - " : "not ok - ");
    print(what);
    put('\n');
    return good;
}

static void print_result(int64_t n)
{
    if (n < 0 && n > -64) {
        put('-');
        print_hex((uint64_t)-n);
    } else {
        print_hex((uint64_t)n);
    }
}

bool check_is(const char *what, int64_t got, int64_t wanted)
{
    if (check(what, got == wanted))
        return true;
    print("    got ");
    print_result(got);
    print(", wanted ");
    print_result(wanted);
    put('\n');
    return false;
}

_Noreturn void finish(void)
{
    if (my_page() == (struct exo_vcpu_page *)EXO_FIRST_VCPU_VA) {
        print("bare: done\n");
        exo_machine_stop(EXO_FIRST_MACHINE, EXO_STOP_OFF);
    }
    exo_env_exit(99); /* a peer gives up for itself alone */
    for (;;)
        ;
}

/* ---- upcalls -------------------------------------------------------------------------------------------- */

#define PEER_VA(slot) (0x4000000000ull + (uint64_t)(slot)*0x1000000)
#define PEER_STACK_PAGES 6u

unsigned my_place(void)
{
    uint64_t slot = ((uint64_t)my_page() - PEER_VA(0)) / (PEER_VA(1) - PEER_VA(0));

    return slot < PEERS_MAX ? (unsigned)slot + 1 : 0;
}

static struct context *self(void)
{
    return &contexts[my_place()];
}

uint64_t events_take(uint64_t mask)
{
    return __atomic_fetch_and(&my_page()->events, ~mask, __ATOMIC_ACQ_REL) & mask;
}

static _Noreturn void lost(uint64_t reason, uint64_t info, const struct exo_regs *regs)
{
    if (losses_expected)
        exo_env_exit(98);
    print("not ok - an upcall that nobody waits for: reason ");
    print_hex(reason);
    print(" info ");
    print_hex(info);
    print(" pc ");
    print_hex(regs->pc);
    print(" lr ");
    print_hex(regs->x[30]);
    put('\n');
    finish();
}

void bare_upcall(uint64_t reason, uint64_t info, uint64_t detail);

void bare_upcall(uint64_t reason, uint64_t info, uint64_t detail)
{
    struct exo_regs *regs = &my_page()->regs;

    if (reason == EXO_UPCALL_EVENT) {
        uint64_t due = events_take(info);

        if (on_event)
            on_event(due);
        return;
    }
    if (!self()->probing)
        lost(reason, info, regs);
    self()->probing = false;
    self()->trap = (struct trap){reason, info, detail};
    probe_leave(regs);
}

void probe_leave(struct exo_regs *regs)
{
    regs->x[0] = (uint64_t)&self()->back;
    regs->x[1] = 1;
    regs->pc = (uint64_t)longjmp;
}

struct trap probe(probe_fn *fn, uint64_t arg)
{
    self()->trap = (struct trap){0};
    if (setjmp(self()->back) == 0) {
        self()->probing = true;
        fn(arg);
        self()->probing = false;
    }
    return self()->trap;
}

/* ---- counts ---------------------------------------------------------------------------------------- */

uint64_t free_frames(void)
{
    return exo_frames(machine, EXO_FRAME_FREE);
}

/* ---- the beginning ------------------------------------------------------------------------------------------ */

/* Is this the kernel's command line? */
static bool is_told(const char *word)
{
    return strcmp(tree_words(), word) == 0;
}

void bare_start(uint64_t reason, uint64_t info, uint64_t detail);

static void begin(void)
{
    first_begin();
    my_page()->upcall_sp = (uint64_t)(upcall_stack + UPCALL_STACK_BYTES);
    my_page()->upcall_masked = 0;
}

static void check_start(uint64_t info)
{
    const struct exo_vcpu_page *page = my_page();

    check_is("B1 the first program starts with the address of the system page", (int64_t)info,
             EXO_FIRST_SYSTEM_VA);
    check("B1 its vcpu page is where the interface says",
          (uint64_t)page == EXO_FIRST_VCPU_VA && page->self == EXO_FIRST_VCPU_VA);
    check_is("B1 the interface has the version it was built for", machine->abi_version, EXO_ABI_VERSION);
    check("B1 the bundle is where the system page says",
          memcmp((const void *)machine->bundle_va, "070701", 6) == 0 && machine->bundle_bytes > 0);
}

static probe_fn *peer_main;
probe_fn *peer_default;

/* A peer starts here too: with its function as argument, in a table that its maker filled. */
void bare_start(uint64_t reason, uint64_t info, uint64_t detail)
{
    (void)reason;
    (void)detail;
    if (my_page() != (struct exo_vcpu_page *)EXO_FIRST_VCPU_VA) {
        probe_fn *fn = peer_main ? peer_main : peer_default;

        peer_main = NULL;
        my_page()->upcall_sp -= UPCALL_STACK_BYTES;
        my_page()->upcall_masked = 0;
        if (fn)
            fn(info);
        exo_env_exit(0);
    }
    begin();
    check("K10 whoever starts has nothing to return to", __builtin_return_address(0) == NULL);
    check_start(info);
    if (is_told("msi")) { /* with the devices that it needs */
        check_msi();
        finish();
    }
    if (is_told("stride")) { /* where time is instructions, and no slot longer than another */
        check_stride();
        finish();
    }
    if (is_told("msi-none")) {
        check_no_msi();
        finish();
    }
    if (is_told("msi-few")) {
        check("lines 100 to 102 are raised by messages",
              machine->msi_first == 100 && machine->msi_lines == 3);
        finish();
    }
    check_calls();
    check_caps();
    check_memory();
    check_large();
    check_faults();
    check_gates();
    check_gate_ends();
    check_events();
    check_time();
    check_fp();
    check_irq();
    check_life();
    check_worst();
    check_random();
    finish();
}

/* ---- peers ---------------------------------------------------------------------------------------------- */

extern char program_start[], program_data[], program_end[];

static int share(exo_handle_t space, char *from, const char *to, unsigned prot)
{
    while (from < to) {
        int64_t n = exo_page_map(space, (uint64_t)from, EXO_SELF_SPACE, (uint64_t)from,
                                 (uint64_t)(to - from) / PAGE_SIZE, prot);

        if (n < 0)
            return (int)n;
        from += (uint64_t)n * PAGE_SIZE;
    }
    return 0;
}

struct exo_vcpu_page *peer_page(const struct peer *peer)
{
    return (struct exo_vcpu_page *)PEER_VA(peer->slot);
}

int program_bind(exo_handle_t space)
{
    int64_t rc = share(space, program_start, program_data, EXO_PROT_READ | EXO_PROT_EXEC);

    if (rc >= 0)
        rc = share(space, program_data, program_end, EXO_PROT_READ | EXO_PROT_WRITE);
    if (rc >= 0)
        rc = exo_page_map(space, (uint64_t)machine, EXO_SELF_SPACE, (uint64_t)machine, 1, EXO_PROT_READ);
    if (rc >= 0)
        rc = exo_mmio_map(EXO_FIRST_MMIO, space, UART_VA, uart_at, 1, EXO_PROT_READ | EXO_PROT_WRITE);
    return rc < 0 ? (int)rc : 0;
}

int64_t pages_alloc(exo_handle_t space, uint64_t va, uint64_t npages, uint64_t flags)
{
    uint64_t done = 0;

    do {
        int64_t rc = exo_page_alloc(space, va + done * PAGE_SIZE, npages - done, EXO_WANT_ANY, flags);

        if (rc < 0)
            return rc;
        done += (uint64_t)rc;
    } while (done < npages);
    return (int64_t)done;
}

static int furnish(struct peer *p)
{
    uint64_t page = PEER_VA(p->slot), stack = page + 16 * PAGE_SIZE;
    int64_t rc = program_bind(p->space);

    if (rc >= 0)
        rc = pages_alloc(p->space, stack, PEER_STACK_PAGES, EXO_PROT_READ | EXO_PROT_WRITE);
    if (rc >= 0)
        rc = pages_alloc(p->space, page, 1, EXO_PROT_READ | EXO_PROT_WRITE);
    if (rc >= 0)
        rc = exo_page_map(EXO_SELF_SPACE, page, p->space, page, 1, EXO_PROT_READ | EXO_PROT_WRITE);
    if (rc < 0)
        return (int)rc;
    peer_page(p)->upcall_entry = (uint64_t)program_start;
    peer_page(p)->upcall_sp = stack + PEER_STACK_PAGES * PAGE_SIZE;
    rc = exo_vcpu_create(p->env, 0, p->space, page);
    p->vcpu = rc < 0 ? 0 : (exo_handle_t)rc;
    return rc < 0 ? (int)rc : 0;
}

int peer_try(struct peer *out, unsigned slot, uint64_t frames)
{
    static exo_handle_t ends;
    int64_t both;
    int rc;

    if (!ends)
        ends = (exo_handle_t)exo_event_create(EXO_FIRST_VCPU, 0x7fffffffull << 32);
    both = exo_env_create(frames, ends, PEER_EVENT(slot));
    if (both < 0)
        return (int)both;
    *out = (struct peer){.env = (exo_handle_t)both, .space = (exo_handle_t)(both >> 32), .slot = slot};
    events_take(PEER_EVENT(slot));
    rc = furnish(out);
    if (rc)
        peer_end(out);
    return rc;
}

struct peer peer_make(unsigned slot)
{
    struct peer peer = {0};
    int rc = peer_try(&peer, slot, PEER_FRAMES);

    if (rc) {
        check_is("a peer can be made", rc, 0);
        finish();
    }
    return peer;
}

void peer_start(const struct peer *peer, probe_fn *fn, uint64_t arg)
{
    peer_main = fn;
    if (exo_vcpu_start(peer->vcpu, arg)) {
        check("a peer can be started", false);
        finish();
    }
    while (peer_main && exo_yield(peer->vcpu) == 0) /* it takes its function at once */
        ;
}

struct peer peer_run(unsigned slot, probe_fn *fn, uint64_t arg)
{
    struct peer peer = peer_make(slot);

    peer_start(&peer, fn, arg);
    return peer;
}

void peer_let(const struct peer *peer)
{
    while (exo_yield(peer->vcpu) == 0)
        ;
}

bool peer_ended(const struct peer *peer, uint64_t ms)
{
    uint64_t deadline = after_ms(ms);

    while (peer_status(peer, EXO_ENV_STATE) == EXO_ENV_ALIVE)
        if (exo_wait(PEER_EVENT(peer->slot), deadline) == 0)
            return peer_status(peer, EXO_ENV_STATE) == EXO_ENV_ENDED;
    return true;
}

int64_t peer_status(const struct peer *peer, enum exo_env_field field)
{
    return exo_env_status(peer->env, field);
}

void destroy(exo_handle_t env)
{
    int64_t left;

    do {
        left = exo_env_destroy(env);
    } while (left > 0);
    if (left < 0)
        check_is("an environment can be taken down", left, 0);
}

void peer_end(const struct peer *peer)
{
    exo_page_unmap(EXO_SELF_SPACE, PEER_VA(peer->slot), 1, 0);
    destroy(peer->env);
    exo_cap_drop(peer->env);
    exo_cap_drop(peer->space);
    if (peer->vcpu)
        exo_cap_drop(peer->vcpu);
}

exo_handle_t peer_give(const struct peer *peer, exo_handle_t cap, unsigned rights)
{
    int64_t handle = exo_cap_grant(peer->env, cap, rights, 0, 0);

    if (handle <= 0)
        check_is("a capability can be given", handle, 1);
    return (exo_handle_t)handle;
}

void clear_range(exo_handle_t space, uint64_t va, uint64_t n)
{
    while (n) {
        int64_t done = exo_page_unmap(space, va, n, 0);

        if (done <= 0)
            return;
        va += (uint64_t)done * PAGE_SIZE;
        n -= (uint64_t)done;
    }
}

int64_t call1(exo_handle_t gate, uint64_t word, uint64_t *answer, uint64_t deadline)
{
    struct exo_words words = {.w = {word}};
    int64_t rc = exo_call(gate, &words, deadline);

    if (answer)
        *answer = words.w[0];
    return rc;
}
