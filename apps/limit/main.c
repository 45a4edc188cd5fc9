/* limit: lowers or raises what memory a process may have, and tells how that went. */
#include <inttypes.h>
#include <time.h>

#include "../common/tool.h"
#include "os/proc.h"
#include "os/time.h"

static const char help[] =
    "usage: limit PID KIB [MILLISECONDS]\n"
    "Limits the memory of process PID to KIB KiB, at most what its manifest entry says.  It is asked for "
    "what it has\n"
    "above that, and has 1000 MILLISECONDS to give it back.  Then it is taken from what the process itself "
    "has listed,\n"
    "and where that is not enough, the process ends.  Tells what happened; status 1 if it ended.\n";

#define KIB_PER_PAGE (PAGE_SIZE / 1024)
#define LOOK_NS 2000000

static void pause_a_little(void)
{
    nanosleep(&(struct timespec){.tv_nsec = LOOK_NS}, NULL);
}

struct course {
    int64_t asked; /* pages; or a negative errno */
    int64_t kept;  /* at the last look before the deadline */
    int64_t left;
    uint64_t ns; /* from asking until it had given all back, or the deadline */
};

static bool in_time(struct course *c, uint64_t deadline)
{
    if (os_ticks() >= deadline)
        return false;
    c->kept = c->left;
    return true;
}

static struct course lower(uint32_t pid, uint64_t pages, uint64_t ns)
{
    uint64_t began = os_ticks(), deadline = began + os_ns_to_ticks(ns);
    struct course c = {.asked = os_proc_limit(pid, pages, deadline)};

    for (c.kept = c.left = c.asked; in_time(&c, deadline) && c.left > 0;) {
        pause_a_little();
        c.left = os_proc_limit(pid, pages, deadline);
    }
    c.ns = os_ticks_to_ns(os_ticks() - began);
    while (c.left > 0)
        c.left = os_proc_limit(pid, pages, deadline);
    return c;
}

static int tell(const char *pid, const struct course *c)
{
    uint64_t gave = (uint64_t)(c->asked - (c->kept > 0 ? c->kept : 0)) * KIB_PER_PAGE, ms = c->ns / 1000000;

    if (c->asked < 0 || (c->left < 0 && c->left != -ESRCH)) {
        errno = (int)-(c->asked < 0 ? c->asked : c->left);
        tool_error("limit", pid);
        return TOOL_FAILED;
    }
    if (c->asked == 0)
        printf("%s: had room enough\n", pid);
    else if (c->left < 0 && c->kept <= 0)
        printf("%s: ended\n", pid);
    else if (c->left < 0)
        printf("%s: stopped: gave back %" PRIu64 " of %" PRIu64 " KiB\n", pid, gave,
               (uint64_t)c->asked * KIB_PER_PAGE);
    else if (c->kept > 0)
        printf("%s: gave back %" PRIu64 " KiB, %" PRIu64 " KiB were taken\n", pid, gave,
               (uint64_t)c->kept * KIB_PER_PAGE);
    else
        printf("%s: gave back %" PRIu64 " KiB in %" PRIu64 " ms\n", pid, gave, ms);
    return c->left < 0 ? TOOL_FAILED : TOOL_OK;
}

static bool number(const char *text, uint64_t max, uint64_t *value)
{
    if (tool_number(text, value) && *value <= max)
        return true;
    tool_complain("limit", text, "not a number, or too large");
    return false;
}

int main(int argc, char **argv)
{
    uint64_t pid, kib, ms = 1000;
    struct course c;

    if (tool_help(argc, argv, help))
        return tool_finish("limit", TOOL_OK);
    if (argc < 3 || argc > 4)
        return tool_usage("limit", "takes a process and a size", help);
    if (!number(argv[1], INT32_MAX, &pid) || !number(argv[2], UINT32_MAX, &kib) ||
        (argc == 4 && !number(argv[3], 1000000000, &ms)))
        return TOOL_USAGE;
    c = lower((uint32_t)pid, kib / KIB_PER_PAGE, ms * 1000000);
    return tool_finish("limit", tell(argv[1], &c));
}
