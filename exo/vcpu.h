/* Virtual processors: what the machine needs to run, interrupt and resume one.
 *
 * A vcpu is a VCPU frame, private to the kernel, and a USER page that its environment shares with the kernel
 * (struct exo_vcpu_page), pinned by a reference for as long as the vcpu lives.
 *
 *                    vcpu_start                     wait, reply_wait, call
 *     STOPPED ------------------> READY <--------- WAITING RECEIVING CALLING SENDING
 *                                  |  ^   wake               ^
 *                            picked|  |preempted, yield      |
 *                                  v  |                      |
 *                                 RUNNING -------------------+
 *     any state -- its environment ends --> DEAD, in bounded pieces (env.h); it never runs in between
 *
 * All of it is touched by the CPU that the vcpu is pinned to, or in world mode.  A peer may be another CPU's: whatever
 * follows from that is done in world mode.
 *
 * The registers of a vcpu that does not run are in `regs`.  They are those of user code, or those of an upcall about
 * to enter.  Whoever sees a vcpu that waits may write its result there. */
#ifndef EXO_VCPU_H
#define EXO_VCPU_H

#include "cpu.h"
#include "env.h"
#include "notice.h"

enum vcpu_state {
    VCPU_STOPPED,   /* not started */
    VCPU_READY,     /* in its CPU's ready list */
    VCPU_RUNNING,   /* its CPU's current */
    VCPU_WAITING,   /* in wait */
    VCPU_RECEIVING, /* in reply_wait */
    VCPU_SENDING,   /* in call, queued at `peer` */
    VCPU_CALLING,   /* in call, `peer` has the message and owes the reply */
    VCPU_DEAD,      /* in no queue, no line or slot is its; its own peers may still have to be told */
};

struct vcpu {
    struct exo_regs regs; /* first: entry code saves here */
    uint64_t page_va;     /* of the shared page, as its user sees it */
    struct exo_vcpu_page *page;
    pfn_t page_pfn;
    struct cpu *cpu;
    struct env *env;
    struct space *space; /* it runs there; one of its environment's, the home space at first */
    uint64_t *ticks;     /* in its frame's entry */
    struct exo_running names;
    struct list in_env;
    /* Atomic; its CPU's epoch when it last went to user mode: as long as that stands, its environment has not ended, and
     * its space has an ASID there. */
    uint64_t sound;
    enum vcpu_state state;
    struct list queue; /* READY: in cpu->ready; SENDING: in peer->senders; CALLING: in peer->callers */
    struct deadline deadline;
    uint64_t wait_mask;     /* WAITING: bits that wake */
    bool interruptible;     /* SENDING, CALLING: an event ends the call */
    struct notices notices; /* that wait for their upcall */

    struct vcpu *peer;    /* SENDING, CALLING: the callee */
    uint64_t gate_badge;  /* SENDING: of the gate it called through */
    uint64_t send_flags;  /* SENDING: EXO_MSG_PAGES, EXO_MSG_CAP */
    uint32_t call_serial; /* of the call it is in; part of the reply token */
    struct list senders;  /* as callee: who queues, in order */
    struct list callers;  /* as callee: who waits for a reply */
    uint32_t nfar;        /* of the senders: those whose message takes the world to deliver, */
    bool far;             /* SENDING: as this one's: it comes from another CPU, or brings a capability */
    struct list in_inbox; /* its CPU's, under inbox_lock: its event word is to be looked at */

    uint32_t nirqs; /* lines bound to it: */
    struct list lines;
    uint32_t nslots;
    uint32_t traced; /* trace.session of its entry into the kernel, and so of its way back; 0: none */
    /* fp.h */
    union {
        struct {
            uint8_t fp_turns; /* that begin with its FP registers, and one more without; 0: it asks */
            bool fp_owner;    /* its CPU's */
        };
        uint16_t fp_any; /* 0: neither */
    };
    uint8_t fp_grant; /* how many it was given last */
    struct arch_fp fp;
};
_Static_assert(sizeof(struct vcpu) <= PAGE_SIZE, "a vcpu is one frame");
_Static_assert(offsetof(struct vcpu, regs) == 0, "entry code saves registers at the start");

/* A switching call of the current vcpu: syscall.h. */
typedef struct vcpu *switch_call(struct vcpu *current);

