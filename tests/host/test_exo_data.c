/* The kernel's pure parts: the deadline heap, the archive and ELF readers against damaged input.  K20 P4 B6 */
#include <stdlib.h>
#include <string.h>

#include "base/elf64.h"
#include "base/newc.h"
#include "base/range.h"
#include "deadline.h"
#include "exo_machine.h"

/* ---- deadlines ------------------------------------------------------------------------------------------------- */

#define NODES 300u

static struct deadline nodes[NODES];

static uint32_t heap_size(const struct deadline *d, const struct deadline *parent)
{
    uint32_t left, right;

    if (!d)
        return 0;
    ck_assert_ptr_eq(d->parent, parent);
    ck_assert(!parent || parent->at <= d->at);
    left = heap_size(d->left, d);
    right = heap_size(d->right, d);
    ck_assert_uint_ge(d->left ? d->left->rank : 0, d->right ? d->right->rank : 0);
    ck_assert_uint_eq(d->rank, (d->right ? d->right->rank : 0) + 1);
    return left + right + 1;
}

static const struct deadline *earliest(uint32_t *set)
{
    const struct deadline *best = NULL;

    *set = 0;
    for (unsigned i = 0; i < NODES; i++)
        if (deadline_is_set(&nodes[i])) {
            ++*set;
            if (!best || nodes[i].at < best->at)
                best = &nodes[i];
        }
    return best;
}

START_TEST(deadline_heap)
{
    struct dice d = {(uint64_t)_i};
    struct deadline_heap heap = {NULL};
    uint32_t set;

    for (unsigned step = 0; step < 3000; step++) {
        struct deadline *n = &nodes[dice_below(&d, NODES)];

        if (!deadline_is_set(n))
            deadline_insert(&heap, n, _i % 2 ? step : dice_below(&d, 50));
        else if (dice_below(&d, 2))
            deadline_remove(&heap, n);
        else if (heap.first)
            deadline_remove(&heap, heap.first);
        const struct deadline *first = earliest(&set);

        ck_assert((first == NULL) == (heap.first == NULL));
        ck_assert(!first || first->at == heap.first->at);
        if (step % 16 == 0)
            ck_assert_uint_eq(heap_size(heap.first, NULL), set);
    }
    for (unsigned i = 0; i < NODES; i++)
        deadline_remove(&heap, &nodes[i]);
    ck_assert_ptr_null(heap.first);
}
END_TEST

/* ---- ranges ---------------------------------------------------------------------------------------------------- */

START_TEST(ranges)
{
    /* All small ranges, against counting; the same at the top of the numbers. */
    for (uint64_t base = 0; base < 8; base++)
        for (uint64_t len = 0; len < 8; len++)
            for (uint64_t in = 0; in < 8; in++)
                for (uint64_t in_len = 0; in_len < 8; in_len++) {
                    bool inside = base >= in && base + len <= in + in_len, overlaps = false;

                    for (uint64_t i = base; i < base + len; i++)
                        overlaps |= i >= in && i < in + in_len;
                    ck_assert(range_inside(base, len, in, in_len) == inside);
                    ck_assert(range_overlaps(base, len, in, in_len) == overlaps);
                    ck_assert(range_fits(base, len, in) == (base + len <= in));
                    ck_assert(range_overlaps(base - 8, len, in - 8, in_len) == overlaps || base + len > 8 ||
                              in + in_len > 8);
                }
    ck_assert(!range_fits(UINT64_MAX, 2, UINT64_MAX));
    ck_assert(!range_inside(1, UINT64_MAX, 0, 100));
    ck_assert(range_inside(UINT64_MAX, 0, 0, UINT64_MAX));
}
END_TEST

/* ---- damaged input: always in a buffer of its own, so that a read past its end is found -------------------------- */

static struct exo_image image;

static void *tight_copy(const void *from, size_t len)
{
    void *copy = malloc(len ? len : 1);

    memcpy(copy, from, len);
    return copy;
}

/* Reads an archive to its end: the number of records, or the error; every byte that it hands out is looked at. */
static int read_archive(const uint8_t *base, size_t len, uint64_t *sum)
{
    struct newc_reader r = newc_open(base, len);
    struct newc_entry e;
    int rc, n = 0;
    uint64_t at = 0;

    while ((rc = newc_next(&r, &e)) > 0) {
        ck_assert_uint_gt(r.at, at); /* each step moves forward */
        at = r.at;
        for (uint32_t i = 0; i < e.size; i++)
            *sum += e.data[i];
        *sum += strlen(e.name);
        n++;
    }
    ck_assert_ptr_nonnull(newc_strerror(rc));
    return rc < 0 ? rc : n;
}

