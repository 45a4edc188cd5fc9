/* Calls between applications: sessions for clients, a loop for servers.
 *
 * A session is a gate into the server, badged with the client's pid, and a buffer that both map:
 *
 *     client                          server
 *     os_connect("fs", 64 KiB) -----> connect(peer)        the buffer's pages travel with the message
 *     fill s.buf; os_request(w) ----> ops[w0](peer, w)     w0 = op, w1..w5 arguments, data in peer->buf
 *     result = w0, w1..w5      <----- return, or OS_DEFER now and os_reply() later
 *
 * A client has at most one request under way in a session.  Whatever a peer writes into the buffer while the
 * other looks is that peer's own loss: both copy once what they check.  Lengths come in words, never from the buffer.
 *
 * Errors are negative errno values of <errno.h>. */
#ifndef OS_IPC_H
#define OS_IPC_H

#include "base/list.h"
#include "base/types.h"
#include "exo/abi.h"

#define OS_SERVICE_NAME_MAX 23u            /* characters: a-z, 0-9, '-', '_' and '.' */
#define OS_SESSION_BYTES (16u * PAGE_SIZE) /* a usual size of the shared buffer */
#define OS_SESSION_MAX (16u * PAGE_SIZE)   /* the largest that a server takes */

/* Event bits of an application's main vcpu that init sets.  Bits 1 to 31 are signals; os_event_alloc() (os/rt.h)
 * hands out those above these. */
enum os_event_bit {
    OS_EVENT_PEERS = 32, /* a process ended: a server looks through its peers */
    OS_EVENT_LOG = 33,   /* the console server: init has written into its log ring (os/proc.h) */
    OS_EVENT_FLUSH = 34, /* the console server: drain all output, then call os_console_drained() */
};
#define OS_EVENT_MASK(bit) (1ull << (bit))

/* The words of a request or a reply.  Request: w[0] = op.  Reply: w[0] = result, >= 0 or a negative errno. */
struct os_words {
    uint64_t w[EXO_MSG_WORDS];
};

enum os_op_common {                   /* what every service understands */
                    OS_OP_CONNECT,    /* pages come along: the shared buffer */
                    OS_OP_CANCEL,     /* forget the request that this client has under way */
                    OS_OP_CLOSE,      /* forget this client */
                    OS_OP_FIRST = 16, /* a service's own operations start here */
};

/* The negative errno for an answer of the kernel: 0 and counts stay as they are, EXO errors are translated. */
int64_t os_from_exo(int64_t result);

/* ---- clients ------------------------------------------------------------------------------------------- */

struct os_session {
    exo_handle_t gate;
    uint32_t buf_bytes;
    void *buf; /* shared with the server; page aligned */
    bool lost; /* a request found the server gone */
};

/* A process has one session with a service: connecting again replaces the buffer, closing ends it for all of the
 * process.  Libraries use os_session_take, so that they share it.  Requests to a service that threads make through
 * sessions of their own are theirs to order: the server knows one request of a process at a time.
 *
 * Connect to a service, waiting for it to start when the manifest says that it will.
 * buf_bytes: a multiple of PAGE_SIZE up to OS_SESSION_MAX, or 0 for no buffer (also no CONNECT message).
 * -EACCES  this application's manifest entry does not list the service (init says so on the console)
 * -ENOENT  no application offers it
 * -ENOMEM, -EIO (the service died), -EINTR. */
int os_connect(const char *service, size_t buf_bytes, struct os_session *out);

/* The one session that this process keeps with a service, connected at first use with OS_SESSION_BYTES; NULL with
 * *error set (negative errno) when that fails.  A session whose server died is connected again.  Until it is given back,
 * the session and its buffer are the calling thread's, which may take it again, and signals are held. */
struct os_session *os_session_take(const char *service, int *error);
void os_session_give(struct os_session *s);

/* Send w->w and take the answer back into w->w.  Returns the answer's w[0]: >= 0, or a negative errno.
 * -EINTR when a signal came first: the request was withdrawn, no effect is lost or doubled.
 * -ETIMEDOUT likewise, at the deadline (counter ticks; EXO_FOREVER).  -EPIPE when the server is gone. */
int64_t os_request(struct os_session *s, struct os_words *w, uint64_t deadline);

/* The same, but signals do not end it: for requests that are answered at once. */
int64_t os_request_nointr(struct os_session *s, struct os_words *w);

/* The same, taking npages pages along, shared with these rights (enum exo_prot): what an operation asks for. */
int64_t os_request_pages(struct os_session *s, struct os_words *w, const void *pages, uint32_t npages,
                         unsigned prot);

