#include "manifest.h"

#include <libfdt.h>
#include <stdio.h>
#include <string.h>

#include "base/fdtwalk.h"
#include "os/procproto.h"
#include "os/start.h"
#include "os/thread.h"

#define MEMORY_KIB_MAX (1u << 28)

struct parser {
    const void *blob;
    struct manifest *m;
    struct manifest_app *app; /* at hand */
    char *why;
};

/* One property of the application at hand. */
struct prop {
    const char *name;
    const char *data;
    int len;
};

/* ---- sentences ------------------------------------------------------------------------------------------ */

static int bad_node(const struct parser *p, const char *node, const char *what)
{
    snprintf(p->why, MANIFEST_WHY_BYTES, "manifest: /%s: %s", node, what);
    return -1;
}

static int bad(const struct parser *p, const struct prop *prop, const char *what)
{
    snprintf(p->why, MANIFEST_WHY_BYTES, "manifest: /%s: property '%s' %s", p->app->name, prop->name, what);
    return -1;
}

static int bad_word(const struct parser *p, const struct prop *prop, const char *word, const char *what)
{
    snprintf(p->why, MANIFEST_WHY_BYTES, "manifest: /%s: property '%s': \"%s\" %s", p->app->name, prop->name,
             word, what);
    return -1;
}

/* ---- values --------------------------------------------------------------------------------------------- */

const char *manifest_string(const struct manifest_list *list, unsigned n)
{
    const char *s = list->first;

    while (n--)
        s += strlen(s) + 1;
    return s;
}

static int get_list(const struct parser *p, const struct prop *prop, struct manifest_list *out)
{
    *out = (struct manifest_list){.first = prop->data};
    if (prop->len == 0 || prop->data[prop->len - 1] != 0)
        return bad(p, prop, "is not a list of strings");
    for (int at = 0; at < prop->len; at += (int)strlen(prop->data + at) + 1) {
        if (prop->data[at] == 0)
            return bad(p, prop, "has an empty string");
        out->count++;
    }
    return 0;
}

static int get_string(const struct parser *p, const struct prop *prop, const char **out)
{
    struct manifest_list list;

    if (get_list(p, prop, &list))
        return -1;
    if (list.count != 1)
        return bad(p, prop, "is a list where one string belongs");
    *out = list.first;
    return 0;
}

static int get_number(const struct parser *p, const struct prop *prop, uint32_t min, uint32_t max,
                      uint32_t *out)
{
    if (prop->len != 4)
        return bad(p, prop, "is not one number");
    *out = fdt32_ld((const fdt32_t *)(const void *)prop->data);
    if (*out < min || *out > max)
        return bad(p, prop, "is out of range");
    return 0;
}

static int get_flag(const struct parser *p, const struct prop *prop, bool *out)
{
    *out = true;
    return prop->len ? bad(p, prop, "takes no value") : 0;
}

int manifest_service(const struct manifest *m, const char *name)
{
    for (unsigned i = 0; i < m->nservices; i++)
        if (strcmp(m->services[i], name) == 0)
            return (int)i;
    return -1;
}

static int get_services(const struct parser *p, const struct prop *prop, uint64_t *out)
{
    struct manifest_list list;

    if (get_list(p, prop, &list))
        return -1;
    for (unsigned i = 0; i < list.count; i++) {
        const char *name = manifest_string(&list, i);
        int index = manifest_service(p->m, name);

        if (!os_name_ok(name))
            return bad_word(p, prop, name, "is not a service name");
        if (index < 0 && p->m->nservices == MANIFEST_SERVICES_MAX)
            return bad(p, prop, "names more services than a manifest may have");
        if (index < 0) {
            index = (int)p->m->nservices++;
            p->m->services[index] = name;
        }
        *out |= 1ull << index;
    }
    return 0;
}

/* ---- properties ----------------------------------------------------------------------------------------- */

