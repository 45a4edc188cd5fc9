/* A first program that goes under the libOS: raw calls, raw upcalls, and checks of what the kernel promises.
 *
 * It also shows how little a program needs: an upcall entry (start.S), a stack for upcalls beside the one it runs on,
 * and the calls of exo/calls.h.
 *
 * Peers are environments with spaces and handles of their own that run this program's code; its data are shared with
 * them, so that a check can look at what its peer saw. */
#ifndef BARE_H
#define BARE_H

#include "first.h"

/* ---- results: each check prints a line ---------------------------------------------------------------------- */

bool check(const char *what, bool good);
bool check_is(const char *what, int64_t got, int64_t wanted);
_Noreturn void finish(void);

/* ---- raw instructions (start.S) --------------------------------------------------------------------------------- */

#define RAW_REGISTERS 19
int64_t raw_call(uint64_t number, uint64_t x[RAW_REGISTERS]);
uint64_t raw_kept(void);
uint64_t raw_trapped(void);
void raw_trapped_entry(void);
void raw_resume(void);
void fp_set(uint64_t base);
uint64_t fp_wrong(uint64_t base);
uint64_t fp_dirty(void);

typedef void probe_fn(uint64_t arg);
probe_fn do_undefined, do_brk, do_hvc, do_smc, do_hlt, do_eret, do_daifset, do_spsel, do_read_sctlr,
    do_read_ttbr, do_write_ttbr, do_write_vbar, do_write_tpidr, do_write_tpidrro, do_write_timer,
    do_read_cntpct, do_read_debug, do_write_pmcr, do_at, do_dc_isw, do_ic_iallu, do_flush_tlb,
    do_read_counter, do_clean, do_invalidate, do_zero, do_wfi, do_exclusive, do_read, do_write, do_read_byte,
    do_jump;

/* ---- traps ---------------------------------------------------------------------------------------------------- */

/* What the last upcall of a probe said; reason 0: it did not trap. */
struct trap {
    uint64_t reason, info, detail;
};

/* Runs fn(arg) and tells how it trapped.  Does not nest. */
struct trap probe(probe_fn *fn, uint64_t arg);
/* Registers that, when they are resumed, end the probe that runs. */
void probe_leave(struct exo_regs *regs);

/* Called in the upcall for event bits, with those that are due; NULL: they are cleared, and that is all. */
extern void (*on_event)(uint64_t due);

/* Peers that trap where no probe runs end quietly; otherwise that is a failure. */
extern bool losses_expected;

/* ---- peers ---------------------------------------------------------------------------------------------------- */

#define PEERS_MAX 24u

struct peer {
    exo_handle_t env, space, vcpu;
    unsigned slot; /* its place among the vcpu pages and the event bits */
};

#define PEER_EVENT(slot) (1ull << (32 + (slot))) /* set in the maker's event word when the peer ends */
#define PEER_FRAMES 64u

/* A stopped environment with a vcpu in it that will run fn(arg), or the error: no room is no failure here. */
int peer_try(struct peer *out, unsigned slot, uint64_t frames);
/* The same, which must succeed. */
struct peer peer_make(unsigned slot);
void peer_start(const struct peer *peer, probe_fn *fn, uint64_t arg);
/* What a peer runs that was started by other means, with whatever argument that had; NULL: it ends. */
extern probe_fn *peer_default;
struct peer peer_run(unsigned slot, probe_fn *fn, uint64_t arg);
struct exo_vcpu_page *peer_page(const struct peer *peer);
/* Lets the peer run until it waits or ends. */
void peer_let(const struct peer *peer);
/* Waits for its end, at most so many milliseconds; true: it ended. */
bool peer_ended(const struct peer *peer, uint64_t ms);
int64_t peer_status(const struct peer *peer, enum exo_env_field field);
/* Takes it down, and drops the handles. */
void peer_end(const struct peer *peer);
/* A capability of ours in its table. */
exo_handle_t peer_give(const struct peer *peer, exo_handle_t cap, unsigned rights);

/* ---- odds and ends ---------------------------------------------------------------------------------------------- */

#define SPARE 0x2000000000ull /* addresses that checks bind and unbind at */

uint64_t free_frames(void);
unsigned my_place(void); /* 0: the first program; 1 + slot: a peer */
uint64_t events_take(uint64_t mask);
void destroy(exo_handle_t env);
/* New pages, however many calls it takes: one does fewer where an interrupt comes.  npages, or an error. */
int64_t pages_alloc(exo_handle_t space, uint64_t va, uint64_t npages, uint64_t flags);
/* Binds this program's code, data and devices in another space, where they are in this one. */
int program_bind(exo_handle_t space);
void clear_range(exo_handle_t space, uint64_t va, uint64_t n);
/* Call, with one word in and out. */
int64_t call1(exo_handle_t gate, uint64_t word, uint64_t *answer, uint64_t deadline);

/* The suites, one a file. */
void check_calls(void);
void check_caps(void);
void check_memory(void);
void check_large(void);
void check_faults(void);
void check_gates(void);
void check_gate_ends(void);
void check_events(void);
void check_time(void);
void check_stride(void);
void check_fp(void);
void check_life(void);
void check_irq(void);
void check_worst(void);
void check_random(void);
void check_msi(void);
void check_no_msi(void);

#endif
