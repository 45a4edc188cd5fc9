/* The drivers: they make crews, end them, and count frames. */
#include "stress.h"

#include "../hooks/hooks.h"

#include <string.h>

#define CPU_INFO_VA 0x3000100000ull
#define STACKS_VA 0x5000000000ull /* of drivers: pages, below them stacks */
#define DRIVER_VA(n) (STACKS_VA + (uint64_t)(n)*0x100000)
#define WORKER_VA(place) (0x4000000000ull + (uint64_t)(place)*0x1000000)
#define LEND_VA(driver, place) (0x6000000000ull + ((uint64_t)(driver)*CREW_MAX + (place)) * PAGE_SIZE)
#define UPCALL_STACK_BYTES 4096u
#define CREW_FRAMES 150u
#define AUDIT_MS 300u /* beside the one at the end of each round */
#define PROGRESS_MS 5000u
#define STANDSTILL_S 90u

struct crew crews[NENVS];
struct worker workers[NWORKERS];
uint64_t worker_work, line_events, message_events, device_writes;

static struct driver {
    uint64_t dice, made, steps, doing;
    uint64_t phases[NPHASES],
        ends[EXO_END_REVOKED + 1]; /* of those that it ended: what they did, or how they had */
    struct held {
        exo_handle_t env, space, vcpu[CREW_MAX], gate[CREW_MAX], event[CREW_MAX]; /* ours; env 0: none */
        unsigned count, cpu[CREW_MAX];
    } held[SLOTS];
} drivers[EXO_CPUS_MAX];

/* Some gates and events for others to be given; stale ones are refused. */
static struct {
    exo_handle_t gate, event;
} known[64];

static uint64_t marks = 0x1000, seed = 1, seconds = 5, audits, began;
static volatile uint64_t round_number, round_end;
static uint64_t arrived; /* drivers that are done with the round */

/* Signals to drivers, which wait for nothing else meanwhile. */
enum { ROUND = 1, ARRIVED = 2 };
static exo_handle_t begins[EXO_CPUS_MAX], all_here;

/* ---- trouble ------------------------------------------------------------------------------------------------------- */

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
    print(" ");
    print_hex(trouble.a);
    print(" ");
    print_hex(trouble.b);
    print(" ");
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
    if (my_page() == (struct exo_vcpu_page *)EXO_FIRST_VCPU_VA)
        look_for_trouble();
    for (;;)
        exo_wait(0, EXO_FOREVER);
}

/* ---- odds and ends -------------------------------------------------------------------------------------------------- */

