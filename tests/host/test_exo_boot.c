/* Boot: what the device tree and the bundle say, good and bad.  B1 B6 K9 K20 K22 */
#include <libfdt.h>
#include <string.h>

#include "base/elf64.h"
#include "cpu.h"
#include "exo_machine.h"

#define MIB (1ull << 20)

static struct exo_image image;
static struct exo_tree tree;
static char console[1024];

static void start(void)
{
    exo_image_make(&image, 4 * MIB);
    tree = (struct exo_tree){
        .memory = {{RAM_BASE, 4 * MIB}}, .nmemory = 1, .initrd = {BUNDLE_BASE, image.bundle_len}};
}

/* Boots what stands in image. */
static void stops_as_is(const char *sentence)
{
    ck_assert_int_eq(exo_try_boot(&image, console), MACHINE_STOPPED);
    ck_assert_msg(!strncmp(console, "\ncorbel: ", 9) && strstr(console, sentence) &&
                      !strstr(console, "panic"),
                  "says \"%s\", not \"%s\"", console, sentence);
    ck_assert_int_eq(console[strlen(console) - 1], '\n');
}

/* And in tree. */
static void stops_with(const char *sentence)
{
    exo_tree_make(&image, &tree);
    stops_as_is(sentence);
}

static void runs(void)
{
    exo_tree_make(&image, &tree);
    ck_assert_msg(exo_try_boot(&image, console) == MACHINE_RUNS, "%s", console);
    ck_assert_str_eq(console, "");
}

static void put_word(size_t at, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++)
        image.tree[at + i] = (uint8_t)(value >> (24 - 8 * i));
}

/* The tree's structure, tag by tag; room for it is in the tree that was made. */
static void structure(unsigned n, const uint32_t *words)
{
    exo_tree_make(&image, &tree);
    for (unsigned i = 0; i < n; i++)
        put_word(fdt_off_dt_struct(image.tree) + 4 * i, words[i]);
}
#define STRUCTURE(...) structure(sizeof((uint32_t[]){__VA_ARGS__}) / 4, (const uint32_t[]){__VA_ARGS__})

/* ---- good ------------------------------------------------------------------------------------------------------- */

START_TEST(what_the_first_program_finds)
{
    const struct exo_system *s = system_info;
    struct binding b;
    uint64_t kernel = 0;

    ck_assert_uint_eq(s->nframes, 1024);
    ck_assert_uint_eq(s->first_frame, RAM_BASE >> PAGE_SHIFT);
    ck_assert_uint_eq(s->abi_version, EXO_ABI_VERSION);
    ck_assert_uint_eq(s->counter_hz, MACHINE_HZ);
    ck_assert_uint_eq(s->bundle_bytes, exo_image.bundle_len);
    ck_assert_uint_eq(s->tree_bytes, exo_image.tree_len);
    ck_assert_mem_eq(machine_touch(s->bundle_va, EXO_PROT_READ), exo_image.bundle, exo_image.bundle_len);
    ck_assert_mem_eq(machine_touch(s->tree_va, EXO_PROT_READ), exo_image.tree,
                     exo_image.tree_len < 4096 ? exo_image.tree_len : 4096);
    ck_assert_uint_eq(*(const uint8_t *)machine_touch(0x4000b0, EXO_PROT_EXEC), 0x5a);
    ck_assert_uint_eq(*(const uint8_t *)machine_touch(0x402200, EXO_PROT_WRITE), 0x5a);
    ck_assert_uint_eq(*(const uint8_t *)machine_touch(0x402300, EXO_PROT_WRITE), 0); /* bss */
    ck_assert_uint_eq(*(const uint8_t *)machine_touch(0x4035ff, EXO_PROT_WRITE), 0);
    ck_assert(!space_lookup(root.env->home, 0x404000, &b));
    ck_assert(!space_lookup(root.env->home, EXO_FIRST_STACK_TOP, &b));
    ck_assert(
        !space_lookup(root.env->home, EXO_FIRST_STACK_TOP - (EXO_FIRST_STACK_PAGES + 1) * PAGE_SIZE, &b));
    ck_assert_uint_eq(machine.on->vcpu_pointer, EXO_FIRST_VCPU_VA);
    for (pfn_t pfn = s->first_frame; pfn < s->first_frame + IMAGE_LEN / PAGE_SIZE; pfn++)
        kernel += frame_kind(pfn) == EXO_FRAME_KERNEL;
    ck_assert_uint_eq(kernel, IMAGE_LEN / PAGE_SIZE);                       /* K9 */
    ck_assert_uint_eq(frame_kind(TREE_BASE >> PAGE_SHIFT), EXO_FRAME_FREE); /* where the tree was */
    ck_assert_uint_eq(root.env->owner.account.limit,
                      root.env->owner.account.used + exo_free_frames()); /* all of it is init's to give */
    for (uint64_t h = EXO_SELF_ENV; h <= EXO_FIRST_SLICE; h++)
        ck_assert_ptr_nonnull(cap_at(root.env, h));
    ck_assert_ptr_null(cap_at(root.env, EXO_FIRST_SLICE + 1));
    ck_assert_str_ne(machine.cpu->log->text, "");
}
END_TEST

