/* Ranges of untrusted numbers.  Every check subtracts; nothing can wrap. */
#ifndef BASE_RANGE_H
#define BASE_RANGE_H

#include "base/types.h"

/* Does [base, base + len) lie inside [0, limit)?  An empty range does where base <= limit. */
static inline bool range_fits(uint64_t base, uint64_t len, uint64_t limit)
{
    return base <= limit && len <= limit - base;
}

/* Does [base, base + len) lie inside [in_base, in_base + in_len), itself a range that does not wrap? */
static inline bool range_inside(uint64_t base, uint64_t len, uint64_t in_base, uint64_t in_len)
{
    return base >= in_base && range_fits(base - in_base, len, in_len);
}

/* Do two ranges, neither of which wraps, share an element? */
static inline bool range_overlaps(uint64_t a, uint64_t a_len, uint64_t b, uint64_t b_len)
{
    if (a_len == 0 || b_len == 0)
        return false;
    return a < b ? b - a < a_len : a - b < b_len;
}

#endif
