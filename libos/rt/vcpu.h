/* What the run time keeps for each vcpu: behind the kernel's part of the vcpu page, so that TPIDRRO_EL0 leads to it and
 * it is always bound. */
#ifndef RT_VCPU_H
#define RT_VCPU_H

#include "base/list.h"
#include "exo/abi.h"
#include "os/revoke.h"
#include "rt/arch.h"

#define RT_VCPUS_MAX 16u
#define RT_VCPU_OFFSET 1024u
#define RT_NNOTICES (EXO_REVOKE_GONE + 1)

struct os_thread;

struct rt_spin {     /* rt/spin.h */
    uint32_t holder; /* 0: free; else 1 + the index of the vcpu */
    uint32_t lender; /* 0, or 1 + the index of a vcpu of the same CPU that waits, having lent its slot */
};

/* Who may touch a field: v, code that runs on this vcpu with signals held, and its upcalls; q, the holder of `queue`,
 * others may load it; w, the holder of sched.lock; -, set before anybody else can see it. */
struct rt_vcpu {
    struct os_thread *current; /* v; first: the host's arch_self looks here */
    uint32_t index;            /* - */
    struct rt_spin queue;
    struct list ready;      /* q */
    uint32_t nready;        /* q: atomic */
    exo_handle_t handle;    /* - for directed yields; */
    exo_handle_t event;     /* - and to set OS_EVENT_KICK and OS_EVENT_POKE; 0: it runs alone */
    struct os_thread *idle; /* - where it stands when the thread that ran last has ended */
    struct os_thread *left; /* v: switched away from, until finish_switch */
    struct os_thread *dead; /* v: the same, if it ended and is detached: to be freed by whoever runs next */
    uint64_t until;         /* idle: the deadline that it sleeps to, EXO_FOREVER: none; atomic */
    uint32_t yields;        /* v */
    uint64_t stolen;        /* v: threads that it took from others; others may load it */

    bool diverted;        /* v: `interrupted` waits for os_signal_frame to take it */
    uint32_t in_handlers; /* v: its upcall runs event handlers; atomic */
    struct exo_regs interrupted;
    uint64_t fault_address; /* v: of the last fault signal, for the report */
    uint64_t fault_access;
    int fault_error;  /* why memory could not be bound there: enum exo_error, 0: nothing is mapped */
    uint32_t revoked; /* v: notices that wait in `notices`: bit k for kind k; atomic */
    struct os_revoke notices[RT_NNOTICES];
};

_Static_assert(sizeof(struct exo_vcpu_page) <= RT_VCPU_OFFSET, "the kernel's part comes first");
_Static_assert(RT_VCPU_OFFSET + sizeof(struct rt_vcpu) <= PAGE_SIZE, "one page");

static inline struct rt_vcpu *rt_vcpu_of(struct exo_vcpu_page *page)
{
    return (struct rt_vcpu *)((char *)page + RT_VCPU_OFFSET);
}

static inline struct exo_vcpu_page *rt_page_of(struct rt_vcpu *vcpu)
{
    return (struct exo_vcpu_page *)((char *)vcpu - RT_VCPU_OFFSET);
}

/* The vcpu that runs this.  With signals held it stays that until the next rt_schedule; without, a handler may block
 * in between and the thread go on elsewhere. */
static inline struct rt_vcpu *rt_vcpu(void)
{
    return rt_vcpu_of(arch_vcpu());
}

static inline struct os_thread *rt_self(void)
{
    return arch_self();
}

#endif
