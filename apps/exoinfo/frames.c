/* Frames: by kind, by who pays, as a map. */
#include <inttypes.h>
#include <stdlib.h>

#include "../common/tool.h"
#include "exoinfo.h"
#include "os/time.h"

enum { TRIES = 16, PAUSE_NS = 10000000, MAP_COLUMNS = 64, MAP_LETTERS = 2048 };

static const char *const names[] = EXO_FRAME_KIND_NAMES;
static const char letters[] = ".-utsevciKI"; /* by kind */

_Static_assert(sizeof(letters) - 1 == EXO_NFRAME_KINDS, "a letter for each kind");

/* ---- counting ------------------------------------------------------------------------------------------- */

static struct payer *payer_of(struct census *census, uint32_t env)
{
    for (size_t i = 0; i < census->npayers; i++)
        if (census->payers[i].env == env)
            return &census->payers[i];
    if (census->npayers == OS_NPROC)
        return NULL;
    census->payers[census->npayers] = (struct payer){.env = env};
    return &census->payers[census->npayers++];
}

/* The kind that most of these frames have, of those that are not free. */
static char letter_of(const struct exo_frame *frames, uint64_t n)
{
    uint32_t count[EXO_NFRAME_KINDS] = {0};
    unsigned most = EXO_FRAME_FREE;

    for (uint64_t i = 0; i < n; i++)
        if (frames[i].kind < EXO_NFRAME_KINDS)
            count[frames[i].kind]++;
    count[EXO_FRAME_FREE] = 0;
    for (unsigned kind = 0; kind < EXO_NFRAME_KINDS; kind++)
        if (count[kind] > count[most])
            most = kind;
    return letters[most];
}

static void count_frame(struct census *census, const struct exo_frame *frame)
{
    struct payer *payer;

    if (frame->kind >= EXO_NFRAME_KINDS)
        return;
    census->kinds[frame->kind]++;
    if (frame->kind < EXO_FRAME_USER || frame->kind > EXO_FRAME_IOTABLE)
        return;
    payer = payer_of(census, frame->account);
    if (payer)
        payer->frames[frame->kind]++;
}

static uint64_t map_length(const struct census *census)
{
    return (os_system()->nframes + census->per_letter - 1) / census->per_letter;
}

static void count_all(struct census *census, const struct exo_frame *frames)
{
    uint64_t nframes = os_system()->nframes, step = census->per_letter;

    memset(census->kinds, 0, sizeof(census->kinds));
    census->npayers = 0;
    for (uint64_t i = 0; i < nframes; i++)
        count_frame(census, &frames[i]);
    for (uint64_t i = 0; census->map && i < map_length(census); i++)
        census->map[i] = letter_of(frames + i * step, min_u64(step, nframes - i * step));
}

/* The kernel's counts, which may change at any time. */
static void take_counts(uint64_t counts[EXO_NFRAME_KINDS])
{
    for (unsigned kind = 0; kind < EXO_NFRAME_KINDS; kind++)
        counts[kind] = exo_frames(os_system(), kind);
}

static bool same_counts(const uint64_t a[EXO_NFRAME_KINDS], const uint64_t b[EXO_NFRAME_KINDS])
{
    return memcmp(a, b, EXO_NFRAME_KINDS * sizeof(*a)) == 0;
}

static void complain_about_kinds(const struct census *census, const uint64_t counts[EXO_NFRAME_KINDS])
{
    char said[80];

    for (unsigned kind = 0; kind < EXO_NFRAME_KINDS; kind++) {
        if (census->kinds[kind] == counts[kind])
            continue;
        snprintf(said, sizeof(said), "%" PRIu64 " in the frame table, %" PRIu64 " in the system page",
                 census->kinds[kind], counts[kind]);
        tool_complain("exoinfo", names[kind], said);
    }
}

/* Counting takes its time, in which others may run and frames change hands, so it may need some attempts.
 * Only where the kernel's counts never moved is a difference theirs. */
