/* The machine that the kernel believes to run on, as a test sees it.
 *
 * `machine.cpu->current` is the vcpu in user mode, and its user registers are current->regs.  A test plays
 * the user: it makes calls (machine_call), touches memory through the TLB model (machine_touch), lets interrupts
 * come (machine_irq, machine_advance).  Each of these enters the kernel as an architecture's entry code would, and
 * leaves it through trap_leave().
 *
 * Of several CPUs (machine.ncpus, before boot) the test plays one at a time, and goes from one to another with
 * machine_on(): kernel entries come one after the other.  A kicked CPU takes its interrupt when it is played again, or
 * later, if the test holds it up (`held`); an idle one does not let time pass while others were kicked and not played.
 *
 * When the kernel has nothing to run and nothing to wait for, or stops the machine, the function that was
 * called returns and machine.end tells why.  Nothing may be called after MACHINE_STOPPED.
 *
 * The kernel's variables are not put back: one process boots one machine (Check runs each test in a fresh one). */
#ifndef ARCH_HOST_MACHINE_H
#define ARCH_HOST_MACHINE_H

#include "base/types.h"
#include "exo/abi.h"

#define MACHINE_LINEAR_BYTES (64ull << 30) /* physical addresses that may be RAM */
#define MACHINE_HZ 1000000ull              /* of the counter: a tick is a microsecond */
#define MACHINE_LINES 64u /* interrupt lines; from MACHINE_LINE_MIN on they can be given away */
#define MACHINE_LINE_MIN 32u
#define MACHINE_KICK_LINE 0u /* as a trace names them */
#define MACHINE_TIMER_LINE 27u
#define MACHINE_LPI_MIN 8192u /* lines that messages raise: these, */
#define MACHINE_LPIS 32u
#define MACHINE_FRAME_MIN 56u /* or wired ones from here on */
#define MACHINE_MSI_DEVICES 0x1000u
#define MACHINE_DOORBELL 0x08010040ull
#define MACHINE_STREAMS 256u              /* that the IOMMU has */
#define MACHINE_DEVICE_BASE 0x08000000ull /* registers that "the kernel drives itself" */
#define MACHINE_DEVICE_BYTES 0x20000ull

struct cpu;
struct vcpu;

enum machine_end {
    MACHINE_RUNS,    /* a vcpu is in user mode */
    MACHINE_IDLE,    /* nobody is ready, and neither deadline nor interrupt is to come */
    MACHINE_STOPPED, /* by machine_stop, boot_fail or panic: machine.console holds the sentence */
};

/* What takes devices' messages: told before boot. */
enum machine_msi {
    MACHINE_MSI_ITS,   /* (device, event) as the kernel maps them; device tables are the model's to write */
    MACHINE_MSI_FRAME, /* the word is the line, as in GICv2m */
    MACHINE_MSI_NONE,
};

/* What each CPU has of its own. */
struct machine_cpu {
    struct cpu *cpu;
    uint64_t timer; /* EXO_FOREVER: off */
    bool kicked;
    uint64_t root;         /* in the MMU: physical address of the root table, */
    uint32_t asid;         /* and its ASID */
    uint64_t vcpu_pointer; /* what user mode reads */
    bool fp_on;
    bool traced;    /* entries go through probe.h */
    uint64_t fp[4]; /* the FP registers */
};

struct machine {
    uint8_t *linear; /* where physical address 0 would be */
    int memory;      /* the file that is RAM; offset: physical address */
    unsigned ncpus;
    uint64_t cpus_broken; /* a bit for each that does not start; before boot */
    struct machine_cpu cpus[EXO_CPUS_MAX];
    struct machine_cpu *on; /* the one that is played */
    struct cpu *cpu;        /* its structure */
    uint64_t time; /* ticks; moves when the test says so, or when the machine idles until a deadline */
    bool stay;     /* do not jump to the next deadline when idle, but return with MACHINE_IDLE */
    uint64_t held; /* a bit for each CPU whose interrupts are still on their way: it does not see them */
    unsigned asid_bits;
    enum machine_end end;
    enum exo_stop_how stopped;
    char console[1024]; /* what the kernel wrote there */
    size_t console_len;

    uint64_t irq_raised, irq_enabled; /* a bit for each line */
    uint8_t irq_cpu[MACHINE_LINES];   /* which CPU takes it */
    uint64_t lpi_raised, lpi_enabled; /* likewise, from MACHINE_LPI_MIN on */
    uint8_t lpi_cpu[MACHINE_LPIS];    /* which CPU each was mapped to */
    enum machine_msi msi;
    uint64_t fp_moves;
    bool iommu;                      /* there is one; to be set before booting */
    bool no_fast_paths;              /* calls go the long way only */
    bool iommu_deaf;                 /* it takes no orders, and answers none */
    const struct exo_regs *upcalled; /* the registers that were last sent to an upcall entry */
    void *way_out;                   /* out of the kernel: a jmp_buf */
};
extern struct machine machine;

