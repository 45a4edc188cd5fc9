#include "frame_table.h"

#include "cpu.h"

struct frame_ram frame_ram;

pfn_t frame_number(const struct exo_frame *frame)
{
    return frame_ram.first + (pfn_t)(frame - frame_ram.table);
}

struct exo_frame *frame_entry(pfn_t pfn)
{
    return frame_entry_inline(pfn);
}

int64_t *frame_counts(void)
{
    return system_info->frames[cpu_this()->id].of;
}

void frame_set_kind(struct exo_frame *f, enum exo_frame_kind kind)
{
    int64_t *count = frame_counts();

    count[f->kind]--;
    count[kind]++;
    __atomic_store_n(&f->kind, (uint8_t)kind, __ATOMIC_RELAXED);
}

const struct exo_frame *frame_look(pfn_t pfn)
{
    static const struct exo_frame unwritten[EXO_NFRAME_KINDS] = {
        [EXO_FRAME_RESERVED] = {.kind = EXO_FRAME_RESERVED},
        [EXO_FRAME_KERNEL] = {.kind = EXO_FRAME_KERNEL},
        [EXO_FRAME_INFO] = {.kind = EXO_FRAME_INFO},
    };
    unsigned leaf;

    ASSERT(frame_is_ram(pfn));
    leaf = frame_leaf(pfn);
    return leaf == FRAME_WRITTEN ? frame_entry(pfn) : &unwritten[leaf];
}

static void leaf_write(uint32_t leaf)
{
    struct exo_frame *f = &frame_ram.table[leaf * FRAME_LEAF];
    uint8_t kind = frame_ram.leaves[leaf];

    arch_page_zero(f);
    for (unsigned i = 0; kind && i < FRAME_LEAF; i++)
        f[i].kind = kind;
    __atomic_store_n(&frame_ram.leaves[leaf], FRAME_WRITTEN, __ATOMIC_RELEASE);
}

void frame_leaf_need(pfn_t pfn)
{
    uint32_t leaf = (uint32_t)((pfn - frame_ram.first) / FRAME_LEAF);

    if (__builtin_expect(frame_ram.leaves[leaf] != FRAME_WRITTEN, 0))
        leaf_write(leaf);
}

void frame_need(pfn_t pfn)
{
    lock_take(lock_shared(EXO_LOCK_FRAMES));
    frame_leaf_need(pfn);
    lock_drop(lock_shared(EXO_LOCK_FRAMES));
}

/* ---- boot ---------------------------------------------------------------------------------------------- */

void frames_init(struct exo_frame *entries, uint8_t *leaves, pfn_t first, uint32_t n)
{
    ASSERT((n & (FRAME_LEAF - 1)) == 0);
    frame_ram = (struct frame_ram){.table = entries,
                                   .leaves = leaves,
                                   .origin = (uint64_t)entries - first * sizeof(*entries),
                                   .first = first,
                                   .n = n};
    frame_counts()[EXO_FRAME_FREE] = n;
    system_info->first_frame = first;
    system_info->nframes = n;
}

static void reserve_in_leaf(pfn_t first, uint64_t n, enum exo_frame_kind kind)
{
    uint8_t *leaf = &frame_ram.leaves[(first - frame_ram.first) / FRAME_LEAF];

    if (n == FRAME_LEAF && *leaf == EXO_FRAME_FREE) {
        *leaf = (uint8_t)kind;
        return;
    }
    frame_leaf_need(first);
    for (uint64_t i = 0; i < n; i++)
        frame_ram.table[first - frame_ram.first + i].kind = (uint8_t)kind;
}

void frames_reserve(pfn_t first, uint64_t n, enum exo_frame_kind kind)
{
    frame_counts()[EXO_FRAME_FREE] -= (int64_t)n;
    frame_counts()[kind] += (int64_t)n;
    while (n) {
        uint64_t piece = min_u64(n, FRAME_LEAF - (first - frame_ram.first) % FRAME_LEAF);

        reserve_in_leaf(first, piece, kind);
        first += (pfn_t)piece;
        n -= piece;
    }
}

uint64_t frames_count(pfn_t first, uint64_t n, enum exo_frame_kind kind)
{
    uint64_t count = 0;

    for (pfn_t pfn = first; pfn - first < n; pfn++)
        count += frame_is(pfn, kind);
    return count;
}
