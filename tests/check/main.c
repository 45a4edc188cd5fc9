/* The exhaustive checker: every sequence of calls up to a depth, on a machine of a few frames (docs/checking.md).
 *
 * Breadth first, so that the first failure is one of the shortest.  A state is kept as the way to it: its parent and the
 * number of an operation among those that are possible there (ops.h); to expand it, the way is gone again from the
 * beginning, and after each operation the kernel's memory is put back (state.h).  Of states with one canonical form
 * (canon.h) the first is expanded. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "audit.h"
#include "canon.h"
#include "cpu.h"
#include "exo_oracle.h"
#include "exo_small.h"
#include "ops.h"
#include "race.h"
#include "state.h"

#define DEPTH_MAX 32u
#define UNBOUNDED 1000000u
#define VERIFY_FIRST 1000u /* transitions after which all of memory is compared, and then every so many: */
#define VERIFY_EVERY 1024u
#define REFUSED "a refused call has changed something"
#define AUDIT_AFTER 8u /* of so many new states one is audited once more when all environments are gone */
#define PROGRESS_SECONDS 10.0

static struct options {
    unsigned depth, frames, ncpus, groups, pairs, switches, asid_bits;
    double seconds;
    uint64_t at_least, runs_at_least;
    bool quiet;
    bool long_way; /* no fast paths */
} options = {.depth = 3, .frames = 6, .ncpus = 2, .groups = GROUPS_USUAL, .switches = 3, .asid_bits = 8};

struct node {
    uint32_t parent;
    uint16_t op; /* its number in the parent's list */
    uint16_t depth;
};

static bool short_run;
static struct node *nodes;
static size_t nnodes, room;
static uint64_t *table; /* of forms; 0: empty */
static size_t table_size, nforms;
static bool at_once; /* the last two steps of the way were taken so */
static uint64_t transitions, refused, ends;
static double began;
static struct audit_note *notes;

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- what is known ------------------------------------------------------------------------------------------------ */

static bool insert(uint64_t *in, size_t size, uint64_t form)
{
    size_t at = (form * 0x9e3779b97f4a7c15ull) & (size - 1);

    for (; in[at]; at = (at + 1) & (size - 1))
        if (in[at] == form)
            return false;
    in[at] = form;
    return true;
}

static void grow(void)
{
    size_t size = table_size ? table_size * 2 : 1 << 16;
    uint64_t *bigger = calloc(size, sizeof(*bigger));

    if (!bigger)
        abort();
    for (size_t i = 0; i < table_size; i++)
        if (table[i])
            insert(bigger, size, table[i]);
    free(table);
    table = bigger;
    table_size = size;
}

static bool is_new(uint64_t form)
{
    if (nforms * 2 >= table_size)
        grow();
    if (!insert(table, table_size, form ? form : 1))
        return false;
    nforms++;
    return true;
}

static void keep_node(uint32_t parent, unsigned op, unsigned depth)
{
    if (nnodes == room)
        nodes = realloc(nodes, (room = room ? room * 2 : 1 << 16) * sizeof(*nodes));
    if (!nodes)
        abort();
    nodes[nnodes++] = (struct node){parent, (uint16_t)op, (uint16_t)depth};
}

/* ---- going there -------------------------------------------------------------------------------------------------- */

static struct op ops[OPS_MAX];
static struct op way[DEPTH_MAX + 2];

/* Goes to a state from the beginning, and notes the way. */
static unsigned go(uint32_t at)
{
    uint16_t numbers[DEPTH_MAX];
    unsigned depth = nodes[at].depth;

    for (unsigned i = depth; i-- > 0; at = nodes[at].parent)
        numbers[i] = nodes[at].op;
    for (unsigned i = 0; i < depth; i++) {
        ops_list(ops, options.groups);
        way[i] = ops[numbers[i]];
        op_do(&way[i]);
    }
    return depth;
}

/* ---- what went wrong ---------------------------------------------------------------------------------------------- */