/* If set: told before a page is zeroed, which is when it is about to be somebody's. */
extern void (*machine_zeroing)(const void *page);

/* Physical memory, without a kernel in it.  Before all else, once. */
void machine_make(void);
void machine_unmake(void);
void machine_ram(uint64_t base, uint64_t len);
/* Likewise, and something is left in it, as in a machine that was on before. */
void machine_garbage(uint64_t base, uint64_t len);

/* Boots with the tree at a physical address; the kernel's image is said to lie at image_base. */
void machine_boot(uint64_t image_base, uint64_t image_len, uint64_t tree_base);

/* Plays this CPU from now on; what it has to take, it takes. */
void machine_on(unsigned cpu);
/* The kernel waits for another CPU.  That cannot come, unless two are played at once, and then this is told: a bug. */
void machine_wait(void);
extern void (*machine_waits)(void);

/* Calls fn, and returns early where the kernel stops or idles. */
enum machine_end machine_try(void (*fn)(void *arg), void *arg);

/* One kernel entry of the current vcpu: args become x0 to x7.  The value of x0 when it is back in user mode, with x1
 * to x7 in its regs; MACHINE_AWAY while it is not, and then x0 and so on are there once it runs again. */
#define MACHINE_AWAY INT64_MIN
int64_t machine_call(uint64_t number, const uint64_t args[8]);
/* Is the vcpu in an upcall?  regs held the upcall's arguments when it began, the shared page the interrupted registers.
 * (machine_call returns the call's own result, though an upcall comes right behind it.) */
bool machine_in_upcall(const struct vcpu *vcpu);

/* The current vcpu's access to memory: where the byte lies, or NULL after a page fault was taken.
 * want: enum exo_prot.  Uses a stale TLB entry if the kernel left one behind. */
void *machine_touch(uint64_t va, unsigned want);
void machine_exception(enum exo_exception kind, uint64_t syndrome);
/* The current vcpu uses FP registers: traps if need be; returns them. */
uint64_t *machine_fp(void);

/* Raises a line, which stays raised until it was taken.  Enters the kernel if it is not masked. */
void machine_irq(uint32_t line);
/* A device writes to the doorbell.  False: the controller knows no such message. */
bool machine_msi(uint32_t device, uint32_t word);
/* The line that such a message of an ITS would raise, 0: none. */
uint32_t machine_msi_line(uint32_t device, uint32_t word);
/* Lets time pass; interrupts are taken at its end. */
void machine_advance(uint64_t ticks);
/* Puts a READY or RUNNING vcpu on the CPU, as if the scheduler had come to choose it. */
void machine_run(struct vcpu *vcpu);
bool machine_irq_due(void);

/* ---- the TLB model: a hit needs no table, an entry goes only by a flush ------------------------------------ */

/* Looks an address up, filling the TLB on a miss: the entry's descriptor, 0 where a table has none. */
uint64_t tlb_lookup(uint64_t va);
uint64_t tlb_flushes(void);
/* Calls back for each entry; level 0 is a page, above it a table, or on level 1 a large page.  (audit.h) */
void tlb_show(void (*see)(unsigned cpu, uint32_t asid, unsigned level, uint64_t va, uint64_t pte));
/* The addresses that were touched last, and may be walked again at any time. */
void tlb_show_recent(void (*see)(unsigned cpu, uint32_t asid, uint64_t va));

/* ---- devices that reach memory (iommu.c) --------------------------------------------------------------------- */

/* A device's access to a byte: where it lies, or NULL: it was blocked, and the kernel will hear of it.  Uses what the IOMMU
 * still holds if the kernel did not make it forget.  Without an IOMMU in its way a device reaches what it names. */
void *machine_dma(uint64_t stream, uint64_t address, unsigned want);
/* Calls back for each entry that the IOMMU holds; level 0 is a page, above it a table.  (audit.h) */
void iommu_show(void (*see)(uint32_t tag, unsigned level, uint64_t iova, uint64_t pte));
/* The streams whose entries it holds; and the access that it may look up again at any time, if there was one. */
void iommu_show_streams(void (*see)(uint64_t stream, uint32_t tag));
bool iommu_last(uint64_t *stream, uint64_t *address);
/* By which descriptor a device would reach an address now, 0: it would not.  Nothing is kept of looking. */
uint64_t iommu_reach(uint64_t stream, uint64_t address);

/* ---- user memory at the host's own addresses (window.c) ------------------------------------------------------ */

#define MACHINE_WINDOW_BASE 0x200000000000ull
#define MACHINE_WINDOW_BYTES 0x8000000000ull

/* From now on the current environment's bindings between the window's ends can be touched by the test itself, at
 * their own addresses.  A touch that the page tables do not allow asks `fault`; true: try again.  NULL or false: the
 * touch is the test's bug, and it dies of SIGSEGV. */
void window_open(bool (*fault)(uint64_t va, unsigned access));
/* For the TLB model: these translations are gone. */
void window_forget(uint64_t va, uint64_t bytes);

#endif
