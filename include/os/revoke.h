/* Revocation: what is asked back of this program, and what was taken.
 *
 * The kernel asks with a deadline; the program chooses what to give.  What the kernel then takes, it takes from a list that
 * the program keeps (victims), and what it cannot get in that way ends the program.  docs/abi.md, "env_limit" and
 * "page_reclaim". */
#ifndef OS_REVOKE_H
#define OS_REVOKE_H

#include "exo/abi.h"

struct os_revoke {
    enum exo_revoke_kind kind;
    uint64_t number;   /* of frames or pages */
    uint64_t deadline; /* FRAMES, PAGES: counter ticks */
    uint64_t va;       /* PAGES, GONE */
    uint64_t space;    /* likewise: 0 is this program's home space (struct exo_revoke) */
};
typedef void os_revoke_fn(const struct os_revoke *what);

/* The program's own answer; NULL: os_revoke_default.  It runs as a signal's handler does, in the thread that was
 * interrupted, on any vcpu (on several at once if notices come so), and not while signals are held; what blocks goes on afterwards, without EINTR.  It may use all of the
 * libraries, malloc too.  Of notices of one kind that come before it runs, the last one counts; PAGES is repeated as long
 * as somebody waits. */
void os_on_revoke(os_revoke_fn *fn);

/* FRAMES: gives back what nobody will miss: free memory at the heap's end, and below the thread's stack.  Others: nothing. */
void os_revoke_default(const struct os_revoke *what);

/* For libraries: what os_revoke_default gives back, and who hears of PAGES and GONE before the program does. */
void os_set_spare(void (*give_back)(void));
void os_on_pages(os_revoke_fn *fn);

/* Have n pages at va, which this program's account pays for, to itself again: whoever else binds them is asked to let go,
 * and made to at the deadline (counter ticks; 200 ms at the least).  Sleeps meanwhile.  0; -EACCES (somebody else pays),
 * -EFAULT (not bound), -EINVAL, -EBUSY (another thread is at it), or -EINTR when a signal came first: it is given up then. */
int os_reclaim(uint64_t va, uint64_t npages, uint64_t deadline);

/* Victims: pages of the home space that may be taken.  They are taken in the order of the numbers, each run from va
 * upwards; what anonymous memory loses is zeroes when it is touched next, if the account can pay for that.
 * A number, or -EINVAL (not aligned, no pages), -EAGAIN (EXO_VICTIMS are in use).  None blocks, and all may be called
 * from everywhere. */
int os_victims_add(uint64_t va, uint32_t npages);
void os_victims_remove(int victim);
/* Of the run's pages, from the first on, so many have been taken. */
uint32_t os_victims_taken(int victim);

#endif