static void print_test(const char *what, unsigned n)
{
    bool refusal = strcmp(what, REFUSED) == 0;

    printf("\nSTART_TEST(found) /* %s */\n{\n", what);
    printf("    static const uint64_t last[8] = {");
    for (unsigned i = 0; i < 8; i++)
        printf("%s0x%lx", i ? ", " : "", (unsigned long)(n ? way[n - 1].args[i] : 0));
    printf("};\n    int64_t rc = 0;\n    const char *bad;\n%s\n", refusal ? "    uint64_t state;\n" : "");
    if (ops_with(options.groups))
        printf("    small_boot_with(%u, %u, %u);\n", options.ncpus, options.frames, ops_with(options.groups));
    else
        printf("    small_boot(%u, %u);\n", options.ncpus, options.frames);
    printf("    oracle_begin();\n");
    if (options.asid_bits != 8)
        printf("    machine.asid_bits = %u;\n", options.asid_bits);
    for (unsigned i = 0; i < n; i++) {
        if (i == n - 1)
            printf("    small_on(%u);\n    oracle_before();\n%s", way[i].cpu,
                   refusal ? "    state = exo_state();\n" : "");
        if (at_once && i == n - 2)
            printf("    /* The last two were taken at once: one after the other they may do no harm. */\n");
        op_print(stdout, &way[i], i == n - 1 ? "rc" : NULL);
    }
    if (refusal)
        printf("    ck_assert_uint_eq(exo_state(), state); /* or another part of the canonical form */\n");
    printf("    exo_check();\n    bad = oracle_after(%s, %u, last, rc);\n",
           n && op_is_call(&way[n - 1]) ? "true" : "false", n ? way[n - 1].number : 0);
    printf("    bad = bad ? bad : oracle_state();\n    bad = bad ? bad : oracle_leaks();\n");
    printf("    ck_assert_msg(!bad, \"%%s\", bad);\n}\nEND_TEST\n\n");
}

static void failed(const char *what, unsigned n)
{
    char said[256];

    snprintf(said, sizeof(said), "%s", what);
    printf("FAILED after %u steps: %s\n", n, said);
    for (unsigned i = 0; i < n; i++)
        printf("  %u. CPU %u %s\n", i + 1, way[i].cpu, op_name(&way[i]));
    print_test(said, n);
    printf("paste it into a suite of tests/host with #include \"exo_small.h\" and \"exo_oracle.h\"\n");
    fflush(stdout);
    _exit(1);
}

/* ---- one step ----------------------------------------------------------------------------------------------------- */

static const char *stopped(void)
{
    if (machine.end != MACHINE_STOPPED)
        return NULL;
    return strstr(machine.console, "the first program ended") ? NULL : machine.console;
}

static bool left_to_do; /* by the CPU that is about to be entered, on its way out, whatever it is asked for */

static bool run_waits; /* in the space that the step names */

static bool waits_for_run(const struct op *op)
{
    const struct vcpu *vcpu = machine.cpu->current;
    const struct cap *cap = vcpu ? cap_at(vcpu->env, op->args[0]) : NULL;

    return cap && cap->type == EXO_CAP_SPACE && !cap_live(cap) &&
           ((const struct space *)frame_address(cap->object))->run.left;
}

/* A new run, and what cannot be bound of one, give back what waits (docs/abi.md): refused, too. */
static bool drops_run(const struct op *op)
{
    return run_waits && op->number == EXO_CALL_page_alloc &&
           op->args[4] & (EXO_ALLOC_CONTIG | EXO_ALLOC_LARGE);
}

/* A refused call: its error is the answer, and nothing has changed but what a waiting call may have done before. */
static bool is_refusal(const struct op *op, int64_t rc)
{
    return !left_to_do && op->kind == OP_CALL && rc < 0 && rc != MACHINE_AWAY && !drops_run(op) &&
           op->number != EXO_CALL_wait && op->number != EXO_CALL_resume &&
           !(op->number == EXO_CALL_reply_wait && (rc == -EXO_ETIMEDOUT || rc == -EXO_EINTR));
}

