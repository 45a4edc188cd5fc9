/* Making processes: start blocks, and the ELF loader over operations that may fail. */
/* sources: libos/proc/start.c libos/proc/load.c */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "os/load.h"
#include "os/start.h"

/* ---- start blocks ------------------------------------------------------------------------------------------- */

static unsigned char block[OS_START_MAX_BYTES] __attribute__((aligned(PAGE_SIZE)));

static int build(size_t cap)
{
    static const char *const argv[] = {"prog", "one", "", NULL}, *const envp[] = {"A=1", "B=2", NULL};
    static const struct os_start_fd fds[] = {{.fd = 0, .service = "console"},
                                             {.fd = 1, .service = "fs", .id = 7}};

    return os_start_build(block, cap,
                          &(struct os_start_parts){.path = "/bin/prog",
                                                   .cwd = "/tmp",
                                                   .argv = (char *const *)argv,
                                                   .envp = (char *const *)envp,
                                                   .fds = fds,
                                                   .nfds = 2,
                                                   .umask = 022});
}

START_TEST(block_round_trip)
{
    struct os_start *start = (struct os_start *)block;
    const struct os_start_fd *fds;
    int bytes = build(sizeof(block));
    char **argv, **envp;

    ck_assert_int_eq(bytes, 2 * PAGE_SIZE);
    ck_assert_int_eq(os_start_check(block, (size_t)bytes), 0);
    argv = os_start_argv(start);
    envp = os_start_envp(start);
    ck_assert_uint_eq(start->argc, 3);
    ck_assert_str_eq(argv[0], "prog");
    ck_assert_str_eq(argv[2], "");
    ck_assert_ptr_null(argv[3]);
    ck_assert_str_eq(envp[1], "B=2");
    ck_assert_ptr_null(envp[2]);
    ck_assert_ptr_eq(os_start_argv(start)[1], argv[1]); /* again: nothing happens twice */
    ck_assert_str_eq((char *)block + start->cwd, "/tmp");
    ck_assert_str_eq((char *)block + start->path, "/bin/prog");
    fds = (const struct os_start_fd *)(const void *)(block + start->fds);
    ck_assert_str_eq(fds[1].service, "fs");
    ck_assert_uint_eq(fds[1].id, 7);
    ck_assert_uint_eq(start->umask, 022);
}
END_TEST

START_TEST(block_that_does_not_fit)
{
    static const char *argv[3000];
    struct os_start_parts parts = {.path = "/x", .argv = (char *const *)argv};

    ck_assert_int_eq(build(PAGE_SIZE), -E2BIG);
    ck_assert_int_eq(build(100), -E2BIG);
    for (unsigned i = 0; i < ARRAY_LEN(argv) - 1; i++)
        argv[i] = "an argument of moderate length, but there are many of them";
    ck_assert_int_eq(os_start_build(block, sizeof(block), &parts), -E2BIG);
    parts = (struct os_start_parts){.path = "/x", .nfds = OS_START_MAX_FDS + 1};
    ck_assert_int_eq(os_start_build(block, sizeof(block), &parts), -E2BIG);
}
END_TEST

START_TEST(grants_are_found)
{
    struct os_start *start = (struct os_start *)block;

    ck_assert_int_gt(build(sizeof(block)), 0);
    start->ngrants = 2;
    start->grants[0] = (struct os_start_grant){.name = "uart@1:0", .kind = OS_GRANT_MMIO, .handle = 5};
    start->grants[1] = (struct os_start_grant){.name = "uart@1:0", .kind = OS_GRANT_IRQ, .handle = 6};
    ck_assert_uint_eq(os_start_grant_find(start, "uart@1:0", OS_GRANT_IRQ)->handle, 6);
    ck_assert_uint_eq(os_start_grant_nth(start, OS_GRANT_MMIO, 0)->handle, 5);
    ck_assert_ptr_null(os_start_grant_nth(start, OS_GRANT_MMIO, 1));
    ck_assert_ptr_null(os_start_grant_find(start, "uart", OS_GRANT_NONE));
    ck_assert_ptr_null(os_start_grant_find(NULL, "uart", OS_GRANT_NONE));
}
END_TEST

static unsigned next_random(unsigned *seed)
{
    return (*seed = *seed * 1103515245 + 12345) >> 8;
}

