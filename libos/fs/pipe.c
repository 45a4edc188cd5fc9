#include "libos/fs/pipe.h"

#include <string.h>

/* The part of the ring from count `at` on that does not wrap. */
static uint32_t straight(uint32_t at, uint32_t len)
{
    return (uint32_t)min_u64(len, PIPE_RING - at % PIPE_RING);
}

static void ring_write(struct pipe *p, uint32_t at, const uint8_t *buf, uint32_t len)
{
    uint32_t part = straight(at, len);
    memcpy(p->ring + at % PIPE_RING, buf, part);
    memcpy(p->ring, buf + part, len - part);
}

uint32_t pipe_put(struct pipe *p, const void *buf, uint64_t len)
{
    uint32_t n = (uint32_t)min_u64(len, pipe_room(p));
    ring_write(p, p->last, buf, n);
    p->last += n;
    return n;
}

uint32_t pipe_take(struct pipe *p, void *buf, uint64_t len)
{
    uint32_t n = (uint32_t)min_u64(len, pipe_used(p));
    uint32_t part = straight(p->first, n);
    memcpy(buf, p->ring + p->first % PIPE_RING, part);
    memcpy((uint8_t *)buf + part, p->ring, n - part);
    p->first += n;
    return n;
}

bool pipe_put_back(struct pipe *p, const void *buf, uint32_t len)
{
    if (len > PIPE_RING - pipe_used(p))
        return false;
    p->first -= len;
    ring_write(p, p->first, buf, len);
    return true;
}

bool pipe_retract(struct pipe *p, uint32_t len)
{
    if (len > pipe_used(p))
        return false;
    p->last -= len;
    return true;
}
