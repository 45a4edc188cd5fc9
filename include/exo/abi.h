/* The kernel's interface: constants and the layouts of pages shared between kernel and user.
 * Versioned: a program says in its ELF note which version it was built for (owner "Corbel", type 1).
 *
 * Units: addresses in bytes, ranges in pages, time in ticks of the architectural counter
 * (exo_system.counter_hz a second), deadlines absolute. */
#ifndef EXO_ABI_H
#define EXO_ABI_H

#include "base/types.h"
#include "exo/calls.h"
#include "exo/error.h"
#include "exo/trace.h"

#define EXO_ABI_VERSION 2u
#define EXO_CPUS_MAX 16u

/* ---- capabilities -------------------------------------------------------------------------------------- */

/* A handle: slot index in the low bits, the slot's generation above, bit 31 clear.  0 names nothing. */
typedef uint32_t exo_handle_t;
#define EXO_HANDLE_INDEX_BITS 14u
#define EXO_HANDLE_MAX 0x7fffffffu

enum exo_cap_type {
    EXO_CAP_NONE,
    EXO_CAP_ENV,
    EXO_CAP_SPACE,
    EXO_CAP_VCPU,
    EXO_CAP_GATE,  /* a: badge */
    EXO_CAP_EVENT, /* a: mask of the bits that it may set */
    EXO_CAP_SLICE, /* a: first slot, b: number of slots; the CPU is the object */
    EXO_CAP_IRQ,   /* a: first line, b: number of lines */
    EXO_CAP_MMIO,  /* a: first physical byte, b: bytes; both page aligned */
    EXO_CAP_INFO,
    EXO_CAP_MACHINE, /* power off and reset */
    EXO_CAP_DMA,     /* a: first device or stream, b: how many; as the bus numbers them */
    EXO_CAP_DOMAIN,  /* what one stream may reach */
    EXO_CAP_TRACE,   /* see all that a CPU does */
    EXO_NCAP_TYPES
};

/* Rights.  cap_grant may only drop them. */
enum exo_right {
    EXO_RIGHT_USE =
        1 << 0, /* GATE: call.  EVENT: signal.  SPACE, DOMAIN: map into.  IRQ, MMIO, SLICE, DMA: bind. */
    EXO_RIGHT_READ = 1 << 1, /* SPACE: map out of.  ENV, DOMAIN: status.  INFO: map.  TRACE: trace. */
    EXO_RIGHT_MANAGE =
        1 << 2, /* ENV: stop, destroy, make vcpus.  SPACE, DOMAIN: destroy.  VCPU: start, gates, events.
                   DMA: streams that no IOMMU checks: trusted with all memory. */
    EXO_RIGHT_GIVE = 1 << 3, /* ENV: grant into its table. */
    EXO_RIGHT_COPY = 1 << 4, /* any: may be granted on. */
    EXO_RIGHTS_ALL = 31,
};

/* Every environment's own capabilities. */
#define EXO_SELF_ENV 1u
#define EXO_SELF_SPACE 2u

/* What the first environment finds besides. */
enum exo_first_handles {
    EXO_FIRST_VCPU = 3,
    EXO_FIRST_MMIO,
    EXO_FIRST_IRQ,
    EXO_FIRST_INFO,
    EXO_FIRST_MACHINE,
    EXO_FIRST_DMA,
    EXO_FIRST_TRACE,
    EXO_FIRST_SLICE, /* of CPU 0; those of the others follow: exo_system.ncpus in all */
};

/* What the kernel binds in the first environment before it starts (reason START, info = EXO_FIRST_SYSTEM_VA). */
#define EXO_FIRST_SYSTEM_VA 0x7e00000000ull /* struct exo_system */
#define EXO_FIRST_VCPU_VA 0x7e00400000ull   /* its vcpu page */
#define EXO_FIRST_STACK_TOP 0x7e00500000ull /* upcall_sp; EXO_FIRST_STACK_PAGES below are bound */
#define EXO_FIRST_STACK_PAGES 8u
#define EXO_FIRST_TREE_VA 0x7e10000000ull   /* the device tree, read-only */
#define EXO_FIRST_BUNDLE_VA 0x7c00000000ull /* the bundle, read-only */
#define EXO_FIRST_PROGRAM "bin/init"        /* its file in the bundle */
#define EXO_PROGRAM_MIN 0x10000ull          /* where its segments may lie */
#define EXO_PROGRAM_MAX 0x1000000000ull

