/* What a manifest entry gives its process, as capabilities and mapped pages, written down in the start block. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "devtree.h"
#include "init.h"
#include "os/layout.h"

#define DEVICE_RIGHTS (EXO_RIGHT_USE | EXO_RIGHT_COPY)

struct giving {
    struct init *in;
    struct proc *p;
    struct os_start *start;
};

static struct os_start_grant *next_grant(const struct giving *g)
{
    return g->start->ngrants < OS_START_MAX_GRANTS ? &g->start->grants[g->start->ngrants] : NULL;
}

/* Grants a capability and notes it. */
static int give(const struct giving *g, const struct os_start_grant *note, exo_handle_t cap, unsigned rights,
                uint64_t a, uint64_t b)
{
    struct os_start_grant *grant = next_grant(g);
    int64_t handle = grant ? child_grant(g->p, cap, rights, a, b) : -E2BIG;

    if (handle < 0) {
        say(&g->in->say, "init: %s cannot be given %s: %s", g->p->path, note->name, strerror((int)-handle));
        return (int)handle;
    }
    *grant = *note;
    grant->handle = (exo_handle_t)handle;
    g->start->ngrants++;
    return 0;
}

/* ---- devices -------------------------------------------------------------------------------------------- */

static int give_window(const struct giving *g, const struct device *d, unsigned i)
{
    struct os_start_grant note = {
        .kind = OS_GRANT_MMIO, .base = d->windows[i].base, .bytes = d->windows[i].bytes};
    uint64_t first = align_down(note.base, PAGE_SIZE), end = align_up(note.base + note.bytes, PAGE_SIZE);

    snprintf(note.name, sizeof(note.name), "%.20s:%u", d->name, i % 10);
    return give(g, &note, EXO_FIRST_MMIO, DEVICE_RIGHTS, first, end - first);
}

static int give_line(const struct giving *g, const struct device *d, unsigned i)
{
    struct os_start_grant note = {
        .kind = OS_GRANT_IRQ, .base = d->lines[i].line, .bytes = 1, .flags = (uint16_t)d->lines[i].flags};

    snprintf(note.name, sizeof(note.name), "%.20s:%u", d->name, i % 10);
    return give(g, &note, EXO_FIRST_IRQ, DEVICE_RIGHTS, note.base, 1);
}

/* Where the kernel has no IOMMU before it, a device reaches all memory: the kernel lets only those use it so that are
 * trusted with that, and tells the others. */
static int give_stream(const struct giving *g, const struct device *d, unsigned i)
{
    uint64_t first = d->streams[i].first, count = d->streams[i].count, end = g->in->system->dma_streams;
    bool direct = !end || !d->streams[i].translated, trusted = g->p->app->dma_trusted;
    struct os_start_grant note = {.kind = OS_GRANT_DMA, .flags = direct && trusted};

    if (direct ? !trusted && !d->pci : first >= end)
        return 0;
    note.base = direct ? EXO_DMA_DIRECT + first : first;
    note.bytes = direct ? count : min_u64(count, end - first);
    snprintf(note.name, sizeof(note.name), "%.20s:%u", d->name, i % 10);
    return give(g, &note, EXO_FIRST_DMA, DEVICE_RIGHTS | (note.flags ? (unsigned)EXO_RIGHT_MANAGE : 0u),
                note.base, note.bytes);
}

static int give_device(void *ctx, const struct device *d)
{
    const struct giving *g = ctx;
    int rc = 0;

    for (unsigned i = 0; !rc && i < d->nwindows; i++)
        rc = give_window(g, d, i);
    for (unsigned i = 0; !rc && i < d->nlines; i++)
        rc = give_line(g, d, i);
    for (unsigned i = 0; !rc && i < d->nstreams; i++)
        rc = give_stream(g, d, i);
    return rc;
}

static int give_devices(struct giving *g)
{
    const struct manifest_list *devices = &g->p->app->devices;
    char why[DEVTREE_WHY_BYTES] = "";

    for (unsigned i = 0; i < devices->count; i++) {
        int rc = devtree_each(g->in->tree, manifest_string(devices, i), give_device, g, why);

        if (why[0]) {
            say(&g->in->say, "init: %s cannot be given its devices: %s", g->p->path, why);
            return -ENODEV;
        }
        if (rc)
            return rc;
    }
    return 0;
}

