/* Three environments, one of them init, do what numbers say: calls with arguments that are mostly of the right kind, touches,
 * interrupts, time that passes, ends.  The numbers are dice, or bytes that a fuzzer chose. */
#ifndef HOST_EXO_FUZZ_H
#define HOST_EXO_FUZZ_H

#include "exo_machine.h"

/* Of bytes each step has EXO_FUZZ_RECORD, so that a change in one step's leaves the others what they are.  A step that needs
 * more goes on with dice that its own bytes load. */
#define EXO_FUZZ_RECORD 16u
struct exo_numbers {
    struct dice dice;
    const uint8_t *bytes; /* NULL: dice alone */
    size_t left;          /* of all, */
    unsigned in_record;   /* and of this step's; 0 at first */
};

struct exo_fuzz {
    uint64_t ram; /* bytes */
    bool iommu, trace;
    enum machine_msi msi;
    unsigned ncpus;
    uint64_t steps; /* at most, or until the numbers are used up */
    uint64_t audit_every;
};

/* Boots, and plays until the steps are over.  What an invariant's violation, a panic or an answer that is in no list says
 * begins with `name` and the step. */
void exo_fuzz(const char *name, struct exo_numbers from, const struct exo_fuzz *how);

#endif
