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

extern struct exo_vcpu_page *host_vcpu;
extern struct exo_system host_system; /* a counter of 1 GHz */
extern uint64_t host_ticks;           /* time stands still unless the test moves it */

#endif
