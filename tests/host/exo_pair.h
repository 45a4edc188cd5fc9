/* Two environments that most small tests need: a client, and a server that it may call. */
#ifndef HOST_EXO_PAIR_H
#define HOST_EXO_PAIR_H

#include "exo_machine.h"

#define VA 0x10000000ull /* where they have nothing yet */

extern struct actor client, server;
extern uint64_t gate; /* the client's, into the server */

/* Boots, and makes them: init is current. */
void pair_boot(void);
/* The server receives, the client calls: by the short way, where nothing keeps it from that.  The token. */
uint64_t called(void);
/* The client binds n pages from VA on; init is current afterwards. */
void client_has(uint64_t n);
/* All are free again, but for those of the spaces that are loaded. */
void asids_run_out(void);

#endif
