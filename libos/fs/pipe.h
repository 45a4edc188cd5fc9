/* The bytes of a pipe: a bounded ring.  A pure library.
 *
 * Twice the room that writers may fill is there, so that bytes whose reader had gone by the time
 * they arrived can be put back in front of what came since. */
#ifndef LIBOS_FS_PIPE_H
#define LIBOS_FS_PIPE_H

#include "base/types.h"
#include "os/fs.h"

#define PIPE_RING (2u * FS_PIPE_MAX)

struct pipe {
    uint32_t first; /* counts of bytes ever taken and ever put; they wrap together */
    uint32_t last;
    uint8_t ring[PIPE_RING];
};

static inline uint32_t pipe_used(const struct pipe *p)
{
    return p->last - p->first;
}

/* What writers may still put. */
static inline uint32_t pipe_room(const struct pipe *p)
{
    return pipe_used(p) >= FS_PIPE_MAX ? 0 : FS_PIPE_MAX - pipe_used(p);
}

/* Each moves up to len bytes and returns how many. */
uint32_t pipe_put(struct pipe *p, const void *buf, uint64_t len);
uint32_t pipe_take(struct pipe *p, void *buf, uint64_t len);

/* Put bytes back in front, the last of them next to what is there.  false: no room. */
bool pipe_put_back(struct pipe *p, const void *buf, uint32_t len);

/* Take back the last bytes that were put.  false: some of them are gone already. */
bool pipe_retract(struct pipe *p, uint32_t len);

#endif
