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

enum op_kind { OP_CALL, OP_TOUCH, OP_CLEAR, OP_LISTEN, OP_TAKE, OP_TIME, OP_LINE };

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
    GROUP_ALL = (1 << 14) - 1,
};
/* Those for which frames keep their numbers (canon.h). */
#define GROUPS_EXACT (GROUP_RUNS | GROUP_REVOKE)

struct op {
    uint8_t kind, cpu;
    uint8_t number; /* of the call */
    bool wrong;     /* one of its arguments is from the set of the others */
    uint64_t args[8];
};

#define OPS_MAX 4096u

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
