/* Gates: protected control transfer.  A call hands six words, and if asked a range of pages and a capability, to the
 * vcpu behind the gate, lends it the CPU, and waits for the answer, which only that vcpu can give, once.
 *
 *     caller                      callee
 *     call ---- message --------> reply_wait returns (token, words, badge)
 *       |  SENDING while it is busy
 *       |  CALLING from here      ... works, may take other calls meanwhile ...
 *     returns <-- answer -------- reply_wait(token, words)
 *
 * The token names the caller and its call's serial number; it is checked against the caller's own state, so a
 * stale or invented one names nobody.  When a callee ends, everybody who queues or waits gets EXO_EDEAD, in bounded
 * pieces; whoever calls it in between, gets it at once. */
#ifndef EXO_GATE_H
#define EXO_GATE_H

#include "vcpu.h"

/* calls: of the current vcpu, whose saved registers hold the arguments.  0, or NEEDS_WORLD, and nothing has changed: a
 * capability goes along, or the other side is another CPU's.  (A message between CPUs makes its receiver ready there; on one
 * CPU the slice goes with it.) */
int gate_call(struct vcpu *caller);
int gate_reply_wait(struct vcpu *callee);

/* The same where it is short: the other side waits on this CPU, nothing comes along, nobody has a deadline, and there is
 * nothing else to do.  Who goes on, with the machine as trap_leave() would leave it, the CPU's lock dropped; or what the long way
 * returns, and before it nothing has changed.  Once something has to be found out first, and then it is tried `again`. */
struct vcpu *gate_call_fast(struct vcpu *caller, switch_call *again, switch_call *long_way);
struct vcpu *gate_reply_wait_fast(struct vcpu *callee, switch_call *again, switch_call *long_way);

/* A vcpu has ended: tells one that queues at it or waits for its answer.  False: there is none left. */
bool gate_disappoint(struct vcpu *vcpu);

#endif