/* ---- pages --------------------------------------------------------------------------------------------- */

enum exo_prot {
    EXO_PROT_NONE = 0, /* bound, but no access */
    EXO_PROT_READ = 1,
    EXO_PROT_WRITE = 2,
    EXO_PROT_EXEC = 4, /* never together with WRITE */
};
#define EXO_PROT_ALL 7u

/* A binding also keeps the rights that it may ever have, which page_protect cannot exceed: all of them where
 * page_alloc made it, and those asked for with EXO_PROT_MAX (by default just prot) where page_map did. */
#define EXO_PROT_MAX_SHIFT 4
#define EXO_PROT_MAX(prot) ((uint64_t)(prot) << EXO_PROT_MAX_SHIFT)

/* page_protect's prot, page_unmap's flags: TLBs may go on showing what was there until tlb_sync. */
#define EXO_LAZY (1u << 8)

/* page_alloc: flags are the protection, and: */
enum exo_alloc {
    EXO_ALLOC_CONTIG = 1 << 3, /* physically contiguous, naturally aligned to the next power of two */
    EXO_ALLOC_MORE = 1 << 4,   /* with CONTIG, LARGE: goes on with the run that the call before began */
    EXO_ALLOC_LARGE = 1 << 5,  /* one large page: 512 frames in a run, bound by one entry */
    EXO_ALLOC_LIMIT_SHIFT = 8, /* bits 8 to 15: every frame lies below 2^limit bytes (0: anywhere) */
    EXO_ALLOC_LIMIT_MASK = 0xff00,
};
#define EXO_WANT_ANY UINT64_MAX /* page_alloc: want; otherwise the number of the first frame */

#define EXO_CONTIG_MAX 1024u /* frames in one contiguous allocation */
#define EXO_RECLAIM_NOTICE_US                                                                                \
    200000u        /* page_reclaim: what holders have at least, whatever the deadline says */
enum exo_reclaim { /* page_reclaim's results */
                   EXO_RECLAIM_DONE, /* nobody else has them any more */
                   EXO_RECLAIM_MORE, /* call again */
                   EXO_RECLAIM_ASKED, /* somebody has been asked and holds them still: call again, at the deadline at the latest */
};

#define EXO_RANGE_MAX 64u /* pages that one call handles at most before it returns how far it came */

#define EXO_MSI_EVENTS 256u /* msi_bind: events of a device are 0 to 255 */

#define EXO_LARGE_PAGES 512u /* in a large page, which calls handle at one go */
#define EXO_LARGE_BYTES ((uint64_t)EXO_LARGE_PAGES * PAGE_SIZE)

/* ---- calls and messages --------------------------------------------------------------------------------- */

#define EXO_MSG_WORDS 6u
#define EXO_CPUS_MAX 16u /* processors that are used; CPU numbers are below it */

#define EXO_FOREVER UINT64_MAX

/* Bits above the handle (call: gate) or in the top of the token (reply_wait) that say what goes along. */
#define EXO_MSG_PAGES (1ull << 32) /* the pages that vcpu page .send names */
#define EXO_MSG_CAP (1ull << 33)   /* the capability that vcpu page .send names */
#define EXO_MSG_INTR (1ull << 34)  /* call: end with EXO_EINTR when an event of .upcall_events is pending */

/* reply_wait's token argument: bits 0 to 63 as it was received in x0, flags go in bits 60 (pages) and 61 (cap). */
#define EXO_REPLY_PAGES (1ull << 60)
#define EXO_REPLY_CAP (1ull << 61)
#define EXO_REPLY_FLAGS (EXO_REPLY_PAGES | EXO_REPLY_CAP)