static const char *check_step(const struct op *op, int64_t rc, uint64_t meaning)
{
    const char *bad = stopped();

    if (bad || machine.end == MACHINE_STOPPED)
        return bad;
    if (is_refusal(op, rc)) {
        refused++;
        if (canon_meaning() != meaning)
            return REFUSED;
    }
    return oracle_after(op_is_call(op), op->number, op->args, rc);
}

static const char *check_new_state(void)
{
    const char *bad = exo_audit(notes);
    size_t mark;

    bad = bad ? bad : oracle_state();
    if (bad)
        return bad;
    mark = state_mark();
    bad = oracle_leaks();
    if (!bad && nforms % AUDIT_AFTER == 0 && machine.end != MACHINE_STOPPED)
        bad = exo_audit(notes);
    state_undo(mark);
    return bad;
}

static void verify(unsigned depth)
{
    const uint8_t *where = state_verify();
    uint64_t pa = where ? (uint64_t)(where - machine.linear) : 0;
    char what[128];

    if (!where)
        return;
    snprintf(what, sizeof(what),
             "the checker itself: memory was written unseen at %p (a frame of kind %d + 0x%lx)", where,
             pa < MACHINE_LINEAR_BYTES ? (int)frame_kind((pfn_t)(pa >> PAGE_SHIFT)) : -1,
             (unsigned long)(pa & PAGE_MASK));
    failed(what, depth + 1);
}

static void step(uint32_t from, unsigned number, const struct op *op, uint64_t meaning, unsigned depth)
{
    size_t mark = state_mark();
    const char *bad;
    int64_t rc;

    transitions++;
    way[depth] = *op;
    small_on(op->cpu);
    left_to_do = machine.cpu->resched || machine.cpu->attention || !list_empty(&machine.cpu->endings);
    run_waits = waits_for_run(op);
    oracle_before();
    rc = op_do(op);
    bad = check_step(op, rc, meaning);
    if (!bad && machine.end == MACHINE_STOPPED) {
        ends++;
    } else if (!bad && is_new(canon_state())) {
        bad = check_new_state();
        keep_node(from, number, depth + 1);
    }
    if (bad)
        failed(bad, depth + 1);
    state_undo(mark);
    if (transitions < VERIFY_FIRST || transitions % VERIFY_EVERY == 0)
        verify(depth);
}

/* ---- all of it ---------------------------------------------------------------------------------------------------- */

static uint64_t memory(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)usage.ru_maxrss >> 10;
}

static void tell(const char *what, unsigned depth, size_t expanded, size_t of)
{
    printf(
        "%s depth %u: %zu states, %lu transitions (%lu refused, %lu ends), %lu pairs in %lu interleavings, "
        "%.1f s, %lu MiB",
        what, depth, nforms, (unsigned long)transitions, (unsigned long)refused, (unsigned long)ends,
        race_pairs(), race_runs(), now() - began, (unsigned long)memory());
    if (race_cut())
        printf("; not all of %lu pairs", race_cut());
    if (expanded < of)
        printf("; %zu of %zu expanded", expanded, of);
    printf("\n");
    fflush(stdout);
}

/* ---- two at once -------------------------------------------------------------------------------------------------- */

static uint64_t *race_table; /* forms that were looked at after two at once, and are not in the other table */
static size_t race_size, race_forms;

static bool is_new_race(uint64_t form)
{
    uint64_t *bigger;

    if (race_forms * 2 >= race_size) {
        size_t size = race_size ? race_size * 2 : 1 << 16;

        bigger = calloc(size, sizeof(*bigger));
        if (!bigger)
            abort();
        for (size_t i = 0; i < race_size; i++)
            if (race_table[i])
                insert(bigger, size, race_table[i]);
        free(race_table);
        race_table = bigger;
        race_size = size;
    }
    if (!insert(race_table, race_size, form ? form : 1))
        return false;
    race_forms++;
    return true;
}

