/* The drivers: they make crews, end them, and count frames. */
#include "stress.h"

#include <libfdt.h>
#include <string.h>

#define UART_VA 0x3000000000ull
#define CPU_INFO_VA 0x3000100000ull
#define STACKS_VA 0x5000000000ull /* of drivers: pages, below them stacks */
#define DRIVER_VA(n) (STACKS_VA + (uint64_t)(n)*0x100000)
#define WORKER_VA(place) (0x4000000000ull + (uint64_t)(place)*0x1000000)
#define LEND_VA(driver, place) (0x6000000000ull + ((uint64_t)(driver)*CREW_MAX + (place)) * PAGE_SIZE)
#define STACK_PAGES 4u
#define UPCALL_STACK_BYTES 4096u
#define CREW_FRAMES 90u
#define STANDSTILL_S 90u

struct crew crews[NENVS];
struct worker workers[NWORKERS];
const struct exo_system *machine;
uint64_t worker_work;

static struct driver {
    uint64_t dice, made, steps, doing;
    struct held {
        exo_handle_t env, space, vcpu[CREW_MAX], gate[CREW_MAX], event[CREW_MAX]; /* ours; env 0: none */
        unsigned count;
    } held[SLOTS];
} drivers[EXO_CPUS_MAX];

/* Some gates and events for others to be given; stale ones are refused. */
static struct {
    exo_handle_t gate, event;
} known[64];

static volatile uint32_t *const uart = (volatile uint32_t *)UART_VA;
static uint64_t uart_at, marks = 0x1000, seed = 1, seconds = 5;
static volatile uint64_t round_number, round_end;
static uint64_t arrived; /* drivers that are done with the round */

/* ---- output ------------------------------------------------------------------------------------------------------- */

static void put(char c)
{
    while (uart[6] & 0x20) /* UARTFR.TXFF */
        ;
    uart[0] = (unsigned char)c;
}

static void print(const char *text)
{
    while (*text)
        put(*text++);
}

static void print_number(uint64_t n)
{
    char text[24];
    unsigned at = sizeof(text);

    text[--at] = 0;
    do
        text[--at] = (char)('0' + n % 10);
    while (n /= 10);
    print(text + at);
}

static void print_hex(uint64_t n)
{
    print(" 0x");
    for (int shift = 60; shift >= 0; shift -= 4)
        put("0123456789abcdef"[n >> shift & 15]);
}

/* Workers cannot stop the machine: driver 0 sees it. */
static struct {
    uint64_t taken, told;
    const char *what;
    uint64_t a, b, page;
} trouble;

static _Noreturn void stop(void)
{
    exo_machine_stop(EXO_FIRST_MACHINE, EXO_STOP_OFF);
    for (;;)
        ;
}

static void look_for_trouble(void)
{
    if (!__atomic_load_n(&trouble.told, __ATOMIC_ACQUIRE))
        return;
    print("not ok - ");
    print(trouble.what);
    print_hex(trouble.a);
    print_hex(trouble.b);
    print_hex(trouble.page);
    print("\n");
    stop();
}

_Noreturn void wrong(const char *what, uint64_t a, uint64_t b)
{
    if (__atomic_fetch_add(&trouble.taken, 1, __ATOMIC_ACQ_REL) == 0) {
        trouble.what = what;
        trouble.a = a;
        trouble.b = b;
        trouble.page = (uint64_t)my_page();
        __atomic_store_n(&trouble.told, 1, __ATOMIC_RELEASE);
    }
    for (;;)
        exo_wait(0, EXO_FOREVER);
}

/* ---- odds and ends -------------------------------------------------------------------------------------------------- */

struct exo_vcpu_page *my_page(void)
{
    struct exo_vcpu_page *page;

    __asm__ volatile("mrs %0, tpidrro_el0" : "=r"(page));
    return page;
}

uint64_t now(void)
{
    uint64_t ticks;

    __asm__ volatile("isb\n\tmrs %0, cntvct_el0" : "=r"(ticks) : : "memory");
    return ticks;
}

uint64_t after_ms(uint64_t ms)
{
    return now() + machine->counter_hz / 1000 * ms;
}