/* Whatever a hostile parent writes: refused, or every string can be read inside the block (the sanitizers look). */
START_TEST(hostile_block) /* K14 */
{
    static const unsigned fields = 18;
    unsigned seed = 99, accepted = 0;
    size_t bytes = (size_t)build(sizeof(block));
    unsigned char *copy = aligned_alloc(PAGE_SIZE, bytes);
    struct os_start *start = (struct os_start *)copy;

    for (unsigned round = 0; round < 20000; round++) {
        memcpy(copy, block, bytes);
        for (unsigned k = 0; k <= round % 2; k++)
            if (next_random(&seed) % 3)
                ((uint32_t *)copy)[next_random(&seed) % fields] =
                    next_random(&seed) % (round % 5 ? 9000 : UINT32_MAX);
            else
                copy[4096 + next_random(&seed) % 300] = (unsigned char)next_random(&seed);
        if (os_start_check(copy, bytes))
            continue;
        accepted++;
        for (char **v = os_start_argv(start); *v; v++)
            ck_assert_uint_lt(strlen(*v), bytes);
        for (char **v = os_start_envp(start); *v; v++)
            ck_assert_uint_lt(strlen(*v), bytes);
        ck_assert_uint_lt(strlen((char *)copy + start->cwd), bytes);
    }
    ck_assert_uint_gt(accepted, 100);
    free(copy);
}
END_TEST

/* ---- a child made of memory ----------------------------------------------------------------------------------- */

#define CHILD_PAGES 64u
#define CHILD_VA LOAD_VA_MIN

struct child {
    unsigned char memory[CHILD_PAGES][PAGE_SIZE];
    unsigned char prot[CHILD_PAGES]; /* 0: not there */
    bool window_open;
    unsigned steps, fail_at; /* the nth operation fails; 0: none */
};
static struct child child;

static bool fails(struct child *c)
{
    return ++c->steps == c->fail_at;
}

static int child_new(struct child *c, uint64_t va, uint64_t npages, unsigned prot)
{
    uint64_t first = (va - CHILD_VA) / PAGE_SIZE;

    ck_assert_uint_ge(va, CHILD_VA);
    ck_assert_uint_eq(va % PAGE_SIZE, 0);
    if (fails(c) || npages > CHILD_PAGES || first > CHILD_PAGES - npages)
        return -ENOMEM;
    for (uint64_t i = first; i < first + npages; i++) {
        ck_assert_uint_eq(c->prot[i], 0);
        memset(c->memory[i], 0, PAGE_SIZE);
        c->prot[i] = (unsigned char)prot;
    }
    return 0;
}

static int child_open(void *ctx, uint64_t va, unsigned npages, void **window)
{
    struct child *c = ctx;
    int rc = child_new(c, va, npages, EXO_PROT_READ | EXO_PROT_WRITE);

    ck_assert(!c->window_open);
    ck_assert_uint_le(npages, LOAD_BATCH_PAGES);
    c->window_open = rc == 0;
    *window = rc ? NULL : c->memory[(va - CHILD_VA) / PAGE_SIZE];
    return rc;
}

static int child_close(void *ctx, uint64_t va, unsigned npages, unsigned prot)
{
    struct child *c = ctx;

    ck_assert(c->window_open);
    ck_assert((prot & (EXO_PROT_WRITE | EXO_PROT_EXEC)) != (EXO_PROT_WRITE | EXO_PROT_EXEC)); /* P4: W^X */
    c->window_open = false;
    for (unsigned i = 0; i < npages; i++)
        c->prot[(va - CHILD_VA) / PAGE_SIZE + i] = (unsigned char)prot;
    return fails(c) ? -EACCES : 0;
}

static int child_zero(void *ctx, uint64_t va, uint64_t npages, unsigned prot)
{
    return child_new(ctx, va, npages, prot);
}

static const struct load_ops child_ops = {.open = child_open, .close = child_close, .zero = child_zero};

/* ---- a program ------------------------------------------------------------------------------------------------- */

#define PROGRAM_BYTES 0x4000u

static unsigned char program[PROGRAM_BYTES];
static struct elf64_header *header = (struct elf64_header *)program;
static struct elf64_phdr *phdrs = (struct elf64_phdr *)(program + 64);
static unsigned reads, read_fails_at;

