/* Reading ELF64 executables: decode everything into a small plan, changing nothing, then load from the plan.
 *
 * Follows the System V ABI, "Object Files", and the processor supplement.  Every offset and size is checked by
 * subtraction.  The file is memory that does not change meanwhile (the caller's own copy, or a page that nobody
 * else may write). */
#ifndef BASE_ELF64_H
#define BASE_ELF64_H

#include "base/range.h"
#include "base/types.h"

#define ELF64_MACHINE_AARCH64 183u
#define ELF64_SEGMENTS_MAX 16u
#define ELF64_PHNUM_MAX 64u

enum elf64_error {
    ELF64_ESHORT = -1,    /* shorter than an ELF header */
    ELF64_EMAGIC = -2,    /* not an ELF file */
    ELF64_ECLASS = -3,    /* not 64-bit little-endian */
    ELF64_EMACHINE = -4,  /* for another processor */
    ELF64_ETYPE = -5,     /* not an executable */
    ELF64_EHEADERS = -6,  /* program headers outside the file, of the wrong size, or too many */
    ELF64_ESEGMENT = -7,  /* a segment's content lies outside the file, or is larger than its memory */
    ELF64_EADDRESS = -8,  /* a segment lies outside the permitted addresses */
    ELF64_EALIGN = -9,    /* a segment's address and offset disagree within a page */
    ELF64_EOVERLAP = -10, /* segments share a page, or are not in ascending order */
    ELF64_EACCESS = -11,  /* a segment is both writable and executable */
    ELF64_EENTRY = -12,   /* the entry point is in no executable segment */
    ELF64_EMANY = -13,    /* more loadable segments than a program needs */
    ELF64_ENONE = -14,    /* nothing to load */
    ELF64_EINTERP = -15,  /* needs a dynamic linker */
};

enum elf64_prot { ELF64_PROT_READ = 1, ELF64_PROT_WRITE = 2, ELF64_PROT_EXEC = 4 }; /* as enum exo_prot */

struct elf64_segment {
    uint64_t va;         /* first byte in memory */
    uint64_t file_at;    /* offset of its content */
    uint64_t file_bytes; /* content; the rest up to mem_bytes is zero */
    uint64_t mem_bytes;
    uint32_t prot; /* enum elf64_prot */
};

struct elf64_plan {
    uint64_t entry;
    uint32_t nsegments;
    struct elf64_segment segments[ELF64_SEGMENTS_MAX];
    uint64_t note_at; /* PT_NOTE's content in the file; 0 bytes: none */
    uint64_t note_bytes;
};

struct elf64_header {
    uint8_t ident[16];
    uint16_t type, machine;
    uint32_t version;
    uint64_t entry, phoff, shoff;
    uint32_t flags;
    uint16_t ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};

struct elf64_phdr {
    uint32_t type, flags;
    uint64_t offset, vaddr, paddr, filesz, memsz, align;
};

_Static_assert(sizeof(struct elf64_header) == 64, "ELF64 header");
_Static_assert(sizeof(struct elf64_phdr) == 56, "ELF64 program header");

static inline const char *elf64_strerror(int error)
{
    switch (error) {
    case ELF64_ESHORT:
        return "shorter than an ELF header";
    case ELF64_EMAGIC:
        return "not an ELF file";
    case ELF64_ECLASS:
        return "not a 64-bit little-endian ELF file";
    case ELF64_EMACHINE:
        return "an ELF file for another processor";
    case ELF64_ETYPE:
        return "an ELF file, but not an executable at fixed addresses";
    case ELF64_EHEADERS:
        return "program headers lie outside the file or are malformed";
    case ELF64_ESEGMENT:
        return "a segment's content lies outside the file or exceeds its memory";
    case ELF64_EADDRESS:
        return "a segment lies outside the addresses that programs may use";
    case ELF64_EALIGN:
        return "a segment's address and file offset disagree within a page";
    case ELF64_EOVERLAP:
        return "segments share a page or are out of order";
    case ELF64_EACCESS:
        return "a segment is both writable and executable";
    case ELF64_EENTRY:
        return "the entry point is in no executable segment";
    case ELF64_EMANY:
        return "too many loadable segments";
    case ELF64_ENONE:
        return "no loadable segment";
    case ELF64_EINTERP:
        return "needs a dynamic linker";
    default:
        return "no error";
    }
}

static inline void elf64_copy(void *to, const void *from, size_t bytes)
{
    uint8_t *t = to;
    const uint8_t *f = from;

    for (size_t i = 0; i < bytes; i++)
        t[i] = f[i];
}

