#include "race.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#include "cpu.h"
#include "exo_small.h"
#include "state.h"

#define STACK_BYTES (256u << 10)
#define WORDS_BITS 17u
#define WORDS                                                                                                \
    (1u << WORDS_BITS) /* that a pair may touch where it zeroes many pages; otherwise an eighth, for speed */
#define CHOICES_MAX 400u
#define LOCKS_MAX 64u
#define RESTARTS_MAX 20u

extern const uint8_t __start_machine_text[], __stop_machine_text[], __start_kernel_text[],
    __stop_kernel_text[], __start_kernel_state[], __stop_kernel_state[];

bool race_on;

static unsigned long npairs, nruns, ncut;
static bool cut; /* not all orders of this pair */

/* ---- what both touch ---------------------------------------------------------------------------------------------- */

static struct word {
    uintptr_t key;                       /* address / 4 */
    unsigned pair;                       /* of which pair; another: unused */
    uint64_t locks[2], locks_writing[2]; /* held by the CPU at all of its accesses, at all of its writes */
    bool accessed[2], wrote[2], conflict;
    const void *site[2];
    struct moment {
        unsigned long run; /* what follows is of this run */
        struct times {
            uint32_t read[2], written[2];
            const void *site[2]; /* of the last one */
        } plain[2], atomic[2];   /* of each half, as what lies beside may be another's */
        uint32_t known[2]; /* for who synchronizes by this word: what whoever wrote it last knew of both */
    } last;
} words[WORDS];
static bool found_conflict; /* a new one, in this run */

/* A CPU's own time moves on as it lets others know of it; what it knows of the other's is a bound on what the other has done
 * before.  (Vector clocks of two.) */
static uint32_t knows[2][2];
static const void *raced[2]; /* the places of a data race */

static const struct exo_lock *locks[LOCKS_MAX];
static unsigned nlocks;

static uint64_t lock_bit(const struct exo_lock *lock)
{
    unsigned i = 0;

    while (i < nlocks && locks[i] != lock)
        i++;
    if (i == LOCKS_MAX)
        abort();
    locks[i] = lock;
    nlocks = i == nlocks ? i + 1 : nlocks;
    return 1ull << i;
}

static uint64_t locks_held(void)
{
    const struct cpu *cpu = machine.cpu;
    uint64_t held = 0;

    for (unsigned i = 0; i < cpu->nheld; i++)
        held |= lock_bit(cpu->held[i]);
    return held;
}

static struct word *word_at(uintptr_t key)
{
    unsigned bits = small.with & SMALL_LARGE ? WORDS_BITS : WORDS_BITS - 3;
    unsigned n = 1u << bits, at = (unsigned)(key * 0x9e3779b97f4a7c15ull >> (64 - bits));

    for (unsigned i = 0; i < n; i++, at = (at + 1) % n) {
        struct word *w = &words[at];

        if (w->pair != npairs)
            *w = (struct word){.key = key,
                               .pair = (unsigned)npairs,
                               .locks = {~0ull, ~0ull},
                               .locks_writing = {~0ull, ~0ull}};
        if (w->key == key)
            return w;
    }
    abort();
}

/* ---- turns -------------------------------------------------------------------------------------------------------- */

enum progress { NOT_STARTED, RUNS, WAITS, DONE };

/* What of the machine is one CPU's, but kept once. */
struct view {
    struct machine_cpu *on;
    struct cpu *cpu;
    enum machine_end end;
    const struct exo_regs *upcalled;
    void *way_out;
    uint64_t held;
};

static struct side {
    ucontext_t context;
    const struct op *op;
    struct view view;
    enum progress progress;
    uint8_t *stack;
} sides[2];
static ucontext_t outside;
static unsigned running, began;
static bool deadlocked;

static struct choice {
    bool taken; /* the other CPU went on */
    const void *site, *address;
} choices[CHOICES_MAX];
static unsigned nchoices, nforced; /* the first nforced are as they are to be */
static unsigned turn_limit;

static struct view view_save(void)
{
    return (struct view){machine.on,       machine.cpu,     machine.end,
                         machine.upcalled, machine.way_out, machine.held};
}

/* The machine's variables are undone with all others. */
static void view_load(const struct view *view)
{
    state_written(&machine, sizeof(machine));
    machine.on = view->on;
    machine.cpu = view->cpu;
    machine.end = view->end;
    machine.upcalled = view->upcalled;
    machine.way_out = view->way_out;
    machine.held = view->held;
}

