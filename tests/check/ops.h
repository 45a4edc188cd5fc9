/* What can happen next: calls of each CPU's current vcpu with arguments from small sets, what its user does to memory,
 * interrupts that arrive, time that passes.
 *
 * Arguments: each call has good ones, of which all combinations are tried; and others (wrong, or rarely of interest), of
 * which one at a time stands among good ones.  Which argument of two wrong ones is told first is no matter of state. */
#ifndef CHECK_OPS_H
#define CHECK_OPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum op_kind {
    OP_CALL,
    OP_PRESSED, /* a call, with an interrupt that is due: what it does in pieces it does one of */
    OP_AGAIN,   /* a call, over and over while it answers that something is left */
    OP_MORE,    /* of a large page, all pieces but one */
    OP_TOUCH,
    OP_CLEAR,
    OP_LISTEN,
    OP_TAKE,
    OP_TIME,
    OP_LATER, /* what others were given to let go is over */
    OP_LINE,
    OP_DMA, /* a device reaches for memory */
    OP_MSG, /* a device sends a message */
};

/* Groups of calls; --calls. */
enum op_group {
    GROUP_PAGES = 1 << 0,
    GROUP_LAZY = 1 << 1, /* pages, lazily; tlb_sync */
    GROUP_SPACES = 1 << 2,
    GROUP_ENVS = 1 << 3,
    GROUP_VCPUS = 1 << 4,
    GROUP_GATES = 1 << 5,
    GROUP_EVENTS = 1 << 6,
    GROUP_CAPS = 1 << 7,
    GROUP_REVOKE = 1 << 8,
    GROUP_LINES = 1 << 9,
    GROUP_SLICES = 1 << 10,
    GROUP_RUNS = 1 << 11, /* contiguous pages, frames by number */
    GROUP_WRONG = 1 << 12,
    GROUP_TOUCH = 1 << 13,
    GROUP_DMA = 1 << 14,
    GROUP_MSI = 1 << 15,
    GROUP_TRACE = 1 << 16,
    GROUP_LARGE = 1 << 17, /* large pages, and what goes on with runs of both kinds */
    GROUP_ALL = (1 << 18) - 1,
};
/* Those for which frames keep their numbers (canon.h). */
#define GROUPS_EXACT (GROUP_RUNS | GROUP_REVOKE | GROUP_TRACE | GROUP_LARGE)
/* Those for which the machine has more (exo_small.h). */
#define GROUPS_MORE (GROUP_DMA | GROUP_MSI | GROUP_TRACE | GROUP_LARGE)
#define GROUPS_USUAL (GROUP_ALL & ~GROUPS_EXACT & ~GROUPS_MORE)

struct op {
    uint8_t kind, cpu;
    uint8_t number; /* of the call */
    bool wrong;     /* one of its arguments is from the set of the others */
    uint64_t args[8];
};

#define OPS_MAX 4096u

static inline bool op_is_call(const struct op *op)
{
    return op->kind <= OP_AGAIN;
}
/* enum small_with that these groups need. */
unsigned ops_with(unsigned groups);

/* All that can happen in the state at hand; the same state, the same list. */
unsigned ops_list(struct op *ops, unsigned groups);
/* Does it; the call's result, or 0; MACHINE_AWAY. */
int64_t op_do(const struct op *op);
/* A line of C that does it in a test, with exo_small.h; `result`: a variable that takes the result, or NULL. */
void op_print(FILE *out, const struct op *op, const char *result);
/* "pages,gates", "all": the groups, or 0. */
unsigned ops_groups(const char *words);
const char *ops_words(unsigned groups);
const char *op_name(const struct op *op);

#endif
