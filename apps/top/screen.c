#include "screen.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "os/time.h"

enum { ROWS = 24, TENTHS_MAX = 255 };

static struct termios before;
static volatile sig_atomic_t signalled;

static void on_signal(int number)
{
    signalled = number;
}

/* read() waits for so many tenths of a second at most. */
static bool keys_within(unsigned tenths)
{
    struct termios keys = before;

    keys.c_lflag &= ~(ICANON | ECHO);
    keys.c_cc[VMIN] = 0;
    keys.c_cc[VTIME] = (cc_t)tenths;
    return tcsetattr(STDIN_FILENO, TCSANOW, &keys) == 0;
}

bool screen_start(void)
{
    struct sigaction action = {.sa_handler = on_signal};

    if (tcgetattr(STDIN_FILENO, &before) < 0 || !keys_within(1))
        return false;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    return true;
}

void screen_end(void)
{
    tcsetattr(STDIN_FILENO, TCSANOW, &before);
}

void screen_page(void)
{
    fputs("\033[H", stdout);
}

void screen_newline(void)
{
    fputs("\033[K\n", stdout);
}

void screen_page_end(void)
{
    fputs("\033[J", stdout);
}

unsigned screen_rows(void)
{
    struct winsize size;

    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row ? size.ws_row : ROWS;
}

/* How long read() may wait; at least a tenth. */
static unsigned tenths_until(uint64_t deadline)
{
    uint64_t tenths = os_ticks_to_ns(deadline - os_ticks()) / 100000000;

    return tenths < 1 ? 1 : (unsigned)min_u64(tenths, TENTHS_MAX);
}

enum screen_key screen_wait(uint64_t deadline)
{
    while (!signalled && os_ticks() < deadline) {
        char key;
        ssize_t got;

        if (!keys_within(tenths_until(deadline)))
            return SCREEN_QUIT;
        got = read(STDIN_FILENO, &key, 1);
        if (got > 0)
            return key == 'q' ? SCREEN_QUIT : SCREEN_AGAIN;
        if (got < 0 && errno != EINTR)
            return SCREEN_QUIT;
    }
    return signalled ? SCREEN_QUIT : SCREEN_NONE;
}

int screen_signal(void)
{
    return signalled;
}
