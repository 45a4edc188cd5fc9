/* Device control. Requests are numbers of Corbel's own, each with the type of its argument beside it. */
#ifndef CORBEL_LIBC_SYS_IOCTL_H
#define CORBEL_LIBC_SYS_IOCTL_H

#define TIOCGWINSZ 0x5401 /* struct winsize * */
#define TIOCSWINSZ 0x5402 /* const struct winsize * */
#define FIONREAD 0x5403   /* int *: bytes that can be read at once */
#define FIONBIO 0x5404    /* const int *: whether reads and writes wait */

struct winsize {
    unsigned short ws_row; /* characters; 0: not known */
    unsigned short ws_col;
    unsigned short ws_xpixel;
    unsigned short ws_ypixel;
};

#ifdef __cplusplus
extern "C" {
#endif

int ioctl(int fd, unsigned long request, ...);

#ifdef __cplusplus
}
#endif

#endif