static inline int elf64_check_header(const struct elf64_header *h, uint64_t file_bytes)
{
    if (h->ident[0] != 0x7f || h->ident[1] != 'E' || h->ident[2] != 'L' || h->ident[3] != 'F')
        return ELF64_EMAGIC;
    if (h->ident[4] != 2 || h->ident[5] != 1 || h->ident[6] != 1 || h->version != 1)
        return ELF64_ECLASS;
    if (h->machine != ELF64_MACHINE_AARCH64)
        return ELF64_EMACHINE;
    if (h->type != 2)
        return ELF64_ETYPE;
    if (h->phentsize != sizeof(struct elf64_phdr) || h->phnum > ELF64_PHNUM_MAX ||
        !range_fits(h->phoff, (uint64_t)h->phnum * sizeof(struct elf64_phdr), file_bytes))
        return ELF64_EHEADERS;
    return 0;
}

/* Takes one PT_LOAD into the plan, [va_min, va_max) being the permitted addresses. */
static inline int elf64_add_segment(struct elf64_plan *plan, const struct elf64_phdr *p, uint64_t file_bytes,
                                    uint64_t va_min, uint64_t va_max)
{
    struct elf64_segment *s = &plan->segments[plan->nsegments];
    const struct elf64_segment *last = plan->nsegments ? s - 1 : NULL;

    if (p->memsz == 0)
        return 0;
    if (plan->nsegments == ELF64_SEGMENTS_MAX)
        return ELF64_EMANY;
    if (p->filesz > p->memsz || !range_fits(p->offset, p->filesz, file_bytes))
        return ELF64_ESEGMENT;
    if (!range_inside(p->vaddr, p->memsz, va_min, va_max - va_min))
        return ELF64_EADDRESS;
    if ((p->vaddr & PAGE_MASK) != (p->offset & PAGE_MASK))
        return ELF64_EALIGN;
    if (last && align_down(p->vaddr, PAGE_SIZE) < align_up(last->va + last->mem_bytes, PAGE_SIZE))
        return ELF64_EOVERLAP;
    if ((p->flags & 3) == 3)
        return ELF64_EACCESS;
    *s = (struct elf64_segment){.va = p->vaddr,
                                .file_at = p->offset,
                                .file_bytes = p->filesz,
                                .mem_bytes = p->memsz,
                                /* PF_R 4, PF_W 2, PF_X 1 */
                                .prot = ELF64_PROT_READ | (p->flags & 2 ? ELF64_PROT_WRITE : 0u) |
                                        (p->flags & 1 ? ELF64_PROT_EXEC : 0u)};
    plan->nsegments++;
    return 0;
}

static inline int elf64_check_entry(const struct elf64_plan *plan)
{
    for (uint32_t i = 0; i < plan->nsegments; i++) {
        const struct elf64_segment *s = &plan->segments[i];

        if (s->prot & ELF64_PROT_EXEC && range_inside(plan->entry, 4, s->va, s->mem_bytes))
            return 0;
    }
    return plan->nsegments ? ELF64_EENTRY : ELF64_ENONE;
}

/* Decodes a file of file_bytes bytes; segments must lie in [va_min, va_max), both page aligned.
 * 0, or an enum elf64_error, and then *plan means nothing. */
static inline int elf64_plan(const void *file, uint64_t file_bytes, uint64_t va_min, uint64_t va_max,
                             struct elf64_plan *plan)
{
    enum { PT_LOAD_ = 1, PT_INTERP_ = 3, PT_NOTE_ = 4 };
    struct elf64_header h;
    int rc;

    if (file_bytes < sizeof(h))
        return ELF64_ESHORT;
    elf64_copy(&h, file, sizeof(h));
    rc = elf64_check_header(&h, file_bytes);
    if (rc)
        return rc;
    plan->entry = h.entry;
    plan->nsegments = 0;
    plan->note_at = plan->note_bytes = 0;
    for (uint32_t i = 0; i < h.phnum; i++) {
        struct elf64_phdr p;

        elf64_copy(&p, (const uint8_t *)file + h.phoff + i * sizeof(p), sizeof(p));
        if (p.type == PT_INTERP_)
            return ELF64_EINTERP;
        if (p.type == PT_NOTE_ && range_fits(p.offset, p.filesz, file_bytes)) {
            plan->note_at = p.offset;
            plan->note_bytes = p.filesz;
        }
        rc = p.type == PT_LOAD_ ? elf64_add_segment(plan, &p, file_bytes, va_min, va_max) : 0;
        if (rc)
            return rc;
    }
    return elf64_check_entry(plan);
}

#endif
