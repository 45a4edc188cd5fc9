/* All that the kernel and its machine remember, and how to go back to what it was.
 *
 * That is RAM and the section kernel_state (state.lds).  The kernel's code is compiled so that it tells of each access to
 * memory (points.c); before a line of 64 bytes is written for the first time after a mark, it is copied.  Going back costs
 * as much as was written.  Marks nest. */
#ifndef CHECK_STATE_H
#define CHECK_STATE_H

#include <stddef.h>
#include <stdint.h>

/* After boot.  From here on every write is noted. */
void state_init(void);
size_t state_mark(void);
/* As it was when the mark was set; later marks are gone. */
void state_undo(size_t mark);
/* n bytes at p are about to be written. */
void state_written(const void *p, size_t n);
/* Keeps a copy of everything; state_verify() tells whether that is what there is: NULL, or where it is not. */
void state_keep(void);
const void *state_verify(void);

#endif
