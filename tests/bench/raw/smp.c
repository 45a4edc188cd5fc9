/* What operations cost on several processors at once, and which locks they take.
 *
 * On each CPU a worker, an environment of its own, does an operation a thousand times or more; all at once.  A row's number is the
 * instructions that all CPUs executed, for one operation.  Behind it, "name.lock.RANK times operations" for each lock that there is
 * one of and that was taken meanwhile, and "name.wait.RANK times operations" for each rank of which somebody had to wait for a lock.
 *
 * QEMU lets CPUs run in turns when it counts instructions, for as long as no timer is due.  With "tickers" as the kernel's
 * command line the second half of the CPUs has no workers, but each waits again and again until a moment a little after
 * the one before it: so the workers' turns are a thousand or two instructions long, and end anywhere, also while a lock is
 * held.  tests/bench/smp takes instructions from runs without, and waits for locks from runs with them. */
#include "raw.h"

#include <libfdt.h>
#define ROUNDS 1000
#define TURNS_ENOUGH 100        /* that tickers ended in one measurement, */
#define RUNS_MAX 16             /* of so many runs at most */
#define BATCH 512               /* pages: more than a CPU's cache of frames */
#define WORK_VA 0x2000000000ull /* a worker's own */
#define INFO_VA (SPARE + 0x28000000)
#define FRAMES 2048
#define GO 1u   /* events of a worker: to begin, */
#define PONG 2u /* and what its partner answers */

void (*raw_handler)(void);
volatile uint64_t raw_spare, raw_other;

enum { HERE, FAR, NPLACES };
static const char *const rank_names[] = EXO_LOCK_RANK_NAMES;

/* What a worker needs, as handles in its own table. */
static struct worker {
    struct peer self;
    exo_handle_t go, finished;
    exo_handle_t gate[NPLACES], idle, pong[NPLACES];
} workers[EXO_CPUS_MAX];

static void (*volatile job)(struct worker *worker);
static volatile uint32_t arrived, done;
static unsigned ncpus, rounds;

/* ---- what workers do ------------------------------------------------------------------------------------------ */

static void check(int64_t result)
{
    if (result < 0)
        must(result, "an operation");
}

static void job_null(struct worker *worker)
{
    (void)worker;
    for (unsigned i = 0; i < rounds; i++)
        RAW_CALL0(EXO_CALL_null);
}

static void alloc(uint64_t va)
{
    check(RAW_CALL8(EXO_CALL_page_alloc, EXO_SELF_SPACE, va, 1, EXO_WANT_ANY, 3, 0, 0, 0));
}

static void unmap(uint64_t va)
{
    check(RAW_CALL4(EXO_CALL_page_unmap, EXO_SELF_SPACE, va, 1, 0));
}

static void job_alloc(struct worker *worker)
{
    (void)worker;
    for (unsigned i = 0; i < rounds; i++) {
        alloc(WORK_VA + PAGE_SIZE);
        unmap(WORK_VA + PAGE_SIZE);
    }
}

static void job_batch(struct worker *worker)
{
    (void)worker;
    for (unsigned i = 0; i < rounds / BATCH; i++) {
        for (uint64_t page = 1; page <= BATCH; page++)
            alloc(WORK_VA + page * PAGE_SIZE);
        for (uint64_t page = 1; page <= BATCH; page++)
            unmap(WORK_VA + page * PAGE_SIZE);
    }
}

static void job_map(struct worker *worker)
{
    (void)worker;
    for (unsigned i = 0; i < rounds; i++) {
        check(RAW_CALL8(EXO_CALL_page_map, EXO_SELF_SPACE, WORK_VA + PAGE_SIZE, EXO_SELF_SPACE, WORK_VA, 1, 3,
                        0, 0));
        unmap(WORK_VA + PAGE_SIZE);
    }
}

static void job_protect(struct worker *worker)
{
    (void)worker;
    for (unsigned i = 0; i < rounds; i++)
        check(RAW_CALL4(EXO_CALL_page_protect, EXO_SELF_SPACE, WORK_VA, 1, i & 1 ? 3 : 1));
}

static void calls(exo_handle_t gate)
{
    for (unsigned i = 0; i < rounds; i++)
        check(RAW_CALL8(EXO_CALL_call, gate, 1, 2, 3, 4, 5, 6, EXO_FOREVER));
}

static void job_call(struct worker *worker)
{
    calls(worker->gate[HERE]);
}

