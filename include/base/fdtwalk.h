/* Whether a device tree blob's structure can be walked to its end, before libfdt does it.
 *
 * libfdt up to 1.6.1 steps backwards over a property whose length wraps around, and then without end; it follows a null
 * pointer where a blob older than version 16 names nodes other than by paths.  So each tag is gone through here once, by
 * subtraction alone.  What the tags hold is libfdt's to check.
 *
 * Format: Devicetree Specification 0.4, 5.4 (structure block).  Words are big-endian. */
#ifndef BASE_FDTWALK_H
#define BASE_FDTWALK_H

#include "base/types.h"

#define FDTWALK_VERSION_MIN 16u

static inline uint32_t fdtwalk_word(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

enum fdtwalk {
    FDTWALK_WHOLE,
    FDTWALK_CUT,    /* it has no end, or something else where a tag should be: there libfdt stops, too */
    FDTWALK_ASTRAY, /* a property leads out of it: libfdt may go anywhere */
};

/* The structure block lies in `room` bytes at `block`. */
static inline enum fdtwalk fdtwalk(const uint8_t *block, uint64_t room)
{
    enum { BEGIN_NODE_ = 1, END_NODE_ = 2, PROPERTY_ = 3, NOP_ = 4, END_ = 9 };
    uint64_t at = 0, len;

    while (at <= room && room - at >= 4) {
        uint32_t tag = fdtwalk_word(block + at);

        at += 4;
        switch (tag) {
        case BEGIN_NODE_: /* a name and its NUL */
            while (at < room && block[at])
                at++;
            at = align_up(at + 1, 4);
            break;
        case PROPERTY_: /* length, name's offset, value */
            if (room - at < 8)
                return FDTWALK_ASTRAY;
            len = fdtwalk_word(block + at);
            at += 8;
            if (len > room - at)
                return FDTWALK_ASTRAY;
            at = align_up(at + len, 4);
            break;
        case END_NODE_:
        case NOP_:
            break;
        default:
            return tag == END_ ? FDTWALK_WHOLE : FDTWALK_CUT;
        }
    }
    return FDTWALK_CUT;
}

static inline bool fdtwalk_ok(const uint8_t *block, uint64_t room)
{
    return fdtwalk(block, room) == FDTWALK_WHOLE;
}

#endif