/* Close the session and free its buffer.  Safe on one that is closed. */
void os_disconnect(struct os_session *s);

/* ---- servers ------------------------------------------------------------------------------------------- */

/* A client as its server sees it.  It exists from its first message, or from os_peer_make(), until
 * the process ends or closes. */
struct os_peer {
    uint32_t pid;       /* the badge: told by the kernel, so true */
    uint32_t buf_bytes; /* 0 until CONNECT */
    void *buf;
    void *data; /* the server's own */
    /* private to libos/ipc: */
    uint64_t token;
    struct os_words answer;
    uint16_t window; /* which of the server's windows its buffer is in */
    uint8_t state;
    struct os_peer *next_hash;
    struct list ready; /* in the server's list of answers to give */
};

struct os_server;

#define OS_DEFER INT64_MIN /* an op's result: answer later by os_reply() */

/* Handle one request: w->w[1..5] are arguments, then results.  Returns the result, or OS_DEFER. */
typedef int64_t os_op_fn(struct os_server *server, struct os_peer *peer, struct os_words *w);

#define OS_PEER_HASH 64u

struct os_server {
    const char *name;     /* the service; the manifest entry must list it under `provides` */
    os_op_fn *const *ops; /* the handler of op OS_OP_FIRST + i; NULL: -ENOSYS */
    size_t nops;
    uint32_t max_peers; /* further clients get -EMFILE; at most 1024 */
    void *ctx;          /* the server's own */
    /* All may be NULL. */
    int (*connect)(struct os_server *server, struct os_peer *peer); /* 0, or a negative errno: refused */
    void (*gone)(struct os_server *server, struct os_peer *peer);   /* its process ended; free peer->data */
    void (*cancel)(struct os_server *server, struct os_peer *peer); /* its deferred request is withdrawn */
    /* The answer to a request found nobody (the client was interrupted just then): take back what it
     * carried, for instance put the bytes back into a pipe.  peer->buf still holds them. */
    void (*undelivered)(struct os_server *server, struct os_peer *peer, const struct os_words *answer);
    /* Requests of the server's own operations may bring pages, bound at came.va until the handler returns. */
    uint32_t window_pages; /* how many at most; 0: OS_SESSION_MAX / PAGE_SIZE */
    struct {
        uint64_t va;
        uint32_t npages;
        uint32_t prot;
    } came;
    uint64_t events; /* bits of the event word that this server takes */
    void (*event)(struct os_server *server, uint64_t bits); /* called from the loop, never from an upcall */
    uint64_t deadline;                                      /* counter ticks; EXO_FOREVER (or 0): none */
    void (*timeout)(struct os_server *server); /* the deadline passed (and was set to EXO_FOREVER) */
    /* private to libos/ipc: */
    struct os_peer *hash[OS_PEER_HASH];
    struct list ready;
    uint32_t npeers;
    uint64_t windows_va;    /* max_peers + 1 windows of window_pages each */
    uint16_t *free_windows; /* a stack of them */
    uint32_t nfree_windows;
    uint64_t stranger; /* a token that is answered next, of somebody who is no peer; 0: none */
    int64_t stranger_result;
    uint16_t came_window;
    uint32_t nwanted; /* pages of peers' buffers that are wanted back (os/revoke.h) */
    struct {
        uint64_t va, npages;
    } wanted[8];
    bool taken; /* the pages that came have found an owner */
    bool stop;
};

/* Set the loop up and tell init that the service is there.  0, or -EACCES (the manifest does not
 * list it), -EEXIST (somebody else offers it), -EINVAL. */
int os_server_start(struct os_server *server);

/* The first half of os_server_start, without a word to init: for init itself. */
int os_server_prepare(struct os_server *server);

/* Serve until os_server_stop().  Start it from the main thread; all callbacks run on it, one at a time. */
int os_serve(struct os_server *server);
void os_server_stop(struct os_server *server);

/* Answer a deferred request.  w: w[1..5] of the answer, NULL: zeroes.  Nothing happens when the peer has none. */
void os_reply(struct os_server *server, struct os_peer *peer, int64_t result, const struct os_words *w);

/* Has the peer a request that waits for os_reply()? */
bool os_peer_waiting(const struct os_peer *peer);

/* The peer of that pid; NULL: none.  os_peer_make() makes it where there is none, for instance to hand a child
 * open files before it runs; NULL: too many, or no process of that pid. */
struct os_peer *os_peer_find(struct os_server *server, uint32_t pid);
struct os_peer *os_peer_make(struct os_server *server, uint32_t pid);
/* Forget a peer: gone() is called, its buffer unmapped, its request (if any) never answered. */
void os_peer_drop(struct os_server *server, struct os_peer *peer);

#endif
