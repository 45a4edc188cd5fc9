/* reply_wait for servers, with the events that they take themselves. */
#ifndef LIBOS_IPC_REPLY_WAIT_H
#define LIBOS_IPC_REPLY_WAIT_H

#include "os/exo.h"

/* Answer `token` (0: nobody) with the words and wait for the next request (a token > 0 is returned, its
 * words and badge in *words), or for an event of the mask or a signal (0), or the deadline (-EXO_ETIMEDOUT);
 * -EXO_ETOKEN: the caller is gone, nothing was waited for.  In any case *bits receives the pending events of
 * the mask, and they are cleared.  A signal's handler has run before this returns. */
int64_t reply_wait_or_event(uint64_t token, struct exo_words *words, uint64_t deadline, uint64_t mask,
                            uint64_t *bits);

#endif