static int do_path(struct parser *p, const struct prop *prop)
{
    if (get_string(p, prop, &p->app->path))
        return -1;
    return p->app->path[0] == '/' && p->app->path[1] ? 0 : bad(p, prop, "is not an absolute path");
}

static int do_args(struct parser *p, const struct prop *prop)
{
    return get_list(p, prop, &p->app->args);
}

static int do_environment(struct parser *p, const struct prop *prop)
{
    if (get_list(p, prop, &p->app->environment))
        return -1;
    for (unsigned i = 0; i < p->app->environment.count; i++) {
        const char *word = manifest_string(&p->app->environment, i);

        if (!strchr(word, '=') || word[0] == '=')
            return bad_word(p, prop, word, "is not NAME=VALUE");
    }
    return 0;
}

static int do_devices(struct parser *p, const struct prop *prop)
{
    return get_list(p, prop, &p->app->devices);
}

static int do_stdio(struct parser *p, const struct prop *prop)
{
    if (get_string(p, prop, &p->app->stdio))
        return -1;
    return os_name_ok(p->app->stdio) ? 0 : bad(p, prop, "is not a service name");
}

static int do_memory(struct parser *p, const struct prop *prop)
{
    uint32_t kib = 0;

    if (get_number(p, prop, 64, MEMORY_KIB_MAX, &kib))
        return -1;
    p->app->memory_pages = kib / (PAGE_SIZE / 1024);
    return kib % (PAGE_SIZE / 1024) ? bad(p, prop, "is not a multiple of 4 KiB") : 0;
}

static int do_vcpus(struct parser *p, const struct prop *prop)
{
    return get_number(p, prop, 1, OS_VCPUS_MAX, &p->app->vcpus);
}

static int do_processes(struct parser *p, const struct prop *prop)
{
    return get_number(p, prop, 0, 1000, &p->app->processes);
}

static int do_start(struct parser *p, const struct prop *prop)
{
    return get_number(p, prop, 1, 1000, &p->app->start);
}

static int do_on_exit(struct parser *p, const struct prop *prop)
{
    static const char *const words[] = {"ignore", "restart", "power-off"};
    const char *word = NULL;

    if (get_string(p, prop, &word))
        return -1;
    for (unsigned i = 0; i < ARRAY_LEN(words); i++)
        if (strcmp(word, words[i]) == 0) {
            p->app->on_exit = (enum manifest_on_exit)i;
            return 0;
        }
    return bad_word(p, prop, word, "is none of \"ignore\", \"restart\", \"power-off\"");
}

static int do_provides(struct parser *p, const struct prop *prop)
{
    return get_services(p, prop, &p->app->provides);
}

static int do_reaches(struct parser *p, const struct prop *prop)
{
    return get_services(p, prop, &p->app->reaches);
}

static int do_slices(struct parser *p, const struct prop *prop)
{
    const fdt32_t *cells = (const fdt32_t *)(const void *)prop->data;
    unsigned n = (unsigned)prop->len / 12;

    if (prop->len % 12 || n == 0)
        return bad(p, prop, "is not a list of <cpu first count>");
    if (n > MANIFEST_SLICES_MAX)
        return bad(p, prop, "is too long");
    for (unsigned i = 0; i < n; i++) {
        struct manifest_slices *s = &p->app->slices[i];

        *s = (struct manifest_slices){fdt32_ld(&cells[3 * i]), fdt32_ld(&cells[3 * i + 1]),
                                      fdt32_ld(&cells[3 * i + 2])};
        if (s->cpu > 255 || s->first > 4095 || s->count == 0 || s->count > 4096)
            return bad(p, prop, "is out of range");
    }
    p->app->nslices = n;
    return 0;
}

static int do_command_line(struct parser *p, const struct prop *prop)
{
    return get_flag(p, prop, &p->app->command_line);
}

static int do_terminal(struct parser *p, const struct prop *prop)
{
    return get_flag(p, prop, &p->app->terminal);
}

static int do_info(struct parser *p, const struct prop *prop)
{
    return get_flag(p, prop, &p->app->info);
}

