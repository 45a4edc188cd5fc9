#include "init.h"

#include <string.h>

#include "os/load.h"
#include "os/layout.h"
#include "os/mem.h"
#include "os/rt.h"
#include "os/start.h"

static struct init the_init;

static int make_windows(struct init *in)
{
    struct os_map start = {.kind = OS_REGION_WINDOW, .npages = OS_START_MAX_BYTES / PAGE_SIZE};
    struct os_map load = {.kind = OS_REGION_WINDOW, .npages = LOAD_BATCH_PAGES};
    int rc = os_map_region(&start, &in->start_va);

    return rc ? rc : os_map_region(&load, &in->load_va);
}

static int make_table(struct init *in)
{
    int rc =
        os_page_alloc(EXO_SELF_SPACE, OS_PTABLE_VA, OS_PTABLE_PAGES, EXO_PROT_READ | EXO_PROT_WRITE, NULL);

    if (rc)
        return (int)os_from_exo(rc);
    table_init(&in->table, (struct os_ptable *)OS_PTABLE_VA);
    rc = table_add(&in->table, NULL, "init", false, &in->self);
    if (rc)
        return rc;
    in->self->entry->env_id = (uint32_t)exo_env_status(EXO_SELF_ENV, EXO_ENV_ID);
    in->self->entry->start_ticks = in->system->boot_ticks;
    table_set_state(&in->table, in->self, OS_PROC_ALIVE);
    return 0;
}

/* Ends of processes are told in sixteen event bits, so that each tells of few candidates. */
static int make_events(struct init *in)
{
    uint64_t mask = 0;
    int64_t event;

    for (unsigned i = 0; i < EXIT_CLASSES; i++) {
        int bit = os_event_alloc();

        if (bit < 0)
            return bit;
        in->exit_bits[i] = (uint8_t)bit;
        mask |= 1ull << bit;
    }
    event = exo_event_create(EXO_FIRST_VCPU, mask);
    in->exit_event = event < 0 ? 0 : (exo_handle_t)event;
    return event < 0 ? (int)os_from_exo(event) : 0;
}

static int prepare(struct init *in)
{
    int rc = make_windows(in);

    list_init(&in->dying);
    if (!rc)
        rc = make_table(in);
    if (!rc)
        rc = make_events(in);
    return rc ? rc : serve_prepare(in);
}

int main(void)
{
    struct init *in = &the_init;
    int rc;

    in->system = os_system();
    in->tree = (const void *)(uintptr_t)in->system->tree_va;
    say_init(&in->say, in->tree);
    rc = prepare(in);
    if (rc) {
        say(&in->say, "init: cannot begin: %s", strerror(-rc));
        power_now();
    }
    clock_init(in);
    if (boot_manifest(in))
        power_off(in, 127);
    else
        boot_start_all(in);
    return os_serve(&in->server);
}
