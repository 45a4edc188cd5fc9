/* Whose memory the CPUs' trace rings are: pinned pages of an environment, one ring a CPU.
 *
 * A ring is contiguous, so that its CPU writes it with no look at any table, and pinned, so that its owner may unbind or
 * drop its pages as it likes.  It goes when its owner releases it, when somebody with MANAGE does, with its owner, or when
 * somebody who reclaims one of its pages may take it, in pieces of 32 pages, and not before its CPU has stopped tracing.
 *
 * All of this in world mode.  Another CPU is told what is wanted, and does it before it goes on or sleeps. */
#ifndef EXO_RING_H
#define EXO_RING_H

#include "vcpu.h"

/* The CPU of this number, or NULL. */
struct cpu *ring_cpu(uint64_t id);
/* The CPU whose ring this frame is part of, or NULL. */
struct cpu *ring_of(pfn_t pfn);

#define RING_RANGE_MAX 32u /* pages that one call pins */

/* Pins n more pages, at most RING_RANGE_MAX, bound at va, behind those that the ring has: 0, -EXO_EBUSY (another's),
 * -EXO_ESTATE (the CPU is traced), -EXO_EFULL, -EXO_EUNBOUND, -EXO_ERIGHTS, -EXO_EINVAL (no ordinary page, or not the next
 * frame), -EXO_EBUSY (it is being reclaimed). */
int ring_bind(struct cpu *cpu, struct env *env, struct space *space, uint64_t va, uint64_t n);
/* Begins anew, with an empty ring: 0, -EXO_EBUSY, -EXO_ESTATE (no ring, or the CPU is traced). */
int ring_start(struct cpu *cpu, struct env *env);
/* False: the CPU is another, which was told and has not stopped yet. */
bool ring_stop(struct cpu *cpu);
/* Stops, and unpins a bounded piece; true when there is no ring. */
bool ring_release_step(struct cpu *cpu);

#endif
