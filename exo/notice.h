/* Notices of revocation (reason REVOKE): what the kernel asks of an environment, and what it took.
 *
 * They stand in the vcpu that is to hear them until its next way to user mode with upcalls unmasked, one of each kind
 * (enum exo_revoke_kind), so nothing is lost and nothing has to be kept in a list:
 *   FRAMES, TAKEN   one is enough: the numbers are counted when it is delivered
 *   PAGES           grows by what lies right beside; what does not fit waits until whoever asks asks again
 *   GONE            grows to the range around all that went: its own tables tell which of it is bound */
#ifndef EXO_NOTICE_H
#define EXO_NOTICE_H

#include "arch/arch.h"

struct env;

struct notice_range {
    uint64_t space; /* as in struct exo_revoke */
    uint64_t va, npages;
    uint64_t deadline;
};

struct notices {
    uint32_t due; /* bit k: kind k waits */
    uint64_t taken;
    struct notice_range pages, gone;
};

/* Who hears what its environment is told: a started vcpu, one that is unmasked where the first few have one; NULL: it has
 * started none. */
struct vcpu *notice_vcpu(const struct env *env);

void notice_frames(struct vcpu *vcpu);
void notice_taken(struct vcpu *vcpu, uint64_t npages);
/* n pages at va of a space or a domain (struct exo_revoke) of the vcpu's environment.  False: another place waits to be
 * told of. */
bool notice_pages(struct vcpu *vcpu, uint64_t space, uint64_t va, uint64_t n, uint64_t deadline);
void notice_gone(struct vcpu *vcpu, uint64_t space, uint64_t va, uint64_t n);

/* Takes the next one out, and writes .revoke in the vcpu's page: its kind and number; false: none is due any more. */
bool notice_take(struct vcpu *vcpu, uint64_t *kind, uint64_t *number);

#endif
