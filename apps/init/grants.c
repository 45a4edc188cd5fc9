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

static int give_device(void *ctx, const struct device *d)
{
    const struct giving *g = ctx;
    int rc = 0;

    for (unsigned i = 0; !rc && i < d->nwindows; i++)
        rc = give_window(g, d, i);
    for (unsigned i = 0; !rc && i < d->nlines; i++)
        rc = give_line(g, d, i);
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

static int give_slices(const struct giving *g)
{
    for (unsigned i = 0; i < g->p->app->nslices; i++) {
        const struct manifest_slices *s = &g->p->app->slices[i];
        struct os_start_grant note = {.kind = OS_GRANT_SLICE, .base = s->first, .bytes = s->count};
        int rc;

        snprintf(note.name, sizeof(note.name), "slices:%u", i % MANIFEST_SLICES_MAX);
        rc = s->cpu ? -ENODEV : give(g, &note, EXO_FIRST_SLICE, DEVICE_RIGHTS, s->first, s->count);
        if (s->cpu)
            say(&g->in->say, "init: %s cannot be given slices of CPU %u", g->p->path, (unsigned)s->cpu);
        for (uint32_t slot = 0; !rc && slot < s->count; slot++)
            rc = (int)os_from_exo(exo_slice_bind(EXO_FIRST_SLICE, s->first + slot, g->p->vcpu));
        if (rc)
            return rc;
    }
    return 0;
}

static int give_info(const struct giving *g)
{
    const struct os_start_grant note = {.name = "info", .kind = OS_GRANT_INFO};

    return g->p->app->info ? give(g, &note, EXO_FIRST_INFO, EXO_RIGHT_READ, 0, 0) : 0;
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
    return rc ? rc : show_memory(&g);
}