static int do_trace(struct parser *p, const struct prop *prop)
{
    return get_flag(p, prop, &p->app->trace);
}

static int do_bundle(struct parser *p, const struct prop *prop)
{
    return get_flag(p, prop, &p->app->bundle);
}

static int do_tree(struct parser *p, const struct prop *prop)
{
    return get_flag(p, prop, &p->app->tree);
}

static int do_dma_trusted(struct parser *p, const struct prop *prop)
{
    return get_flag(p, prop, &p->app->dma_trusted);
}

static const struct {
    const char *name;
    int (*parse)(struct parser *p, const struct prop *prop);
    bool in_template;
} properties[] = {
    {"path", do_path, false},
    {"args", do_args, false},
    {"environment", do_environment, false},
    {"devices", do_devices, false},
    {"stdio", do_stdio, false},
    {"memory", do_memory, true},
    {"processes", do_processes, false},
    {"vcpus", do_vcpus, true},
    {"start", do_start, false},
    {"on-exit", do_on_exit, false},
    {"provides", do_provides, false},
    {"reaches", do_reaches, true},
    {"slices", do_slices, false},
    {"command-line", do_command_line, false},
    {"terminal", do_terminal, false},
    {"info", do_info, false},
    {"trace", do_trace, false},
    {"bundle", do_bundle, false},
    {"tree", do_tree, false},
    {"dma-trusted", do_dma_trusted, false},
};

static int parse_property(struct parser *p, const struct prop *prop, bool is_template)
{
    for (unsigned i = 0; i < ARRAY_LEN(properties); i++) {
        if (strcmp(prop->name, properties[i].name))
            continue;
        if (is_template && !properties[i].in_template)
            return bad(p, prop, "has no place in the template");
        return properties[i].parse(p, prop);
    }
    return bad(p, prop, "is unknown");
}

/* ---- nodes ---------------------------------------------------------------------------------------------- */

static int parse_properties(struct parser *p, int node, bool is_template)
{
    int at;

    fdt_for_each_property_offset(at, p->blob, node)
    {
        struct prop prop;

        prop.data = fdt_getprop_by_offset(p->blob, at, &prop.name, &prop.len);
        if (!prop.data || !prop.name)
            return bad_node(p, p->app->name, "a property is damaged");
        if (parse_property(p, &prop, is_template))
            return -1;
    }
    if (fdt_first_subnode(p->blob, node) >= 0)
        return bad_node(p, p->app->name, "has nodes of its own, which mean nothing here");
    return 0;
}

static int parse_node(struct parser *p, int node)
{
    const char *name = fdt_get_name(p->blob, node, NULL);
    bool is_template = name && strcmp(name, "template") == 0;

    if (!name)
        return bad_node(p, "", "a node is damaged");
    if (!is_template && p->m->napps == MANIFEST_APPS_MAX)
        return bad_node(p, name, "one application more than a manifest may have");
    p->app = is_template ? &p->m->template : &p->m->apps[p->m->napps++];
    *p->app = (struct manifest_app){.name = name};
    if (parse_properties(p, node, is_template))
        return -1;
    if (!is_template && !p->app->path)
        return bad_node(p, name, "property 'path' is missing");
    if (p->app->memory_pages == 0)
        return bad_node(p, name, "property 'memory' is missing");
    return 0;
}

static int parse_root(struct parser *p)
{
    int at;

    fdt_for_each_property_offset(at, p->blob, 0)
    {
        const char *name = NULL;
        int len;
        const fdt32_t *value = fdt_getprop_by_offset(p->blob, at, &name, &len);

        if (!value || !name)
            return bad_node(p, "", "a property is damaged");
        if (strcmp(name, "corbel-manifest"))
            return bad_node(p, "", "has a property other than 'corbel-manifest'");
        if (len != 4 || fdt32_ld(value) != MANIFEST_VERSION)
            return bad_node(p, "", "property 'corbel-manifest' is not <1>, the version that this init reads");
        return 0;
    }
    return bad_node(p, "", "property 'corbel-manifest' is missing");
}

