#include "audit_impl.h"

#include "block.h"
#include "cpu.h"
#include "frame_pool.h"

static bool is_part(pfn_t pfn)
{
    return kind_of(pfn) == EXO_FRAME_USER && frame_look(pfn)->entries == EXO_LARGE_PART;
}

static bool is_charged(unsigned kind)
{
    return kind != EXO_FRAME_FREE && kind != EXO_FRAME_RESERVED && kind != EXO_FRAME_KERNEL &&
           kind != EXO_FRAME_INFO;
}

static void check_block(pfn_t block, unsigned order)
{
    pfn_t buddy = block ^ (1u << order);

    expect(!(block & ((1u << order) - 1)), "free block %u of order %u is not aligned", block, order);
    for (pfn_t pfn = block; ok() && pfn - block < 1u << order; pfn++) {
        if (!expect(frame_is(pfn, EXO_FRAME_FREE), "frame %u is in a free block and not free", pfn))
            return;
        expect(frame_look(pfn)->order1 == (pfn == block ? order + 1 : 0), "free frame %u: order", pfn);
        expect(note(pfn)->seen++ == 0, "frame %u is in two free blocks", pfn);
    }
    for (unsigned k = order; k + 1 < FRAME_ORDERS; k++) { /* all that it will ever have */
        pfn_t later = (block & ~((1u << k) - 1)) ^ (1u << k);

        if (frame_is_ram(later) && frame_leaf(later) != FRAME_WRITTEN)
            expect(false, "free block %u of order %u has a buddy without an entry", block, order);
    }
    expect(order + 1 == FRAME_ORDERS || !frame_is_ram(buddy) || kind_of(buddy) != EXO_FRAME_FREE ||
               frame_look(buddy)->order1 != order + 1,
           "free blocks %u and %u of order %u are not joined", block, buddy, order);
}

static bool in_zone(pfn_t pfn, unsigned zone)
{
    uint64_t end = 1ull << (FRAME_ZONE_SHIFT + zone);

    return pfn < end && (zone == 0 || pfn >= end / 2);
}

static void check_free_list(unsigned zone, unsigned order)
{
    pfn_t prev = 0;

    for (pfn_t at = block_first(zone, order); at && ok(); at = frame_look(at)->next) {
        if (!expect(frame_is_ram(at), "the free list of order %u leads outside memory", order))
            return;
        expect(in_zone(at, zone), "free block %u is not in zone %u", at, zone);
        expect(frame_look(at)->prev == prev, "free block %u: links", at);
        check_block(at, order);
        prev = at;
    }
}

static void check_free_lists(void)
{
    for (unsigned zone = 0; zone < FRAME_ZONES; zone++)
        for (unsigned order = 0; order < FRAME_ORDERS; order++)
            check_free_list(zone, order);
}

/* Frames in the CPUs' caches are free, and in no block. */
static void check_cache(const struct cpu *cpu)
{
    uint32_t n = 0;

    for (pfn_t at = pool_cached_first(cpu); at && ok(); at = frame_look(at)->next) {
        if (!expect(frame_is(at, EXO_FRAME_FREE) && frame_look(at)->order1 == 0,
                    "frame %u is in CPU %u's cache and not free", at, cpu->id))
            return;
        expect(note(at)->seen++ == 0, "frame %u is free twice", at);
        n++;
    }
    expect(n == cpu->frames.n, "CPU %u's cache holds %u frames, counted as %u", cpu->id, n, cpu->frames.n);
}

/* A large page is a head and its parts, aligned, and all of one account. */
static void check_large(pfn_t pfn)
{
    pfn_t head = pfn & ~(pfn_t)(EXO_LARGE_PAGES - 1);
    const struct exo_frame *f = frame_look(pfn);

    if (!expect(frame_is_ram(head) && frame_is_ram(head + EXO_LARGE_PAGES - 1) &&
                    kind_of(head) == EXO_FRAME_USER && frame_look(head)->entries == EXO_LARGE_HEAD,
                "frame %u is a part of no large page", pfn))
        return;
    expect(f->account == frame_look(head)->account, "frame %u: its large page is another's", pfn);
    expect(pfn != head || f->entries == EXO_LARGE_HEAD, "large page %u: its head", head);
    for (pfn_t i = 1; pfn == head && ok() && i < EXO_LARGE_PAGES; i++)
        expect(is_part(head + i), "frame %u is not the large page's that it lies in", head + i);
}

static void check_frame(pfn_t pfn, uint64_t counts[EXO_NFRAME_KINDS])
{
    const struct exo_frame *f = frame_look(pfn);

    if (!expect(f->kind < EXO_NFRAME_KINDS, "frame %u: kind %u", pfn, f->kind))
        return;
    counts[f->kind]++;
    if (f->kind == EXO_FRAME_FREE) {
        expect(note(pfn)->seen == 1, "frame %u is free and in no free list", pfn);
        expect(f->refs == 0 && f->account == 0, "free frame %u has %u references, account %u", pfn, f->refs,
               f->account);
    } else {
        expect(note(pfn)->seen == 0, "frame %u is in a free list and of kind %u", pfn, f->kind);
    }
    if (!is_charged(f->kind)) {
        expect(f->account == 0, "frame %u of kind %u is charged to %u", pfn, f->kind, f->account);
        return;
    }
    if (expect(frame_is(f->account, EXO_FRAME_ENV), "frame %u of kind %u is charged to frame %u, no account",
               pfn, f->kind, f->account))
        note(f->account)->frames++;
    if (ok() && f->kind == EXO_FRAME_USER && !is_part(pfn) && frame_reclaimer(pfn))
        note(f->account)->marked++;
    if (f->kind == EXO_FRAME_USER && f->entries)
        check_large(pfn);
}

void audit_check_frames(void)
{
    uint64_t counts[EXO_NFRAME_KINDS] = {0};

    check_free_lists();
    for (unsigned i = 0; i < ncpus && ok(); i++)
        check_cache(&cpus[i]);
    for (pfn_t pfn = system_info->first_frame; ok() && pfn <= last_frame(); pfn++) {
        check_frame(pfn, counts);
        note(pfn)->seen = 0; /* used anew for tables */
    }
    for (unsigned kind = 0; kind < EXO_NFRAME_KINDS && ok(); kind++)
        expect(counts[kind] == exo_frames(system_info, kind),
               "%lu frames of kind %u, the system page says %lu", (unsigned long)counts[kind], kind,
               (unsigned long)exo_frames(system_info, kind));
}
