/* Processes: environments that init has given a pid.
 *
 * A process is made in three steps, so that a failure at any point leaves nothing behind:
 *
 *   parent                     init                                  services
 *   SPAWN path, pgid     --->  policy by the manifest; env, account, space, vcpu; pid
 *   <- pid, SPACE handle       (or no handle: init loads what the manifest names itself, from the bundle,
 *   load the ELF file           because it gets more rights than the template gives)
 *   duplicate files for pid -------------------------------------->  keep them for pid
 *   START start block    --->  check and complete the block, take SPACE back, start
 *   or ABORT pid         --->  destroy
 *
 * Errors are negative errno values. */
#ifndef OS_PROC_H
#define OS_PROC_H

#include "base/types.h"
#include "exo/abi.h"
#include "os/start.h"

#define OS_PID_INIT 1u

/* ---- what a process ends with --------------------------------------------------------------------------- */

/* The argument of env_exit: 0 to 255 is an exit status, 256 + n says that signal n ended the process. */
#define OS_EXIT_STATUS(status) ((uint64_t)((status)&0xff))
#define OS_EXIT_SIGNAL(sig) (256u + (uint64_t)((sig)&0x3f))
#define OS_EXIT_UNSAID                                                                                       \
    512u /* added to OS_EXIT_SIGNAL: the process could not say why, so init says that much */

/* End this process.  atexit handlers and stdio are the caller's business: this is _exit(). */
_Noreturn void os_exit(int status);
_Noreturn void os_exit_signal(int sig);

/* ---- the process table ------------------------------------------------------------------------------------ */

/* Read-only at OS_PTABLE_VA in every process.  A pid's entry is entry[pid % OS_NPROC]; its pid field tells whether it
 * is that process.  Entry 0 holds the header, and no pid is a multiple of OS_NPROC. */
#define OS_NPROC 1024u

enum os_proc_state {
    OS_PROC_NONE,
    OS_PROC_NEW, /* being made: has a pid, does not run yet */
    OS_PROC_ALIVE,
    OS_PROC_ZOMBIE, /* ended; its parent has not asked yet */
};

struct os_proc_entry {
    uint32_t pid;
    uint32_t ppid;
    uint32_t pgid;
    uint32_t state;
    uint32_t status; /* ZOMBIE: as waitpid gives it */
    uint32_t env_id; /* how frames name it in the frame table (exo_frame.account) */
    uint32_t limit_pages;
    uint32_t job; /* pid of the application that init started and that this one descends from */
    uint64_t start_ticks;
    char name[24];
};

struct os_ptable {
    struct {
        uint32_t count;      /* entries in use, NEW and ZOMBIE included */
        uint32_t generation; /* changes with every change */
        uint64_t epoch_ns;   /* what the uptime has to be added to for the time of day; 0: no clock */
        uint32_t reserved[12];
    } head;
    struct os_proc_entry entry[OS_NPROC - 1]; /* entry[i] is slot i + 1 */
};

_Static_assert(sizeof(struct os_proc_entry) == 64, "process table layout");
_Static_assert(sizeof(struct os_ptable) == OS_NPROC * 64, "process table layout");

/* A stable copy of a pid's entry.  false: there is no such process. */
bool os_proc_find(uint32_t pid, struct os_proc_entry *out);
/* The first process with a slot above *slot (start with 0), and its slot; false: no more. */
bool os_proc_next(uint32_t *slot, struct os_proc_entry *out);
/* What stands in a slot, from 1 to OS_NPROC - 1.  Where pid is 0, the process is gone, and env_id, start_ticks and name are
 * still its own, if the slot has ever been used. */
void os_proc_slot(uint32_t slot, struct os_proc_entry *out);

uint32_t os_pid(void);
uint32_t os_ppid(void);

/* Before main: takes the time of day from the process table.  start is NULL in init. */
void os_proc_init(struct os_start *start);

/* ---- making processes ---------------------------------------------------------------------------------- */

/* Where a program's bytes come from: a file, or memory.  Returns the bytes read, short only at the end, or
 * a negative errno. */