/* Event bits that the kernel itself sets; all others are the environment's to use. */
#define EXO_EVENT_CALL (1ull << 63) /* a caller queues at this vcpu */

/* ---- upcalls and the vcpu page -------------------------------------------------------------------------- */

enum exo_reason {
    EXO_UPCALL_START = 1, /* info: vcpu_start's arg */
    EXO_UPCALL_EVENT,     /* info: the pending events that were listened for */
    EXO_UPCALL_FAULT,     /* info: the address; detail: enum exo_access */
    EXO_UPCALL_EXCEPTION, /* info: enum exo_exception; detail: the architecture's syndrome */
    EXO_UPCALL_REVOKE,    /* info: enum exo_revoke_kind; detail: how many; the rest in vcpu page .revoke */
};

enum exo_access {                       /* what a faulting access wanted, as bits of enum exo_prot, and: */
                  EXO_ACCESS_BOUND = 8, /* a page is bound there, but does not allow it */
};

enum exo_exception {
    EXO_EXC_UNDEFINED = 1, /* undefined or forbidden instruction */
    EXO_EXC_BREAKPOINT,
    EXO_EXC_ALIGNMENT,
    EXO_EXC_FP,
    EXO_EXC_OTHER,
};

/* What a REVOKE upcall is about. */
enum exo_revoke_kind {
    EXO_REVOKE_FRAMES = 1, /* give so many frames back by the deadline (env_limit) */
    EXO_REVOKE_TAKEN,      /* so many pages were taken from .victims, and that was enough */
    EXO_REVOKE_PAGES,      /* let so many pages at .revoke.va go by the deadline (page_reclaim) */
    EXO_REVOKE_GONE,       /* of so many pages at .revoke.va, those that were bound no longer are */
};

struct exo_revoke { /* set by the kernel with every REVOKE upcall */
    uint64_t deadline;
    uint64_t va;
    uint64_t space; /* PAGES, GONE: 0: in the home space; otherwise the number of the space's SPACE frame, */
};
#define EXO_REVOKE_ANYWHERE UINT64_MAX /* or several spaces, */
#define EXO_REVOKE_STREAM                                                                                    \
    (1ull << 62) /* or, with a stream's number, what its domain pins: va is the device's address */

/* Pages of the home space that may be taken when the environment did not give back what was asked for.  In the page
 * of its first virtual processor; taken in the order of the list, each from va upwards. */
#define EXO_VICTIMS 16u
struct exo_victim {
    uint64_t va;
    uint32_t npages; /* 0: none */
    uint32_t taken;  /* set by the kernel: of the pages from va on, so many are gone */
};

/* The registers of an interrupted context.  AArch64: x0 to x30, sp, pc, pstate, tpidr_el0. */
#define EXO_NREGS 31u
struct exo_regs {
    uint64_t x[EXO_NREGS];
    uint64_t sp;
    uint64_t pc;
    uint64_t pstate; /* condition flags count; the rest is forced to user mode */
    uint64_t tls;
};

struct exo_send { /* what a call or reply takes along */
    uint64_t va;  /* first page, in this environment's home space */
    uint32_t npages;
    uint32_t prot;
    exo_handle_t cap;
    uint32_t rights;
};

struct exo_recv { /* where a call or reply may put what comes along */
    uint64_t va;  /* first page of an unbound window in this environment's home space */
    uint32_t max_pages;
    uint32_t take_cap; /* not 0: a capability is welcome */
    /* set by the kernel with every message: */
    uint32_t npages;
    uint32_t prot;
    exo_handle_t cap; /* 0: none came */
    uint32_t reserved;
};

/* One page shared by kernel and user for each vcpu.  The user may write all of it at any time: the kernel
 * believes nothing here, copies before it looks, and a wrong value hurts its owner alone.  The register
 * TPIDRRO_EL0 holds its address, as mapped where vcpu_create found it. */
