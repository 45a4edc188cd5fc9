/* The run time's insides, and what the layers above plug into it.
 *
 * Threads of one program run on its vcpus, several at a time.  None is preempted by another of its vcpu: it runs until
 * it blocks, and between two of its instructions there may come an upcall, which touches only what is listed here and
 * in rt/vcpu.h under "upcalls too".  What several vcpus touch is atomic or has a lock (rt/spin.h). */
#ifndef RT_RT_H
#define RT_RT_H

#include "os/revoke.h"
#include "os/rt.h"
#include "os/thread.h"
#include "rt/arch.h"
#include "rt/vcpu.h"

/* In a thread's `noted`, where no signal 0 is: notices wait on its vcpu. */
#define RT_REVOKED 1ull

/* Upcalls too.  All of it is atomic; `ignored`, `handled` and `receiving` change under signals.lock. */
struct rt {
    struct rt_vcpu
        *vcpu[RT_VCPUS_MAX]; /* those below nvcpus; the first is the main one: signals, gates and the bits
                                         * that others set come to it */
    uint32_t nvcpus;
    uint32_t idle;    /* vcpus that sleep for want of threads, or are about to */
    uint32_t dying;   /* 1 + the index of the vcpu that makes a report */
    uint64_t pending; /* signals for whichever thread does not block them; each thread has its own besides */
    uint64_t ignored; /* signals that stay in the event word */
    uint64_t handled; /* event bits with an os_event_handler */
    uint64_t receiving; /* event bits that end the main vcpu's reply_wait */
};
extern struct rt rt;

/* The page whose event word is the program's. */
static inline struct exo_vcpu_page *rt_main_page(void)
{
    return rt_page_of(rt.vcpu[0]);
}

static inline bool rt_alone(void)
{
    return __atomic_load_n(&rt.nvcpus, __ATOMIC_RELAXED) <= 1;
}

/* What libos/mem plugs in. */
struct rt_memory {
    /* Make the access possible: true.  Runs in the upcall.  Otherwise *error has an enum exo_error, or 0. */
    bool (*fault)(uint64_t address, uint64_t access, int *error);
    /* The program ends because no page could be bound there: free a few nearby, so that it can still say so. */
    void (*give_up)(uint64_t address);
    /* A stack region with its topmost `bound_bytes` bound: its lowest address; 0 or a negative errno. */
    int (*stack_new)(uint64_t npages, uint64_t bound_bytes, uint64_t *va);
    void (*stack_free)(uint64_t va, uint64_t npages);
};

/* What libos/libc plugs in: state that each thread has for it. */
struct rt_local {
    size_t bytes; /* of each thread's state but the main thread's */
    void (*init)(void *local);
    void (*fini)(void *local);
    void (*exit)(int status); /* ends the process when the main thread has left */
};

/* Before everything else, on the upcall stack, masked.  info: the START upcall's. */
void rt_start(uint64_t info);
void rt_set_memory(const struct rt_memory *memory);
void rt_set_local(const struct rt_local *local, void *main_local);
/* Make the main thread on a stack whose top is bound, and run main_entry on it; never returns. */
_Noreturn void rt_enter_main(uint64_t stack_va, uint64_t stack_pages, void (*main_entry)(void));
/* How much of a stack's top a thread's own data take. */
uint64_t rt_thread_bytes(void);
/* The running thread's `local`. */
void *rt_thread_local(void);

extern const struct rt_memory *rt_memory;

/* upcall.c: called by arch_upcall_entry. */
void os_upcall(uint64_t reason, uint64_t info, uint64_t detail, struct exo_vcpu_page *page);

/* signal.c */
void rt_signals_init(void);
/* Set what the main vcpu's page listens for from what is ignored, handled and received; signals.lock is held, or no
 * other thread exists.  What the only thread blocks stays in the event word. */
void rt_signals_listen(void);
void rt_signals_lock(void);
void rt_signals_unlock(void);
/* In the upcall: a signal has come, from outside or from a fault.  False: it cannot be delivered and must end us. */
void rt_signal_upcall(uint64_t signals, struct exo_vcpu_page *page);
bool rt_signal_fault(int sig, struct exo_vcpu_page *page);
/* Signals of `pending` that this thread does not block become its own. */
void rt_signals_claim(struct os_thread *t);
/* They go back, for others. */
void rt_signals_return(uint64_t signals);
/* Tell all vcpus but this one to look at `pending`. */
void rt_signals_poke(const struct rt_vcpu *me);
/* In a thread: run the handlers of what it has to handle; whether there were any. */
bool rt_signals_run(void);

/* revoke.c: in a thread, signals held: tell the program of the notices that wait on this vcpu. */
void rt_revoked(void);

/* report.c */
_Noreturn void rt_die_of_signal(int sig);
_Noreturn void rt_report_fault(int sig, uint64_t reason, uint64_t info, uint64_t detail,
                               const struct exo_regs *regs);
/* Is this vcpu making the last report?  It must not wait for anybody then. */
static inline bool rt_dying(void)
{
    return __atomic_load_n(&rt.dying, __ATOMIC_RELAXED) == rt_vcpu()->index + 1;
}

/* event.c: in the upcall. */
void rt_events_upcall(uint64_t bits, struct rt_vcpu *me);
/* reply_wait's events, which end it: 0, none any more. */
void rt_receive(uint64_t bits);

/* sched.c: the calling thread is in a queue (or in none, for good); run others until it is woken. */
void rt_schedule(void);

/* vcpus.c: a thread became ready and no vcpu is idle: make another, if there may be more. */
void rt_vcpus_grow(void);

#endif
