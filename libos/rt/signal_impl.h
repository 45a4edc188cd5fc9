/* Signal state shared by its two halves. */
#ifndef RT_SIGNAL_IMPL_H
#define RT_SIGNAL_IMPL_H

#include "rt/rt.h"

#define RT_NSIGNALS 32

struct signals {
    os_signal_fn *handler[RT_NSIGNALS]; /* NULL: default action */
    uint64_t mask[RT_NSIGNALS];         /* blocked besides while the handler runs */
};
extern struct signals signals;

#endif
