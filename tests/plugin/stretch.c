/* A TCG plugin for QEMU: how many instructions the kernel runs at a stretch with interrupts off, and how deep its stacks
 * are used.
 *
 * A stretch begins with the first instruction at a kernel address (the upper half) behind an ERET, and ends with an
 * ERET, with WFI (an idle CPU hears what comes), or where the kernel takes all pending interrupts itself.  What comes
 * before a CPU's first ERET or WFI is its boot.  Waiting for another CPU's lock counts.  User code is not instrumented, so
 * that it costs nothing.  Of a stack, the lowest address counts that the kernel ever wrote to by its stack pointer: that is where
 * the frame record of whoever is deepest lies.
 *
 *     -plugin stretch.so,map=FILE,out=FILE
 *
 * map: lines "ADDRESS LETTER": for each function of the kernel, in ascending order (f: function; c: it names the stretch
 * in which it is the first; p: one that takes pending interrupts); for each instruction that ends a stretch, likewise (e:
 * ERET, w: WFI); for each that writes by the stack pointer, likewise (k); for each stack its lowest address, then its top (s).
 * out: counted in place, so that it is right whenever QEMU ends, killed or not: the words of struct head, for each CPU its
 * boot, for each stack the bytes used, for each CPU and function a struct row.
 *
 * Debian has no package with qemu-plugin.h: the few calls used are declared here.  They are the same in all versions
 * of the interface; PLUGIN_VERSION is what the QEMU that loads this asks for. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef PLUGIN_VERSION
#define PLUGIN_VERSION 1
#endif
#define CPUS 16u
#define STACKS 16u
#define NONE UINT32_MAX

typedef uint64_t plugin_id;
struct qemu_plugin_tb;
enum plugin_regs { REGS_NONE };
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id, void (*)(plugin_id, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb, void (*)(unsigned cpu, void *),
                                          enum plugin_regs, void *);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *tb);
enum plugin_access { ACCESS_WRITE = 2 };
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t i);
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *insn,
                                      void (*)(unsigned cpu, uint32_t how, uint64_t address, void *),
                                      enum plugin_regs, enum plugin_access, void *);
int qemu_plugin_version = PLUGIN_VERSION;
int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv);

struct place {
    uint64_t address;
    char letter;
};

struct head {
    uint64_t ncpus, nstacks, nfunctions;
};

struct row {
    uint64_t worst, stretches;
    uint64_t hot, hot_count; /* in the worst one: the function with the most instructions */
};

/* A block of translated code. */
struct block {
    uint32_t length, function;
    char starts; /* c, p: it is the beginning of such a function; l: all of it waits for a lock */
    char ends;   /* e, w: its last instruction */
};

static struct place *functions, *ends, *pushes;
static uint32_t nfunctions, nends, npushes;
static struct stack {
    uint64_t low, top;
} stacks[STACKS];
static uint32_t nstack_ends; /* two for each stack */
static uint64_t *boots, *depths;
static struct row *rows;

static struct state {
    uint64_t length, waited;
    uint32_t first, by; /* functions: of its first block; that names it */
    bool booted;
    uint64_t number; /* of the stretch, so that counts need not be cleared */
    struct count {
        uint64_t number, n;
    } * counts;
} states[CPUS];