uint64_t roll(uint64_t *dice, uint64_t n)
{
    *dice ^= *dice << 13;
    *dice ^= *dice >> 7;
    *dice ^= *dice << 17;
    return (*dice >> 11) % n;
}

uint64_t __stack_chk_guard = 0x5afe;
_Noreturn void __stack_chk_fail(void);

_Noreturn void __stack_chk_fail(void)
{
    stop();
}

/* The first environment's table of capabilities only grows. */
static uint64_t spare_frames(void)
{
    return exo_frames(machine, EXO_FRAME_FREE) + exo_frames(machine, EXO_FRAME_CAPS);
}

/* ---- crews ------------------------------------------------------------------------------------------------------------ */

extern char program_start[], program_data[], program_end[];

static int64_t share(exo_handle_t space, char *from, const char *to, unsigned prot)
{
    int64_t n = 0;

    for (; from < to && n >= 0; from += n * (int64_t)PAGE_SIZE) {
        n = exo_page_map(space, (uint64_t)from, EXO_SELF_SPACE, (uint64_t)from,
                         (uint64_t)(to - from) / PAGE_SIZE, prot);
        if (n < 0)
            break;
    }
    return n < 0 ? n : 0;
}

static int64_t give(exo_handle_t env, exo_handle_t cap, uint64_t rights)
{
    return exo_cap_grant(env, cap, rights, 0, 0);
}

static void expect(int64_t rc, const char *what)
{
    if (rc < 0)
        wrong(what, (uint64_t)-rc, spare_frames());
}

/* One more vcpu: its page is lent to us for as long as it takes to fill it in.  False: somebody has ended the environment. */
static bool crew_add(unsigned driver, struct held *h, unsigned place)
{
    uint64_t page = WORKER_VA(place), stack = page + 16 * PAGE_SIZE, lent = LEND_VA(driver, place);
    struct exo_vcpu_page *at = (struct exo_vcpu_page *)lent;
    int64_t rc;

    expect(exo_page_alloc(h->space, stack, STACK_PAGES, EXO_WANT_ANY, RW), "no stack");
    expect(exo_page_alloc(h->space, page, 1, EXO_WANT_ANY, RW), "no vcpu page");
    expect(exo_page_map(EXO_SELF_SPACE, lent, h->space, page, 1, RW), "the vcpu page is not lent");
    at->upcall_entry = (uint64_t)program_start;
    at->upcall_sp = stack + STACK_PAGES * PAGE_SIZE;
    rc = exo_vcpu_create(h->env, roll(&drivers[driver].dice, machine->ncpus), h->space, page);
    expect(exo_page_unmap(EXO_SELF_SPACE, lent, 1, 0), "the vcpu page is not given back");
    if (rc == -EXO_ESTATE)
        return false;
    expect(rc, "no vcpu");
    h->vcpu[place] = (exo_handle_t)rc;
    rc = exo_gate_create(h->vcpu[place], place);
    expect(rc, "no gate");
    h->gate[place] = (exo_handle_t)rc;
    rc = exo_event_create(h->vcpu[place], 15);
    expect(rc, "no event");
    h->event[place] = (exo_handle_t)rc;
    h->count++;
    return true;
}

/* Its own handles in a row, and some of others'. */
static void crew_furnish(struct driver *d, const struct held *h, struct crew *crew)
{
    for (unsigned i = 0; i < h->count; i++) {
        exo_handle_t vcpu = (exo_handle_t)give(h->env, h->vcpu[i], EXO_RIGHTS_ALL);

        crew->vcpu = i ? crew->vcpu : vcpu;
    }
    for (unsigned i = 0; i < h->count; i++) {
        exo_handle_t gate = (exo_handle_t)give(h->env, h->gate[i], EXO_RIGHT_USE);

        crew->gate = i ? crew->gate : gate;
    }
    for (unsigned i = 0; i < h->count; i++) {
        exo_handle_t event = (exo_handle_t)give(h->env, h->event[i], EXO_RIGHT_USE | EXO_RIGHT_COPY);

        crew->event = i ? crew->event : event;
    }
    for (unsigned i = 0; i < FRIENDS; i++) {
        unsigned which = (unsigned)roll(&d->dice, 64);
        int64_t gate = give(h->env, known[which].gate, EXO_RIGHT_USE | EXO_RIGHT_COPY);
        int64_t event = give(h->env, known[which].event, EXO_RIGHT_USE);

        crew->friend_gate[i] = gate > 0 ? (exo_handle_t)gate : 0;
        crew->friend_event[i] = event > 0 ? (exo_handle_t)event : 0;
    }
}

