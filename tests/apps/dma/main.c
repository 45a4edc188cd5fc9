/* dma: a real device behind an IOMMU, told to write where it may and where it may not (K18).
 *
 *   dma           what is bound, what is not, what is not any more
 *   dma end       a process ends in the midst of transfers
 *   dma hold      that process
 *   dma refused   no IOMMU, and not trusted */
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "../common/rng.h"

#define BUFFERS VIRTQ_SIZE
#define NOTE "/dma.frames"

extern char **environ;

static struct rng rng;
static unsigned failed;

static bool check(const char *what, bool good)
{
    printf("%s - %s\n", good ? "ok" : "not ok", what);
    failed += !good;
    return good;
}

/* The domain of the device's stream: its requester id among those granted. */
static int64_t open_domain(void)
{
    const struct os_start_grant *g = rng_grant(OS_GRANT_DMA, 0);

    return g ? exo_dma_open(g->handle, g->base + rng.fn) : -EXO_EHANDLE;
}

static int64_t bind_page(uint64_t domain, uint64_t iova, const void *page, uint64_t prot)
{
    return exo_dma_bind(domain, iova, EXO_SELF_SPACE, (uint64_t)(uintptr_t)page, 1, prot);
}

static void start(void)
{
    if (!rng_start(&rng, RNG_QUEUE_IOVA))
        check("the device starts", false);
}

static int64_t faults(uint64_t domain)
{
    return exo_dma_status(domain, EXO_DMA_FAULTS);
}

static bool wait_fault(uint64_t domain, int64_t before)
{
    for (unsigned tries = 0; tries < 400; tries++, usleep(5000))
        if (faults(domain) > before)
            return true;
    return false;
}

/* ---- a, b, c: what the device can write ------------------------------------------------------------------------- */

/* Tells the device to write 64 bytes at an address that it must not reach. */
/* len: of the target, what nobody else changes. */
static void kept_from(const char *what, uint64_t domain, uint64_t address, const void *target, size_t len)
{
    unsigned char was[PAGE_SIZE];
    char line[120];
    int64_t before;

    memcpy(was, target, len);
    start();
    before = faults(domain);
    rng_ask(&rng, 0, address, 64);
    snprintf(line, sizeof(line), "K18 %s: the fault is told", what);
    check(line,
          wait_fault(domain, before) &&
              (uint64_t)exo_dma_status(domain, EXO_DMA_FAULT_ADDRESS) / PAGE_SIZE == address / PAGE_SIZE &&
              exo_dma_status(domain, EXO_DMA_FAULT_ACCESS) == EXO_PROT_WRITE);
    snprintf(line, sizeof(line), "K18 %s: the memory is as it was", what);
    check(line, memcmp(was, target, len) == 0);
    virtio_reset(&rng.device);
}

static void reach(void)
{
    unsigned char *pages = rng_pages(3), *own = pages + PAGE_SIZE, *read_only = own + PAGE_SIZE;
    int64_t domain = open_domain();

    memset(pages, 0x5a, 3 * PAGE_SIZE);
    if (!check("K18 the device's stream can be opened", domain > 0))
        return;
    check("K18 an IOMMU stands before it", exo_dma_status((uint64_t)domain, EXO_DMA_TRANSLATED) == 1);
    check("its queue and a buffer are bound",
          bind_page((uint64_t)domain, RNG_QUEUE_IOVA, rng.queue, RNG_RW) == 1 &&
              bind_page((uint64_t)domain, RNG_IOVA, pages, RNG_RW) == 1);
    start();
    rng_ask(&rng, 0, RNG_IOVA + 128, 64);
    check("K18 the device writes where a page is bound",
          rng_wait(&rng, 1) && !rng_is_filled(pages + 128, 0x5a, 64) && rng_is_filled(pages, 0x5a, 128) &&
              rng_is_filled(pages + 192, 0x5a, PAGE_SIZE - 192));
    check("and nothing was blocked", faults((uint64_t)domain) == 0);
    kept_from("another page of its owner's, by device address", (uint64_t)domain, RNG_IOVA + PAGE_SIZE, own,
              PAGE_SIZE);
    kept_from("another page of its owner's, by physical address", (uint64_t)domain, rng_physical(own), own,
              PAGE_SIZE);
    kept_from("the kernel's memory", (uint64_t)domain, rng_physical(os_system()), os_system(),
              offsetof(struct exo_system, locks));
    bind_page((uint64_t)domain, RNG_IOVA + 2 * PAGE_SIZE, read_only, EXO_PROT_READ);
    kept_from("a page bound for reading", (uint64_t)domain, RNG_IOVA + 2 * PAGE_SIZE, read_only, PAGE_SIZE);
    check("a page is unbound", os_dma_unbind((exo_handle_t)domain, RNG_IOVA, 1, NULL) == 0);
    kept_from("a page that is not bound any more", (uint64_t)domain, RNG_IOVA + 128, pages, PAGE_SIZE);
    bind_page((uint64_t)domain, RNG_IOVA, own, RNG_RW);
    start();
    rng_ask(&rng, 0, RNG_IOVA, 64);
    check("K18 another page at that address is written", rng_wait(&rng, 1) && !rng_is_filled(own, 0x5a, 64));
    virtio_reset(&rng.device);
    while (exo_dma_close((uint64_t)domain) == 1)
        ;
    start();
    memset(own, 0x5a, 64);
    rng_ask(&rng, 0, RNG_IOVA, 64);
    usleep(200000);
    check("K18 without a domain nothing is written",
          rng_is_filled(own, 0x5a, 64) && virtq_done(rng.queue) == 0);
    virtio_reset(&rng.device);
}