START_TEST(archive_truncated)
{
    uint64_t sum = 0;

    exo_image_make(&image, 4 << 20);
    ck_assert_int_eq(read_archive(image.bundle, image.bundle_len, &sum), 2);
    for (size_t len = 0; len < image.bundle_len; len++) {
        uint8_t *cut = tight_copy(image.bundle, len);
        int rc = read_archive(cut, len, &sum);

        ck_assert_int_le(rc, len + 3 < image.bundle_len ? NEWC_ETRUNCATED : 2); /* padding may be missing */
        free(cut);
    }
}
END_TEST

START_TEST(archive_mutated)
{
    struct dice d = {(uint64_t)_i};
    uint64_t sum = 0;

    exo_image_make(&image, 4 << 20);
    for (unsigned round = 0; round < 2000; round++) {
        uint8_t *copy = tight_copy(image.bundle, image.bundle_len);

        for (uint64_t n = 1 + dice_below(&d, 4); n > 0; n--) {
            uint64_t at = dice_below(&d, dice_below(&d, 2) ? 230 : image.bundle_len);

            copy[at] =
                dice_below(&d, 2) ? (uint8_t) "0123456789abcdefF\0/."[dice_below(&d, 20)] : (uint8_t)dice(&d);
        }
        read_archive(copy, image.bundle_len, &sum);
        free(copy);
    }
}
END_TEST

START_TEST(archive_names)
{
    static const char *const names[] = {"bin/init", "./bin/init", "/bin/init", "////bin/init", "./", "."};
    static const char *const plain[] = {"bin/init", "bin/init", "bin/init", "bin/init", "", "."};

    for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
        struct newc_reader r;
        struct newc_entry e;

        exo_bundle_make(&image, names[i], "12345", 5);
        r = newc_open(image.bundle, image.bundle_len);
        ck_assert_int_eq(newc_next(&r, &e), 1);
        ck_assert_str_eq(e.name, "bin");
        ck_assert_int_eq(newc_next(&r, &e), 1);
        ck_assert_str_eq(e.name, plain[i]);
        ck_assert_uint_eq(e.size, 5);
        ck_assert_mem_eq(e.data, "12345", 5);
        ck_assert_uint_eq(e.offset % 4, 0);
        ck_assert_int_eq(newc_next(&r, &e), 0);
        ck_assert_int_eq(newc_next(&r, &e), 0); /* the trailer stays */
    }
}
END_TEST

static uint8_t elf[1024];

static int plan_of(const void *file, size_t len, struct elf64_plan *plan)
{
    int rc = elf64_plan(file, len, EXO_PROGRAM_MIN, EXO_PROGRAM_MAX, plan);

    if (rc) {
        ck_assert_str_ne(elf64_strerror(rc), "no error");
        return rc;
    }
    ck_assert_uint_ge(plan->nsegments, 1);
    for (uint32_t i = 0; i < plan->nsegments; i++) { /* what a loader relies on */
        const struct elf64_segment *s = &plan->segments[i];

        ck_assert(range_fits(s->file_at, s->file_bytes, len));
        ck_assert_uint_le(s->file_bytes, s->mem_bytes);
        ck_assert(range_inside(s->va, s->mem_bytes, EXO_PROGRAM_MIN, EXO_PROGRAM_MAX - EXO_PROGRAM_MIN));
        ck_assert_uint_ne(s->prot & 6, 6);
        ck_assert_uint_eq(s->va & PAGE_MASK, s->file_at & PAGE_MASK);
        if (i)
            ck_assert_uint_ge(s->va >> PAGE_SHIFT, (s[-1].va + s[-1].mem_bytes + PAGE_MASK) >> PAGE_SHIFT);
    }
    ck_assert(range_fits(plan->note_at, plan->note_bytes, len));
    return 0;
}

START_TEST(elf_truncated)
{
    struct elf64_plan plan;
    size_t whole = exo_elf_make(elf);

    ck_assert_int_eq(plan_of(elf, whole, &plan), 0);
    ck_assert_uint_eq(plan.entry, 0x400100);
    ck_assert_uint_eq(plan.nsegments, 2);
    ck_assert_uint_eq(plan.segments[1].mem_bytes, 0x1400);
    for (size_t len = 0; len < whole; len++) {
        void *cut = tight_copy(elf, len);

        ck_assert_int_lt(plan_of(cut, len, &plan), 0);
        free(cut);
    }
}
END_TEST