START_TEST(memory_in_pieces)
{
    start();
    image.nram = 3;
    image.ram[1] = (struct exo_range){RAM_BASE + 8 * MIB, 4 * MIB};
    image.ram[2] = (struct exo_range){RAM_BASE + 16 * MIB, 2 * MIB};
    tree.nmemory = 3;
    memcpy(tree.memory, image.ram, sizeof(tree.memory));
    runs();
    tree.memory[0] = image.ram[2]; /* in any order */
    tree.memory[2] = image.ram[0];
    runs();
    tree.nreserved = 2;
    tree.reserved[0] = (struct exo_range){RAM_BASE + 9 * MIB, 0x3456};
    tree.reserved[1] = (struct exo_range){RAM_BASE, 0x80000}; /* around the kernel */
    tree.nmemreserve = 2;
    tree.memreserve[0] =
        (struct exo_range){TREE_BASE, image.tree_len};           /* the tree itself, as firmware likes to */
    tree.memreserve[1] = (struct exo_range){0x10000000, 0x1000}; /* where no memory is */
    runs();
    tree.initrd_cells = 1;
    runs();
    tree.memory[0].len += 0x1234; /* less than a piece more */
    runs();
}
END_TEST

START_TEST(large_machine)
{
    start();
    image.ram[0].len = tree.memory[0].len = 2ull << 30;
    runs();
    start();
    tree.nmemory = 2; /* more than can be reached is left alone */
    tree.memory[1] = (struct exo_range){MACHINE_LINEAR_BYTES + 2 * MIB, 64 * MIB};
    runs();
}
END_TEST

/* ---- bad trees --------------------------------------------------------------------------------------------------- */

START_TEST(no_memory)
{
    start();
    tree.nmemory = 0;
    stops_with("no memory node");
    tree.nmemory = 1;
    tree.memory[0].len = 2 * MIB - 1;
    stops_with("no memory node describes 2 MiB");
    tree.memory[0].len = 0;
    stops_with("no memory node");
    tree.memory[0] = (struct exo_range){UINT64_MAX - 4 * MIB, 4 * MIB};
    stops_with("no memory node");
    tree.memory[0] = (struct exo_range){RAM_BASE, UINT64_MAX}; /* wraps */
    stops_with("no memory node");
}
END_TEST

START_TEST(memory_twice)
{
    start();
    tree.nmemory = 2;
    tree.memory[1] = tree.memory[0];
    stops_with("overlap");
    tree.memory[1].len = 2 * MIB;
    stops_with("overlap");
    tree.memory[1].base += 2 * MIB;
    stops_with("overlap");
}
END_TEST

