/* Manifests, as init parses them.  K24: a wrong one is refused with a sentence, and what is accepted is whole. */
#include "apps/init/manifest.h"

#include <string.h>

#include "fuzz.h"

static void see_list(const struct manifest_list *list)
{
    size_t bytes = 0;

    for (unsigned i = 0; i < list->count; i++)
        bytes += strlen(manifest_string(list, i));
    FUZZ_ASSERT(bytes < 1u << 20);
}

static void see_app(const struct manifest *m, const struct manifest_app *app)
{
    FUZZ_ASSERT(app->nslices <= MANIFEST_SLICES_MAX);
    FUZZ_ASSERT(!app->path || (app->path[0] == '/' && manifest_for_path(m, app->path)));
    FUZZ_ASSERT(m->nservices >= 64 || !((app->provides | app->reaches) >> m->nservices));
    FUZZ_ASSERT(!app->stdio || strlen(app->stdio) > 0);
    see_list(&app->args);
    see_list(&app->environment);
    see_list(&app->devices);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct manifest m;
    uint8_t *copy = fuzz_copy(data, size);
    char why[MANIFEST_WHY_BYTES] = "";
    int rc = manifest_parse(copy, size, &m, why);

    if (rc) {
        FUZZ_ASSERT(rc == -1 && strncmp(why, "manifest", 8) == 0 && strlen(why) < sizeof(why));
    } else {
        FUZZ_ASSERT(m.napps <= MANIFEST_APPS_MAX && m.nservices <= MANIFEST_SERVICES_MAX);
        see_app(&m, &m.template);
        for (unsigned i = 0; i < m.napps; i++)
            see_app(&m, &m.apps[i]);
        for (unsigned i = 0; i < m.nservices; i++) {
            FUZZ_ASSERT(manifest_service(&m, m.services[i]) == (int)i);
            manifest_provider(&m, (int)i);
        }
    }
    free(copy);
    return 0;
}