/* Text of two pages, data that starts in the middle of a page and has bss behind it, a note. */
static void make_program(void)
{
    static const uint32_t note[] = {7, 4, 1, 0x62726f43, 0x00006c65, EXO_ABI_VERSION};

    for (unsigned i = 0; i < sizeof(program); i++)
        program[i] = (unsigned char)(i * 7 + i / 256);
    *header = (struct elf64_header){.ident = {0x7f, 'E', 'L', 'F', 2, 1, 1},
                                    .type = 2,
                                    .machine = 183,
                                    .version = 1,
                                    .entry = 0x400100,
                                    .phoff = 64,
                                    .ehsize = 64,
                                    .phentsize = 56,
                                    .phnum = 3};
    phdrs[0] = (struct elf64_phdr){
        .type = 1, .flags = 5, .offset = 0, .vaddr = 0x400000, .filesz = 0x1800, .memsz = 0x1800};
    phdrs[1] = (struct elf64_phdr){
        .type = 1, .flags = 6, .offset = 0x2100, .vaddr = 0x402100, .filesz = 0x1200, .memsz = 0x4000};
    phdrs[2] = (struct elf64_phdr){.type = 4,
                                   .flags = 4,
                                   .offset = 0x1000,
                                   .vaddr = 0x401000,
                                   .filesz = sizeof(note),
                                   .memsz = sizeof(note)};
    memcpy(program + 0x1000, note, sizeof(note));
}

static int64_t read_program(void *ctx, uint64_t offset, void *buf, size_t bytes)
{
    if (++reads == read_fails_at)
        return -EIO;
    return load_memory_read(ctx, offset, buf, bytes);
}

static char why[LOAD_WHY_BYTES];
static uint64_t entry;

static int load_bytes(const void *file, size_t bytes)
{
    struct load_memory memory = {.base = file, .bytes = bytes};
    const struct os_image image = {.read = read_program, .ctx = &memory, .bytes = bytes};
    unsigned fail_at = child.fail_at;

    memset(&child, 0, sizeof(child));
    child.fail_at = fail_at;
    reads = 0;
    why[0] = 0;
    return os_load("/bin/x", &image, &child_ops, &child, &entry, why);
}

static void program_setup(void)
{
    child.fail_at = 0;
    read_fails_at = 0;
    make_program();
}

START_TEST(a_program_is_loaded) /* P4 */
{
    ck_assert_msg(load_bytes(program, sizeof(program)) == 0, "%s", why);
    ck_assert_uint_eq(entry, 0x400100);
    ck_assert_mem_eq(child.memory[0], program, 0x1800);
    ck_assert_uint_eq(child.prot[0], EXO_PROT_READ | EXO_PROT_EXEC);
    ck_assert_uint_eq(child.memory[1][0x801], 0); /* behind the text's end: nothing of the file */
    ck_assert_uint_eq(child.memory[2][0xff], 0);  /* nor before the data's start */
    ck_assert_mem_eq(&child.memory[2][0x100], program + 0x2100, 0xf00);
    ck_assert_mem_eq(child.memory[3], program + 0x3000, 0x300);
    ck_assert_uint_eq(child.memory[3][0x300], 0); /* bss */
    ck_assert_uint_eq(child.prot[6], EXO_PROT_READ | EXO_PROT_WRITE);
    ck_assert_uint_eq(child.prot[7], 0);
    ck_assert(!child.window_open);
}
END_TEST

static const struct {
    size_t at, bytes;
    uint64_t value;
    const char *sentence;
} bad_programs[] = {
#define FIELD(f, v, s)                                                                                       \
    {                                                                                                        \
        offsetof(struct elf64_header, f), sizeof(((struct elf64_header *)0)->f), v, s                        \
    }
#define SEGMENT(n, f, v, s)                                                                                  \
    {                                                                                                        \
        64 + (n)*56 + offsetof(struct elf64_phdr, f), sizeof(((struct elf64_phdr *)0)->f), v, s              \
    }
    FIELD(machine, 62, "/bin/x: not an ELF file for AArch64 (machine 62)"),
    FIELD(type, 3, "not an executable"),
    FIELD(version, 2, "64-bit"),
    FIELD(phentsize, 55, "program headers"),
    FIELD(phnum, 65, "program headers"),
    FIELD(phnum, 0, "no loadable segment"),
    FIELD(phoff, 0x2000, "program headers"), /* not in the first page */
    FIELD(phoff, UINT64_MAX - 8, "program headers"),
    FIELD(entry, 0x402200, "entry point"), /* in data */
    FIELD(entry, 0x4017fe, "entry point"),
    FIELD(entry, 0, "entry point"),
    SEGMENT(0, flags, 7, "writable and executable"),
    SEGMENT(0, offset, 0x3000, "outside the file"),
    SEGMENT(0, offset, UINT64_MAX - 0xfff, "outside the file"),
    SEGMENT(0, filesz, 0x1801, "exceeds its memory"),
    SEGMENT(0, memsz, UINT64_MAX, "outside the addresses"),
    SEGMENT(0, vaddr, 0x3ff000, "outside the addresses"),
    SEGMENT(0, vaddr, 0x400010, "disagree within a page"),
    SEGMENT(0, memsz, 0x2001, "share a page"),
    SEGMENT(1, vaddr, 0x400100, "share a page"),
    SEGMENT(1, vaddr, UINT64_MAX - 0xeff, "outside the addresses"),
    SEGMENT(1, memsz, 0x800000000, "memory"), /* more than the child has */
    SEGMENT(2, type, 3, "dynamic linker"),
    SEGMENT(2, type, 6, "no ABI note"),
    SEGMENT(2, filesz, 8, "no ABI note"),
    {0x1000, 4, UINT32_MAX, "no ABI note"},
    {0x1004, 4, UINT32_MAX, "no ABI note"},
    {0x1014, 4, 77, "/bin/x: built for version 77 of the kernel's interface; this is version 2"},
    {0, 1, 'x', "not an ELF file"},
    {4, 1, 1, "64-bit"},
};

