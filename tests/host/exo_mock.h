/* The libOS on the real kernel, in one process: its calls enter the kernel of this test program as those of one
 * environment, and its memory is that environment's, at the same addresses (os/layout.h lies inside the window).
 *
 *     mock_start(500, fault);          an environment with 500 frames; fault(va, access): as the upcall would do
 *     os_map_region(...);              any portable code of the libOS
 *     *(char *)va = 1;                 bound pages are there, unbound ones ask fault()
 *     mock_fail(EXO_CALL_page_alloc, 2, EXO_ENOMEM);
 *
 * Upcalls for events are functions that the test gives; whoever else is to run, the test plays (mock_others). */
#ifndef HOST_EXO_MOCK_H
#define HOST_EXO_MOCK_H

#include "exo_machine.h"

extern struct actor mock_app; /* handles in init's table */

void mock_start(uint64_t frames, bool (*fault)(uint64_t va, unsigned access));

/* ---- scripted failures: one at a time ----------------------------------------------------------------------- */

/* From now on the nth call (1: the next) of this kind answers -error without entering the kernel. */
void mock_fail(enum exo_call call, uint64_t nth, int error);
/* The nth call of any kind that may fail for want of something, with the error that fits it. */
void mock_fail_any(uint64_t nth);
/* Did the failure happen?  Forgets it in any case. */
bool mock_failed(void);
/* Memory runs out after n more frames; UINT64_MAX: as at the start. */
void mock_frames_left(uint64_t n);
uint64_t mock_calls(enum exo_call call); /* how many there were */

/* ---- others --------------------------------------------------------------------------------------------------- */

/* Acts for machine.cpu->current while that is not the environment under test. */
extern void (*mock_others)(void);
/* What the environment's upcall handler does, before it resumes. */
extern void (*mock_upcall)(uint64_t reason, uint64_t info, uint64_t detail);

#endif
