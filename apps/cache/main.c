/* cache: an application that gives memory back when it is asked.
 *
 * It keeps a cache of pages that are dear to make, and uses them at random.  Asked for memory it lets go of pages of its own
 * choice at once, and makes them anew when they are used and there is room again.  With -l it chooses nothing,
 * but has listed the cache for the kernel to take from.  Either way what it reads out of it stays right. */
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "../common/tool.h"
#include "os/exo.h"
#include "os/mem.h"
#include "os/revoke.h"

static const char help[] = "usage: cache [-l] [PAGES]\n"
                           "Keeps a cache of PAGES pages, 512 if not said, and uses it until SIGTERM or "
                           "SIGINT.  Asked for memory (see limit) it\n"
                           "gives pages back; with -l it lets the kernel take them.  Tells what was asked, "
                           "given, taken, and at the end how\n"
                           "many pages were right.\n";

#define WORDS (PAGE_SIZE / sizeof(uint64_t))
#define SPARE_PAGES 64u /* left for everything else */
#define USES_AT_ONCE 64u
#define PAUSE_NS 2000000

static struct {
    uint64_t va;
    uint64_t npages;
    uint64_t made, used, wrong;
    uint64_t hand;           /* the page that goes next */
    volatile uint64_t asked; /* frames, since the last look */
    volatile uint64_t given; /* pages, likewise */
    volatile uint64_t taken; /* likewise */
    bool lists;
    int victim;
    uint64_t random;
} cache = {.npages = 512, .random = 88172645463325252ull};
static volatile sig_atomic_t over;

static void on_signal(int sig)
{
    (void)sig;
    over = 1;
}

static uint64_t dice(void)
{
    cache.random ^= cache.random << 13; /* xorshift */
    cache.random ^= cache.random >> 7;
    cache.random ^= cache.random << 17;
    return cache.random;
}

static uint64_t page_va(uint64_t page)
{
    return cache.va + page * PAGE_SIZE;
}

/* ---- revocation ----------------------------------------------------------------------------------------- */

/* Unbinds up to n of its pages, which run in a circle. */
static uint64_t give_back(uint64_t n)
{
    uint64_t given = 0;

    for (uint64_t i = 0; i < cache.npages && given < n; i++) {
        uint64_t page = cache.hand++ % cache.npages;

        if (os_page_bound(page_va(page)) && exo_page_unmap(EXO_SELF_SPACE, page_va(page), 1, 0) == 1)
            given++;
    }
    return given;
}

static void on_revoke(const struct os_revoke *what)
{
    if (what->kind == EXO_REVOKE_FRAMES) {
        cache.asked += what->number;
        if (!cache.lists)
            cache.given += give_back(what->number);
    } else if (what->kind == EXO_REVOKE_TAKEN) {
        cache.taken += what->number;
    }
}

/* What the handler has done, told outside of it. */
static void tell(void)
{
    if (cache.asked)
        printf("cache: asked for %" PRIu64 " pages, gave back %" PRIu64 "\n", cache.asked, cache.given);
    if (cache.taken)
        printf("cache: %" PRIu64 " pages were taken\n", cache.taken);
    if (cache.asked || cache.taken)
        fflush(stdout);
    cache.asked = cache.given = cache.taken = 0;
}

/* ---- the cache ------------------------------------------------------------------------------------------- */

static uint64_t word_of(uint64_t page, uint64_t word)
{
    return (page * WORDS + word) * 0x9e3779b97f4a7c15ull + 1; /* never 0 */
}

/* Is there room for one more, and for what everything else may need? */
static bool room(void)
{
    uint64_t limit, used;

    os_mem_use(&limit, &used);
    return used + SPARE_PAGES <= limit;
}

/* A page may go between any two instructions: by the handler, or, with -l, by the kernel.  Who is at work on one then comes
 * to a fault, which nobody resolves, since the region is a window, and from there back here. */
static sigjmp_buf page_gone;
static volatile sig_atomic_t guarded;

static void on_fault(int sig)
{
    if (guarded)
        siglongjmp(page_gone, 1);
    signal(sig, SIG_DFL); /* some other fault: it comes again, and ends us */
}

static void page_check(uint64_t page)
{
    const volatile uint64_t *words = (const volatile uint64_t *)page_va(page);
    bool right = true;

    for (uint64_t i = 0; i < WORDS; i += WORDS / 8)
        right = right && words[i] == word_of(page, i);
    cache.wrong += !right;
}

static void page_make(uint64_t page)
{
    volatile uint64_t *words = (volatile uint64_t *)page_va(page);

    if (exo_page_alloc(EXO_SELF_SPACE, page_va(page), 1, EXO_WANT_ANY, EXO_PROT_READ | EXO_PROT_WRITE) < 0)
        return;
    for (uint64_t i = 0; i < WORDS; i++)
        words[i] = word_of(page, i);
    cache.made++;
}

static void page_use(uint64_t page)
{
    cache.used++;
    if (sigsetjmp(page_gone, 1) == 0) {
        guarded = 1;
        if (os_page_bound(page_va(page)))
            page_check(page);
        else if (room())
            page_make(page);
    }
    guarded = 0;
}

static int cache_make(void)
{
    const struct os_map what = {
        .kind = OS_REGION_WINDOW, .prot = EXO_PROT_READ | EXO_PROT_WRITE, .npages = cache.npages};
    int rc = os_map_region(&what, &cache.va);

    if (rc) {
        errno = -rc;
        return rc;
    }
    for (uint64_t page = 0; page < cache.npages && room(); page++)
        page_use(page);
    return cache.lists ? os_victims_add(cache.va, (uint32_t)cache.npages) : 0;
}

/* ---- main -------------------------------------------------------------------------------------------------- */

static int take_options(int argc, char **argv)
{
    int option;

    while ((option = tool_option(argc, argv, "l")) != -1) {
        if (option == '?')
            return tool_bad_option("cache", help);
        cache.lists = true;
    }
    if (argc - optind > 1)
        return tool_usage("cache", "takes one size", help);
    if (optind < argc &&
        (!tool_number(argv[optind], &cache.npages) || !cache.npages || cache.npages > 1u << 20)) {
        tool_complain("cache", argv[optind], "not a number of pages");
        return TOOL_USAGE;
    }
    return TOOL_OK;
}

static unsigned pages_there(void)
{
    unsigned n = 0;

    for (uint64_t page = 0; page < cache.npages; page++)
        n += os_page_bound(page_va(page));
    return n;
}

int main(int argc, char **argv)
{
    int rc;

    if (tool_help(argc, argv, help))
        return tool_finish("cache", TOOL_OK);
    rc = take_options(argc, argv);
    if (rc)
        return rc;
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    signal(SIGSEGV, on_fault);
    os_on_revoke(on_revoke);
    if (cache_make() < 0) {
        tool_error("cache", "cannot be made");
        return TOOL_FAILED;
    }
    printf("cache: %u pages\n", pages_there());
    fflush(stdout);
    while (!over) {
        for (unsigned i = 0; i < USES_AT_ONCE; i++)
            page_use(dice() % cache.npages);
        nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
        tell();
    }
    printf("cache: %u pages, %" PRIu64 " made, %" PRIu64 " used, %" PRIu64 " wrong\n", pages_there(),
           cache.made, cache.used, cache.wrong);
    return tool_finish("cache", cache.wrong ? TOOL_FAILED : TOOL_OK);
}