static void turn(void)
{
    struct side *from = &sides[running], *to = &sides[!running];

    from->view = view_save();
    running = !running;
    view_load(&to->view);
    swapcontext(&from->context, &to->context);
    race_on = true;
}

static bool can_go_on(const struct side *side)
{
    return side->progress == NOT_STARTED || side->progress == RUNS;
}

/* The one that runs waits for the other: at a lock, or for an interrupt. */
static void wait_for_other(void)
{
    struct side *self = &sides[running], *other = &sides[!running];

    self->progress = WAITS;
    if (!can_go_on(other)) {
        deadlocked = true;
        swapcontext(&self->context, &outside);
    }
    turn();
}

static unsigned taken(void)
{
    unsigned n = 0;

    for (unsigned i = 0; i < nchoices; i++)
        n += choices[i].taken;
    return n;
}

static void may_turn(const void *site, const void *address)
{
    struct choice *choice = &choices[nchoices];

    if (!can_go_on(&sides[!running]))
        return;
    if (nchoices == CHOICES_MAX) {
        cut = true;
        return;
    }
    if (nchoices >= nforced)
        choice->taken = false;
    choice->site = site;
    choice->address = address;
    nchoices++;
    if (choice->taken)
        turn();
}

/* Of whoever waits the wait may be over as the other goes on: it looks again when it has its turn. */
static void wake_other(void)
{
    if (sides[!running].progress == WAITS)
        sides[!running].progress = RUNS;
}

static bool is_remembered(const void *p)
{
    const uint8_t *at = p;

    return (at >= __start_kernel_state && at < __stop_kernel_state) ||
           (at >= machine.linear + RAM_BASE && at < machine.linear + RAM_BASE + small.ram_bytes);
}

static bool is_model(const void *site)
{
    return (const uint8_t *)site >= __start_machine_text && (const uint8_t *)site < __stop_machine_text;
}

static bool is_space_lock(const void *p)
{
    uint64_t pa = (uint64_t)((const uint8_t *)p - machine.linear);

    return pa - RAM_BASE < small.ram_bytes && (pa & PAGE_MASK) < sizeof(struct exo_lock) &&
           frame_kind((pfn_t)(pa >> PAGE_SHIFT)) == EXO_FRAME_SPACE;
}

static bool within(const void *p, const void *from, size_t len)
{
    return (const uint8_t *)p >= (const uint8_t *)from && (const uint8_t *)p < (const uint8_t *)from + len;
}

static bool is_of_kind(const void *p, enum exo_frame_kind kind)
{
    uint64_t pa = (uint64_t)((const uint8_t *)p - machine.linear);

    return pa - RAM_BASE < small.ram_bytes && frame_kind((pfn_t)(pa >> PAGE_SHIFT)) == kind;
}

/* What the machine itself looks at in the kernel's memory: at any time, */
static bool is_table(const void *p)
{
    return is_of_kind(p, EXO_FRAME_TABLE);
}

/* as the kernel orders it, or as a device asks, which holds no lock. */
static bool is_device_table(const void *p)
{
    return is_of_kind(p, EXO_FRAME_IOTABLE);
}

/* The lock that this is a part of. */
static const struct exo_lock *lock_at(const void *p)
{
    for (unsigned i = 0; i < ncpus; i++) {
        if (within(p, &cpus[i].lock, sizeof(cpus[i].lock)))
            return &cpus[i].lock;
        if (within(p, &cpus[i].inbox_lock, sizeof(cpus[i].inbox_lock)))
            return &cpus[i].inbox_lock;
    }
    if (within(p, system_info->locks, sizeof(system_info->locks)))
        return &system_info->locks[((const uint8_t *)p - (const uint8_t *)system_info->locks) /
                                   sizeof(struct exo_lock)];
    return is_space_lock(p) ? (const struct exo_lock *)((uintptr_t)p & ~(uintptr_t)PAGE_MASK) : NULL;
}

static bool is_kernel(const void *site)
{
    return (const uint8_t *)site >= __start_kernel_text && (const uint8_t *)site < __stop_kernel_text;
}

static struct moment *last_of(struct word *w)
{
    if (w->last.run != nruns)
        w->last = (struct moment){.run = nruns};
    return &w->last;
}

