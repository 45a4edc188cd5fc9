/* A TCG plugin for QEMU: how often each instruction of a bench's rows was executed, in user programs and in the kernel.
 *
 *     -plugin profile.so,out=FILE
 *
 * The guest marks its rows (tests/bench/mark.h): instructions are counted between BENCH_BEGIN and BENCH_END, and BENCH_ROW
 * goes on to the next row.  Counting begins with reset, so that row 0 is the boot until the first BENCH_END.
 *
 * Programs have the same addresses as others.  So instructions are kept by page of code: what was at which address, with
 * the page's content, by which tests/bench/profile finds the program whose page it is.
 *
 * out, written when QEMU ends: records of PAGE_WORDS 32-bit words of code after a struct head, then for each row that ran
 * there its number and PAGE_WORDS 64-bit counts.
 *
 * Debian has no package with qemu-plugin.h: the few calls used are declared here.  They are the same in all versions
 * of the interface; PLUGIN_VERSION is what the QEMU that loads this asks for. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef PLUGIN_VERSION
#define PLUGIN_VERSION 1
#endif
#define PAGE 4096u
#define PAGE_WORDS (PAGE / 4)
#define HASH 4096u
#define MOVZ_XZR(n) (0xd280001fu | (n) << 5)

enum { BEGIN = MOVZ_XZR(0xbe01u), END = MOVZ_XZR(0xbe02u), ROW = MOVZ_XZR(0xbe03u) };

typedef uint64_t plugin_id;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum plugin_regs { REGS_NONE };
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id, void (*)(plugin_id, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn, void (*)(unsigned cpu, void *),
                                            enum plugin_regs, void *);
void qemu_plugin_register_atexit_cb(plugin_id id, void (*)(plugin_id, void *), void *);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t i);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);
void *qemu_plugin_insn_haddr(const struct qemu_plugin_insn *insn); /* where it lies in QEMU's own memory */
int qemu_plugin_version = PLUGIN_VERSION;
int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv);

/* The counts of one row in one page. */
struct counts {
    struct counts *next;
    uint64_t row;
    uint64_t n[PAGE_WORDS];
};

struct page {
    struct page *next;
    uint64_t address;
    struct counts *counts; /* of the latest row first */
    uint32_t code[PAGE_WORDS];
};

struct head {
    uint64_t address, nrows;
};

/* What an instruction's callback is told. */
struct place {
    struct page *page;
    uint32_t word;
    uint32_t mark; /* BEGIN, END, ROW, or 0 */
};

static struct page *pages[HASH];
static uint64_t row;
static bool counting = true;
static const char *out;

static void *must_calloc(size_t bytes)
{
    void *p = calloc(1, bytes);

    if (!p)
        abort();
    return p;
}

static void on_mark(uint32_t mark)
{
    if (mark == ROW)
        row++;
    else
        counting = mark == BEGIN;
}

static void on_insn(unsigned cpu, void *data)
{
    const struct place *place = data;
    struct counts *counts = place->page->counts;

    (void)cpu;
    if (place->mark) {
        on_mark(place->mark);
        return;
    }
    if (!counting)
        return;
    if (!counts || counts->row != row) {
        counts = must_calloc(sizeof(*counts));
        counts->next = place->page->counts;
        counts->row = row;
        place->page->counts = counts;
    }
    counts->n[place->word]++;
}

static struct page *page_of(uint64_t address, const void *code)
{
    struct page **list = &pages[address / PAGE % HASH], *page;

    for (page = *list; page; page = page->next)
        if (page->address == address && memcmp(page->code, code, PAGE) == 0)
            return page;
    page = must_calloc(sizeof(*page));
    page->address = address;
    memcpy(page->code, code, PAGE);
    page->next = *list;
    return *list = page;
}

static void on_translate(plugin_id id, struct qemu_plugin_tb *tb)
{
    size_t n = qemu_plugin_tb_n_insns(tb);
    struct place *places = must_calloc(n * sizeof(*places));
    struct page *page = NULL;

    (void)id;
    for (size_t i = 0; i < n; i++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
        uint64_t address = qemu_plugin_insn_vaddr(insn);
        const char *code = qemu_plugin_insn_haddr(insn);

        if (!code)
            continue; /* code in a device */
        if (!page || page->address != address / PAGE * PAGE)
            page = page_of(address / PAGE * PAGE, code - address % PAGE);
        places[i] = (struct place){page, address % PAGE / 4, 0};
        uint32_t word = page->code[places[i].word];
        if (word == BEGIN || word == END || word == ROW)
            places[i].mark = word;
        qemu_plugin_register_vcpu_insn_exec_cb(insn, on_insn, REGS_NONE, &places[i]);
    }
}

static void write_page(FILE *file, const struct page *page)
{
    struct head head = {page->address, 0};

    for (const struct counts *c = page->counts; c; c = c->next)
        head.nrows++;
    if (head.nrows == 0)
        return;
    fwrite(&head, sizeof(head), 1, file);
    fwrite(page->code, sizeof(page->code), 1, file);
    for (const struct counts *c = page->counts; c; c = c->next) {
        fwrite(&c->row, sizeof(c->row), 1, file);
        fwrite(c->n, sizeof(c->n), 1, file);
    }
}

static void on_exit_of_qemu(plugin_id id, void *data)
{
    FILE *file = fopen(out, "wb");

    (void)id, (void)data;
    if (!file) {
        perror(out);
        return;
    }
    for (unsigned i = 0; i < HASH; i++)
        for (const struct page *page = pages[i]; page; page = page->next)
            write_page(file, page);
    if (fclose(file))
        perror(out);
}

int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv)
{
    (void)info;
    for (int i = 0; i < argc; i++)
        if (!strncmp(argv[i], "out=", 4))
            out = strdup(argv[i] + 4);
    if (!out) {
        fprintf(stderr, "profile: out= is missing\n");
        return 1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate);
    qemu_plugin_register_atexit_cb(id, on_exit_of_qemu, NULL);
    return 0;
}