struct os_image {
    int64_t (*read)(void *ctx, uint64_t offset, void *buf, size_t bytes);
    void *ctx;
    uint64_t bytes;
};

/* Called when the child has its pid, before it runs: duplicate what it inherits into fds (at most max).
 * Returns their number or a negative errno. */
typedef int os_inherit_fn(void *ctx, uint32_t pid, struct os_start_fd *fds, unsigned max);

struct os_spawn {
    const char *path; /* absolute: what the manifest is asked about */
    char *const *argv;
    char *const *envp; /* NULL: empty */
    const char *cwd;   /* NULL: "/" */
    uint32_t umask;
    int32_t pgid; /* 0: a group of its own; < 0: the parent's; else an existing group of this session */
    const struct os_image *image;
    os_inherit_fn *inherit; /* NULL: no descriptors */
    void *inherit_ctx;
};

/* Make and start a process.  Returns its pid, or a negative errno; os_proc_error() then has the sentence.
 * -ENOEXEC  the file is not a program for this machine
 * -EACCES   the manifest does not allow it
 * -ENOMEM, -EAGAIN (too many processes), -E2BIG, -EINVAL, and what reading gives. */
int os_spawn(const struct os_spawn *spawn);

/* A sentence about the last failure in this thread's os_spawn: "/bin/x: not an ELF file for AArch64 (machine 62)". */
const char *os_proc_error(void);
/* Before a thread ends. */
void os_proc_thread_end(void);

/* ---- waiting, signals, groups ----------------------------------------------------------------------------- */

enum os_wait_flags { OS_WAIT_NOHANG = 1 };

/* pid > 0: that child; -1: any; 0: any of this group; < -1: any of group -pid.  Returns the pid and sets *status as
 * waitpid has it, 0 with NOHANG when none has ended, or -ECHILD, -EINTR. */
int os_wait(int pid, int *status, unsigned flags);

/* pid > 0: that process; 0: this group; < -1: group -pid.  sig 0 asks only.  0, -ESRCH, -EPERM, -EINVAL. */
int os_kill(int pid, int sig);

int os_setpgid(uint32_t pid, uint32_t pgid); /* 0s: this process.  0, -ESRCH, -EPERM. */
int os_getpgid(uint32_t pid);

/* Terminals only (manifest: `terminal`): send SIGINT, SIGQUIT, SIGTSTP, SIGHUP, SIGWINCH or SIGCONT to a group. */
int os_interrupt(uint32_t pgid, int sig);

/* Frames that a process's account uses now, those reserved by its children included; or -ESRCH. */
int64_t os_proc_used(uint32_t pid);

/* Change the limit of a process's account, which must be one that os_kill may reach, to at most what its manifest entry says.
 * Less is asked for with a deadline (counter ticks; os/revoke.h).  Returns how many frames it has to give back yet:
 * call again, with the same arguments, until that is 0; after the deadline each call takes some.
 * -ESRCH (also: it ended, perhaps by this), -EPERM, -EINVAL (more than its manifest entry says), -EBUSY (less is being
 * asked for already), -ENOMEM. */
int64_t os_proc_limit(uint32_t pid, uint64_t frames, uint64_t deadline);

/* ---- init's log, for the console server ---------------------------------------------------------------------- */

/* init never calls anybody.  What it has to say goes into this ring: in the console server it is the MEMORY grant
 * "log" (read-only), and OS_EVENT_LOG says that there is more.
 * `written` counts all bytes ever; the last sizeof text of them are there; printing starts at `printed`. */
struct os_log_ring {
    uint64_t written;
    uint64_t printed; /* what init itself has put on the console before a console server was there */
    char text[PAGE_SIZE - 16];
};
_Static_assert(sizeof(struct os_log_ring) == PAGE_SIZE, "log ring layout");

/* Copy new text out: *seen is the reader's place, 0 at first.  Returns the bytes copied. */
size_t os_log_read(const struct os_log_ring *ring, uint64_t *seen, char *buf, size_t bytes);

/* After OS_EVENT_FLUSH and when the last byte has left the UART: tells init, which powers off. */
int os_console_drained(void);

#endif
