/* Named services: who offers them, who may reach them, who waits for them. */
#include <errno.h>
#include <string.h>

#include "init.h"

static uint64_t bit(int service)
{
    return 1ull << service;
}

/* A gate into the provider, badged with the client's pid, in the client's table. */
static int64_t make_gate(const struct proc *client, const struct proc *provider)
{
    int64_t gate = exo_gate_create(provider->vcpu, client->entry->pid), given;

    if (gate < 0)
        return os_from_exo(gate);
    given = child_grant(client, (exo_handle_t)gate, EXO_RIGHT_USE, 0, 0);
    (void)exo_cap_drop((exo_handle_t)gate);
    return given;
}

static int64_t connect_now(struct init *in, const struct proc *client, int service, struct os_words *w)
{
    int64_t gate = make_gate(client, in->providers[service]);

    w->w[1] = gate < 0 ? 0 : (uint64_t)gate;
    return gate < 0 ? gate : 0;
}

static int64_t refuse(struct init *in, struct proc *p, const char *name)
{
    if (p->refusals++ < REFUSALS_SAID)
        say(&in->say, "init: %s may not reach \"%s\": %s does not list it", p->entry->name, name,
            p->app == &in->manifest.template ? "the manifest's template, or who started it,"
                                             : "its manifest entry");
    return -EACCES;
}

/* Will it be there without anybody's doing? */
static bool will_start(const struct manifest_app *provider)
{
    return provider->start && !provider->gave_up;
}

int64_t services_connect(struct init *in, struct proc *p, const char *name, struct os_words *w)
{
    int service = manifest_service(&in->manifest, name);

    if (service < 0 || !(p->reaches & bit(service)))
        return refuse(in, p, name);
    if (in->providers[service] == p)
        return -EINVAL;
    if (in->providers[service])
        return connect_now(in, p, service, w);
    if (!will_start(manifest_provider(&in->manifest, service)))
        return -ENOENT;
    p->connects = service;
    return OS_DEFER;
}

/* Answers everybody who waits for the service. */
static void wake(struct init *in, int service, int64_t error)
{
    uint32_t slot = 0;

    for (struct proc *p; (p = table_next(&in->table, &slot)) != NULL;) {
        struct os_words w = {.w = {0}};
        int64_t result = error;

        if (p->connects != service)
            continue;
        p->connects = -1;
        if (!error)
            result = connect_now(in, p, service, &w);
        if (p->peer)
            os_reply(&in->server, p->peer, result, &w);
    }
}

int64_t services_provide(struct init *in, struct proc *p, const char *name)
{
    int service = manifest_service(&in->manifest, name);

    if (service < 0 || !(p->app->provides & bit(service))) {
        if (p->refusals++ < REFUSALS_SAID)
            say(&in->say, "init: %s may not offer \"%s\": its manifest entry does not list it",
                p->entry->name, name);
        return -EACCES;
    }
    if (in->providers[service])
        return in->providers[service] == p ? 0 : -EEXIST;
    in->providers[service] = p;
    if (p->app->terminal && !in->say.console)
        say_to(&in->say, p);
    wake(in, service, 0);
    return 0;
}

void services_withdraw(struct init *in, struct proc *p)
{
    for (unsigned i = 0; i < in->manifest.nservices; i++)
        if (in->providers[i] == p)
            in->providers[i] = NULL;
    if (in->say.console == p)
        say_to(&in->say, NULL);
}

void services_gave_up(struct init *in, unsigned app)
{
    in->manifest.apps[app].gave_up = true;
    for (unsigned i = 0; i < in->manifest.nservices; i++)
        if (in->manifest.apps[app].provides >> i & 1)
            wake(in, (int)i, -ENOENT);
}

void services_tell_peers(struct init *in)
{
    for (unsigned i = 0; i < in->manifest.nservices; i++)
        if (in->providers[i])
            child_signal(in->providers[i], OS_EVENT_MASK(OS_EVENT_PEERS));
}
