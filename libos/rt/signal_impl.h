/* Signal state shared by its two halves. */
#ifndef RT_SIGNAL_IMPL_H
#define RT_SIGNAL_IMPL_H

#include "rt/rt.h"
#include "rt/spin.h"

#define RT_NSIGNALS 32

struct signals {
    struct rt_spin lock;                /* whoever changes these, or what the main vcpu's page listens for */
    os_signal_fn *handler[RT_NSIGNALS]; /* NULL: default action; atomic */
    uint64_t mask[RT_NSIGNALS];         /* blocked besides while the handler runs */
};
extern struct signals signals;

#endif
