/* A machine so small that all that can happen on it can be tried: what the exhaustive checker (tests/check) begins from,
 * and the tests that it prints.
 *
 * init (`root`) has a vcpu on CPU 0; a child, `small`, has one on CPU 0, one on the last CPU, and of three CPUs one on the
 * second; all are started and out of their START upcalls, root is current.  Each holds a gate and an event into the other.
 * A few frames are left free; the rest is bound, out of the way.  Interrupts are held up (machine.held) until small_take()
 * lets them arrive.
 *
 * With more (enum small_with): see there. */
#ifndef HOST_EXO_SMALL_H
#define HOST_EXO_SMALL_H

#include "exo_machine.h"

/* Two pages that share a table with what is bound already, and one that needs a table of its own. */
/* The first 2 MiB, where a large page would be whose address got lost, stay empty. */
#define SMALL_VA1 0x310000ull
#define SMALL_VA2 0x311000ull
#define SMALL_VA3 0x800000ull
#define SMALL_BUSY_VA 0x40000000ull /* of root: what is bound from here on is nobody's business */
#define SMALL_BUSY_END 0x40200000ull
#define SMALL_LONG 1000000ull /* ticks: passes only where small_time() says so */
#define SMALL_LINE 40u
#define SMALL_WORD 0x5a5a5a5a5a5a5a5aull /* what a touch writes */

enum small_with {
    SMALL_DMA =
        1 << 0, /* an IOMMU; the child has a domain for SMALL_STREAM, where SMALL_IOVA1 is SMALL_BUF */
    SMALL_MSI =
        1 << 1, /* the child, too, may bind SMALL_LPI and the next, for devices SMALL_STREAM and the next */
    SMALL_TRACE = 1 << 2, /* the child, too, may trace */
    SMALL_LARGE =
        1 << 3, /* one large page besides: the child's, which has zeroed all of it but the last piece */
};
/* init's page, bound in the child too; with a domain or traces. */
#define SMALL_BUF 0x312000ull
#define SMALL_STREAM 8u /* and the next are the child's */
/* One shares its tables with the controller's doorbell, one needs a table. */
#define SMALL_IOVA1 0x08011000ull
#define SMALL_IOVA2 0x08200000ull
#define SMALL_LPI MACHINE_LPI_MIN
/* SMALL_VA3 could be a large page's address; and so could this. */
#define SMALL_VA4 0xa00000ull

#define SMALL_CPUS_MAX 3u

struct small {
    struct env *env;
    struct vcpu *vcpu[SMALL_CPUS_MAX];
    unsigned with;
    uint64_t ram_bytes; /* from RAM_BASE on */
};
extern struct small small;

void small_boot(unsigned ncpus, unsigned nframes);
void small_boot_with(unsigned ncpus, unsigned nframes, unsigned with);

/* CPU `cpu` is played, no interrupt arrives. */
void small_on(unsigned cpu);
/* The interrupts that are due on this CPU arrive. */
void small_take(unsigned cpu);
/* A kick, after some time. */
void small_interrupt(unsigned cpu);
/* The time of the next timer has come.  Its interrupt is yet to arrive. */
void small_time(void);
/* The current vcpu writes (or reads) a word at the end of a page. */
void small_touch(uint64_t va, unsigned want);
/* The current vcpu clears its events, or says which are to interrupt it. */
void small_clear(void);
void small_listen(uint64_t bits);
/* A kick is on its way to this CPU, which is played, and arrives as soon as it looks: until small_on(). */
void small_press(unsigned cpu);
/* A call that answers 1 as long as something is left, until it answers something else, or waits for another CPU. */
int64_t small_again(uint64_t number, const uint64_t args[8]);
/* Goes on with the large page that the space waits for until one piece is left: the last call's answer. */
int64_t small_more(uint64_t space, uint64_t flags);
/* A device reads, or writes a word at the end of a page. */
void small_dma(uint64_t stream, uint64_t iova, unsigned want);
/* Makes a new vcpu's upcall entry known: as its environment would, before it is started. */
void small_entry(int64_t handle);

#endif
