/* What the parts of the host architecture tell each other. */
#ifndef ARCH_HOST_PARTS_H
#define ARCH_HOST_PARTS_H

#include <setjmp.h>

#include "machine.h"

/* In pstate: the registers are those of an upcall; `resume` takes it away. */
#define HOST_IN_UPCALL 1u

/* Out of the kernel, to whoever called machine_try. */
_Noreturn void host_leave(enum machine_end end);
/* An interrupt, traced or not, as one entry. */
void host_take_irq(void);
/* Behind every kernel entry. */
void host_enter_user(void);
/* Takes what is due. */
void machine_interrupt(void);

#endif
