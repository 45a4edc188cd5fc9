/* Process 1: reads the manifest, starts what it says, hands out devices, pids and gates to services, tells who may
 * signal whom, and notices every end.
 *
 *     main -> boot -> child, power            what starts
 *     serve -> spawn, services, life          what clients ask (os/procproto.h)
 *     life -> child, services, boot, power    what ends
 *
 * init never calls anybody, so nobody can make it wait: it answers, sets events, and writes its log (say.h). */
#ifndef INIT_INIT_H
#define INIT_INIT_H

#include "manifest.h"
#include "os/exo.h"
#include "os/ipc.h"
#include "say.h"
#include "table.h"

#define EXIT_CLASSES 16u
#define REFUSALS_SAID 4u /* sentences about one process's wrong requests; after that they fail in silence */

struct init {
    const struct exo_system *system;
    const void *tree;
    struct manifest manifest;
    struct table table;
    struct proc *self;
    struct os_server server;
    struct say say;
    struct proc *providers[MANIFEST_SERVICES_MAX]; /* NULL: not there (yet) */

    exo_handle_t exit_event; /* sets exit_bits in our own event word */
    uint8_t exit_bits[EXIT_CLASSES];
    struct list dying; /* procs that are being taken down, a bounded piece at a time */
    uint64_t start_va; /* windows into children: a start block, */
    uint64_t load_va;  /* and a piece of a program */

    struct { /* of each application: when it was last started anew, and how often since */
        uint64_t since;
        unsigned count;
    } restarts[MANIFEST_APPS_MAX];
    bool stopping;
    uint64_t stop_by; /* the power goes off at the latest */
};

/* clock.c */
void clock_init(struct init *in); /* the time of day, where the machine has a clock */

/* boot.c */
int boot_manifest(struct init *in);            /* 0, or -1 after a sentence */
void boot_start_all(struct init *in);          /* what the manifest starts, in order */
int boot_start(struct init *in, unsigned app); /* 0, or a negative errno after a sentence */
int boot_load(struct init *in, struct proc *p, const char *path, uint64_t *entry); /* from the bundle */

/* child.c: one process's kernel objects.  Errors are negative errno values; what was made stays in *p. */
int child_make(struct init *in, struct proc *p);
int child_write_start(struct init *in, struct proc *p, const void *block, size_t bytes);
int child_start(struct init *in, struct proc *p, uint64_t entry);
bool child_destroy_step(struct proc *p); /* true: nothing is left */
int64_t child_grant(const struct proc *to, exo_handle_t cap, unsigned rights, uint64_t a, uint64_t b);
void child_signal(const struct proc *p, uint64_t bits);
/* As os_proc_limit. */
int64_t child_limit(struct init *in, struct proc *p, uint64_t frames, uint64_t deadline);

/* grants.c: what its manifest entry gives a process, noted in *start.  0, or a negative errno after a sentence. */
int grants_give(struct init *in, struct proc *p, struct os_start *start);

/* life.c */
struct proc *life_new(struct init *in, struct proc *parent, const struct manifest_app *app, const char *path,
                      int *error);
void life_abort(struct init *in, struct proc *p);  /* a NEW process, or one that never became visible */
void life_ended(struct init *in, uint64_t bits);   /* exit_bits that were set */
void life_step(struct init *in);                   /* some work on those that die */
void life_reaped(struct init *in, struct proc *p); /* its parent has its status */

/* services.c */
void services_withdraw(struct init *in, struct proc *p); /* it ended */
int64_t services_connect(struct init *in, struct proc *p, const char *name, struct os_words *w);
int64_t services_provide(struct init *in, struct proc *p, const char *name);
void services_gave_up(struct init *in, unsigned app); /* it will not come back */
void services_tell_peers(struct init *in);            /* a process ended */

/* spawn.c */
int64_t spawn_begin(struct init *in, struct proc *parent, struct os_words *w);
int64_t spawn_start(struct init *in, struct proc *parent, const struct os_words *w);
int64_t spawn_abort(struct init *in, struct proc *parent, const struct os_words *w);

/* serve.c */
int serve_prepare(struct init *in);
void serve_deadline(struct init *in); /* set the server's next deadline from what there is to do */
void serve_answer_wait(struct init *in, struct proc *parent);

/* power.c */
void power_off(struct init *in, int status);
_Noreturn void power_now(void);

#endif