/* ---- the whole ------------------------------------------------------------------------------------------ */

const struct manifest_app *manifest_provider(const struct manifest *m, int service)
{
    for (unsigned i = 0; i < m->napps; i++)
        if (m->apps[i].provides >> service & 1)
            return &m->apps[i];
    return NULL;
}

static int check_service(const struct parser *p, unsigned service)
{
    unsigned providers = 0;
    char what[100];

    for (unsigned i = 0; i < p->m->napps; i++)
        providers += p->m->apps[i].provides >> service & 1;
    if (providers == 1)
        return 0;
    snprintf(what, sizeof(what), "service \"%s\" is offered by %s", p->m->services[service],
             providers ? "more than one application" : "no application");
    return bad_node(p, "", what);
}

static bool slices_overlap(const struct manifest_app *a, const struct manifest_app *b)
{
    for (unsigned i = 0; i < a->nslices; i++)
        for (unsigned j = a == b ? i + 1 : 0; j < b->nslices; j++)
            if (a->slices[i].cpu == b->slices[j].cpu &&
                !(a->slices[i].first + a->slices[i].count <= b->slices[j].first ||
                  b->slices[j].first + b->slices[j].count <= a->slices[i].first))
                return true;
    return false;
}

static int check_pairs(const struct parser *p, unsigned i)
{
    const struct manifest_app *a = &p->m->apps[i];

    for (unsigned j = 0; j <= i; j++) {
        const struct manifest_app *b = &p->m->apps[j];

        if (slices_overlap(a, b))
            return bad_node(p, a->name, "property 'slices' overlaps slices that are given already");
        if (i != j && !a->start && !b->start && strcmp(a->path, b->path) == 0)
            return bad_node(p, a->name, "property 'path' is that of another node too");
    }
    return 0;
}

static int check_whole(const struct parser *p)
{
    for (unsigned i = 0; i < p->m->nservices; i++)
        if (check_service(p, i))
            return -1;
    for (unsigned i = 0; i < p->m->napps; i++)
        if (check_pairs(p, i))
            return -1;
    if (p->m->template.memory_pages == 0)
        return bad_node(p, "template", "is missing");
    return 0;
}

static int check_blob(const void *blob, size_t bytes)
{
    int rc = bytes < FDT_V1_SIZE ? -FDT_ERR_TRUNCATED : fdt_check_header(blob);

    if (rc)
        return rc;
    if (fdt_version(blob) < FDTWALK_VERSION_MIN)
        return -FDT_ERR_BADVERSION;
    if (fdt_totalsize(blob) > bytes)
        return -FDT_ERR_TRUNCATED;
    if (!fdtwalk_ok((const uint8_t *)blob + fdt_off_dt_struct(blob),
                    fdt_totalsize(blob) - fdt_off_dt_struct(blob)))
        return -FDT_ERR_BADSTRUCTURE;
    return fdt_check_full(blob, bytes);
}

int manifest_parse(const void *blob, size_t bytes, struct manifest *out, char why[MANIFEST_WHY_BYTES])
{
    struct parser p = {.blob = blob, .m = out, .why = why};
    int node, rc = check_blob(blob, bytes);

    memset(out, 0, sizeof(*out));
    if (rc) {
        snprintf(why, MANIFEST_WHY_BYTES, "manifest: not a sound device tree blob: %s", fdt_strerror(rc));
        return -1;
    }
    if (parse_root(&p))
        return -1;
    fdt_for_each_subnode(node, blob, 0) if (parse_node(&p, node)) return -1;
    return check_whole(&p);
}

const struct manifest_app *manifest_for_path(const struct manifest *m, const char *path)
{
    for (unsigned i = 0; i < m->napps; i++)
        if (!m->apps[i].start && strcmp(m->apps[i].path, path) == 0)
            return &m->apps[i];
    return &m->template;
}
