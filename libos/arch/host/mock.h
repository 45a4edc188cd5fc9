/* What a test decides about the machine under the libOS. */
#ifndef ARCH_MOCK_H
#define ARCH_MOCK_H

#include "exo/abi.h"
#include "os/exo.h"

/* A kernel for the calling test: gets each call's number and arguments; results[0] to [7] stand for x0 to x7 and
 * come in as the arguments.  Without a handler every call answers -EXO_ENOCALL. */
typedef void host_exo_fn(enum exo_call number, uint64_t results[8]);
extern host_exo_fn *host_exo_call;

/* Which page is bound at or above va and below end; without a handler none is. */
typedef uint64_t host_bound_fn(uint64_t va, uint64_t end);
extern host_bound_fn *host_next_bound;
extern bool (*host_is_large)(uint64_t va); /* NULL: there are no large pages */

/* Whether the page tables allow an access; without a handler they do not. */
typedef bool host_allows_fn(uint64_t va, uint64_t access);
extern host_allows_fn *host_page_allows;

extern struct exo_vcpu_page *host_vcpu; /* of a whole page: the run time keeps its part behind the kernel's */
#define HOST_RT_OFFSET 1024

/* Called where, on a machine, another vcpu might come in between: at every lock of the run time.  A test with several
 * vcpus switches to another one there. */
extern void (*host_interleave)(void);
extern struct exo_system host_system; /* a counter of 1 GHz */
extern uint64_t host_ticks;           /* time stands still unless the test moves it */

#endif