static void crew_make(unsigned driver, unsigned slot)
{
    unsigned env = driver * SLOTS + slot;
    struct driver *d = &drivers[driver];
    struct held *h = &d->held[slot];
    struct crew *crew = &crews[env];
    int64_t rc, both = exo_env_create(CREW_FRAMES, 0, 0);

    expect(both, "no environment");
    *h = (struct held){.env = (exo_handle_t)both, .space = (exo_handle_t)(both >> 32)};
    *crew = (struct crew){.trade = (unsigned)roll(&d->dice, NTRADES),
                          .count = 1 + (unsigned)roll(&d->dice, CREW_MAX)};
    crew->mark = __atomic_add_fetch(&marks, 1, __ATOMIC_RELAXED) << 16 | env;
    expect(share(h->space, program_start, program_data, EXO_PROT_READ | EXO_PROT_EXEC), "no code");
    expect(share(h->space, program_data, program_end, EXO_PROT_READ | EXO_PROT_WRITE), "no data");
    expect(exo_page_map(h->space, (uint64_t)machine, EXO_SELF_SPACE, (uint64_t)machine, 1, EXO_PROT_READ),
           "no system page");
    d->made++;
    while (h->count < crew->count)
        if (!crew_add(driver, h, h->count))
            return;
    crew_furnish(d, h, crew);
    if (roll(&d->dice, 8) == 0)
        exo_asid_pin(h->space);
    for (unsigned i = 0; i < h->count; i++) {
        unsigned which = (unsigned)roll(&d->dice, 64);

        known[which].gate = h->gate[i];
        known[which].event = h->event[i];
        workers[env * CREW_MAX + i].dice = roll(&d->dice, UINT64_MAX) | 1;
        rc = exo_vcpu_start(h->vcpu[i], (uint64_t)env << 8 | i | 1u << 31);
        if (rc != -EXO_ESTATE)
            expect(rc, "a vcpu does not start");
    }
}

static void drop(exo_handle_t handle)
{
    int64_t rc;

    do
        rc = exo_cap_drop(handle);
    while (rc > 0);
    expect(rc, "a capability is not dropped");
}

static void crew_end(unsigned driver, unsigned slot)
{
    struct held *h = &drivers[driver].held[slot];
    uint64_t tries = 0, deadline = after_ms(STANDSTILL_S * 1000);
    int64_t rc;

    if (roll(&drivers[driver].dice, 3) == 0)
        exo_env_stop(h->env);
    do {
        rc = exo_env_destroy(h->env);
        if (++tries % 1024 == 0 && now() > deadline)
            wrong("an environment does not go", tries, h->env);
    } while (rc > 0);
    expect(rc, "an environment is not destroyed");
    for (unsigned i = 0; i < h->count; i++) {
        drop(h->gate[i]);
        drop(h->event[i]);
        drop(h->vcpu[i]);
    }
    drop(h->space);
    drop(h->env);
    h->env = 0;
}

/* ---- drivers ------------------------------------------------------------------------------------------------------------ */

static void meddle(struct driver *d, const struct held *h)
{
    unsigned place = (unsigned)roll(&d->dice, h->count ? h->count : 1);
    uint64_t slot = roll(&d->dice, machine->slots);

    switch (roll(&d->dice, 6)) {
    case 0:
        exo_signal(h->event[place], 2);
        break;
    case 1: { /* by another driver's handle: it may be gone */
        const struct held *other = &drivers[roll(&d->dice, machine->ncpus)].held[roll(&d->dice, SLOTS)];

        if (roll(&d->dice, 4) == 0 && other->env)
            exo_env_stop(other->env);
        break;
    }
    case 2:
        for (unsigned cpu = 0; cpu < machine->ncpus; cpu++)
            if (exo_slice_bind(EXO_FIRST_SLICE + cpu, slot, h->vcpu[place]) == 0) {
                exo_wait(0, after_ms(2));
                exo_slice_release(EXO_FIRST_SLICE + cpu, slot);
            }
        break;
    case 3:
        exo_yield(h->vcpu[place]);
        break;
    case 4:
        exo_cap_revoke(h->gate[place]); /* those that were given to others */
        break;
    default:
        exo_wait(0, after_ms(roll(&d->dice, 10)));
    }
}