static bool count_until_same(struct census *census, const struct exo_frame *frames)
{
    uint64_t before[EXO_NFRAME_KINDS], after[EXO_NFRAME_KINDS];
    bool moved = false;

    for (int i = 0; i < TRIES; i++) {
        take_counts(before);
        count_all(census, frames);
        take_counts(after);
        if (same_counts(census->kinds, after))
            return true;
        moved |= !same_counts(before, after);
        (void)os_sleep_until(os_deadline_ns(PAUSE_NS)); /* what ends, is cleared away */
    }
    if (moved)
        tool_complain("exoinfo", "frames", "they change faster than they can be counted");
    else
        complain_about_kinds(census, after);
    return false;
}

bool census_take(struct census *census, const struct exo_frame *frames, uint64_t per_letter)
{
    census->per_letter = per_letter;
    census->map = per_letter ? malloc((size_t)map_length(census)) : NULL;
    if (per_letter && !census->map)
        tool_error("exoinfo", "the map");
    return count_until_same(census, frames) && (census->map || !per_letter);
}

/* ---- printing ------------------------------------------------------------------------------------------- */

void census_print_kinds(const struct census *census)
{
    printf("%-10s %10s %12s\n", "kind", "frames", "KiB");
    for (unsigned kind = 0; kind < EXO_NFRAME_KINDS; kind++)
        printf("%-10s %10" PRIu64 " %12" PRIu64 "\n", names[kind], census->kinds[kind],
               census->kinds[kind] * (PAGE_SIZE / 1024));
    printf("%-10s %10" PRIu32 " %12" PRIu64 "\n\n", "all", os_system()->nframes,
           (uint64_t)os_system()->nframes * (PAGE_SIZE / 1024));
}

const char *env_name(uint32_t env, char buf[48])
{
    struct os_proc_entry e;

    for (uint32_t slot = 0; os_proc_next(&slot, &e);)
        if (e.env_id == env) {
            snprintf(buf, 48, "%" PRIu32 " %s", e.pid, e.name);
            return buf;
        }
    snprintf(buf, 48, env ? "ended (%" PRIu32 ")" : "kernel", env);
    return buf;
}

void census_print_payers(const struct census *census)
{
    printf("%-24s", "paid for by");
    for (unsigned kind = EXO_FRAME_USER; kind <= EXO_FRAME_IOTABLE; kind++)
        printf(" %7s", names[kind]);
    putchar('\n');
    for (size_t i = 0; i < census->npayers; i++) {
        char name[48];

        printf("%-24s", env_name(census->payers[i].env, name));
        for (unsigned kind = EXO_FRAME_USER; kind <= EXO_FRAME_IOTABLE; kind++)
            printf(" %7" PRIu32, census->payers[i].frames[kind]);
        putchar('\n');
    }
    putchar('\n');
}

uint64_t census_map_scale(void)
{
    uint64_t scale = 1;

    while (os_system()->nframes / scale > MAP_LETTERS)
        scale *= 2;
    return scale;
}

void census_print_map(const struct census *census)
{
    uint64_t first = os_system()->first_frame, length = map_length(census);

    printf("a letter is %" PRIu64 " frame%s (%" PRIu64 " KiB): the kind that most of those not free have\n",
           census->per_letter, census->per_letter == 1 ? "" : "s", census->per_letter * (PAGE_SIZE / 1024));
    for (unsigned kind = 0; kind < EXO_NFRAME_KINDS; kind++)
        printf("%c %s%s", letters[kind], names[kind], kind + 1 < EXO_NFRAME_KINDS ? "  " : "\n");
    for (uint64_t i = 0; i < length; i += MAP_COLUMNS) {
        printf("%10" PRIx64 "  ", (first + i * census->per_letter) * PAGE_SIZE);
        fwrite(census->map + i, 1, (size_t)min_u64(MAP_COLUMNS, length - i), stdout);
        putchar('\n');
    }
    putchar('\n');
}
