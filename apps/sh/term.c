#include "term.h"

#include <termios.h>
#include <unistd.h>

static struct termios at_start; /* what the terminal is set back to */
static bool known;

void term_init(void)
{
    known = tcgetattr(STDIN_FILENO, &at_start) == 0;
}

/* A program may have changed the settings on purpose; keep them unless it left the terminal unusable. */
static void remember(void)
{
    struct termios now;

    if (tcgetattr(STDIN_FILENO, &now) == 0 && (now.c_lflag & ICANON) && (now.c_lflag & ECHO))
        at_start = now;
}

bool term_raw(void)
{
    struct termios raw;

    if (!known)
        return false;
    remember();
    raw = at_start;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO | ISIG);
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    return tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
}

void term_restore(void)
{
    if (known)
        tcsetattr(STDIN_FILENO, TCSANOW, &at_start);
}

void term_give(pid_t group)
{
    if (known)
        tcsetpgrp(STDIN_FILENO, group);
}

void term_take_back(void)
{
    term_give(getpgrp());
}
