/* What the program asks of the kernel, both for tests alone: the words of a log_write. */
#ifndef HOOKS_H
#define HOOKS_H

#include "base/types.h"

#define HOOK_MAGIC 0x6b6f6f6874736574ull

enum hook_order {
    HOOK_DIG = 1,           /* use up the kernel's stack */
    HOOK_TOUCH,             /* turn over all bits of a word of the caller's */
    HOOK_TOUCH_UNPROTECTED, /* the same with PAN cleared */
    HOOK_AUDIT,             /* audit.c: count everything afresh, and panic with what is wrong; the number of
                               audits is in the caller's vcpu page then, as .detail */
    HOOK_AUDIT_PLANTED,     /* the same, with one reference too many to the caller's vcpu page */
};

struct hook {
    uint64_t magic;
    uint64_t order; /* enum hook_order */
    uint64_t address;
};

#endif
