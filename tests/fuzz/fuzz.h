/* What the targets share.  Each target is one file with the one function that libFuzzer calls for each input:
 *
 *     int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
 *
 * It may not keep anything from one input to the next.  What is wrong ends the process: FUZZ_ASSERT, a sanitizer, or an
 * assertion in what it uses of tests/host.  docs/fuzzing.md */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Puts the kernel's variables, and those of its machine, back to what they were when the process began.  Before each use. */
void fuzz_reset(void);

#define FUZZ_ASSERT(condition)                                                                               \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);                   \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

/* A copy with nothing behind it, so that the sanitizer sees a byte too far. */
static inline uint8_t *fuzz_copy(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);

    for (size_t i = 0; i < size; i++)
        copy[i] = data[i];
    return copy;
}

/* What is left of an input that says by its bytes what is to be done; 0 where there is nothing any more. */
struct fuzz_bytes {
    const uint8_t *at;
    size_t left;
};

static inline uint64_t fuzz_take(struct fuzz_bytes *from, unsigned n)
{
    uint64_t value = 0;

    for (; n && from->left; n--, from->left--)
        value = value << 8 | *from->at++;
    return value;
}

#endif
