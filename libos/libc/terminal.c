/* Terminals (POSIX.1-2008, <termios.h>), and the few requests of ioctl(). */
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "libos/libc/result.h"
#include "libos/tty/tty_file.h"

_Static_assert((int)ICRNL == TTY_ICRNL && (int)IUTF8 == TTY_IUTF8 && (int)BRKINT == TTY_BRKINT,
               "one numbering");
_Static_assert((int)ONLCR == TTY_ONLCR && (int)ONLRET == TTY_ONLRET && (int)CS8 == TTY_CS8, "one numbering");
_Static_assert((int)ICANON == TTY_ICANON && (int)ECHOKE == TTY_ECHOKE && (int)IEXTEN == TTY_IEXTEN,
               "one numbering");
_Static_assert(VMIN == TTY_VMIN && VEOL == TTY_VEOL && VLNEXT == TTY_VLNEXT && NCCS == TTY_NCC,
               "one numbering");

/* 0: a terminal. */
static int check(int fd)
{
    struct vfs_file *file = vfs_file(fd);
    if (file == NULL)
        return -EBADF;
    bool is = tty_is_file(file);
    vfs_unref(file);
    return is ? 0 : -ENOTTY;
}

int _isatty(int fd);
int _isatty(int fd)
{
    return libc_result(check(fd)) == 0;
}

char *ttyname(int fd)
{
    static char name[] = "/dev/console";
    return libc_result(check(fd)) == 0 ? name : NULL;
}

int tcgetattr(int fd, struct termios *t)
{
    struct tty_attr attr;
    int err = check(fd);
    if (err == 0)
        err = tty_get_attr(&attr);
    if (err != 0)
        return (int)libc_result(err);
    *t = (struct termios){
        .c_iflag = attr.iflag,
        .c_oflag = attr.oflag,
        .c_cflag = attr.cflag,
        .c_lflag = attr.lflag,
        .c_ispeed = attr.ispeed,
        .c_ospeed = attr.ospeed,
    };
    memcpy(t->c_cc, attr.cc, sizeof(attr.cc));
    return 0;
}

int tcsetattr(int fd, int when, const struct termios *t)
{
    struct tty_attr attr = {
        .iflag = t->c_iflag,
        .oflag = t->c_oflag,
        .cflag = t->c_cflag,
        .lflag = t->c_lflag,
        .ispeed = t->c_ispeed,
        .ospeed = t->c_ospeed,
    };
    int err = check(fd);
    memcpy(attr.cc, t->c_cc, sizeof(attr.cc));
    if (err == 0 && (when < TCSANOW || when > TCSAFLUSH))
        err = -EINVAL;
    if (err == 0)
        err = tty_set_attr((enum tty_when)(when - TCSANOW + TTY_NOW), &attr);
    return (int)libc_result(err);
}

int tcdrain(int fd)
{
    int err = check(fd);
    return (int)libc_result(err != 0 ? err : tty_drain());
}

int tcflush(int fd, int what)
{
    int err = check(fd);
    if (err == 0 && (what < TCIFLUSH || what > TCIOFLUSH))
        err = -EINVAL;
    return (int)libc_result(err != 0 ? err
                                     : tty_request(TTY_OP_FLUSH, (uint64_t)(what - TCIFLUSH + TTY_QUEUE_IN)));
}

/* Breaks are not sent, and output is never stopped. */
int tcsendbreak(int fd, int duration)
{
    (void)duration;
    return (int)libc_result(check(fd));
}

int tcflow(int fd, int how)
{
    int err = check(fd);
    if (err == 0)
        err = how == TCOON || how == TCION ? 0 : -EINVAL;
    return (int)libc_result(err);
}

pid_t tcgetpgrp(int fd)
{
    int err = check(fd);
    return (pid_t)libc_result(err != 0 ? err : tty_request(TTY_OP_GET_PGRP, 0));
}

int tcsetpgrp(int fd, pid_t pgrp)
{
    int err = check(fd);
    if (err == 0 && pgrp <= 0)
        err = -EINVAL;
    return (int)libc_result(err != 0 ? err : tty_request(TTY_OP_SET_PGRP, (uint64_t)pgrp));
}

void cfmakeraw(struct termios *t)
{
    t->c_iflag &= ~(tcflag_t)(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
    t->c_oflag &= ~(tcflag_t)OPOST;
    t->c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | ISIG | IEXTEN);
    t->c_cflag = (t->c_cflag & ~(tcflag_t)(CSIZE | PARENB)) | CS8;
    t->c_cc[VMIN] = 1;
    t->c_cc[VTIME] = 0;
}

speed_t cfgetispeed(const struct termios *t)
{
    return t->c_ispeed;
}

speed_t cfgetospeed(const struct termios *t)
{
    return t->c_ospeed;
}

int cfsetispeed(struct termios *t, speed_t speed)
{
    t->c_ispeed = speed;
    return 0;
}

int cfsetospeed(struct termios *t, speed_t speed)
{
    t->c_ospeed = speed;
    return 0;
}

/* ---- ioctl -------------------------------------------------------------------------------------------------------- */

static int64_t get_size(struct winsize *size)
{
    int64_t packed = tty_request(TTY_OP_GET_SIZE, 0);
    if (packed < 0)
        return packed;
    *size = (struct winsize){.ws_row = (unsigned short)(packed >> 16), .ws_col = (unsigned short)packed};
    return 0;
}

static int64_t set_nonblock(int fd, bool on)
{
    struct vfs_file *file = vfs_file(fd);
    if (file == NULL)
        return -EBADF;
    int64_t flags = vfs_flags(file, FS_O_NONBLOCK, on ? FS_O_NONBLOCK : 0);
    vfs_unref(file);
    return flags < 0 ? flags : 0;
}

static int64_t control(int fd, unsigned long request, void *arg)
{
    const struct winsize *size = arg;
    int err = check(fd);
    switch (request) {
    case FIONBIO:
        return set_nonblock(fd, *(const int *)arg != 0);
    case TIOCGWINSZ:
        return err != 0 ? err : get_size(arg);
    case TIOCSWINSZ:
        return err != 0 ? err : tty_request(TTY_OP_SET_SIZE, (uint64_t)size->ws_row << 16 | size->ws_col);
    default:
        return err == -EBADF ? err : -ENOTTY;
    }
}

int ioctl(int fd, unsigned long request, ...)
{
    va_list args;
    va_start(args, request);
    void *arg = va_arg(args, void *);
    va_end(args);
    return (int)libc_result(control(fd, request, arg));
}
