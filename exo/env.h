/* Environments: protection domains.  An account, a home space, a table of capabilities, vcpus, a parent.
 *
 * An environment ends at once (no call of it is begun, calls of its gates answer EXO_EDEAD, its parent gets an event) by
 * exit, by a fault that cannot be delivered, or by whoever holds it with MANAGE.  Other CPUs that run it are interrupted,
 * and nothing of it is freed before they left it.  All of this happens in world mode (cpu.h).  Its vcpus' waiting peers are told in bounded
 * pieces: the first at once, the others, while it is on its CPU's `endings`, before each way back to user mode, when
 * idle, and in env_destroy_step.  What it held goes when its holder calls env_destroy, in bounded pieces, its own
 * children first; then devices lose its memory, before anything of it is freed. */
#ifndef EXO_ENV_H
#define EXO_ENV_H

#include "cap.h"
#include "dma.h"
#include "space.h"

#define ENV_DEPTH_MAX 16u

struct vcpu;

/* While its limit is being lowered (account.wanted; revoke.h). */
struct env_revocation {
    uint64_t deadline; /* before it, nothing is taken */
    uint64_t steps;    /* so many more pieces are taken at most */
    uint64_t taken;    /* pages */
    uint32_t victim;   /* the list's entry at hand, */
    uint64_t done;     /* and how many of its pages have been passed */
};

/* While it reclaims pages (account.reclaim; revoke.h). */
struct env_reclaim {
    pfn_t space; /* which, as the call named them */
    uint32_t serial;
    uint64_t va, n;
    uint64_t deadline;
    pfn_t at;       /* how far the walk over all frames came, */
    uint64_t va_at; /* and in the space there */
    bool taking;    /* this walk takes; otherwise it asks */
    bool left;      /* it has met a holder that was asked */
    int failed;     /* 0, or why a device could not be kept from a page: -enum exo_error */
};

struct env {
    struct cap_owner owner; /* first: frames and slots lead here */
    struct env *parent;
    struct list children;
    struct list in_parent;
    uint32_t depth;
    struct space *home;
    enum exo_env_state state; /* beside home: whoever runs a vcpu looks at both */
    struct list spaces;
    struct list domains;
    struct list vcpus;
    struct list in_endings; /* its CPU's, while peers are left to tell */
    struct list *ending_at; /* then: in vcpus, the first that may have some left */
    bool torn_down;         /* only its account is left */
    bool end_traced;        /* once is enough */
    enum exo_end_reason reason;
    uint64_t code, pc, address; /* what ended it; enum exo_env_field */
    struct {                    /* told when it ends */
        pfn_t vcpu;             /* 0: nobody */
        uint32_t serial;
        uint64_t bits;
    } watcher;
    struct env_revocation revocation;
    struct env_reclaim reclaim;
    uint32_t nreclaims; /* the marks of its frames count them */
};
_Static_assert(sizeof(struct env) <= PAGE_SIZE, "an environment is one frame");

/* 0, -EXO_EQUOTA, -EXO_ENOMEM, -EXO_EFULL (nested too deep). */
int env_new(struct env *parent, uint64_t limit, struct env **out);
/* The first: in a fresh, zeroed frame of its own, with all of the machine's free frames to spend. */
int env_new_first(pfn_t pfn, uint64_t limit, struct env **out);
/* Ends it, if it is alive: no vcpu of it runs again.  The current vcpu may be one of them.  A bounded piece. */
void env_end(struct env *env, enum exo_end_reason reason, uint64_t code, uint64_t pc, uint64_t address);
/* Tells some more peers of an environment on this CPU's `endings`, of which there must be one. */
void env_endings_step(void);
/* Ends it and takes a bounded piece down; true when all is gone. */
bool env_destroy_step(struct env *env);

pfn_t env_frame(const struct env *env);
struct env *env_of(const struct cap *cap); /* of type ENV, found alive */

/* What a piece left: nothing, all vcpus have ended and their peers know; more; or another CPU has to let go first, which has
 * been told. */
enum env_ending { ENDING_DONE, ENDING_MORE, ENDING_WAITS };

/* What stands above registers here: event.c how the watcher is told; syscall.c whether a CPU's current vcpu is of this
 * environment, how a bounded piece of its vcpus ends (from `ending_at` on), and how its first one is freed. */
extern void (*env_tell)(pfn_t vcpu, uint32_t serial, uint64_t bits);
extern bool (*env_runs_on)(const struct env *env, const struct cpu *cpu);
extern enum env_ending (*env_vcpus_end)(struct env *env);
extern void (*env_vcpu_free)(struct env *env);

#endif
