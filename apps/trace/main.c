/*
 * trace: runs a command and tells what the CPUs did meanwhile: every call, switch, fault and interrupt, of everybody.
 *
 * The rings are this program's own memory, so nothing is written out, and nothing of this program's doing is in the
 * trace, before the command has ended.
 */
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "../common/tool.h"
#include "os/exo.h"
#include "os/mem.h"
#include "os/start.h"
#include "trace.h"

static const char help[] =
    "Usage: trace [-o FILE] [-n PAGES] COMMAND [ARGUMENT...]\n"
    "Runs the command, records what all CPUs do until it ends, and writes that as text for\n"
    "boards/tools/trace2json (`make trace CMD=...` does both).  Status: the command's, or 125.\n"
    "  -o  into this file, not to standard output\n"
    "  -n  memory for the records of all CPUs together: 1 to 1024 pages of 126 or 128 records, 1024\n"
    "      if nothing is said; when it is full, new records take the place of the oldest\n";

enum { NOT_RUN = 125, PAGES = 1024 };

struct options {
    const char *file;
    uint64_t npages;
};

extern char **environ;

/* Options end where the command begins, which has its own. */
static int parse(int argc, char **argv, struct options *options)
{
    int i = 1;

    for (; i < argc && argv[i][0] == '-' && argv[i][1]; i++) {
        if (strcmp(argv[i], "--") == 0)
            return i + 1;
        if (strcmp(argv[i], "-o") == 0 && i + 1 < argc)
            options->file = argv[++i];
        else if (strcmp(argv[i], "-n") == 0 && i + 1 < argc && tool_number(argv[i + 1], &options->npages) &&
                 options->npages >= 1 && options->npages <= PAGES)
            i++;
        else
            return -1;
    }
    return i;
}

/* ---- the rings ------------------------------------------------------------------------------------------ */

static int rings_make(struct rings *rings, uint64_t npages)
{
    const struct os_start_grant *grant = os_start_grant_find(os_start_block(), "trace", OS_GRANT_TRACE);
    struct os_map what = {
        .kind = OS_REGION_DMA, .flags = OS_MAP_CONTIG, .prot = EXO_PROT_READ | EXO_PROT_WRITE};
    int rc;

    if (!grant) {
        tool_complain("trace", "the trace capability", "the manifest entry does not grant `trace`");
        return -1;
    }
    rings->cap = grant->handle;
    rings->ncpus = os_system()->ncpus;
    rings->npages = npages < rings->ncpus ? 1 : npages / rings->ncpus;
    what.npages = rings->npages * rings->ncpus;
    rc = os_map_region(&what, &rings->va);
    if (rc)
        tool_complain("trace", "memory for the records", strerror(-rc));
    return rc;
}

static int64_t ring_bind(const struct rings *rings, uint32_t cpu)
{
    uint64_t va = rings->va + cpu * rings->npages * PAGE_SIZE;

    for (uint64_t done = 0; done < rings->npages;) {
        int64_t rc =
            exo_trace_bind(rings->cap, cpu, EXO_SELF_SPACE, va + done * PAGE_SIZE, rings->npages - done);

        if (rc < 0)
            return rc;
        done += (uint64_t)rc;
    }
    return 0;
}

static int rings_control(const struct rings *rings, enum exo_trace_how how)
{
    for (uint32_t cpu = 0; cpu < rings->ncpus; cpu++) {
        int64_t rc = how == EXO_TRACE_ON ? ring_bind(rings, cpu) : 0;

        do
            rc = rc < 0 ? rc : exo_trace_control(rings->cap, cpu, how);
        while (rc > 0);
        if (rc < 0 && how == EXO_TRACE_ON) {
            tool_complain("trace", "tracing", exo_strerror((int)rc));
            return -1;
        }
    }
    return 0;
}

/* ---- the command ------------------------------------------------------------------------------------------ */

static void ignore(int sig)
{
    (void)sig; /* the command gets it too, and may end; then there is something to tell */
}

/* Its status; -1 after a word about it: it did not run. */
static int run(char **argv)
{
    int status;
    pid_t pid;
    int error = posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ);

    if (error) {
        tool_complain("trace", argv[0], strerror(error));
        return -1;
    }
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int write_out(const struct rings *rings, const char *file)
{
    FILE *out = file ? fopen(file, "w") : stdout;

    if (!out) {
        tool_error("trace", file);
        return -1;
    }
    text_write(out, rings);
    if (fflush(out) || ferror(out) || (file && fclose(out))) {
        tool_error("trace", file ? file : "standard output");
        return -1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct options options = {.npages = PAGES};
    struct rings rings;
    int first, status;

    if (tool_help(argc, argv, help))
        return tool_finish("trace", TOOL_OK);
    first = parse(argc, argv, &options);
    if (first < 0 || first >= argc)
        return tool_usage(
            "trace", first < 0 ? "an option that is unknown, or its value is wrong" : "which command?", help);
    if (rings_make(&rings, options.npages))
        return NOT_RUN;
    signal(SIGINT, ignore);
    if (rings_control(&rings, EXO_TRACE_ON))
        return NOT_RUN;
    status = run(argv + first);
    rings_control(&rings, EXO_TRACE_OFF);
    if (status >= 0 && write_out(&rings, options.file))
        status = -1;
    rings_control(&rings, EXO_TRACE_RELEASE);
    return status < 0 ? NOT_RUN : status;
}