/* ---- d: an end in the midst ---------------------------------------------------------------------------------------- */

/* Keeps the device busy until it is killed; says which frames it gave it. */
static int hold(void)
{
    unsigned char *buffers = rng_pages(BUFFERS);
    int64_t domain = open_domain();
    FILE *note;
    uint16_t offered = 0;

    if (domain < 0 || bind_page((uint64_t)domain, RNG_QUEUE_IOVA, rng.queue, RNG_RW) != 1 ||
        os_dma_bind((exo_handle_t)domain, RNG_IOVA, EXO_SELF_SPACE, (uint64_t)(uintptr_t)buffers, BUFFERS,
                    EXO_PROT_READ | EXO_PROT_WRITE, NULL))
        return 1;
    start();
    for (; offered < BUFFERS; offered++)
        rng_ask(&rng, offered, RNG_IOVA + offered * PAGE_SIZE, PAGE_SIZE);
    if (!rng_wait(&rng, 2) || !(note = fopen(NOTE, "w")))
        return 2;
    for (unsigned i = 0; i < BUFFERS; i++)
        fprintf(note, "%lu\n", (unsigned long)(rng_physical(buffers + i * PAGE_SIZE) / PAGE_SIZE));
    fprintf(note, "%lu\n", (unsigned long)(rng_physical(rng.queue) / PAGE_SIZE));
    fclose(note);
    for (;;) /* what it gives back, it gets again */
        for (usleep(1000); (uint16_t)(offered - virtq_done(rng.queue)) < BUFFERS; offered++)
            rng_ask(&rng, offered, RNG_IOVA + offered % BUFFERS * PAGE_SIZE, PAGE_SIZE);
}

static bool note_is_there(void)
{
    for (unsigned tries = 0; tries < 600; tries++, usleep(5000))
        if (access(NOTE, R_OK) == 0)
            return true;
    return false;
}

/* The very frames that the dead one had, filled; how many of them are ours now. */
static unsigned take_frames(unsigned char *window, unsigned want)
{
    FILE *note = fopen(NOTE, "r");
    unsigned got = 0;
    unsigned long pfn;

    while (note && got < want && fscanf(note, "%lu", &pfn) == 1) {
        uint64_t va = (uint64_t)(uintptr_t)window + got * PAGE_SIZE;

        if (exo_page_alloc(EXO_SELF_SPACE, va, 1, pfn, RNG_RW) == 1)
            memset(window + got++ * PAGE_SIZE, 0xa5, PAGE_SIZE);
    }
    if (note)
        fclose(note);
    return got;
}

static void end(void)
{
    static char name[] = "dma", order[] = "hold";
    char *const argv[] = {name, order, NULL};
    struct os_map window = {.kind = OS_REGION_WINDOW, .npages = BUFFERS + 1};
    unsigned got, unchanged = 0;
    uint64_t va;
    int status;
    pid_t pid;

    unlink(NOTE);
    if (!check("somebody drives the device", posix_spawn(&pid, "/bin/dma", NULL, NULL, argv, environ) == 0 &&
                                                 note_is_there() && os_map_region(&window, &va) == 0))
        return;
    usleep(100000);
    check("K18 its stream is nobody else's", open_domain() == -EXO_EBUSY);
    kill(pid, SIGKILL);
    check("it is killed", waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
    for (unsigned tries = 0; tries < 400 && access("/proc", F_OK); tries++, usleep(5000)) {
        int64_t domain = open_domain(); /* taken down when its stream is free again */

        if (domain != -EXO_EBUSY) {
            check("K18 its stream is free then", domain > 0);
            while (exo_dma_close((uint64_t)domain) == 1)
                ;
            break;
        }
    }
    usleep(100000);
    got = take_frames((unsigned char *)(uintptr_t)va, BUFFERS + 1);
    printf("%u of its frames are used again\n", got);
    check("K3 its frames are used again", got >= BUFFERS / 2);
    for (unsigned i = 0; i < 20; i++, usleep(20000))
        virtio_kick(&rng.device, 0); /* it has its orders still */
    for (unsigned i = 0; i < got; i++)
        unchanged += rng_is_filled((void *)(uintptr_t)(va + i * PAGE_SIZE), 0xa5, PAGE_SIZE);
    check("K18 K3 the device writes into none of them", unchanged == got);
    virtio_reset(&rng.device);
    os_unmap(va, BUFFERS + 1);
    unlink(NOTE);
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";

    if (!rng_open(&rng))
        return 1;
    if (strcmp(what, "hold") == 0)
        return hold();
    if (strcmp(what, "refused") == 0)
        check("K18 without an IOMMU: only who is trusted", open_domain() == -EXO_EUNTRUSTED);
    else if (strcmp(what, "end") == 0)
        end();
    else
        reach();
    return failed != 0;
}
