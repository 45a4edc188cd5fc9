/* Interrupt lines as event bits.  A line is bound to at most one vcpu, masked from its delivery to irq_ack, and
 * masked for good when nobody is bound. */
#ifndef EXO_IRQ_H
#define EXO_IRQ_H

#include "vcpu.h"

/* -EXO_EBUSY: bound already; -EXO_EINVAL: not a line that can be given away. */
int irq_bind(uint32_t line, struct vcpu *vcpu, unsigned bit);
/* -EXO_ESTATE: not bound, or to an environment other than env. */
int irq_unbind(uint32_t line, const struct env *env);
int irq_ack(uint32_t line, const struct env *env);
void irq_vcpu_end(struct vcpu *vcpu);
/* A line's interrupt was taken; called by the architecture. */
void irq_arrived(uint32_t line);
/* Who has the line: NULL, or its vcpu; for the audit. */
struct vcpu *irq_holder(uint32_t line);

#endif