static void job_call_far(struct worker *worker)
{
    calls(worker->gate[FAR]);
}

static void job_signal(struct worker *worker)
{
    for (unsigned i = 0; i < rounds; i++)
        check(RAW_CALL2(EXO_CALL_signal, worker->idle, 1));
}

static void pings(exo_handle_t pong)
{
    for (unsigned i = 0; i < rounds; i++) {
        check(RAW_CALL2(EXO_CALL_signal, pong, 1));
        RAW_CALL2(EXO_CALL_wait, PONG, EXO_FOREVER);
        clear_event(PONG);
    }
}

static void job_event(struct worker *worker)
{
    pings(worker->pong[HERE]);
}

static void job_event_far(struct worker *worker)
{
    pings(worker->pong[FAR]);
}

/* ---- the environments ----------------------------------------------------------------------------------------- */

static void arrive(void)
{
    __atomic_fetch_add(&arrived, 1, __ATOMIC_ACQ_REL);
}

static void worker_main(uint64_t cpu)
{
    struct worker *worker = &workers[cpu];

    alloc(WORK_VA);
    alloc(WORK_VA - PAGE_SIZE); /* the tables above it stay */
    arrive();
    for (;;) {
        RAW_CALL2(EXO_CALL_wait, GO, EXO_FOREVER);
        clear_event(GO);
        job(worker);
        if (__atomic_add_fetch(&done, 1, __ATOMIC_ACQ_REL) == ncpus)
            RAW_CALL2(EXO_CALL_signal, worker->finished, 1);
    }
}

static void echoes_main(uint64_t arg)
{
    arrive();
    echo_main(arg);
}

/* arg: the event by which it answers. */
static void ponger_main(uint64_t arg)
{
    arrive();
    for (;;) {
        RAW_CALL2(EXO_CALL_wait, 1, EXO_FOREVER);
        clear_event(1);
        RAW_CALL2(EXO_CALL_signal, arg, PONG);
    }
}

/* Waits until it is there, before the next one's main function is set. */
static struct peer peer_run(unsigned cpu, void (*fn)(uint64_t), exo_handle_t needs, uint64_t arg)
{
    struct peer peer = peer_make_on(cpu, FRAMES, fn, 0, false);
    uint32_t before = arrived;

    must(RAW_CALL2(EXO_CALL_vcpu_start, peer.vcpu, needs ? give(peer, needs) : arg), "starting a peer");
    while (arrived == before)
        RAW_CALL2(EXO_CALL_wait, 2, raw_time() + raw_system->counter_hz / 10000);
    return peer;
}

static void worker_make(unsigned cpu)
{
    struct worker *worker = &workers[cpu];
    struct peer idle = peer_make_on(cpu, 64, echo_main, 0, false);
    exo_handle_t mine = make(RAW_CALL2(EXO_CALL_event_create, EXO_FIRST_VCPU, 1)), answer;

    worker->self = peer_run(cpu, worker_main, 0, cpu);
    worker->go = make(RAW_CALL2(EXO_CALL_event_create, worker->self.vcpu, GO));
    worker->finished = give(worker->self, mine);
    worker->idle = give(worker->self, make(RAW_CALL2(EXO_CALL_event_create, idle.vcpu, 1)));
    answer = make(RAW_CALL2(EXO_CALL_event_create, worker->self.vcpu, PONG));
    for (unsigned place = HERE; place < NPLACES; place++) {
        unsigned at = place == HERE ? cpu : (cpu + 1) % ncpus;
        struct peer echo = peer_run(at, echoes_main, 0, 0), pong = peer_run(at, ponger_main, answer, 0);

        worker->gate[place] = give(worker->self, make(RAW_CALL2(EXO_CALL_gate_create, echo.vcpu, 0)));
        worker->pong[place] = give(worker->self, make(RAW_CALL2(EXO_CALL_event_create, pong.vcpu, 1)));
    }
}

/* ---- short turns ---------------------------------------------------------------------------------------------- */

static uint64_t thousand; /* instructions, in ticks */

static volatile uint64_t turns; /* that tickers ended; a lost one now and then does no harm */

static void ticker_main(uint64_t index)
{
    uint64_t random = index, ahead = (ncpus * 2 + index * 3) * thousand / 2;

    arrive();
    for (;;) {
        turns++;
        random = random * 6364136223846793005u + 1442695040888963407u;
        RAW_CALL2(EXO_CALL_wait, 1, raw_time() + ahead + (random >> 33) % thousand);
    }
}

