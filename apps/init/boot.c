/* What the bundle and the manifest say is to run. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/newc.h"
#include "devtree.h"
#include "init.h"
#include "os/load.h"
#include "os/start.h"

#define ARGS_MAX 32u

/* ---- the bundle ------------------------------------------------------------------------------------------- */

/* A file by its path, with or without the leading slash: 1, 0: not there, or an enum newc_error with *at. */
static int bundle_find(const struct init *in, const char *path, struct newc_entry *e, uint64_t *at)
{
    struct newc_reader r =
        newc_open((const void *)(uintptr_t)in->system->bundle_va, in->system->bundle_bytes);
    int rc;

    while ((rc = newc_next(&r, e)) > 0)
        if ((e->mode & NEWC_MODE_TYPE) == NEWC_MODE_FILE && strcmp(e->name, path + (path[0] == '/')) == 0)
            return 1;
    *at = r.at;
    return rc;
}

static int bundle_file(struct init *in, const char *path, struct newc_entry *e)
{
    uint64_t at;
    int rc = bundle_find(in, path, e, &at);

    if (rc > 0)
        return 0;
    if (rc < 0)
        say(&in->say, "init: the bundle is damaged at byte %llu: %s", (unsigned long long)at,
            newc_strerror(rc));
    else
        say(&in->say, "init: the bundle has no file \"%s\"", path);
    return -ENOENT;
}

/* libfdt wants its blob aligned to 8 bytes; the archive promises 4, or a page where mkbundle made it. */
static const void *aligned_copy(const void *data, size_t bytes)
{
    void *copy;

    if ((uintptr_t)data % 8 == 0)
        return data;
    copy = malloc(bytes);
    if (copy)
        memcpy(copy, data, bytes);
    return copy;
}

int boot_manifest(struct init *in)
{
    char why[MANIFEST_WHY_BYTES];
    struct newc_entry e;
    const void *blob;

    if (in->system->bundle_bytes == 0) {
        say(&in->say, "init: there is no bundle (QEMU: -initrd FILE)");
        return -1;
    }
    if (bundle_file(in, "manifest.dtb", &e))
        return -1;
    blob = aligned_copy(e.data, e.size);
    if (!blob || manifest_parse(blob, e.size, &in->manifest, why)) {
        say(&in->say, "init: %s", blob ? why : "no memory for the manifest");
        return -1;
    }
    return 0;
}

/* ---- loading ---------------------------------------------------------------------------------------------- */

int boot_load(struct init *in, struct proc *p, const char *path, uint64_t *entry)
{
    struct load_space to = {.space = p->space, .window_va = in->load_va};
    struct load_memory file;
    struct os_image image = {.read = load_memory_read, .ctx = &file};
    char why[LOAD_WHY_BYTES];
    struct newc_entry e;
    int rc = bundle_file(in, path, &e);

    if (rc)
        return rc;
    file = (struct load_memory){.base = e.data, .bytes = e.size};
    image.bytes = e.size;
    rc = os_load(path, &image, &load_space_ops, &to, entry, why);
    if (rc)
        say(&in->say, "init: %s", why);
    return rc;
}

/* ---- starting --------------------------------------------------------------------------------------------- */

/* argv: the program's name, what the manifest says, and for the shell `-c line` when the boot arguments have one. */
static int make_args(const struct init *in, const struct manifest_app *app, const char *argv[ARGS_MAX + 4])
{
    const char *slash = strrchr(app->path, '/');
    const char *line = app->command_line ? devtree_command(devtree_bootargs(in->tree)) : NULL;
    unsigned n = 0;

    if (app->args.count > ARGS_MAX)
        return -E2BIG;
    argv[n++] = slash + 1;
    for (unsigned i = 0; i < app->args.count; i++)
        argv[n++] = manifest_string(&app->args, i);
    if (line) {
        argv[n++] = "-c";
        argv[n++] = line;
    }
    argv[n] = NULL;
    return 0;
}

static int make_environment(const struct manifest_app *app, const char *envp[ARGS_MAX + 1])
{
    if (app->environment.count > ARGS_MAX)
        return -E2BIG;
    for (unsigned i = 0; i < app->environment.count; i++)
        envp[i] = manifest_string(&app->environment, i);
    envp[app->environment.count] = NULL;
    return 0;
}

static void make_fds(const struct manifest_app *app, struct os_start_fd fds[3])
{
    for (int fd = 0; fd < 3; fd++) {
        fds[fd] = (struct os_start_fd){.fd = fd};
        strncpy(fds[fd].service, app->stdio, sizeof(fds[fd].service) - 1);
    }
}

static int make_block(const struct init *in, const struct manifest_app *app, void *block)
{
    const char *argv[ARGS_MAX + 4], *envp[ARGS_MAX + 1];
    struct os_start_fd fds[3];
    struct os_start_parts parts = {.path = app->path,
                                   .argv = (char *const *)argv,
                                   .envp = (char *const *)envp,
                                   .fds = fds,
                                   .umask = 022};
    int rc = make_args(in, app, argv);

    if (!rc)
        rc = make_environment(app, envp);
    if (rc)
        return rc;
    if (app->stdio) {
        make_fds(app, fds);
        parts.nfds = 3;
    }
    return os_start_build(block, OS_START_MAX_BYTES, &parts);
}

static int start_with_block(struct init *in, struct proc *p, const struct manifest_app *app, void *block)
{
    uint64_t entry;
    int bytes = make_block(in, app, block), rc;

    if (bytes < 0)
        return bytes;
    rc = boot_load(in, p, app->path, &entry);
    if (!rc)
        rc = child_write_start(in, p, block, (size_t)bytes);
    return rc ? rc : child_start(in, p, entry);
}

int boot_start(struct init *in, unsigned index)
{
    const struct manifest_app *app = &in->manifest.apps[index];
    void *block = malloc(OS_START_MAX_BYTES);
    struct proc *p = NULL;
    int rc = block ? 0 : -ENOMEM;

    if (!rc)
        p = life_new(in, in->self, app, app->path, &rc);
    if (p) {
        p->restart_index = (int)index;
        rc = start_with_block(in, p, app, block);
    }
    free(block);
    if (!rc)
        return 0;
    if (p || rc != -ENOMEM) /* otherwise that was said */
        say(&in->say, "init: %s cannot be started: %s", app->path, strerror(-rc));
    if (p)
        life_abort(in, p);
    return rc;
}

/* In the order of `start`; those with the same number as the manifest has them. */
static int next_to_start(const struct init *in, uint32_t after, uint32_t *order)
{
    int found = -1;

    for (unsigned i = 0; i < in->manifest.napps; i++) {
        uint32_t start = in->manifest.apps[i].start;
        uint32_t key = start << 8 | i;

        if (start && key > after && (found < 0 || key < *order)) {
            found = (int)i;
            *order = key;
        }
    }
    return found;
}

void boot_start_all(struct init *in)
{
    uint32_t order = 0, last = 0;

    for (int i; (i = next_to_start(in, last, &order)) >= 0; last = order) {
        const struct manifest_app *app = &in->manifest.apps[i];

        if (boot_start(in, (unsigned)i) == 0)
            continue;
        if (app->on_exit == MANIFEST_POWER_OFF)
            power_off(in, 126);
        services_gave_up(in, (unsigned)i);
    }
}