static void drive(unsigned driver)
{
    struct driver *d = &drivers[driver];

    while (now() < round_end) {
        unsigned slot = (unsigned)roll(&d->dice, SLOTS);
        struct held *h = &d->held[slot];

        d->steps++;
        d->doing = slot << 4 | 1;
        if (!h->env)
            crew_make(driver, slot);
        else if (roll(&d->dice, 5) == 0)
            crew_end(driver, slot);
        else
            meddle(d, h);
        if (driver == 0)
            look_for_trouble();
    }
    for (unsigned slot = 0; slot < SLOTS; slot++) {
        d->doing = slot << 4 | 2;
        if (d->held[slot].env)
            crew_end(driver, slot);
    }
    d->doing = 3;
}

/* Driver n, from 1 on: works in each round once. */
static void assist(unsigned driver)
{
    uint64_t seen = 0;

    for (;;) {
        while (round_number == seen)
            exo_wait(0, after_ms(1));
        seen = round_number;
        drive(driver);
        __atomic_fetch_add(&arrived, 1, __ATOMIC_ACQ_REL);
    }
}

static void report_standstill(void)
{
    for (unsigned i = 0; i < machine->ncpus; i++) {
        const volatile struct exo_cpu_info *info = (void *)(CPU_INFO_VA + i * PAGE_SIZE);

        print("# cpu ");
        print_number(i);
        print(": env ");
        print_number(info->running_env);
        print(" vcpu ");
        print_number(info->running_vcpu);
        print(", ms ");
        print_number((now() - info->since) / (machine->counter_hz / 1000));
        print(", calls ");
        print_number(info->calls);
        print(", kicks ");
        print_number(info->kicks);
        print("; its driver: steps ");
        print_number(drivers[i].steps);
        print(", doing ");
        print_number(drivers[i].doing);
        print("\n");
    }
}

static void wait_for_all(void)
{
    uint64_t deadline = after_ms(STANDSTILL_S * 1000);

    while (__atomic_load_n(&arrived, __ATOMIC_ACQUIRE) != machine->ncpus - 1) {
        look_for_trouble();
        if (now() > deadline) {
            report_standstill();
            wrong("drivers stand still", arrived, round_number);
        }
        exo_wait(0, after_ms(1));
    }
}

/* Half of its CPU's time, or the workers would leave it little. */
static void prefer(unsigned cpu, uint64_t vcpu)
{
    for (uint64_t slot = 0; slot < machine->slots; slot += 2)
        expect(exo_slice_bind(EXO_FIRST_SLICE + cpu, slot, vcpu), "no slots");
}

static void driver_start(unsigned n)
{
    struct exo_vcpu_page *page = (struct exo_vcpu_page *)DRIVER_VA(n);
    int64_t vcpu;

    expect(exo_page_alloc(EXO_SELF_SPACE, DRIVER_VA(n), 1, EXO_WANT_ANY, RW), "no driver");
    expect(exo_page_alloc(EXO_SELF_SPACE, DRIVER_VA(n) + 16 * PAGE_SIZE, STACK_PAGES, EXO_WANT_ANY, RW),
           "no driver");
    page->upcall_entry = (uint64_t)program_start;
    page->upcall_sp = DRIVER_VA(n) + (16 + STACK_PAGES) * PAGE_SIZE;
    vcpu = exo_vcpu_create(EXO_SELF_ENV, n, EXO_SELF_SPACE, (uint64_t)page);
    expect(vcpu, "no driver");
    prefer(n, (uint64_t)vcpu);
    expect(exo_vcpu_start((uint64_t)vcpu, n), "no driver");
}