START_TEST(hostile_reservations)
{
    static const struct exo_range bad[] = {{RAM_BASE, UINT64_MAX - RAM_BASE},
                                           {0x1000, RAM_BASE - 0x1000},
                                           {RAM_BASE, 0xffffffffc0001000},
                                           {UINT64_MAX - 0xfff, 0x2000},
                                           {0, UINT64_MAX},
                                           {RAM_BASE, 4 * MIB}};

    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) { /* no room, or a clean refusal: never a hang or a crash */
        start();
        tree.nmemreserve = 2;
        tree.memreserve[0] = bad[i];
        tree.memreserve[1] = (struct exo_range){0x1000, RAM_BASE - 0x1000};
        exo_tree_make(&image, &tree);
        exo_try_boot(&image, console);
        ck_assert_msg(!strstr(console, "panic"), "%s", console);
    }
}
END_TEST

START_TEST(trees_cut_short)
{
    start();
    exo_tree_make(&image, &tree);
    for (size_t len = 0; len < image.tree_len; len += len < 64 ? 1 : 37) {
        struct exo_image cut = image;

        memset(cut.tree + len, 0, sizeof(cut.tree) - len);
        cut.tree_len = sizeof(cut.tree);
        if (exo_try_boot(&cut, console) == MACHINE_RUNS)
            ck_assert_uint_gt(len + 40, image.tree_len); /* a name's last letters, or its zero */
        else
            ck_assert_ptr_nonnull(strstr(console, "corbel: "));
        ck_assert_ptr_null(strstr(console, "panic"));
    }
}
END_TEST

START_TEST(trees_mutated)
{
    struct dice d = {(uint64_t)_i};

    start();
    exo_tree_make(&image, &tree);
    for (unsigned round = 0; round < 60; round++) {
        struct exo_image bad = image;

        for (uint64_t n = 1 + dice_below(&d, 3); n > 0; n--) {
            uint64_t at = dice_below(&d, bad.tree_len);

            bad.tree[at] =
                dice_below(&d, 2) ? (uint8_t)dice(&d) : bad.tree[at] ^ (uint8_t)(1u << dice_below(&d, 8));
        }
        /* A tree may well still be good, or claim memory that is not there: give it all of the space. */
        bad.nram = 1;
        bad.ram[0] = (struct exo_range){0, 16ull << 30};
        exo_try_boot(&bad, console);
        ck_assert_msg(!strstr(console, "panic"), "%s", console);
    }
}
END_TEST

/* ---- bad bundles ------------------------------------------------------------------------------------------------- */

START_TEST(no_bundle)
{
    start();
    tree.no_initrd = true;
    stops_with("no bundle");
    tree.no_initrd = false;
    tree.initrd.len = 0;
    stops_with("ends before it starts");
    tree.initrd = (struct exo_range){BUNDLE_BASE, 0ull - 0x1000};
    stops_with("ends before it starts");
    tree.initrd = (struct exo_range){BUNDLE_BASE + 4, 100};
    stops_with("not page aligned");
    tree.initrd = (struct exo_range){BUNDLE_BASE, 4 * MIB}; /* larger than what is left */
    stops_with("not all in memory");
    tree.initrd = (struct exo_range){0x10000000, 0x1000};
    stops_with("not all in memory");
    tree.initrd = (struct exo_range){RAM_BASE, 0x1000};
    stops_with("overlap the kernel");
    tree.initrd = (struct exo_range){RAM_BASE + 0x20000, 0x1000}; /* zeroes */
    stops_with("does not start with the newc magic");
}
END_TEST