struct exo_vcpu_page {
    uint64_t self;         /* this page's address; set by the kernel */
    uint64_t upcall_entry; /* where upcalls enter: x0 reason, x1 info, x2 detail, sp = upcall_sp */
    uint64_t upcall_sp;
    uint32_t upcall_masked; /* not 0: deliver nothing; a fault now ends the environment */
    uint32_t cpu;           /* the CPU that this vcpu is pinned to; set by the kernel */
    uint64_t events;        /* the event word: the kernel sets bits, the user clears them, both atomically */
    uint64_t upcall_events; /* the bits that interrupt the running context with an upcall */
    uint64_t reason;        /* of the last upcall; with info and detail: what x0 to x2 held */
    uint64_t info;
    uint64_t detail;
    struct exo_send send;
    struct exo_recv recv;
    struct exo_regs regs; /* the interrupted context; `resume` loads it */
    struct exo_revoke revoke;
    struct exo_victim victims[EXO_VICTIMS];
};

/* ---- environments ---------------------------------------------------------------------------------------- */

enum exo_env_field {                 /* env_status: field */
                     EXO_ENV_STATE,  /* enum exo_env_state */
                     EXO_ENV_REASON, /* enum exo_end_reason */
                     EXO_ENV_CODE, /* EXIT: the status; FAULT: enum exo_access; EXCEPTION: enum exo_exception */
                     EXO_ENV_PC,   /* where it faulted */
                     EXO_ENV_ADDRESS, /* FAULT: what address it could not reach; EXCEPTION: the architecture's syndrome */
                     EXO_ENV_LIMIT, /* frames; below USED while they are asked back (env_limit) */
                     EXO_ENV_USED,  /* frames, those reserved by its children included */
                     EXO_ENV_ID,    /* the number under which frames name it in the frame table */
                     EXO_NENV_FIELDS
};

enum exo_env_state { EXO_ENV_ALIVE, EXO_ENV_ENDED };

enum exo_end_reason {
    EXO_END_NONE,
    EXO_END_EXIT,      /* it called env_exit */
    EXO_END_STOP,      /* env_stop or env_destroy */
    EXO_END_FAULT,     /* a page fault with upcalls masked */
    EXO_END_EXCEPTION, /* another exception with upcalls masked */
    EXO_END_UPCALL,    /* an upcall could not be delivered: no entry set */
    EXO_END_REVOKED,   /* it did not give back in time what was asked, and nothing was left to take */
};

/* ---- devices that reach memory ----------------------------------------------------------------------------- */

/* Streams: a device's number as the IOMMU knows it, below exo_system.dma_streams.  From EXO_DMA_DIRECT on, and on a machine
 * without an IOMMU all: devices that reach memory by physical addresses, and all of it. */
#define EXO_DMA_DIRECT (1ull << 32)
#define EXO_DMA_STREAMS (2ull << 32) /* all that there can be */

enum exo_dma_field {                     /* dma_status: field */
                     EXO_DMA_STREAM,     /* whose domain it is */
                     EXO_DMA_TRANSLATED, /* 1: an IOMMU keeps the device to what is bound; 0: nothing does */
                     EXO_DMA_PAGES,      /* bound, the kernel's doorbells included */
                     EXO_DMA_FAULTS,     /* accesses that were blocked, as far as they were told */
                     EXO_DMA_FAULT_ADDRESS, /* of the latest */
                     EXO_DMA_FAULT_ACCESS,  /* EXO_PROT_READ or EXO_PROT_WRITE */
                     EXO_NDMA_FIELDS
};

enum exo_stop_how { EXO_STOP_OFF, EXO_STOP_RESET };

/* ---- the kernel's tables, mapped read-only by info_map ----------------------------------------------------- */

enum exo_info_table {
    EXO_INFO_SYSTEM, /* struct exo_system, one page */
    EXO_INFO_FRAMES, /* struct exo_frame [system.nframes], from frame number system.first_frame on */
    EXO_INFO_LOG,    /* struct exo_log of one CPU each */
    EXO_INFO_CPU,    /* struct exo_cpu_info, a page each CPU */
    EXO_INFO_TREE,   /* the device tree blob */
    EXO_INFO_LINES,  /* struct exo_line [system.nlines] */
    EXO_NINFO_TABLES
};