static bool time_is_over(void)
{
    return options.seconds > 0 && now() - began > options.seconds;
}

static const char *check_race(void)
{
    const char *bad = stopped();

    if (bad || machine.end == MACHINE_STOPPED)
        return bad;
    return is_new_race(canon_state()) ? check_new_state() : NULL;
}

/* What devices do is no CPU's: the second one's coroutine plays it. */
static bool is_device(const struct op *op)
{
    return op->kind == OP_DMA || op->kind == OP_MSG;
}

static bool can_race(const struct op *op, unsigned cpu)
{
    return op->cpu == cpu && !op->wrong &&
           (op->kind == OP_CALL || (op->kind >= OP_TOUCH && op->kind <= OP_TAKE));
}

static void race_two(const struct op *a, const struct op *b, unsigned depth)
{
    const char *bad = race_pair(a, b, options.switches, check_race);

    if (!bad)
        return;
    way[depth] = *a;
    way[depth + 1] = *b;
    at_once = true;
    printf("two at once after %u steps: %s and %s\n", depth, op_name(a), op_name(b));
    race_tell();
    failed(bad, depth + 2);
}

static void race_cpus(const struct op *list, unsigned n, unsigned depth, unsigned one, unsigned two)
{
    const struct op interrupt = {.kind = OP_TAKE, .cpu = (uint8_t)two}; /* whenever one comes */

    for (unsigned i = 0; i < n; i++)
        for (unsigned k = 0; k <= n; k++) {
            struct op other = k < n ? list[k] : interrupt;

            if (is_device(&other))
                other.cpu = (uint8_t)two;
            if (can_race(&list[i], one) && (is_device(&other) || can_race(&other, two)) && !time_is_over())
                race_two(&list[i], &other, depth);
        }
}

static void race(const struct op *list, unsigned n, unsigned depth)
{
    for (unsigned one = 0; one < ncpus; one++)
        for (unsigned two = one + 1; two < ncpus; two++)
            race_cpus(list, n, depth, one, two);
}

static void expand(uint32_t at)
{
    static struct op here[OPS_MAX];
    size_t mark = state_mark();
    unsigned depth = go(at), n = ops_list(here, options.groups);
    uint64_t meaning = canon_meaning();
    bool verifying =
        transitions < VERIFY_FIRST || transitions / VERIFY_EVERY != (transitions + n) / VERIFY_EVERY;

    if (verifying)
        state_keep();
    for (unsigned i = 0; i < n; i++)
        step(at, i, &here[i], meaning, depth);
    if (depth < options.pairs && ncpus > 1)
        race(here, n, depth);
    state_undo(mark);
}

/* True: to the end; false: the time was over. */
static bool explore(void)
{
    double told = began;
    size_t level = 0, next = 1; /* the nodes of this depth */

    for (unsigned depth = 0; depth < options.depth && level < next; depth++) {
        for (size_t at = level; at < next; at++) {
            expand((uint32_t)at);
            if (time_is_over()) {
                tell("time is over within", depth + 1, at - level, next - level);
                return false;
            }
            if (!options.quiet && now() - told > PROGRESS_SECONDS) {
                told = now();
                tell("...", depth + 1, at - level, next - level);
            }
        }
        level = next;
        next = nnodes;
        if (!options.quiet)
            tell("done:", depth + 1, 0, 0);
    }
    return true;
}

static const char usage[] = "check [--depth n] [--frames n] [--cpus n] [--calls group,...] [--seconds n] "
                            "[--pairs depth] [--switches n]\n"
                            "      [--asids bits] [--at-least states] [--quiet] [--long-way]\n"
                            "check --short   what `make test` runs: each part with a number of states and "
                            "interleavings that it must reach\n"
                            "groups: pages lazy touch spaces envs vcpus gates events caps lines slices "
                            "wrong (all of these: all); runs revoke dma msi trace large\n";

