/* Revocation: asking for frames and pages back, taking them after a deadline, telling what was taken, and at last ending
 * who has nothing to give.
 *
 * The kernel has neither a timer nor a policy here: whoever wants something makes the calls again and again, and each does a
 * bounded piece.  A deadline that was told never comes earlier.
 *
 *                    env_limit                            page_reclaim
 *     ask            FRAMES to the child                  PAGES to each holder that a walk over all frames finds
 *     until then     its account takes no more            the frames are bound nowhere else (frame_sharable)
 *     deadline       pages of its list of victims         another walk unbinds them
 *     tell           TAKEN                                GONE
 *     at last        the child ends                       who pinned one as a vcpu's page ends
 *
 * Holders that pay for the caller (its ancestors) are passed over: they could take it down as well. */
#ifndef EXO_REVOKE_H
#define EXO_REVOKE_H

#include "vcpu.h"

/* env is alive and has a parent.  How many frames it has to give back yet; -EXO_EQUOTA; -EXO_EBUSY (more was asked
 * for than by the call that is under way). */
int64_t revoke_limit(struct env *env, uint64_t limit, uint64_t deadline);

/* n (up to EXO_RANGE_MAX) pages at va of a space of env's own; n 0: it no longer wants them.  enum exo_reclaim;
 * -EXO_EBUSY (others are under way), -EXO_EUNBOUND, -EXO_EINVAL (not ordinary memory), -EXO_ERIGHTS (another account's). */
int64_t revoke_pages(struct env *env, struct space *space, uint64_t va, uint64_t n, uint64_t deadline);

#endif
