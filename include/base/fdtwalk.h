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
    FDTWALK_ON,     /* a step was made, and there is more */
};

/* FDT_BEGIN_NODE and so on, by names that <libfdt.h> does not take. */
enum fdtwalk_kind {
    FDTWALK_BEGIN = 1,
    FDTWALK_END = 2,
    FDTWALK_PROPERTY = 3,
    FDTWALK_NOP = 4,
    FDTWALK_LAST = 9
};

/* A tag, and what belongs to it: a node's name, a property's value. */
struct fdtwalk_tag {
    uint32_t kind;
    uint32_t len;     /* PROPERTY: of the value */
    uint32_t name_at; /* PROPERTY: in the strings */
    uint64_t at, behind, next;
};

/* The tag at tag->next of the structure block, which lies in `room` bytes at `block`: ON, or how the walk ends.  Where it ends
 * other than by its last tag, `tag` says nothing. */
static inline enum fdtwalk fdtwalk_step(const uint8_t *block, uint64_t room, struct fdtwalk_tag *tag)
{
    uint64_t at = tag->next;

    if (at > room || room - at < 4)
        return FDTWALK_CUT;
    tag->kind = fdtwalk_word(block + at);
    tag->at = at;
    tag->behind = at += 4;
    switch (tag->kind) {
    case FDTWALK_BEGIN: /* a name and its NUL */
        while (at < room && block[at])
            at++;
        tag->next = align_up(at + 1, 4);
        return FDTWALK_ON;
    case FDTWALK_PROPERTY: /* length, name's offset, value */
        if (room - at < 8)
            return FDTWALK_ASTRAY;
        tag->len = fdtwalk_word(block + at);
        tag->name_at = fdtwalk_word(block + at + 4);
        tag->behind = at += 8;
        if (tag->len > room - at)
            return FDTWALK_ASTRAY;
        tag->next = align_up(at + tag->len, 4);
        return FDTWALK_ON;
    case FDTWALK_END:
    case FDTWALK_NOP:
        tag->next = at;
        return FDTWALK_ON;
    default:
        return tag->kind == FDTWALK_LAST ? FDTWALK_WHOLE : FDTWALK_CUT;
    }
}

static inline bool fdtwalk_ok(const uint8_t *block, uint64_t room)
{
    struct fdtwalk_tag tag = {.next = 0};
    enum fdtwalk walk;

    while ((walk = fdtwalk_step(block, room, &tag)) == FDTWALK_ON)
        ;
    return walk == FDTWALK_WHOLE;
}

#endif