static unsigned number(const char *word)
{
    char *rest;
    unsigned long n = strtoul(word, &rest, 0);

    if (*rest || !*word) {
        fprintf(stderr, "check: %s is no number\n%s", word, usage);
        exit(2);
    }
    return (unsigned)n;
}

static void read_options(int argc, char **argv)
{
    static const struct option words[] = {
        {"depth", 1, NULL, 'd'},    {"frames", 1, NULL, 'f'},  {"cpus", 1, NULL, 'c'},
        {"calls", 1, NULL, 'g'},    {"seconds", 1, NULL, 's'}, {"pairs", 1, NULL, 'p'},
        {"switches", 1, NULL, 'w'}, {"asids", 1, NULL, 'a'},   {"at-least", 1, NULL, 'l'},
        {"quiet", 0, NULL, 'q'},    {"short", 0, NULL, 'o'},   {"long-way", 0, NULL, 'n'},
        {NULL, 0, NULL, 0}};
    int letter;

    while ((letter = getopt_long(argc, argv, "", words, NULL)) != -1)
        switch (letter) {
        case 'd':
            options.depth = number(optarg);
            break;
        case 'f':
            options.frames = number(optarg);
            break;
        case 'c':
            options.ncpus = number(optarg);
            break;
        case 'g':
            options.groups = ops_groups(optarg);
            break;
        case 's':
            options.seconds = number(optarg);
            break;
        case 'p':
            options.pairs = number(optarg);
            break;
        case 'w':
            options.switches = number(optarg);
            break;
        case 'a':
            options.asid_bits = number(optarg);
            break;
        case 'l':
            options.at_least = number(optarg);
            break;
        case 'o':
            short_run = true;
            break;
        case 'q':
            options.quiet = true;
            break;
        case 'n':
            options.long_way = true;
            break;
        default:
            fputs(usage, stderr);
            exit(2);
        }
    if (optind < argc || options.depth > DEPTH_MAX || options.ncpus < 1 || options.ncpus > SMALL_CPUS_MAX ||
        !options.groups || options.frames > 64) {
        fputs(usage, stderr);
        exit(2);
    }
}

static void check_all(void)
{
    small_boot_with(options.ncpus, options.frames, ops_with(options.groups));
    machine.asid_bits = options.asid_bits;
    notes = calloc(system_info->nframes, sizeof(*notes));
    state_init();
    oracle_begin();
    canon_exact = options.groups & GROUPS_EXACT;
    is_new(canon_state());
    keep_node(0, 0, 0);
    if (exo_audit(notes) || oracle_state())
        failed(exo_audit(notes) ? exo_audit(notes) : oracle_state(), 0);
    explore();
    tell("checked to", options.depth, 0, 0);
    fflush(stdout);
    if (nforms >= options.at_least && race_runs() >= options.runs_at_least)
        _exit(0);
    printf("FAILED: at least %lu states and %lu interleavings were expected\n",
           (unsigned long)options.at_least, (unsigned long)options.runs_at_least);
    fflush(stdout);
    _exit(1);
}

/* Setting up uses the helpers of the suites, which may be called inside of a test only. */
START_TEST(whole)
{
    check_all();
}
END_TEST

static int run(void)
{
    Suite *suite = suite_create("check");
    TCase *tc = tcase_create("all");
    SRunner *runner = srunner_create(suite);

    began = now();
    machine.no_fast_paths = options.long_way;
    tcase_add_test(tc, whole);
    suite_add_tcase(suite, tc);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_SILENT);
    srunner_print(runner, CK_NORMAL);
    return 1; /* it ended itself, unless setting up failed */
}

#define MEMORY (GROUP_PAGES | GROUP_TOUCH)
#define TIMES (GROUP_LINES | GROUP_SLICES | GROUP_EVENTS)

