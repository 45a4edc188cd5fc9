/* Terminals: their attributes, and what clients ask of a console server, over os/ipc.h.
 *
 * The attributes are POSIX's (XBD 11), numbered as in <termios.h>; those that nothing here acts on have no name.
 * Requests: w[0] = op, w[1..5] as each op says, data in the session's buffer; answers: w[0] = result. */
#ifndef OS_TTY_H
#define OS_TTY_H

#include "base/types.h"
#include "os/ipc.h"

#define TTY_SERVICE "console"

enum tty_op {
    TTY_OP_READ = OS_OP_FIRST, /* length, TTY_NONBLOCK or 0 -> bytes; 0: end of file */
    TTY_OP_WRITE,              /* length, TTY_NONBLOCK or 0 -> bytes, may be partial */
    TTY_OP_GET_ATTR,           /* -> struct tty_attr in the buffer */
    TTY_OP_SET_ATTR,           /* enum tty_when; struct tty_attr in the buffer */
    TTY_OP_SET_PGRP,           /* process group that gets the signals */
    TTY_OP_GET_PGRP,           /* -> process group, 0: none yet */
    TTY_OP_FLUSH,              /* enum tty_queue: throw away */
    TTY_OP_DRAIN,              /* -> 0 when all output has left */
    TTY_OP_GET_SIZE,           /* -> rows << 16 | columns; 0: unknown */
    TTY_OP_SET_SIZE,           /* rows << 16 | columns */
    TTY_OP_END
};

#define TTY_NONBLOCK 1u

enum tty_when { TTY_NOW, TTY_DRAIN, TTY_DRAIN_FLUSH };
enum tty_queue { TTY_QUEUE_IN = 1, TTY_QUEUE_OUT = 2 };

enum tty_iflag {
    TTY_IGNBRK = 0x0001,
    TTY_BRKINT = 0x0002,
    TTY_ISTRIP = 0x0020,
    TTY_INLCR = 0x0040,
    TTY_IGNCR = 0x0080,
    TTY_ICRNL = 0x0100,
    TTY_IMAXBEL = 0x2000,
    TTY_IUTF8 = 0x4000, /* erase whole characters */
};
enum tty_oflag {
    TTY_OPOST = 0x0001,
    TTY_ONLCR = 0x0004,
    TTY_OCRNL = 0x0008,
    TTY_ONOCR = 0x0010,
    TTY_ONLRET = 0x0020,
};
enum tty_cflag { TTY_CS8 = 0x0030, TTY_CREAD = 0x0080, TTY_CLOCAL = 0x0800 };
enum tty_lflag {
    TTY_ISIG = 0x0001,
    TTY_ICANON = 0x0002,
    TTY_ECHO = 0x0008,
    TTY_ECHOE = 0x0010,
    TTY_ECHOK = 0x0020,
    TTY_ECHONL = 0x0040,
    TTY_NOFLSH = 0x0080,
    TTY_ECHOCTL = 0x0200, /* control characters as ^C */
    TTY_ECHOKE = 0x0800,  /* kill by erasing */
    TTY_IEXTEN = 0x8000,
};
enum tty_cc {
    TTY_VINTR,
    TTY_VQUIT,
    TTY_VERASE,
    TTY_VKILL,
    TTY_VEOF,
    TTY_VTIME, /* tenths of a second */
    TTY_VMIN,
    TTY_VSTART = 8,
    TTY_VSTOP,
    TTY_VSUSP,
    TTY_VEOL,
    TTY_VWERASE = 14,
    TTY_VLNEXT,
    TTY_NCC = 20
};

struct tty_attr {
    uint32_t iflag;
    uint32_t oflag;
    uint32_t cflag;
    uint32_t lflag;
    uint8_t cc[TTY_NCC]; /* 0: that function is off, but for VTIME and VMIN */
    uint32_t ispeed;     /* bits a second */
    uint32_t ospeed;
};
_Static_assert(sizeof(struct tty_attr) == 44, "protocol layout");

#endif