static bool same(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return *a == *b;
}

static bool has_tickers(void)
{
    const void *tree = (const void *)raw_system->tree_va;
    const char *line = fdt_getprop(tree, fdt_path_offset(tree, "/chosen"), "bootargs", NULL);

    return line && same(line, "tickers");
}

/* ---- measuring -------------------------------------------------------------------------------------------------- */

struct counts {
    uint32_t taken[EXO_NLOCK_RANKS], waited[EXO_NLOCK_RANKS];
};

static struct counts counts_now(void)
{
    struct counts now = {0};

    for (unsigned rank = 1; rank < EXO_NLOCK_RANKS; rank++) {
        now.taken[rank] = *(const volatile uint32_t *)&raw_system->locks[rank].served;
        for (unsigned cpu = 0; cpu < ncpus; cpu++) {
            const struct exo_cpu_info *info = (const void *)(INFO_VA + cpu * PAGE_SIZE);

            now.waited[rank] += *(const volatile uint32_t *)&info->contended[rank];
        }
    }
    return now;
}

static void put_count(const char *name, const char *what, const char *rank, uint32_t times, uint64_t n)
{
    if (times == 0)
        return;
    put_text(name);
    put_text(what);
    put_text(rank);
    put_text(" ");
    put_number(times);
    put_text(" ");
    put_number(n);
    put_text("\n");
}

static void run_all(void)
{
    done = 0;
    for (unsigned cpu = 0; cpu < ncpus; cpu++)
        RAW_CALL2(EXO_CALL_signal, workers[cpu].go, GO);
    RAW_CALL2(EXO_CALL_wait, 1, EXO_FOREVER);
    clear_event(1);
}

/* Once, or with tickers until they have ended turns enough: now and then all their timers are over at one moment, and then a turn is
 * as long as the whole of it. */
static void measure(const char *name, void (*fn)(struct worker *), unsigned times)
{
    struct counts before, after;
    uint64_t ticks = 0, n = 0;

    job = fn;
    rounds = times;
    run_all(); /* caches of frames, tables and TLBs are as they stay */
    before = counts_now();
    turns = 0;
    do {
        ticks += TICKS(run_all());
        n += (uint64_t)times * ncpus;
    } while (ncpus < raw_system->ncpus && turns < TURNS_ENOUGH && n < (uint64_t)RUNS_MAX * times * ncpus);
    after = counts_now();
    row(name, ticks, n);
    put_count(name, ".turns", "", (uint32_t)turns, n);
    for (unsigned rank = 1; rank < EXO_NLOCK_RANKS; rank++) {
        put_count(name, ".lock.", rank_names[rank], after.taken[rank] - before.taken[rank], n);
        put_count(name, ".wait.", rank_names[rank], after.waited[rank] - before.waited[rank], n);
    }
}

static void first_main(uint64_t arg)
{
    raw_begin(arg);
    thousand = TICKS(uint64_t n = 500; __asm__ volatile("1: subs %0, %0, #1\n\tb.ne 1b" : "+r"(n) : : "cc"));
    ncpus = has_tickers() ? raw_system->ncpus / 2 : raw_system->ncpus;
    for (unsigned cpu = 0; cpu < ncpus; cpu++)
        must(RAW_CALL8(EXO_CALL_info_map, EXO_FIRST_INFO, EXO_INFO_CPU, cpu, EXO_SELF_SPACE,
                       INFO_VA + cpu * PAGE_SIZE, 0, 0, 0),
             "a CPU's page");
    for (unsigned cpu = 0; cpu < ncpus; cpu++)
        worker_make(cpu);
    for (unsigned cpu = ncpus; cpu < raw_system->ncpus; cpu++)
        peer_run(cpu, ticker_main, 0, cpu - ncpus);
    measure("null", job_null, 4 * ROUNDS);
    measure("alloc", job_alloc, ROUNDS);
    measure("alloc.batch", job_batch, 4 * BATCH);
    measure("map", job_map, 4 * ROUNDS);
    measure("protect", job_protect, 4 * ROUNDS);
    measure("call", job_call, ROUNDS);
    measure("signal", job_signal, 4 * ROUNDS);
    measure("event", job_event, ROUNDS);
    if (ncpus > 1) {
        measure("call.far", job_call_far, ROUNDS);
        measure("event.far", job_event_far, ROUNDS);
    }
    put_text("bench: done\n");
    off();
}

void (*raw_main_of)(uint64_t) = first_main;
