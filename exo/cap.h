/* Capabilities: handles in an environment's table, each naming an object with rights.
 *
 * A table is a row of CAPS frames, 64 slots each, charged to its environment and made as it grows.  A handle is
 * a slot index and the slot's generation, so that a handle that was dropped names nothing, even after the slot
 * is in use again.  An object is named by frame number and serial (frame.h), so that a capability whose object is
 * gone answers EXO_EDEAD and no list of holders has to be kept.
 *
 * Every capability remembers which one it was derived from: cap_revoke takes away all that came of one.  When a
 * capability is dropped, what came of it hangs on the one above, in bounded steps. */
#ifndef EXO_CAP_H
#define EXO_CAP_H

#include "base/list.h"
#include "frame.h"

#define CAPS_PER_FRAME 64u
#define CAPS_FRAMES 256u

struct cap {
    union {
        struct {
            uint8_t type; /* enum exo_cap_type; EXO_CAP_NONE: the slot is free */
            uint8_t rights;
        };
        uint16_t what; /* both */
    };
    uint16_t spare;
    uint32_t generation;
    uint32_t object; /* frame number; 0 where the type has no object */
    uint32_t serial;
    uint64_t a, b; /* as enum exo_cap_type says; in a free slot a: index of the next free one */
    struct cap *parent;
    struct cap *child;      /* the first that was derived from it */
    struct cap *next;       /* siblings */
    struct cap **prev_next; /* what points here */
};
_Static_assert(sizeof(struct cap) == 64, "64 slots in a CAPS frame");

struct cap_table {
    uint32_t nframes;
    uint32_t first_free; /* slot index; 0: none (slot 0 is never used) */
    uint32_t nused;
    pfn_t frames[CAPS_FRAMES]; /* 0 from nframes on */
};

/* What an ENV frame begins with, so that a slot leads to its table and a frame to its account. */
struct cap_owner {
    struct account account;
    struct cap_table caps;
};

/* Decodes a handle: the slot, with the type and at least these rights, and its object alive.
 * 0, -EXO_EHANDLE, -EXO_ETYPE, -EXO_ERIGHTS, -EXO_EDEAD. */
int cap_find(struct cap_owner *owner, uint64_t handle, enum exo_cap_type type, unsigned rights,
             struct cap **out);
/* Any type; the object may be gone. */
int cap_find_any(struct cap_owner *owner, uint64_t handle, struct cap **out);
/* -EXO_EDEAD where the capability's object is gone. */
int cap_live(const struct cap *cap);

/* Puts a copy of *model into a free slot, derived from parent (NULL: from nothing):
 * the handle, -EXO_EFULL, -EXO_EQUOTA, -EXO_ENOMEM. */
int64_t cap_insert(struct cap_owner *owner, const struct cap *model, struct cap *parent);

/* The three below do a bounded piece of work and return whether all is done. */
bool cap_remove(struct cap *cap);
bool cap_revoke(struct cap *cap); /* what was derived from it */
bool cap_table_end(struct cap_owner *owner);

/* ---- what is inline --------------------------------------------------------------------------------------- */

#define CAP_INDEX_MASK ((1u << EXO_HANDLE_INDEX_BITS) - 1)

static inline struct cap *cap_slot(struct cap_table *table, uint32_t index)
{
    struct cap *frame = frame_address(table->frames[index / CAPS_PER_FRAME]);

    return &frame[index % CAPS_PER_FRAME];
}

/* The slot that a handle names, free or not; NULL: there is none.  (A generation never has more bits than a handle has for it.) */
static inline struct cap *cap_named(struct cap_owner *owner, uint64_t handle)
{
    uint32_t index = handle & CAP_INDEX_MASK;
    struct cap *cap;

    if (!owner->caps.frames[index / CAPS_PER_FRAME])
        return NULL;
    cap = cap_slot(&owner->caps, index);
    return cap->generation == handle >> EXO_HANDLE_INDEX_BITS ? cap : NULL;
}

/* The types that are about an object. */
#define CAP_OBJECTS                                                                                          \
    (1u << EXO_CAP_ENV | 1u << EXO_CAP_SPACE | 1u << EXO_CAP_VCPU | 1u << EXO_CAP_GATE |                     \
     1u << EXO_CAP_EVENT | 1u << EXO_CAP_DOMAIN)

static inline int cap_live_as(const struct cap *cap, unsigned type)
{
    return !(CAP_OBJECTS >> type & 1) || frame_is_still(cap->object, cap->serial) ? 0 : -EXO_EDEAD;
}

static inline __attribute__((always_inline)) int cap_find_inline(struct cap_owner *owner, uint64_t handle,
                                                                 enum exo_cap_type type, unsigned rights,
                                                                 struct cap **out)
{
    struct cap *cap = cap_named(owner, handle);

    _Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the type is what's low byte");
    if (!cap)
        return -EXO_EHANDLE;
    *out = cap;
    if (__builtin_expect((cap->what & (0xff | rights << 8)) == (type | rights << 8), 1))
        return cap_live_as(cap, type);
    return cap->type == type ? -EXO_ERIGHTS : cap->type == EXO_CAP_NONE ? -EXO_EHANDLE : -EXO_ETYPE;
}

#endif
