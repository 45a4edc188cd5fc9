/* Two CPUs in the kernel at once: every interleaving of two entries that can make a difference.
 *
 * Each entry is a coroutine.  The one that runs may be stopped, and the other go on, before any access to memory (points.c)
 * which both make, one of them writing, while they hold no lock in common.  All other accesses commute with what the other
 * CPU does meanwhile: they touch what it does not touch, or it is kept out by the lock.  So no order of them leads to
 * another state, and stopping there is left out; world mode, which holds all CPUs' locks, has no such places by itself.
 * Which words they are is found out by running: first one entry after the other, in both orders, then interleaved, and
 * whenever a run finds a new word, all begins again with it.
 *
 * Where such an access of the kernel is not atomic, that is a data race, and a failure by itself.
 *
 * Taking a lock is such an access (of its ticket).  Who has to wait lets the other go on; if both wait, that is a deadlock.
 * The MMU's walks are accesses without a lock.  Orders of accesses are those of a sequentially consistent machine: what
 * weaker ones may do more is not tried. */
#ifndef CHECK_RACE_H
#define CHECK_RACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ops.h"

/* Two CPUs run: each access is told. */
extern bool race_on;
void race_access(const void *p, size_t n, bool write, bool atomic, const void *site);

/* Runs the two, of different CPUs, in every interleaving with at most so many switches that nothing forces; calls `check`
 * at the end of each, which answers a sentence where something is wrong.  Leaves the state as it was.  NULL, or the
 * sentence, and then race_tell() prints where the CPUs took turns. */
const char *race_pair(const struct op *a, const struct op *b, unsigned switches, const char *(*check)(void));
void race_tell(void);

/* How many pairs were tried at once, and in how many interleavings. */
unsigned long race_pairs(void);
unsigned long race_runs(void);
/* And of how many pairs not all, as they share too much. */
unsigned long race_cut(void);

#endif
