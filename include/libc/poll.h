/* Waiting for descriptors (POSIX.1-2008, poll.h). */
#ifndef CORBEL_LIBC_POLL_H
#define CORBEL_LIBC_POLL_H

#define POLLIN 0x0001
#define POLLPRI 0x0002
#define POLLOUT 0x0004
#define POLLERR 0x0008  /* out only */
#define POLLHUP 0x0010  /* out only */
#define POLLNVAL 0x0020 /* out only */
#define POLLRDNORM 0x0040
#define POLLRDBAND 0x0080
#define POLLWRNORM POLLOUT
#define POLLWRBAND 0x0200

typedef unsigned int nfds_t;

struct pollfd {
    int fd;
    short events;
    short revents;
};

#ifdef __cplusplus
extern "C" {
#endif

/* timeout in ms; -1 waits for ever. */
int poll(struct pollfd *fds, nfds_t nfds, int timeout);

#ifdef __cplusplus
}
#endif

#endif
