/* Start blocks: built by parents, checked by init, read by the new process.  Pure memory; no calls. */
#include "os/start.h"

#include <errno.h>
#include <string.h>

#include "base/range.h"

/* ---- building ------------------------------------------------------------------------------------------ */

struct builder {
    uint8_t *base;
    size_t cap;
    size_t at;
    bool full;
};

static uint32_t put(struct builder *b, const void *from, size_t bytes, size_t align)
{
    size_t at = (size_t)align_up(b->at, align);

    if (b->full || !range_fits(at, bytes, b->cap)) {
        b->full = true;
        return 0;
    }
    if (from)
        memcpy(b->base + at, from, bytes);
    else
        memset(b->base + at, 0, bytes);
    b->at = at + bytes;
    return (uint32_t)at;
}

static uint32_t put_string(struct builder *b, const char *s)
{
    return put(b, s, strlen(s) + 1, 1);
}

/* An array of offsets with a 0 behind it, then the strings. */
static uint32_t put_vector(struct builder *b, char *const *strings, uint32_t *count)
{
    uint32_t n = 0, at;

    while (strings && strings[n] && n < b->cap / sizeof(uint64_t))
        n++;
    at = put(b, NULL, (n + 1) * sizeof(uint64_t), sizeof(uint64_t));
    for (uint32_t i = 0; i < n && !b->full; i++)
        ((uint64_t *)(b->base + at))[i] = put_string(b, strings[i]);
    *count = n;
    return at;
}

int os_start_build(void *buf, size_t cap_bytes, const struct os_start_parts *parts)
{
    struct builder b = {
        .base = buf, .cap = min_u64(cap_bytes, OS_START_MAX_BYTES), .at = sizeof(struct os_start)};
    struct os_start *start = buf;

    if (b.cap < sizeof(*start) || parts->nfds > OS_START_MAX_FDS)
        return -E2BIG;
    memset(start, 0, sizeof(*start));
    start->magic = OS_START_MAGIC;
    start->version = OS_START_VERSION;
    start->argv = put_vector(&b, parts->argv, &start->argc);
    start->envp = put_vector(&b, parts->envp, &start->envc);
    start->fds = put(&b, parts->fds, parts->nfds * sizeof(*parts->fds), sizeof(uint64_t));
    start->nfds = parts->nfds;
    start->cwd = put_string(&b, parts->cwd ? parts->cwd : "/");
    start->path = put_string(&b, parts->path);
    start->umask = parts->umask;
    if (b.full)
        return -E2BIG;
    start->bytes = (uint32_t)align_up(b.at, PAGE_SIZE);
    if (start->bytes > b.cap)
        return -E2BIG;
    memset(b.base + b.at, 0, start->bytes - b.at);
    return (int)start->bytes;
}

/* ---- checking ------------------------------------------------------------------------------------------- */

static bool in_payload(const struct os_start *start, uint64_t at, uint64_t bytes)
{
    return range_inside(at, bytes, sizeof(*start), start->bytes - sizeof(*start));
}

static bool string_ok(const struct os_start *start, uint64_t at)
{
    return in_payload(start, at, 1) && memchr((const char *)start + at, 0, start->bytes - at);
}

static bool vector_ok(const struct os_start *start, uint32_t at, uint32_t count)
{
    const uint64_t *offsets = (const uint64_t *)((const uint8_t *)start + at);

    if (at % sizeof(uint64_t) || count >= OS_START_MAX_BYTES ||
        !in_payload(start, at, (count + 1ull) * sizeof(uint64_t)))
        return false;
    for (uint32_t i = 0; i < count; i++)
        if (!string_ok(start, offsets[i]))
            return false;
    return offsets[count] == 0;
}

static bool fds_ok(const struct os_start *start)
{
    const struct os_start_fd *fds = (const struct os_start_fd *)((const uint8_t *)start + start->fds);

    if (start->nfds == 0)
        return true;
    if (start->nfds > OS_START_MAX_FDS || start->fds % sizeof(uint64_t) ||
        !in_payload(start, start->fds, start->nfds * sizeof(*fds)))
        return false;
    for (uint32_t i = 0; i < start->nfds; i++)
        if (fds[i].fd < 0 || !memchr(fds[i].service, 0, sizeof(fds[i].service)))
            return false;
    return true;
}

int os_start_check(const void *buf, size_t bytes)
{
    const struct os_start *start = buf;

    if (bytes < sizeof(*start) || start->magic != OS_START_MAGIC || start->version != OS_START_VERSION ||
        start->bytes < sizeof(*start) || start->bytes > bytes || start->bytes > OS_START_MAX_BYTES ||
        start->bytes % PAGE_SIZE)
        return -EINVAL;
    if (!vector_ok(start, start->argv, start->argc) || !vector_ok(start, start->envp, start->envc) ||
        !fds_ok(start))
        return -EINVAL;
    if (!string_ok(start, start->cwd) || !string_ok(start, start->path))
        return -EINVAL;
    return 0;
}

/* ---- reading --------------------------------------------------------------------------------------------- */

/* Offsets become pointers.  An offset is below OS_START_MAX_BYTES, where no string can be. */
static char **vector_of(struct os_start *block, uint32_t at, uint32_t count)
{
    uint64_t *words = (uint64_t *)((uint8_t *)block + at);

    for (uint32_t i = 0; i < count; i++)
        if (words[i] < OS_START_MAX_BYTES)
            words[i] += (uint64_t)(uintptr_t)block;
    return (char **)words;
}

char **os_start_argv(struct os_start *block)
{
    return vector_of(block, block->argv, block->argc);
}

char **os_start_envp(struct os_start *block)
{
    return vector_of(block, block->envp, block->envc);
}

static bool kind_matches(const struct os_start_grant *grant, enum os_grant_kind kind)
{
    return kind == OS_GRANT_NONE || grant->kind == kind;
}

const struct os_start_grant *os_start_grant_find(const struct os_start *block, const char *name,
                                                 enum os_grant_kind kind)
{
    for (uint32_t i = 0; block && i < block->ngrants; i++)
        if (kind_matches(&block->grants[i], kind) &&
            strncmp(block->grants[i].name, name, OS_GRANT_NAME_MAX) == 0)
            return &block->grants[i];
    return NULL;
}

const struct os_start_grant *os_start_grant_nth(const struct os_start *block, enum os_grant_kind kind,
                                                unsigned n)
{
    for (uint32_t i = 0; block && i < block->ngrants; i++)
        if (kind_matches(&block->grants[i], kind) && n-- == 0)
            return &block->grants[i];
    return NULL;
}