START_TEST(bundle_contents)
{
    uint8_t elf[1024];
    size_t len = exo_elf_make(elf);

    start();
    exo_bundle_make(&image, "bin/other", elf, len);
    tree.initrd.len = image.bundle_len;
    stops_with("holds no bin/init");
    tree.initrd.len = 100;
    stops_with("reaches past the end");
    tree.initrd.len = 116; /* the folder alone */
    stops_with("without its trailer");
    exo_bundle_make(&image, EXO_FIRST_PROGRAM, "#!/bin/sh\n", 10);
    tree.initrd.len = image.bundle_len;
    stops_with("bin/init: shorter than an ELF header");
    exo_bundle_make(&image, EXO_FIRST_PROGRAM, elf, 0);
    tree.initrd.len = image.bundle_len;
    stops_with("bin/init: shorter");
    elf[18] = 62;
    exo_bundle_make(&image, EXO_FIRST_PROGRAM, elf, len);
    tree.initrd.len = image.bundle_len;
    stops_with("for another processor");
    len = exo_elf_make(elf);
    memcpy(elf + 64 + 56 + offsetof(struct elf64_phdr, memsz), &(uint64_t){64 * MIB},
           8); /* bss larger than memory */
    exo_bundle_make(&image, EXO_FIRST_PROGRAM, elf, len);
    tree.initrd.len = image.bundle_len;
    stops_with("binding its memory");
}
END_TEST

/* The tree may lie anywhere, even in the middle of what is to be reserved. */
START_TEST(tree_in_the_way)
{
    for (uint64_t at = RAM_BASE + 0x10000; at < RAM_BASE + 2 * MIB; at += 0x10000) {
        bool over_bundle;

        start();
        image.tree_base = at;
        over_bundle = at < BUNDLE_BASE + image.bundle_len && at + 2000 > BUNDLE_BASE;
        tree.nreserved = 1;
        tree.reserved[0] = (struct exo_range){RAM_BASE + 0x30000, 0x20000};
        if (over_bundle)
            continue;
        runs();
    }
    /* It shares the bundle's last page. */
    start();
    image.tree_base = align_up(BUNDLE_BASE + image.bundle_len, 64);
    ck_assert_uint_eq(image.tree_base >> PAGE_SHIFT, BUNDLE_BASE >> PAGE_SHIFT);
    runs();
}
END_TEST

/* What libfdt would walk without end, or off the end: found by `make fuzz`.  K20 */
START_TEST(trees_that_cannot_be_walked)
{
    start();
    STRUCTURE(1, 0, 3, 0xfffffff0, 0); /* a property that ends before it begins */
    stops_as_is("FDT_ERR_BADSTRUCTURE");
    STRUCTURE(1, 0, 3, 0x7ffffff0, 0);
    stops_as_is("FDT_ERR_BADSTRUCTURE");
    STRUCTURE(1, 0, 5); /* no such tag */
    stops_as_is("FDT_ERR_BADSTRUCTURE");
    exo_tree_make(&image, &tree);
    put_word(20, 15); /* names there are paths */
    stops_as_is("FDT_ERR_BADVERSION");
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("boot");
    TCase *good = tcase_create("first_program"), *memory = tcase_create("memory");
    TCase *trees = tcase_create("trees"), *bundles = tcase_create("bundles"), *place = tcase_create("place");

    tcase_add_checked_fixture(good, exo_boot, exo_check);
    tcase_add_test(good, what_the_first_program_finds);
    suite_add_tcase(s, good);
    tcase_set_timeout(memory, 60);
    tcase_add_test(memory, memory_in_pieces);
    tcase_add_test(memory, large_machine);
    tcase_add_test(memory, no_memory);
    tcase_add_test(memory, memory_twice);
    tcase_add_test(memory, hostile_reservations);
    suite_add_tcase(s, memory);
    tcase_set_timeout(trees, 60);
    tcase_add_test(trees, trees_cut_short);
    tcase_add_loop_test(trees, trees_mutated, 0, 4);
    tcase_add_test(trees, trees_that_cannot_be_walked);
    suite_add_tcase(s, trees);
    tcase_set_timeout(bundles, 60);
    tcase_add_test(bundles, no_bundle);
    tcase_add_test(bundles, bundle_contents);
    suite_add_tcase(s, bundles);
    tcase_set_timeout(place, 60);
    tcase_add_test(place, tree_in_the_way);
    suite_add_tcase(s, place);
    return s;
}

int main(void)
{
    return exo_suite_run(suite());
}