/* ---- slices, tables ------------------------------------------------------------------------------------- */

/* Its first vcpu runs in them, if they are of that one's CPU (child.c); in others, those that it makes itself. */
static int give_range(const struct giving *g, const struct manifest_slices *s)
{
    struct os_start_grant note = {
        .kind = OS_GRANT_SLICE, .flags = (uint16_t)s->cpu, .base = s->first, .bytes = s->count};
    exo_handle_t slices = EXO_FIRST_SLICE + s->cpu;
    int rc;

    if (s->cpu >= g->in->system->ncpus) {
        say(&g->in->say, "init: %s cannot be given slices of CPU %u", g->p->path, (unsigned)s->cpu);
        return -ENODEV;
    }
    snprintf(note.name, sizeof(note.name), "slices:%u",
             (unsigned)(s - g->p->app->slices) % MANIFEST_SLICES_MAX);
    rc = give(g, &note, slices, DEVICE_RIGHTS, s->first, s->count);
    if (s->cpu != g->p->app->slices[0].cpu)
        return rc;
    for (uint32_t slot = 0; !rc && slot < s->count; slot++)
        rc = (int)os_from_exo(exo_slice_bind(slices, s->first + slot, g->p->vcpu));
    return rc;
}

static int give_slices(const struct giving *g)
{
    int rc = 0;

    for (unsigned i = 0; !rc && i < g->p->app->nslices; i++)
        rc = give_range(g, &g->p->app->slices[i]);
    return rc;
}

static int give_info(const struct giving *g)
{
    const struct os_start_grant note = {.name = "info", .kind = OS_GRANT_INFO};

    return g->p->app->info ? give(g, &note, EXO_FIRST_INFO, EXO_RIGHT_READ, 0, 0) : 0;
}

static int give_trace(const struct giving *g)
{
    const struct os_start_grant note = {.name = "trace", .kind = OS_GRANT_TRACE};

    return g->p->app->trace ? give(g, &note, EXO_FIRST_TRACE, EXO_RIGHT_READ, 0, 0) : 0;
}

/* ---- memory --------------------------------------------------------------------------------------------- */

/* Shows the child, read-only, what lies here at va, and notes it. */
static int show(const struct giving *g, const char *name, uint64_t va, uint64_t from, uint64_t bytes)
{
    struct os_start_grant *grant = next_grant(g);
    uint64_t first = align_down(from, PAGE_SIZE),
             npages = (align_up(from + bytes, PAGE_SIZE) - first) / PAGE_SIZE;
    int rc;

    if (!grant || bytes == 0)
        return grant ? 0 : -E2BIG;
    rc = os_page_map(g->p->space, va, EXO_SELF_SPACE, first, npages, EXO_PROT_READ, NULL);
    if (rc) {
        say(&g->in->say, "init: %s cannot be shown the %s: %s", g->p->path, name, exo_strerror(rc));
        return (int)os_from_exo(rc);
    }
    *grant = (struct os_start_grant){.kind = OS_GRANT_MEMORY, .base = va + (from - first), .bytes = bytes};
    snprintf(grant->name, sizeof(grant->name), "%s", name);
    g->start->ngrants++;
    return 0;
}

static int show_memory(const struct giving *g)
{
    const struct exo_system *system = g->in->system;
    const struct manifest_app *app = g->p->app;
    int rc = 0;

    if (app->bundle)
        rc = show(g, "bundle", OS_BUNDLE_VA, system->bundle_va, system->bundle_bytes);
    if (!rc && app->tree)
        rc = show(g, "tree", OS_TREE_VA, system->tree_va, system->tree_bytes);
    if (!rc && app->terminal)
        rc = show(g, "log", OS_LOG_VA, (uint64_t)(uintptr_t)g->in->say.ring, sizeof(*g->in->say.ring));
    return rc;
}

int grants_give(struct init *in, struct proc *p, struct os_start *start)
{
    struct giving g = {.in = in, .p = p, .start = start};
    int rc = give_devices(&g);

    if (!rc)
        rc = give_slices(&g);
    if (!rc)
        rc = give_info(&g);
    if (!rc)
        rc = give_trace(&g);
    return rc ? rc : show_memory(&g);
}
