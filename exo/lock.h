/* Ticket locks: first come, first served, so that waiting is bounded by the others' sections.
 *
 * The kernel runs with interrupts off, so a holder is never interrupted, and never sleeps.  Ranks say in which order
 * locks may be taken, lowest first; of one rank, CPUs' by ascending number, spaces' by ascending address.  A checked
 * build (make checked-kernel, and the host's always) panics when a lock is taken twice, out of order, or dropped by another.
 *
 * Taking one is a release-acquire pair with the drop before it: what the last holder wrote is seen. */
#ifndef EXO_LOCK_H
#define EXO_LOCK_H

#include "info.h"

/* The locks that there is one of, by rank (enum exo_lock_rank), lie in the system page, where everybody sees their counts. */
static inline struct exo_lock *lock_shared(enum exo_lock_rank rank)
{
    return &system_info->locks[rank];
}

void lock_wait(struct exo_lock *lock, uint32_t ticket);
#ifdef EXO_CHECKED
void lock_check_take(const struct exo_lock *lock);
void lock_note_taken(struct exo_lock *lock);
void lock_note_dropped(struct exo_lock *lock);
bool lock_is_mine(const struct exo_lock *lock);
#endif

/* It is ours.  False: it is another's, and lock_wait() with the ticket is to follow at once. */
static inline __attribute__((always_inline)) bool lock_take_or_queue(struct exo_lock *lock, uint32_t *ticket)
{
#ifdef EXO_CHECKED
    lock_check_take(lock);
#endif
    *ticket = __atomic_fetch_add(&lock->next, 1, __ATOMIC_RELAXED);
    if (__builtin_expect(__atomic_load_n(&lock->served, __ATOMIC_ACQUIRE) != *ticket, 0))
        return false;
#ifdef EXO_CHECKED
    lock_note_taken(lock);
#endif
    return true;
}

static inline __attribute__((always_inline)) void lock_take(struct exo_lock *lock)
{
    uint32_t ticket;

    if (!lock_take_or_queue(lock, &ticket))
        lock_wait(lock, ticket);
}

static inline __attribute__((always_inline)) void lock_drop(struct exo_lock *lock)
{
#ifdef EXO_CHECKED
    lock_note_dropped(lock);
#endif
    __atomic_store_n(&lock->served, lock->served + 1, __ATOMIC_RELEASE);
}

#endif
