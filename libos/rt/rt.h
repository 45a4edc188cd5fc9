/* The run time's insides, and what the layers above plug into it.
 *
 * Nothing is preempted: a thread runs until it blocks.  What can come between two instructions is an upcall, and
 * an upcall touches only what is listed here under "upcalls too"; everything else in rt belongs to the threads. */
#ifndef RT_RT_H
#define RT_RT_H

#include "os/rt.h"
#include "os/thread.h"
#include "rt/arch.h"

/* Upcalls too. */
struct rt {
    uint32_t hold;    /* > 0: signals are noted in `pending` instead of delivered */
    bool diverted;    /* `interrupted` waits for os_signal_frame to take it */
    bool dying;       /* a report is being made */
    uint64_t pending; /* signals taken from the event word and not delivered yet */
    uint64_t blocked; /* signals that stay in the event word: masked, */
    uint64_t ignored; /* and ignored ones */
    uint64_t handled; /* event bits with an os_event_handler */
    struct exo_regs interrupted;
    uint64_t fault_address; /* of the last fault signal, for the report and si_addr */
    uint64_t fault_access;
    int fault_error; /* why memory could not be bound there: enum exo_error, 0: nothing is mapped */
};
extern struct rt rt;

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
void rt_signals_listen(void); /* set upcall_events from what is blocked, ignored and handled */
/* In the upcall: a signal has come, from outside or from a fault.  False: it cannot be delivered and must end us. */
void rt_signal_upcall(uint64_t signals, struct exo_vcpu_page *page);
bool rt_signal_fault(int sig, struct exo_vcpu_page *page);
/* In a thread: run the handlers of what is pending; whether there were any. */
bool rt_signals_run(void);

/* report.c */
_Noreturn void rt_die_of_signal(int sig);
_Noreturn void rt_report_fault(int sig, uint64_t reason, uint64_t info, uint64_t detail,
                               const struct exo_regs *regs);

/* event.c: in the upcall. */
void rt_events_upcall(uint64_t bits);

/* sched.c: the calling thread is in a queue (or in none, for good); run others until it is woken. */
void rt_schedule(void);
/* An interruptible thread to wake for a signal: true when there was one. */
bool rt_interrupt_one(void);

#endif