/* Whoever wrote the word last, atomically, let all be known that he had done. */
static void synchronize(struct word *w, bool write)
{
    struct moment *last = last_of(w);

    for (unsigned i = 0; i < 2; i++)
        if (knows[running][i] < last->known[i])
            knows[running][i] = last->known[i];
    if (!write)
        return;
    memcpy(last->known, knows[running], sizeof(last->known));
    knows[running][running]++;
}

static bool unknown(const struct times *t, bool write)
{
    unsigned other = !running;

    return t->written[other] > knows[running][other] || (write && t->read[other] > knows[running][other]);
}

/* Two accesses, one of them not atomic, one of them writing, with nothing in between that orders them. */
static void note_half(struct word *w, unsigned half, bool write, bool atomic, const void *site)
{
    struct moment *last = last_of(w);
    struct times *times = atomic ? &last->atomic[half] : &last->plain[half];
    bool plain = unknown(&last->plain[half], write);
    const void *before = (plain ? last->plain : last->atomic)[half].site[!running];

    if ((plain || (!atomic && unknown(&last->atomic[half], write))) && is_kernel(before) && is_kernel(site)) {
        raced[0] = before;
        raced[1] = site;
    }
    (write ? times->written : times->read)[running] = knows[running][running];
    times->site[running] = site;
}

/* Of the word at key, those n bytes from p on that lie in it. */
static void note_access(uintptr_t key, uintptr_t p, size_t n, bool write, bool atomic, const void *site)
{
    struct word *w = word_at(key);

    for (unsigned half = 0; half < 2; half++)
        if (p < key * 4 + 2 * (half + 1) && p + n > key * 4 + 2 * half)
            note_half(w, half, write, atomic, site);
    if (atomic)
        synchronize(w, write);
}

/* Did this side write without a lock that the other always holds? */
static bool is_open(const struct word *w, unsigned side)
{
    return w->wrote[side] && w->accessed[!side] && !(w->locks_writing[side] & w->locks[!side]);
}

static bool conflicts(struct word *w, bool write, uint64_t held, const void *site)
{
    w->accessed[running] = true;
    w->wrote[running] |= write;
    if (!w->site[running] || (w->locks[running] & ~held))
        w->site[running] = site; /* the one that holds least */
    w->locks[running] &= held;
    if (write)
        w->locks_writing[running] &= held;
    if (!w->conflict && (is_open(w, 0) || is_open(w, 1))) {
        w->conflict = found_conflict = true;
    }
    return w->conflict;
}

void race_access(const void *p, size_t n, bool write, bool atomic, const void *site)
{
    bool model = is_model(site), conflict = false;
    const struct exo_lock *lock;
    uint64_t held;

    if (!is_remembered(p))
        return;
    race_on = false; /* not of what follows */
    lock = lock_at(p);
    if (lock && (p != &lock->next || !atomic || !write)) { /* behind the ticket */
        if (p == &lock->served && atomic)
            synchronize(word_at((uintptr_t)p / 4), write);
        if (write && p == &lock->served)
            wake_other();
        race_on = true;
        return;
    }
    if (!lock && model && (write || (!is_table(p) && !is_device_table(p)))) {
        race_on = true;
        return;
    }
    held = lock || (model && is_table(p)) ? 0 : locks_held();
    for (uintptr_t key = (uintptr_t)p / 4; key * 4 < (uintptr_t)p + n; key++)
        conflict |= conflicts(word_at(key), write, held, site);
    race_on = true;
    if (conflict)
        may_turn(site, p);
    race_on = false;
    for (uintptr_t key = (uintptr_t)p / 4; key * 4 < (uintptr_t)p + n && !lock && !model; key++)
        note_access(key, (uintptr_t)p, n, write, atomic, site);
    race_on = true;
}

/* ---- one run ------------------------------------------------------------------------------------------------------ */

/* An interrupt that is to come, as the other CPU does something that leads to it, or not at all. */
static void await_interrupt(unsigned cpu)
{
    for (;;) {
        bool due;

        small_on(cpu);
        machine.held = ~(1ull << cpu);
        due = machine_irq_due();
        machine.held = ~0ull;
        if (due || sides[!running].progress == DONE)
            return;
        if (can_go_on(&sides[!running])) {
            turn();
        } else {
            wait_for_other();
        }
        race_on = false;
    }
}