START_TEST(elf_mutated)
{
    static const uint64_t values[] = {0,          1,         2,          0xfff,      0x1000,
                                      UINT32_MAX, INT64_MAX, 1ull << 63, UINT64_MAX, 0x1000000000};
    struct dice d = {(uint64_t)_i + 100};
    size_t whole = exo_elf_make(elf);
    struct elf64_plan plan;

    for (unsigned round = 0; round < 8000; round++) {
        uint8_t *copy = tight_copy(elf, whole);
        uint64_t at = dice_below(&d, 64 + 2 * 56);

        if (dice_below(&d, 2))
            copy[at] = (uint8_t)dice(&d);
        else
            memcpy(copy + align_down(at, 8), &values[dice_below(&d, ARRAY_LEN(values))], 8);
        if (dice_below(&d, 2))
            copy[dice_below(&d, 176)] ^= (uint8_t)(1u << dice_below(&d, 8));
        plan_of(copy, whole, &plan);
        free(copy);
    }
}
END_TEST

static void expect_elf(int error, size_t at, const void *bytes, size_t len)
{
    struct elf64_plan plan;
    size_t whole = exo_elf_make(elf);

    memcpy(elf + at, bytes, len);
    ck_assert_int_eq(plan_of(elf, whole, &plan), error);
}

#define PHDR(n, field) (64 + 56 * (n) + offsetof(struct elf64_phdr, field))
#define HEADER(field) offsetof(struct elf64_header, field)
#define BAD(error, at, type, value)                                                                          \
    do {                                                                                                     \
        const type v_ = (type)(value);                                                                       \
        expect_elf(error, at, &v_, sizeof(v_));                                                              \
    } while (0)

START_TEST(elf_errors)
{
    BAD(ELF64_EMAGIC, 0, uint8_t, 0);
    BAD(ELF64_ECLASS, 4, uint8_t, 1);
    BAD(ELF64_ECLASS, 5, uint8_t, 2);
    BAD(ELF64_EMACHINE, HEADER(machine), uint16_t, 62);
    BAD(ELF64_ETYPE, HEADER(type), uint16_t, 3);
    BAD(ELF64_EHEADERS, HEADER(phentsize), uint16_t, 55);
    BAD(ELF64_EHEADERS, HEADER(phnum), uint16_t, 65);
    BAD(ELF64_EHEADERS, HEADER(phoff), uint64_t, UINT64_MAX);
    BAD(ELF64_EHEADERS, HEADER(phoff), uint64_t, 0x300 - 111);
    BAD(ELF64_ENONE, HEADER(phnum), uint16_t, 0);
    BAD(ELF64_EENTRY, HEADER(entry), uint64_t, 0x402200); /* not in code */
    BAD(ELF64_EENTRY, HEADER(entry), uint64_t, 0x4001fe); /* half an instruction */
    BAD(ELF64_ESEGMENT, PHDR(0, filesz), uint64_t, 0x201);
    BAD(ELF64_ESEGMENT, PHDR(1, offset), uint64_t, 0x1200);
    BAD(ELF64_ESEGMENT, PHDR(1, offset), uint64_t, UINT64_MAX - 0xdff);
    BAD(ELF64_EADDRESS, PHDR(0, vaddr), uint64_t, 0x1000);
    BAD(ELF64_EADDRESS, PHDR(1, vaddr), uint64_t, EXO_PROGRAM_MAX - 0x200);
    BAD(ELF64_EADDRESS, PHDR(1, memsz), uint64_t, UINT64_MAX);
    BAD(ELF64_EALIGN, PHDR(1, vaddr), uint64_t, 0x402204);
    BAD(ELF64_EOVERLAP, PHDR(1, vaddr), uint64_t, 0x400200);
    BAD(ELF64_EOVERLAP, PHDR(0, vaddr), uint64_t, 0x500000);
    BAD(ELF64_EACCESS, PHDR(0, flags), uint32_t, 7);
    BAD(ELF64_EINTERP, PHDR(1, type), uint32_t, 3);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("data");
    TCase *tc = tcase_create("data");

    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, deadline_heap, 0, 8);
    tcase_add_test(tc, ranges);
    tcase_add_test(tc, archive_truncated);
    tcase_add_loop_test(tc, archive_mutated, 0, 4);
    tcase_add_test(tc, archive_names);
    tcase_add_test(tc, elf_truncated);
    tcase_add_loop_test(tc, elf_mutated, 0, 4);
    tcase_add_test(tc, elf_errors);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    return exo_suite_run(suite());
}