/* In pairs; all at once would be a call of memcpy. */
static inline void regs_copy(struct exo_regs *to, const struct exo_regs *from)
{
    word_pair *t = (word_pair *)to;
    const word_pair *f = (const word_pair *)from;

    _Static_assert(sizeof(*to) == 17 * sizeof(*t) + sizeof(uint64_t), "17 pairs and tls");
#define MOVE(i) t[i] = f[i], t[(i) + 1] = f[(i) + 1], t[(i) + 2] = f[(i) + 2], t[(i) + 3] = f[(i) + 3]
    MOVE(0);
    MOVE(4);
    MOVE(8);
    MOVE(12);
#undef MOVE
    t[16] = f[16];
    to->tls = from->tls;
}

/* A STOPPED vcpu; its shared page is the USER page bound writable at va in space.
 * 0, -EXO_ERANGE, -EXO_EUNBOUND, -EXO_ERIGHTS, -EXO_EINVAL (not RAM), -EXO_EBUSY (it is being reclaimed), -EXO_EQUOTA,
 * -EXO_ENOMEM. */
int vcpu_new(struct env *env, struct cpu *cpu, struct space *space, uint64_t va, struct vcpu **out);
/* Tells its user, in the shared page, which one it is: when nothing can fail any more. */
void vcpu_announce(struct vcpu *vcpu);
void vcpu_free(struct vcpu *vcpu); /* must be DEAD */
/* The shared page of one that has ended goes back before it does. */
void vcpu_unpin(struct vcpu *vcpu);
/* From now on it runs in this space, of its own environment and not ending. */
void vcpu_enter(struct vcpu *vcpu, struct space *space);

pfn_t vcpu_frame(const struct vcpu *vcpu);
/* Has its environment ended?  It is DEAD then, or is going to be: nobody may run, call or answer it any more. */
static inline bool vcpu_ended(const struct vcpu *vcpu)
{
    return vcpu->env->state == EXO_ENV_ENDED;
}

/* The vcpu that a capability of type VCPU, GATE or EVENT, found alive, is about. */
struct vcpu *vcpu_of(const struct cap *cap);

/* A SENDING vcpu's message takes the world to deliver; or no longer, as it leaves its peer's queue. */
void vcpu_far(struct vcpu *vcpu);
void vcpu_near(struct vcpu *vcpu);

/* Out of every queue it stands in, and its deadline with it; the state is the caller's to set. */
void vcpu_unqueue(struct vcpu *vcpu);

/* What a system call of a vcpu that is not running hands back: x0, and x1 to x7 cleared. */
void vcpu_result(struct vcpu *vcpu, int64_t result);

/* Enters the vcpu's upcall handler, its registers going to the shared page.  It must be unmasked, and running or
 * about to.  False: no entry is set, and nothing has changed. */
bool vcpu_upcall(struct vcpu *vcpu, enum exo_reason reason, uint64_t info, uint64_t detail);
static inline __attribute__((always_inline)) bool vcpu_upcall_inline(struct vcpu *vcpu,
                                                                     enum exo_reason reason, uint64_t info,
                                                                     uint64_t detail)
{
    struct exo_vcpu_page *page = vcpu->page;
    uint64_t entry = ARCH_READ(&page->upcall_entry);

    if (entry == 0)
        return false;
    regs_copy(&page->regs, &vcpu->regs);
    page->reason = reason;
    page->info = info;
    page->detail = detail;
    page->upcall_masked = 1;
    vcpu->cpu->info->upcalls++;
    arch_regs_upcall(&vcpu->regs, entry, page->upcall_sp, reason, info, detail);
    return true;
}
/* Has it something to be told of, once that is not masked? */
static inline bool vcpu_upcall_waits(const struct vcpu *vcpu)
{
    const volatile struct exo_vcpu_page *page = vcpu->page;

    return page->events & page->upcall_events || vcpu->notices.due;
}
/* And now? */
static inline bool vcpu_upcall_due(const struct vcpu *vcpu)
{
    const volatile struct exo_vcpu_page *page = vcpu->page;

    return vcpu_upcall_waits(vcpu) && !page->upcall_masked;
}
/* Delivers a REVOKE or EVENT upcall if one is due; *due: the events.  False as above. */
bool vcpu_upcall_pending(struct vcpu *vcpu, uint64_t *due);

/* Does what it waits for, or who waits for it, belong to another CPU? */
static inline bool vcpu_is_remote(const struct vcpu *vcpu)
{
    return vcpu->cpu != cpu_this();
}

#endif
