/* The run time under every program: start, upcalls, event bits, signals.
 *
 * Event bits 1 to 31 of the main vcpu are signals of that number; init sets 32 to 35 (os/ipc.h); 37 to 62 are
 * handed out by os_event_alloc; bit 63 is the kernel's (EXO_EVENT_CALL).  With bits 0 and 36 the vcpus of a program
 * wake each other.  All functions of an event bit mean the main vcpu's, on whichever vcpu they are called. */
#ifndef OS_RT_H
#define OS_RT_H

#include "exo/abi.h"

struct os_start; /* os/start.h */

#define OS_EVENT_SIGNALS 0xfffffffeull /* the bits that are signals */
#define OS_EVENT_KICK 1ull             /* look for threads to run */
#define OS_EVENT_POKE (1ull << 36)     /* look for signals */
#define OS_EVENT_OWN (OS_EVENT_KICK | OS_EVENT_POKE)
#define OS_EVENT_FIRST 37u
#define OS_EVENT_LAST 62u

/* Take a free event bit, or give it back: bit number, or -EAGAIN. */
int os_event_alloc(void);
void os_event_free(int bit);

/* Run fn(bit, arg) in the upcall when the bit is set; fn NULL: no longer.  The bit is cleared before fn runs.
 * fn runs with upcalls masked on the upcall stack, over whatever was interrupted: general registers only, no
 * libc, no memory that might not be bound, no blocking: note it, os_queue_wake from a thread later, or
 * exo_signal.  Threads that can wait use os_event_wait instead.  -EINVAL: no such bit, or a signal's. */
typedef void os_event_fn(unsigned bit, void *arg);
int os_event_handler(unsigned bit, os_event_fn *fn, void *arg);

/* Block this thread until a bit of the mask is set, and clear those that are: *got receives them.
 * 0, -ETIMEDOUT, or, if `interruptible`, -EINTR after a signal's handler ran. */
int os_event_wait(uint64_t mask, uint64_t deadline, bool interruptible, uint64_t *got);

/* The pending bits of the mask, cleared; never blocks. */
uint64_t os_event_take(uint64_t mask);

/* Signals.  Handlers run in a thread that does not block them: the one that the main vcpu runs, or one that is blocked in
 * an interruptible call, which then returns -EINTR, or any other.  Handlers of several signals may run at the same time,
 * in several threads.  Where the libOS itself must not be interrupted it brackets
 * its work; nests; leaving the outermost bracket delivers what came. */
void os_signals_hold(void);
void os_signals_release(void);

/* How many handlers have run; and, after an interruptible call that began with that number ended with EXO_EINTR: was it for
 * a signal?  If not, something was asked back (os/revoke.h), and the call may be made again. */
uint64_t os_signals_delivered(void);
bool os_signal_came(uint64_t since);

/* A signal's handling, beneath signal() and sigaction(). */
typedef void os_signal_fn(int sig);
#define OS_SIG_DEFAULT ((os_signal_fn *)0)
#define OS_SIG_IGNORE ((os_signal_fn *)1)
/* The handler before, in *old (may be NULL); -EINVAL for numbers outside 1 to 31, SIGKILL and SIGSTOP. */
int os_signal_set(int sig, os_signal_fn *fn, os_signal_fn **old);
int os_signal_get(int sig, os_signal_fn **fn);
/* Signals to block while the handler of `sig` runs, besides itself. */
void os_signal_set_mask(int sig, uint64_t blocked);
/* The set of signals that this thread blocks, bit n for signal n; returns the set before.  A new thread blocks what its
 * maker does. */
uint64_t os_signal_mask(uint64_t blocked);
uint64_t os_signal_blocked(void);
uint64_t os_signal_pending(void);
/* Deliver a signal to the calling thread. */
int os_signal_raise(int sig);

/* The argument of vcpu_start: OS_SYSTEM_VA in the first environment, else OS_START_VA. */
uint64_t os_start_info(void);

/* Say a sentence where the user is likely to see it: standard error once files are up (they register
 * that by os_set_reporter), the kernel's log ring until then.  Formats %s %d %u %x %lx %lu %c only;
 * allocates nothing. */
void os_report(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Whether it could be said; if not, it goes into the log ring. */
typedef bool os_reporter(const char *text, size_t len);
void os_set_reporter(os_reporter *r);
/* The same, into the kernel's log ring only. */
void os_log(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* What the layers above give to start and end of a program; those not linked in are left out.  In order:
 * os_proc_init, os_files_init, constructors, main, exit. */
void os_proc_init(struct os_start *start); /* start: NULL in the first environment */
void os_files_init(struct os_start *start);

#endif