START_TEST(bad_program) /* P4 */
{
    int rc;

    memcpy(program + bad_programs[_i].at, &bad_programs[_i].value, bad_programs[_i].bytes);
    rc = load_bytes(program, sizeof(program));
    ck_assert_msg(strstr(why, bad_programs[_i].sentence) != NULL, "\"%s\" lacks \"%s\"", why,
                  bad_programs[_i].sentence);
    ck_assert(rc == -ENOEXEC || rc == -ENOMEM);
    ck_assert(!child.window_open);
}
END_TEST

START_TEST(cut_short) /* P4, B6 */
{
    for (size_t n = 0; n < sizeof(program) - 0xd00; n += 61) {
        unsigned char *copy = malloc(n + 1);

        memcpy(copy, program, n);
        ck_assert_int_eq(load_bytes(copy, n), -ENOEXEC);
        ck_assert(why[0] != 0);
        free(copy);
    }
}
END_TEST

/* Each operation and each read in turn fails: the error comes back with a sentence, and no window stays open. */
START_TEST(every_failure) /* T1, P4 */
{
    unsigned noperations, nreads;

    ck_assert_int_eq(load_bytes(program, sizeof(program)), 0);
    noperations = child.steps;
    nreads = reads;
    for (unsigned i = 1; i <= noperations; i++) {
        child.fail_at = i;
        ck_assert_int_lt(load_bytes(program, sizeof(program)), 0);
        ck_assert(!child.window_open && why[0]);
    }
    child.fail_at = 0;
    for (unsigned i = 1; i <= nreads; i++) {
        read_fails_at = i;
        ck_assert_int_eq(load_bytes(program, sizeof(program)), -EIO);
        ck_assert_ptr_nonnull(strstr(why, "cannot be read"));
        ck_assert(!child.window_open);
    }
}
END_TEST

/* Any bytes of the headers changed: loaded into the child's own pages, or refused; never anything else. */
START_TEST(changed_program) /* P4 */
{
    unsigned seed = 4242, loaded = 0;

    for (unsigned round = 0; round < 20000; round++) {
        make_program();
        for (unsigned k = 0; k <= round % 3; k++)
            program[next_random(&seed) % (64 + 3 * 56)] ^= (unsigned char)(1u << next_random(&seed) % 8);
        loaded += load_bytes(program, sizeof(program)) == 0;
        ck_assert(!child.window_open);
    }
    ck_assert_uint_gt(loaded, 100);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("proc");
    TCase *t = tcase_create("start block");

    tcase_add_test(t, block_round_trip);
    tcase_add_test(t, block_that_does_not_fit);
    tcase_add_test(t, grants_are_found);
    tcase_add_test(t, hostile_block);
    suite_add_tcase(s, t);
    t = tcase_create("loader");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, program_setup, NULL);
    tcase_add_test(t, a_program_is_loaded);
    tcase_add_loop_test(t, bad_program, 0, (int)ARRAY_LEN(bad_programs));
    tcase_add_test(t, cut_short);
    tcase_add_test(t, every_failure);
    tcase_add_test(t, changed_program);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    SRunner *runner = srunner_create(suite());
    int failed;

    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
