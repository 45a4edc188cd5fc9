#include "os/load.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define NOTE_TYPE_ABI 1u
#define NOTE_BYTES_MAX 512u

static int refuse(char *why, const char *path, const char *what)
{
    snprintf(why, LOAD_WHY_BYTES, "%s: %s", path, what);
    return -ENOEXEC;
}

static int read_exactly(const char *path, const struct os_image *image, uint64_t offset, void *buf,
                        size_t bytes, char *why)
{
    int64_t got = image->read(image->ctx, offset, buf, bytes);

    if (got < 0) {
        snprintf(why, LOAD_WHY_BYTES, "%s: cannot be read: %s", path, strerror((int)-got));
        return (int)got;
    }
    if ((uint64_t)got != bytes)
        return refuse(why, path, "shorter than its size says");
    return 0;
}

/* ---- planning -------------------------------------------------------------------------------------------- */

struct note_header {
    uint32_t name_bytes, desc_bytes, type;
};

/* Steps through the notes; every length is taken from what is left. */
static int find_abi(const uint8_t *notes, uint64_t left, uint32_t *version)
{
    while (left >= sizeof(struct note_header)) {
        struct note_header n;
        uint64_t name_at = sizeof(n), desc_at;

        memcpy(&n, notes, sizeof(n));
        desc_at = name_at + align_up(n.name_bytes, 4);
        if (!range_fits(desc_at, align_up(n.desc_bytes, 4), left))
            return -ENOENT;
        if (n.name_bytes == 7 && !memcmp(notes + name_at, "Corbel", 7) && n.type == NOTE_TYPE_ABI &&
            n.desc_bytes == 4) {
            memcpy(version, notes + desc_at, 4);
            return 0;
        }
        left -= desc_at + align_up(n.desc_bytes, 4);
        notes += desc_at + align_up(n.desc_bytes, 4);
    }
    return -ENOENT;
}

static int check_abi(const char *path, const struct os_image *image, const struct elf64_plan *plan, char *why)
{
    uint8_t notes[NOTE_BYTES_MAX];
    uint64_t bytes = min_u64(plan->note_bytes, sizeof(notes));
    uint32_t version = 0;
    int rc = read_exactly(path, image, plan->note_at, notes, bytes, why);

    if (rc)
        return rc;
    if (find_abi(notes, bytes, &version))
        return refuse(why, path, "not built for Corbel: it has no ABI note");
    if (version != EXO_ABI_VERSION) {
        snprintf(why, LOAD_WHY_BYTES,
                 "%s: built for version %u of the kernel's interface; this is version %u", path,
                 (unsigned)version, EXO_ABI_VERSION);
        return -ENOEXEC;
    }
    return 0;
}

/* The first page must hold all program headers; linkers put them right behind the ELF header. */
static bool headers_in(const uint8_t *page, size_t bytes)
{
    struct elf64_header h;

    memcpy(&h, page, sizeof(h));
    return range_fits(h.phoff, (uint64_t)h.phnum * sizeof(struct elf64_phdr), bytes);
}

static int refuse_elf(const char *path, const uint8_t *page, int error, char *why)
{
    struct elf64_header h;

    if (error != ELF64_EMACHINE)
        return refuse(why, path, elf64_strerror(error));
    memcpy(&h, page, sizeof(h));
    snprintf(why, LOAD_WHY_BYTES, "%s: not an ELF file for AArch64 (machine %u)", path, (unsigned)h.machine);
    return -ENOEXEC;
}

int os_load_plan(const char *path, const struct os_image *image, struct elf64_plan *plan,
                 char why[LOAD_WHY_BYTES])
{
    _Alignas(8) uint8_t page[PAGE_SIZE];
    size_t bytes = (size_t)min_u64(image->bytes, sizeof(page));
    int rc = read_exactly(path, image, 0, page, bytes, why);

    if (rc)
        return rc;
    rc = elf64_plan(page, bytes < sizeof(page) || headers_in(page, bytes) ? image->bytes : bytes, LOAD_VA_MIN,
                    LOAD_VA_MAX, plan);
    if (rc)
        return refuse_elf(path, page, rc, why);
    return check_abi(path, image, plan, why);
}

/* ---- loading --------------------------------------------------------------------------------------------- */

struct loading {
    const char *path;
    const struct os_image *image;
    const struct load_ops *ops;
    void *ctx;
    char *why;
};

static int failed(const struct loading *l, int error)
{
    snprintf(l->why, LOAD_WHY_BYTES, "%s: %s", l->path,
             error == -ENOMEM ? "its memory limit, or the machine's memory, does not hold it"
                              : strerror(-error));
    return error;
}

/* The pages [va, va + npages) of a segment: those bytes of them that the file has. */
static int load_batch(const struct loading *l, const struct elf64_segment *s, uint64_t va, unsigned npages)
{
    uint64_t end = min_u64(va + (uint64_t)npages * PAGE_SIZE, s->va + s->file_bytes);
    uint64_t from = max_u64(va, s->va);
    void *window;
    int rc = l->ops->open(l->ctx, va, npages, &window), closed;

    if (rc)
        return failed(l, rc);
    rc = read_exactly(l->path, l->image, s->file_at + (from - s->va), (uint8_t *)window + (from - va),
                      end - from, l->why);
    closed = l->ops->close(l->ctx, va, npages, s->prot);
    if (!rc && closed)
        rc = failed(l, closed);
    return rc;
}

static int load_segment(const struct loading *l, const struct elf64_segment *s)
{
    uint64_t va = align_down(s->va, PAGE_SIZE);
    uint64_t content_end = s->file_bytes ? align_up(s->va + s->file_bytes, PAGE_SIZE) : va;
    uint64_t end = align_up(s->va + s->mem_bytes, PAGE_SIZE);
    int rc = 0;

    while (!rc && va < content_end) {
        unsigned npages = (unsigned)min_u64(LOAD_BATCH_PAGES, (content_end - va) >> PAGE_SHIFT);

        rc = load_batch(l, s, va, npages);
        va += (uint64_t)npages * PAGE_SIZE;
    }
    if (!rc && va < end) {
        rc = l->ops->zero(l->ctx, va, (end - va) >> PAGE_SHIFT, s->prot);
        rc = rc ? failed(l, rc) : 0;
    }
    return rc;
}

int os_load(const char *path, const struct os_image *image, const struct load_ops *ops, void *ctx,
            uint64_t *entry, char why[LOAD_WHY_BYTES])
{
    const struct loading l = {.path = path, .image = image, .ops = ops, .ctx = ctx, .why = why};
    struct elf64_plan plan;
    int rc = os_load_plan(path, image, &plan, why);

    for (uint32_t i = 0; !rc && i < plan.nsegments; i++)
        rc = load_segment(&l, &plan.segments[i]);
    if (!rc)
        *entry = plan.entry;
    return rc;
}

int64_t load_memory_read(void *ctx, uint64_t offset, void *buf, size_t bytes)
{
    const struct load_memory *m = ctx;
    size_t n = offset < m->bytes ? (size_t)min_u64(bytes, m->bytes - offset) : 0;

    memcpy(buf, m->base + offset, n);
    return (int64_t)n;
}