/* What must hold, in each state that is reached: K1, K3, K6, K8, K11, K13, K15, K18, K20, K21, K22, K25, K27, K28, K29, I1.
 * Together some 10 seconds. */
static const struct options short_runs[] = {
    {2, 6, 2, GROUPS_USUAL, 0, 0, 8, 0, 8000, 0, true, false},
    {3, 6, 2, MEMORY | GROUP_LAZY | GROUP_WRONG, 1, 3, 8, 0, 3000, 1000, true, false},
    {3, 6, 2, GROUP_GATES | GROUP_EVENTS, 1, UNBOUNDED, 8, 0, 7000, 4000, true, false},
    {2, 6, 2, GROUP_EVENTS, 2, UNBOUNDED, 8, 0, 60, 5000, true, false},
    {2, 6, 2, GROUP_CAPS | GROUP_ENVS | GROUP_VCPUS, 0, 0, 8, 0, 1000, 0, true, false},
    {4, 6, 2, GROUP_SPACES | GROUP_TOUCH, 1, 3, 3, 0, 800, 1000, true, false},
    {4, 6, 2, TIMES, 1, UNBOUNDED, 8, 0, 5000, 500, true, false},
    {4, 6, 1, MEMORY | GROUP_RUNS, 0, 0, 8, 0, 1000, 0, true, false},
    {2, 24, 2, GROUP_RUNS, 2, 0, 8, 0, 50, 3000, true, false},
    {3, 6, 2, MEMORY | GROUP_REVOKE, 1, 2, 8, 0, 500, 1000, true, false},
    {1, 6, 2, GROUPS_USUAL, 1, 1, 8, 0, 100, 40000, true, false},
    {2, 6, 2, GROUP_DMA | GROUP_MSI | GROUP_TRACE | GROUP_WRONG, 0, 0, 8, 0, 900, 0, true, false},
    {3, 6, 2, GROUP_DMA, 1, UNBOUNDED, 8, 0, 400, 1000, true, false},
    {3, 6, 2, GROUP_DMA | GROUP_REVOKE, 0, 0, 8, 0, 1500, 0, true, false},
    {3, 6, 2, GROUP_MSI, 1, 3, 8, 0, 600, 2000, true, false},
    {3, 6, 2, GROUP_TRACE | GROUP_TOUCH, 1, 3, 8, 0, 250, 5000, true, false},
    {3, 6, 2, GROUP_LARGE, 0, 0, 8, 0, 300, 0, true, false},
    {1, 6, 2, GROUP_LARGE, 1, 2, 8, 0, 10, 5000, true, false},
    {2, 6, 3, GROUP_EVENTS | GROUP_ENVS, 1, 1, 8, 0, 200, 1500, true, false},
    {3, 6, 2, GROUP_TRACE | GROUP_TOUCH, 1, 3, 8, 0, 250, 5000, true, true},
    {3, 6, 2, GROUP_GATES | GROUP_EVENTS, 1, 2, 8, 0, 7000, 3000, true, true},
};

/* Each in a process of its own, which boots one machine. */
static int run_short(void)
{
    int failures = 0;

    for (unsigned i = 0; i < ARRAY_LEN(short_runs); i++) {
        pid_t pid = fork();
        int status;

        if (pid == 0) {
            options = short_runs[i];
            _exit(run());
        }
        if (pid < 0 || waitpid(pid, &status, 0) != pid)
            return 1;
        failures += !WIFEXITED(status) || WEXITSTATUS(status) != 0;
        printf("%s - check: %s%s%s\n", WIFEXITED(status) && WEXITSTATUS(status) == 0 ? "ok" : "not ok",
               ops_words(short_runs[i].groups), short_runs[i].pairs ? ", two at once" : "",
               short_runs[i].long_way ? ", without fast paths" : "");
    }
    return failures != 0;
}

int main(int argc, char **argv)
{
    read_options(argc, argv);
    setvbuf(stdout, NULL, _IOLBF, 0);
    return short_run ? run_short() : run();
}
