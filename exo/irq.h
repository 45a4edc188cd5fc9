/* Interrupt lines as event bits.  A line is bound to at most one vcpu, delivered to that vcpu's CPU, masked from its
 * delivery to irq_ack, and masked for good when nobody is bound.
 *
 * Wired lines and those that messages raise (msi.h) are told apart only when they are bound.  The controller's numbers
 * have gaps: `lines` holds wired lines first, then message lines beyond them.  Bindings change in world mode only;
 * `masked` and the counts are those of the CPU that the line is delivered to. */
#ifndef EXO_IRQ_H
#define EXO_IRQ_H

#include "vcpu.h"

struct irq {
    struct vcpu *vcpu; /* NULL: nobody */
    struct list in_vcpu;
    uint32_t line;
    uint8_t bit;
    bool masked; /* delivered and not acknowledged */
    /* bound by msi_bind, where messages name devices (msi.c): */
    uint8_t device;
    uint8_t event;
};

/* Boot: the table of lines, zeroed, and the one that shows them (struct exo_line each); as many rows as
 * irq_rows() says. */
uint32_t irq_rows(void);
void irq_init(struct irq *table, struct exo_line *shown);
/* One more than the highest line's number. */
uint32_t irq_limit(void);

/* -EXO_EBUSY: bound already; -EXO_EINVAL: not a line that can be given away, or one that messages raise. */
int irq_bind(uint32_t line, struct vcpu *vcpu, unsigned bit);
/* -EXO_ESTATE: not bound, or to an environment other than env. */
int irq_unbind(uint32_t line, const struct env *env);
int irq_ack(uint32_t line, const struct env *env);
/* Releases some of a vcpu's lines; true: all are. */
bool irq_vcpu_end(struct vcpu *vcpu);
/* A line's interrupt was taken; called by the architecture. */
void irq_arrived(uint32_t line);

/* For msi.c: a line's entry (NULL: there is none of this number); and the binding of one that nobody has, after
 * whatever raises it was set up. */
struct irq *irq_of(uint32_t line);
void irq_attach(struct irq *irq, struct vcpu *vcpu, unsigned bit);
/* Who has the line: NULL, or its vcpu. */
struct vcpu *irq_holder(uint32_t line);
/* Row by row, for the audit. */
const struct irq *irq_row(uint32_t row);
uint64_t irq_bits(uint32_t line); /* that it sets; 0: nobody holds it */

#endif