/* The last place at or below the address, or NONE. */
static uint32_t find(const struct place *places, uint32_t n, uint64_t address)
{
    uint32_t low = 0, high = n;

    while (low < high) {
        uint32_t middle = (low + high) / 2;

        if (places[middle].address <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low ? low - 1 : NONE;
}

static void find_hot(const struct state *s, struct row *row)
{
    row->hot_count = 0;
    for (uint32_t i = 0; i < nfunctions; i++) {
        if (s->counts[i].number == s->number && s->counts[i].n > row->hot_count) {
            row->hot = i;
            row->hot_count = s->counts[i].n;
        }
    }
}

static void stretch_end(unsigned cpu, struct state *s)
{
    struct row *row = &rows[(size_t)cpu * nfunctions + (s->by != NONE ? s->by : s->first)];

    if (!s->booted) {
        boots[cpu] = s->length;
    } else if (s->length) {
        row->stretches++;
        if (s->length > row->worst) {
            row->worst = s->length;
            find_hot(s, row);
        }
    }
    s->length = s->waited = 0;
    s->number++;
}

/* Its own row: the longest wait of a stretch. */
static void on_wait(unsigned cpu, struct state *s, const struct block *b)
{
    struct row *row = &rows[(size_t)cpu * nfunctions + b->function];

    s->waited += b->length;
    row->stretches++;
    row->hot = b->function;
    if (s->waited > row->worst)
        row->worst = row->hot_count = s->waited;
}

static void on_block(unsigned cpu, void *data)
{
    const struct block *b = data;
    struct state *s = &states[cpu < CPUS ? cpu : CPUS - 1];
    struct count *count = &s->counts[b->function];

    if (b->starts == 'l') {
        on_wait(cpu, s, b);
        return;
    }
    if (b->starts == 'p')
        stretch_end(cpu, s); /* what named it goes on to do so */
    if (s->length == 0)
        s->first = b->function;
    if (s->by == NONE && b->starts)
        s->by = b->function;
    s->length += b->length;
    if (count->number != s->number)
        *count = (struct count){.number = s->number};
    count->n += b->length;
    if (b->ends) {
        stretch_end(cpu, s);
        s->booted = true;
        s->by = NONE;
    }
}

static void on_write(unsigned cpu, uint32_t how, uint64_t address, void *data)
{
    (void)cpu, (void)how, (void)data;
    for (uint32_t i = 0; i < nstack_ends / 2; i++)
        if (address >= stacks[i].low && address < stacks[i].top && stacks[i].top - address > depths[i])
            depths[i] = stacks[i].top - address;
}

static void on_translate(plugin_id id, struct qemu_plugin_tb *tb)
{
    uint64_t address = qemu_plugin_tb_vaddr(tb);
    size_t n = qemu_plugin_tb_n_insns(tb);
    uint64_t last = address + (n - 1) * 4;
    uint32_t function = find(functions, nfunctions, address), end;
    struct block *b;

    (void)id;
    if (!(address >> 63) || function == NONE)
        return;
    b = calloc(1, sizeof(*b));
    if (!b)
        abort();
    b->length = (uint32_t)n;
    b->function = function;
    if (functions[function].letter == 'l' ||
        (functions[function].address == address && functions[function].letter != 'f'))
        b->starts = functions[function].letter;
    end = find(ends, nends, last);
    if (end != NONE && ends[end].address == last)
        b->ends = ends[end].letter;
    qemu_plugin_register_vcpu_tb_exec_cb(tb, on_block, REGS_NONE, b);
    for (size_t i = 0; i < n; i++)
        qemu_plugin_register_vcpu_mem_cb(qemu_plugin_tb_get_insn(tb, i), on_write, REGS_NONE, ACCESS_WRITE,
                                         NULL);
}

static bool read_map(const char *path)
{
    FILE *file = fopen(path, "r");
    struct place place;

    if (!file)
        return false;
    while (fscanf(file, "%" SCNx64 " %c\n", &place.address, &place.letter) == 2) {
        if (place.letter == 's') {
            if (nstack_ends < 2 * STACKS)
                *(nstack_ends % 2 ? &stacks[nstack_ends / 2].top : &stacks[nstack_ends / 2].low) =
                    place.address;
            nstack_ends++;
            continue;
        }
        bool end = place.letter == 'e' || place.letter == 'w', push = place.letter == 'k';
        struct place **list = end ? &ends : push ? &pushes : &functions;
        uint32_t *n = end ? &nends : push ? &npushes : &nfunctions;

        if (place.letter == 's') {
            if (nstack_ends < 2 * STACKS)
                *(nstack_ends % 2 ? &stacks[nstack_ends / 2].top : &stacks[nstack_ends / 2].low) =
                    place.address;
            nstack_ends++;
            continue;
        }
        *list = realloc(*list, (*n + 1) * sizeof(place));
        if (!*list)
            abort();
        (*list)[(*n)++] = place;
    }
    fclose(file);
    return nfunctions && nends && npushes && nstack_ends && nstack_ends <= 2 * STACKS;
}

static bool make_out(const char *path)
{
    size_t bytes =
        sizeof(struct head) + (CPUS + STACKS) * sizeof(*boots) + (size_t)CPUS * nfunctions * sizeof(*rows);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0666);
    struct head *head;

    if (fd < 0 || ftruncate(fd, (off_t)bytes))
        return false;
    head = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (head == MAP_FAILED)
        return false;
    *head = (struct head){CPUS, STACKS, nfunctions};
    boots = (uint64_t *)(head + 1);
    depths = boots + CPUS;
    rows = (struct row *)(depths + STACKS);
    return true;
}

int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv)
{
    const char *map = NULL, *out = NULL;

    (void)info;
    for (int i = 0; i < argc; i++) {
        if (!strncmp(argv[i], "map=", 4))
            map = argv[i] + 4;
        if (!strncmp(argv[i], "out=", 4))
            out = argv[i] + 4;
    }
    if (!map || !out || !read_map(map) || !make_out(out)) {
        fprintf(stderr, "stretch: map= or out= is missing or of no use\n");
        return 1;
    }
    for (unsigned i = 0; i < CPUS; i++) {
        states[i] = (struct state){.by = NONE, .counts = calloc(nfunctions, sizeof(struct count))};
        if (!states[i].counts)
            abort();
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate);
    return 0;
}
