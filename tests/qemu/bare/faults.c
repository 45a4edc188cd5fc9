/* What a program may not do, and how it hears of it. */
#include "bare.h"

static void refused(const char *what, probe_fn *fn)
{
    struct trap trap = probe(fn, SPARE);

    if (!check(what, trap.reason == EXO_UPCALL_EXCEPTION)) {
        print("    reason ");
        print_hex(trap.reason);
        print(" info ");
        print_hex(trap.info);
        print("\n");
    }
}

static void check_privileged(void)
{
    refused("an undefined instruction is told", do_undefined);
    refused("hvc is no way into a hypervisor", do_hvc);
    refused("smc is no way into firmware", do_smc);
    refused("hlt", do_hlt);
    refused("eret", do_eret);
    refused("msr daifset", do_daifset);
    refused("msr spsel", do_spsel);
    refused("mrs sctlr_el1", do_read_sctlr);
    refused("mrs ttbr0_el1", do_read_ttbr);
    refused("msr ttbr0_el1", do_write_ttbr);
    refused("msr vbar_el1", do_write_vbar);
    refused("msr tpidr_el1", do_write_tpidr);
    refused("msr tpidrro_el0", do_write_tpidrro);
    refused("msr cntv_ctl_el0", do_write_timer);
    refused("mrs cntpct_el0", do_read_cntpct);
    refused("mrs mdscr_el1", do_read_debug);
    refused("msr pmcr_el0", do_write_pmcr);
    refused("at s1e1r", do_at);
    refused("dc isw", do_dc_isw);
    refused("ic iallu", do_ic_iallu);
    refused("flushing the TLB", do_flush_tlb);
    check("brk is a breakpoint", probe(do_brk, 0).info == EXO_EXC_BREAKPOINT);
    check("P9 the counter can be read", probe(do_read_counter, 0).reason == 0);
}

/* Each address is read, written, executed, zeroed and reserved: all of it must fault there.
 * (Cache maintenance must too, but QEMU takes it for nothing.) */
static void untouchable(const char *what, uint64_t address)
{
    static probe_fn *const ways[] = {do_read, do_read_byte, do_write, do_jump, do_zero, do_exclusive};
    bool good = true;

    for (unsigned i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
        struct trap trap = probe(ways[i], address);

        if (trap.reason == EXO_UPCALL_FAULT && (ways[i] == do_zero || trap.info == address))
            continue;
        good = false;
        print("# way ");
        print_hex(i);
        print(" to ");
        print_hex(address);
        print(": reason ");
        print_hex(trap.reason);
        print(" info ");
        print_hex(trap.info);
        print("\n");
    }
    check(what, good);
}

static void check_addresses(void)
{
    untouchable("K5 address 0", 0);
    untouchable("K5 the first page", 0xff8);
    untouchable("K5 the kernel's image", 0xffffffff80000000);
    untouchable("K5 the kernel's linear map", 0xffffff8040200000);
    untouchable("K5 the first address of the kernel's half", 0xffffff8000000000);
    untouchable("K5 the last word of the address space", 0xfffffffffffffff8);
    untouchable("K5 the first address above user space", machine->user_top);
    untouchable("K5 an address between the halves", 0x0000800000000000);
    untouchable("K5 an address with a tag", 0x0100000000000000 | EXO_FIRST_SYSTEM_VA);
    check("an unaligned pc is told", probe(do_jump, (uint64_t)raw_resume + 2).info == EXO_EXC_ALIGNMENT);
    check("W^X: code is not writable",
          probe(do_write, (uint64_t)do_write).detail == (EXO_PROT_WRITE | EXO_ACCESS_BOUND));
    check("a fault tells what was wanted: read", probe(do_read, SPARE).detail == EXO_PROT_READ);
    check("a fault tells what was wanted: write", probe(do_write, SPARE + 8).detail == EXO_PROT_WRITE);
    check("a fault tells what was wanted: execute", probe(do_jump, SPARE + 16).detail == EXO_PROT_EXEC);
}

/* wfi may trap or stand still; the processor goes to others either way. */
static void stands_still(uint64_t arg)
{
    for (;;)
        do_wfi(arg);
}

static void check_wfi(void)
{
    struct peer peer = peer_run(0, stands_still, 0);

    check_is("C1 a program that waits for interrupts holds nobody up", exo_wait(0, after_ms(30)), 0);
    peer_end(&peer);
}

/* ---- faults that cannot be delivered ------------------------------------------------------------------------- */

static void fault_masked(uint64_t address)
{
    my_page()->upcall_masked = 1;
    do_read(address);
}

static void break_masked(uint64_t arg)
{
    my_page()->upcall_masked = 1;
    do_brk(arg);
}

static void fault_without_entry(uint64_t address)
{
    my_page()->upcall_entry = 0;
    do_read(address);
}

static void fault_bad_entry(uint64_t address)
{
    my_page()->upcall_entry = 0xffffff8000000000;
    do_read(address);
}

static void fault_bad_stack(uint64_t address)
{
    my_page()->upcall_sp = 0x10000; /* its first push faults, with upcalls masked */
    do_read(address);
}

static volatile uint64_t depth_max = UINT64_MAX;

static void overflow(uint64_t depth)
{
    volatile uint64_t block[64];

    block[0] = depth;
    if (depth < depth_max)
        overflow(depth + 1);
    block[1] = block[0];
}

static void stack_overflow(uint64_t arg)
{
    my_page()->upcall_masked = 1;
    overflow(arg);
}

static void ends(const char *what, probe_fn *fn, uint64_t arg, enum exo_end_reason reason, int64_t address)
{
    struct peer peer = peer_run(0, fn, arg);

    check(what, peer_ended(&peer, 2000) && peer_status(&peer, EXO_ENV_REASON) == reason &&
                    (address < 0 || peer_status(&peer, EXO_ENV_ADDRESS) == address));
    peer_end(&peer);
}

/* The handler of an upcall finds the interrupted registers where they were, and leaves them so. */
static void check_registers(void)
{
    uint64_t entry = my_page()->upcall_entry;

    _Static_assert(offsetof(struct exo_vcpu_page, regs) == 128 && offsetof(struct exo_regs, pc) == 256,
                   "as start.S has them");
    my_page()->upcall_entry = (uint64_t)raw_trapped_entry;
    check_is("K30 x3 to x30 are the same in an upcall and behind it", (int64_t)raw_trapped(), 0);
    my_page()->upcall_entry = entry;
}

static void check_undeliverable(void)
{
    uint64_t before = free_frames();

    ends("K30 a fault with upcalls masked ends the environment, with the address", fault_masked, 0x123456000,
         EXO_END_FAULT, 0x123456000);
    ends("K30 a breakpoint with upcalls masked does", break_masked, 0, EXO_END_EXCEPTION, -1);
    ends("K30 a fault without an upcall entry does", fault_without_entry, 0x5000, EXO_END_UPCALL, 0x5000);
    ends("K30 an upcall entry in the kernel's half", fault_bad_entry, 0x5000, EXO_END_FAULT,
         0x7fffff8000000000);
    ends("K30 a fault on the upcall stack does", fault_bad_stack, 0x5000, EXO_END_FAULT, -1);
    ends("K19 a stack overflow is a fault below the stack", stack_overflow, 0, EXO_END_FAULT, -1);
    check_is("K8 and each gave its frames back", (int64_t)free_frames(), (int64_t)before);
}

void check_faults(void)
{
    check_privileged();
    check_addresses();
    check_wfi();
    check_registers();
    check_undeliverable();
}
