/* ELF files: the plan that kernel and libOS make of one, and the libOS's loader.  K20: nothing outside of the file is read,
 * nothing outside of the permitted addresses is loaded; K15: nothing is writable and executable. */
#include <string.h>

#include "fuzz.h"
#include "exo/abi.h"
#include "os/load.h"

static unsigned nopen;
static void *window_now;

static int load_open(void *ctx, uint64_t va, unsigned npages, void **window)
{
    (void)ctx;
    FUZZ_ASSERT(nopen == 0 && npages >= 1 && npages <= LOAD_BATCH_PAGES);
    FUZZ_ASSERT(va % PAGE_SIZE == 0 &&
                range_inside(va, npages * PAGE_SIZE, LOAD_VA_MIN, LOAD_VA_MAX - LOAD_VA_MIN));
    nopen++;
    *window = window_now = calloc(npages, PAGE_SIZE);
    return 0;
}

static int load_close(void *ctx, uint64_t va, unsigned npages, unsigned prot)
{
    (void)ctx;
    (void)va;
    (void)npages;
    FUZZ_ASSERT(nopen == 1);
    FUZZ_ASSERT((prot & (ELF64_PROT_WRITE | ELF64_PROT_EXEC)) != (ELF64_PROT_WRITE | ELF64_PROT_EXEC));
    nopen--;
    free(window_now);
    return 0;
}

static int load_zero(void *ctx, uint64_t va, uint64_t npages, unsigned prot)
{
    (void)ctx;
    FUZZ_ASSERT(npages >= 1 && range_inside(va, npages * PAGE_SIZE, LOAD_VA_MIN, LOAD_VA_MAX - LOAD_VA_MIN));
    FUZZ_ASSERT((prot & (ELF64_PROT_WRITE | ELF64_PROT_EXEC)) != (ELF64_PROT_WRITE | ELF64_PROT_EXEC));
    return 0;
}

static void plan(const uint8_t *file, size_t size)
{
    struct elf64_plan p;
    uint64_t last = 0;
    int rc = elf64_plan(file, size, EXO_PROGRAM_MIN, EXO_PROGRAM_MAX, &p);

    FUZZ_ASSERT((rc == 0) == (strcmp(elf64_strerror(rc), "no error") == 0));
    if (rc)
        return;
    FUZZ_ASSERT(p.nsegments >= 1 && p.nsegments <= ELF64_SEGMENTS_MAX);
    FUZZ_ASSERT(p.note_bytes == 0 || (p.note_at <= size && p.note_bytes <= size - p.note_at));
    for (uint32_t i = 0; i < p.nsegments; i++) {
        const struct elf64_segment *s = &p.segments[i];

        FUZZ_ASSERT(s->va >= last && s->va >= EXO_PROGRAM_MIN && s->mem_bytes <= EXO_PROGRAM_MAX - s->va);
        FUZZ_ASSERT(s->file_at <= size && s->file_bytes <= size - s->file_at &&
                    s->file_bytes <= s->mem_bytes);
        last = align_up(s->va + s->mem_bytes, PAGE_SIZE);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct load_ops ops = {load_open, load_close, load_zero};
    uint8_t *copy = fuzz_copy(data, size);
    struct load_memory memory = {.base = copy, .bytes = size};
    const struct os_image image = {.read = load_memory_read, .ctx = &memory, .bytes = size};
    char why[LOAD_WHY_BYTES] = "";
    uint64_t entry;
    int rc;

    plan(copy, size);
    rc = os_load("/bin/fuzz", &image, &ops, NULL, &entry, why);
    FUZZ_ASSERT(nopen == 0 && (rc == 0 || (rc < 0 && strlen(why) > 0 && strlen(why) < LOAD_WHY_BYTES)));
    FUZZ_ASSERT(rc || (entry >= LOAD_VA_MIN && entry < LOAD_VA_MAX));
    free(copy);
    return 0;
}
