/* A state's canonical form: what of it matters for what can happen from here on, written down in an order that follows from
 * the state alone, and hashed.  Two states of one form can do the same, up to names; so one of them is enough.
 *
 * It is written by walking from the roots (the CPUs, the first environment, lines, TLBs) along pointers, frame numbers, lists
 * in their order, slots and table entries in theirs.  A frame gets a number when it is met first, and is that number.
 *
 * Left out, and why nothing that the kernel does or promises depends on it:
 *
 *   numbers of frames      The kernel compares them and follows them.  What it computes from them is which neighbours join to
 *                          a larger free block: of use for runs and large pages only.  With canon_exact frames keep
 *                          their numbers (calls that take runs, frames by number, or walk all frames: page_reclaim; large
 *                          pages; trace rings, which are contiguous).
 *   serials, generations   Compared for equality only; they grow, so a name that is stale stays so.  A capability whose
 *                          object is gone is written as such.  Calls are tried with handles made up from slots as they
 *                          are, current and stale (ops.c).
 *   call serials           Compared for equality.  Tokens that are tried are made of vcpus as they are.
 *   the order of free slots, and of siblings in the tree of derivations
 *                          Says which slot is taken next, which is a name; and in which order 64 a step go, where there
 *                          are fewer.
 *   time                   Only differences to now are written: deadlines, timers, the slot's end.  Which of the 64 slots
 *                          it is, where one has an owner.
 *   ticks, counts, logs, how often locks were taken, tickets
 *                          Told, never used.
 *   contents of pages      But whether a user's page holds what a touch writes (so that an unzeroed page is another
 *                          state), and what the kernel reads of a vcpu's page.  Kernel objects are written field by field.
 *   registers              Of a vcpu that sends or receives they are the message, which is the same in all calls that are
 *                          tried; the kernel decides nothing by others.  That it is in an upcall is written.
 *   traces' contents       Records, where the next one goes, what the last one told: written, never read.
 *   faults of devices      Counted and told.
 *   numbers of tags        Of domains, as those of ASIDs.  Which entry a device with messages has.
 *   contents of free frames, reason and code of an end, where the TLB model keeps an entry
 *   number of an ASID      But with few ASIDs (machine.asid_bits below 8), where they run out.
 */
#ifndef CHECK_CANON_H
#define CHECK_CANON_H

#include <stdbool.h>
#include <stdint.h>

extern bool canon_exact;

/* The form of the state. */
uint64_t canon_state(void);
/* The same without what a refused call may change: which free frames are in which cache or block, what TLBs hold, what
 * they may lag behind, what there is left to do, which slot it is. */
uint64_t canon_meaning(void);

#endif