/* Keeps the tables that the lent pages need, so that frames can be compared. */
static void keep_tables(void)
{
    expect(exo_page_alloc(EXO_SELF_SPACE, LEND_VA(EXO_CPUS_MAX, 0), 1, EXO_WANT_ANY, RW), "no page");
}

static uint64_t option(const char *args, const char *name, uint64_t otherwise)
{
    const char *at = args ? strstr(args, name) : NULL;
    uint64_t n = 0;

    if (!at)
        return otherwise;
    for (at += strlen(name); *at >= '0' && *at <= '9'; at++)
        n = 10 * n + (uint64_t)(*at - '0');
    return n;
}

static void begin(void)
{
    const void *tree;
    int node, len = 0;
    const fdt64_t *reg;
    const char *args;

    machine = (const struct exo_system *)EXO_FIRST_SYSTEM_VA;
    tree = (const void *)machine->tree_va;
    node = fdt_node_offset_by_compatible(tree, -1, "arm,pl011");
    reg = node < 0 ? NULL : fdt_getprop(tree, node, "reg", &len);
    uart_at = reg && len >= 8 ? fdt64_to_cpu(*reg) : 0;
    if (exo_mmio_map(EXO_FIRST_MMIO, EXO_SELF_SPACE, UART_VA, uart_at, 1, RW) != 1)
        stop();
    for (unsigned i = 0; i < machine->ncpus; i++)
        exo_info_map(EXO_FIRST_INFO, EXO_INFO_CPU, i, EXO_SELF_SPACE, CPU_INFO_VA + i * PAGE_SIZE);
    args = fdt_getprop(tree, fdt_path_offset(tree, "/chosen"), "bootargs", NULL);
    seed = option(args, "seed=", 1);
    seconds = option(args, "seconds=", 5);
}

static void first(void)
{
    uint64_t end, frames, made = 0, steps = 0;

    begin();
    keep_tables();
    prefer(0, EXO_FIRST_VCPU);
    for (unsigned i = 0; i < machine->ncpus; i++)
        drivers[i].dice = (seed * 0x9e3779b97f4a7c15 + i) * 0xbf58476d1ce4e5b9 | 1;
    for (unsigned i = 1; i < machine->ncpus; i++)
        driver_start(i);
    frames = spare_frames();
    end = after_ms(seconds * 1000);
    while (now() < end) {
        __atomic_store_n(&arrived, 0, __ATOMIC_RELEASE);
        round_end = after_ms(1500);
        round_number++;
        drive(0);
        wait_for_all();
        look_for_trouble();
        if (spare_frames() != frames)
            print("not ok - K29 not every frame came back\n"), stop();
        if (round_number % 16 == 0) {
            print("# round ");
            print_number(round_number);
            print("\n");
        }
    }
    for (unsigned i = 0; i < machine->ncpus; i++) {
        made += drivers[i].made;
        steps += drivers[i].steps;
    }
    print("ok - stress: CPUs ");
    print_number(machine->ncpus);
    print(", rounds ");
    print_number(round_number);
    print(", environments ");
    print_number(made);
    print(", steps ");
    print_number(steps);
    print(", pieces of work ");
    print_number(worker_work);
    print("\n");
    stop();
}

/* ---- entry --------------------------------------------------------------------------------------------------------------- */

void stress_start(uint64_t reason, uint64_t info, uint64_t detail);
void stress_upcall(uint64_t reason, uint64_t info, uint64_t detail);

void stress_start(uint64_t reason, uint64_t info, uint64_t detail)
{
    (void)reason;
    (void)detail;
    my_page()->upcall_sp -= (STACK_PAGES * PAGE_SIZE) - UPCALL_STACK_BYTES; /* upcalls have the lowest page */
    my_page()->upcall_masked = 0;
    if (my_page() == (struct exo_vcpu_page *)EXO_FIRST_VCPU_VA)
        first();
    else if (info >> 31 & 1)
        work((unsigned)(info >> 8 & 0x7fffff) % NENVS, info & 0xff);
    else
        assist((unsigned)info);
}

void stress_upcall(uint64_t reason, uint64_t info, uint64_t detail)
{
    work_upcall(reason, info, detail);
}
