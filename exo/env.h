/* Environments: protection domains.  An account, a home space, a table of capabilities, vcpus, a parent.
 *
 * An environment ends at once (no vcpu of it runs, calls of it answer EXO_EDEAD, its parent gets an event) by exit, by
 * a fault that cannot be delivered, or by whoever holds it with MANAGE.  Its vcpus' waiting peers are told in bounded
 * pieces: the first at once, the others, while it is on its CPU's `endings`, before each way back to user mode, when
 * idle, and in env_destroy_step.  What it held goes when its holder calls env_destroy, in bounded pieces, its own
 * children first. */
#ifndef EXO_ENV_H
#define EXO_ENV_H

#include "cap.h"
#include "space.h"

#define ENV_DEPTH_MAX 16u

struct vcpu;

struct env {
    struct cap_owner owner; /* first: frames and slots lead here */
    struct env *parent;
    struct list children;
    struct list in_parent;
    uint32_t depth;
    struct space *home;
    enum exo_env_state state; /* beside home: whoever runs a vcpu looks at both */
    struct list spaces;
    struct list vcpus;
    struct list in_endings; /* its CPU's, while peers are left to tell */
    struct list *ending_at; /* then: in vcpus, the first that may have some left */
    bool torn_down;         /* only its account is left */
    enum exo_end_reason reason;
    uint64_t code, pc, address; /* what ended it; enum exo_env_field */
    struct {                    /* told when it ends */
        pfn_t vcpu;             /* 0: nobody */
        uint32_t serial;
        uint64_t bits;
    } watcher;
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

/* What stands above registers here: event.c how the watcher is told; syscall.c how a bounded piece of an environment's
 * vcpus ends (from `ending_at` on; true: all of them have, and their peers know), and how its first one is freed. */
extern void (*env_tell)(pfn_t vcpu, uint32_t serial, uint64_t bits);
extern bool (*env_vcpus_end)(struct env *env);
extern void (*env_vcpu_free)(struct env *env);

#endif
