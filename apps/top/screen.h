/* The terminal as top uses it: a page that is painted over, and single keys. */
#ifndef APPS_TOP_SCREEN_H
#define APPS_TOP_SCREEN_H

#include "base/types.h"

/* Keys come one by one, from now on to screen_end(). False with errno: standard input is no terminal. */
bool screen_start(void);
void screen_end(void);

/* Around the painting of a page; each line of it ends with screen_newline(). */
void screen_page(void);
void screen_newline(void);
void screen_page_end(void);

/* The lines that a page may have. */
unsigned screen_rows(void);

enum screen_key { SCREEN_NONE, SCREEN_QUIT, SCREEN_AGAIN };

/* Waits for a key or the deadline (ticks). q, a terminal that is gone, and a signal that ends programs are QUIT;
 * any other key is AGAIN. */
enum screen_key screen_wait(uint64_t deadline);

/* The signal that ended the waiting; 0: none. */
int screen_signal(void);

#endif