static void side_run(void)
{
    struct side *self = &sides[running];

    self->progress = RUNS;
    race_on = false;
    if (self->op->kind == OP_TAKE)
        await_interrupt(self->op->cpu);
    race_on = true;
    op_do(self->op);
    race_on = false;
    self->view = view_save();
    self->progress = DONE;
    wake_other();
    if (sides[!running].progress == DONE || machine.end == MACHINE_STOPPED)
        swapcontext(&self->context, &outside);
    race_on = true;
    turn();
    abort();
}

static void waits(void)
{
    race_on = false;
    wait_for_other();
    race_on = true;
}

static void side_init(unsigned i, const struct op *op)
{
    struct side *side = &sides[i];

    if (!side->stack)
        side->stack = malloc(STACK_BYTES);
    getcontext(&side->context);
    side->context.uc_stack.ss_sp = side->stack;
    side->context.uc_stack.ss_size = STACK_BYTES;
    side->context.uc_link = NULL;
    makecontext(&side->context, side_run, 0);
    side->op = op;
    side->progress = NOT_STARTED;
    small_on(op->cpu);
    side->view = view_save();
}

static void run(const struct op *a, const struct op *b, unsigned begins)
{
    side_init(0, a);
    side_init(1, b);
    nchoices = 0;
    deadlocked = found_conflict = false;
    running = began = begins;
    raced[0] = NULL;
    knows[0][0] = knows[1][1] = 1;
    knows[0][1] = knows[1][0] = 0;
    view_load(&sides[running].view);
    machine_waits = waits;
    race_on = true;
    swapcontext(&outside, &sides[running].context);
    race_on = false;
    machine_waits = NULL;
    nruns++;
}

static const char *run_check(const struct op *a, const struct op *b, unsigned begins,
                             const char *(*check)(void))
{
    size_t mark = state_mark();
    const char *bad;

    run(a, b, begins);
    bad = deadlocked ? "both CPUs wait for each other" : raced[0] ? "a data race" : check();
    if (!bad)
        state_undo(mark);
    return bad;
}

/* The next combination of choices, the last first; false: there is none. */
static bool next_run(unsigned switches)
{
    while (nchoices) {
        struct choice *last = &choices[nchoices - 1];

        if (!last->taken) {
            last->taken = true;
            if (taken() <= switches) {
                nforced = nchoices;
                return true;
            }
        }
        nchoices--;
    }
    return false;
}

/* One after the other, and then all that differ, until a run finds a word that is not known to be shared: *more. */
static const char *all_runs(const struct op *a, const struct op *b, unsigned begins,
                            const char *(*check)(void), bool *more)
{
    const char *bad;

    nforced = 0;
    do {
        bad = run_check(a, b, begins, check);
        *more = found_conflict;
    } while (!bad && !*more && next_run(turn_limit));
    return bad;
}

/* All words that are shared without a lock, as far as the two show them one after the other. */
static const char *serial_runs(const struct op *a, const struct op *b, const char *(*check)(void))
{
    const char *bad = NULL;

    for (unsigned begins = 0; begins < 2 && !bad; begins++) {
        nforced = 0;
        bad = run_check(a, b, begins, check);
    }
    return bad;
}

const char *race_pair(const struct op *a, const struct op *b, unsigned switches, const char *(*check)(void))
{
    const char *bad;
    bool more = true;

    npairs++;
    nlocks = 0;
    turn_limit = switches;
    cut = false;
    bad = serial_runs(a, b, check);
    for (unsigned i = 0; !bad && more && i < RESTARTS_MAX; i++) {
        bad = all_runs(a, b, 0, check, &more);
        if (!bad && !more)
            bad = all_runs(a, b, 1, check, &more);
    }
    ncut += cut || (!bad && more);
    return bad;
}

unsigned long race_cut(void)
{
    return ncut;
}

unsigned long race_pairs(void)
{
    return npairs;
}

unsigned long race_runs(void)
{
    return nruns;
}

static void tell_site(const char *what, const void *site)
{
    char command[200];

    printf("  %s", what);
    fflush(stdout);
    snprintf(command, sizeof(command), "addr2line -fpe /proc/%d/exe %p", (int)getpid(),
             (const void *)((const uint8_t *)site - 1));
    if (system(command))
        printf("%p\n", site);
}

void race_tell(void)
{
    printf("CPU %u began, and\n", sides[began].op->cpu);
    for (unsigned i = 0; i < nchoices; i++)
        if (choices[i].taken)
            tell_site("the other went on before the access by ", choices[i].site);
    for (unsigned i = 0; raced[0] && i < 2; i++)
        tell_site("an access that nothing orders by ", raced[i]);
}
