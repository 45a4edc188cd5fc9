/* Processes, by pid.
 *
 * A pid's slot is pid % OS_NPROC, so looking one up is one load; pids count upwards past every slot that is in use, so that
 * a number comes again only after all others have.  The page that everybody may read (os/proc.h) is kept in step.
 *
 *     NEW --start--> ALIVE --ends--> ZOMBIE --parent asks--> gone
 *      \---------- abort, parent ends ---------------------> gone
 *
 * Nothing here makes a kernel call. */
#ifndef INIT_TABLE_H
#define INIT_TABLE_H

#include "base/list.h"
#include "exo/abi.h"
#include "manifest.h"
#include "os/ipc.h"
#include "os/proc.h"

struct proc {
    struct os_proc_entry *entry; /* pid, ppid, pgid, state and so on: what everybody sees */
    struct proc *parent;
    struct list children; /* in the order of their making */
    struct list sibling;
    struct proc *job; /* what init started, and this one descends from; itself */
    struct proc
        *owner; /* whose `processes` its children count against, besides the job's: the nearest of itself
                           * and its ancestors that has a manifest entry of its own */
    struct proc *counted; /* the owner that it counts against: its parent's; NULL: init's children */
    uint32_t owned;       /* how many count against this one as owner, */
    uint32_t members;     /* and how many as their job's leader */
    const struct manifest_app *app;
    uint64_t
        reaches; /* services, as bits: the app's, and no more than the parent's where it is the template's */
    char path[128]; /* cut at its end if longer; for sentences */

    exo_handle_t env, space, vcpu, event;
    uint32_t exit_class;  /* which event bit says that it ended */
    int kill_signal;      /* it was ended by us, with this signal */
    bool ended;           /* the kernel has ended its environment */
    bool destroyed;       /* and all of it is gone */
    bool told_of;         /* its parent was told */
    bool aborted;         /* it never ran, and goes without a word */
    bool trusted_image;   /* init loads it, from the bundle, */
    uint64_t image_entry; /* to be entered here */
    struct list dying;    /* in the list of those that are being taken down */

    struct os_peer *peer; /* its requests */
    bool waits;           /* a WAIT is deferred */
    int32_t wait_for;     /* as os_wait's pid */
    struct proc *told; /* the child that the latest answer told of; it goes with the next request, since that
                           * answer may not arrive */
    int32_t connects;  /* a CONNECT is deferred: the service's index; -1: none */
    unsigned refusals; /* sentences said about it */
    int restart_index; /* which of the manifest's applications init started here; -1: none */
};

struct table {
    struct os_ptable *page;
    struct proc *slots[OS_NPROC];
    uint32_t last_pid;
};

void table_init(struct table *t, struct os_ptable *page);

/* A NEW process with a pid of its own, a child of parent (NULL: of nobody, for init itself); its job is the parent's,
 * or itself where the parent is init.  `own`: it has a manifest entry of its own.  -EAGAIN: no free slot; -ENOMEM. */
int table_add(struct table *t, struct proc *parent, const char *name, bool own, struct proc **out);

/* Whose limit keeps this process from having one more child; NULL: nobody's. */
struct proc *table_limited(const struct proc *parent);

/* Takes it out and frees it.  Its children become parent's of `heir`. */
void table_remove(struct table *t, struct proc *p, struct proc *heir);

/* `p` becomes heir's child. */
void table_adopt(struct table *t, struct proc *p, struct proc *heir);

struct proc *table_find(const struct table *t, uint32_t pid);

/* Every change of an entry goes between these. */
void table_change(struct table *t);

void table_set_state(struct table *t, struct proc *p, enum os_proc_state state);
int table_set_group(struct table *t, struct proc *p, uint32_t pgid); /* 0, -EPERM: no such group in its job */

/* May `by` send a signal to `to`?  To its descendants, its group, and all of its job; never to init. */
bool table_may_signal(const struct proc *by, const struct proc *to);

/* Does a wait for `which` (as os_wait's pid) by `parent` mean this child? */
bool table_waits_for(const struct proc *parent, const struct proc *child, int32_t which);

/* The child that a wait would take: one that is destroyed and that was not told of.  *any: whether there are children at all that it
 * could wait for. */
struct proc *table_waitable(const struct proc *parent, int32_t which, bool *any);

/* Iterate: the next process with a slot above *slot; NULL: no more.  Start with 0. */
struct proc *table_next(const struct table *t, uint32_t *slot);

#endif