enum exo_frame_kind {
    EXO_FRAME_FREE,
    EXO_FRAME_RESERVED, /* not RAM, or RAM that firmware keeps */
    EXO_FRAME_USER,
    EXO_FRAME_TABLE,
    EXO_FRAME_SPACE,
    EXO_FRAME_ENV,
    EXO_FRAME_VCPU,
    EXO_FRAME_CAPS,
    EXO_FRAME_IOTABLE,
    EXO_FRAME_KERNEL, /* the kernel's image, stacks and tables */
    EXO_FRAME_INFO,   /* kernel tables that info_map shows */
    EXO_NFRAME_KINDS
};

#define EXO_FRAME_KIND_NAMES                                                                                 \
    {                                                                                                        \
        "free", "reserved", "user", "table", "space", "env", "vcpu", "caps", "iotable", "kernel", "info"     \
    }

/* USER frames of a large page.  Only the head counts references: those to all of it, and those to any part. */
enum exo_large { EXO_LARGE_HEAD = 0x1000, EXO_LARGE_PART };
#define EXO_DOMAIN_HEAD                                                                                      \
    0x1000u /* IOTABLE frames: a domain itself; the tables of domains have the entries in use */

/* One physical page. */
struct exo_frame {
    uint8_t kind;
    uint8_t order1; /* FREE: 1 + log2 of the frames in the block that starts here; 0 inside a block */
    uint16_t
        entries; /* TABLE: entries in use; VCPU: its CPU; SPACE: its ASID; USER: enum exo_large; IOTABLE: see above */
    uint32_t account; /* frame number of the ENV that pays; 0 for the kernel */
    uint32_t refs;    /* bindings */
    uint32_t
        serial; /* counts the kernel objects that went here, so that a stale name is told from a live one */
    union {
        struct { /* FREE: links of the list that it is in, frame numbers */
            uint32_t next;
            uint32_t prev;
        };
        uint64_t ticks; /* VCPU: of the counter, while it ran, until it last left its CPU */
        uint64_t cpus;  /* SPACE: a bit for each CPU whose TLB may hold translations of it */
    };
    uint32_t epoch;   /* when it last lost a binding lazily, as the kernel counts; 0: never */
    uint32_t reclaim; /* page_reclaim's mark, of use to the kernel alone */
};

/* A lock of the kernel: exo/lock.h. */
struct exo_lock {
    uint32_t next;   /* the ticket that the next one draws */
    uint32_t served; /* the ticket whose turn it is: also how often it was taken and dropped, modulo 2^32 */
    uint32_t contended; /* how often somebody had to wait */
    uint8_t rank;       /* enum exo_lock_rank */
    uint8_t holder;     /* 1 + the CPU's number, in checked builds */
    uint16_t spare;
};

/* In the order in which one CPU may take them. */
enum exo_lock_rank {
    EXO_LOCK_NONE,
    EXO_LOCK_WORLD,    /* who takes all CPUs' locks */
    EXO_LOCK_CPU,      /* one CPU's share of the kernel: in ascending order */
    EXO_LOCK_SPACE,    /* a space's tables: two, in ascending order of address */
    EXO_LOCK_ASID,     /* which ASIDs are in use */
    EXO_LOCK_ACCOUNTS, /* the limits of ended accounts */
    EXO_LOCK_FRAMES,   /* the free lists behind the CPUs' caches */
    EXO_LOCK_TLB,      /* the TLB epoch */
    EXO_LOCK_ITS,      /* the command queue of the interrupt controller's translation service */
    EXO_LOCK_INBOX,    /* a CPU's list of vcpus that other CPUs signalled */
    EXO_NLOCK_RANKS
};

#define EXO_LOCK_RANK_NAMES                                                                                  \
    {                                                                                                        \
        "none", "world", "cpu", "space", "asid", "accounts", "frames", "tlb", "its", "inbox"                 \
    }

