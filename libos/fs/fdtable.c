#include "libos/fs/fdtable.h"

#include <errno.h>

_Static_assert(FD_WORDS <= 64, "one word tells which words are full");

#define WORDS_MASK (FD_WORDS == 64u ? UINT64_MAX : (1ull << FD_WORDS) - 1)

static uint32_t word_of(int fd)
{
    return (uint32_t)fd / 64u;
}

static uint64_t bit_of(int fd)
{
    return 1ull << ((uint32_t)fd % 64u);
}

static bool fd_valid(int fd)
{
    return fd >= 0 && (uint32_t)fd < FD_MAX;
}

static bool fd_used(const struct fdtable *table, int fd)
{
    return fd_valid(fd) && (table->used[word_of(fd)] & bit_of(fd)) != 0;
}

/* The lowest set bit of a word at or above `from`, or 64. */
static uint32_t bit_first(uint64_t word, uint32_t from)
{
    if (from >= 64)
        return 64;
    word &= UINT64_MAX << from;
    return word == 0 ? 64 : (uint32_t)__builtin_ctzll(word);
}

static int free_find(const struct fdtable *table, int min)
{
    uint32_t word = word_of(min);
    uint32_t bit = bit_first(~table->used[word], (uint32_t)min % 64u);
    if (bit == 64) {
        word = bit_first(~table->full & WORDS_MASK, word + 1);
        if (word == 64)
            return -EMFILE;
        bit = bit_first(~table->used[word], 0);
    }
    return (int)(word * 64 + bit);
}

static void fd_take(struct fdtable *table, int fd, struct fd_file *file, bool cloexec)
{
    uint32_t word = word_of(fd);
    table->used[word] |= bit_of(fd);
    if (table->used[word] == UINT64_MAX)
        table->full |= 1ull << word;
    table->file[fd] = file;
    file->fds++;
    fdtable_set_cloexec(table, fd, cloexec);
}

int fdtable_add(struct fdtable *table, struct fd_file *file, int min, bool cloexec)
{
    if (!fd_valid(min))
        return -EINVAL;
    int fd = free_find(table, min);
    if (fd >= 0)
        fd_take(table, fd, file, cloexec);
    return fd;
}

struct fd_file *fdtable_get(const struct fdtable *table, int fd)
{
    return fd_used(table, fd) ? table->file[fd] : NULL;
}

int fdtable_remove(struct fdtable *table, int fd, struct fd_file **last)
{
    *last = NULL;
    if (!fd_used(table, fd))
        return -EBADF;
    struct fd_file *file = table->file[fd];
    table->used[word_of(fd)] &= ~bit_of(fd);
    table->cloexec[word_of(fd)] &= ~bit_of(fd);
    table->full &= ~(1ull << word_of(fd));
    table->file[fd] = NULL;
    if (--file->fds == 0)
        *last = file;
    return 0;
}

int fdtable_set(struct fdtable *table, int fd, struct fd_file *file, bool cloexec, struct fd_file **last)
{
    *last = NULL;
    if (!fd_valid(fd))
        return -EBADF;
    file->fds++; /* so that it survives where `fd` was its only number */
    if (fd_used(table, fd))
        fdtable_remove(table, fd, last);
    file->fds--;
    fd_take(table, fd, file, cloexec);
    return 0;
}

int fdtable_get_cloexec(const struct fdtable *table, int fd)
{
    if (!fd_used(table, fd))
        return -EBADF;
    return (table->cloexec[word_of(fd)] & bit_of(fd)) != 0;
}

int fdtable_set_cloexec(struct fdtable *table, int fd, bool cloexec)
{
    if (!fd_used(table, fd))
        return -EBADF;
    if (cloexec)
        table->cloexec[word_of(fd)] |= bit_of(fd);
    else
        table->cloexec[word_of(fd)] &= ~bit_of(fd);
    return 0;
}

int fdtable_next(const struct fdtable *table, int fd)
{
    if (fd < 0)
        fd = 0;
    if (!fd_valid(fd))
        return -1;
    uint32_t word = word_of(fd);
    uint32_t bit = bit_first(table->used[word], (uint32_t)fd % 64u);
    while (bit == 64 && ++word < FD_WORDS)
        bit = bit_first(table->used[word], 0);
    return bit == 64 ? -1 : (int)(word * 64 + bit);
}
