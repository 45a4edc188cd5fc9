#include "state.h"

#include <stdlib.h>
#include <string.h>

#include "exo_small.h"

#define LINE 64u
#define NREGIONS 3u

extern uint8_t __start_kernel_state[], __stop_kernel_state[], __start_machine_state[], __stop_machine_state[];

struct saved {
    uint8_t *at;
    uint8_t was[LINE];
};

static struct region {
    uint8_t *from, *to;
    uint32_t *seen; /* by line: the epoch in which it was saved */
    uint8_t *kept;
} regions[NREGIONS];
static struct saved *saved;
static size_t nsaved, room;
static uint32_t epoch = 1;

static void region_init(struct region *r, uint8_t *from, size_t len)
{
    r->from = from;
    r->to = from + len;
    r->seen = calloc(len / LINE + 1, sizeof(*r->seen));
    r->kept = malloc(len);
}

void state_init(void)
{
    region_init(&regions[0], machine.linear + RAM_BASE, small.ram_bytes);
    region_init(&regions[1], __start_kernel_state, (size_t)(__stop_kernel_state - __start_kernel_state));
    region_init(&regions[2], __start_machine_state, (size_t)(__stop_machine_state - __start_machine_state));
    room = 1 << 16;
    saved = malloc(room * sizeof(*saved));
}

/* A region's last line may be short. */
static size_t line_bytes(const struct saved *s)
{
    for (unsigned i = 0; i < NREGIONS; i++)
        if (s->at >= regions[i].from && s->at < regions[i].to && regions[i].to - s->at < (ptrdiff_t)LINE)
            return (size_t)(regions[i].to - s->at);
    return LINE;
}

static void save(uint8_t *line)
{
    if (nsaved == room)
        saved = realloc(saved, (room *= 2) * sizeof(*saved));
    saved[nsaved].at = line;
    memcpy(saved[nsaved].was, line, line_bytes(&saved[nsaved]));
    nsaved++;
}

void state_written(const void *p, size_t n)
{
    uint8_t *at = (uint8_t *)(uintptr_t)p;

    for (unsigned i = 0; i < NREGIONS; i++) {
        struct region *r = &regions[i];

        if (at < r->from || at >= r->to)
            continue;
        for (size_t line = (size_t)(at - r->from) / LINE;
             line * LINE < (size_t)(at - r->from) + n && line * LINE < (size_t)(r->to - r->from); line++)
            if (r->seen[line] != epoch) {
                r->seen[line] = epoch;
                save(r->from + line * LINE);
            }
    }
}

size_t state_mark(void)
{
    epoch++;
    return nsaved;
}

void state_undo(size_t mark)
{
    while (nsaved > mark) {
        nsaved--;
        memcpy(saved[nsaved].at, saved[nsaved].was, line_bytes(&saved[nsaved]));
    }
    epoch++;
}

void state_keep(void)
{
    for (unsigned i = 0; i < NREGIONS; i++)
        memcpy(regions[i].kept, regions[i].from, (size_t)(regions[i].to - regions[i].from));
}

const void *state_verify(void)
{
    for (unsigned i = 0; i < NREGIONS; i++) {
        size_t len = (size_t)(regions[i].to - regions[i].from);

        if (memcmp(regions[i].kept, regions[i].from, len) == 0)
            continue;
        for (size_t k = 0; k < len; k++)
            if (regions[i].kept[k] != regions[i].from[k])
                return regions[i].from + k;
    }
    return NULL;
}