struct exo_system {
    uint32_t abi_version;
    uint32_t ncpus;
    uint64_t counter_hz;
    uint32_t first_frame; /* number of the frame that entry 0 of the frame table describes */
    uint32_t nframes;
    uint32_t tree_bytes;
    uint32_t log_bytes; /* size of one CPU's struct exo_log with its text, in bytes */
    uint64_t bundle_va; /* the boot bundle, mapped read-only in the first environment */
    uint64_t bundle_bytes;
    uint64_t tree_va;     /* the device tree, likewise */
    uint32_t slots;       /* in each CPU's slice vector */
    uint32_t slot_us;     /* length of one slot */
    uint64_t boot_ticks;  /* the counter when the kernel was entered */
    uint64_t user_top;    /* first address above user space */
    uint64_t table_va;    /* where every space sees its own page tables, read-only (docs/kernel.md) */
    uint64_t dma_streams; /* streams below this go through an IOMMU; 0: there is none */
    uint64_t
        msi_doorbell;   /* physical: where devices write to raise a line; 0: this machine has no such lines */
    uint32_t msi_first; /* the lines that are raised so */
    uint32_t msi_lines;
    uint32_t nlines; /* entries of the table of lines */
    uint32_t spare;
    struct exo_lock
        locks[EXO_NLOCK_RANKS]; /* those that there is one of: WORLD, ASID, ACCOUNTS, FRAMES, TLB, ITS */
    /* Frames by kind, exact whenever no call is under way.  Each CPU counts what it does in a row of its own, which may
     * go below zero; exo_frames() has the sums. */
    struct exo_frame_counts {
        int64_t of[16]; /* enum exo_frame_kind */
    } frames[EXO_CPUS_MAX];
};

static inline uint64_t exo_frames(const struct exo_system *system, enum exo_frame_kind kind)
{
    int64_t sum = 0;

    for (unsigned cpu = 0; cpu < EXO_CPUS_MAX; cpu++)
        sum += *(const volatile int64_t *)&system->frames[cpu].of[kind];
    return (uint64_t)sum;
}

struct exo_cpu_info {
    uint64_t calls;
    uint64_t interrupts;
    uint64_t kicks;          /* by other CPUs */
    uint32_t lock_taken;     /* this CPU's own lock: as of its last switch */
    uint32_t lock_contended; /* who had to wait for it, likewise */
    uint32_t
        contended[16]; /* by enum exo_lock_rank: how often this CPU had to wait for a lock of that rank */
    uint64_t switches;
    uint64_t upcalls;
    uint64_t idle_ticks;
    struct exo_running {
        uint32_t env, vcpu; /* frame numbers; 0: it is idle */
    } running;
    uint32_t slot;
    uint32_t spare;
    /* The counter, when that began: in neither its ticks nor idle_ticks yet; 0 while it is being added there.  Who reads
     * since, ticks, and the same since again, has both of one moment. */
    uint64_t since;
    uint32_t slot_env[64]; /* who owns each slot; 0: whoever is ready */
};

/* An interrupt line. */
struct exo_line {
    uint64_t count; /* interrupts taken */
    uint32_t line;  /* its number */
    uint32_t env;   /* frame number of the ENV that it is bound to; 0: nobody's */
};

/* A ring of bytes: `written` counts all bytes ever written; the last log_bytes - 16 of them are there. */
struct exo_log {
    uint64_t written;
    uint64_t spare;
    char text[];
};

_Static_assert(sizeof(struct exo_frame) == 32, "frame table layout");
_Static_assert(sizeof(struct exo_regs) == 35 * 8, "register layout");
_Static_assert(offsetof(struct exo_vcpu_page, regs) == 128, "vcpu page layout");
_Static_assert(sizeof(struct exo_vcpu_page) <= PAGE_SIZE, "the vcpu page is one page");
_Static_assert(sizeof(struct exo_system) <= PAGE_SIZE, "the system page is one page");
_Static_assert(sizeof(struct exo_cpu_info) <= PAGE_SIZE, "the CPU page is one page");
_Static_assert(EXO_NCALLS < 64, "call numbers stay small");

#endif
