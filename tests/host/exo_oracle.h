/* What must hold beside the audit: of a state as it is, and of a step from one state to the next.  Sentences, or NULL. */
#ifndef HOST_EXO_ORACLE_H
#define HOST_EXO_ORACLE_H

#include <stdbool.h>
#include <stdint.h>

/* Nobody waits for what is there with nobody to wake him; no CPU sleeps or computes while it should look.  K28
 * What a device reaches is a page of a living owner of its stream; a message leads to a line that is bound for it.  K18 */
const char *oracle_state(void);

/* A step: oracle_before(), one kernel entry by the current vcpu of this CPU (or interrupts, or time), oracle_after().
 *   rights: a capability that is new came of one that was there with as many rights, or of a new object; a binding that is
 *           new came of one with as high a maximum, or its frame was free.  K21
 *   replies: who leaves a call has heard the answer that his callee gave him by this call's token, or has an error that is
 *           true.  I1
 *   zeros:  a page that was allocated holds nothing, and is bound once.
 *   devices: what one reaches that it did not reach before was bound for it by this call; it reaches nothing any more that
 *           was unbound or reclaimed.  A line that messages raise has been nobody's before it is somebody's.  K18 */
void oracle_before(void);
const char *oracle_after(bool is_call, uint64_t number, const uint64_t args[8], int64_t result);

/* Ends and destroys all environments but the first, drops what that one has bound since the beginning: then all frames but
 * those charged to it are free.  Leaves the machine unfit for anything else.  K1, K3, K29 */
void oracle_begin(void); /* once, after small_boot() */
const char *oracle_leaks(void);

#endif