uint64_t roll(uint64_t *dice, uint64_t n)
{
    *dice ^= *dice << 13;
    *dice ^= *dice >> 7;
    *dice ^= *dice << 17;
    return (*dice >> 11) % n;
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

int64_t program_bind(exo_handle_t space)
{
    int64_t rc = share(space, program_start, program_data, EXO_PROT_READ | EXO_PROT_EXEC);

    if (rc >= 0)
        rc = share(space, program_data, program_end, RW);
    if (rc >= 0)
        rc = exo_page_map(space, (uint64_t)machine, EXO_SELF_SPACE, (uint64_t)machine, 1, EXO_PROT_READ);
    return rc;
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

/* All of a stack: one call does fewer pages where an interrupt comes. */
static void stack_make(exo_handle_t space, uint64_t va)
{
    for (uint64_t done = 0; done < STACK_PAGES;) {
        int64_t rc = exo_page_alloc(space, va + done * PAGE_SIZE, STACK_PAGES - done, EXO_WANT_ANY, RW);

        expect(rc, "no stack");
        done += rc < 0 ? STACK_PAGES : (uint64_t)rc;
    }
}

/* One more vcpu: its page is lent to us for as long as it takes to fill it in.  False: somebody has ended the environment. */
static bool crew_add(unsigned driver, struct held *h, unsigned place)
{
    uint64_t page = WORKER_VA(place), stack = page + 16 * PAGE_SIZE, lent = LEND_VA(driver, place);
    struct exo_vcpu_page *at = (struct exo_vcpu_page *)lent;
    int64_t rc;

    stack_make(h->space, stack);
    expect(exo_page_alloc(h->space, page, 1, EXO_WANT_ANY, RW), "no vcpu page");
    expect(exo_page_map(EXO_SELF_SPACE, lent, h->space, page, 1, RW), "the vcpu page is not lent");
    at->upcall_entry = (uint64_t)program_start;
    at->upcall_sp = stack + STACK_PAGES * PAGE_SIZE;
    h->cpu[place] = (unsigned)roll(&drivers[driver].dice, machine->ncpus);
    rc = exo_vcpu_create(h->env, h->cpu[place], h->space, page);
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
    int64_t rc;

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
    if (crew->trade != TRADE_DEVICE)
        return;
    for (unsigned i = 0; i < h->count; i++) {
        int64_t slice = give(h->env, EXO_FIRST_SLICE + h->cpu[i], EXO_RIGHT_USE);

        crew->slice[i] = slice > 0 ? (exo_handle_t)slice : 0;
    }
    rc = device_furnish(crew, (unsigned)(crew - crews), h->env, h->space);
    if (rc != -EXO_ESTATE)
        expect(rc, "no devices");
}

static void crew_make(unsigned driver, unsigned slot)
{
    unsigned env = driver * SLOTS + slot;
    struct driver *d = &drivers[driver];
    struct held *h = &d->held[slot];
    struct crew *crew = &crews[env];
    bool large = slot == 0 && roll(&d->dice, 2);
    int64_t rc, both = exo_env_create(CREW_FRAMES + large * (EXO_LARGE_PAGES + 8), 0, 0);

    expect(both, "no environment");
    *h = (struct held){.env = (exo_handle_t)both, .space = (exo_handle_t)(both >> 32)};
    *crew = (struct crew){.trade = (unsigned)roll(&d->dice, NTRADES),
                          .count = 1 + (unsigned)roll(&d->dice, CREW_MAX),
                          .large = large};
    if (large)
        crew->trade = TRADE_MEMORY;
    crew->mark = __atomic_add_fetch(&marks, 1, __ATOMIC_RELAXED) << 16 | env;
    expect(program_bind(h->space), "no program");
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
        workers[env * CREW_MAX + i].doing = STARTING;
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
    struct driver *d = &drivers[driver];
    int64_t rc, reason = exo_env_status(h->env, EXO_ENV_REASON);

    expect(reason, "no status");
    d->ends[reason]++;
    for (unsigned i = 0; i < h->count && reason == EXO_END_NONE; i++)
        d->phases[workers[(driver * SLOTS + slot) * CREW_MAX + i].doing % NPHASES]++;
    if (roll(&d->dice, 3) == 0)
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

/* Fewer frames than it has, by now: it gives what it named, or ends.  Or by later, and then it may have them again. */
static void squeeze(struct driver *d, const struct held *h)
{
    int64_t used = exo_env_status(h->env, EXO_ENV_USED), rc = 1;
    uint64_t less = roll(&d->dice, 6), deadline = roll(&d->dice, 2) ? 0 : after_ms(5);

    for (unsigned i = 0; i < 8 && rc > 0 && used > 6; i++)
        rc = exo_env_limit(h->env, (uint64_t)used - less, deadline);
    if (roll(&d->dice, 2))
        exo_env_limit(h->env, CREW_FRAMES, 0);
}

static void meddle(struct driver *d, const struct held *h)
{
    unsigned place = (unsigned)roll(&d->dice, h->count ? h->count : 1);
    uint64_t slot = roll(&d->dice, machine->slots);

    switch (roll(&d->dice, 8)) {
    case 6: /* and leaves it so, until that one ends */
        exo_slice_bind(EXO_FIRST_SLICE + roll(&d->dice, machine->ncpus), slot, h->vcpu[place]);
        break;
    case 7:
        if (crews[(unsigned)(d - drivers) * SLOTS + (unsigned)(h - d->held)].trade >= TRADE_CHAOS)
            squeeze(d, h);
        break;
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

static uint64_t audited;

/* The kernel counts all its objects afresh, with the other CPUs held up wherever they are; it panics at what is wrong. */
static void audit(enum hook_order order)
{
    exo_log_write(sizeof(struct hook), HOOK_MAGIC, order, 0, 0, 0, 0);
    if (my_page()->detail != ++audits)
        wrong("this kernel does not audit itself", my_page()->detail, audits);
    audited = now();
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
        if (driver == 0) {
            look_for_trouble();
            if (now() > audited + machine->counter_hz / 1000 * AUDIT_MS)
                audit(HOOK_AUDIT);
        }
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
        if (exo_wait(ROUND, after_ms(2000 * STANDSTILL_S)) != ROUND || round_number != ++seen)
            wrong("K28 a driver does not hear that the round begins", round_number, seen);
        __atomic_fetch_and(&my_page()->events, ~(uint64_t)ROUND, __ATOMIC_ACQ_REL);
        drive(driver);
        if (__atomic_add_fetch(&arrived, 1, __ATOMIC_ACQ_REL) == machine->ncpus - 1)
            exo_signal(all_here, ARRIVED);
    }
}

static void report_standstill(void)
{
    for (unsigned i = 0; i < machine->ncpus; i++) {
        const volatile struct exo_cpu_info *info = (void *)(CPU_INFO_VA + i * PAGE_SIZE);

        print("# cpu ");
        print_number(i);
        print(": env ");
        print_number(info->running.env);
        print(" vcpu ");
        print_number(info->running.vcpu);
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
        exo_wait(ARRIVED, after_ms(1000)); /* and a look for trouble */
        __atomic_fetch_and(&my_page()->events, ~(uint64_t)ARRIVED, __ATOMIC_ACQ_REL);
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
    stack_make(EXO_SELF_SPACE, DRIVER_VA(n) + 16 * PAGE_SIZE);
    page->upcall_entry = (uint64_t)program_start;
    page->upcall_sp = DRIVER_VA(n) + (16 + STACK_PAGES) * PAGE_SIZE;
    vcpu = exo_vcpu_create(EXO_SELF_ENV, n, EXO_SELF_SPACE, (uint64_t)page);
    expect(vcpu, "no driver");
    prefer(n, (uint64_t)vcpu);
    begins[n] = (exo_handle_t)exo_event_create((uint64_t)vcpu, ROUND);
    expect(exo_vcpu_start((uint64_t)vcpu, n), "no driver");
}

/* Keeps the tables that the lent pages need, so that frames can be compared. */
static void keep_tables(void)
{
    expect(exo_page_alloc(EXO_SELF_SPACE, LEND_VA(EXO_CPUS_MAX, 0), 1, EXO_WANT_ANY, RW), "no page");
}

static uint64_t option(const char *args, const char *name, uint64_t otherwise)
{
    const char *at = strstr(args, name);
    uint64_t n = 0;

    if (!at)
        return otherwise;
    for (at += strlen(name); *at >= '0' && *at <= '9'; at++)
        n = 10 * n + (uint64_t)(*at - '0');
    return n;
}

static void begin(void)
{
    const char *args;

    first_begin();
    for (unsigned i = 0; i < machine->ncpus; i++)
        exo_info_map(EXO_FIRST_INFO, EXO_INFO_CPU, i, EXO_SELF_SPACE, CPU_INFO_VA + i * PAGE_SIZE);
    args = tree_words();
    seed = option(args, "seed=", 1);
    seconds = option(args, "seconds=", 5);
    if (strstr(args, "planted"))
        audit(HOOK_AUDIT_PLANTED);
    device_begin();
    began = now();
}

static void tell(const char *what, uint64_t n)
{
    print(what);
    print_number(n);
}

/* Sums of one counter over all drivers. */
static uint64_t all_drivers(size_t at)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < machine->ncpus; i++)
        sum += *(const uint64_t *)((const char *)&drivers[i] + at);
    return sum;
}

static uint64_t interrupts(void)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < machine->ncpus; i++)
        sum += ((const volatile struct exo_cpu_info *)(CPU_INFO_VA + i * PAGE_SIZE))->interrupts;
    return sum;
}

static void summary(const char *what)
{
    static const char *const ends[] = {"killed", "exited", "stopped by another", "fault", "exception",
                                       "upcall", "revoked"};
    static const char *const phases[NPHASES] = PHASE_NAMES;

    print(what);
    tell("CPUs ", machine->ncpus);
    tell(", seconds ", (now() - began) / machine->counter_hz);
    tell(", rounds ", round_number);
    tell(", environments ", all_drivers(offsetof(struct driver, made)));
    tell(", steps ", all_drivers(offsetof(struct driver, steps)));
    tell(", pieces of work ", worker_work);
    tell(", interrupts ", interrupts());
    tell(", of the line ", line_events);
    tell(", messages ", message_events);
    tell(", device writes ", device_writes);
    tell(", audits ", audits);
    print("\n#   ended:");
    for (unsigned i = 0; i <= EXO_END_REVOKED; i++) {
        print(i ? ", " : " ");
        print(ends[i]);
        tell(" ", all_drivers(offsetof(struct driver, ends) + i * sizeof(uint64_t)));
    }
    print("\n#   killed while:");
    for (unsigned i = 0; i < NPHASES; i++) {
        print(i ? ", " : " ");
        print(phases[i]);
        tell(" ", all_drivers(offsetof(struct driver, phases) + i * sizeof(uint64_t)));
    }
    print("\n");
}

/* Nobody is left but the drivers. */
static void compare(uint64_t frames)
{
    look_for_trouble();
    audit(HOOK_AUDIT);
    if (spare_frames() == frames)
        return;
    tell("not ok - K29 not every frame came back: ", spare_frames());
    tell(" of ", frames);
    print("\n");
    stop();
}

static void first(void)
{
    uint64_t end, frames, told;

    begin();
    keep_tables();
    prefer(0, EXO_FIRST_VCPU);
    for (unsigned i = 0; i < machine->ncpus; i++)
        drivers[i].dice = (seed * 0x9e3779b97f4a7c15 + i) * 0xbf58476d1ce4e5b9 | 1;
    all_here = (exo_handle_t)exo_event_create(EXO_FIRST_VCPU, ARRIVED);
    for (unsigned i = 1; i < machine->ncpus; i++)
        driver_start(i);
    frames = spare_frames();
    told = now();
    end = after_ms(seconds * 1000);
    while (now() < end) {
        __atomic_store_n(&arrived, 0, __ATOMIC_RELEASE);
        round_end = after_ms(1500);
        round_number++;
        for (unsigned i = 1; i < machine->ncpus; i++)
            exo_signal(begins[i], ROUND);
        drive(0);
        wait_for_all();
        compare(frames);
        if (now() - told > machine->counter_hz / 1000 * PROGRESS_MS) {
            summary("# ");
            told = now();
        }
    }
    compare(frames);
    summary("ok - stress: ");
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
