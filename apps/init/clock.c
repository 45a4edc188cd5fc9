/* The time of day, read once from the machine's real-time clock and told to everybody in the process table's head.
 * A machine without one that we know counts from 1970, and nobody is the worse for it. */
#include "devtree.h"
#include "init.h"
#include "libos/dev/pl031.h"
#include "os/mem.h"
#include "os/time.h"

#define NS_PER_S 1000000000ull

struct found {
    uint64_t base;
};

static int take_first(void *ctx, const struct device *device)
{
    struct found *found = ctx;

    if (!found->base && device->nwindows)
        found->base = device->windows[0].base;
    return 0;
}

/* Reads the clock through a page that is mapped for just that. */
static uint32_t read_clock(uint64_t base)
{
    struct os_map window = {.kind = OS_REGION_WINDOW, .npages = 1};
    uint64_t va, page = align_down(base, PAGE_SIZE);
    uint32_t seconds = 0;

    if (os_map_region(&window, &va))
        return 0;
    if (os_mmio_map(EXO_FIRST_MMIO, EXO_SELF_SPACE, va, page, 1, EXO_PROT_READ, NULL) == 0)
        seconds = pl031_seconds((mmio_t){(uintptr_t)(va + (base - page))});
    (void)os_page_unmap(EXO_SELF_SPACE, va, 1, NULL);
    (void)os_unmap(va, 1);
    return seconds;
}

void clock_init(struct init *in)
{
    struct found rtc = {.base = 0};
    char why[DEVTREE_WHY_BYTES];
    uint64_t now;

    if (devtree_each(in->tree, "arm,pl031", take_first, &rtc, why) || !rtc.base)
        return;
    now = read_clock(rtc.base) * NS_PER_S;
    if (now < os_uptime_ns())
        return;
    in->table.page->head.epoch_ns = now - os_uptime_ns();
    os_set_epoch_ns(in->table.page->head.epoch_ns);
}
